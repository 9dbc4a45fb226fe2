"""Draws the outline of a lesion from its box: the ellipse in it, and what the picture says better.

Masses and asymmetries: a closed path of strong edges round the box's centre by dynamic programming (Timp and
Karssemeijer, Med Phys 2004;31:958), or a level set (morphological Chan-Vese, Marquez-Neila et al., IEEE PAMI
2014;36:2), or OpenCV's GrabCut. Calcifications: the hull of the small bright spots. Which is the default for
which finding was decided by measurement (``training.places_outlines``, docs/models/places.md). No torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.types import Box, ViewImage
from inference.preprocessing.intensity import first_voi_table
from resources.vocabulary import FindingType

Outline = tuple[tuple[float, float], ...]  # (row, column) corners of a closed line, stored pixels (edges)
Points = NDArray[np.float64]

_MARGIN = 0.4  # of the box's size beyond each side
_COARSE_MM, _FINE_MM = 0.4, 0.15  # working pixel of masses and of calcifications
_ASSUMED_MM = 0.1  # pixel of a file that does not tell it: only smoothing depends on it
_ANGLES, _RADII = 72, 48
_CORNERS = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """The surroundings of a box: grey (rows, cols) float32, 0 mean and unit spread; the box in its pixels."""

    grey: NDArray[np.float32] = field(repr=False)
    box: Box
    pixel_mm: float
    scale: tuple[float, float]  # patch pixels per stored pixel
    origin: tuple[float, float]  # stored pixel edge of the patch's first edge


def patch_of(image: ViewImage, box: Box, *, fine: bool) -> Patch:
    """Cut the surroundings of a box out of a stored picture, as first shown."""
    rows, cols = image.pixels.shape
    high, wide = box.row1 - box.row0, box.col1 - box.col0
    r0, r1 = (
        int(np.clip(v, 0, rows))
        for v in (np.floor(box.row0 - _MARGIN * high), np.ceil(box.row1 + _MARGIN * high))
    )
    c0, c1 = (
        int(np.clip(v, 0, cols))
        for v in (np.floor(box.col0 - _MARGIN * wide), np.ceil(box.col1 + _MARGIN * wide))
    )
    r0, c0 = min(r0, rows - 1), min(c0, cols - 1)
    grey = first_voi_table(image.presentation)[image.pixels[r0 : max(r1, r0 + 1), c0 : max(c1, c0 + 1)]]
    mm = (image.spacing.row_mm, image.spacing.col_mm) if image.spacing else (_ASSUMED_MM, _ASSUMED_MM)
    target = _FINE_MM if fine else _COARSE_MM
    size = tuple(int(np.clip(round(n * m / target), 12, 400)) for n, m in zip(grey.shape, mm, strict=True))
    mode = cv2.INTER_AREA if size[0] < grey.shape[0] else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(grey, size[::-1], interpolation=mode), np.float32)
    scale = (size[0] / grey.shape[0], size[1] / grey.shape[1])
    small = (small - small.mean()) / max(float(small.std()), 1e-6)
    inner = Box(
        row0=(box.row0 - r0) * scale[0],
        col0=(box.col0 - c0) * scale[1],
        row1=(box.row1 - r0) * scale[0],
        col1=(box.col1 - c0) * scale[1],
    )
    pixel_mm = mm[0] / scale[0]
    return Patch(grey=small, box=inner, pixel_mm=pixel_mm, scale=scale, origin=(float(r0), float(c0)))


def ellipse(patch: Patch) -> Points:
    """The ellipse in the box: the baseline, (n, 2) row, column in patch pixels."""
    theta = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    (row, col), (high, wide) = patch.box.center, _half(patch.box)
    return np.stack([row + high * np.sin(theta), col + wide * np.cos(theta)], axis=1)


def edge_path(patch: Patch) -> Points:
    """The closed path of strong outward falls of grey near the ellipse in the box."""
    theta = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    share = np.linspace(0.55, 1.3, _RADII)  # of the ellipse's radius in that direction
    (row, col), (high, wide) = patch.box.center, _half(patch.box)
    sigma = max(0.7, 0.5 / patch.pixel_mm)
    smooth = cv2.GaussianBlur(patch.grey, (0, 0), sigma)
    polar = _read(
        smooth, row + np.outer(high * np.sin(theta), share), col + np.outer(wide * np.cos(theta), share)
    )
    fall = -np.gradient(polar, axis=1)
    fall /= max(float(np.abs(fall).std()), 1e-6)
    gain = np.clip(fall, -1.0, 3.0) - 0.5 * ((share - 0.97) / 0.12)[None, :] ** 2
    path = _closed_path(gain, bend=0.25)
    radius = _ring_smooth(share[path], 2.0)
    return np.stack([row + high * radius * np.sin(theta), col + wide * radius * np.cos(theta)], axis=1)


def _closed_path(gain: Points, *, bend: float) -> NDArray[np.int64]:
    """Index of the radius at each angle: most gain, small steps, the last beside the first (two rounds)."""
    twice = np.concatenate([gain, gain])
    steps = np.arange(gain.shape[1])
    cost = bend * (steps[:, None] - steps[None, :]) ** 2
    total, back = twice[0].copy(), np.zeros(twice.shape, np.int64)
    for k in range(1, len(twice)):
        options = total[None, :] - cost
        back[k] = options.argmax(axis=1)
        total = options.max(axis=1) + twice[k]
    path = np.zeros(len(twice), np.int64)
    path[-1] = int(total.argmax())
    for k in range(len(twice) - 1, 0, -1):
        path[k - 1] = back[k, path[k]]
    half, quarter = len(gain), len(gain) // 2
    middle = path[quarter : quarter + half]  # far from both loose ends
    return np.roll(middle, quarter)


def _ring_smooth(values: Points, sigma: float) -> Points:
    wide = np.concatenate([values, values, values]).reshape(-1, 1)
    out = cv2.GaussianBlur(wide, (0, 0), sigma)[len(values) : 2 * len(values), 0]
    return np.asarray(out, np.float64)


def level_set(patch: Patch) -> Points:
    """Morphological Chan-Vese from the ellipse in the box, kept within 1.25 of it."""
    start = _filled(ellipse(patch), patch.grey.shape)
    centre = np.array(patch.box.center)
    wide = _filled(centre + (ellipse(patch) - centre) * 1.25, patch.grey.shape) > 0
    smooth = cv2.GaussianBlur(patch.grey, (0, 0), max(0.7, 0.6 / patch.pixel_mm))
    level = start.copy()
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    for _ in range(25):
        inside = level > 0
        if not inside.any() or (inside == wide).all():
            break
        low, high = float(smooth[wide & ~inside].mean()), float(smooth[inside].mean())
        rim = (cv2.dilate(level, kernel) != cv2.erode(level, kernel)) & wide
        level[rim] = (np.abs(smooth - high) < np.abs(smooth - low))[rim]
        level = cv2.medianBlur(level, 5)
        level[~wide] = 0
    return _contour(level, patch)


def grab_cut(patch: Patch) -> Points:
    """OpenCV's GrabCut with the middle of the ellipse as surely lesion and all beyond 1.25 of it as not."""
    byte = np.clip(patch.grey * 40 + 128, 0, 255).astype(np.uint8)
    colour = cv2.merge([byte, cv2.GaussianBlur(byte, (0, 0), 2.0), cv2.GaussianBlur(byte, (0, 0), 4.0)])
    centre = np.array(patch.box.center)
    label = np.full(patch.grey.shape, cv2.GC_BGD, np.uint8)
    for size, value in ((1.25, cv2.GC_PR_BGD), (1.0, cv2.GC_PR_FGD), (0.55, cv2.GC_FGD)):
        label[_filled(centre + (ellipse(patch) - centre) * size, patch.grey.shape) > 0] = value
    if not (label == cv2.GC_FGD).any() or not (label == cv2.GC_BGD).any():
        return ellipse(patch)
    cv2.setRNGSeed(0)
    cv2.grabCut(colour, label, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    found = ((label == cv2.GC_FGD) | (label == cv2.GC_PR_FGD)).astype(np.uint8)
    return _contour(cv2.medianBlur(found, 5), patch)


def spot_hull(patch: Patch) -> Points:
    """Hull of the small bright spots in and just beside the box, 1 mm wider; the ellipse where there are few."""
    smooth = cv2.GaussianBlur(patch.grey, (0, 0), 0.8)
    reach = max(3, round(1.2 / patch.pixel_mm)) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    height = smooth - cv2.morphologyEx(smooth, cv2.MORPH_OPEN, disc)
    peak = (height >= cv2.dilate(height, np.ones((3, 3), np.uint8))) & (height > 0)
    middle = np.array(patch.box.center)
    rows, cols = np.nonzero(peak)
    size = np.array(_half(patch.box))
    off = (np.stack([rows, cols], axis=1) + 0.5 - middle) / size
    near = np.abs(off).max(axis=1) < 1.15
    rows, cols, off = rows[near], cols[near], off[near]
    tall = height[rows, cols]
    if len(tall) < 4:
        return ellipse(patch)
    noise = float(np.median(np.abs(height[height > 0]))) if (height > 0).any() else 0.0
    keep = tall > max(0.35 * float(np.sort(tall)[-3]), 4.0 * noise)
    if keep.sum() < 3:
        return ellipse(patch)
    points = np.stack([rows[keep], cols[keep]], axis=1) + 0.5
    hull = cv2.convexHull(points.astype(np.float32)).reshape(-1, 2).astype(np.float64)
    centre = hull.mean(axis=0)
    away = hull - centre
    length = np.linalg.norm(away, axis=1, keepdims=True)
    return np.asarray(centre + away * (1 + (1.0 / patch.pixel_mm) / np.maximum(length, 1e-3)), np.float64)


METHODS: dict[str, Callable[[Patch], Points]] = {
    "ellipse": ellipse,
    "edge path": edge_path,
    "level set": level_set,
    "GrabCut": grab_cut,
    "spot hull": spot_hull,
}
BEST = {
    FindingType.MASS: "edge path",
    FindingType.CALCIFICATION: "spot hull",
    FindingType.ASYMMETRY: "ellipse",
    FindingType.DISTORTION: "ellipse",
}


def outline_of(image: ViewImage, box: Box, finding: FindingType | None, method: str | None = None) -> Outline:
    """Outline of a lesion from its box.

    Parameters
    ----------
    method
        One of ``METHODS``; None takes the one that measured best for the finding.

    Returns
    -------
    Corners (row, column) of a closed line in stored-file pixels, clipped to the picture.
    """
    name = method or (BEST.get(finding, "ellipse") if finding is not None else "ellipse")
    patch = patch_of(image, box, fine=name == "spot hull")
    points = METHODS[name](patch)
    rows, cols = image.pixels.shape
    stored = points / np.array(patch.scale) + np.array(patch.origin)
    stored = np.clip(stored, 0.0, np.array([rows, cols], np.float64))
    return tuple((float(r), float(c)) for r, c in stored)


def _half(box: Box) -> tuple[float, float]:
    return (box.row1 - box.row0) / 2, (box.col1 - box.col0) / 2


def _read(image: NDArray[np.float32], rows: Points, cols: Points) -> Points:
    x, y = (cols - 0.5).astype(np.float32), (rows - 0.5).astype(np.float32)
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float64)


def _filled(points: Points, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    mask = np.zeros(shape, np.uint8)
    corners = np.round((points[:, ::-1] - 0.5) * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.fillPoly(mask, [corners], (1,), cv2.LINE_8, 4)
    return mask


def _contour(mask: NDArray[np.uint8], patch: Patch) -> Points:
    """The largest region's outline; the ellipse where there is next to nothing."""
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    high, wide = _half(patch.box)
    if not found or cv2.contourArea(max(found, key=cv2.contourArea)) < 0.15 * np.pi * high * wide:
        return ellipse(patch)
    line = max(found, key=cv2.contourArea).reshape(-1, 2)[:, ::-1].astype(np.float64) + 0.5
    return np.asarray(line[np.linspace(0, len(line) - 1, min(len(line), 96)).astype(int)], np.float64)
