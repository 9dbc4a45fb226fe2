"""What every page of the coordinator's area has: a title, a sentence when something failed, and long work with a cancel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QCoreApplication, QElapsedTimer, Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.control.coordinating import Coordinating
from app.control.tasks import TaskRunner, Work
from app.control.told import told
from resources.files import UserFacingError


def _tr(text: str) -> str:
    return QCoreApplication.translate("coordinator", text)


def quiet(text: str) -> QLabel:
    """A line of secondary text that wraps."""
    label = QLabel(text)
    label.setProperty("role", "secondary")
    label.setWordWrap(True)
    return label


def section(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("role", "section")
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
    return label


def button(text: str, action: Callable[[], object], *, role: str = "", tip: str = "") -> QPushButton:
    made = QPushButton(text)
    made.setAutoDefault(True)  # Enter presses it where it has the focus
    if role:
        made.setProperty("role", role)
    made.setToolTip(tip)
    made.clicked.connect(lambda _checked: action())
    return made


def session_word(period: object) -> object:
    """A session's number, and a word where it is the practice."""
    return _tr("practice") if period == 0 else period


def row_of(*parts: QWidget, stretch: bool = True) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(8)
    for part in parts:
        row.addWidget(part)
    if stretch:
        row.addStretch(1)
    return row


def password_field(hint: str) -> QLineEdit:
    field = QLineEdit()
    field.setEchoMode(QLineEdit.EchoMode.Password)
    field.setPlaceholderText(hint)
    return field


class TaskBar(QWidget):
    """What is being done, how far, for how long, and a button that stops it."""

    stopped = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.what = QLabel("")
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setFixedWidth(240)
        self.bar.setFixedHeight(8)
        self.bar.setTextVisible(False)
        self.cancel = button(_tr("Cancel"), self.stopped.emit)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.bar, self.what, self.cancel):
            layout.addWidget(part)
        layout.addStretch(1)
        self._clock = QElapsedTimer()
        self._tick = QTimer(self)
        self._tick.setInterval(1000)
        self._tick.timeout.connect(self._say)
        self._title, self._words = "", ""
        self.hide()

    def begin(self, title: str) -> None:
        self._title, self._words = title, ""
        self.bar.setValue(0)
        self._clock.start()
        self._tick.start()
        self._say()
        self.show()

    def go_on(self, fraction: float, words: str) -> None:
        self.bar.setValue(round(1000 * fraction))
        self._words = words
        self._say()

    def end(self) -> None:
        self._tick.stop()
        self.hide()

    def _say(self) -> None:
        seconds = self._clock.elapsed() // 1000
        self.what.setText(_tr("{0}: {1}   {2} s").format(self._title, self._words or "…", seconds))


class Page(QWidget):
    """One page; ``show_study`` fills it from the controller, ``run`` does long work."""

    changed = Signal()  # the study is another now; every page shows it anew

    def __init__(self, title: str, runner: TaskRunner, key: str) -> None:
        super().__init__()
        self.title, self._runner, self._key = title, runner, key
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # an empty page can hold the focus and its keys
        self.work: Coordinating | None = None
        self.waiting: tuple[QWidget, ...] = ()  # what must not be pressed while long work goes on
        self._held: tuple[QWidget, ...] = ()
        self._sitting = 0  # counts who was here, so that an answer to somebody else is not shown
        self._came_from: QWidget | None = None
        self.heading = QLabel(title)
        self.heading.setProperty("role", "heading")
        self.said = QLabel("")
        self.said.setWordWrap(True)
        self.said.hide()
        self.task = TaskBar()
        self.task.stopped.connect(self.stop)
        self.body = QVBoxLayout()
        self.body.setSpacing(10)
        self.head = QHBoxLayout()
        self.head.addWidget(self.heading)
        self.head.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 18, 24, 18)
        layout.setSpacing(10)
        layout.addLayout(self.head)
        layout.addWidget(self.said)
        layout.addWidget(self.task)
        layout.addLayout(self.body, 1)

    @property
    def first(self) -> QWidget:
        """What takes the focus when the page is opened."""
        return self

    def open(self, work: Coordinating) -> None:
        """Show the study; a refusal is a sentence, never an empty page without a word."""
        self.work = work
        self.tell("")
        try:
            self.show_study(work)
        except UserFacingError as error:
            self.fail(error)

    def show_study(self, work: Coordinating) -> None:
        """Fill the page."""
        raise NotImplementedError

    def forget(self) -> None:
        """Leave nothing of the study on the page; long work goes on unseen, and what it answers is dropped."""
        self._sitting += 1
        self._end()
        self.work = None
        self.tell("")

    def tell(self, sentence: str, *, role: str = "ok") -> None:
        self.said.setProperty("role", role)
        self.said.setText(sentence)
        self.said.style().polish(self.said)
        self.said.setVisible(bool(sentence))

    def fail(self, error: Exception) -> None:
        if not isinstance(error, UserFacingError):
            raise error
        self.tell(told(str(error)), role="error")

    def attempt(self, step: Callable[[Coordinating], object], done: str = "") -> bool:
        """Do a short step and show every page anew; a refusal is said. True when it was done."""
        if self.work is None:
            return False
        try:
            step(self.work)
        except UserFacingError as error:
            self.fail(error)
            return False
        self.changed.emit()
        self.tell(done)
        return True

    def run(self, title: str, work: Work, done: Callable[[Any], None]) -> None:
        """Do long work beside the window."""

        sitting = self._sitting

        def finished(answer: Any) -> None:
            if self._sitting != sitting:
                return
            self._end()
            done(answer)

        def failed(error: Exception) -> None:
            if self._sitting != sitting:
                return
            self._end()
            self.fail(error)

        self.tell("")
        self._came_from = self.focusWidget()
        self._held = tuple(tool for tool in self.waiting if tool.isEnabled())
        for tool in self._held:
            tool.setEnabled(False)
        self.task.begin(title)

        def told(fraction: float, words: str) -> None:
            if self._sitting == sitting:
                self.task.go_on(fraction, words)

        self._runner.submit(self._key, work, finished, failed, told)

    def _end(self) -> None:
        self.task.end()
        for tool in self._held:
            tool.setEnabled(True)
        if self._came_from in self._held and self.isVisible():
            self._came_from.setFocus(Qt.FocusReason.OtherFocusReason)
        self._held, self._came_from = (), None

    def stop(self) -> None:
        """Stop the long work; what it has done stays done."""
        if self.task.isVisible() or self.task._tick.isActive():
            self._runner.cancel(self._key)
            self._end()
            self.tell(_tr("Cancelled; what was done stays."), role="secondary")
