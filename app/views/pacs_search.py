"""The search fields of the PACS screen and the table of what was found. Emits a query; asks nothing of anybody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from PySide6.QtCore import QCoreApplication, QDate, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QDateEdit,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from app.views.pacs_queue import person_words
from inference.exam.pacs.model import MAMMOGRAPHY, Query, StudyMatch

_STUDY = Qt.ItemDataRole.UserRole
FROM_TO = -1
ANY = 0


def _tr(text: str) -> str:
    return QCoreApplication.translate("pacs_screen", text)


class PacsSearch(QWidget):
    """Patient ID, name, accession, dates; Enter in any field searches."""

    asked = Signal(Query)

    def __init__(self, today: Callable[[], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._today = today
        self.patient_id = self._field(_tr("Patient ID"), 150)
        self.name = self._field(_tr("Name  (family^given, * = any)"), 230)
        self.accession = self._field(_tr("Accession number"), 160)
        self.period = QComboBox()
        for words, days in (
            (_tr("Any date"), ANY), (_tr("Today"), 1), (_tr("Last 7 days"), 7), (_tr("Last 30 days"), 30),
            (_tr("Last 365 days"), 365), (_tr("From – to"), FROM_TO),
        ):  # fmt: skip
            self.period.addItem(words, days)
        self.period.setToolTip(_tr("Study date"))
        self.first, self.last = self._day(_tr("First study date")), self._day(_tr("Last study date"))
        self.every = QCheckBox(_tr("All modalities"))
        self.every.setToolTip(_tr("Otherwise mammography (MG) only"))
        self.go = QPushButton(_tr("Search"))
        self.go.setProperty("role", "primary")
        self.go.setAutoDefault(True)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        for part in (
            self.patient_id,
            self.name,
            self.accession,
            self.period,
            self.first,
            self.last,
            self.every,
        ):
            row.addWidget(part)
        row.addStretch(1)
        row.addWidget(self.go)
        self.period.currentIndexChanged.connect(self._show_days)
        self.go.clicked.connect(lambda _checked: self.asked.emit(self.query()))
        self._show_days()

    def _field(self, hint: str, width: int) -> QLineEdit:
        field = QLineEdit()
        field.setPlaceholderText(hint)
        field.setToolTip(hint)
        field.setMinimumWidth(width)
        field.setMaximumWidth(width + 110)
        field.setClearButtonEnabled(True)
        field.returnPressed.connect(lambda: self.asked.emit(self.query()))
        return field

    def _day(self, hint: str) -> QDateEdit:
        field = QDateEdit()
        field.setCalendarPopup(True)
        field.setDisplayFormat("yyyy-MM-dd")
        field.setToolTip(hint)
        field.setDate(QDate.fromString(self._today(), "yyyy-MM-dd"))
        return field

    def _show_days(self) -> None:
        for field in (self.first, self.last):
            field.setVisible(self.period.currentData() == FROM_TO)

    def query(self) -> Query:
        """What the fields ask for."""
        first, last = self._range()
        return Query(
            patient_id=self.patient_id.text().strip(),
            patient_name=self.name.text().strip(),
            accession=self.accession.text().strip(),
            first=first,
            last=last,
            modality="" if self.every.isChecked() else MAMMOGRAPHY,
        )

    def _range(self) -> tuple[date | None, date | None]:
        days = int(self.period.currentData())
        if days == ANY:
            return None, None
        if days == FROM_TO:
            ends = sorted(
                date.fromisoformat(f.date().toString("yyyy-MM-dd")) for f in (self.first, self.last)
            )
            return ends[0], ends[1]
        today = date.fromisoformat(self._today())
        return today - timedelta(days=days - 1), today


class PacsTable(QTableWidget):
    """Studies that were found; every column sorts, Enter emits ``entered``."""

    entered = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 9, parent)
        self.setHorizontalHeaderLabels([
            _tr("Patient"), _tr("Patient ID"), _tr("Born"), _tr("Study date"), _tr("Description"), _tr("Accession"),
            _tr("Modalities"), _tr("Images"), _tr("Here"),
        ])  # fmt: skip
        self.verticalHeader().hide()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        self.setAlternatingRowColors(True)
        self.setSortingEnabled(True)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column, width in enumerate((230, 150, 100, 110, 260, 150, 110, 80, 80)):
            self.setColumnWidth(column, width)
        header.setSectionResizeMode(4, QHeaderView.ResizeMode.Stretch)
        self.cellActivated.connect(lambda _row, _column: self.entered.emit())

    def set_studies(self, studies: Sequence[StudyMatch], here: Callable[[StudyMatch], int]) -> None:
        """Show studies, newest first until another column is clicked."""
        self.setSortingEnabled(False)
        self.clearSelection()
        self.setRowCount(len(studies))
        for row, study in enumerate(studies):
            cells: tuple[object, ...] = (
                person_words(study.patient_name),
                study.patient_id,
                _day_words(study.birth_date),
                study.study_date.isoformat() if study.study_date is not None else "",
                study.description,
                study.accession,
                ", ".join(study.modalities),
                study.instance_count,
                here(study) or None,
            )
            for column, value in enumerate(cells):
                item = QTableWidgetItem()
                item.setData(Qt.ItemDataRole.DisplayRole, "" if value is None else value)
                item.setToolTip(str(value) if value is not None else "")
                item.setData(_STUDY, study)
                self.setItem(row, column, item)
        self.setSortingEnabled(True)
        self.sortByColumn(3, Qt.SortOrder.DescendingOrder)
        if studies:
            self.setCurrentCell(0, 0)

    def refresh_here(self, here: Callable[[StudyMatch], int]) -> None:
        """Show anew how many images of each study are here."""
        items = [item for item in (self.item(row, 8) for row in range(self.rowCount())) if item is not None]
        counts = [(item, here(item.data(_STUDY)) or "") for item in items]
        changed = [(item, count) for item, count in counts if item.data(Qt.ItemDataRole.DisplayRole) != count]
        if changed:  # sorting moves lines under the cursor, so only then
            self.setSortingEnabled(False)
            for item, count in changed:
                item.setData(Qt.ItemDataRole.DisplayRole, count)
            self.setSortingEnabled(True)

    def current(self) -> StudyMatch | None:
        """The study under the cursor."""
        item = self.item(self.currentRow(), 0)
        found = item.data(_STUDY) if item is not None else None
        return found if isinstance(found, StudyMatch) else None

    def chosen(self) -> tuple[StudyMatch, ...]:
        """The chosen studies, top to bottom."""
        rows = sorted({index.row() for index in self.selectedIndexes()})
        items = [self.item(row, 0) for row in rows]
        return tuple(item.data(_STUDY) for item in items if item is not None)


def _day_words(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) == 8 and text.isdigit() else text
