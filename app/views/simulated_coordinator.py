"""A coordinator's work on a running study through the real windows, unseen: monitor, override, lock, export, audit.

Types and clicks what she would and keeps a picture of each page; the study itself is somebody else's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit

from app.views.coordinator.coordinator_view import CoordinatorView
from app.views.main_window import MainWindow
from app.views.start_window import application
from app.workstation import Workstation

SIZE = (1920, 1080)
WAIT_S = 120.0
_ALT = Qt.KeyboardModifier.AltModifier
_PAGES = {"monitor": Qt.Key.Key_5, "lock": Qt.Key.Key_6, "export": Qt.Key.Key_7, "audit": Qt.Key.Key_8}


class SimulatedCoordinatorError(RuntimeError):
    """Something that a coordinator would have waited for did not happen."""


def type_into(line: QLineEdit, words: str) -> None:
    """Replace a field's text by keys."""
    line.setFocus()
    line.selectAll()
    QTest.keyClick(line, Qt.Key.Key_Delete)
    QTest.keyClicks(line, words)


@dataclass(kw_only=True)
class Sitting:
    """One coordinator at one window, signed in; ``close`` ends it. ``folder`` takes the pictures."""

    window: MainWindow
    folder: Path
    shots: list[Path] = field(default_factory=list)

    @property
    def view(self) -> CoordinatorView:
        view = self.window.area.view
        if view is None or self.window.stack.currentWidget() is not view:
            raise SimulatedCoordinatorError("expected the coordinator's area, found another page")
        return view

    def close(self) -> None:
        """Close the window, and the station behind it."""
        self.window.close()
        QApplication.processEvents()

    def override(self, session_id: str, reason: str) -> str:
        """Grant an override on the monitor page, first without a reason; returns what the page said to that."""
        self._go("monitor")
        page = self.view.monitor
        page.sessions.pick(session_id)
        self._shot("1-washout")
        page.grant.click()
        said = page.said.text()
        page.sessions.pick(session_id)
        type_into(page.reason, reason)
        page.grant.click()
        self._wait()
        self._shot("2-override")
        return said

    def lock(self, password: str) -> str:
        """Look at the finished readings, try to export, lock; returns why the export was closed before."""
        self._go("monitor")
        self._shot("3-finished")
        self._go("export")
        closed = self.view.export.closed.text()
        self._go("lock")
        type_into(self.view.lock.password, password)
        self._shot("4-lock")
        self.view.lock.sign_button.click()
        return closed

    def export(self, folder: Path) -> None:
        """Write every format into an empty folder."""
        self._go("export")
        self.view.export.export_to(folder)
        self._wait()
        self._shot("5-export")

    def verify(self, shot: str, subject: str = "") -> str:
        """Verify the log on the audit page and look at the entry on ``subject``; returns the verdict."""
        self._go("audit")
        page = self.view.audit
        page.verify_button.click()
        self._wait()
        number = next((row[0] for row in page.entries.rows() if subject and subject in row), None)
        if number is not None:
            page.entries.pick(number)
        self._shot(shot)
        return page.said.text()

    def _go(self, page: str) -> None:
        QTest.keyClick(self.view, _PAGES[page], _ALT)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + WAIT_S
        QTest.qWait(50)
        while self.window.runner.is_busy():
            QTest.qWait(20)
            if time.monotonic() > deadline:
                raise SimulatedCoordinatorError(f"waited {WAIT_S:.0f} s for the work of a page")

    def _shot(self, name: str) -> None:
        QTest.qWait(100)
        path = self.folder / f"coordinator-{name}.png"
        self.window.grab().save(str(path))
        self.shots.append(path)


def sit_down(station: Workstation, *, account_id: str, password: str, folder: Path) -> Sitting:
    """Open the window of a station and sign in as a coordinator."""
    application()
    window = MainWindow(station, version="demo-study")
    window.resize(*SIZE)
    window.show()
    folder.mkdir(parents=True, exist_ok=True)
    type_into(window.sign_in.reader, account_id)
    type_into(window.sign_in.password, password)
    QTest.keyClick(window.sign_in.password, Qt.Key.Key_Return)
    QTest.qWait(50)
    return Sitting(window=window, folder=folder)
