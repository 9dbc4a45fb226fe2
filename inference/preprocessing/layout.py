"""Where a view's pixels land on a model's canvas, and the way back for points, boxes and maps.

A ``Placement`` is pure geometry. Coordinates are edges: pixel i covers i..i+1, so a half-open box maps
exactly. The canonical picture has the chest wall at column 0 and the head (or the outer side) up: hung left
breasts as they are, hung right breasts mirrored. Kim et al. 2018 pad right breasts on the left and left
breasts on the right; after the mirror both mean padding on the side away from the chest wall.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.types import Box, Orientation


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """canvas = (canonical - origin) * scale + offset, per axis; canonical = stored, oriented, then
    mirrored."""

    stored_shape: tuple[int, int]
    orientation: Orientation
    mirror: bool
    origin: tuple[float, float]  # canonical (row, col) of the crop's first edge
    extent: tuple[float, float]  # canonical rows and columns that were cropped
    scale: tuple[float, float]  # canvas pixels per canonical pixel
    offset: tuple[float, float]  # canvas (row, col) of the crop's first edge
    canvas_shape: tuple[int, int]

    @property
    def canonical_shape(self) -> tuple[int, int]:
        rows, cols = self.stored_shape
        return (cols, rows) if self.orientation.transpose else (rows, cols)


def to_canonical(array: NDArray[np.float32], orientation: Orientation, mirror: bool) -> NDArray[np.float32]:
    """Turn a stored-orientation array (rows, cols) to the canonical one; a view, no copy."""
    out = array.T if orientation.transpose else array
    if orientation.flip_rows:
        out = out[::-1]
    if orientation.flip_cols != mirror:  # two flips of columns cancel
        out = out[:, ::-1]
    return out


def canvas_affine(placement: Placement) -> NDArray[np.float64]:
    """Return the (2, 3) matrix from stored (row, col, 1) edge coordinates to canvas (row, col)."""
    matrix = np.eye(3)
    if placement.orientation.transpose:
        matrix = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    rows, cols = placement.canonical_shape
    if placement.orientation.flip_rows:
        matrix = np.array([[-1.0, 0.0, rows], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]) @ matrix
    if placement.orientation.flip_cols != placement.mirror:
        matrix = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, cols], [0.0, 0.0, 1.0]]) @ matrix
    (scale_r, scale_c), (origin_r, origin_c) = placement.scale, placement.origin
    last = np.array(
        [
            [scale_r, 0.0, placement.offset[0] - origin_r * scale_r],
            [0.0, scale_c, placement.offset[1] - origin_c * scale_c],
            [0.0, 0.0, 1.0],
        ]
    )
    return np.asarray((last @ matrix)[:2], dtype=np.float64)


def _stored_affine(placement: Placement) -> NDArray[np.float64]:
    square = np.vstack([canvas_affine(placement), [0.0, 0.0, 1.0]])
    return np.asarray(np.linalg.inv(square)[:2], dtype=np.float64)


def point_to_canvas(placement: Placement, row: float, col: float) -> tuple[float, float]:
    """Map a stored (row, col) edge coordinate to the canvas."""
    out = canvas_affine(placement) @ np.array([row, col, 1.0])
    return float(out[0]), float(out[1])


def point_to_stored(placement: Placement, row: float, col: float) -> tuple[float, float]:
    """Map a canvas (row, col) edge coordinate back to the stored file's pixels."""
    out = _stored_affine(placement) @ np.array([row, col, 1.0])
    return float(out[0]), float(out[1])


def box_to_stored(placement: Placement, box: Box) -> Box | None:
    """Map a canvas box to stored-file pixels, clipped to the image; None when nothing of it lies inside."""
    first, second = (
        point_to_stored(placement, box.row0, box.col0),
        point_to_stored(placement, box.row1, box.col1),
    )
    rows, cols = placement.stored_shape
    row0, row1 = np.clip(sorted((first[0], second[0])), 0, rows)
    col0, col1 = np.clip(sorted((first[1], second[1])), 0, cols)
    if row1 - row0 <= 1e-9 or col1 - col0 <= 1e-9:
        return None
    return Box(row0=float(row0), col0=float(col0), row1=float(row1), col1=float(col1))


def box_to_canvas(placement: Placement, box: Box) -> Box:
    """Map a stored-file box to the canvas, unclipped."""
    first, second = (
        point_to_canvas(placement, box.row0, box.col0),
        point_to_canvas(placement, box.row1, box.col1),
    )
    (row0, row1), (col0, col1) = sorted((first[0], second[0])), sorted((first[1], second[1]))
    return Box(row0=row0, col0=col0, row1=row1, col1=col1)


def draw_on_canvas(canonical: NDArray[np.float32], placement: Placement, fill: float) -> NDArray[np.float32]:
    """Crop, resample (area average when shrinking) and pad a canonical image onto the canvas.

    Parameters
    ----------
    canonical
        (rows, cols) float32 of ``placement.canonical_shape``.
    fill
        The value of the padding.

    Returns
    -------
    ``placement.canvas_shape`` float32.
    """
    canvas = np.full(placement.canvas_shape, fill, np.float32)
    row0, col0 = (round(v) for v in placement.origin)
    rows, cols = (round(v) for v in placement.extent)
    height, width = round(rows * placement.scale[0]), round(cols * placement.scale[1])
    top, left = (round(v) for v in placement.offset)
    crop = np.ascontiguousarray(canonical[row0 : row0 + rows, col0 : col0 + cols])
    mode = cv2.INTER_AREA if placement.scale[0] < 1 else cv2.INTER_LINEAR
    canvas[top : top + height, left : left + width] = cv2.resize(crop, (width, height), interpolation=mode)
    return canvas


def map_to_stored(
    values: NDArray[np.float32], placement: Placement, *, longest_side: int = 320
) -> NDArray[np.float32]:
    """Spread a map over the canvas back over the whole stored image, at reduced size.

    Parameters
    ----------
    values
        (map rows, map cols) float32, covering the whole canvas.
    longest_side
        Upper limit of the result's longer side.

    Returns
    -------
    (rows, cols) float32 with the stored image's aspect; 0 where the canvas does not reach.
    """
    rows, cols = placement.stored_shape
    shrink = min(1.0, longest_side / max(rows, cols))
    height, width = max(1, round(rows * shrink)), max(1, round(cols * shrink))
    matrix = canvas_affine(placement)  # stored edge -> canvas edge, (row, col)
    to_stored = np.diag([rows / height, cols / width])
    to_map = np.diag(
        [values.shape[0] / placement.canvas_shape[0], values.shape[1] / placement.canvas_shape[1]]
    )
    linear = to_map @ matrix[:, :2] @ to_stored
    # cv2 speaks (x, y) and pixel centres: centre = edge - 0.5
    shift = to_map @ matrix[:, 2] + linear @ np.array([0.5, 0.5]) - 0.5
    swap = np.array([[0.0, 1.0], [1.0, 0.0]])
    affine = np.hstack([swap @ linear @ swap, (swap @ shift)[:, None]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    out = cv2.warpAffine(
        values, affine, (width, height), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=0.0
    )
    return np.asarray(out, dtype=np.float32)
