"""Orientation arithmetic against numpy flips."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from app.state.geometry import ViewGeometry, orientation_letters
from inference.exam.types import Box, Orientation, Spacing
from resources.vocabulary import ViewName

ALL = [
    Orientation(transpose=t, flip_rows=r, flip_cols=c)
    for t, r, c in itertools.product((False, True), repeat=3)
]


@pytest.mark.parametrize("orientation", ALL)
def test_mg07_a_stored_pixel_lands_where_numpy_puts_it(orientation: Orientation) -> None:
    pixels = np.arange(12).reshape(3, 4)
    turned = pixels.T if orientation.transpose else pixels
    turned = np.flipud(turned) if orientation.flip_rows else turned
    turned = np.fliplr(turned) if orientation.flip_cols else turned
    geometry = ViewGeometry(rows=3, cols=4, orientation=orientation)
    assert geometry.hung_size == turned.shape
    assert np.array_equal(geometry.orient(pixels), turned)
    for row, col in itertools.product(range(3), range(4)):
        hung_row, hung_col = geometry.stored_to_hung(row + 0.5, col + 0.5)
        assert turned[int(hung_row), int(hung_col)] == pixels[row, col]
        assert geometry.hung_to_stored(hung_row, hung_col) == (row + 0.5, col + 0.5)
        x, y, _ = geometry.hung_to_stored_matrix() @ (hung_col, hung_row, 1.0)
        assert (y, x) == pytest.approx((row + 0.5, col + 0.5))


@pytest.mark.parametrize("orientation", ALL)
def test_mg07_a_box_covers_the_same_pixels_after_hanging(orientation: Orientation) -> None:
    pixels = np.zeros((6, 9), int)
    pixels[1:3, 4:8] = 1
    geometry = ViewGeometry(rows=6, cols=9, orientation=orientation).flipped(
        horizontally=True, vertically=True
    )
    hung = geometry.box_to_hung(Box(row0=1, col0=4, row1=3, col1=8))
    turned = geometry.orient(pixels)
    inside = turned[int(hung.row0) : int(hung.row1), int(hung.col0) : int(hung.col1)]
    assert inside.sum() == 8
    assert inside.size == 8


def test_distance_uses_row_and_column_spacing() -> None:
    spacing = Spacing(row_mm=0.1, col_mm=0.2, method="test")
    assert ViewGeometry(rows=9, cols=9, spacing=spacing).distance_mm((0, 0), (30, 20)) == pytest.approx(5.0)
    assert ViewGeometry(rows=9, cols=9).distance_mm((0, 0), (3, 4)) is None


def test_mg05_right_rows_run_to_posterior_left_rows_to_anterior() -> None:
    right, left = (orientation_letters(ViewName.parse(key)) for key in ("R-MLO", "L-MLO"))
    assert (right.left, right.right, right.bottom) == ("A", "P", "F")
    assert (left.left, left.right, left.bottom) == ("P", "A", "F")


def test_mg05_the_column_of_an_axial_view_does_not_point_to_its_own_side() -> None:
    for key, other in (("R-CC", "L"), ("L-XCCL", "R")):
        assert orientation_letters(ViewName.parse(key)).bottom == other


def test_mg08_letters_follow_the_users_flips() -> None:
    letters = orientation_letters(ViewName.parse("R-MLO"), flipped_h=True, flipped_v=True)
    assert (letters.left, letters.right, letters.top, letters.bottom) == ("P", "A", "F", "H")
