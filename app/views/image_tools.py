"""The tools over the images of a case: measuring, undo, quadrants, linked pointer, enhancement, grid, links, glass.

Gives every viewport its tools and layers, and is what keys speak to. Each tool's own work is in its own file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from PySide6.QtCore import QCoreApplication, QObject, QPointF, Qt, Signal

from app.state.coverage import Seen
from app.state.display import Change, Operation, Pyramid, ZoomMode
from app.state.measurement_board import Mark, MeasurementBoard
from app.state.measurements import Measurement, MeasurementKind
from app.state.sizing import is_oblong, true_scale
from app.state.terms import image_term
from app.views.coverage_watch import CoverageWatch
from app.views.enhancement import Enhancement
from app.views.magnifier import FACTORS
from app.views.measure_layer import MeasureLayer
from app.views.measure_tools import EditTool, TextAsked, measuring_tools
from app.views.pointer_links import PointerLinks
from app.views.text_field import TextField
from app.views.tools import Tool
from app.views.view_layers import GridLayer
from app.views.viewport import Viewport
from app.views.viewport_grid import ViewportGrid
from inference.exam.types import ViewImage
from resources.vocabulary import ImageKind

ALL_SEEN = 0.995
_START_PX = 60.0  # half the length of a measurement that a key sets down


def _tr(words: str) -> str:
    return QCoreApplication.translate("tools", words)


class ImageTools(QObject):
    """One for a reading screen; ``said`` carries a sentence for the reader, ``changed`` asks for the status line."""

    said = Signal(str)
    failed = Signal(str)
    changed = Signal()
    measured = Signal(object, object)  # Measurement or None before, and after

    def __init__(
        self, grid: ViewportGrid, parent: QObject, *, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        super().__init__(parent)
        self.grid = grid
        self.board = MeasurementBoard(self._on_board)
        self.measures = MeasureLayer(self.board)
        self.coverage = CoverageWatch(grid, self, monotonic_ns=monotonic_ns)
        self.links = PointerLinks(grid, self.board, self.coverage)
        self._mm_grid = GridLayer()
        self.enhancement = Enhancement(grid, self)
        self._editor: Tool = EditTool(self.board, self.measures)
        asked = TextAsked(self)
        self._text = TextField(self.board, asked)
        self._tools = measuring_tools(self.board, asked)
        self._glass = -1  # index into FACTORS; -1 = off
        self._glass_inverted = False
        self._case_id = ""
        self._retracing = False
        self._quadrant: tuple[str, int, int] | None = (
            None  # image key, number and count of the tile on screen
        )
        self._kept: dict[str, tuple[Measurement, ...]] = {}
        grid.viewport_made.connect(self._equip)
        grid.hovered.connect(self._on_hover)
        grid.viewport_changed.connect(self._on_viewport_changed)
        self.coverage.changed.connect(self.changed)
        self.enhancement.said.connect(self.said)
        self.enhancement.failed.connect(self.failed)

    def _equip(self, view: Viewport) -> None:
        layers = (self._mm_grid, self.measures, self.links.layer, self.enhancement.badge)
        view.add_tools(self._tools, editor=self._editor, layers=layers)
        view.left.connect(self._on_left)
        view.pixels_for = self.enhancement.chosen

    def take_first(self, wrap: Callable[[Tool], Tool]) -> None:
        """Put another editor before the one of measurements; to be called before any viewport is made."""
        self._editor = wrap(self._editor)

    # ------------------------------------------------------------ the case

    def set_case(
        self, images: Mapping[str, ViewImage], pyramids: Mapping[str, Pyramid], *, case_id: str, keep: bool
    ) -> None:
        """Begin a case with nothing measured; ``keep`` brings back what was measured when it was open before.

        In a study nothing is kept: a second reading of the same case must not see the first.
        """
        if self._case_id:
            self._kept[self._case_id] = self.board.items()
        self._case_id = case_id if keep else ""
        self.measures.set_images(dict(images))
        self.links.images = dict(images)
        self.enhancement.set_case(images, pyramids)
        self.cancel()
        self.board.restore(self._kept.get(case_id, ()) if keep else ())
        self.coverage.set_case(images, pyramids)

    def add_images(self, images: Mapping[str, ViewImage], pyramids: Mapping[str, Pyramid]) -> None:
        """Take in priors that came later."""
        self.measures.images |= images
        self.links.images |= images
        self.enhancement.add_images(images, pyramids)
        self.coverage.add_images(images, pyramids)

    def stage_shown(self) -> None:
        """Another stage hangs."""
        self.links.clear()
        self.coverage.tick()
        self.enhancement.refresh()

    def end(self) -> None:
        """Nothing is on screen."""
        self.cancel()
        self.coverage.stop()

    def note_marks(self, before: Sequence[Mark], after: Sequence[Mark]) -> None:
        """Remember which marks came or went, so that they can be undone; not while undoing itself."""
        if self._retracing:
            return
        old, new = {one.finding_id for one in before}, {one.finding_id for one in after}
        for one in after:
            if one.finding_id not in old:
                self.board.note_mark(one, added=True)
        for one in before:
            if one.finding_id not in new:
                self.board.note_mark(one, added=False)

    @contextmanager
    def retracing(self) -> Iterator[None]:
        """While the log is told of an undo or redo: what comes of it is no new step."""
        self._retracing = True
        try:
            yield
        finally:
            self._retracing = False

    # ------------------------------------------------------------ what the pointer does

    def _on_board(self) -> None:
        for old, new in self.board.news():
            self.measured.emit(old, new)
        for view in self.grid.viewports():
            if view.image is not None:
                view.refresh()
        self.changed.emit()

    def _on_hover(self, view: Viewport, row: float, col: float, _value: object) -> None:
        if self._glass >= 0:
            self.coverage.tick()
        self.links.follow(view, row, col)

    def _on_left(self) -> None:
        self.links.clear()
        self.coverage.tick()

    def _on_viewport_changed(self, _view: Viewport) -> None:
        self.coverage.tick()

    # ------------------------------------------------------------ measuring by key

    def place_at_center(self, tool: str) -> bool:
        """Set a measurement of the tool in force down in the middle of the active viewport; False = no such tool."""
        view = self.grid.active()
        if tool not in self._tools or view is None or view.image is None:
            return False
        middle = QPointF(view.width() / 2, view.height() / 2)
        row, col = view.stored_at(middle) or (0.0, 0.0)
        if tool == "text":
            self._text.open(view, row, col)
            return True
        offsets = {
            MeasurementKind.RULER: ((-_START_PX, 0.0), (_START_PX, 0.0)),
            MeasurementKind.ELLIPSE: ((-_START_PX, -_START_PX), (_START_PX, _START_PX)),
            MeasurementKind.ANGLE: ((-_START_PX, 0.0), (0.0, 0.0), (0.0, -_START_PX)),
            MeasurementKind.NIPPLE: ((0.0, 0.0),),
        }[MeasurementKind(tool)]
        places = [view.stored_at(middle + QPointF(x, y)) or (row, col) for x, y in offsets]
        self.board.put(
            Measurement(
                measurement_id=self.board.new_id(),
                kind=MeasurementKind(tool),
                image_key=view.image.key,
                points=tuple(places),
            )
        )
        return True

    def nudge(self, rows_px: float, cols_px: float) -> bool:
        """Move the selected handle by screen directions, in image pixels; False when nothing is selected."""
        selection = self.board.selection
        item = None if selection is None else self.board.get(selection.measurement_id)
        view = next(
            (
                v
                for v in self.grid.viewports()
                if item and v.image is not None and v.image.key == item.image_key
            ),
            None,
        )
        screen = None if view is None else view.screen_map()
        if screen is None:
            return False
        zero = screen.geometry.hung_to_stored(0.0, 0.0)
        there = screen.geometry.hung_to_stored(rows_px, cols_px)
        return self.board.move_selected(there[0] - zero[0], there[1] - zero[1])

    def cycle(self, by: int) -> bool:
        """Select the next handle of what was measured on the images on screen."""
        keys = [v.image.key for v in self.grid.viewports() if v.image is not None and v.isVisible()]
        return self.board.cycle(keys, by)

    def finish_text(self) -> bool:
        """Keep what is written in the open field; False when none is open."""
        done = self._text.finish()
        if done:
            self.grid.setFocus(Qt.FocusReason.OtherFocusReason)
        return done

    def cancel(self) -> bool:
        """Close the text field or drop the selection; False when there was neither."""
        if self._text.close():
            self.grid.setFocus(Qt.FocusReason.OtherFocusReason)
            return True
        dropped = [tool.abandon() for tool in (self._editor, *self._tools.values())]
        had = self.board.selection is not None or any(dropped)
        self.board.draw(None)
        self.board.select(None)
        return had

    # ------------------------------------------------------------ sizes, links, quadrants

    def step_quadrant(self, by: int) -> None:
        """Show the next tile of the active image at 1:1, and after its last tile the next image's first (MG-11)."""
        view = self.grid.active()
        if view is None or view.image is None:
            return
        hung = [v for v in self.grid.viewports() if v.image is not None and v.isVisible()]
        at = self.coverage.step(view, by)
        if at is None and len(hung) > 1:
            view = hung[(hung.index(view) + by) % len(hung)]
            self.grid.set_active(view)
            at = self.coverage.step(view, by)
        if at is None or view.image is None:
            self.said.emit(_tr("All quadrants of this image were shown."))
            return
        self._quadrant = (view.image.key, *at)
        self._mirror_place(view, hung)
        view.changed_by_user.emit(view.state())

    def _mirror_place(self, source: Viewport, hung: list[Viewport]) -> None:
        if not self.grid.linked_zoom or source.image is None or source.item.geometry is None:
            return
        state = source.state()
        for view in hung:
            if view is source or view.image is None or view.item.geometry is None:
                continue
            mirrored = view.image.view.laterality is not source.image.view.laterality
            # As far from the chest wall as on the source.
            other = view.item.geometry.hung_size[1]
            col = other - state.pan_col if mirrored else state.pan_col
            view.set_state(
                replace(
                    view.state(), scale=1.0, zoom_mode=ZoomMode.ACTUAL, pan_row=state.pan_row, pan_col=col
                )
            )

    def true_size(self) -> None:
        """Show the breast at its own size (MG-10), or say what is missing."""
        view = self.grid.active()
        if view is None or view.image is None:
            return
        if view.image.spacing is None:
            self.said.emit(
                _tr("No true size for {0}: its pixel spacing is not recorded.").format(view.image.view.label)
            )
        elif is_oblong(view.image):
            self.said.emit(
                _tr("No true size for {0}: its pixels are not square.").format(view.image.view.label)
            )
        elif true_scale(view.image, view.pitch_mm) is None:
            self.said.emit(
                _tr(
                    "No true size: this monitor's pixel size is not known; calibrate it in Settings (Ctrl+,), Monitors."
                )
            )
        else:
            self.grid.apply(Operation(change=Change.TRUE))

    def toggle_linked_place(self) -> None:
        """Link or free zoom, pan and flips."""
        self.grid.linked_zoom = not self.grid.linked_zoom
        self.changed.emit()

    def toggle_linked_window(self) -> None:
        """Link or free window, inversion and VOI."""
        self.grid.linked_window = not self.grid.linked_window
        self.changed.emit()

    # ------------------------------------------------------------ looking

    def choose(self, name: str, before: str) -> str:
        """Prepare for another tool and return which one is to be in force: M goes through 1:1, 2:1 and off."""
        self.cancel()
        if name != "magnifier":
            self._glass = -1
            return name
        self._glass = self._glass + 1 if before == "magnifier" else 0
        if self._glass >= len(FACTORS):
            self._glass = -1
        return "magnifier" if self._glass >= 0 else "window"

    def show_glass(self) -> None:
        """Give every viewport the glass as it is set."""
        for view in self.grid.viewports():
            view.magnifier(
                self._glass >= 0, factor=FACTORS[max(self._glass, 0)], inverted=self._glass_inverted
            )

    def invert_magnifier(self) -> None:
        """Invert inside the glass only, or no longer."""
        self._glass_inverted = not self._glass_inverted
        self.show_glass()

    def toggle_grid(self) -> None:
        """Lay lines every 10 mm over the pictures, or take them away."""
        self._mm_grid.on = not self._mm_grid.on
        view = self.grid.active()
        if self._mm_grid.on and view is not None and view.image is not None and view.image.spacing is None:
            self.said.emit(
                _tr("No mm grid on {0}: its pixel spacing is not recorded.").format(view.image.view.label)
            )
        self._on_board()

    def toggle_cursor(self) -> None:
        """Show the pointer's place on other images, or no longer."""
        self.links.cursor_on = not self.links.cursor_on
        self.links.clear()
        self.changed.emit()

    def toggle_arc(self) -> None:
        """Show the arc at the pointer's distance from the nipple in the other views, or no longer."""
        self.links.arc_on = not self.links.arc_on
        view = self.grid.active()
        if self.links.arc_on and view is not None and view.image is not None:
            missing = self.links.why_no_arc(view.image)
            if missing:
                self.said.emit(missing)
        self.links.clear()
        self.changed.emit()

    # ------------------------------------------------------------ words

    def words(self) -> str:
        """Return what the status line says of links, switched-on options, and what was seen at 1:1."""
        said = [_tr("zoom linked") if self.grid.linked_zoom else _tr("zoom free")]
        said.append(_tr("window linked") if self.grid.linked_window else _tr("window free"))
        if self.links.arc_on:
            said.append(_tr("nipple arc"))
        view = self.grid.active()
        if view is not None and view.image is not None:
            share = self.coverage.seen(view.image.key).share
            if (
                self._quadrant is not None
                and self._quadrant[0] == view.image.key
                and view.state().scale == 1.0
            ):
                said.append(_tr("quadrant {0}/{1}").format(*self._quadrant[1:]))
            said.append(_tr("{0} seen at 1:1: {1:.0f} %").format(view.image.view.label, int(100 * share)))
        return "      ".join(said)

    def seen_images(self) -> list[tuple[ViewImage, Seen]]:
        """Return the images of the case that are read (no priors, no high energy) with what was seen of each."""
        seen = self.coverage.all_seen()
        return [
            (image, seen[image.key])
            for image in self.links.images.values()
            if "@P" not in image.qualifier and image.kind is not ImageKind.CESM_HIGH
        ]

    def unseen_words(self) -> str:
        """Say which images were not wholly seen at 1:1 (MG-44); empty when all were."""
        shares = [(image.key, one.share) for image, one in self.seen_images() if one.share < ALL_SEEN]
        if not shares:
            return ""
        names = ", ".join(f"{image_term(key)} {int(100 * share)} %" for key, share in shares)
        return _tr("Tissue seen at 1:1: {0}. E steps through the rest.").format(names)
