"""How long the event loop stands still while the AI reads an exam in its process: the longest gap between ticks.

A gap on a busy machine is mostly the scheduler's: how long the drawing thread was ready and had no core is taken
from the system's own account (Linux) and left out, so that what remains is what the program does to itself. The
same without the AI stands beside.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEventLoop, Qt, QTimer

from app.views.qt_tasks import QtTaskRunner
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Exam
from inference.results import ExamResult
from inference.worker import EngineSpec, WorkerEngine
from resources.files import ROOT
from tests.benchmarks.measure import Row, judged

TARGET_MS = 16.0
_TICK_MS = 1
_READS = 3
_SEED = 2_000_900


@dataclass(slots=True)
class Gaps:
    """Ticks of a timer on the drawing thread; times in seconds."""

    at: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)  # ready to run without a core, until then

    def tick(self) -> None:
        """Note one tick."""
        self.waited.append(_waited_s())
        self.at.append(time.perf_counter())

    def worst_ms(self) -> tuple[float, float]:
        """Longest gap, and the longest less what the scheduler kept the thread waiting in it."""
        pairs = list(zip(self.at, self.at[1:], self.waited, self.waited[1:], strict=False))
        wall = max((b - a for a, b, _, _ in pairs), default=0.0)
        own = max((b - a - (d - c) for a, b, c, d in pairs), default=0.0)
        return 1e3 * wall, 1e3 * own


def _waited_s() -> float:
    """Seconds that this thread has been ready to run without a core; 0 where the system does not tell."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) * 1e-9
    except (OSError, IndexError, ValueError):
        return 0.0


def run() -> list[Row]:
    """Measure; the shipped four-view detector reads one exam a few times, its process started before."""
    exam = phantom_exam(PhantomSpec(seed=_SEED, pixel_mm=0.1)).exam
    engine = WorkerEngine(EngineSpec(model_folder=ROOT / "models" / "four-view-detector", device="cpu"))
    try:
        engine.analyse(exam, lambda _fraction, _text: None, lambda: False)
        seconds, busy = _watched(engine, exam)
    finally:
        engine.close()
    idle = _idle(min(seconds, 10.0))
    rows = []
    for name, gaps in (("while the AI reads", busy), ("without the AI", idle)):
        wall, own = gaps.worst_ms()
        rows += [
            Row(operation=f"event loop {name}: longest gap, {len(gaps.at)} ticks", ms=wall),
            judged(f"event loop {name}: longest gap but for a missing core", own, own, "ms", TARGET_MS),
        ]
    return rows


def _watched(engine: WorkerEngine, exam: Exam) -> tuple[float, Gaps]:
    """Read the exam a few times off the drawing thread and watch that thread; seconds, gaps."""
    gaps, loop, runner = Gaps(), QEventLoop(), QtTaskRunner()
    left = [_READS]

    def ask() -> None:
        runner.submit(
            "ai", lambda context: engine.analyse(exam, context.report, context.cancelled), answered, failed
        )

    def answered(_result: ExamResult) -> None:
        left[0] -= 1
        if left[0]:
            ask()
        else:
            loop.quit()

    def failed(error: Exception) -> None:
        loop.exit(1)
        raise error

    timer = _timer(gaps)
    begun = time.perf_counter()
    ask()
    loop.exec()
    timer.stop()
    runner.close()
    return time.perf_counter() - begun, gaps


def _idle(seconds: float) -> Gaps:
    gaps, loop = Gaps(), QEventLoop()
    timer = _timer(gaps)
    QTimer.singleShot(round(1e3 * seconds), loop.quit)
    loop.exec()
    timer.stop()
    return gaps


def _timer(gaps: Gaps) -> QTimer:
    timer = QTimer(QCoreApplication.instance())
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(gaps.tick)
    timer.start(_TICK_MS)
    return timer
