"""The first screen: who reads. It collects name and password and emits them; who may enter is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.control.commands import Command, tooltip

PRODUCT = "Negatoscope"


def _tr(text: str) -> str:
    return QCoreApplication.translate("sign_in", text)


def _secondary(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("role", "secondary")
    label.setWordWrap(True)
    return label


class SignInView(QWidget):
    """Reader, password, Enter; and a way to open exams without a study."""

    asked = Signal(str, str)  # reader id, password
    open_exams_asked = Signal()
    pacs_asked = Signal()
    settings_asked = Signal()
    coordinator_asked = Signal()
    study_chosen = Signal(str)
    plan_asked = Signal()
    analyse_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("signIn")
        card = QFrame()
        card.setProperty("role", "card")
        card.setMinimumWidth(400)
        card.setMaximumWidth(640)
        title = QLabel(PRODUCT)
        title.setProperty("role", "heading")
        self._study = _secondary("")
        self.reader = QLineEdit()
        self.reader.setObjectName("readerId")
        self.reader.setPlaceholderText(_tr("Sign-in name"))
        self.reader.setToolTip(_tr("Your name in this study, as its coordinator gave it to you"))
        self.password = QLineEdit()
        self.password.setObjectName("password")
        self.password.setPlaceholderText(_tr("Password"))
        self.password.setToolTip(_tr("Your password"))
        self.password.setEchoMode(QLineEdit.EchoMode.Password)
        self._problem = QLabel("")
        self._problem.setProperty("role", "error")
        self._problem.setWordWrap(True)
        self._button = QPushButton(_tr("Sign in   Enter"))
        self._button.setObjectName("submit")
        self._button.setProperty("role", "primary")
        self._browse = browse = self._quiet_button(
            _tr("Open exams without a study …"), self.open_exams_asked.emit
        )
        browse.setToolTip(_tr("Look at a folder or zip of images"))
        self.pacs = self._quiet_button(_tr("Search the PACS …"), self.pacs_asked.emit)
        self.pacs.hide()  # shown where anybody may search it
        self._settings = self._quiet_button(_tr("Settings …"), self.settings_asked.emit)
        self.first_coordinator, self.studies = self._offer(), self._chooser()
        self._plan, self._analyse = (
            self._quiet_button(_tr("Plan a study …"), self.plan_asked.emit),
            self._quiet_button(_tr("Analyse a study …"), self.analyse_asked.emit),
        )
        self._monitor_note = _secondary("")
        self._monitor_note.hide()
        note = _secondary(_tr("Research use only. Not for diagnosis."))
        layout = QVBoxLayout(card)
        layout.setContentsMargins(32, 28, 32, 24)
        layout.setSpacing(10)
        for part in (
            title,
            self._study,
            self.studies,
            self.reader,
            self.password,
            self._problem,
            self._button,
            browse,
            self.pacs,
            self._plan,
            self._analyse,
            self._settings,
            self.first_coordinator,
            note,
            self._monitor_note,
        ):
            layout.addWidget(part)
        outer = QVBoxLayout(self)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(card)
        row.addStretch(1)
        outer.addStretch(2)
        outer.addLayout(row)
        outer.addStretch(3)
        self._problem.hide()
        self._button.clicked.connect(self._ask)
        self.reader.returnPressed.connect(lambda: self.password.setFocus(Qt.FocusReason.OtherFocusReason))
        self.password.returnPressed.connect(self._ask)

    @staticmethod
    def _quiet_button(text: str, action: Callable[[], object]) -> QPushButton:
        button = QPushButton(text)
        button.setProperty("role", "quiet")
        button.clicked.connect(action)
        return button

    def _offer(self) -> QPushButton:
        """The way in for a study that has readers only; shown by who knows that."""
        offer = QPushButton(_tr("Name the first coordinator …"))
        offer.setProperty("role", "quiet")
        offer.hide()
        offer.clicked.connect(self.coordinator_asked)
        return offer

    def _chooser(self) -> QComboBox:
        """Which study of several in the database; hidden where there is one."""
        studies = QComboBox()
        studies.setToolTip(_tr("Study"))
        studies.hide()
        studies.activated.connect(lambda _at: self.study_chosen.emit(studies.currentText()))
        return studies

    def offer_studies(self, ids: Sequence[str], current: str) -> None:
        """Let one of several studies be chosen; nothing is shown for none."""
        self.studies.clear()
        self.studies.addItems(list(ids))
        self.studies.setCurrentText(current)
        self.studies.setVisible(bool(ids))

    def set_study(self, title: str, hint: str) -> None:
        self._study.setText(f"{title}\n{hint}" if hint else title)

    def set_busy(self, text: str) -> None:
        """Show what the program is waiting for; the fields can be filled meanwhile, the button waits."""
        self._study.setText(text)
        for button in (self._button, self._browse, self._plan, self._analyse, self._settings):
            button.setEnabled(not text)

    def set_keys(self, commands: Mapping[str, Command]) -> None:
        """Name the keys in force on the buttons that have one."""
        for button, command_id in (
            (self._browse, "exams.open"), (self._plan, "study.plan"), (self._analyse, "study.analyse"), (self._settings, "settings.open"),
        ):  # fmt: skip
            button.setToolTip(tooltip(commands[command_id]))

    def set_monitor_note(self, note: str) -> None:
        """Say quietly what speaks against reading on this monitor (QC-04)."""
        self._monitor_note.setText(_tr("This monitor: {0}.").format(note))
        self._monitor_note.setVisible(bool(note))

    def take_over(self, other: SignInView) -> None:
        """Go on where a reader was typing in another page of this kind."""
        self.reader.setText(other.reader.text())
        self.password.setText(other.password.text())
        field = self.password if other.password.hasFocus() else self.reader
        field.setFocus(Qt.FocusReason.OtherFocusReason)
        field.deselect()
        field.end(False)

    def show_problem(self, sentence: str) -> None:
        if sentence:
            from app.control.told import (
                told,
            )  # only now: the first window is there before the study's rules are

            sentence = told(sentence)
        self._problem.setText(sentence)
        self._problem.setVisible(bool(sentence))
        if sentence:
            self.password.clear()
            self.password.setFocus(Qt.FocusReason.OtherFocusReason)

    def _ask(self) -> None:
        if not self._button.isEnabled():
            return
        reader = self.reader.text().strip()
        if not reader:
            self.show_problem(
                _tr("Reader: expected your reader name, found nothing; type it and press Enter.")
            )
            self.reader.setFocus(Qt.FocusReason.OtherFocusReason)
            return
        self.asked.emit(reader, self.password.text())
