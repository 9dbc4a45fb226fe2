"""Looks at exams without a study: a list, one exam at a time, the AI beside it. Nothing is logged or scored."""

from __future__ import annotations

import logging
from collections.abc import Callable

from app.control.reading import AiView, CaseView, LoadedExam, ReadingScreen, load_exam
from app.control.tasks import TaskContext, TaskRunner
from app.state.hanging import Protocol as HangingProtocol
from app.state.hanging import match
from inference.engine import InferenceEngine
from inference.exam.sources import ExamSource
from inference.exam.types import ExamSummary
from inference.results import ExamResult
from reader_study.domain.study import AiPolicy, Scale
from resources.files import UserFacingError

log = logging.getLogger(__name__)

ALL_AI = AiPolicy(shown=True, boxes=True, heatmap=True, score=True, operating_threshold=0.5)


class BrowseController:
    """Opens exams of one source on the reading screen, outside any study."""

    def __init__(
        self,
        *,
        source: ExamSource,
        engine: InferenceEngine,
        runner: TaskRunner,
        protocols: tuple[HangingProtocol, ...],
        screen: ReadingScreen,
    ) -> None:
        self._source, self._engine, self._runner = source, engine, runner
        self._protocols, self._screen = protocols, screen

    def list_exams(self, done: Callable[[tuple[ExamSummary, ...]], None]) -> None:
        """Read headers off the UI thread, then hand over the list."""
        self._runner.submit("list", lambda _context: self._source.list(), done, self._failed)

    def open(self, exam_id: str) -> None:
        """Load one exam and hang it."""
        self._screen.show_loading("Loading …")
        self._runner.submit(
            "load", lambda _context: load_exam(self._source, exam_id), self._hang, self._failed
        )

    def leave(self) -> None:
        for key in ("load", "ai"):
            self._runner.cancel(key)

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, UserFacingError):
            log.error("exam failed", exc_info=error)
        self._screen.show_message(str(error))

    def _hang(self, loaded: LoadedExam) -> None:
        exam = loaded.exam
        hanging = match(self._protocols, exam)
        self._screen.show_case(
            CaseView(
                exam=exam,
                hanging=hanging,
                study_title="Exams",
                session_title="no study",
                case_label=f"Exam {exam.exam_id}",
                policy=ALL_AI,
                scale=Scale(),
                findings=(),
                draft=None,
                show_timer=False,
                pyramids=loaded.pyramids,
                in_study=False,
            )
        )
        notes = [*exam.notes]
        if notes:
            self._screen.show_message(
                notes[0] if len(notes) == 1 else f"{notes[0]} (+{len(notes) - 1} more notes)"
            )
        self._screen.show_ai(AiView(working="AI: waiting"))

        def work(context: TaskContext) -> ExamResult:
            return self._engine.analyse(exam, context.report, context.cancelled)

        self._runner.submit(
            "ai",
            work,
            lambda result: self._screen.show_ai(AiView(result=result)),
            lambda error: self._screen.show_ai(AiView(failure=f"AI not available: {error}")),
            lambda fraction, text: self._screen.show_ai(AiView(working=f"AI: {text}", fraction=fraction)),
        )
