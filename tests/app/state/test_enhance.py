"""Local contrast enhancement: what it must raise, and what it must leave alone."""

from __future__ import annotations

import numpy as np

from app.state.display import Pyramid
from app.state.enhance import enhanced, enhanced_pyramid


def scene() -> np.ndarray:
    rows, cols = np.mgrid[0:1024, 0:1024]
    picture = 1000 + rows * 2.0 + 40.0 * np.exp(-((rows - 500) ** 2 + (cols - 500) ** 2) / 800.0)
    picture[:, 900:] = 0
    return (picture + np.random.default_rng(2).normal(0, 4, picture.shape) * (picture > 0)).astype(np.uint16)


def test_a_faint_lesion_stands_out_more_from_its_surroundings() -> None:
    before = scene()
    after = enhanced(before, (0, 0)).astype(float)

    def contrast(picture: np.ndarray) -> float:
        return float(picture[492:508, 492:508].mean() - picture[492:508, 592:608].mean())

    assert contrast(after) > 1.5 * contrast(before.astype(float))


def test_air_stays_air_tissue_never_becomes_air_and_the_range_is_kept() -> None:
    before = scene()
    after = enhanced(before, (0, 0))
    assert np.array_equal(before == 0, after == 0)
    assert after[after > 0].min() >= before[before > 0].min()
    assert after.max() <= before.max()


def test_the_original_is_not_touched() -> None:
    before = scene()
    copy = before.copy()
    pyramid = Pyramid(before)
    made = enhanced_pyramid(pyramid, (0, 0))
    assert np.array_equal(before, copy)
    assert pyramid.levels[0] is before
    assert [level.shape for level in made.levels] == [level.shape for level in pyramid.levels]


def test_a_flat_picture_is_returned_as_it_is() -> None:
    flat = np.full((300, 300), 7, np.uint16)
    assert np.array_equal(enhanced(flat, None), flat)
