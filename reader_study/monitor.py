"""What a coordinator sees while a study runs: every session's progress and flags, and the balance of the allocation.

Counts and times only: no answers, no truth, nobody's reading order.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from reader_study.domain.study import Study
from reader_study.ports import EventStore
from reader_study.progress import read_progress
from reader_study.worklist import session_status


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorRow:
    """One session of one reader; times are ISO 8601 UTC, None = not yet."""

    session_id: str
    reader_id: str
    reader_name: str
    group: str
    period: int  # 0 = practice
    n_done: int
    n_total: int
    started_utc: str | None
    last_utc: str | None
    interrupted: int  # how often a sitting was cut off
    idle_spells: int
    overrides: int
    signed: bool
    opens_utc: str | None  # when the washout is over
    why_not: str | None  # why it cannot be opened now


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceRow:
    """Cases of one stratum in one arm and period: least and most over the readers."""

    period: int
    arm_id: str
    stratum: str
    least: int
    most: int


def monitor(study: Study, store: EventStore, utc_now: str) -> tuple[MonitorRow, ...]:
    """Return one row a session, by reader and period."""
    progress = read_progress(study, store)
    rows = []
    for reader in study.readers:
        for plan in study.plans_of(reader.reader_id):
            mine, status = progress[plan.session_id], session_status(study, plan, progress, utc_now)
            rows.append(
                MonitorRow(
                    session_id=plan.session_id,
                    reader_id=reader.reader_id,
                    reader_name=reader.name,
                    group=reader.group,
                    period=plan.period,
                    n_done=status.n_done,
                    n_total=status.n_total,
                    started_utc=mine.started_utc,
                    last_utc=mine.last_utc,
                    interrupted=mine.recovered,
                    idle_spells=mine.idle_spells,
                    overrides=mine.overrides,
                    signed=mine.signed,
                    opens_utc=status.opens_utc,
                    why_not=status.why_not,
                )
            )
    return tuple(rows)


def balance(study: Study) -> tuple[BalanceRow, ...]:
    """Return how evenly strata fall to arms and periods, practice left out."""
    stratum = {case.case_id: case.stratum for case in study.cases}
    of_reader: dict[str, Counter[tuple[int, str, str]]] = {one.reader_id: Counter() for one in study.readers}
    for plan in study.plans:
        if plan.period > 0:
            of_reader[plan.reader_id].update(
                (plan.period, entry.arm_id, stratum[entry.case_id]) for entry in plan.entries
            )
    keys = sorted({key for counts in of_reader.values() for key in counts})
    return tuple(
        BalanceRow(
            period=key[0],
            arm_id=key[1],
            stratum=key[2],
            least=min(counts[key] for counts in of_reader.values()),
            most=max(counts[key] for counts in of_reader.values()),
        )
        for key in keys
    )
