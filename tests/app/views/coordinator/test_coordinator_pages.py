"""What a new coordinator met on the pages: cut texts, silent gaps, and two studies that share one case folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QCheckBox, QLineEdit

from app.bootstrap import coordinator_station
from app.control.coordinating import Coordinating
from app.views.coordinator.coordinator_view import CoordinatorView
from app.views.coordinator.monitor_page import MonitorPage, spans_of
from app.views.coordinator.table import DataTable, fitted
from app.views.main_window import MainWindow
from app.views.theme import font, scaled, stylesheet
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from reader_study.clock import ManualClock
from reader_study.domain.events import EventKind
from reader_study.errors import StudyError
from reader_study.monitor import MonitorRow
from reader_study.permissions import NotPermitted


@pytest.fixture
def window(qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    """The window on a database that is made new; the page that begins a study is open."""
    monkeypatch.setenv("NEGATOSCOPE_HOME", str(tmp_path / "home"))
    station = coordinator_station(
        database=tmp_path / "study.sqlite", study_id=None, cases=None, anchor=None, engine=FakeEngine()
    )
    assert station.office is not None
    station.office.clock = ManualClock()
    made = MainWindow(station, version="test")
    made.setStyleSheet(stylesheet())
    made.resize(1920, 1080)
    qtbot.addWidget(made)
    made.show()
    QTest.qWaitForWindowExposed(made)
    yield made
    made.close()


def _begin(window: MainWindow, study_id: str) -> CoordinatorView:
    page = window.area.beginning
    assert page is not None
    page.study_id.setText(study_id)
    page.study_title.setText(study_id)
    page.name.setText("Ada Lind")
    for field in (page.password, page.again):
        field.setText("pass-word")
    page.begin()
    assert window.area.view is not None, page.problem.text()
    return window.area.view


def _office(window: MainWindow) -> Coordinating:
    office = window._station.office
    assert office is not None
    return office


def _exam(folder: Path, seed: int) -> Path:
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=seed, pixel_mm=1.0)), folder)
    return folder


def _import(qtbot, window: MainWindow, view: CoordinatorView, folder: Path) -> None:
    view.go_to(1)
    view.cases.import_from(folder)
    qtbot.waitUntil(lambda: not window.runner.is_busy(), timeout=60_000)


def _truth(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "truth.csv"
    path.write_text("\n".join(("case_id,side,pathology", *lines)) + "\n", encoding="utf-8")
    return path


def _row(period: int, **facts: object) -> MonitorRow:
    start: dict[str, object] = {
        "session_id": f"S.r1.p{period}", "reader_id": "r1", "reader_name": "R One", "group": "senior", "period": period,
        "n_done": 0, "n_total": 4, "started_utc": None, "last_utc": None, "interrupted": 0, "idle_spells": 0,
        "overrides": 0, "signed": False, "opens_utc": None, "why_not": None,
    }  # fmt: skip
    return MonitorRow(**(start | facts))  # type: ignore[arg-type]


def test_rs_a6_a_second_truth_file_adds_to_the_first(qtbot, window: MainWindow, tmp_path: Path) -> None:
    """Malignant and normal cases often come as two tables; the second must not throw the first away unseen."""
    view = _begin(window, "S1")
    _import(qtbot, window, view, _exam(tmp_path / "a", 41).parent)
    _import(qtbot, window, view, _exam(tmp_path / "b" / "1", 42).parent)
    view.cases.import_truth(_truth(tmp_path, "C0001,R,malignant"))
    view.cases.import_truth(_truth(tmp_path, "C0002,R,normal"))
    assert "2 of 2" in view.cases.coverage.text()
    view.cases.import_truth(_truth(tmp_path, "C0001,R,benign"))
    kept = json.loads(next((tmp_path / "home").rglob("*_truth.json")).read_text())["cases"]
    assert {case["case_id"]: case["breasts"] for case in kept} == {
        "C0001": {"R": "benign"}, "C0002": {"R": "normal"},
    }  # fmt: skip


def test_rs_d1_a_second_study_takes_its_own_cases_and_leaves_the_first_ones_truth(
    qtbot, window: MainWindow, tmp_path: Path
) -> None:
    one, two = _exam(tmp_path / "one", 43), _exam(tmp_path / "two", 44)
    view = _begin(window, "S1")
    _import(qtbot, window, view, one)
    view.cases.import_truth(_truth(tmp_path, "C0001,R,malignant"))
    view.study.new_button.click()
    view = _begin(window, "S2")
    _import(qtbot, window, view, two)
    office = _office(window)
    assert [case.case_id for case in office.study.cases] == ["C0002"]
    view.cases.import_truth(_truth(tmp_path, "C0002,L,benign"))
    assert len(json.loads(next((tmp_path / "home").rglob("*_truth.json")).read_text())["cases"]) == 2
    _import(qtbot, window, view, one)  # asked for by name: a woman may be in both studies
    assert [case.case_id for case in office.study.cases] == ["C0001", "C0002"]
    assert [case.case_id for case in office.records.study("S1").cases] == ["C0001"]


def test_the_export_is_ready_to_be_analysed(qtbot, window: MainWindow, tmp_path: Path) -> None:
    view = _begin(window, "S1")
    _import(qtbot, window, view, _exam(tmp_path / "in", 45))
    for name in ("anna", "bo"):
        view.go_to(2)
        view.readers.name.setText(name)
        view.readers.full_name.setText(name)
        for field in (view.readers.password, view.readers.again):
            field.setText("pass-word")
        view.readers.save()
    view.go_to(0)
    view.study.freeze()
    view.go_to(5)
    view.lock.password.setText("pass-word")
    view.lock.reason.setText("pilot only")
    view.lock.sign()
    view.go_to(6)
    view.export.export_to(tmp_path / "export")
    qtbot.waitUntil(lambda: not window.runner.is_busy(), timeout=60_000)
    view.go_to(8)
    assert view.analysis.view is not None
    assert view.analysis.view.source == tmp_path / "export"
    before = sorted(path.name for path in (tmp_path / "export").iterdir())
    view.go_to(6)
    view.export.export_to(tmp_path / "export")  # two exports in one folder could not be told apart
    qtbot.waitUntil(lambda: not window.runner.is_busy(), timeout=60_000)
    assert "expected an empty folder" in view.export.said.text()
    assert sorted(path.name for path in (tmp_path / "export").iterdir()) == before
    view.sign_out()
    assert view.analysis._exported is None


def _ratings(path: Path) -> Path:
    """Two readers, two modalities, eight cases as one table of ratings that exchange reads."""
    lines = ["reader,treatment,case,truth,rating"]
    for reader in ("1", "2"):
        for treatment in ("A", "B"):
            for case in range(8):
                truth = int(case >= 4)
                rating = case + (3 if treatment == "B" and truth else 0) + (reader == "2" and case % 3)
                lines.append(f"{reader},{treatment},{case},{truth},{rating}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_rs_a7_who_looked_at_which_results_is_in_the_audit_before_they_are_shown(
    qtbot, window: MainWindow, tmp_path: Path
) -> None:
    view = _begin(window, "S1")
    _import(qtbot, window, view, _exam(tmp_path / "in", 46))
    office = _office(window)
    data = _ratings(tmp_path / "ratings.csv")
    with pytest.raises(NotPermitted, match="before the study is locked"):
        office.results_seen(data)
    view.go_to(2)
    view.readers.name.setText("anna")
    view.readers.full_name.setText("anna")
    for field in (view.readers.password, view.readers.again):
        field.setText("pass-word")
    view.readers.save()
    view.go_to(0)
    view.study.freeze()
    office.desk.lock(password="pass-word", name="Ada Lind", meaning="done", why="pilot only")
    view.go_to(8)
    page = view.analysis.view
    assert page is not None
    page.take(source=data)
    page.analyse()
    qtbot.waitUntil(lambda: not window.runner.is_busy(), timeout=60_000)
    assert page.report is not None, page.problem.text()
    last = office.audit()[-1]
    assert (last.action, last.subject, last.who) == (EventKind.RESULTS_SEEN, "results", "coordinator")
    assert last.new == {"from": "ratings.csv", "sha256": hashlib.sha256(data.read_bytes()).hexdigest()}

    def refused(_source: Path) -> None:
        raise StudyError("The audit cannot be written.")

    page.tell_first = refused
    page.report = None
    page.analyse()
    qtbot.waitUntil(lambda: not window.runner.is_busy(), timeout=60_000)
    assert page.report is None
    assert page.problem.text() == "The audit cannot be written."


def test_rs_u1_the_state_of_a_session_is_few_words_and_the_sentence_is_below(qtbot) -> None:
    page = MonitorPage(runner=None)  # type: ignore[arg-type]  # nothing long is run here
    qtbot.addWidget(page)
    why = "washout of 28 days is not over, 20.0 days are left; come back then or ask the coordinator."
    rows = (
        _row(0, n_done=4),
        _row(1, n_done=4, started_utc="2026-09-01T08:00:00Z", last_utc="2026-09-01T09:00:00Z"),
        _row(2, opens_utc="2026-09-29T09:00:00Z", why_not=why),
    )
    page.show_rows(rows, {}, date(2026, 9, 9))
    assert [row[12] for row in page.sessions.rows()] == ["finished", "finished", "washout until 2026-09-29"]
    assert [row[3] for row in page.sessions.rows()] == ["practice", 1, 2]
    page.sessions.pick("S.r1.p2")
    assert "20.0 days are left" in page.why.text()
    page.sessions.pick("S.r1.p1")
    assert page.why.text() == ""


def test_rs_d4_the_calendar_keeps_the_washout_of_a_session_that_has_begun() -> None:
    rows = (
        _row(1, n_done=4, started_utc="2026-09-01T08:00:00Z", last_utc="2026-09-02T09:00:00Z"),
        _row(2, started_utc="2026-10-05T08:00:00Z", last_utc="2026-10-05T08:20:00Z"),
    )
    (pause,) = (span for span in spans_of(rows) if span.what == "washout")
    assert (pause.first, pause.last) == (date(2026, 9, 2), date(2026, 10, 5))
    assert "33 days" in pause.words


@pytest.mark.parametrize(
    ("wanted", "room", "widths"),
    [
        ([100, 600, 80], 1000, [100, 600, 80]),  # nothing is cut while there is room
        ([100, 600, 80], 500, [100, 320, 80]),  # the widest gives way
        ([400, 400, 80], 400, [160, 160, 80]),  # like ones alike
        ([90, 90, 90], 100, [90, 90, 90]),  # below the least it scrolls
        ([600, 200, 200], 300, [330, 200, 200]),  # and then nothing is pressed
        ([], 100, []),
    ],
)
def test_columns_share_the_room_of_their_table(wanted: list[int], room: int, widths: list[int]) -> None:
    assert fitted(wanted, room) == widths


def test_a_drawn_column_gives_nothing_away() -> None:
    assert fitted([400, 170, 80], 400, frozenset({1})) == [150, 170, 80]


def test_the_keys_of_the_pages_are_read_at_every_text_scale(qtbot, window: MainWindow) -> None:
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    before = app.font(), app.styleSheet()
    try:
        app.setFont(font(scale=1.5))
        app.setStyleSheet(stylesheet(1.5))
        window.setStyleSheet("")
        view = _begin(window, "S1")
        qtbot.wait(50)
        assert view.list.sizeHintForColumn(0) < view.list.viewport().width()
        picture = view.monitor.times
        assert picture.sizeHint().height() == scaled(54 + 26)
    finally:
        app.setFont(before[0])
        app.setStyleSheet(before[1])


def test_no_table_scrolls_sideways_while_its_texts_can_give_way(qtbot) -> None:
    table = DataTable("t", "")
    qtbot.addWidget(table)
    table.resize(900, 300)
    table.show()
    long = "why_not washout of 28 days is not over, 20.0 days are left; come back then " * 3
    table.set_rows(("Number", "Old", "New", "Hash"), [(1, long, long, "ab" * 32)])
    qtbot.waitUntil(lambda: table.view.horizontalScrollBar().maximum() == 0, timeout=2000)
    assert table.view.columnWidth(0) < 120


def test_an_arm_without_ai_offers_no_layers(window: MainWindow) -> None:
    view = _begin(window, "S1")
    shown = view.study.findChild(QCheckBox, "arm.0.shown")
    boxes = view.study.findChild(QCheckBox, "arm.0.boxes")
    threshold = view.study.findChild(QLineEdit, "arm.0.operating_threshold")
    assert shown is not None
    assert boxes is not None
    assert threshold is not None
    assert not shown.isChecked()
    assert not boxes.isEnabled()
    assert not threshold.isEnabled()
    shown.click()
    assert boxes.isEnabled()
    assert threshold.isEnabled()


def test_rs_a4_the_whole_meaning_can_be_read_before_it_is_signed(window: MainWindow) -> None:
    view = _begin(window, "S1")
    view.go_to(5)
    line = view.lock.meaning.lineEdit()
    for number in range(view.lock.meaning.count()):
        view.lock.meaning.setCurrentIndex(number)
        words = view.lock.meaning.currentText()
        assert line.fontMetrics().horizontalAdvance(words) < line.width(), words


def test_rs_d1_an_empty_draft_is_neither_frozen_nor_locked(window: MainWindow) -> None:
    """One press must not end a study that has not begun: the lock cannot be undone."""
    view = _begin(window, "S1")
    view.study.freeze()
    assert "import cases and enrol readers first" in view.study.said.text()
    view.go_to(5)
    view.lock.password.setText("pass-word")
    view.lock.reason.setText("wrong page")
    view.lock.sign()
    assert "freeze it first" in view.lock.said.text()
    stage = _office(window).stage
    assert (stage.frozen, stage.locked) == (False, False)
