"""Lesions of the phantom: where they lie in the breast, what they are made of, how each view shows them.

A lesion is planned once in the uncompressed frame and drawn in both views from that plan, so that quadrant,
clock, depth and match are exact. Sizes and contrasts follow measured tables (INbreast, VinDr, MIAS; VICTRE).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.phantom_fields import Field, Shape, plane_noise
from inference.exam.phantom_projection import ROOT_HALF, Plane
from resources.vocabulary import FindingType, Laterality, Projection

QUADRANTS = ("UO", "UI", "LO", "LI")
QUADRANT_PRIOR = (0.609, 0.145, 0.064, 0.182)  # BMC Cancer 2017, s12885-017-3270-0, n = 110
MASS_PER_CM = 0.24  # log contrast of 10 mm of mass in fat, low energy
CALC_PER_MM = 0.75  # 0.2 mm of calcium oxalate: about 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A lesion before it is drawn; all its randomness comes from ``seed``, so both views agree."""

    finding: FindingType
    malignant: bool
    position_mm: tuple[float, float, float]
    radius_mm: float
    seed: int
    iodine_mg_ml: float
    rim: bool
    shape: str
    margin: str
    listed: bool = True  # False: the harmless trivia of a normal breast, not part of the truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A lesion in one view: a patch to add at ``row``, ``col``, and its outline in plane pixels."""

    row: int
    col: int
    contrast: Field  # (h, w) log units
    iodine: Field  # (h, w) mg/cm2
    center: tuple[float, float]
    contour: NDArray[np.float32]  # (n, 2) row, col


def quadrant_of(position: tuple[float, float, float], shape: Shape) -> str:
    """Quadrant of a point of the uncompressed frame; central within 20 mm of the nipple."""
    x, y, z = position
    if np.hypot(np.hypot(x, y), shape.nipple_z_mm - z) < 20.0:
        return "central"
    return ("U" if y >= 0 else "L") + ("O" if x >= 0 else "I")


def clock_of(position: tuple[float, float, float], laterality: Laterality) -> int:
    """Clock hour seen from in front: 12 is up; lateral is 9 on the right breast and 3 on the left."""
    x = position[0] if laterality is Laterality.LEFT else -position[0]
    return (round(float(np.degrees(np.arctan2(x, position[1]))) / 30.0) - 1) % 12 + 1


def plan_lesion(rng: np.random.Generator, shape: Shape, finding: FindingType, malignant: bool) -> Plan:
    """Draw a lesion of one type: place by the quadrant prior, size and make-up by type and malignancy."""
    low, mid, high = {
        FindingType.MASS: (5.0, 7.5, 12.5),
        FindingType.CALCIFICATION: (3.5, 6.5, 11.0),
        FindingType.ASYMMETRY: (8.0, 11.0, 16.0),
        FindingType.DISTORTION: (7.0, 9.5, 14.0),
        FindingType.ENHANCEMENT: (4.0, 7.0, 12.0),
    }[finding]
    radius = float(rng.triangular(low, mid, high))
    iodine = rng.uniform(1.0, 3.0) if finding is FindingType.MASS else rng.uniform(0.3, 1.5)
    if not malignant:
        iodine = rng.uniform(0.0, 0.8)
    spiculated = malignant and finding in {FindingType.MASS, FindingType.DISTORTION}
    margins = {True: "spiculated" if spiculated else "indistinct", False: "circumscribed"}
    shapes = {True: "irregular", False: str(rng.choice(["oval", "round"]))}
    return Plan(
        finding=finding,
        malignant=malignant,
        position_mm=_place(rng, shape),
        radius_mm=radius,
        seed=int(rng.integers(2**31)),
        iodine_mg_ml=float(iodine),
        rim=bool(rng.random() < 0.3),
        shape=shapes[malignant],
        margin=margins[malignant],
    )


def calcification_terms(plan: Plan) -> tuple[str, str]:
    """BI-RADS morphology and distribution of a planned calcification group, as it is drawn; both empty for
    other findings.

    Notes
    -----
    Malignant groups are drawn of specks under 1 mm that differ in size and shape (fine pleomorphic), half of
    them three times as long as wide towards the nipple (linear); benign ones of 4 to 9 round specks (grouped).
    """
    if plan.finding is not FindingType.CALCIFICATION:
        return "", ""
    _, linear = _specks(plan, np.random.default_rng(plan.seed))
    return "fine pleomorphic" if plan.malignant else "round", "linear" if linear else "grouped"


def _specks(plan: Plan, rng: np.random.Generator) -> tuple[NDArray[np.float64], bool]:
    """Places (n, 3) of a group's specks in the breast, mm from its centre, and whether they lie along a duct."""
    count = int(rng.integers(14, 31)) if plan.malignant else int(rng.integers(4, 10))
    spread = rng.normal(size=(count, 3)) * (0.42 * plan.radius_mm)
    linear = plan.malignant and bool(rng.random() < 0.5)
    if linear:  # along a duct towards the nipple
        spread *= np.array([0.45, 0.45, 1.35])
    spread *= np.minimum(1.0, plan.radius_mm / np.maximum(np.linalg.norm(spread, axis=1), 1e-6))[:, None]
    return spread, linear


def plan_trivia(rng: np.random.Generator, shape: Shape) -> list[Plan]:
    """What a normal breast may hold: an oval node high and lateral, round or scattered calcifications."""
    out: list[Plan] = []
    if rng.random() < 0.45:
        node = plan_lesion(rng, shape, FindingType.MASS, malignant=False)
        high = (
            float(rng.uniform(0.35, 0.6)) * shape.half_x_mm,
            float(rng.uniform(0.35, 0.55)) * shape.half_y_mm,
        )
        place = (*high, float(rng.uniform(0.2, 0.4)) * shape.nipple_z_mm)
        out.append(_trivial(node, place, float(rng.uniform(2.5, 5.0))))
    for _ in range(int(rng.integers(0, 3))):
        calcs = plan_lesion(rng, shape, FindingType.CALCIFICATION, malignant=False)
        out.append(_trivial(calcs, calcs.position_mm, float(rng.uniform(4.0, 14.0))))
    return out


def _trivial(plan: Plan, place: tuple[float, float, float], radius: float) -> Plan:
    return Plan(
        finding=plan.finding,
        malignant=False,
        position_mm=place,
        radius_mm=radius,
        seed=plan.seed,
        iodine_mg_ml=0.3 * plan.iodine_mg_ml,
        rim=False,
        shape=plan.shape,
        margin=plan.margin,
        listed=False,
    )


def _place(rng: np.random.Generator, shape: Shape) -> tuple[float, float, float]:
    """A point of the drawn quadrant, well inside the breast so that both views can show it."""
    quadrant = QUADRANTS[int(rng.choice(4, p=QUADRANT_PRIOR))]
    up, out = (1.0 if quadrant[0] == "U" else -1.0), (1.0 if quadrant[1] == "O" else -1.0)
    while True:
        x = out * rng.uniform(0.10, 0.55) * shape.half_x_mm
        y = up * rng.uniform(0.10, 0.55) * shape.half_y_mm
        z = rng.uniform(0.25, 0.82) * shape.nipple_z_mm
        if (x / shape.half_x_mm) ** 2 + (y / shape.half_y_mm) ** 2 + (z / shape.nipple_z_mm) ** 2 < 0.62:
            return float(x), float(y), float(z)


def draw_lesion(plan: Plan, plane: Plane, jitter_mm: tuple[float, float], gland_share: float) -> Drawn:
    """Draw a planned lesion as one view sees it.

    Parameters
    ----------
    jitter_mm : (down, towards the nipple)
        How far compression moved the lesion in this view.
    gland_share : float
        Glandular share of the ray through the centre, 0..1; a lesion replaces gland and so stands out less.
    """
    center = plane.pixel(np.array([plan.position_mm]))[0] + np.array(jitter_mm) / plane.pixel_mm
    reach = (
        2.9
        if plan.finding in {FindingType.MASS, FindingType.DISTORTION} and plan.margin == "spiculated"
        else 1.7
    )
    half = int(np.ceil((plan.radius_mm * reach + 3.0) / plane.pixel_mm))
    row, col = int(np.floor(center[0])) - half, int(np.floor(center[1])) - half
    fine = 0.05 if plan.finding is FindingType.CALCIFICATION else 0.1
    k = max(1, round(plane.pixel_mm / fine))
    size = (2 * half + 1) * k
    step = plane.pixel_mm / k
    brush = _Brush(
        plan, plane, size, step, ((center[0] - row + 0.5) * k - 0.5, (center[1] - col + 0.5) * k - 0.5)
    )
    contrast, path_mm, contour = _PAINTERS[plan.finding](brush, gland_share)
    small = (2 * half + 1, 2 * half + 1)
    iodine = cv2.resize(path_mm * np.float32(plan.iodine_mg_ml / 10.0), small, interpolation=cv2.INTER_AREA)
    return Drawn(
        row=row,
        col=col,
        contrast=np.asarray(cv2.resize(contrast, small, interpolation=cv2.INTER_AREA), np.float32),
        iodine=np.asarray(iodine, np.float32),
        center=(float(center[0]), float(center[1])),
        contour=(contour / plane.pixel_mm + center).astype(np.float32),
    )


class _Brush:
    """The fine patch of one lesion in one view: its own generators, its polar coordinates in mm."""

    def __init__(self, plan: Plan, plane: Plane, size: int, step: float, origin: tuple[float, float]) -> None:
        self.plan, self.plane, self.size, self.step, self.origin = plan, plane, size, step, origin
        self.rng = np.random.default_rng(plan.seed)  # the same in every view: three-dimensional make-up
        view = 1 if plane.projection is Projection.CC else 2
        self.view_rng = np.random.default_rng([plan.seed, view])  # what only this projection shows
        dr = ((np.arange(size, dtype=np.float32) - np.float32(origin[0])) * np.float32(step))[:, None]
        dc = ((np.arange(size, dtype=np.float32) - np.float32(origin[1])) * np.float32(step))[None, :]
        self.rho = np.sqrt(dr * dr + dc * dc)
        self.theta = np.arctan2(dr, dc)

    def project(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Row, column (mm) of 3D offsets (n, 3); lesions are stiff, so they are not squeezed."""
        up = (
            vectors[:, 0]
            if self.plane.projection is Projection.CC
            else (vectors[:, 0] + vectors[:, 1]) * ROOT_HALF
        )
        return np.stack([-up, vectors[:, 2]], axis=1)

    def fine(self, points_mm: NDArray[np.float64]) -> NDArray[np.int32]:
        """Points (n, 2) row, column in mm to OpenCV's (x, y) with 4 fractional bits."""
        at = points_mm / self.step + np.array(self.origin)
        return np.asarray(np.round(at[:, ::-1] * 16), np.int32).reshape(-1, 1, 2)


def _lobed(
    rng: np.random.Generator, radius: float, amplitude: float, orders: int, theta: Field, oval: float
) -> Field:
    phase, tilt = rng.uniform(0, 2 * np.pi, orders), rng.uniform(0, np.pi)
    out = 1.0 + np.float32(oval) * np.cos(2 * (theta - np.float32(tilt)))
    for k in range(orders):
        out = out + np.float32(amplitude / (k + 1)) * np.cos((k + 3) * theta + np.float32(phase[k]))
    return np.asarray(np.float32(radius) * out, np.float32)


def _circle() -> Field:
    return np.linspace(-np.pi, np.pi, 96, endpoint=False).astype(np.float32)


def _polar(radius: Field) -> NDArray[np.float64]:
    theta = _circle()
    return np.stack([radius * np.sin(theta), radius * np.cos(theta)], axis=1).astype(np.float64)


def _spicules(
    brush: _Brush, count: int, start: float, reach: tuple[float, float], strength: float, width_mm: float
) -> Field:
    """Tapering, slightly bent strands that radiate in space, (size, size) float32 log units."""
    canvas = np.zeros((brush.size, brush.size), np.float32)
    directions = brush.rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    bends = brush.rng.normal(scale=0.18, size=count)
    lengths = brush.rng.uniform(*reach, size=count)
    weights = brush.rng.uniform(0.55, 1.0, size=count)
    flat = brush.project(directions)
    for i in range(count):
        across = np.array([-flat[i, 1], flat[i, 0]])
        stroke = np.zeros(canvas.shape, np.uint8)
        pieces = 7
        for j in range(pieces):
            s = np.linspace(j / pieces, (j + 1) / pieces, 3)[:, None]
            points = flat[i] * (start + s * lengths[i]) + across * (bends[i] * s * s * lengths[i])
            thick = max(1, round(width_mm * (1.25 - 0.9 * j / pieces) / brush.step))
            level = 255.0 * weights[i] * (1.0 - 0.75 * j / pieces)
            cv2.polylines(stroke, [brush.fine(points)], False, (level,), thick, cv2.LINE_AA, 4)
        canvas += stroke
    canvas = cv2.GaussianBlur(np.minimum(canvas, 600), (0, 0), max(0.5, 0.15 / brush.step))
    return np.asarray(canvas * np.float32(strength / 255.0), np.float32)


def _path(radius: Field, rho: Field) -> Field:
    """Chord through a body of that radius, mm; compression flattens large bodies more."""
    flat = np.minimum(1.0, np.sqrt(7.0 / np.maximum(radius, 1.0)))
    return np.asarray(1.9 * flat * radius * np.sqrt(np.clip(1 - (rho / radius) ** 2, 0, 1)), np.float32)


def _paint_mass(brush: _Brush, gland_share: float) -> tuple[Field, Field, NDArray[np.float64]]:
    plan, r = brush.plan, brush.plan.radius_mm
    amplitude, orders, oval = (
        (0.13, 9, 0.12) if plan.malignant else (0.012, 3, 0.14 if plan.shape == "oval" else 0.03)
    )
    state = brush.view_rng.integers(2**31)
    radius = _lobed(np.random.default_rng(state), r, amplitude, orders, brush.theta, oval)
    edge = _lobed(np.random.default_rng(state), r, amplitude, orders, _circle(), oval)
    path = _path(radius, brush.rho)
    enhanced = path - 0.8 * _path(radius * np.float32(0.65), brush.rho) if plan.rim else path
    blur = (0.9 if plan.malignant else 0.3) / brush.step
    path = cv2.GaussianBlur(path, (0, 0), max(0.5, blur))
    rate = MASS_PER_CM / 10.0 * (1.0 if plan.malignant else 0.8) * (1 - 0.35 * gland_share)
    contrast = path * np.float32(rate)
    if plan.malignant:
        contrast += _spicules(
            brush, int(brush.rng.integers(22, 34)), 0.75 * r, (0.9 * r, 1.9 * r), 0.12, 0.75
        )
    else:  # the thin lucent line round a circumscribed mass
        contrast -= np.float32(0.02) * np.exp(-(((brush.rho - radius - 0.7) / 0.5) ** 2))
    return contrast.astype(np.float32), np.asarray(enhanced, np.float32), _polar(edge)


def _paint_calcification(brush: _Brush, gland_share: float) -> tuple[Field, Field, NDArray[np.float64]]:
    del gland_share  # calcium shows as well in gland as in fat
    plan, rng, r = brush.plan, brush.rng, brush.plan.radius_mm
    spread, _ = _specks(plan, rng)
    count = len(spread)
    if plan.malignant:
        size = np.clip(rng.lognormal(np.log(0.34), 0.38, count), 0.18, 0.9)
        ratio, tilt = rng.uniform(1.0, 3.0, count), rng.uniform(0, 180, count)
    else:
        size, ratio, tilt = rng.uniform(0.35, 0.95, count), rng.uniform(1.0, 1.15, count), np.zeros(count)
    at = brush.project(spread)
    contrast = np.zeros((brush.size, brush.size), np.float32)
    for i in range(count):
        axes = (size[i] * ratio[i] ** 0.5 / 2, size[i] / ratio[i] ** 0.5 / 2)
        stamp = np.zeros(contrast.shape, np.uint8)
        ends = tuple(max(8, round(a / brush.step * 16)) for a in axes)
        x, y = (int(v) for v in brush.fine(at[i : i + 1])[0, 0])
        cv2.ellipse(stamp, (x, y), ends, float(tilt[i]), 0, 360, (255,), -1, cv2.LINE_AA, 4)
        contrast += stamp * np.float32(min(0.6, CALC_PER_MM * min(size[i], 0.8)) / 255.0)
    hull = cv2.convexHull(at.astype(np.float32)).reshape(-1, 2).astype(np.float64)
    middle = hull.mean(axis=0)
    away = hull - middle
    length = np.linalg.norm(away, axis=1, keepdims=True)
    hull = middle + away * (1 + 1.0 / np.maximum(length, 1e-3))
    clump = _path(np.full_like(brush.rho, 0.8 * r), brush.rho) * np.float32(0.5)
    return contrast, clump, hull


def _paint_asymmetry(brush: _Brush, gland_share: float) -> tuple[Field, Field, NDArray[np.float64]]:
    plan, r = brush.plan, brush.plan.radius_mm
    state = brush.view_rng.integers(2**31)
    radius = _lobed(np.random.default_rng(state), r, 0.10, 4, brush.theta, 0.18)
    edge = _lobed(np.random.default_rng(state), r, 0.10, 4, _circle(), 0.18)
    share = 0.25 if plan.malignant else 0.14
    body = np.clip(1 - (brush.rho / (1.25 * radius)) ** 2, 0, 1) ** 1.3
    coarse = max(1, round(0.4 / brush.step))
    small = max(8, brush.size // coarse)
    grain = plane_noise(brush.view_rng, (small, small), 0.4, beta=3.0, high_pass=0.0, floor=0.06)
    grain = cv2.resize(grain / grain.std(), (brush.size, brush.size), interpolation=cv2.INTER_CUBIC)
    level = share * (0.55 + 0.45 * gland_share)
    contrast = np.float32(level) * body * np.clip(1 + 0.35 * grain, 0.2, 2.0)
    if plan.malignant:  # a developing asymmetry draws strands in
        contrast = contrast + _spicules(
            brush, int(brush.rng.integers(12, 18)), 0.25 * r, (0.7 * r, 1.3 * r), 0.10, 0.7
        )
    return np.asarray(contrast, np.float32), np.asarray(body * r, np.float32), _polar(edge)


def _paint_distortion(brush: _Brush, gland_share: float) -> tuple[Field, Field, NDArray[np.float64]]:
    del gland_share  # strands lie over the tissue
    plan, r = brush.plan, brush.plan.radius_mm
    count = int(brush.rng.integers(18, 28)) if plan.malignant else int(brush.rng.integers(8, 12))
    strength = 0.14 if plan.malignant else 0.08
    reach = (1.0 * r, 1.9 * r) if plan.malignant else (0.5 * r, 0.95 * r)
    contrast = _spicules(brush, count, 0.06 * r, reach, strength, 0.75)
    core = np.exp(-((brush.rho / np.float32(0.28 * r)) ** 2))
    contrast += np.float32(0.07 if plan.malignant else -0.04) * core  # a benign scar is lucent in the middle
    edge = np.full(96, r, np.float32)
    return np.asarray(contrast, np.float32), np.asarray(core * r * 0.7, np.float32), _polar(edge)


_PAINTERS = {
    FindingType.MASS: _paint_mass,
    FindingType.CALCIFICATION: _paint_calcification,
    FindingType.ASYMMETRY: _paint_asymmetry,
    FindingType.DISTORTION: _paint_distortion,
    FindingType.ENHANCEMENT: _paint_asymmetry,
}
