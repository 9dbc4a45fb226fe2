"""Synthetic four-view mammograms with known truth, for tests, demo, simulation and training.

Owns the recipe from a seed to an exam; the parts are the ``phantom_*`` modules beside it.
Phantoms are drawings with the right statistics, not simulations of a given woman or machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.exam.phantom_fields import Field, Shape
from inference.exam.phantom_lesions import (
    Drawn,
    Plan,
    calcification_terms,
    clock_of,
    draw_lesion,
    quadrant_of,
)
from inference.exam.phantom_plan import DENSITY_SHARE, Breast, draw, draw_pathology, grow_breasts, plan_exam
from inference.exam.phantom_projection import Anatomy, Plane, fine_texture, project_anatomy, view_plane
from inference.exam.phantom_spec import LesionView, PhantomError, PhantomExam, PhantomLesion, PhantomSpec
from inference.exam.phantom_tone import (
    FAT_HE,
    GLAND_HE,
    GLAND_LE,
    IODINE_HE,
    IODINE_LE,
    at_thickness,
    fat_le,
    presentation_pixels,
    quantum_noise,
    recombination_weight,
    recombined_pixels,
    tone_presentation,
)
from inference.exam.types import Box, Exam, Orientation, Spacing, ViewImage, exam_digest
from inference.exam.view_frame import CHEST_WALL_EDGE, ViewFrame, place_of, straight_line
from resources.vocabulary import (
    FOUR_VIEWS,
    Density,
    FindingType,
    ImageKind,
    Laterality,
    Pathology,
    ViewName,
)

__all__ = [
    "LesionView",
    "PhantomError",
    "PhantomExam",
    "PhantomLesion",
    "PhantomSpec",
    "phantom_exam",
    "phantom_uid",
]

UID_ROOT = "2.25."  # derived from a number, PS3.5 B.2
FINE_TEXTURE = 0.0035  # log contrast of the sub-voxel detail at 1 cycle/mm; set so that beta lies in 3.0-3.4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shot:
    """One exposure in the anatomical plane."""

    plane: Plane
    anatomy: Anatomy
    tissue: Field  # log units over fat
    line: Field  # low-energy line integral
    residue: Field | None  # recombined, log units
    drawn: tuple[Drawn, ...]


def phantom_uid(seed: int, *parts: int) -> str:
    """A UID that the seed alone decides; ``parts`` are small numbers that tell objects of one exam apart."""
    value = 0x4E454741544F << 80 | (seed & 0xFFFFFFFF) << 40
    for part in parts:
        value = value * 131 + part + 1
    return f"{UID_ROOT}{value % (1 << 127)}"


def phantom_exam(spec: PhantomSpec) -> PhantomExam:
    """Make the synthetic exam of a seed: the same spec gives the same pixels, bit for bit.

    Parameters
    ----------
    spec : PhantomSpec
        What is asked for; its None fields are drawn from the seed.

    Returns
    -------
    PhantomExam
        Four views (or the four contrast pairs), with every lesion's place in every image.
    """
    seeds = np.random.SeedSequence(spec.seed).spawn(5)
    rng, anatomy_rng, lesion_rng, view_rng, noise_rng = (np.random.default_rng(s) for s in seeds)
    density = spec.density or draw(rng, DENSITY_SHARE)
    pathology = spec.pathology or draw_pathology(rng, spec)
    age = int(np.clip(rng.normal(56, 9), 38, 84))
    index = Laterality.RIGHT if rng.random() < 0.5 else Laterality.LEFT
    turned = rng.random() < 0.3  # this vendor stores the right breast as the left: PatientOrientation tells
    shape = Shape(
        half_x_mm=float(rng.uniform(52, 68)),
        half_y_mm=float(rng.uniform(48, 62)),
        nipple_z_mm=float(rng.uniform(58, 80)),
    )
    plans = plan_exam(lesion_rng, shape, spec, pathology, index)
    breasts = grow_breasts(anatomy_rng, shape, density, plans)
    squeeze = float(rng.uniform(0.44, 0.58))
    shots = {
        view: _expose(spec, shape, breasts[view.laterality], view, squeeze, view_rng, noise_rng)
        for view in FOUR_VIEWS
    }
    return _assemble(spec, shape, shots, breasts, pathology, index, density, age, turned)


def _expose(
    spec: PhantomSpec,
    shape: Shape,
    breast: Breast,
    view: ViewName,
    squeeze: float,
    rng: np.random.Generator,
    noise_rng: np.random.Generator,
) -> _Shot:
    """Compress one breast for one view and form its signals."""
    plane = view_plane(view.projection, shape, spec.pixel_mm, rng, squeeze * float(rng.uniform(0.96, 1.04)))
    anatomy = project_anatomy(plane, breast.gland, breast.trees, rng)
    thickness = plane.thickness_mm
    grain = 0.30 + 0.70 * np.sqrt(np.clip(anatomy.gland_cm / 1.5, 0, 1.5))
    texture = np.float32(FINE_TEXTURE) * fine_texture(plane, noise_rng) * grain * anatomy.thick
    gland_le = anatomy.gland_cm * np.float32(at_thickness(GLAND_LE, thickness))
    soft = anatomy.strands * (0.5 + 0.5 * anatomy.thick) + anatomy.muscle + texture  # gland-like, no iodine
    contrast, iodine, drawn = _lesion_layers(plane, anatomy, breast, rng)
    iodine += anatomy.gland_cm * np.float32(breast.enhancement if spec.cesm else 0.0)
    tissue = gland_le + soft + contrast
    if spec.cesm:
        tissue = tissue + iodine * np.float32(at_thickness(IODINE_LE, thickness))
    fat = anatomy.thick * np.float32(fat_le(thickness) * thickness / 10.0)
    clean = fat + tissue
    noise = quantum_noise(noise_rng, clean, spec.pixel_mm)
    residue = (
        _residue(plane, anatomy, gland_le + soft + contrast, iodine, clean, noise, noise_rng)
        if spec.cesm
        else None
    )
    line = np.where(anatomy.mask, clean + noise, 0).astype(np.float32)
    return _Shot(
        plane=plane,
        anatomy=anatomy,
        tissue=(tissue + noise).astype(np.float32),
        line=line,
        residue=residue,
        drawn=drawn,
    )


def _lesion_layers(
    plane: Plane, anatomy: Anatomy, breast: Breast, rng: np.random.Generator
) -> tuple[Field, Field, tuple[Drawn, ...]]:
    contrast, iodine = np.zeros(plane.shape, np.float32), np.zeros(plane.shape, np.float32)
    drawn = []
    for plan in breast.plans:
        jitter = np.clip(rng.normal(0, 3.0, 2), -4.5, 4.5)
        at = np.round(plane.pixel(np.array([plan.position_mm]))[0]).astype(int)
        row, col = np.clip(at, 0, np.array(plane.shape) - 1)
        share = float(np.clip(anatomy.gland_cm[row, col] * 10.0 / plane.thickness_mm, 0, 1))
        lesion = draw_lesion(plan, plane, (float(jitter[0]), float(jitter[1])), share)
        _add(contrast, lesion.contrast, lesion.row, lesion.col)
        _add(iodine, lesion.iodine, lesion.row, lesion.col)
        drawn.append(lesion)
    contrast *= anatomy.mask
    return contrast, iodine * anatomy.mask, tuple(drawn)


def _add(image: Field, patch: Field, row: int, col: int) -> None:
    """Add a patch in place, leaving out what falls off the image."""
    r0, c0 = max(0, row), max(0, col)
    r1, c1 = min(image.shape[0], row + patch.shape[0]), min(image.shape[1], col + patch.shape[1])
    if r1 > r0 and c1 > c0:
        image[r0:r1, c0:c1] += patch[r0 - row : r1 - row, c0 - col : c1 - col]


def _residue(
    plane: Plane,
    anatomy: Anatomy,
    soft: Field,
    iodine: Field,
    low: Field,
    low_noise: Field,
    rng: np.random.Generator,
) -> Field:
    """L_HE - w L_LE, less the smooth thickness term: what a recombined image shows."""
    thickness = plane.thickness_mm
    weight = np.float32(recombination_weight(thickness))
    share = np.float32(at_thickness(GLAND_HE, thickness) / at_thickness(GLAND_LE, thickness))
    fat_he = anatomy.thick * np.float32(FAT_HE * thickness / 10.0)
    high = fat_he + soft * share + iodine * np.float32(IODINE_HE)
    high = high + quantum_noise(rng, high, plane.pixel_mm, dose=1 / 3)
    raw = high - weight * (low + low_noise)
    smooth = anatomy.thick * np.float32((FAT_HE - float(weight) * fat_le(thickness)) * thickness / 10.0)
    artefact = np.float32(0.008) * np.exp(-(((anatomy.edge_mm - 2.0) / 1.5) ** 2))  # the skin line stays
    return np.asarray(raw - smooth + artefact, np.float32)


def _assemble(
    spec: PhantomSpec,
    shape: Shape,
    shots: dict[ViewName, _Shot],
    breasts: dict[Laterality, Breast],
    pathology: Pathology,
    index: Laterality,
    density: Density,
    age: int,
    turned: bool,
) -> PhantomExam:
    images: list[ViewImage] = []
    nipples: dict[str, tuple[float, float]] = {}
    muscles: dict[str, NDArray[np.float32]] = {}
    for number, (view, shot) in enumerate(shots.items()):
        mirrored = _mirrored(view, turned)
        for image in _images(spec, view, shot, number, turned):
            images.append(image)
            nipples[image.key] = _stored(np.array([shot.anatomy.nipple]), shot, mirrored)[0]
            edge = _stored(shot.anatomy.pectoral_edge, shot, mirrored)
            muscles[image.key] = np.array(edge, np.float32).reshape(-1, 2)
    lesions: list[PhantomLesion] = []
    incidental: list[PhantomLesion] = []
    for side, breast in breasts.items():
        for place, plan in enumerate(breast.plans):
            told = lesions if plan.listed else incidental
            number = 1 + sum(x.laterality is side for x in told)
            name = f"{side.value}{number}" if plan.listed else f"{side.value}-incidental-{number}"
            told.append(_truth(plan, side, place, name, shape, images, shots, turned))
    state = {side: _worst([x for x in lesions if x.laterality is side]) for side in Laterality}
    if state[index] is not pathology:
        raise PhantomError(
            f"Phantom {spec.seed}: expected a {pathology.value} breast, found {state[index].value}; report it."
        )
    exam = Exam(
        exam_id=f"PHANTOM-{spec.seed}",
        images=tuple(images),
        digest=exam_digest(tuple(images)),
        notes=("Synthetic images (phantom), no patient.",),
        age=age,
    )
    flipped = {
        v.key: np.ascontiguousarray(s.line[:, ::-1]) if _mirrored(v, turned) else s.line
        for v, s in shots.items()
    }
    return PhantomExam(
        spec=spec,
        exam=exam,
        lesions=tuple(lesions),
        incidental=tuple(incidental),
        pathology=state,
        density=density,
        age=age,
        nipples=nipples,
        line_integrals=flipped,
        thickness_mm={v.key: s.plane.thickness_mm for v, s in shots.items()},
        pectoral_edges=muscles,
    )


def _mirrored(view: ViewName, turned: bool) -> bool:
    """True when the stored file has the chest wall on the right: a right breast, unless this vendor turns it."""
    return view.laterality is Laterality.RIGHT and not turned


def _images(spec: PhantomSpec, view: ViewName, shot: _Shot, number: int, turned: bool) -> list[ViewImage]:
    a, px = shot.anatomy, spec.pixel_mm
    shown = presentation_pixels(shot.tissue, a.thick, a.edge_mm, a.mask, px)
    pictures = [(ImageKind.CESM_LOW if spec.cesm else ImageKind.FFDM, shown)]
    if shot.residue is not None:
        pictures.append((ImageKind.CESM_RECOMBINED, recombined_pixels(shot.residue, a.mask, a.thick, px)))
    flip_to_hang = view.laterality is Laterality.RIGHT and turned
    return [
        ViewImage(
            view=view,
            kind=kind,
            pixels=np.ascontiguousarray(pixels[:, ::-1]) if _mirrored(view, turned) else pixels,
            presentation=tone_presentation(recombined=kind is ImageKind.CESM_RECOMBINED),
            orientation=Orientation(flip_cols=flip_to_hang),
            spacing=Spacing(row_mm=px, col_mm=px, method="imager spacing / ERMF"),
            source_id=phantom_uid(spec.seed, 3, number, place, int(px * 1000)),
            header={
                "BodyPartThickness": f"{shot.plane.thickness_mm:.0f}",
                "KVP": "28",
                "Manufacturer": "Negatoscope",
            },
            evidence=("View, side and orientation: as the phantom was made.",),
        )
        for place, (kind, pixels) in enumerate(pictures)
    ]


def _stored(
    points: NDArray[np.float64] | NDArray[np.float32], shot: _Shot, mirrored: bool
) -> list[tuple[float, float]]:
    """Plane pixels (pixel centres at whole numbers) to stored-file pixels."""
    last = shot.plane.shape[1] - 1
    return [(float(r), float(last - c) if mirrored else float(c)) for r, c in points]


def _truth(
    plan: Plan,
    side: Laterality,
    number: int,
    name: str,
    shape: Shape,
    images: list[ViewImage],
    shots: dict[ViewName, _Shot],
    turned: bool,
) -> PhantomLesion:
    views = {}
    for image in images:
        if image.view.laterality is not side:
            continue
        shot, mirrored = shots[image.view], _mirrored(image.view, turned)
        drawn = shot.drawn[number]
        contour = np.array(_stored(drawn.contour, shot, mirrored), np.float32)
        low, high = contour.min(axis=0), contour.max(axis=0)
        rows, cols = shot.plane.shape
        box = Box(
            row0=float(np.clip(low[0], 0, rows - 2)),
            col0=float(np.clip(low[1], 0, cols - 2)),
            row1=float(np.clip(high[0] + 1, 2, rows)),
            col1=float(np.clip(high[1] + 1, 2, cols)),
        )
        center = _stored(np.array([drawn.center]), shot, mirrored)[0]
        place = place_of(_frame(shot), *drawn.center)
        views[image.key] = LesionView(
            box=box,
            center=center,
            contour=contour,
            region=place.region,
            depth=place.depth,
            nipple_distance_mm=place.nipple_distance_mm,
        )
    x, y, z = plan.position_mm
    mass = plan.finding is FindingType.MASS
    morphology, distribution = calcification_terms(plan)
    return PhantomLesion(
        lesion_id=name,
        finding=plan.finding,
        malignant=plan.malignant,
        laterality=side,
        position_mm=plan.position_mm,
        radius_mm=plan.radius_mm,
        quadrant=quadrant_of(plan.position_mm, shape),
        clock=clock_of(plan.position_mm, side),
        depth=1.0 - z / shape.nipple_z_mm,
        nipple_distance_mm=float(np.sqrt(x * x + y * y + (shape.nipple_z_mm - z) ** 2)),
        shape=plan.shape if mass else "",
        margin=plan.margin if mass else "",
        morphology=morphology,
        distribution=distribution,
        iodine_mg_ml=plan.iodine_mg_ml,
        views=views,
    )


def _frame(shot: _Shot) -> ViewFrame:
    """The true frame of one view, in plane pixels."""
    edge, plane = shot.anatomy.pectoral_edge, shot.plane
    wall = straight_line(edge) if len(edge) else CHEST_WALL_EDGE
    return ViewFrame(
        projection=plane.projection, nipple=shot.anatomy.nipple, wall=wall, pixel_mm=plane.pixel_mm
    )


def _worst(lesions: list[PhantomLesion]) -> Pathology:
    if any(lesion.malignant for lesion in lesions):
        return Pathology.MALIGNANT
    return Pathology.BENIGN if lesions else Pathology.NORMAL
