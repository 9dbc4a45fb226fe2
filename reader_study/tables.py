"""Turns the log into tidy tables: sessions, readings, findings, times, coverage, AI scores. Rebuildable at any time.

Each table is a tuple of columns (with what it means) and rows of plain values. Writing them is ``export.py``.
Practice cases are left out of every table but sessions (RS-T1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from reader_study.coverage import coverage_of
from reader_study.domain.assessment import BreastAssessment, Finding, finding_from_json
from reader_study.domain.events import Event, EventKind, mapping, text
from reader_study.domain.reading import Reading, SessionRecord, State, fold
from reader_study.domain.study import SessionPlan, Study
from reader_study.domain.study_json import protocol_hash
from reader_study.ports import EventStore
from reader_study.timing import reading_times
from resources.vocabulary import (
    BackgroundEnhancement,
    Conspicuity,
    EnhancementSymmetry,
    EnhancementType,
    Laterality,
)

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column as the data dictionary describes it."""

    name: str
    type: str
    unit: str
    range: str
    meaning: str


@dataclass(slots=True, kw_only=True)
class TidyTable:
    """One table: its name, columns and rows; every row has as many values as there are columns."""

    name: str
    columns: tuple[Column, ...]
    rows: list[tuple[Value, ...]] = field(default_factory=list)

    def add(self, *values: Value) -> None:
        if len(values) != len(self.columns):
            raise ValueError(f"{self.name}: expected {len(self.columns)} values, found {len(values)}")
        self.rows.append(values)


def _c(name: str, type_: str, meaning: str, unit: str = "", range_: str = "") -> Column:
    return Column(name=name, type=type_, unit=unit, range=range_, meaning=meaning)


_KEY = (
    _c("study_id", "text", "The study."),
    _c("session_id", "text", "One reader's sitting plan for one period."),
    _c("reader_id", "text", "The reader."),
    _c("period", "integer", "Reading period; washout lies between periods.", range_="1.."),
    _c("position", "integer", "Place of the case in the reader's order.", range_="1.."),
    _c("case_id", "text", "The case."),
    _c("arm_id", "text", "Reading condition."),
)
_SECONDS = {"type_": "number", "unit": "s", "range_": "0.."}

SESSIONS = (
    _KEY[0],
    _KEY[1],
    _KEY[2],
    _c("period", "integer", "Reading period; 0 is practice.", range_="0.."),
    _c("n_planned", "integer", "Cases planned.", range_="1.."),
    _c("n_locked", "integer", "Cases submitted and locked.", range_="0.."),
    _c("n_recovered", "integer", "How often the session was taken up after a crash.", range_="0.."),
    _c(
        "washout_overridden",
        "boolean",
        "A coordinator let the session begin before its washout.",
        range_="0, 1",
    ),
    _c("first_event_utc", "text", "Time of the first event; empty = not begun.", unit="ISO 8601 UTC"),
    _c("last_event_utc", "text", "Time of the last event.", unit="ISO 8601 UTC"),
    _c("n_events", "integer", "Events in the session's chain.", range_="0.."),
    _c("head_hash", "text", "Hash of the last event.", unit="SHA-256"),
    _c("protocol_hash", "text", "Hash of the frozen protocol.", unit="SHA-256"),
)
READINGS = (
    *_KEY,
    _c("exam_digest", "text", "Digest of the exam that was read.", unit="SHA-256"),
    *(
        column
        for side, word in (("R", "right"), ("L", "left"))
        for column in (
            _c(
                f"birads_{side}",
                "text",
                f"BI-RADS category, {word} breast; empty = not assessed.",
                range_="scale",
            ),
            _c(f"suspicion_{side}", "integer", f"Probability of malignancy, {word} breast.", "%", "0..100"),
        )
    ),
    _c("suspicion_max", "integer", "Higher of the two breasts: the case's rating.", "%", "0..100"),
    _c("density", "text", "BI-RADS breast composition; empty = not asked.", range_="a, b, c, d"),
    _c("recall", "boolean", "Recall decision; empty = not asked.", range_="0, 1"),
    *(
        column
        for side, word in (("R", "right"), ("L", "left"))
        for column in (
            _c(
                f"bpe_{side}",
                "text",
                f"Background parenchymal enhancement, {word} breast, contrast exams; empty = not asked.",
                range_=", ".join(BackgroundEnhancement),
            ),
            _c(
                f"bpe_symmetry_{side}",
                "text",
                f"Background enhancement of the {word} breast against the other; empty = not asked.",
                range_=", ".join(EnhancementSymmetry),
            ),
        )
    ),
    _c(
        "seen_1to1_min",
        "number",
        "Tissue shown at 1:1, of the image least seen; empty = not counted.",
        "share",
        "0..1",
    ),
    _c(
        "seen_1to1_mean",
        "number",
        "Tissue shown at 1:1, mean over the images; empty = not counted.",
        "share",
        "0..1",
    ),
    _c("n_findings", "integer", "Marks left when the case was locked.", range_="0.."),
    _c("interrupted", "boolean", "The case left the screen before it was locked.", range_="0, 1"),
    _c("locked_utc", "text", "When the case was locked.", unit="ISO 8601 UTC"),
)
FINDINGS = (
    *_KEY,
    _c("finding_id", "text", "The mark; one taken back and set again by redo has a row for each time."),
    _c("status", "text", "kept = there when locked; removed = taken back before.", range_="kept, removed"),
    _c("image_key", "text", "View and kind of image, e.g. R-CC."),
    _c("laterality", "text", "Side, from the image.", range_="R, L"),
    _c("source_id", "text", "SOP Instance UID or path in the manifest."),
    _c("row", "number", "Row of the mark in the stored file.", "pixel", "0.."),
    _c("col", "number", "Column of the mark in the stored file.", "pixel", "0.."),
    *(
        _c(name, "number", f"{word} of the box, half-open; empty = a point.", "pixel", "0..")
        for name, word in (
            ("row0", "First row"),
            ("col0", "First column"),
            ("row1", "End row"),
            ("col1", "End column"),
        )
    ),
    _c("row_mm", "number", "Row in the breast plane; empty = no pixel spacing.", "mm", "0.."),
    _c("col_mm", "number", "Column in the breast plane; empty = no pixel spacing.", "mm", "0.."),
    _c("finding_type", "text", "Type of finding.", range_="vocabulary"),
    _c("suspicion", "integer", "Probability of malignancy of the mark.", "%", "0..100"),
    _c("birads", "text", "BI-RADS of the mark; empty = not asked.", range_="scale"),
    _c(
        "enhancement",
        "text",
        "How it enhances on the recombined image (nme = non-mass enhancement); empty = not asked.",
        range_=", ".join(EnhancementType),
    ),
    _c(
        "conspicuity",
        "text",
        "How its enhancement stands out; empty = not asked or none.",
        range_=", ".join(Conspicuity),
    ),
    _c("n_moves", "integer", "How often it was moved or edited.", range_="0.."),
    _c("added_utc", "text", "When it was set.", unit="ISO 8601 UTC"),
)
TIMES = (
    *_KEY,
    _c("load_s", meaning="Case asked for -> first paint of all views, first opening.", **_SECONDS),
    _c("raw_s", meaning="First paint of all views -> submit.", **_SECONDS),
    _c("active_s", meaning="raw_s less paused_s, idle_s and unfocused_s.", **_SECONDS),
    _c("paused_s", meaning="Paused by the reader.", **_SECONDS),
    _c("idle_s", meaning="No input beyond the idle threshold, outside of pauses.", **_SECONDS),
    _c("unfocused_s", meaning="Another window in front, outside of pauses and idle time.", **_SECONDS),
    _c("opened_to_submit_s", meaning="Case asked for -> submit, loading included.", **_SECONDS),
    _c("n_openings", "integer", "How often the case came on screen.", range_="1.."),
    _c(
        "interrupted",
        "boolean",
        "Left the screen before it was locked; raw_s is a lower bound.",
        range_="0, 1",
    ),
    _c("n_events", "integer", "Events of the reading.", range_="0.."),
    _c("n_view_changes", "integer", "Pan, zoom and window changes.", range_="0.."),
)
COVERAGE = (
    *_KEY,
    _c("image_key", "text", "View and kind of image, e.g. R-CC."),
    _c(
        "seen_1to1",
        "number",
        "Tissue shown at 1:1 or larger for 0.2 s or more; the highest of the openings.",
        "share",
        "0..1",
    ),
    _c("shown_1to1_s", meaning="How long any part of the image was shown at 1:1 or larger.", **_SECONDS),
)
AI_SCORES = (
    *_KEY,
    _c("model", "text", "Model name, version and weights digest, as recorded.", unit="key=value; ..."),
    _c("score_of", "text", "What the score is of: exam, a breast, a view.", range_="as recorded"),
    _c("score", "number", "The model's score; its meaning is in the model card.", range_="0..1"),
    _c("n_detections", "integer", "Detections recorded with it.", range_="0.."),
    _c("recorded_utc", "text", "When it was recorded.", unit="ISO 8601 UTC"),
)


def build_tables(study: Study, store: EventStore) -> tuple[TidyTable, ...]:
    """Fold the whole log of a study into its tables; the same log gives the same rows in the same order."""
    sessions = TidyTable(name="sessions", columns=SESSIONS)
    readings = TidyTable(name="readings", columns=READINGS)
    findings = TidyTable(name="findings", columns=FINDINGS)
    times = TidyTable(name="times", columns=TIMES)
    coverage = TidyTable(name="coverage", columns=COVERAGE)
    ai_scores = TidyTable(name="ai_scores", columns=AI_SCORES)
    digest = protocol_hash(study)
    for plan in sorted(study.plans, key=lambda one: one.session_id):
        events = store.read(plan.session_id)
        record = fold(study, plan, events)
        sessions.add(*_session_row(study, record, events), digest)
        by_case = _by_case(events)
        for position, reading in enumerate(record.readings, start=1):
            if reading.state is not State.LOCKED or study.case(reading.case_id).practice:
                continue
            key = (
                study.study_id,
                plan.session_id,
                plan.reader_id,
                plan.period,
                position,
                reading.case_id,
                reading.arm_id,
            )
            mine = by_case[reading.case_id]
            readings.add(*key, study.case(reading.case_id).exam_digest, *_reading_values(reading, mine))
            times.add(*key, *_time_values(mine))
            for one in coverage_of(mine):
                coverage.add(*key, one.image_key, one.share, one.dwell_ms / 1000)
            for mark in _mark_values(mine):
                findings.add(*key, *mark)
            for score in _score_values(mine):
                ai_scores.add(*key, *score)
    return sessions, readings, findings, times, coverage, ai_scores


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
        record.head if events else None,
    )


def _reading_values(reading: Reading, events: Sequence[Event]) -> tuple[Value, ...]:
    final = reading.final
    assert final is not None, "a locked reading was submitted"
    breasts = [final.breast(side) for side in (Laterality.RIGHT, Laterality.LEFT)]
    answers = [(None, None) if one is None else (one.birads, one.suspicion) for one in breasts]
    shares = [one.share for one in coverage_of(events)]
    rated = [suspicion for _, suspicion in answers if suspicion is not None]
    return (
        *(value for pair in answers for value in pair),
        max(rated) if rated else None,
        None if final.density is None else final.density.value,
        final.recall,
        *(value for one in breasts for value in _contrast_values(one)),
        min(shares) if shares else None,
        sum(shares) / len(shares) if shares else None,
        len(reading.findings),
        reading.interrupted,
        reading.locked_utc,
    )


def _contrast_values(breast: BreastAssessment | None) -> tuple[Value, Value]:
    if breast is None:
        return None, None
    symmetry = breast.bpe_symmetry
    return None if breast.bpe is None else breast.bpe.value, None if symmetry is None else symmetry.value


def _time_values(events: Sequence[Event]) -> tuple[Value, ...]:
    times = reading_times(events)
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
        len(events),
        sum(event.kind is EventKind.VIEW_CHANGED for event in events),
    )


def _mark_values(events: Sequence[Event]) -> Iterator[tuple[Value, ...]]:
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
