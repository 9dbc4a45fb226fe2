"""The real widgets, offscreen: one paint a change, exact pixels, chest walls that meet."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.state.display import Change, Operation, ZoomMode
from app.state.hanging import Cell, Stage, load_protocols, match
from app.state.overlays import HeatLayer, OverlayItem, OverlayKind
from app.views.viewport import Viewport
from app.views.viewport_grid import ViewportGrid
from inference.exam.types import Box, Exam, Orientation, Presentation, Spacing, ViewImage, Voi, VoiFunction
from resources.vocabulary import FOUR_VIEWS, FindingType, ImageKind, ViewName

WINDOW = (Voi(label="", function=VoiFunction.LINEAR_EXACT, center=127.5, width=255),)


def _image(
    view: ViewName, kind: ImageKind = ImageKind.FFDM, orientation: Orientation | None = None
) -> ViewImage:
    seed = sum(f"{view.key}{kind.value}".encode())
    pixels = np.random.default_rng(seed).integers(100, 256, (480, 360)).astype(np.uint16)
    return ViewImage(
        view=view,
        kind=kind,
        pixels=pixels,
        presentation=Presentation(vois=WINDOW),
        orientation=orientation or Orientation(),
        spacing=Spacing(row_mm=0.1, col_mm=0.1, method="test"),
        source_id=view.key,
    )


def _four() -> dict[str, ViewImage]:
    return {image.key: image for image in map(_image, FOUR_VIEWS)}


def _overview(images: dict[str, ViewImage]) -> Stage:
    return match(load_protocols(), Exam(exam_id="e", images=tuple(images.values()), digest="0" * 64)).stages[
        0
    ]


def _settle() -> None:
    for _ in range(5):
        QApplication.processEvents()


def _grid(qtbot: QtBot, images: dict[str, ViewImage]) -> ViewportGrid:
    grid = ViewportGrid()
    qtbot.addWidget(grid)
    grid.resize(800, 600)
    grid.show()
    grid.set_stage(_overview(images), images)
    _settle()
    return grid


def _viewport(qtbot: QtBot, image: ViewImage) -> Viewport:
    view = Viewport()
    qtbot.addWidget(view)
    view.resize(300, 240)
    view.show()
    view.show_image(image)
    _settle()
    return view


def _grabbed(view: Viewport) -> np.ndarray:
    picture = view.grab().toImage()
    data = np.frombuffer(picture.constBits(), np.uint32).reshape(
        picture.height(), picture.bytesPerLine() // 4
    )
    return data[:, : picture.width()] & 0xFF


@pytest.mark.parametrize(
    "change", [Change.WINDOW, Change.INVERT, Change.PAN, Change.ZOOM, Change.ACTUAL, Change.FLIP_H]
)
def test_every_linked_view_paints_exactly_once_a_change(qtbot: QtBot, change: Change) -> None:
    grid = _grid(qtbot, _four())
    grid.linked_zoom = True
    before = [view.paint_count for view in grid.viewports()]
    grid.apply(Operation(change=change, first=1.25, second=3.0))
    _settle()
    assert [view.paint_count - was for view, was in zip(grid.viewports(), before, strict=True)] == [
        1,
        1,
        1,
        1,
    ]


@pytest.mark.parametrize("layer", ["boxes", "heat"])
def test_overlays_cost_one_paint(qtbot: QtBot, layer: str) -> None:
    view = _viewport(qtbot, _image(FOUR_VIEWS[0]))
    before = view.paint_count
    if layer == "boxes":
        view.set_overlays([_box("R-CC")])
    else:
        view.set_heat(HeatLayer(image_key="R-CC", values=np.ones((4, 4), np.float32)))
    _settle()
    assert view.paint_count - before == 1


def _box(key: str) -> OverlayItem:
    box = Box(row0=200, col0=150, row1=260, col1=210)
    return OverlayItem(
        kind=OverlayKind.AI_BOX, image_key=key, item_id="a", box=box, finding=FindingType.MASS, ai=True
    )


@pytest.mark.parametrize("flip", [False, True])
def test_mg11_screen_pixels_are_image_pixels_at_actual_size(qtbot: QtBot, flip: bool) -> None:
    orientation = Orientation(transpose=flip, flip_rows=flip)
    image = _image(ViewName.parse("L-CC"), orientation=orientation)
    view = _viewport(qtbot, image)
    view.actual()
    _settle()
    hung = view.item.geometry.orient(image.pixels)
    where = view.screen_map()
    assert where is not None
    got = _grabbed(view)
    for y, x in ((100, 120), (121, 143), (140, 90)):
        assert got[y, x] == hung[int(y - where.top), int(x - where.left)]


def test_panning_by_strips_equals_drawing_anew(qtbot: QtBot) -> None:
    image = _image(FOUR_VIEWS[0])
    view, fresh = _viewport(qtbot, image), _viewport(qtbot, image)
    view.zoom(2.3)
    _settle()
    for rows, cols in ((7, -5), (-20, 11), (3, 30)):
        view.pan(rows, cols)
        _settle()
    fresh.show_image(image, None, view.state())
    _settle()
    assert np.abs(_grabbed(view).astype(int) - _grabbed(fresh).astype(int)).max() <= 1


def test_mg06_chest_walls_meet_without_a_gap(qtbot: QtBot) -> None:
    grid = _grid(qtbot, _four())
    picture = grid.grab().toImage()
    for y in (120, 180, 400, 480):
        for x in (399, 400):
            assert picture.pixelColor(x, y).red() >= 100  # tissue on both sides of the seam


def test_mg07_a_click_returns_the_stored_pixel_under_the_pointer_after_flip_and_zoom(qtbot: QtBot) -> None:
    view = _viewport(qtbot, _image(FOUR_VIEWS[0], orientation=Orientation(transpose=True, flip_cols=True)))
    view.set_tool("mark")
    view.apply(Operation(change=Change.FLIP_V))
    view.zoom(1.7)
    _settle()
    wanted = view.stored_at(QPointF(150, 120))
    assert wanted is not None
    place = view.widget_point(*wanted)
    assert (place.x(), place.y()) == pytest.approx((150, 120))
    with qtbot.waitSignal(view.clicked) as caught:
        QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(150, 120))
    assert caught.args[:2] == pytest.approx(wanted, abs=1.0)


def test_mg18_everything_beside_the_picture_is_black(qtbot: QtBot) -> None:
    view = _viewport(qtbot, _image(ViewName.parse("L-CC")))
    view.apply(Operation(change=Change.INVERT))
    _settle()
    assert _grabbed(view)[60:62, 210:280].max() == 0


def test_mg21_window_is_linked_and_stops_at_the_other_energy(qtbot: QtBot) -> None:
    low, recombined = (
        _image(FOUR_VIEWS[0], kind) for kind in (ImageKind.CESM_LOW, ImageKind.CESM_RECOMBINED)
    )
    left = _image(FOUR_VIEWS[1], ImageKind.CESM_LOW)
    images = {image.key: image for image in (low, recombined, left)}
    cells = tuple(Cell(row=0, col=k, image_key=key, why="") for k, key in enumerate(images))
    grid = ViewportGrid()
    qtbot.addWidget(grid)
    grid.show()
    grid.set_stage(Stage(title="", rows=1, cols=3, cells=cells), images)
    grid.apply(Operation(change=Change.WINDOW, first=0.1, second=0.0))
    centers = [view.window()[0] for view in grid.viewports()]
    assert centers == pytest.approx([127.5 + 25.5, 127.5, 127.5 + 25.5])


def test_cem03_cem05_toggle_keeps_geometry_and_gives_each_energy_its_own_window(qtbot: QtBot) -> None:
    low, recombined = (
        _image(FOUR_VIEWS[0], kind) for kind in (ImageKind.CESM_LOW, ImageKind.CESM_RECOMBINED)
    )
    images = {low.key: low, recombined.key: recombined}
    grid = _grid(qtbot, images)
    view = next(view for view in grid.viewports() if view.image is low)
    grid.set_active(view)
    grid.apply(Operation(change=Change.ZOOM, first=1.5))
    grid.apply(Operation(change=Change.WINDOW, first=0.2, second=0.0))
    before = view.state()
    assert grid.toggle_energy()
    after = view.state()
    assert view.image is recombined
    assert (after.scale, after.pan_row, after.pan_col) == (before.scale, before.pan_row, before.pan_col)
    assert after.center is None
    assert grid.toggle_energy()
    assert view.state().center == before.center


def test_all_painted_comes_once_a_case_after_every_view_has_painted(qtbot: QtBot) -> None:
    images = _four()
    grid = ViewportGrid()
    qtbot.addWidget(grid)
    times: list[int] = []
    grid.all_painted.connect(times.append)
    grid.show()
    with qtbot.waitSignal(grid.all_painted):
        grid.set_stage(_overview(images), images)
        assert times == []
    assert all(view.paint_count >= 1 for view in grid.viewports())
    with qtbot.waitSignal(grid.stage_painted):
        grid.set_stage(_overview(images), images)
    assert len(times) == 1
    assert times[0] > 2**32  # nanoseconds do not fit a C int


def test_mg09_same_size_holds_after_a_resize(qtbot: QtBot) -> None:
    grid = _grid(qtbot, _four())
    grid.resize(640, 700)
    _settle()
    states = [view.state() for view in grid.viewports()]
    assert len({state.scale for state in states}) == 1
    assert {state.zoom_mode for state in states} == {ZoomMode.SAME}


def test_double_click_gives_a_view_the_whole_grid_and_back(qtbot: QtBot) -> None:
    grid = _grid(qtbot, _four())
    view = grid.viewports()[1]
    state = view.state()
    view.maximise_requested.emit()
    _settle()
    assert view.size() == grid.size()
    view.maximise_requested.emit()
    _settle()
    assert replace(view.state()) == state
    assert all(other.isVisible() for other in grid.viewports())


def test_magnifier_follows_the_pointer_in_one_paint(qtbot: QtBot) -> None:
    view = _viewport(qtbot, _image(FOUR_VIEWS[0]))
    view.set_tool("magnifier")
    _settle()
    before = view.paint_count
    QTest.mouseMove(view.viewport(), QPoint(140, 110))
    _settle()
    assert view.paint_count - before == 1


def test_none_keeps_its_references_over_a_thousand_event_loops(qtbot: QtBot) -> None:
    QApplication.processEvents()
    before = sys.getrefcount(None)
    for _ in range(1000):
        QApplication.processEvents()
    # From Python 3.12 on None is immortal and its count never moves.
    assert abs(sys.getrefcount(None) - before) < 100


def test_mg13_size_line_names_factor_and_mode(qtbot: QtBot) -> None:
    from app.views.edge_text import size_line

    view = _viewport(qtbot, _image(FOUR_VIEWS[0]))
    assert size_line(view.state()) == "1:2.0  fit"
    view.actual()
    assert size_line(view.state()) == "1:1  actual pixels"
    view.zoom(2.5)
    assert size_line(view.state()) == "2.5:1  free"
