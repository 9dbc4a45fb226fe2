"""How far sessions are, from a handful of kinds of event: quick enough for a work list and a monitor of any size.

Reads no view changes, marks or answers. What may be opened is ``worklist``; the full story of a session is
``domain.reading.fold``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reader_study.domain.events import Event, EventKind, text
from reader_study.domain.study import SessionPlan, Study
from reader_study.ports import EventStore

_K = EventKind
_KINDS = (
    *(_K.SESSION_OPENED, _K.SESSION_RECOVERED, _K.SESSION_CLOSED, _K.OVERRIDE_GRANTED),
    *(_K.READING_LOCKED, _K.IDLE_DETECTED, _K.SESSION_SIGNED),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One session: what is locked since when (case id to ISO 8601 UTC), and its flags."""

    plan: SessionPlan
    locked: Mapping[str, str] = field(default_factory=dict)
    started_utc: str | None = None  # None = not begun
    last_utc: str | None = None  # of the kinds of event that are read here
    is_open: bool = False  # a sitting goes on, or was cut off
    recovered: int = 0
    idle_spells: int = 0
    overrides: int = 0
    signed: bool = False

    @property
    def finished(self) -> bool:
        return len(self.locked) >= len(self.plan.entries)

    @property
    def next_case_id(self) -> str | None:
        """The case where the session stands; None when every case is locked."""
        return None if self.finished else self.plan.entries[len(self.locked)].case_id


def read_progress(
    study: Study, store: EventStore, plans: Sequence[SessionPlan] | None = None
) -> dict[str, Progress]:
    """Return the progress of sessions by id, of all the study's when ``plans`` is not given."""
    wanted = study.plans if plans is None else plans
    events = store.read_kinds(_KINDS, [plan.session_id for plan in wanted])
    mine: dict[str, list[Event]] = {}
    for event in events:
        mine.setdefault(event.session_id, []).append(event)
    return {plan.session_id: _progress(plan, mine.get(plan.session_id, ())) for plan in wanted}


def _progress(plan: SessionPlan, events: Iterable[Event]) -> Progress:
    locked: dict[str, str] = {}
    counts: dict[EventKind, int] = {}
    started: str | None = None
    last: str | None = None
    is_open = False
    for event in events:
        counts[event.kind] = counts.get(event.kind, 0) + 1
        last = event.t_utc
        if event.kind is _K.READING_LOCKED:
            locked[text(event.body, "case_id")] = event.t_utc
        elif event.kind in {_K.SESSION_OPENED, _K.SESSION_RECOVERED}:
            started, is_open = started or event.t_utc, True
        elif event.kind is _K.SESSION_CLOSED:
            is_open = False
    return Progress(
        plan=plan,
        locked=locked,
        started_utc=started,
        last_utc=last,
        is_open=is_open,
        recovered=counts.get(_K.SESSION_RECOVERED, 0),
        idle_spells=counts.get(_K.IDLE_DETECTED, 0),
        overrides=counts.get(_K.OVERRIDE_GRANTED, 0),
        signed=_K.SESSION_SIGNED in counts,
    )
