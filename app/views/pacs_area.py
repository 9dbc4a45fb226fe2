"""Joins the PACS screen to the window: who may open it, from where, and where Back leads.

Without a study it opens exams. With a study only a signed-in coordinator gets to it, to import: nobody who reads at the
station finds the study's women by name, so that readers stay blinded.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QObject, Signal
from PySide6.QtWidgets import QDialog, QStackedWidget, QWidget

from app.control.pacs_return import Outcome
from app.views.pacs_send import PacsSend
from app.views.qt_tasks import QtTaskRunner
from app.views.reading_view import ReadingView
from app.workstation import Workstation
from inference.exam.types import Exam
from resources.files import UserFacingError

if TYPE_CHECKING:
    from app.control.pacs import Importer, PacsDesk
    from app.views.pacs_browser import PacsBrowser


def _tr(text: str) -> str:
    return QCoreApplication.translate("pacs_screen", text)


class PacsArea(QObject):
    """The page of the window's stack that belongs to the PACS; made when it is first needed."""

    open_asked = Signal(
        Path, object
    )  # a folder with fetched exams, and the date of the one to be seen at once
    left = Signal()  # back to where it was opened from
    imported = Signal()
    failed = Signal(str)

    def __init__(self, station: Workstation, stack: QStackedWidget) -> None:
        super().__init__(stack)
        self._station, self._stack = station, stack
        self._runner: QtTaskRunner | None = None  # of its own: a server that keeps silent holds nobody up
        self._desk: PacsDesk | None = None
        self.view: PacsBrowser | None = None
        self.came_from: QWidget | None = None

    @property
    def is_offered(self) -> bool:
        """True where anybody may search: a station without a study."""
        return self._station.open_pacs is not None and self._station.study is None

    @property
    def desk(self) -> PacsDesk | None:
        """What the screen works with; None on a station without PACS."""
        if self._desk is None and self._station.open_pacs is not None:
            self._runner = QtTaskRunner(self, threads=4)
            self._desk = self._station.open_pacs(self._runner)
        return self._desk

    def show(self) -> None:
        """Open the screen for looking at exams; says why not on a station with a study."""
        if not self.is_offered:
            self.failed.emit(
                _tr(
                    "On a station with a study only its coordinator searches the PACS, so that readers stay blinded."
                )
            )
            return
        self._open(None)

    def show_for_import(self, importer: Importer) -> None:
        """Open the screen for a signed-in coordinator, who imports and opens nothing."""
        self._open(importer)

    def _open(self, importer: Importer | None) -> None:
        try:
            desk = self.desk
        except UserFacingError as error:
            self.failed.emit(str(error))
            return
        if desk is None:
            return
        if self.view is None:
            from app.views.pacs_browser import PacsBrowser

            self.view = PacsBrowser(desk, lambda: self._station.clock.utc_now()[:10])
            self.view.open_asked.connect(self.open_asked)
            self.view.imported.connect(self.imported)
            self.view.back_asked.connect(self._back)
            self._stack.addWidget(self.view)
        self.came_from = self._stack.currentWidget()
        self._stack.setCurrentWidget(self.view)
        self.view.begin(importer)

    # ---- back to the PACS

    def ask_send(
        self, reading: ReadingView, exam: Exam, root: Path, version: str, show: Callable[[QDialog], None]
    ) -> None:
        """Ask what of the exam on screen goes to which PACS, and send it."""
        if not self.is_offered:
            reading.show_message(
                _tr(
                    "On a station with a study only its coordinator searches the PACS, so that readers stay blinded."
                )
            )
            return
        try:
            desk = self.desk
            names = [one.name for one in desk.book.connections()] if desk is not None else []
        except UserFacingError as error:
            reading.show_message(str(error))
            return
        if desk is None or not names:
            reading.show_message(_tr("No PACS is connected yet; add one under Search the PACS, Connections."))
            return
        has_ai = reading.ai.result is not None or reading.ai.failure is not None
        keys, shown = reading.objects.key_images(), reading.objects.displays()
        dialog = PacsSend(
            names, {"ai": int(has_ai), "display": len(shown), "keys": len(keys)}, reading.window()
        )

        def send(name: str, parts: set[str]) -> None:
            outcome = Outcome(
                exam=exam, root=root, version=version, threshold=reading.threshold,
                ai=reading.ai if "ai" in parts else None,
                shown=tuple(shown) if "display" in parts else (),
                keys=tuple(keys) if "keys" in parts else (),
                created=datetime.fromisoformat(self._station.clock.utc_now()).astimezone().replace(tzinfo=None),
            )  # fmt: skip
            reading.show_message(_tr("Sending to {0} …").format(name))
            desk.give_back(name, outcome, reading.show_message)

        dialog.asked.connect(send)
        show(dialog)

    def _back(self) -> None:
        self.forget()
        if self.came_from is not None:
            self._stack.setCurrentWidget(self.came_from)
        self.left.emit()

    def forget(self) -> None:
        """Leave no name on the screen, as when somebody signs out."""
        if self.view is not None:
            self.view.forget()

    def close(self) -> None:
        """The window goes: downloads stop and are taken up at the next start."""
        if self._desk is not None:
            self._stack.window().hide()  # a server that keeps silent may hold us up for a while
            self._desk.close()
        if self._runner is not None:
            self._runner.close()
