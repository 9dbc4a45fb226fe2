"""SQLite's engine: commits that survive a power cut, and a watch that the file stays the one that was opened.

A file that is deleted, replaced or robbed of its write-ahead log while it is open goes on taking writes that nobody
will ever find. The watch looks before and after each of them, brings to safety what was saved, and refuses the rest.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from reader_study.errors import StoreError

_LOG = logging.getLogger(__name__)

Identity = tuple[int, int]  # device and number of a file


class FileWatch:
    """Knows the file behind one engine, and the write-ahead log behind each of its connections."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._wal = file.with_name(file.name + "-wal")
        self._known: Identity | None = None
        self._seen: tuple[int, int] | None = None  # ``_state`` after the last commit
        self._lost: str | None = None  # the sentence that refuses everything from then on

    def opening(self) -> None:
        """Refuse a connection to another file than the one that was opened first; it would also make a new one."""
        if self._lost is not None:
            raise StoreError(self._lost)
        if self._known is not None and _identity(self._file) != self._known:
            raise StoreError(
                f"Study database {self._file.name}: expected the file that was opened, found"
                f" {self._found()}; close the program and put the file back."
            )

    def opened(self) -> None:
        """Take note of the file once it is open."""
        self._known = self._known or _identity(self._file)

    def check(self, raw: sqlite3.Connection, info: dict[Any, Any], *, after: bool = False) -> None:
        """Look whether file and log are still those of this connection; StoreError says where the data is.

        Parameters
        ----------
        raw
            The connection, outside of a transaction.
        info
            Its own notes, kept as long as it lives.
        after : bool
            A commit has just been done: it stands when it could be brought to safety in the database itself.
        """
        if self._lost is not None:
            raise StoreError(self._lost)
        if self._known is not None and _identity(self._file) != self._known:
            self._lost = self._rescue(raw)
            raise StoreError(self._lost)
        wal = _identity(self._wal)
        if info.setdefault("wal", wal) == wal or info["wal"] is None:
            info["wal"] = wal
            if after:
                self._seen = self._state()
            elif self._overwritten(raw):
                what = f"Study database {self._file.name}: another program wrote over it while it was open"
                self._lost = self._copy(raw, what)
                raise StoreError(self._lost)
            return
        self._lost = self._fold_in(raw)
        if not after:
            raise StoreError(self._lost)
        _LOG.error("%s", self._lost)

    def _state(self) -> tuple[int, int]:
        """When the file was written last, ns, and how long its write-ahead log is, bytes; 0 = there is none."""
        wal = self._wal.stat().st_size if self._wal.exists() else 0
        return self._file.stat().st_mtime_ns, wal

    def _overwritten(self, raw: sqlite3.Connection) -> bool:
        """Whether the file's bytes are no longer this database's, though the file is the same one.

        Looked into only where the file was written since the last commit here, or its log became shorter:
        another study program may do so, too. What a new connection reads must be whole, and what this one sees.
        """
        try:
            written, length = self._state()
        except OSError:
            return False  # told by the caller
        known = self._seen
        if known is None or (written == known[0] and length >= known[1]):
            return False
        end = "SELECT count(*), (SELECT hash FROM events ORDER BY rowid DESC LIMIT 1) FROM events"
        try:
            with closing(sqlite3.connect(f"{self._file.resolve().as_uri()}?mode=ro", uri=True)) as fresh:
                whole = fresh.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
                return not whole or fresh.execute(end).fetchone() != raw.execute(end).fetchone()
        except sqlite3.OperationalError as error:
            _LOG.warning("the database could not be looked into: %s", error)
            # a log that ends too early reads as a failing disk; where it is busy, the step itself will tell
            return str(getattr(error, "sqlite_errorname", "")).startswith("SQLITE_IOERR")
        except sqlite3.DatabaseError:
            return True

    def _found(self) -> str:
        return "another one in its place" if self._file.exists() else "none (it was deleted or moved)"

    def _fold_in(self, raw: sqlite3.Connection) -> str:
        """Move what lies in the deleted write-ahead log into the database."""
        what = f"Study database {self._file.name}: its write-ahead log {self._wal.name} was deleted while it was open"
        try:
            busy, *_ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            busy = str(error)
        if busy:
            return self._copy(raw, what)
        return f"{what}; all that was saved is kept in the database: close the program and start it again."

    def _rescue(self, raw: sqlite3.Connection) -> str:
        what = f"Study database {self._file.name}: expected the file that was opened, found {self._found()}"
        return self._copy(raw, what)

    def _copy(self, raw: sqlite3.Connection, what: str) -> str:
        """Write all that this connection still sees to a new file beside the lost one."""
        target = _free_name(self._file)
        try:
            with closing(sqlite3.connect(target)) as copy:
                raw.backup(copy)
        except (sqlite3.Error, OSError) as error:
            _LOG.error("what was saved could not be copied to %s: %s", target.name, error)
            return f"{what}; what was saved could not be copied ({error}): leave the program open and call for help."
        return (
            f"{what}; all that was saved is kept in {target.name}: close the program, run verify-log on that file"
            " and give it the database's name."
        )


def _identity(file: Path) -> Identity | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _free_name(file: Path) -> Path:
    names = (file.with_name(f"{file.stem}.rescued{number or ''}{file.suffix}") for number in range(1_000_000))
    return next(name for name in names if not name.exists())


def sqlite_engine(url: URL, busy_timeout_s: float) -> Engine:
    """Return the engine of a file; its watch is its execution option ``file_watch``."""
    engine = create_engine(url, connect_args={"timeout": busy_timeout_s})
    in_memory = not url.database or url.database == ":memory:" or url.database.startswith("file:")
    watch = None if in_memory else FileWatch(Path(str(url.database)))
    engine.update_execution_options(file_watch=watch)

    @event.listens_for(engine, "do_connect")
    def _on_do_connect(*_: object) -> None:
        if watch is not None:
            watch.opening()

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        if watch is not None:
            watch.opened()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # IMMEDIATE: the chain's end that is read is the one that is extended.
        write = connection.get_execution_options().get("write", False)
        if write:
            look_at_the_file(connection)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def look_at_the_file(connection: Connection, *, after: bool = False) -> None:
    """Run the watch of a connection's engine, if it has one; see ``FileWatch.check``."""
    watch = connection.get_execution_options().get("file_watch")
    raw: Any = connection.connection.dbapi_connection
    if isinstance(watch, FileWatch) and isinstance(raw, sqlite3.Connection):
        watch.check(raw, connection.info, after=after)
