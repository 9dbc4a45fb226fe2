"""The four-view chain: grey map, one place for all breasts, the way back, specks kept, odd spacings said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Box, InferenceError, Orientation, Spacing, ViewImage
from inference.preprocessing.four_view import FOUR_VIEW, FOUR_VIEW_FULL, PreparedView, prepare_exam
from inference.preprocessing.layout import box_to_canvas, box_to_stored
from resources.vocabulary import FindingType, Pathology

ZERO, ONE = 43, 213  # bytes of 0 and 1 of the normalised grey: -0.25 .. 1.25 on 1 .. 255


@pytest.fixture(scope="module")
def views() -> tuple[ViewImage, ...]:
    return phantom_exam(PhantomSpec(seed=11, pixel_mm=0.3)).exam.images


@pytest.fixture(scope="module")
def prepared(views: tuple[ViewImage, ...]) -> list[PreparedView]:
    return prepare_exam(views)


def test_one_in_twenty_breast_pixels_lies_below_zero_and_one_in_twenty_above_one(
    prepared: list[PreparedView],
) -> None:
    for view in prepared:
        grey = view.planes[0][view.mask]
        assert (grey < ZERO).mean() == pytest.approx(0.05, abs=0.015)
        assert (grey > ONE).mean() == pytest.approx(0.05, abs=0.015)


def test_breasts_touch_the_right_edge_and_tips_of_a_projection_share_a_row(
    views: tuple[ViewImage, ...], prepared: list[PreparedView]
) -> None:
    tips: dict[bool, list[float]] = {True: [], False: []}
    for image, view in zip(views, prepared, strict=True):
        width = view.mask.sum(axis=1)
        assert view.mask[:, -3:].any()
        assert not view.mask[view.used_rows :].any()
        tips[image.view.projection.is_axial].append(
            float(np.median(np.flatnonzero(width >= 0.97 * width.max())))
        )
    for rows in tips.values():
        assert abs(rows[0] - rows[1]) <= 1
    assert len({view.planes.shape for view in prepared}) == 1
    assert all(side % 32 == 0 for side in prepared[0].planes.shape[1:])


@pytest.mark.parametrize("flip_rows", [False, True])
@pytest.mark.parametrize("flip_cols", [False, True])
@pytest.mark.parametrize("transpose", [False, True])
def test_a_box_comes_back_to_the_stored_pixels_whatever_the_orientation(
    views: tuple[ViewImage, ...], flip_rows: bool, flip_cols: bool, transpose: bool
) -> None:
    way = Orientation(flip_rows=flip_rows, flip_cols=flip_cols, transpose=transpose)
    for image in views[:2]:
        turned = replace(image, orientation=way)
        view = prepare_exam([turned])[0]
        rows, cols = image.pixels.shape
        box = Box(row0=0.31 * rows, col0=0.22 * cols, row1=0.44 * rows, col1=0.37 * cols)
        back = box_to_stored(view.placement, box_to_canvas(view.placement, box))
        assert back is not None
        np.testing.assert_allclose(
            (back.row0, back.col0, back.row1, back.col1), (box.row0, box.col0, box.row1, box.col1), atol=1e-6
        )


def test_the_brightest_spot_of_a_lesion_lies_in_its_box_on_the_canvas() -> None:
    spec = PhantomSpec(
        seed=5, pixel_mm=0.15, lesions=1, pathology=Pathology.MALIGNANT, finding=FindingType.CALCIFICATION
    )
    phantom = phantom_exam(spec)
    checked = 0
    for view in prepare_exam(phantom.exam.images):
        for lesion in phantom.lesions:
            if view.image_key not in lesion.views:
                continue
            box = box_to_canvas(view.placement, lesion.views[view.image_key].box)
            inside = view.planes[1][int(box.row0) : int(box.row1) + 1, int(box.col0) : int(box.col1) + 1]
            assert (inside > 150).sum() >= 5  # specks far above the grain, which stays under 60
            checked += 1
    assert checked == 2


def test_missing_spacing_is_estimated_from_the_breast_and_said(views: tuple[ViewImage, ...]) -> None:
    bare = [replace(image, spacing=None) for image in views]
    prepared = prepare_exam(bare)
    heights = [np.flatnonzero(view.mask.any(axis=1)) for view in prepared]
    sizes_mm = [(rows[-1] - rows[0] + 1) * 0.3 for rows in heights]
    assert max(sizes_mm) == pytest.approx(170.0, abs=2.0)  # the tallest breast, one guess for the exam
    measured = [np.flatnonzero(view.mask.any(axis=1)) for view in prepare_exam(views)]
    true_mm = [(rows[-1] - rows[0] + 1) * 0.3 for rows in measured]
    np.testing.assert_allclose(np.array(sizes_mm) / true_mm, max(sizes_mm) / max(true_mm), rtol=0.02)
    for view in prepared:
        assert any("no pixel spacing" in sentence for sentence in view.warnings)


def test_a_spacing_that_makes_the_breast_absurd_is_not_believed(views: tuple[ViewImage, ...]) -> None:
    wrong = replace(views[0], spacing=Spacing(row_mm=3.0, col_mm=3.0, method="wrong"))
    view = prepare_exam([wrong])[0]
    assert any("was assumed instead" in sentence for sentence in view.warnings)
    assert view.planes.shape[1] < 1000


def test_no_views_at_all_are_refused_with_a_sentence() -> None:
    with pytest.raises(InferenceError, match="expected one to four CC or MLO views, found none"):
        prepare_exam([])


def test_one_sentence_tells_of_all_views_that_share_a_guess(views: tuple[ViewImage, ...]) -> None:
    bare = [replace(image, spacing=None) for image in views]
    told = {sentence for view in prepare_exam(bare) for sentence in view.warnings if "spacing" in sentence}
    assert len(told) == 1
    assert next(iter(told)).startswith("R CC, L CC, R MLO and L MLO: no pixel spacing")


def test_full_chain_is_the_picture_alone_at_a_pixel_of_0_15_mm(views: tuple[ViewImage, ...]) -> None:
    full, small = prepare_exam(views[:1], FOUR_VIEW_FULL)[0], prepare_exam(views[:1], FOUR_VIEW)[0]
    assert full.planes.shape[0] == 1
    assert full.placement.scale[0] == pytest.approx(2 * small.placement.scale[0], rel=0.01)
    with pytest.raises(InferenceError, match="four-view/1"):
        prepare_exam(views[:1], "four-view/9")
