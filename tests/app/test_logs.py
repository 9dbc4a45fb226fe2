"""A woman's name, id and folder go through listing, a failed decode, a failed import and the AI: no log line has them."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import JPEGLSLossless

from app.logs import COMMANDS, KINDS, WINDOW, logs_folder, start_window_log
from inference.engine import InferenceCancelled
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource
from inference.exam.types import InferenceError
from inference.worker import EngineSpec, WorkerEngine
from resources import log_lines

ROOT = Path(__file__).resolve().parents[2]
SECRETS = ("Quackenbush", "Ottoline", "MRN-889911", "19610412", "1.2.840.99999")


@pytest.fixture
def exam_folder(tmp_path: Path) -> Path:
    """One exam with an identity in its header and in its folder's name; one view's pixels are cut off."""
    folder = tmp_path / "Quackenbush Ottoline 19610412"
    files = write_phantom_dicom(phantom_exam(PhantomSpec(seed=5, pixel_mm=0.7)), folder)
    for number, path in enumerate(files):
        ds = dcmread(path)
        ds.PatientName, ds.PatientID, ds.PatientBirthDate = "Quackenbush^Ottoline", "MRN-889911", "19610412"
        ds.StudyInstanceUID = "1.2.840.99999.1"
        ds.SOPInstanceUID = f"1.2.840.99999.2.{number}"
        if number == 0:
            ds.compress(JPEGLSLossless)
            stream = bytearray(ds.PixelData)
            stream[len(stream) // 2 :] = b"\xff\xd9" * ((len(stream) - len(stream) // 2) // 2)
            ds.PixelData = bytes(stream)
        ds.save_as(path)
    (folder / "Quackenbush letter.dcm").write_bytes(b"MRN-889911 is no DICOM")
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("NEGATOSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(log_lines.LEVEL_VARIABLE, "DEBUG")
    monkeypatch.setenv(log_lines.FOLDER_VARIABLE, "")
    root, before = logging.getLogger(), logging.getLogger().level
    yield tmp_path / "home"
    for handler in [one for one in root.handlers if isinstance(one.formatter, log_lines.LogLine)]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(before)
    logging.captureWarnings(False)


def all_logs() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in logs_folder().glob("*"))


def assert_nobody(text: str) -> None:
    assert [secret for secret in SECRETS if secret.lower() in text.lower()] == []


def test_loading_and_failing_in_the_window_process_names_nobody(home: Path, exam_folder: Path) -> None:
    assert start_window_log() == home / "logs" / f"{WINDOW}.log"
    source = FolderSource(exam_folder)
    summaries = source.list()
    exam = source.load(summaries[0].exam_id)
    assert len(exam.images) == 3  # the fourth is left out, which is logged
    (exam_folder / "secret.dcm").write_bytes(b"")
    try:
        FolderSource(exam_folder / "Ottoline").list()
    except Exception:
        logging.getLogger("app.views").exception("loading failed")
    logging.getLogger("app.control.reading").error("exam %s could not be loaded", "MRN-889911")
    text = all_logs()
    assert "an image of an exam was left out" in text
    assert "loading failed" in text
    assert_nobody(text)


def test_an_engine_that_fails_in_its_process_names_nobody(
    home: Path, exam_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    start_window_log()
    exam = FolderSource(exam_folder).load(FolderSource(exam_folder).list()[0].exam_id)
    model = tmp_path / "Quackenbush model"
    model.mkdir()
    (model / "card.json").write_text("{}", encoding="utf-8")
    engine = WorkerEngine(EngineSpec(model_folder=model))
    try:
        with pytest.raises((InferenceError, InferenceCancelled)):
            engine.analyse(exam, lambda f, t: None, lambda: False)
    finally:
        engine.close()
    assert (logs_folder() / "worker.log").is_file()
    assert_nobody(all_logs() + "".join(capfd.readouterr()))


def test_the_guide_says_how_large_the_logs_of_all_kinds_of_processes_become() -> None:
    started = {
        match
        for room in ("app", "inference", "reader_study")
        for path in (ROOT / room).rglob("*.py")
        for match in re.findall(r'start_child\("(\w+)"\)', path.read_text(encoding="utf-8"))
    }
    assert started <= set(KINDS)
    most = len(KINDS) * (1 + log_lines.KEPT_FILES) * log_lines.MAX_BYTES // 1_000_000
    assert f"{most} MB at most" in (ROOT / "docs" / "administrator.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [
        ("infer", "{exams}", "--out", "{out}", "--model", "no-such-model"),
        ("study", "import-cases", "{exams}", "--store", "{out}/cases", "--key", "{out}/keys/s.key"),
    ],
)
def test_commands_on_a_patients_folder_log_nobody(
    home: Path, exam_folder: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    filled = [word.format(exams=exam_folder, out=tmp_path / "out") for word in words]
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    subprocess.run(
        [sys.executable, "-m", "app", *filled],
        cwd=ROOT,
        env=env,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert (logs_folder() / f"{COMMANDS}.log").is_file()
    assert_nobody(all_logs())
