"""A scripted reading in the real windows: every time that the tables report is the script's, to the nanosecond."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from app.bootstrap import study_station
from app.views.main_window import MainWindow
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource
from reader_study.accounts import hash_password
from reader_study.clock import ManualClock
from reader_study.domain.conduct import Conduct
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.randomization import allocate
from reader_study.store.database import open_database
from reader_study.tables import build_tables


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def window(qtbot, tmp_path: Path, clock: ManualClock) -> Iterator[MainWindow]:
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=21, pixel_mm=0.5)), tmp_path / "exams" / "one")
    source = FolderSource(tmp_path / "exams")
    exam_id = source.list()[0].exam_id
    more = {
        "study_id": "S",
        "seed": 1,
        "cases": (Case(case_id="C1", exam_id=exam_id, exam_digest=source.load(exam_id).digest),),
        "readers": (Reader(reader_id="r", name="R", password_hash=hash_password("secret-word")),),
        "arms": (Arm(arm_id="aided", title="With AI", ai=AiPolicy(shown=True)),),
    }
    study = Study(
        **more,
        title="S",
        protocol_version="1",
        scale=Scale(),
        plans=allocate(**more, design="single"),
        conduct=Conduct(idle_threshold_s=20.0),
    )
    database = tmp_path / "study.sqlite"
    opened = open_database(database)
    opened.save_study(study)
    opened.close()
    station = study_station(
        database=database, study_id="S", exams=tmp_path / "exams", anchor=None, engine=FakeEngine()
    )
    station.clock = clock
    made = MainWindow(station, version="test")
    made.resize(1600, 1000)
    qtbot.addWidget(made)
    made.show()
    yield made
    made.close()


def fill_in(window: MainWindow) -> None:
    form = window.reading.form
    for side in ("R", "L"):
        form.field(f"{side}.birads").set_value("2")
        form.field(f"{side}.suspicion").set_value(5)
    form.field("density").set_value("b")
    form.field("recall").set_value("n")


def focus(state: Qt.ApplicationState) -> None:
    QGuiApplication.instance().applicationStateChanged.emit(state)


def touch(window: MainWindow) -> None:
    """The reader moves the mouse."""
    centre = window.rect().center()
    window._moved = not getattr(window, "_moved", False)
    QTest.mouseMove(window, centre if window._moved else (QPointF(centre) / 2).toPoint())


def test_rs_m1_m2_a_scripted_reading_in_the_windows_has_exactly_the_scripts_times(
    qtbot, window, clock, tmp_path
) -> None:
    page, view = window.sign_in, window.reading
    QTest.keyClicks(page.reader, "r")
    QTest.keyClicks(page.password, "secret-word")
    QTest.keyClick(page.password, Qt.Key.Key_Return)
    QTest.mouseClick(window.worklist.cards[0].button, Qt.MouseButton.LeftButton)
    clock.advance(0.75)  # loading
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)
    qtbot.waitUntil(lambda: view.ai.result is not None, timeout=30_000)
    first, second = (stage.title for stage in window._controller.case.hanging.stages[:2])
    assert first != second
    clock.advance(10)
    view.go_to_stage(1)
    clock.advance(5)
    view.ai_layers.toggle("heatmap")
    clock.advance(4)
    view.ai_layers.toggle("heatmap")
    clock.advance(3)
    focus(Qt.ApplicationState.ApplicationInactive)
    clock.advance(6)
    focus(Qt.ApplicationState.ApplicationActive)
    clock.advance(2)
    window._pause()
    clock.advance(20)
    window._pause()
    clock.jump(600)  # the computer sleeps: its monotonic clock stands
    clock.advance(1)
    touch(window)
    qtbot.wait(20)
    clock.advance(45)
    window._idle.timeout.emit()  # the real timer's word; the length of the spell is the clock's
    window._idle.timeout.emit()
    touch(window)
    qtbot.wait(20)
    clock.advance(7)
    fill_in(window)
    view.form.submit()
    qtbot.waitUntil(lambda: window._controller is None, timeout=30_000)

    opened = open_database(tmp_path / "study.sqlite")
    tables = {table.name: table for table in build_tables(opened.study("S"), opened.events)}
    opened.close()

    def rows(name: str, *columns: str) -> list[tuple[object, ...]]:
        table = tables[name]
        at = [[column.name for column in table.columns].index(column) for column in columns]
        return [tuple(row[i] for i in at) for row in table.rows]

    assert rows(
        "times", "load_s", "raw_s", "active_s", "paused_s", "idle_s", "unfocused_s", "opened_to_submit_s"
    ) == [(0.75, 103.0, 32.0, 20.0, 45.0, 6.0, 103.75)]
    assert rows("stages", "step", "after_paint_s", "seconds", "ended_by") == [
        ("first", 0.0, 10.0, "changed"),
        (second, 10.0, 20.0, "paused"),
        (second, 50.0, 53.0, "submitted"),
    ]
    heat = [row for row in rows("exposure", "layer", "after_paint_s", "seconds", "ended_by") if row[0] == "heatmap"]  # fmt: skip
    assert heat == [("heatmap", 15.0, 4.0, "hidden")]
    assert rows("clock", "seconds") == [(600.0,)]


@pytest.mark.parametrize(
    "away",
    ["minimised", "another program", "screen locked", "minimised while another program is in front"],
)
def test_rs_m2_a_window_nobody_sees_is_unfocused_until_it_is_back(
    qtbot, window, clock, tmp_path, away: str
) -> None:
    """Qt says a locked screen as ApplicationInactive or, on some systems, ApplicationSuspended or -Hidden."""
    states = Qt.ApplicationState
    page, view = window.sign_in, window.reading
    QTest.keyClicks(page.reader, "r")
    QTest.keyClicks(page.password, "secret-word")
    QTest.keyClick(page.password, Qt.Key.Key_Return)
    QTest.mouseClick(window.worklist.cards[0].button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)
    clock.advance(10)
    if away == "screen locked":
        for state in (states.ApplicationInactive, states.ApplicationHidden, states.ApplicationSuspended):
            focus(state)
            clock.advance(2)
    elif away == "another program":
        focus(states.ApplicationInactive)
        clock.advance(6)
    else:
        window.showMinimized()
        qtbot.waitUntil(window.isMinimized)
        if away.endswith("in front"):
            focus(states.ApplicationInactive)
        clock.advance(6)
        window.showNormal()
        qtbot.waitUntil(lambda: not window.isMinimized())
    focus(states.ApplicationActive)
    clock.advance(4)
    fill_in(window)
    view.form.submit()
    qtbot.waitUntil(lambda: window._controller is None, timeout=30_000)
    opened = open_database(tmp_path / "study.sqlite")
    table = next(one for one in build_tables(opened.study("S"), opened.events) if one.name == "times")
    opened.close()
    row = dict(zip([column.name for column in table.columns], table.rows[0], strict=True))
    assert (row["raw_s"], row["unfocused_s"], row["active_s"]) == (20.0, 6.0, 14.0)
