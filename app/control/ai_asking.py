"""Asks one or several models about the exam on screen, and says at every moment where that stands.

Knows no study: who records an answer before it shows hands in ``record``. What the states mean is ``app.state.ai_view``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.control.tasks import TaskContext, TaskRunner
from app.state.ai_view import AiView, ModelWords, no_words
from app.state.terms import progress_term
from inference.engine import AiUnavailable, InferenceCancelled, InferenceEngine
from inference.exam.types import Exam
from inference.results import ExamResult
from resources.files import UserFacingError
from resources.translation import translate

log = logging.getLogger(__name__)

TASK = "ai"


def _tr(text: str) -> str:
    return translate("reading", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the models said, what their cards say, and why a model beside the first did not answer."""

    results: tuple[ExamResult, ...]
    cards: Mapping[str, ModelWords]
    problems: tuple[str, ...] = ()


class AiAsking:
    """One question at a time; a newer one drops the older, and a dropped one never answers."""

    def __init__(
        self,
        *,
        engines: Sequence[InferenceEngine],
        runner: TaskRunner,
        show: Callable[[AiView], None],
        record: Callable[[ExamResult], bool] = lambda _result: True,
        card_words: Callable[[str], ModelWords] = no_words,
    ) -> None:
        self._engines, self._runner, self._show, self._record = tuple(engines), runner, show, record
        self._card_words = card_words
        self._exam: Exam | None = None

    def ask(self, exam: Exam) -> None:
        """Analyse off the UI thread and show progress, the answer, or why there is none."""
        self._exam = exam
        self._show(AiView(working=_tr("AI: waiting")))
        self._runner.submit(
            TASK, lambda context: self._work(exam, context), self._ready, self._failed, self._progress
        )

    def retry(self) -> None:
        """Ask about the same exam once more."""
        if self._exam is not None:
            self.ask(self._exam)

    def stop(self) -> None:
        """The reader wants no answer now; ``retry`` asks anew."""
        if self._exam is not None:
            self._runner.cancel(TASK)
            self._show(AiView(stopped=True))

    def drop(self) -> None:
        """Another case comes, or none."""
        self._exam = None
        self._runner.cancel(TASK)

    def _work(self, exam: Exam, context: TaskContext) -> Answer:
        results: list[ExamResult] = []
        problems: list[str] = []
        for number, engine in enumerate(self._engines):
            share = 1 / len(self._engines)
            start = number * share

            def report(fraction: float, text: str, start: float = start, share: float = share) -> None:
                context.report(start + fraction * share, text)

            try:
                results.append(engine.analyse(exam, report, context.cancelled))
            except InferenceCancelled:
                raise
            except UserFacingError as error:
                if number == len(self._engines) - 1 and not results:
                    raise
                problems.append(str(error))
        return Answer(
            results=tuple(results),
            cards={one.model_id: self._card_words(one.model_id) for one in results},
            problems=tuple(problems),
        )

    def _progress(self, fraction: float, text: str) -> None:
        self._show(AiView(working=_tr("AI: {0}").format(progress_term(text)), fraction=fraction))

    def _failed(self, error: Exception) -> None:
        if isinstance(error, InferenceCancelled):
            self._show(AiView(stopped=True))
        elif isinstance(error, AiUnavailable):
            self._show(AiView(absent=_tr("AI not available for this exam: {0}").format(error)))
        else:
            if not isinstance(error, UserFacingError):
                log.error("AI failed", exc_info=error)
            self._show(AiView(failure=_tr("AI not available, the analysis failed: {0}").format(error)))

    def _ready(self, answer: Answer) -> None:
        taken = tuple(one for one in answer.results if self._record(one))
        if taken:
            self._show(
                AiView(result=taken[0], others=taken[1:], cards=answer.cards, problems=answer.problems)
            )
