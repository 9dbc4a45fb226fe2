"""Brings a database to today's schema, whatever version made it, and refuses one from the future.

SQLite files carry the number of their revision in ``user_version`` too, so that a program that knows no Alembic table
still refuses what it cannot read.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from reader_study.errors import StoreError
from reader_study.store.schema import SCHEMA_VERSION

_FOLDER = Path(__file__).resolve().parent / "migrations"
_LOCK = 0x4E454741  # any number, the same for every program: one migrates, the others wait


def stored_version(connection: Connection) -> int:
    """Return the number of the database's revision; 0 when it is new."""
    if connection.dialect.name == "sqlite":
        return int(connection.execute(text("PRAGMA user_version")).scalar_one())
    if not inspect(connection).has_table("alembic_version"):
        return 0
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return int(found) if found is not None and str(found).isdecimal() else 0


def bring_up_to_date(connection: Connection, *, version: int = SCHEMA_VERSION) -> None:
    """Run the revisions that are missing, inside the caller's transaction.

    Parameters
    ----------
    version
        where to stop; older than today's only for tests that make old databases.

    Raises
    ------
    StoreError
        A newer program made the database.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    found = stored_version(connection)
    if found > SCHEMA_VERSION:
        raise StoreError(
            f"Database: expected schema {SCHEMA_VERSION} or older, found {found}; open it with a newer version."
        )
    if found >= version:
        return
    _upgrade(connection, found, version)
    if connection.dialect.name == "sqlite":
        connection.execute(text(f"PRAGMA user_version = {version}"))


def _upgrade(connection: Connection, found: int, version: int) -> None:
    from alembic import command  # 0.2 s, paid only where there is something to do
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    if found and not inspect(connection).has_table("alembic_version"):
        command.stamp(config, str(found))  # made before there was a table for it
    command.upgrade(config, str(version))
