"""Where a lesion lies in one image, and when a detection has found it: the two hit rules of the contract.

Owns geometry in stored-file pixels; which lesions and which detections meet is ``inference.evaluation.froc``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.exam.types import Box

IOU_FLOOR = 0.2  # a hit overlaps more than this


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """The place of one lesion: its bounding box, and the circle or mask it was drawn as, where it was one."""

    box: Box
    circle: tuple[float, float, float] | None = None  # row, column, radius
    mask: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)  # the box's pixels
    outlined: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)  # for Dice
    corner: tuple[int, int] = (0, 0)  # row and column of the first pixel of ``mask`` and ``outlined``


def region_of(
    *,
    box: tuple[float, float, float, float] | None,
    circle: tuple[float, float, float] | None,
    mask: NDArray[np.bool_] | None,
) -> Region:
    """Make a lesion's region; a box goes before a circle and both before a mask, which then serves Dice only.

    Parameters
    ----------
    box
        row0, col0, row1, col1, half-open.
    circle
        row, column, radius.
    mask
        (rows, cols) bool of the whole stored image.

    Raises
    ------
    ValueError
        Nothing was given, or the mask is empty.
    """
    crop, corner, bounds = _cropped(mask) if mask is not None else (None, (0, 0), None)
    if box is not None:
        bounds = Box(row0=box[0], col0=box[1], row1=box[2], col1=box[3])
        return Region(box=bounds, outlined=crop, corner=corner)
    if circle is not None:
        row, col, radius = circle
        bounds = Box(row0=row - radius, col0=col - radius, row1=row + radius, col1=col + radius)
        return Region(box=bounds, circle=circle, outlined=crop, corner=corner)
    if bounds is None:
        raise ValueError("region: expected a box, a circle or a mask, found none")
    return Region(box=bounds, mask=crop, outlined=crop, corner=corner)


def _cropped(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], tuple[int, int], Box]:
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise ValueError("mask: expected at least one pixel set, found none")
    row0, row1, col0, col1 = int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1
    box = Box(row0=row0, col0=col0, row1=row1, col1=col1)
    return mask[row0:row1, col0:col1].copy(), (row0, col0), box


def holds(region: Region, row: float, col: float) -> bool:
    """Tell whether a point lies inside the lesion as it was drawn: box (half-open), circle or mask."""
    if region.mask is not None:
        r, c = math.floor(row) - region.corner[0], math.floor(col) - region.corner[1]
        return 0 <= r < region.mask.shape[0] and 0 <= c < region.mask.shape[1] and bool(region.mask[r, c])
    if region.circle is not None:
        return math.hypot(row - region.circle[0], col - region.circle[1]) <= region.circle[2]
    box = region.box
    return box.row0 <= row < box.row1 and box.col0 <= col < box.col1


def box_overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    height = min(first.row1, second.row1) - max(first.row0, second.row0)
    width = min(first.col1, second.col1) - max(first.col0, second.col0)
    if height <= 0 or width <= 0:
        return 0.0
    shared = height * width
    return shared / (_area(first) + _area(second) - shared)


def _area(box: Box) -> float:
    return (box.row1 - box.row0) * (box.col1 - box.col0)


def is_hit(rule: str, found: Box, region: Region) -> bool:
    """Apply one of the hit rules: "centre" = its centre inside the lesion; "iou" = overlap of boxes > 0.2."""
    if rule == "centre":
        return holds(region, *found.center)
    return box_overlap(found, region.box) > IOU_FLOOR


def outline_dice(region: Region, outline: Sequence[tuple[float, float]]) -> float:
    """Dice coefficient of a drawn outline and the lesion's mask, 0..1; both are filled.

    Parameters
    ----------
    region
        With ``outlined``.
    outline
        (row, column) corners of a closed line, stored-file pixels.
    """
    assert region.outlined is not None
    corners = np.array(outline, dtype=float)
    low = np.floor(np.minimum(corners.min(axis=0), region.corner)).astype(int)
    end = np.array(region.corner) + region.outlined.shape
    high = np.ceil(np.maximum(corners.max(axis=0) + 1, end)).astype(int)
    drawn = filled(corners - low, (int(high[0] - low[0]), int(high[1] - low[1])))
    truth = np.zeros_like(drawn)
    row, col = np.array(region.corner) - low
    truth[row : row + region.outlined.shape[0], col : col + region.outlined.shape[1]] = region.outlined
    total = int(drawn.sum()) + int(truth.sum())
    return 2.0 * int((drawn & truth).sum()) / total if total else 0.0


def filled(corners: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill a closed line: (n, 2) rows and columns in pixel edges -> (rows, cols) bool.

    A pixel belongs to the inside when its centre does (even-odd rule), so no border is painted twice.
    """
    rows, cols = shape
    turns = np.zeros((rows, cols + 1), np.int64)
    for (row0, col0), (row1, col1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if row0 == row1:
            continue
        first, last = np.ceil(np.sort([row0, row1]) - 0.5).astype(int)
        at = np.arange(max(first, 0), min(last, rows))
        crossing = col0 + (at + 0.5 - row0) * (col1 - col0) / (row1 - row0)
        np.add.at(turns, (at, np.clip(np.ceil(crossing - 0.5), 0, cols).astype(int)), 1)
    return np.asarray(np.cumsum(turns, axis=1)[:, :cols] % 2 == 1)
