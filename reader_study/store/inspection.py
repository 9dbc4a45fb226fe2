"""Reads the log's rows exactly as they lie on disk, for ``verify``; creates and repairs nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from reader_study.errors import StoreError
from reader_study.store.database import make_engine, shown
from reader_study.store.triggers import wrong_triggers


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRow:
    """One row of the events table; every value as SQLite hands it out, of whatever type it became."""

    session_id: object
    seq: object
    kind: object
    version: object
    boot_id: object
    t_mono_ns: object
    t_utc: object
    body: object
    prev_hash: object
    hash: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """All rows by session and seq, the names of triggers that are not as they were made, and the other tables."""

    rows: tuple[RawRow, ...]
    wrong_triggers: tuple[str, ...]
    tables: Mapping[str, tuple[Mapping[str, Any], ...]]  # studies, protocols, plans, accounts; () = not in it

    @property
    def studies(self) -> int:
        return len(self.tables["studies"])


_TABLES = ("studies", "protocols", "plans", "accounts")
_COLUMNS: Mapping[str, frozenset[str]] = {  # those of every version of the program
    "events": frozenset({"session_id", "seq", "kind", "version", "body", "prev_hash", "hash"}),
    "studies": frozenset({"study_id", "body", "protocol_hash"}),
    "protocols": frozenset({"study_id", "number", "body", "protocol_hash"}),
    "plans": frozenset({"session_id", "study_id"}),
    "accounts": frozenset({"reader_id", "study_id", "password_hash"}),
}
_ROWS = (
    "SELECT session_id, seq, kind, version, boot_id, t_mono_ns, t_utc, body, prev_hash, hash"
    " FROM events ORDER BY session_id, seq"
)


def read_raw(db_or_url: str | Path) -> Inspection:
    """Read the whole log; StoreError when the file is missing, damaged or no study database."""
    engine = make_engine(db_or_url)
    try:
        if engine.dialect.name == "sqlite":
            _must_be_a_file(engine.url.database, db_or_url)
    except StoreError:
        engine.dispose()
        raise
    try:
        with engine.connect() as connection:
            _must_be_tables(connection, db_or_url)
            rows = tuple(RawRow(**row) for row in connection.execute(text(_ROWS)).mappings())
            wrong = wrong_triggers(connection)
            there = set(inspect(connection).get_table_names())
            tables = {
                name: tuple(dict(row) for row in connection.execute(text(f"SELECT * FROM {name}")).mappings())
                if name in there
                else ()
                for name in _TABLES
            }
    except (DBAPIError, sqlite3.Error, ValueError) as error:  # ValueError: damage in what should be text
        said = error.orig if isinstance(error, DBAPIError) else error
        raise StoreError(
            f"Study database {shown(db_or_url)}: could not be read ({said}); restore a backup and compare."
        ) from error
    finally:
        engine.dispose()
    return Inspection(rows=rows, wrong_triggers=wrong, tables=tables)


def _must_be_tables(connection: Connection, named: str | Path) -> None:
    """A view in a table's place may run for ever, and a table without its columns is of another program."""
    found = inspect(connection)
    views = set(found.get_view_names())
    for name, columns in _COLUMNS.items():
        if name in views:
            raise StoreError(
                f"Study database {shown(named)}: expected {name} to be a table, found a view; restore a backup."
            )
        if not found.has_table(name):
            continue
        lacking = sorted(columns - {column["name"] for column in found.get_columns(name)})
        if lacking:
            raise StoreError(
                f"Study database {shown(named)}: expected the column {lacking[0]} in table {name}, found none; restore a"
                " backup."
            )


def _must_be_a_file(database: str | None, named: str | Path) -> None:
    if database is not None and database.startswith("file:"):
        return
    file = Path(database) if database else None
    if file is not None and file.is_file() and file.stat().st_size > 0:
        return
    found = "none"
    if file is not None and file.exists():
        found = "a folder" if file.is_dir() else "an empty file (0 bytes)"
    raise StoreError(f"Study database {named}: expected a database file, found {found}; check the path.")
