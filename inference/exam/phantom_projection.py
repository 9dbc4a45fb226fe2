"""From the breast to the plane of one view: compression, outline, thickness and the anatomy along each ray.

Works in the anatomical plane: row down (lateral to medial in CC, superior to inferior in MLO), column from the
chest wall to the nipple. Mirroring to a stored file is ``phantom``'s, lesions are ``phantom_lesions``'.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.phantom_fields import Field, Shape, plane_noise
from resources.vocabulary import Projection

ROWS_MM, COLS_MM = 229.4, 191.4  # the small field of a Senographe, 2294 x 1914 at 0.1 mm
ROOT_HALF = float(np.sqrt(0.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Geometry of one view; ``squeeze`` is compressed over original thickness, the plane grows by its -1/2 power."""

    projection: Projection
    shape: tuple[int, int]
    pixel_mm: float
    row0: float  # row of the nipple's axis
    squeeze: float
    thickness_mm: float
    breast: Shape

    @property
    def growth(self) -> float:
        return float(self.squeeze**-0.5)

    @property
    def nipple_mm(self) -> float:
        """Chest wall to nipple in the compressed plane."""
        return self.breast.nipple_z_mm * self.growth

    def pixel(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Row and column (n, 2) of points (n, 3) of the uncompressed frame; incompressible tissue, exact."""
        along = np.stack([self.across(position), position[:, 2]], axis=1) * self.growth / self.pixel_mm
        return np.stack([self.row0 - along[:, 0], along[:, 1]], axis=1)

    def across(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Upward coordinate of the view, mm: lateral in CC; upper outer in MLO, whose beam runs UI to LO."""
        if self.projection is Projection.CC:
            return position[:, 0]
        return (position[:, 0] + position[:, 1]) * ROOT_HALF


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """The healthy breast in one view, all (rows, cols) float32."""

    mask: NDArray[np.bool_]
    edge_mm: Field  # distance to the skin
    thick: Field  # share of the full compressed thickness, 0..1
    gland_cm: Field  # glandular path
    muscle: Field  # log contrast of the pectoral muscle
    strands: Field  # log contrast of ligaments, ducts and vessels
    nipple: tuple[float, float]
    pectoral_edge: Field  # (n, 2) row, col of the muscle's front edge from the top down; (0, 2) where none


def view_plane(
    projection: Projection, breast: Shape, pixel_mm: float, rng: np.random.Generator, squeeze: float
) -> Plane:
    """Place a breast on the detector for one view."""
    rows, cols = round(ROWS_MM / pixel_mm), round(COLS_MM / pixel_mm)
    share = rng.uniform(0.47, 0.53) if projection is Projection.CC else rng.uniform(0.57, 0.62)
    original = 2 * (
        breast.half_y_mm if projection is Projection.CC else 0.5 * (breast.half_x_mm + breast.half_y_mm)
    )
    return Plane(
        projection=projection,
        shape=(rows, cols),
        pixel_mm=pixel_mm,
        row0=share * rows,
        squeeze=squeeze,
        thickness_mm=squeeze * original,
        breast=breast,
    )


def outline_mm(plane: Plane, rng: np.random.Generator) -> Field:
    """Width of the breast on every row, mm from the chest wall; 0 where there is none."""
    rows = plane.shape[0]
    t = (plane.row0 - np.arange(rows)) * plane.pixel_mm  # upward
    half = plane.breast.half_x_mm * plane.growth * rng.uniform(1.0, 1.08)
    p, q = rng.uniform(1.9, 2.3), rng.uniform(0.52, 0.66)
    if plane.projection is Projection.CC:
        w = np.clip(1 - (np.abs(t) / half) ** p, 0, None) ** q
    else:
        tail = max(1.75 * half, plane.row0 * plane.pixel_mm * rng.uniform(1.12, 1.3))
        upper = np.clip(1 - (np.clip(t, 0, None) / tail) ** rng.uniform(1.35, 1.6), 0, None) ** 0.72
        lower = np.clip(1 - (np.clip(-t, 0, None) / (0.92 * half)) ** p, 0, None) ** q
        w = np.where(t > 0, upper, lower)
    knots = rng.normal(0, 1.3, 13)
    wave = np.interp(np.linspace(0, 12, rows), np.arange(13), knots)
    wave = cv2.GaussianBlur(wave.astype(np.float32)[:, None], (0, 0), max(1.0, 8 / plane.pixel_mm))[:, 0]
    wave = wave * np.minimum(1.0, (t / 15.0) ** 2)  # the nipple stays where the frame puts it
    return np.where(w > 0, np.clip(w * plane.nipple_mm + wave, 0, None), 0).astype(np.float32)


def project_anatomy(
    plane: Plane,
    gland: Field,
    trees: list[tuple[NDArray[np.float64], float, float]],
    rng: np.random.Generator,
) -> Anatomy:
    """Compress one breast and integrate along the rays of one view.

    Parameters
    ----------
    gland : (nx, ny, nz) float32 in [0, 1]
        Glandular share of each voxel of the uncompressed breast.
    trees : list of (points (n, 3) mm, width mm, log contrast)
        Ducts and vessels of the uncompressed breast.
    """
    mask, nipple, profile = _silhouette(plane, rng)
    edge = _edge_distance(mask, plane.pixel_mm)
    rounding = 0.45 * plane.thickness_mm
    thick = np.sqrt(1 - (1 - np.clip(edge / rounding, 0, 1)) ** 2).astype(np.float32)
    gland_cm = _gland_path(plane, gland) * np.minimum(1.0, edge / 4.0).astype(np.float32) ** 2
    gland_cm = np.minimum(gland_cm, 0.09 * plane.thickness_mm * thick)
    if not profile:  # turned out of profile, the nipple overlies the breast as a small dense disc
        gland_cm += _disc(plane, nipple, 4.5) * 0.45
    muscle, pectoral_edge = np.zeros(plane.shape, np.float32), np.zeros((0, 2), np.float32)
    if plane.projection is Projection.MLO:
        muscle, pectoral_edge = _pectoral(plane, rng)
        muscle = muscle * mask
    strands = _ligaments(plane, rng) * np.minimum(1.0, 0.35 + thick) * np.where(
        muscle > 0, np.float32(0.3), 1
    ) + _tubes(plane, trees)
    return Anatomy(
        mask=mask,
        edge_mm=edge,
        thick=thick,
        gland_cm=gland_cm,
        muscle=muscle.astype(np.float32),
        strands=(strands * mask).astype(np.float32),
        nipple=nipple,
        pectoral_edge=pectoral_edge,
    )


def fine_texture(plane: Plane, rng: np.random.Generator) -> Field:
    """Detail finer than a voxel, on the volume's power law: ligaments and quanta flatten it to 3.2 (see BETA)."""
    return plane_noise(rng, plane.shape, plane.pixel_mm, beta=3.45, high_pass=0.07, floor=0.02)


def _silhouette(
    plane: Plane, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], tuple[float, float], bool]:
    width = outline_mm(plane, rng)
    cols_mm = (np.arange(plane.shape[1], dtype=np.float32) + 0.5) * plane.pixel_mm
    mask = cols_mm[None, :] < width[:, None]
    profile = bool(rng.random() > 0.08)
    tip = plane.nipple_mm + (3.0 if profile else -12.0)
    nipple = (plane.row0, tip / plane.pixel_mm)
    if profile:
        mask |= _disc(plane, (plane.row0, (plane.nipple_mm - 1.5) / plane.pixel_mm), 4.0) > 0.5
    return mask, nipple, profile


def _disc(plane: Plane, center: tuple[float, float], radius_mm: float) -> Field:
    rows = np.arange(plane.shape[0], dtype=np.float32)[:, None] - np.float32(center[0])
    cols = np.arange(plane.shape[1], dtype=np.float32)[None, :] - np.float32(center[1])
    distance = np.sqrt(rows * rows + cols * cols) * np.float32(plane.pixel_mm)
    return np.asarray(np.clip((radius_mm - distance) / 1.0 + 0.5, 0, 1), np.float32)


def _edge_distance(mask: NDArray[np.bool_], pixel_mm: float) -> Field:
    """Distance to the skin; the chest wall and the image's upper border are not skin."""
    pad = max(2, round(40 / pixel_mm))
    wide = np.pad(mask.astype(np.uint8), ((pad, 0), (pad, 0)), mode="edge")
    distance = cv2.distanceTransform(wide, cv2.DIST_L2, 5)[pad:, pad:]
    return np.asarray(distance * pixel_mm, dtype=np.float32)


def _gland_path(plane: Plane, gland: Field) -> Field:
    """Glandular path in cm: turn about the nipple's axis so that the beam is an axis, add up, enlarge."""
    step = plane.breast.step_mm
    if plane.projection is Projection.CC:
        path = gland.sum(axis=1)
    else:
        side = gland.shape[0]
        turn = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), -45.0, 1.0)
        slices = [
            cv2.warpAffine(np.ascontiguousarray(gland[:, :, k]), turn, (side, side)).sum(axis=1)
            for k in range(gland.shape[2])
        ]
        path = np.stack(slices, axis=1)
    path = np.asarray(path, np.float32) * np.float32(step * plane.squeeze / 10.0)
    path = np.pad(path, ((0, 0), (1, 0)), mode="edge")  # tissue goes on behind the chest-wall edge
    zoom = plane.growth * step / plane.pixel_mm  # pixels per voxel
    half = (gland.shape[0] - 1) / 2
    back = np.array([[-1 / zoom, 0, half + plane.row0 / zoom], [0, 1 / zoom, 0.5]], dtype=np.float64)
    # cv2 speaks (column, row): destination pixel -> voxel
    matrix = np.array([[back[1, 1], 0, back[1, 2]], [0, back[0, 0], back[0, 2]]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    out = cv2.warpAffine(
        path, matrix, (plane.shape[1], plane.shape[0]), flags=flags, borderMode=cv2.BORDER_CONSTANT
    )
    return np.asarray(np.clip(out, 0, None), np.float32)


def _pectoral(plane: Plane, rng: np.random.Generator) -> tuple[Field, Field]:
    """Log contrast of the pectoral muscle, a slightly bowed triangle in the upper chest-wall corner, and the
    middle of the ramp that is its front edge (n, 2)."""
    rows, cols = plane.shape
    top = rng.uniform(0.42, 0.62) * plane.nipple_mm
    bottom = rng.uniform(0.75, 1.05) * plane.row0 * plane.pixel_mm  # ends about the level of the nipple
    bow = rng.uniform(-4.0, 5.0)
    r = np.arange(rows, dtype=np.float32)[:, None] * plane.pixel_mm
    c = np.arange(cols, dtype=np.float32)[None, :] * plane.pixel_mm
    share = np.clip(r / bottom, 0, 1)
    inner = top * (1 - share) + bow * np.sin(np.pi * share) - c
    inner = np.where(r < bottom, inner, -1.0)
    ramp = rng.uniform(1.5, 3.0)
    rise = np.clip(inner / ramp, 0, 1) * (0.75 + 0.25 * np.clip(inner / 30, 0, 1))
    contrast = np.asarray(rise * rng.uniform(0.34, 0.52), dtype=np.float32)
    at = (top * (1 - share) + bow * np.sin(np.pi * share))[:, 0] - ramp / 2
    edge = np.stack([r[:, 0], at], axis=1)[(r[:, 0] < bottom) & (at >= 0)]
    return contrast, (edge / plane.pixel_mm).astype(np.float32)


def _ligaments(plane: Plane, rng: np.random.Generator) -> Field:
    """Cooper's ligaments: thin walls where smooth random fields cross zero, strong here and faint there."""
    coarse = 0.8
    stretch = 1.8  # along the nipple's axis, towards which the septa run
    shape = (int(np.ceil(ROWS_MM / coarse)) + 1, int(np.ceil(COLS_MM / coarse / stretch)) + 1)
    size = (plane.shape[1], plane.shape[0])
    out = np.zeros(plane.shape, np.float32)
    strength = plane_noise(rng, shape, coarse, beta=3.0, high_pass=0.0, floor=0.03)
    strength = np.clip(0.55 + strength / strength.std() * 0.5, 0, 1.6)
    strong = cv2.resize(strength.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    for weight, floor in ((0.085, 0.025), (0.075, 0.04), (0.055, 0.06)):
        psi = plane_noise(rng, shape, coarse, beta=6.0, high_pass=0.0, floor=floor)
        gy, gx = np.gradient(psi, coarse)
        slope = cv2.GaussianBlur(np.hypot(gx / stretch, gy).astype(np.float32), (0, 0), 2.0)
        away = cv2.resize((psi / (slope + 1e-6)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
        out += np.float32(weight) * np.exp(-((away / 0.42) ** 2)) + np.float32(weight * 0.5) * np.exp(
            -((away / 1.6) ** 2)
        )
    return np.asarray(out * strong, np.float32)


def _tubes(plane: Plane, trees: list[tuple[NDArray[np.float64], float, float]]) -> Field:
    out = np.zeros(plane.shape, np.float32)
    for width in sorted({w for _, w, _ in trees}):
        canvas = np.zeros(plane.shape, np.uint8)
        for points, w, contrast in trees:
            if w != width:
                continue
            path = np.round(plane.pixel(points)[:, ::-1] * 16).astype(np.int32)
            level = min(255.0, contrast * 2000.0 * min(1.0, width / plane.pixel_mm))
            thick = max(1, round(width / plane.pixel_mm))
            cv2.polylines(canvas, [path.reshape(-1, 1, 2)], False, (level,), thick, cv2.LINE_AA, 4)
        blurred = cv2.GaussianBlur(canvas.astype(np.float32), (0, 0), max(0.6, 0.35 * width / plane.pixel_mm))
        out += blurred / np.float32(2000.0)
    return np.asarray(out, np.float32)
