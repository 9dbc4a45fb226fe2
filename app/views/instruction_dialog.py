"""The study's instruction before the first case: shown whole, confirmed by one button or Enter (RS-T2)."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtWidgets import QDialog, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget


def _tr(text: str) -> str:
    return QCoreApplication.translate("instruction", text)


class InstructionDialog(QDialog):
    """Text and one button; Esc does not close it, because the case stays away until it is confirmed."""

    def __init__(self, words: str, confirmed: Callable[[], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("instruction")
        self.setWindowTitle(_tr("Before you begin"))
        heading = QLabel(_tr("Before you begin"))
        heading.setProperty("role", "heading")
        text = QLabel(words)
        text.setWordWrap(True)
        text.setTextFormat(Qt.TextFormat.PlainText)
        text.setAlignment(Qt.AlignmentFlag.AlignTop)
        area = QScrollArea()
        area.setWidget(text)
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        self.button = QPushButton(_tr("I have read this   Enter"))
        self.button.setObjectName("confirmInstruction")
        self.button.setProperty("role", "primary")
        self.button.setDefault(True)
        self.button.clicked.connect(self.accept)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(28, 24, 28, 20)
        layout.setSpacing(16)
        layout.addWidget(heading)
        layout.addWidget(area, 1)
        layout.addWidget(self.button, 0, Qt.AlignmentFlag.AlignRight)
        lines = self.fontMetrics().lineSpacing()
        self.resize(46 * lines, 26 * lines)
        self.accepted.connect(confirmed)
        self.button.setFocus(Qt.FocusReason.OtherFocusReason)

    def event(self, event: QEvent) -> bool:
        if (
            event.type() is QEvent.Type.ShortcutOverride
        ):  # Enter confirms here, not a mark in the window behind
            event.accept()
            return True
        return super().event(event)

    def reject(self) -> None:
        """Esc and the window's close button leave it open."""
