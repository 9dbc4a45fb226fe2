"""1:1 is 1:1 on monitors that Windows scales by 125 % or 150 %: the file's pixels, untouched, on the screen's pixels.

Each scale needs a process of its own: Qt takes it once. Run as a script, this file prints what it found.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.control.reading import CaseView
from app.state.display import Change
from app.state.hanging import load_protocols, match
from app.views.reading_view import ReadingView
from app.views.viewport import Viewport
from inference.exam.types import Exam, Orientation, Presentation, Spacing, ViewImage, Voi, VoiFunction
from reader_study.domain.study import AiPolicy, Scale
from resources.vocabulary import FOUR_VIEWS, ImageKind

Grey = NDArray[np.uint8]


def case_of_noise() -> CaseView:
    rng = np.random.default_rng(5)
    images = tuple(
        ViewImage(
            view=view,
            kind=ImageKind.FFDM,
            pixels=rng.integers(0, 256, (1400, 1200)).astype(np.uint16),
            presentation=Presentation(
                vois=(Voi(label="", function=VoiFunction.LINEAR_EXACT, center=127.5, width=255),)
            ),
            orientation=Orientation(),
            spacing=Spacing(row_mm=0.1, col_mm=0.1, method="imager spacing / ERMF"),
            source_id=view.key,
        )
        for view in FOUR_VIEWS
    )
    exam = Exam(exam_id="E", images=images, digest="0" * 64)
    return CaseView(
        exam=exam,
        hanging=match(load_protocols(), exam),
        study_title="S",
        session_title="s",
        case_label="Case 1 of 1",
        policy=AiPolicy(shown=False),
        scale=Scale(),
        findings=(),
        draft=None,
        show_timer=False,
    )


def screenshot(view: ReadingView) -> Grey:
    picture = view.grab().toImage()
    picture = picture.convertToFormat(picture.Format.Format_RGB32)
    data = np.frombuffer(picture.constBits(), np.uint32).reshape(
        picture.height(), picture.bytesPerLine() // 4
    )
    return np.asarray(data[:, : picture.width()] & 0xFF, np.uint8)


def largest_difference(picture: Grey, patch: Grey) -> int:
    """Largest grey difference of a patch of the screen to the place of the file's picture that fits it best."""
    *_, at = cv2.minMaxLoc(-cv2.matchTemplate(picture, patch, cv2.TM_SQDIFF))
    there = picture[at[1] : at[1] + patch.shape[0], at[0] : at[0] + patch.shape[1]]
    return int(np.abs(there.astype(int) - patch).max())


def hover(view: Viewport) -> None:
    middle = QPointF(view.width() // 2, view.height() // 2)
    none = Qt.MouseButton.NoButton
    event = QMouseEvent(
        QEvent.Type.MouseMove, middle, view.mapToGlobal(middle), none, none, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(view.viewport(), event)
    QTest.qWait(20)


def measured() -> dict[str, int]:
    reading = ReadingView()
    reading.resize(1401, 903)
    reading.show()
    reading.show_case(case_of_noise())
    QTest.qWait(50)
    found = {}
    for glass in (False, True):
        for view in reading.grid.viewports():  # fitted below the glass, which shows 1:1 itself
            reading.grid.set_active(view)
            reading.do(Change.FIT if glass else Change.ACTUAL)
        screen, ratio = screenshot(reading), reading.devicePixelRatioF()
        for view in reading.grid.viewports():
            assert view.image is not None
            if glass:
                view.magnifier(True, factor=1.0)
                hover(view)
                screen = screenshot(reading)
            corner = view.mapTo(reading, QPoint(view.width() // 2, view.height() // 2))
            row, col = round(corner.y() * ratio), round(corner.x() * ratio)
            patch = screen[row - 50 : row + 50, col - 50 : col + 50]
            expected = np.rint(view.image.pixels).astype(np.uint8)  # centre 127.5 and width 255: grey = value
            found[f"{view.image.key}{' glass' if glass else ''}"] = largest_difference(expected, patch)
    return found


@pytest.mark.parametrize("scale", ["1", "1.25", "1.5", "1.75", "2"])
def test_mg11_actual_pixels_are_untouched_on_scaled_monitors_in_every_viewport_and_the_glass(
    scale: str,
) -> None:
    done = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "QT_SCALE_FACTOR": scale, "QT_QPA_PLATFORM": "offscreen"},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("ratio") == float(scale)
    assert len(found) == 8
    assert max(found.values()) <= 1, found


def test_mg10_a_window_moved_to_a_monitor_of_other_density_is_sized_anew(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = ReadingView()
    reading.resize(1000, 800)
    qtbot.addWidget(reading)
    reading.show()
    reading.show_case(case_of_noise())
    QApplication.processEvents()
    before = [view.state().scale for view in reading.grid.viewports()]
    for view in reading.grid.viewports():
        monkeypatch.setattr(view, "devicePixelRatioF", lambda: 2.0)
    QApplication.sendEvent(reading.grid, QEvent(QEvent.Type.DevicePixelRatioChange))
    after = [view.state().scale for view in reading.grid.viewports()]
    assert after == pytest.approx([2 * scale for scale in before], rel=0.01)


if __name__ == "__main__":
    application = QApplication([])
    print(json.dumps({"ratio": application.primaryScreen().devicePixelRatio(), **measured()}))
