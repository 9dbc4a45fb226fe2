"""The computer's clock is set back, or it sleeps: times stay right, the order stays, the washout opens no earlier."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reader_study.clock import ManualClock, Mark, SystemClock, ahead_s, to_utc_text
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


def _read(sessions, session_id, clock, show, form):
    sessions.open(session_id, "r1", {})
    for _ in range(2):
        show(sessions, session_id, clock)
        sessions.submit(session_id, form)
    sessions.close(session_id)


@pytest.mark.parametrize("restarted", [False, True])
def test_rs_d4_a_clock_set_forward_opens_no_washout_until_the_coordinator_lets_it(
    make_study, store, clock, show, normal_form, restarted
):
    study = make_study(n_cases=2, n_readers=1, washout_days=28)
    sessions = Sessions(study=study, store=store, clock=clock)
    _read(sessions, SID, clock, show, normal_form)
    clock.set_forward(29 * DAY)
    if restarted:  # the program, not the machine: what it counted goes on
        clock.restart("boot-2")
        sessions = Sessions(study=study, store=store, clock=clock)
    row = sessions.worklist("r1")[1]
    assert not row.available
    assert row.why_not == (
        "this computer's clock was set forward by 29.0 days, so the washout is not taken as over; set it right, or ask"
        " the coordinator for an override."
    )
    with pytest.raises(StudyError, match="set forward by 29"):
        sessions.open(LATER, "r1", {})
    sessions.grant_override(LATER, reason="the battery of its clock was empty", granted_by="co")
    assert sessions.open(LATER, "r1", {}).index == 0
    sessions.shutdown()


def test_rs_d4_a_computer_that_slept_through_the_washout_may_go_on(
    make_study, store, clock, show, normal_form
):
    study = make_study(n_cases=2, n_readers=1, washout_days=28)
    sessions = Sessions(study=study, store=store, clock=clock)
    _read(sessions, SID, clock, show, normal_form)
    clock.jump(29 * DAY)
    assert sessions.open(LATER, "r1", {}).index == 0
    sessions.shutdown()


def test_rs_d4_a_clock_far_behind_what_any_station_wrote_opens_nothing(
    database_url, make_study, show, normal_form
):
    study = make_study(n_cases=2, n_readers=2, washout_days=28)
    database = open_database(database_url)
    database.save_study(study)
    here = ManualClock(to_utc_text(datetime.now(UTC)))  # as the server's
    sessions = Sessions(study=study, store=database.events, clock=here)
    _read(sessions, SID, here, show, normal_form)
    late = ManualClock(to_utc_text(datetime.now(UTC) - timedelta(days=3)), boot_id="elsewhere")
    other = Sessions(study=study, store=database.events, clock=late)
    told = (
        "differs from the server's by 3.0 days"
        if "postgresql" in database_url
        else "is 3.0 days behind the newest"
    )
    with pytest.raises(StudyError, match=told):
        other.open("ST.r2.p1", "r2", {})
    assert database.events.read("ST.r2.p1") == ()
    other.grant_override("ST.r2.p1", reason="no network time there", granted_by="co")
    other.open("ST.r2.p1", "r2", {})
    other.shutdown()
    sessions.shutdown()
    database.close()


def test_rs_d4_on_a_server_the_washout_is_the_servers_and_a_strange_clock_reads_nothing(
    postgres_url, make_study, show, normal_form
):
    study = make_study(n_cases=2, n_readers=1, washout_days=28)
    database = open_database(postgres_url)
    database.save_study(study)
    now = datetime.now(UTC)
    here = ManualClock(to_utc_text(now))
    sessions = Sessions(study=study, store=database.events, clock=here)
    _read(sessions, SID, here, show, normal_form)
    ahead = ManualClock(to_utc_text(now + timedelta(days=29)), boot_id="set in its BIOS")
    strange = Sessions(study=study, store=database.events, clock=ahead)
    row = strange.worklist("r1")[1]
    assert row.why_not is not None
    assert "washout of 28 days is not over, 28.0 days are left" in row.why_not, "as the server counts"
    database.close()


def test_rs_d4_the_system_clock_and_the_machines_count_go_together():
    clock = SystemClock()
    assert abs(ahead_s(clock.first_mark(), clock.mark())) < 1.0
    assert clock.mark().uptime_ns >= clock.first_mark().uptime_ns
    elsewhere = Mark(machine_boot="another", uptime_ns=0, utc="2020-01-01T00:00:00.000Z")
    assert ahead_s(elsewhere, clock.mark()) == 0.0, "another machine's count says nothing"
