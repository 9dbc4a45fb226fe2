"""Measures any source of outlines against the phantoms' own, by Dice, apart for each finding.

A source is a function from a picture and its boxes to outlines: the methods of ``inference.outlines``, or a
detector's masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.phantom import PhantomExam
from inference.exam.types import Box, ViewImage
from inference.outlines import Outline, outline_of
from resources.vocabulary import FindingType

OutlineSource = Callable[[ViewImage, Sequence[tuple[Box, FindingType]]], list[Outline]]


def drawn_by(method: str | None) -> OutlineSource:
    """The source that draws every box by one method of ``inference.outlines``, None by the chosen ones."""

    def draw(image: ViewImage, boxes: Sequence[tuple[Box, FindingType]]) -> list[Outline]:
        return [outline_of(image, box, finding, method) for box, finding in boxes]

    return draw


def dice(first: Outline | NDArray[np.floating], second: Outline | NDArray[np.floating]) -> float:
    """Twice the shared area over the sum of the areas of two closed lines, rasterised at a quarter pixel."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    low = np.floor(np.minimum(a.min(axis=0), b.min(axis=0))) - 1
    high = np.ceil(np.maximum(a.max(axis=0), b.max(axis=0))) + 1
    zoom = min(4.0, 1200.0 / float((high - low).max()))
    shape = tuple(int(np.ceil(v * zoom)) for v in high - low)
    masks = [_filled((points - low) * zoom, shape) for points in (a, b)]
    total = int(masks[0].sum()) + int(masks[1].sum())
    return 2.0 * float((masks[0] & masks[1]).sum()) / total if total else 0.0


def _filled(points: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    mask = np.zeros(shape, np.uint8)
    corners = np.round((points[:, ::-1] - 0.5) * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.fillPoly(mask, [corners], (1,), cv2.LINE_8, 4)
    return mask


def noisy_box(box: Box, shape: tuple[int, ...], pixel_mm: float, rng: np.random.Generator) -> Box:
    """A true box as a detector would give it: sides each off by 0.7 mm and 6 % of the size (1 SD)."""
    size = np.array([box.row1 - box.row0, box.col1 - box.col0])
    off = rng.normal(size=(2, 2)) * (0.7 / pixel_mm + 0.06 * size)
    low = np.clip(np.array([box.row0, box.col0]) + off[0], 0, np.array(shape) - 3.0)
    high = np.clip(np.array([box.row1, box.col1]) + off[1], low + 2.0, np.array(shape, np.float64))
    return Box(row0=float(low[0]), col0=float(low[1]), row1=float(high[0]), col1=float(high[1]))


def dice_by_finding(
    phantoms: Iterable[PhantomExam], sources: dict[str, OutlineSource], rng: np.random.Generator
) -> dict[str, dict[str, list[float]]]:
    """Dice of every listed lesion in every view, for each source and finding.

    Every source sees the same noisy boxes.

    Returns
    -------
    source -> finding -> Dice values.
    """
    out: dict[str, dict[str, list[float]]] = {name: {} for name in sources}
    for phantom in phantoms:
        for image in phantom.exam.images:
            lesions = [x for x in phantom.lesions if image.key in x.views]
            boxes = [
                (noisy_box(x.views[image.key].box, image.pixels.shape, phantom.spec.pixel_mm, rng), x.finding)
                for x in lesions
            ]
            if not boxes:
                continue
            for name, source in sources.items():
                for lesion, line in zip(lesions, source(image, boxes), strict=True):
                    truth = lesion.views[image.key].contour + np.float32(0.5)
                    out[name].setdefault(lesion.finding.value, []).append(dice(line, truth))
    return out
