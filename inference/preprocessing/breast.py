"""Finds the breast in a displayed view: mask and bounding box, air, labels and film edges left out.

Plain thresholding after the triangle method, as the published systems do it; it does not segment the
pectoral muscle.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

_GLOW = 12  # of 255
_WORK_SIDE = 512  # the outline is a smooth thing: finding it small costs a millisecond and loses nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class BreastRegion:
    """Where the breast lies: mask (rows, cols) bool of the given grey image, and its half-open bounding
    box."""

    mask: NDArray[np.bool_] = field(compare=False, repr=False)
    row0: int
    col0: int
    row1: int
    col1: int
    found: bool  # False = nothing could be told apart from the background; the box is the whole image

    @property
    def shape(self) -> tuple[int, int]:
        return (self.row1 - self.row0, self.col1 - self.col0)


def find_breast(grey: NDArray[np.float32]) -> BreastRegion:
    """Find the largest bright connected region of a displayed view.

    Parameters
    ----------
    grey
        (rows, cols) float32 in [0, 1], air dark.

    Returns
    -------
    BreastRegion in the pixels of ``grey``; ``found`` is False for an image with no such region (blank, or one
    region under 2 % of the picture).
    """
    rows, cols = grey.shape
    scale = min(1.0, _WORK_SIDE / max(rows, cols))
    size = (max(1, round(cols * scale)), max(1, round(rows * scale)))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA) if scale < 1 else grey
    eight = np.clip(np.asarray(small) * 255.0, 0, 255).astype(np.uint8)
    mask = _largest_region(_foreground(eight))
    if mask is None or mask.mean() < 0.02:
        return BreastRegion(
            mask=np.ones((rows, cols), bool), row0=0, col0=0, row1=rows, col1=cols, found=False
        )
    full = cv2.resize(mask.astype(np.uint8), (cols, rows), interpolation=cv2.INTER_NEAREST).astype(bool)
    in_rows, in_cols = np.flatnonzero(full.any(axis=1)), np.flatnonzero(full.any(axis=0))
    return BreastRegion(
        mask=full,
        row0=int(in_rows[0]),
        col0=int(in_cols[0]),
        row1=int(in_rows[-1]) + 1,
        col1=int(in_cols[-1]) + 1,
        found=True,
    )


def _is_digital(eight: NDArray[np.uint8]) -> bool:
    """Tell whether air is exactly black up to the skin; film glows there, even when its corners are black."""
    lit = int((eight > 0).sum())
    faint = int(((eight > 0) & (eight < _GLOW)).sum())
    return (eight == 0).mean() > 0.1 and faint < 0.05 * max(lit, 1)


def _foreground(eight: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """Return the foreground and the share of the picture's side that a strip must exceed to be breast."""
    if _is_digital(eight):
        return (eight > 0).astype(np.uint8), 0.008
    smooth = cv2.GaussianBlur(eight, (0, 0), 2.0)
    rim = max(1, round(0.02 * eight.shape[0]))  # scanners leave a bright frame above and below the film
    inner = np.ascontiguousarray(smooth[rim:-rim])
    level, _ = cv2.threshold(inner, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_TRIANGLE)
    binary = np.zeros_like(eight)
    binary[rim:-rim] = inner > level
    return binary, 0.025


def _largest_region(foreground: tuple[NDArray[np.uint8], float]) -> NDArray[np.bool_] | None:
    # opening parts the breast from labels and from what is left of the film's frame
    binary, share = foreground
    radius = max(1, round(share * max(binary.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    # beyond a film's edge there is nothing, so that its glowing edge counts as the thin strip it is
    edge = cv2.BORDER_REPLICATE if share < 0.01 else cv2.BORDER_CONSTANT
    padded = cv2.copyMakeBorder(binary, radius, radius, radius, radius, edge)
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, kernel)[radius:-radius, radius:-radius]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(opened), connectivity=4)
    if count < 2:
        return None
    best = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return np.asarray(labels == best, dtype=np.bool_)
