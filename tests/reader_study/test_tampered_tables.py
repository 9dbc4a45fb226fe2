"""verify-log looks at every table: protocols, allocation and accounts that were changed by hand are told by name."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import replace

import pytest

from reader_study.accounts import SignedIn, hash_password
from reader_study.desk import Desk
from reader_study.domain.events import GENESIS, EventKind, seal
from reader_study.domain.study import Reader
from reader_study.errors import StoreError, StudyError
from reader_study.permissions import Account, Role
from reader_study.sessions import Sessions
from reader_study.store.database import Database, open_database
from reader_study.verify import verify_log

COORDINATOR = Account(
    account_id="co", name="Carla", role=Role.COORDINATOR, password_hash=hash_password("long enough")
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "study.sqlite"


@pytest.fixture
def desk(file, make_study, clock, show, normal_form):
    database = open_database(file)
    made = Desk(database=database, clock=clock, signed_in=SignedIn(COORDINATOR, clock), study_id="ST")
    study = make_study(n_cases=2)
    made.draft(study)
    made.put_account(COORDINATOR)
    made.freeze()
    for reader in study.readers:
        account = Account(
            account_id=reader.reader_id,
            name=reader.name,
            role=Role.READER,
            password_hash=hash_password("long enough"),
        )
        made.put_account(account)
    made.enrol(
        Reader(reader_id="r3", name="Third"), password_hash=hash_password("long enough"), why="one more"
    )
    sessions = Sessions(study=database.study("ST"), store=database.events, clock=clock)
    sessions.open("ST.r1.p1", "r1", {})
    show(sessions, "ST.r1.p1", clock)
    sessions.submit("ST.r1.p1", normal_form)
    sessions.shutdown()
    yield made
    database.close()


def test_rs_a2_a_study_that_was_amended_and_read_verifies(desk, file):
    report = verify_log(file)
    assert report.ok, report.problems


@pytest.mark.parametrize(
    ("trigger", "statement", "told"),
    [
        ("protocols_refuse_update", """UPDATE protocols SET body = replace(body, '"seed":7', '"seed":8')""", "protocol version"),
        ("protocols_refuse_delete", "DELETE FROM protocols WHERE number = 2", "protocol version"),
        ("studies_refuse_update", """UPDATE studies SET body = replace(body, '"seed":7', '"seed":8')""", "draft"),
        ("plans_refuse_delete", "DELETE FROM plans WHERE session_id = 'ST.r2.p2'", "ST.r2.p2"),
        ("", "UPDATE accounts SET role = 'coordinator' WHERE reader_id = 'r1'", "account r1"),
        ("", "INSERT INTO accounts (study_id, reader_id, password_hash, role) VALUES ('ST', 'eve', 'h', 'administrator')", "account eve"),
        ("", "DELETE FROM accounts WHERE reader_id = 'co'", "account co"),
        ("", "UPDATE accounts SET password_hash = (SELECT password_hash FROM accounts WHERE reader_id = 'r2') WHERE reader_id = 'r1'", "password of r1"),
    ],
)  # fmt: skip
def test_rs_a2_a_row_that_was_changed_by_hand_in_any_table_is_told(desk, file, trigger, statement, told):
    with closing(sqlite3.connect(file)) as raw:
        kept = raw.execute("SELECT sql FROM sqlite_master WHERE name = ?", (trigger,)).fetchone()
        if kept:
            raw.execute(f"DROP TRIGGER {trigger}")
        assert raw.execute(statement).rowcount >= 1
        if kept:  # as somebody would who wants it to stay unseen
            raw.execute(kept[0])
        raw.commit()
    report = verify_log(file)
    assert not report.ok
    assert any(told in problem for problem in report.problems), report.problems


def test_rs_a2_an_answer_that_was_added_after_the_lock_is_told(desk, file, clock, show, normal_form):
    desk.lock(password="long enough", name="Carla", meaning="done", why="stopped")
    assert verify_log(file).ok
    database = open_database(file)
    sessions = Sessions(study=database.study("ST"), store=database.events, clock=clock)
    clock.advance(60)
    body = {
        "study_id": "ST", "reader_id": "r2", "period": 1, "protocol_hash": "0", "seed": 7, "plan": [], "environment": {},
    }  # fmt: skip
    draft = sessions._draft(EventKind.SESSION_OPENED, body)
    first = seal("ST.r2.p1", [draft], seq=0, prev_hash=GENESIS)
    with pytest.raises(StoreError, match="is locked"):
        database.events.append(first, 0)
    with database._saving("by hand", first):
        pass
    database.close()
    assert any("after the study was locked" in problem for problem in verify_log(file).problems)


def test_rs_a1_a_step_of_the_desk_and_its_audit_entry_are_kept_together_or_not_at_all(
    file, make_study, clock, monkeypatch
):
    """A program that is killed between the two leaves neither: no freeze that nobody did."""
    database = open_database(file)
    desk = Desk(database=database, clock=clock, signed_in=SignedIn(COORDINATOR, clock), study_id="ST")
    desk.draft(make_study(n_cases=2))

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    from reader_study.store import event_store

    monkeypatch.setattr(event_store.SqlEventStore, "append", die)  # where a separate audit would begin
    for step in (
        lambda: desk.draft(make_study(n_cases=4)),
        lambda: desk.put_account(COORDINATOR),
        desk.freeze,
    ):
        before = _state(database)
        with suppress(Killed):
            step()
        after = _state(database)
        assert (before[0] == after[0]) is (before[1] == after[1]), (
            "study and audit changed together, or neither"
        )
    database.close()


def _state(database: Database) -> tuple[object, object]:
    study = database.study("ST")
    kept = (len(study.cases), len(database.protocol_versions("ST")), database.accounts("ST"))
    return kept, len(database.events.read("audit.ST"))


def test_rs_d1_a_draft_is_refused_once_frozen_also_when_it_says_the_same(desk, make_study):
    with pytest.raises(StudyError, match="frozen"):
        desk.draft(make_study(n_cases=2))
    assert [one.action.value for one in desk.audit()].count("ProtocolDrafted") == 1


def test_rs_a3_a_reader_of_the_study_gets_no_other_role_and_a_reader_account_needs_a_reader(desk):
    with pytest.raises(StudyError, match="reader of this study"):
        desk.put_account(replace(COORDINATOR, account_id="r1"))
    with pytest.raises(StudyError, match="enrol"):
        desk.put_account(replace(COORDINATOR, account_id="new", role=Role.READER))


def test_rs_a3_the_last_account_that_manages_accounts_keeps_its_role(desk):
    with pytest.raises(StudyError, match="last"):
        desk.put_account(replace(COORDINATOR, role=Role.STATISTICIAN))
    desk.put_account(replace(COORDINATOR, account_id="co2"))
    desk.put_account(replace(COORDINATOR, role=Role.STATISTICIAN))


def test_rs_a1_a_reader_enrolled_before_there_are_cases_is_audited_as_enrolled(tmp_path, make_study, clock):
    database = open_database(tmp_path / "early.sqlite")
    desk = Desk(database=database, clock=clock, signed_in=SignedIn(COORDINATOR, clock), study_id="ST")
    desk.draft(replace(make_study(), readers=(), cases=(), plans=()))
    desk.enrol(Reader(reader_id="r9", name="Ninth"), password_hash=hash_password("long enough"))
    assert [one.action.value for one in desk.audit()] == ["ProtocolDrafted", "ReaderEnrolled"]
    assert [one.reader_id for one in database.study("ST").readers] == ["r9"]
    with pytest.raises((StudyError, StoreError), match="once"):
        desk.enrol(Reader(reader_id="r9", name="Ninth"))
    database.close()
