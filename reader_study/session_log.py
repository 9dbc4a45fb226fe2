"""One study's log at one workstation: folded records, the one append, the anchor, the queue of view changes.

Each step is first tried on the record, then committed, and only then believed; if the disk refuses, nothing
moves. What the steps are is ``case_steps`` and ``sessions``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from reader_study.anchor import Anchor, append_anchor
from reader_study.audit import study_stage
from reader_study.domain.assessment import Finding
from reader_study.domain.events import Draft, Event, EventKind, plain, seal
from reader_study.domain.reading import Reading, SessionRecord, apply, fold
from reader_study.domain.study import SessionPlan, Study
from reader_study.domain.study_json import protocol_hash
from reader_study.errors import IllegalTransition, StoreError, StudyError
from reader_study.permissions import Account, require_own_session
from reader_study.ports import Clock, EventStore, SavedAfterAll
from reader_study.view_stream import ViewStream

_LOG = logging.getLogger(__name__)
_LEAVES_THE_SCREEN = frozenset({EventKind.READING_LOCKED, EventKind.PAUSED, EventKind.SESSION_CLOSED})


class SessionLog:
    """Reads and appends to the chains of one study; the parent of ``Sessions``."""

    def __init__(self, *, study: Study, store: EventStore, clock: Clock, anchor: Path | None = None) -> None:
        self._study, self._protocol_hash = study, protocol_hash(study)
        self._store = store
        self._clock = clock
        self._anchor = anchor
        self._records: dict[str, SessionRecord] = {}
        self._live: set[str] = set()
        self._saved: dict[str, Sequence[Event]] = {}  # steps that were refused and are in the log after all
        self._lock = threading.RLock()
        self._stream = ViewStream(self._flush)
        self._account: Account | None = None  # None = not bound: tests, simulation, the command line

    def admit(self, account: Account | None) -> None:
        """Serve this account only from now on: a reader reaches her own sessions and nothing else (RS-R2)."""
        self._account = account

    def _plan(self, session_id: str) -> SessionPlan:
        plan = self._study.plan(session_id)
        if plan is None:
            raise StudyError(
                f"Session {session_id}: not in study {self._study.study_id}; choose one from the list."
            )
        return plan

    def _must_be_in_force(self, session_id: str) -> None:
        """Raise StudyError where the protocol was amended since this station took it up (RS-D1)."""
        in_force = study_stage(self._store, self._study.study_id).protocol_hash
        if in_force is not None and in_force != self._protocol_hash:
            raise StudyError(
                f"Session {session_id}: expected the protocol in force, found that it was amended since this station"
                " was started; sign in again."
            )

    def _own_plan(self, session_id: str) -> SessionPlan:
        plan = self._plan(session_id)
        if self._account is not None:
            require_own_session(self._account, plan)
        return plan

    def _record(self, session_id: str) -> SessionRecord:
        """The session as the log tells it; NotPermitted when it is not the reader's own."""
        self._own_plan(session_id)
        return self._folded(session_id)

    def _folded(self, session_id: str) -> SessionRecord:
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
        self,
        session_id: str,
        *steps: tuple[EventKind, Mapping[str, object]],
        need_anchor: bool = False,
        anybody: bool = False,
    ) -> None:
        if steps and not anybody:  # what is queued was let in when it happened
            self._own_plan(session_id)
        with self._lock:
            if session_id in self._saved:
                if steps:
                    self._take_over(session_id, steps)
                return
            record = self._folded(session_id)
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
            try:
                self._store.append(events, record.count)
            except SavedAfterAll as known:
                # Found by the writer of view changes, it waits for the reader's next step: she must not be moved on
                # while she fills in the form of the case that she sees.
                self._saved[session_id] = known.events
                if steps:
                    self._take_over(session_id, steps)
                return
            self._records[session_id] = after
            self._stream.written(session_id, len(queued))
            if steps:
                self._keep_anchor(after)

    def _take_over(self, session_id: str, steps: Sequence[tuple[EventKind, Mapping[str, object]]]) -> None:
        """Believe what the log has after all; then the new steps: they are those very ones, or go on from them.

        StudyError when the new steps no longer fit, such as another answer to a case whose answer was saved.
        """
        saved = self._saved.pop(session_id)
        self._records.pop(session_id, None)
        queue = self._stream.pending(session_id)
        streamed = sum(
            one.kind is draft.kind and one.t_mono_ns == draft.t_mono_ns and one.body == draft.body
            for one, draft in zip(saved, queue, strict=False)
        )
        earlier = _said((event.kind, event.body) for event in saved[streamed:])
        if any(kind in _LEAVES_THE_SCREEN for kind, _ in earlier):
            streamed = len(queue)  # what was looked at between the two attempts belongs to no open reading
        self._stream.written(session_id, streamed)
        if earlier and earlier == _said((kind, plain(body)) for kind, body in steps):
            self._keep_anchor(self._folded(session_id))
            return
        try:
            self._append(session_id, *steps, anybody=True)
        except IllegalTransition as error:
            raise StudyError(
                f"Session {session_id}: the earlier step ({', '.join(kind for kind, _ in earlier)}) was saved after all,"
                " so this one was not taken; look where the session stands and go on from there."
            ) from error

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


def _said(steps: Iterable[tuple[EventKind, object]]) -> list[tuple[EventKind, object]]:
    """What a person meant by steps: without how much was looked at meanwhile, which goes on counting."""
    return [(kind, body) for kind, body in steps if kind is not EventKind.COVERAGE_RECORDED]
