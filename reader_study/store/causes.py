"""What a database's error means to the person at the screen: the cause in words, and what to do about it.

Owns the words only; who raises them is ``event_store`` and ``database``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from sqlalchemy.exc import DBAPIError

# SQLite's names of errors (https://www.sqlite.org/rescode.html); the longest that fits counts.
_SQLITE: Mapping[str, tuple[str, str]] = {
    "SQLITE_FULL": ("the disk is full", "free the disk"),
    "SQLITE_IOERR": (
        "the disk failed",
        "check that the disk is not full and its cable or share is connected",
    ),
    "SQLITE_READONLY": ("the file or its folder is read-only", "make file and folder writable"),
    "SQLITE_CANTOPEN": ("file or folder cannot be written", "make file and folder writable"),
    "SQLITE_PERM": ("access is denied", "make file and folder writable"),
    "SQLITE_BUSY": ("another program is writing to it", "close that program"),
    "SQLITE_LOCKED": ("another program is writing to it", "close that program"),
    "SQLITE_CORRUPT": ("the file is damaged", "stop reading, run verify-log and restore a backup"),
    "SQLITE_NOTADB": ("the file is no database", "stop reading, run verify-log and restore a backup"),
}
# SQLSTATE of PostgreSQL (its manual, appendix A); whole codes before classes of two characters.
_POSTGRESQL: Mapping[str, tuple[str, str]] = {
    "53100": ("the server's disk is full", "free the server's disk"),
    "53300": ("the server takes no more connections", "close another program"),
    "55P03": ("another program is writing to this session", "close that program"),
    "40P01": ("two programs waited for each other", "close one of them"),
    "57P03": ("the server is starting", "wait until it is up"),
    "25006": ("the server is read-only", "connect to the server that takes writes"),
    "25P03": ("the server waited too long for this program", "check the network"),
    "42501": ("access is denied", "ask for the right to write"),
    "28P01": ("user or password is wrong", "check both"),
    "3D000": ("there is no such database", "check its name"),
    "57": ("the server was stopped or restarted", "start it again"),
    "58": ("the server's disk failed", "check the server's disk"),
    "53": ("the server is short of disk, memory or connections", "check the server"),
    "08": ("the connection was lost", "check the network and the server"),
}
_LOST = ("the connection was lost", "check the network and the server")
_UNKNOWN = ("an error of the database", "free the disk or make the file writable")


def cause_of(error: DBAPIError) -> str:
    """Return the cause in words, followed by what the database itself said."""
    words = _words(error)[0]
    return f"{words}: {said(error)}"


def remedy_of(error: DBAPIError) -> str:
    """Return what to do, without a full stop."""
    return _words(error)[1]


def said(error: DBAPIError) -> str:
    """Return the database's own sentence, of PostgreSQL without its many fields."""
    fields = _fields(error)
    return str(fields["M"]) if "M" in fields else str(error.orig)


def _words(error: DBAPIError) -> tuple[str, str]:
    orig = error.orig
    if isinstance(orig, sqlite3.Error):
        name = getattr(orig, "sqlite_errorname", None) or ""
        fitting = [known for known in _SQLITE if str(name).startswith(known)]
        return _SQLITE[max(fitting, key=len)] if fitting else _UNKNOWN
    code = str(_fields(error).get("C", ""))
    if not code:
        return _LOST
    return _POSTGRESQL.get(code) or _POSTGRESQL.get(code[:2]) or _UNKNOWN


def _fields(error: DBAPIError) -> Mapping[str, object]:
    """What PostgreSQL answered, by its letters (C = SQLSTATE, M = message); nothing of other errors."""
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], dict) else {}
