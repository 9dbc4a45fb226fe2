"""The small window that asks what goes into a picture of the view: one view or the step, words, marks, AI."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QCheckBox, QDialog, QDialogButtonBox, QLabel, QRadioButton, QVBoxLayout, QWidget

from app.views.view_export import PictureContent


def _tr(words: str) -> str:
    return QCoreApplication.translate("export", words)


class ExportDialog(QDialog):
    """Enter accepts, Esc closes; ``content`` and ``whole_step`` are the answers."""

    def __init__(self, parent: QWidget, *, ai_on_screen: bool) -> None:
        super().__init__(parent)
        self.setObjectName("exportDialog")
        self.setWindowTitle(_tr("Picture of the view (PNG)"))
        self.one = QRadioButton(_tr("the active &view"))
        self.step = QRadioButton(_tr("the whole &step"))
        self.one.setChecked(True)
        self.labels = QCheckBox(_tr("view &label, flags, orientation, scale"))
        self.marks = QCheckBox(_tr("&measurements and marks, with the text that was typed"))
        self.ai = QCheckBox(_tr("&AI and CAD as they are on screen"))
        self.labels.setChecked(True)
        self.marks.setChecked(True)
        self.ai.setVisible(ai_on_screen)
        note = QLabel(
            _tr(
                "Never in the picture: name, id, dates, place. Always in it: RESEARCH USE ONLY.\n"
                "Greys are P-values, without the calibration of this monitor."
            )
        )
        note.setProperty("role", "secondary")
        buttons = QDialogButtonBox()
        save = buttons.addButton(_tr("Choose folder …   Enter"), QDialogButtonBox.ButtonRole.AcceptRole)
        save.setDefault(True)
        buttons.addButton(_tr("Cancel   Esc"), QDialogButtonBox.ButtonRole.RejectRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(28, 24, 28, 20)
        layout.setSpacing(8)
        for part in (self.one, self.step, self.labels, self.marks, self.ai, note, buttons):
            layout.addWidget(part)

    def content(self) -> PictureContent:
        """What goes into the picture."""
        return PictureContent(
            labels=self.labels.isChecked(),
            marks=self.marks.isChecked(),
            ai=not self.ai.isHidden() and self.ai.isChecked(),
        )

    def whole_step(self) -> bool:
        """All views of the step in one picture."""
        return self.step.isChecked()
