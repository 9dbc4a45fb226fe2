"""A small chart of how far a grey scale is from the GSDF: one bar a luminance step, with the 10 % limits."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from app.state.calibration import GSDF_ERROR
from app.state.gsdf import GsdfReport
from app.views import theme

_FULL = 0.3  # deviation at the upper and lower end of the chart


def _tr(text: str) -> str:
    return QCoreApplication.translate("monitor", text)


class GsdfChart(QWidget):
    """Bars of the contrast per JND relative to the standard's."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._report: GsdfReport | None = None
        self._source = ""
        self.setMinimumHeight(150)

    def set_report(self, report: GsdfReport | None, source: str = "") -> None:
        """Draw this report; None leaves a sentence."""
        self._report, self._source = report, source
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        high = self.fontMetrics().height()
        room = self.fontMetrics().horizontalAdvance("+30 %")
        area = QRectF(self.rect()).adjusted(room + 12, high + 8, -8, -high / 2 - 2)
        painter.fillRect(self.rect(), QColor(theme.CHROME_FIELD))
        painter.setFont(self.font())
        painter.setPen(QColor(theme.TEXT_SECONDARY))
        if self._report is None:
            words = _tr("No luminances yet: measure the 18 patches, or import a CSV.")
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, words)
            painter.end()
            return
        title = _tr("Contrast per JND against the GSDF, {0}").format(self._source)
        painter.drawText(QPointF(area.left(), float(high)), title)
        for value in (-_FULL, -GSDF_ERROR, 0.0, GSDF_ERROR, _FULL):
            y = self._y(area, value)
            inner = abs(value) == GSDF_ERROR
            painter.setPen(QPen(QColor(theme.ACCENT_DIM if inner else theme.HAIRLINE), 1))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(QColor(theme.TEXT_SECONDARY))
            box = QRectF(0, y - high / 2, room + 8, high)
            painter.drawText(
                box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{100 * value:+.0f} %"
            )
        step = area.width() / len(self._report.deviations)
        for index, value in enumerate(self._report.deviations):
            shown = min(max(value, -_FULL), _FULL)
            colour = theme.ERROR if abs(value) > GSDF_ERROR else theme.OK
            top, bottom = sorted((self._y(area, shown), self._y(area, 0.0)))
            bar = QRectF(area.left() + (index + 0.2) * step, top, 0.6 * step, max(bottom - top, 1.0))
            painter.fillRect(bar, QColor(colour))
        painter.end()

    @staticmethod
    def _y(area: QRectF, value: float) -> float:
        return area.center().y() - value / _FULL * area.height() / 2
