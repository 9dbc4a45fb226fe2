"""The append-only log in the database: all events of one call or none, checked against the chain's end."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Engine, Row, func, insert, literal, select, text
from sqlalchemy.exc import DBAPIError, DisconnectionError

from reader_study.clock import to_utc_text
from reader_study.domain.events import GENESIS, Event, EventKind, canonical, known_kind
from reader_study.errors import StoreError
from reader_study.ports import CALENDAR_KINDS, Calendar, Head, KindCount, SavedAfterAll, check_follows
from reader_study.store.causes import cause_of, remedy_of
from reader_study.store.postgresql_engine import within
from reader_study.store.schema import EVENTS, PLANS
from reader_study.store.sqlite_engine import look_at_the_file
from reader_study.store.view_body import ViewBody

_LOG = logging.getLogger(__name__)
# What a locked study takes no more; leaving a case and closing the session stay possible.
_READING = frozenset(
    {EventKind.SESSION_OPENED, EventKind.SESSION_RECOVERED, EventKind.CASE_OPENED, EventKind.OVERRIDE_GRANTED}
    | {EventKind.PROVISIONAL_SUBMITTED, EventKind.ASSESSMENT_SUBMITTED, EventKind.ASSESSMENT_AMENDED}
    | {EventKind.SESSION_SIGNED}
)
SAVE_SHARE = 0.7  # of the busy timeout, for the saving itself; the rest is for finding out what became of it


class SqlEventStore:
    """Events of every session in one table; ``append`` returns after the commit is on disk.

    Where the connection is lost before the server's answer to a commit, it looks into the log whether the commit was
    done. What cannot be found out at once is remembered, and looked up before the session's next step.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._unsure: dict[str, tuple[Event, ...]] = {}  # by session: sent, and never answered
        options = engine.get_execution_options()
        self._busy_s = float(options.get("busy_timeout_s", 5.0))

    def append(self, events: Sequence[Event], expected_seq: int) -> None:
        if not events:
            return
        session_id = events[0].session_id
        try:
            with within(self._busy_s):
                with within(self._busy_s * SAVE_SHARE):
                    lost = self._try(events, expected_seq)
                if lost is None or self._was_saved(session_id):
                    return
        except DBAPIError as error:
            raise _not_saved(session_id, error) from error
        if session_id in self._unsure:
            raise StoreError(
                f"Session {session_id}: expected the database to confirm the last step, found no answer"
                f" ({cause_of(lost)}); {remedy_of(lost)}, then try again: it is kept once, whether it arrived or not."
            ) from lost
        raise _not_saved(session_id, lost) from lost

    def keep_within(self, connection: Connection, events: Sequence[Event]) -> None:
        """Append events of one chain inside the caller's writing transaction: with what they tell of, or not at all."""
        if events:
            check_follows(events, events[0].seq - 1, self._head_under_lock(connection, events[0].session_id))
            connection.execute(insert(EVENTS), [to_row(event) for event in events])

    def _try(self, events: Sequence[Event], expected_seq: int) -> DBAPIError | None:
        """Write the events; the error where the connection was lost and the outcome is unknown."""
        session_id, sent = events[0].session_id, False
        rows = [to_row(event) for event in events]
        try:
            with self._engine.connect().execution_options(write=True) as connection:
                with connection.begin():
                    head = self._head_under_lock(connection, session_id)
                    self._recall(session_id, head)
                    check_follows(events, expected_seq, head)
                    _must_be_unlocked(connection, events)
                    sent = True
                    connection.execute(insert(EVENTS), rows)
                look_at_the_file(connection, after=True)
        except DBAPIError as error:
            if not (sent and error.connection_invalidated):
                raise
            self._unsure[session_id] = tuple(events)
            return error
        return None

    def _recall(self, session_id: str, head: Head) -> None:
        """Forget what was remembered of a session; SavedAfterAll when it is in the log."""
        unsure = self._unsure.get(session_id)
        if unsure is None:
            return
        del self._unsure[session_id]
        if head == Head(count=unsure[-1].seq, hash=unsure[-1].hash):
            raise SavedAfterAll(unsure)

    def _was_saved(self, session_id: str) -> bool:
        """Look on a new connection whether the remembered events arrived; False and still remembered = unknown."""
        try:
            with self._engine.connect().execution_options(write=True) as connection, connection.begin():
                self._recall(session_id, self._head_under_lock(connection, session_id))
        except SavedAfterAll:
            return True
        except (DBAPIError, DisconnectionError, OSError):
            _LOG.warning("session %s: whether the last step was saved is not known yet", session_id)
        return False

    def _head_under_lock(self, connection: Connection, session_id: str) -> Head:
        """Return the chain's end, which nobody else can move until this transaction is over.

        The lock waits for a commit that is still under way on a connection that was lost, so what is found is final;
        a server that hears nothing more from a program gives its lock back soon, or one cut would lock the session.
        """
        if connection.dialect.name == "postgresql":
            patience = f"{round(self._busy_s * 400)}ms"
            lock = text(
                "SELECT set_config('idle_in_transaction_session_timeout', :patience, true),"
                " pg_advisory_xact_lock(hashtextextended(:session, 0))"
            )
            connection.execute(lock, {"patience": patience, "session": session_id})
        last = select(EVENTS.c.seq, EVENTS.c.hash).where(EVENTS.c.session_id == session_id)
        found = connection.execute(last.order_by(EVENTS.c.seq.desc()).limit(1)).first()
        return Head(count=0, hash=GENESIS) if found is None else Head(count=found.seq, hash=found.hash)

    def read(self, session_id: str) -> tuple[Event, ...]:
        query = select(EVENTS).where(EVENTS.c.session_id == session_id).order_by(EVENTS.c.seq)
        try:
            with self._engine.connect() as connection:
                return tuple(_to_event(row) for row in connection.execute(query))
        except DBAPIError as error:
            raise StoreError(
                f"Session {session_id}: the log could not be read ({cause_of(error)});"
                f" {remedy_of(error)}, then run verify-log on the database."
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
                f"Event log: could not be read ({cause_of(error)}); {remedy_of(error)}, then run verify-log."
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
                f"Event log: could not be read ({cause_of(error)}); {remedy_of(error)}, then run verify-log."
            ) from error
        return tuple(
            KindCount(session_id=session, kind=EventKind(kind), count=int(n), first_utc=first, last_utc=last)
            for session, kind, n, first, last in rows
        )

    def calendar(self) -> Calendar:
        kinds = [kind.value for kind in CALENDAR_KINDS]
        query = select(func.max(EVENTS.c.t_utc)).where(
            EVENTS.c.kind.in_(kinds)
        )  # inside the index events_by_kind
        try:
            with self._engine.connect() as connection:
                latest = connection.execute(query).scalar()
                server = None
                if connection.dialect.name == "postgresql":
                    server = to_utc_text(connection.execute(text("SELECT clock_timestamp()")).scalar_one())
        except DBAPIError as error:
            raise StoreError(
                f"Event log: could not be read ({cause_of(error)}); {remedy_of(error)}, then try again."
            ) from error
        return Calendar(server_utc=server, latest_utc=latest)

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
                f"Event log: could not be read ({cause_of(error)}); {remedy_of(error)}, then run verify-log."
            ) from error
        return {row.session_id: Head(count=row.seq, hash=row.hash) for row in rows}


def _must_be_unlocked(connection: Connection, events: Sequence[Event]) -> None:
    """StoreError once the study is locked, also by another station while the session goes on here (RS-A4)."""
    if not any(event.kind in _READING for event in events):
        return
    locked = (
        select(PLANS.c.study_id)
        .join(EVENTS, EVENTS.c.session_id == literal("audit.").concat(PLANS.c.study_id))
        .where(PLANS.c.session_id == events[0].session_id, EVENTS.c.kind == EventKind.STUDY_LOCKED.value)
    )
    study_id = connection.execute(locked.limit(1)).scalar()
    if study_id is not None:
        raise StoreError(f"Study {study_id} is locked; nothing more is read in it: tell the coordinator.")


def _not_saved(session_id: str, error: DBAPIError) -> StoreError:
    return StoreError(
        f"Session {session_id}: the last step could not be saved ({cause_of(error)}); nothing was changed:"
        f" {remedy_of(error)}, then try again."
    )


def to_row(event: Event) -> dict[str, object]:
    """Return an event as it lies in the table."""
    return {
        "session_id": event.session_id,
        "seq": event.seq,
        "kind": event.kind.value,
        "version": event.version,
        "boot_id": event.boot_id,
        "t_mono_ns": event.t_mono_ns,
        "t_utc": event.t_utc,
        "body": canonical(event.body if isinstance(event.body, dict) else dict(event.body)),
        "prev_hash": event.prev_hash,
        "hash": event.hash,
    }


def _to_event(row: Row[tuple[object, ...]]) -> Event:
    try:
        body = ViewBody(row.body) if row.kind == EventKind.VIEW_CHANGED else json.loads(row.body)
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
