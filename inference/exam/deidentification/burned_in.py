"""Text in the picture: what the header says of it, and whether the air around the breast looks written on.

A warning for a person who then looks; it proves neither presence nor absence of text.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from inference.exam.types import ViewImage

_SIDE = 2048  # letters of 1 mm still have some ten pixels
_LEAST_LETTERS = 4  # "RCC" and "LMLO" stand on most films; a line is longer than the marker of side and view
_HEIGHTS = (6, 90)  # of a letter, pixels of the reduced picture
_LEVEL = 0.12  # of the picture's range above air


def header_warning(ds: Dataset) -> str:
    """Return a sentence when the header does not rule out text in the pixels, else ''."""
    said = str(ds.get("BurnedInAnnotation", "") or "").strip().upper()
    if said == "NO":
        return ""
    if said == "YES":
        return "the header says that text is burned into the pixels; look at the image before readers do"
    return "the header does not say whether text is burned into the pixels"


def text_like_lines(image: ViewImage) -> int:
    """Count rows of letter-like shapes in the air of an image.

    Parameters
    ----------
    image : decoded; its presentation tells whether air is dark

    Returns
    -------
    Lines of at least five shapes of like height, side by side; 0 = nothing looks written.
    """
    grey = _reduced(image.pixels, inverse=image.presentation.inverse)
    lit = _lit(grey)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lit, connectivity=8)
    if count < 2:
        return 0
    breast = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    around = cv2.dilate((labels == breast).astype(np.uint8), np.ones((15, 15), np.uint8)).astype(bool)
    low, high = _HEIGHTS
    letters = []
    for number in range(1, count):
        left, top, width, height, area = (int(v) for v in stats[number])
        filled = area / (width * height)
        fits = low <= height <= high and 2 <= width <= 2 * high and 0.12 <= filled <= 0.95
        if number != breast and fits and not around[top + height // 2, left + width // 2]:
            letters.append((top, left, width, height))
    return _lines(letters)


def _reduced(pixels: NDArray[np.uint16], *, inverse: bool) -> NDArray[np.uint8]:
    scale = min(1.0, _SIDE / max(pixels.shape))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
    low, high = float(small.min()), float(small.max())
    grey = (small - low) / max(high - low, 1.0)
    return np.asarray(255 * (1 - grey if inverse else grey), dtype=np.uint8)


def _lit(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # Air is the commonest of the darker levels; film air is grey, digital air is 0.
    counts = np.bincount(grey.ravel(), minlength=256)
    air = int(np.argmax(counts[:128]))
    lit = (grey > air + 255 * _LEVEL).astype(np.uint8)
    rim = max(1, round(0.01 * min(grey.shape)))  # the frame that scanners leave
    lit[:rim], lit[-rim:], lit[:, :rim], lit[:, -rim:] = 0, 0, 0, 0
    return lit


def _lines(letters: list[tuple[int, int, int, int]]) -> int:
    """Count runs of more than four letters; sideways text counts with rows and columns changed over."""
    upright = _runs(letters)
    return upright or _runs([(left, top, height, width) for top, left, width, height in letters])


def _runs(letters: list[tuple[int, int, int, int]]) -> int:
    rest = sorted(letters, key=lambda box: (box[1], box[0]))
    lines = 0
    while rest:
        run = [rest.pop(0)]
        for box in list(rest):
            top, left, width, height = run[-1]
            near = 0 < box[1] - left <= width + 2.5 * height
            level = abs((box[0] + box[3] / 2) - (top + height / 2)) <= 0.4 * height
            if near and level and 0.6 <= box[3] / height <= 1.67:
                run.append(box)
                rest.remove(box)
        lines += len(run) > _LEAST_LETTERS
    return lines
