"""Finds the nipple: along the skin the place that stands out, is dense beneath and lies far from the wall.

In profile it is a bump of the skin line; out of it a small dense disc behind the skin, or nothing to be seen:
then the answer is the skin's outermost part, with little confidence. Knows the breast's mask and grey only.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.view_frame import WallLine

Array = NDArray[np.float64]

_STEP_MM = 1.0  # along the skin
_BUMP_MM = 7.0  # radius of the disc that cannot enter a nipple
_PROFILE_MM = 0.55  # a lower bump is the skin line's own waviness
_FAINT_MM = 0.35  # enough where the breast reaches out farthest anyway
_BORDER_MM = 12.0  # the skin's ends at the picture's edges are no nipple
_NEAR_MM = np.arange(1.0, 7.0, 1.0)  # where the density of a nipple in profile lies behind the skin
_DEEP_MM = np.arange(6.0, 18.0, 1.0)  # and that of one turned out of it
_DOUBT_MM = 4.0  # how far inward when nothing shows
_CLEAR, _SPOT = 2.5, 2.4  # standard deviations, along the skin and of spots of a nipple's size in the breast


@dataclass(frozen=True, slots=True, kw_only=True)
class Nipple:
    """Where the nipple is, (row, column) edge coordinates of the given picture; confidence in 0..1."""

    at: tuple[float, float]
    confidence: float
    in_profile: bool


def find_nipple(
    grey: NDArray[np.float32], mask: NDArray[np.bool_], pixel_mm: float, wall: WallLine
) -> Nipple:
    """Find the nipple of one view.

    Parameters
    ----------
    grey, mask
        (rows, cols); the breast, chest wall at column 0.
    wall
        Line of the pectoral muscle or of the chest wall, in the same pixels.
    """
    skin, outward = _skin(mask, pixel_mm)
    if len(skin) < 8:
        rows, cols = np.nonzero(mask)
        return Nipple(at=(float(rows.mean()), float(cols.max())), confidence=0.0, in_profile=False)
    prior = _prior(skin, wall, pixel_mm)
    bump = _bump(skin, mask, pixel_mm)
    dense = _density(skin, outward, grey, _NEAR_MM / pixel_mm)
    score = prior + 3.0 * np.minimum(bump, 2.0) + 0.25 * np.clip(dense, -1.0, 3.0)
    score = _smooth(score, 1.0)
    best = int(np.argmax(score))
    rest = score.copy()
    rest[max(0, best - 12) : best + 13] = -np.inf
    lead = float(score[best] - rest.max()) if np.isfinite(rest).any() else 3.0
    height = float(bump[max(0, best - 3) : best + 4].max())
    if height >= _PROFILE_MM or (height >= _FAINT_MM and prior[best] > -0.3):
        sure = 1 / (1 + np.exp(-1.5 * (lead - 0.3)))
        return Nipple(
            at=(float(skin[best, 0]), float(skin[best, 1])), confidence=float(sure), in_profile=True
        )
    return _out_of_profile(grey, pixel_mm, skin, outward, prior)


def _skin(mask: NDArray[np.bool_], pixel_mm: float) -> tuple[Array, Array]:
    """Points (n, 2) a millimetre apart along the skin from the top down, and the outward normals there."""
    rows = np.flatnonzero(mask.any(axis=1))
    ends = mask.shape[1] - np.argmax(mask[:, ::-1], axis=1)  # edge after the outermost breast pixel
    line = np.stack([rows + 0.5, ends[rows]], axis=1).astype(np.float64)
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))]) * pixel_mm
    at = np.arange(0.0, length[-1], _STEP_MM)
    points = np.stack([np.interp(at, length, line[:, k]) for k in (0, 1)], axis=1)
    even = np.stack([_smooth(points[:, k], 6.0) for k in (0, 1)], axis=1)
    along = np.gradient(even, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1)
    normal /= np.maximum(np.hypot(normal[:, 0], normal[:, 1]), 1e-9)[:, None]
    border = _BORDER_MM / pixel_mm
    keep = (points[:, 0] > rows[0] + border) & (points[:, 0] < rows[-1] - border)
    return points[keep], normal[keep]


def _smooth(values: Array, sigma: float) -> Array:
    out = cv2.GaussianBlur(values.reshape(-1, 1), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(out[:, 0], np.float64)


def _prior(skin: Array, wall: WallLine, pixel_mm: float) -> Array:
    """0 where the skin is farthest from the wall, less elsewhere; the wall and the picture's edge count alike."""
    out = np.zeros(len(skin))
    for line in (wall, WallLine(point=(0.0, 0.0), normal=(0.0, 1.0))):
        reach = _smooth(np.array([line.distance(r, c) for r, c in skin]) * pixel_mm, 3.0)
        out -= 0.5 * (reach.max() - reach) / 6.0
    return np.maximum(out, -12.0)


def _bump(skin: Array, mask: NDArray[np.bool_], pixel_mm: float) -> Array:
    """Height of the skin over what a disc can fill, mm."""
    radius = max(2, round(_BUMP_MM / pixel_mm))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    pad = 2 * radius
    wide = cv2.copyMakeBorder(mask.astype(np.uint8), pad, pad, pad, 0, cv2.BORDER_REPLICATE)
    wide = cv2.copyMakeBorder(wide, 0, 0, 0, pad, cv2.BORDER_CONSTANT)
    opened = cv2.morphologyEx(wide, cv2.MORPH_OPEN, disc)
    away = cv2.distanceTransform(1 - opened, cv2.DIST_L2, 5) * pixel_mm
    rows, cols = (np.clip(np.floor(skin[:, k]).astype(int) + pad - k, 0, away.shape[k] - 1) for k in (0, 1))
    return _smooth(away[rows, cols].astype(np.float64), 1.5)


def _density(skin: Array, outward: Array, grey: NDArray[np.float32], depth: Array) -> Array:
    """How dense it is behind the skin against the skin some way off, in standard deviations along the skin."""
    rows = skin[:, :1] - outward[:, :1] * depth
    cols = skin[:, 1:] - outward[:, 1:] * depth
    r = np.clip(rows, 0, grey.shape[0] - 1).astype(int)
    c = np.clip(cols, 0, grey.shape[1] - 1).astype(int)
    band = grey[r, c].mean(axis=1).astype(np.float64)
    near, far = _smooth(band, 2.5), _smooth(band, 12.0)
    spread = float(np.std(near - far))
    return (near - far) / max(spread, 1e-4)


def _out_of_profile(
    grey: NDArray[np.float32], pixel_mm: float, skin: Array, outward: Array, prior: Array
) -> Nipple:
    """Where it is densest some way behind the outermost skin; never outside it, so inward when in doubt."""
    dense = _density(skin, outward, grey, _DEEP_MM / pixel_mm)
    score = _smooth(2.0 * prior + 0.5 * np.clip(dense, -1.0, 3.0), 1.0)
    best = int(np.argmax(score))
    inward, sure = _DOUBT_MM, 0.15
    if dense[best] > _CLEAR:
        blurred = cv2.GaussianBlur(grey, (0, 0), 2.0 / pixel_mm) - cv2.GaussianBlur(
            grey, (0, 0), 5.0 / pixel_mm
        )
        line = skin[best] - outward[best] * (_DEEP_MM / pixel_mm)[:, None]
        rows, cols = (np.clip(line[:, k], 0, grey.shape[k] - 1).astype(int) for k in (0, 1))
        peak = int(np.argmax(blurred[rows, cols]))
        if blurred[rows[peak], cols[peak]] > _SPOT * blurred[grey > 0].std():
            inward, sure = float(_DEEP_MM[peak]), 0.3
    row, col = skin[best] - outward[best] * inward / pixel_mm
    return Nipple(at=(float(row), float(col)), confidence=sure, in_profile=False)
