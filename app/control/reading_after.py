"""What comes between two cases: the truth of a practice case, a break that is due, a look back at locked answers.

Part of a reading session, apart from ``reading`` because no case is on screen then and no case's clock runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from app.state.practice_truth import ShownTruth, truth_from_words
from reader_study.domain.assessment import Assessment
from reader_study.domain.conduct import Navigation
from reader_study.domain.study import Scale, Study
from reader_study.ports import Clock
from reader_study.sessions import AssessmentIncomplete, Position, Sessions
from resources.files import UserFacingError
from resources.translation import translate

log = logging.getLogger(__name__)

RESTED_S = 300.0  # a pause of the reader's own this long counts as her break
TruthOf = Callable[
    [str, str], Mapping[str, object]
]  # session id, case id -> what is shown; writes the event first


def _tr(text: str) -> str:
    return translate("practice", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedAnswer:
    """One locked case as its reader may look back at it; ``number`` counts from 1 in reading order."""

    case_id: str
    number: int
    answer: Assessment
    amendments: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LookBack:
    """What the page of locked answers needs; ``amend`` raises UserFacingError where an answer is not taken."""

    scale: Scale
    answers: Callable[[], tuple[LockedAnswer, ...]]
    amend: Callable[[str, Assessment, str], None]  # case id, new answer, reason
    go_on: Callable[[], object]
    at_end: bool  # every case is locked: going on ends the session


class AfterScreen(Protocol):
    """The face of the reading window between two cases."""

    def show_truth(self, truth: ShownTruth, go_on: Callable[[], object]) -> None: ...

    def offer_break(self, minutes: float, go_on: Callable[[], object]) -> None: ...

    def show_retry(self, sentence: str, go_on: Callable[[], object]) -> None: ...

    def show_look_back(self, page: LookBack) -> None: ...


class AfterLock:
    """One sitting's way from a locked case to the next; ``go_on`` ends whatever waits for the reader."""

    def __init__(
        self, *, study: Study, sessions: Sessions, clock: Clock, screen: AfterScreen, truth: TruthOf | None
    ) -> None:
        self._study, self._sessions, self._clock, self._screen, self._truth = (
            study,
            sessions,
            clock,
            screen,
            truth,
        )
        self._waiting: Callable[[], None] | None = None
        self._since_ns = clock.monotonic_ns()

    def begin(self) -> None:
        """The sitting begins, or goes on after a break."""
        self._since_ns, self._waiting = self._clock.monotonic_ns(), None

    def drop(self) -> None:
        """The reader leaves: nothing waits for her any more."""
        self._waiting = None

    def rested(self, seconds: float) -> None:
        """A pause of the reader's own is over; a long one was her break (RS-U3)."""
        if seconds >= RESTED_S:
            self._since_ns = self._clock.monotonic_ns()

    def try_again(self, sentence: str, action: Callable[[], None]) -> None:
        """Say why the next case does not come, and let the reader try it again."""
        self._waiting = action
        self._screen.show_retry(sentence, self.go_on)

    def go_on(self) -> bool:
        """End what waits for the reader; False when nothing does."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return False
        waiting()
        return True

    def case_locked(self, locked: Position, following: Position, next_case: Callable[[], None]) -> None:
        """Show what comes before the next case, then call ``next_case``.

        Parameters
        ----------
        locked, following : Position
            The case whose answer was just locked, and where the session stands now.
        next_case : callable
            Opens the next case, or ends the session.
        """

        def rest() -> None:
            self._rest(following.session_id, next_case, over=following.case_id is None)

        if locked.case_id is None or not locked.practice or not self._study.training.feedback:
            rest()
            return
        self._waiting = rest
        self._screen.show_truth(self._shown(locked.session_id, locked.case_id), self.go_on)

    def _shown(self, session_id: str, case_id: str) -> ShownTruth:
        """The truth, once the log has it; else the sentence that says why it is not shown."""
        try:
            return truth_from_words(self._words(session_id, case_id))
        except UserFacingError as error:
            return ShownTruth(why_not=str(error))

    def _words(self, session_id: str, case_id: str) -> Mapping[str, object]:
        if self._truth is None:
            raise UserFacingError(
                _tr(
                    "The truth of this practice case is not on this station, so it cannot be shown; tell the coordinator."
                )
            )
        return self._truth(session_id, case_id)

    def _rest(self, session_id: str, next_case: Callable[[], None], *, over: bool) -> None:
        limit = self._study.conduct.break_after_min
        minutes = (self._clock.monotonic_ns() - self._since_ns) / 60e9
        if over or limit is None or minutes < limit:
            next_case()
            return

        def rested() -> None:
            self._note(lambda: self._sessions.break_ended(session_id))
            self.begin()
            next_case()

        self._note(lambda: self._sessions.break_offered(session_id, minutes))
        self._waiting = rested
        self._screen.offer_break(minutes, self.go_on)

    def _note(self, write: Callable[[], None]) -> None:
        """A break that the log does not take keeps nobody from resting; the next step fails aloud or writes on."""
        try:
            write()
        except UserFacingError as error:
            log.error("a break is not in the log: %s", error)

    # ---- looking back

    @property
    def may_look_back(self) -> bool:
        """True where the protocol lets readers change locked answers (RS-R4)."""
        return self._study.conduct.navigation is Navigation.LOOK_BACK

    def look_back(self, session_id: str, then: Callable[[], None], *, at_end: bool) -> bool:
        """Show the locked answers of the session, then call ``then``; False when there is nothing to show."""
        if not self.may_look_back or not self._sessions.locked_answers(session_id):
            return False

        def answers() -> tuple[LockedAnswer, ...]:
            return tuple(
                LockedAnswer(case_id=one.case_id, number=number, answer=one.final, amendments=one.amendments)
                for number, one in self._sessions.locked_answers(session_id)
                if one.final is not None
            )

        def amend(case_id: str, answer: Assessment, reason: str) -> None:
            self._sessions.amend(session_id, case_id, answer, reason=reason)

        self._waiting = then
        self._screen.show_look_back(
            LookBack(scale=self._study.scale, answers=answers, amend=amend, go_on=self.go_on, at_end=at_end)
        )
        return True


def field_sentences(error: UserFacingError) -> dict[str, str]:
    """Return what is wrong by field of the form; empty where the error is about something else."""
    return (
        {one.field: one.sentence for one in error.problems} if isinstance(error, AssessmentIncomplete) else {}
    )
