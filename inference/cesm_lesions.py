"""Lesions of one contrast pair: from the segmenter's map to outlined candidates in stored-file pixels. No torch.

What a candidate is (a peak with the region above half of it) is said here; how malignant it is, elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.types import Box
from inference.preprocessing.cesm import WORK_MM, PreparedPair

FLOOR = 0.1  # least peak of a candidate
_MOST = 6  # candidates of a view
_LEAST_MM2 = 10.0  # a region of 3.6 mm across
_SKIN_MM, _NIPPLE_MM = 4, 10
_RIM = 5  # canvas pixels about a candidate in which there is no other
_SLACK = 0.8  # working pixels that an outline may leave out


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One lesion candidate: mask (rows, cols) bool on the working grid and its mean probability, 0..1."""

    mask: NDArray[np.bool_] = field(compare=False, repr=False)
    presence: float


def candidates(pair: PreparedPair, probability: NDArray[np.float32]) -> list[Candidate]:
    """Take lesions out of a map, strongest first.

    Parameters
    ----------
    probability
        (rows, cols) float32 in [0, 1] on the working grid.

    Notes
    -----
    The highest point and all that is connected to it above half its height (at most above 0.5) is one lesion;
    then the next highest away from it, down to ``FLOOR``, six at most.
    """
    scale = pair.canvas_size()[0] / (pair.canvas_frame()[2] - pair.canvas_frame()[0])
    small = (max(8, round(pair.low.shape[1] * scale)), max(8, round(pair.low.shape[0] * scale)))
    left = cv2.resize(probability, small, interpolation=cv2.INTER_AREA)
    whole = left.copy()
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _RIM + 1, 2 * _RIM + 1))
    out: list[Candidate] = []
    for _ in range(3 * _MOST):
        row, col = np.unravel_index(int(np.argmax(left)), left.shape)
        peak = float(left[row, col])
        if peak < FLOOR or len(out) == _MOST:
            break
        level = min(0.5, 0.5 * peak)
        _, labels = cv2.connectedComponents((left >= level).astype(np.uint8), connectivity=4)
        region = (labels == labels[row, col]).astype(np.uint8)
        left[cv2.dilate(region, kernel) > 0] = 0.0
        wide = cv2.resize(region, pair.low.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
        near = cv2.dilate(wide.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        mask = near & (probability >= level) & pair.breast
        if mask.sum() * WORK_MM**2 >= _LEAST_MM2:
            out.append(Candidate(mask=mask, presence=float(whole[region > 0].mean())))
    return out


def inner_breast(pair: PreparedPair) -> NDArray[np.float32]:
    """Where lesions are looked for: (rows, cols) float32, 1 deeper than 4 mm under the skin and off the nipple, else 0.

    Skin and nipple are bright on real recombined images, which phantoms do not show; the picture's edge, where the
    chest wall lies, counts as breast.
    """
    step = round(1.0 / WORK_MM)
    rows, cols = pair.breast.shape
    size = (max(1, cols // step), max(1, rows // step))
    small = cv2.resize(pair.breast.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)

    def disc(radius: int) -> NDArray[np.uint8]:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        return np.asarray(kernel, np.uint8)

    wide = cv2.copyMakeBorder(small, _NIPPLE_MM, _NIPPLE_MM, _NIPPLE_MM, _NIPPLE_MM, cv2.BORDER_REPLICATE)
    body = cv2.morphologyEx(wide, cv2.MORPH_OPEN, disc(_NIPPLE_MM))
    deep = cv2.erode(body, disc(_SKIN_MM))[_NIPPLE_MM:-_NIPPLE_MM, _NIPPLE_MM:-_NIPPLE_MM]
    return np.asarray(cv2.resize(deep, (cols, rows), interpolation=cv2.INTER_NEAREST), np.float32)


def stored_box(pair: PreparedPair, mask: NDArray[np.bool_]) -> Box:
    """Bounding box of a working-grid mask in stored pixels, inside the image."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    row0, col0 = pair.to_stored(float(rows[0]), float(cols[0]))
    row1, col1 = pair.to_stored(float(rows[-1] + 1), float(cols[-1] + 1))
    high, wide = pair.stored_shape
    return Box(row0=row0, col0=col0, row1=min(row1, float(high)), col1=min(col1, float(wide)))


def stored_outline(pair: PreparedPair, mask: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Outline of the mask's largest part, (row, column) corners in stored pixels; empty under three corners."""
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.5)
    lines, _ = cv2.findContours((soft >= 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not lines:
        return ()
    corners = cv2.approxPolyDP(max(lines, key=cv2.contourArea), _SLACK, True)[:, 0]
    if len(corners) < 3:
        return ()
    return tuple(pair.to_stored(float(y) + 0.5, float(x) + 0.5) for x, y in corners)


def within_box(probability: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Outline a lesion known by its place only: the segmenter's region there, else the place itself.

    Parameters
    ----------
    inside
        (rows, cols) bool, the ellipse in the lesion's box.
    """
    within = probability * inside
    peak = float(within.max())
    mask = within >= max(0.5 * peak, 1e-6)
    return mask if peak >= FLOOR and mask.sum() >= 0.2 * inside.sum() else inside
