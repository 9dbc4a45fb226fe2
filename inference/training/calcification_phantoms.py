"""Phantom views with calcification groups whose benign and malignant kinds overlap, for one hard question.

The exam phantoms' groups tell their kind by the number of specks alone (4 to 9 benign, 14 to 30 malignant).
Here number, extent, size and brightness are drawn alike for both; what differs is what the BI-RADS lexicon
names: how unlike one another and how elongated the specks are, and whether they follow a duct. Difficult views
add faint groups and traps, and turn coarse pixels to film. The tissue is the exam phantoms' own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.exam.phantom_fields import Field, Shape
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
from inference.training.calcification_film import as_film
from inference.training.calcification_specks import draw_specks, fainter, lone_specks, paint, paint_fibre
from resources.vocabulary import ImageKind, Laterality, Projection, ViewName

PIXEL_MM, COARSE_MM = 0.1, 0.2
GROUPS = 5  # of one view, at most
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


def group_view(seed: int, *, difficult: bool = False, coarse: bool = False) -> GroupView:
    """Make the view of a seed: one woman's breast in one projection with two to five groups of either kind.

    Parameters
    ----------
    difficult
        Half of the groups are faint or small, and lone specks and fibres lie between them.
    coarse
        Pixels of 0.2 mm and the look of a scanned film, dust included; else 0.1 mm.

    Returns
    -------
    The same arguments give the same pixels, bit for bit; difficult or coarse views are other women's.
    """
    rng = np.random.default_rng([seed, 77 + 2 * difficult + coarse])
    pixel_mm = COARSE_MM if coarse else PIXEL_MM
    shape = Shape(
        half_x_mm=float(rng.uniform(52, 68)),
        half_y_mm=float(rng.uniform(48, 62)),
        nipple_z_mm=float(rng.uniform(58, 80)),
    )
    side = Laterality.RIGHT if seed % 2 else Laterality.LEFT
    projection = Projection.MLO if seed // 2 % 2 else Projection.CC
    breast = grow_breasts(rng, shape, draw(rng, DENSITY_SHARE), dict.fromkeys(Laterality, ()))[side]
    plane = view_plane(projection, shape, pixel_mm, rng, float(rng.uniform(0.44, 0.58)))
    anatomy = project_anatomy(plane, breast.gland, breast.trees, rng)
    contrast = np.zeros(plane.shape, np.float32)
    drawn: list[DrawnGroup] = []
    for number, (row, col) in enumerate(_places(rng, plane, anatomy)):
        malignant = (number + seed) % 2 == 0
        specks = draw_specks(rng, malignant)
        if difficult:
            specks = fainter(specks, rng)
        drawn.append(
            DrawnGroup(
                malignant=malignant,
                linear=specks.linear,
                specks=len(specks.offsets),
                box=paint(contrast, specks, row, col, pixel_mm),
            )
        )
    if difficult:
        _set_traps(contrast, rng, plane, anatomy)
    pixels = presentation_pixels(
        _tissue(rng, plane, anatomy, contrast), anatomy.thick, anatomy.edge_mm, anatomy.mask, pixel_mm
    )
    if coarse:
        pixels = as_film(pixels, rng)
    mirrored = side is Laterality.RIGHT
    image = ViewImage(
        view=ViewName(laterality=side, projection=projection),
        kind=ImageKind.FFDM,
        pixels=np.ascontiguousarray(pixels[:, ::-1]) if mirrored else pixels,
        presentation=tone_presentation(recombined=False),
        orientation=Orientation(),
        spacing=Spacing(row_mm=pixel_mm, col_mm=pixel_mm, method="imager spacing / ERMF"),
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
    rows, cols = _free(plane, anatomy)
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


def _free(plane: Plane, anatomy: Anatomy) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the places within the breast's gland and fat."""
    free = (anatomy.edge_mm > _SKIN_MM) & (anatomy.muscle <= 0)
    free[:, : round(6 / plane.pixel_mm)] = False
    rows, cols = np.nonzero(free)
    return rows, cols


def _set_traps(contrast: Field, rng: np.random.Generator, plane: Plane, anatomy: Anatomy) -> None:
    """Lone specks and fibres anywhere, over groups too."""
    rows, cols = _free(plane, anatomy)
    if not len(rows):
        return
    for k in rng.integers(0, len(rows), int(rng.integers(3, 10))):
        paint(contrast, lone_specks(rng), int(rows[k]), int(cols[k]), plane.pixel_mm)
    for k in rng.integers(0, len(rows), int(rng.integers(6, 18))):
        paint_fibre(contrast, rng, int(rows[k]), int(cols[k]), plane.pixel_mm)


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
