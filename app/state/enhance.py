"""Local contrast enhancement (CLAHE) of a picture, for looking only: measurements never see it.

Contrast-limited adaptive histogram equalisation after Zuiderveld (Graphics Gems IV, 1994), by OpenCV on 16 bits.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from app.state.display import Pixels, Pyramid

CLIP_LIMIT = 2.5  # steepest rise of the curve, times that of a straight line
LEVELS = 4096
_COARSE = 16
TILE_PX = 256  # side of a tile, image pixels: about 18 mm at 0.07 mm


def enhanced(pixels: Pixels, air: tuple[int, int] | None) -> Pixels:
    """Return the picture with local contrast raised.

    Parameters
    ----------
    pixels : (rows, cols) uint16 as in ``ViewImage.pixels``.
    air : inclusive range of values that is air; it stays what it was, and tissue never becomes air.

    Returns
    -------
    (rows, cols) uint16 in the same range of values and of the same level over some millimetres, so that the same
    windows fit.
    """
    is_air = None if air is None else cv2.inRange(pixels, float(air[0]), float(air[1]))
    tissue = None if is_air is None else cv2.bitwise_not(is_air)
    low, high, _, _ = cv2.minMaxLoc(pixels, mask=tissue)
    if high <= low:
        return pixels
    # OpenCV always counts 65536 bins and takes the clip limit as a share of them. With the tissue on LEVELS of them,
    # the limit must grow alike, or every bin in use would be clipped and nothing raised.
    levels = min(LEVELS, int(high - low) + 1)
    values = np.arange(65536, dtype=np.float64)
    level = np.rint(np.clip((values - low) / (high - low), 0.0, 1.0) * (levels - 1))
    out = np.rint(level * 65535.0 / (levels - 1)).astype(np.uint16).reshape(1, -1)
    back = np.rint(values / 65535.0 * (high - low) + low).astype(np.uint16).reshape(1, -1)
    rows, cols = pixels.shape
    grid = (max(2, round(cols / TILE_PX)), max(2, round(rows / TILE_PX)))
    clahe = cv2.createCLAHE(clipLimit=CLIP_LIMIT * 65536 / levels, tileGridSize=grid)
    raised = cv2.LUT(clahe.apply(cv2.LUT(pixels, out)), back)
    # Equalising lifts whole regions out of the window; only the detail is taken, the level stays the original's.
    mixed = cv2.add(cv2.subtract(raised, _level(raised), dtype=cv2.CV_32F), _level(pixels))
    result: Pixels = np.clip(mixed, low, high).astype(np.uint16)
    if is_air is not None:
        cv2.copyTo(pixels, is_air, result)
    return result


def _level(pixels: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Mean over about a tile around every pixel, (rows, cols) float32."""
    rows, cols = pixels.shape
    small = cv2.resize(pixels, (-(-cols // _COARSE), -(-rows // _COARSE)), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small.astype(np.float32), (0, 0), TILE_PX / 2 / _COARSE)
    return np.asarray(cv2.resize(soft, (cols, rows), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def enhanced_pyramid(pyramid: Pyramid, air: tuple[int, int] | None) -> Pyramid:
    """Return the halvings of the enhanced picture."""
    return Pyramid(enhanced(pyramid.levels[0], air))
