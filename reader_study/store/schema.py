"""The tables as they are today. How older files get there is in ``migrations``, what guards them in ``triggers``."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, Table, Text

SCHEMA_VERSION = 2  # the number of the newest revision in ``migrations/versions``

METADATA = MetaData()
# nanoseconds since boot pass 2**31 within seconds; SQLite's INTEGER holds 64 bits whatever it is called
NANOSECONDS = BigInteger().with_variant(Integer(), "sqlite")

EVENTS = Table(
    "events",
    METADATA,
    Column("session_id", Text, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("t_mono_ns", NANOSECONDS, nullable=False),
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
    Column("password_hash", Text, nullable=False),  # "" = cannot sign in yet
    Column("role", Text, nullable=False, server_default="reader"),
    Column("name", Text),  # NULL = as in the protocol
)

# Every frozen version of a protocol, the first one too; append-only.
PROTOCOLS = Table(
    "protocols",
    METADATA,
    Column("study_id", Text, ForeignKey("studies.study_id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("protocol_hash", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("t_utc", Text, nullable=False),
)
