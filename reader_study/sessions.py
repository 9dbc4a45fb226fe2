"""The only writer of the log: opens sessions, lists them, grants overrides, signs and closes them.

What happens inside a case is ``case_steps``, how it is written ``session_log``. Never returns truth, and nothing of
another reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reader_study.audit import study_stage
from reader_study.case_steps import AssessmentIncomplete, CaseSteps, Position
from reader_study.domain.events import EventKind
from reader_study.domain.reading import Phase, Reading, State, planned_order
from reader_study.domain.study import SessionPlan
from reader_study.errors import StudyError
from reader_study.permissions import Action, require, require_own_list
from reader_study.progress import Progress, read_progress
from reader_study.station_time import environment_mark, set_forward, wrong_calendar
from reader_study.training import instruction_digest, instruction_text
from reader_study.worklist import SessionStatus, session_status

__all__ = ["AssessmentIncomplete", "Position", "SessionStatus", "Sessions"]


class Sessions(CaseSteps):
    """Reads and writes the sessions of one study for the readers at this workstation."""

    def worklist(self, reader_id: str) -> tuple[SessionStatus, ...]:
        """Return the reader's own sessions by period, each with progress and whether it may be opened."""
        if self._account is not None:
            require_own_list(self._account, reader_id)
        plans = self._study.plans_of(reader_id)
        progress = read_progress(self._study, self._store, plans)
        rows = self._by_calendar(plans, progress)
        closed = study_stage(self._store, self._study.study_id).why_closed
        if closed is None:
            return rows
        return tuple(replace(row, available=False, why_not=row.why_not or closed) for row in rows)

    def _by_calendar(
        self, plans: Sequence[SessionPlan], progress: Mapping[str, Progress]
    ) -> tuple[SessionStatus, ...]:
        """The rows as the calendar has them; where a washout hangs on it, one that is wrong opens nothing (RS-D4)."""
        if not self._study.washout_days:
            now = self._clock.utc_now()
            return tuple(session_status(self._study, plan, progress, now) for plan in plans)
        calendar = self._store.calendar()
        now = calendar.server_utc or self._clock.utc_now()
        rows = [session_status(self._study, plan, progress, now) for plan in plans]
        wrong = wrong_calendar(calendar, self._clock)
        ids = [plan.session_id for plan in plans]
        for at, row in enumerate(rows):
            if not row.available or progress[row.session_id].overrides:
                continue
            why = wrong or (row.opens_utc and set_forward(self._store, self._clock, ids))
            if why:
                rows[at] = replace(row, available=False, why_not=why)
        return tuple(rows)

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
        plan = self._own_plan(session_id)
        if plan.reader_id != reader_id:
            raise StudyError(
                f"Session {session_id}: it belongs to another reader; choose one from your own list."
            )
        with self._lock:
            if session_id in self._live:
                return self.position(session_id)
            status = next(row for row in self.worklist(reader_id) if row.session_id == session_id)
            if not status.available:
                raise StudyError(f"Session {session_id}: {status.why_not}")
            self._must_be_in_force(session_id)
            record = self._record(session_id)
            body: dict[str, object] = {
                "study_id": self._study.study_id,
                "reader_id": reader_id,
                "period": plan.period,
                "protocol_hash": self._protocol_hash,
                "seed": self._study.seed,
                "plan": planned_order(plan),
                "environment": {**environment, **environment_mark(self._clock)},
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

    def grant_override(self, session_id: str, *, reason: str, granted_by: str) -> None:
        """Let a session open before its washout has passed; reason and person go into the log (RS-D4)."""
        if self._account is not None:
            require(self._account, Action.OVERRIDE, None, locked=False)
        if not reason.strip():
            raise StudyError(
                f"Session {session_id}: expected a reason for the washout override, found none; give one."
            )
        body: dict[str, object] = {"rule": "washout", "reason": reason, "granted_by": granted_by}
        self._append(session_id, (EventKind.OVERRIDE_GRANTED, body))

    # -- instruction, feedback, signature --------------------------------------------------------------------

    def instruction(self, session_id: str) -> str | None:
        """Return the text that the reader must acknowledge before the first case; None = nothing, or done."""
        digest, record = instruction_digest(self._study), self._record(session_id)
        if digest is None or record.acknowledged == digest:
            return None
        return instruction_text(self._study)

    def acknowledge_instruction(self, session_id: str) -> None:
        """Record that the reader has read the instruction; twice is written once (RS-T2)."""
        digest = instruction_digest(self._study)
        if digest is not None and self._record(session_id).acknowledged != digest:
            self._append(session_id, (EventKind.INSTRUCTION_ACKNOWLEDGED, {"instruction_sha256": digest}))

    def feedback_shown(self, session_id: str, case_id: str, words: Mapping[str, object]) -> None:
        """Record that a locked practice case's truth was shown; IllegalTransition for every other case (RS-T3)."""
        self._append(session_id, (EventKind.FEEDBACK_SHOWN, {"case_id": case_id, "truth": dict(words)}))

    def break_offered(self, session_id: str, minutes: float) -> None:
        """Record that a break was suggested after so many minutes of reading; no case is on screen (RS-U3)."""
        self._append(session_id, (EventKind.BREAK_OFFERED, {"minutes": round(minutes, 3)}))

    def break_ended(self, session_id: str) -> None:
        """Record that the reader goes on, rested or not: how long it was is the time between the two events."""
        self._append(session_id, (EventKind.BREAK_ENDED, {}))

    def locked_answers(self, session_id: str) -> tuple[tuple[int, Reading], ...]:
        """Return the reader's own locked cases with their place in the reading order, from 1 (RS-R4)."""
        readings = enumerate(self._record(session_id).readings, 1)
        return tuple((number, one) for number, one in readings if one.state is State.LOCKED)

    def sign(self, session_id: str, *, signed_by: str, name: str, meaning: str) -> None:
        """Sign a finished session: the name in full, and what the signature means (RS-A4).

        The caller has just checked the person's password (``accounts.sign_in``).
        """
        if not name.strip() or not meaning.strip():
            raise StudyError(
                f"Session {session_id}: expected a name and a meaning with the signature; give both."
            )
        body = {"signed_by": signed_by, "name": name, "meaning": meaning}
        self._append(session_id, (EventKind.SESSION_SIGNED, body))

    # -- the end ---------------------------------------------------------------------------------------------

    def close(self, session_id: str) -> None:
        """End the sitting; an unfinished session can be taken up later on the same case."""
        with self._lock:
            record = self._folded(session_id)  # the station closes for whoever sat there
            if record.phase is Phase.OPEN:
                body = {"finished": record.finished}
                self._append(session_id, (EventKind.SESSION_CLOSED, body), anybody=True)
            self._live.discard(session_id)
        if not self._live:
            self._stream.stop()

    def shutdown(self) -> None:
        """Close every session that is open here and end the writer thread."""
        for session_id in sorted(self._live):
            self.close(session_id)
        self._stream.stop()
