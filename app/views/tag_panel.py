"""The image information panel: every attribute of one image in a table that narrows as one types.

Shows rows that it is given; reading them is ``inference.exam``. It does not exist in a blinded reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QCoreApplication,
    QModelIndex,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from inference.exam.header import TagRow

Index = QModelIndex | QPersistentModelIndex
_TOP = QModelIndex()


def _tr(text: str) -> str:
    return QCoreApplication.translate("tags", text)


class TagModel(QAbstractTableModel):
    """Rows of tag, keyword, VR and value; attributes inside sequences are set in by their depth."""

    def __init__(self, rows: Sequence[TagRow], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows = tuple(rows)
        self._heads = (_tr("Tag"), _tr("Keyword"), _tr("VR"), _tr("Value"))

    def rowCount(self, parent: Index = _TOP) -> int:
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = _TOP) -> int:
        return 0 if parent.isValid() else len(self._heads)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self._heads[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role not in {Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole}:
            return None
        row = self._rows[index.row()]
        inset = "   " * row.depth + ("› " if row.depth else "")
        return (inset + row.tag, inset + row.keyword, row.vr, row.value)[index.column()]


class TagFilter(QSortFilterProxyModel):
    """Keeps the rows in which every word typed is found, in any column, small and capital letters alike."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._words: tuple[str, ...] = ()

    def search(self, text: str) -> None:
        """Narrow to these words, parted by spaces; none shows all."""
        self.beginResetModel()
        self._words = tuple(text.casefold().split())
        self.endResetModel()

    def filterAcceptsRow(self, source_row: int, source_parent: Index) -> bool:
        model = self.sourceModel()
        cells = (
            str(model.data(model.index(source_row, k, source_parent))) for k in range(model.columnCount())
        )
        line = " ".join(cells).casefold()
        return all(word in line for word in self._words)


class TagPanel(QDialog):
    """All attributes of one image; type to search, Ctrl+C copies the chosen lines, Esc closes."""

    def __init__(self, title: str, rows: Sequence[TagRow], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("tagPanel")
        self.setWindowTitle(_tr("Image information – {0}").format(title))
        self.resize(1080, 720)
        self._filter = TagFilter(self)
        self._filter.setSourceModel(TagModel(rows, self))
        self.search = QLineEdit()
        self.search.setPlaceholderText(_tr("Search tag, keyword or value …"))
        self.search.setAccessibleName(_tr("Search the tags"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._narrow)
        self._count = QLabel("")
        self._count.setProperty("role", "secondary")
        heading = QLabel(title)
        heading.setProperty("role", "heading")
        self.table = self._make_table()
        hint = QLabel(
            _tr("Down to the list, Ctrl+F back to the search, Ctrl+C copies the chosen lines, Esc closes.")
        )
        hint.setProperty("role", "secondary")
        line = QHBoxLayout()
        line.addWidget(self.search, 1)
        line.addWidget(self._count)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 16, 20, 14)
        layout.addWidget(heading)
        layout.addLayout(line)
        layout.addWidget(self.table, 1)
        layout.addWidget(hint)
        for key, action in (
            ("Ctrl+C", self._copy),
            ("Ctrl+F", self.search.setFocus),
            ("Down", self._go_down),
        ):
            owner: QWidget = self.search if key == "Down" else self
            shortcut = QShortcut(QKeySequence(key), owner)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(action)
        self._narrow("")
        self.search.setFocus()

    def _make_table(self) -> QTableView:
        table = QTableView()
        table.setModel(self._filter)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.setAlternatingRowColors(False)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(22)
        head = table.horizontalHeader()
        head.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        head.setStretchLastSection(True)
        head.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column, width in enumerate((150, 330, 44)):
            table.setColumnWidth(column, width)
        return table

    def _narrow(self, text: str) -> None:
        self._filter.search(text)
        shown, of = self._filter.rowCount(), self._filter.sourceModel().rowCount()
        self._count.setText(_tr("{0} of {1}").format(shown, of))

    def _go_down(self) -> None:
        self.table.setFocus()
        if self._filter.rowCount():
            self.table.selectRow(0)

    def _copy(self) -> None:
        rows = sorted({index.row() for index in self.table.selectionModel().selectedIndexes()})
        lines = [
            "\t".join(
                str(self._filter.index(row, k).data()).strip() for k in range(self._filter.columnCount())
            )
            for row in rows
        ]
        if lines:
            QGuiApplication.clipboard().setText("\n".join(lines))
