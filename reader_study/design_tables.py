"""Tables of the design as it was carried out: actual washout, allocation, and the audit list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from reader_study.audit import audit_list
from reader_study.clock import from_utc_text
from reader_study.domain.events import canonical
from reader_study.domain.reading import SessionRecord
from reader_study.domain.study import Study
from reader_study.ports import EventStore
from reader_study.table_columns import ALLOCATION, AUDIT, WASHOUT, TidyTable
from reader_study.worklist import SECONDS_A_DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class WashoutSummary:
    """Actual intervals between two reads of a case by a reader, d (RS-D4); None = no case was read twice."""

    pairs: int
    min_days: float | None
    median_days: float | None
    below_rule: int
    overridden: int


class WashoutFold:
    """Collects sessions and pairs a reader's reads of the same case, each with the one before it."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._records: list[SessionRecord] = []

    def add(self, record: SessionRecord) -> None:
        self._records.append(record)

    def table(self) -> TidyTable:
        """Return the pairs by reader and case, in the order of reading."""
        made = TidyTable(name="washout", columns=WASHOUT)
        practice = {case.case_id for case in self._study.cases if case.practice}
        reads: dict[tuple[str, str], list[tuple[str, str, str, bool]]] = {}
        for record in self._records:
            for reading in record.readings:
                if reading.locked_utc is not None and reading.case_id not in practice:
                    row = (reading.locked_utc, record.plan.session_id, reading.arm_id, record.overridden)
                    reads.setdefault((record.plan.reader_id, reading.case_id), []).append(row)
        for (reader_id, case_id), times in sorted(reads.items()):
            times.sort()
            for (when, session, arm, _), (again, later, other, overridden) in pairwise(times):
                gap = from_utc_text(again) - from_utc_text(when)
                days = gap.total_seconds() / SECONDS_A_DAY
                below = days < self._study.washout_days
                ids = (self._study.study_id, reader_id, case_id)
                made.add(*ids, session, arm, later, other, round(days, 4), below, overridden)
        return made


def washout_summary(table: TidyTable) -> WashoutSummary:
    """Return least and median interval of a washout table."""
    at = {column.name: i for i, column in enumerate(table.columns)}
    days = [float(row[at["interval_days"]] or 0.0) for row in table.rows]
    return WashoutSummary(
        pairs=len(days),
        min_days=min(days) if days else None,
        median_days=median(days) if days else None,
        below_rule=sum(bool(row[at["below_rule"]]) for row in table.rows),
        overridden=sum(bool(row[at["overridden"]]) for row in table.rows),
    )


def allocation_table(study: Study) -> TidyTable:
    """Return who reads what in which arm and order."""
    made = TidyTable(name="allocation", columns=ALLOCATION)
    practice = {case.case_id for case in study.cases if case.practice}
    for plan in sorted(study.plans, key=lambda one: one.session_id):
        for position, entry in enumerate(plan.entries, start=1):
            key = (study.study_id, plan.session_id, plan.reader_id, plan.period, position)
            made.add(*key, entry.case_id, entry.arm_id, entry.first_arm_id, entry.case_id in practice)
    return made


def audit_table(study: Study, store: EventStore) -> TidyTable:
    """Return what coordinators and others did to the study."""
    made = TidyTable(name="audit", columns=AUDIT)
    for entry in audit_list(store, study.study_id):
        made.add(
            study.study_id,
            entry.number,
            entry.when,
            entry.who,
            entry.role,
            entry.action.value,
            entry.subject,
            _json(entry.old),
            _json(entry.new),
            entry.why,
            entry.hash,
        )
    return made


def _json(value: Mapping[str, object] | None) -> str | None:
    return None if value is None else canonical(value)
