"""Makes phantom canvases look as film does, so that a network meets film's faults while it learns.

Tone curve, dark thin rim, unevenness, grain and blur; glowing air beside the skin, a label, the film's edge at the chest wall, a
denser muscle. All amounts are drawn; no real image and no lesion's place is used. Canvases as in ``data``.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Grey = NDArray[np.float32]


def film_look(
    canvases: Tensor, masks: Tensor, rng: np.random.Generator, *, share: float = 0.5
) -> tuple[Tensor, Tensor]:
    """Turn a share of the views to film.

    Parameters
    ----------
    canvases
        (views, 2, rows, cols): grey in [-1, 1], -1 outside the breast, and spots; CC and MLO in turn.
    masks
        (views, rows, cols) 1 in the breast.
    share
        Chance of each view.

    Returns
    -------
    Canvases and masks of the same shapes; a mask may reach beyond the skin, as it does on film.
    """
    out, kept = canvases.clone(), masks.clone()
    for i in range(len(canvases)):
        if rng.random() >= share:
            continue
        grey: Grey = np.asarray((canvases[i, 0].numpy() + 1.0) * 0.5, np.float32)
        inside = masks[i].numpy() > 0
        if not inside.any():
            continue
        if i % 2 and rng.random() < 0.6:
            grey = np.asarray(grey + _muscle(inside, rng), np.float32)
        if rng.random() < 0.7:
            grey = np.asarray(grey * _thin_rim(inside, rng), np.float32)
        grey = _toned(grey, rng)
        grey, wide = _glow(grey, inside, rng)
        if rng.random() < 0.25:
            grey, wide = _label(grey, wide, rng)
        if rng.random() < 0.4:
            grey[:, : int(rng.integers(1, 5))] = rng.uniform(0.0, 1.0)
        grey = np.asarray(grey + rng.normal(0.0, rng.uniform(0.0, 0.02), grey.shape), np.float32)
        grey = np.asarray(np.where(wide, np.clip(grey, 0.002, 1.0), 0.0), np.float32)
        out[i, 0] = out[i, 0].new_tensor(grey * 2.0 - 1.0)
        kept[i] = kept[i].new_tensor(wide.astype(np.float32))
        if canvases.shape[1] > 1:
            out[i, 1] = out[i, 1].new_tensor(_spots(canvases[i, 1].numpy(), inside, rng))
    return out, kept


def _toned(grey: Grey, rng: np.random.Generator) -> Grey:
    """A tone curve of its own, uneven exposure, and a blur."""
    grey = np.clip(grey, 0.0, 1.0) ** float(np.exp(rng.uniform(-0.5, 0.5)))
    low, high = rng.uniform(0.0, 0.12), rng.uniform(0.75, 1.0)
    field = rng.normal(0.0, rng.uniform(0.0, 0.05), (5, 4)).astype(np.float32)
    uneven = cv2.resize(field, grey.shape[::-1], interpolation=cv2.INTER_CUBIC)
    toned = low + (high - low) * grey + uneven
    sigma = rng.uniform(0.0, 0.8)
    return np.asarray(cv2.GaussianBlur(toned, (0, 0), sigma) if sigma > 0.2 else toned, np.float32)


def _muscle(inside: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    """A brighter triangle at the head's end of the chest wall, its front edge soft and a little bent."""
    rows = np.flatnonzero(inside.any(axis=1))
    top, height = float(rows[0]), len(rows) * rng.uniform(0.3, 0.95)
    width = inside.sum(axis=1).max() * rng.uniform(0.15, 0.65)
    down = (np.arange(inside.shape[0], dtype=np.float32) - top) / height
    bend = rng.uniform(-0.15, 0.15) * np.sin(np.pi * np.clip(down, 0, 1))
    front = width * (1.0 - down + bend)
    soft = rng.uniform(1.0, 5.0)
    cols = np.arange(inside.shape[1], dtype=np.float32)
    wedge = 1.0 / (1.0 + np.exp(np.clip((cols[None] - front[:, None]) / soft, -30, 30)))
    return np.asarray(rng.uniform(0.05, 0.45) * wedge * inside, np.float32)


def _thin_rim(inside: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    """Film shows the thin rim of a breast dark where digital processing evens it out: a factor of (0, 1]."""
    padded = cv2.copyMakeBorder(
        inside.astype(np.uint8), 0, 0, 64, 0, cv2.BORDER_REPLICATE
    )  # no skin at the wall
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[:, 64:]
    fall = np.exp(-depth / rng.uniform(4.0, 30.0))
    return np.asarray(1.0 - rng.uniform(0.1, 0.9) * fall, np.float32)


def _glow(grey: Grey, inside: NDArray[np.bool_], rng: np.random.Generator) -> tuple[Grey, NDArray[np.bool_]]:
    """Dim air within some pixels of the skin, as the outline of a breast on film takes it in."""
    reach = int(rng.integers(0, 14))
    if not reach:
        return grey, inside
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    wide = cv2.dilate(inside.astype(np.uint8), kernel) > 0
    edge = float(np.percentile(grey[inside], 3.0))
    air = rng.uniform(0.0, 0.8) * min(edge, 0.25)
    return np.where(inside, grey, np.float32(air)).astype(np.float32), wide


def _label(grey: Grey, wide: NDArray[np.bool_], rng: np.random.Generator) -> tuple[Grey, NDArray[np.bool_]]:
    """A bright rectangle with dark strokes that touches the outline from outside, in its upper half."""
    rows = np.flatnonzero(wide.any(axis=1))
    row = int(rows[0] + rng.uniform(0.0, 0.5) * len(rows))
    col = int(np.flatnonzero(wide[row])[-1] - rng.integers(0, 8))
    height, width = int(rng.integers(15, 60)), int(rng.integers(15, 50))
    box = (slice(row, row + height), slice(max(0, col), col + width))
    grey, wide = grey.copy(), wide.copy()
    under: Grey = grey[box]
    patch: Grey = np.full(under.shape, rng.uniform(0.7, 1.0), np.float32)
    for _ in range(int(rng.integers(0, 4))):
        stroke = int(rng.integers(0, max(1, patch.shape[1] - 2)))
        patch[3:-3, stroke : stroke + 2] = rng.uniform(0.0, 0.5)
    outside = ~wide[box]
    grey[box] = np.where(outside, patch, grey[box])
    wide[box] = True
    return grey, wide


def _spots(spots: Grey, inside: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    """Spots weaker or stronger than drawn, none at all, or some of dust."""
    if rng.random() < 0.1:
        return np.zeros_like(spots)
    out = spots * np.float32(rng.uniform(0.5, 1.3))
    if rng.random() < 0.4:
        where = np.argwhere(inside)
        drawn = where[rng.integers(0, len(where), int(rng.integers(1, 30)))]
        out[drawn[:, 0], drawn[:, 1]] += rng.uniform(0.2, 1.0, len(drawn)).astype(np.float32)
    return np.asarray(np.minimum(out, 2.5), np.float32)
