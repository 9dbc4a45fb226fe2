"""What each breast of a phantom holds: the lesions asked for, harmless trivia, gland, ducts and vessels.

Owns the draws that make one woman; no view and no pixel is known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from inference.exam.phantom_fields import GLAND_FRACTION, Field, Shape, gland_volume, paired_volumes
from inference.exam.phantom_lesions import Plan, plan_lesion, plan_trivia
from inference.exam.phantom_spec import PhantomSpec
from resources.vocabulary import Density, FindingType, Laterality, Pathology

_T = TypeVar("_T")
DENSITY_SHARE = {
    Density.FATTY: 0.12,
    Density.SCATTERED: 0.42,
    Density.HETEROGENEOUS: 0.36,
    Density.DENSE: 0.10,
}
TYPE_SHARE = {
    FindingType.MASS: 0.46,
    FindingType.CALCIFICATION: 0.30,
    FindingType.DISTORTION: 0.14,
    FindingType.ASYMMETRY: 0.10,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Breast:
    """One uncompressed breast: gland (nx, ny, nz) in 0..1, tubes (points mm, width mm, contrast), lesions."""

    laterality: Laterality
    gland: Field
    trees: list[tuple[NDArray[np.float64], float, float]]
    plans: tuple[Plan, ...]
    enhancement: float  # background, mg per cm3 of gland


def draw(rng: np.random.Generator, shares: dict[_T, float]) -> _T:
    """Draw one key by its share."""
    return list(shares)[int(rng.choice(len(shares), p=list(shares.values())))]


def draw_pathology(rng: np.random.Generator, spec: PhantomSpec) -> Pathology:
    """Draw the pathology of an exam whose spec leaves it open."""
    shares = {Pathology.NORMAL: 0.4, Pathology.BENIGN: 0.25, Pathology.MALIGNANT: 0.35}
    drawn = draw(rng, shares)
    if spec.lesions == 0:
        return Pathology.NORMAL
    if spec.lesions and drawn is Pathology.NORMAL:
        return Pathology.BENIGN
    return drawn


def plan_exam(
    rng: np.random.Generator, shape: Shape, spec: PhantomSpec, pathology: Pathology, index: Laterality
) -> dict[Laterality, tuple[Plan, ...]]:
    """Trivia for every breast, the asked lesions in the index breast, now and then a benign one opposite."""
    out: dict[Laterality, list[Plan]] = {side: plan_trivia(rng, shape) for side in Laterality}
    count = spec.lesions if spec.lesions is not None else 1 + int(rng.random() < 0.15)
    if pathology is Pathology.NORMAL:
        count = 0
    for number in range(count):
        finding = spec.finding or draw(rng, TYPE_SHARE)
        malignant = pathology is Pathology.MALIGNANT and (number == 0 or rng.random() < 0.6)
        out[index].append(_apart(rng, shape, finding, malignant, out[index]))
    if spec.lesions is None and count and rng.random() < 0.25:
        other = out[index.other]
        other.append(_apart(rng, shape, draw(rng, TYPE_SHARE), False, other))
    return {side: tuple(plans) for side, plans in out.items()}


def _apart(
    rng: np.random.Generator, shape: Shape, finding: FindingType, malignant: bool, taken: list[Plan]
) -> Plan:
    """A lesion that does not lie on one already planned; after 20 tries the last one stands."""
    for _ in range(20):
        plan = plan_lesion(rng, shape, finding, malignant)
        here = np.array(plan.position_mm)
        if all(
            np.linalg.norm(here - np.array(t.position_mm)) > t.radius_mm + plan.radius_mm + 4 for t in taken
        ):
            break
    return plan


def grow_breasts(
    rng: np.random.Generator, shape: Shape, density: Density, plans: dict[Laterality, tuple[Plan, ...]]
) -> dict[Laterality, Breast]:
    fields = paired_volumes(rng, shape)
    fraction = float(rng.uniform(*GLAND_FRACTION[density]))
    state = int(rng.integers(2**31))
    enhancement = float(rng.choice([0.05, 0.15, 0.3, 0.5], p=[0.35, 0.35, 0.2, 0.1]))
    out = {}
    for side, field in zip((Laterality.RIGHT, Laterality.LEFT), fields, strict=True):
        share = fraction * float(rng.uniform(0.92, 1.08))
        gland = gland_volume(field, shape, share, np.random.default_rng(state))
        out[side] = Breast(
            laterality=side, gland=gland, trees=_trees(rng, shape), plans=plans[side], enhancement=enhancement
        )
    return out


def _trees(rng: np.random.Generator, shape: Shape) -> list[tuple[NDArray[np.float64], float, float]]:
    """Ducts that branch back from the nipple and vessels that run forward under the skin."""
    out: list[tuple[NDArray[np.float64], float, float]] = []
    zn = shape.nipple_z_mm
    for _ in range(int(rng.integers(6, 10))):
        start, heading = np.array([0.0, 0.0, zn]), np.array([rng.normal(0, 0.45), rng.normal(0, 0.45), -1.0])
        trunk = _walk(rng, start, heading, 0.32 * zn, 0.10)
        out.append((trunk, 0.9, 0.045))
        for _ in range(int(rng.integers(2, 4))):
            fork = heading + rng.normal(0, 0.5, 3)
            out.append(
                (_walk(rng, trunk[int(rng.integers(4, len(trunk)))], fork, 0.3 * zn, 0.16), 0.6, 0.035)
            )
    for _ in range(int(rng.integers(4, 8))):
        angle = rng.uniform(0, 2 * np.pi)
        start = np.array(
            [0.8 * shape.half_x_mm * np.cos(angle), 0.8 * shape.half_y_mm * np.sin(angle), 0.05 * zn]
        )
        heading = np.array([0.0, 0.0, 0.95 * zn]) - start + rng.normal(0, 12, 3)
        vessel = _walk(rng, start, heading, rng.uniform(0.45, 0.85) * zn, 0.14)
        out.append((vessel, 1.2, 0.06))
        if rng.random() < 0.6:
            out.append(
                (
                    _walk(rng, vessel[len(vessel) // 2], heading + rng.normal(0, 18, 3), 0.3 * zn, 0.16),
                    0.8,
                    0.05,
                )
            )
    return out


def _walk(
    rng: np.random.Generator,
    start: NDArray[np.float64],
    heading: NDArray[np.float64],
    length: float,
    bend: float,
) -> NDArray[np.float64]:
    step = 1.6
    heading = heading / np.linalg.norm(heading)
    curl = rng.normal(0, bend * 0.35, 3)
    points = [start]
    for _ in range(max(6, int(length / step))):
        heading = heading + curl + rng.normal(0, bend, 3)
        heading /= np.linalg.norm(heading)
        curl = 0.9 * curl + rng.normal(0, bend * 0.1, 3)
        points.append(points[-1] + step * heading)
    return np.array(points)
