"""Draws overlay items, legends and frames with a QPainter; decides nothing.

All positions are logical screen pixels; a ``ScreenMap`` carries stored-file coordinates there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QCoreApplication, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPainterPath, QPen, QPolygonF

from app.state.geometry import ViewGeometry
from app.state.overlays import HeatLayer, OverlayItem, OverlayKind, colour_map
from app.views import theme
from app.views.lettering import text
from inference.exam.types import Box
from resources.vocabulary import FindingType

_PAD = 10.0
GLOW_PX, GLOW_ALPHA = 9.0, 110
TRUTH_RING_PX = 26.0
BEHIND_WORDS = QColor(0, 0, 0, 150)  # words over bright tissue stay legible
_HALO = QColor(0, 0, 0, 200)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenMap:
    """Carries stored-file coordinates to logical screen pixels."""

    geometry: ViewGeometry
    scale: float
    top: float
    left: float

    def point(self, row: float, col: float) -> QPointF:
        """Screen position of a stored (row, col)."""
        hung_row, hung_col = self.geometry.stored_to_hung(row, col)
        return QPointF(self.left + hung_col * self.scale, self.top + hung_row * self.scale)

    def rect(self, box: Box) -> QRectF:
        """Screen rectangle of a stored box."""
        hung = self.geometry.box_to_hung(box)
        return QRectF(
            self.left + hung.col0 * self.scale,
            self.top + hung.row0 * self.scale,
            (hung.col1 - hung.col0) * self.scale,
            (hung.row1 - hung.row0) * self.scale,
        )

    def stored(self, x: float, y: float) -> tuple[float, float]:
        """Stored (row, col) under a screen position."""
        return self.geometry.hung_to_stored((y - self.top) / self.scale, (x - self.left) / self.scale)


def glyph(finding: FindingType | None, center: QPointF, radius: float) -> QPolygonF | None:
    """Outline of a finding type's glyph; None = a circle."""
    look = theme.FINDING_LOOKS.get(finding) if finding is not None else None
    shape = look.glyph if look is not None else "circle"
    corners = {"triangle": (3, -90.0), "square": (4, -45.0), "diamond": (4, -90.0), "star": (10, -90.0)}
    if shape not in corners:
        return None
    count, start = corners[shape]
    points = []
    for k in range(count):
        reach = radius * (0.45 if shape == "star" and k % 2 else 1.0)
        angle = math.radians(start + 360.0 * k / count)
        points.append(QPointF(center.x() + reach * math.cos(angle), center.y() + reach * math.sin(angle)))
    return QPolygonF(points)


def draw_glyph(painter: QPainter, finding: FindingType | None, center: QPointF, radius: float) -> None:
    """Draw a finding type's glyph with the painter's pen."""
    outline = glyph(finding, center, radius)
    if outline is None:
        painter.drawEllipse(center, radius, radius)
    else:
        painter.drawPolygon(outline)


def paint_items(
    painter: QPainter,
    items: Iterable[OverlayItem],
    screen: ScreenMap,
    font: QFont,
    *,
    width: float,
    scale: float = 1.0,
) -> None:
    """Draw marks, saved drawings and CAD; the AI's findings are drawn by ``app.views.ai_painting``."""
    painter.setFont(font)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for item in items:
        colour = theme.finding_colour(item.finding, ai=item.ai)
        line = theme.MARK_LINE_PX if item.kind is OverlayKind.MARK else theme.AI_LINE_PX
        pen = QPen(colour, (line + (theme.SELECTED_EXTRA_PX if item.selected else 0.0)) * scale)
        pen.setStyle(Qt.PenStyle.DashLine if item.dashed else Qt.PenStyle.SolidLine)
        if item.kind is OverlayKind.SHUTTER:
            _paint_shutter(painter, item, screen)
        elif item.kind is OverlayKind.SAVED:
            _paint_saved(painter, item, screen, width, scale)
        elif item.kind is OverlayKind.TRUTH:
            _paint_truth(painter, item, screen, width, scale)
        elif item.kind is OverlayKind.CAD:
            if item.selected:
                painter.setPen(_glow(pen, scale))
                _paint_outlines(painter, item, screen)
            _paint_cad(painter, item, screen, pen, width)
        else:
            _paint_mark(painter, item, screen, pen, theme.MARK_RADIUS_PX * scale)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)


def _glow(pen: QPen, scale: float) -> QPen:
    """A broad soft line under a chosen finding and its partners in other views."""
    colour = QColor(pen.color())
    colour.setAlpha(GLOW_ALPHA)
    return QPen(colour, GLOW_PX * scale)


def ellipse(ends: Sequence[QPointF]) -> QPolygonF:
    """Outline of an ellipse, rotated as it may be, from the ends of its major, then its minor axis."""
    middle = (ends[0] + ends[1]) / 2
    major, minor = (ends[1] - ends[0]) / 2, (ends[3] - ends[2]) / 2
    angles = (2 * math.pi * k / 64 for k in range(64))
    return QPolygonF([middle + major * math.cos(a) + minor * math.sin(a) for a in angles])


def _paint_outlines(painter: QPainter, item: OverlayItem, screen: ScreenMap) -> None:
    for points, is_ellipse in item.outlines:
        drawn = [screen.point(row, col) for row, col in points]
        if is_ellipse:
            painter.drawPolygon(ellipse(drawn))
        else:
            painter.drawPolyline(QPolygonF(drawn))


def _paint_shutter(painter: QPainter, item: OverlayItem, screen: ScreenMap) -> None:
    shape = QPainterPath()
    shape.addRect(QRectF(painter.window()))
    for points, _ in item.outlines:
        shape.addPolygon(QPolygonF([screen.point(row, col) for row, col in points]))
        shape.closeSubpath()
    painter.fillPath(shape, Qt.GlobalColor.black)


def _paint_saved(
    painter: QPainter, item: OverlayItem, screen: ScreenMap, right_edge: float, scale: float
) -> None:
    """A drawing of a presentation state, in the quiet colour of words: neither the AI's nor the reader's."""
    colour = QColor(theme.TEXT)
    painter.setPen(QPen(colour, theme.AI_LINE_PX * scale))
    _paint_outlines(painter, item, screen)
    place = screen.point(*item.point) if item.point is not None else QPointF()
    if not item.outlines and not item.dashed:
        painter.drawLine(place - QPointF(5, 0), place + QPointF(5, 0))
        painter.drawLine(place - QPointF(0, 5), place + QPointF(0, 5))
    step = QFontMetricsF(painter.font()).height()
    for number, line in enumerate(item.label.splitlines()):
        _boxed_text(painter, place + QPointF(6, number * step - 4), line, colour, right_edge)


def _paint_truth(
    painter: QPainter, item: OverlayItem, screen: ScreenMap, right_edge: float, scale: float
) -> None:
    """A true lesion: closed outline in the colour of words on a dark halo, a ring where only its centre is known."""
    center = screen.point(*item.point) if item.point is not None else QPointF()
    ring = TRUTH_RING_PX * scale
    shapes = [QPolygonF([screen.point(*p) for p in points]) for points, _ in item.outlines]
    for pen in (QPen(_HALO, 4.0 * scale), QPen(QColor(theme.TEXT), 1.8 * scale)):
        painter.setPen(pen)
        for shape in shapes:
            painter.drawPolygon(shape)
        if not shapes:
            painter.drawEllipse(center, ring, ring)
    bottom = max((shape.boundingRect().bottom() for shape in shapes), default=center.y() + ring)
    metrics = QFontMetricsF(painter.font())
    left = center.x() - metrics.horizontalAdvance(item.label) / 2
    _boxed_text(
        painter, QPointF(left, bottom + metrics.height() + 2), item.label, QColor(theme.TEXT), right_edge
    )


def _boxed_text(painter: QPainter, place: QPointF, words: str, colour: QColor, right_edge: float) -> None:
    """A line on a dark ground, pushed inward at the viewport's edges, so that it is legible over bright tissue."""
    metrics = QFontMetricsF(painter.font())
    wide, high = metrics.horizontalAdvance(words), metrics.height()
    left, baseline = max(3.0, min(place.x(), right_edge - wide - 3)), max(high, place.y())
    painter.fillRect(QRectF(left - 3, baseline - high * 0.8, wide + 6, high), BEHIND_WORDS)
    text(painter, QPointF(left, baseline), words, colour)


def _paint_cad(painter: QPainter, item: OverlayItem, screen: ScreenMap, pen: QPen, right_edge: float) -> None:
    """Another vendor's mark: its glyph at the centre, its outlines, and a CAD tag (MG-28, MG-32)."""
    painter.setPen(pen)
    _paint_outlines(painter, item, screen)
    size = QFontMetricsF(painter.font()).height()
    place = item.point or (item.box.center if item.box is not None else (0.0, 0.0))
    center = screen.point(*place)
    draw_glyph(painter, item.finding, center, size * 0.45)
    top = min(
        (screen.point(*p).y() for points, _ in item.outlines for p in points), default=center.y() - size
    )
    words = f"CAD {item.label}".strip()
    wide = QFontMetricsF(painter.font()).horizontalAdvance(words)
    _boxed_text(painter, QPointF(center.x() - wide / 2, top - 5), words, pen.color(), right_edge)


def _paint_mark(painter: QPainter, item: OverlayItem, screen: ScreenMap, pen: QPen, radius: float) -> None:
    painter.setPen(pen)
    if item.box is not None:
        painter.drawRect(screen.rect(item.box))
    place = item.point or (item.box.center if item.box is not None else (0.0, 0.0))
    center = screen.point(*place)
    draw_glyph(painter, item.finding, center, radius)
    painter.drawLine(center - QPointF(2, 0), center + QPointF(2, 0))
    painter.drawLine(center - QPointF(0, 2), center + QPointF(0, 2))
    if item.label:
        text(painter, center + QPointF(radius + 6, radius * 0.4), item.label, pen.color())


def paint_legend(
    painter: QPainter, size: QRectF, layer: HeatLayer, *, air_left: bool, scale: float = 1.0
) -> None:
    """Draw the heat map's colours with numbers, bottom of the air side."""
    colours = colour_map(layer.colour_map)
    packed = np.ascontiguousarray(
        np.array(0xFF000000, np.uint32) | colours.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    )
    strip = QImage(packed.data.cast("B"), 256, 1, 1024, QImage.Format.Format_RGB32)
    painter.setFont(theme.font(theme.SMALL_PX, scale=scale))
    step = QFontMetricsF(painter.font()).height()
    width, height = 128.0 * scale, 8.0 * scale
    left = _PAD if air_left else size.width() - _PAD - width
    top = size.height() - _PAD - 3.6 * step
    quiet = QColor(theme.TEXT_SECONDARY)
    painter.drawImage(QRectF(left, top, width, height), strip, QRectF(0, 0, 256, 1))
    words = QCoreApplication.translate("painting", "{0}, at most {1:.0f} %").format(
        layer.label, 100 * layer.opacity
    )
    text(painter, QPointF(left if air_left else left + width, top - 4), words, quiet, right=not air_left)
    text(painter, QPointF(left, top + height + step * 0.9), "0", quiet)
    text(painter, QPointF(left + width / 2, top + height + step * 0.9), "0.5", quiet)
    text(painter, QPointF(left + width, top + height + step * 0.9), "1", quiet, right=True)


def paint_empty(painter: QPainter, size: QRectF, words: str, *, scale: float = 1.0) -> None:
    """Say what is missing in the middle of an empty viewport."""
    painter.setFont(theme.font(scale=scale))
    painter.setPen(QColor(theme.TEXT_SECONDARY))
    painter.drawText(size, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, words)


def paint_frame(painter: QPainter, size: QRectF, *, air_left: bool) -> None:
    """Draw the thin frame of the viewport that has the focus; none along the chest wall, where pictures
    meet."""
    painter.setPen(QPen(QColor(theme.FOCUS_FRAME), 1.0))
    right, bottom = size.width() - 1, size.height() - 1
    air = 0.0 if air_left else right
    painter.drawLine(QPointF(0, 0), QPointF(right, 0))
    painter.drawLine(QPointF(0, bottom), QPointF(right, bottom))
    painter.drawLine(QPointF(air, 0), QPointF(air, bottom))
