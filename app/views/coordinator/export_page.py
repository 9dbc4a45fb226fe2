"""Export for the statistician, backup and restore: each asks for a place, does the work beside the window, lists files."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QCoreApplication, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from app.control.coordinating import Coordinating
from app.control.coordination_ports import Exported, Row
from app.control.tasks import TaskRunner
from app.control.told import told
from app.views.coordinator.page import Page, button, quiet, row_of, section
from app.views.coordinator.table import DataTable
from reader_study.permissions import Action


def _tr(text: str) -> str:
    return QCoreApplication.translate("coordinator", text)


class ExportPage(Page):
    """Every format into one empty folder; the whole database into one file and back."""

    exported = Signal(Path)  # the folder that an export was written to

    def __init__(self, runner: TaskRunner) -> None:
        super().__init__(_tr("Export and backup"), runner, "coordinator.export")
        self.export_button = button(_tr("Export to an empty folder …"), self._ask_export, role="primary")
        self.backup_button = button(_tr("Back up to a new file …"), self._ask_backup)
        self.restore_button = button(_tr("Restore from a backup …"), self._ask_restore)
        self.waiting = (self.export_button, self.backup_button, self.restore_button)
        self.closed = quiet("")
        self.files = DataTable("exported", _tr("What was written stands here after an export."))
        self.body.addWidget(section(_tr("EXPORT")))
        self.body.addWidget(
            quiet(_tr("Tidy CSV with a codebook, Excel, iMRMC, RJafroc, MRMCaov and OR-DBM (lrc). Practice cases are left "
                      "out. The files of the MRMC programs need the truth."))
        )  # fmt: skip
        self.body.addWidget(self.closed)
        self.body.addLayout(row_of(self.export_button))
        self.body.addWidget(self.files, 1)
        self.body.addSpacing(8)
        self.body.addWidget(section(_tr("BACKUP AND RESTORE")))
        self.body.addWidget(
            quiet(_tr("A backup is one file with every study, account and log entry; it is verified before it counts, also "
                      "while readers read. Restoring adds what this database lacks; what is newer here stays."))
        )  # fmt: skip
        self.body.addLayout(row_of(self.backup_button, self.restore_button))

    @property
    def first(self) -> QWidget:
        return self.export_button if self.export_button.isEnabled() else self.backup_button

    def show_study(self, work: Coordinating) -> None:
        for tool, action in (
            (self.export_button, Action.EXPORT),
            (self.backup_button, Action.BACK_UP),
            (self.restore_button, Action.BACK_UP),
        ):
            why = work.why_not(action)
            tool.setEnabled(why is None)
            tool.setToolTip(told(why or ""))
        self.closed.setText(told(work.why_not(Action.EXPORT) or ""))
        self.closed.setVisible(bool(self.closed.text()))

    def forget(self) -> None:
        super().forget()
        self.files.set_rows((), ())
        self.closed.clear()

    def export_to(self, folder: Path) -> None:
        """Write every format."""
        work = self.work
        if work is not None:
            self.run(_tr("Exporting"), lambda context: work.export(folder, context), self._exported)

    def _exported(self, made: Exported) -> None:
        rows: list[Row] = [(path.name, path.stat().st_size, str(path.parent), "") for path in made.written]
        rows += [("", None, "", sentence) for sentence in made.left_out]
        self.files.set_rows((_tr("File"), _tr("Bytes"), _tr("Folder"), _tr("Not written, and why")), rows)
        self.changed.emit()
        self.tell(_tr("{0} files written. Analyse (Alt+9) has them ready.").format(len(made.written)))
        if made.written:
            self.exported.emit(made.written[0].parent)

    def backup_to(self, file: Path) -> None:
        work = self.work
        if work is not None:
            self.run(
                _tr("Backing up"), lambda _c: work.backup(file), lambda said: self._transferred(file, said)
            )

    def restore_from(self, file: Path) -> None:
        work = self.work
        if work is not None:
            self.run(
                _tr("Restoring"), lambda _c: work.restore(file), lambda said: self._transferred(file, said)
            )

    def _transferred(self, file: Path, said: str) -> None:
        self.changed.emit()
        self.tell(f"{file.name}: {said}")

    def _ask_export(self) -> None:
        name = QFileDialog.getExistingDirectory(self, _tr("Empty folder for the export"))
        if name:
            self.export_to(Path(name))

    def _ask_backup(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, _tr("Backup"), "study-backup.sqlite", "SQLite (*.sqlite)")
        if name:
            self.backup_to(Path(name))

    def _ask_restore(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, _tr("Backup"), "", "SQLite (*.sqlite)")
        if name:
            self.restore_from(Path(name))
