"""The list of models beside a case: one line a model, with its letter, where it stands, and whether its findings are shown.

Draws what it is handed; the words and what a click does are ``app.state.side_by_side``'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app.state.ai_view import RunState
from app.state.side_by_side import ModelRow

_ROLES = {
    RunState.FAILED: "error",
    RunState.STOPPED: "accent",
    RunState.RUNNING: "accent",
}


def _tr(text: str) -> str:
    return QCoreApplication.translate("ai_panel", text)


class ModelRows(QWidget):
    """Made once; shown where several models were asked. ``toggled`` and ``brought`` carry an answer's index."""

    toggled = Signal(int)
    brought = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("aiModels")
        self.lines: list[ModelLine] = []
        self._rows: tuple[ModelRow, ...] = ()
        self._tip = ""
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 2, 0, 4)
        self._layout.setSpacing(3)
        self.hide()

    def set_key(self, key: str) -> None:
        """Name the key that steps through the models in the tooltips."""
        self._tip = _tr("Each model alone, then all together  ({0})").format(key)

    def set_rows(self, rows: Sequence[ModelRow]) -> None:
        """Show these models; empty = one alone was asked, and no list is needed."""
        rows = tuple(rows)
        if rows != self._rows:
            self._rows = rows
            while len(self.lines) > len(rows):
                line = self.lines.pop()
                self._layout.removeWidget(line)
                line.hide()
                line.deleteLater()
            while len(self.lines) < len(rows):
                line = ModelLine()
                line.letter.clicked.connect(lambda _on, one=line: self._on_letter(one))
                line.pressed.connect(lambda one=line: self._on_line(one))
                self.lines.append(line)
                self._layout.addWidget(line)
                line.show()
            for line, row in zip(self.lines, rows, strict=True):
                line.set_row(row, self._tip)
        self.setVisible(bool(rows))

    def _on_letter(self, line: ModelLine) -> None:
        if line.row is not None and line.row.index is not None:
            self.toggled.emit(line.row.index)
            line.letter.setChecked(line.row.shown)

    def _on_line(self, line: ModelLine) -> None:
        if line.row is not None and line.row.index is not None:
            self.brought.emit(line.row.index)


class ModelLine(QFrame):
    """One model: a letter to switch it, its name, and where it stands; the one in front has a bar at its left."""

    pressed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("modelLine")
        self.row: ModelRow | None = None
        self.letter = QToolButton()
        self.letter.setProperty("role", "point")
        self.letter.setCheckable(True)
        self.letter.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.title, self.words = QLabel(""), QLabel("")
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.title.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.words.setWordWrap(True)
        self.words.setObjectName("modelState")
        self.words.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.MinimumExpanding)
        grid = QGridLayout(self)
        grid.setContentsMargins(6, 1, 0, 1)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(0)
        grid.addWidget(self.letter, 0, 0, 2, 1, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(self.title, 0, 1)
        grid.addWidget(self.words, 1, 1)
        grid.setColumnStretch(1, 1)

    def set_row(self, row: ModelRow, tip: str) -> None:
        """Show this model."""
        self.row = row
        answered = row.index is not None
        self.letter.setText(row.letter)
        self.letter.setEnabled(answered)
        self.letter.setChecked(row.shown)
        self.letter.setAccessibleName(_tr("Findings of {0}").format(row.title))
        self.letter.setToolTip(
            _tr("Findings of {0} on the pictures and in the list: on or off").format(row.title)
        )
        self.title.setText(row.title)
        self.words.setText(row.words)
        role = _ROLES.get(row.state, "secondary")
        for part, value in ((self.words, role), (self, "front" if row.front else "")):
            if part.property("role") != value:
                part.setProperty("role", value)
                part.style().unpolish(part)
                part.style().polish(part)
        self.setToolTip(f"{row.title}\n{row.words}\n{tip}")
        self.setCursor(Qt.CursorShape.PointingHandCursor if answered else Qt.CursorShape.ArrowCursor)

    def mousePressEvent(self, event: object) -> None:  # noqa: ARG002 - any button, anywhere on the line
        self.pressed.emit()
