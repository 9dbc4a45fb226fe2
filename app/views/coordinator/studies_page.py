"""Studies: the protocol as a form and as YAML, its versions with their reasons, freezing and amending."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QWidget,
)

from app.control.coordinating import Coordinating
from app.control.protocol_values import (
    default_values,
    study_of_text,
    study_of_values,
    text_of,
    values_of,
)
from app.control.tasks import TaskRunner
from app.views.coordinator.page import Page, button, row_of
from app.views.coordinator.protocol_form import ProtocolForm
from app.views.coordinator.table import DataTable
from reader_study.domain.study import Study
from reader_study.errors import StudyError
from resources.files import UserFacingError


def _tr(text: str) -> str:
    return QCoreApplication.translate("coordinator", text)


class StudiesPage(Page):
    """Draft, freeze, amend. The form and the YAML text are two views of the same values."""

    new_asked = Signal()

    def __init__(self, runner: TaskRunner) -> None:
        super().__init__(_tr("Study"), runner, "coordinator.study")
        self.new_button = button(_tr("New study …"), self.new_asked.emit, role="quiet")
        self.head.addWidget(self.new_button)
        self.stage = QLabel("")
        self.stage.setProperty("role", "accent")
        self.head.addWidget(self.stage)
        self.form = ProtocolForm()
        self.text = QPlainTextEdit()
        self.text.setStyleSheet("font-family: monospace;")
        self.text.setTabChangesFocus(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        area = QScrollArea()
        area.setWidget(self.form)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.both = QStackedWidget()
        self.both.addWidget(area)
        self.both.addWidget(self.text)
        self.versions = DataTable(
            "versions",
            _tr("No version is frozen yet. Save the draft, import cases, enrol readers, then freeze."),
        )
        self.versions.setFixedHeight(170)
        self.reason = QLineEdit()
        self.reason.setPlaceholderText(_tr("Reason (kept with the version and in the audit)"))
        self.reason.setMinimumWidth(420)
        self.save_button = button(_tr("Save draft   Ctrl+S"), self.save, role="primary")
        self.freeze_button = button(_tr("Freeze"), self.freeze)
        self._lay_out()
        self._base: Study | None = None  # what is kept in the database, as it was when the form was filled
        save = QShortcut(QKeySequence.StandardKey.Save, self)
        save.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        save.activated.connect(self.save)

    def _lay_out(self) -> None:
        self.swap = QPushButton(_tr("Show as YAML"))
        self.swap.setAutoDefault(True)
        self.swap.clicked.connect(self.toggle)
        self.body.addLayout(
            row_of(
                self.swap,
                button(_tr("Read YAML file …"), self._ask_open),
                button(_tr("Write YAML file …"), self._ask_write),
            )
        )
        self.body.addWidget(self.both, 1)
        self.body.addLayout(row_of(self.reason, self.save_button, self.freeze_button))
        self.body.addWidget(self.versions)

    @property
    def first(self) -> QWidget:
        return self.form.field("title")

    def show_study(self, work: Coordinating) -> None:
        stage, study = work.stage, work.study
        words = _tr("locked") if stage.locked else _tr("frozen") if stage.frozen else _tr("draft")
        self.stage.setText(
            _tr("{0}, protocol version {1}: {2}").format(study.study_id, study.protocol_version, words)
        )
        self.save_button.setText(
            _tr("Save as amendment   Ctrl+S") if stage.frozen else _tr("Save draft   Ctrl+S")
        )
        self.save_button.setEnabled(not stage.locked)
        self.freeze_button.setEnabled(not stage.frozen)
        if study != self._base:
            self._base = study
            self._fill(study)
        columns = (
            _tr("Number"),
            _tr("Version"),
            _tr("Frozen by"),
            _tr("When (UTC)"),
            _tr("Reason"),
            _tr("SHA-256"),
        )
        rows = [
            (v.number, v.study.protocol_version, v.made_by, v.made_utc[:19], v.reason, v.protocol_hash)
            for v in work.versions()
        ]
        self.versions.set_rows(columns, rows)

    def _fill(self, study: Study) -> None:
        self.form.set_values(values_of(study), default_values())
        self.text.setPlainText(text_of(study))

    def forget(self) -> None:
        super().forget()
        self._base = None
        self.form.clear()
        self.text.clear()
        self.reason.clear()
        self.stage.clear()
        self.versions.set_rows((), ())

    @property
    def shows_text(self) -> bool:
        return self.both.currentWidget() is self.text

    def toggle(self) -> None:
        """Go from form to YAML or back, taking along what was changed; stays where something is wrong."""
        try:
            study = (
                study_of_text(self.text.toPlainText())
                if self.shows_text
                else study_of_values(self.form.values())
            )
        except UserFacingError as error:
            self.fail(error)
            return
        self.tell("")
        self._fill(study)
        self.both.setCurrentIndex(0 if self.shows_text else 1)
        self.swap.setText(_tr("Show as form") if self.shows_text else _tr("Show as YAML"))
        (self.text if self.shows_text else self.first).setFocus()

    def save(self) -> None:
        """Keep the draft, or the amendment with its reason."""

        def step(work: Coordinating) -> None:
            self._refuse_if_old(work)
            given = self.text.toPlainText() if self.shows_text else self.form.values()
            work.save(given, self.reason.text().strip())

        if self.attempt(step, _tr("Saved.")):
            self.reason.clear()

    def freeze(self) -> None:
        """Freeze what is kept; what is typed and not saved is not in it, so it is refused."""

        def step(work: Coordinating) -> None:
            self._refuse_if_old(work)
            now = (
                study_of_text(self.text.toPlainText())
                if self.shows_text
                else study_of_values(self.form.values())
            )
            if values_of(now) != values_of(work.study):
                work.save(values_of(now), self.reason.text().strip())
            work.desk.freeze(why=self.reason.text().strip())

        if self.attempt(
            step, _tr("The protocol is frozen; readers can begin. Changes are amendments from now on.")
        ):
            self.reason.clear()

    def _refuse_if_old(self, work: Coordinating) -> None:
        """A form that was filled before cases, readers or another person changed the study must not undo that."""
        if self._base != work.study:
            raise StudyError(
                _tr("The study was changed meanwhile; open this page again and make your change anew.")
            )

    def open_file(self, path: Path) -> None:
        """Show a YAML protocol in the form; it is kept by saving."""
        try:
            study = study_of_text(path.read_text(encoding="utf-8-sig"))
        except UserFacingError as error:
            self.fail(error)
            return
        except (OSError, UnicodeDecodeError):
            self.tell(
                _tr("{0}: could not be read as text; name a YAML protocol.").format(path.name), role="error"
            )
            return
        self._fill(study)
        self.tell(_tr("{0} is shown; save it to keep it.").format(path.name), role="secondary")

    def _ask_open(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, _tr("Protocol"), "", "YAML (*.yaml *.yml)")
        if name:
            self.open_file(Path(name))

    def _ask_write(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, _tr("Protocol"), "protocol.yaml", "YAML (*.yaml)")
        if not name or self.work is None:
            return
        try:
            Path(name).write_text(text_of(self.work.study), encoding="utf-8")
        except OSError as error:
            self.tell(_tr("Not saved: {0}").format(error.strerror), role="error")
