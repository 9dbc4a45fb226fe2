"""The append-only log in the database: all events of one call or none, checked against the chain's end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Engine, Row, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from reader_study.domain.events import GENESIS, Event, EventKind, canonical, known_kind
from reader_study.errors import StoreError
from reader_study.ports import Head, KindCount, check_follows
from reader_study.store.schema import EVENTS


class SqlEventStore:
    """Events of every session in one table; ``append`` returns after the commit is on disk."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def append(self, events: Sequence[Event], expected_seq: int) -> None:
        if not events:
            return
        session_id = events[0].session_id
        rows = [_to_row(event) for event in events]
        last = select(EVENTS.c.seq, EVENTS.c.hash).where(EVENTS.c.session_id == session_id)
        try:
            with self._engine.connect().execution_options(write=True) as connection, connection.begin():
                if connection.dialect.name == "postgresql":
                    # one writer a session: the chain's end that is read is the one that is extended
                    lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:session, 0))")
                    connection.execute(lock, {"session": session_id})
                found = connection.execute(last.order_by(EVENTS.c.seq.desc()).limit(1)).first()
                head = (
                    Head(count=0, hash=GENESIS) if found is None else Head(count=found.seq, hash=found.hash)
                )
                check_follows(events, expected_seq, head)
                connection.execute(insert(EVENTS), rows)
        except DBAPIError as error:
            raise StoreError(
                f"Session {session_id}: the last step could not be saved ({error.orig}); nothing was changed:"
                " free the disk or make the file writable, then try again."
            ) from error

    def read(self, session_id: str) -> tuple[Event, ...]:
        query = select(EVENTS).where(EVENTS.c.session_id == session_id).order_by(EVENTS.c.seq)
        try:
            with self._engine.connect() as connection:
                return tuple(_to_event(row) for row in connection.execute(query))
        except DBAPIError as error:
            raise StoreError(
                f"Session {session_id}: the log could not be read ({error.orig});"
                " run verify-log on the database."
            ) from error

    def read_kinds(
        self, kinds: Sequence[EventKind], session_ids: Sequence[str] | None = None
    ) -> tuple[Event, ...]:
        query = select(EVENTS).where(EVENTS.c.kind.in_([kind.value for kind in kinds]))
        if session_ids is not None:
            query = query.where(EVENTS.c.session_id.in_(session_ids))
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(query.order_by(EVENTS.c.session_id, EVENTS.c.seq))
                return tuple(_to_event(row) for row in rows)
        except DBAPIError as error:
            raise StoreError(
                f"Event log: could not be read ({error.orig}); run verify-log on the database."
            ) from error

    def count_kinds(
        self, kinds: Sequence[EventKind], session_ids: Sequence[str] | None = None
    ) -> tuple[KindCount, ...]:
        # every column of it is in the index events_by_kind: no row is touched
        columns = (EVENTS.c.session_id, EVENTS.c.kind)
        query = select(
            *columns, func.count().label("n"), func.min(EVENTS.c.t_utc), func.max(EVENTS.c.t_utc)
        ).where(EVENTS.c.kind.in_([kind.value for kind in kinds]))
        if session_ids is not None:
            query = query.where(EVENTS.c.session_id.in_(session_ids))
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(query.group_by(*columns)).all()
        except DBAPIError as error:
            raise StoreError(
                f"Event log: could not be read ({error.orig}); run verify-log on the database."
            ) from error
        return tuple(
            KindCount(session_id=session, kind=EventKind(kind), count=int(n), first_utc=first, last_utc=last)
            for session, kind, n, first, last in rows
        )

    def heads(self) -> Mapping[str, Head]:
        ends = select(EVENTS.c.session_id, func.max(EVENTS.c.seq).label("seq")).group_by(EVENTS.c.session_id)
        end = ends.subquery()
        query = select(EVENTS.c.session_id, EVENTS.c.seq, EVENTS.c.hash).join(
            end, (EVENTS.c.session_id == end.c.session_id) & (EVENTS.c.seq == end.c.seq)
        )
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(query.order_by(EVENTS.c.session_id)).all()
        except DBAPIError as error:
            raise StoreError(
                f"Event log: could not be read ({error.orig}); run verify-log on the database."
            ) from error
        return {row.session_id: Head(count=row.seq, hash=row.hash) for row in rows}


def _to_row(event: Event) -> dict[str, object]:
    return {
        "session_id": event.session_id,
        "seq": event.seq,
        "kind": event.kind.value,
        "version": event.version,
        "boot_id": event.boot_id,
        "t_mono_ns": event.t_mono_ns,
        "t_utc": event.t_utc,
        "body": canonical(event.body),
        "prev_hash": event.prev_hash,
        "hash": event.hash,
    }


def _to_event(row: Row[tuple[object, ...]]) -> Event:
    try:
        body = json.loads(row.body)
    except ValueError as error:
        raise StoreError(
            f"Session {row.session_id}, event {row.seq}: expected JSON, found damage;"
            " run verify-log on the database."
        ) from error
    return Event(
        seq=row.seq,
        session_id=row.session_id,
        kind=known_kind(row.kind, row.version),
        version=row.version,
        boot_id=row.boot_id,
        t_mono_ns=row.t_mono_ns,
        t_utc=row.t_utc,
        body=body,
        prev_hash=row.prev_hash,
        hash=row.hash,
    )
