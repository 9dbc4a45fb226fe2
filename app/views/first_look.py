"""A blurred first look at an exam that takes long to decode, laid over the empty reading window until the exam hangs.

For exams opened without a study only: in a study the images appear at full resolution or not at all, so that no reader
judges, or is timed on, a blurred picture. It cannot be measured, marked or windowed, and it says what it is.
"""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, Qt, QTimer
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from app.control.browsing import BrowseController
from app.control.reading import CaseView
from app.views import theme
from app.views.qt_tasks import QtTaskRunner
from app.views.reading_view import ReadingView
from app.views.viewport_grid import ViewportGrid

LOOK_EVERY_MS = 50


def _tr(text: str) -> str:
    return QCoreApplication.translate("first_look", text)


def watch_first_looks(reading: ReadingView, runner: QtTaskRunner, browser: BrowseController) -> None:
    """Show a first look over ``reading`` whenever ``browser`` has one of the exam that it is loading."""

    def show(case: CaseView) -> None:
        if runner.is_awaited("load"):
            FirstLook(reading, runner, case)

    browser.on_first_look = show


class FirstLook(QWidget):
    """The views as they are going to hang, with a line that says that they are not sharp; goes when loading ends."""

    def __init__(self, reading: ReadingView, runner: QtTaskRunner, case: CaseView) -> None:
        middle = reading.grid.parentWidget()
        assert middle is not None  # the grid lives in the reading view's stack
        super().__init__(middle)
        self.setObjectName("firstLook")
        self._runner = runner
        self.grid = ViewportGrid(self)
        label = QLabel(_tr("BLURRED FIRST LOOK      loading full resolution …"), self)
        label.setProperty("role", "accent")
        label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.grid)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setGeometry(middle.rect())
        self.show()
        self.raise_()
        # Over the images and not above them: the grid must be as large as the one that follows.
        label.setFixedSize(label.fontMetrics().horizontalAdvance(label.text()) + 32, 28)
        label.setStyleSheet(f"background: {theme.CHROME_RAISED}")
        label.move((self.width() - label.width()) // 2, (self.height() - label.height()) // 2)
        label.show()
        label.raise_()
        images = {image.key: image for image in case.exam.images}
        self.grid.set_stage(case.hanging.stages[0], images, case.pyramids)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._go_when_loaded)
        self._timer.start(LOOK_EVERY_MS)
        reading.painted.connect(self._go)

    def _go_when_loaded(self) -> None:
        """Loaded, failed or left: in each case the first look has had its time."""
        if not self._runner.is_awaited("load"):
            self._go()

    def _go(self) -> None:
        self._timer.stop()
        self.hide()
        self.deleteLater()
