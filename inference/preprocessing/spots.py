"""Counts small bright spots at 0.2 mm, before a coarse canvas averages calcifications away.

A white top-hat by short lines: what is brighter than its surroundings along every direction is a spot, what
is long in any direction (vessel, strand, skin) is not. It says where spots are, not whether they matter.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SPOT_MM = 0.2  # the grid that spots are sought on
COARSEST_MM = 0.25  # source pixels above this do not hold single calcifications
_LINE_PX = 7  # 1.4 mm: longer than a calcification, shorter than a stretch of vessel
_LOW, _HIGH = 0.04, 0.07  # grey above the surroundings: no spot .. a whole one
_SKIN_MM = 1.5  # the skin's edge is left out
_QUIET = 0.005  # mean top-hat of a tissue without grain; grainier ones need brighter spots
_WINDOW_MM = 10.0


def _lines() -> list[NDArray[np.uint8]]:
    kernels, reach = [], _LINE_PX // 2
    for angle in np.deg2rad(np.arange(0.0, 180.0, 22.5)):
        kernel = np.zeros((_LINE_PX, _LINE_PX), np.uint8)
        x, y = round(reach * np.cos(angle)), round(reach * np.sin(angle))
        cv2.line(kernel, (reach - x, reach - y), (reach + x, reach + y), (1,))
        kernels.append(kernel)
    return kernels


def spot_counts(grey: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mark the small bright spots of a breast.

    Parameters
    ----------
    grey
        (rows, cols) float32 in [0, 1] at ``SPOT_MM`` a pixel, chest wall at column 0.
    inside
        Same shape, the breast.

    Returns
    -------
    Same shape, float32 in [0, 1]: 1 at the middle of a clear spot, less for a faint one, else 0. Its sum over
    an area is the number of spots there.

    Notes
    -----
    Top-hat by openings with lines: Soille, Morphological Image Analysis, 2nd ed. 2003, 4.6 and 8.
    """
    border = round(_SKIN_MM / SPOT_MM)
    size = 2 * border + 1
    # beyond the chest wall the breast goes on; beyond the other edges there is air
    wide = cv2.copyMakeBorder(inside.astype(np.uint8), 0, 0, border, 0, cv2.BORDER_REPLICATE)
    core = cv2.erode(wide, np.ones((size, size), np.uint8))[:, border:].astype(np.float32)
    smooth = cv2.GaussianBlur(grey, (0, 0), 0.6)
    opened = np.maximum.reduce([cv2.morphologyEx(smooth, cv2.MORPH_OPEN, line) for line in _lines()])
    height = (smooth - opened) * core
    window = 2 * round(_WINDOW_MM / SPOT_MM / 2) + 1
    share = np.maximum(cv2.boxFilter(core, -1, (window, window)), 0.05)
    grain = cv2.boxFilter(np.minimum(height, _HIGH), -1, (window, window)) / share
    height /= np.maximum(1.0, grain / _QUIET)
    peak = (height >= cv2.dilate(height, np.ones((3, 3), np.uint8))) & (height > _LOW)
    found = np.where(peak, np.clip((height - _LOW) / (_HIGH - _LOW), 0.0, 1.0), 0.0)
    return np.asarray(found, dtype=np.float32)
