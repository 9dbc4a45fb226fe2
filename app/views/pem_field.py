"""A field for a certificate or key: its path, and a button that chooses the file. Nothing is read here."""

from __future__ import annotations

from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget


class FileField(QWidget):
    """A file's path with a button that chooses it."""

    def __init__(self, hint: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.path = QLineEdit()
        self.path.setPlaceholderText(hint)
        self.path.setToolTip(hint)
        choose = QPushButton("…")
        choose.setFixedWidth(36)
        choose.setAccessibleName(hint)
        choose.clicked.connect(self._choose)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.path, 1)
        row.addWidget(choose)

    def _choose(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, self.path.toolTip(), self.path.text(), "PEM (*)")
        if name:
            self.path.setText(name)

    def text(self) -> str:
        return self.path.text().strip()

    def set_text(self, text: str) -> None:
        self.path.setText(text)
