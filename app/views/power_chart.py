"""A dark line chart of power against cases, one line a number of readers. Draws what it is given, computes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from app.views import theme

# Okabe & Ito on black; the middle line is the planned number of readers
LINES = ("#56B4E9", "#009E73", theme.ACCENT, "#CC79A7", "#D55E00")
DASHES = (Qt.PenStyle.DotLine, Qt.PenStyle.DashLine, Qt.PenStyle.SolidLine, Qt.PenStyle.DashDotLine, Qt.PenStyle.DashDotDotLine)  # fmt: skip


def _tr(text: str) -> str:
    return QCoreApplication.translate("planner", text)


class PowerChart(QWidget):
    """Curves with their number of readers at the right end, the wanted power as a line, the plan as a ring."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumSize(420, 300)
        self._cases: tuple[int, ...] = ()
        self._curves: tuple[tuple[int, tuple[float, ...]], ...] = ()
        self._wanted, self._chosen = 0.8, (0, 0.0)

    def set_plan(
        self, cases: Sequence[int], curves: Sequence[tuple[int, Sequence[float]]], *, wanted: float, chosen: tuple[int, float]
    ) -> None:  # fmt: skip
        """Show these curves; none = an empty chart."""
        self._cases = tuple(cases)
        self._curves = tuple((readers, tuple(values)) for readers, values in curves)
        self._wanted, self._chosen = wanted, chosen
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(theme.CHROME_FIELD))
        high = self.fontMetrics().height()
        label = self.fontMetrics().horizontalAdvance(_tr("{0} readers").format(100))
        area = QRectF(self.rect()).adjusted(
            self.fontMetrics().horizontalAdvance("100 %") + 16, high, -label - 16, -2.6 * high
        )
        painter.setPen(QColor(theme.TEXT_SECONDARY))
        if len(self._cases) < 2:
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, _tr("No plan yet."))
            painter.end()
            return
        self._axes(painter, area, high)
        for k, (_readers, values) in enumerate(self._curves):
            colour = QColor(LINES[k % len(LINES)])
            painter.setPen(QPen(colour, 2.4 if k == len(self._curves) // 2 else 1.4, DASHES[k % len(DASHES)]))
            points = [self._at(area, c, p) for c, p in zip(self._cases, values, strict=True)]
            painter.drawPolyline(points)
        self._names(painter, area, high)
        painter.setPen(QPen(QColor(theme.TEXT), 1.6))
        painter.drawEllipse(self._at(area, *self._chosen), 6, 6)
        painter.end()

    def _names(self, painter: QPainter, area: QRectF, high: int) -> None:
        """Number of readers at the end of each line, pushed apart so that none covers another."""
        ends = sorted(((self._at(area, self._cases[-1], v[-1]).y(), k) for k, (_, v) in enumerate(self._curves)), reverse=True)  # fmt: skip
        lowest = area.bottom() + high
        places = [lowest := min(y + high / 3, lowest - high) for y, _ in ends]
        highest = area.top() - high / 3  # pushed over the top: the whole stack comes down again
        for at in reversed(range(len(places))):
            places[at] = highest = max(places[at], highest)
            highest += high
        for place, (_, k) in zip(places, ends, strict=True):
            painter.setPen(QColor(LINES[k % len(LINES)]))
            painter.drawText(QPointF(area.right() + 8, place), _tr("{0} readers").format(self._curves[k][0]))

    def _axes(self, painter: QPainter, area: QRectF, high: int) -> None:
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for power in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
            y = self._at(area, self._cases[0], power).y()
            painter.setPen(QPen(QColor(theme.HAIRLINE), 1))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(QColor(theme.TEXT_SECONDARY))
            painter.drawText(QRectF(0, y - high / 2, area.left() - 8, high), right, f"{100 * power:.0f} %")
        y = self._at(area, self._cases[0], self._wanted).y()
        painter.setPen(QPen(QColor(theme.ACCENT_DIM), 1.4, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
        painter.setPen(QColor(theme.TEXT_SECONDARY))
        width = self.fontMetrics().horizontalAdvance("00000")
        for cases in _ticks(self._cases[0], self._cases[-1]):
            x = self._at(area, cases, 0).x()
            painter.drawText(QRectF(x - width, area.bottom() + 4, 2 * width, high), Qt.AlignmentFlag.AlignCenter, str(cases))  # fmt: skip
        below = QRectF(area.left(), area.bottom() + 4 + high, area.width(), high)
        painter.drawText(below, Qt.AlignmentFlag.AlignCenter, _tr("cases"))

    def _at(self, area: QRectF, cases: float, power: float) -> QPointF:
        low, high = self._cases[0], self._cases[-1]
        x = area.left() + (cases - low) / (high - low) * area.width()
        return QPointF(x, area.bottom() - power * area.height())


def _ticks(low: int, high: int) -> list[int]:
    """Six or so round numbers between two."""
    rough = (high - low) / 6
    size = 10 ** max(0, len(str(int(rough))) - 1)
    step = next(m * size for m in (1, 2, 5, 10) if m * size >= rough)
    return [x for x in range(0, high + 1, step) if x >= low]
