"""Measures the input checks: how often they are silent on sound images and speak on images with a made fault.

The faults are made here from sound images: inverted, swapped, cropped, wrongly spaced, blank, with an implant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.types import Spacing, ViewImage, Voi, VoiFunction
from inference.preprocessing.breast import find_breast
from inference.preprocessing.input_checks import Fault, check
from inference.preprocessing.intensity import displayed_grey
from inference.preprocessing.layout import to_canonical
from resources.vocabulary import Laterality

_IMPLANT_SEED = 5


def inverted(image: ViewImage) -> ViewImage:
    """The picture with black and white swapped, air too: an inverted file without a padding value."""
    return _redrawn(image, lambda grey: 1.0 - grey)


def inverted_but_air(image: ViewImage) -> ViewImage:
    """The picture with black and white swapped where no padding value keeps air black."""
    return replace(image, presentation=replace(image.presentation, inverse=not image.presentation.inverse))


def swapped(image: ViewImage) -> ViewImage:
    """The picture of the other side under this side's label."""
    return replace(image, orientation=replace(image.orientation, flip_cols=not image.orientation.flip_cols))


def cropped(image: ViewImage) -> ViewImage:
    """The picture with the front third of the breast cut off."""

    def cut(grey: NDArray[np.float32]) -> NDArray[np.float32]:
        region = find_breast(grey)
        return np.ascontiguousarray(grey[:, : region.col0 + max(8, round(0.67 * region.shape[1]))])

    return _redrawn(image, cut)


def blank(image: ViewImage) -> ViewImage:
    """An exposure of nothing."""
    return _redrawn(image, lambda grey: np.full_like(grey, 0.2))


def with_implant(image: ViewImage) -> ViewImage:
    """The picture with a large, even, bright disc on the chest wall, as an implant shows."""

    def paint(grey: NDArray[np.float32]) -> NDArray[np.float32]:
        mask = find_breast(grey).mask
        rows = np.flatnonzero(mask.any(axis=1))
        high, wide = len(rows), int(mask.sum(axis=1).max())
        disc = np.zeros(grey.shape, np.uint8)
        at = (int(0.25 * wide), int(rows[0] + 0.6 * high))
        cv2.ellipse(disc, at, (int(0.38 * wide), int(0.27 * high)), 0, 0, 360, (1,), -1)
        noise = np.random.default_rng(_IMPLANT_SEED).normal(0, 0.006, grey.shape)
        level = 0.97 * float(np.percentile(grey[mask], 99.8))
        return np.where((disc > 0) & mask, np.clip(level + noise, 0, 1), grey).astype(np.float32)

    return _redrawn(image, paint)


def respaced(image: ViewImage, factor: float) -> ViewImage:
    """The picture with its pixel size multiplied; one that has none is given 0.1 mm first."""
    mm = image.spacing or Spacing(row_mm=0.1, col_mm=0.1, method="made")
    return replace(
        image, spacing=Spacing(row_mm=mm.row_mm * factor, col_mm=mm.col_mm * factor, method="made wrong")
    )


def _redrawn(image: ViewImage, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> ViewImage:
    """The view with its displayed picture (canonical) changed, stored plainly in 12 bits."""
    mirror = image.view.laterality is Laterality.RIGHT
    grey = np.ascontiguousarray(to_canonical(displayed_grey(image), image.orientation, mirror))
    new = change(grey)
    if mirror:
        new = new[:, ::-1]
    plain = replace(
        image.presentation,
        vois=(Voi(label="made", function=VoiFunction.LINEAR_EXACT, center=2047.5, width=4095.0),),
        inverse=False,
        padding=None,
        slope=1.0,
        intercept=0.0,
        stored_offset=0,
        bits=12,
    )
    pixels = np.ascontiguousarray(np.rint(np.clip(new, 0, 1) * 4095).astype(np.uint16))
    return replace(image, pixels=pixels, presentation=plain, orientation=type(image.orientation)(), header={})


MADE: dict[str, tuple[Fault, Callable[[ViewImage], ViewImage]]] = {
    "inverted": (Fault.INVERTED, inverted),
    "inverted, air kept black": (Fault.INVERTED, inverted_but_air),
    "swapped": (Fault.SWAPPED, swapped),
    "front cut off": (Fault.CROPPED, cropped),
    "blank": (Fault.BLANK, blank),
    "implant": (Fault.IMPLANT, with_implant),
    "pixel size x 2.5": (Fault.SPACING_WRONG, lambda image: respaced(image, 2.5)),
    "pixel size / 2.5": (Fault.SPACING_WRONG, lambda image: respaced(image, 0.4)),
}


def input_rates(groups: Mapping[str, Iterable[ViewImage]]) -> dict[str, dict[str, float]]:
    """Rates of false alarms and of faults caught.

    Returns
    -------
    group -> {"images": n, "false NAME": share of sound images flagged so, "caught NAME": share of the images
    with that made fault that are flagged for it}. A missing spacing is no false alarm; images without spacing
    take no part in the rows of pixel size.
    """
    out: dict[str, dict[str, float]] = {}
    for name, images in groups.items():
        count, sized = 0, 0
        hits: dict[str, int] = {}
        for image in images:
            count += 1
            sized += image.spacing is not None
            for flag in check(image):
                hits[f"false {flag.fault.value}"] = hits.get(f"false {flag.fault.value}", 0) + 1
            for made, (fault, make) in MADE.items():
                if fault is Fault.SPACING_WRONG and image.spacing is None:
                    continue
                hits.setdefault(f"caught {made}", 0)
                hits[f"caught {made}"] += any(flag.fault is fault for flag in check(make(image)))
        totals = {key: sized if "pixel size" in key else count for key in hits}
        out[name] = {"images": float(count)}
        out[name].update({key: n / max(totals[key], 1) for key, n in sorted(hits.items())})
        out[name].pop(f"false {Fault.SPACING_MISSING.value}", None)
    return out
