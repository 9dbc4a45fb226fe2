"""What the study side asks of the outside: a clock and a place that keeps events; and the store in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from reader_study.clock import Mark
from reader_study.domain.events import GENESIS, Event, EventKind
from reader_study.errors import StoreError


class Clock(Protocol):
    """Two clocks: durations from the monotonic one within one ``boot_id``, the calendar from UTC."""

    @property
    def boot_id(self) -> str: ...

    def monotonic_ns(self) -> int: ...

    def utc_now(self) -> str: ...

    def mark(self) -> Mark: ...

    def first_mark(self) -> Mark: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """What is known of the calendar beside this computer's clock; ISO 8601 UTC."""

    server_utc: str | None  # None = the events lie on no server
    latest_utc: str | None  # newest beginning or end of a sitting, of any station; None = there is none


# Few enough to be counted at every look at a work list, and a sitting lasts no day.
CALENDAR_KINDS = (EventKind.SESSION_OPENED, EventKind.SESSION_RECOVERED, EventKind.SESSION_CLOSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a session's chain ends: how many events, and the hash of the last."""

    count: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KindCount:
    """How often a kind of event is in a session, and the calendar times of the first and last (ISO 8601 UTC)."""

    session_id: str
    kind: EventKind
    count: int
    first_utc: str
    last_utc: str


class SavedAfterAll(StoreError):
    """An append that was reported as failed had reached the log: ``events`` are what it wrote."""

    def __init__(self, events: Sequence[Event]) -> None:
        first = events[0]
        super().__init__(
            f"Session {first.session_id}: the earlier step was saved after all; look at the screen and go on."
        )
        self.events = tuple(events)


class EventStore(Protocol):
    """An append-only place for sealed events, one chain a session."""

    def append(self, events: Sequence[Event], expected_seq: int) -> None:
        """Keep all events or none; StoreError unless the session now ends at ``expected_seq``.

        SavedAfterAll when events whose saving could not be confirmed before are in the log: nothing of this call is.
        """
        ...

    def read(self, session_id: str) -> tuple[Event, ...]: ...

    def read_kinds(
        self, kinds: Sequence[EventKind], session_ids: Sequence[str] | None = None
    ) -> tuple[Event, ...]:
        """Events of some kinds only, by session and number, without walking the rest; None = of every session."""
        ...

    def count_kinds(
        self, kinds: Sequence[EventKind], session_ids: Sequence[str] | None = None
    ) -> tuple[KindCount, ...]:
        """Count some kinds of event without reading them; None = of every session."""
        ...

    def heads(self) -> Mapping[str, Head]: ...

    def calendar(self) -> Calendar: ...


def check_follows(events: Sequence[Event], expected_seq: int, head: Head) -> None:
    """Raise StoreError unless ``events`` continue a chain that ends at ``head``."""
    first = events[0]
    if any(event.session_id != first.session_id for event in events):
        raise StoreError("Event log: expected the events of one session in one append, found several.")
    if head.count != expected_seq or first.seq != expected_seq + 1 or first.prev_hash != head.hash:
        raise StoreError(
            f"Session {first.session_id}: expected the log to end at event {expected_seq},"
            f" found {head.count}:"
            " the session is open elsewhere; close it there and open it again."
        )


class MemoryEventStore:
    """Keeps events in memory; for tests, simulation and practice without a file."""

    def __init__(self) -> None:
        self._sessions: dict[str, list[Event]] = {}

    def append(self, events: Sequence[Event], expected_seq: int) -> None:
        if not events:
            return
        kept = self._sessions.get(events[0].session_id, [])
        check_follows(events, expected_seq, _head(kept))
        self._sessions[events[0].session_id] = [*kept, *events]

    def read(self, session_id: str) -> tuple[Event, ...]:
        return tuple(self._sessions.get(session_id, ()))

    def read_kinds(
        self, kinds: Sequence[EventKind], session_ids: Sequence[str] | None = None
    ) -> tuple[Event, ...]:
        wanted = sorted(self._sessions if session_ids is None else set(session_ids))
        asked = frozenset(kinds)
        return tuple(event for one in wanted for event in self.read(one) if event.kind in asked)

    def count_kinds(
        self, kinds: Sequence[EventKind], session_ids: Sequence[str] | None = None
    ) -> tuple[KindCount, ...]:
        times: dict[tuple[str, EventKind], list[str]] = {}
        for event in self.read_kinds(kinds, session_ids):
            times.setdefault((event.session_id, event.kind), []).append(event.t_utc)
        return tuple(
            KindCount(session_id=s, kind=kind, count=len(all_), first_utc=min(all_), last_utc=max(all_))
            for (s, kind), all_ in times.items()
        )

    def calendar(self) -> Calendar:
        times = [event.t_utc for event in self.read_kinds(CALENDAR_KINDS)]
        return Calendar(server_utc=None, latest_utc=max(times, default=None))

    def heads(self) -> Mapping[str, Head]:
        return {session_id: _head(events) for session_id, events in sorted(self._sessions.items())}


def _head(events: Sequence[Event]) -> Head:
    return Head(count=len(events), hash=events[-1].hash if events else GENESIS)
