"""The transition table, and the fold that turns a session's events into where it stands.

``apply`` is the only judge of what may follow what; it never changes what it is given. Times are not folded
here (``reader_study.timing``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from reader_study.domain.assessment import Assessment, Finding, assessment_from_json, finding_from_json
from reader_study.domain.conduct import Navigation
from reader_study.domain.events import GENESIS, Body, Event, EventKind, mapping, text
from reader_study.domain.study import AiPolicy, SessionPlan, Study
from reader_study.errors import IllegalTransition, StudyError


class State(StrEnum):
    """Where one reading stands. WAITING: not on screen; LOADING: opened, nothing painted yet."""

    WAITING = "waiting"
    LOADING = "loading"
    SHOWN = "shown"
    ASSESSING = "assessing"
    PAUSED = "paused"
    SUBMITTED = "submitted"
    LOCKED = "locked"


class Phase(StrEnum):
    """Where a session stands."""

    NEW = "not started"
    OPEN = "open"
    CLOSED = "closed"


_K = EventKind
_ON_SCREEN = (State.LOADING, State.SHOWN, State.ASSESSING)
_READING = (State.SHOWN, State.ASSESSING)

# (state, event) -> next state. What is not listed is illegal.
TABLE: dict[tuple[State, EventKind], State] = {
    (State.WAITING, _K.CASE_OPENED): State.LOADING,
    (State.LOADING, _K.FRAME_PAINTED): State.SHOWN,
    **{
        (s, k): s
        for s in _ON_SCREEN
        for k in (_K.STAGE_CHANGED, _K.VIEW_CHANGED, _K.AI_REVEALED, _K.AI_HIDDEN, _K.MEASUREMENT_CHANGED)
    },
    **{(s, _K.AI_RESULT_RECORDED): s for s in (*_ON_SCREEN, State.PAUSED)},
    **{(s, _K.COVERAGE_RECORDED): s for s in (*_READING, State.PAUSED)},
    **{
        (s, k): State.ASSESSING
        for s in _READING
        for k in (_K.MARK_ADDED, _K.MARK_MOVED, _K.MARK_REMOVED, _K.DRAFT_SAVED)
    },
    **{(s, _K.PROVISIONAL_SUBMITTED): State.ASSESSING for s in _READING},
    **{(s, _K.PAUSED): State.PAUSED for s in _READING},
    (State.PAUSED, _K.RESUMED): State.ASSESSING,  # back to where it was; see _apply_case
    **{(s, _K.ASSESSMENT_SUBMITTED): State.SUBMITTED for s in _READING},
    (State.SUBMITTED, _K.READING_LOCKED): State.LOCKED,
}

SESSION_TABLE: dict[tuple[Phase, EventKind], Phase] = {
    (Phase.NEW, _K.SESSION_OPENED): Phase.OPEN,
    (Phase.CLOSED, _K.SESSION_OPENED): Phase.OPEN,
    (Phase.OPEN, _K.SESSION_RECOVERED): Phase.OPEN,
    (Phase.OPEN, _K.SESSION_CLOSED): Phase.CLOSED,
    (Phase.NEW, _K.OVERRIDE_GRANTED): Phase.NEW,
    (Phase.CLOSED, _K.OVERRIDE_GRANTED): Phase.CLOSED,
    **{(Phase.OPEN, k): Phase.OPEN for k in (_K.FOCUS_LOST, _K.FOCUS_REGAINED, _K.IDLE_DETECTED)},
    **{(Phase.OPEN, k): Phase.OPEN for k in (_K.BREAK_OFFERED, _K.BREAK_ENDED)},
    **{
        (Phase.OPEN, k): Phase.OPEN
        for k in (_K.INSTRUCTION_ACKNOWLEDGED, _K.FEEDBACK_SHOWN, _K.ASSESSMENT_AMENDED, _K.SESSION_SIGNED)
    },
    (Phase.CLOSED, _K.SESSION_SIGNED): Phase.CLOSED,
}

AI_EVENTS = frozenset({_K.AI_RESULT_RECORDED, _K.AI_REVEALED, _K.AI_HIDDEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One case as the log tells it so far."""

    case_id: str
    arm_id: str
    state: State = State.WAITING
    findings: tuple[Finding, ...] = ()
    draft: Assessment | None = None  # None = nothing filled in yet
    final: Assessment | None = None  # None = not submitted
    shown_layers: tuple[str, ...] = ()  # AI layers on screen now, sorted
    openings: int = 0
    interrupted: bool = False  # left the screen before it was locked
    before_pause: State = State.SHOWN
    locked_utc: str | None = None
    provisional: Assessment | None = None  # sequential design: the answer locked before AI was revealed
    provisional_findings: tuple[Finding, ...] = ()
    provisional_utc: str | None = None
    amendments: int = 0  # answers changed after the lock, where the protocol lets readers look back


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """One session as the log tells it so far; ``count`` and ``head`` are its chain's end."""

    plan: SessionPlan
    policies: tuple[AiPolicy, ...]  # one for each entry of the plan
    first_policies: tuple[
        AiPolicy | None, ...
    ]  # in force before the provisional answer; None = no such answer
    practice: frozenset[str] = frozenset()  # case ids
    look_back: bool = False
    readings: tuple[Reading, ...]
    phase: Phase = Phase.NEW
    index: int = 0  # of the current case; len(readings) when all are locked
    count: int = 0
    head: str = GENESIS
    boot_id: str = ""  # of the last event
    overridden: bool = False  # a washout override was granted
    acknowledged: str | None = None  # SHA-256 of the instruction that was acknowledged in this session
    signed: bool = False

    @property
    def finished(self) -> bool:
        return self.index >= len(self.readings)

    @property
    def current(self) -> Reading | None:
        return None if self.finished else self.readings[self.index]

    @property
    def awaits_provisional(self) -> bool:
        """True while the current case still has to be locked in its first arm."""
        current = self.current
        if current is None or self.first_policies[self.index] is None:
            return False
        return current.provisional is None

    @property
    def policy(self) -> AiPolicy | None:
        """What of the AI the current case may show now; None when all cases are locked."""
        if self.finished:
            return None
        return self.first_policies[self.index] if self.awaits_provisional else self.policies[self.index]


def begin(study: Study, plan: SessionPlan) -> SessionRecord:
    """Return the record of a session that has no event yet."""
    arms = {arm.arm_id: arm for arm in study.arms}
    return SessionRecord(
        plan=plan,
        policies=tuple(arms[entry.arm_id].ai for entry in plan.entries),
        first_policies=tuple(
            None if entry.first_arm_id is None else arms[entry.first_arm_id].ai for entry in plan.entries
        ),
        practice=frozenset(case.case_id for case in study.cases if case.practice),
        look_back=study.conduct.navigation is Navigation.LOOK_BACK,
        readings=tuple(Reading(case_id=entry.case_id, arm_id=entry.arm_id) for entry in plan.entries),
    )


def fold(study: Study, plan: SessionPlan, events: Iterable[Event]) -> SessionRecord:
    """Return where a session stands after ``events``; IllegalTransition names the first that cannot be."""
    record = begin(study, plan)
    last: Event | None = None  # of a run of view changes, which move nothing but the chain's end
    for event in events:
        seq = record.count if last is None else last.seq
        if event.kind is EventKind.VIEW_CHANGED and event.seq == seq + 1 and _is_on_screen(record, event):
            last = event
            continue
        if last is not None:
            record, last = _at(record, last), None
        record = apply(record, event)
    return record if last is None else _at(record, last)


def _is_on_screen(record: SessionRecord, event: Event) -> bool:
    current = record.current
    if record.phase is not Phase.OPEN or current is None:
        return False
    return current.state in _ON_SCREEN and event.body["case_id"] == current.case_id


def _at(record: SessionRecord, event: Event) -> SessionRecord:
    return replace(record, count=event.seq, head=event.hash, boot_id=event.boot_id)


def apply(record: SessionRecord, event: Event) -> SessionRecord:
    """Return the record after one more event; IllegalTransition names state and event."""
    if event.seq != record.count + 1:
        raise StudyError(
            f"Session {record.plan.session_id}: expected event {record.count + 1}, found {event.seq};"
            " run verify-log on the database."
        )
    phase = SESSION_TABLE.get((record.phase, event.kind))
    after = _apply_session(record, event, phase) if phase is not None else _apply_case(record, event)
    return _at(after, event)


def _apply_session(record: SessionRecord, event: Event, phase: Phase) -> SessionRecord:
    if event.kind is EventKind.OVERRIDE_GRANTED:
        return replace(record, overridden=True)
    if event.kind is EventKind.INSTRUCTION_ACKNOWLEDGED:
        return replace(record, acknowledged=text(event.body, "instruction_sha256"))
    if event.kind is EventKind.SESSION_SIGNED:
        return _signed(record)
    if event.kind in {EventKind.FEEDBACK_SHOWN, EventKind.ASSESSMENT_AMENDED}:
        return _after_lock(record, event)
    if event.kind is EventKind.SESSION_OPENED:
        _check_plan(record, event)
    record = replace(record, phase=phase)
    current = record.current
    leaves = event.kind in {_K.SESSION_OPENED, _K.SESSION_RECOVERED, _K.SESSION_CLOSED}
    if leaves and current is not None and current.state is not State.WAITING:
        back = replace(current, state=State.WAITING, interrupted=True, shown_layers=())
        return _with_current(record, back)
    return record


def _signed(record: SessionRecord) -> SessionRecord:
    if not record.finished or record.signed:
        why = "is signed already" if record.signed else "has cases that are not locked"
        raise IllegalTransition(f"Session {record.plan.session_id} {why}: SessionSigned cannot follow.")
    return replace(record, signed=True)


def _after_lock(record: SessionRecord, event: Event) -> SessionRecord:
    """Feedback in practice, or an amended answer where the protocol lets readers look back."""
    case_id = text(event.body, "case_id")
    amends = event.kind is EventKind.ASSESSMENT_AMENDED
    allowed = record.look_back if amends else case_id in record.practice
    at = next((i for i, r in enumerate(record.readings) if r.case_id == case_id), -1)
    if record.signed or not allowed or at < 0 or record.readings[at].state is not State.LOCKED:
        rule = "a locked case of an unsigned session with look-back" if amends else "a locked practice case"
        raise IllegalTransition(f"Case {case_id}: expected {rule}; {event.kind.value} cannot follow.")
    if not amends:
        return record
    reading = record.readings[at]
    final = assessment_from_json(mapping(event.body, "assessment"))
    changed = replace(reading, final=final, amendments=reading.amendments + 1)
    return replace(record, readings=(*record.readings[:at], changed, *record.readings[at + 1 :]))


def planned_order(plan: SessionPlan) -> list[list[str]]:
    """Return the reading order as SessionOpened keeps it: case, arm, and the first arm where there is one."""
    return [
        [e.case_id, e.arm_id] if e.first_arm_id is None else [e.case_id, e.arm_id, e.first_arm_id]
        for e in plan.entries
    ]


def _check_plan(record: SessionRecord, event: Event) -> None:
    planned = planned_order(record.plan)
    if event.body["plan"] != planned:
        raise StudyError(
            f"Session {record.plan.session_id}: expected the reading order it was begun with, found another;"
            " open it with the study file it was begun with."
        )


def _apply_case(record: SessionRecord, event: Event) -> SessionRecord:
    current = record.current
    if record.phase is not Phase.OPEN or current is None:
        where = "finished" if current is None and record.phase is Phase.OPEN else record.phase.value
        raise IllegalTransition(
            f"Session {record.plan.session_id} is {where}: {event.kind.value} cannot follow."
        )
    after = TABLE.get((current.state, event.kind))
    if after is None or event.body["case_id"] != current.case_id:
        raise IllegalTransition(
            f"Case {event.body.get('case_id')}: expected a step of case {current.case_id}, which is"
            f" {current.state.value}, found {event.kind.value}."
        )
    if event.kind in AI_EVENTS:
        policy = record.policy
        assert policy is not None, "there is a current case"
        _check_ai(policy, current, event)
    if event.kind in {EventKind.PROVISIONAL_SUBMITTED, EventKind.ASSESSMENT_SUBMITTED}:
        _check_turn(record, current, event)
    if event.kind is EventKind.RESUMED:
        after = current.before_pause
    if event.kind is EventKind.FRAME_PAINTED and (current.findings or current.draft is not None):
        after = State.ASSESSING
    reading = _changed(current, event)
    if reading is current and after is current.state:
        return record
    reading = replace(reading, state=after)
    record = _with_current(record, reading)
    return replace(record, index=record.index + 1) if after is State.LOCKED else record


def _check_turn(record: SessionRecord, current: Reading, event: Event) -> None:
    if record.awaits_provisional is not (event.kind is EventKind.PROVISIONAL_SUBMITTED):
        wanted = "the provisional answer" if record.awaits_provisional else "the final answer"
        raise IllegalTransition(
            f"Case {current.case_id}: expected {wanted} next; {event.kind.value} cannot follow."
        )


def _check_ai(policy: AiPolicy, current: Reading, event: Event) -> None:
    if not policy.shown:
        raise IllegalTransition(
            f"Case {current.case_id}: arm {current.arm_id} is read without AI;"
            f" {event.kind.value} cannot happen in it."
        )
    if event.kind is EventKind.AI_REVEALED and not policy.allows(text(event.body, "layer")):
        raise IllegalTransition(
            f"Case {current.case_id}: arm {current.arm_id} does not show the AI layer {event.body['layer']};"
            f" {event.kind.value} cannot happen in it."
        )


def _with_current(record: SessionRecord, reading: Reading) -> SessionRecord:
    readings = (*record.readings[: record.index], reading, *record.readings[record.index + 1 :])
    return replace(record, readings=readings)


def _changed(reading: Reading, event: Event) -> Reading:
    body = event.body
    match event.kind:
        case EventKind.CASE_OPENED:
            return replace(reading, openings=reading.openings + 1)
        case EventKind.MARK_ADDED | EventKind.MARK_MOVED | EventKind.MARK_REMOVED:
            return replace(reading, findings=_marks(reading, event.kind, body))
        case EventKind.DRAFT_SAVED:
            return replace(reading, draft=assessment_from_json(mapping(body, "assessment")))
        case EventKind.AI_REVEALED:
            layers = {*reading.shown_layers, text(body, "layer")}
            return replace(reading, shown_layers=tuple(sorted(layers)))
        case EventKind.AI_HIDDEN:
            layers = set(reading.shown_layers) - {text(body, "layer")}
            return replace(reading, shown_layers=tuple(sorted(layers)))
        case EventKind.PAUSED:
            return replace(reading, before_pause=reading.state)
        case EventKind.PROVISIONAL_SUBMITTED:
            answer = assessment_from_json(mapping(body, "assessment"))
            return replace(
                reading,
                provisional=answer,
                draft=answer,
                provisional_findings=reading.findings,
                provisional_utc=event.t_utc,
            )
        case EventKind.ASSESSMENT_SUBMITTED:
            return replace(reading, final=assessment_from_json(mapping(body, "assessment")))
        case EventKind.READING_LOCKED:
            return replace(reading, locked_utc=event.t_utc)
    return reading


def _marks(reading: Reading, kind: EventKind, body: Body) -> tuple[Finding, ...]:
    if kind is EventKind.MARK_REMOVED:
        gone = mapping(body, "old")["finding_id"]
        kept = tuple(mark for mark in reading.findings if mark.finding_id != gone)
        if len(kept) == len(reading.findings):
            raise IllegalTransition(
                f"Case {reading.case_id}: there is no mark {gone}; MarkRemoved cannot follow."
            )
        return kept
    mark = finding_from_json(mapping(body, "finding"))
    known = {old.finding_id for old in reading.findings}
    if (mark.finding_id in known) is (kind is EventKind.MARK_ADDED):
        what = "already has a" if kind is EventKind.MARK_ADDED else "has no"
        raise IllegalTransition(
            f"Case {reading.case_id} {what} mark {mark.finding_id}; {kind.value} cannot follow."
        )
    if kind is EventKind.MARK_ADDED:
        return (*reading.findings, mark)
    return tuple(mark if old.finding_id == mark.finding_id else old for old in reading.findings)
