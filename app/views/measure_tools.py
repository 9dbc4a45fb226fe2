"""The measuring tools of the left button: ruler, angle, ellipse, text, nipple, and the editor of what is there.

Each turns presses in stored-file coordinates into a ``Measurement`` on the board. Numbers and drawing are elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from PySide6.QtCore import QObject, QPointF, Qt, Signal

from app.state.display import Operation
from app.state.measurement_board import MeasurementBoard, Selection
from app.state.measurements import Measurement, MeasurementKind, Point, shifted, with_point
from app.views.measure_layer import MeasureLayer
from app.views.tools import Pointer, QuietTool, Tool
from app.views.viewport import Viewport

_SMALLEST_PX = 3.0  # a drag shorter than this on screen was a click: nothing is measured


class TextAsked(QObject):
    """Says where the reader wants to write, so that a field can be opened there."""

    asked = Signal(object, float, float)  # Viewport, stored row, stored col


def _long_enough(view: Viewport, start: Point, end: Point) -> bool:
    a, b = view.widget_point(*start), view.widget_point(*end)
    return math.hypot(a.x() - b.x(), a.y() - b.y()) >= _SMALLEST_PX


def _dropped(board: MeasurementBoard, what: object) -> bool:
    if what is not None:
        board.draw(None)
    return what is not None


class StretchTool(QuietTool):
    """Ruler or ellipse: press at one end, drag to the other."""

    def __init__(self, board: MeasurementBoard, kind: MeasurementKind) -> None:
        super().__init__(Qt.CursorShape.CrossCursor)
        self._board, self._kind = board, kind
        self._drawn: Measurement | None = None

    def press(self, view: Viewport, at: Pointer) -> bool:  # noqa: ARG002 - the protocol's arguments
        self._drawn = Measurement(
            measurement_id=self._board.new_id(),
            kind=self._kind,
            image_key=at.image.key,
            points=((at.row, at.col), (at.row, at.col)),
        )
        return True

    def move(self, view: Viewport, at: Pointer) -> Operation | None:  # noqa: ARG002
        if self._drawn is not None:
            self._drawn = with_point(self._drawn, 1, (at.row, at.col))
            self._board.draw(self._drawn)
        return None

    def release(self, view: Viewport, at: Pointer) -> None:  # noqa: ARG002
        drawn, self._drawn = self._drawn, None
        self._board.draw(None)
        if drawn is not None and _long_enough(view, *drawn.points):
            self._board.put(drawn)

    def abandon(self) -> bool:
        drawn, self._drawn = self._drawn, None
        return _dropped(self._board, drawn)


class AngleTool(QuietTool):
    """Drag the first arm from its end to the vertex, then click the end of the other arm."""

    def __init__(self, board: MeasurementBoard) -> None:
        super().__init__(Qt.CursorShape.CrossCursor)
        self._board = board
        self._drawn: Measurement | None = None
        self._armed = False  # the first arm stands

    def press(self, view: Viewport, at: Pointer) -> bool:  # noqa: ARG002
        here = (at.row, at.col)
        if self._armed and self._drawn is not None and self._drawn.image_key == at.image.key:
            drawn, self._drawn, self._armed = with_point(self._drawn, 2, here), None, False
            self._board.put(drawn)
            return True
        self._armed = False
        self._drawn = Measurement(
            measurement_id=self._board.new_id(),
            kind=MeasurementKind.ANGLE,
            image_key=at.image.key,
            points=(here, here, here),
        )
        return True

    def move(self, view: Viewport, at: Pointer) -> Operation | None:  # noqa: ARG002
        if self._drawn is not None and not self._armed:
            here = (at.row, at.col)
            self._drawn = with_point(with_point(self._drawn, 1, here), 2, here)
            self._board.draw(self._drawn)
        return None

    def hover(self, view: Viewport, at: Pointer) -> None:  # noqa: ARG002
        if self._armed and self._drawn is not None and self._drawn.image_key == at.image.key:
            self._drawn = with_point(self._drawn, 2, (at.row, at.col))
            self._board.draw(self._drawn)

    def release(self, view: Viewport, at: Pointer) -> None:  # noqa: ARG002
        if self._drawn is None:
            return
        self._armed = _long_enough(view, self._drawn.points[0], self._drawn.points[1])
        if not self._armed:
            self._drawn = None
            self._board.draw(None)

    def abandon(self) -> bool:
        # The first arm too: every exam has an image of this key, and the next one's must not take it.
        drawn, self._drawn, self._armed = self._drawn, None, False
        return _dropped(self._board, drawn)


class NippleTool(QuietTool):
    """Click on the nipple; a second click moves it."""

    def __init__(self, board: MeasurementBoard) -> None:
        super().__init__(Qt.CursorShape.CrossCursor)
        self._board = board

    def press(self, view: Viewport, at: Pointer) -> bool:  # noqa: ARG002
        self._board.put(
            Measurement(
                measurement_id=self._board.new_id(),
                kind=MeasurementKind.NIPPLE,
                image_key=at.image.key,
                points=((at.row, at.col),),
            )
        )
        return True


class TextTool(QuietTool):
    """Click where the words belong; a field opens there."""

    def __init__(self, asked: TextAsked) -> None:
        super().__init__(Qt.CursorShape.IBeamCursor)
        self._asked = asked

    def press(self, view: Viewport, at: Pointer) -> bool:  # noqa: ARG002
        return True

    def release(self, view: Viewport, at: Pointer) -> None:
        self._asked.asked.emit(view, at.row, at.col)


@dataclass(slots=True)
class _Grip:
    item: Measurement
    selection: Selection
    moved: Measurement


class EditTool(QuietTool):
    """Takes presses on handles and lines of what was measured, with any tool, and moves them."""

    def __init__(self, board: MeasurementBoard, layer: MeasureLayer) -> None:
        super().__init__()
        self._board, self._layer = board, layer
        self._grip: _Grip | None = None
        self._start = QPointF()
        self._from: Point = (0.0, 0.0)

    def press(self, view: Viewport, at: Pointer) -> bool:
        screen = view.screen_map()
        found = None if screen is None else self._layer.hit(at.image.key, at.place, screen)
        item = None if found is None else self._board.get(found.measurement_id)
        self._board.select(found if item is not None else None)
        if found is None or item is None:
            return False
        self._grip, self._from = _Grip(item, found, item), (at.row, at.col)
        return True

    def move(self, view: Viewport, at: Pointer) -> Operation | None:  # noqa: ARG002
        grip = self._grip
        if grip is not None:
            rows, cols = at.row - self._from[0], at.col - self._from[1]
            handle = grip.selection.handle
            if handle is None:
                grip.moved = shifted(grip.item, rows, cols)
            else:
                row, col = grip.item.points[handle]
                grip.moved = with_point(grip.item, handle, (row + rows, col + cols))
            self._board.draw(grip.moved)
        return None

    def release(self, view: Viewport, at: Pointer) -> None:  # noqa: ARG002
        grip, self._grip = self._grip, None
        self._board.draw(None)
        if grip is not None:
            self._board.put(grip.moved)
            self._board.select(grip.selection)

    def abandon(self) -> bool:
        grip, self._grip = self._grip, None
        return _dropped(self._board, grip)


def measuring_tools(board: MeasurementBoard, asked: TextAsked) -> Mapping[str, Tool]:
    """Return the measuring tools by name."""
    return {
        "ruler": StretchTool(board, MeasurementKind.RULER),
        "angle": AngleTool(board),
        "ellipse": StretchTool(board, MeasurementKind.ELLIPSE),
        "text": TextTool(asked),
        "nipple": NippleTool(board),
    }
