"""The grid of viewports of one hanging stage: sizes them, links them, and says when all are painted.

Chest walls meet because neighbours touch without a gap and every viewport puts its picture on the inner
edge. Which
image hangs where is ``app.state.hanging``; what an operation does is ``app.state.operations``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from PySide6.QtCore import QCoreApplication, QEvent, QRect, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from app.state.display import Change, Operation, Pyramid, ViewportState, ZoomMode
from app.state.hanging import Cell, Stage
from app.state.hanging_fill import is_special
from app.state.in_place import carried
from app.state.operations import applied
from app.state.overlays import AnnotationText, HeatLayer, OverlayItem, default_words
from app.state.sizing import SameSize, breast_extent, fitted, same_size_scale, sized, wall_inset
from app.views import in_place, theme
from app.views.viewport import Viewport
from inference.exam.types import Box, ViewImage

__all__ = ["ViewportGrid", "default_words"]

_GREY_CHANGES = frozenset({Change.WINDOW, Change.INVERT, Change.NEXT_VOI})
_PLACE_CHANGES = frozenset(
    {Change.ZOOM, Change.PAN, Change.ACTUAL, Change.TRUE, Change.FLIP_H, Change.FLIP_V}
)


def _tr(text: str) -> str:
    return QCoreApplication.translate("grid", text)


class ViewportGrid(QWidget):
    """Shows one stage; keeps each image's window while stages change, and forgets it with the case."""

    all_painted = Signal(object)  # int, monotonic ns of the last viewport's first paint of a new case
    stage_painted = Signal(object)  # the same, for every stage set
    active_changed = Signal(object)  # Viewport
    viewport_made = Signal(object)  # Viewport, before anything hangs in it
    viewport_changed = Signal(object)  # Viewport whose state the user changed
    clicked = Signal(object, float, float, int)  # Viewport, stored row, stored col, Qt button number
    hovered = Signal(object, float, float, object)  # Viewport, stored row, stored col, value or None
    stage_stepped = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.linked_window = True
        self.linked_zoom = False
        self.same_size = SameSize(scales={}, mm_per_px=None, reason="")
        self._pool: list[Viewport] = []
        self._look: Callable[[Viewport], None] = lambda _view: None
        self._stage: Stage | None = None
        self._images: dict[str, ViewImage] = {}
        self._pyramids: dict[str, Pyramid] = {}
        self._extents: dict[str, Box] = {}
        self._greys: dict[
            str, ViewportState
        ] = {}  # window, polarity by image: each energy has its own (CEM-05)
        self._words: dict[str, AnnotationText] = {}
        self._items: dict[str, tuple[OverlayItem, ...]] = {}
        self._heats: dict[str, HeatLayer] = {}
        self._pending: set[Viewport] = set()
        self._last_painted_ns = 0
        self._case_is_new = False
        self._active: Viewport | None = None
        self._maximised: Viewport | None = None
        self._before_maximising: ViewportState | None = None
        self._tool = "window"
        self.setMinimumSize(320, 240)

    # ------------------------------------------------------------ stages

    def viewports(self) -> tuple[Viewport, ...]:
        """The viewports of the stage, in the order of its cells."""
        count = 0 if self._stage is None else len(self._stage.cells)
        return tuple(self._pool[:count])

    def active(self) -> Viewport | None:
        """The viewport that keys go to: the last one touched, else the first with an image."""
        if self._active is not None and self._active in self.viewports() and self._active.image is not None:
            return self._active
        return next((view for view in self.viewports() if view.image is not None), None)

    def cell_of(self, view: Viewport) -> Cell | None:
        """The place of the stage that ``view`` fills, with the reason why (explainable hanging)."""
        if self._stage is None or view not in self.viewports():
            return None
        return self._stage.cells[self.viewports().index(view)]

    def set_stage(
        self, stage: Stage, images: Mapping[str, ViewImage], pyramids: Mapping[str, Pyramid] | None = None
    ) -> None:
        """Hang a stage.

        ``images`` are all of the case by ``ViewImage.key``; other image objects than before make a new
        case, which
        forgets windows and overlays. ``pyramids`` are best built off the UI thread; missing ones are
        built here.
        """
        if {id(image) for image in images.values()} != {id(image) for image in self._images.values()}:
            self._new_case(images)
        self._pyramids.update(pyramids or {})
        self._stage = stage
        self._maximised = self._before_maximising = None
        while len(self._pool) < len(stage.cells):
            self._pool.append(self._make_viewport())
        for view in self._pool[len(stage.cells) :]:
            view.hide()
            view.show_image(None)
        self._arrange()
        self._pending = set()
        for view, cell in zip(self.viewports(), stage.cells, strict=True):
            self._hang(view, cell, cell.image_key)
            if view.image is not None:
                self._pending.add(view)
        self.resize_images()
        self._mark_active()
        self.update()

    def add_images(self, images: Mapping[str, ViewImage], pyramids: Mapping[str, Pyramid]) -> None:
        """Take in more images of the same case, such as priors; what is on screen stays as it is."""
        self._images.update(images)
        self._pyramids.update(pyramids)

    def renew_stage(self, stage: Stage) -> None:
        """Take in a step of the same places with other reasons, partners or priors; nothing moves."""
        self._stage = stage
        for view in self.viewports():
            if view.image is not None:
                self._write_words(view, view.image)

    def _new_case(self, images: Mapping[str, ViewImage]) -> None:
        self._images = dict(images)
        self._pyramids, self._extents, self._greys = {}, {}, {}
        self._words, self._items, self._heats = {}, {}, {}
        self._active = None
        self._case_is_new = True

    def clear(self) -> None:
        """Empty the grid, as between cases and while paused."""
        self._new_case({})
        self._stage = None
        self._pending = set()
        for view in self._pool:
            view.show_image(None)
            view.hide()
        self.update()

    def _make_viewport(self) -> Viewport:
        view = Viewport(self)
        self.viewport_made.emit(view)
        view.set_tool(self._tool)
        view.first_painted.connect(lambda t_ns, v=view: self._painted(v, t_ns))
        view.activated.connect(lambda v=view: self.set_active(v))
        view.operated.connect(lambda operation, v=view: self._follow(v, operation))
        view.changed_by_user.connect(lambda _state, v=view: self._changed(v))
        view.clicked.connect(lambda row, col, button, v=view: self.clicked.emit(v, row, col, button))
        view.hovered.connect(lambda row, col, value, v=view: self.hovered.emit(v, row, col, value))
        view.maximise_requested.connect(lambda v=view: self.maximise(v))
        view.stage_stepped.connect(self.stage_stepped)
        self._look(view)
        return view

    def set_look(self, look: Callable[[Viewport], None]) -> None:
        """Dress every viewport, later ones included: monitor's table and pitch, text size, wheel."""
        self._look = look
        for view in self._pool:
            look(view)

    def _hang(self, view: Viewport, cell: Cell, key: str | None) -> None:
        image = None if key is None else self._images.get(key)
        if image is None or key is None:
            view.set_empty_text(_tr("{0}\nnot in this exam").format(cell.label) if cell.label else "")
            view.set_annotation(AnnotationText())
            view.show_image(None)
            return
        if key not in self._pyramids:
            self._pyramids[key] = Pyramid(image.pixels)
        height, width = view.device_size()
        state = fitted(self._grey_state(image), image, height=height, width=width)
        view.show_image(image, self._pyramids[key], state)
        self._dress(view, image)

    def _dress(self, view: Viewport, image: ViewImage) -> None:
        self._write_words(view, image)
        view.set_overlays(self._items.get(image.key, ()))
        view.set_heat(self._heats.get(image.key))

    def _write_words(self, view: Viewport, image: ViewImage) -> None:
        words = self._words.get(image.key, default_words(image))
        view.set_annotation(replace(words, flags=(*words.flags, *in_place.badge(self.cell_of(view), image))))

    def _grey_state(self, image: ViewImage) -> ViewportState:
        kept = self._greys.get(image.key, ViewportState())
        fresh = ViewportState(image_key=image.key, voi_index=kept.voi_index, inverted=kept.inverted)
        return replace(fresh, center=kept.center, width=kept.width)

    # ------------------------------------------------------------ sizes

    def _arrange(self) -> None:
        if self._stage is None:
            return
        if self._maximised is not None:
            for view in self.viewports():
                view.setVisible(view is self._maximised)
            self._maximised.setGeometry(self.rect())
            return
        rows, cols = self._stage.rows, self._stage.cols
        for view, cell in zip(self.viewports(), self._stage.cells, strict=True):
            x0, x1 = self.width() * cell.col // cols, self.width() * (cell.col + 1) // cols
            y0, y1 = self.height() * cell.row // rows, self.height() * (cell.row + 1) // rows
            view.setGeometry(QRect(x0, y0, x1 - x0, y1 - y0))
            view.show()

    def resize_images(self, mode: ZoomMode | None = None) -> None:
        """Size all pictures anew: as the stage says, or in ``mode``."""
        if self._stage is None:
            return
        wanted = self._stage.zoom if mode is None else mode
        views = [view for view in self.viewports() if view.image is not None and view.isVisibleTo(self)]
        if wanted is ZoomMode.SAME:
            self._compute_same_size(views)
        for view in views:
            image = view.image
            if image is None:
                continue
            if mode is None and view.state().zoom_mode is ZoomMode.TRUE:
                view.apply(Operation(change=Change.TRUE))  # true size is the monitor's, not the window's
                continue
            height, width = view.device_size()
            inset = wall_inset(image, self._pyramids[image.key], view.item.air)
            same = self.same_size.scales.get(image.key)
            view.set_state(
                sized(view.state(), image, wanted, height=height, width=width, same_scale=same, inset=inset)
            )

    def _compute_same_size(self, views: list[Viewport]) -> None:
        images: list[ViewImage] = []
        sizes: dict[str, tuple[int, int]] = {}
        for view in views:
            image = view.image
            if image is None or is_special(image):
                continue  # a magnified view at the size of a whole breast would pass for one (MG-37)
            images.append(image)
            sizes[image.key] = view.device_size()
            if image.key not in self._extents:
                self._extents[image.key] = breast_extent(image, self._pyramids[image.key], view.item.air)
        self.same_size = same_size_scale(images, self._extents, sizes)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()
        self.resize_images(ZoomMode.FIT if self._maximised is not None else None)

    def event(self, event: QEvent) -> bool:
        done = super().event(event)
        if event.type() is QEvent.Type.DevicePixelRatioChange:  # another monitor: sizes are in its pixels
            self.resize_images(ZoomMode.FIT if self._maximised is not None else None)
        return done

    def paintEvent(self, _event: QPaintEvent) -> None:
        QPainter(self).fillRect(self.rect(), QColor(theme.IMAGE_BLACK))

    def maximise(self, view: Viewport | None = None) -> None:
        """Give one viewport the whole grid, or put the stage back when one has it."""
        if self._maximised is not None:
            back, state = self._maximised, self._before_maximising
            self._maximised = self._before_maximising = None
            self._arrange()
            if state is not None and back.image is not None:
                now = back.state()
                state = replace(state, voi_index=now.voi_index, inverted=now.inverted)
                back.set_state(replace(state, center=now.center, width=now.width))
            return
        view = view or self.active()
        if view is None or view.image is None:
            return
        self._maximised, self._before_maximising = view, view.state()
        self._arrange()
        self.resize_images(ZoomMode.FIT)

    # ------------------------------------------------------------ operations

    def apply(self, operation: Operation) -> None:
        """Do an operation on the active viewport and those linked to it; fit, same size and reset concern
        all."""
        active = self.active()
        if active is None:
            return
        if operation.change is Change.SAME:
            self.resize_images(ZoomMode.SAME)
        elif operation.change is Change.FIT:
            self.resize_images(ZoomMode.FIT)
        elif operation.change is Change.RESET:
            self._reset()
        else:
            active.apply(operation)
            self._follow(active, operation)
        for view in self.viewports():
            self._remember(view)
        self.viewport_changed.emit(active)

    def _reset(self) -> None:
        for view in self.viewports():
            image = view.image
            if image is not None:
                height, width = view.device_size()
                view.set_state(
                    applied(view.state(), Operation(change=Change.RESET), image, height=height, width=width)
                )
        self.resize_images(ZoomMode.FIT if self._maximised is not None else None)

    def _follow(self, source: Viewport, operation: Operation) -> None:
        grey = operation.change in _GREY_CHANGES and self.linked_window
        if grey and source.image is not None:
            self._remember_for_kind(source.image, operation)
        place = operation.change in _PLACE_CHANGES and self.linked_zoom
        if not (grey or place) or source.image is None:
            return
        for view in self.viewports():
            if view is source or view.image is None:
                continue
            if grey and view.image.kind is not source.image.kind:
                continue  # low energy and recombined keep windows of their own (CEM-05)
            mirrored = (
                operation.change is Change.PAN and view.image.view.laterality != source.image.view.laterality
            )
            view.apply(replace(operation, second=-operation.second) if mirrored else operation)
            self._remember(view)

    def _remember_for_kind(self, image: ViewImage, operation: Operation) -> None:
        """Let images of the same energy that are not on screen open with the same change later (CEM-05)."""
        on_screen = {view.image.key for view in self.viewports() if view.image is not None}
        for key, other in self._images.items():
            if key not in on_screen and other.kind is image.kind:
                self._greys[key] = applied(self._grey_state(other), operation, other, height=1, width=1)

    def _changed(self, view: Viewport) -> None:
        self._remember(view)
        self.viewport_changed.emit(view)

    def _remember(self, view: Viewport) -> None:
        if view.image is not None:
            self._greys[view.image.key] = view.state()

    def images(self) -> Mapping[str, ViewImage]:
        """All images of the case by key, hung or not."""
        return self._images

    def show_in_place(self, view: Viewport, other: ViewImage) -> None:
        """Show ``other`` in ``view``: the place locked in mm, ``other``'s own window (CEM-03, MG-41)."""
        if view.image is None:
            return
        self._remember(view)
        state = carried(view.state(), view.image, other, self._grey_state(other))
        if other.key not in self._pyramids:
            self._pyramids[other.key] = Pyramid(other.pixels)
        view.show_image(other, self._pyramids[other.key], state)
        self._dress(view, other)

    def toggle_energy(self) -> bool:
        """Swap low energy and recombined in place; False when no viewport has both (CEM-03, CEM-05)."""
        return in_place.toggle_energy(self)

    def toggle_prior(self) -> bool:
        """Swap current and prior in place; False when no viewport has both (MG-41)."""
        return in_place.toggle_prior(self)

    def next_of_stack(self) -> bool:
        """Show the active place's next image; False when it has one only (MG-36, MG-39)."""
        return in_place.next_of_stack(self)

    def show_key(self, key: str) -> bool:
        """Bring an image that lies in a place of the step to its top and make that viewport the active one."""
        return in_place.show_key(self, key)

    # ------------------------------------------------------------ what lies over the images

    def set_overlays(self, items: Mapping[str, tuple[OverlayItem, ...]]) -> None:
        """Boxes and marks by image key; replaces all."""
        self._items = dict(items)
        for view in self.viewports():
            if view.image is not None:
                view.set_overlays(self._items.get(view.image.key, ()))

    def set_heats(self, layers: Mapping[str, HeatLayer]) -> None:
        """Heat maps by image key; replaces all."""
        self._heats = dict(layers)
        for view in self.viewports():
            if view.image is not None:
                view.set_heat(self._heats.get(view.image.key))

    def set_words(self, words: Mapping[str, AnnotationText]) -> None:
        """Annotation by image key; images without any keep their view label."""
        self._words = dict(words)
        for view in self.viewports():
            if view.image is not None:
                self._write_words(view, view.image)

    def set_tool(self, name: str) -> None:
        """Choose what the left button does, everywhere."""
        for view in self._pool:
            view.set_tool(name)
        self._tool = name

    def show_annotation(self, shown: bool) -> None:
        """Show or hide identity, technique and evidence everywhere (MG-27)."""
        for view in self._pool:
            view.show_annotation(shown)

    def set_active(self, view: Viewport) -> None:
        """Make ``view`` the one that keys go to."""
        changed = view is not self._active
        self._active = view
        self._mark_active()
        if changed:
            self.active_changed.emit(view)

    def _mark_active(self) -> None:
        several = len(self.viewports()) > 1
        for view in self.viewports():
            view.set_focused(several and view is self.active())

    def _painted(self, view: Viewport, t_ns: int) -> None:
        if view not in self._pending:
            return
        self._pending.discard(view)
        self._last_painted_ns = max(self._last_painted_ns, t_ns)
        if self._pending:
            return
        new, self._case_is_new = self._case_is_new, False
        self.stage_painted.emit(self._last_painted_ns)
        if new:
            self.all_painted.emit(self._last_painted_ns)
