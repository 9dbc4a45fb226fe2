"""Finds the pectoral muscle's front edge in an oblique view: the best straight line, then the curve near it.

Line by exhaustive search over where it meets the top and the chest wall, in the manner of a Hough transform
weighted by the edge's strength (Karssemeijer, Phys Med Biol 1998;43:365); the curve by dynamic programming.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_GRID_MM = 1.0
_NEAR_MM, _WIDE_MM = 2.0, 6.0  # how far either side of an edge grey is compared
_REACH_MM = 9.0  # the curve keeps this close to the line
_SAMPLES = 48
_STEEPEST, _FLATTEST = 1.0, 6.0  # rows down per column out; a flatter or steeper edge is no muscle's


def find_pectoral(
    grey: NDArray[np.float32], mask: NDArray[np.bool_], pixel_mm: float
) -> tuple[NDArray[np.float32], float]:
    """Find the muscle's front edge.

    Parameters
    ----------
    grey
        (rows, cols) float32 in [0, 1], an oblique view, chest wall at column 0, head up.
    mask
        Same shape, the breast with the muscle.

    Returns
    -------
    edge
        (n, 2) float32 row, column (edge coordinates) from the top down; the best there is, sure or not.
    confidence
        0..1; under 0.5 no muscle can be told.
    """
    size = tuple(max(8, round(n * pixel_mm / _GRID_MM)) for n in grey.shape)
    small = cv2.resize(grey, size[::-1], interpolation=cv2.INTER_AREA)
    inside = cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    top, bottom, strength = _best_line(small, inside)
    rows = np.arange(0.5, bottom, 1.0)
    line = top * (1 - rows / bottom)
    curve = _refined(small, rows, line)
    sure = _confidence(small, rows, curve, strength)
    edge = np.stack([rows, curve], axis=1)
    scale = np.array([grey.shape[0] / size[0], grey.shape[1] / size[1]])
    return (edge * scale).astype(np.float32), sure


def _at(
    image: NDArray[np.float32], rows: NDArray[np.float64], cols: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Read an image at edge coordinates, bilinear, its rim repeated."""
    x, y = (cols - 0.5).astype(np.float32), (rows - 0.5).astype(np.float32)
    flat = (
        cv2.remap(
            image, x.reshape(1, -1), y.reshape(1, -1), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        if x.size < 32000
        else _gather(image, y, x)
    )
    return np.asarray(flat, np.float32).reshape(rows.shape)


def _gather(
    image: NDArray[np.float32], rows: NDArray[np.float32], cols: NDArray[np.float32]
) -> NDArray[np.float32]:
    r = np.clip(np.rint(rows), 0, image.shape[0] - 1).astype(np.int32)
    c = np.clip(np.rint(cols), 0, image.shape[1] - 1).astype(np.int32)
    return np.asarray(image[r, c], np.float32)


def _steps(small: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    smooth = cv2.GaussianBlur(small, (0, 0), 1.2)
    broad = cv2.GaussianBlur(small, (0, 0), 3.0)
    return smooth, broad


def _best_line(small: NDArray[np.float32], inside: NDArray[np.float32]) -> tuple[float, float, float]:
    """Column at the top, row at the chest wall, and strength of the line with the steadiest edge."""
    height = small.shape[0]
    reach = float((inside[: max(1, height // 8)] > 0.5).sum(axis=1).max())  # breadth of the breast at the top
    tops = np.arange(12.0, max(16.0, min(0.95 * reach, 110.0)), 2.0)
    bottoms = np.arange(25.0, max(30.0, 0.98 * height), 3.0)
    t, b = np.meshgrid(tops, bottoms, indexing="ij")
    slope = b / t
    good = (slope >= _STEEPEST) & (slope <= _FLATTEST)
    t, b = t[good], b[good]
    if not len(t):
        return tops[0], bottoms[0], 0.0
    share = np.linspace(0.04, 0.92, _SAMPLES)
    rows, cols = b[:, None] * share, t[:, None] * (1 - share)
    length = np.hypot(b, t)
    down, out = (t / length)[:, None], (b / length)[:, None]
    smooth, broad = _steps(small)
    step = _gather_step(smooth, rows, cols, down, out, _NEAR_MM)
    wide = _gather_step(broad, rows, cols, down, out, _WIDE_MM)
    evidence = np.clip(step, -0.05, 0.12) + 0.5 * np.clip(wide, -0.1, 0.2)
    steady = evidence.mean(axis=1) - 0.5 * evidence.std(axis=1)
    score = steady * np.sqrt(length)
    best = int(np.argmax(score))
    return float(t[best]), float(b[best]), float(steady[best])


def _gather_step(
    image: NDArray[np.float32],
    rows: NDArray[np.float64],
    cols: NDArray[np.float64],
    down: NDArray[np.float64],
    out: NDArray[np.float64],
    reach: float,
) -> NDArray[np.float32]:
    """Grey on the muscle's side less grey on the breast's."""
    behind = _gather(image, (rows - reach * down).astype(np.float32), (cols - reach * out).astype(np.float32))
    before = _gather(image, (rows + reach * down).astype(np.float32), (cols + reach * out).astype(np.float32))
    return behind - before


def _refined(
    small: NDArray[np.float32], rows: NDArray[np.float64], line: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Column of the edge on each row: the strongest smooth path within reach of the line."""
    smooth, _ = _steps(small)
    shifts = np.arange(-_REACH_MM, _REACH_MM + 0.25, 0.5)
    cols = line[:, None] + shifts
    grid = np.repeat(rows[:, None], len(shifts), axis=1)
    step = _at(smooth, grid, cols - _NEAR_MM) - _at(smooth, grid, cols + _NEAR_MM)
    gain = np.clip(step, -0.05, 0.15) - 0.0004 * shifts**2
    gain[cols < 1.0] = -0.05
    jump = np.abs(shifts[:, None] - shifts[None, :])
    cost = 0.05 * jump**2  # grey per squared mm: the edge turns slowly
    total = gain[0].astype(np.float64)
    back = np.zeros((len(rows), len(shifts)), np.int32)
    for k in range(1, len(rows)):
        options = total[None, :] - cost
        back[k] = options.argmax(axis=1)
        total = options.max(axis=1) + gain[k]
    path = np.zeros(len(rows), np.int32)
    path[-1] = int(total.argmax())
    for k in range(len(rows) - 1, 0, -1):
        path[k - 1] = back[k, path[k]]
    bent = cv2.GaussianBlur(
        shifts[path].astype(np.float32)[:, None], (0, 0), 4.0, borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(np.clip(line + bent[:, 0], 0.0, None), np.float64)


def _confidence(
    small: NDArray[np.float32],
    rows: NDArray[np.float64],
    curve: NDArray[np.float64],
    strength: float,
) -> float:
    """How surely the edge is a muscle's: steady over its length, and brighter behind than before."""
    smooth, broad = _steps(small)
    step = _at(smooth, rows, curve - _NEAR_MM) - _at(smooth, rows, curve + _NEAR_MM)
    wide = _at(broad, rows, curve - _WIDE_MM) - _at(broad, rows, curve + _WIDE_MM)
    steady = float((step > 0.01).mean())
    z = -2.5 + 8.0 * (steady - 0.7) + 25.0 * (float(np.median(wide)) - 0.04) + 20.0 * (strength - 0.02)
    return float(1 / (1 + np.exp(-z)))
