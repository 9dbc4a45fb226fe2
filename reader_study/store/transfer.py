"""Merging, backing up and restoring study databases: whole sessions go over, row by row as they lie (RS-A5, RS-U4).

A session's chain either continues the one in the target, or is already in it, or the merge is refused before anything
is written.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, inspect, select
from sqlalchemy.exc import DBAPIError, StatementError

from reader_study.audit import audit_study
from reader_study.clock import SystemClock
from reader_study.domain.events import EventKind
from reader_study.domain.reading import planned_order
from reader_study.domain.study_json import study_from_text
from reader_study.errors import StoreError
from reader_study.permissions import Account, Role
from reader_study.ports import Clock
from reader_study.store import protocols
from reader_study.store.audit_merge import taken_in
from reader_study.store.causes import cause_of, remedy_of
from reader_study.store.database import make_engine, open_database, shown
from reader_study.store.event_store import to_row
from reader_study.store.schema import ACCOUNTS, EVENTS, PLANS, PROTOCOLS, STUDIES
from reader_study.verify import verify_log

Chain = tuple[Mapping[str, object], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferReport:
    """What went over: studies that were new to the target, sessions that grew, and events written."""

    studies: tuple[str, ...]
    sessions: tuple[str, ...]
    events: int


_NO_STUDY = (StatementError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


def merge(target: str | Path, source: str | Path, *, clock: Clock | None = None) -> TransferReport:
    """Take all studies and sessions of ``source`` into ``target``; all or nothing.

    Parameters
    ----------
    target, source : str or Path
        Files or URLs; the target is made when it does not exist.
    clock : Clock, optional
        Says when coordinators' entries of both were brought together; the computer's where it is not given.

    Raises
    ------
    StoreError
        The source's log is not intact, a study's protocol differs, or a session was read on in both.
    """
    _must_be_intact(source)
    open_database(target).close()  # brings an older one up to date
    origin, goal = make_engine(source), make_engine(target)
    try:
        with origin.connect() as reading, _writing(goal) as writing:
            return _copy(reading, writing, shown(source), clock or SystemClock())
    except DBAPIError as error:
        raise StoreError(
            f"Merging {shown(source)} into {shown(target)}: could not be done ({cause_of(error)}); nothing was changed:"
            f" {remedy_of(error)}, then try again."
        ) from error
    except _NO_STUDY as error:
        raise StoreError(
            f"Merging {shown(source)} into {shown(target)}: expected values that the program writes, found others"
            f" ({type(error).__name__}); nothing was changed: restore a backup of the source."
        ) from error
    finally:
        origin.dispose()
        goal.dispose()


class _writing:
    """One writing transaction: everything or nothing."""

    def __init__(self, engine: Engine) -> None:
        self._connection = engine.connect().execution_options(write=True)
        self._transaction = self._connection.begin()

    def __enter__(self) -> Connection:
        return self._connection

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        try:
            if kind is None:
                self._transaction.commit()
            else:
                self._transaction.rollback()
        finally:
            self._connection.close()


def _must_be_intact(source: str | Path) -> None:
    report = verify_log(source)
    if not report.ok:
        raise StoreError(
            f"{shown(source)}: expected an intact log, found: {report.problems[0]} Run verify-log; nothing was copied."
        )


def _copy(source: Connection, target: Connection, name: str, clock: Clock) -> TransferReport:
    locked = _locked(target)
    new_studies = _studies(source, target, name)
    grown: list[str] = []
    written = 0
    for session_id in _column(source, EVENTS, "session_id"):
        rest = _continuation(source, target, session_id, name, clock)
        if rest:
            if session_id in locked:
                raise StoreError(
                    f"Session {session_id}: expected no new events of study {locked[session_id]}, which is locked, found"
                    f" {len(rest)} in {name}; nothing was copied: what was read too late is not taken in."
                )
            target.execute(EVENTS.insert(), [dict(row) for row in rest])
            _take_accounts(source, target, rest)
            grown.append(session_id)
            written += len(rest)
    _check_orders(target, name)
    return TransferReport(studies=new_studies, sessions=tuple(grown), events=written)


def _take_accounts(source: Connection, target: Connection, rest: Chain) -> None:
    """Accounts that the copied audit entries tell of become what they are in the source."""
    study_id = audit_study(str(rest[0]["session_id"]))
    changed = {
        json.loads(str(row["body"]))["subject"]
        for row in rest
        if row["kind"] in {EventKind.ACCOUNT_CHANGED.value, EventKind.READER_ENROLLED.value}
    }
    for row in _rows(source, ACCOUNTS) if study_id is not None else ():
        if row["study_id"] == study_id and row["reader_id"] in changed:
            mine = (ACCOUNTS.c.study_id == study_id) & (ACCOUNTS.c.reader_id == row["reader_id"])
            target.execute(ACCOUNTS.update().where(mine), [dict(row)])


def _locked(target: Connection) -> dict[str, str]:
    """Sessions, and the audit, of the target's locked studies, with the study's id."""
    found: dict[str, str] = {}
    query = select(EVENTS.c.session_id).where(EVENTS.c.kind == EventKind.STUDY_LOCKED.value)
    for chain in target.execute(query).scalars():
        study_id = str(chain).removeprefix("audit.")
        sessions = target.execute(select(PLANS.c.session_id).where(PLANS.c.study_id == study_id)).scalars()
        found.update(dict.fromkeys(map(str, sessions), study_id))
    return found


def _check_orders(target: Connection, name: str) -> None:
    """StoreError where a session was begun in another order than the protocol that is in force after the merge.

    An amendment may change what nobody had begun; a laptop that did not know of it may have begun it all the same.
    """
    for study_id in _column(target, STUDIES, "study_id"):
        body = protocols.newest_body(target, study_id)
        assert body is not None, "a study has a text"
        orders = {plan.session_id: planned_order(plan) for plan in study_from_text(body).plans}
        opened = select(EVENTS.c.session_id, EVENTS.c.body).join(
            PLANS, (PLANS.c.session_id == EVENTS.c.session_id) & (PLANS.c.study_id == study_id)
        )
        for row in target.execute(opened.where(EVENTS.c.kind == EventKind.SESSION_OPENED.value)):
            if json.loads(row.body)["plan"] != orders.get(row.session_id):
                raise StoreError(
                    f"Session {row.session_id}: expected it to be begun in the order of the protocol in force, found"
                    f" another in {name} or here; nothing was copied: an amendment changed a session that was read"
                    " meanwhile, so amend the protocol back to that order first."
                )


def _studies(source: Connection, target: Connection, name: str) -> tuple[str, ...]:
    known = {
        row.study_id: row.protocol_hash
        for row in target.execute(select(STUDIES.c.study_id, STUDIES.c.protocol_hash))
    }
    new: list[str] = []
    for study in _rows(source, STUDIES):
        study_id = str(study["study_id"])
        if study_id not in known:
            target.execute(STUDIES.insert(), [dict(study)])
            plans = [dict(row) for row in _rows(source, PLANS) if row["study_id"] == study_id]
            if plans:
                target.execute(PLANS.insert(), plans)
            new.append(study_id)
        elif known[study_id] != study["protocol_hash"]:
            raise StoreError(
                f"Study {study_id}: expected the same protocol in {name}, found another; nothing was copied:"
                " merge databases of the same protocol version."
            )
    accounts = {(r["study_id"], r["reader_id"]) for r in _rows(target, ACCOUNTS)}
    fresh = [dict(r) for r in _rows(source, ACCOUNTS) if (r["study_id"], r["reader_id"]) not in accounts]
    if fresh:
        target.execute(ACCOUNTS.insert(), fresh)
    _protocols(source, target, name)
    return tuple(new)


def _protocols(source: Connection, target: Connection, name: str) -> None:
    """Take the frozen versions that the target lacks; two different ones of a number are refused."""
    ours = {(r["study_id"], r["number"]): r["protocol_hash"] for r in _rows(target, PROTOCOLS)}
    theirs = _rows(source, PROTOCOLS)
    for row in theirs:
        if ours.get((row["study_id"], row["number"]), row["protocol_hash"]) != row["protocol_hash"]:
            raise StoreError(
                f"Study {row['study_id']}: expected the same protocol version {row['number']} in {name}, found another;"
                " nothing was copied: merge databases of the same amendments."
            )
    fresh = [dict(row) for row in theirs if (row["study_id"], row["number"]) not in ours]
    if fresh:
        target.execute(PROTOCOLS.insert(), fresh)
    known = set(_column(target, PLANS, "session_id"))
    added = [dict(row) for row in _rows(source, PLANS) if row["session_id"] not in known]
    if added:  # sessions that an amendment brought
        target.execute(PLANS.insert(), added)


def _continuation(source: Connection, target: Connection, session_id: str, name: str, clock: Clock) -> Chain:
    """The events of the source that the target's chain lacks."""
    theirs, ours = _chain(source, session_id), _chain(target, session_id)
    shared = min(len(theirs), len(ours))
    if [row["hash"] for row in theirs[:shared]] != [row["hash"] for row in ours[:shared]]:
        if audit_study(session_id) is not None:
            entry = taken_in(ours, theirs, name=Path(name).name, clock=clock)
            return () if entry is None else (to_row(entry),)
        raise StoreError(
            f"Session {session_id}: it was read on in both databases, and {name} tells it otherwise; nothing was copied:"
            " keep both files and decide which reading counts."
        )
    return theirs[shared:]


def _chain(connection: Connection, session_id: str) -> Chain:
    query = select(EVENTS).where(EVENTS.c.session_id == session_id).order_by(EVENTS.c.seq)
    return tuple(dict(row) for row in connection.execute(query).mappings())


def _rows(connection: Connection, table: Table) -> list[Mapping[str, object]]:
    """Every row; of a database of an older schema, with the columns it has."""
    if not inspect(connection).has_table(table.name):
        return []
    there = {column["name"] for column in inspect(connection).get_columns(table.name)}
    columns = [column for column in table.c if column.name in there]
    return [dict(row) for row in connection.execute(select(*columns)).mappings()]


def _column(connection: Connection, table: Table, column: str) -> list[str]:
    chosen = table.c[column]
    return [str(value) for value in connection.execute(select(chosen).distinct().order_by(chosen)).scalars()]


def managed_studies(source: str | Path) -> dict[str, tuple[Account, ...]]:
    """Return the accounts of each study in which somebody beside readers has one; of any schema, nothing is written.

    Raises
    ------
    StoreError
        The database cannot be read.
    """
    engine = make_engine(source)
    try:
        with engine.connect() as connection:
            rows = _rows(connection, ACCOUNTS)
    except DBAPIError as error:
        raise StoreError(
            f"{shown(source)}: could not be read ({cause_of(error)}); {remedy_of(error)}, then try again."
        ) from error
    finally:
        engine.dispose()
    found: dict[str, list[Account]] = {}
    for row in rows:
        account = Account(
            account_id=str(row["reader_id"]),
            name=str(row.get("name") or row["reader_id"]),
            role=Role(str(row.get("role", Role.READER.value))),
            password_hash=str(row["password_hash"]) or None,
        )
        found.setdefault(str(row["study_id"]), []).append(account)
    return {
        study_id: tuple(accounts)
        for study_id, accounts in sorted(found.items())
        if any(one.role is not Role.READER for one in accounts)
    }


def backup(source: str | Path, file: Path) -> TransferReport:
    """Write the whole database to one new SQLite file, while readers go on reading.

    Raises
    ------
    StoreError
        The file exists already, or the copy does not verify; nothing is left half written.
    """
    if file.exists():
        raise StoreError(f"Backup {file}: expected a new file, found one already there; choose another name.")
    part = file.with_name(file.name + ".part")
    try:
        engine = make_engine(source)
        is_file = engine.dialect.name == "sqlite"
        database = engine.url.database
        engine.dispose()
        if is_file and database:
            _must_be_intact(source)
            _sqlite_copy(Path(database), part)
            report = _contents(part)
        else:
            report = merge(part, source)
        _must_be_intact(part)
        _settle(part)
        part.replace(file)
    except OSError as error:
        raise StoreError(
            f"Backup {file}: could not be written ({error.strerror}); choose another place."
        ) from error
    finally:
        for leftover in (part, *(part.with_name(part.name + end) for end in ("-wal", "-shm"))):
            leftover.unlink(missing_ok=True)
    return report


def _sqlite_copy(origin: Path, part: Path) -> None:
    try:
        reading, writing = sqlite3.connect(f"file:{origin}?mode=ro", uri=True), sqlite3.connect(part)
        try:
            reading.backup(writing)
        finally:
            reading.close()
            writing.close()
    except sqlite3.Error as error:
        raise StoreError(
            f"Backup of {origin}: could not be made ({error}); check disk and rights."
        ) from error


def _settle(part: Path) -> None:
    """Leave one plain file behind: no write-ahead log beside it, and everything on disk."""
    connection = sqlite3.connect(part)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())


def _contents(file: Path) -> TransferReport:
    engine = make_engine(file)
    try:
        with engine.connect() as connection:
            sessions = tuple(_column(connection, EVENTS, "session_id"))
            count = len(_rows(connection, EVENTS))
            return TransferReport(
                studies=tuple(_column(connection, STUDIES, "study_id")), sessions=sessions, events=count
            )
    finally:
        engine.dispose()


def restore(file: Path, target: str | Path) -> TransferReport:
    """Bring a backup into a database that lacks it, wholly or in part; what is newer in the target stays."""
    if not file.is_file():
        raise StoreError(f"Backup {file}: expected a file, found none; check the path.")
    return merge(target, file)
