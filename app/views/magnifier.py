"""The glass under the pointer: a small crop at twice the view's scale, or 1:1 where that is more."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen

from app.state.display import ViewportState, plan_crop, to_grey, warp
from app.views import theme
from app.views.image_item import ImageItem
from app.views.painting import ScreenMap


class Magnifier:
    """Remembers where the pointer is and draws the glass there."""

    def __init__(self) -> None:
        self.on = False
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

    def paint(
        self, painter: QPainter, item: ImageItem, state: ViewportState, screen: ScreenMap, ratio: float
    ) -> None:
        """Draw the glass, if it is on and the pointer is inside."""
        if not self.on or self._place is None or item.pyramid is None:
            return
        side = round(theme.MAGNIFIER_PX * ratio)
        scale = max(2.0 * state.scale, 1.0)
        row, col = screen.geometry.stored_to_hung(*screen.stored(self._place.x(), self._place.y()))
        target = QRectF(
            self._place.x() - theme.MAGNIFIER_PX / 2,
            self._place.y() - theme.MAGNIFIER_PX / 2,
            theme.MAGNIFIER_PX,
            theme.MAGNIFIER_PX,
        )
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
            values = warp(item.pyramid, crop, air=item.air if state.inverted else None)
            grey = to_grey(values, item.table())
            form = QImage.Format.Format_RGB32
            picture = QImage(grey.data.cast("B"), crop.cols, crop.rows, crop.cols * 4, form)
            picture.setDevicePixelRatio(ratio)
            painter.drawImage(target.topLeft() + QPointF(crop.col0 / ratio, crop.row0 / ratio), picture)
        painter.setPen(QPen(QColor(theme.TEXT_SECONDARY), 1.0))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(target)
