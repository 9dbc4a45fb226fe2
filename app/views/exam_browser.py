"""The list of exams of a folder or zip, with what was refused and why. Emits which exam to open."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from inference.exam.types import ExamSummary


def _tr(text: str) -> str:
    return QCoreApplication.translate("exam_browser", text)


class ExamBrowser(QWidget):
    """Exams by title, views and notes; Enter or double click opens one."""

    exam_asked = Signal(str)
    report_asked = Signal()
    back_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        title = QLabel(_tr("Exams"))
        title.setProperty("role", "heading")
        self._state = QLabel("")
        self._state.setProperty("role", "secondary")
        self._state.setWordWrap(True)
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(
            [_tr("Exam"), _tr("Views"), _tr("Notes: rules that fired, warnings")]
        )
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        self.table.setColumnWidth(0, 260)
        self.table.setColumnWidth(1, 320)
        self.table.itemActivated.connect(lambda item: self.exam_asked.emit(self._id_of(item.row())))
        report, back = QPushButton(_tr("Import report …")), QPushButton(_tr("Back"))
        report.setToolTip(_tr("Every file, accepted or refused, and why  (Ctrl+R)"))
        report.setShortcut("Ctrl+R")
        back.setToolTip(_tr("Back to sign in  (Alt+Left)"))
        back.setShortcut("Alt+Left")
        report.clicked.connect(self.report_asked)
        back.clicked.connect(self.back_asked)
        head = QHBoxLayout()
        head.addWidget(title)
        head.addStretch(1)
        head.addWidget(report)
        head.addWidget(back)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(48, 40, 48, 32)
        layout.addLayout(head)
        layout.addWidget(self._state)
        layout.addWidget(self.table, 1)

    def show_state(self, text: str) -> None:
        self._state.setText(text)

    def set_exams(self, exams: Sequence[ExamSummary]) -> None:
        self.table.setRowCount(len(exams))
        for row, exam in enumerate(exams):
            cells = (exam.title, "  ".join(exam.view_keys), " · ".join(exam.notes))
            for column, text in enumerate(cells):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                item.setData(Qt.ItemDataRole.UserRole, exam.exam_id)
                self.table.setItem(row, column, item)
        if exams:
            self.table.setCurrentCell(0, 0)
            self.table.setFocus(Qt.FocusReason.OtherFocusReason)

    def _id_of(self, row: int) -> str:
        item = self.table.item(row, 0)
        return str(item.data(Qt.ItemDataRole.UserRole)) if item is not None else ""
