"""What stands on the reading screen between two cases: the truth of a practice case, the break, and what went wrong.

Shows what it is handed and calls back; what may be shown, and when, is decided in ``app.control.reading_after``.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.state.practice_truth import ShownTruth, lesion_words, pathology_words
from app.state.terms import image_term
from resources.vocabulary import Laterality


def _tr(text: str) -> str:
    return QCoreApplication.translate("practice", text)


def _nothing() -> object:
    return None


class TruthPanel(QFrame):
    """The truth of the practice case on screen, in words, and the way to the next case."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("truthPanel")
        self._go_on: Callable[[], object] = _nothing
        heading = QLabel(_tr("TRUTH OF THIS PRACTICE CASE"))
        heading.setProperty("role", "section")
        heading.setWordWrap(True)
        self.words = QLabel("")
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        note = QLabel(_tr("Your answer is locked."))
        note.setProperty("role", "secondary")
        note.setWordWrap(True)
        self.button = QPushButton(_tr("Next case   Enter"))
        self.button.setObjectName("nextCase")
        self.button.setProperty("role", "primary")
        self.button.setToolTip(_tr("Go on to the next case  (Enter or F12)"))
        self.button.clicked.connect(self.enter)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 8, 12, 12)
        layout.setSpacing(8)
        for part in (heading, self.words, note, self.button):
            layout.addWidget(part)
        self.hide()

    def show_truth(self, truth: ShownTruth, go_on: Callable[[], object]) -> None:
        """Say the pathology of each breast, then each lesion with the views it is in."""
        self._go_on = go_on
        names = {Laterality.RIGHT: _tr("Right breast"), Laterality.LEFT: _tr("Left breast")}
        lines = [
            _tr("{0}: {1}").format(names[side], pathology_words(truth.breasts[side]))
            for side in (Laterality.RIGHT, Laterality.LEFT)
            if side in truth.breasts
        ]
        lines += [
            _tr("{0}: {1}").format(image_term(one.image_key), lesion_words(one)) for one in truth.lesions
        ]
        self.words.setText(truth.why_not or "\n".join(lines))
        self.show()

    def enter(self) -> None:
        self._go_on()


class _WaitingPage(QWidget):
    """A sentence in the middle of the screen with buttons under it; the last one goes on, and so does Enter."""

    def __init__(
        self, name: str, button: QPushButton, *others: QPushButton, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._go_on: Callable[[], object] = _nothing
        self.words = QLabel("")
        self.words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.button = button
        button.setProperty("role", "primary")
        button.clicked.connect(self.enter)
        row = QHBoxLayout()
        row.addStretch(1)
        for part in (*others, button):
            row.addWidget(part)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setSpacing(20)
        layout.addStretch(2)
        layout.addWidget(self.words)
        layout.addLayout(row)
        layout.addStretch(3)

    def enter(self) -> None:
        self._go_on()


class BreakPage(_WaitingPage):
    """Offers a break, then waits until the reader goes on; no case is open meanwhile."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self.take = QPushButton(_tr("Take a break   Pause"))
        self.take.setObjectName("takeBreak")
        go_on = QPushButton(_tr("Go on reading   Enter"))
        go_on.setObjectName("goOn")
        super().__init__("breakPage", go_on, self.take, parent=parent)
        self.take.clicked.connect(self.take_break)

    def offer(self, minutes: float, go_on: Callable[[], object]) -> None:
        """Ask whether the reader wants to rest after so many minutes of reading."""
        self._go_on = go_on
        self.words.setText(
            _tr("You have been reading for {0:.0f} minutes. The study suggests a break now.").format(minutes)
        )
        self.take.show()

    def take_break(self) -> None:
        """Rest: the page stays, and no clock of a case runs, until the reader goes on."""
        self.take.hide()
        self.words.setText(_tr("Break. No case is open and no reading time runs. Press Enter to go on."))
        self.button.setFocus(Qt.FocusReason.OtherFocusReason)


class RetryPage(_WaitingPage):
    """Says why the next case does not come, and lets the reader try again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        again = QPushButton(_tr("Try again   Enter"))
        again.setObjectName("tryAgain")
        again.setToolTip(_tr("Open the next case once more  (Enter or F12)"))
        super().__init__("retryPage", again, parent=parent)

    def show_why(self, sentence: str, go_on: Callable[[], object]) -> None:
        self._go_on = go_on
        self.words.setText(sentence)
