"""One row of a reader's work list: progress, and whether the session may be opened yet (order, gate, washout).

Decides from progress only; ``sessions`` enforces what is said here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from reader_study.clock import from_utc_text, to_utc_text
from reader_study.domain.study import SessionPlan, Study
from reader_study.progress import Progress

SECONDS_A_DAY = 86_400.0


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
    interrupted: bool = False  # a sitting was cut off at least once
    idle_spells: int = 0  # how often no input came beyond the idle threshold
    signed: bool = False
    opens_utc: str | None = None  # ISO 8601 UTC from which the washout is over; None = not waiting for it


def session_status(
    study: Study, plan: SessionPlan, progress: Mapping[str, Progress], utc_now: str
) -> SessionStatus:
    """Return the row of one session.

    Parameters
    ----------
    study, plan
        The session and the study it belongs to.
    progress : mapping of session id to Progress
        Of this reader's sessions.
    utc_now : str
        The calendar time, ISO 8601 UTC; the washout is measured against it (RS-D4).
    """
    mine = progress[plan.session_id]
    waits = None if mine.finished else _waits_for(study, plan, progress, utc_now)
    opens = None if mine.finished else washout_ends(study, plan, progress)
    return SessionStatus(
        session_id=plan.session_id,
        period=plan.period,
        n_done=mine.n_locked,
        n_total=len(plan.entries),
        started=mine.started_utc is not None,
        closed=mine.finished,
        available=not mine.finished and waits is None,
        why_not="every case is read and locked." if mine.finished else waits,
        next_case_id=mine.next_case_id,
        interrupted=mine.recovered > 0,
        idle_spells=mine.idle_spells,
        signed=mine.signed,
        opens_utc=opens,
    )


def washout_ends(study: Study, plan: SessionPlan, progress: Mapping[str, Progress]) -> str | None:
    """Return when the washout is over: counted from the last lock of any other session that shares a case.

    Of a session that has begun only what was read elsewhere since then counts. ISO 8601 UTC; None when nothing was.
    """
    last = _last_read_elsewhere(study, plan, progress)
    if last is None:
        return None
    return to_utc_text(from_utc_text(last) + timedelta(days=study.washout_days))


def _last_read_elsewhere(study: Study, plan: SessionPlan, progress: Mapping[str, Progress]) -> str | None:
    """Whatever the periods are called: an amendment or an override may put a later one before an earlier one."""
    mine, begun = {entry.case_id for entry in plan.entries}, progress[plan.session_id].started_utc
    times = [
        when
        for other in study.plans_of(plan.reader_id)
        if other.session_id != plan.session_id
        if (when := progress[other.session_id].last_locked_utc) is not None
        and (begun is None or when > begun)
        if any(entry.case_id in mine for entry in other.entries)
    ]
    return max(times, default=None)


def _waits_for(study: Study, plan: SessionPlan, progress: Mapping[str, Progress], utc_now: str) -> str | None:
    own = progress[plan.session_id]
    if own.overrides:
        return None
    for other in study.plans_of(plan.reader_id) if own.started_utc is None else ():
        gated = other.period > 0 or study.training.gate
        if other.period < plan.period and gated and not progress[other.session_id].finished:
            return f"period {other.period} comes first; finish it."
    last = _last_read_elsewhere(study, plan, progress)
    if last is None:
        return None
    days = (from_utc_text(utc_now) - from_utc_text(last)).total_seconds() / SECONDS_A_DAY
    if days < study.washout_days:
        return (
            f"washout of {study.washout_days:g} days is not over, {study.washout_days - days:.1f} days are left;"
            " come back then or ask the coordinator."
        )
    return None
