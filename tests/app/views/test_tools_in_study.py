"""The tools inside a study, by keys through the real window, with the real log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.bootstrap import study_station
from app.state.calibration import MonitorRecord
from app.views.main_window import MainWindow
from app.views.simulated_reader import _fill_form, _Run
from app.views.view_export import PictureContent
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource
from reader_study.accounts import hash_password
from reader_study.coverage import coverage_of
from reader_study.domain.events import Event, EventKind
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.measurement_table import measurement_values
from reader_study.randomization import allocate
from reader_study.store.database import open_database

KEY, SHIFT, CTRL = Qt.Key, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path) -> Iterator[MainWindow]:
    folder = tmp_path / "exams"
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=22, pixel_mm=0.4)), folder / "one")
    source = FolderSource(folder)
    exam_id = source.list()[0].exam_id
    arm = Arm(arm_id="a", title="A", ai=AiPolicy(shown=False))
    case = Case(case_id="C1", exam_id=exam_id, exam_digest=source.load(exam_id).digest)
    reader = Reader(reader_id="r", name="R", password_hash=hash_password("secret-word"))
    plans = allocate(study_id="S", seed=1, cases=(case,), readers=(reader,), arms=(arm,), design="single")
    study = Study(
        study_id="S",
        title="S",
        protocol_version="1",
        seed=1,
        arms=(arm,),
        readers=(reader,),
        cases=(case,),
        scale=Scale(),
        plans=plans,
    )
    opened = open_database(tmp_path / "s.sqlite")
    opened.save_study(study)
    opened.close()
    station = study_station(
        database=tmp_path / "s.sqlite", study_id="S", exams=folder, anchor=None, engine=FakeEngine()
    )
    made = MainWindow(station, version="test")
    made.resize(1600, 1000)
    qtbot.addWidget(made)
    made.show()
    QTest.keyClicks(made.sign_in.reader, "r")
    QTest.keyClicks(made.sign_in.password, "secret-word")
    QTest.keyClick(made.sign_in.password, KEY.Key_Return)
    qtbot.waitUntil(lambda: bool(made.worklist.cards), timeout=20_000)
    QTest.mouseClick(made.worklist.cards[0].button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(made.is_case_painted, timeout=30_000)
    yield made
    made.close()


def logged(tmp_path: Path) -> list[Event]:
    opened = open_database(tmp_path / "s.sqlite")
    try:
        return [event for session in opened.events.heads() for event in opened.events.read(session)]
    finally:
        opened.close()


def press(
    window: MainWindow, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
) -> None:
    QTest.keyClick(window.reading.grid, key, modifier)
    QTest.qWait(20)


def test_mg42_the_tools_answer_to_their_keys(window: MainWindow) -> None:
    reading = window.reading
    for key, modifier, name in (
        (KEY.Key_R, Qt.KeyboardModifier.NoModifier, "ruler"),
        (KEY.Key_R, SHIFT, "angle"),
        (KEY.Key_O, Qt.KeyboardModifier.NoModifier, "ellipse"),
        (KEY.Key_N, Qt.KeyboardModifier.NoModifier, "nipple"),
        (KEY.Key_M, Qt.KeyboardModifier.NoModifier, "magnifier"),
    ):
        press(window, key, modifier)
        assert reading._tool_name == name
    linked = reading.grid.linked_zoom
    press(window, KEY.Key_L, CTRL)
    assert reading.grid.linked_zoom is not linked
    press(window, KEY.Key_H, CTRL)
    active = reading.grid.active()
    assert active is not None
    assert active.state().flipped_h
    press(window, KEY.Key_R)
    press(window, KEY.Key_Return)
    assert len(reading.image_tools.board.items()) == 1
    press(window, KEY.Key_Tab)
    press(window, KEY.Key_Delete)
    assert reading.image_tools.board.items() == ()
    press(window, KEY.Key_Z, CTRL)
    assert len(reading.image_tools.board.items()) == 1


def test_beyond7_quadrants_undo_and_coverage_reach_the_log_before_the_lock(
    window: MainWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    reading = window.reading
    view = reading.grid.active()
    assert view is not None
    assert view.image is not None
    key = view.image.key
    for _ in range(60):
        press(window, KEY.Key_E)
        QTest.qWait(230)
        if reading.image_tools.coverage.seen(key).share == 1.0:
            break
    assert reading.image_tools.coverage.seen(key).share == 1.0
    press(window, KEY.Key_F)
    press(window, KEY.Key_X)
    QTest.mouseClick(
        view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(view.width() - 60, view.height() // 2)
    )
    QTest.keyClicks(reading.findings.editor.confidence.edit, "60")
    QTest.keyClick(reading.findings.editor.confidence.edit, KEY.Key_Return)
    controller = window.controller
    assert controller is not None
    qtbot.waitUntil(lambda: controller.case is not None and len(controller.case.findings) == 1)
    press(window, KEY.Key_Z, CTRL)
    assert controller.case is not None
    assert controller.case.findings == ()
    press(window, KEY.Key_Y, CTRL)
    assert len(controller.case.findings) == 1
    run = _Run(window=window, folder=tmp_path, rng=None, say=print)  # type: ignore[arg-type]
    _fill_form(run, 0.6)
    press(window, KEY.Key_F12)
    qtbot.waitUntil(lambda: window.stack.currentWidget() is not reading, timeout=10_000)
    events = logged(tmp_path)
    kinds = [event.kind for event in events]
    marks = [kind for kind in kinds if kind.value.startswith("Mark")]
    assert marks == [EventKind.MARK_ADDED, EventKind.MARK_REMOVED, EventKind.MARK_ADDED]
    at = kinds.index(EventKind.COVERAGE_RECORDED)
    assert kinds[at + 1 : at + 3] == [EventKind.ASSESSMENT_SUBMITTED, EventKind.READING_LOCKED]
    shares = {one.image_key: one.share for one in coverage_of(events)}
    assert shares[key] == 1.0
    assert len(shares) == 4


def test_no_picture_is_made_in_a_study(window: MainWindow, tmp_path: Path) -> None:
    press(window, KEY.Key_P, CTRL)
    assert window._dialog is None
    assert "No picture is made in a study" in window.reading._message.text()
    (tmp_path / "out").mkdir()
    window._pictures.save(PictureContent(), tmp_path / "out", whole_step=True)
    QTest.qWait(100)
    assert not list((tmp_path / "out").iterdir())


def test_qc04_a_calibration_changed_in_mid_reading_is_in_the_log_before_the_reading_goes_on(
    window: MainWindow, tmp_path: Path
) -> None:
    settings, monitor = window.preferences.settings, window.preferences.monitor()
    press(window, KEY.Key_Comma, CTRL)  # the settings pause the reading
    record = MonitorRecord(monitor=monitor.key, pitch_mm=0.165)
    window._on_settings(settings.with_record(record))
    before = [e.kind for e in logged(tmp_path)]
    assert before[-1] is EventKind.PAUSED
    window._close_settings()
    press(window, KEY.Key_Pause)
    press(window, KEY.Key_I)
    window._leave()
    events = logged(tmp_path)
    resumed = next(n for n, e in enumerate(events) if e.kind is EventKind.RESUMED)
    changed = [e.body["view"] for e in events[resumed:] if e.kind is EventKind.VIEW_CHANGED]
    assert "0.165" in str(changed[0]["display"])
    assert sum("display" in one for one in changed) == 1  # told once


def test_rs_c5_what_is_measured_in_a_study_is_in_the_log_and_in_its_table(
    window: MainWindow, tmp_path: Path
) -> None:
    press(window, KEY.Key_R)
    press(window, KEY.Key_Return)
    (ruler,) = window.reading.image_tools.board.items()
    press(window, KEY.Key_Tab)
    press(window, KEY.Key_Delete)
    press(window, KEY.Key_Z, CTRL)
    changes = [event.body for event in logged(tmp_path) if event.kind is EventKind.MEASUREMENT_CHANGED]
    assert [(one["old"] is None, one["measurement"] is None) for one in changes] == [
        (True, False),
        (False, True),
        (True, False),
    ]
    assert changes[0]["measurement"]["points"] == [list(point) for point in ruler.points]
    mine = [event for event in logged(tmp_path) if event.body.get("case_id") == changes[0]["case_id"]]
    (row,) = measurement_values(mine)
    assert row[:4] == (ruler.measurement_id, "kept", ruler.image_key, "ruler")
