"""Words over a picture: drawn once each with their dark halo, then laid down as small pictures.

So words look the same wherever and however often they are painted, stand on whole pixels, and cost little.
"""

from __future__ import annotations

from collections import OrderedDict

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter

_HALO = QColor(0, 0, 0, 200)
_RIM = 3.0  # logical pixels around the words: halo, and what leans over
_MOST = 1024
_WIDTHS: OrderedDict[tuple[str, str], float] = OrderedDict()
_TILES: OrderedDict[tuple[str, str, int, float], tuple[QImage, QPointF, float]] = OrderedDict()


def text(painter: QPainter, place: QPointF, words: str, colour: QColor, *, right: bool = False) -> None:
    """Write one line on the baseline ``place`` with a dark halo; ``right`` = it ends there.

    ``painter`` is in logical pixels, neither turned nor scaled.
    """
    device = painter.device()
    ratio = 1.0 if device is None else device.devicePixelRatioF()
    font = painter.font()
    key = (font.key(), words, colour.rgba(), ratio)
    tile = _TILES.get(key)
    if tile is None:
        tile = _TILES[key] = _drawn(painter, words, colour, ratio)
        if len(_TILES) > _MOST:
            _TILES.popitem(last=False)
    picture, corner, wide = tile
    x = place.x() - wide if right else place.x()
    at = QPointF(round(x * ratio) / ratio, round(place.y() * ratio) / ratio)
    painter.drawImage(at - corner, picture)


def advance(font: QFont, words: str) -> float:
    """Width of words, logical pixels; looked up once, because Qt takes longer to measure than to draw."""
    key = (font.key(), words)
    if key not in _WIDTHS:
        _WIDTHS[key] = QFontMetricsF(font).horizontalAdvance(words)
        if len(_WIDTHS) > _MOST:
            _WIDTHS.popitem(last=False)
    return _WIDTHS[key]


def _drawn(painter: QPainter, words: str, colour: QColor, ratio: float) -> tuple[QImage, QPointF, float]:
    """Picture of the words, where in it the baseline begins, and how wide they are."""
    metrics = QFontMetricsF(painter.font())
    wide = metrics.horizontalAdvance(words)
    bounds = metrics.boundingRect(words).united(QRectF(0, 0, wide, 1))
    left = round((_RIM - min(0.0, bounds.left())) * ratio) / ratio
    up = round((_RIM - bounds.top()) * ratio) / ratio
    width = max(1, round((left + bounds.right() + _RIM) * ratio))
    height = max(1, round((up + bounds.bottom() + _RIM) * ratio))
    picture = QImage(width, height, QImage.Format.Format_ARGB32_Premultiplied)
    picture.setDevicePixelRatio(ratio)
    picture.fill(0)
    inner = QPainter(picture)
    inner.setFont(painter.font())
    for pen, by in ((_HALO, 1.0), (colour, 0.0)):
        inner.setPen(pen)
        inner.drawText(QPointF(left + by, up + by), words)
    inner.end()
    return picture, QPointF(left, up), wide
