"""Follows the pointer on other images: the linked cursor with values of both, and nipple-distance arcs.

Where the pointer lies on another image is ``app.state.linked_cursor`` and ``app.state.nipple_arc``.
"""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QCoreApplication

from app.state.hanging_fill import partner_of
from app.state.linked_cursor import LinkedPoint, linked_point
from app.state.measurement_board import MeasurementBoard
from app.state.measurements import Point, modality_value
from app.state.nipple_arc import arc, arc_targets, nipple_distance_mm
from app.views.coverage_watch import CoverageWatch
from app.views.measure_layer import kind_words
from app.views.view_layers import Arc, CursorLayer
from app.views.viewport import Viewport
from app.views.viewport_grid import ViewportGrid
from inference.exam.types import ViewImage


def _tr(words: str) -> str:
    return QCoreApplication.translate("tools", words)


class PointerLinks:
    """What the pointer of one viewport puts on the others."""

    def __init__(
        self,
        grid: ViewportGrid,
        board: MeasurementBoard,
        coverage: CoverageWatch,
    ) -> None:
        self._grid, self._board, self._coverage = grid, board, coverage
        self.layer = CursorLayer()
        self.images: dict[str, ViewImage] = {}
        self.cursor_on = True
        self.arc_on = False

    def clear(self) -> None:
        """The pointer left: nothing is marked elsewhere."""
        old = self.layer.points.keys() | self.layer.arcs.keys()
        self.layer.points, self.layer.arcs = {}, {}
        self._repaint(old)

    def follow(self, view: Viewport, row: float, col: float) -> None:
        """Mark the place under the pointer of ``view`` on every other viewport that can tell it."""
        source = view.image
        if source is None:
            return
        old = self.layer.points.keys() | self.layer.arcs.keys()
        shown = {
            v.image.key: v.image for v in self._grid.viewports() if v.image is not None and v.isVisible()
        }
        shown.pop(source.key, None)
        inside = modality_value(source, row, col) is not None
        self.layer.points = self._points(source, (row, col), shown) if inside and self.cursor_on else {}
        self.layer.arcs = self._arcs(source, (row, col), shown) if inside and self.arc_on else {}
        self._repaint(old | self.layer.points.keys() | self.layer.arcs.keys())

    def _repaint(self, keys: set[str]) -> None:
        for view in self._grid.viewports():
            if view.image is not None and view.image.key in keys:
                view.refresh()

    def _points(
        self, source: ViewImage, point: Point, shown: Mapping[str, ViewImage]
    ) -> dict[str, tuple[LinkedPoint, str]]:
        found: dict[str, tuple[LinkedPoint, str]] = {}
        for key, target in shown.items():
            nipples = (self._board.nipple(source.key), self._board.nipple(key))
            place = linked_point(source, target, point, nipples=nipples)
            if place is not None:
                found[key] = (place, _place_words(target, place))
        return found

    def _arcs(self, source: ViewImage, point: Point, shown: Mapping[str, ViewImage]) -> dict[str, Arc]:
        nipple = self._board.nipple(source.key)
        distance = None if nipple is None else nipple_distance_mm(source, nipple, point)
        if distance is None or self._coverage.impossible_breast_mm(source) is not None:
            return {}
        found: dict[str, Arc] = {}
        for target in arc_targets(source, tuple(shown.values())):
            other = self._board.nipple(target.key) or self._shared_nipple(target)
            if other is not None and self._coverage.impossible_breast_mm(target) is None:
                words = _tr("{0:.0f} mm from nipple").format(distance)
                lines = arc(target, other, distance, self._coverage.tissue_of(target.key))
                found[target.key] = Arc(lines=lines, words=words)
        return found

    def _shared_nipple(self, image: ViewImage) -> Point | None:
        """The nipple marked on the other energy, which shares its pixels."""
        partner = partner_of(image, tuple(self.images.values()))
        return None if partner is None else self._board.nipple(partner.key)

    def why_no_arc(self, image: ViewImage) -> str:
        """Say what is missing before an arc can be drawn from this image; empty when nothing is."""
        if image.spacing is None:
            return _tr("No arc in {0}: its pixel spacing is not recorded.").format(image.view.label)
        if why := self._why_not_believed(image):
            return why
        if self._board.nipple(image.key) is None:
            return _tr("Mark the nipple in {0} and in the other view first (N).").format(image.view.label)
        others = arc_targets(image, tuple(self.images.values()))
        if not any(self._board.nipple(one.key) for one in others):
            names = ", ".join(sorted({one.view.label for one in others})) or _tr("another view")
            return _tr("Mark the nipple in {0} too (N).").format(names)
        doubts = [self._why_not_believed(one) for one in others if self._board.nipple(one.key)]
        return doubts[0] if all(doubts) else ""

    def _why_not_believed(self, image: ViewImage) -> str:
        size = self._coverage.impossible_breast_mm(image)
        if size is None:
            return ""
        words = _tr(
            "No arc in {0}: by its pixel spacing the breast would be {1:.0f} x {2:.0f} mm, so millimetres are wrong."
        )
        return words.format(image.view.label, *size)

    def values_words(self, image: ViewImage, row: float, col: float) -> str:
        """Return the values of both energies under the pointer of a contrast image; empty for others."""
        if not image.kind.is_contrast:
            return ""
        own = modality_value(image, row, col)
        if own is None:
            return ""
        words = [f"{kind_words(image)} {own:.0f}"]
        partner = partner_of(image, tuple(self.images.values()))
        value = None if partner is None else modality_value(partner, row, col)
        if partner is not None and value is not None:
            words.append(f"{kind_words(partner)} {value:.0f}")
        return "   ".join(words) + "  " + _tr("(uncalibrated)")


def _place_words(target: ViewImage, place: LinkedPoint) -> str:
    value = modality_value(target, place.row, place.col)
    if value is None:
        return ""
    words = f"{value:.0f}"
    if target.kind.is_contrast:
        words = _tr("{0} uncalibrated").format(words)
    return words if place.exact else f"{words}  ({_tr(place.method)})"
