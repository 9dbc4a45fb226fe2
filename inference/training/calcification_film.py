"""Makes a phantom view of coarse pixels look as a scanned film does: tone, blur, grain, dust. Owns no anatomy."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_FULL, _LEAST = 4095, 60  # greys of the phantoms' pictures; 0 is air


def as_film(pixels: NDArray[np.uint16], rng: np.random.Generator) -> NDArray[np.uint16]:
    """Turn a picture to film.

    Parameters
    ----------
    pixels
        (rows, cols) uint16 in 0..4095, 0 exactly in air, as ``presentation_pixels`` gives them.

    Returns
    -------
    The same shape and range. All amounts are drawn; no real film was measured for them.
    """
    inside = pixels > 0
    value = (pixels.astype(np.float32) / _FULL) ** np.float32(np.exp(rng.uniform(-0.4, 0.4)))
    value = cv2.GaussianBlur(value, (0, 0), rng.uniform(0.35, 0.8))
    grain = rng.standard_normal(value.shape, dtype=np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.4, 0.8))
    value = value + grain * np.float32(rng.uniform(0.004, 0.02))
    for row, col in _dust(inside, rng):
        value[row : row + int(rng.integers(1, 3)), col : col + int(rng.integers(1, 3))] += rng.uniform(
            0.05, 0.3
        )
    low, high = rng.uniform(0.0, 0.15), rng.uniform(0.75, 1.0)
    grey = np.clip(np.rint((low + (high - low) * value) * _FULL), _LEAST, _FULL)
    return np.where(inside, grey, 0).astype(np.uint16)


def _dust(inside: NDArray[np.bool_], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Places of dust: single grains, and up to three patches of two to five within some millimetres."""
    where = np.argwhere(inside)
    if not len(where):
        return []
    out = [tuple(where[k]) for k in rng.integers(0, len(where), int(rng.integers(0, 12)))]
    for _ in range(int(rng.integers(0, 4))):
        middle = where[int(rng.integers(len(where)))]
        out += [tuple(middle + rng.integers(-15, 16, 2)) for _ in range(int(rng.integers(2, 6)))]
    rows, cols = inside.shape
    return [(int(np.clip(r, 0, rows - 1)), int(np.clip(c, 0, cols - 1))) for r, c in out]
