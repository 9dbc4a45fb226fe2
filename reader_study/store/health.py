"""Looks at a study database without changing it: is it reachable, whole, durable, of today's schema."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from reader_study.errors import StoreError
from reader_study.store.causes import cause_of, remedy_of
from reader_study.store.database import make_engine, shown
from reader_study.store.migrate import stored_version
from reader_study.store.schema import SCHEMA_VERSION
from reader_study.store.triggers import wrong_triggers

_PINGS = 5
_DURABLE = ("fsync", "full_page_writes", "synchronous_commit")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseHealth:
    """What was found. ``damage`` and ``unsafe`` are words for the administrator; empty = nothing found.

    ``answer_ms`` is the median time of an empty question, ms; ``schema`` is 0 for a database without tables.
    """

    where: str
    kind: str
    version: str
    schema: int
    expected_schema: int
    journal: str
    damage: tuple[str, ...]
    unsafe: tuple[str, ...]
    studies: int
    sessions: int
    events: int
    answer_ms: float


def database_health(db_or_url: str | Path) -> DatabaseHealth:
    """Look at a database; StoreError says in one sentence why it cannot be looked at."""
    if isinstance(db_or_url, Path) or "://" not in db_or_url or db_or_url.startswith("sqlite:///"):
        return _of_file(Path(str(db_or_url).removeprefix("sqlite:///")))
    engine = make_engine(db_or_url)
    try:
        with engine.connect() as connection:
            return _of_server(connection, shown(db_or_url))
    except DBAPIError as error:
        raise StoreError(
            f"Study database {shown(db_or_url)}: could not be looked at ({cause_of(error)}); {remedy_of(error)}."
        ) from error
    finally:
        engine.dispose()


def _of_server(connection: Connection, where: str) -> DatabaseHealth:
    schema = stored_version(connection)
    unsafe = [
        f"{name} = {value}"
        for name in _DURABLE
        if (value := connection.execute(text(f"SHOW {name}")).scalar()) in {"off", "local"}
    ]
    has_tables = inspect(connection).has_table("events")
    return DatabaseHealth(
        where=where,
        kind="PostgreSQL",
        version=str(connection.execute(text("SHOW server_version")).scalar()),
        schema=schema,
        expected_schema=SCHEMA_VERSION,
        journal="wal",
        damage=tuple(f"trigger {name} is not as it was made" for name in wrong_triggers(connection)) if has_tables else (),
        unsafe=tuple(unsafe),
        answer_ms=_answer_ms(lambda: connection.execute(text("SELECT 1")).scalar()),
        **(_counts(lambda query: connection.execute(text(query)).one()) if has_tables else _NOTHING),
    )  # fmt: skip


_NOTHING = {"studies": 0, "sessions": 0, "events": 0}


def _of_file(file: Path) -> DatabaseHealth:
    if not file.is_file() or file.stat().st_size == 0:
        found = "a folder" if file.is_dir() else "an empty file" if file.is_file() else "none"
        raise StoreError(f"Study database {file}: expected a database file, found {found}; check the path.")
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)) as raw:
            damage = [str(row[0]) for row in raw.execute("PRAGMA integrity_check(5)") if row[0] != "ok"]
            tables = {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            journal = str(raw.execute("PRAGMA journal_mode").fetchone()[0])
            counts = _counts(lambda query: raw.execute(query).fetchone()) if "events" in tables else _NOTHING
            return DatabaseHealth(
                where=file.name,
                kind="SQLite",
                version=sqlite3.sqlite_version,
                schema=int(raw.execute("PRAGMA user_version").fetchone()[0]),
                expected_schema=SCHEMA_VERSION,
                journal=journal,
                damage=tuple(damage),
                unsafe=() if journal == "wal" else (f"journal mode {journal} in place of wal",),
                answer_ms=_answer_ms(lambda: raw.execute("SELECT 1").fetchone()),
                **counts,
            )
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"Study database {file}: could not be looked at ({error}); stop reading and restore a backup."
        ) from error


def _counts(ask: object) -> dict[str, int]:
    row = ask("SELECT (SELECT count(*) FROM studies), count(DISTINCT session_id), count(*) FROM events")  # type: ignore[operator]
    return {"studies": int(row[0]), "sessions": int(row[1]), "events": int(row[2])}


def _answer_ms(ask: object) -> float:
    times = []
    for _ in range(_PINGS):
        start = time.perf_counter()
        ask()  # type: ignore[operator]
        times.append(1e3 * (time.perf_counter() - start))
    return sorted(times)[_PINGS // 2]


def try_durable_file(folder: Path) -> str:
    """Make a scratch database in a folder as studies are made; return SQLite's version, StoreError when it fails."""
    file = folder / ".negatoscope-doctor.sqlite"
    scratch = (file, file.with_name(file.name + "-wal"), file.with_name(file.name + "-shm"))
    try:
        with closing(sqlite3.connect(file, isolation_level=None)) as raw:
            journal = raw.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            raw.execute("PRAGMA synchronous = FULL")
            raw.execute("CREATE TABLE IF NOT EXISTS trial (n INTEGER)")
            raw.execute("INSERT INTO trial VALUES (1)")
            whole = raw.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.Error as error:
        raise StoreError(
            f"Database in {folder}: a trial one could not be made ({error}); check rights and disk."
        ) from error
    finally:
        for path in scratch:
            path.unlink(missing_ok=True)
    if journal != "wal" or whole != "ok":
        raise StoreError(
            f"Database in {folder}: expected a write-ahead log, found journal mode {journal}; keep databases on a local disk."
        )
    return sqlite3.sqlite_version
