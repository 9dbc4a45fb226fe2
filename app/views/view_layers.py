"""Layers over an image besides marks and measurements: the linked cursor, nipple-distance arcs, the mm grid, a badge.

They paint what they were told; ``app.views.image_tools`` tells them.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen, QPolygonF

from app.state.linked_cursor import LinkedPoint
from app.state.measurements import Point
from app.views import theme
from app.views.lettering import text
from app.views.painting import ScreenMap
from app.views.viewport import Viewport
from inference.exam.types import ViewImage

GRID_MM = 10.0
_REACH_PX, _GAP_PX = 16.0, 5.0


def _tr(words: str) -> str:
    return QCoreApplication.translate("tools", words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arc:
    """An arc on one image, stored (row, col) polylines, and what it means."""

    lines: tuple[tuple[Point, ...], ...]
    words: str
    colour: str = theme.ACCENT


class CursorLayer:
    """The pointer's place on other images, and the arc where it may lie in other views."""

    def __init__(self) -> None:
        self.points: dict[str, tuple[LinkedPoint, str]] = {}  # by image key; the words beside it
        self.arcs: dict[str, Arc] = {}

    def token(self, _image: ViewImage) -> None:
        """It follows the pointer."""

    def paint(self, painter: QPainter, view: Viewport, screen: ScreenMap, image: ViewImage) -> None:
        found, arc = self.points.get(image.key), self.arcs.get(image.key)
        if found is None and arc is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setFont(theme.font(theme.SMALL_PX, scale=view.text_scale))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if arc is not None:
            paint_arc(painter, arc, screen, view)
        if found is not None:
            point, words = found
            at = screen.point(point.row, point.col)
            for pen in (QPen(QColor(0, 0, 0, 200), 3.0), QPen(QColor(theme.ACCENT), 1.2)):
                painter.setPen(pen)
                for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                    way = QPointF(x, y)
                    painter.drawLine(at + way * _GAP_PX, at + way * _REACH_PX)
            wide = QFontMetricsF(painter.font()).horizontalAdvance(words)
            left = at.x() + _REACH_PX + 4
            if left + wide > view.width() - 4:
                left = at.x() - _REACH_PX - 4 - wide
            _plated(painter, QPointF(left, at.y() + 4), words)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)


def _plated(painter: QPainter, at: QPointF, words: str, colour: str = theme.ACCENT) -> None:
    """Write on a dark plate: thin figures on dense tissue cannot be read without."""
    metrics = QFontMetricsF(painter.font())
    wide = metrics.horizontalAdvance(words)
    painter.fillRect(
        QRectF(at.x() - 3, at.y() - metrics.ascent() - 1, wide + 6, metrics.height() + 2),
        QColor(0, 0, 0, 150),
    )
    text(painter, at, words, QColor(colour))


def paint_arc(painter: QPainter, arc: Arc, screen: ScreenMap, view: Viewport) -> None:
    """Draw an arc, with its words at its lowest point in the viewport."""
    painter.setPen(QPen(QColor(arc.colour), 1.2, Qt.PenStyle.DashLine))
    lowest: QPointF | None = None
    bounds = QRectF(0, 0, view.width(), view.height())
    for line in arc.lines:
        points = [screen.point(*point) for point in line]
        painter.drawPolyline(QPolygonF(points))
        for point in points:
            if bounds.contains(point) and (lowest is None or point.y() > lowest.y()):
                lowest = point
    if lowest is not None:
        wide = QFontMetricsF(painter.font()).horizontalAdvance(arc.words)
        x = min(max(4.0, lowest.x() + 6), view.width() - wide - 4)
        _plated(painter, QPointF(x, min(lowest.y() + 14, view.height() - 6.0)), arc.words, arc.colour)


class GridLayer:
    """Thin lines every 10 mm in the breast plane, from the picture's corner; nothing where spacing is unknown."""

    def __init__(self) -> None:
        self.on = False

    def token(self, _image: ViewImage) -> bool:
        """Lines or none."""
        return self.on

    def paint(self, painter: QPainter, view: Viewport, screen: ScreenMap, image: ViewImage) -> None:  # noqa: ARG002
        spacing = screen.geometry.hung_spacing
        if not self.on or spacing is None:
            return
        rows, cols = screen.geometry.hung_size
        painter.setPen(QPen(QColor(138, 145, 153, 90), 1.0))
        bottom, right = screen.top + rows * screen.scale, screen.left + cols * screen.scale
        down, across = GRID_MM / spacing[0] * screen.scale, GRID_MM / spacing[1] * screen.scale
        y, x = screen.top, screen.left
        while y <= bottom:
            painter.drawLine(QPointF(screen.left, y), QPointF(right, y))
            y += down
        while x <= right:
            painter.drawLine(QPointF(x, screen.top), QPointF(x, bottom))
            x += across


class BadgeLayer:
    """Says over each picture that it is not the original; painted where the enhanced pixels really show."""

    def __init__(self) -> None:
        self.keys: set[str] = set()  # images shown enhanced

    def token(self, image: ViewImage) -> bool:
        """Words or none."""
        return image.key in self.keys

    def paint(self, painter: QPainter, view: Viewport, screen: ScreenMap, image: ViewImage) -> None:  # noqa: ARG002
        if image.key not in self.keys:
            return
        painter.setFont(theme.font(theme.SMALL_PX, scale=view.text_scale, bold=True))
        words = _tr("ENHANCED (CLAHE) – not the original")
        metrics = QFontMetricsF(painter.font())
        left = (view.width() - metrics.horizontalAdvance(words)) / 2
        at = QPointF(left, view.height() - 2.6 * metrics.height())
        _plated(painter, at, words)
