"""The one table of the coordinator's pages: sorts, filters, copies, exports what is shown; all by keyboard.

Holds rows of plain values; what they mean is its page's.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QCoreApplication,
    QModelIndex,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QColor, QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from app.control.coordination_ports import Row
from app.views.theme import ERROR, scaled

Index = QModelIndex | QPersistentModelIndex
SORT_ROLE = Qt.ItemDataRole.UserRole
_TOP = QModelIndex()
_WIDEST_PX = 330  # of a column while others want room
_NARROWEST_PX = 110  # a text column is not pressed below this; its whole text is the tool tip


def _tr(text: str) -> str:
    return QCoreApplication.translate("coordinator", text)


def cell_text(value: object) -> str:
    """A value as a person reads it: nothing for None, yes and no, few decimals."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return _tr("yes") if value else _tr("no")
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)


def _side(values: Sequence[object]) -> Qt.AlignmentFlag:
    """Right for a column of numbers; left where one word is among them, so that a column has one edge."""
    known = [value for value in values if value is not None]
    numbers = known and all(isinstance(v, int | float) and not isinstance(v, bool) for v in known)
    side = Qt.AlignmentFlag.AlignRight if numbers else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


class _Model(QAbstractTableModel):
    def __init__(self) -> None:
        super().__init__()
        self.columns: tuple[str, ...] = ()
        self.rows: tuple[Row, ...] = ()
        self.wrong: frozenset[int] = frozenset()
        self._sides: tuple[Qt.AlignmentFlag, ...] = ()

    def fill(self, columns: Sequence[str], rows: Sequence[Row], wrong: frozenset[int]) -> None:
        self.beginResetModel()
        self.columns, self.rows, self.wrong = tuple(columns), tuple(rows), wrong
        self._sides = tuple(_side([row[at] for row in self.rows]) for at in range(len(self.columns)))
        self.endResetModel()

    def rowCount(self, parent: Index = _TOP) -> int:
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = _TOP) -> int:
        return 0 if parent.isValid() else len(self.columns)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return self.columns[section]
        if role == Qt.ItemDataRole.TextAlignmentRole and orientation == Qt.Orientation.Horizontal:
            return self._sides[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        value = self.rows[index.row()][index.column()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return cell_text(value)
        if role == SORT_ROLE:
            return float(value) if isinstance(value, int | float) else cell_text(value)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self._sides[index.column()]
        if role == Qt.ItemDataRole.ForegroundRole and index.row() in self.wrong:
            return QColor(ERROR)
        return None


class _Shown(QSortFilterProxyModel):
    """Numbers before words, each by its own order; None first."""

    def lessThan(self, left: Index, right: Index) -> bool:
        one, two = left.data(SORT_ROLE), right.data(SORT_ROLE)
        if isinstance(one, float) and isinstance(two, float):
            return one < two
        if isinstance(one, float) or isinstance(two, float):
            return isinstance(one, float)
        return str(one).casefold() < str(two).casefold()


def fitted(wanted: Sequence[int], room: int, rigid: frozenset[int] = frozenset()) -> list[int]:
    """Return widths of columns, px, for a room: whole texts where they fit, else the widest give way first.

    ``rigid`` columns are drawn and not written, and give nothing away. Where even narrow columns do not fit the table
    scrolls, and then nothing is pressed.
    """
    least = scaled(_NARROWEST_PX)
    if rigid:
        kept = sum(wanted[column] for column in rigid if column < len(wanted))
        loose = fitted([w for column, w in enumerate(wanted) if column not in rigid], room - kept)
        return [w if column in rigid else loose.pop(0) for column, w in enumerate(wanted)]
    widths = [min(width, _WIDEST_PX) for width in wanted]
    for column, width in enumerate(wanted):
        widths[column] += max(0, min(width - widths[column], room - sum(widths)))
    if sum(min(width, least) for width in widths) > room:
        return widths
    while sum(widths) > room:
        widest = max(widths)
        second = max((w for w in widths if w < widest), default=least)
        many = widths.count(widest)
        cut = min(widest - max(second, least), -(-(sum(widths) - room) // many))
        widths = [w - max(1, cut) if w == widest else w for w in widths]
    return widths


class DataTable(QWidget):
    """Rows with a filter line above; Ctrl+F filters, Ctrl+C copies, a click on a header or Ctrl+1 to Ctrl+9 sorts."""

    picked = Signal()  # another row is the current one
    opened = Signal()  # Enter or double click on a row

    def __init__(self, title: str, empty: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title, self._empty = title, empty
        self.least_px: dict[int, int] = {}  # columns that are drawn want more room than their text
        self._wanted: list[int] = []  # widths that show every text whole
        self.model = _Model()
        self.shown = _Shown()
        self.shown.setSourceModel(self.model)
        self.shown.setFilterKeyColumn(-1)
        self.shown.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.view = QTableView()
        self.view.setModel(self.shown)
        self.view.setSortingEnabled(True)
        self.view.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setAlternatingRowColors(True)
        self.view.setShowGrid(False)
        self.view.setTabKeyNavigation(False)
        self.view.setWordWrap(False)
        self.view.verticalHeader().hide()
        self.view.horizontalHeader().setHighlightSections(False)
        self.view.horizontalHeader().setStretchLastSection(True)
        self.view.setStyleSheet("QTableView::item { padding: 0 6px; }")
        self.filter = QLineEdit()
        self.filter.setPlaceholderText(_tr("Filter   Ctrl+F"))
        self.filter.setClearButtonEnabled(True)
        self.filter.setMaximumWidth(360)
        self.filter.textChanged.connect(self._on_filter)
        self._count = QLabel("")
        self._count.setProperty("role", "secondary")
        self.copy_button = QPushButton(_tr("Copy"))
        self.copy_button.setToolTip(_tr("Copy the chosen rows, or all  (Ctrl+C)"))
        self.export_button = QPushButton(_tr("Save as CSV …"))
        for button in (self.copy_button, self.export_button):
            button.setProperty("role", "quiet")
        self.copy_button.clicked.connect(self.copy)
        self.export_button.clicked.connect(self._ask_export)
        self._hint = QLabel(empty, self.view.viewport())
        self._hint.setProperty("role", "secondary")
        self._hint.setWordWrap(True)
        self._lay_out()
        self._keys()
        self.view.activated.connect(lambda _index: self.opened.emit())
        self.set_rows((), ())

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.addWidget(self.filter, 1)
        head.addWidget(self._count)
        head.addStretch(1)
        head.addWidget(self.copy_button)
        head.addWidget(self.export_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(head)
        layout.addWidget(self.view, 1)

    def _keys(self) -> None:
        for key, action in (
            (QKeySequence.StandardKey.Copy, self.copy),
            (QKeySequence.StandardKey.Find, self.focus_filter),
        ):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(action)
        for number in range(1, 10):
            shortcut = QShortcut(QKeySequence(f"Ctrl+{number}"), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda column=number - 1: self.sort_by(column))

    def sort_by(self, column: int) -> None:
        """Sort by a column, counted from 0; once more turns the order round."""
        if column >= len(self.model.columns):
            return
        header = self.view.horizontalHeader()
        up, down = Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder
        turned = header.sortIndicatorSection() == column and header.sortIndicatorOrder() == up
        self.view.sortByColumn(column, down if turned else up)

    def set_rows(
        self, columns: Sequence[str], rows: Sequence[Row], *, wrong: frozenset[int] = frozenset()
    ) -> None:
        """Show rows; the chosen row stays chosen by its first cell. ``wrong`` are row numbers shown as errors."""
        kept = self.current()
        new_columns = tuple(columns) != self.model.columns or not self.model.rows
        self.model.fill(columns, rows, wrong)
        if new_columns:
            self._widen()
        self._on_filter()
        model = self.view.selectionModel()
        model.currentRowChanged.connect(self._on_current, Qt.ConnectionType.UniqueConnection)
        if kept is not None:
            self.pick(kept[0])

    def _widen(self) -> None:
        self.view.resizeColumnsToContents()
        header = self.view.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self._wanted = [
            max(header.sectionSize(column) + 14, scaled(self.least_px.get(column, 56)))
            for column in range(len(self.model.columns))
        ]
        self._fit()

    def _fit(self) -> None:
        """Share the room out: nothing is cut while there is room, nothing needs scrolling while texts can give way."""
        room = self.view.viewport().width()
        for column, width in enumerate(fitted(self._wanted, room, frozenset(self.least_px))):
            self.view.horizontalHeader().resizeSection(column, width)

    def rows(self) -> tuple[Row, ...]:
        """The rows that are shown, in their order on screen."""
        return tuple(
            self.model.rows[self.shown.mapToSource(self.shown.index(row, 0)).row()]
            for row in range(self.shown.rowCount())
        )

    def chosen(self) -> tuple[Row, ...]:
        """The selected rows, in their order on screen."""
        indexes = sorted(self.view.selectionModel().selectedRows(), key=lambda index: index.row())
        return tuple(self.model.rows[self.shown.mapToSource(index).row()] for index in indexes)

    def current(self) -> Row | None:
        index = self.view.currentIndex()
        source = self.shown.mapToSource(index).row() if index.isValid() else -1
        return self.model.rows[source] if 0 <= source < len(self.model.rows) else None

    def pick(self, first: object) -> None:
        """Choose the row whose first cell is this."""
        for number, row in enumerate(self.rows()):
            if row[0] == first:
                self.view.selectRow(number)
                return

    def copy(self) -> None:
        """Put the chosen rows, or all that are shown, on the clipboard as tab-separated text with a header."""
        rows = self.chosen() or self.rows()
        lines = [self.model.columns, *(tuple(map(cell_text, row)) for row in rows)]
        QGuiApplication.clipboard().setText("\n".join("\t".join(line) for line in lines))

    def export_to(self, path: Path) -> None:
        """Write what is shown as CSV; OSError when it cannot be written."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.model.columns)
        writer.writerows(["" if value is None else value for value in row] for row in self.rows())
        path.write_text(out.getvalue(), encoding="utf-8")

    def focus_filter(self) -> None:
        self.filter.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.filter.selectAll()

    def _ask_export(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, _tr("Save the table"), f"{self._title}.csv", "CSV (*.csv)"
        )
        if not name:
            return
        try:
            self.export_to(Path(name))
        except OSError as error:
            self._count.setText(_tr("Not saved: {0}").format(error.strerror))

    def _on_filter(self) -> None:
        self.shown.setFilterFixedString(self.filter.text().strip())
        total, seen = len(self.model.rows), self.shown.rowCount()
        every = _tr("1 row") if total == 1 else _tr("{0} rows").format(total)
        self._count.setText(every if seen == total else _tr("{0} of {1} rows").format(seen, total))
        self._hint.setText(self._empty if not total else "" if seen else _tr("No row has that text."))
        self._hint.setVisible(not seen)
        self._place_hint()

    def set_empty(self, sentence: str) -> None:
        """Say what to do when there is nothing here."""
        self._empty = sentence
        self._on_filter()

    def _place_hint(self) -> None:
        self._hint.setGeometry(16, 8, max(200, self.view.viewport().width() - 32), 64)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._place_hint()
        QTimer.singleShot(0, self, self._fit)  # the view has its new size only then

    def _on_current(self) -> None:
        self.picked.emit()
