"""Hand-made features against the values that the standard's authors published for their digital phantom."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inference.evaluation.radiomics import (
    cooccurrence,
    first_order,
    lesion_features,
    levels_of,
    resampled_mask,
    shape_features,
)

# IBSI reference manual (arXiv:1612.07003), section 5.1: the digital phantom, 0 = outside the region of interest.
PHANTOM = np.array(
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [0, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ]
)
# The manual's reference values for it, to the digits printed there; matrices by slice, without merging.
FIRST_ORDER = {
    "mean": 2.15, "variance": 3.05, "skewness": 1.08, "kurtosis": -0.355, "median": 1, "minimum": 1, "p10": 1,
    "p90": 4, "maximum": 6, "interquartile range": 3, "range": 5, "mean absolute deviation": 1.55,
    "robust mean absolute deviation": 1.11, "median absolute deviation": 1.15, "coefficient of variation": 0.812,
    "quartile coefficient of dispersion": 0.6, "energy": 567, "root mean square": 2.77,
}  # fmt: skip
GLCM = {
    "joint maximum": 0.519, "joint average": 2.14, "joint variance": 2.69, "joint entropy": 2.05,
    "angular second moment": 0.368, "contrast": 5.28, "dissimilarity": 1.42, "inverse difference": 0.678,
    "inverse difference moment": 0.619, "correlation": -0.0121, "autocorrelation": 5.09, "cluster tendency": 5.47,
    "cluster shade": 7.0, "cluster prominence": 79.1,
}  # fmt: skip


def test_first_order_features_equal_the_published_values_of_the_digital_phantom() -> None:
    values = PHANTOM[PHANTOM > 0].astype(np.float64)
    assert len(values) == 74
    found = first_order(values)
    for name, value in FIRST_ORDER.items():
        assert found[name] == pytest.approx(value, rel=0.005), name


def test_cooccurrence_features_equal_the_published_values_of_the_digital_phantom() -> None:
    slices = [cooccurrence(plane.astype(np.int64)) for plane in PHANTOM]
    for name, value in GLCM.items():
        assert np.mean([one[name] for one in slices]) == pytest.approx(value, rel=0.006, abs=2e-4), name


def test_a_disc_has_the_size_and_form_of_a_disc() -> None:
    r, c = np.mgrid[:200, :200]
    found = shape_features((r - 100) ** 2 + (c - 100) ** 2 <= 60**2, 0.25)
    assert found["area"] == pytest.approx(np.pi * 15**2, rel=0.01)
    assert found["greatest diameter"] == pytest.approx(30, rel=0.01)
    assert found["major axis"] == pytest.approx(30, rel=0.01)
    assert found["elongation"] == pytest.approx(1, rel=0.01)
    assert 0.97 < found["solidity"] <= 1
    assert 0.85 < found["circularity"] <= 1  # a line between pixels is a little longer than the circle


def test_the_shape_of_a_small_square_is_what_the_mesh_between_its_pixels_gives() -> None:
    # 5 x 5 pixels: the line half-way to the neighbours is a square of side 5 whose corners are cut by half a pixel
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    found = shape_features(mask, 0.5)
    assert found["area"] == pytest.approx((25 - 4 / 8) * 0.25)
    assert found["perimeter"] == pytest.approx((4 * 4 + 4 * np.sqrt(0.5)) * 0.5)
    assert found["solidity"] == pytest.approx(1.0)  # it is convex
    assert found["greatest diameter"] == pytest.approx(np.sqrt(5**2 + 4**2) * 0.5)
    assert found["major axis"] == pytest.approx(4 * np.sqrt(2.0) * 0.5)  # population variance of -2..2 is 2


def test_a_hole_and_a_second_part_count_in_area_and_perimeter_and_a_corner_joins() -> None:
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    found = shape_features(ring, 1.0)
    assert found["area"] == pytest.approx(9 - 0.5 - 0.5)  # the hole is a diamond of half a pixel
    assert found["perimeter"] == pytest.approx(8 + 8 * np.sqrt(0.5))
    two = np.eye(2, dtype=bool)
    assert shape_features(two, 1.0)["area"] == pytest.approx(6 / 8 + 0.75)
    one = shape_features(np.ones((1, 1), bool), 1.0)
    assert (one["area"], one["solidity"]) == (pytest.approx(0.5), pytest.approx(1.0))


@pytest.mark.parametrize("radius", [1, 2, 3, 4, 6, 10, 20])
def test_no_disc_however_small_is_rounder_or_more_solid_than_can_be(radius: int) -> None:
    r, c = np.mgrid[:60, :60]
    found = shape_features((r - 30) ** 2 + (c - 30) ** 2 <= radius**2, 0.1)
    assert 0.7 < found["circularity"] <= 1  # the line goes round the pixels, a little longer than the circle
    assert 0.85 < found["solidity"] <= 1
    assert found["elongation"] == pytest.approx(1)


def test_no_ragged_region_is_rounder_or_more_solid_than_can_be() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        mask = rng.random((6, 7)) < 0.6
        mask[3, 3] = True
        found = shape_features(mask, 0.25)
        assert 0 < found["circularity"] <= 1
        assert 0 < found["solidity"] <= 1 + 1e-9


def test_texture_does_not_depend_on_the_size_that_a_lesions_crop_was_kept_at() -> None:
    rng = np.random.default_rng(2)
    field = cv2.GaussianBlur(
        rng.normal(size=(320, 320)), (0, 0), 6.0
    )  # 40 mm at 0.125 mm, blurred over 0.75 mm
    r, c = np.mgrid[:320, :320]
    whole = ((r - 160) ** 2 + (c - 160) ** 2 <= 120**2).astype(np.float64)
    found = []
    for size in (320, 200, 160):
        image, share = (cv2.resize(x, (size, size), interpolation=cv2.INTER_AREA) for x in (field, whole))
        found.append(lesion_features({"low": image}, share >= 0.5, 40.0 / size))
    for name in ("correlation", "inverse difference", "joint entropy"):
        values = [one[f"low glcm {name}"] for one in found]
        assert values == pytest.approx([values[0]] * 3, rel=0.03), name
    assert [one["shape area"] for one in found] == pytest.approx([np.pi * 15**2] * 3, rel=0.01)


def test_a_lesion_smaller_than_a_pixel_keeps_one_and_an_empty_mask_is_refused() -> None:
    mask = np.zeros((50, 50), bool)
    mask[21, 21] = True
    assert resampled_mask(mask, 0.05).sum() == 1
    with pytest.raises(ValueError, match="found none"):
        lesion_features({}, np.zeros((4, 4), bool), 0.25)


def test_levels_span_the_regions_own_range() -> None:
    mask = np.array([[True, True, True, False]])
    assert levels_of(np.array([[10.0, 15.0, 20.0, 99.0]]), mask, 4).tolist() == [[1, 3, 4, 0]]


def test_every_image_has_its_own_features_and_the_shape_comes_once() -> None:
    rng = np.random.default_rng(1)
    mask = np.zeros((40, 40), bool)
    mask[10:30, 12:28] = True
    images = {"low": rng.normal(size=(40, 40)), "recombined": rng.normal(size=(40, 40))}
    found = lesion_features(images, mask, 0.2)
    assert sum(name.startswith("shape ") for name in found) == 8
    assert sum(name.startswith("low ") for name in found) == len(FIRST_ORDER) + len(GLCM)
    assert all(np.isfinite(value) for value in found.values())
