"""The study browser: exams of a folder or zip with dates, kinds, priors and notes, found by typing, seen as
thumbnails. Emits which exam to open; decodes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.state.completeness import missing_of_summary, missing_words
from app.state.priors import gap_words, priors_of
from app.state.thumbnails import Thumbnail
from app.views.thumbnails import ThumbnailStrip
from inference.exam.types import ExamSummary

REST_MS = 180  # a line must be rested on this long before its images are decoded


def _tr(text: str) -> str:
    return QCoreApplication.translate("exam_browser", text)


def views_words(summary: ExamSummary) -> str:
    """The views of an exam, contrast pairs once: "R CC, L CC, R MLO, L MLO"."""
    names = [key.split("/")[0].replace("-", " ") for key in summary.view_keys]
    order = {"R CC": 0, "L CC": 1, "R MLO": 2, "L MLO": 3}
    unique = sorted(dict.fromkeys(names), key=lambda name: (order.get(name, 9), name))
    return ", ".join(unique)


def kind_of_summary(summary: ExamSummary) -> str:
    """ "contrast" where any view key says so."""
    return _tr("contrast") if any("/cesm" in key for key in summary.view_keys) else ""


def prior_words_of(summary: ExamSummary, exams: Sequence[ExamSummary]) -> str:
    """How many earlier exams the woman has here and how long ago the newest was; of which exam this is a prior."""
    words = []
    earlier = priors_of(exams, summary)
    if earlier:
        gap = gap_words(summary.study_date, earlier[0].study_date)
        count = _tr("1 prior") if len(earlier) == 1 else _tr("{0} priors").format(len(earlier))
        words.append(_tr("{0}, {1} before").format(count, gap))
    later = [exam.title for exam in exams if summary in priors_of(exams, exam)]
    if later:
        words.append(_tr("prior of {0}").format(", ".join(later)))
    return "; ".join(words)


def notes_words(summary: ExamSummary) -> str:
    """Missing standard views first, then what the import said."""
    missing = missing_words(missing_of_summary(summary))
    return " · ".join(part for part in (missing, *summary.notes) if part)


class ExamBrowser(QWidget):
    """Exams in a table, searched by typing; Enter opens one, the strip shows the images of the chosen line."""

    exam_asked = Signal(str)
    thumbnails_asked = Signal(str)
    report_asked = Signal()
    back_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._exams: tuple[ExamSummary, ...] = ()
        title = QLabel(_tr("Exams"))
        title.setProperty("role", "heading")
        self._state = QLabel("")
        self._state.setProperty("role", "secondary")
        self._state.setWordWrap(True)
        self.search = QLineEdit()
        self.search.setPlaceholderText(_tr("Search title, date, view or note  (Ctrl+F)"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter)
        self.search.installEventFilter(self)
        self.table = self._make_table()
        self.strip = ThumbnailStrip()
        self.strip.chosen.connect(lambda _key: self._open_current())
        self._strip_state = QLabel("")
        self._strip_state.setProperty("role", "secondary")
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(lambda: self.thumbnails_asked.emit(self.current_id()))
        head = QHBoxLayout()
        head.addWidget(title)
        head.addSpacing(24)
        head.addWidget(self.search, 1)
        head.addSpacing(24)
        self._add_button(head, _tr("Import report …"), _tr("Every file, accepted or refused, and why"), "Ctrl+R",
                         self.report_asked.emit)  # fmt: skip
        self._add_button(head, _tr("Back"), _tr("Back to sign in"), "Alt+Left", self.back_asked.emit)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(48, 40, 48, 24)
        layout.addLayout(head)
        layout.addWidget(self._state)
        layout.addWidget(self.table, 1)
        layout.addWidget(self._strip_state)
        layout.addWidget(self.strip)

    def _add_button(
        self, row: QHBoxLayout, words: str, hint: str, key: str, action: Callable[[], None]
    ) -> None:
        button = QPushButton(words)
        button.setToolTip(f"{hint}  ({key})")
        button.setShortcut(key)
        button.clicked.connect(action)
        row.addWidget(button)

    def _make_table(self) -> QTableWidget:
        table = QTableWidget(0, 6)
        table.setHorizontalHeaderLabels(
            [
                _tr("Exam"),
                _tr("Date"),
                _tr("Views"),
                _tr("Kind"),
                _tr("Priors"),
                _tr("Notes: rules that fired, warnings"),
            ]
        )
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.verticalHeader().hide()
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.setTabKeyNavigation(False)
        table.setSortingEnabled(True)
        table.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column, width in enumerate((220, 96, 230, 84, 240)):
            table.setColumnWidth(column, width)
        table.itemActivated.connect(lambda _item: self._open_current())
        table.currentCellChanged.connect(lambda row, *_rest: self._chose(row))
        return table

    # ---- what it shows

    def show_state(self, text: str) -> None:
        self._state.setText(text)

    def set_exams(self, exams: Sequence[ExamSummary]) -> None:
        """List these exams; the first line is chosen."""
        self._exams = tuple(exams)
        if not exams:
            self.search.clear()  # another folder: what was searched for in the last one would hide this one's exams
        self.strip.clear()
        self._strip_state.setText("")
        self.table.setSortingEnabled(False)  # cells move while they are filled otherwise
        self.table.setRowCount(len(exams))
        for row, exam in enumerate(exams):
            when = exam.study_date.isoformat() if exam.study_date is not None else ""
            cells = (
                exam.title,
                when,
                views_words(exam),
                kind_of_summary(exam),
                prior_words_of(exam, exams),
                notes_words(exam),
            )
            for column, text in enumerate(cells):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                item.setData(Qt.ItemDataRole.UserRole, exam.exam_id)
                self.table.setItem(row, column, item)
        self.table.setSortingEnabled(True)
        self._filter(self.search.text())
        if exams:
            self.table.setCurrentCell(0, 0)
            self.table.setFocus(Qt.FocusReason.OtherFocusReason)

    def show_thumbnails(self, exam_id: str, thumbnails: Sequence[Thumbnail]) -> None:
        """Fill the strip, unless another line is chosen by now."""
        if exam_id != self.current_id():
            return
        self.strip.set_thumbnails(thumbnails)
        self._strip_state.setText("" if thumbnails else _tr("The images of this exam could not be read."))

    def current_id(self) -> str:
        """The chosen exam, "" when there is none."""
        item = self.table.item(self.table.currentRow(), 0)
        return str(item.data(Qt.ItemDataRole.UserRole)) if item is not None else ""

    def select(self, exam_id: str) -> None:
        """Choose the line of an exam, as after stepping through exams while reading."""
        for row in range(self.table.rowCount()):
            item = self.table.item(row, 0)
            if item is not None and item.data(Qt.ItemDataRole.UserRole) == exam_id:
                self.table.setCurrentCell(row, 0)

    def order(self) -> tuple[str, ...]:
        """Exam ids as the user sees them: sorted and searched."""
        items = [self.table.item(row, 0) for row in range(self.table.rowCount())]
        return tuple(
            str(item.data(Qt.ItemDataRole.UserRole))
            for row, item in enumerate(items)
            if item is not None and not self.table.isRowHidden(row)
        )

    # ---- what the user does

    def _chose(self, row: int) -> None:
        self.strip.clear()
        if row < 0:
            self._rest.stop()
            return
        self._strip_state.setText(_tr("Reading the images …"))
        self._rest.start()

    def _open_current(self) -> None:
        exam_id = self.current_id()
        if exam_id and not self.table.isRowHidden(self.table.currentRow()):
            self._rest.stop()
            self.exam_asked.emit(exam_id)

    def _filter(self, text: str) -> None:
        words = text.lower().split()
        first = -1
        for row in range(self.table.rowCount()):
            items = [self.table.item(row, column) for column in range(self.table.columnCount())]
            line = " ".join(item.text().lower() for item in items if item is not None)
            hidden = not all(word in line for word in words)
            self.table.setRowHidden(row, hidden)
            first = row if first < 0 and not hidden else first
        if first >= 0 and self.table.isRowHidden(max(self.table.currentRow(), 0)):
            self.table.setCurrentCell(first, 0)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_F and event.modifiers() == Qt.KeyboardModifier.ControlModifier:
            self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
            self.search.selectAll()
            return
        super().keyPressEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Down and Enter lead from the search box to the table, Esc empties it."""
        if watched is self.search and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() in {Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter}:
                self.table.setFocus(Qt.FocusReason.OtherFocusReason)
                return True
            if event.key() == Qt.Key.Key_Escape:
                self.search.clear()
                self.table.setFocus(Qt.FocusReason.OtherFocusReason)
                return True
        return super().eventFilter(watched, event)
