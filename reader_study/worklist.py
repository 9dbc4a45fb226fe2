"""One row of a reader's work list: progress, and whether the session may be opened yet (order, washout).

Decides from folded records only; ``sessions`` enforces what is said here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reader_study.clock import from_utc_text
from reader_study.domain.reading import Phase, SessionRecord
from reader_study.domain.study import SessionPlan, Study

_SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatus:
    """One row of the reader's work list."""

    session_id: str
    period: int  # 0 = practice
    n_done: int
    n_total: int
    started: bool
    closed: bool  # every case is locked
    available: bool
    why_not: str | None  # a sentence when not available
    next_case_id: str | None  # None when closed


def session_status(
    study: Study, plan: SessionPlan, record_of: Callable[[str], SessionRecord], utc_now: str
) -> SessionStatus:
    """Return the row of one session.

    Parameters
    ----------
    study, plan
        The session and the study it belongs to.
    record_of : callable
        Folded record of a session by its id; asked for this reader's sessions only.
    utc_now : str
        The calendar time, ISO 8601 UTC; the washout is measured against it (RS-D4).
    """
    record = record_of(plan.session_id)
    current = record.current
    why_not = "every case is read and locked."
    waits = None if current is None else _waits_for(study, plan, record_of, utc_now)
    return SessionStatus(
        session_id=plan.session_id,
        period=plan.period,
        n_done=record.index,
        n_total=len(record.readings),
        started=record.phase is not Phase.NEW,
        closed=current is None,
        available=current is not None and waits is None,
        why_not=why_not if current is None else waits,
        next_case_id=None if current is None else current.case_id,
    )


def _waits_for(
    study: Study, plan: SessionPlan, record_of: Callable[[str], SessionRecord], utc_now: str
) -> str | None:
    record = record_of(plan.session_id)
    if record.phase is not Phase.NEW or record.overridden:
        return None
    mine = {entry.case_id for entry in plan.entries}
    for other in study.plans_of(plan.reader_id):
        if other.period >= plan.period:
            continue
        earlier = record_of(other.session_id)
        if not earlier.finished:
            return f"period {other.period} comes first; finish it."
        again = [r.locked_utc for r in earlier.readings if r.case_id in mine and r.locked_utc is not None]
        if not again:
            continue
        last = from_utc_text(max(again))
        days = (from_utc_text(utc_now) - last).total_seconds() / _SECONDS_A_DAY
        if days < study.washout_days:
            return (
                f"washout of {study.washout_days:g} days is not over, {study.washout_days - days:.1f} days are left;"
                " come back then or ask the coordinator."
            )
    return None
