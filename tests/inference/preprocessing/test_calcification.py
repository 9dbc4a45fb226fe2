"""The calcification chain and its candidate stage, on pictures whose specks we placed ourselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.exam.types import Box, Orientation, Presentation, Spacing, ViewImage, Voi, VoiFunction
from inference.preprocessing.calcification import AIR, CROP_PX, CalcificationView, cut, prepare_view
from inference.preprocessing.calcification_candidates import find_candidates, find_spots
from inference.preprocessing.layout import box_to_stored
from resources.vocabulary import ImageKind, Laterality, Projection, ViewName

ROWS, COLS = 1200, 800


def breast(rng: np.random.Generator, grain: float = 25.0) -> NDArray[np.float64]:
    """A half-disc of tissue with grain, chest wall at column 0, values 0..4095."""
    rows, cols = np.mgrid[0:ROWS, 0:COLS]
    inside = ((rows - ROWS / 2) / 560.0) ** 2 + (cols / 740.0) ** 2 < 1
    tissue = 1500.0 + 500.0 * np.sin(cols / 170.0) + rng.normal(0, grain, (ROWS, COLS))
    return np.where(inside, tissue, 0.0)


def speck(picture: NDArray[np.float64], row: int, col: int, height: float = 1100.0) -> None:
    """Add a bright dot of 0.4 mm."""
    r, c = np.mgrid[-3:4, -3:4]
    picture[row - 3 : row + 4, col - 3 : col + 4] += height * (r * r + c * c <= 4.5)


def image_of(picture: NDArray[np.float64], side: Laterality = Laterality.LEFT, mm: float = 0.1) -> ViewImage:
    voi = Voi(label="all", function=VoiFunction.LINEAR, center=2048.0, width=4096.0)
    pixels = np.clip(picture, 0, 4095).astype(np.uint16)
    return ViewImage(
        view=ViewName(laterality=side, projection=Projection.CC),
        kind=ImageKind.FFDM,
        pixels=np.ascontiguousarray(pixels[:, ::-1]) if side is Laterality.RIGHT else pixels,
        presentation=Presentation(vois=(voi,), padding=(0, 0)),
        orientation=Orientation(),
        spacing=Spacing(row_mm=mm, col_mm=mm, method="test"),
        source_id="test",
    )


def spots_at(view: CalcificationView, row: float, col: float) -> int:
    """Spots within 0.4 mm of a place of the view's canvas."""
    found = find_spots(view)
    return int((np.hypot(found[:, 0] - row, found[:, 1] - col) <= 4).sum())


PLACES = [(600, 300), (618, 312), (590, 325), (622, 280), (605, 340)]


@pytest.mark.parametrize("side", list(Laterality))
def test_a_group_of_specks_is_the_strongest_candidate_and_its_box_holds_it_in_the_stored_file(
    side: Laterality,
) -> None:
    picture = breast(np.random.default_rng(1))
    for row, col in PLACES:
        speck(picture, row, col)
    view = prepare_view(image_of(picture, side))
    best = find_candidates(view)[0]
    assert len(best.spots) == len(PLACES)
    box = box_to_stored(view.placement, best.box)
    assert box is not None
    cols = [c if side is Laterality.LEFT else COLS - 1 - c for _, c in PLACES]
    rows = [r for r, _ in PLACES]
    rim = 10  # 1 mm
    assert box.row0 == pytest.approx(min(rows) - rim, abs=3)
    assert box.row1 == pytest.approx(max(rows) + rim, abs=3)
    assert box.col0 == pytest.approx(min(cols) - rim, abs=3)
    assert box.col1 == pytest.approx(max(cols) + rim, abs=3)


def test_a_vessel_is_no_spot_and_a_speck_on_it_is_one() -> None:
    picture = breast(np.random.default_rng(2))
    picture[300:900, 398:402] += 500.0
    speck(picture, 600, 200)
    view = prepare_view(image_of(picture))
    top = 600 - round(view.placement.origin[0])
    along = sum(spots_at(view, row, 400) for row in range(top - 200, top + 200, 8))
    assert along <= 2
    assert spots_at(view, top, 200.5) == 1


def test_two_specks_are_no_group_and_tissue_without_specks_has_no_strong_candidate() -> None:
    rng = np.random.default_rng(3)
    bare = breast(rng)
    bare_best = max((c.strength for c in find_candidates(prepare_view(image_of(bare)))), default=0.0)
    grouped = bare.copy()
    for row, col in PLACES:
        speck(grouped, row, col)
    assert find_candidates(prepare_view(image_of(grouped)))[0].strength > 3 * max(bare_best, 0.5)
    pair = bare.copy()
    for row, col in PLACES[:2]:
        speck(pair, row, col)
    view = prepare_view(image_of(pair))
    top = round(view.placement.origin[0])
    at = Box(row0=580 - top, col0=280, row1=640 - top, col1=340)
    on = [
        c
        for c in find_candidates(view)
        if at.row0 <= c.center[0] < at.row1 and at.col0 <= c.center[1] < at.col1
    ]
    assert all(len(c.spots) >= 3 for c in on)


def test_the_picture_is_brought_to_tenths_of_a_millimetre_whatever_the_file_has() -> None:
    picture = breast(np.random.default_rng(4))
    fine, coarse = prepare_view(image_of(picture, mm=0.1)), prepare_view(image_of(picture, mm=0.2))
    assert coarse.inside.shape[0] == pytest.approx(2 * fine.inside.shape[0], abs=2)
    assert fine.warnings == ()
    assert any("coarse" in w or "assumed" in w for w in prepare_view(image_of(picture, mm=2.0)).warnings)


def test_a_crop_at_the_edge_is_filled_with_air() -> None:
    view = prepare_view(image_of(breast(np.random.default_rng(5))))
    crop = cut(view, 0.0, 0.0)
    half = CROP_PX // 2
    assert crop.shape == (3, CROP_PX, CROP_PX)
    assert np.all(crop[:, :half] == np.array(AIR, np.uint8)[:, None, None])
    assert np.array_equal(crop[:, half:, half:], view.planes[:, :half, :half])


def test_faint_specks_count_where_file_pixels_are_coarse_and_blur_them() -> None:
    picture = breast(np.random.default_rng(6), grain=3.0)
    for row, col in PLACES:
        speck(picture, row, col, height=38.0)
    fine = prepare_view(image_of(picture))
    assert not fine.coarse
    assert prepare_view(image_of(picture, mm=0.2)).coarse
    assert not find_candidates(fine)
    top = round(fine.placement.origin[0])
    best = find_candidates(replace(fine, pixel_mm=0.2))[0]
    assert best.box.row0 + top <= 590
    assert best.box.row1 + top >= 622
    assert len(best.spots) == len(PLACES)
