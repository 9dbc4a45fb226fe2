"""The doctor: each thing it looks at, in order and out of order; its forms and its exit code; nothing of a patient."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import doctor_data, doctor_program, doctor_station
from app.doctor import HealthLine, Verdict, as_json, as_text, examine, in_a_process, ok
from inference.exam import codec_check, codecs
from inference.exam.pacs.connections import ConnectionBook
from inference.exam.pacs.model import Connection, Kind
from reader_study.store.database import open_database
from reader_study.store.health import database_health
from resources.files import UserFacingError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEGATOSCOPE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def run_doctor(*words: str, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "NEGATOSCOPE_HOME": str(home), "NEGATOSCOPE_TEST": "1", **more}
    return subprocess.run(
        [sys.executable, "-m", "app", "doctor", *words],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_transfer_syntax_that_is_read_has_a_sample_that_decodes() -> None:
    tried = codec_check.try_codecs()
    assert {one.transfer_syntax for one in tried} == codecs.SUPPORTED
    assert [one for one in tried if one.problem] == []


def test_a_codec_that_returns_other_pixels_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    true = codecs.decode_frame
    wrong = "1.2.840.10008.1.2.4.90"
    monkeypatch.setattr(
        codecs, "decode_frame", lambda ds: true(ds) + (str(ds.file_meta.TransferSyntaxUID) == wrong)
    )
    lines = list(doctor_program.codecs())
    assert [line.verdict for line in lines] == [Verdict.FAULT]
    assert "JPEG 2000 Image Compression (Lossless Only)" in lines[0].found
    assert "off by 1" in lines[0].found


def test_the_sample_images_hold_no_identity() -> None:
    import io

    import pydicom

    content = json.loads((ROOT / "resources" / "dicom" / "codec_samples.json").read_text(encoding="utf-8"))
    for sample in content["samples"]:
        ds = pydicom.dcmread(io.BytesIO(base64.b64decode(sample["file"])))
        assert not str(ds.get("PatientName", ""))
        assert not str(ds.get("PatientID", ""))


def test_a_weights_file_that_was_changed_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    copy = tmp_path / "dib-mg"
    shutil.copytree(ROOT / "resources" / "models" / "dib-mg", copy)
    with (copy / "weights.safetensors").open("r+b") as file:
        file.seek(1000)
        file.write(b"\x00\xff\x00")
    monkeypatch.setattr(doctor_program, "model_folders", lambda: (copy,))
    (line,) = doctor_program.models()
    assert line.verdict is Verdict.FAULT


def _ends() -> dict[str, object]:
    os._exit(9)


def _tells() -> dict[str, object]:
    return {"answer": 42}


def test_a_probe_that_takes_its_process_down_is_survived() -> None:
    assert in_a_process(_ends, seconds=30.0) is None
    assert in_a_process(_tells, seconds=30.0) == {"answer": 42}


def test_a_check_with_a_defect_is_a_fault_and_the_others_go_on() -> None:
    def broken() -> Iterator[HealthLine]:
        raise KeyError("Rossi^Anna")

    def refused() -> Iterator[HealthLine]:
        raise UserFacingError("Disk: expected room, found none; make room.")

    report = examine(
        [("a", "A", broken), ("b", "B", refused), ("c", "C", lambda: [ok("c", "C", "fine")])],
        program="Negatoscope test",
        made_utc="2026-11-21T08:00:00.000Z",
    )
    assert [line.verdict.value for line in report.lines] == ["fault", "fault", "ok"]
    assert report.verdict is Verdict.FAULT
    assert "KeyError" in as_text(report)
    assert "Rossi" not in as_text(report) + as_json(report)
    assert as_text(report).endswith("2 faults, 0 warnings, 1 in order.")
    assert all(line.remedy for line in report.lines if line.verdict is not Verdict.OK)


def test_a_study_database_is_counted_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "study.sqlite"
    open_database(file).close()
    before = file.read_bytes()
    health = database_health(file)
    assert (health.kind, health.schema, health.journal) == ("SQLite", health.expected_schema, "wal")
    assert (health.studies, health.events, health.damage) == (0, 0, ())
    assert file.read_bytes() == before
    with pytest.raises(UserFacingError, match="found none"):
        database_health(tmp_path / "other.sqlite")


def test_a_damaged_database_is_a_fault_with_the_way_to_the_backup(tmp_path: Path) -> None:
    file = tmp_path / "study.sqlite"
    open_database(file).close()
    raw = sqlite3.connect(file)
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.execute("PRAGMA journal_mode = DELETE")
    raw.close()
    data = bytearray(file.read_bytes())
    data[4096 + 8 : 4096 + 400] = b"\xff" * 392
    file.write_bytes(data)
    lines = [line for line in doctor_data.databases([str(file)]) if line.title != "Database"]
    assert lines[0].verdict is Verdict.FAULT
    assert "backup" in lines[0].remedy + lines[0].found


def test_a_database_url_is_shown_without_its_password() -> None:
    lines = list(doctor_data.databases(["postgresql://reader:s3cret@127.0.0.1:1/none"]))
    assert lines[-1].verdict is Verdict.FAULT
    assert "s3cret" not in f"{lines[-1].title} {lines[-1].found} {lines[-1].remedy}"


def test_a_small_disk_a_slow_disk_and_a_folder_in_memory_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_station, "_TRIAL_BYTES", 2**20)
    monkeypatch.setattr(doctor_station, "FREE_WARN", 1e18)
    monkeypatch.setattr(doctor_station, "SYNC_WARN_MS", 0.0)
    monkeypatch.setattr(doctor_station, "_file_system", lambda _folder: "tmpfs")
    (line,) = doctor_station.disk(tmp_path)
    assert line.verdict is Verdict.WARNING
    for word in ("free", "memory", "slow"):
        assert word in line.remedy
    monkeypatch.setattr(doctor_station, "FREE_FAULT", 1e18)
    assert next(iter(doctor_station.disk(tmp_path))).verdict is Verdict.FAULT
    assert list(tmp_path.glob(".negatoscope*")) == []


def test_the_file_system_of_a_folder_is_that_of_its_mount() -> None:
    assert doctor_station._file_system(Path("/proc")) == "proc"


def test_no_display_is_a_warning_not_an_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    (line,) = doctor_station.display()
    assert line.verdict is Verdict.WARNING


def test_a_display_that_does_not_answer_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":987")
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    (line,) = doctor_station.display()
    assert line.verdict is Verdict.FAULT


def test_an_uncalibrated_monitor_is_named_with_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    (line,) = doctor_station.display()
    assert line.verdict is Verdict.WARNING
    assert "800 × 800 pixels, 8 bit surface" in line.found
    assert "GSDF" in line.remedy


def test_a_pacs_that_does_not_answer_is_a_fault_with_its_name(tmp_path: Path) -> None:
    assert [line.verdict for line in doctor_data.pacs(tmp_path)] == [Verdict.OK]
    book = ConnectionBook(tmp_path)
    book.keep(
        Connection(name="archive", kind=Kind.DICOMWEB, url="http://127.0.0.1:1/dicom-web"), secret="s3cret"
    )
    (line,) = doctor_data.pacs(tmp_path)
    assert line.verdict is Verdict.FAULT
    assert "archive" in line.found
    assert "s3cret" not in line.found


def test_the_command_gives_json_and_an_exit_code(home: Path, tmp_path: Path) -> None:
    done = run_doctor("--json", home=home, QT_QPA_PLATFORM="offscreen")
    report = json.loads(done.stdout)
    assert report["schema"] == 1
    assert {line["area"] for line in report["lines"]} >= {
        "versions", "codecs", "models", "gpu", "display", "memory", "disk", "clocks", "database", "settings", "logs", "pacs"
    }  # fmt: skip
    assert done.returncode == (1 if report["verdict"] == "fault" else 0)
    assert not [
        line
        for line in report["lines"]
        if line["area"] in {"codecs", "models", "gpu"} and line["verdict"] != "ok"
    ]
    worse = run_doctor("--json", "--database", str(tmp_path / "none.sqlite"), home=home)
    assert worse.returncode == 1
