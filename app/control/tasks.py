"""The port for work that takes longer than a blink, and its inline twin for tests.

A task has a key. Submitting a key again makes the older answer stale: it is dropped, never shown late.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(slots=True)
class TaskContext:
    """What running work may use: report progress, ask whether it is still wanted."""

    report: Callable[[float, str], None]
    stop: threading.Event = field(default_factory=threading.Event)

    def cancelled(self) -> bool:
        return self.stop.is_set()


Work = Callable[[TaskContext], Any]
Done = Callable[[Any], None]
Failed = Callable[[Exception], None]
Report = Callable[[float, str], None]


def _ignore_progress(_fraction: float, _text: str) -> None:
    """Most callers show no progress."""


class TaskRunner(Protocol):
    """Runs work elsewhere and answers on the caller's thread."""

    def submit(
        self, key: str, work: Work, done: Done, failed: Failed, progress: Report = _ignore_progress
    ) -> None: ...

    def cancel(self, key: str) -> None: ...


class InlineTaskRunner:
    """Runs the work at once on the caller's thread: the fake twin for tests of controllers."""

    def submit(
        self,
        key: str,  # noqa: ARG002 - nothing else runs, so nothing can be stale
        work: Work,
        done: Done,
        failed: Failed,
        progress: Report = _ignore_progress,
    ) -> None:
        try:
            answer = work(TaskContext(report=progress))
        except Exception as error:  # noqa: BLE001 - the port promises failed() for whatever the work raises
            failed(error)
            return
        done(answer)

    def cancel(self, key: str) -> None:
        """Nothing runs between calls, so there is nothing to cancel."""
