"""One viewport: a pyqtgraph view with our image item, its mouse, and the words and boxes over it.

Hands the mouse to a tool (``app.views.tools``) and reports operations and clicks in stored-file coordinates. Paints
exactly once a change. What is linked to what belongs to ``app.views.viewport_grid``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QGraphicsView, QWidget

from app.state.display import Change, Operation, Pyramid, ViewportState, ZoomMode, window_of
from app.state.geometry import chest_wall_is_right
from app.state.measurements import modality_value
from app.state.operations import applied, clamped
from app.state.overlays import AnnotationText, HeatLayer, OverlayItem
from app.state.sizing import fitted
from app.views import painting
from app.views.image_item import ImageItem, Placement
from app.views.magnifier import Magnifier
from app.views.over_picture import OverPicture
from app.views.tools import Layer, Mouse, Tool, basic_tools
from inference.exam.types import Box, ViewImage
from resources.vocabulary import Laterality

_WHEEL_STEP = 1.15


class Viewport(pg.GraphicsView):  # type: ignore[misc]
    """Shows one image; see the signals for what it reports."""

    first_painted = Signal(object)  # int, monotonic ns right after the first paint of a newly shown image
    clicked = Signal(float, float, int)  # stored row, stored col, Qt button number
    hovered = Signal(float, float, object)  # stored row, stored col, modality value or None outside
    left = Signal()  # the pointer is no longer over this viewport
    changed_by_user = Signal(object)  # ViewportState
    operated = Signal(object)  # Operation just done with the mouse, for linked viewports
    activated = Signal()
    maximise_requested = Signal()
    stage_stepped = Signal(int)  # +1 or -1, when the wheel steps stages
    _built = False

    def __init__(
        self, parent: QWidget | None = None, *, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        super().__init__(parent, background=None)
        self._monotonic_ns = monotonic_ns
        self.setCacheMode(QGraphicsView.CacheModeFlag(0))
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.FullViewportUpdate)
        self.setOptimizationFlag(QGraphicsView.OptimizationFlag.DontSavePainterState, True)
        self.setOptimizationFlag(QGraphicsView.OptimizationFlag.DontAdjustForAntialiasing, True)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent, True)
        self.box = pg.ViewBox(enableMenu=False, enableMouse=False, invertY=True, defaultPadding=0)
        self.box.disableAutoRange()
        self.box.background.hide()
        self.box.borderRect.hide()
        self.item = ImageItem()
        self.box.addItem(self.item, ignoreBounds=True)
        self.setCentralItem(self.box)
        self._state = ViewportState()
        self._empty_words = ""
        self._focused = False
        self._paints = 0
        self._awaiting_paint = False
        self._magnifier = Magnifier()
        self._mouse = Mouse(basic_tools())
        self._over = OverPicture()
        # Chooses the pixels to show for an image (the enhanced ones); None = the file's.
        self.pixels_for: Callable[[ViewImage], Pyramid | None] | None = None
        self.pitch_mm: float | None = None  # size of a screen pixel; None = monitor not calibrated
        self.wheel_steps_stages = False
        self.text_scale = 1.0
        self._built = True

    # ------------------------------------------------------------ what is shown

    @property
    def image(self) -> ViewImage | None:
        return self.item.image

    @property
    def overlays(self) -> tuple[OverlayItem, ...]:
        """The boxes and marks over the image."""
        return self._over.items

    @property
    def over(self) -> OverPicture:
        """What lies over the picture; for painting it elsewhere and for counting its memory."""
        return self._over

    @property
    def paint_count(self) -> int:
        """How often this viewport has been painted."""
        return self._paints

    def device_size(self) -> tuple[int, int]:
        """Height and width in device pixels."""
        ratio = self.devicePixelRatioF()
        return max(1, round(self.height() * ratio)), max(1, round(self.width() * ratio))

    def show_image(
        self, image: ViewImage | None, pyramid: Pyramid | None = None, state: ViewportState | None = None
    ) -> None:
        """Show another image, fitted unless ``state`` says otherwise; None leaves the viewport empty."""
        self.item.set_image(image, pyramid)
        other = self.pixels_for(image) if image is not None and self.pixels_for is not None else None
        if other is not None:
            self.item.set_pyramid(other)
        self._over.clear()
        self.item.set_heat(None)
        self._awaiting_paint = image is not None
        if image is None:
            self._state = ViewportState()
            self.refresh()
            return
        height, width = self.device_size()
        fresh = ViewportState(image_key=image.key)
        self.set_state(state if state is not None else fitted(fresh, image, height=height, width=width))

    def set_empty_text(self, words: str) -> None:
        """Say what would hang here; seen while there is no image."""
        self._empty_words = words

    def state(self) -> ViewportState:
        """Return what is shown."""
        return self._state

    def set_state(self, state: ViewportState) -> None:
        """Show ``state``; one paint follows."""
        if self.image is None:
            return
        self._state = clamped(replace(state, image_key=self.image.key), self.image)
        self.item.set_state(self._state)
        self._place()

    def set_overlays(self, items: Sequence[OverlayItem]) -> None:
        """Draw these boxes and marks over the image, and no others."""
        self._over.items = tuple(items)
        self.refresh()

    def set_heat(self, layer: HeatLayer | None) -> None:
        """Lay a heat map over the image, or take it away."""
        self._over.heat = layer
        self.item.set_heat(layer)
        self.refresh()

    def set_annotation(self, words: AnnotationText) -> None:
        """Write these words at the edges."""
        self._over.words = words
        self.refresh()

    def show_annotation(self, shown: bool) -> None:
        """Show or hide identity, technique and evidence; view label and size stay (MG-27)."""
        self._over.words_shown = shown
        self.refresh()

    def set_focused(self, focused: bool) -> None:
        """Draw or take away the thin frame of the viewport that keys go to."""
        if focused != self._focused:
            self._focused = focused
            self.refresh()

    def add_tools(
        self, tools: Mapping[str, Tool], *, editor: Tool | None = None, layers: Sequence[Layer] = ()
    ) -> None:
        """Give the left button more tools; ``editor`` takes presses on handles; ``layers`` are painted over."""
        self._mouse.tools |= tools
        self._mouse.editor = editor
        self._over.layers = (*self._over.layers, *layers)

    def set_tool(self, name: str) -> None:
        """Choose what the left button does; ValueError for an unknown tool."""
        self._mouse.choose(self, name)
        self._magnifier.on = name == "magnifier"
        self.refresh()

    def magnifier(self, on: bool, *, factor: float | None = None, inverted: bool | None = None) -> None:
        """Show or hide the glass under the pointer, at ``factor`` screen pixels per image pixel."""
        self._magnifier.on = on
        self._magnifier.factor = self._magnifier.factor if factor is None else factor
        self._magnifier.inverted = self._magnifier.inverted if inverted is None else inverted
        self.refresh()

    def glass_box(self) -> Box | None:
        """Return the stored pixels inside the glass, which shows them at 1:1 or larger; None without one."""
        screen = self.screen_map()
        return (
            None if screen is None else self._magnifier.visible(self._state, screen, self.devicePixelRatioF())
        )

    def apply(self, operation: Operation) -> None:
        """Do one operation here."""
        if self.image is None:
            return
        height, width = self.device_size()
        self.set_state(
            applied(self._state, operation, self.image, height=height, width=width, pitch_mm=self.pitch_mm)
        )

    def fit(self) -> None:
        """Show the whole picture."""
        self.apply(Operation(change=Change.FIT))

    def actual(self) -> None:
        """One screen pixel a picture pixel (MG-11)."""
        self.apply(Operation(change=Change.ACTUAL))

    def reset(self) -> None:
        """Back to the file's window, polarity and the whole picture."""
        self.apply(Operation(change=Change.RESET))

    def zoom(self, factor: float) -> None:
        """Zoom about the middle."""
        self.apply(Operation(change=Change.ZOOM, first=factor))

    def pan(self, rows_px: float, cols_px: float) -> None:
        """Drag the picture by device pixels."""
        self.apply(Operation(change=Change.PAN, first=rows_px, second=cols_px))

    def window(self) -> tuple[float, float]:
        """Centre and width in force, modality units; (0, 1) with no image."""
        return (0.0, 1.0) if self.image is None else window_of(self.image.presentation, self._state)

    def refresh(self) -> None:
        """Paint once more."""
        # Through the item and not the widget: the scene hands its changes on by a queued call, and a
        # widget update
        # that overtakes it would be followed by a second paint.
        if self.image is None:
            self.viewport().update()
        else:
            self.item.update()

    # ------------------------------------------------------------ geometry

    def _origin(self) -> tuple[float, float]:
        """Device position of the hung picture's corner (top, left); whole pixels, so that 1:1 is exact."""
        (height, width), state = self.device_size(), self._state
        top, left = height / 2 - state.pan_row * state.scale, width / 2 - state.pan_col * state.scale
        return float(round(top)), float(round(left))

    def _place(self) -> None:
        height, width = self.device_size()
        (top, left), scale = self._origin(), self._state.scale
        self.item.set_placement(Placement(scale, top, left, height, width))
        rect = QRectF(-left / scale, -top / scale, width / scale, height / scale)
        self.box.setRange(rect, padding=0)
        self.box.updateMatrix()  # ViewBox would otherwise do it while painting, and so paint twice
        self.refresh()

    def screen_map(self) -> painting.ScreenMap | None:
        """Return the way from stored-file coordinates to this widget's pixels; None with no image."""
        if self.item.geometry is None:
            return None
        ratio = self.devicePixelRatioF()
        top, left = self._origin()
        return painting.ScreenMap(
            geometry=self.item.geometry, scale=self._state.scale / ratio, top=top / ratio, left=left / ratio
        )

    def stored_at(self, place: QPointF) -> tuple[float, float] | None:
        """Stored (row, col) under a widget position; None with no image."""
        screen = self.screen_map()
        return None if screen is None else screen.stored(place.x(), place.y())

    def widget_point(self, row: float, col: float) -> QPointF:
        """Widget position of a stored (row, col); for aiming synthetic clicks."""
        screen = self.screen_map()
        return QPointF() if screen is None else screen.point(row, col)

    # ------------------------------------------------------------ Qt: painting

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        # pyqtgraph calls this from its constructor, before our own is done.
        if not self._built or self.image is None:
            return
        height, width = self.device_size()
        if self._state.zoom_mode is ZoomMode.FIT:
            self._state = fitted(self._state, self.image, height=height, width=width)
        self._place()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        self._paints += 1
        if self._awaiting_paint:
            self._awaiting_paint = False
            painted_ns = self._monotonic_ns()
            # Listeners may repaint; let this paint end first. The time is the paint's, not the delivery's.
            QTimer.singleShot(0, self, lambda: self.first_painted.emit(painted_ns))

    def drawForeground(self, painter: QPainter, _rect: QRectF) -> None:
        painter.save()
        painter.resetTransform()
        size = QRectF(0, 0, self.width(), self.height())
        screen = self.screen_map()
        if screen is None or self.image is None:
            painter.fillRect(size, Qt.GlobalColor.black)
            painting.paint_empty(painter, size, self._empty_words, scale=self.text_scale)
        else:
            self._over.paint(painter, size, self, screen)
            self._magnifier.paint(painter, self.item, self._state, screen, self.devicePixelRatioF())
        if self._focused:
            side = self.image.view.laterality if self.image is not None else Laterality.RIGHT
            air_left = chest_wall_is_right(side, flipped_h=self._state.flipped_h)
            painting.paint_frame(painter, size, air_left=air_left)
        painter.restore()

    # ------------------------------------------------------------ Qt: mouse

    def _operate(self, operation: Operation) -> None:
        self.apply(operation)
        self.operated.emit(operation)
        self.changed_by_user.emit(self._state)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.activated.emit()
        self._mouse.press(self, event)
        event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        stored = self.stored_at(event.position())
        if self._mouse.release(self, event) and stored is not None:
            self.clicked.emit(*stored, event.button().value)
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self.image is None:
            return
        if self._magnifier.move(event.position()):
            self.refresh()
        operation = self._mouse.move(self, event)
        if operation is not None:
            self._operate(operation)
        self._report_hover(event.position(), self.image)
        event.accept()

    def _report_hover(self, place: QPointF, image: ViewImage) -> None:
        stored = self.stored_at(place)
        if stored is not None:
            self.hovered.emit(*stored, modality_value(image, *stored))

    def wheelEvent(self, event: QWheelEvent) -> None:
        notches = event.angleDelta().y() / 120.0
        event.accept()
        if notches == 0 or self.image is None:
            return
        self.activated.emit()
        if self.wheel_steps_stages:
            self.stage_stepped.emit(-1 if notches > 0 else 1)
            return
        self.zoom_about(_WHEEL_STEP**notches, event.position())

    def zoom_about(self, factor: float, place: QPointF) -> None:
        """Zoom so that what lies under the widget position stays there."""
        ratio = self.devicePixelRatioF()
        height, width = self.device_size()
        rows_px, cols_px = height / 2 - place.y() * ratio, width / 2 - place.x() * ratio
        self.apply(Operation(change=Change.PAN, first=rows_px, second=cols_px))
        self.apply(Operation(change=Change.ZOOM, first=factor))
        self.apply(Operation(change=Change.PAN, first=-rows_px, second=-cols_px))
        self.operated.emit(Operation(change=Change.ZOOM, first=factor))
        self.changed_by_user.emit(self._state)

    def leaveEvent(self, _event: object) -> None:
        if self._magnifier.leave():
            self.refresh()
        self.left.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._mouse.forget()
        if event.button() is Qt.MouseButton.LeftButton and self._mouse.name in {"window", "pan", "zoom"}:
            self.maximise_requested.emit()
        event.accept()
