"""The only writer of the log: opens sessions and cases, takes marks and assessments, locks, resumes.

Each step is first tried on the record, then committed, and only then believed; if the disk refuses, nothing
moves. Never returns truth, and nothing of another reader.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reader_study.anchor import Anchor, append_anchor
from reader_study.coverage import SeenImage, coverage_to_json, require_coverage
from reader_study.domain.assessment import (
    Assessment,
    FieldProblem,
    Finding,
    assessment_to_json,
    finding_to_json,
    problems,
)
from reader_study.domain.events import Draft, EventKind, plain, seal
from reader_study.domain.reading import Phase, Reading, SessionRecord, State, apply, fold
from reader_study.domain.study import Arm, SessionPlan, Study
from reader_study.domain.study_json import protocol_hash
from reader_study.errors import IllegalTransition, StoreError, StudyError
from reader_study.ports import Clock, EventStore
from reader_study.view_stream import ViewStream
from reader_study.worklist import SessionStatus, session_status

__all__ = ["AssessmentIncomplete", "Position", "SessionStatus", "Sessions"]

_LOG = logging.getLogger(__name__)
_ON_SCREEN = frozenset({State.LOADING, State.SHOWN, State.ASSESSING})


class AssessmentIncomplete(StudyError):
    """The form has gaps or contradictions; ``problems`` lists them field by field."""

    def __init__(self, found: tuple[FieldProblem, ...]) -> None:
        super().__init__(" ".join(problem.sentence for problem in found))
        self.problems = found


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a session stands; ``case_id`` is None when all cases are locked (the rest is of the last)."""

    session_id: str
    case_id: str | None
    exam_id: str
    exam_digest: str
    arm: Arm
    index: int  # 0-based place in the reading order; equals total when finished
    total: int
    practice: bool
    reading: Reading


class Sessions:
    """Reads and writes the sessions of one study for the readers at this workstation."""

    def __init__(self, *, study: Study, store: EventStore, clock: Clock, anchor: Path | None = None) -> None:
        self._study, self._protocol_hash = study, protocol_hash(study)
        self._store = store
        self._clock = clock
        self._anchor = anchor
        self._records: dict[str, SessionRecord] = {}
        self._live: set[str] = set()
        self._lock = threading.RLock()
        self._stream = ViewStream(self._flush)

    # -- what the reader sees -------------------------------------------------------------------------------

    def worklist(self, reader_id: str) -> tuple[SessionStatus, ...]:
        """Return the reader's own sessions by period, each with progress and whether it may be opened."""
        return tuple(self._status(plan) for plan in self._study.plans_of(reader_id))

    def position(self, session_id: str) -> Position:
        """Return the current case of a session, as the log tells it."""
        record = self._record(session_id)
        index = min(record.index, len(record.readings) - 1)
        reading = record.readings[index]
        case = self._study.case(reading.case_id)
        return Position(
            session_id=session_id,
            case_id=None if record.finished else case.case_id,
            exam_id=case.exam_id,
            exam_digest=case.exam_digest,
            arm=self._study.arm(reading.arm_id),
            index=record.index,
            total=len(record.readings),
            practice=case.practice,
            reading=reading,
        )

    # -- sessions and cases ---------------------------------------------------------------------------------

    def open(self, session_id: str, reader_id: str, environment: Mapping[str, str]) -> Position:
        """Begin or take up a session; after a crash SessionRecovered is recorded and case, marks, form kept.

        Parameters
        ----------
        session_id, reader_id : str
            The plan and the reader who signed in; they must belong together.
        environment : mapping of str to str
            Program version, model digests, screen: what the record must show later (RS-C6, RS-A5).

        Raises
        ------
        StudyError
            The session is another reader's, is finished, or its washout has not passed.
        StoreError
            The log or the anchor file cannot be written; nothing has begun.
        """
        plan = self._plan(session_id)
        if plan.reader_id != reader_id:
            raise StudyError(
                f"Session {session_id}: it belongs to another reader; choose one from your own list."
            )
        with self._lock:
            if session_id in self._live:
                return self.position(session_id)
            status = self._status(plan)
            if not status.available:
                raise StudyError(f"Session {session_id}: {status.why_not}")
            record = self._record(session_id)
            body: dict[str, object] = {
                "study_id": self._study.study_id,
                "reader_id": reader_id,
                "period": plan.period,
                "protocol_hash": self._protocol_hash,
                "seed": self._study.seed,
                "plan": [[entry.case_id, entry.arm_id] for entry in plan.entries],
                "environment": dict(environment),
            }
            kind = EventKind.SESSION_OPENED
            if record.phase is Phase.OPEN:
                kind = EventKind.SESSION_RECOVERED
                current = record.current
                cut = current is not None and current.state is not State.WAITING
                body["interrupted_case_id"] = current.case_id if cut and current is not None else None
            self._append(session_id, (kind, body), need_anchor=True)
            self._live.add(session_id)
        return self.position(session_id)

    def open_case(self, session_id: str) -> Position:
        """Record that the current case was asked for; a second call while it is on screen changes nothing."""
        current = self._current(session_id)
        if current.state is State.WAITING:
            case = self._study.case(current.case_id)
            body = {
                "case_id": current.case_id,
                "arm_id": current.arm_id,
                "exam_digest": case.exam_digest,
                "resumed": current.openings > 0,
            }
            self._append(session_id, (EventKind.CASE_OPENED, body))
        return self.position(session_id)

    def frame_painted(self, session_id: str, t_mono_ns: int) -> None:
        """Record the first paint of all views: reading time begins here. Later paints change nothing.

        ``t_mono_ns`` is ``Clock.monotonic_ns`` of the same run, taken by the view after the paint.
        """
        current = self._current(session_id)
        if current.state in {State.SHOWN, State.ASSESSING, State.PAUSED}:
            return
        if t_mono_ns > self._clock.monotonic_ns():
            raise StudyError(
                f"Case {current.case_id}: expected a paint in the past, found one ahead of the clock;"
                " take the time from the session's clock."
            )
        self._case_step(session_id, EventKind.FRAME_PAINTED, painted_mono_ns=int(t_mono_ns))

    def stage_changed(self, session_id: str, stage: str) -> None:
        """Record the hanging step on screen."""
        self._case_step(session_id, EventKind.STAGE_CHANGED, stage=stage)

    def view_changed(self, session_id: str, body: Mapping[str, object]) -> None:
        """Queue a pan, zoom or window change; it is on disk some ms later, and before any later step.

        A change while no case is on screen (a late signal of the case before) is not recorded.
        """
        # Without the lock: the writer thread holds it while the disk works, and a drag must not wait for a disk.
        # Steps that change the phase or the case come from the caller's thread, so the record is not stale.
        record = self._records.get(session_id) or self._record(session_id)
        current = record.current
        if record.phase is not Phase.OPEN or current is None or current.state not in _ON_SCREEN:
            return
        what = {"case_id": current.case_id, "view": body}
        self._stream.put(session_id, self._draft(EventKind.VIEW_CHANGED, what))

    def ai_result_recorded(
        self,
        session_id: str,
        scores: Mapping[str, float],
        model: Mapping[str, str],
        detections: Sequence[Mapping[str, object]] = (),
    ) -> None:
        """Record what the AI said and which model said it; IllegalTransition in an unaided arm."""
        found = [dict(detection) for detection in detections]
        self._case_step(
            session_id, EventKind.AI_RESULT_RECORDED, scores=dict(scores), model=dict(model), detections=found
        )

    def ai_revealed(self, session_id: str, layer: str, shown: Mapping[str, object]) -> None:
        """Record that an AI layer came on screen, and what was in it; IllegalTransition in an unaided arm."""
        self._case_step(session_id, EventKind.AI_REVEALED, layer=layer, shown=dict(shown))

    def ai_hidden(self, session_id: str, layer: str) -> None:
        """Record that an AI layer left the screen."""
        self._case_step(session_id, EventKind.AI_HIDDEN, layer=layer)

    # -- marks and the form ---------------------------------------------------------------------------------

    def add_mark(self, session_id: str, finding: Finding) -> None:
        """Record a new mark."""
        self._case_step(session_id, EventKind.MARK_ADDED, finding=finding_to_json(finding))

    def move_mark(self, session_id: str, finding: Finding) -> None:
        """Record a mark's new place, type or suspicion; the old one stays in the log (RS-L1)."""
        old = finding_to_json(self._mark(session_id, finding.finding_id))
        self._case_step(session_id, EventKind.MARK_MOVED, old=old, finding=finding_to_json(finding))

    def remove_mark(self, session_id: str, finding_id: str) -> None:
        """Record that a mark was taken back; it stays in the log."""
        self._case_step(
            session_id, EventKind.MARK_REMOVED, old=finding_to_json(self._mark(session_id, finding_id))
        )

    def save_draft(self, session_id: str, assessment: Assessment) -> None:
        """Keep the form as it stands, so that a crash loses nothing. The same form twice is written once."""
        if self._current(session_id).draft != assessment:
            self._case_step(session_id, EventKind.DRAFT_SAVED, assessment=assessment_to_json(assessment))

    def coverage_recorded(self, session_id: str, seen: Sequence[SeenImage]) -> None:
        """Record how much of each image was shown at 1:1 so far; for a case left before it is submitted."""
        self._case_step(session_id, EventKind.COVERAGE_RECORDED, images=coverage_to_json(seen))

    def submit(
        self, session_id: str, assessment: Assessment, seen: Sequence[SeenImage] | None = None
    ) -> Position:
        """Submit and lock the current case in one commit, and return the next position.

        ``seen`` is how much of each image was shown at 1:1; it is written in the same commit. None = not counted.

        Raises
        ------
        AssessmentIncomplete
            Something is missing or contradictory; nothing was written.
        StudyError
            The protocol asks for more tissue at 1:1 than was shown; nothing was written.
        StoreError
            The disk refused; nothing was written and the case stays.
        IllegalTransition
            The case is not on screen, or is paused.
        """
        current = self._current(session_id)
        found = problems(assessment, self._study.scale)
        if found:
            raise AssessmentIncomplete(found)
        if seen is not None:
            require_coverage(seen, self._study.scale)
        case_id = current.case_id
        images = {"case_id": case_id, "images": coverage_to_json(seen or ())}
        noted = () if seen is None else ((EventKind.COVERAGE_RECORDED, images),)
        index = self._record(session_id).index
        submitted = {
            "case_id": current.case_id,
            "assessment": assessment_to_json(assessment),
            "position": index + 1,
        }
        self._append(
            session_id,
            *noted,
            (EventKind.ASSESSMENT_SUBMITTED, submitted),
            (EventKind.READING_LOCKED, {"case_id": current.case_id}),
        )
        return self.position(session_id)

    def pause(self, session_id: str) -> None:
        """Stop the reading clock; the screen must be blank until ``resume``."""
        self._case_step(session_id, EventKind.PAUSED)

    def resume(self, session_id: str) -> None:
        """Start the reading clock again."""
        self._case_step(session_id, EventKind.RESUMED)

    def focus_lost(self, session_id: str) -> None:
        self._session_step(session_id, EventKind.FOCUS_LOST, {})

    def focus_regained(self, session_id: str) -> None:
        self._session_step(session_id, EventKind.FOCUS_REGAINED, {})

    def idle_detected(self, session_id: str, seconds: float) -> None:
        """Record that there was no input for the last ``seconds`` (reported when input comes back)."""
        self._session_step(session_id, EventKind.IDLE_DETECTED, {"seconds": float(seconds)})

    def grant_override(self, session_id: str, *, reason: str, granted_by: str) -> None:
        """Let a session open before its washout has passed; reason and person go into the log (RS-D4)."""
        if not reason.strip():
            raise StudyError(
                f"Session {session_id}: expected a reason for the washout override, found none; give one."
            )
        body: dict[str, object] = {"rule": "washout", "reason": reason, "granted_by": granted_by}
        self._append(session_id, (EventKind.OVERRIDE_GRANTED, body))

    def close(self, session_id: str) -> None:
        """End the sitting; an unfinished session can be taken up later on the same case."""
        with self._lock:
            record = self._record(session_id)
            if record.phase is Phase.OPEN:
                self._append(session_id, (EventKind.SESSION_CLOSED, {"finished": record.finished}))
            self._live.discard(session_id)
        if not self._live:
            self._stream.stop()

    def shutdown(self) -> None:
        """Close every session that is open here and end the writer thread."""
        for session_id in sorted(self._live):
            self.close(session_id)
        self._stream.stop()

    # -- inside ---------------------------------------------------------------------------------------------

    def _plan(self, session_id: str) -> SessionPlan:
        plan = self._study.plan(session_id)
        if plan is None:
            raise StudyError(
                f"Session {session_id}: not in study {self._study.study_id}; choose one from the list."
            )
        return plan

    def _record(self, session_id: str) -> SessionRecord:
        with self._lock:
            record = self._records.get(session_id)
            if record is None:
                record = fold(self._study, self._plan(session_id), self._store.read(session_id))
                self._records[session_id] = record
            return record

    def _current(self, session_id: str) -> Reading:
        current = self._record(session_id).current
        if current is None:
            raise IllegalTransition(f"Session {session_id} is finished: there is no case to read.")
        return current

    def _mark(self, session_id: str, finding_id: str) -> Finding:
        current = self._current(session_id)
        for mark in current.findings:
            if mark.finding_id == finding_id:
                return mark
        raise IllegalTransition(f"Case {current.case_id}: there is no mark {finding_id} to change.")

    def _status(self, plan: SessionPlan) -> SessionStatus:
        return session_status(self._study, plan, self._record, self._clock.utc_now())

    def _draft(self, kind: EventKind, body: Mapping[str, object]) -> Draft:
        value = plain(body)
        assert isinstance(value, dict)
        return Draft(
            kind=kind,
            body=value,
            boot_id=self._clock.boot_id,
            t_mono_ns=self._clock.monotonic_ns(),
            t_utc=self._clock.utc_now(),
        )

    def _case_step(self, session_id: str, kind: EventKind, **body: object) -> None:
        self._append(session_id, (kind, {"case_id": self._current(session_id).case_id, **body}))

    def _session_step(self, session_id: str, kind: EventKind, body: Mapping[str, object]) -> None:
        current = self._record(session_id).current
        self._append(session_id, (kind, {"case_id": None if current is None else current.case_id, **body}))

    def _flush(self, session_id: str) -> None:
        if self._stream.pending(session_id):
            self._append(session_id)

    def _append(
        self, session_id: str, *steps: tuple[EventKind, Mapping[str, object]], need_anchor: bool = False
    ) -> None:
        with self._lock:
            record = self._record(session_id)
            queued = self._stream.pending(session_id)
            drafts = (*queued, *(self._draft(kind, body) for kind, body in steps))
            events = seal(session_id, drafts, seq=record.count, prev_hash=record.head)
            after = record
            for event in events:
                after = apply(after, event)
            if not events:
                return
            if need_anchor and self._anchor is not None:
                # Proves the place can be written before a session begins.
                append_anchor(
                    self._anchor, Anchor(session_id=session_id, count=record.count, hash=record.head)
                )
            self._store.append(events, record.count)
            self._records[session_id] = after
            self._stream.written(session_id, len(queued))
            if steps:
                self._keep_anchor(after)

    def _keep_anchor(self, record: SessionRecord) -> None:
        if self._anchor is None:
            return
        try:
            append_anchor(
                self._anchor, Anchor(session_id=record.plan.session_id, count=record.count, hash=record.head)
            )
        except StoreError as error:
            # The event itself is safe; the next step writes a newer anchor that covers it as well.
            _LOG.error("the anchor file falls behind the log: %s", error)
