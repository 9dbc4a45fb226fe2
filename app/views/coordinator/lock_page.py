"""Lock and sign: what is still open, and the signature that ends reading and opens truth and results."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from app.control.coordinating import Coordinating
from app.control.coordination_ports import Row
from app.control.tasks import TaskRunner
from app.views.coordinator.page import Page, button, password_field, quiet, section
from app.views.coordinator.table import DataTable
from app.views.theme import scaled


def _tr(text: str) -> str:
    return QCoreApplication.translate("coordinator", text)


class LockPage(Page):
    """Name, password again, meaning; nothing can be read after it."""

    def __init__(self, runner: TaskRunner) -> None:
        super().__init__(_tr("Lock and sign"), runner, "coordinator.lock")
        self.state = quiet("")
        self.unfinished = DataTable("unfinished", _tr("Every session is finished."))
        self.name, self.reason = QLineEdit(), QLineEdit()
        self.password = password_field(_tr("Your password again"))
        self.meaning = QComboBox()
        self.meaning.setEditable(True)
        self.meaning.addItems(
            [
                _tr("All readings are complete; I lock the study for analysis."),
                _tr("I lock the study before all readings are complete, for the reason given."),
            ]
        )
        self.sign_button = button(_tr("Sign and lock"), self.sign, role="primary")
        form = QFormLayout()
        form.setVerticalSpacing(8)
        form.setHorizontalSpacing(14)
        for title, field in (
            (_tr("Name in full"), self.name),
            (_tr("Password"), self.password),
            (_tr("Meaning"), self.meaning),
            (_tr("Reason"), self.reason),
        ):
            form.addRow(title, field)
        self.reason.setPlaceholderText(_tr("needed when sessions are unfinished"))
        side = QWidget()
        side.setFixedWidth(scaled(660))  # the longer meaning is read whole before it is signed
        column = QVBoxLayout(side)
        column.setContentsMargins(20, 0, 0, 0)
        column.addWidget(section(_tr("ELECTRONIC SIGNATURE")))
        column.addLayout(form)
        column.addWidget(self.sign_button)
        column.addWidget(
            quiet(_tr("After the lock nothing more is read. Truth, allocation, export and results open, and every look "
                      "at them is in the audit. The lock cannot be undone."))
        )  # fmt: skip
        column.addStretch(1)
        left = QVBoxLayout()
        left.addWidget(section(_tr("SESSIONS THAT ARE NOT FINISHED OR NOT SIGNED")))
        left.addWidget(self.unfinished, 1)
        both = QHBoxLayout()
        both.addLayout(left, 1)
        both.addWidget(side)
        self.body.addWidget(self.state)
        self.body.addLayout(both, 1)

    @property
    def first(self) -> QWidget:
        return self.name

    def show_study(self, work: Coordinating) -> None:
        stage, study = work.stage, work.study
        self.sign_button.setEnabled(not stage.locked)
        self.name.setText(work.account.name)
        self.state.setText(
            _tr("The study is locked.")
            if stage.locked
            else _tr("The study is open: truth and results are closed to everybody.")
            if not study.conduct.results_before_lock
            else _tr("The study is open; its protocol opens truth and results before the lock.")
        )
        rows: list[Row] = []
        for row in work.desk.monitor():
            done, needs_sign = row.n_done >= row.n_total, study.conduct.sign_sessions and not row.signed
            if row.period > 0 and (not done or needs_sign):
                lacks = _tr("unfinished") if not done else _tr("not signed by the reader")
                rows.append(
                    (row.session_id, row.reader_name, row.period, f"{row.n_done}/{row.n_total}", lacks)
                )
        columns = (_tr("Session id"), _tr("Reader"), _tr("Session"), _tr("Cases"), _tr("Lacks"))
        self.unfinished.set_rows(columns, rows)
        if any(row[4] == _tr("unfinished") for row in rows) and self.meaning.currentIndex() == 0:
            self.meaning.setCurrentIndex(1)
        line = self.meaning.lineEdit()
        if line is not None:
            line.setCursorPosition(0)
        self.meaning.setToolTip(self.meaning.currentText())

    def forget(self) -> None:
        super().forget()
        self.unfinished.set_rows((), ())
        for field in (self.name, self.password, self.reason):
            field.clear()
        self.state.clear()

    def sign(self) -> None:
        """Check the password again and lock."""

        def step(work: Coordinating) -> None:
            work.desk.lock(
                password=self.password.text(),
                name=self.name.text().strip(),
                meaning=self.meaning.currentText().strip(),
                why=self.reason.text().strip(),
            )

        done = self.attempt(step, _tr("Signed and locked."))
        self.password.clear()
        if done:
            self.reason.clear()
