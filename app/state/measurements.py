"""What a reader measures or writes on an image, in stored-file pixels, and the numbers that come of it.

Owns lengths, angles and the statistics of an ellipse; always from the file's own pixels, never from what the screen
shows. Drawing and wording belong to ``app.views.measure_layer``, editing to ``app.state.measurement_board``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from app.state.geometry import geometry_of
from inference.exam.types import ViewImage

Point = tuple[float, float]  # stored (row, col), continuous: the centre of pixel (r, c) is (r + 0.5, c + 0.5)


class MeasurementKind(StrEnum):
    """What is drawn; the number of points is in ``POINTS``."""

    RULER = "ruler"  # start, end
    ANGLE = "angle"  # end of one arm, vertex, end of the other arm
    ELLIPSE = "ellipse"  # two opposite corners of the upright rectangle around it
    TEXT = "text"  # the place that the words belong to
    NIPPLE = "nipple"  # the nipple; at most one an image


POINTS: dict[MeasurementKind, int] = {
    MeasurementKind.RULER: 2,
    MeasurementKind.ANGLE: 3,
    MeasurementKind.ELLIPSE: 2,
    MeasurementKind.TEXT: 1,
    MeasurementKind.NIPPLE: 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measurement or annotation on one image; ``points`` are stored (row, col), so flips cannot move it (MG-07)."""

    measurement_id: str
    kind: MeasurementKind
    image_key: str
    points: tuple[Point, ...]
    text: str = ""  # TEXT only

    def __post_init__(self) -> None:
        if len(self.points) != POINTS[self.kind]:
            raise ValueError(
                f"{self.kind.value}: expected {POINTS[self.kind]} points, found {len(self.points)}"
            )
        if not all(math.isfinite(value) for point in self.points for value in point):
            raise ValueError(f"{self.kind.value}: expected finite points, found {self.points}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """A length or area with how it was found; ``method`` is empty and the unit pixels where spacing is unknown."""

    value: float
    unit: str  # "mm", "mm²", "px" or "px²"
    method: str  # as ``Spacing.method`` (MG-12)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoiStats:
    """Values inside an ellipse, in modality units; ``deviation`` is of the population (divided by n)."""

    mean: float
    deviation: float
    lowest: float
    highest: float
    pixels: int
    area: Length


def ruler_length(measurement: Measurement, image: ViewImage) -> Length:
    """Return the distance of a ruler's ends.

    mm in the breast plane where the image has a spacing (MG-12), image pixels where it has none.
    """
    start, end = measurement.points[0], measurement.points[1]
    distance = geometry_of(image).distance_mm(start, end)
    if distance is None or image.spacing is None:
        return Length(value=math.dist(start, end), unit="px", method="")
    return Length(value=distance, unit="mm", method=image.spacing.method)


def angle_degrees(measurement: Measurement, image: ViewImage) -> float:
    """Return the angle at the middle point, 0..180 degrees, in millimetres where row and column spacing differ."""
    row_mm, col_mm = (1.0, 1.0) if image.spacing is None else (image.spacing.row_mm, image.spacing.col_mm)
    first, vertex, last = (np.array([row * row_mm, col * col_mm]) for row, col in measurement.points)
    one, other = first - vertex, last - vertex
    cross = float(one[0] * other[1] - one[1] * other[0])
    return math.degrees(math.atan2(abs(cross), float(one @ other)))


def ellipse_mask(measurement: Measurement, shape: tuple[int, int]) -> tuple[int, int, NDArray[np.bool_]]:
    """Find the pixels whose centres lie in an ellipse.

    Parameters
    ----------
    shape : rows and columns of the image.

    Returns
    -------
    First row, first column, and a (rows, cols) bool array from there on; empty when nothing is inside.
    """
    (row_a, col_a), (row_b, col_b) = measurement.points
    center_row, center_col = (row_a + row_b) / 2, (col_a + col_b) / 2
    half_row, half_col = max(abs(row_b - row_a) / 2, 1e-9), max(abs(col_b - col_a) / 2, 1e-9)
    row0, row1 = max(0, math.floor(center_row - half_row)), min(shape[0], math.ceil(center_row + half_row))
    col0, col1 = max(0, math.floor(center_col - half_col)), min(shape[1], math.ceil(center_col + half_col))
    if row1 <= row0 or col1 <= col0:
        return row0, col0, np.zeros((0, 0), np.bool_)
    # Column limits row by row: no array of distances, which for a whole image would be 100 MB.
    down = (np.arange(row0, row1) + 0.5 - center_row) / half_row
    reach = half_col * np.sqrt(np.clip(1.0 - down * down, 0.0, None))
    centers = np.arange(col0, col1, dtype=np.float32) + np.float32(0.5 - center_col)
    inside = np.abs(centers)[None, :] <= reach.astype(np.float32)[:, None]
    inside[np.abs(down) > 1.0] = False
    return row0, col0, inside


def roi_stats(measurement: Measurement, image: ViewImage) -> RoiStats | None:
    """Return mean, SD, lowest, highest and area of an ellipse; None when no pixel centre lies inside.

    Values are the file's own after rescale (modality units); area is that of the drawn ellipse, not of the pixels.
    """
    row0, col0, inside = ellipse_mask(measurement, image.pixels.shape)
    count = int(np.count_nonzero(inside))
    if count == 0:
        return None
    values = image.pixels[row0 : row0 + inside.shape[0], col0 : col0 + inside.shape[1]]
    mask = inside.view(np.uint8)
    mean, deviation = (float(one[0, 0]) for one in cv2.meanStdDev(values, mask=mask))
    low, high, _, _ = cv2.minMaxLoc(values, mask=mask)
    shown = image.presentation
    ends = sorted((v + shown.stored_offset) * shown.slope + shown.intercept for v in (low, high))
    (row_a, col_a), (row_b, col_b) = measurement.points
    area = math.pi / 4 * abs(row_b - row_a) * abs(col_b - col_a)
    spacing = image.spacing
    return RoiStats(
        mean=(mean + shown.stored_offset) * shown.slope + shown.intercept,
        deviation=deviation * abs(shown.slope),
        lowest=ends[0],
        highest=ends[1],
        pixels=count,
        area=Length(value=area, unit="px²", method="")
        if spacing is None
        else Length(value=area * spacing.row_mm * spacing.col_mm, unit="mm²", method=spacing.method),
    )


def modality_value(image: ViewImage, row: float, col: float) -> float | None:
    """Return the value of the pixel that covers a stored point, modality units; None outside the image."""
    r, c = math.floor(row), math.floor(col)
    if not (0 <= r < image.pixels.shape[0] and 0 <= c < image.pixels.shape[1]):
        return None
    shown = image.presentation
    return (int(image.pixels[r, c]) + shown.stored_offset) * shown.slope + shown.intercept


def with_point(measurement: Measurement, index: int, place: Point) -> Measurement:
    """Move one handle."""
    points = list(measurement.points)
    points[index] = place
    return replace(measurement, points=tuple(points))


def shifted(measurement: Measurement, rows: float, cols: float) -> Measurement:
    """Move the whole by stored pixels."""
    return replace(measurement, points=tuple((row + rows, col + cols) for row, col in measurement.points))
