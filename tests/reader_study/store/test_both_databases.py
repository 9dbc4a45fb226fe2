"""The same promises on SQLite and PostgreSQL: append-only, one writer a session, verified, migrated."""

from __future__ import annotations

import dataclasses
import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from reader_study.errors import StoreError
from reader_study.sessions import Sessions
from reader_study.store.database import make_engine, open_database
from reader_study.store.migrate import stored_version
from reader_study.store.schema import SCHEMA_VERSION
from reader_study.verify import verify_log

SID = "ST.r1.p1"


@pytest.fixture
def read(database_url, study, clock, show, normal_form):
    """A study with two of its cases read by the first reader."""
    database = open_database(database_url)
    database.save_study(study)
    sessions = Sessions(study=study, store=database.events, clock=clock)
    sessions.open(SID, "r1", {"app_version": "test"})
    for _ in range(2):
        show(sessions, SID, clock)
        sessions.submit(SID, normal_form)
    sessions.shutdown()
    database.close()
    return database_url


def change(url, statement):
    engine = make_engine(url)
    try:
        with engine.connect().execution_options(write=True) as connection, connection.begin():
            connection.execute(text(statement))
    finally:
        engine.dispose()


def test_rs_a5_a_new_database_gets_todays_schema_and_opens_again(read, study):
    database = open_database(read)
    assert database.study("ST") == study
    with database._engine.connect() as connection:
        assert stored_version(connection) == SCHEMA_VERSION
    database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET body = '{}'",
        "DELETE FROM events",
        "UPDATE studies SET body = '{}'",
        "DELETE FROM plans",
    ],
)
def test_rs_a1_triggers_refuse_to_change_what_was_written(read, statement):
    with pytest.raises(DBAPIError, match=r"append-only|has begun"):
        change(read, statement)
    assert verify_log(read).ok


def test_rs_a1_postgresql_refuses_truncate_too(postgres_url):
    open_database(postgres_url).close()
    with pytest.raises(DBAPIError, match="append-only"):
        change(postgres_url, "TRUNCATE events")


def test_rs_a2_untouched_log_verifies_and_counts_agree(read):
    report = verify_log(read)
    assert (report.ok, report.problems, report.sessions) == (True, (), 1)


def test_rs_a2_a_changed_row_and_a_trigger_switched_off_are_found_on_postgresql(postgres_url, study, clock, show, normal_form):  # fmt: skip
    database = open_database(postgres_url)
    database.save_study(study)
    sessions = Sessions(study=study, store=database.events, clock=clock)
    sessions.open(SID, "r1", {})
    show(sessions, SID, clock)
    sessions.submit(SID, normal_form)
    sessions.shutdown()
    database.close()
    change(postgres_url, "ALTER TABLE events DISABLE TRIGGER events_refuse_update")
    assert verify_log(postgres_url).problems == (
        "The trigger events_refuse_update is missing or changed: the log could be edited.",
    )
    change(postgres_url, "UPDATE events SET t_utc = '2001-01-01T00:00:00.000Z' WHERE seq = 3")
    change(postgres_url, "ALTER TABLE events ENABLE TRIGGER events_refuse_update")
    report = verify_log(postgres_url)
    assert not report.ok
    assert "event 3: its content does not match its hash" in report.problems[0]


def test_two_programs_on_one_session_cannot_both_append(database_url, study, clock):
    databases = [open_database(database_url) for _ in range(2)]
    databases[0].save_study(study)
    sessions = [Sessions(study=study, store=d.events, clock=clock) for d in databases]
    for one in sessions:
        one.position(SID)  # both have read the empty log
    sessions[0].open(SID, "r1", {})
    with pytest.raises(StoreError, match="open elsewhere"):
        sessions[1].open(SID, "r1", {})
    for database in databases:
        database.close()
    assert verify_log(database_url).ok


def test_ten_stations_write_their_sessions_at_once(database_url, make_study, clock, show, normal_form):
    study = make_study(n_cases=4, n_readers=10)
    first = open_database(database_url)
    first.save_study(study)
    first.close()
    failures: list[BaseException] = []

    def read_all(reader_id):
        database = open_database(database_url, busy_timeout_s=30)
        try:
            sessions = Sessions(study=study, store=database.events, clock=clock)
            plan = study.plans_of(reader_id)[0]
            sessions.open(plan.session_id, reader_id, {})
            for _ in plan.entries:
                show(sessions, plan.session_id, clock)
                sessions.submit(plan.session_id, normal_form)
            sessions.shutdown()
        except BaseException as error:
            failures.append(error)
        finally:
            database.close()

    stations = [threading.Thread(target=read_all, args=(r.reader_id,)) for r in study.readers]
    for station in stations:
        station.start()
    for station in stations:
        station.join(timeout=120)
    assert failures == []
    report = verify_log(database_url)
    assert (report.ok, report.sessions) == (True, 10)
    database = open_database(database_url)
    done = Sessions(study=study, store=database.events, clock=clock)
    assert [done.worklist(r.reader_id)[0].n_done for r in study.readers] == [4] * 10
    database.close()


def test_a_begun_study_cannot_change_and_a_password_can(read, study):
    database = open_database(read)
    with pytest.raises(StoreError, match="has begun"):
        database.save_study(dataclasses.replace(study, washout_days=3.0))
    database.set_password("ST", "r1", "hash-2")
    assert database.study("ST").readers[0].password_hash == "hash-2"
    database.close()


def test_a_server_that_is_not_there_is_one_sentence_without_the_password():
    with pytest.raises(StoreError) as refused:
        open_database("postgresql://study:hunter2@127.0.0.1:1/nothing", busy_timeout_s=1.0)
    assert "could not be opened" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_rs_c3_a_server_that_dies_loses_nothing_confirmed_and_the_next_step_goes_on(
    postgres, postgres_url, study, clock, show, normal_form
):
    database = open_database(postgres_url, busy_timeout_s=2)
    database.save_study(study)
    sessions = Sessions(study=study, store=database.events, clock=clock)
    sessions.open(SID, "r1", {})
    show(sessions, SID, clock)
    sessions.submit(SID, normal_form)
    case = sessions.position(SID).case_id
    show(sessions, SID, clock)
    postgres.stop()
    try:
        with pytest.raises(StoreError, match="could not be saved"):
            sessions.submit(SID, normal_form)
        assert sessions.position(SID).case_id == case
    finally:
        postgres.start()
    sessions.submit(SID, normal_form)
    assert sessions.position(SID).index == 2
    sessions.shutdown()
    database.close()
    assert verify_log(postgres_url).ok
