"""The list of the AI's findings: two or three lines each, in the type's colour and glyph, to be clicked or stepped through.

Shows what it is given; which findings there are, and their words, is ``app.state.ai_findings``.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import (
    QCoreApplication,
    QModelIndex,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import (
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from app.state.ai_findings import AiFinding, kind_words, line_words, malignancy_words, views_words
from app.views import theme
from app.views.painting import draw_glyph

_ROLE = Qt.ItemDataRole.UserRole
_PAD = 4
# The list grows to so many entries in a window of full HD, then scrolls: beside a form, and without one; and at most.
ROWS_BESIDE_FORM, ROWS_ALONE, MOST_ROWS = 3, 8, 14
_FULL_HD_PX = 1080


def _tr(text: str) -> str:
    return QCoreApplication.translate("ai_panel", text)


class _Entry(QStyledItemDelegate):
    """Paints one finding: glyph, number, side and type, the score at the right; place and views below."""

    def sizeHint(self, _option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        lines = len(_lines(index))
        return QSize(10, round(_step(self._scale()) * (lines + 0.15)) + 2 * _PAD)

    def _scale(self) -> float:
        owner = self.parent()
        return owner.text_scale if isinstance(owner, AiFindingsList) else 1.0

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        finding: AiFinding = index.data(_ROLE)
        rect: QRect = option.rect
        state: QStyle.StateFlag = option.state
        painter.save()
        if state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, QColor(theme.ACCENT_DIM))
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(rect, QColor(theme.CHROME_RAISED))
        colour = theme.finding_colour(finding.finding, ai=True)
        scale = self._scale()
        step = _step(scale)
        top, left = rect.top() + _PAD, rect.left() + _PAD + round(step)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setPen(QPen(colour, 1.4 * scale))
        draw_glyph(
            painter, finding.finding, QPointF(rect.left() + _PAD + step * 0.45, top + step * 0.5), step * 0.32
        )
        lines = _lines(index)
        painter.setFont(theme.font(scale=scale))
        painter.setPen(QColor(theme.TEXT))
        width = rect.right() - left - _PAD
        score = f"{100 * finding.score:.0f} %"
        room = width - QFontMetrics(painter.font()).horizontalAdvance(score) - _PAD
        head = QFontMetrics(painter.font()).elidedText(lines[0][0], Qt.TextElideMode.ElideRight, room)
        line = QRect(left, top, width, round(step))
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, head)
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, score)
        painter.setFont(theme.font(theme.SMALL_PX, scale=scale))
        # Quiet grey cannot be read on the bar of the chosen entry.
        painter.setPen(
            QColor(theme.TEXT if state & QStyle.StateFlag.State_Selected else theme.TEXT_SECONDARY)
        )
        metrics = QFontMetrics(painter.font())
        start = rect.left() + _PAD + 1
        width = rect.right() - start - _PAD
        for number, (words, at_end) in enumerate(lines[1:], 1):
            line = QRect(start, top + round(number * step), width, round(step))
            painter.drawText(line, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, at_end)
            room = width - (metrics.horizontalAdvance(at_end) + _PAD if at_end else 0)
            shown = metrics.elidedText(words, Qt.TextElideMode.ElideRight, room)
            painter.drawText(line, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)
        painter.restore()


def _step(scale: float) -> float:
    return theme.BASE_PX * 1.32 * scale


def _lines(index: QModelIndex | QPersistentModelIndex) -> list[tuple[str, str]]:
    """Words at the left and at the right of each line below each other; lines without words are left out."""
    finding: AiFinding = index.data(_ROLE)
    head = f"{finding.tag}  {finding.laterality.value}  {kind_words(finding)}"
    views, match = views_words(finding)
    place = finding.place
    if place.where and not match:  # "upper (MLO only)" names the view already
        views = ""
    lines = [(head, ""), (place.where, views), (place.distance, match)]
    lines += [(malignancy_words(finding), ""), (finding.agreement, "")]
    return [line for line in lines if any(line)]


class AiFindingsList(QListWidget):
    """Findings at the threshold; ``chosen`` carries the id of one that was clicked or stepped to."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("aiFindings")
        self.setAccessibleName(_tr("Findings of the AI"))
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self.text_scale, self._rows = 1.0, ROWS_ALONE
        self._shown: tuple[AiFinding, ...] = ()
        self.setItemDelegate(_Entry(self))
        self.currentItemChanged.connect(self._on_current)
        self.itemClicked.connect(self._on_clicked)

    def set_findings(self, findings: Sequence[AiFinding], threshold: float, chosen: str | None) -> None:
        """Show these findings; ``chosen`` is the detection that is lit, None = none."""
        shown = tuple(findings)
        self.blockSignals(True)
        if shown != self._shown:
            self._shown = shown
            self.clear()
            for one in shown:
                item = QListWidgetItem(line_words(one, threshold))
                item.setData(_ROLE, one)
                item.setToolTip(line_words(one, threshold))
                self.addItem(item)
            self._fit()
        at = next((n for n, one in enumerate(shown) if one.has(chosen)), -1)
        if at != self.currentRow():
            self.setCurrentRow(at)
        if at < 0:
            self.clearSelection()
        self.blockSignals(False)

    def make_room(self, *, form: bool) -> None:
        """Leave room for the assessment form, where there is one."""
        self._rows = ROWS_BESIDE_FORM if form else ROWS_ALONE
        self._fit()

    def set_text_scale(self, scale: float) -> None:
        """Draw entries for text of this scale (0.8 to 2)."""
        self.text_scale = scale
        self.scheduleDelayedItemsLayout()
        self._fit()

    def _fit(self) -> None:
        spare = (self.window().height() / self.text_scale - _FULL_HD_PX) / (4 * _step(1.0))
        rows = min(MOST_ROWS, self._rows + max(0, int(spare)))
        heights = [self.sizeHintForRow(row) for row in range(min(self.count(), rows))]
        self.setFixedHeight(sum(heights) + 2 * self.frameWidth() + 2)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _on_current(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.chosen.emit(item.data(_ROLE).key)

    def _on_clicked(self, item: QListWidgetItem) -> None:
        """A click on the entry that is current already goes to it once more."""
        self.chosen.emit(item.data(_ROLE).key)
