"""The window as a reader meets it: sign-in, arms with and without AI, keys that belong to the form and not the viewer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from app.bootstrap import study_station
from app.control.commands import COMMANDS, command_table
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


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exams")
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=21, pixel_mm=0.5, cesm=True)), folder / "one")
    return folder


@pytest.fixture
def open_window(qtbot, exams: Path, tmp_path: Path) -> Iterator[Callable[[bool], MainWindow]]:
    """Open the real window on a study of one case, in an arm with or without AI."""
    windows: list[MainWindow] = []

    def make(aided: bool) -> MainWindow:
        summary = FolderSource(exams).list()[0]
        digest = FolderSource(exams).load(summary.exam_id).digest
        arm = Arm(arm_id="a", title="A", ai=AiPolicy(shown=aided))
        case = Case(case_id="C1", exam_id=summary.exam_id, exam_digest=digest)
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
        database = tmp_path / f"{aided}.sqlite"
        opened = open_database(database)
        opened.save_study(study)
        opened.close()
        station = study_station(
            database=database, study_id="S", exams=exams, anchor=None, engine=FakeEngine()
        )
        window = MainWindow(station, version="test")
        window.setStyleSheet(stylesheet())
        window.resize(1600, 1000)
        qtbot.addWidget(window)
        window.show()
        windows.append(window)
        return window

    yield make
    for window in windows:
        window.close()


def start_reading(qtbot, window: MainWindow) -> None:
    page = window.sign_in
    QTest.keyClicks(page.reader, "r")
    QTest.keyClicks(page.password, "secret-word")
    QTest.keyClick(page.password, Qt.Key.Key_Return)
    QTest.mouseClick(window.worklist.cards[0].button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)


def test_rs_a3_a_wrong_password_is_one_sentence_and_no_work_list(qtbot, open_window) -> None:
    window = open_window(False)
    QTest.keyClicks(window.sign_in.reader, "r")
    QTest.keyClicks(window.sign_in.password, "wrong")
    QTest.keyClick(window.sign_in.password, Qt.Key.Key_Return)
    assert window.stack.currentWidget() is window.sign_in
    assert window.sign_in._problem.text()
    assert "secret-word" not in window.sign_in._problem.text()


def test_rs_r2_an_unaided_case_has_no_ai_control_at_all(qtbot, open_window) -> None:
    window = open_window(False)
    start_reading(qtbot, window)
    assert window.reading.ai_panel is None
    assert window.reading.ai.result is None
    for key in (Qt.Key.Key_B, Qt.Key.Key_H, Qt.Key.Key_S):
        QTest.keyClick(window.reading.grid, key)
    assert all(not view.overlays for view in window.reading.grid.viewports())
    window._show_keys()
    assert not any("AI" in label.text() for label in window._dialog.findChildren(type(window.done)))
    window._dialog.close()


def test_an_aided_case_shows_boxes_only_after_the_key(qtbot, open_window) -> None:
    window = open_window(True)
    start_reading(qtbot, window)
    qtbot.waitUntil(lambda: window.reading.ai.result is not None, timeout=30_000)
    window.reading.ai_layers.threshold = 0.0
    assert all(not view.overlays for view in window.reading.grid.viewports())
    QTest.keyClick(window.reading.grid, Qt.Key.Key_B)
    assert any(view.overlays for view in window.reading.grid.viewports())


def test_a_layer_changes_only_when_the_log_takes_it(qtbot, open_window) -> None:
    window = open_window(True)
    start_reading(qtbot, window)
    qtbot.waitUntil(lambda: window.reading.ai.result is not None, timeout=30_000)
    QTest.keyClick(window.reading.grid, Qt.Key.Key_B)
    assert window.reading.ai_layers.on["boxes"]
    window.controller.paused = True  # the controller refuses, while the screen believes that it reads on
    QTest.keyClick(window.reading.grid, Qt.Key.Key_B)
    QTest.keyClick(window.reading.grid, Qt.Key.Key_H)
    assert window.reading.ai_layers.on == {"boxes": True, "heatmap": False, "score": False}
    assert "paused" in window.reading._message.text()
    window.controller.paused = False
    QTest.keyClick(window.reading.grid, Qt.Key.Key_B)
    assert not window.reading.ai_layers.on["boxes"]


def test_cem03_the_key_c_swaps_the_energies_in_place(qtbot, open_window) -> None:
    window = open_window(False)
    start_reading(qtbot, window)
    grid = window.reading.grid
    before = [view.image.kind for view in grid.viewports()]
    places = [view.state().scale for view in grid.viewports()]
    QTest.keyClick(grid, Qt.Key.Key_C)
    assert [view.image.kind for view in grid.viewports()] != before
    assert [view.state().scale for view in grid.viewports()] == places
    QTest.keyClick(grid, Qt.Key.Key_C)
    assert [view.image.kind for view in grid.viewports()] == before


def test_letters_typed_in_the_form_are_answers_and_not_commands(qtbot, open_window) -> None:
    window = open_window(False)
    start_reading(qtbot, window)
    inverted = [view.state().inverted for view in window.reading.grid.viewports()]
    stage = window.reading._stage
    row = window.reading.form.field("R.birads")
    row.setFocus()
    QTest.keyClicks(row, "4B")
    assert window.reading.form.assessment().breasts[0].birads == "4B"
    percent = window.reading.form.field("R.suspicion")
    QTest.keyClicks(percent.edit, "35")
    assert window.reading.form.assessment().breasts[0].suspicion == 35
    assert window.reading._stage == stage
    assert [view.state().inverted for view in window.reading.grid.viewports()] == inverted


def test_the_image_area_is_at_least_85_percent_of_a_full_hd_window(qtbot, open_window) -> None:
    window = open_window(True)
    window.resize(1920, 1080)
    start_reading(qtbot, window)
    QGuiApplication.processEvents()
    grid = window.reading.grid
    assert grid.width() * grid.height() >= 0.85 * window.width() * window.height()


def test_mg42_every_command_has_a_key_and_no_key_has_two() -> None:
    table = command_table()
    assert all(command.keys for command in table.values())
    with pytest.raises(ValueError, match="Key I: expected one command"):
        command_table({"view.reset": ("I",)})
    assert len(table) == len(COMMANDS)
