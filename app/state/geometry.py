"""Where a pixel of the file lies on the hung picture, and how far apart two points are in millimetres.

Coordinates are continuous: pixel (row, col) covers row..row+1 and col..col+1, its centre is at +0.5. Owns the
orientation arithmetic; zoom and pan belong to ``app.state.display``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from inference.exam.types import Box, Orientation, Spacing, ViewImage
from resources.vocabulary import Laterality, ViewName

Affine = NDArray[np.float64]  # (3, 3), acts on (x, y, 1) with x = column and y = row


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewGeometry:
    """One stored image and how it hangs; ``spacing`` in stored rows and columns, None = not recorded."""

    rows: int
    cols: int
    orientation: Orientation = field(default_factory=Orientation)
    spacing: Spacing | None = None

    def __post_init__(self) -> None:
        if self.rows < 1 or self.cols < 1:
            raise ValueError(f"geometry: expected at least 1 x 1 pixels, found {self.rows} x {self.cols}")

    @property
    def hung_size(self) -> tuple[int, int]:
        """Rows and columns of the hung picture, pixels."""
        return (self.cols, self.rows) if self.orientation.transpose else (self.rows, self.cols)

    @property
    def hung_spacing(self) -> tuple[float, float] | None:
        """mm from row to row and from column to column of the hung picture; None = not recorded."""
        if self.spacing is None:
            return None
        pair = (self.spacing.row_mm, self.spacing.col_mm)
        return (pair[1], pair[0]) if self.orientation.transpose else pair

    def stored_to_hung(self, row: float, col: float) -> tuple[float, float]:
        """Carry a point from the stored file to the hung picture (both continuous pixels)."""
        rows, cols = self.hung_size
        row, col = (col, row) if self.orientation.transpose else (row, col)
        row = rows - row if self.orientation.flip_rows else row
        col = cols - col if self.orientation.flip_cols else col
        return row, col

    def hung_to_stored(self, row: float, col: float) -> tuple[float, float]:
        """Carry a point from the hung picture back to the stored file (both continuous pixels)."""
        rows, cols = self.hung_size
        row = rows - row if self.orientation.flip_rows else row
        col = cols - col if self.orientation.flip_cols else col
        return (col, row) if self.orientation.transpose else (row, col)

    def box_to_hung(self, box: Box) -> Box:
        """Carry a box to the hung picture; it stays an upright rectangle because every turn is of 90
        degrees."""
        row_a, col_a = self.stored_to_hung(box.row0, box.col0)
        row_b, col_b = self.stored_to_hung(box.row1, box.col1)
        return Box(
            row0=min(row_a, row_b), col0=min(col_a, col_b), row1=max(row_a, row_b), col1=max(col_a, col_b)
        )

    def hung_to_stored_matrix(self) -> Affine:
        """Return ``hung_to_stored`` as a (3, 3) float64 matrix on (x, y, 1)."""
        zero_row, zero_col = self.hung_to_stored(0.0, 0.0)
        x_row, x_col = self.hung_to_stored(0.0, 1.0)
        y_row, y_col = self.hung_to_stored(1.0, 0.0)
        return np.array(
            [
                [x_col - zero_col, y_col - zero_col, zero_col],
                [x_row - zero_row, y_row - zero_row, zero_row],
                [0.0, 0.0, 1.0],
            ]
        )

    def stored_to_hung_matrix(self) -> Affine:
        """Return ``stored_to_hung`` as a (3, 3) float64 matrix on (x, y, 1)."""
        return np.asarray(np.linalg.inv(self.hung_to_stored_matrix()), dtype=np.float64)

    def flipped(self, *, horizontally: bool, vertically: bool) -> ViewGeometry:
        """Return the geometry after the user's flips of the hung picture."""
        turned = replace(
            self.orientation,
            flip_rows=self.orientation.flip_rows ^ vertically,
            flip_cols=self.orientation.flip_cols ^ horizontally,
        )
        return replace(self, orientation=turned)

    def distance_mm(self, start: tuple[float, float], end: tuple[float, float]) -> float | None:
        """Distance of two stored (row, col) points in the breast plane, mm; None = spacing not recorded."""
        if self.spacing is None:
            return None
        return math.hypot(
            (end[0] - start[0]) * self.spacing.row_mm, (end[1] - start[1]) * self.spacing.col_mm
        )

    def orient(self, pixels: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return (rows, cols) pixels turned to the hung orientation, as a view of the same memory."""
        turned = pixels.T if self.orientation.transpose else pixels
        turned = turned[::-1] if self.orientation.flip_rows else turned
        return turned[:, ::-1] if self.orientation.flip_cols else turned


def geometry_of(image: ViewImage) -> ViewGeometry:
    """Return how ``image`` hangs before any flip by the user."""
    rows, cols = image.pixels.shape
    return ViewGeometry(rows=rows, cols=cols, orientation=image.orientation, spacing=image.spacing)


def chest_wall_is_right(laterality: Laterality, *, flipped_h: bool = False) -> bool:
    """True when the chest wall of the hung picture is its right edge: the right breast, unless flipped
    (MG-06)."""
    return (laterality is Laterality.RIGHT) != flipped_h


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLetters:
    """Anatomical direction at each edge of the hung picture (A, P, R, L, H, F)."""

    left: str
    top: str
    right: str
    bottom: str


def orientation_letters(view: ViewName, *, flipped_h: bool = False, flipped_v: bool = False) -> EdgeLetters:
    """Return the letters at the edges (MG-05, MG-08).

    The right breast's rows run to posterior, the left one's to anterior; laterals and obliques have the
    feet at
    the bottom; axial views have the breast's own (lateral) side at the top.
    """
    left, right = ("A", "P") if view.laterality is Laterality.RIGHT else ("P", "A")
    if view.projection.is_axial:
        top, bottom = view.laterality.value, view.laterality.other.value
    else:
        top, bottom = "H", "F"
    left, right = (right, left) if flipped_h else (left, right)
    top, bottom = (bottom, top) if flipped_v else (top, bottom)
    return EdgeLetters(left=left, top=top, right=right, bottom=bottom)
