"""What the PACS screen shows before the first connection: what to ask the administrator for, and a button."""

from __future__ import annotations

import socket

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QVBoxLayout, QWidget

_WIDE_PX, _EDGE_PX = 680, 28


def _tr(text: str) -> str:
    return QCoreApplication.translate("pacs_screen", text)


class EmptyPacs(QWidget):
    """Three steps from nothing to the first exam."""

    add_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        card = QFrame()
        card.setProperty("role", "card")
        card.setFixedWidth(_WIDE_PX)
        title = QLabel(_tr("No PACS is connected yet"))
        title.setObjectName("cardTitle")
        self._problem = QLabel("")
        self._problem.setProperty("role", "error")
        self._problem.setWordWrap(True)
        self._problem.hide()
        self.add = add = QPushButton(_tr("Add a connection …"))
        add.setProperty("role", "primary")
        add.setAutoDefault(True)
        add.clicked.connect(lambda _checked: self.add_asked.emit())
        inside = QVBoxLayout(card)
        inside.setContentsMargins(_EDGE_PX, 24, _EDGE_PX, 24)
        inside.setSpacing(12)
        inside.addWidget(title)
        for words in self._steps():
            line = QLabel(words)
            line.setWordWrap(True)
            line.setProperty("role", "secondary")
            line.ensurePolished()
            line.setMinimumHeight(line.heightForWidth(_WIDE_PX - 2 * _EDGE_PX))
            inside.addWidget(line)
        inside.addWidget(self._problem)
        inside.addSpacing(6)
        inside.addWidget(add, 0, Qt.AlignmentFlag.AlignLeft)
        layout = QVBoxLayout(self)
        layout.addStretch(2)
        layout.addWidget(card, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(3)

    @staticmethod
    def _steps() -> tuple[str, ...]:
        return (
            _tr(
                "1.  Ask the administrator of your PACS for a DICOMweb address with user and password, or for an AE "
                "title, host and port (DIMSE)."
            ),
            _tr(
                "2.  For DIMSE the administrator enters this station: AE title NEGATOSCOPE, host {0}, port 11112."
            ).format(socket.gethostname()),
            _tr("3.  Add the connection, press Test, then search. Fetched images stay on this station."),
            _tr("Research use only. Images fetched here bear names; a study gets them de-identified."),
        )

    def show_problem(self, sentence: str) -> None:
        """Say why there are no connections, where there should be some."""
        self._problem.setText(sentence)
        self._problem.show()
