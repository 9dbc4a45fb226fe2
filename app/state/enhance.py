"""Local contrast enhancement (CLAHE) of a picture, for looking only: measurements never see it.

Contrast-limited adaptive histogram equalisation after Zuiderveld (Graphics Gems IV, 1994), by OpenCV on 16 bits.
"""

from __future__ import annotations

import cv2
import numpy as np

from app.state.display import Pixels, Pyramid

CLIP_LIMIT = 2.5
TILE_PX = 256  # side of a tile, image pixels: about 18 mm at 0.07 mm


def enhanced(pixels: Pixels, air: tuple[int, int] | None) -> Pixels:
    """Return the picture with local contrast raised.

    Parameters
    ----------
    pixels : (rows, cols) uint16 as in ``ViewImage.pixels``.
    air : inclusive range of values that is air; it stays what it was, and tissue never becomes air.

    Returns
    -------
    (rows, cols) uint16 in the same range of values, so that the same windows fit.
    """
    is_air = None if air is None else cv2.inRange(pixels, float(air[0]), float(air[1]))
    tissue = None if is_air is None else cv2.bitwise_not(is_air)
    low, high, _, _ = cv2.minMaxLoc(pixels, mask=tissue)
    if high <= low:
        return pixels
    # OpenCV counts 65536 bins: spread the tissue over all of them first, or the clip limit would mean nothing.
    stretch = 65535.0 / (high - low)
    values = np.arange(65536, dtype=np.float64)
    out = np.clip(np.rint((values - low) * stretch), 0, 65535).astype(np.uint16).reshape(1, -1)
    back = np.clip(np.rint(values / stretch + low), low, high).astype(np.uint16).reshape(1, -1)
    rows, cols = pixels.shape
    grid = (max(2, round(cols / TILE_PX)), max(2, round(rows / TILE_PX)))
    raised = cv2.createCLAHE(clipLimit=CLIP_LIMIT, tileGridSize=grid).apply(cv2.LUT(pixels, out))
    result: Pixels = np.asarray(cv2.LUT(raised, back), dtype=np.uint16)
    if is_air is not None:
        cv2.copyTo(pixels, is_air, result)
    return result


def enhanced_pyramid(pyramid: Pyramid, air: tuple[int, int] | None) -> Pyramid:
    """Return the halvings of the enhanced picture."""
    return Pyramid(enhanced(pyramid.levels[0], air))
