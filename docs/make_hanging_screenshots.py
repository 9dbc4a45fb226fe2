"""Makes the pictures of docs/hanging.md from phantoms: python docs/make_hanging_screenshots.py [FOLDER].

With FOLDER all steps of all exams are kept there as PNG, to be looked at; docs/images gets the few that the page shows.
"""

from __future__ import annotations

import copy
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import cv2
import pydicom
from pydicom.uid import generate_uid
from PySide6.QtWidgets import QApplication

from app.bootstrap import browsing_station
from app.views.hanging_editor import HangingEditor
from app.views.main_window import MainWindow
from app.views.theme import font, stylesheet
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom

WANTED = {
    "priors-Prior over current": "hanging_priors",
    "priors-R CC current _ prior": "hanging_current_prior",
    "contrast-Low energy over recombined": "hanging_contrast_eight",
    "implant-Full over displaced": "hanging_implant",
    "spot-R CC S M": "hanging_spot",
    "browser": "study_browser",
    "strip": "thumbnail_strip",
    "why": "why_here",
    "editor": "hanging_editor",
}


def _code(value: str, meaning: str) -> pydicom.Dataset:
    made = pydicom.Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, "SCT", meaning
    return made


def _write(folder: Path, woman: str, day: str, spec: PhantomSpec) -> dict[str, Path]:
    files = {}
    for path in map(Path, write_phantom_dicom(phantom_exam(spec), folder)):
        dataset = pydicom.dcmread(path)
        dataset.PatientID = woman
        for name in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
            setattr(dataset, name, day)
        dataset.save_as(path)
        files[path.stem] = path
    return files


def _copy(path: Path, name: str, change: Callable[[pydicom.Dataset], None]) -> None:
    dataset = copy.deepcopy(pydicom.dcmread(path))
    dataset.SOPInstanceUID = generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    change(dataset)
    dataset.save_as(path.with_name(name))


def _modified(*codes: tuple[str, str]) -> Callable[[pydicom.Dataset], None]:
    def change(dataset: pydicom.Dataset) -> None:
        modifiers = pydicom.Sequence([_code(*code) for code in codes])
        dataset.ViewCodeSequence[0].ViewModifierCodeSequence = modifiers

    return change


def _spot(dataset: pydicom.Dataset) -> None:
    _modified(("399055006", "Spot"), ("399163009", "Magnification"))(dataset)
    pixels = dataset.pixel_array
    rows, cols = pixels.shape
    cut = pixels[rows // 3 : rows // 3 + 900, cols - 700 :].copy()
    dataset.Rows, dataset.Columns, dataset.PixelData = *cut.shape, cut.tobytes()
    dataset.EstimatedRadiographicMagnificationFactor = "1.8"


def _later(dataset: pydicom.Dataset) -> None:
    dataset.AcquisitionTime = dataset.ContentTime = "121000"


def make_exams(folder: Path) -> None:
    """Write one exam of each special kind."""
    _write(folder / "now", "priors", "20241110", PhantomSpec(seed=11))
    _write(folder / "then", "priors", "20221201", PhantomSpec(seed=12, pixel_mm=0.14))
    contrast = _write(
        folder / "contrast", "contrast", "20250301", PhantomSpec(seed=13, pixel_mm=0.14, cesm=True)
    )
    for stem in ("R-CC_cesm_low", "R-CC_cesm_recombined"):
        _copy(contrast[stem], f"{stem}_late.dcm", _later)
    implant = _write(folder / "implant", "implant", "20250401", PhantomSpec(seed=14, pixel_mm=0.14))
    for stem, path in implant.items():
        _copy(path, f"{stem}_displaced.dcm", _modified(("399209000", "Implant Displaced")))
    spot = _write(folder / "spot", "spot", "20250501", PhantomSpec(seed=15, pixel_mm=0.14))
    _copy(spot["R-CC"], "spot.dcm", _spot)
    _copy(spot["L-CC"], "again.dcm", _later)
    _copy(spot["L-CC"], "quality.dcm", lambda dataset: setattr(dataset, "QualityControlImage", "YES"))


class Camera:
    """Drives the window and keeps what it shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.qt = QApplication.instance() or QApplication([])
        self.qt.setFont(font())  # type: ignore[attr-defined]
        self.qt.setStyleSheet(stylesheet())  # type: ignore[attr-defined]
        self.window = MainWindow(browsing_station(FakeEngine()), version="docs")
        self.window.resize(1920, 1080)
        self.window.show()

    def wait(self, seconds: float = 0.2) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or self.window.runner.is_busy():
            self.qt.processEvents()

    def keep(self, name: str, widget: object | None = None) -> None:
        self.wait()
        path = self.folder / f"{name.replace('|', '_')}.png"
        (widget or self.window).grab().save(str(path))  # type: ignore[attr-defined]
        wanted = WANTED.get(path.stem)
        if wanted is not None:
            target = ROOT / "docs" / "images" / f"{wanted}.jpg"
            cv2.imwrite(str(target), cv2.imread(str(path)), [cv2.IMWRITE_JPEG_QUALITY, 82])

    def open(self, row: int) -> list[str]:
        self.window.exams.table.setCurrentCell(row, 0)
        self.window.exams._open_current()
        while self.window.reading._case is None or self.window.reading._new_case:
            self.qt.processEvents()
        self.wait(0.4)
        return [stage.title for stage in self.window.reading._case.hanging.stages]


def main(folder: Path) -> None:
    """Make the exams, open each, keep every step."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["NEGATOSCOPE_HOME"] = str(Path(scratch) / "home")
        make_exams(Path(scratch) / "exams")
        camera = Camera(folder)
        window = camera.window
        window.open_exams(Path(scratch) / "exams")
        camera.wait(1.0)
        window.exams.table.sortItems(1)
        window.exams.table.setCurrentCell(1, 0)
        camera.wait(1.0)
        camera.keep("browser")
        for row, name in ((1, "priors"), (2, "contrast"), (3, "implant"), (4, "spot")):
            for index, title in enumerate(camera.open(row)):
                window.reading.go_to_stage(index)
                camera.keep(f"{name}-{title}")
            if name == "spot":
                window.reading.go_to_stage(0)
                window.reading.hanging.toggle_strip()
                camera.keep("strip")
                window.reading.grid.set_active(window.reading.grid.viewports()[1])
                camera.keep("why", window.reading.why_here())
                camera.keep("editor", HangingEditor(window._browser, window))
            window._leave()
        window.close()


if __name__ == "__main__":
    if len(sys.argv) == 2:
        chosen = Path(sys.argv[1])
        chosen.mkdir(parents=True, exist_ok=True)
        main(chosen)
    else:
        with tempfile.TemporaryDirectory() as kept:
            main(Path(kept))
