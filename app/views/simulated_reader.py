"""Reads a study through the real windows with Qt's own events: the end-to-end test and the unseen demo.

Sees only what a reader sees on screen (AI boxes where the arm shows them); knows no truth, so its answers mean
nothing. Screenshots are taken on the way.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from app.views.assessment_panel import PercentField
from app.views.main_window import MainWindow

WAIT_S = 60.0
SEED = 7


class SimulatedReaderError(RuntimeError):
    """Something that a reader would have waited for did not happen."""


@dataclass(kw_only=True)
class _Run:
    window: MainWindow
    folder: Path
    rng: np.random.Generator
    say: Callable[[str], object]
    shots: list[Path] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def wait(self, what: str, until: Callable[[], bool]) -> None:
        """Let Qt work until ``until`` holds; an error names what did not come."""
        deadline = time.monotonic() + WAIT_S
        while not until():
            QTest.qWait(5)
            if time.monotonic() > deadline:
                raise SimulatedReaderError(f"waited {WAIT_S:.0f} s for {what}")

    def shot(self, name: str, *, once: bool = True) -> None:
        """Save what the window shows; each name once a run."""
        if once and name in self.seen:
            return
        self.seen.add(name)
        QApplication.processEvents()
        path = self.folder / f"{len(self.shots) + 1:02d}-{name}.png"
        self.window.grab().save(str(path))
        self.shots.append(path)

    def key(
        self, widget: QWidget, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
    ) -> None:
        QTest.keyClick(widget, key, modifier)

    def type(self, widget: QWidget, text: str) -> None:
        QTest.keyClicks(widget, text)


def read_study(
    window: MainWindow,
    *,
    reader: str,
    password: str,
    folder: Path,
    say: Callable[[str], object],
    size: tuple[int, int] = (1920, 1080),
    cases: int | None = None,
) -> tuple[Path, ...]:
    """Sign in and read every session to its end (or ``cases`` cases); return the screenshots, in order.

    Raises
    ------
    SimulatedReaderError
        A screen, paint or AI answer did not come within a minute.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    run = _Run(window=window, folder=folder, rng=np.random.default_rng(SEED), say=say)
    window.resize(*size)
    window.show()
    QTest.qWaitForWindowExposed(window)
    window.activateWindow()
    _sign_in(run, reader, password)
    done = 0
    while (card := next((c for c in window.worklist.cards if c.button.isEnabled()), None)) is not None:
        QTest.mouseClick(card.button, Qt.MouseButton.LeftButton)
        while window.stack.currentWidget() is window.reading:
            _read_case(run)
            done += 1
            if cases is not None and done >= cases:
                return tuple(run.shots)
    run.shot("work-list-finished")
    return tuple(run.shots)


def _sign_in(run: _Run, reader: str, password: str) -> None:
    page = run.window.sign_in
    run.shot("sign-in")
    run.type(page.reader, reader)
    run.key(page.reader, Qt.Key.Key_Return)
    run.type(page.password, password)
    run.key(page.password, Qt.Key.Key_Return)
    run.wait("the work list", lambda: run.window.stack.currentWidget() is run.window.worklist)
    run.shot("work-list")


def _read_case(run: _Run) -> None:
    window, view = run.window, run.window.reading
    run.wait(
        "the case to be painted", lambda: window.is_case_painted() or window.stack.currentWidget() is not view
    )
    controller = window.controller
    if controller is None or controller.case is None:
        return
    case = controller.case
    contrast = any(image.kind.is_contrast for image in case.exam.images)
    run.say(f"  {case.session_title}, {case.case_label}: {case.exam.images[0].kind.value}")
    kind = "contrast" if contrast else case.exam.images[0].kind.value
    arm = "aided" if case.policy.shown else "unaided"
    run.shot(f"{kind}-{arm}-overview")
    for index in range(1, view.stage_count):
        run.key(view.grid, Qt.Key.Key_Space)
        QApplication.processEvents()
        if index in {1, 2, 3} and not case.policy.shown:
            run.shot(f"{kind}-step-{index + 1}")
    run.key(view.grid, Qt.Key.Key_1)
    if contrast:
        run.key(view.grid, Qt.Key.Key_C)
        run.shot(f"{kind}-{arm}-toggled")
        run.key(view.grid, Qt.Key.Key_C)
    suspicion = _look_at_ai(run, kind) if case.policy.shown else float(run.rng.uniform(0.02, 0.6))
    if suspicion > 0.35:
        _mark(run, suspicion)
        run.shot(f"{kind}-{arm}-marked")
    _fill_form(run, suspicion)
    run.shot(f"{kind}-{arm}-answered")
    before = case.case_label
    run.key(view.grid, Qt.Key.Key_F12)

    def moved_on() -> bool:
        now = window.controller.case if window.controller is not None else None
        return window.stack.currentWidget() is not view or (now is not None and now.case_label != before)

    run.wait("the next case after submitting", moved_on)


def _look_at_ai(run: _Run, kind: str) -> float:
    view = run.window.reading
    run.wait("the AI's answer", lambda: view.ai.result is not None or view.ai.failure is not None)
    if view.ai.result is None:
        run.say(f"    {view.ai.failure}")
        return float(run.rng.uniform(0.02, 0.6))
    for key, name in ((Qt.Key.Key_B, "boxes"), (Qt.Key.Key_S, "scores"), (Qt.Key.Key_H, "heat-map")):
        run.key(view.grid, key)
        run.shot(f"{kind}-ai-{name}")
    run.key(view.grid, Qt.Key.Key_H)
    score = view.ai.result.exam_score or 0.0
    return float(np.clip(score + run.rng.normal(0, 0.05), 0.01, 0.99))


def _mark(run: _Run, suspicion: float) -> None:
    """Press X, click at the AI's strongest box (or somewhere in the breast), give a confidence, press Enter."""
    view = run.window.reading
    run.key(view.grid, Qt.Key.Key_X)
    viewport, place = view.grid.viewports()[-1], None
    result = view.ai.result
    for detection in sorted(result.detections, key=lambda d: -d.score) if result is not None else ():
        for candidate in view.grid.viewports():
            if candidate.image is not None and candidate.image.key == detection.image_key:
                viewport, place = candidate, candidate.widget_point(*detection.box.center)
                break
        if place is not None:
            break
    if place is None:
        assert viewport.image is not None
        rows, cols = viewport.image.pixels.shape
        place = viewport.widget_point(rows * 0.45, cols * 0.4)
    point = QPoint(round(place.x()), round(place.y()))
    QTest.mouseClick(viewport.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, point)
    editor = view.findings.editor
    if editor.isHidden():
        raise SimulatedReaderError("clicked on the image with the mark tool; the mark editor did not open")
    run.type(editor.confidence.edit, str(round(100 * suspicion)))
    run.key(editor.confidence.edit, Qt.Key.Key_Return)

    def kept() -> bool:
        case = run.window.controller.case if run.window.controller is not None else None
        return case is not None and bool(case.findings)

    run.wait("the mark to be kept", kept)
    run.key(view.grid, Qt.Key.Key_W)


def _fill_form(run: _Run, suspicion: float) -> None:
    view = run.window.reading
    assert run.window.controller is not None
    assert run.window.controller.case is not None
    scale = run.window.controller.case.scale
    worse = suspicion > 0.35
    for side, level in (("R", suspicion if worse else 0.05), ("L", 0.05)):
        birads = "4B" if level > 0.6 else "4A" if level > 0.35 else "1"
        row = view.form.field(f"{side}.birads")
        run.type(row, birads if birads in scale.birads else scale.birads[0])
        percent = view.form.field(f"{side}.suspicion")
        assert isinstance(percent, PercentField)
        percent.edit.selectAll()
        run.type(percent.edit, str(round(100 * level)))
    run.type(view.form.field("density"), "b")
    run.type(view.form.field("recall"), "y" if worse else "n")
