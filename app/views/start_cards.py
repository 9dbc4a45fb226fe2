"""The first start: three cards, each one key away. What is chosen is done by the caller.

Imports nothing but QtWidgets and the first window, like that window itself.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEventLoop, Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.views.start_window import open_first


def _tr(text: str) -> str:
    return QCoreApplication.translate("start", text)


class Choice(Enum):
    """What a person can begin with."""

    DEMO = auto()
    STUDY = auto()
    EXAMS = auto()
    PACS = auto()


class StartCards(QWidget):
    """Three cards; Enter or 1, 2, 3 chooses, arrows and Tab move."""

    chosen = Signal(object, object)  # Choice, Path or None

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        title = QLabel(_tr("What would you like to do?"))
        title.setObjectName("bigTitle")
        title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        note = QLabel(_tr("Research use only. Not for diagnosis."))
        note.setProperty("role", "secondary")
        note.setAlignment(Qt.AlignmentFlag.AlignCenter)
        row = QHBoxLayout()
        row.setSpacing(20)
        row.addStretch(1)
        self.buttons: list[QPushButton] = []
        for key, (words, more, verb, action) in enumerate(self._cards(), start=1):
            row.addWidget(self._card(key, words, more, verb, action))
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.addStretch(2)
        layout.addWidget(title)
        layout.addSpacing(24)
        layout.addLayout(row)
        layout.addSpacing(24)
        layout.addWidget(self._pacs(), 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addSpacing(12)
        layout.addWidget(note)
        layout.addStretch(3)

    def _pacs(self) -> QPushButton:
        """A quieter way, for stations that a PACS is connected to or will be."""
        self.pacs = QPushButton(_tr("Search the PACS …   4"))
        self.pacs.setProperty("role", "quiet")
        self.pacs.setAutoDefault(True)
        self.pacs.clicked.connect(lambda _checked: self.chosen.emit(Choice.PACS, None))
        shortcut = QShortcut(QKeySequence("4"), self)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(self.pacs.click)
        return self.pacs

    def _cards(self) -> tuple[tuple[str, str, str, Callable[[], None]], ...]:
        return (
            (
                _tr("Read the demo study"),
                _tr(
                    "Film exams and phantoms, with and without AI, as a reader meets them. Ready in a minute."
                ),
                _tr("Read"),
                lambda: self.chosen.emit(Choice.DEMO, None),
            ),
            (
                _tr("Start a study"),
                _tr(
                    "Design, cases, readers, allocation, monitor, lock, export. Also opens a study that is there."
                ),
                _tr("Start …"),
                self._ask_database,
            ),
            (
                _tr("Open exams"),
                _tr("Look at a folder of mammograms without a study: hanging, tools, AI on request."),
                _tr("Open …"),
                self._ask_exams,
            ),
        )

    def _card(self, key: int, words: str, more: str, verb: str, action: Callable[[], None]) -> QFrame:
        card = QFrame()
        card.setProperty("role", "card")
        card.setFixedSize(330, 220)
        title = QLabel(words)
        title.setObjectName("cardTitle")
        text = QLabel(more)
        text.setProperty("role", "secondary")
        text.setWordWrap(True)
        button = QPushButton(f"{verb}   {key}")
        button.setAutoDefault(True)
        button.setProperty("role", "primary" if key == 1 else "")
        button.setAccessibleName(words)
        button.clicked.connect(lambda _checked: action())
        shortcut = QShortcut(QKeySequence(str(key)), self)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(action)
        layout = QVBoxLayout(card)
        layout.setContentsMargins(22, 20, 22, 18)
        layout.setSpacing(10)
        for part in (title, text):
            layout.addWidget(part)
        layout.addStretch(1)
        layout.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
        self.buttons.append(button)
        return card

    def _ask_database(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self,
            _tr("Study database, new or there already"),
            "study.sqlite",
            "SQLite (*.sqlite)",
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if name:
            self.chosen.emit(Choice.STUDY, Path(name))

    def _ask_exams(self) -> None:
        name = QFileDialog.getExistingDirectory(self, _tr("Folder with exams"))
        if name:
            self.chosen.emit(Choice.EXAMS, Path(name))


def ask() -> tuple[Choice, Path | None] | None:
    """Show the cards in the first window and return the choice; None when the window was closed."""
    window = open_first(sign_in=False)
    cards, loop = StartCards(), QEventLoop()
    answers: list[tuple[Choice, Path | None]] = []

    def take(choice: Choice, path: Path | None) -> None:
        answers.append((choice, path))
        loop.quit()

    cards.chosen.connect(take)
    window.show_page(cards, loop.quit)
    cards.buttons[0].setFocus(Qt.FocusReason.OtherFocusReason)
    loop.exec()
    window.show_page(None, None)
    return answers[0] if answers else None
