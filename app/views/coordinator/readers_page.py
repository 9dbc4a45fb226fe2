"""Readers and other people: enrolment, qualification, group, role, password."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from app.control.coordinating import Coordinating
from app.control.tasks import TaskRunner
from app.views.coordinator.page import Page, button, password_field, quiet, row_of, section
from app.views.coordinator.table import DataTable
from app.views.theme import scaled
from reader_study.domain.study import Reader
from reader_study.errors import StudyError
from reader_study.permissions import Role

GROUPS = ("senior", "junior")


def _tr(text: str) -> str:
    return QCoreApplication.translate("coordinator", text)


def role_words() -> dict[Role, str]:
    return {
        Role.READER: _tr("reader"),
        Role.COORDINATOR: _tr("coordinator"),
        Role.STATISTICIAN: _tr("statistician"),
        Role.ADMINISTRATOR: _tr("administrator"),
    }


class ReadersPage(Page):
    """The people of the study on the left, one of them as a form on the right."""

    def __init__(self, runner: TaskRunner) -> None:
        super().__init__(_tr("Readers and accounts"), runner, "coordinator.readers")
        self.people = DataTable(
            "readers", _tr("Nobody is enrolled yet. Fill in the form on the right and press Save.")
        )
        self.name, self.full_name, self.qualification = QLineEdit(), QLineEdit(), QLineEdit()
        self.role, self.group = QComboBox(), QComboBox()
        for role, word in role_words().items():
            self.role.addItem(word, role.value)
        self.group.setEditable(True)
        self.group.addItems(GROUPS)
        self.years, self.exams = _counter(80), _counter(100_000)
        self.password, self.again = password_field(_tr("New password")), password_field(_tr("Again"))
        self.reason = QLineEdit()
        self.save_button = button(_tr("Save"), self.save, role="primary")
        self._lay_out()
        self.people.picked.connect(self._show_one)
        self.role.currentIndexChanged.connect(self._on_role)
        self._on_role()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setVerticalSpacing(8)
        form.setHorizontalSpacing(14)
        for title, field in (
            (_tr("Sign-in name"), self.name),
            (_tr("Full name"), self.full_name),
            (_tr("Role"), self.role),
            (_tr("Group"), self.group),
            (_tr("Experience, years"), self.years),
            (_tr("Qualification"), self.qualification),
            (_tr("Mammograms a year"), self.exams),
            (_tr("Password"), self.password),
            ("", self.again),
            (_tr("Reason"), self.reason),
        ):
            form.addRow(title, field)
        self.qualification.setPlaceholderText(_tr("e.g. board certified, breast fellowship"))
        self.reason.setPlaceholderText(_tr("needed once the protocol is frozen"))
        side = QWidget()
        side.setFixedWidth(scaled(430))
        column = QVBoxLayout(side)
        column.setContentsMargins(20, 0, 0, 0)
        column.addWidget(section(_tr("ONE PERSON")))
        column.addLayout(form)
        column.addLayout(row_of(self.save_button, button(_tr("New person"), self.clear)))
        column.addWidget(
            quiet(
                _tr(
                    "An empty password leaves the old one. A reader reaches her own work list and nothing else."
                )
            )
        )
        column.addStretch(1)
        both = QHBoxLayout()
        both.addWidget(self.people, 1)
        both.addWidget(side)
        self.body.addLayout(both, 1)

    @property
    def first(self) -> QWidget:
        return self.name

    def show_study(self, work: Coordinating) -> None:
        accounts = {one.account_id: one for one in work.accounts()}
        words = role_words()
        rows = []
        for reader in work.study.readers:
            has = accounts.get(reader.reader_id)
            rows.append(
                (reader.reader_id, reader.name, words[Role.READER], reader.group, reader.experience_years,
                 reader.qualification, reader.exams_a_year, bool(has and has.password_hash))
            )  # fmt: skip
        readers = {reader.reader_id for reader in work.study.readers}
        rows += [
            (one.account_id, one.name, words[one.role], "", None, "", None, bool(one.password_hash))
            for one in accounts.values()
            if one.account_id not in readers
        ]
        columns = (
            _tr("Sign-in name"), _tr("Full name"), _tr("Role"), _tr("Group"), _tr("Experience, years"),
            _tr("Qualification"), _tr("Mammograms a year"), _tr("Password set"),
        )  # fmt: skip
        self.people.set_rows(columns, rows)

    def forget(self) -> None:
        super().forget()
        self.people.set_rows((), ())
        self.clear()

    def clear(self) -> None:
        """An empty form for another person."""
        for field in (self.name, self.full_name, self.qualification, self.password, self.again, self.reason):
            field.clear()
        self.role.setCurrentIndex(0)
        self.group.setCurrentText(GROUPS[0])
        self.years.setValue(-1)
        self.exams.setValue(-1)
        self.name.setFocus()

    def save(self) -> None:
        """Enrol or change; both passwords must be the same."""

        def step(work: Coordinating) -> None:
            name, full = self.name.text().strip(), self.full_name.text().strip()
            if not name or not full:
                raise StudyError(_tr("Person: expected a sign-in name and a full name; fill them in."))
            if self.password.text() != self.again.text():
                raise StudyError(_tr("Password: expected the same twice, found two; type it again."))
            role = Role(self.role.currentData())
            if role is Role.READER:
                reader = Reader(
                    reader_id=name, name=full, group=self.group.currentText().strip(),
                    experience_years=_value(self.years), exams_a_year=_value(self.exams),
                    qualification=self.qualification.text().strip(),
                )  # fmt: skip
                work.save_reader(reader, password=self.password.text(), why=self.reason.text().strip())
            else:
                work.save_account(name, full, role, self.password.text())

        if self.attempt(step, _tr("{0} is saved.").format(self.full_name.text().strip())):
            self.clear()

    def _show_one(self) -> None:
        row = self.people.current()
        if row is None:
            return
        self.name.setText(str(row[0]))
        self.full_name.setText(str(row[1]))
        self.role.setCurrentIndex(max(0, self.role.findText(str(row[2]))))
        self.group.setCurrentText(str(row[3]))
        self.years.setValue(row[4] if isinstance(row[4], int) else -1)
        self.qualification.setText(str(row[5]))
        self.exams.setValue(row[6] if isinstance(row[6], int) else -1)
        self.password.clear()
        self.again.clear()

    def _on_role(self) -> None:
        reads = self.role.currentData() == Role.READER.value
        for field in (self.group, self.years, self.qualification, self.exams, self.reason):
            field.setEnabled(reads)


def _counter(most: int) -> QSpinBox:
    made = QSpinBox()
    made.setRange(-1, most)
    made.setSpecialValueText(_tr("not recorded"))
    made.setValue(-1)
    made.lineEdit().setTextMargins(
        5, 0, 0, 0
    )  # as the fields around it stand; a style sheet does not reach inside
    return made


def _value(counter: QSpinBox) -> int | None:
    return None if counter.value() < 0 else counter.value()
