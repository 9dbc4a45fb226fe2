"""Turns the log into tidy tables: sessions, readings, findings, times, coverage, AI, washout. Rebuildable any time.

Each table is a tuple of columns (``table_columns``) and rows of plain values. Writing them is ``export.py``. Practice
cases are left out of every table but sessions and allocation (RS-T1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from reader_study.coverage import coverage_of
from reader_study.design_tables import WashoutFold, allocation_table, audit_table
from reader_study.domain.assessment import Assessment, BreastAssessment, Finding, finding_from_json
from reader_study.domain.events import Event, EventKind, mapping, text
from reader_study.domain.reading import Reading, SessionRecord, State, fold
from reader_study.domain.study import SessionPlan, Study
from reader_study.domain.study_json import protocol_hash
from reader_study.exposure import exposures
from reader_study.measurement_table import MEASUREMENTS, measurement_values
from reader_study.ports import EventStore
from reader_study.stages import clock_gaps, stage_dwell
from reader_study.table_columns import (
    AI_SCORES,
    CLOCK,
    COVERAGE,
    EXPOSURE,
    FINDINGS,
    READINGS,
    SESSIONS,
    STAGES,
    TIMES,
    Column,
    TidyTable,
    Value,
)
from reader_study.timing import Times, break_seconds, provisional_times, reading_times
from resources.vocabulary import Laterality

__all__ = ["FINDINGS", "READINGS", "Column", "TidyTable", "Value", "build_tables"]


class Key(NamedTuple):
    """What every row of a reading begins with."""

    study_id: str
    session_id: str
    reader_id: str
    period: int
    position: int
    case_id: str
    arm_id: str


def build_tables(
    study: Study, store: EventStore, *, folded: Callable[[SessionRecord], object] | None = None
) -> tuple[TidyTable, ...]:
    """Fold the whole log of a study into its tables; the same log gives the same rows in the same order.

    ``folded`` is handed every session as it is folded, for those who want more of it than the tables hold.
    """
    cases = {case.case_id: case for case in study.cases}
    sessions = TidyTable(name="sessions", columns=SESSIONS)
    readings = TidyTable(name="readings", columns=READINGS)
    findings = TidyTable(name="findings", columns=FINDINGS)
    times = TidyTable(name="times", columns=TIMES)
    coverage = TidyTable(name="coverage", columns=COVERAGE)
    ai_scores = TidyTable(name="ai_scores", columns=AI_SCORES)
    measurements = TidyTable(name="measurements", columns=MEASUREMENTS)
    exposure = TidyTable(name="exposure", columns=EXPOSURE)
    stages = TidyTable(name="stages", columns=STAGES)
    clock = TidyTable(name="clock", columns=CLOCK)
    washout = WashoutFold(study)
    digest = protocol_hash(study)
    for plan in sorted(study.plans, key=lambda one: one.session_id):
        events = store.read(plan.session_id)
        record = fold(study, plan, events)
        washout.add(record)
        if folded is not None:
            folded(record)
        sessions.add(*_session_row(study, record, events), digest)
        by_case = _by_case(events)
        for position, reading in enumerate(record.readings, start=1):
            case = cases[reading.case_id]
            if reading.state is not State.LOCKED or case.practice:
                continue
            key = Key(
                study.study_id,
                plan.session_id,
                plan.reader_id,
                plan.period,
                position,
                reading.case_id,
                reading.arm_id,
            )
            mine = by_case[reading.case_id]
            first = plan.entries[position - 1].first_arm_id
            for stage_key, *rest in _reading_rows(key, first, reading, mine):
                readings.add(*stage_key, rest[0], case.exam_digest, *rest[1:])
            for row in _time_rows(key, first, mine):
                times.add(*row)
            for one in coverage_of(mine):
                coverage.add(*key, one.image_key, one.share, one.dwell_ms / 1000)
            for mark in _mark_values(mine, None if first is None else reading.provisional_findings):
                findings.add(*key, *mark)
            for score in _score_values(mine):
                ai_scores.add(*key, *score)
            for measured in measurement_values(mine):
                measurements.add(*key, *measured)
            for shown in exposures(mine):
                exposure.add(*key, *shown)
            for dwelt in stage_dwell(mine):
                stages.add(*key, *dwelt)
            for gap in clock_gaps(mine):
                clock.add(*key, gap.after_seq, gap.seconds)
    rest_of = (
        measurements,
        exposure,
        stages,
        clock,
        washout.table(),
        allocation_table(study),
        audit_table(study, store),
    )
    return sessions, readings, findings, times, coverage, ai_scores, *rest_of


def _by_case(events: Sequence[Event]) -> dict[str, list[Event]]:
    cases: dict[str, list[Event]] = {}
    for event in events:
        case_id = event.body.get("case_id")
        if isinstance(case_id, str):
            cases.setdefault(case_id, []).append(event)
    return cases


def _session_row(study: Study, record: SessionRecord, events: Sequence[Event]) -> tuple[Value, ...]:
    plan: SessionPlan = record.plan
    return (
        study.study_id,
        plan.session_id,
        plan.reader_id,
        plan.period,
        len(plan.entries),
        record.index,
        sum(event.kind is EventKind.SESSION_RECOVERED for event in events),
        record.overridden,
        events[0].t_utc if events else None,
        events[-1].t_utc if events else None,
        len(events),
        sum(event.kind is EventKind.BREAK_OFFERED for event in events),
        break_seconds(events),
        *_signature(events),
        record.head if events else None,
    )


def _signature(events: Sequence[Event]) -> tuple[Value, Value]:
    signed = next((event for event in events if event.kind is EventKind.SESSION_SIGNED), None)
    return (None, None) if signed is None else (text(signed.body, "signed_by"), signed.t_utc)


def _reading_rows(
    key: Key, first_arm: str | None, reading: Reading, events: Sequence[Event]
) -> Iterator[tuple[Any, ...]]:
    """One row a locked answer: key with the answer's arm, stage, and the values."""
    assert reading.final is not None, "a locked reading was submitted"
    final = (reading.final, len(reading.findings), reading.amendments, reading.locked_utc)
    if first_arm is None:
        yield key, "only", *_reading_values(*final, reading, events)
        return
    assert reading.provisional is not None, "a sequential reading has a provisional answer"
    end = next(i for i, event in enumerate(events) if event.kind is EventKind.PROVISIONAL_SUBMITTED)
    early = (reading.provisional, len(reading.provisional_findings), 0, reading.provisional_utc)
    yield key._replace(arm_id=first_arm), "provisional", *_reading_values(*early, reading, events[: end + 1])
    yield key, "final", *_reading_values(*final, reading, events)


def _reading_values(
    answer: Assessment,
    n_findings: int,
    n_amendments: int,
    locked_utc: str | None,
    reading: Reading,
    events: Sequence[Event],
) -> tuple[Value, ...]:
    breasts = [answer.breast(side) for side in (Laterality.RIGHT, Laterality.LEFT)]
    answers = [(None, None) if one is None else (one.birads, one.suspicion) for one in breasts]
    shares = [one.share for one in coverage_of(events)]
    rated = [suspicion for _, suspicion in answers if suspicion is not None]
    return (
        *(value for pair in answers for value in pair),
        max(rated) if rated else None,
        None if answer.density is None else answer.density.value,
        answer.recall,
        answer.call,
        *(value for one in breasts for value in _contrast_values(one)),
        min(shares) if shares else None,
        sum(shares) / len(shares) if shares else None,
        n_findings,
        reading.interrupted,
        any(event.kind is EventKind.IDLE_DETECTED for event in events),
        n_amendments,
        locked_utc,
    )


def _contrast_values(breast: BreastAssessment | None) -> tuple[Value, Value]:
    if breast is None:
        return None, None
    symmetry = breast.bpe_symmetry
    return None if breast.bpe is None else breast.bpe.value, None if symmetry is None else symmetry.value


def _time_rows(key: Key, first_arm: str | None, events: Sequence[Event]) -> Iterator[tuple[Value, ...]]:
    whole = reading_times(events)
    if first_arm is None:
        yield *key, "only", *_time_values(whole, events, None)
        return
    early = provisional_times(events)
    end = next(i for i, event in enumerate(events) if event.kind is EventKind.PROVISIONAL_SUBMITTED)
    yield *key._replace(arm_id=first_arm), "provisional", *_time_values(early, events[: end + 1], None)
    after = None if whole.raw_s is None or early.raw_s is None else whole.raw_s - early.raw_s
    yield *key, "final", *_time_values(whole, events, after)


def _time_values(
    times: Times, events: Sequence[Event], after_provisional_s: float | None
) -> tuple[Value, ...]:
    return (
        times.load_s,
        times.raw_s,
        times.active_s,
        times.paused_s,
        times.idle_s,
        times.unfocused_s,
        times.opened_to_submit_s,
        times.openings,
        times.interrupted,
        times.idle_s > 0,
        after_provisional_s,
        len(events),
        sum(event.kind is EventKind.VIEW_CHANGED for event in events),
    )


def _mark_values(
    events: Sequence[Event], provisional: Sequence[Finding] | None
) -> Iterator[tuple[Value, ...]]:
    marks: list[tuple[Finding, str, int, str]] = []  # the mark, status, moves, when set; in order of setting
    for event in events:
        if event.kind is EventKind.MARK_ADDED:
            marks.append((finding_from_json(mapping(event.body, "finding")), "kept", 0, event.t_utc))
        elif event.kind in {EventKind.MARK_MOVED, EventKind.MARK_REMOVED}:
            finding_id = mapping(event.body, "old")["finding_id"]
            at = max(i for i, one in enumerate(marks) if one[0].finding_id == finding_id and one[1] == "kept")
            mark, _, moves, added = marks[at]
            if event.kind is EventKind.MARK_MOVED:
                marks[at] = (finding_from_json(mapping(event.body, "finding")), "kept", moves + 1, added)
            else:
                marks[at] = (mark, "removed", moves, added)
    for mark, status, moves, added in marks:
        box: tuple[Value, ...] = mark.box if mark.box is not None else (None, None, None, None)
        yield (
            mark.finding_id,
            status,
            mark.image_key,
            mark.image_key.split("-", 1)[0],
            mark.source_id,
            mark.row,
            mark.col,
            *box,
            mark.row_mm,
            mark.col_mm,
            mark.finding.value,
            mark.suspicion,
            mark.birads,
            None if mark.enhancement is None else mark.enhancement.value,
            None if mark.conspicuity is None else mark.conspicuity.value,
            mark.call,
            None if provisional is None else any(m.finding_id == mark.finding_id for m in provisional),
            moves,
            added,
        )


def _score_values(events: Sequence[Event]) -> Iterator[tuple[Value, ...]]:
    for event in events:
        if event.kind is not EventKind.AI_RESULT_RECORDED:
            continue
        model = mapping(event.body, "model")
        words = "; ".join(f"{name}={text(model, name)}" for name in sorted(model))
        detections = event.body["detections"]
        count = len(detections) if isinstance(detections, list) else 0
        for name, score in sorted(mapping(event.body, "scores").items()):
            if score is None or isinstance(score, int | float):
                yield words, name, score, count, event.t_utc
        for name, score in sorted(_type_scores(detections).items()):
            yield words, f"finding:{name}", score, count, event.t_utc


def _type_scores(detections: object) -> dict[str, float]:
    """Highest score of the detections of each finding type; empty where the model gives no types."""
    found: dict[str, float] = {}
    for one in detections if isinstance(detections, list) else ():
        kind, score = one.get("type"), one.get("score")
        if isinstance(kind, str) and isinstance(score, int | float):
            found[kind] = max(found.get(kind, 0.0), float(score))
    return found
