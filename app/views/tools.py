"""What the mouse does in a viewport: the tools of the left button, and how presses and drags reach them.

A tool sees stored-file coordinates. What is measured belongs to ``app.views.measure_tools``; what an operation does to
the picture to ``app.state.operations``.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QMouseEvent, QPainter

from app.state.display import Change, Operation
from inference.exam.types import ViewImage

if TYPE_CHECKING:
    from app.views.painting import ScreenMap
    from app.views.viewport import Viewport

_CLICK_PX = 4.0
_WINDOW_PX = 500.0  # dragging this far moves the window by its own width


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """Where the mouse is: stored (row, col) of the image, widget position, and the step since the last event."""

    image: ViewImage
    row: float
    col: float
    place: QPointF
    step: QPointF
    button: Qt.MouseButton


class Tool(Protocol):
    """What the left button does. ``press`` returns True when the tool takes the drag for itself."""

    @property
    def cursor(self) -> Qt.CursorShape: ...

    def press(self, view: Viewport, at: Pointer) -> bool: ...

    def move(self, view: Viewport, at: Pointer) -> Operation | None:
        """While the button is down; an operation is done here and in the linked viewports."""
        ...

    def hover(self, view: Viewport, at: Pointer) -> None:
        """While no button is down."""
        ...

    def release(self, view: Viewport, at: Pointer) -> None: ...

    def abandon(self) -> bool:
        """Drop what is half done: another image came under the pointer, or Esc. True when there was something."""
        ...


class Layer(Protocol):
    """Something painted over an image, below the words at the edges."""

    def token(self, image: ViewImage) -> Hashable:
        """What, besides the place of the picture, decides how it looks; None = it changes all the time."""
        ...

    def paint(self, painter: QPainter, view: Viewport, screen: ScreenMap, image: ViewImage) -> None: ...


class QuietTool:
    """Takes no drag: its clicks are reported by the viewport (mark, select), or hovering does it all."""

    cursor = Qt.CursorShape.ArrowCursor

    def __init__(self, cursor: Qt.CursorShape = Qt.CursorShape.ArrowCursor) -> None:
        self.cursor = cursor

    def press(self, view: Viewport, at: Pointer) -> bool:  # noqa: ARG002 - the protocol's arguments
        return False

    def move(self, view: Viewport, at: Pointer) -> Operation | None:  # noqa: ARG002
        return None

    def hover(self, view: Viewport, at: Pointer) -> None:
        """Nothing follows the pointer."""

    def release(self, view: Viewport, at: Pointer) -> None:
        """Nothing was taken."""

    def abandon(self) -> bool:
        """Nothing is ever half done."""
        return False


class DragTool(QuietTool):
    """Window, pan or zoom: every step of the drag is one operation."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self._change = change

    def move(self, view: Viewport, at: Pointer) -> Operation | None:
        step = at.step
        if self._change is Change.WINDOW:
            return Operation(change=Change.WINDOW, first=step.y() / _WINDOW_PX, second=step.x() / _WINDOW_PX)
        if self._change is Change.PAN:
            ratio = view.devicePixelRatioF()
            return Operation(change=Change.PAN, first=step.y() * ratio, second=step.x() * ratio)
        return Operation(change=Change.ZOOM, first=1.005 ** -step.y())


def basic_tools() -> dict[str, Tool]:
    """Return the tools that need nothing but a viewport, by name."""
    return {
        "window": DragTool(Change.WINDOW),
        "pan": DragTool(Change.PAN),
        "zoom": DragTool(Change.ZOOM),
        "magnifier": QuietTool(),
        "mark": QuietTool(Qt.CursorShape.CrossCursor),
        "select": QuietTool(),
    }


class Mouse:
    """Carries one viewport's mouse events to the tool in force; right always windows, middle always pans."""

    # The view comes with every call and is not kept: a circle of references would leave a closed widget to the
    # garbage collector, and Qt does not survive that.
    def __init__(self, tools: Mapping[str, Tool]) -> None:
        self.tools: dict[str, Tool] = dict(tools)
        self.name = "window"
        self.editor: Tool | None = None  # is asked first: it takes presses on handles of what was measured
        self._others: dict[Qt.MouseButton, Tool] = {Qt.MouseButton.RightButton: DragTool(Change.WINDOW)}
        self._pan: Tool = DragTool(Change.PAN)
        self._button: Qt.MouseButton | None = None
        self._start, self._last = QPointF(), QPointF()
        self._active: Tool | None = None
        self._image: ViewImage | None = None  # what was pressed on
        self._taken = False

    def choose(self, view: Viewport, name: str) -> None:
        """Choose what the left button does; ValueError for an unknown tool."""
        if name not in self.tools:
            raise ValueError(f"tool: expected one of {', '.join(self.tools)}, found {name!r}")
        self.name = name
        view.viewport().setCursor(self.tools[name].cursor)

    def forget(self) -> None:
        """Drop the drag, as a double click does, or another image that came under it."""
        if self._active is not None:
            self._active.abandon()
        self._button = self._active = None

    def _pointer(self, view: Viewport, event: QMouseEvent, step: QPointF) -> Pointer | None:
        stored, image = view.stored_at(event.position()), view.image
        if stored is None or image is None:
            return None
        return Pointer(
            image=image,
            row=stored[0],
            col=stored[1],
            place=event.position(),
            step=step,
            button=event.button(),
        )

    def press(self, view: Viewport, event: QMouseEvent) -> None:
        """Begin a drag; in an empty viewport nothing happens."""
        at = self._pointer(view, event, QPointF())
        if at is None:
            return
        self._button, self._start, self._last = event.button(), event.position(), event.position()
        self._image = at.image
        if event.button() is not Qt.MouseButton.LeftButton:
            self._active, self._taken = self._others.get(event.button(), self._pan), False
            return
        if self.editor is not None and self.name != "mark" and self.editor.press(view, at):
            self._active, self._taken = self.editor, True
            return
        self._active = self.tools[self.name]
        self._taken = self._active.press(view, at)

    def move(self, view: Viewport, event: QMouseEvent) -> Operation | None:
        """Go on with the drag, or hover; return the operation that the tool asks for."""
        at = self._pointer(view, event, event.position() - self._last)
        if at is None:
            return None
        if at.image is not self._image:
            self.forget()  # a drag that began on one image never ends on another
        if self._button is None or self._active is None:
            self.tools[self.name].hover(view, at)
            return None
        self._last = event.position()
        return self._active.move(view, at)

    def release(self, view: Viewport, event: QMouseEvent) -> bool:
        """End the drag; True when it was a click that no tool took."""
        at = self._pointer(view, event, event.position() - self._last)
        if at is None or at.image is not self._image:
            self.forget()
        active, self._active = self._active, None
        button, self._button = self._button, None
        if button is None or active is None or at is None:
            return False
        if self._taken:
            active.release(view, at)
            return False
        moved = event.position() - self._start
        return abs(moved.x()) + abs(moved.y()) <= _CLICK_PX
