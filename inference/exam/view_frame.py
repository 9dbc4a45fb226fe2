"""Where a point of one view lies in the breast: region, depth and distance from the nipple.

Pure geometry in the canonical picture (chest wall at column 0; up is the head in MLO, the outer side in CC);
how the nipple and the muscle are found is ``inference.preprocessing.landmarks``'s.

Depth runs along the posterior nipple line: from the nipple at a right angle to the pectoral muscle's line (MLO)
or to the chest-wall edge of the image (CC), as it is drawn to judge positioning (Bassett et al., Radiology 1993;
188:803-806); it is the share of that line that lies before the point. The names of the regions are those of the
four-view detector's paper, which gives no measures. Ours: areola = within 28 mm of the nipple (the program's
"central", 20 mm, enlarged by compression); middle = within 10 mm of the nipple's level, a line at a right angle
to the chest-wall edge in both views; upper or lower, outer or inner = the sides of it; axillary tail = upper, at
least 45 mm above that level and at most 20 mm before the muscle's line. The level and not the posterior nipple
line parts upper from lower because the muscle's slope would call most upper lesions far back lower ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resources.vocabulary import Projection

AREOLA_MM = 28.0
MIDDLE_MM = 10.0
TAIL_ABOVE_MM = 45.0
TAIL_BEFORE_MM = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WallLine:
    """The straight line that depth ends at: a point on it and its unit normal towards the nipple, both (row,
    col), canonical pixels. The chest-wall edge of a CC view is the point (0, 0) with the normal (0, 1)."""

    point: tuple[float, float]
    normal: tuple[float, float]

    def distance(self, row: float, col: float) -> float:
        """Pixels from the line, positive towards the nipple."""
        return (row - self.point[0]) * self.normal[0] + (col - self.point[1]) * self.normal[1]


CHEST_WALL_EDGE = WallLine(point=(0.0, 0.0), normal=(0.0, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewFrame:
    """What places in one view are measured from; canonical pixels, ``pixel_mm`` of one of them."""

    projection: Projection
    nipple: tuple[float, float]  # row, column
    wall: WallLine
    pixel_mm: float

    @property
    def nipple_line_mm(self) -> float:
        """Length of the posterior nipple line."""
        return self.wall.distance(*self.nipple) * self.pixel_mm


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A point's place in its view: ``region`` of results.MLO_REGIONS or CC_REGIONS, ``depth`` 0 nipple .. 1
    wall, ``above_mm`` the distance from the nipple's level, up or outer positive."""

    region: str
    depth: float
    nipple_distance_mm: float
    above_mm: float


def place_of(frame: ViewFrame, row: float, col: float) -> Place:
    """Say where a point of the canonical picture lies in the breast (definitions in the module text)."""
    away = (row - frame.nipple[0], col - frame.nipple[1])
    above = -away[0] * frame.pixel_mm
    before = frame.wall.distance(row, col) * frame.pixel_mm
    distance = float(np.hypot(*away)) * frame.pixel_mm
    depth = 1.0 - before / max(frame.nipple_line_mm, 1e-6)
    return Place(
        region=region_name(frame.projection, distance_mm=distance, above_mm=above, before_mm=before),
        depth=float(np.clip(depth, 0.0, 1.0)),
        nipple_distance_mm=distance,
        above_mm=float(above),
    )


def region_name(projection: Projection, *, distance_mm: float, above_mm: float, before_mm: float) -> str:
    """Name the region from the distances to the nipple, over its level and before the wall, mm."""
    if distance_mm < AREOLA_MM:
        return "areola"
    if abs(above_mm) <= MIDDLE_MM:
        return "middle"
    if projection.is_axial:
        return "outer" if above_mm > 0 else "inner"
    if above_mm >= TAIL_ABOVE_MM and before_mm <= TAIL_BEFORE_MM:
        return "axillary tail"
    return "upper" if above_mm > 0 else "lower"


def straight_line(edge: NDArray[np.floating]) -> WallLine:
    """Return the straight line through points of the muscle's edge, least squares of the distances.

    Parameters
    ----------
    edge
        (n, 2) row, column, at least two points that differ.
    """
    points = np.asarray(edge, np.float64)
    middle = points.mean(axis=0)
    _, _, axes = np.linalg.svd(points - middle, full_matrices=False)
    normal = axes[1] if len(axes) > 1 else np.array([-axes[0][1], axes[0][0]])
    if normal[1] < 0:
        normal = -normal
    return WallLine(point=(float(middle[0]), float(middle[1])), normal=(float(normal[0]), float(normal[1])))
