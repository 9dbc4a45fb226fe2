"""Spots are counted once each, long things not at all, and the count survives the canvas."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Spacing
from inference.metrics import delong_auc
from inference.preprocessing.pipeline import CANVAS_MM, ModelInput, dib_mg_small, dib_mg_small_spots
from inference.preprocessing.spots import SPOT_MM, spot_counts
from resources.vocabulary import FindingType, Pathology

SHAPE = (400, 300)
INSIDE = np.ones(SHAPE, np.bool_)


def _tissue(seed: int = 0) -> np.ndarray:
    """Smooth grey ground with a little noise."""
    rng = np.random.default_rng(seed)
    ground = cv2.GaussianBlur(rng.standard_normal(SHAPE).astype(np.float32), (0, 0), 15)
    noise = rng.standard_normal(SHAPE).astype(np.float32)
    return np.asarray(0.4 + ground + 0.005 * noise, np.float32)


def _dot(grey: np.ndarray, row: int, col: int, diameter_mm: float, height: float) -> None:
    fine = np.zeros((200, 200), np.float32)
    cv2.circle(fine, (100, 100), round(diameter_mm / SPOT_MM * 20 / 2), 1.0, -1)
    grey[row - 5 : row + 5, col - 5 : col + 5] += height * cv2.resize(
        fine, (10, 10), interpolation=cv2.INTER_AREA
    )


@pytest.mark.parametrize("diameter_mm", [0.3, 0.5, 0.8])
def test_every_calcification_is_counted_once(diameter_mm: float) -> None:
    grey = _tissue()
    places = [(60 + 20 * i, 40 + 15 * i) for i in range(12)]
    for row, col in places:
        _dot(grey, row, col, diameter_mm, 0.3)
    found = spot_counts(grey, INSIDE)
    assert found.sum() == pytest.approx(12, abs=0.5)
    for row, col in places:
        assert found[row - 3 : row + 3, col - 3 : col + 3].sum() == pytest.approx(1, abs=0.1)


def test_vessels_strands_and_masses_are_no_spots() -> None:
    shapes = np.zeros(SHAPE, np.float32)
    for start, end in (((20, 30), (280, 330)), ((20, 300), (280, 250)), ((60, 20), (90, 380))):
        cv2.line(shapes, start, end, 0.15, 4)  # 0.8 mm wide, three times the contrast of a vessel
    cv2.circle(shapes, (150, 100), 25, 0.3, -1)
    grey = _tissue() + cv2.GaussianBlur(shapes, (0, 0), 1.0)
    assert spot_counts(grey, INSIDE).sum() < 1.5


def test_the_skins_edge_and_air_hold_no_spots() -> None:
    grey, inside = _tissue(), INSIDE.copy()
    inside[:, 200:] = False
    grey[~inside] = 0.0
    _dot(grey, 200, 197, 0.5, 0.4)
    found = spot_counts(grey, inside)
    assert found[:, 193:].sum() == 0


def test_grain_raises_what_counts_as_a_spot() -> None:
    rng = np.random.default_rng(5)
    grey = np.asarray(0.4 + 0.06 * rng.standard_normal(SHAPE), np.float32)  # coarse film grain
    assert spot_counts(grey, INSIDE).mean() < 1e-3  # under one per 4 cm2
    _dot(grey, 200, 150, 0.6, 0.5)
    assert spot_counts(grey, INSIDE)[196:204, 146:154].sum() > 0.5


def _disc_maximum(item: ModelInput) -> float:
    """Most spots within 5 mm of a place."""
    reach = round(5 / CANVAS_MM)
    rows, cols = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (rows**2 + cols**2 <= reach**2).astype(np.float32)
    assert item.spots is not None
    return float(cv2.filter2D(item.spots, -1, disc, borderType=cv2.BORDER_CONSTANT).max())


def test_spots_alone_tell_malignant_calcifications_from_none_where_the_canvas_cannot() -> None:
    truth, score = [], []
    for seed in range(8):
        for sick in (True, False):
            spec = PhantomSpec(
                seed=3_100_000 + seed,
                pixel_mm=0.2,
                lesions=1 if sick else None,
                pathology=Pathology.MALIGNANT if sick else Pathology.NORMAL,
                finding=FindingType.CALCIFICATION if sick else None,
            )
            phantom = phantom_exam(spec)
            truth.append(sick)
            score.append(max(_disc_maximum(dib_mg_small_spots(image)) for image in phantom.exam.images))
    assert delong_auc(np.array(truth), np.array(score)).value > 0.9


def test_second_version_keeps_the_first_ones_canvas_and_the_number_of_spots() -> None:
    image = phantom_exam(PhantomSpec(seed=9, pixel_mm=0.2)).exam.images[0]
    first, second = dib_mg_small(image), dib_mg_small_spots(image)
    np.testing.assert_array_equal(first.canvas, second.canvas)
    assert first.spots is None
    assert second.spots is not None
    assert first.planes.shape == (1, *first.canvas.shape)
    assert second.planes.shape == (2, *first.canvas.shape)
    assert second.spots.sum() > 5
    assert second.spots[~second.mask].sum() == 0


def test_pixels_too_coarse_for_calcifications_are_said_and_give_no_spots() -> None:
    image = phantom_exam(PhantomSpec(seed=9, pixel_mm=0.4)).exam.images[0]
    found = dib_mg_small_spots(image)
    assert found.spots is not None
    assert found.spots.sum() == 0
    assert any("0.40 mm are too coarse" in sentence for sentence in found.warnings)
    fine = replace(image, spacing=Spacing(row_mm=0.2, col_mm=0.2, method="test"))
    assert not any("too coarse" in sentence for sentence in dib_mg_small_spots(fine).warnings)
