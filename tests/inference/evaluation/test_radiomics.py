"""Hand-made features against the values that the standard's authors published for their digital phantom."""

from __future__ import annotations

import numpy as np
import pytest

from inference.evaluation.radiomics import (
    cooccurrence,
    first_order,
    lesion_features,
    levels_of,
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
    assert found["solidity"] == pytest.approx(1, abs=0.03)
    assert 0.85 < found["circularity"] < 1.02  # a line of pixels is a little longer than the circle


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
