"""Test patterns: levels and places as TG18 describes them, at any size."""

from __future__ import annotations

import numpy as np
import pytest

from app.state.test_patterns import (
    PATTERNS,
    geometry,
    gradient,
    line_pairs,
    luminance_level,
    luminance_patch,
    qc,
    qc_levels,
    qc_patch_places,
    simple_qc,
    uniform,
)

SIZES = [(1080, 1920), (2048, 2560), (2560, 2048), (600, 800)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda p: p.pattern_id)
def test_qc01_every_pattern_fills_any_screen_within_its_levels(pattern, size) -> None:
    for top in (255, 1023):
        picture = pattern.draw(*size, top)
        assert picture.shape == size
        assert picture.dtype == np.uint16
        assert picture.max() <= top


def test_qc01_the_18_luminance_levels_are_those_of_tg18_ln() -> None:
    assert [luminance_level(n) for n in range(1, 19)] == [15 * n for n in range(18)]


def test_qc01_the_luminance_patch_is_a_tenth_of_the_area_in_the_middle_on_level_153() -> None:
    picture = luminance_patch(18, 2048, 2560)
    assert picture[0, 0] == 153
    assert picture[1024, 1280] == 255
    assert np.mean(picture == 255) == pytest.approx(0.10, abs=0.001)
    rows, cols = np.nonzero(picture == 255)
    assert abs((rows.min() + rows.max()) / 2 - 1023.5) <= 1
    assert abs((cols.min() + cols.max()) / 2 - 1279.5) <= 1


def test_qc01_the_uniform_fields_are_26_and_204() -> None:
    assert int(np.median(uniform(0.10, 600, 800))) == 26
    assert int(np.median(uniform(0.80, 600, 800))) == 204


def test_qc01_a_wide_gradient_holds_every_level_once_in_order() -> None:
    for top in (255, 1023):
        line = gradient(1080, 1920, top)[0].astype(int)
        assert set(np.diff(line)) <= {0, 1}
        assert len(np.unique(line)) == top + 1


def test_qc01_the_finest_line_pairs_alternate_every_pixel() -> None:
    lines = line_pairs(10, 10, low=0, high=255, period=2, upright=True)
    assert list(lines[3]) == [255, 0] * 5
    assert list(line_pairs(10, 10, low=0, high=255, period=4, upright=False)[:4, 0]) == [255, 255, 0, 0]


@pytest.mark.parametrize("size", SIZES)
def test_qc01_the_qc_patches_lie_where_they_should_with_faint_corners(size) -> None:
    picture = qc(*size)
    levels = qc_levels()
    assert levels[1:-1] == tuple(range(8, 249, 16))
    for level, (row, col, side) in zip(levels, qc_patch_places(*size), strict=True):
        patch = picture[row : row + side, col : col + side].astype(int)
        assert patch[side // 2, side // 8 + 2] == level
        if level in {0, 255}:
            assert patch[side // 2, side // 2] == (13 if level == 0 else 242)
        else:
            assert patch[0, 0] - level == 4
            assert patch[0, -1] - level == -4


def test_qc01_the_letters_fade_from_14_levels_to_1() -> None:
    rows, cols = 2048, 2560
    picture = qc(rows, cols)
    pitch = rows // 10
    band = picture[rows // 2 + 3 * pitch : rows // 2 + 4 * pitch]
    for background, sign in ((0, 1), (128, 1), (255, -1)):
        assert {background + sign * n for n in range(1, 15)} <= set(np.unique(band).tolist())


def test_qc01_the_simple_pattern_holds_18_levels_5_and_95_percent() -> None:
    found = set(np.unique(simple_qc(2048, 2560)).tolist())
    assert {15 * n for n in range(18)} | {13, 242} <= found


def test_qc01_the_geometry_frame_lies_on_the_outermost_pixels() -> None:
    picture = geometry(1080, 1920)
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        assert np.mean(edge == 255) > 0.99
