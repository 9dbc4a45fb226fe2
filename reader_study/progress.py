"""How far sessions are, from counts of a few kinds of event: quick for a work list and a monitor of any size.

Reads no event. What may be opened is ``worklist``; the full story of a session is ``domain.reading.fold``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reader_study.domain.events import EventKind
from reader_study.domain.study import SessionPlan, Study
from reader_study.ports import EventStore, KindCount

_K = EventKind
_KINDS = (
    *(_K.SESSION_OPENED, _K.SESSION_RECOVERED, _K.SESSION_CLOSED, _K.OVERRIDE_GRANTED),
    *(_K.READING_LOCKED, _K.IDLE_DETECTED, _K.SESSION_SIGNED),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One session: how many cases are locked, and its flags. Times are ISO 8601 UTC; None = not yet."""

    plan: SessionPlan
    n_locked: int = 0
    last_locked_utc: str | None = None
    started_utc: str | None = None
    last_utc: str | None = None  # of the kinds of event that are counted here
    is_open: bool = False  # a sitting goes on, or was cut off
    recovered: int = 0
    idle_spells: int = 0
    overrides: int = 0
    signed: bool = False

    @property
    def finished(self) -> bool:
        return self.n_locked >= len(self.plan.entries)

    @property
    def next_case_id(self) -> str | None:
        """The case where the session stands; None when every case is locked."""
        return None if self.finished else self.plan.entries[self.n_locked].case_id


def read_progress(
    study: Study, store: EventStore, plans: Sequence[SessionPlan] | None = None
) -> dict[str, Progress]:
    """Return the progress of sessions by id, of all the study's when ``plans`` is not given."""
    wanted = study.plans if plans is None else plans
    mine: dict[str, dict[EventKind, KindCount]] = {}
    for one in store.count_kinds(_KINDS, [plan.session_id for plan in wanted]):
        mine.setdefault(one.session_id, {})[one.kind] = one
    return {plan.session_id: _progress(plan, mine.get(plan.session_id, {})) for plan in wanted}


def _progress(plan: SessionPlan, kinds: Mapping[EventKind, KindCount]) -> Progress:
    def count(kind: EventKind) -> int:
        return kinds[kind].count if kind in kinds else 0

    locked, opened = kinds.get(_K.READING_LOCKED), kinds.get(_K.SESSION_OPENED)
    return Progress(
        plan=plan,
        n_locked=count(_K.READING_LOCKED),
        last_locked_utc=None if locked is None else locked.last_utc,
        started_utc=None if opened is None else opened.first_utc,
        last_utc=max((one.last_utc for one in kinds.values()), default=None),
        is_open=count(_K.SESSION_OPENED) > count(_K.SESSION_CLOSED),
        recovered=count(_K.SESSION_RECOVERED),
        idle_spells=count(_K.IDLE_DETECTED),
        overrides=count(_K.OVERRIDE_GRANTED),
        signed=_K.SESSION_SIGNED in kinds,
    )
