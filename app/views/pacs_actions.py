"""The row of what can be done with the chosen studies on the PACS screen. Emits; does nothing itself."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QProgressBar, QPushButton, QWidget


def _tr(text: str) -> str:
    return QCoreApplication.translate("pacs_screen", text)


class PacsActions(QWidget):
    """Fetch, open, or import; what comes along; and how far an import is."""

    fetch_asked = Signal()
    open_asked = Signal()
    import_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.fetch = self._button(
            _tr("Fetch"), self.fetch_asked.emit, _tr("Fetch the chosen studies  (Ctrl+G)")
        )
        self.open = self._button(_tr("Fetch and open"), self.open_asked.emit, _tr("Enter in the table"))
        self.bring = self._button(
            _tr("Import into the study (de-identified)"), self.import_asked.emit,
            _tr("Fetched, de-identified, checked; copies with names are deleted afterwards"),
        )  # fmt: skip
        self.earlier = QCheckBox(_tr("With her earlier mammograms"))
        self.earlier.setChecked(True)
        self.objects = QCheckBox(_tr("With CAD reports and saved displays"))
        self.import_bar = QProgressBar()
        self.import_bar.setFixedSize(220, 14)
        self.import_bar.hide()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for part in (self.open, self.fetch, self.earlier, self.objects):
            row.addWidget(part)
        row.addStretch(1)
        row.addWidget(self.import_bar)
        row.addWidget(self.bring)

    @staticmethod
    def _button(words: str, action: Callable[[], object], hint: str) -> QPushButton:
        made = QPushButton(words)
        made.setAutoDefault(True)
        made.setToolTip(hint)
        made.clicked.connect(lambda _checked: action())
        return made

    def show_chosen(self, count: int) -> None:
        """Enable what fits the number of chosen studies."""
        for button in (self.fetch, self.bring):
            button.setEnabled(count > 0)
        self.open.setEnabled(count == 1)

    def show_progress(self, fraction: float | None) -> None:
        """Show how far an import is, 0..1; None = there is none."""
        self.import_bar.setVisible(fraction is not None)
        self.import_bar.setValue(round(100 * (fraction or 0.0)))
