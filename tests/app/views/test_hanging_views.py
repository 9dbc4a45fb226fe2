"""Hanging on the real screen: priors in place and side by side, duplicates, browser, protocol editor, why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.bootstrap import browsing_station
from app.state.display import Change, Operation, ZoomMode
from app.state.protocol_library import ProtocolLibrary
from app.views.hanging_editor import HangingEditor
from app.views.main_window import MainWindow
from app.views.theme import stylesheet
from app.views.viewport import Viewport
from app.views.why_panel import is_doubtful, why_sections
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom


def _write(
    folder: Path, seed: int, pixel_mm: float, woman: str, day: str, *, cesm: bool = False
) -> list[Path]:
    files = write_phantom_dicom(phantom_exam(PhantomSpec(seed=seed, pixel_mm=pixel_mm, cesm=cesm)), folder)
    for path in files:
        dataset = pydicom.dcmread(path)
        dataset.PatientID = woman
        for name in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
            setattr(dataset, name, day)
        dataset.save_as(path)
    return [Path(path) for path in files]


def _copy(path: Path, name: str, **changes: str) -> None:
    dataset = pydicom.dcmread(path)
    dataset.SOPInstanceUID = generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for key, value in changes.items():
        setattr(dataset, key, value)
    dataset.save_as(path.with_name(name))


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hanging")
    _write(folder / "now", 31, 0.4, "W1", "20241110")
    _write(folder / "before", 32, 0.5, "W1", "20221201")
    _write(folder / "contrast", 33, 0.5, "W2", "20250301", cesm=True)
    files = {path.stem: path for path in _write(folder / "repeat", 34, 0.5, "W3", "20250501")}
    _copy(files["L-CC"], "again.dcm", AcquisitionTime="235000")
    _copy(files["L-CC"], "quality.dcm", QualityControlImage="YES")
    return folder


@dataclass
class Desk:
    """The window and the few things a test waits for."""

    window: MainWindow
    qtbot: QtBot

    def settle(self) -> None:
        self.qtbot.waitUntil(lambda: not self.window.runner.is_busy(), timeout=30_000)

    def row_of(self, words: str) -> int:
        table = self.window.exams.table
        for row in range(table.rowCount()):
            line = " ".join(table.item(row, column).text() for column in range(table.columnCount()))
            if words in line:
                return row
        raise AssertionError(words)

    def open(self, words: str) -> None:
        self.window.exams.table.setCurrentCell(self.row_of(words), 0)
        self.window.exams._open_current()
        reading = self.window.reading
        self.qtbot.waitUntil(lambda: reading._case is not None and not reading._new_case, timeout=30_000)
        self.settle()

    def titles(self) -> list[str]:
        case = self.window.reading._case
        return [stage.title for stage in case.hanging.stages] if case is not None else []

    def go(self, title: str) -> tuple[Viewport, ...]:
        self.window.reading.go_to_stage(self.titles().index(title))
        self.qtbot.wait(1)
        return self.window.reading.grid.viewports()

    def hung(self) -> list[str]:
        return [view.image.key for view in self.window.reading.grid.viewports() if view.image is not None]

    def press(self, key: Qt.Key) -> None:
        QTest.keyClick(self.window.reading.grid, key)


@pytest.fixture
def desk(qtbot: QtBot, exams: Path, tmp_path: Path) -> Iterator[Desk]:
    station = browsing_station(FakeEngine())
    station.library = ProtocolLibrary(station.protocols, tmp_path / "own")
    window = MainWindow(station, version="test")
    window.setStyleSheet(stylesheet())
    window.resize(1600, 1000)
    qtbot.addWidget(window)
    window.show()
    window.open_exams(exams)
    qtbot.waitUntil(lambda: window.exams.table.rowCount() == 4, timeout=30_000)
    made = Desk(window, qtbot)
    made.settle()
    yield made
    window.close()


def _mm_on_screen(view: Viewport, mm: float) -> float:
    """Screen pixels that ``mm`` along the rows take up in a viewport."""
    assert view.image is not None
    assert view.image.spacing is not None
    rows = mm / view.image.spacing.row_mm
    start, end = view.widget_point(100, 100), view.widget_point(100 + rows, 100)
    return float(np.hypot(end.x() - start.x(), end.y() - start.y()))


def _wall_x(view: Viewport) -> float:
    """Screen column of the chest wall edge of the picture."""
    assert view.image is not None
    rows, cols = view.image.pixels.shape
    ends = [view.widget_point(0, 0).x(), view.widget_point(rows, cols).x()]
    return max(ends) if view.image.view.laterality.value == "R" else min(ends)


def test_mg41_priors_come_after_the_current_exam_and_move_nothing(desk: Desk) -> None:
    reading = desk.window.reading
    seen: list[str] = []
    reading.painted.connect(lambda: seen.append(reading._case.hanging.protocol.protocol_id))  # type: ignore[union-attr]
    desk.window.exams.table.setCurrentCell(desk.row_of("1 prior"), 0)
    desk.window.exams._open_current()
    desk.qtbot.waitUntil(lambda: bool(seen), timeout=30_000)
    before = [view.state() for view in reading.grid.viewports()]
    desk.settle()
    assert seen == ["four_view"], "the current exam was painted first, once"
    assert reading._case is not None
    assert reading._case.hanging.protocol.protocol_id == "four_view_priors"
    assert [view.state() for view in reading.grid.viewports()] == before
    assert desk.hung() == ["R-CC", "L-CC", "R-MLO", "L-MLO"]


def test_mg09_mg41_current_and_prior_of_other_pixel_size_hang_at_one_size(desk: Desk) -> None:
    desk.open("1 prior")
    views = desk.go("Prior over current")
    lengths = {round(_mm_on_screen(view, 50.0), 1) for view in views}
    assert len(views) == 8
    assert max(lengths) - min(lengths) < 0.2
    assert {view.image.spacing.row_mm for view in views} == {0.4, 0.5}
    flags = [view.over.words.flags for view in views if view.image is not None and "@P1" in view.image.key]
    assert len(flags) == 4
    assert all(any("PRIOR" in flag and "1 y 11 mo" in flag for flag in one) for one in flags)


def test_mg41_a_second_prior_has_a_step_of_its_own_and_is_reached_by_y(desk: Desk, tmp_path: Path) -> None:
    for number, year in enumerate((2018, 2020, 2022)):
        _write(tmp_path / str(year), 35 + number, 0.5, "W4", f"{year}0501")
    desk.window.open_exams(tmp_path)
    desk.qtbot.waitUntil(lambda: desk.window.exams.table.rowCount() == 3, timeout=30_000)
    desk.settle()
    desk.open("2 prior")
    views = desk.go("Second prior over current")
    flags = [view.over.words.flags for view in views if view.image is not None and "@P2" in view.image.key]
    assert len(flags) == 4
    assert all(any("PRIOR" in flag and "4 y" in flag for flag in one) for one in flags)
    desk.go("Overview")
    rounds = []
    for _ in range(3):
        desk.press(Qt.Key.Key_Y)
        rounds.append(desk.hung()[0])
    assert rounds == ["R-CC@P1", "R-CC@P2", "R-CC"]


def test_mg41_y_swaps_current_and_prior_with_place_and_size_locked(desk: Desk) -> None:
    desk.open("1 prior")
    grid = desk.window.reading.grid
    grid.apply(Operation(change=Change.WINDOW, first=0.3, second=0.1))
    view = grid.viewports()[2]  # R MLO
    size, wall, window = _mm_on_screen(view, 50.0), _wall_x(view), view.window()
    top = view.widget_point(0, 0).y()
    desk.press(Qt.Key.Key_Y)
    assert desk.hung() == ["R-CC@P1", "L-CC@P1", "R-MLO@P1", "L-MLO@P1"]
    assert _mm_on_screen(view, 50.0) == pytest.approx(size, rel=0.002)
    assert _wall_x(view) == pytest.approx(wall, abs=1.01)
    assert view.widget_point(0, 0).y() == pytest.approx(top, abs=1.01)
    desk.press(Qt.Key.Key_Y)
    assert desk.hung() == ["R-CC", "L-CC", "R-MLO", "L-MLO"]
    assert view.window() == pytest.approx(window)


def test_mg39_d_shows_the_duplicate_below_and_the_badge_counts(desk: Desk) -> None:
    desk.open("More than one image of L-CC")
    grid = desk.window.reading.grid
    view = grid.viewports()[1]
    assert view.image is not None
    first = view.image.key
    assert "1/2 newest" in view.over.words.flags
    grid.set_active(view)
    desk.press(Qt.Key.Key_D)
    assert view.image.key != first
    assert "2/2 older" in view.over.words.flags
    desk.press(Qt.Key.Key_D)
    assert view.image.key == first


def test_mg04_the_strip_lists_what_does_not_hang(desk: Desk) -> None:
    desk.open("More than one image of L-CC")
    strip = desk.window.reading.hanging.strip
    assert strip.isHidden()
    desk.press(Qt.Key.Key_F8)
    assert not strip.isHidden()
    words = [strip.item(row).text() for row in range(strip.count())]
    assert len(words) == 6, "five images and the quality control file"
    assert [one.strip() for one in words].count("listed") == 1
    strip.chosen.emit("L-MLO")
    assert desk.hung() == ["L-MLO"]
    strip.chosen.emit("file:0")
    assert "quality control" in desk.window.reading._message.text()


def test_cem05_a_window_set_in_one_step_holds_for_its_energy_in_the_next(desk: Desk) -> None:
    desk.open("contrast")
    grid = desk.window.reading.grid
    fresh = {view.image.view.key: view.window() for view in grid.viewports() if view.image is not None}
    desk.window.reading.go_to_stage(desk.titles().index("R CC low energy | recombined"))
    low, recombined = grid.viewports()
    other = recombined.window()
    grid.set_active(low)
    grid.apply(Operation(change=Change.WINDOW, first=0.25, second=0.0))
    assert recombined.window() == other
    shown = desk.go("Low energy over recombined")
    for view in shown:
        assert view.image is not None
        moved = view.window()[0] - fresh[view.image.view.key][0]
        if view.image.kind.value == "cesm_low":
            assert moved == pytest.approx(0.25 * fresh[view.image.view.key][1], rel=1e-6)
        elif view.image.view.key == "R-CC":
            assert view.window() == other


def test_mg37_same_size_leaves_a_magnified_view_at_its_own_scale(qtbot: QtBot, exams: Path) -> None:
    from dataclasses import replace

    from app.state.hanging import load_protocols, match
    from app.views.viewport_grid import ViewportGrid
    from inference.exam.sources import FolderSource
    from inference.exam.types import with_unique_keys
    from resources.vocabulary import ViewModifier

    source = FolderSource(exams / "now")
    exam = source.load(source.list()[0].exam_id)
    spot = replace(exam.images[0], modifiers=(ViewModifier.MAGNIFICATION,), source_id="spot")
    exam = replace(exam, images=with_unique_keys((*exam.images, spot)))
    stage = match(load_protocols(), exam).stages[-1]
    grid = ViewportGrid()
    qtbot.addWidget(grid)
    grid.resize(800, 500)
    grid.show()
    grid.set_stage(stage, {image.key: image for image in exam.images})
    grid.apply(Operation(change=Change.SAME))
    modes = [view.state().zoom_mode for view in grid.viewports()]
    assert modes == [ZoomMode.FIT, ZoomMode.SAME]


def test_beyond1_why_names_rule_tags_and_what_lost(desk: Desk) -> None:
    desk.open("More than one image of L-CC")
    reading = desk.window.reading
    view = reading.grid.viewports()[1]
    reading.grid.set_active(view)
    cell = reading.grid.cell_of(view)
    assert reading._case is not None
    assert cell is not None
    stage = reading._case.hanging.stages[0]
    sections = dict(why_sections(reading._case.hanging, stage, cell, view.image))
    text = "\n".join(line for lines in sections.values() for line in lines)
    assert "View Code" in text
    assert "Image Laterality" in text
    assert "newest is on top" in text
    assert "row 1, column 2" in text
    assert is_doubtful("Side conflict: Image Laterality says R.")
    dialog = reading.why_here()
    assert dialog is not None
    dialog.close()


def test_mg40_editor_moves_steps_saves_and_hangs_by_them(desk: Desk) -> None:
    desk.open("1 prior")
    assert desk.window._browser is not None
    editor = HangingEditor(desk.window._browser, desk.window)
    desk.qtbot.addWidget(editor)
    assert "made for prior" in editor.protocols.item(0).text()
    editor.steps.setCurrentRow(2)
    editor.move_step(-1)
    editor.move_step(-1)
    editor.steps.setCurrentRow(7)
    editor.remove_step()
    editor.title.setText("CC first")
    editor.save()
    assert desk.titles()[0] == "CC pair"
    assert "L MLO current | prior" not in desk.titles()
    assert editor.protocols.currentItem().text().startswith("my own: CC first")
    editor.delete()
    assert desk.titles()[0] == "Overview"
    editor.pool.setCurrentIndex(editor.pool.findText("Implants, full and displaced: Overview full"))
    editor.add_step()
    editor.each_view.setChecked(False)
    editor.title.setText("With an added step")
    editor.save()
    assert "Overview full" not in desk.titles(), "it would look like the overview"
    assert not any("1:1" in title for title in desk.titles())
    own = desk.window._browser.library.shelf().protocols[0]
    assert [stage.title for stage in own.stages][1] == "Overview full"
    editor.title.setText("CESM")
    editor.save()
    assert "packaged" in editor._said.text()
    editor.close()


def test_study_browser_finds_by_typing_and_opens_by_keyboard(desk: Desk) -> None:
    exams = desk.window.exams
    QTest.keyClick(exams.table, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClicks(exams.search, "2022-12")
    shown = [row for row in range(exams.table.rowCount()) if not exams.table.isRowHidden(row)]
    assert len(shown) == 1
    assert "prior of" in exams.table.item(shown[0], 4).text()
    QTest.keyClick(exams.search, Qt.Key.Key_Return)
    desk.qtbot.waitUntil(lambda: exams.strip.count() == 4, timeout=30_000)
    QTest.keyClick(exams.table, Qt.Key.Key_Return)
    desk.qtbot.waitUntil(lambda: desk.window.reading._case is not None, timeout=30_000)
    assert desk.window.reading._case is not None
    assert str(desk.window.reading._case.exam.study_date) == "2022-12-01"
    desk.settle()


def test_mg43_next_exam_of_the_list_is_decoded_ahead_and_opens_at_once(desk: Desk) -> None:
    desk.window.exams.table.sortItems(1)
    order = desk.window.exams.order()
    desk.open("2022-12-01")
    browser = desk.window._browser
    assert browser is not None
    assert order[0] == desk.window.reading._case.exam.exam_id  # type: ignore[union-attr]
    assert order[1] in browser._ready
    desk.press(Qt.Key.Key_PageDown)
    assert desk.window.reading._case is not None
    assert desk.window.reading._case.exam.exam_id == order[1], "hung without waiting for a task"
    desk.settle()


def test_mg44_missing_views_are_a_quiet_line_and_not_a_dialog(desk: Desk, tmp_path: Path) -> None:
    files = _write(tmp_path / "three", 35, 0.6, "W9", "20250101")
    next(path for path in files if path.stem == "L-MLO").unlink()
    desk.window.open_exams(tmp_path / "three")
    desk.qtbot.waitUntil(lambda: desk.window.exams.table.rowCount() == 1, timeout=30_000)
    assert desk.window.exams.table.item(0, 5).text().startswith("Missing: L MLO")
    desk.open("L MLO")
    assert desk.window.reading.hanging.missing.text() == "Missing: L MLO"


def test_mg42_the_strip_is_used_by_keys_alone(desk: Desk) -> None:
    desk.open("1 prior")
    reading = desk.window.reading
    desk.press(Qt.Key.Key_F8)
    strip = reading.hanging.strip
    desk.qtbot.waitUntil(strip.hasFocus, timeout=5_000)
    strip.setCurrentRow(0)
    before = reading.grid.viewports()[0].state()
    for _ in range(5):
        QTest.keyClick(strip, Qt.Key.Key_Right)
    assert reading.grid.viewports()[0].state() == before, "the arrows choose and do not pan"
    QTest.keyClick(strip, Qt.Key.Key_Return)
    assert "L-CC@P1" in desk.hung()
    assert reading.grid.active() is not None
    assert reading.grid.active().image.key == "L-CC@P1"
    assert not strip.hasFocus()


def test_a_folder_without_exams_says_where_to_look(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "note.txt").write_text("nothing here")
    desk.window.exams.search.setText("2022")
    desk.window.open_exams(tmp_path / "empty")
    desk.qtbot.waitUntil(lambda: "import report" in desk.window.exams._state.text(), timeout=30_000)
    assert desk.window.exams.search.text() == ""


def test_an_exam_that_cannot_be_read_says_so_on_the_page(desk: Desk, tmp_path: Path) -> None:
    for path in _write(tmp_path / "bad", 36, 0.8, "W8", "20250101"):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    desk.window.open_exams(tmp_path / "bad")
    desk.settle()
    if desk.window.exams.table.rowCount() == 0:  # refused by its header already, with a sentence each
        assert "import report" in desk.window.exams._state.text()
        return
    desk.window.exams._open_current()
    desk.settle()
    assert desk.window.reading._case is None
    assert len(desk.window.reading._blank.text()) > 20
    assert "Loading" not in desk.window.reading._blank.text()
