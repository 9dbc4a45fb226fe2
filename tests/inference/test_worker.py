"""The worker process: answers, cancels, dies and comes back, and keeps torch out of this process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from inference.engine import FakeEngine, InferenceCancelled
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Exam, InferenceError
from inference.worker import EngineSpec, WorkerEngine
from resources.files import ROOT


@pytest.fixture(scope="module")
def exam() -> Exam:
    return phantom_exam(PhantomSpec(seed=4, pixel_mm=0.6)).exam


@pytest.fixture
def worker() -> Iterator[WorkerEngine]:
    engine = WorkerEngine(EngineSpec(model_folder=None, fake_seed=7))
    yield engine
    engine.close()


def quiet(fraction: float, text: str) -> None:
    assert text


def never() -> bool:
    return False


def test_worker_answers_what_the_engine_answers_here(worker: WorkerEngine, exam: Exam) -> None:
    assert worker.pid is None  # started at the first exam, not before
    steps: list[float] = []
    found = worker.analyse(exam, lambda fraction, _text: steps.append(fraction), never)
    expected = FakeEngine(7).analyse(exam, quiet, never)
    assert found == expected
    assert steps[-1] == 1.0
    assert worker.pid not in {None, os.getpid()}


def test_killed_child_is_one_sentence_and_the_next_analysis_works(exam: Exam) -> None:
    engine = WorkerEngine(EngineSpec(model_folder=ROOT / "models" / "dib-mg", device="cpu", threads=1))
    killed: list[int] = []

    def kill_once(_fraction: float, text: str) -> None:
        if not killed and engine.pid is not None:
            assert text == "loading the model"  # seconds of work lie ahead: the answer cannot be on its way
            killed.append(engine.pid)
            os.kill(engine.pid, signal.SIGKILL)

    try:
        with pytest.raises(InferenceError, match=r"stopped unexpectedly .*start the analysis again"):
            engine.analyse(exam, kill_once, never)
        assert engine.analyse(exam, quiet, never).exam_digest == exam.digest
        assert engine.pid not in {None, *killed}
    finally:
        engine.close()


def test_cancel_reaches_the_child_and_the_worker_lives_on(exam: Exam) -> None:
    engine = WorkerEngine(EngineSpec(model_folder=ROOT / "models" / "dib-mg", device="cpu", threads=1))
    started: list[str] = []
    try:
        with pytest.raises(InferenceCancelled):
            engine.analyse(exam, lambda _fraction, text: started.append(text), lambda: bool(started))
        pid = engine.pid
        result = engine.analyse(exam, quiet, never)
        assert result.model_id == "dib-mg"
        assert engine.pid == pid
    finally:
        engine.close()
    assert engine.pid is None


def test_a_model_folder_that_is_none_is_refused_in_its_own_words(exam: Exam, tmp_path: object) -> None:
    engine = WorkerEngine(EngineSpec(model_folder=ROOT / "models", device="cpu"))
    try:
        with pytest.raises(InferenceError, match=r"expected a card\.json, found none"):
            engine.analyse(exam, quiet, never)
    finally:
        engine.close()


def test_importing_the_worker_loads_no_torch() -> None:
    code = (
        "import inference.worker, inference.cache, inference.registry, sys; sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, check=False)
    assert done.returncode == 0
