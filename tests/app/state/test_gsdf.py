"""The GSDF against PS3.14's table, an independent implementation's values and dcmtk's dcmdspfn."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from app.state.gsdf import (
    LuminanceResponse,
    calibrated_table,
    gsdf_report,
    identity_table,
    jnd_of_luminance,
    luminance_of_jnd,
    predicted_response,
)

# PS3.14 Annex B, table B-1 (0.0500 ... 3993.404); the fit of section 7.1 is good to 0.3 %.
TABLE_B1 = {1: 0.0500, 2: 0.0547, 3: 0.0594, 4: 0.0643, 5: 0.0696, 10: 0.0991, 1023: 3993.404}
EIGHTEEN = tuple(range(0, 256, 15))


def gamma_monitor(dark: float = 1.2, bright: float = 450.0) -> LuminanceResponse:
    return LuminanceResponse(
        levels=EIGHTEEN, cd_m2=tuple(dark + (bright - dark) * (v / 255) ** 2.2 for v in EIGHTEEN)
    )


def standard_monitor(error: float = 0.0, *, at: int = 9) -> LuminanceResponse:
    """A monitor that follows the GSDF from JND 100 to 700, but for one level."""
    cd_m2 = luminance_of_jnd(100 + 600 * np.asarray(EIGHTEEN) / 255)
    cd_m2[at] *= 1 + error
    return LuminanceResponse(levels=EIGHTEEN, cd_m2=tuple(float(v) for v in cd_m2))


def test_mg20_luminances_are_those_of_the_standards_table() -> None:
    for jnd, cd_m2 in TABLE_B1.items():
        assert float(luminance_of_jnd(jnd)) == pytest.approx(cd_m2, rel=0.003)


def test_mg20_both_directions_agree_with_an_independent_program() -> None:
    # colour-science 0.4, documentation of eotf_DICOMGSDF and oetf_DICOMGSDF.
    assert float(luminance_of_jnd(512)) == pytest.approx(130.0652840, abs=1e-6)
    assert float(jnd_of_luminance(130.065284012159790)) == pytest.approx(511.9964806, abs=1e-6)


def test_mg20_the_inverse_leads_back_within_a_tenth_of_a_jnd() -> None:
    jnd = np.arange(1, 1024, dtype=np.float64)
    assert np.abs(jnd_of_luminance(luminance_of_jnd(jnd)) - jnd).max() < 0.15


def test_qc02_a_monitor_on_the_standard_has_no_error() -> None:
    report = gsdf_report(standard_monitor(), ambient_cd_m2=0.0)
    assert report.error < 0.005
    assert report.jnds == pytest.approx(600, abs=0.2)


def test_qc02_one_level_off_by_two_percent_is_found_where_it_is() -> None:
    report = gsdf_report(standard_monitor(0.02, at=9), ambient_cd_m2=0.0)
    worst = {int(i) for i in np.argsort(np.abs(report.deviations))[-2:]}
    assert worst == {8, 9}  # the intervals below and above the level
    # By hand: level 9 is J 417.65 (72.6 cd/m²); its neighbours 35.29 JND away lie 20.3 % below and 19.9 % above.
    below, here, above = (float(luminance_of_jnd(100 + 600 * n / 17)) for n in (8, 9, 10))
    wanted = 2 * (1.02 * here - below) / (1.02 * here + below) / (2 * (here - below) / (here + below)) - 1
    assert report.deviations[8] == pytest.approx(wanted, abs=0.002)
    wanted = 2 * (above - 1.02 * here) / (above + 1.02 * here) / (2 * (above - here) / (above + here)) - 1
    assert report.deviations[9] == pytest.approx(wanted, abs=0.002)


def test_qc02_the_ratio_counts_the_light_of_the_room() -> None:
    report = gsdf_report(gamma_monitor(1.0, 500.0), ambient_cd_m2=0.5)
    assert report.ratio == pytest.approx(500.5 / 1.5)
    assert report.lmax == pytest.approx(500.5)


@pytest.mark.parametrize(("bits", "allowed"), [(8, 0.10), (10, 0.03)])
def test_mg20_the_table_turns_a_gamma_monitor_into_a_standard_one(bits: int, allowed: float) -> None:
    monitor = gamma_monitor()
    assert gsdf_report(monitor, ambient_cd_m2=0.4).error > 0.3
    table = calibrated_table(monitor, ambient_cd_m2=0.4, bits=bits)
    assert gsdf_report(predicted_response(monitor, table), ambient_cd_m2=0.4).error < allowed
    assert table.levels[0] == 0
    assert table.levels[-1] == 2**bits - 1
    assert np.all(np.diff(table.levels.astype(int)) >= 0)


def test_mg20_the_table_chooses_the_same_luminances_as_dcmtk(tmp_path: Path) -> None:
    tool = shutil.which("dcmdspfn")
    if tool is None:
        pytest.skip("not run: dcmdspfn (Debian: dcmtk) is not installed")
    cd_m2 = [0.5 + 449.5 * (v / 255) ** 2.2 for v in range(256)]
    lines = ["max 255", "amb 0.8", *(f"{v} {cd:.6f}" for v, cd in enumerate(cd_m2))]
    (tmp_path / "monitor.lut").write_text("\n".join(lines) + "\n")
    subprocess.run([tool, "+Im", tmp_path / "monitor.lut", "+Og", tmp_path / "out.txt"], check=True)
    rows = [
        line.split("\t") for line in (tmp_path / "out.txt").read_text().splitlines() if line[:1].isdigit()
    ]
    standard, theirs = (np.array([float(row[i]) for row in rows]) for i in (2, 3))
    monitor = LuminanceResponse(levels=tuple(range(256)), cd_m2=tuple(cd_m2))
    table = calibrated_table(monitor, ambient_cd_m2=0.8, p_values=256)
    ours = np.asarray(cd_m2)[table.levels] + 0.8
    # The same driving level, but where two lie equally near: nearest in JNDs here, in cd/m² there.
    assert np.mean(np.abs(ours - theirs) < 1e-4) > 0.98
    wide = np.gradient(np.asarray(cd_m2))[table.levels] + 1e-6
    assert np.all(np.abs(ours - standard) <= 0.55 * np.maximum(wide, np.roll(wide, 1)) + 2e-3 * standard)


def test_mg20_without_a_record_p_values_go_out_as_they_are() -> None:
    assert np.array_equal(identity_table(10).levels, np.arange(1024))


@pytest.mark.parametrize(
    ("levels", "cd_m2", "words"),
    [
        ((0, 15, 30, 255), (1, 2, 1.5, 400), "level 30 than at 15"),
        ((0, 15, 30, 240), (1, 2, 3, 400), "from 0 to 255"),
        ((0, 15, 15, 255), (1, 2, 3, 400), "rising levels"),
        ((0, 255), (1, 400), "at least 4"),
        ((0, 100, 200, 255), (1, 20, 300, 9000), "check the unit"),
    ],
)
def test_qc02_luminances_that_cannot_be_are_refused_in_one_sentence(levels, cd_m2, words) -> None:
    with pytest.raises(ValueError, match=words):
        LuminanceResponse(levels=levels, cd_m2=cd_m2)
