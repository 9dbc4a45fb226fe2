"""A reader's electronic signature under a finished session: name, password again, and what it means (RS-A4)."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, QObject, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.workstation import Workstation
from reader_study.domain.study import Reader
from reader_study.sessions import SessionStatus
from resources.files import UserFacingError


def _tr(text: str) -> str:
    return QCoreApplication.translate("signing", text)


class SignatureDialog(QDialog):
    """Collects name, password and meaning; ``sign`` raises UserFacingError where the signature is not taken."""

    def __init__(
        self,
        status: SessionStatus,
        name: str,
        sign: Callable[[str, str, str], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("signature")
        self.setWindowTitle(_tr("Sign the session"))
        self._sign = sign
        heading = QLabel(_tr("Sign session {0}: {1} cases").format(status.period, status.n_total))
        heading.setProperty("role", "heading")
        self.name, self.password, self.meaning = QLineEdit(name), QLineEdit(), QComboBox()
        self.password.setEchoMode(QLineEdit.EchoMode.Password)
        self.password.setPlaceholderText(_tr("Your password again"))
        self.meaning.setEditable(True)
        self.meaning.addItems(
            [
                _tr("I read every case of this session myself, and the locked answers are mine."),
                _tr(
                    "I read the cases of this session myself; what disturbed the reading was told to the coordinator."
                ),
            ]
        )
        self._show_beginning()
        self.meaning.currentIndexChanged.connect(self._show_beginning)
        self.problem = QLabel("")
        self.problem.setProperty("role", "error")
        self.problem.setWordWrap(True)
        note = QLabel(
            _tr(
                "The signature is kept in the session's log with the time; after it no answer can be changed."
            )
        )
        note.setProperty("role", "secondary")
        note.setWordWrap(True)
        self.button = QPushButton(_tr("Sign   Enter"))
        self.button.setObjectName("signSession")
        self.button.setProperty("role", "primary")
        self.button.setDefault(True)
        later = QPushButton(_tr("Later   Esc"))
        self._lay_out(heading, note, later)
        self.button.clicked.connect(self._ask)
        later.clicked.connect(self.reject)
        self.password.setFocus(Qt.FocusReason.OtherFocusReason)

    def _show_beginning(self) -> None:
        line = self.meaning.lineEdit()
        if line is not None:
            line.setCursorPosition(0)

    def _lay_out(self, heading: QLabel, note: QLabel, later: QPushButton) -> None:
        form = QFormLayout()
        form.setVerticalSpacing(10)
        form.setHorizontalSpacing(16)
        for title, field in (
            (_tr("Name in full"), self.name), (_tr("Password"), self.password), (_tr("Meaning"), self.meaning),
        ):  # fmt: skip
            form.addRow(title, field)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(later)
        row.addWidget(self.button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(28, 24, 28, 20)
        layout.setSpacing(14)
        layout.addWidget(heading)
        layout.addLayout(form)
        for part in (self.problem, note):
            layout.addWidget(part)
        layout.addLayout(row)
        self.problem.hide()
        self.setMinimumWidth(52 * self.fontMetrics().lineSpacing())

    def _ask(self) -> None:
        name, meaning = self.name.text().strip(), self.meaning.currentText().strip()
        try:
            self._sign(name, self.password.text(), meaning)
        except UserFacingError as error:
            self.problem.setText(str(error))
            self.problem.show()
            self.password.clear()
            field = self.password if name and meaning else self.name if meaning else self.meaning
            field.setFocus(Qt.FocusReason.OtherFocusReason)
            return
        self.accept()


class SessionSigning(QObject):
    """Asks for the signatures that the protocol wants, over the work list."""

    signed = Signal(str)  # sentence

    def __init__(self, station: Workstation, window: QWidget) -> None:
        super().__init__(window)
        self._station, self._window = station, window
        self.dialog: SignatureDialog | None = None

    @property
    def wanted(self) -> bool:
        """True where the protocol wants finished sessions signed."""
        return self._station.study is not None and self._station.study.conduct.sign_sessions

    def ask(self, reader: Reader, session_id: str = "") -> None:
        """Open the dialog for this session of the reader's, "" = her first that is finished and not signed."""
        if not self.wanted:
            return
        rows = self._station.sessions().worklist(reader.reader_id)
        ready = (row for row in rows if row.closed and not row.signed and session_id in {"", row.session_id})
        status = next(ready, None)
        if status is None:
            return
        self.drop()

        def sign(name: str, password: str, meaning: str) -> None:
            self._station.confirm(reader, password)
            self._station.sessions().sign(
                status.session_id, signed_by=reader.reader_id, name=name, meaning=meaning
            )

        self.dialog = SignatureDialog(status, reader.name, sign, self._window)
        self.dialog.accepted.connect(
            lambda: self.signed.emit(_tr("Session {0} is signed.").format(status.period))
        )
        self.dialog.open()

    def drop(self) -> None:
        """Put the dialog away with what was typed in it."""
        if self.dialog is not None:
            self.dialog.reject()
            self.dialog.deleteLater()
            self.dialog = None
