"""The first page of a database without a coordinator: a new study and the first account, or the account alone."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from app.control.coordinating import Coordinating
from app.control.protocol_values import new_study, study_of_text
from app.views.coordinator.page import button, password_field, quiet, row_of, section
from app.views.theme import scaled
from reader_study.domain.study import Study
from reader_study.errors import StudyError
from resources.files import UserFacingError


def _tr(text: str) -> str:
    return QCoreApplication.translate("coordinator", text)


class BeginView(QWidget):
    """Study id and title, or a YAML protocol; the coordinator's name and password."""

    begun = Signal()
    back_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._work: Coordinating | None = None
        self._given: Study | None = None
        self._existing = ""
        self.study_id, self.study_title = QLineEdit("STUDY-01"), QLineEdit()
        self.account, self.name = QLineEdit("coordinator"), QLineEdit()
        self.password, self.again = password_field(_tr("Password")), password_field(_tr("Password again"))
        self.problem = QLabel("")
        self.problem.setProperty("role", "error")
        self.problem.setWordWrap(True)
        self.problem.hide()
        self.heading = QLabel("")
        self.heading.setProperty("role", "heading")
        self.yaml = button(_tr("Or read a YAML protocol …"), self._ask_yaml)
        self.go = button(_tr("Begin   Enter"), self.begin, role="primary")
        self.back = button(_tr("Back"), self.back_asked.emit, role="quiet")
        self._lay_out()
        for field in (self.study_id, self.study_title, self.account, self.name, self.password):
            field.returnPressed.connect(self.focusNextChild)
        self.again.returnPressed.connect(self.begin)

    def _lay_out(self) -> None:
        self._study_part, person = QWidget(), QFormLayout()
        self._study_part.setObjectName("studyPart")
        self._study_part.setStyleSheet("#studyPart { background: transparent; }")
        study = QFormLayout(self._study_part)
        study.setContentsMargins(0, 0, 0, 0)
        for form in (study, person):
            form.setVerticalSpacing(8)
            form.setHorizontalSpacing(14)
        study.addRow(section(_tr("STUDY")))
        study.addRow(_tr("Study id"), self.study_id)
        study.addRow(_tr("Title"), self.study_title)
        study.addRow("", self.yaml)
        person.addRow(section(_tr("COORDINATOR")))
        person.addRow(_tr("Sign-in name"), self.account)
        person.addRow(_tr("Full name"), self.name)
        person.addRow(_tr("Password"), self.password)
        person.addRow("", self.again)
        labels = [form.labelForField(field) for form, field in (
            (study, self.study_id), (study, self.study_title), (person, self.account), (person, self.name),
        )]  # fmt: skip
        widest = max(label.sizeHint().width() for label in labels if label is not None)
        for label in labels:  # two forms, one edge
            if label is not None:
                label.setMinimumWidth(widest)
        card = QFrame()
        card.setProperty("role", "card")
        card.setFixedWidth(scaled(560))
        inner = QVBoxLayout(card)
        inner.setContentsMargins(32, 28, 32, 24)
        inner.setSpacing(12)
        inner.addWidget(self.heading)
        inner.addWidget(self._study_part)
        inner.addLayout(person)
        inner.addWidget(quiet(_tr("Everything can be changed until the protocol is frozen.")))
        inner.addWidget(self.problem)
        inner.addLayout(row_of(self.go, self.back))
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(card)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.addStretch(2)
        layout.addLayout(row)
        layout.addStretch(3)

    def open(self, work: Coordinating, existing: str = "", *, another: bool = False) -> None:
        """Ask for a new study (``another``: there are others), or for the first coordinator of ``existing``."""
        self._work, self._existing, self._given = work, existing, None
        self._study_part.setVisible(not existing)
        self.heading.setText(
            _tr("First coordinator of {0}").format(existing) if existing else _tr("Start a study")
        )
        self.problem.hide()
        self.back.setVisible(bool(existing) or another)
        for field in (self.password, self.again, self.name):
            field.clear()
        (self.name if existing else self.study_title).setFocus(Qt.FocusReason.OtherFocusReason)

    def read_yaml(self, path: Path) -> None:
        """Take a protocol file; its id and title stand in the fields."""
        try:
            self._given = study_of_text(path.read_text(encoding="utf-8-sig"))
        except UserFacingError as error:
            self._fail(str(error))
            return
        except (OSError, UnicodeDecodeError):
            self._fail(_tr("{0}: could not be read as text; name a YAML protocol.").format(path.name))
            return
        self.problem.hide()
        self.study_id.setText(self._given.study_id)
        self.study_title.setText(self._given.title)
        for field in (self.study_id, self.study_title):
            field.setReadOnly(True)
        self.account.setFocus()

    def begin(self) -> None:
        """Make the study and the account, and go in."""
        if self._work is None:
            return
        who = {
            "account_id": self.account.text(),
            "name": self.name.text(),
            "password": self.password.text(),
        }
        try:
            if self.password.text() != self.again.text():
                raise StudyError(_tr("Password: expected the same twice, found two; type it again."))
            if self._existing:
                self._work.name_coordinator(self._existing, **who)
            else:
                self._work.begin(self._study(), **who)
        except UserFacingError as error:
            self._fail(str(error))
            return
        finally:
            self.password.clear()
            self.again.clear()
        self.begun.emit()

    def _study(self) -> Study:
        if self._given is not None:
            return self._given
        study_id, title = self.study_id.text().strip(), self.study_title.text().strip()
        if not study_id or not title:
            raise StudyError(_tr("Study: expected an id and a title; fill them in."))
        return new_study(study_id, title)

    def _fail(self, sentence: str) -> None:
        self.problem.setText(sentence)
        self.problem.show()

    def _ask_yaml(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, _tr("Protocol"), "", "YAML (*.yaml *.yml)")
        if name:
            self.read_yaml(Path(name))
