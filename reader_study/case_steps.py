"""The steps of one case: opened, painted, looked at, marked, filled in, submitted; and what comes after the lock.

Every step goes through ``session_log``. Never returns truth, and nothing of another reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reader_study.coverage import SeenImage, coverage_to_json, require_coverage
from reader_study.domain.assessment import (
    Assessment,
    FieldProblem,
    Finding,
    assessment_to_json,
    finding_to_json,
    problems,
)
from reader_study.domain.events import EventKind
from reader_study.domain.reading import Phase, Reading, State
from reader_study.domain.study import Arm
from reader_study.errors import StudyError
from reader_study.session_log import SessionLog
from reader_study.training import instruction_digest

_ON_SCREEN = frozenset({State.LOADING, State.SHOWN, State.ASSESSING})


class AssessmentIncomplete(StudyError):
    """The form has gaps or contradictions; ``problems`` lists them field by field."""

    def __init__(self, found: tuple[FieldProblem, ...]) -> None:
        super().__init__(" ".join(problem.sentence for problem in found))
        self.problems = found


class Stage(StrEnum):
    """Which answer the current case waits for."""

    ONLY = "only"
    PROVISIONAL = "provisional"  # sequential design: locked before the AI is revealed
    FINAL = "final"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a session stands; ``case_id`` is None when all cases are locked (the rest is of the last)."""

    session_id: str
    case_id: str | None
    exam_id: str
    exam_digest: str
    arm: Arm  # in force now: in a sequential design the first arm until the provisional answer is locked
    index: int  # 0-based place in the reading order; equals total when finished
    total: int
    practice: bool
    reading: Reading
    stage: Stage = Stage.ONLY


class CaseSteps(SessionLog):
    """What happens to the current case of a session; the middle part of ``Sessions``."""

    def position(self, session_id: str) -> Position:
        """Return the current case of a session, as the log tells it."""
        record = self._record(session_id)
        index = min(record.index, len(record.readings) - 1)
        reading = record.readings[index]
        case, entry = self._study.case(reading.case_id), record.plan.entries[index]
        stage, arm_id = Stage.ONLY, reading.arm_id
        if entry.first_arm_id is not None:
            stage = Stage.PROVISIONAL if record.awaits_provisional else Stage.FINAL
            arm_id = entry.first_arm_id if record.awaits_provisional else arm_id
        return Position(
            session_id=session_id,
            case_id=None if record.finished else case.case_id,
            exam_id=case.exam_id,
            exam_digest=case.exam_digest,
            arm=self._study.arm(arm_id),
            stage=stage,
            index=record.index,
            total=len(record.readings),
            practice=case.practice,
            reading=reading,
        )

    def open_case(self, session_id: str) -> Position:
        """Record that the current case was asked for; a second call while it is on screen changes nothing."""
        current = self._current(session_id)
        digest = instruction_digest(self._study)
        if digest is not None and self._record(session_id).acknowledged != digest:
            raise StudyError(
                f"Session {session_id}: expected the instruction to be acknowledged first; read it and confirm."
            )
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

    def measurement_changed(
        self, session_id: str, old: Mapping[str, object] | None, new: Mapping[str, object] | None
    ) -> None:
        """Record a ruler, angle, ellipse, text or nipple set, changed or taken away; None = there was or is none."""
        self._case_step(session_id, EventKind.MEASUREMENT_CHANGED, old=old, measurement=new)

    def save_draft(self, session_id: str, assessment: Assessment) -> None:
        """Keep the form as it stands, so that a crash loses nothing. The same form twice is written once."""
        if self._current(session_id).draft != assessment:
            self._case_step(session_id, EventKind.DRAFT_SAVED, assessment=assessment_to_json(assessment))

    def coverage_recorded(self, session_id: str, seen: Sequence[SeenImage]) -> None:
        """Record how much of each image was shown at 1:1 so far; for a case left before it is submitted."""
        self._case_step(session_id, EventKind.COVERAGE_RECORDED, images=coverage_to_json(seen))

    def submit(
        self,
        session_id: str,
        assessment: Assessment,
        seen: Sequence[SeenImage] | None = None,
        *,
        confirmed: bool = False,
    ) -> Position:
        """Submit and lock the current answer in one commit, and return the next position.

        In a sequential design the first answer of a case is kept as the provisional one, and the next position is the
        same case in its second arm (RS-C4). ``seen`` is how much of each image was shown at 1:1; it is written in the
        same commit; None = not counted. ``confirmed`` = the reader stands by answers that the protocol only warns of.

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
        found = problems(assessment, self._study.scale, current.findings)
        if any(not problem.warning for problem in found) or (found and not confirmed):
            raise AssessmentIncomplete(found)
        if seen is not None:
            require_coverage(seen, self._study.scale)
        case_id = current.case_id
        images = {"case_id": case_id, "images": coverage_to_json(seen or ())}
        noted = () if seen is None else ((EventKind.COVERAGE_RECORDED, images),)
        record = self._record(session_id)
        index = record.index
        submitted = {
            "case_id": current.case_id,
            "assessment": assessment_to_json(assessment),
            "position": index + 1,
        }
        if record.awaits_provisional:
            self._append(session_id, *noted, (EventKind.PROVISIONAL_SUBMITTED, submitted))
            return self.position(session_id)
        self._append(
            session_id,
            *noted,
            (EventKind.ASSESSMENT_SUBMITTED, submitted),
            (EventKind.READING_LOCKED, {"case_id": current.case_id}),
        )
        return self.position(session_id)

    def amend(self, session_id: str, case_id: str, assessment: Assessment, *, reason: str) -> None:
        """Change the answer of a locked case where the protocol lets readers look back (RS-R4); the old one is kept.

        Raises
        ------
        AssessmentIncomplete
            Something is missing or contradictory.
        StudyError
            No reason is given, or the case was not read in this session.
        IllegalTransition
            The protocol does not allow it, the case is not locked, or the session is signed.
        """
        reading = next((r for r in self._record(session_id).readings if r.case_id == case_id), None)
        if reading is None or reading.final is None or not reason.strip():
            raise StudyError(
                f"Case {case_id}: expected a case locked in this session and a reason; choose one, give a reason."
            )
        found = problems(assessment, self._study.scale, reading.findings)
        if found:
            raise AssessmentIncomplete(found)
        body = {
            "case_id": case_id,
            "old": assessment_to_json(reading.final),
            "assessment": assessment_to_json(assessment),
            "reason": reason,
        }
        self._append(session_id, (EventKind.ASSESSMENT_AMENDED, body))

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
