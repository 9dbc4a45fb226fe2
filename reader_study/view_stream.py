"""Gets the frequent facts (pan, zoom, window) to disk within milliseconds without holding the screen up.

Owns a queue for each session and one writer thread. It decides nothing about order: the writer calls back
into ``sessions``, which writes what is queued before anything newer.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from reader_study.domain.events import Draft
from reader_study.errors import StudyError

_LOG = logging.getLogger(__name__)
_GATHER_S = 0.003  # one transaction for all that a drag produces in this time; durable within 5 ms


class ViewStream:
    """Queues of drafts, and a thread that asks ``flush(session_id)`` to write them."""

    def __init__(self, flush: Callable[[str], None]) -> None:
        self._flush = flush
        self._queues: dict[str, deque[Draft]] = {}
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, session_id: str, draft: Draft) -> None:
        """Queue one draft and wake the writer; returns at once."""
        queue = self._queues.get(session_id)
        if queue is None:
            queue = self._queues.setdefault(session_id, deque())
        queue.append(draft)
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="view-stream", daemon=True)
            self._thread.start()
        if not self._wake.is_set():  # the writer clears it before it looks, so a set flag covers this draft
            self._wake.set()

    def pending(self, session_id: str) -> tuple[Draft, ...]:
        return tuple(self._queues.get(session_id, ()))

    def written(self, session_id: str, count: int) -> None:
        """Drop the oldest ``count`` drafts: they are on disk."""
        queue = self._queues.get(session_id)
        for _ in range(count):
            if queue:
                queue.popleft()

    def stop(self) -> None:
        """Write what is queued and end the writer thread; what the disk refuses stays queued."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop.set()
            self._wake.set()
            thread.join()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            for session_id in list(self._queues):
                try:
                    self._flush(session_id)
                except StudyError as error:
                    # Kept in the queue: the next synchronous step writes it, or fails aloud for the reader.
                    _LOG.error("view changes of a session are not on disk yet: %s", error)
            if self._stop.wait(_GATHER_S) and not self._wake.is_set():
                return
