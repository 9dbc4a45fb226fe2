"""The coordinator's pages as she uses them: keys and clicks on the real window, on a real database and real files."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox, QLabel, QLineEdit, QPlainTextEdit

from app.bootstrap import coordinator_station
from app.views.coordinator.coordinator_view import CoordinatorView
from app.views.coordinator.table import DataTable
from app.views.main_window import MainWindow
from app.views.start_cards import Choice, StartCards
from app.views.theme import stylesheet
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from reader_study.clock import ManualClock

ALT = Qt.KeyboardModifier.AltModifier
CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exams")
    for seed in (31, 32, 33):
        write_phantom_dicom(phantom_exam(PhantomSpec(seed=seed, pixel_mm=1.0)), folder / str(seed))
    return folder


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def window(
    qtbot, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MainWindow]:
    """The window on a database that is made new; the page that begins a study is open."""
    monkeypatch.setenv("NEGATOSCOPE_HOME", str(tmp_path / "home"))
    station = coordinator_station(
        database=tmp_path / "study.sqlite", study_id=None, cases=None, anchor=tmp_path / "anchor.jsonl",
        engine=FakeEngine(),
    )  # fmt: skip
    assert station.office is not None
    station.office.clock = clock
    made = MainWindow(station, version="test")
    made.setStyleSheet(stylesheet())
    made.resize(1600, 1000)
    qtbot.addWidget(made)
    made.show()
    QTest.qWaitForWindowExposed(made)
    made.activateWindow()
    yield made
    made.close()


def begin(window: MainWindow) -> CoordinatorView:
    """Fill in the first page by keys alone: Enter goes from field to field and at last begins."""
    page = window.area.beginning
    assert page is not None
    assert window.stack.currentWidget() is page
    page.study_title.setFocus()
    QTest.keyClicks(page.study_title, "Secret title")
    page.name.setFocus()
    QTest.keyClicks(page.name, "Ada Coordinator")
    for field in (page.password, page.again):
        field.setFocus()
        QTest.keyClicks(field, "pass-word")
    QTest.keyClick(page.again, Qt.Key.Key_Return)
    view = window.area.view
    assert view is not None, page.problem.text()
    assert window.stack.currentWidget() is view
    return view


def type_into(field: QLineEdit, words: str) -> None:
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, words)


def enrol(view: CoordinatorView, name: str) -> None:
    QTest.keyClick(view, Qt.Key.Key_3, ALT)
    page = view.readers
    type_into(page.name, name)
    type_into(page.full_name, f"Dr {name}")
    type_into(page.password, "pass-word")
    type_into(page.again, "pass-word")
    page.save_button.setFocus()
    QTest.keyClick(page.save_button, Qt.Key.Key_Return)


def import_cases(qtbot, window: MainWindow, view: CoordinatorView, exams: Path) -> None:
    QTest.keyClick(view, Qt.Key.Key_2, ALT)
    view.cases.import_from(exams)
    assert view.cases.task.isVisible()
    assert not view.cases.folder.isEnabled()
    qtbot.waitUntil(lambda: not window.runner.is_busy(), timeout=120_000)


def test_rs_d1_a_field_that_is_typed_is_in_the_database_and_the_yaml_after_ctrl_s(window: MainWindow) -> None:
    view = begin(window)
    idle = view.study.form.field("conduct.idle_threshold_s")
    assert isinstance(idle, QLineEdit)
    type_into(idle, "45")
    QTest.keyClick(idle, Qt.Key.Key_S, CONTROL)
    office = window._station.office
    assert office is not None
    assert office.study.conduct.idle_threshold_s == 45.0
    view.study.swap.setFocus()
    QTest.keyClick(view.study.swap, Qt.Key.Key_Return)
    text = view.study.text.toPlainText()
    assert "idle_threshold_s: 45.0" in text
    view.study.text.setPlainText(text.replace("idle_threshold_s: 45.0", "idle_threshold_s: 90.0"))
    view.study.swap.setFocus()
    QTest.keyClick(view.study.swap, Qt.Key.Key_Return)
    assert idle.text() == "90"
    type_into(idle, "soon")
    QTest.keyClick(idle, Qt.Key.Key_S, CONTROL)
    assert "expected a number" in view.study.said.text()
    assert office.study.conduct.idle_threshold_s == 45.0


def test_every_page_opens_by_a_key_and_puts_the_focus_on_its_first_task(window: MainWindow) -> None:
    view = begin(window)
    for number, page in enumerate(view.pages, start=1):
        QTest.keyClick(view, Qt.Key(Qt.Key.Key_0.value + number % 10), ALT)
        assert view.stack.currentWidget() is page
        assert page is window.focusWidget() or page.isAncestorOf(window.focusWidget()), page.title


def test_rs_a6_cases_come_in_without_identity_become_the_drafts_cases_and_the_truth_is_checked(
    qtbot, window: MainWindow, exams: Path, tmp_path: Path
) -> None:
    view = begin(window)
    import_cases(qtbot, window, view, exams)
    assert [row[0] for row in view.cases.cases.rows()] == ["C0001", "C0002", "C0003"]
    assert {row[1] for row in view.cases.report.rows()} == {"imported"}
    truth = tmp_path / "truth.csv"
    truth.write_text("case_id,side,pathology\nC0001,R,normal\nC0009,L,malignant\n", encoding="utf-8")
    view.cases.import_truth(truth)
    assert "line 3, column case_id" in str(view.cases.report.rows()[0][1])
    truth.write_text(
        "case_id,side,pathology\nC0001,R,malignant\nC0001,L,normal\nC0002,R,normal\n", encoding="utf-8"
    )
    view.cases.import_truth(truth)
    assert "2 of 3" in view.cases.coverage.text()
    assert "C0003" in view.cases.coverage.text()
    assert "malignant" not in "".join(str(row) for row in view.cases.report.rows())
    view.cases.show_truth()
    assert "before the study is locked" in view.cases.said.text()
    view.cases.cases.view.selectRow(2)
    view.cases.toggle_practice()
    assert [case.practice for case in window._station.office.study.cases] == [False, False, True]


def test_rs_a4_a_study_goes_from_draft_to_lock_by_the_pages_and_a_changed_row_is_told(
    qtbot, window: MainWindow, exams: Path, tmp_path: Path
) -> None:
    view = begin(window)
    import_cases(qtbot, window, view, exams)
    enrol(view, "anna")
    enrol(view, "bo")
    QTest.keyClick(view, Qt.Key.Key_4, ALT)
    assert sum(int(str(row[4])) for row in view.allocation.balance.rows()) == 2 * 2 * 3
    assert view.allocation.order.isHidden()
    assert "Concealed" in view.allocation.concealed.text()
    QTest.keyClick(view, Qt.Key.Key_1, ALT)
    view.study.freeze_button.setFocus()
    QTest.keyClick(view.study.freeze_button, Qt.Key.Key_Return)
    assert "frozen" in view.study.stage.text()
    QTest.keyClick(view, Qt.Key.Key_5, ALT)
    qtbot.waitUntil(lambda: len(view.monitor.sessions.rows()) == 4, timeout=20_000)
    QTest.keyClick(view, Qt.Key.Key_7, ALT)
    assert not view.export.export_button.isEnabled()
    QTest.keyClick(view, Qt.Key.Key_6, ALT)
    type_into(view.lock.password, "wrong")
    type_into(view.lock.reason, "pilot only")
    view.lock.sign()
    assert "not right" in view.lock.said.text()
    assert view.lock.password.text() == ""
    type_into(view.lock.password, "pass-word")
    view.lock.sign()
    assert "locked" in view.lock.said.text()
    QTest.keyClick(view, Qt.Key.Key_8, ALT)
    assert view.audit.entries.rows()[0][4] == "study locked"
    QTest.keyClick(view.audit, Qt.Key.Key_R, CONTROL)
    qtbot.waitUntil(lambda: view.audit.said.text().startswith("Intact"), timeout=20_000)
    connection = sqlite3.connect(tmp_path / "study.sqlite")
    for (name,) in connection.execute("select name from sqlite_master where type = 'trigger'").fetchall():
        connection.execute(f"drop trigger {name}")
    connection.execute("update events set body = replace(body, 'pilot only', 'all complete')")
    connection.commit()
    connection.close()
    QTest.keyClick(view.audit, Qt.Key.Key_R, CONTROL)
    qtbot.waitUntil(lambda: view.audit.said.text().startswith("NOT intact"), timeout=20_000)


def test_an_import_that_is_cancelled_goes_on_when_it_is_asked_for_again(
    qtbot, window: MainWindow, exams: Path
) -> None:
    view = begin(window)
    QTest.keyClick(view, Qt.Key.Key_2, ALT)
    view.cases.import_from(exams)
    view.cases.task.cancel.click()
    assert not view.cases.task.isVisible()
    assert view.cases.folder.isEnabled()
    assert "Cancelled" in view.cases.said.text()
    qtbot.waitUntil(window.runner.is_quiet, timeout=120_000)
    import_cases(qtbot, window, view, exams)
    assert [row[0] for row in view.cases.cases.rows()] == ["C0001", "C0002", "C0003"]


def test_rs_a3_an_import_goes_on_after_signing_out_and_its_report_reaches_nobody_else(
    qtbot, window: MainWindow, exams: Path
) -> None:
    view = begin(window)
    QTest.keyClick(view, Qt.Key.Key_2, ALT)
    view.cases.import_from(exams)
    view.sign_out()
    assert not view.cases.task.isVisible()
    qtbot.waitUntil(lambda: not window.runner.is_busy(), timeout=120_000)
    assert view.cases.report.rows() == ()
    assert view.cases.said.text() == ""
    office = window._station.office
    assert office is not None
    office.sign_in("STUDY-01", "coordinator", "pass-word")
    assert [case.case_id for case in office.study.cases] == ["C0001", "C0002", "C0003"]


def test_a_second_study_lives_in_the_same_database_and_is_chosen_at_sign_in(window: MainWindow) -> None:
    view = begin(window)
    view.study.new_button.setFocus()
    QTest.keyClick(view.study.new_button, Qt.Key.Key_Return)
    page = window.area.beginning
    assert page is not None
    assert window.stack.currentWidget() is page
    assert "Secret title" not in texts_of(view)
    type_into(page.study_id, "STUDY-02")
    type_into(page.study_title, "Second")
    type_into(page.name, "Ada Coordinator")
    type_into(page.password, "pass-word-2")
    type_into(page.again, "pass-word-2")
    QTest.keyClick(page.again, Qt.Key.Key_Return)
    assert view.study.stage.text().startswith("STUDY-02")
    view.sign_out()
    sign_in = window.sign_in
    assert [sign_in.studies.itemText(n) for n in range(sign_in.studies.count())] == ["STUDY-01", "STUDY-02"]
    sign_in.studies.setFocus()
    QTest.keyClick(sign_in.studies, Qt.Key.Key_Up)
    type_into(sign_in.reader, "coordinator")
    type_into(sign_in.password, "pass-word")
    QTest.keyClick(sign_in.password, Qt.Key.Key_Return)
    assert window.stack.currentWidget() is view, sign_in._problem.text()
    assert view.study.stage.text().startswith("STUDY-01")


def texts_of(view: CoordinatorView) -> str:
    words = [label.text() for label in view.findChildren(QLabel)]
    words += [field.text() for field in view.findChildren(QLineEdit)]
    words += [field.toPlainText() for field in view.findChildren(QPlainTextEdit)]
    words += [box.currentText() for box in view.findChildren(QComboBox)]
    words += [str(row) for table in view.findChildren(DataTable) for row in table.model.rows]
    return "\n".join(words)


def test_rs_a3_after_the_time_without_input_the_sign_in_page_is_back_and_nothing_stays(
    window: MainWindow, clock: ManualClock
) -> None:
    view = begin(window)
    enrol(view, "anna")
    for number in range(1, 9):
        QTest.keyClick(view, Qt.Key(Qt.Key.Key_0.value + number), ALT)
    assert "Dr anna" in texts_of(view)
    clock.advance(31 * 60.0)
    view.check_time()
    assert window.stack.currentWidget() is window.sign_in
    assert "no input" in window.sign_in._problem.text()
    left = texts_of(view)
    for word in ("Secret title", "Ada Coordinator", "anna", "STUDY-01"):
        assert word not in left, word
    assert window.sign_in.reader.text() == ""


def test_rs_r2_a_reader_gets_her_work_list_and_no_page_of_the_coordinators(
    qtbot, window: MainWindow, exams: Path
) -> None:
    view = begin(window)
    import_cases(qtbot, window, view, exams)
    enrol(view, "anna")
    view.study.freeze()  # the page was filled before the reader came: it must not take her out again
    assert "changed meanwhile" in view.study.said.text()
    QTest.keyClick(view, Qt.Key.Key_1, ALT)
    view.study.freeze()
    view.sign_out()
    page = window.sign_in
    QTest.keyClicks(page.reader, "anna")
    QTest.keyClicks(page.password, "pass-word")
    QTest.keyClick(page.password, Qt.Key.Key_Return)
    assert window.stack.currentWidget() is window.worklist, page._problem.text()
    assert len(window.worklist.cards) == 2
    for number in range(1, 9):
        QTest.keyClick(window.worklist, Qt.Key(Qt.Key.Key_0.value + number), ALT)
        assert window.stack.currentWidget() is window.worklist
    with pytest.raises(Exception, match="another reader"):
        window._station.sessions().worklist("bo")


def test_a_table_filters_sorts_copies_and_saves_what_is_shown(qtbot, tmp_path: Path) -> None:
    table = DataTable("t", "nothing yet")
    qtbot.addWidget(table)
    table.resize(600, 300)
    table.show()
    assert table._hint.text() == "nothing yet"
    table.set_rows(("Name", "Cases"), [("b", 10), ("a", 9), ("ab", None), ("c", 100)])
    table.view.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    numbers = [row[1] for row in table.rows() if row[1] is not None]
    assert numbers == [9, 10, 100]  # as numbers, not as words
    table.activateWindow()
    qtbot.waitUntil(table.isActiveWindow)
    table.view.setFocus()
    QTest.keyClick(table.view, Qt.Key.Key_1, CONTROL)
    assert [row[0] for row in table.rows()] == ["a", "ab", "b", "c"]
    QTest.keyClick(table.view, Qt.Key.Key_1, CONTROL)
    assert [row[0] for row in table.rows()] == ["c", "b", "ab", "a"]
    QTest.keyClick(table.view, Qt.Key.Key_F, CONTROL)
    QTest.keyClicks(table.filter, "b")
    assert {row[0] for row in table.rows()} == {"b", "ab"}
    QTest.keyClick(table.view, Qt.Key.Key_C, CONTROL)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert lines[0] == "Name\tCases"
    assert set(lines[1:]) == {"b\t10", "ab\t"}
    table.export_to(tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        saved = list(csv.reader(file))
    assert saved[0] == ["Name", "Cases"]
    assert sorted(saved[1:]) == [["ab", ""], ["b", "10"]]


def test_the_three_cards_are_one_key_each(qtbot) -> None:
    cards = StartCards()
    qtbot.addWidget(cards)
    cards.show()
    cards.activateWindow()
    qtbot.waitUntil(cards.isActiveWindow)
    cards.buttons[0].setFocus()
    assert len(cards.buttons) == 3
    with qtbot.waitSignal(cards.chosen) as seen:
        QTest.keyClick(cards.buttons[0], Qt.Key.Key_1)
    assert seen.args == [Choice.DEMO, None]
    with qtbot.waitSignal(cards.chosen) as again:
        QTest.keyClick(cards.buttons[0], Qt.Key.Key_Return)
    assert again.args == [Choice.DEMO, None]
