"""A coordinator's work on a running study through the real windows, unseen: monitor, override, lock, export, audit.

Types and clicks what she would and keeps a picture of each page. The study and its readers are ``app.crossover_demo``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit

from app.bootstrap import coordinator_station
from app.crossover_demo import COORDINATOR, OVERRIDE_REASON, PASSWORD, CrossoverRun, judge, tamper
from app.views.coordinator.coordinator_view import CoordinatorView
from app.views.main_window import MainWindow
from app.views.start_window import application
from inference.engine import FakeEngine
from reader_study.ports import Clock

SIZE = (1920, 1080)
WAIT_S = 120.0
_ALT = Qt.KeyboardModifier.AltModifier
_PAGES = {"study": "1", "allocation": "4", "monitor": "5", "lock": "6", "export": "7", "audit": "8"}


class SimulatedCoordinatorError(RuntimeError):
    """Something that a coordinator would have waited for did not happen."""


@dataclass(kw_only=True)
class _Sitting:
    window: MainWindow
    folder: Path  # of the pictures
    shots: list[Path] = field(default_factory=list)

    @property
    def view(self) -> CoordinatorView:
        view = self.window.area.view
        if view is None or self.window.stack.currentWidget() is not view:
            raise SimulatedCoordinatorError("expected the coordinator's area, found another page")
        return view

    def go(self, page: str) -> None:
        QTest.keyClick(self.view, getattr(Qt.Key, f"Key_{_PAGES[page]}"), _ALT)
        self.wait()

    def wait(self) -> None:
        deadline = time.monotonic() + WAIT_S
        QTest.qWait(50)
        while self.window.runner.is_busy():
            QTest.qWait(20)
            if time.monotonic() > deadline:
                raise SimulatedCoordinatorError(f"waited {WAIT_S:.0f} s for the work of a page")

    def shot(self, name: str) -> None:
        QTest.qWait(100)
        path = self.folder / f"coordinator-{name}.png"
        self.window.grab().save(str(path))
        self.shots.append(path)


def type_into(line: QLineEdit, words: str) -> None:
    """Replace a field's text by keys."""
    line.setFocus()
    line.selectAll()
    QTest.keyClick(line, Qt.Key.Key_Delete)
    QTest.keyClicks(line, words)


@contextmanager
def _sitting(run: CrossoverRun, database: Path, clock: Clock) -> Iterator[_Sitting]:
    """The coordinator signs in at a station on ``database``, and the window closes at the end."""
    application()
    files = run.office.files
    station = coordinator_station(
        database=database,
        study_id=run.study_id,
        cases=files.cases_folder,
        anchor=run.anchor,
        engine=FakeEngine(),
    )
    assert station.office is not None
    station.office.clock = clock
    window = MainWindow(station, version="demo-study")
    window.resize(*SIZE)
    window.show()
    folder = run.folder / "screenshots"
    folder.mkdir(exist_ok=True)
    sitting = _Sitting(window=window, folder=folder)
    try:
        type_into(window.sign_in.reader, COORDINATOR)
        type_into(window.sign_in.password, PASSWORD)
        QTest.keyClick(window.sign_in.password, Qt.Key.Key_Return)
        QTest.qWait(50)
        yield sitting
    finally:
        window.close()
        QApplication.processEvents()


def override_in_windows(run: CrossoverRun, session_id: str) -> str:
    """Grant the override on the monitor page, first without a reason; returns what the page said to that."""
    with _sitting(run, run.database, run.clock) as sitting:
        sitting.go("monitor")
        page = sitting.view.monitor
        page.sessions.pick(session_id)
        sitting.shot("1-washout")
        page.grant.click()
        said = page.said.text()
        page.sessions.pick(session_id)
        type_into(page.reason, OVERRIDE_REASON)
        page.grant.click()
        sitting.wait()
        sitting.shot("2-override")
    return said


def finish_in_windows(run: CrossoverRun) -> Sequence[Path]:
    """Look at the finished readings, lock, export, verify; then verify a tampered copy. Returns the pictures."""
    with _sitting(run, run.database, run.clock) as sitting:
        sitting.go("monitor")
        sitting.shot("3-finished")
        sitting.go("export")
        run.closed_before_lock = sitting.view.export.closed.text()
        sitting.go("lock")
        type_into(sitting.view.lock.password, PASSWORD)
        sitting.shot("4-lock")
        sitting.view.lock.sign_button.click()
        sitting.go("export")
        sitting.view.export.export_to(run.exports)
        sitting.wait()
        sitting.shot("5-export")
        _verify(sitting, "6-intact")
        shots = [*sitting.shots]
    tamper(run.database, run.copy, run.study_id)
    with _sitting(run, run.copy, run.clock) as sitting:
        _verify(sitting, "7-tampered")
        run.screen_verdict = sitting.view.audit.said.text()
        shots += sitting.shots
    judge(run)
    return (*sorted((run.folder / "screenshots").glob("coordinator-[12]*.png")), *shots)


def _verify(sitting: _Sitting, name: str) -> None:
    sitting.go("audit")
    page = sitting.view.audit
    page.verify_button.click()
    sitting.wait()
    override = next(
        (row for row in page.entries.rows() if OVERRIDE_REASON in row or "override granted" in row), None
    )
    if override is not None and page.said.property("role") != "error":
        page.entries.pick(override[0])
    sitting.shot(name)
