"""Asks what of the exam on screen goes to which PACS. Shows and emits."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)


def _tr(text: str) -> str:
    return QCoreApplication.translate("pacs_screen", text)


class PacsSend(QDialog):
    """A connection and three boxes; what there is none of cannot be chosen."""

    asked = Signal(str, set)  # connection, of {"ai", "display", "keys"}

    def __init__(
        self, connections: Sequence[str], available: dict[str, int], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(_tr("Send to the PACS"))
        self.connection = QComboBox()
        self.connection.addItems(list(connections))
        words = {
            "ai": _tr("AI result as CAD report, with heat maps"),
            "display": _tr("Images as shown now (presentation states): {0}"),
            "keys": _tr("Key images: {0}"),
        }
        self.boxes: dict[str, QCheckBox] = {}
        form = QFormLayout()
        form.addRow(_tr("To"), self.connection)
        for part, count in available.items():
            box = QCheckBox(words[part].format(count))
            box.setEnabled(count > 0)
            box.setChecked(count > 0)
            self.boxes[part] = box
            form.addRow("", box)
        note = QLabel(
            _tr(
                "Research results: marked so in every object. Send to a research archive, not to a clinical one."
            )
        )
        note.setProperty("role", "secondary")
        note.setWordWrap(True)
        buttons = QDialogButtonBox()
        self.send = buttons.addButton(_tr("Send"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.send.setProperty("role", "primary")
        buttons.addButton(_tr("Cancel"), QDialogButtonBox.ButtonRole.RejectRole)
        buttons.accepted.connect(self._accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(note)
        layout.addWidget(buttons)
        self.setMinimumWidth(520)

    def _accept(self) -> None:
        parts = {part for part, box in self.boxes.items() if box.isChecked()}
        if parts:
            self.asked.emit(self.connection.currentText(), parts)
        self.accept()
