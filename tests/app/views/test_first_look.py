"""The first look over a slow exam: said to be blurred, in the place of the sharp one, gone when that hangs."""

from __future__ import annotations

import threading
from pathlib import Path

import imagecodecs
import pydicom
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate
from PySide6.QtWidgets import QLabel

from app.bootstrap import browsing_station
from app.views.first_look import FirstLook
from app.views.main_window import MainWindow
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource


@pytest.fixture(scope="module")
def slow_exam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slow")
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=23, pixel_mm=0.2)), folder / "one")
    for file in (folder / "one").rglob("*.dcm"):
        ds = pydicom.dcmread(file)
        stream = imagecodecs.jpeg2k_encode(ds.pixel_array, reversible=True, codecformat="j2k")
        ds.PixelData = encapsulate([bytes(stream)])
        ds["PixelData"].VR = "OB"
        ds.file_meta.TransferSyntaxUID = uid.JPEG2000Lossless
        ds.save_as(file, enforce_file_format=True)
    return folder


@pytest.fixture
def held_loading(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """The real loading, which waits until the event is set, as on a slower machine."""
    go, load = threading.Event(), FolderSource.load
    go.entered = threading.Event()

    def held(self: FolderSource, exam_id: str):
        go.entered.set()
        assert go.wait(30)
        return load(self, exam_id)

    monkeypatch.setattr(FolderSource, "load", held)
    return go


def test_a_first_look_says_so_lies_where_the_exam_will_hang_and_goes(qtbot, slow_exam, held_loading):
    window = MainWindow(browsing_station(FakeEngine()), version="test")
    qtbot.addWidget(window)
    window.resize(1200, 800)
    window.show()
    window.open_exams(slow_exam)
    exam_id = FolderSource(slow_exam).list()[0].exam_id
    window._open_exam(exam_id)
    qtbot.waitUntil(lambda: window.findChild(FirstLook) is not None, timeout=20_000)
    look = window.findChild(FirstLook)
    qtbot.waitUntil(lambda: all(view.paint_count > 0 for view in look.grid.viewports()), timeout=10_000)
    words = [label.text() for label in look.findChildren(QLabel) if label.isVisible()]
    assert any("BLURRED" in text for text in words)
    assert window._browser.case is None  # nothing hangs yet: no AI, no measuring, no tools
    blurred = [(v.image.key, v.size(), v.state()) for v in look.grid.viewports()]
    held_loading.set()
    qtbot.waitUntil(lambda: window.findChild(FirstLook) is None, timeout=20_000)
    sharp = [(v.image.key, v.size(), v.state()) for v in window.reading.grid.viewports()]
    assert [key for key, _, _ in blurred] == [key for key, _, _ in sharp]
    for (_, size, before), (_, now, after) in zip(blurred, sharp, strict=True):
        assert size == now
        assert before.zoom_mode == after.zoom_mode
        rows = window.reading.grid.viewports()[0].image.pixels.shape[0]
        assert abs(before.scale - after.scale) * rows < 2  # screen pixels over the whole picture
        assert abs(before.pan_row - after.pan_row) < 4  # image pixels, a screen pixel or two
        assert abs(before.pan_col - after.pan_col) < 4
    window.close()


def test_an_exam_that_decodes_fast_has_no_first_look(qtbot, tmp_path, held_loading):
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=24, pixel_mm=0.5)), tmp_path / "one")
    window = MainWindow(browsing_station(FakeEngine()), version="test")
    qtbot.addWidget(window)
    window.show()
    window.open_exams(tmp_path)
    window._open_exam(FolderSource(tmp_path).list()[0].exam_id)
    qtbot.waitUntil(held_loading.entered.is_set, timeout=10_000)
    qtbot.wait(50)
    assert window.findChild(FirstLook) is None
    held_loading.set()
    qtbot.waitUntil(lambda: window._browser.case is not None, timeout=10_000)
    window.close()
