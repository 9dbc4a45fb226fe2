"""Contrast pairs on their working grid: greys, the 5 mm margin, crops, canvas and the way back to stored pixels."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from inference.exam.contrast import ContrastPair, contrast_pairs
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Box, InferenceError, Spacing
from inference.preprocessing.cesm import (
    ASSUMED_HEIGHT_MM,
    CANVAS,
    CESM_PAPER,
    WORK_MM,
    box_on_grid,
    crop_box,
    equalised,
    from_canvas,
    in_robust_units,
    lesion_crop,
    mask_on_canvas,
    mask_on_grid,
    prepare_pair,
    segmenter_canvas,
    stretched,
)


@pytest.fixture(scope="module")
def pair() -> ContrastPair:
    return contrast_pairs(phantom_exam(PhantomSpec(seed=4, cesm=True, pixel_mm=0.4)).exam.images)[0]


def test_the_working_grid_has_its_pixel_whatever_the_files(pair: ContrastPair) -> None:
    ready = prepare_pair(pair)
    rows, cols = pair.low.pixels.shape
    assert ready.low.shape == (round(rows * 0.4 / WORK_MM), round(cols * 0.4 / WORK_MM))
    assert ready.to_stored(*ready.low.shape) == pytest.approx((rows, cols))
    assert (ready.low[~ready.breast] == 0).all()
    assert (ready.recombined[~ready.breast] == 0).all()


def test_without_a_pixel_size_a_height_is_assumed_and_said(pair: ContrastPair) -> None:
    bare = ContrastPair(
        low=replace(pair.low, spacing=None), recombined=replace(pair.recombined, spacing=None)
    )
    ready = prepare_pair(bare)
    assert max(ready.low.shape) == round(ASSUMED_HEIGHT_MM / WORK_MM)
    assert "no pixel size is recorded" in ready.warnings[0]


@pytest.mark.parametrize("wrong", [3.0, 0.01])
def test_a_spacing_that_makes_an_impossible_breast_is_not_believed_and_the_grid_stays_small(
    pair: ContrastPair, wrong: float
) -> None:
    spacing = Spacing(row_mm=wrong, col_mm=wrong, method="file")
    absurd = ContrastPair(
        low=replace(pair.low, spacing=spacing), recombined=replace(pair.recombined, spacing=spacing)
    )
    bare = ContrastPair(
        low=replace(pair.low, spacing=None), recombined=replace(pair.recombined, spacing=None)
    )
    ready, assumed = prepare_pair(absurd), prepare_pair(bare)
    assert max(ready.low.shape) == round(ASSUMED_HEIGHT_MM / WORK_MM)
    assert (ready.low == assumed.low).all()
    assert f"with the recorded pixel spacing of {wrong:.3f} mm the breast would be" in ready.warnings[0]
    assert len(ready.warnings) == 1


def test_a_wrong_spacing_cannot_blow_up_a_picture_whose_breast_was_not_found(pair: ContrastPair) -> None:
    spacing = Spacing(row_mm=3.0, col_mm=3.0, method="file")
    blank = np.zeros_like(pair.low.pixels)
    ready = prepare_pair(
        ContrastPair(
            low=replace(pair.low, spacing=spacing, pixels=blank),
            recombined=replace(pair.recombined, spacing=spacing, pixels=blank),
        )
    )
    assert max(ready.low.shape) == round(ASSUMED_HEIGHT_MM / WORK_MM)


def test_images_of_unequal_size_are_no_pair(pair: ContrastPair) -> None:
    cut = replace(pair.recombined, pixels=np.ascontiguousarray(pair.recombined.pixels[:-10]))
    with pytest.raises(InferenceError, match="of one size"):
        prepare_pair(ContrastPair(low=pair.low, recombined=cut))
    with pytest.raises(InferenceError, match="expected one of cesm-pair/1"):
        prepare_pair(pair, "cesm-pair/9")


def test_equalised_greys_are_even_over_the_breast() -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(2.0, 300.0, (200, 150)).astype(np.float32)
    mask = np.zeros(values.shape, bool)
    mask[20:180, 10:120] = True
    grey = equalised(values, mask)
    counts, _ = np.histogram(grey[mask], bins=8, range=(0, 256))
    assert counts.max() < 1.1 * counts.min()
    assert (grey[~mask] == 0).all()
    assert (np.argsort(values[mask], kind="stable")[-1]) == np.argmax(
        grey[mask].astype(float) + values[mask] * 1e-6
    )


def test_robust_greys_do_not_depend_on_a_vendors_scale_but_keep_the_amount_of_enhancement() -> None:
    rng = np.random.default_rng(1)
    mask = np.ones((160, 160), bool)
    background = cv2.GaussianBlur(rng.normal(size=mask.shape).astype(np.float32), (0, 0), 6) * 100
    weak, strong = background.copy(), background.copy()
    weak[60:80, 60:80] += 60
    strong[60:80, 60:80] += 240
    one = in_robust_units(weak, mask)
    np.testing.assert_allclose(
        in_robust_units(weak * 7 + 5000, mask).astype(int), one.astype(int), atol=1
    )  # another vendor
    assert in_robust_units(strong, mask)[60:80, 60:80].mean() > one[60:80, 60:80].mean() + 30
    assert abs(float(np.median(one)) - 64) < 4


def test_the_published_chain_stretches_the_grey_and_equalises_each_crop(pair: ContrastPair) -> None:
    ready = prepare_pair(pair, CESM_PAPER)
    assert (ready.low[ready.breast].min(), ready.low.max()) == (0, 255)
    at = np.argwhere(ready.breast).mean(axis=0).astype(int)
    mask = np.zeros(ready.low.shape, bool)
    mask[at[0] - 20 : at[0] + 20, at[1] - 15 : at[1] + 15] = True
    plain = lesion_crop(ready, mask, 96)
    even = lesion_crop(ready, mask, 96, equalise=True)
    for channel in (0, 1):
        np.testing.assert_array_equal(even[channel], cv2.equalizeHist(plain[channel]))
    np.testing.assert_array_equal(even[2], plain[2])
    assert stretched(np.array([[2.0, 4.0, 9.0]], np.float32), np.array([[True, True, False]])).tolist() == [
        [0, 255, 255]
    ]


def test_a_crop_is_the_lesion_and_five_millimetres_on_every_side(pair: ContrastPair) -> None:
    ready = prepare_pair(pair)
    mask = np.zeros(ready.low.shape, bool)
    mask[100:160, 50:80] = True  # 15 mm by 7.5 mm
    assert crop_box(mask) == (130.0, 65.0, 100.0)  # 25 mm
    crop = lesion_crop(ready, mask, 100)  # one crop pixel is one of the working grid
    np.testing.assert_array_equal(crop[2] > 127, mask[80:180, 15:115])
    np.testing.assert_array_equal(crop[0], ready.low[80:180, 15:115])
    wide = lesion_crop(ready, mask, 125, reach=1.25)
    np.testing.assert_array_equal(wide[:, 12:-13, 12:-13].shape[1:], (100, 100))
    with pytest.raises(ValueError, match="at least one pixel"):
        crop_box(np.zeros((5, 5), bool))


def test_a_crop_at_the_images_edge_is_filled_with_air(pair: ContrastPair) -> None:
    ready = prepare_pair(pair)
    mask = np.zeros(ready.low.shape, bool)
    mask[0:20, 0:20] = True
    crop = lesion_crop(ready, mask, 60)
    assert (crop[:, :19] == 0).all()
    assert crop.shape == (3, 60, 60)


def test_what_is_found_on_the_canvas_comes_back_to_its_place(pair: ContrastPair) -> None:
    ready = prepare_pair(pair)
    canvas = segmenter_canvas(ready)
    assert canvas.shape == (2, *CANVAS)
    at = np.argwhere(ready.breast).mean(axis=0)
    r, c = np.mgrid[: ready.low.shape[0], : ready.low.shape[1]]
    mask = (r - at[0]) ** 2 + (c - at[1]) ** 2 < 30**2
    there = mask_on_canvas(ready, mask)
    back = from_canvas(ready, there.astype(np.float32)) >= 0.5
    overlap = 2 * (back & mask).sum() / (back.sum() + mask.sum())
    assert overlap > 0.95
    assert back.shape == ready.low.shape


def test_stored_masks_and_boxes_come_to_the_grid(pair: ContrastPair) -> None:
    ready = prepare_pair(pair)
    stored = np.zeros(ready.stored_shape, bool)
    stored[100:140, 60:90] = True
    grid = mask_on_grid(ready, stored)
    rows = np.flatnonzero(grid.any(axis=1))
    assert (rows[0] / ready.scale[0], (rows[-1] + 1) / ready.scale[0]) == pytest.approx((100, 140), abs=1)
    ellipse = box_on_grid(ready, Box(row0=100, col0=60, row1=140, col1=90))
    assert ellipse.sum() == pytest.approx(np.pi / 4 * grid.sum(), rel=0.03)
    speck = np.zeros(ready.stored_shape, bool)
    speck[7, 9] = True
    assert mask_on_grid(ready, speck).any()
