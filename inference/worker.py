"""Runs an engine in a process of its own, so that torch never enters the program's process nor stops its
drawing.

The child is started at the first analysis. A cancel is a flag that it looks at between steps; a child that
dies becomes one sentence, and the next analysis starts a new one. Only the child imports torch, and only
here is known how.
"""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from pathlib import Path

from inference.engine import (
    AiUnavailable,
    Cancelled,
    FakeEngine,
    InferenceCancelled,
    InferenceEngine,
    Progress,
)
from inference.exam.types import Exam, InferenceError
from inference.exam_pipe import receive_job, send_job
from inference.lesions import GivenLesion, LesionEngine, LesionScore, LesionsNotRead
from inference.model_card import ModelError, read_card
from inference.registry import CALCIFICATION, CAM_CLASSIFIER, CESM_CBAM, FOUR_VIEW, family_of
from inference.results import ExamResult
from resources import log_lines
from resources.files import UserFacingError

_LOG = logging.getLogger(__name__)
_POLL_S = 0.02
_CLOSE_S = 3.0
# module, class and the name of its least box score, by the card's family; by name: the parent has no torch
_ENGINES = {
    CAM_CLASSIFIER: ("inference.torch_engine", "TorchEngine", "box_threshold"),
    FOUR_VIEW: ("inference.four_view_engine", "FourViewEngine", "floor"),
    CESM_CBAM: ("inference.cesm_engine", "CesmEngine", "floor"),
    CALCIFICATION: ("inference.calcification_engine", "CalcificationEngine", "floor"),
}
_Job = Exam | tuple[Exam, tuple[GivenLesion, ...]]  # to be analysed, or lesions of it to be scored
_Answer = ExamResult | tuple[LesionScore, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """Which engine the child makes: the model of a folder, or the fake one when ``model_folder`` is None."""

    model_folder: Path | None = None
    device: str | None = None  # None = CUDA when there is one, else the CPU
    threads: int | None = None  # CPU threads of the network; None = all but one, so that drawing keeps a core
    fake_seed: int = 0
    floor: float | None = None  # lowest score of a box, 0..1; None = the model's own


def make_engine(spec: EngineSpec) -> InferenceEngine:
    """Make the engine of a spec in this process (imports torch for a model folder)."""
    if spec.model_folder is None:
        return FakeEngine(spec.fake_seed)
    family = family_of(read_card(spec.model_folder))
    module, name, floor = _ENGINES.get(family, _ENGINES[CAM_CLASSIFIER])
    maker = getattr(importlib.import_module(module), name)
    lowest = {} if spec.floor is None else {floor: spec.floor}
    engine: InferenceEngine = maker(spec.model_folder, spec.device, **lowest)
    return engine


class WorkerEngine:
    """An ``InferenceEngine`` whose work happens in a child process. One analysis at a time; others wait."""

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._context = multiprocessing.get_context("spawn")
        self._lock = threading.Lock()
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._stop: Event | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the living child, or None."""
        process = self._process
        return process.pid if process is not None and process.is_alive() else None

    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
        """Analyse in the child.

        Raises
        ------
        InferenceCancelled
            ``cancelled()`` became true.
        InferenceError
            The engine refused (its sentence is passed on), or the child died.
        """
        result = self._ask(exam, progress, cancelled)
        assert isinstance(result, ExamResult)
        return result

    def score_lesions(
        self, exam: Exam, lesions: Sequence[GivenLesion], progress: Progress, cancelled: Cancelled
    ) -> tuple[LesionScore, ...]:
        """Score given lesions in the child; errors as ``analyse``, and LesionsNotRead when the model has no such way."""
        result = self._ask((exam, tuple(lesions)), progress, cancelled)
        assert isinstance(result, tuple)
        return result

    def _ask(self, job: _Job, progress: Progress, cancelled: Cancelled) -> _Answer:
        with self._lock:
            if cancelled():
                raise InferenceCancelled("The analysis was cancelled.")
            pipe, stop = self._ready()
            stop.clear()
            try:
                send_job(pipe, *(job if isinstance(job, tuple) else (job,)))
                return self._answer(pipe, stop, progress, cancelled)
            except (EOFError, OSError) as error:
                code = self._discard()
                raise InferenceError(
                    f"The analysis process stopped unexpectedly (exit code {code}); "
                    "the images and the reading are unharmed, start the analysis again."
                ) from error
            except InferenceError:
                raise
            except BaseException:  # a progress callback failed: the pipe holds messages of a lost analysis
                self._discard()
                raise

    def close(self) -> None:
        """End the child; a later analysis starts a new one."""
        with self._lock:
            if self._process is None:
                return
            try:
                if self._pipe is not None:
                    self._pipe.send(None)
                self._process.join(_CLOSE_S)
            except (OSError, EOFError):
                _LOG.info("the analysis process was gone before it was closed")
            self._discard()

    def _ready(self) -> tuple[Connection, Event]:
        alive = self._process is not None and self._process.is_alive()
        if alive and self._pipe is not None and self._stop is not None:
            return self._pipe, self._stop
        self._discard()
        pipe, far_end = self._context.Pipe()
        stop = self._context.Event()
        process = self._context.Process(
            target=_serve, args=(self._spec, far_end, stop), name="negatoscope-analysis", daemon=True
        )
        process.start()
        far_end.close()
        self._process, self._pipe, self._stop = process, pipe, stop
        return pipe, stop

    def _answer(self, pipe: Connection, stop: Event, progress: Progress, cancelled: Cancelled) -> _Answer:
        while True:
            if not stop.is_set() and cancelled():
                stop.set()
            if not pipe.poll(_POLL_S):
                if self._process is None or not self._process.is_alive():
                    if pipe.poll(0):
                        continue
                    raise EOFError
                continue
            kind, *content = pipe.recv()
            if kind == "progress":
                progress(*content)
            elif kind == "result":
                result: _Answer = content[0]
                if stop.is_set():  # the flag came after the last step
                    raise InferenceCancelled("The analysis was cancelled.")
                return result
            elif kind == "cancelled":
                raise InferenceCancelled("The analysis was cancelled.")
            elif kind == "unavailable":
                raise AiUnavailable(str(content[0]))
            elif kind == "lesions":
                raise LesionsNotRead(str(content[0]))
            else:
                raise InferenceError(str(content[0]))

    def _discard(self) -> int | None:
        process, self._process = self._process, None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        self._stop = None
        if process is None:
            return None
        if process.is_alive():
            process.terminate()
        process.join(_CLOSE_S)
        if process.is_alive():
            process.kill()
            process.join(_CLOSE_S)
        code = process.exitcode
        process.close()
        return code


def _serve(spec: EngineSpec, pipe: Connection, stop: Event) -> None:
    """The child's life: make the engine at the first exam, answer until told None or the parent is gone."""
    log_lines.start_child("worker")
    _limit_threads(spec)
    engine: InferenceEngine | None = None
    while True:
        try:
            received = receive_job(pipe)
        except (EOFError, OSError):
            return
        if received is None:
            return
        exam, lesions = received
        job: _Job = exam if lesions is None else (exam, lesions)
        try:
            if engine is None:
                pipe.send(("progress", 0.0, "loading the model"))
                engine = make_engine(spec)
            pipe.send(("result", _work(engine, job, lambda f, t: pipe.send(("progress", f, t)), stop.is_set)))
        except InferenceCancelled:
            pipe.send(("cancelled",))
        except LesionsNotRead as error:
            pipe.send(("lesions", str(error)))
        except (AiUnavailable, ModelError) as error:
            pipe.send(("unavailable", str(error)))
        except UserFacingError as error:
            pipe.send(("error", str(error)))
        except BrokenPipeError:
            return
        except Exception as error:  # noqa: BLE001 - a bug in a model must not take the workstation with it
            _LOG.exception("analysis failed")
            text = f"The analysis failed inside the model ({type(error).__name__}: {error}); report this."
            pipe.send(("error", text))


def _work(engine: InferenceEngine, job: _Job, progress: Progress, cancelled: Cancelled) -> _Answer:
    if isinstance(job, Exam):
        return engine.analyse(job, progress, cancelled)
    if not isinstance(engine, LesionEngine):
        raise LesionsNotRead("The model scores no given lesions; the lesions table was not used.")
    exam, lesions = job
    return engine.score_lesions(exam, lesions, progress, cancelled)


def _limit_threads(spec: EngineSpec) -> None:
    if spec.model_folder is None:
        return
    threads = spec.threads or max(1, (os.cpu_count() or 2) - 1)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
