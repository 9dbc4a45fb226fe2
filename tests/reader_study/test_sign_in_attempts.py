"""Passwords have a least length, refused sign-ins are kept in the audit and wait longer each time (RS-A3)."""

from __future__ import annotations

import logging

import pytest
from argon2 import PasswordHasher
from typer import Typer
from typer.testing import CliRunner

from reader_study.__main__ import register
from reader_study.accounts import LEAST_CHARACTERS, hash_password
from reader_study.attempts import Door, delay_s, enter
from reader_study.audit import audit_list, audit_session
from reader_study.domain.events import EventKind
from reader_study.errors import SignInRefused, StoreError, StudyError
from reader_study.permissions import Account, Role
from reader_study.protocol_file import protocol_to_text
from reader_study.store.database import open_database
from reader_study.verify import verify_log

GOOD = "pass-word"
OLD = "pw"  # set before passwords had a least length
ACCOUNTS = tuple(
    Account(account_id=name, name=name, role=Role.COORDINATOR, password_hash=PasswordHasher().hash(word))
    for name, word in (("co", GOOD), ("old", OLD))
)


@pytest.fixture
def opened(tmp_path, make_study):
    database = open_database(tmp_path / "study.sqlite")
    database.save_study(make_study(n_cases=2))
    yield database
    database.close()


@pytest.fixture
def door(opened, clock, tmp_path):
    return Door(store=opened.events, clock=clock, study_id="ST", anchor=tmp_path / "anchor.jsonl")


def wrong(door, account_id="co", times=1, wait=0.0):
    for _ in range(times):
        door.clock.advance(wait)
        with pytest.raises(SignInRefused, match="reader or the password"):
            enter(door, ACCOUNTS, account_id, "not it at all")


def test_rs_a3_a_new_password_has_at_least_eight_characters_and_an_old_one_still_signs_in(door):
    assert LEAST_CHARACTERS == 8
    for short in ("", "1234567"):
        with pytest.raises(StudyError, match=f"at least 8 characters, found {len(short)}; choose a longer"):
            hash_password(short)
    assert hash_password("12345678").startswith("$argon2id$")
    assert enter(door, ACCOUNTS, "old", OLD).account_id == "old"


def test_rs_a3_the_command_line_refuses_a_short_password(tmp_path, make_study, monkeypatch):
    app = Typer()
    register(app)
    path = tmp_path / "protocol.yaml"
    path.write_text(protocol_to_text(make_study(n_cases=2)), encoding="utf-8")
    monkeypatch.setenv("NEGATOSCOPE_PASSWORD", "short")
    db = str(tmp_path / "new.sqlite")
    made = CliRunner().invoke(app, ["study", "draft", str(path), "--db", db, "--as", "co"])
    assert made.exit_code == 2
    assert "at least 8 characters" in made.output


def test_rs_a3_the_wait_grows_from_the_fourth_attempt_to_a_minute():
    assert [delay_s(n) for n in range(10)] == [0, 0, 0, 2, 4, 8, 16, 32, 60, 60]
    assert delay_s(10_000) == 60


def test_rs_a3_a_refused_sign_in_is_in_the_audit_without_password_or_strange_name(door, opened, tmp_path):
    wrong(door)
    with pytest.raises(SignInRefused):
        enter(door, ACCOUNTS, "hunter2-typed-as-a-name", GOOD)
    first, second = audit_list(opened.events, "ST")
    assert first.action is second.action is EventKind.SIGN_IN_REFUSED
    assert (first.who, first.role, first.subject) == ("not signed in", "", "co")
    assert second.subject.startswith("unknown name ")
    assert len(second.subject) == len("unknown name ") + 4
    kept = str([event.body for event in opened.events.read(audit_session("ST"))])
    assert not any(word in kept for word in ("hunter2", "not it at all", GOOD))
    opened.close()
    assert verify_log(tmp_path / "study.sqlite", tmp_path / "anchor.jsonl").ok


def test_rs_a3_too_early_is_refused_at_once_even_with_the_right_password(door, opened, clock):
    wrong(door, times=3)
    with pytest.raises(SignInRefused, match=r"3 attempts in a row were refused; try again in 2 s\."):
        enter(door, ACCOUNTS, "co", GOOD)
    clock.advance(1.5)
    with pytest.raises(SignInRefused, match=r"try again in 1 s\."):
        enter(door, ACCOUNTS, "co", GOOD)
    assert len(audit_list(opened.events, "ST")) == 3, "what was not looked at is no attempt"
    assert enter(door, ACCOUNTS, "old", OLD).account_id == "old", "another account does not wait"
    clock.advance(0.5)
    assert enter(door, ACCOUNTS, "co", GOOD).account_id == "co"
    done = audit_list(opened.events, "ST")[-1]
    assert (done.action, done.subject) == (EventKind.SIGNED_IN_AFTER_REFUSALS, "co")
    wrong(door, times=3)  # the count began anew


def test_rs_a3_a_name_that_does_not_exist_waits_like_one_that_does(door):
    wrong(door, "nobody", times=3)
    with pytest.raises(SignInRefused, match=r"try again in 2 s\."):
        enter(door, ACCOUNTS, "nobody", "any")


def test_rs_a3_a_restart_shortens_no_wait_and_a_clock_set_back_locks_nobody_out(door, clock):
    wrong(door, times=3)
    clock.restart("boot-2")
    with pytest.raises(SignInRefused, match=r"try again in 2 s\."):
        enter(door, ACCOUNTS, "co", GOOD)
    clock.jump(-86_400)
    assert enter(door, ACCOUNTS, "co", GOOD).account_id == "co"


def test_rs_a3_setting_the_calendar_forward_shortens_no_wait_in_a_program_that_runs(door, clock):
    wrong(door, times=3)
    clock.jump(3600)
    with pytest.raises(SignInRefused, match=r"try again in 2 s\."):
        enter(door, ACCOUNTS, "co", GOOD)


def test_rs_a3_what_cannot_be_kept_is_refused_all_the_same(door, caplog):
    class Full:
        def __init__(self, store):
            self._store = store

        def __getattr__(self, name):
            return getattr(self._store, name)

        def append(self, events, expected_seq):
            raise StoreError("the disk is full")

    refusing = Door(store=Full(door.store), clock=door.clock, study_id="ST")
    with caplog.at_level(logging.ERROR):
        wrong(refusing)
    assert "could not be kept" in caplog.text
