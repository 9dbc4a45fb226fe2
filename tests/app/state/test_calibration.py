"""Records of monitors and the words about them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.state.calibration import (
    CARD_MM,
    Monitor,
    MonitorRecord,
    environment_of,
    luminances_from_csv,
    pitch_from_ruler,
    problems_of,
    table_of,
    verdict_of,
)
from app.state.gsdf import LuminanceResponse, jnd_of_luminance, luminance_of_jnd

EIGHTEEN = tuple(range(0, 256, 15))
GOOD = Monitor(key="m", title="M", width_px=2560, height_px=2048, surface_bits=10)
TODAY = "2026-11-21"


def standard(dark: float, bright: float) -> LuminanceResponse:
    low, high = (float(jnd_of_luminance(cd)) for cd in (dark, bright))
    return LuminanceResponse(
        levels=EIGHTEEN, cd_m2=tuple(float(luminance_of_jnd(low + (high - low) * v / 255)) for v in EIGHTEEN)
    )


# Ratio 350, as the ACR-AAPM-SIIM standard wants it.
RECORD = MonitorRecord(
    monitor="m",
    pitch_mm=0.165,
    response=standard(1.4, 490),
    corrected=False,
    measured_on="2026-10-01",
    measured_by="P. Hysicist",
)


def test_qc03_a_bank_card_over_519_pixels_is_a_pitch_of_0_165_mm() -> None:
    # ISO/IEC 7810: 85.60 mm.
    assert pitch_from_ruler(length_mm=CARD_MM, length_px=518.8) == pytest.approx(0.1650, abs=1e-4)


def test_qc04_nothing_is_found_on_a_good_monitor_and_nothing_is_certified() -> None:
    assert problems_of(GOOD, RECORD, TODAY) == ()
    assert "cannot certify" in verdict_of(GOOD, RECORD, TODAY)


def test_qc04_every_shortcoming_has_its_words() -> None:
    def words(record: MonitorRecord | None = RECORD, monitor: Monitor = GOOD, today: str = TODAY) -> str:
        return "; ".join(problems_of(monitor, record, today))

    assert "no luminances recorded" in words(None)
    assert "pixel pitch not measured" in words(replace(RECORD, pitch_mm=None))
    assert "2.1 megapixels" in words(monitor=replace(GOOD, width_px=1920, height_px=1080))
    assert "8-bit surface" in words(monitor=replace(GOOD, surface_bits=8))
    assert "has expired" in words(today="2027-06-01")
    assert "L'max 250" in words(replace(RECORD, response=standard(1.4, 250.0)))
    assert "L'min 0.5" in words(replace(RECORD, response=standard(0.5, 480.0)))
    assert "room light 120 lx" in words(replace(RECORD, ambient_lux=120.0))
    assert "ambient light 2.00" in words(replace(RECORD, ambient_cd_m2=2.0))
    gamma = LuminanceResponse(levels=EIGHTEEN, cd_m2=tuple(1.4 + 490 * (v / 255) ** 2.2 for v in EIGHTEEN))
    assert "GSDF error" in words(replace(RECORD, response=gamma))
    assert "GSDF error" not in words(replace(RECORD, response=gamma, corrected=True))


def test_qc04_the_session_log_gets_the_numbers_and_what_they_are() -> None:
    facts = environment_of(GOOD, RECORD, TODAY)
    assert facts["calibration"] == "2026-10-01 by P. Hysicist, valid"
    assert facts["pixel_pitch_mm"] == "0.1650"
    assert facts["surface"] == "10-bit surface"
    assert float(facts["luminance_ratio"]) == pytest.approx(350, abs=2)
    assert float(facts["gsdf_error_percent"]) < 1.0
    assert facts["gsdf_error_is"] == "measured"
    none = environment_of(GOOD, None, TODAY)
    assert none["calibration"] == "none recorded"
    assert "no luminances recorded" in none["display_problems"]


def test_mg20_a_monitor_that_corrects_itself_gets_no_table_of_ours() -> None:
    assert list(table_of(RECORD, 8).levels) == list(range(256))
    assert list(table_of(replace(RECORD, corrected=True), 8).levels[:2]) == [0, 0]


@pytest.mark.parametrize(
    "text", ["level,cd/m2\n0,1\n100,40\n200,250\n255,480\n", "0;1,0\n100;40,0\n200;250,5\n255;480"]
)
def test_qc02_luminances_come_from_a_csv_of_either_habit(text: str) -> None:
    response = luminances_from_csv(text)
    assert response.levels == (0, 100, 200, 255)
    assert response.cd_m2[-1] == 480.0


def test_qc02_a_broken_line_of_the_csv_is_named() -> None:
    with pytest.raises(ValueError, match="line 3"):
        luminances_from_csv("level,cd\n0,1\n100,lots\n255,480\n")
