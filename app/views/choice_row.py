"""A row of exclusive buttons for one question of the form: click, arrow keys, or type the answer's first letters."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget


def _signs(label: str) -> int:
    """How wide a label is, in Latin letters; a Chinese sign counts twice."""
    return sum(2 if ord(sign) >= 0x2E80 else 1 for sign in label)


class ChoiceRow(QWidget):
    """One question; ``value`` is None until answered. A problem is a sentence under the buttons."""

    changed = Signal()

    def __init__(
        self, field: str, title: str, choices: Sequence[tuple[str, str]], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.field = field
        self.setObjectName(f"field-{field}")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(title)
        self._title = QLabel(title)
        self._title.setProperty("role", "secondary")
        self._problem = QLabel("")
        self._problem.setProperty("role", "error")
        self._problem.setWordWrap(True)
        self._problem.hide()
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
        self._values: list[str] = []
        buttons = QHBoxLayout()
        buttons.setSpacing(2)
        for index, (value, label) in enumerate(choices):
            button = QPushButton(label)
            button.setProperty("role", "choice")
            button.setCheckable(True)
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.setToolTip(f"{title}: {label}")
            self._group.addButton(button, index)
            self._values.append(value)
            buttons.addWidget(button, max(2, _signs(label)))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(2)
        layout.addWidget(self._title)
        layout.addLayout(buttons)
        layout.addWidget(self._problem)
        self._typed = ""
        self._group.idClicked.connect(self._on_click)

    def value(self) -> str | None:
        index = self._group.checkedId()
        return self._values[index] if index >= 0 else None

    def set_value(self, value: str | None) -> None:
        """Set without emitting ``changed``."""
        self._group.setExclusive(False)
        for button in self._group.buttons():
            button.setChecked(False)
        self._group.setExclusive(True)
        if value in self._values:
            self._group.button(self._values.index(value)).setChecked(True)
        self.set_problem("")

    def show_choice(self, value: str, shown: bool) -> None:
        """Offer one answer or take it away; what is taken away is not chosen any more."""
        index = self._values.index(value)
        if not shown and self.value() == value:
            self.set_value(None)
        self._group.button(index).setVisible(shown)

    def set_problem(self, sentence: str) -> None:
        self._problem.setText(sentence)
        self._problem.setVisible(bool(sentence))
        self.setProperty("problem", bool(sentence))
        self.style().unpolish(self)
        self.style().polish(self)

    def _on_click(self, _index: int) -> None:
        self.set_problem("")
        self.changed.emit()

    def _choose(self, index: int) -> None:
        self._group.button(index).setChecked(True)
        self._on_click(index)

    def event(self, event: QEvent) -> bool:
        # Letters, digits and arrows are answers while a question has the focus, not commands of the viewer.
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            plain = not event.modifiers() & Qt.KeyboardModifier.ControlModifier
            arrow = event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right)
            if arrow or (plain and event.text().isalnum() and self._matches(event.text())):
                event.accept()
                return True
        return super().event(event)

    def _matches(self, text: str) -> bool:
        typed = (self._typed + text.upper(), text.upper())
        return any(self._values[i].upper().startswith(typed) for i in self._offered())

    def _offered(self) -> list[int]:
        return [i for i in range(len(self._values)) if not self._group.button(i).isHidden()]

    def keyPressEvent(self, event: QKeyEvent) -> None:
        index = self._group.checkedId()
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            step = 1 if event.key() == Qt.Key.Key_Right else -1
            offered = self._offered()
            place = max(0, min(len(offered) - 1, offered.index(index) + step)) if index in offered else 0
            self._choose(offered[place])
            return
        text = event.text().upper()
        if text and text.isalnum() and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            # "4" then "B" chooses 4B: a longer typed text wins while it still matches something.
            for typed in (self._typed + text, text):
                found = [i for i in self._offered() if self._values[i].upper().startswith(typed)]
                if found:
                    self._typed = typed
                    self._choose(found[0])
                    return
        super().keyPressEvent(event)
