"""The PACS screen: search, look, fetch, open, or bring into a study de-identified. Shows and emits; the work is the
desk's. Not for readers' sessions: it shows names, dates and other exams."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QCoreApplication, Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.control.coordination_ports import CaseImport
from app.control.pacs import Batch, Importer, PacsDesk
from app.state.thumbnails import Thumbnail
from app.views.pacs_actions import PacsActions
from app.views.pacs_connections import PacsConnections
from app.views.pacs_empty import EmptyPacs
from app.views.pacs_queue import PacsQueue
from app.views.pacs_search import PacsSearch, PacsTable
from app.views.thumbnails import ThumbnailStrip
from inference.exam.pacs.model import Matches, Query
from resources.files import UserFacingError

REST_MS = 350  # a line must be rested on this long before its pictures are asked for
TICK_MS = 250


def _tr(text: str) -> str:
    return QCoreApplication.translate("pacs_screen", text)


class PacsBrowser(QWidget):
    """One page of the window; ``begin`` says whether it may import into a study."""

    open_asked = Signal(Path, object)  # the woman's folder, date of the study that was chosen
    imported = Signal()
    back_asked = Signal()

    def __init__(self, desk: PacsDesk, today: Callable[[], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.desk = desk
        self._importer: Importer | None = None
        self._open_when_here: int | None = None
        self.connection = QComboBox()
        self.connection.setMinimumWidth(220)
        self.connection.setToolTip(_tr("PACS connection"))
        self.search = PacsSearch(today)
        self.table, self.strip, self.queue = PacsTable(), ThumbnailStrip(), PacsQueue()
        self.state, self._strip_state = _quiet(""), _quiet("")
        self.receiving = QPushButton(_tr("Receive"))
        self.receiving.setCheckable(True)
        self.receiving.setToolTip(_tr("Take images that a modality or PACS pushes to this station"))
        self.receiver_state = _quiet("")
        self.steps = PacsActions()
        self.empty = EmptyPacs()
        self._pages = QStackedWidget()
        self._pages.addWidget(self.empty)
        self._pages.addWidget(self._body())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(48, 40, 48, 24)
        layout.addLayout(self._head())
        layout.addWidget(self._pages, 1)
        self._rest = QTimer(self, singleShot=True, interval=REST_MS)
        self._tick = QTimer(self, interval=TICK_MS)
        self._connect()

    # ---- layout

    def _button(self, words: str, action: Callable[[], object], hint: str) -> QPushButton:
        made = QPushButton(words)
        made.setAutoDefault(True)
        made.setToolTip(hint)
        made.clicked.connect(lambda _checked: action())
        return made

    def _head(self) -> QHBoxLayout:
        title = QLabel(_tr("PACS"))
        title.setProperty("role", "heading")
        self.settings = self._button(_tr("Connections …"), self.edit_connections, _tr("Add or change a PACS"))
        self.back = self._button(_tr("Back"), self.back_asked.emit, _tr("Back") + "  (Alt+Left)")
        self.back.setShortcut("Alt+Left")
        row = QHBoxLayout()
        row.addWidget(title)
        row.addSpacing(24)
        row.addWidget(self.connection)
        row.addWidget(self.settings)
        row.addStretch(1)
        row.addWidget(self.receiver_state)
        row.addWidget(self.receiving)
        row.addSpacing(16)
        row.addWidget(self.back)
        return row

    def _body(self) -> QWidget:
        upper, body = QWidget(), QWidget()
        top = QVBoxLayout(upper)
        top.setContentsMargins(0, 0, 0, 0)
        top.addWidget(self.search)
        top.addWidget(self.state)
        top.addWidget(self.table, 1)
        top.addWidget(self._strip_state)
        top.addWidget(self.strip)
        top.addWidget(self.steps)
        split = QSplitter(Qt.Orientation.Vertical)
        split.setChildrenCollapsible(False)
        split.addWidget(upper)
        split.addWidget(self.queue)
        split.setStretchFactor(0, 3)
        split.setStretchFactor(1, 1)
        split.setSizes([700, 260])
        layout = QVBoxLayout(body)
        layout.setContentsMargins(0, 8, 0, 0)
        layout.addWidget(split)
        return body

    def _connect(self) -> None:
        self.empty.add_asked.connect(self.edit_connections)
        self.search.asked.connect(self._search)
        self.table.itemSelectionChanged.connect(self._chose)
        self.table.entered.connect(self.open_current)
        self.steps.fetch_asked.connect(self.fetch_chosen)
        self.steps.open_asked.connect(self.open_current)
        self.steps.import_asked.connect(self.import_chosen)
        self._rest.timeout.connect(self._preview)
        self._tick.timeout.connect(self.refresh)
        self.receiving.clicked.connect(self._receive)
        self.queue.stop_asked.connect(self._stop_jobs)
        self.queue.resume_asked.connect(self._resume_jobs)
        self.queue.open_asked.connect(self._open_job)
        self.queue.clear_asked.connect(self._clear_jobs)
        for key, action in (
            ("Ctrl+F", lambda: self.search.patient_id.setFocus(Qt.FocusReason.ShortcutFocusReason)),
            ("Ctrl+G", self.fetch_chosen),
        ):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(action)

    # ---- coming and going

    def begin(self, importer: Importer | None = None) -> None:
        """Show the screen; with an importer studies can be brought into a reader study, and none can be opened.

        An exam that is to be read blinded must not be seen with its name by who prepares it at a reader's station.
        """
        self._importer = importer
        self.steps.bring.setVisible(importer is not None)
        for part in (self.steps.open, self.queue.open):
            part.setVisible(importer is None)
        self._show_connections()
        self.refresh()
        self._tick.start()
        if self.connection.count():
            self.search.patient_id.setFocus(Qt.FocusReason.OtherFocusReason)

    def forget(self) -> None:
        """Leave no name on the screen; downloads go on."""
        self.table.set_studies((), self.desk.here)
        self.strip.clear()
        for field in (self.search.patient_id, self.search.name, self.search.accession):
            field.clear()
        self.say("")
        self._importer = None
        if not self.desk.is_busy:
            self._tick.stop()

    def _show_connections(self, chosen: str = "") -> None:
        current = chosen or self.connection.currentText()
        try:
            names = [one.name for one in self.desk.book.connections()]
        except UserFacingError as error:
            names = []
            self.empty.show_problem(str(error))
        self.connection.clear()
        self.connection.addItems(names)
        if current in names:
            self.connection.setCurrentText(current)
        self.connection.setVisible(bool(names))
        self._pages.setCurrentIndex(1 if names else 0)
        if not names:
            self.empty.add.setFocus(Qt.FocusReason.OtherFocusReason)

    def edit_connections(self) -> None:
        """Open the dialog of connections and of receiving."""
        dialog = PacsConnections(self.desk, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.finished.connect(lambda _code: self._show_connections(dialog.last))
        dialog.open()
        self.dialog = dialog

    def say(self, sentence: str, *, problem: bool = False) -> None:
        """Show one sentence above the table."""
        self.state.setText(sentence)
        self.state.setProperty("role", "error" if problem else "secondary")
        self.state.style().unpolish(self.state)
        self.state.style().polish(self.state)

    # ---- search and look

    def _search(self, query: Query) -> None:
        name = self.connection.currentText()
        if not name:
            return
        self.say(_tr("Searching {0} …").format(name))
        self.search.go.setEnabled(False)
        self.desk.search(name, query, self._found, self._search_failed)

    def _found(self, matches: Matches) -> None:
        self.search.go.setEnabled(True)
        self.say(matches.sentence, problem=matches.cut)
        self.table.set_studies(matches.studies, self.desk.here)
        if matches.studies:
            self.table.setFocus(Qt.FocusReason.OtherFocusReason)

    def _search_failed(self, sentence: str) -> None:
        self.search.go.setEnabled(True)
        self.table.set_studies((), self.desk.here)
        self.say(sentence, problem=True)

    def _chose(self) -> None:
        chosen = self.table.chosen()
        uids = tuple(study.study_uid for study in chosen)
        if uids == self._chosen and uids:
            return  # the lines were sorted anew
        self._chosen = uids
        self.strip.clear()
        self.steps.show_chosen(len(chosen))
        if len(chosen) == 1:
            self._strip_state.setText(_tr("Asking for a preview …"))
            self._rest.start()
        else:
            self._strip_state.setText("")
            self._rest.stop()

    def _preview(self) -> None:
        study = self.table.current()
        if study is not None and self.connection.currentText():
            self.desk.preview(self.connection.currentText(), study, self._show_preview)

    def _show_preview(self, study_uid: str, thumbnails: tuple[Thumbnail, ...]) -> None:
        current = self.table.current()
        if current is None or current.study_uid != study_uid:
            return
        self.strip.set_thumbnails(thumbnails)
        self._strip_state.setText("" if thumbnails else _tr("No preview: fetch the study to see it."))

    _chosen: tuple[str, ...] = ()

    # ---- fetch, open, import

    def fetch_chosen(self) -> None:
        """Queue the chosen studies."""
        self._queue_chosen(lambda _jobs: None)

    def open_current(self) -> None:
        """Fetch the chosen study and open it when it is here."""
        if self._importer is not None or len(self.table.chosen()) != 1:
            return

        def queued(jobs: tuple[int, ...]) -> None:
            self._open_when_here = jobs[0]
            self._waiting = jobs

        self._queue_chosen(queued)

    _waiting: tuple[int, ...] = ()

    def import_chosen(self) -> None:
        """Fetch the chosen studies and import them into the study, de-identified."""
        importer = self._importer
        if importer is None:
            return

        def queued(jobs: tuple[int, ...]) -> None:
            self.say(_tr("{0} studies are fetched and then imported, de-identified.").format(len(jobs)))
            self.desk.import_when_here(
                Batch(jobs=jobs, importer=importer, done=self._imported, failed=self._import_failed,
                      progress=self._import_progress)
            )  # fmt: skip
            self.refresh()

        self._queue_chosen(queued)

    def _queue_chosen(self, queued: Callable[[tuple[int, ...]], None]) -> None:
        studies, name = self.table.chosen(), self.connection.currentText()
        if not studies or not name:
            self.say(_tr("Choose studies in the table first (Shift or Ctrl for several)."))
            return
        objects = self.steps.objects.isChecked()

        def done(jobs: tuple[int, ...]) -> None:
            self.say(_tr("{0} studies are in the queue.").format(len(jobs)))
            queued(jobs)
            self.refresh()

        if self.steps.earlier.isChecked():
            self.say(_tr("Asking {0} for earlier mammograms …").format(name))
            self.desk.fetch_with_earlier(
                name, studies, objects=objects, done=done, failed=lambda said: self.say(said, problem=True)
            )
        else:
            done(self.desk.fetch(name, studies, objects=objects))

    def _import_progress(self, fraction: float, words: str) -> None:
        self.steps.show_progress(fraction)
        self.say(_tr("Importing: {0}").format(words))

    def _imported(self, made: CaseImport) -> None:
        self.steps.show_progress(None)
        self.say(made.sentence)
        self.refresh()
        self.imported.emit()

    def _import_failed(self, sentence: str) -> None:
        self.steps.show_progress(None)
        self.say(sentence, problem=True)

    def _open_job(self, number: int) -> None:
        job = next((job for job in self.desk.queue.jobs() if job.job_id == number), None)
        folder = self.desk.folder_to_open(job) if job is not None and self._importer is None else None
        if folder is not None:
            self.open_asked.emit(folder, job.study.study_date if job is not None else None)

    def _stop_jobs(self, jobs: list[int]) -> None:
        for job in jobs:
            self.desk.queue.cancel(job)
        self.refresh()

    def _resume_jobs(self, jobs: list[int]) -> None:
        for job in jobs:
            self.desk.queue.resume(job)
        self.refresh()

    def _clear_jobs(self) -> None:
        self.desk.queue.forget()
        self.refresh()

    # ---- what changes by itself

    def refresh(self) -> None:
        """Show downloads and receiving as they are now; opens what was waited for."""
        jobs = self.desk.tick()
        self.queue.show_jobs(jobs)
        if self.isVisible():
            self.table.refresh_here(self.desk.here)
            self._show_receiving()
            wanted = [job for job in jobs if job.job_id in self._waiting]
            if self._open_when_here is not None and wanted and all(job.state.is_over for job in wanted):
                number, self._open_when_here, self._waiting = self._open_when_here, None, ()
                if next(job for job in wanted if job.job_id == number).done:
                    self._open_job(number)
        elif not self.desk.is_busy:
            self._tick.stop()

    def _receive(self, on: bool) -> None:
        try:
            self.desk.receive(on=on)
        except UserFacingError as error:
            self.say(str(error), problem=True)
        self._show_receiving()

    def _show_receiving(self) -> None:
        status = self.desk.listener_status
        self.receiving.setChecked(status is not None)
        if status is None:
            self.receiver_state.setText("")
            return
        words = _tr("Receiving at {0}: {1} images, {2:.0f} MB, {3} refused").format(
            status.address, status.received, status.received_bytes / 1e6, status.refused
        )
        self.receiver_state.setText(words)
        self.receiver_state.setToolTip(status.last_refusal)


def _quiet(words: str) -> QLabel:
    label = QLabel(words)
    label.setProperty("role", "secondary")
    label.setWordWrap(False)
    return label
