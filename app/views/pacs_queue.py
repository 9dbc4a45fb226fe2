"""The download queue on the PACS screen: a line a study with its progress, stop, resume, open. Draws and emits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from inference.exam.pacs.queue import Job, State

_NUMBER = Qt.ItemDataRole.UserRole
_BAR_PX = 190


def _tr(text: str) -> str:
    return QCoreApplication.translate("pacs_screen", text)


def state_words(state: State) -> str:
    """A state in the reader's language."""
    return {
        State.WAITING: _tr("waiting"),
        State.RUNNING: _tr("fetching"),
        State.DONE: _tr("here"),
        State.FAILED: _tr("failed"),
        State.CANCELLED: _tr("stopped"),
    }[state]


def person_words(name: str) -> str:
    """A DICOM name as a person reads it: family, given; '' where it holds no letters."""
    return ", ".join(part for part in name.replace("=", "^").split("^") if part)


def study_words(job: Job) -> str:
    """Which study a line is: name and date, or the end of its UID where nothing else is known."""
    study = job.study
    who = person_words(study.patient_name) or study.patient_id or f"…{study.study_uid[-10:]}"
    return f"{who}  {study.study_date.isoformat()}" if study.study_date is not None else who


class PacsQueue(QWidget):
    """Downloads, newest last; buttons act on the chosen lines."""

    stop_asked = Signal(list)  # job numbers
    resume_asked = Signal(list)
    open_asked = Signal(int)
    clear_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._jobs: dict[int, Job] = {}
        title = QLabel(_tr("DOWNLOADS"))
        title.setProperty("role", "section")
        self.table = self._make_table()
        self._empty = QLabel(_tr("Nothing is being fetched. Choose studies above and press Fetch."))
        self._empty.setProperty("role", "secondary")
        self._empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.stop = self._button(_tr("Stop"), lambda: self.stop_asked.emit(self.chosen()))
        self.resume = self._button(_tr("Resume"), lambda: self.resume_asked.emit(self.chosen()))
        self.open = self._button(_tr("Open"), self._open)
        self.clear = self._button(_tr("Clear finished"), self.clear_asked.emit)
        row = QHBoxLayout()
        row.addWidget(title)
        row.addStretch(1)
        for one in (self.stop, self.resume, self.open, self.clear):
            row.addWidget(one)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self._empty)
        layout.addWidget(self.table, 1)
        self.table.itemSelectionChanged.connect(self._enable)
        self.table.cellActivated.connect(lambda _row, _column: self._open())
        self.show_jobs(())

    def _button(self, words: str, action: Callable[[], object]) -> QPushButton:
        made = QPushButton(words)
        made.setAutoDefault(True)
        made.clicked.connect(lambda _checked: action())
        return made

    def _make_table(self) -> QTableWidget:
        table = QTableWidget(0, 4)
        table.setHorizontalHeaderLabels([_tr("Study"), _tr("From"), _tr("Progress"), _tr("State")])
        table.verticalHeader().hide()
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setTabKeyNavigation(False)
        table.setShowGrid(False)
        table.setAlternatingRowColors(True)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column, width in ((0, 330), (1, 160), (2, _BAR_PX + 20)):
            table.setColumnWidth(column, width)
        header.setSectionResizeMode(3, QHeaderView.ResizeMode.Stretch)
        return table

    # ---- what is shown

    def show_jobs(self, jobs: Sequence[Job]) -> None:
        """Show the jobs as they are now; what is chosen stays chosen."""
        if [job.job_id for job in jobs] != list(self._jobs):
            self._fill(jobs)
        for row, job in enumerate(jobs):
            if self._jobs.get(job.job_id) is not job:
                self._show(row, job)
        self._jobs = {job.job_id: job for job in jobs}
        self._empty.setVisible(not jobs)
        self.table.setVisible(bool(jobs))
        self._enable()

    def _fill(self, jobs: Sequence[Job]) -> None:
        chosen = set(self.chosen())
        self.table.setRowCount(len(jobs))
        for row, job in enumerate(jobs):
            for column, text in enumerate((study_words(job), job.connection, "", "")):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                item.setData(_NUMBER, job.job_id)
                self.table.setItem(row, column, item)
                item.setSelected(job.job_id in chosen)
            bar = QProgressBar()
            bar.setFixedSize(_BAR_PX, 14)
            holder = QWidget()
            place = QHBoxLayout(holder)
            place.setContentsMargins(6, 0, 0, 0)
            place.addWidget(bar)
            place.addStretch(1)
            self.table.setCellWidget(row, 2, holder)
        self._jobs = {}

    def _show(self, row: int, job: Job) -> None:
        holder = self.table.cellWidget(row, 2)
        bar = holder.findChild(QProgressBar) if holder is not None else None
        if bar is not None:
            bar.setRange(0, max(job.total, 1))
            bar.setValue(job.done)
            bar.setFormat(f"{job.done} / {job.total}" if job.total else "")
        words = [state_words(job.state)]
        if job.new_bytes:
            words.append(f"{job.new_bytes / 1e6:.0f} MB")
        if job.sentence:
            words.append(job.sentence)
        item = self.table.item(row, 3)
        if item is not None:
            item.setText("   ".join(words))
            item.setToolTip(item.text())

    # ---- what is chosen

    def chosen(self) -> list[int]:
        """Numbers of the chosen jobs."""
        rows = sorted({index.row() for index in self.table.selectedIndexes()})
        items = [self.table.item(row, 0) for row in rows]
        return [int(item.data(_NUMBER)) for item in items if item is not None]

    def _of_chosen(self) -> list[Job]:
        return [self._jobs[number] for number in self.chosen() if number in self._jobs]

    def _enable(self) -> None:
        jobs = self._of_chosen()
        self.stop.setEnabled(any(not job.state.is_over for job in jobs))
        self.resume.setEnabled(any(job.state in {State.FAILED, State.CANCELLED} for job in jobs))
        self.open.setEnabled(len(jobs) == 1 and jobs[0].done > 0)
        self.clear.setEnabled(any(job.state.is_over for job in self._jobs.values()))

    def _open(self) -> None:
        jobs = self._of_chosen()
        if len(jobs) == 1 and jobs[0].done > 0:
            self.open_asked.emit(jobs[0].job_id)
