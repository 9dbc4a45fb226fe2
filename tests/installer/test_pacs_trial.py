"""The PACS trial's own parts: what it takes from the guide, what it reads in the answers, what it says when it cannot."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_trial_starts_orthanc_with_the_configuration_that_the_guide_shows() -> None:
    import smoke_pacs

    value = smoke_pacs.guide_configuration((ROOT / "docs" / "pacs.md").read_text(encoding="utf-8"))
    assert value["AuthenticationEnabled"] is True
    assert value["DefaultEncoding"] == "Utf8"
    guide = (ROOT / "docs" / "pacs.md").read_text(encoding="utf-8")
    assert f"--url http://localhost:{value['HttpPort']}/dicom-web" in guide
    assert f"--aet {value['DicomAet']} --host 127.0.0.1 --port {value['DicomPort']}" in guide


@pytest.mark.parametrize(
    "text", ["# no configuration\n", "    {\n    'a': 1\n    }\n", '    {\n    "a": 1\n    }\n']
)
def test_a_guide_without_a_usable_configuration_is_named(text: str) -> None:
    import smoke_pacs

    with pytest.raises(smoke_pacs.NoPacs, match=r"docs/pacs\.md.*mend the guide"):
        smoke_pacs.guide_configuration(text)


def test_a_machine_without_orthanc_is_told_what_is_missing_and_never_passes(tmp_path: Path) -> None:
    import smoke_pacs

    plugin = tmp_path / "libOrthancDicomWeb.so"
    said = smoke_pacs.missing_programs(lambda name: None if name == "Orthanc" else f"/bin/{name}", plugin)
    assert "lacking Orthanc, libOrthancDicomWeb.so;" in said
    assert "install orthanc" in said
    plugin.touch()
    assert smoke_pacs.missing_programs(lambda name: f"/bin/{name}", plugin) == ""


def test_a_missing_orthanc_fails_the_trial_with_that_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import smoke_linux
    import smoke_pacs

    monkeypatch.setattr(smoke_pacs, "missing_programs", lambda: "pacs: lacking Orthanc; install orthanc.")
    with pytest.raises(smoke_pacs.NoPacs, match="lacking Orthanc"), smoke_pacs.orthanc():
        pytest.fail("started without Orthanc")
    assert "pacs" in [name for name, _ in smoke_linux.TRIALS]


def test_studies_are_read_from_the_lines_of_a_query() -> None:
    import smoke_pacs

    text = "2024-02-29\tP1\tDoe^Jane\tA1\tMG\t4\t1.2.3\n\t P2\t\t\tMG/SR\t\t1.2.4\n"  # no date, no count: allowed
    assert smoke_pacs.studies_found(text) == [("1.2.3", 4), ("1.2.4", 0)]
    with pytest.raises(ValueError, match="seven cells"):
        smoke_pacs.studies_found("1 study matches.\n")


def test_the_breasts_scores_are_taken_from_infers_table_and_from_the_exports() -> None:
    import smoke_pacs

    inferred = "case_id,level,laterality,score\nE1,view,R,0.9\nE1,breast,R,0.048690\nE1,breast,L,0.033691\nE1,exam,,0.5\n"
    shown = "case_id,score_of,score\nC1,breast:L,0.03369123\nC1,breast:R,0.0486904\nC1,exam,0.5\nC1,view:R-CC,0.7\n"
    assert smoke_pacs.breast_scores(inferred) == smoke_pacs.breast_scores(shown) == [0.03369, 0.04869]
    assert smoke_pacs.breast_scores(shown.replace("0.0486904", "0.0496904")) != [0.03369, 0.04869]


def test_the_trials_protocol_is_a_study_once_it_has_cases() -> None:
    import smoke_pacs

    from reader_study.protocol_file import protocol_from_text

    cases = "cases:\n- {case_id: C0001, exam_id: E1, exam_digest: ''}\n- {case_id: C0002, exam_id: E2, exam_digest: ''}\n"
    study = protocol_from_text(smoke_pacs.PROTOCOL + cases)
    assert (study.study_id, len(study.plans)) == (smoke_pacs.STUDY, 2)
    compile(smoke_pacs.READ_STUDY, "read_study.py", "exec")


@pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("Orthanc", "ip", "nsenter", "unshare"))),
    reason="not run: needs root, orthanc and namespaces",
)
def test_the_trials_orthanc_is_alone_on_loopback_and_ends_with_the_trial() -> None:
    import subprocess

    import smoke_pacs

    if smoke_pacs.missing_programs():
        pytest.skip(f"not run: {smoke_pacs.missing_programs()}")
    with smoke_pacs.orthanc() as (server, configuration):
        net = f"--net=/proc/{server}/ns/net"
        links = subprocess.run(
            ["nsenter", net, "ip", "-o", "link"], capture_output=True, text=True, check=True
        )
        assert [line.split(":")[1].strip() for line in links.stdout.splitlines()] == ["lo"]
        ports = Path(f"/proc/{server}/net/tcp").read_text(encoding="ascii")
        assert f":{int(str(configuration['HttpPort'])):04X}" in ports
        assert f":{int(str(configuration['DicomPort'])):04X}" in ports
    assert not Path(f"/proc/{server}").exists()
