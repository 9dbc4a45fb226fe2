"""Asks one or several models about the exam on screen, one after another, and says at every moment where each stands.

Knows no study: who records an answer before it shows hands in ``record``. What the states mean is ``app.state.ai_view``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from app.control.tasks import TaskContext, TaskRunner
from app.state.ai_told import told
from app.state.ai_view import AiView, ModelRun, ModelWords, RunState, no_words
from app.state.model_shelf import AskedModel
from app.state.terms import progress_term
from inference.engine import AiUnavailable, InferenceCancelled, InferenceEngine
from inference.exam.types import Exam
from inference.results import ExamResult
from resources.files import UserFacingError
from resources.translation import translate

log = logging.getLogger(__name__)

TASK = "ai"
Asked = Callable[[], Sequence[AskedModel]]


def _tr(text: str) -> str:
    return translate("reading", text)


def always(engines: Sequence[InferenceEngine]) -> Asked:
    """Ask these engines about every exam; what they are called they say with their answers."""
    fixed = tuple(AskedModel(engine=engine) for engine in engines)
    return lambda: fixed


class AiAsking:
    """One exam at a time; a newer question drops the older, and a dropped one never answers."""

    def __init__(
        self,
        *,
        asked: Asked,
        runner: TaskRunner,
        show: Callable[[AiView], None],
        record: Callable[[ExamResult], bool] = lambda _result: True,
        card_words: Callable[[str], ModelWords] = no_words,
    ) -> None:
        """Make it; ``asked`` is called at each question, so that a changed choice holds at the next exam."""
        self._asked, self._runner, self._show, self._record = asked, runner, show, record
        self._card_words = card_words
        self._exam: Exam | None = None
        self._models: tuple[AskedModel, ...] = ()
        self._runs: list[ModelRun] = []
        self._doing = ""

    def ask(self, exam: Exam) -> None:
        """Analyse off the UI thread and show progress, each answer as it comes, or why there is none."""
        self._exam = exam
        self._begin(())

    def retry(self) -> None:
        """Ask about the same exam once more; what was answered stays."""
        if self._exam is not None:
            self._begin(tuple(run for run in self._runs if run.state is RunState.READY))

    def stop(self) -> None:
        """The reader wants no further answer now; ``retry`` asks anew."""
        if self._exam is None:
            return
        self._runner.cancel(TASK)
        self._runs = [replace(run, state=RunState.STOPPED) if run.is_open else run for run in self._runs]
        self._show(self._view())

    def drop(self) -> None:
        """Another case comes, or none."""
        self._exam, self._models, self._runs = None, (), []
        self._runner.cancel(TASK)

    # ---- one model after another

    def _begin(self, answered: Sequence[ModelRun]) -> None:
        kept = {run.model_id: run for run in answered}
        self._models = tuple(self._asked())
        self._runs = [kept.get(model.model_id) or _waiting(model) for model in self._models]
        self._doing = _tr("AI: waiting")
        self._show(self._view())
        self._next()

    def _next(self) -> None:
        """Start the next model that waits; nothing where none does."""
        at = next((n for n, run in enumerate(self._runs) if run.state is RunState.WAITING), None)
        exam = self._exam
        if at is None or exam is None:
            return
        engine = self._models[at].engine
        self._runs[at] = replace(self._runs[at], state=RunState.RUNNING)

        def work(context: TaskContext) -> ExamResult:
            return engine.analyse(exam, context.report, context.cancelled)

        def progress(fraction: float, text: str) -> None:
            self._runs[at] = replace(self._runs[at], fraction=fraction)
            self._doing = _tr("AI: {0}").format(progress_term(text))
            self._show(self._view())

        self._runner.submit(
            TASK,
            work,
            lambda result: self._ready(at, result),
            lambda error: self._failed(at, error),
            progress,
        )

    def _ready(self, at: int, result: ExamResult) -> None:
        exam = self._exam
        run = self._runs[at]
        if self._record(result):
            self._runs[at] = replace(
                run,
                model_id=result.model_id,
                version=result.model_version,
                state=RunState.READY,
                fraction=1.0,
                result=result,
            )
        else:
            why = _tr("its answer could not be written to the log, so it is not shown")
            self._runs[at] = replace(
                run, model_id=run.model_id or result.model_id, state=RunState.FAILED, why=why
            )
        self._go_on(exam)

    def _failed(self, at: int, error: Exception) -> None:
        exam = self._exam
        if isinstance(error, InferenceCancelled):
            self._runs = [replace(run, state=RunState.STOPPED) if run.is_open else run for run in self._runs]
        else:
            if not isinstance(error, UserFacingError):
                log.error("AI failed", exc_info=error)
            state = RunState.ABSENT if isinstance(error, AiUnavailable) else RunState.FAILED
            self._runs[at] = replace(self._runs[at], state=state, why=str(error))
        self._go_on(exam)

    def _go_on(self, exam: Exam | None) -> None:
        """Show what there is now, then the next model; not where the screen has gone on meanwhile."""
        if exam is None:
            return
        self._show(self._view())
        if self._exam is exam:
            self._next()

    # ---- what is shown

    def _view(self) -> AiView:
        runs = tuple(self._runs)
        results = tuple(run.result for run in runs if run.result is not None)
        ended = [run for run in runs if run.state in {RunState.FAILED, RunState.ABSENT}]
        if results:
            return AiView(
                result=results[0],
                others=results[1:],
                cards={one.model_id: self._card_words(one.model_id) for one in results},
                problems=tuple(run.why for run in ended),
                runs=runs,
            )
        if any(run.is_open for run in runs):
            share = sum(1.0 if not run.is_open else run.fraction for run in runs) / len(runs)
            return AiView(working=self._doing, fraction=share, runs=runs)
        if any(run.state is RunState.STOPPED for run in runs):
            return AiView(stopped=True, runs=runs)
        failed = [run.why for run in ended if run.state is RunState.FAILED]
        if failed:
            words = _tr("AI not available, the analysis failed: {0}")
            return AiView(
                failure=words.format(" ".join(dict.fromkeys(told(why) for why in failed))), runs=runs
            )
        absent = " ".join(dict.fromkeys(told(run.why) for run in ended)) or _tr("no model is chosen")
        return AiView(absent=_tr("AI not available for this exam: {0}").format(absent), runs=runs)


def _waiting(model: AskedModel) -> ModelRun:
    return ModelRun(model_id=model.model_id, version=model.version, finds=model.finds)
