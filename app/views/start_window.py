"""The first window: painted before the program behind it is imported, alive while that and the study get ready.

Owns the time from the start to the main window. It must import nothing but QtWidgets and the sign-in page; a test
holds it to that. What is being made ready is decided by its caller.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import QCoreApplication, QEventLoop, Qt, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QApplication, QLabel, QMainWindow, QWidget

from app.language import language_setting
from app.views.collector import WindowThreadCollector
from app.views.sign_in import SignInView
from app.views.theme import font, stylesheet
from app.views.translator import speak

SIZE_PX = (1600, 1000)

T = TypeVar("T")
_open: list[StartWindow] = []


def _tr(text: str) -> str:
    return QCoreApplication.translate("start", text)


def application() -> QApplication:
    """Return the one QApplication, made and dressed on the first call."""
    there = QApplication.instance()
    if isinstance(there, QApplication) and there.styleSheet():
        return there
    qt = there if isinstance(there, QApplication) else QApplication(sys.argv[:1])
    qt.setApplicationName("negatoscope")
    speak(qt, language_setting())
    qt.setFont(font())
    qt.setStyleSheet(stylesheet())
    WindowThreadCollector(qt)
    return qt


def open_first(*, sign_in: bool) -> StartWindow:
    """Show the first window and return when it is painted; a second call returns the same window.

    Parameters
    ----------
    sign_in : show the sign-in page, which can be typed into at once; else only what is being loaded
    """
    if not _open:
        qt = application()
        window = StartWindow(sign_in=sign_in)
        _open.append(window)
        window.showMaximized()
        qt.processEvents()
    return _open[0]


class StartWindow(QMainWindow):
    """Sign-in page whose button waits, or a line of text; both say what is being made ready."""

    _ready = Signal()
    _said = Signal(str)

    def __init__(self, *, sign_in: bool) -> None:
        super().__init__()
        self.setWindowTitle(QCoreApplication.translate("main", "Negatoscope – research use only"))
        self.resize(*SIZE_PX)
        self._loop: QEventLoop | None = None
        self._on_close: Callable[[], None] | None = None
        self._closed = False
        self.page = SignInView() if sign_in else None
        self._line = QLabel("")
        self._line.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setCentralWidget(self.page or self._line)
        if self.page is not None:
            self.page.reader.setFocus(Qt.FocusReason.OtherFocusReason)
        self._said.connect(self._say)
        self._ready.connect(self._on_ready, Qt.ConnectionType.QueuedConnection)
        self._say(_tr("Starting …"))

    def show_page(self, page: QWidget | None, closed: Callable[[], None] | None) -> None:
        """Show a page in place of the line of text, or the line again; ``closed`` is told when the window goes."""
        self._on_close = closed
        self.takeCentralWidget()  # both pages live on: this one is shown again
        self.setCentralWidget(page or self.page or self._line)

    def say(self, text: str) -> None:
        """Tell what is being made ready; from any thread."""
        self._said.emit(text)

    def _say(self, text: str) -> None:
        if self.page is not None:
            self.page.set_busy(text)
        self._line.setText(text)

    def beside(self, work: Callable[[], T]) -> T:
        """Do ``work`` in a thread while this window stays alive; return its answer or raise its error."""
        answers: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                answers.append(work())
            except BaseException as error:  # noqa: BLE001 - raised again on the main thread
                errors.append(error)
            self._ready.emit()

        thread = threading.Thread(target=run, name="start", daemon=True)
        self._loop = QEventLoop()
        thread.start()
        self._loop.exec()
        self._loop = None
        if self._closed:
            # The reader closed the window: no session is open yet, and unwinding half-made imports can crash.
            os._exit(0)
        thread.join()
        if errors:
            raise errors[0]
        return answers[0]

    def _on_ready(self) -> None:
        if self._loop is not None:
            self._loop.quit()

    def hand_over(self, window: QWidget, page: SignInView) -> None:
        """Show ``window`` in this one's place, with what was already typed, and go."""
        QCoreApplication.processEvents()  # making the window took a while: keys typed meanwhile arrive first
        window.setGeometry(self.geometry())
        window.setWindowState(self.windowState())
        if self.page is not None:
            page.take_over(self.page)
        window.show()
        QCoreApplication.processEvents()
        if self in _open:
            _open.remove(self)
        self.hide()
        self.deleteLater()

    def closeEvent(self, event: QCloseEvent) -> None:
        self._closed = True
        if self._on_close is not None:
            self._on_close()
        if self._loop is not None:
            self._loop.quit()
        super().closeEvent(event)
