"""The computer's clock is set back, or it sleeps: times stay right, the order stays, the washout opens no earlier."""

from __future__ import annotations

import pytest

from reader_study.errors import StudyError
from reader_study.sessions import Sessions
from reader_study.stages import clock_gaps
from reader_study.store.database import open_database
from reader_study.tables import build_tables
from reader_study.verify import verify_log

SID, LATER = "ST.r1.p1", "ST.r1.p2"
DAY = 86_400.0


def column(study, database, table, name):
    tables = {one.name: one for one in build_tables(study, database.events)}
    at = [one.name for one in tables[table].columns].index(name)
    return [row[at] for row in tables[table].rows]


@pytest.mark.parametrize("jump", [-3 * DAY, -3600.0, 3600.0])
def test_rs_m1_a_clock_that_is_set_during_a_reading_changes_no_time_and_is_told(
    database_url, study, clock, show, normal_form, jump
):
    database = open_database(database_url)
    database.save_study(study)
    sessions = Sessions(study=study, store=database.events, clock=clock)
    sessions.open(SID, "r1", {})
    for jumps in (0.0, jump, 0.0):
        show(sessions, SID, clock, load_s=0.5)
        clock.advance(20)
        clock.jump(jumps)
        clock.advance(10)
        sessions.submit(SID, normal_form)
    sessions.shutdown()
    assert column(study, database, "times", "raw_s") == [30.0] * 3
    assert column(study, database, "readings", "position") == [1, 2, 3], (
        "the order is the log's, not the calendar's"
    )
    assert column(study, database, "clock", "seconds") == [jump]
    database.close()
    assert verify_log(database_url).ok


def test_rs_m1_a_restart_with_an_earlier_clock_and_a_smaller_count_adds_nothing_up(
    study, store, clock, show, normal_form
):
    first = Sessions(study=study, store=store, clock=clock)
    first.open(SID, "r1", {})
    clock.advance(500)
    show(first, SID, clock)
    clock.advance(12)
    first.focus_lost(SID)
    clock.restart("boot-2")  # the count of this run begins below that of the last
    clock.jump(-DAY)
    second = Sessions(study=study, store=store, clock=clock)
    second.open(SID, "r1", {})
    show(second, SID, clock)
    clock.advance(7)
    second.submit(SID, normal_form)
    second.shutdown()
    events = store.read(SID)
    assert clock_gaps(events) == (), "between two runs the clocks say nothing about each other"
    tables = {one.name: one for one in build_tables(study, store)}
    at = [one.name for one in tables["times"].columns].index("raw_s")
    assert [row[at] for row in tables["times"].rows] == [19.0]


def test_rs_d4_a_clock_set_back_opens_no_washout(make_study, store, clock, show, normal_form):
    study = make_study(n_cases=2, n_readers=1, washout_days=21)
    sessions = Sessions(study=study, store=store, clock=clock)
    sessions.open(SID, "r1", {})
    for _ in range(2):
        show(sessions, SID, clock)
        sessions.submit(SID, normal_form)
    sessions.close(SID)
    clock.jump(-30 * DAY)
    with pytest.raises(StudyError, match="washout of 21 days is not over"):
        sessions.open(LATER, "r1", {})
    clock.jump(30 * DAY + 20 * DAY)
    with pytest.raises(StudyError, match="washout of 21 days is not over"):
        sessions.open(LATER, "r1", {})
    clock.jump(2 * DAY)
    assert sessions.open(LATER, "r1", {}).index == 0
    sessions.shutdown()
