"""Draws the AI's findings over a picture: thin outlines and box corners by type, numbered tags, labels in the air.

Decides nothing about what may be shown; where labels stand is ``app.state.label_places``.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import QCoreApplication, QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen, QPolygonF

from app.state.label_places import Ground, PlacedLabel, Rect, place_labels
from app.state.overlays import OverlayItem
from app.views import theme
from app.views.lettering import advance, text
from app.views.painting import BEHIND_WORDS, GLOW_ALPHA, GLOW_PX, ScreenMap, draw_glyph

_ROOM_PX = 5.0  # between a finding and the box drawn around it, so that the line covers none of it
_CORNER_SHARE, _CORNER_PX = 0.28, 14.0  # of a side, and at most: what of a box's edges is drawn
_PAD_PX = 3.0
_DASHES = [4.0, 3.0]
_HALO = QColor(0, 0, 0, 130)
_LARGE_PX = 160_000  # logical pixels; a larger outline is few on screen and is drawn anew
_MOST_OUTLINES = 256
_Outline = tuple[QImage | None, QPointF, QPolygonF]
_OUTLINES: OrderedDict[tuple[object, ...], _Outline] = OrderedDict()


def _tr(words: str) -> str:
    return QCoreApplication.translate("painting", words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """What findings are drawn on: the way to the screen, the ground for labels, the font and its scale."""

    screen: ScreenMap
    ground: Ground
    font: QFont
    scale: float = 1.0


def paint_findings(painter: QPainter, items: Sequence[OverlayItem], canvas: Canvas) -> None:
    """Draw findings, the last of ``items`` on top; the selected ones get their labels' places first."""
    painter.setFont(canvas.font)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    rects = {item.item_id: _room(item, canvas.screen) for item in items}
    for item in items:
        _paint_shape(painter, item, rects[item.item_id], canvas)
    lit = [item for item in reversed(items) if item.selected]
    ranked = [*lit, *(item for item in reversed(items) if not item.selected)]
    metrics = QFontMetricsF(canvas.font)
    high = metrics.height()
    words = [_words(item) for item in ranked]
    widths = [advance(canvas.font, line) + high * 1.1 + 2 * _PAD_PX for line in words]
    boxes = [_rect_of(rects[item.item_id]) for item in ranked]
    places = place_labels(boxes, widths, high, canvas.ground)
    tags: list[QRectF] = []
    for item, line, place in zip(ranked, words, places, strict=True):
        _paint_label(painter, item, line, place, rects[item.item_id], canvas, tags)


def _words(item: OverlayItem) -> str:
    return " ".join(filter(None, (_tr("AI"), item.label)))


def _room(item: OverlayItem, screen: ScreenMap) -> QRectF:
    rect = (
        screen.rect(item.box)
        if item.box is not None
        else QRectF(screen.point(*(item.point or (0, 0))), QPointF())
    )
    return rect.adjusted(-_ROOM_PX, -_ROOM_PX, _ROOM_PX, _ROOM_PX)


def _rect_of(rect: QRectF) -> Rect:
    return Rect(left=rect.left(), top=rect.top(), right=rect.right(), bottom=rect.bottom())


def _pen(item: OverlayItem, scale: float, *, thin: bool = False) -> QPen:
    extra = theme.SELECTED_EXTRA_PX if item.selected and not thin else 0.0
    pen = QPen(theme.finding_colour(item.finding, ai=True), (theme.AI_LINE_PX + extra) * scale)
    if item.dashed:
        pen.setDashPattern(_DASHES)
    return pen


def _halo(pen: QPen) -> QPen:
    return QPen(_HALO, pen.widthF() + 1.8)


def _paint_shape(painter: QPainter, item: OverlayItem, rect: QRectF, canvas: Canvas) -> None:
    """The outline where the model draws one, with the corners of its box; the whole box where it does not."""
    pen = _pen(item, canvas.scale)
    corners = _corners(rect, canvas.scale)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)  # upright edges need none
    if item.selected:  # around the lesion, never on its margin, which is what the reader looks at
        glow = QColor(pen.color())
        glow.setAlpha(GLOW_ALPHA)
        painter.setPen(QPen(glow, GLOW_PX * canvas.scale))
        painter.drawLines(corners)
    for points, _ in item.outlines:
        _paint_outline(painter, points, _pen(item, canvas.scale, thin=True), canvas.screen)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    for line in (pen,) if item.selected else (_halo(pen), pen):  # a selected one has its glow
        painter.setPen(line)
        if item.outlines:
            painter.drawLines(corners)
        else:
            painter.drawRect(rect)


def _paint_outline(
    painter: QPainter, points: tuple[tuple[float, float], ...], pen: QPen, screen: ScreenMap
) -> None:
    """Lay down a closed line; drawn once a size, because smooth lines cost most of what a finding costs to paint."""
    device = painter.device()
    ratio = 1.0 if device is None else device.devicePixelRatioF()
    key = (points, screen.geometry, screen.scale, pen.color().rgba(), pen.widthF(), pen.style(), ratio)
    kept = _OUTLINES.get(key)
    if kept is None:
        # The picture's corner lies on whole device pixels, so a line drawn from there fits wherever it is panned to.
        home = replace(screen, top=0.0, left=0.0)
        kept = _OUTLINES[key] = _drawn(QPolygonF([home.point(*p) for p in points]), pen, ratio)
        if len(_OUTLINES) > _MOST_OUTLINES:
            _OUTLINES.popitem(last=False)
    picture, corner, shape = kept
    if picture is None:
        painter.setPen(pen)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.drawPolygon(shape.translated(screen.left, screen.top))
    else:
        painter.drawImage(corner + QPointF(screen.left, screen.top), picture)
    painter.setPen(pen)


def _drawn(shape: QPolygonF, pen: QPen, ratio: float) -> _Outline:
    """Picture of a line, where its corner lies, and the line itself; no picture of one that is large."""
    bounds = shape.boundingRect().adjusted(-3, -3, 3, 3)
    corner = QPointF(math.floor(bounds.left()), math.floor(bounds.top()))
    wide, high = math.ceil(bounds.width() + 1), math.ceil(bounds.height() + 1)
    if wide * high > _LARGE_PX:
        return None, corner, shape
    form = QImage.Format.Format_ARGB32_Premultiplied
    picture = QImage(math.ceil(wide * ratio), math.ceil(high * ratio), form)
    picture.setDevicePixelRatio(ratio)
    picture.fill(0)
    inner = QPainter(picture)
    inner.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    inner.translate(-corner)
    for line in (_halo(pen), pen):  # thin colours are lost on dense tissue without a dark rim
        inner.setPen(line)
        inner.drawPolygon(shape)
    inner.end()
    return picture, corner, shape


def _corners(rect: QRectF, scale: float) -> list[QLineF]:
    reach_x = min(rect.width() * _CORNER_SHARE, _CORNER_PX * scale)
    reach_y = min(rect.height() * _CORNER_SHARE, _CORNER_PX * scale)
    lines = []
    for corner, x, y in (
        (rect.topLeft(), 1, 1),
        (rect.topRight(), -1, 1),
        (rect.bottomLeft(), 1, -1),
        (rect.bottomRight(), -1, -1),
    ):
        lines.append(QLineF(corner, corner + QPointF(x * reach_x, 0)))
        lines.append(QLineF(corner, corner + QPointF(0, y * reach_y)))
    return lines


def _paint_label(
    painter: QPainter,
    item: OverlayItem,
    words: str,
    place: PlacedLabel | None,
    rect: QRectF,
    canvas: Canvas,
    tags: list[QRectF],
) -> None:
    colour = theme.finding_colour(item.finding, ai=True)
    if place is None or place.in_air:
        _paint_tag(painter, item, rect, canvas, tags)
    if place is None:
        return
    spot, high = place.rect, place.rect.bottom - place.rect.top
    if not place.in_air:
        painter.fillRect(QRectF(spot.left, spot.top, spot.right - spot.left, high), BEHIND_WORDS)
    if item.selected and place.in_air:
        _paint_leader(painter, spot, rect, colour, canvas)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    painter.setPen(_pen(item, canvas.scale))
    draw_glyph(
        painter, item.finding, QPointF(spot.left + _PAD_PX + high * 0.4, spot.top + high * 0.5), high * 0.3
    )
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    baseline = spot.top + high * 0.5 + QFontMetricsF(canvas.font).capHeight() * 0.5
    text(painter, QPointF(spot.left + _PAD_PX + high * 1.1, baseline), words, colour)


def _paint_tag(
    painter: QPainter, item: OverlayItem, rect: QRectF, canvas: Canvas, tags: list[QRectF]
) -> None:
    """The number at the box's outer upper corner, below those that stand there; the type's glyph without a number."""
    colour = theme.finding_colour(item.finding, ai=True)
    metrics = QFontMetricsF(canvas.font)
    if not item.tag:
        painter.setPen(_pen(item, canvas.scale))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        draw_glyph(painter, item.finding, rect.topLeft() - QPointF(5, 5) * canvas.scale, 4.0 * canvas.scale)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        return
    if canvas.ground.air_left:
        at = QPointF(rect.left() - advance(canvas.font, item.tag) - 2, rect.top() + metrics.capHeight() * 0.5)
    else:
        at = QPointF(rect.right() + 3, rect.top() + metrics.capHeight() * 0.5)
    high = metrics.capHeight() + 3
    spot = QRectF(at.x(), at.y() - metrics.capHeight(), advance(canvas.font, item.tag), high)
    for _ in range(len(tags)):
        under = next((one for one in tags if one.intersects(spot)), None)
        if under is None:
            break
        spot.moveTop(under.bottom() + 1)
    tags.append(spot)
    text(painter, QPointF(spot.left(), spot.top() + metrics.capHeight()), item.tag, colour)


def _paint_leader(painter: QPainter, spot: Rect, rect: QRectF, colour: QColor, canvas: Canvas) -> None:
    """A faint line from the label to the selected finding's box."""
    faint = QColor(colour)
    faint.setAlpha(150)
    painter.setPen(QPen(faint, canvas.scale))
    middle = (spot.top + spot.bottom) / 2
    start = QPointF(spot.right + 2 if canvas.ground.air_left else spot.left - 2, middle)
    end = QPointF(
        rect.left() if canvas.ground.air_left else rect.right(), min(max(middle, rect.top()), rect.bottom())
    )
    if (end.x() - start.x()) * (1 if canvas.ground.air_left else -1) > 4:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.drawLine(start, end)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
