"""A whole reading by keys alone, from sign-in to the last case, each key going where the window's focus is (MG-42)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.bootstrap import study_station
from app.views.main_window import MainWindow
from app.views.theme import stylesheet
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource
from reader_study.accounts import hash_password
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.randomization import allocate
from reader_study.store.database import open_database

SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def window(qtbot, tmp_path: Path) -> Iterator[MainWindow]:
    """The real window on a study of one case in an arm with AI."""
    exams = tmp_path / "exams"
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=22, pixel_mm=0.5)), exams / "one")
    source = FolderSource(exams)
    exam = source.load(source.list()[0].exam_id)
    arm = Arm(arm_id="a", title="A", ai=AiPolicy(shown=True))
    case = Case(case_id="C1", exam_id=exam.exam_id, exam_digest=exam.digest)
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
    opened = open_database(tmp_path / "study.sqlite")
    opened.save_study(study)
    opened.close()
    station = study_station(
        database=tmp_path / "study.sqlite", study_id="S", exams=exams, anchor=None, engine=FakeEngine()
    )
    made = MainWindow(station, version="test")
    made.setStyleSheet(stylesheet())
    made.resize(1600, 1000)
    qtbot.addWidget(made)
    made.show()
    yield made
    made.close()


def press(window: MainWindow, key: Qt.Key, modifier=Qt.KeyboardModifier.NoModifier, times: int = 1) -> None:
    for _ in range(times):
        widget = window.focusWidget()
        assert widget is not None
        QTest.keyClick(widget, key, modifier)


def type_text(window: MainWindow, text: str) -> None:
    widget = window.focusWidget()
    assert widget is not None
    QTest.keyClicks(widget, text)


def test_mg42_a_whole_case_is_read_by_keys_alone(qtbot, window: MainWindow) -> None:
    view = window.reading
    type_text(window, "r")
    press(window, Qt.Key.Key_Return)
    type_text(window, "secret-word")
    press(window, Qt.Key.Key_Return)
    assert window.stack.currentWidget() is window.worklist
    press(window, Qt.Key.Key_Space)  # the session that is due has the focus
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)

    first = view._stage_label.text()
    press(window, Qt.Key.Key_Space)
    assert view._stage_label.text() != first
    press(window, Qt.Key.Key_Space, SHIFT)
    assert view._stage_label.text() == first
    second = view.grid.viewports()[1]
    press(window, Qt.Key.Key_Period)
    assert view.grid.active() is second
    press(window, Qt.Key.Key_F, SHIFT)
    assert [v.isVisibleTo(view.grid) for v in view.grid.viewports()].count(True) == 1
    press(window, Qt.Key.Key_F, SHIFT)
    press(window, Qt.Key.Key_I)
    assert second.state().inverted
    press(window, Qt.Key.Key_0)
    qtbot.waitUntil(lambda: view.ai.result is not None, timeout=30_000)
    press(window, Qt.Key.Key_B)
    assert view.ai_layers.on["boxes"]

    press(window, Qt.Key.Key_X)
    press(window, Qt.Key.Key_Left)
    press(window, Qt.Key.Key_Left, times=3)
    press(window, Qt.Key.Key_Down, times=2)
    assert view.pointer.view is second
    place = view.pointer.stored()
    press(window, Qt.Key.Key_Return)
    assert not view.findings.editor.isHidden()
    type_text(window, "70")
    press(window, Qt.Key.Key_Return)
    finding = window.controller.case.findings[0]
    assert finding.image_key == second.image.key
    assert (finding.row, finding.col) == pytest.approx(place)

    press(window, Qt.Key.Key_F2)
    for side in ("R", "L"):
        assert window.focusWidget() is view.form.field(f"{side}.birads")
        type_text(window, "4A" if side == "R" else "1")
        press(window, Qt.Key.Key_Tab)
        type_text(window, "40" if side == "R" else "5")
        press(window, Qt.Key.Key_Tab)
    assert window.focusWidget() is view.form.field("density")
    type_text(window, "b")
    press(window, Qt.Key.Key_Tab)
    type_text(window, "y")
    press(window, Qt.Key.Key_F12)
    for _ in range(2):  # a quiet warning may come before the case is let go
        if window.stack.currentWidget() is view and window.controller is not None:
            qtbot.wait(100)
            press(window, Qt.Key.Key_F12)
    qtbot.waitUntil(lambda: window.stack.currentWidget() is window.worklist, timeout=10_000)
    press(window, Qt.Key.Key_Q, CONTROL)
    assert window.stack.currentWidget() is window.sign_in


def test_opening_the_settings_while_reading_pauses_the_case(qtbot, window: MainWindow) -> None:
    type_text(window, "r")
    press(window, Qt.Key.Key_Return)
    type_text(window, "secret-word")
    press(window, Qt.Key.Key_Return)
    press(window, Qt.Key.Key_Space)
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)
    press(window, Qt.Key.Key_Comma, CONTROL)
    assert window.stack.currentWidget() is window.settings
    assert window.reading.is_paused
    press(window, Qt.Key.Key_Escape)
    assert window.stack.currentWidget() is window.reading
    assert window.reading.is_paused  # until the reader says so
    press(window, Qt.Key.Key_B, CONTROL)
    assert not window.reading.is_paused


def test_the_form_is_reached_by_key_in_a_window_of_its_own(qtbot, window: MainWindow) -> None:
    type_text(window, "r")
    press(window, Qt.Key.Key_Return)
    type_text(window, "secret-word")
    press(window, Qt.Key.Key_Return)
    press(window, Qt.Key.Key_Space)
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)
    press(window, Qt.Key.Key_F9, SHIFT)
    panel = window.reading.panel_window
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    press(window, Qt.Key.Key_F2)
    qtbot.waitUntil(panel.isActiveWindow)
    assert panel.focusWidget() is window.reading.form.field("R.birads")
    QTest.keyClicks(panel.focusWidget(), "2")
    assert window.reading.form.assessment().breasts[0].birads == "2"
