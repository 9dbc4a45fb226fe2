"""Makes the pictures of docs/viewer.md from phantoms: python docs/make_viewer_screenshots.py [FOLDER] [--chinese].

With FOLDER the pictures are kept there as PNG, too. ``--chinese`` makes the Chinese ones; the language holds from start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import make_hanging_screenshots as hanging
import numpy as np
from PySide6.QtWidgets import QApplication

from app.bootstrap import make_engine
from app.files import program_folders
from app.state.gsdf import DisplayTable
from app.state.measurements import Measurement, MeasurementKind
from app.views.main_window import MainWindow
from app.views.pattern_window import PatternWindow
from app.views.translator import speak
from app.views.view_export import PictureContent, stage_picture
from inference.exam.objects.cad_sr_write import CadRun
from inference.exam.objects.export import write_run
from inference.exam.phantom import PhantomSpec
from inference.exam.sources import FolderSource

NAMES = ("measuring", "quadrant", "cesm_side_by_side", "cesm_ai", "cad_marks", "picture", "settings_monitors",
         "settings_keys", "pattern_qc", "keys", "image_information")  # fmt: skip
SCREEN = {
    "name": "A",
    "x": 0,
    "y": 0,
    "width": 1920,
    "height": 1080,
    "logicalDpi": 96,
    "logicalBaseDpi": 96,
    "dpr": 1,
}
CHINESE = ("chinese_reading", "chinese_keys")


class Desk(hanging.Camera):
    """The camera with the shipped model instead of a made-up one."""

    def __init__(self, folder: Path, names: tuple[str, ...], language: str = "en") -> None:
        hanging.WANTED.clear()
        hanging.WANTED.update({name: f"viewer_{name}" for name in names})
        hanging.FakeEngine = lambda: make_engine(program_folders("demo").cache)  # type: ignore[assignment, misc]
        speak(QApplication.instance() or QApplication([]), language)  # type: ignore[arg-type]
        super().__init__(folder)

    def read(self, row: int) -> list[str]:
        """Open an exam and wait for the AI."""
        titles = self.open(row)
        while self.window.reading.ai.result is None and self.window.reading.ai.failure is None:
            self.wait(0.1)
        return titles


def _exams(folder: Path) -> None:
    hanging._write(folder / "plain", "plain", "20240301", PhantomSpec(seed=23))
    hanging._write(
        folder / "contrast", "contrast", "20250301", PhantomSpec(seed=13, pixel_mm=0.14, cesm=True)
    )


def _report_beside(window: MainWindow, folder: Path) -> None:
    """Write the model's own answer as a CAD report beside the exam, as another maker's would lie there."""
    source = FolderSource(folder / "plain")
    exam = source.load(source.list()[0].exam_id)
    result = window.reading.ai.result
    assert result is not None
    run = CadRun(exam=exam, model_id=result.model_id, model_version=result.model_version,
                 weights_digest=result.weights_digest, result=result, threshold=0.5)  # fmt: skip
    write_run(run, folder / "plain", folder / "plain", created=datetime(2026, 11, 20, 9), version="docs")


def _measure(window: MainWindow) -> None:
    board = window.reading.image_tools.board
    for view, number in zip(window.reading.grid.viewports(), range(2), strict=False):
        assert view.image is not None
        key, (rows, cols) = view.image.key, view.image.pixels.shape
        inward = lambda c, k=key, n=cols: c * n if k.startswith("L") else (1 - c) * n  # noqa: E731
        kinds = {
            MeasurementKind.RULER: ((rows * 0.42, inward(0.12)), (rows * 0.5, inward(0.3))),
            MeasurementKind.ELLIPSE: ((rows * 0.54, inward(0.1)), (rows * 0.62, inward(0.24))),
        }
        for kind, points in kinds.items():
            board.put(Measurement(measurement_id=f"{number}{kind}", kind=kind, image_key=key, points=points))
    board.select(None)


def english(folder: Path, scratch: Path) -> None:
    """All pictures but the Chinese ones."""
    _exams(scratch)
    desk = Desk(folder, NAMES)
    window, reading = desk.window, desk.window.reading
    window.open_exams(scratch)
    desk.wait(1.0)
    window.exams.table.sortItems(1)
    desk.read(0)
    _measure(window)
    desk.keep("measuring")
    stage_picture(reading.grid, PictureContent()).save(str(folder / "picture_step.png"))
    window._pictures.ask()
    desk.keep("picture", window._dialog)
    assert window._dialog is not None
    window._dialog.reject()
    window._facts.show_tags()
    desk.wait(0.5)
    desk.keep("image_information", window._dialog)
    window._dialog.reject()
    reading.image_tools.step_quadrant(1)
    desk.keep("quadrant")
    reading.image_tools.board.restore(())
    _report_beside(window, scratch)
    window._leave()
    window.open_exams(scratch)
    desk.wait(1.0)
    window.exams.table.sortItems(1)
    desk.read(0)
    reading.objects.toggle_cad()
    desk.keep("cad_marks")
    window._leave()
    _contrast(desk)
    _pages(desk)
    window.close()


def _contrast(desk: Desk) -> None:
    window, reading = desk.window, desk.window.reading
    titles = desk.read(1)
    reading.ai_layers.toggle("boxes")
    reading.ai_layers.toggle("heatmap")
    reading.ai_layers.toggle("score")
    desk.keep("cesm_ai")
    reading.go_to_stage(next(n for n, title in enumerate(titles) if "|" in title))
    desk.keep("cesm_side_by_side")
    window._leave()


def _pages(desk: Desk) -> None:
    window = desk.window
    window._show_settings()
    assert window.settings is not None
    desk.keep("settings_monitors")
    window.settings.list.setCurrentRow(1)
    desk.keep("settings_keys")
    window._close_settings()
    window._show_keys()
    desk.keep("keys", window._dialog)
    pattern = PatternWindow(window.screen(), table=DisplayTable(levels=np.arange(256, dtype=np.uint16)))
    pattern.resize(1920, 1080)
    pattern.show()
    desk.keep("pattern_qc", pattern)
    pattern.close()


def chinese(folder: Path, scratch: Path) -> None:
    """The reading window and the keys in Chinese."""
    _exams(scratch)
    desk = Desk(folder, CHINESE, "zh_CN")
    window = desk.window
    window.open_exams(scratch)
    desk.wait(1.0)
    window.exams.table.sortItems(1)
    desk.read(1)
    for layer in ("boxes", "score"):
        window.reading.ai_layers.toggle(layer)
    desk.keep("chinese_reading")
    window._show_keys()
    desk.keep("chinese_keys", window._dialog)
    window.close()


def main() -> None:
    """Make all pictures; the Chinese ones in a process of their own."""
    folders = [Path(word) for word in sys.argv[1:] if not word.startswith("-")]
    with tempfile.TemporaryDirectory() as kept, tempfile.TemporaryDirectory() as scratch:
        screens = Path(scratch) / "screens.json"
        screens.write_text(json.dumps({"screens": [SCREEN]}))
        os.environ["QT_QPA_PLATFORM"] = f"offscreen:configfile={screens}"
        os.environ.setdefault("NEGATOSCOPE_HOME", str(Path(scratch) / "home"))
        folder = folders[0] if folders else Path(kept)
        folder.mkdir(parents=True, exist_ok=True)
        if "--chinese" in sys.argv:
            chinese(folder, Path(scratch) / "exams")
            return
        english(folder, Path(scratch) / "exams")
        subprocess.run([sys.executable, __file__, str(folder), "--chinese"], check=True)


if __name__ == "__main__":
    main()
