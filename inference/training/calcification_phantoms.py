"""Phantom views with calcification groups whose benign and malignant kinds overlap, for one hard question.

The exam phantoms' groups tell their kind by the number of specks alone (4 to 9 benign, 14 to 30 malignant).
Here number, extent, size and brightness are drawn alike for both; what differs is what the BI-RADS lexicon
names: how unlike one another and how elongated the specks are, and whether they follow a duct. The tissue is
the exam phantoms' own.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.phantom_fields import Field, Shape
from inference.exam.phantom_lesions import CALC_PER_MM
from inference.exam.phantom_plan import DENSITY_SHARE, draw, grow_breasts
from inference.exam.phantom_projection import Anatomy, Plane, fine_texture, project_anatomy, view_plane
from inference.exam.phantom_tone import (
    GLAND_LE,
    at_thickness,
    fat_le,
    presentation_pixels,
    quantum_noise,
    tone_presentation,
)
from inference.exam.types import Box, Orientation, Spacing, ViewImage
from resources.vocabulary import ImageKind, Laterality, Projection, ViewName

PIXEL_MM = 0.1
GROUPS = 5  # of one view, at most
_FINE = 2  # specks are drawn at so many times the pixel grid
_TEXTURE = 0.0035  # as the exam phantoms' sub-voxel detail
_APART_MM = 22.0
_SKIN_MM = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnGroup:
    """One group of specks and its truth; ``box`` in stored-file pixels, 1 mm around the specks."""

    malignant: bool
    linear: bool
    specks: int
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """One synthetic view and the groups in it."""

    seed: int
    image: ViewImage
    groups: tuple[DrawnGroup, ...]


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


def group_view(seed: int) -> GroupView:
    """Make the view of a seed: one woman's breast in one projection with two to five groups of either kind.

    The same seed gives the same pixels, bit for bit.
    """
    rng = np.random.default_rng([seed, 77])
    shape = Shape(
        half_x_mm=float(rng.uniform(52, 68)),
        half_y_mm=float(rng.uniform(48, 62)),
        nipple_z_mm=float(rng.uniform(58, 80)),
    )
    side = Laterality.RIGHT if seed % 2 else Laterality.LEFT
    projection = Projection.MLO if seed // 2 % 2 else Projection.CC
    breast = grow_breasts(rng, shape, draw(rng, DENSITY_SHARE), dict.fromkeys(Laterality, ()))[side]
    plane = view_plane(projection, shape, PIXEL_MM, rng, float(rng.uniform(0.44, 0.58)))
    anatomy = project_anatomy(plane, breast.gland, breast.trees, rng)
    contrast = np.zeros(plane.shape, np.float32)
    drawn: list[DrawnGroup] = []
    for number, (row, col) in enumerate(_places(rng, plane, anatomy)):
        malignant = (number + seed) % 2 == 0
        specks = draw_specks(rng, malignant)
        drawn.append(
            DrawnGroup(
                malignant=malignant,
                linear=specks.linear,
                specks=len(specks.offsets),
                box=_paint(contrast, specks, row, col),
            )
        )
    pixels = presentation_pixels(
        _tissue(rng, plane, anatomy, contrast), anatomy.thick, anatomy.edge_mm, anatomy.mask, PIXEL_MM
    )
    mirrored = side is Laterality.RIGHT
    image = ViewImage(
        view=ViewName(laterality=side, projection=projection),
        kind=ImageKind.FFDM,
        pixels=np.ascontiguousarray(pixels[:, ::-1]) if mirrored else pixels,
        presentation=tone_presentation(recombined=False),
        orientation=Orientation(),
        spacing=Spacing(row_mm=PIXEL_MM, col_mm=PIXEL_MM, method="imager spacing / ERMF"),
        source_id=f"calcification-phantom-{seed}",
    )
    width = plane.shape[1]
    groups = tuple(
        DrawnGroup(malignant=g.malignant, linear=g.linear, specks=g.specks, box=_turned(g.box, width))
        if mirrored
        else g
        for g in drawn
    )
    return GroupView(seed=seed, image=image, groups=groups)


def _turned(box: Box, width: int) -> Box:
    return Box(row0=box.row0, row1=box.row1, col0=width - box.col1, col1=width - box.col0)


def _places(rng: np.random.Generator, plane: Plane, anatomy: Anatomy) -> list[tuple[int, int]]:
    """Two to five places in the breast, apart from one another and from the skin, not over the muscle."""
    free = (anatomy.edge_mm > _SKIN_MM) & (anatomy.muscle <= 0)
    free[:, : round(6 / plane.pixel_mm)] = False
    rows, cols = np.nonzero(free)
    wanted = int(rng.integers(2, GROUPS + 1))
    out: list[tuple[int, int]] = []
    for _ in range(200):
        if len(out) == wanted or not len(rows):
            break
        k = int(rng.integers(len(rows)))
        here = (int(rows[k]), int(cols[k]))
        if all(np.hypot(here[0] - r, here[1] - c) * plane.pixel_mm > _APART_MM for r, c in out):
            out.append(here)
    return out


def _paint(contrast: Field, specks: Specks, row: int, col: int) -> Box:
    """Add a group to the layer, log units; returns the box 1 mm around its specks, plane pixels."""
    reach = int(np.ceil((np.abs(specks.offsets).max() + 2.0) / PIXEL_MM))
    side, step = (2 * reach + 1) * _FINE, PIXEL_MM / _FINE
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
    small = cv2.resize(fine, (2 * reach + 1, 2 * reach + 1), interpolation=cv2.INTER_AREA)
    rows, cols = contrast.shape
    top, left = row - reach, col - reach
    r0, r1, c0, c1 = max(0, top), min(rows, row + reach + 1), max(0, left), min(cols, col + reach + 1)
    contrast[r0:r1, c0:c1] += small[r0 - top : r1 - top, c0 - left : c1 - left]
    low = specks.offsets.min(axis=0) / PIXEL_MM - 10 + (row, col)
    high = specks.offsets.max(axis=0) / PIXEL_MM + 10 + (row, col)
    return Box(
        row0=float(np.clip(low[0], 0, rows - 2)),
        col0=float(np.clip(low[1], 0, cols - 2)),
        row1=float(np.clip(high[0], 2, rows)),
        col1=float(np.clip(high[1], 2, cols)),
    )


def _tissue(rng: np.random.Generator, plane: Plane, anatomy: Anatomy, contrast: Field) -> Field:
    """Line integral over fat's, with its noise, log units: as the exam phantoms form it."""
    thickness = plane.thickness_mm
    grain = 0.30 + 0.70 * np.sqrt(np.clip(anatomy.gland_cm / 1.5, 0, 1.5))
    texture = np.float32(_TEXTURE) * fine_texture(plane, rng) * grain * anatomy.thick
    gland = anatomy.gland_cm * np.float32(at_thickness(GLAND_LE, thickness))
    soft = anatomy.strands * (0.5 + 0.5 * anatomy.thick) + anatomy.muscle + texture
    tissue = gland + soft + contrast * anatomy.mask
    fat = anatomy.thick * np.float32(fat_le(thickness) * thickness / 10.0)
    return np.asarray(tissue + quantum_noise(rng, fat + tissue, plane.pixel_mm), np.float32)
