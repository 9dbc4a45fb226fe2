"""Draws measurements over an image, words their results, and finds what lies under the pointer.

All positions come from stored pixels through the viewport's ``ScreenMap``, so flips and zoom cannot part a measurement
from its tissue (MG-07).
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import replace
from itertools import pairwise

from PySide6.QtCore import QCoreApplication, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen

from app.state.hanging_fill import partner_of
from app.state.linked_cursor import is_registered
from app.state.measurement_board import MeasurementBoard, Selection
from app.state.measurements import (
    Length,
    Measurement,
    MeasurementKind,
    RoiStats,
    angle_degrees,
    roi_stats,
    ruler_length,
)
from app.state.terms import energy_flag
from app.views import theme
from app.views.lettering import text
from app.views.painting import ScreenMap
from app.views.viewport import Viewport
from inference.exam.types import ViewImage

HANDLE_PX, GRAB_PX = 3.5, 8.0
_KEPT_WORDS = 256
_HALO = QColor(0, 0, 0, 200)


def _tr(words: str) -> str:
    return QCoreApplication.translate("measure", words)


def length_words(length: Length) -> str:
    """Say a length or area with its method, or that it is in pixels and why (MG-12)."""
    if length.unit.startswith("px"):
        return _tr("{0:.1f} {1} (no mm: pixel spacing not recorded)").format(length.value, length.unit)
    return f"{length.value:.1f} {length.unit} ({length.method})"


def kind_words(image: ViewImage) -> str:
    """Name the energy of a contrast image as the field does; empty for others."""
    return energy_flag(image.kind)


def stats_words(stats: RoiStats, image: ViewImage) -> str:
    """Say mean, SD, lowest and highest; contrast images are marked uncalibrated (CEM-07)."""
    unit = _tr("uncalibrated") if image.kind.is_contrast else _tr("modality units")
    words = _tr("mean {0:.1f}  SD {1:.1f}  min {2:.0f}  max {3:.0f}  ({4})").format(
        stats.mean, stats.deviation, stats.lowest, stats.highest, unit
    )
    name = kind_words(image)
    return f"{name}: {words}" if name else words


def measurement_words(item: Measurement, image: ViewImage, partner: ViewImage | None) -> tuple[str, ...]:
    """Return the lines beside a measurement; ``partner`` is the other energy of a contrast pair."""
    if item.kind is MeasurementKind.RULER:
        return (length_words(ruler_length(item, image)),)
    if item.kind is MeasurementKind.ANGLE:
        degrees = f"{angle_degrees(item, image):.1f}°"
        return (degrees if image.spacing is not None else degrees + _tr(" (square pixels assumed)"),)
    if item.kind is MeasurementKind.TEXT:
        return (item.text,)
    if item.kind is MeasurementKind.NIPPLE:
        return (_tr("nipple"),)
    stats = roi_stats(item, image)
    if stats is None:
        return (_tr("no pixel inside"),)
    other = None if partner is None else roi_stats(item, partner)
    lines = [stats_words(stats, image)]
    if other is not None and partner is not None:
        unsure = "" if is_registered(image, partner) else _tr("  registration not known")
        lines.append(stats_words(other, partner) + unsure)
    return (*lines, length_words(stats.area))


class MeasureLayer:
    """Paints the measurements of the board; an ellipse also on the other energy of a contrast pair (CEM-07)."""

    def __init__(self, board: MeasurementBoard) -> None:
        self._board = board
        # The case's images by key; set with each case. Partners need not be on screen.
        self.images: dict[str, ViewImage] = {}
        self._words: dict[Measurement, tuple[str, ...]] = {}

    def set_images(self, images: dict[str, ViewImage]) -> None:
        """Take the images of another case."""
        self.images, self._words = images, {}

    def partner_of(self, image: ViewImage) -> ViewImage | None:
        """Return the other energy of a contrast pair; None for other images."""
        return partner_of(image, tuple(self.images.values()))

    def words(self, item: Measurement, image: ViewImage) -> tuple[str, ...]:
        """Return the lines beside a measurement, counted once and remembered."""
        if item not in self._words:
            if len(self._words) >= _KEPT_WORDS:
                self._words.clear()
            self._words[item] = measurement_words(item, image, self.partner_of(image))
        return self._words[item]

    def token(self, image: ViewImage) -> Hashable:
        """The measurements of the image and of its partner, and which of them is selected."""
        partner = self.partner_of(image) if image.kind.is_contrast else None
        shared = () if partner is None else self._board.on_image(partner.key)
        own = self._board.on_image(image.key)
        return (own, shared, self._board.selection, id(self.images)) if own or shared else ()

    def paint(self, painter: QPainter, view: Viewport, screen: ScreenMap, image: ViewImage) -> None:
        own = self._board.on_image(image.key)
        partner = self.partner_of(image) if image.kind.is_contrast else None
        shared = () if partner is None else self._board.on_image(partner.key)
        ghosts = [item for item in shared if item.kind is MeasurementKind.ELLIPSE]
        if not own and not ghosts:
            return
        painter.setFont(theme.font(theme.SMALL_PX, scale=view.text_scale))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        bounds = QRectF(0, 0, view.width(), view.height())
        for item in own:
            self._paint_one(painter, item, image, screen, bounds)
        for item in ghosts:
            mirrored = replace(item, image_key=image.key)
            _paint_shape(painter, mirrored, screen, dashed=True)
            _paint_words(painter, self.words(mirrored, image), _anchor(mirrored, screen), bounds)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _paint_one(
        self, painter: QPainter, item: Measurement, image: ViewImage, screen: ScreenMap, bounds: QRectF
    ) -> None:
        _paint_shape(painter, item, screen)
        selection = self._board.selection
        if selection is not None and selection.measurement_id == item.measurement_id:
            _paint_handles(painter, item, selection, screen)
        _paint_words(painter, self.words(item, image), _anchor(item, screen), bounds)

    def hit(self, image_key: str, place: QPointF, screen: ScreenMap) -> Selection | None:
        """Return the handle under a widget position, else the measurement whose line is there, else None."""
        for item in reversed(self._board.on_image(image_key)):
            points = [screen.point(*point) for point in item.points]
            for number, point in enumerate(points):
                if math.hypot(point.x() - place.x(), point.y() - place.y()) <= GRAB_PX:
                    return Selection(measurement_id=item.measurement_id, handle=number)
            if _on_line(item, points, place):
                return Selection(measurement_id=item.measurement_id)
        return None


def _paint_shape(painter: QPainter, item: Measurement, screen: ScreenMap, *, dashed: bool = False) -> None:
    points = [screen.point(*point) for point in item.points]
    style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine
    # Smooth edges cost a millisecond a line; the dark halo below needs none.
    for pen, smooth in ((QPen(_HALO, 3.0), False), (QPen(QColor(theme.MEASURE), 1.3, style), True)):
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, smooth)
        painter.setPen(pen)
        if item.kind is MeasurementKind.ELLIPSE:
            painter.drawEllipse(QRectF(points[0], points[1]).normalized())
        elif item.kind is MeasurementKind.NIPPLE:
            painter.drawEllipse(points[0], 7.0, 7.0)
            _paint_cross(painter, points[0], 3.0)
        elif item.kind is MeasurementKind.TEXT:
            _paint_cross(painter, points[0], 4.0)
        else:
            for start, end in pairwise(points):
                painter.drawLine(start, end)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            for point in (points[0], points[-1]):
                _paint_cross(painter, point, 4.0)


def _paint_cross(painter: QPainter, at: QPointF, reach: float) -> None:
    painter.drawLine(at - QPointF(reach, 0), at + QPointF(reach, 0))
    painter.drawLine(at - QPointF(0, reach), at + QPointF(0, reach))


def _paint_handles(painter: QPainter, item: Measurement, selection: Selection, screen: ScreenMap) -> None:
    painter.setPen(QPen(QColor(theme.ACCENT), 1.3))
    for number, point in enumerate(item.points):
        at = screen.point(*point)
        reach = HANDLE_PX + (1.5 if selection.handle in {number, None} else 0.0)
        square = QRectF(at.x() - reach, at.y() - reach, 2 * reach, 2 * reach)
        if selection.handle in {number, None}:
            painter.drawRect(square.adjusted(2, 2, -2, -2))
        painter.drawRect(square)


def _anchor(item: Measurement, screen: ScreenMap) -> QPointF:
    """Where the words begin: right of a point, below an ellipse."""
    points = [screen.point(*point) for point in item.points]
    if item.kind is MeasurementKind.ELLIPSE:
        box = QRectF(points[0], points[1]).normalized()
        return QPointF(box.left(), box.bottom() + 15.0)
    if item.kind is MeasurementKind.ANGLE:
        return points[1] + QPointF(10, 16)
    return points[-1] + QPointF(11, 4)


def _paint_words(painter: QPainter, lines: tuple[str, ...], at: QPointF, bounds: QRectF) -> None:
    if not bounds.adjusted(-60, -60, 60, 60).contains(at):
        return  # what it belongs to is not on screen
    metrics = QFontMetricsF(painter.font())
    widest = max(metrics.horizontalAdvance(line) for line in lines)
    step = metrics.height()
    x = min(max(at.x(), 4.0), max(4.0, bounds.width() - widest - 4.0))
    y = min(max(at.y(), step), bounds.height() - step * (len(lines) - 1) - 6.0)
    # A dark plate: thin figures on dense tissue cannot be read without.
    painter.fillRect(
        QRectF(x - 3, y - metrics.ascent() - 1, widest + 6, step * len(lines) + 2), QColor(0, 0, 0, 150)
    )
    for number, line in enumerate(lines):
        text(painter, QPointF(x, y + number * step), line, QColor(theme.MEASURE))


def _on_line(item: Measurement, points: list[QPointF], place: QPointF) -> bool:
    if item.kind is MeasurementKind.ELLIPSE:
        box = QRectF(points[0], points[1]).normalized()
        half_w, half_h = max(box.width() / 2, 1e-6), max(box.height() / 2, 1e-6)
        x, y = (place.x() - box.center().x()) / half_w, (place.y() - box.center().y()) / half_h
        return abs(math.hypot(x, y) - 1.0) * min(half_w, half_h) <= GRAB_PX / 2
    return any(_distance(place, a, b) <= GRAB_PX / 2 for a, b in pairwise(points))


def _distance(place: QPointF, start: QPointF, end: QPointF) -> float:
    along, off = end - start, place - start
    length2 = along.x() ** 2 + along.y() ** 2
    share = 0.0 if length2 == 0 else (off.x() * along.x() + off.y() * along.y()) / length2
    nearest = start + along * min(max(share, 0.0), 1.0)
    return math.hypot(place.x() - nearest.x(), place.y() - nearest.y())
