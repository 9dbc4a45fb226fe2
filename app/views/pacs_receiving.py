"""The page of our own storage service: what it is called, whom it takes images from, and its limits."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.control.pacs import PacsDesk
from app.views.pem_field import FileField
from inference.exam.pacs.connections import ListenerSettings
from resources.files import UserFacingError


def _tr(text: str) -> str:
    return QCoreApplication.translate("pacs_screen", text)


def peers_of(text: str) -> dict[str, tuple[str, ...]]:
    """Read senders, one a line: AE title, then the addresses it may come from (none = any)."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    return {words[0]: tuple(words[1:]) for words in lines}


class ReceivingPage(QWidget):
    """Settings of receiving; used by C-MOVE too."""

    def __init__(self, desk: PacsDesk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.desk = desk
        self._kept = ListenerSettings()
        self.ae_title, self.host, self.peers = QLineEdit(), QLineEdit(), QPlainTextEdit()
        self.peers.setPlaceholderText(_tr("MAMMO1 10.20.0.11"))
        self.peers.setFixedHeight(110)
        self.port, self.megabytes, self.at_once, self.per_minute = (
            QSpinBox(),
            QSpinBox(),
            QSpinBox(),
            QSpinBox(),
        )
        for box, low, high in (
            (self.port, 0, 65535), (self.megabytes, 1, 16_384), (self.at_once, 1, 64), (self.per_minute, 1, 6000),
        ):  # fmt: skip
            box.setRange(low, high)
        self.quota = QDoubleSpinBox()
        self.quota.setRange(0.1, 100_000)
        self.quota.setDecimals(1)
        self.mammography_only = QCheckBox(_tr("Mammography only"))
        self.cert = FileField(_tr("Our certificate (PEM): given, senders must speak TLS"))
        self.key = FileField(_tr("Key of our certificate (PEM, without password)"))
        self.ca = FileField(_tr("Authority of the senders' certificates (PEM): given, each must show one"))
        save = QPushButton(_tr("Save"))
        save.setAutoDefault(False)
        save.clicked.connect(lambda _checked: self.save())
        self.problem = QLabel("")
        self.problem.setWordWrap(True)
        form = QFormLayout()
        for words, field in (
            (_tr("Our AE title"), self.ae_title), (_tr("Listen at address"), self.host), (_tr("Port"), self.port),
            (_tr("Senders"), self.peers), (_tr("Largest object, MB"), self.megabytes),
            (_tr("Connections at once"), self.at_once), (_tr("Connections of one address a minute"), self.per_minute),
            (_tr("Room for all fetched images, GB"), self.quota), ("", self.mammography_only),
            (_tr("Our certificate"), self.cert), (_tr("Its key"), self.key), (_tr("Authority"), self.ca),
        ):  # fmt: skip
            form.addRow(words, field)
        layout = QVBoxLayout(self)
        for words in (
            _tr("A modality or PACS can push images to this station, and C-MOVE delivers here."),
            _tr("Senders: one a line, AE title and the addresses it may come from; others are refused."),
            _tr("127.0.0.1 = this computer only; 0.0.0.0 = the whole network."),
        ):
            line = QLabel(words)
            line.setWordWrap(True)
            line.setProperty("role", "secondary")
            layout.addWidget(line)
        layout.addLayout(form)
        layout.addWidget(save, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self.problem)
        layout.addStretch(1)
        self.show_kept()

    def show_kept(self) -> None:
        """Show what is kept."""
        try:
            self._kept = self.desk.listener_settings
        except UserFacingError as error:
            self.say(str(error), problem=True)
        kept = self._kept
        self.ae_title.setText(kept.ae_title)
        self.host.setText(kept.host)
        self.port.setValue(kept.port)
        self.peers.setPlainText("\n".join(" ".join((name, *at)) for name, at in (kept.peers or {}).items()))
        self.megabytes.setValue(kept.max_object_mb)
        self.at_once.setValue(kept.max_associations)
        self.per_minute.setValue(kept.per_minute)
        self.quota.setValue(kept.quota_gb)
        self.mammography_only.setChecked(kept.mammography_only)
        for field, path in ((self.cert, kept.cert_file), (self.key, kept.key_file), (self.ca, kept.ca_file)):
            field.set_text(path)

    def save(self) -> None:
        """Keep what the fields say."""
        try:
            settings = replace(
                self._kept, ae_title=self.ae_title.text().strip(), host=self.host.text().strip(),
                port=self.port.value(), peers=peers_of(self.peers.toPlainText()),
                max_object_mb=self.megabytes.value(), max_associations=self.at_once.value(),
                per_minute=self.per_minute.value(), quota_gb=self.quota.value(),
                mammography_only=self.mammography_only.isChecked(),
                cert_file=self.cert.text(), key_file=self.key.text(), ca_file=self.ca.text(),
            )  # fmt: skip
            self.desk.keep_listener(settings)
        except ValueError as error:
            self.say(_tr("Receiving was not saved: {0}.").format(error), problem=True)
        except UserFacingError as error:
            self.say(str(error), problem=True)
        else:
            self._kept = settings
            self.say(_tr("Saved."))

    def say(self, sentence: str, *, problem: bool = False) -> None:
        """Show what became of the last step."""
        self.problem.setText(sentence)
        self.problem.setProperty("role", "error" if problem else "secondary")
        self.problem.style().unpolish(self.problem)
        self.problem.style().polish(self.problem)
