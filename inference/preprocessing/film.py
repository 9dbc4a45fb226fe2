"""What digitised film shows beside the breast, and what of a breast on film a map should not answer to.

Finds stuck-on labels (view and side in bright rectangles) so that the breast's outline leaves them out, and the area
that evidence counts in: no pectoral muscle, no edge of the film, no dim air within the outline. No torch.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.preprocessing.breast import BreastRegion, find_breast
from inference.preprocessing.landmarks_pectoral import find_pectoral

_WORK_SIDE = 512
_LEAST_SHARE, _MOST_SHARE = 0.0006, 0.06  # of the picture
_BRIGHT = 0.78  # of the picture's brightest
_FILLED = 0.72  # of the smallest rectangle around it: letters are cut out of a label
_DARK = 0.42  # air and thin tissue, of the picture's brightest
_ABOVE_AIR = 0.22  # of the way from air to the middle grey of the film
_LEAST_BREAST, _MOST_BREAST = 0.05, 0.9  # of the picture
_SURE = 0.5
_LIT = 0.8  # of a column of film that lies within it
_SKIN_MM, _WALL_MM, _END_MM = 4.0, 2.5, 4.0


def film_breast(grey: NDArray[np.float32]) -> BreastRegion:
    """Find the breast on digitised film: what is clearly brighter than the film's own air, labels left out.

    Parameters
    ----------
    grey
        (rows, cols) float32 in [0, 1], chest wall to the left, air dark, black where there is no film.

    Returns
    -------
    As ``find_breast``, which also answers where no air can be told from tissue.
    """
    rows, cols = grey.shape
    scale = min(1.0, _WORK_SIDE / max(rows, cols))
    size = (max(8, round(cols * scale)), max(8, round(rows * scale)))
    small = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)
    labels = _labels(small)
    level = _air_level(small, labels)
    mask = None
    if level is not None:
        mask = _largest(_smooth(small) > level, labels)
        mask = None if mask is None else _from_films_edge(mask, small > level)
    if mask is None or not _LEAST_BREAST < mask.mean() < _MOST_BREAST:
        return find_breast(_blackened(grey, labels))
    full = cv2.resize(mask.astype(np.uint8), (cols, rows), interpolation=cv2.INTER_NEAREST) > 0
    in_rows, in_cols = np.flatnonzero(full.any(axis=1)), np.flatnonzero(full.any(axis=0))
    return BreastRegion(
        mask=full,
        row0=int(in_rows[0]),
        col0=int(in_cols[0]),
        row1=int(in_rows[-1]) + 1,
        col1=int(in_cols[-1]) + 1,
        found=True,
    )


def _smooth(small: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 2.0), np.float32)


def _air_level(small: NDArray[np.float32], labels: NDArray[np.bool_]) -> float | None:
    """The grey that parts air from breast: a little above the commonest dark one; None without dark film."""
    film = (small > 0.004) & ~labels
    if film.mean() < 0.05:
        return None
    values = _smooth(small)[film]
    eight = np.clip(values * 255.0, 0, 255).astype(np.uint8)
    middle, _ = cv2.threshold(eight[None], 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    dark = eight[eight < 0.6 * middle]
    if len(dark) < 0.03 * len(eight):
        return None
    counts = np.convolve(np.bincount(dark, minlength=256), np.ones(5), mode="same")
    air = float(counts.argmax())
    return float((air + max(5.0, _ABOVE_AIR * (middle - air))) / 255.0)


def _largest(bright: NDArray[np.bool_], labels: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    binary = (bright & ~labels).astype(np.uint8)
    radius = max(1, round(0.025 * max(binary.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    # beyond the film's edges there is nothing, so that a glowing edge counts as the thin strip it is
    padded = cv2.copyMakeBorder(binary, radius, radius, radius, radius, cv2.BORDER_CONSTANT)
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, kernel)[radius:-radius, radius:-radius]
    count, parts, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(opened), connectivity=4)
    if count < 2:
        return None
    best = (parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    outline, _ = cv2.findContours(best, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(best, outline, -1, (1,), cv2.FILLED)  # dark fat within a breast is breast
    return np.asarray(best > 0, np.bool_)


def _from_films_edge(mask: NDArray[np.bool_], bright: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cut the columns before the film's edge at the chest wall, and the half lit one: an edge there looks like a sign."""
    cols = np.flatnonzero(mask.any(axis=0))[: max(1, mask.shape[1] // 25)]
    lit = (mask & bright)[:, cols].sum(axis=0) / mask[:, cols].sum(axis=0)
    dark = int(np.argmax(lit > _LIT)) if (lit > _LIT).any() else 0
    out = mask.copy()
    if dark:
        out[:, : cols[dark] + 1] = False
    return out


def _blackened(grey: NDArray[np.float32], labels: NDArray[np.bool_]) -> NDArray[np.float32]:
    if not labels.any():
        return grey
    wide = cv2.resize(labels.astype(np.uint8), grey.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    return np.where(wide, np.float32(0.0), grey)


def _labels(small: NDArray[np.float32]) -> NDArray[np.bool_]:
    top = float(small.max())
    bright = (small > _BRIGHT * top).astype(np.uint8)
    kernel = np.ones((9, 9), np.uint8)
    # a label at the film's edge goes on beyond it
    closed = cv2.morphologyEx(
        cv2.copyMakeBorder(bright, 9, 9, 9, 9, cv2.BORDER_REPLICATE), cv2.MORPH_CLOSE, kernel
    )
    closed = np.ascontiguousarray(closed[9:-9, 9:-9])
    count, parts, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=4)
    out = np.zeros(small.shape, np.bool_)
    for k in range(1, count):
        part = parts == k
        if _is_label(small, part, stats[k], top):
            out |= cv2.dilate(part.astype(np.uint8), kernel) > 0
    return out


def _is_label(
    small: NDArray[np.float32], part: NDArray[np.bool_], stats: NDArray[np.int32], top: float
) -> bool:
    x, _, width, height, area = (int(v) for v in stats)
    share = area / small.size
    if not _LEAST_SHARE < share < _MOST_SHARE or x < 0.2 * small.shape[1] or min(width, height) < 6:
        return False
    contours, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    (_, (long, short), _) = cv2.minAreaRect(max(contours, key=len))
    if area < _FILLED * (long + 1) * (short + 1):
        return False
    eight = part.astype(np.uint8)
    ring = (cv2.dilate(eight, np.ones((15, 15), np.uint8)) > 0) & (
        cv2.dilate(eight, np.ones((7, 7), np.uint8)) == 0
    )
    return bool(ring.any()) and float((small[ring] < _DARK * top).mean()) > 0.55


def counted_area(
    grey: NDArray[np.float32], mask: NDArray[np.bool_], pixel_mm: float, *, oblique: bool
) -> NDArray[np.bool_]:
    """Where evidence in a view on film counts.

    Parameters
    ----------
    grey
        (rows, cols) float32 in [0, 1], chest wall at column 0, head up.
    mask
        Same shape, the breast.
    oblique
        An MLO view, in which there may be a muscle.

    Returns
    -------
    Same shape: the breast less the muscle (where one is told surely), its rim, and a strip along the film's edges.
    The breast itself where nothing of it would be left.
    """
    inside = np.flatnonzero(mask.any(axis=1))
    if not len(inside):
        return mask
    border = max(1, round(_SKIN_MM / pixel_mm))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 0, 0, border, 0, cv2.BORDER_REPLICATE)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * border + 1, 2 * border + 1))
    out = cv2.erode(padded, kernel)[:, border:] > 0
    first, last, end = int(inside[0]), int(inside[-1]) + 1, max(1, round(_END_MM / pixel_mm))
    out[: first + end] = out[last - end :] = False
    out[:, : max(1, round(_WALL_MM / pixel_mm))] = False
    if oblique:
        out &= ~_muscle(grey[first:last], mask[first:last], pixel_mm, first, mask.shape)
    return out if out.sum() > 0.2 * mask.sum() else mask


def _muscle(
    grey: NDArray[np.float32], mask: NDArray[np.bool_], pixel_mm: float, first: int, shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    out = np.zeros(shape, np.uint8)
    edge, sure = find_pectoral(np.ascontiguousarray(grey), np.ascontiguousarray(mask), pixel_mm)
    if sure >= _SURE:
        corner = np.array([[0.0, 0.0], [edge[0, 1], 0.0]])
        outline = np.vstack([corner, edge[:, ::-1], [[0.0, edge[-1, 0]]]]) + np.array([0.0, float(first)])
        cv2.fillPoly(out, [np.rint(outline).astype(np.int32)], (1,))
    return out > 0
