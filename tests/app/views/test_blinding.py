"""A blinded, unaided reading in the real window: every key is pressed, and nothing names the woman or shows the AI.

The exams are written with marked identity in attributes, folder and file names, beside a CAD report, a saved display
and a key object; all words of all widgets, the words on the images and the log are searched for the marks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QLabel,
    QLineEdit,
    QListWidget,
    QPlainTextEdit,
    QTableWidget,
    QTextEdit,
    QWidget,
)
from pytestqt.qtbot import QtBot

from app.bootstrap import study_station
from app.files import program_folders
from app.views.main_window import MainWindow
from app.views.simulated_reader import _fill_form, _Run
from inference.engine import Cancelled, FakeEngine, Progress
from inference.exam.objects.cad_sr_write import CadRun
from inference.exam.objects.export import write_run
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource
from inference.exam.types import Exam
from inference.results import ExamResult
from reader_study.accounts import hash_password
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.randomization import allocate
from reader_study.store.database import open_database

MARKS = ("zyx", "20160423", "2016-04-23", "19530209", "1953-02-09", "14:33", "143344")
LEAVING = {"session.leave", "session.sign_out", "exams.open", "case.submit", "case.pause", "settings.open"}


class NoEngine:
    """An unaided reading never asks the AI."""

    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
        raise AssertionError("the AI was asked in an unaided reading")


def _write(folder: Path, seed: int) -> None:
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=seed, pixel_mm=0.5, cesm=True)), folder)
    for path in sorted(folder.glob("*.dcm")):
        ds = pydicom.dcmread(path)
        ds.PatientName, ds.PatientID, ds.PatientBirthDate = "ZYXNAME^ANNA", f"ZYXID{seed}", "19530209"
        ds.AccessionNumber, ds.InstitutionName, ds.OperatorsName = "ZYXACC", "ZYXINST", "ZYXOP"
        ds.StationName, ds.DeviceSerialNumber, ds.DetectorID = "ZYXSTATION", "ZYXSN", "ZYXDET"
        ds.StudyDate = ds.AcquisitionDate = ds.SeriesDate = ds.ContentDate = "20160423"
        ds.StudyTime = ds.AcquisitionTime = ds.ContentTime = "143344"
        ds.StudyDescription = ds.SeriesDescription = "ZYXDESCRIPTION"
        ds.save_as(path.with_name(f"ZYXNAME_{path.name}"))
        path.unlink()


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", staticmethod(lambda *_a, **_k: ""))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", staticmethod(lambda *_a, **_k: ("", "")))
    exams = tmp_path / "exams"
    for seed in (41, 42):
        _write(exams / f"ZYXNAME_ANNA_{seed}", seed)
    source = FolderSource(exams)
    listed = source.list()
    for summary in listed:
        exam = source.load(summary.exam_id)
        found = FakeEngine(seed=9).analyse(exam, lambda _f, _t: None, lambda: False)
        run = CadRun(
            exam=exam,
            model_id="ZYXCAD",
            model_version="1",
            weights_digest="0" * 64,
            result=found,
            threshold=0.1,
        )
        write_run(run, exams, exams, created=datetime(2026, 11, 20, 9), version="1")
    arm = Arm(arm_id="a", title="Unaided", ai=AiPolicy(shown=False))
    cases = tuple(
        Case(case_id=f"C{k}", exam_id=one.exam_id, exam_digest=source.load(one.exam_id).digest)
        for k, one in enumerate(listed)
    )
    reader = Reader(reader_id="r", name="R", password_hash=hash_password("secret-word"))
    plans = allocate(study_id="S", seed=1, cases=cases, readers=(reader,), arms=(arm,), design="single")
    study = Study(
        study_id="S",
        title="S",
        protocol_version="1",
        seed=1,
        arms=(arm,),
        readers=(reader,),
        cases=cases,
        scale=Scale(),
        plans=plans,
    )
    opened = open_database(tmp_path / "s.sqlite")
    opened.save_study(study)
    opened.close()
    station = study_station(
        database=tmp_path / "s.sqlite", study_id="S", exams=exams, anchor=None, engine=NoEngine()
    )
    made = MainWindow(station, version="test")
    made.resize(1600, 1000)
    qtbot.addWidget(made)
    made.show()
    QTest.keyClicks(made.sign_in.reader, "r")
    QTest.keyClicks(made.sign_in.password, "secret-word")
    QTest.keyClick(made.sign_in.password, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(made.worklist.cards), timeout=20_000)
    QTest.mouseClick(made.worklist.cards[0].button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(made.is_case_painted, timeout=30_000)
    yield made
    made.close()


def _words_of(widget: QWidget) -> list[str]:
    words = [widget.toolTip(), widget.windowTitle(), widget.accessibleName(), widget.statusTip()]
    if isinstance(widget, QLabel | QLineEdit):
        words.append(widget.text())
    elif isinstance(widget, QTextEdit | QPlainTextEdit):
        words.append(widget.toPlainText())
    elif isinstance(widget, QTableWidget):
        cells = (widget.item(r, c) for r in range(widget.rowCount()) for c in range(widget.columnCount()))
        words += [text for cell in cells if cell is not None for text in (cell.text(), cell.toolTip())]
    elif isinstance(widget, QListWidget):
        items = (widget.item(row) for row in range(widget.count()))
        words += [text for item in items for text in (item.text(), item.toolTip())]
    elif callable(text := getattr(widget, "text", None)) and isinstance(said := text(), str):
        words.append(said)
    return words


def seen_words(window: MainWindow) -> str:
    """All words of all widgets, shown or hidden, and those on the images."""
    words = [text for widget in QApplication.allWidgets() for text in _words_of(widget)]
    words += [str(text) for text in window.reading.grid._words.values()]
    return "\n".join(words)


def press_every_key(window: MainWindow) -> str:
    said = []
    for command_id, command in window._commands.items():
        for key in command.keys[:1] if command_id not in LEAVING else ():
            combined = QKeySequence(key)[0]
            QTest.keyClick(window.reading.grid, combined.key(), combined.keyboardModifiers())
            QTest.qWait(5)
            said.append(seen_words(window))
            while (modal := QApplication.activeModalWidget()) is not None:
                modal.close()
            if (popup := QApplication.activePopupWidget()) is not None:
                popup.close()
    return "\n".join(said)


def test_mg27_no_key_of_a_blinded_reading_shows_or_logs_who_when_or_where(
    window: MainWindow, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    QTest.keyClick(window.reading.grid, Qt.Key.Key_F8)  # the strip stays open for all that follows
    said = press_every_key(window) + caplog.text
    assert "Why is this image here?" in said  # the panels did open
    found = [line for line in said.casefold().splitlines() if any(mark in line for mark in MARKS)]
    assert found == []


def test_mg32_no_key_of_an_unaided_reading_shows_ai_cad_or_saved_displays(window: MainWindow) -> None:
    said = press_every_key(window)
    assert window.reading.ai_panel is None
    assert not any(view.over.items for view in window.reading.grid.viewports())
    assert window.reading._case is not None
    assert window.reading._case.objects.cad == ()
    for words in ("AI boxes", "AI heat map", "AI scores", "Score", "probability", "algorithms succeeded"):
        assert words not in said


def test_mg27_a_case_that_cannot_be_read_is_told_without_the_name_of_a_file(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    controller = window.controller
    assert controller is not None
    qtbot.waitUntil(lambda: not window.runner.is_busy(), timeout=30_000)  # the next case is decoded ahead
    controller._prefetched.clear()
    for path in (tmp_path / "exams").rglob("ZYXNAME_*.dcm"):
        path.write_bytes(path.read_bytes()[:4000])
    run = _Run(window=window, folder=tmp_path, rng=np.random.default_rng(0), say=lambda _text: None)
    _fill_form(run, 0.6)
    QTest.keyClick(window.reading.grid, Qt.Key.Key_F12)
    qtbot.waitUntil(lambda: "could not be loaded" in window.reading.retry_page.words.text(), timeout=20_000)
    said = (seen_words(window) + caplog.text).casefold()
    assert [line for line in said.splitlines() if any(mark in line for mark in MARKS)] == []


def test_mg27_the_studys_own_exams_cannot_be_opened_beside_it_with_names_and_ai(
    window: MainWindow, tmp_path: Path
) -> None:
    QTest.keyClick(window.reading.grid, Qt.Key.Key_W, Qt.KeyboardModifier.ControlModifier)
    for path in (tmp_path / "exams", tmp_path, tmp_path / "exams" / "ZYXNAME_ANNA_41"):
        window.open_exams(path)
        assert window._browser is None
        assert "stay blinded" in window.sign_in._problem.text()
    shelf = program_folders("pacs").home  # what came from the PACS bears names
    window.open_exams(shelf / "studies")
    assert window._browser is None
    assert "bears names" in window.sign_in._problem.text()
    (tmp_path.parent / f"{tmp_path.name}_other").mkdir()
    window.open_exams(tmp_path.parent / f"{tmp_path.name}_other")
    assert window._browser is not None
