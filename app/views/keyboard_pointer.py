"""A pointer moved by keys, so that a lesion can be marked without a mouse (MG-42).

Draws a cross over one viewport and knows the stored pixel under it; what a place is used for is decided elsewhere.
"""

from __future__ import annotations

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from app.views import theme
from app.views.viewport import Viewport

_SIZE_PX = 41
_GAP_PX = 6


class KeyboardPointer(QWidget):
    """The cross; hidden until a key moves it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setFixedSize(_SIZE_PX, _SIZE_PX)
        self._view: Viewport | None = None
        self._place = QPointF()
        self.hide()

    @property
    def view(self) -> Viewport | None:
        """The viewport under the cross; None while it is hidden."""
        return self._view if not self.isHidden() else None

    def move_by(self, view: Viewport, *, right_px: float, down_px: float) -> None:
        """Move the cross over ``view``; in a viewport it was not in, it starts in the middle."""
        if view is not self._view or self.isHidden():
            self._view = view
            self._place = self._middle_of(view)
            self.setParent(view)
            self.show()
            self.raise_()
        else:
            x = min(max(self._place.x() + right_px, 0.0), view.width() - 1.0)
            y = min(max(self._place.y() + down_px, 0.0), view.height() - 1.0)
            self._place = QPointF(x, y)
        self.move(round(self._place.x()) - _SIZE_PX // 2, round(self._place.y()) - _SIZE_PX // 2)

    @staticmethod
    def _middle_of(view: Viewport) -> QPointF:
        """Middle of the image where it is in sight, for that lies nearer to tissue than the viewport's."""
        image = view.image
        if image is None:
            return QPointF(view.width() / 2, view.height() / 2)
        rows, cols = image.pixels.shape
        place = view.widget_point(rows / 2, cols / 2)
        return QPointF(
            min(max(place.x(), 0.0), view.width() - 1.0), min(max(place.y(), 0.0), view.height() - 1.0)
        )

    def stored(self) -> tuple[float, float] | None:
        """Stored (row, col) under the cross; None while it is hidden."""
        return None if self.view is None or self._view is None else self._view.stored_at(self._place)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        middle, gap = _SIZE_PX // 2, _GAP_PX
        for colour, width in ((QColor(theme.IMAGE_BLACK), 3.0), (QColor(theme.ACCENT), 1.0)):
            painter.setPen(QPen(colour, width))
            painter.drawLine(0, middle, middle - gap, middle)
            painter.drawLine(middle + gap, middle, _SIZE_PX, middle)
            painter.drawLine(middle, 0, middle, middle - gap)
            painter.drawLine(middle, middle + gap, middle, _SIZE_PX)
        painter.end()
