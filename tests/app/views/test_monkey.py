"""Random keys and mouse over the reading window, on exams as odd as real ones get: nothing may be raised.

NEGATOSCOPE_MONKEY_S lengthens a run, NEGATOSCOPE_MONKEY_SEED changes it; a failure names both.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QKeySequence, QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog
from pytestqt.qtbot import QtBot

from app.bootstrap import browsing_station
from app.state.priors import all_images
from app.views.main_window import MainWindow
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom

SECONDS = float(os.environ.get("NEGATOSCOPE_MONKEY_S", "6"))
SEED = int(os.environ.get("NEGATOSCOPE_MONKEY_SEED", "1"))
BUTTONS = (Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton)


def _rewrite(folder: Path, name: str, *, study: str, date: str, **changes: object) -> None:
    """Write the four views of ``folder/plain`` again as another study, with some attributes changed or gone."""
    (folder / name).mkdir()
    for path in sorted((folder / "plain").glob("*.dcm")):
        ds = pydicom.dcmread(path)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.StudyDate = study, generate_uid(), date
        for keyword, value in changes.items():
            if value is None:
                ds.pop(keyword, None)
            elif keyword == "drop_bottom":
                rows = ds.Rows - int(str(value))
                ds.PixelData = ds.pixel_array[:rows].tobytes()
                ds.Rows = rows
            elif keyword == "turned":
                ds.PixelData = np.ascontiguousarray(ds.pixel_array.T).tobytes()
                ds.Rows, ds.Columns = ds.Columns, ds.Rows
                ds.PatientOrientation = list(reversed(ds.PatientOrientation))
            else:
                setattr(ds, keyword, value)
        ds.save_as(folder / name / path.name)


@pytest.fixture(scope="module")
def odd_exams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=31, pixel_mm=0.5)), folder / "plain")
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=32, pixel_mm=0.5, cesm=True)), folder / "contrast")
    _rewrite(
        folder, "earlier", study=generate_uid(), date="20190304", drop_bottom=90, ImagerPixelSpacing=None
    )
    negative = {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}
    _rewrite(
        folder, "negative", study=generate_uid(), date="20180304", turned=1, PatientID="other", **negative
    )
    _rewrite(
        folder, "checks", study=generate_uid(), date="20180304", PatientID="qc", QualityControlImage="YES"
    )
    many = generate_uid()
    for number in range(7):
        _rewrite(folder, f"many{number}", study=many, date="20200101", PatientID="many")
    return folder


@pytest.fixture
def window(qtbot: QtBot, odd_exams: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", staticmethod(lambda *_a, **_k: ""))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", staticmethod(lambda *_a, **_k: ("", "")))
    made = MainWindow(browsing_station(FakeEngine()), version="test")
    made.resize(1400, 900)
    qtbot.addWidget(made)
    made.show()
    made.open_exams(odd_exams)
    qtbot.waitUntil(lambda: bool(made._browser and made._browser._exams), timeout=20_000)
    yield made
    made.close()


def _mouse(window: MainWindow, rng: np.random.Generator) -> str:
    views = [view for view in window.reading.grid.viewports() if view.isVisible()]
    if not views or window.stack.currentWidget() is not window.reading:
        return "no view"
    view = views[int(rng.integers(len(views)))]
    place = QPointF(*(rng.uniform(-20, 1.05 * size) for size in (view.width(), view.height())))
    button = BUTTONS[int(rng.integers(3))]
    what = int(rng.integers(6))
    if what == 0:
        delta = QPoint(0, int(rng.choice([-120, 120])))
        wheel = QWheelEvent(
            place, view.mapToGlobal(place), QPoint(), delta, Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(view.viewport(), wheel)
        return f"wheel {delta.y()}"
    kind = (
        QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease, QEvent.Type.MouseMove,
        QEvent.Type.MouseMove, QEvent.Type.MouseButtonDblClick,
    )[what - 1]  # fmt: skip
    none = Qt.MouseButton.NoButton
    event = QMouseEvent(
        kind, place, view.mapToGlobal(place), button if kind is not QEvent.Type.MouseMove else none,
        button, Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    QApplication.sendEvent(view.viewport(), event)
    return f"{kind.name} {button.name}"


def _key(window: MainWindow, rng: np.random.Generator, keys: list[str]) -> str:
    text = keys[int(rng.integers(len(keys)))]
    combined = QKeySequence(text)[0]
    target = QApplication.focusWidget() or window.reading.grid
    QTest.keyClick(target, combined.key(), combined.keyboardModifiers())
    return text


def _other(window: MainWindow, rng: np.random.Generator, ids: list[str]) -> str:
    what = int(rng.integers(5))
    if what == 0:
        size = rng.integers((700, 500), (1900, 1100))
        window.resize(int(size[0]), int(size[1]))
        return f"resize {size}"
    if what == 1 and window.stack.currentWidget() is window.exams:
        chosen = ids[int(rng.integers(len(ids)))]
        window._open_exam(chosen)
        return f"open {chosen}"
    if what == 2:
        QTest.qWait(int(rng.integers(1, 60)))
        return "wait"
    QApplication.processEvents()
    return "events"


def _wrong(window: MainWindow) -> str:
    """Say what on screen does not belong to the case on screen, "" when all does."""
    reading = window.reading
    case, shown = (
        reading._case,
        [v for v in reading.grid.viewports() if v.isVisible() and v.image is not None],
    )
    if case is None:
        return "images without a case" if shown else ""
    images = all_images(case.exam, case.priors)
    ids = {image.source_id for image in images.values()}
    for view in shown:
        image = view.image
        assert image is not None
        if images.get(image.key) is not image:
            return f"{image.key} is not of this case"
        if any(item.image_key != image.key for item in view.overlays):
            return f"{image.key} carries marks of another image"
        if view.item.image is not image or view.state().image_key != image.key:
            return f"{image.key} has another's picture or state"
    findings = [item for item in reading.image_tools.board.items() if item.image_key not in images]
    return f"measurements of images that are not here: {findings} ({ids})" if findings else ""


def test_mg42_random_keys_and_mouse_raise_nothing(window: MainWindow, qtbot: QtBot) -> None:
    assert window._browser is not None
    rng = np.random.default_rng(SEED)
    ids = [exam.exam_id for exam in window._browser._exams]
    assert len(ids) >= 5
    keys = [key for command in window._commands.values() for key in command.keys]
    keys += ["5", "Return", "Tab", "Ctrl+Z", "Left", "Up", "Backspace"]
    opened, end = 0, time.perf_counter() + SECONDS
    window._open_exam(ids[0])
    done: list[str] = []
    with qtbot.captureExceptions() as raised:
        while time.perf_counter() < end and not raised:
            modal = QApplication.activeModalWidget()
            if modal is not None and rng.random() < 0.3:
                modal.close()
            if window.stack.currentWidget() not in {window.reading, window.exams}:
                # A key led to another page: back to the list, as a user would go.
                window.stack.setCurrentWidget(window.exams)
            if window.stack.currentWidget() is window.exams and rng.random() < 0.3:
                window._open_exam(ids[int(rng.integers(len(ids)))])
                opened += 1
            draw = rng.random()
            if draw < 0.45:
                done.append(_mouse(window, rng))
            elif draw < 0.85:
                done.append(_key(window, rng, keys))
            else:
                done.append(_other(window, rng, ids))
            wrong = _wrong(window)
            assert not wrong, f"seed {SEED}, after {done[-12:]}: {wrong}"
    assert not raised, f"seed {SEED}, after {done[-12:]}: {raised[0]}"
    assert len(done) > 50
