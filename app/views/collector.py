"""Cyclic garbage is collected on the windows' thread only.

Python collects in whatever thread happens to allocate. When that is a loading thread and the garbage holds widgets or
scenes, they are destroyed beside the thread that paints them, and Qt crashes. Plain reference counting is not touched:
pictures are freed where they are let go.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

EVERY_MS = 200  # how often the counts are looked at; a look takes microseconds


def due_generation(counts: tuple[int, int, int], thresholds: tuple[int, int, int]) -> int | None:
    """Return the oldest generation that Python itself would collect now, or None.

    Parameters
    ----------
    counts, thresholds : as ``gc.get_count`` and ``gc.get_threshold`` give them; a threshold of 0 never collects
    """
    due = [
        generation
        for generation, (count, limit) in enumerate(zip(counts, thresholds, strict=True))
        if limit and count > limit
    ]
    return due[-1] if due else None


class WindowThreadCollector(QObject):
    """Takes collecting over from the interpreter for as long as the program has windows.

    Made on the windows' thread, where its timer runs; ``stop`` gives collecting back.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self)
        self._timer.setInterval(EVERY_MS)
        self._timer.timeout.connect(self.collect_due)
        self._timer.start()

    def collect_due(self) -> None:
        """Collect what is due; called by the timer."""
        due = due_generation(gc.get_count(), gc.get_threshold())
        if due is not None:
            gc.collect(due)

    def stop(self) -> None:
        """Let Python collect by itself again."""
        self._timer.stop()
        gc.enable()
