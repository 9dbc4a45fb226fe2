"""The way onto the canvas and back, in all eight orientations."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Box, Orientation, ViewImage
from inference.preprocessing.layout import box_to_canvas, box_to_stored, map_to_stored
from inference.preprocessing.pipeline import dib_mg_small

ALL_EIGHT = [
    Orientation(transpose=t, flip_rows=r, flip_cols=c)
    for t, r, c in itertools.product((False, True), repeat=3)
]


@pytest.fixture(scope="module")
def upright() -> ViewImage:
    """A left breast as it hangs: chest wall at column 0, no turning needed."""
    images = phantom_exam(PhantomSpec(seed=5, pixel_mm=0.5)).exam.images
    image = next(i for i in images if i.view.key == "L-MLO")
    return replace(image, pixels=_hung(image), orientation=Orientation())


def _hung(image: ViewImage) -> np.ndarray:
    out = image.pixels.T if image.orientation.transpose else image.pixels
    out = out[::-1] if image.orientation.flip_rows else out
    return np.ascontiguousarray(out[:, ::-1] if image.orientation.flip_cols else out)


def _stored_as(upright: ViewImage, orientation: Orientation) -> ViewImage:
    pixels = upright.pixels
    pixels = pixels[:, ::-1] if orientation.flip_cols else pixels
    pixels = pixels[::-1] if orientation.flip_rows else pixels
    pixels = pixels.T if orientation.transpose else pixels
    return replace(upright, pixels=np.ascontiguousarray(pixels), orientation=orientation)


@pytest.mark.parametrize("orientation", ALL_EIGHT, ids=str)
def test_mg07_every_stored_orientation_gives_the_same_canvas(
    upright: ViewImage, orientation: Orientation
) -> None:
    expected = dib_mg_small(upright)
    found = dib_mg_small(_stored_as(upright, orientation))
    np.testing.assert_array_equal(found.mask, expected.mask)
    np.testing.assert_allclose(found.canvas, expected.canvas, atol=1e-6)


@pytest.mark.parametrize("orientation", ALL_EIGHT, ids=str)
def test_a_bright_square_comes_back_from_the_canvas_to_its_stored_pixels(
    upright: ViewImage, orientation: Orientation
) -> None:
    pixels = np.zeros_like(upright.pixels)
    pixels[40:-40, :150] = 1000
    pixels[200:220, 60:90] = 4095
    image = _stored_as(replace(upright, pixels=pixels), orientation)
    item = dib_mg_small(image)
    rows, cols = np.nonzero(item.canvas > 0.9 * item.canvas.max())
    box = Box(row0=rows.min(), col0=cols.min(), row1=rows.max() + 1, col1=cols.max() + 1)
    back = box_to_stored(item.placement, box)
    assert back is not None
    lit_rows, lit_cols = np.nonzero(image.pixels == 4095)
    expected = (lit_rows.min(), lit_cols.min(), lit_rows.max() + 1, lit_cols.max() + 1)
    assert (back.row0, back.col0, back.row1, back.col1) == pytest.approx(expected, abs=1.5)


@pytest.mark.parametrize("orientation", ALL_EIGHT, ids=str)
def test_a_box_survives_the_way_there_and_back(upright: ViewImage, orientation: Orientation) -> None:
    image = _stored_as(upright, orientation)
    placement = dib_mg_small(image).placement
    box = Box(row0=120.25, col0=33.0, row1=180.0, col1=70.5)
    back = box_to_stored(placement, box_to_canvas(placement, box))
    assert back is not None
    assert (back.row0, back.col0, back.row1, back.col1) == pytest.approx(
        (120.25, 33.0, 180.0, 70.5), abs=1e-6
    )


@pytest.mark.parametrize("orientation", ALL_EIGHT, ids=str)
def test_a_map_lies_on_the_stored_image_where_the_canvas_had_it(
    upright: ViewImage, orientation: Orientation
) -> None:
    image = _stored_as(upright, orientation)
    item = dib_mg_small(image)
    values = np.zeros((128, 80), np.float32)
    values[60:64, 20:24] = 1.0
    there = map_to_stored(values, item.placement)
    rows, cols = np.nonzero(there > 0.5)
    scale = image.pixels.shape[0] / there.shape[0]
    center = ((rows.mean() + 0.5) * scale, (cols.mean() + 0.5) * scale)
    expected = box_to_stored(item.placement, Box(row0=240, col0=80, row1=256, col1=96))
    assert expected is not None
    assert center == pytest.approx(expected.center, abs=1.5)


def test_a_right_breast_is_mirrored_so_that_its_chest_wall_is_at_column_zero() -> None:
    exam = phantom_exam(PhantomSpec(seed=8, pixel_mm=0.5)).exam
    for image in exam.images:
        mask = dib_mg_small(image).mask
        assert mask[:, 0].sum() > 0.5 * mask.any(axis=1).sum(), image.key


def test_mg12_missing_spacing_is_guessed_from_the_breast_and_said(upright: ViewImage) -> None:
    item = dib_mg_small(replace(upright, spacing=None))
    assert any("no pixel spacing" in warning for warning in item.warnings)
    assert item.mask.any(axis=1).sum() * item.pixel_mm == pytest.approx(170, abs=2)


def test_a_breast_larger_than_the_canvas_is_read_coarser_and_said(upright: ViewImage) -> None:
    assert upright.spacing is not None
    wide = replace(upright, spacing=replace(upright.spacing, row_mm=0.7, col_mm=0.7))
    item = dib_mg_small(wide)
    assert item.pixel_mm > 0.45
    assert any("larger than the model's field" in warning for warning in item.warnings)
