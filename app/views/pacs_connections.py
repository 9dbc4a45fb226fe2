"""The dialog of PACS connections: the list on the left, one connection's fields on the right, and the page of receiving.

Checks nothing itself: a connection that makes no sense says so from its constructor.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from app.control.pacs import PacsDesk
from app.views.pacs_receiving import ReceivingPage
from app.views.pem_field import FileField
from inference.exam.pacs.model import Auth, Connection, Kind, Retrieve
from resources.files import UserFacingError


def _tr(text: str) -> str:
    return QCoreApplication.translate("pacs_screen", text)


def _kinds() -> tuple[tuple[str, object], ...]:
    return ((_tr("DICOMweb"), Kind.DICOMWEB), (_tr("DIMSE (AE title)"), Kind.DIMSE))


def _auths() -> tuple[tuple[str, object], ...]:
    return (
        (_tr("none"), Auth.NONE), (_tr("user and password"), Auth.PASSWORD), (_tr("token (Bearer)"), Auth.TOKEN),
    )  # fmt: skip


def _ways() -> tuple[tuple[str, object], ...]:
    return (
        (_tr("C-GET (this station calls only)"), Retrieve.GET),
        (_tr("C-MOVE (the PACS calls this station)"), Retrieve.MOVE),
    )


class PacsConnections(QDialog):
    """Add, change, test and remove connections; ``last`` is the one that was worked on."""

    def __init__(self, desk: PacsDesk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.desk, self.last = desk, ""
        self.setWindowTitle(_tr("PACS connections"))
        self.resize(980, 720)
        self.list = QListWidget()
        self.list.setFixedWidth(220)
        self.problem = QLabel("")
        self.problem.setWordWrap(True)
        self.problem.setMinimumHeight(40)
        self.problem.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._make_fields()
        self.test = self._button(_tr("Save and test"), self._test, primary=True)
        self.save = self._button(_tr("Save"), self._save)
        self.remove = self._button(_tr("Remove"), self._remove)
        self.add = self._button(_tr("New connection"), self.new)
        self.receiving = ReceivingPage(desk)
        tabs = QTabWidget()
        tabs.addTab(self._page(), _tr("Connections"))
        tabs.addTab(self.receiving, _tr("Receiving"))
        close = self._button(_tr("Close"), self.accept)
        layout = QVBoxLayout(self)
        layout.addWidget(tabs, 1)
        foot = QHBoxLayout()
        foot.addStretch(1)
        foot.addWidget(close)
        layout.addLayout(foot)
        self.list.currentTextChanged.connect(self._show)
        self._fill("")

    def _button(self, words: str, action: Callable[[], object], *, primary: bool = False) -> QPushButton:
        made = QPushButton(words)
        made.setAutoDefault(False)
        if primary:
            made.setProperty("role", "primary")
        made.clicked.connect(lambda _checked: action())
        return made

    @staticmethod
    def _choice(rows: tuple[tuple[str, object], ...]) -> QComboBox:
        made = QComboBox()
        for words, value in rows:
            made.addItem(words, value)
        return made

    def _make_fields(self) -> None:
        self.name, self.url, self.user = QLineEdit(), QLineEdit(), QLineEdit()
        self.url.setPlaceholderText(_tr("https://pacs.example.org/dicom-web"))
        self.secret = QLineEdit()
        self.secret.setEchoMode(QLineEdit.EchoMode.Password)
        self.kind, self.auth, self.retrieve = (self._choice(rows) for rows in (_kinds(), _auths(), _ways()))
        self.ae_title, self.host, self.own_ae_title = QLineEdit(), QLineEdit(), QLineEdit()
        self.port = QSpinBox()
        self.port.setRange(1, 65535)
        self.tls = QCheckBox(_tr("Encrypted (TLS)"))
        self.check_host = QCheckBox(_tr("The certificate must bear the host's name"))
        self.ca = FileField(_tr("Authority that signed the server's certificate (PEM); empty = the system's"))
        self.cert = FileField(_tr("Our certificate (PEM), where the server wants one"))
        self.key = FileField(_tr("Key of our certificate (PEM, without password)"))
        self.timeout, self.parallel = QDoubleSpinBox(), QSpinBox()
        self.timeout.setRange(1, 600)
        self.timeout.setDecimals(0)
        self.timeout.setSuffix(_tr(" s"))
        self.parallel.setRange(1, 8)
        self.mammography_only = QCheckBox(_tr("Fetch mammography (MG) only"))
        for part in (self.kind, self.auth):
            part.currentIndexChanged.connect(self._fit)
        self.tls.toggled.connect(self._fit)
        self.url.textChanged.connect(self._fit)

    def _page(self) -> QWidget:
        self.form = QFormLayout()
        self.form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        for words, field in (
            (_tr("Name"), self.name), (_tr("Kind"), self.kind), (_tr("Address (URL)"), self.url),
            (_tr("Sign in with"), self.auth), (_tr("User"), self.user), (_tr("Password or token"), self.secret),
            (_tr("AE title of the PACS"), self.ae_title), (_tr("Host"), self.host), (_tr("Port"), self.port),
            (_tr("Our AE title"), self.own_ae_title), (_tr("Fetch by"), self.retrieve), ("", self.tls),
            (_tr("Authority"), self.ca), ("", self.check_host), (_tr("Our certificate"), self.cert),
            (_tr("Its key"), self.key), (_tr("Answer within"), self.timeout),
            (_tr("Transfers at once"), self.parallel), ("", self.mammography_only),
        ):  # fmt: skip
            self.form.addRow(words, field)
        self.warning = QLabel("")
        self.warning.setWordWrap(True)
        self.warning.setProperty("role", "accent")
        note = QLabel(
            _tr(
                "Passwords and tokens are kept in a file of their own that only you can read (not encrypted), apart "
                "from the connections and the settings; they are in no export."
            )
        )
        note.setWordWrap(True)
        note.setProperty("role", "secondary")
        fields = QWidget()
        fields.setLayout(self.form)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setWidget(fields)
        buttons = QHBoxLayout()
        for one in (self.test, self.save, self.remove):
            buttons.addWidget(one)
        buttons.addStretch(1)
        right = QVBoxLayout()
        right.addWidget(scroll, 1)
        right.addWidget(self.warning)
        right.addWidget(note)
        right.addLayout(buttons)
        right.addWidget(self.problem)
        left = QVBoxLayout()
        left.addWidget(self.list, 1)
        left.addWidget(self.add)
        page = QWidget()
        row = QHBoxLayout(page)
        row.addLayout(left)
        row.addSpacing(12)
        row.addLayout(right, 1)
        return page

    # ---- what is shown

    def _fill(self, chosen: str) -> None:
        try:
            names = [one.name for one in self.desk.book.connections()]
        except UserFacingError as error:
            names = []
            self.say(str(error), problem=True)
        with QSignalBlocker(self.list):
            self.list.clear()
            self.list.addItems(names)
        if names:
            self.list.setCurrentRow(names.index(chosen) if chosen in names else 0)
            self._show(self.list.currentItem().text())
        else:
            self.new()

    def new(self) -> None:
        """Clear the fields for a connection that is not there yet."""
        with QSignalBlocker(self.list):
            self.list.setCurrentRow(-1)
        self._put_empty()
        self.name.setFocus(Qt.FocusReason.OtherFocusReason)

    def _put_empty(self) -> None:
        blank = Connection(name="-", url="http://-", auth=Auth.PASSWORD)
        self._put(blank)
        self.name.clear()
        self.url.clear()

    def _show(self, name: str) -> None:
        if not name:
            return
        try:
            self._put(self.desk.book.connection(name))
        except UserFacingError as error:
            self.say(str(error), problem=True)
            return
        self.last = name
        self.say("")

    def _put(self, one: Connection) -> None:
        for field, text in (
            (self.name, one.name), (self.url, one.url), (self.user, one.user), (self.ae_title, one.ae_title),
            (self.host, one.host), (self.own_ae_title, one.own_ae_title), (self.secret, ""),
        ):  # fmt: skip
            field.setText(text)
        self.secret.setPlaceholderText(_tr("unchanged") if one.name != "-" else "")
        for choice, value in ((self.kind, one.kind), (self.auth, one.auth), (self.retrieve, one.retrieve)):
            choice.setCurrentIndex(choice.findData(value))
        for box, on in (
            (self.tls, one.tls), (self.check_host, one.check_host), (self.mammography_only, one.mammography_only),
        ):  # fmt: skip
            box.setChecked(on)
        for file, path in ((self.ca, one.ca_file), (self.cert, one.cert_file), (self.key, one.key_file)):
            file.set_text(path)
        self.port.setValue(one.port)
        self.timeout.setValue(one.timeout_s)
        self.parallel.setValue(one.parallel)
        self._fit()

    def _fit(self) -> None:
        """Show the fields that this kind has."""
        web = Kind(self.kind.currentData()) is Kind.DICOMWEB  # Qt hands a plain text back
        auth = Auth(self.auth.currentData())
        encrypted = self.url.text().startswith("https://") if web else self.tls.isChecked()
        for field, shown in (
            (self.url, web), (self.auth, web), (self.user, web and auth is Auth.PASSWORD),
            (self.secret, web and auth is not Auth.NONE), (self.ae_title, not web), (self.host, not web),
            (self.port, not web), (self.own_ae_title, not web), (self.retrieve, not web), (self.tls, not web),
            (self.ca, encrypted), (self.check_host, encrypted), (self.cert, encrypted), (self.key, encrypted),
        ):  # fmt: skip
            self.form.setRowVisible(field, shown)
        open_words = _tr(
            "Not encrypted: images, names and passwords can be read on the way. Use https or TLS."
        )
        self.warning.setText("" if encrypted else open_words)

    def say(self, sentence: str, *, problem: bool = False, good: bool = False) -> None:
        """Show what became of the last step."""
        self.problem.setText(sentence)
        self.problem.setProperty("role", "error" if problem else "ok" if good else "secondary")
        self.problem.style().unpolish(self.problem)
        self.problem.style().polish(self.problem)

    # ---- what is done

    def connection(self) -> Connection:
        """What the fields say; ValueError when it makes no sense."""
        return Connection(
            name=self.name.text().strip(), kind=Kind(self.kind.currentData()), url=self.url.text().strip(),
            auth=Auth(self.auth.currentData()), user=self.user.text().strip(), ae_title=self.ae_title.text().strip(),
            host=self.host.text().strip(), port=self.port.value(), own_ae_title=self.own_ae_title.text().strip(),
            retrieve=Retrieve(self.retrieve.currentData()), tls=self.tls.isChecked(), ca_file=self.ca.text(),
            cert_file=self.cert.text(), key_file=self.key.text(), check_host=self.check_host.isChecked(),
            timeout_s=self.timeout.value(), parallel=self.parallel.value(),
            mammography_only=self.mammography_only.isChecked(),
        )  # fmt: skip

    def _read(self) -> Connection | None:
        try:
            return self.connection()
        except ValueError as error:
            self.say(_tr("The connection was not saved: {0}.").format(error), problem=True)
            return None

    def _secret(self) -> str | None:
        return self.secret.text() or None

    def _save(self) -> None:
        one = self._read()
        if one is None:
            return
        try:
            self.desk.book.keep(one, secret=self._secret())
        except UserFacingError as error:
            self.say(str(error), problem=True)
            return
        self._fill(one.name)
        self.say(_tr("Saved."))

    def _test(self) -> None:
        one = self._read()
        if one is None:
            return
        self.say(_tr("Asking {0} …").format(one.name))
        self.test.setEnabled(False)

        def over(sentence: str, *, good: bool) -> None:
            self.test.setEnabled(True)
            self._fill(one.name)
            self.say(sentence, problem=not good, good=good)

        self.desk.check(
            one, self._secret(), lambda said: over(said, good=True), lambda said: over(said, good=False)
        )

    def _remove(self) -> None:
        row = self.list.currentRow()
        if row < 0:
            return
        try:
            self.desk.book.remove(self.list.item(row).text())
        except UserFacingError as error:
            self.say(str(error), problem=True)
            return
        self._fill("")
