"""Backup, restore, merge and export: who does it is asked, and the audit tells before a file is there (RS-A1)."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from typer import Typer
from typer.testing import CliRunner

from reader_study.__main__ import register
from reader_study.accounts import SignedIn
from reader_study.audit import audit_list
from reader_study.clock import SystemClock
from reader_study.desk import Desk
from reader_study.domain.events import EventKind
from reader_study.permissions import Role
from reader_study.protocol_file import protocol_to_text
from reader_study.store.database import open_database
from reader_study.verify import verify_log

GOOD = "pass-word"


@pytest.fixture
def run(monkeypatch):
    app = Typer()
    register(app)
    monkeypatch.setenv("NEGATOSCOPE_PASSWORD", GOOD)
    return lambda *arguments: CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture
def db(run, make_study, tmp_path):
    """A locked study with a coordinator, a reader's and a statistician's account."""
    protocol, made = tmp_path / "protocol.yaml", tmp_path / "study.sqlite"
    protocol.write_text(protocol_to_text(make_study(n_cases=2)), encoding="utf-8")
    assert run("study", "draft", protocol, "--db", made, "--as", "co").exit_code == 0
    assert run("study", "freeze", made, "--study", "ST", "--as", "co").exit_code == 0
    opened = open_database(made)
    co = next(one for one in opened.accounts("ST") if one.account_id == "co")
    clock = SystemClock()
    desk = Desk(database=opened, clock=clock, signed_in=SignedIn(co, clock), study_id="ST")
    for who, role in (("r1", Role.READER), ("st", Role.STATISTICIAN)):
        desk.put_account(replace(co, account_id=who, name=who, role=role))
    opened.close()
    return made


def entries(db):
    opened = open_database(db, create=False)
    try:
        return audit_list(opened.events, "ST")
    finally:
        opened.close()


@pytest.mark.parametrize("who", ["", "r1", "st", "nobody"])
def test_rs_a3_only_who_may_makes_restores_and_merges_from_the_command_line(run, db, tmp_path, who):
    safe = tmp_path / "safe.sqlite"
    assert run("study", "backup", db, safe, "--as", "co").exit_code == 0
    before = entries(db)
    named = ("--as", who) if who else ()
    told = {"": "--as", "r1": "a reader may not", "st": "a statistician may not", "nobody": "not right"}[who]
    new = tmp_path / "new.sqlite"
    for command in (
        ("backup", db, tmp_path / "other.sqlite"),
        ("restore", safe, db),
        ("restore", safe, new),
        ("merge", db, safe),
        ("merge", new, db),
    ):
        refused = run("study", *command, *named)
        assert (refused.exit_code, told in refused.output) == (2, True), (command, refused.output)
    assert not (tmp_path / "other.sqlite").exists()
    assert not new.exists()
    strange = {one.action for one in entries(db)[len(before) :]} - {EventKind.SIGN_IN_REFUSED}
    assert not strange


def test_rs_a1_backup_restore_and_merge_are_told_before_and_after(run, db, tmp_path):
    safe, new, made = tmp_path / "safe.sqlite", tmp_path / "new.sqlite", []
    for command in (("backup", db, safe), ("restore", safe, db), ("merge", db, safe), ("restore", safe, new)):
        done = run("study", *command, "--as", "co")
        assert done.exit_code == 0, done.output
        made.append(hashlib.sha256(safe.read_bytes()).hexdigest())
    kept = [one for one in entries(db) if one.action not in {EventKind.PROTOCOL_DRAFTED}][-6:]
    assert [one.action.value for one in kept] == [
        "BackupBegun", "BackupMade", "BackupBegun", "BackupMade", "BackupBegun", "DatabaseMerged",
    ]  # fmt: skip
    assert {one.who for one in kept} == {"co"}
    assert [one.new["what"] for one in kept] == ["backup"] * 2 + ["restore"] * 2 + ["merge"] * 2
    assert kept[1].new["sha256"] == made[0]
    assert entries(safe)[-1].action is EventKind.BACKUP_BEGUN, "the copy tells that it was begun"
    assert verify_log(db).ok
    assert verify_log(new).ok


def test_rs_a3_a_study_without_a_coordinator_is_backed_up_without_an_account(run, make_study, tmp_path):
    opened = open_database(tmp_path / "pilot.sqlite")
    opened.save_study(make_study(n_cases=2))
    opened.close()
    assert run("study", "backup", tmp_path / "pilot.sqlite", tmp_path / "safe.sqlite").exit_code == 0


def test_rs_a1_an_export_that_fails_on_the_way_is_in_the_audit_all_the_same(run, db, tmp_path):
    out = tmp_path / "out"
    locking = ("--study", "ST", "--as", "co", "--name", "Carla", "--why", "stopped early")
    assert run("study", "lock", db, *locking).exit_code == 0
    out.mkdir()
    (out / "readings.csv").write_text("in the way")
    assert run("export", db, "--study", "ST", "--out", out, "--as", "co").exit_code == 2
    last = entries(db)[-1]
    assert (last.action, last.subject, last.who) == (EventKind.EXPORT_BEGUN, "out", "co")
    free = tmp_path / "free"
    assert run("export", db, "--study", "ST", "--out", free, "--as", "co").exit_code == 0
    begun, made = entries(db)[-2:]
    assert (begun.action, made.action) == (EventKind.EXPORT_BEGUN, EventKind.EXPORT_MADE)
    written = {path.relative_to(free).as_posix(): path for path in free.rglob("*") if path.is_file()}
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in written.items()}
    assert made.new["files"] == digests
    assert "ExportBegun" in (free / "audit.csv").read_text()
