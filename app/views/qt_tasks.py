"""The Qt twin of the task port: a thread pool, a generation number per key, throttled progress.

Answers arrive on the main thread through a queued signal; an answer with an old number is dropped. The threads are
Python's own: Qt deletes a ``QRunnable`` written in Python, and the pool with it, beside an interpreter that still uses
them.
"""

from __future__ import annotations

import itertools
import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal, Slot

from app.control.tasks import Done, Failed, Report, TaskContext, Work, _ignore_progress

log = logging.getLogger(__name__)

PROGRESS_EVERY_S = 0.05


class _Mailbox(QObject):
    answered = Signal(str, int, object, object)  # key, number, answer, error
    progressed = Signal(str, int, float, str)


class _Job:
    def __init__(self, mailbox: _Mailbox, key: str, number: int, work: Work) -> None:
        self._mailbox, self._key, self._number, self._work = mailbox, key, number, work
        self._last = 0.0
        self.context = TaskContext(report=self._report)

    def _report(self, fraction: float, text: str) -> None:
        now = time.perf_counter()
        if now - self._last >= PROGRESS_EVERY_S or fraction >= 1.0:
            self._last = now
            self._mailbox.progressed.emit(self._key, self._number, fraction, text)

    def run(self) -> None:
        if self.context.cancelled():  # it waited for a thread until nobody wanted it
            return
        answer: Any = None
        error: Exception | None = None
        try:
            answer = self._work(self.context)
        except Exception as caught:  # noqa: BLE001 - handed to failed() on the main thread
            error = caught
        try:
            self._mailbox.answered.emit(self._key, self._number, answer, error)
        except RuntimeError:
            log.debug("the window closed before task %s answered", self._key)


class QtTaskRunner(QObject):
    """Runs work in a thread pool; ``close`` waits for what still runs."""

    def __init__(self, parent: QObject | None = None, *, threads: int = 3) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="task")
        self._running: set[Future[None]] = set()
        self._closed = False
        self._numbers = itertools.count(1)
        self._wanted: dict[str, tuple[int, Done, Failed, Report, TaskContext]] = {}
        self._mailbox = _Mailbox(self)
        self._mailbox.answered.connect(self._on_answer, Qt.ConnectionType.QueuedConnection)
        self._mailbox.progressed.connect(self._on_progress, Qt.ConnectionType.QueuedConnection)

    def submit(
        self, key: str, work: Work, done: Done, failed: Failed, progress: Report = _ignore_progress
    ) -> None:
        self.cancel(key)
        if self._closed:
            return
        number = next(self._numbers)
        job = _Job(self._mailbox, key, number, work)
        self._wanted[key] = (number, done, failed, progress, job.context)
        started = self._pool.submit(job.run)
        self._running.add(started)
        started.add_done_callback(self._running.discard)

    def cancel(self, key: str) -> None:
        if (wanted := self._wanted.pop(key, None)) is not None:
            wanted[4].stop.set()

    def is_awaited(self, key: str) -> bool:
        """True while the answer of a task is still to come."""
        return key in self._wanted

    def is_busy(self) -> bool:
        return bool(self._wanted)

    def is_quiet(self) -> bool:
        """True when no thread works any more, for nobody either: cancelled work ends when it next looks."""
        return not self._running

    def close(self) -> None:
        """Cancel everything and wait for the threads, so that none outlives the window; nothing starts any more."""
        self._closed = True
        for key in list(self._wanted):
            self.cancel(key)
        self._pool.shutdown(wait=True, cancel_futures=True)

    @Slot(str, int, object, object)
    def _on_answer(self, key: str, number: int, answer: object, error: object) -> None:
        wanted = self._wanted.get(key)
        if wanted is None or wanted[0] != number:
            return
        del self._wanted[key]
        if isinstance(error, Exception):
            wanted[2](error)
        else:
            wanted[1](answer)

    @Slot(str, int, float, str)
    def _on_progress(self, key: str, number: int, fraction: float, text: str) -> None:
        wanted = self._wanted.get(key)
        if wanted is not None and wanted[0] == number:
            wanted[3](fraction, text)
