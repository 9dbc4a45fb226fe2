"""Groups of specks and what can be taken for them, drawn into the layer of a phantom view.

Which kind a group is shows in the specks' shapes alone; traps are lone specks and thin fibres, smooth or beaded,
that hold no group. Breast and tissue are ``calcification_phantoms``'s; film's own faults ``calcification_film``'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.phantom_fields import Field
from inference.exam.phantom_lesions import CALC_PER_MM
from inference.exam.types import Box

_FINE_MM = 0.05  # specks are drawn on a grid so fine
_RIM_MM = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Specks:
    """A group before it is drawn: offsets (n, 2) row, column mm from its middle, and each speck's make-up."""

    offsets: NDArray[np.float64]
    size_mm: NDArray[np.float64]
    ratio: NDArray[np.float64]  # length over width
    tilt: NDArray[np.float64]  # degrees
    density: NDArray[np.float64]  # of calcium, 0..1
    linear: bool


def draw_specks(rng: np.random.Generator, malignant: bool) -> Specks:
    """Draw a group.

    Notes
    -----
    Alike for both kinds: 6 to 24 specks, spread over 3 to 8 mm, typical size 0.28 to 0.5 mm. Malignant: sizes
    and densities differ more, specks are longer, 45 % lie along a duct. Benign: nearly alike and round, 12 %
    along a duct. The draws of the two overlap on purpose.
    """
    count = int(rng.integers(6, 25))
    radius = rng.uniform(3.0, 8.0)
    linear = bool(rng.random() < (0.45 if malignant else 0.12))
    heading = rng.uniform(0, np.pi)
    spread = rng.normal(size=(count, 2)) * 0.45 * radius
    if linear:
        spread *= np.array([0.3, 1.3])
        turn = np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]])
        spread = spread @ turn
    unlike = abs(rng.normal(0.36, 0.10)) if malignant else abs(rng.normal(0.14, 0.07))
    size = np.clip(rng.uniform(0.28, 0.5) * np.exp(rng.normal(0, unlike, count)), 0.15, 1.0)
    long = rng.uniform(0.35, 1.0) if malignant else rng.uniform(0.0, 0.35)
    ratio = 1.0 + long * rng.uniform(0.0, 2.2, count)
    tilt = rng.uniform(0, 180, count)
    if linear:  # long specks are casts of the duct: they lie along it
        tilt = np.where(rng.random(count) < 0.6, -np.degrees(heading) + rng.normal(0, 15, count), tilt)
    density = rng.uniform(0.55 if malignant else 0.75, 1.0, count)
    return Specks(offsets=spread, size_mm=size, ratio=ratio, tilt=tilt, density=density, linear=linear)


def fainter(specks: Specks, rng: np.random.Generator) -> Specks:
    """Make a group harder to see: two in three have smaller, thinner specks, and half of all have fewer of them."""
    keep = len(specks.size_mm)
    if rng.random() < 0.5:
        keep = min(keep, int(rng.integers(4, 9)))
    size, thin = (rng.uniform(0.55, 0.9), rng.uniform(0.35, 0.8)) if rng.random() < 2 / 3 else (1.0, 1.0)
    return Specks(
        offsets=specks.offsets[:keep],
        size_mm=specks.size_mm[:keep] * size,
        ratio=specks.ratio[:keep],
        tilt=specks.tilt[:keep],
        density=specks.density[:keep] * thin,
        linear=specks.linear,
    )


def lone_specks(rng: np.random.Generator) -> Specks:
    """One or two specks: too few for a group."""
    count = int(rng.integers(1, 3))
    return Specks(
        offsets=rng.normal(size=(count, 2)) * 1.5,
        size_mm=rng.uniform(0.2, 0.5, count),
        ratio=rng.uniform(1.0, 1.5, count),
        tilt=rng.uniform(0, 180, count),
        density=rng.uniform(0.6, 1.0, count),
        linear=False,
    )


def paint(contrast: Field, specks: Specks, row: int, col: int, pixel_mm: float) -> Box:
    """Add a group to the layer, log units; returns the box 1 mm around its specks, plane pixels."""
    finer = round(pixel_mm / _FINE_MM)
    reach = int(np.ceil((np.abs(specks.offsets).max() + 2.0) / pixel_mm))
    side, step = (2 * reach + 1) * finer, pixel_mm / finer
    fine = np.zeros((side, side), np.float32)
    for k in range(len(specks.offsets)):
        axes = (
            specks.size_mm[k] * specks.ratio[k] ** 0.5 / 2,
            specks.size_mm[k] / specks.ratio[k] ** 0.5 / 2,
        )
        at = specks.offsets[k] / step + (side - 1) / 2
        x, y = round(at[1] * 16), round(at[0] * 16)
        stamp = np.zeros(fine.shape, np.uint8)
        ends = (max(8, round(axes[0] / step * 16)), max(8, round(axes[1] / step * 16)))
        cv2.ellipse(stamp, (x, y), ends, float(specks.tilt[k]), 0, 360, (255,), -1, cv2.LINE_AA, 4)
        level = min(0.6, CALC_PER_MM * min(specks.size_mm[k], 0.8)) * specks.density[k]
        fine += stamp * np.float32(level / 255.0)
    _add(contrast, fine, finer, row - reach, col - reach)
    rows, cols = contrast.shape
    rim = _RIM_MM / pixel_mm
    low = specks.offsets.min(axis=0) / pixel_mm - rim + (row, col)
    high = specks.offsets.max(axis=0) / pixel_mm + rim + (row, col)
    return Box(
        row0=float(np.clip(low[0], 0, rows - 2)),
        col0=float(np.clip(low[1], 0, cols - 2)),
        row1=float(np.clip(high[0], 2, rows)),
        col1=float(np.clip(high[1], 2, cols)),
    )


def paint_fibre(contrast: Field, rng: np.random.Generator, row: int, col: int, pixel_mm: float) -> None:
    """Add a thin, bent fibre of 5 to 18 mm to the layer; two in three are beaded, which is what resembles specks."""
    finer = round(pixel_mm / _FINE_MM)
    length, bend, heading = rng.uniform(5.0, 18.0), rng.normal(0.0, 0.06), rng.uniform(0, 2 * np.pi)
    along = np.arange(-length / 2, length / 2, 0.1)
    turned = heading + bend * along
    places = np.stack([np.cumsum(np.sin(turned)), np.cumsum(np.cos(turned))], axis=1) * 0.1
    places -= places.mean(axis=0)
    reach = int(np.ceil((length / 2 + 2.0) / pixel_mm))
    side = (2 * reach + 1) * finer
    radius = rng.uniform(0.08, 0.18) / _FINE_MM
    level = rng.uniform(0.04, 0.16)
    beads = 0.5 + 0.5 * np.cos(2 * np.pi * along / rng.uniform(0.9, 2.5) + rng.uniform(0, 6.0))
    share = beads ** rng.uniform(1.0, 4.0) if rng.random() < 2 / 3 else np.ones(len(along))
    stamp = np.zeros((side, side), np.uint8)
    for k in np.argsort(share):  # the brightest last, so that it stays
        at = places[k] / _FINE_MM + (side - 1) / 2
        center = (round(at[1] * 16), round(at[0] * 16))
        cv2.circle(stamp, center, round(radius * 16), (int(255 * share[k]),), -1, cv2.LINE_AA, 4)
    _add(contrast, stamp * np.float32(level / 255.0), finer, row - reach, col - reach)


def _add(contrast: Field, fine: Field, finer: int, top: int, left: int) -> None:
    """Bring a finely drawn patch to the plane's pixels and add it there; what lies outside is lost."""
    side = fine.shape[0] // finer
    small = cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA)
    rows, cols = contrast.shape
    r0, r1, c0, c1 = max(0, top), min(rows, top + side), max(0, left), min(cols, left + side)
    if r1 > r0 and c1 > c0:
        contrast[r0:r1, c0:c1] += small[r0 - top : r1 - top, c0 - left : c1 - left]
