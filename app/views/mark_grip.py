"""Moves a lesion mark that is selected: press on it, drag, let go; the log is told once, at the end (RS-L1).

Only a selected mark is taken, so that windowing over a mark never shifts it. Presses elsewhere go to the editor of
measurements.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from app.state.display import Operation
from app.views import theme
from app.views.tools import Pointer, QuietTool, Tool
from app.views.viewport import Viewport
from reader_study.domain.assessment import Finding

_SMALLEST_PX = 3.0  # a drag shorter than this on screen was a click: nothing is moved


def moved_to(mark: Finding, row: float, col: float, spacing_mm: tuple[float, float] | None) -> Finding:
    """Return the mark with its centre at stored (row, col), its box along with it; mm where spacing is known."""
    rows, cols, box = row - mark.row, col - mark.col, mark.box
    return replace(
        mark,
        row=row,
        col=col,
        box=None if box is None else (box[0] + rows, box[1] + cols, box[2] + rows, box[3] + cols),
        row_mm=None if spacing_mm is None else row * spacing_mm[0],
        col_mm=None if spacing_mm is None else col * spacing_mm[1],
    )


class MarkGrip(QuietTool):
    """Takes presses on the selected mark; ``inner`` is asked where there is none."""

    def __init__(
        self,
        inner: Tool,
        selected: Callable[[], Finding | None],
        drawn: Callable[[Finding | None], None],
        moved: Callable[[Finding], None],
    ) -> None:
        super().__init__()
        self._inner, self._selected, self._drawn, self._moved = inner, selected, drawn, moved
        self._mark: Finding | None = None
        self._now: Finding | None = None
        self._from = (0.0, 0.0)

    def press(self, view: Viewport, at: Pointer) -> bool:
        mark = self._selected()
        self._mark = self._now = None
        if mark is None or mark.image_key != at.image.key or not self._is_on(view, mark, at):
            return self._inner.press(view, at)
        self._mark = self._now = mark
        self._from = (at.row, at.col)
        return True

    @staticmethod
    def _is_on(view: Viewport, mark: Finding, at: Pointer) -> bool:
        center = view.widget_point(mark.row, mark.col)
        reach = theme.MARK_RADIUS_PX * view.text_scale
        return math.hypot(center.x() - at.place.x(), center.y() - at.place.y()) <= reach

    def move(self, view: Viewport, at: Pointer) -> Operation | None:
        if self._mark is None:
            return self._inner.move(view, at)
        rows, cols = at.image.pixels.shape
        row = min(max(self._mark.row + at.row - self._from[0], 0.0), rows - 1.0)
        col = min(max(self._mark.col + at.col - self._from[1], 0.0), cols - 1.0)
        spacing = at.image.spacing
        self._now = moved_to(
            self._mark, row, col, None if spacing is None else (spacing.row_mm, spacing.col_mm)
        )
        self._drawn(self._now)
        return None

    def release(self, view: Viewport, at: Pointer) -> None:
        mark, now, self._mark, self._now = self._mark, self._now, None, None
        if mark is None or now is None:
            self._inner.release(view, at)
            return
        self._drawn(None)
        a, b = view.widget_point(mark.row, mark.col), view.widget_point(now.row, now.col)
        if math.hypot(a.x() - b.x(), a.y() - b.y()) >= _SMALLEST_PX:
            self._moved(now)

    def abandon(self) -> bool:
        had, self._mark, self._now = self._mark is not None, None, None
        if had:
            self._drawn(None)
        return self._inner.abandon() or had
