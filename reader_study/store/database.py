"""One study database: opens it safely (WAL, full sync), keeps studies and accounts, lends the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from reader_study.domain.events import Event
from reader_study.domain.study import Study
from reader_study.domain.study_json import protocol_hash, study_from_text, study_to_text
from reader_study.errors import StoreError
from reader_study.permissions import Account, Role
from reader_study.ports import EventStore
from reader_study.store import protocols
from reader_study.store.causes import cause_of, remedy_of
from reader_study.store.event_store import SqlEventStore
from reader_study.store.migrate import bring_up_to_date, stored_version
from reader_study.store.postgresql_engine import postgresql_engine
from reader_study.store.protocols import ProtocolVersion
from reader_study.store.schema import (
    ACCOUNTS,
    EVENTS,
    PLANS,
    SCHEMA_VERSION,
    STUDIES,
)
from reader_study.store.sqlite_engine import sqlite_engine


class Database:
    """Studies, accounts and the event log behind one engine; ``close`` lets the file go."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._events = SqlEventStore(engine)
        self._read: dict[str, tuple[str, dict[str, str | None], Study]] = {}  # as last read, by study id

    @classmethod
    def open(cls, path_or_url: str | Path) -> Database:
        """Open or create a study database; same as ``open_database``."""
        return open_database(path_or_url)

    @property
    def events(self) -> EventStore:
        return self._events

    def save_study(self, study: Study, *, audit: Sequence[Event] = ()) -> None:
        """Keep a study and its readers' passwords; StoreError when a begun study would change.

        ``audit``, here and below: the entries that tell of the step, kept with it in one transaction or not at all.
        """
        digest = protocol_hash(study)
        try:
            with self._engine.connect().execution_options(write=True) as connection, connection.begin():
                self._events.keep_within(connection, audit)
                known = connection.execute(
                    select(STUDIES.c.protocol_hash).where(STUDIES.c.study_id == study.study_id)
                ).scalar()
                if known != digest:
                    _refuse_if_begun(connection, study.study_id)
                    if protocols.is_frozen(connection, study.study_id):
                        raise StoreError(
                            f"Study {study.study_id}: its protocol is frozen; save the change as an amendment."
                        )
                    _write_study(connection, study, digest)
                for reader in study.readers:
                    if reader.password_hash is not None:
                        _write_password(connection, study.study_id, reader.reader_id, reader.password_hash)
        except DBAPIError as error:
            raise StoreError(
                f"Study {study.study_id}: could not be saved ({cause_of(error)}); nothing was changed: {remedy_of(error)}, then try again."
            ) from error

    def set_password(self, study_id: str, reader_id: str, password_hash: str) -> None:
        """Replace one reader's password hash; the protocol is not touched."""
        if reader_id not in {reader.reader_id for reader in self.study(study_id).readers}:
            raise StoreError(f"Reader {reader_id}: not in study {study_id}; name one of its readers.")
        try:
            with self._engine.connect().execution_options(write=True) as connection, connection.begin():
                _write_password(connection, study_id, reader_id, password_hash)
        except DBAPIError as error:
            raise StoreError(
                f"Password of {reader_id}: could not be saved ({cause_of(error)}); {remedy_of(error)}, then try again."
            ) from error

    def study(self, study_id: str) -> Study:
        """Return a study with its readers' password hashes; StoreError when there is none of that id."""
        with self._reading(f"Study {study_id}") as connection:
            body = protocols.newest_body(connection, study_id)
            rows = connection.execute(
                select(ACCOUNTS.c.reader_id, ACCOUNTS.c.password_hash).where(ACCOUNTS.c.study_id == study_id)
            ).all()
        if body is None:
            known = ", ".join(self.studies()) or "none"
            raise StoreError(f"Study {study_id}: not in this database (it has: {known}); name one of these.")
        hashes = {row.reader_id: row.password_hash or None for row in rows}
        last = self._read.get(study_id)
        if last is not None and last[:2] == (body, hashes):  # a thousand cases take a while to take apart
            return last[2]
        study = study_from_text(body)
        readers = tuple(replace(one, password_hash=hashes.get(one.reader_id)) for one in study.readers)
        made = replace(study, readers=readers)
        self._read[study_id] = (body, hashes, made)
        return made

    def freeze(
        self, study_id: str, *, made_by: str, made_utc: str, reason: str = "", audit: Sequence[Event] = ()
    ) -> None:
        """Keep a draft as the first frozen version of its protocol; StoreError when it is frozen already."""
        with self._saving(f"Protocol of {study_id}", audit) as connection:
            protocols.freeze(connection, study_id, made_by=made_by, made_utc=made_utc, reason=reason)

    def amend(
        self, study: Study, *, made_by: str, made_utc: str, reason: str, audit: Sequence[Event] = ()
    ) -> None:
        """Keep a new version of a frozen protocol; StudyError when it would change what has been read under it."""
        with self._saving(f"Protocol of {study.study_id}", audit) as connection:
            protocols.amend(connection, study, made_by=made_by, made_utc=made_utc, reason=reason)

    def protocol_versions(self, study_id: str) -> tuple[ProtocolVersion, ...]:
        """Return every frozen version of a protocol, oldest first; none of a draft."""
        with self._reading(f"Protocol of {study_id}") as connection:
            return protocols.versions(connection, study_id)

    def begun_sessions(self, study_id: str) -> frozenset[str]:
        """Return the ids of the study's sessions that have events."""
        with self._reading(f"Study {study_id}") as connection:
            return protocols.begun_sessions(connection, study_id)

    def put_account(self, study_id: str, account: Account, *, audit: Sequence[Event] = ()) -> None:
        """Keep an account of a study, or replace its name, role and password."""
        with self._saving(f"Account {account.account_id}", audit) as connection:
            _write_account(connection, study_id, account)

    def accounts(self, study_id: str) -> tuple[Account, ...]:
        """Return the study's accounts by id; its readers are among them once they have a password."""
        query = select(ACCOUNTS).where(ACCOUNTS.c.study_id == study_id).order_by(ACCOUNTS.c.reader_id)
        names = {reader.reader_id: reader.name for reader in self.study(study_id).readers}
        with self._reading(f"Accounts of {study_id}") as connection:
            return tuple(
                Account(
                    account_id=row.reader_id,
                    name=row.name or names.get(row.reader_id, row.reader_id),
                    role=Role(row.role),
                    password_hash=row.password_hash or None,
                )
                for row in connection.execute(query)
            )

    @contextmanager
    def _reading(self, what: str) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise StoreError(
                f"{what}: could not be read ({cause_of(error)}); {remedy_of(error)}, then try again."
            ) from error

    @contextmanager
    def _saving(self, what: str, audit: Sequence[Event]) -> Iterator[Connection]:
        try:
            with self._engine.connect().execution_options(write=True) as connection, connection.begin():
                self._events.keep_within(connection, audit)
                yield connection
        except DBAPIError as error:
            raise StoreError(
                f"{what}: could not be saved ({cause_of(error)}); nothing was changed: {remedy_of(error)}, then try again."
            ) from error

    def studies(self) -> tuple[str, ...]:
        """Return the ids of all studies, sorted."""
        with self._reading("Database") as connection:
            ids = connection.execute(select(STUDIES.c.study_id).order_by(STUDIES.c.study_id)).scalars()
            return tuple(ids)

    def close(self) -> None:
        self._engine.dispose()


def open_database(path_or_url: str | Path, *, busy_timeout_s: float = 5.0, create: bool = True) -> Database:
    """Open or create a study database.

    Parameters
    ----------
    path_or_url : str or Path
        A file, or a URL (``sqlite:///FILE``, ``postgresql://USER:PASSWORD@HOST/NAME``).
    busy_timeout_s : float
        How long to wait for another program's write, s.
    create : bool
        False = refuse a missing or empty file instead of making a database of it.

    Raises
    ------
    StoreError
        The file cannot be opened, is no study database, or a newer program made it.
    """
    url = _url(path_or_url)
    if not create and url.get_backend_name() == "sqlite" and url.database:
        file = Path(url.database)
        if not file.is_file() or file.stat().st_size == 0:
            found = "a folder" if file.is_dir() else "an empty file" if file.is_file() else "none"
            raise StoreError(
                f"Study database {file}: expected a database file, found {found}; check the path."
            )
    engine = make_engine(path_or_url, busy_timeout_s=busy_timeout_s)
    try:
        with engine.connect() as connection:
            ready = _is_ready(connection)
        if not ready and not create:
            raise StoreError(
                f"Study database {shown(path_or_url)}: expected a study, found none in it; check the path."
            )
        if not ready:
            with engine.connect().execution_options(write=True) as connection, connection.begin():
                bring_up_to_date(connection)
    except DBAPIError as error:
        engine.dispose()
        raise StoreError(
            f"Study database {shown(path_or_url)}: could not be opened ({cause_of(error)});"
            f" {remedy_of(error)}, and check the path."
        ) from error
    except StoreError:
        engine.dispose()
        raise
    return Database(engine)


def make_engine(path_or_url: str | Path, *, busy_timeout_s: float = 5.0) -> Engine:
    """Return an engine whose commits survive a power cut; StoreError for a URL that cannot be served."""
    url = _url(path_or_url)
    if url.get_backend_name() == "sqlite":
        return sqlite_engine(url, busy_timeout_s)
    return postgresql_engine(url, busy_timeout_s)


def shown(path_or_url: str | Path) -> str:
    """A path or URL as it may stand in a sentence: without its password."""
    try:
        return _url(path_or_url).render_as_string() if "://" in str(path_or_url) else str(path_or_url)
    except StoreError:
        return str(path_or_url).split("@")[-1]


def _url(path_or_url: str | Path) -> URL:
    if isinstance(path_or_url, Path) or "://" not in path_or_url:
        return URL.create("sqlite", database=str(path_or_url))
    try:
        url = make_url(path_or_url)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise StoreError(
            "Study database: expected a file, sqlite:///FILE or postgresql://USER@HOST/NAME,"
            f" found {path_or_url.split('://')[0]}://."
        ) from error
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise StoreError(
            "Study database: expected a file, sqlite:///FILE or postgresql://USER@HOST/NAME,"
            f" found {url.get_backend_name()}://."
        )
    return url


def _is_ready(connection: Connection) -> bool:
    return stored_version(connection) == SCHEMA_VERSION


def _refuse_if_begun(connection: Connection, study_id: str) -> None:
    begun = connection.execute(
        select(EVENTS.c.session_id)
        .join(PLANS, PLANS.c.session_id == EVENTS.c.session_id)
        .where(PLANS.c.study_id == study_id)
        .limit(1)
    ).first()
    if begun is not None:
        raise StoreError(
            f"Study {study_id}: it has begun (session {begun.session_id}) and cannot change;"
            " save the amendment as a new study with a new protocol version."
        )


def _insert(connection: Connection) -> Any:
    """The dialect's own INSERT, which knows ON CONFLICT."""
    return sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert


def _write_study(connection: Connection, study: Study, digest: str) -> None:
    body = study_to_text(study)
    put = _insert(connection)(STUDIES).values(study_id=study.study_id, protocol_hash=digest, body=body)
    connection.execute(
        put.on_conflict_do_update(index_elements=["study_id"], set_={"protocol_hash": digest, "body": body})
    )
    connection.execute(PLANS.delete().where(PLANS.c.study_id == study.study_id))
    rows = [{"session_id": plan.session_id, "study_id": study.study_id} for plan in study.plans]
    if rows:
        connection.execute(PLANS.insert(), rows)


def _write_password(connection: Connection, study_id: str, reader_id: str, password_hash: str) -> None:
    put = _insert(connection)(ACCOUNTS).values(
        study_id=study_id, reader_id=reader_id, password_hash=password_hash
    )
    connection.execute(
        put.on_conflict_do_update(
            index_elements=["study_id", "reader_id"], set_={"password_hash": password_hash}
        )
    )


def _write_account(connection: Connection, study_id: str, account: Account) -> None:
    values = {
        "password_hash": account.password_hash or "",
        "role": account.role.value,
        "name": account.name,
    }
    put = _insert(connection)(ACCOUNTS).values(study_id=study_id, reader_id=account.account_id, **values)
    connection.execute(put.on_conflict_do_update(index_elements=["study_id", "reader_id"], set_=values))
