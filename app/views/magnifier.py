"""The glass under the pointer: a small crop at 1:1 or 2:1 (or twice the view where that is more), perhaps inverted.

Shows the bare picture: no heat map and no box lies between the reader and the tissue.
"""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen

from app.state.coverage import visible_box
from app.state.display import ViewportState, plan_crop, scale_text, to_grey, warp
from app.views import theme
from app.views.image_item import ImageItem
from app.views.lettering import text
from app.views.painting import ScreenMap
from inference.exam.types import Box

FACTORS = (1.0, 2.0)  # screen pixels per image pixel


class Magnifier:
    """Remembers where the pointer is and draws the glass there."""

    def __init__(self) -> None:
        self.on = False
        self.factor = FACTORS[0]
        self.inverted = False  # the other way round than the view
        self._place: QPointF | None = None

    def move(self, place: QPointF) -> bool:
        """Note the pointer; True when the glass must be drawn again."""
        self._place = QPointF(place)
        return self.on

    def leave(self) -> bool:
        """The pointer has left; True when the glass must go."""
        seen = self.on and self._place is not None
        self._place = None
        return seen

    def _scale(self, state: ViewportState) -> float:
        return self.factor if state.scale < self.factor else 2.0 * state.scale

    def visible(self, state: ViewportState, screen: ScreenMap, ratio: float) -> Box | None:
        """Return the stored pixels inside the glass; None while it is not shown."""
        if not self.on or self._place is None:
            return None
        scale, side = self._scale(state), theme.MAGNIFIER_PX * ratio
        row, col = screen.geometry.stored_to_hung(*screen.stored(self._place.x(), self._place.y()))
        top, left = side / 2 - row * scale, side / 2 - col * scale
        return visible_box(screen.geometry, top=top, left=left, scale=scale, height=side, width=side)

    def paint(
        self, painter: QPainter, item: ImageItem, state: ViewportState, screen: ScreenMap, ratio: float
    ) -> None:
        """Draw the glass, if it is on and the pointer is inside."""
        if not self.on or self._place is None or item.pyramid is None:
            return
        side = round(theme.MAGNIFIER_PX * ratio)
        scale = self._scale(state)
        row, col = screen.geometry.stored_to_hung(*screen.stored(self._place.x(), self._place.y()))
        half = theme.MAGNIFIER_PX / 2
        corner = self._place - QPointF(half, half)
        # On whole device pixels, so that 1:1 is exact.
        corner = QPointF(round(corner.x() * ratio) / ratio, round(corner.y() * ratio) / ratio)
        target = QRectF(corner.x(), corner.y(), theme.MAGNIFIER_PX, theme.MAGNIFIER_PX)
        painter.fillRect(target, Qt.GlobalColor.black)
        crop = plan_crop(
            screen.geometry,
            item.pyramid,
            scale=scale,
            top=round(side / 2 - row * scale),
            left=round(side / 2 - col * scale),
            height=side,
            width=side,
        )
        if crop is not None:
            values = warp(item.pyramid, crop, air=item.air if state.inverted != self.inverted else None)
            grey = to_grey(values, item.inverted_table() if self.inverted else item.table())
            form, stride = item.picture_format, crop.cols * 4
            picture = QImage(grey.data.cast("B"), crop.cols, crop.rows, stride, form)
            picture.setDevicePixelRatio(ratio)
            painter.drawImage(target.topLeft() + QPointF(crop.col0 / ratio, crop.row0 / ratio), picture)
        painter.setPen(QPen(QColor(theme.TEXT_SECONDARY), 1.0))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(target)
        painter.setFont(theme.font(theme.SMALL_PX))
        words = scale_text(scale) + (
            "  " + QCoreApplication.translate("edges", "INVERTED") if self.inverted else ""
        )
        metrics = painter.fontMetrics()
        plate = QRectF(target.left() + 1, target.bottom() - 20, metrics.horizontalAdvance(words) + 10, 19)
        painter.fillRect(plate, QColor(0, 0, 0, 170))
        text(painter, target.bottomLeft() + QPointF(6, -6), words, QColor(theme.TEXT_SECONDARY))
