"""The tables, and the triggers that refuse to change what was once written (RS-A1)."""

from __future__ import annotations

from sqlalchemy import Column, Connection, ForeignKey, Integer, MetaData, Table, Text, text

from reader_study.errors import StoreError

SCHEMA_VERSION = 1

METADATA = MetaData()

EVENTS = Table(
    "events",
    METADATA,
    Column("session_id", Text, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("t_mono_ns", Integer, nullable=False),
    Column("t_utc", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

STUDIES = Table(
    "studies",
    METADATA,
    Column("study_id", Text, primary_key=True),
    Column("protocol_hash", Text, nullable=False),
    Column("body", Text, nullable=False),
)

PLANS = Table(
    "plans",
    METADATA,
    Column("session_id", Text, primary_key=True),
    Column("study_id", Text, ForeignKey("studies.study_id"), nullable=False),
)

ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("study_id", Text, ForeignKey("studies.study_id"), primary_key=True),
    Column("reader_id", Text, primary_key=True),
    Column("password_hash", Text, nullable=False),
)

_BEGUN = (
    "EXISTS (SELECT 1 FROM events JOIN plans ON plans.session_id = events.session_id"
    " WHERE plans.study_id = OLD.study_id)"
)

TRIGGERS: dict[str, str] = {
    "events_refuse_update": (
        "BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END"
    ),
    "events_refuse_delete": (
        "BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END"
    ),
    "studies_refuse_update": (
        f"BEFORE UPDATE ON studies WHEN {_BEGUN} BEGIN SELECT RAISE(ABORT, 'the study has begun'); END"
    ),
    "studies_refuse_delete": (
        f"BEFORE DELETE ON studies WHEN {_BEGUN} BEGIN SELECT RAISE(ABORT, 'the study has begun'); END"
    ),
    "plans_refuse_update": (
        f"BEFORE UPDATE ON plans WHEN {_BEGUN} BEGIN SELECT RAISE(ABORT, 'the study has begun'); END"
    ),
    "plans_refuse_delete": (
        f"BEFORE DELETE ON plans WHEN {_BEGUN} BEGIN SELECT RAISE(ABORT, 'the study has begun'); END"
    ),
}


def stored_version(connection: Connection) -> int:
    """Return the schema version in the file; 0 when it is new."""
    return int(connection.execute(text("PRAGMA user_version")).scalar_one())


def create_schema(connection: Connection) -> None:
    """Make tables and triggers in a new file; StoreError when a newer program made it."""
    found = stored_version(connection)
    if found > SCHEMA_VERSION:
        raise StoreError(
            f"Database: expected schema {SCHEMA_VERSION} or older, found {found};"
            " open it with a newer version."
        )
    if found == SCHEMA_VERSION:
        return
    METADATA.create_all(connection)
    for name, body in TRIGGERS.items():
        connection.execute(text(f"CREATE TRIGGER IF NOT EXISTS {name} {body}"))
    connection.execute(text(f"PRAGMA user_version = {SCHEMA_VERSION}"))
