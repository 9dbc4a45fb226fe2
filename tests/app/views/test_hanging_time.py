"""How long a full-size exam takes to hang and a step to change (MG-43), through the real window and real files.

The shortest of several runs is held against the project's limits: other work on the machine can only lengthen a run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.bootstrap import browsing_station
from app.views.main_window import MainWindow
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom

HANG_S, STEP_S = 1.0, 0.1
RUNS = 4


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=51, pixel_mm=0.085)), folder / "first")
    (folder / "second").mkdir()
    study = generate_uid()
    for path in (folder / "first").glob("*.dcm"):
        ds = pydicom.dcmread(path)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.StudyInstanceUID, ds.PatientID = study, "another"
        ds.save_as(folder / "second" / path.name)
    return folder


@pytest.fixture
def window(qtbot: QtBot, exams: Path) -> Iterator[MainWindow]:
    made = MainWindow(browsing_station(FakeEngine()), version="test")
    made.resize(1920, 1080)
    qtbot.addWidget(made)
    made.show()
    made.open_exams(exams)
    qtbot.waitUntil(lambda: bool(made._browser and made._browser._exams), timeout=20_000)
    yield made
    made.close()


def quiet(window: MainWindow, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not window.runner.is_busy(), timeout=60_000)


def seconds_to_hang(window: MainWindow, exam_id: str) -> float:
    """From the wish to the last of the four views painted."""
    painted: list[float] = []
    connection = window.reading.painted.connect(lambda: painted.append(time.perf_counter()))
    began = time.perf_counter()
    window._open_exam(exam_id)
    while not (painted and window.reading._case and window.reading._case.exam.exam_id == exam_id):
        QApplication.processEvents()
    window.reading.painted.disconnect(connection)
    return painted[-1] - began


def test_mg43_four_full_size_views_hang_within_a_second_and_a_warm_step_within_a_tenth(
    window: MainWindow, qtbot: QtBot
) -> None:
    assert window._browser is not None
    ids = [exam.exam_id for exam in window._browser._exams]
    quiet(window, qtbot)
    cold = []
    for _ in range(RUNS):
        window._browser._ready.clear()  # decoded anew from the files
        cold.append(seconds_to_hang(window, ids[0]))
        quiet(window, qtbot)
    case = window.reading._case
    assert case is not None
    assert min(image.pixels.size for image in case.exam.images) > 4_000_000
    assert min(cold) <= HANG_S, cold
    steps = []
    for _ in range(RUNS):
        for index in (1, 2, 0):
            began = time.perf_counter()
            window.reading.go_to_stage(index)
            counts = [view.paint_count for view in window.reading.grid.viewports()]
            while any(
                v.paint_count == n for v, n in zip(window.reading.grid.viewports(), counts, strict=True)
            ):
                QApplication.processEvents()
            steps.append(time.perf_counter() - began)
    assert float(np.median(sorted(steps)[: len(steps) // 2])) <= STEP_S, steps
    quiet(window, qtbot)
    assert ids[1] in window._browser._ready  # and the next of the list was decoded ahead
    assert seconds_to_hang(window, ids[1]) <= 0.5
