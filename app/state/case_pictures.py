"""A case read wrongly, for the report: which views, in which grey, and where lesions and marks lie on the small picture.

Arrays and points only; painting is ``app.views.case_pictures``. No word of the exam but the names of its views.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.state.display import Pyramid
from app.state.geometry import geometry_of
from app.state.hanging_fill import is_hangable, name_of
from app.state.thumbnails import small_grey
from inference.exam.types import Exam, ViewImage

HEIGHT_PX = 420
MOST_VIEWS = 4
ORDER = ("R-CC", "L-CC", "R-MLO", "L-MLO")
Point = tuple[float, float]  # (row, col)
_CORNERS = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLesion:
    """A true lesion in one image: corners in stored (row, col) pixels."""

    image_key: str
    corners: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseMark:
    """A reader's mark in one image, stored (row, col) pixels; ``arm`` counts from 0."""

    image_key: str
    at: Point
    arm: int
    reader: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallView:
    """One hung view; ``grey`` (rows, cols) uint8, everything else in its pixels."""

    name: str
    grey: NDArray[np.uint8] = field(repr=False)
    outlines: tuple[tuple[Point, ...], ...] = ()
    marks: tuple[tuple[Point, int, str], ...] = ()  # where, arm, reader


def box_corners(box: tuple[float, float, float, float]) -> tuple[Point, ...]:
    """The ellipse inside (row0, col0, row1, col1): a truth without contour is a circle in millimetres."""
    middle, reach = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), ((box[2] - box[0]) / 2, (box[3] - box[1]) / 2)  # fmt: skip
    angles = (2 * math.pi * k / _CORNERS for k in range(_CORNERS))
    return tuple((middle[0] + reach[0] * math.sin(a), middle[1] + reach[1] * math.cos(a)) for a in angles)


def small_views(
    exam: Exam, lesions: Sequence[CaseLesion], marks: Sequence[CaseMark], height: int = HEIGHT_PX
) -> tuple[SmallView, ...]:
    """Return at most four views: those with a lesion or a mark first in claim, shown in the order of hanging."""
    concerned = {one.image_key for one in lesions} | {one.image_key for one in marks}
    hung = [image for image in exam.images if is_hangable(image) and not _names_her(image)]
    chosen = sorted(hung, key=lambda image: image.key not in concerned)[:MOST_VIEWS]
    chosen.sort(key=_place)
    return tuple(_small(image, lesions, marks, height) for image in chosen)


def _names_her(image: ViewImage) -> bool:
    """True where text is burned into the pixels: it may be a name, and the report goes to a journal."""
    return image.header.get("BurnedInAnnotation", "").strip().upper() == "YES"


def _place(image: ViewImage) -> tuple[int, str]:
    name = str(image.view)
    return next((k for k, known in enumerate(ORDER) if image.key.startswith(known)), len(ORDER)), f"{name}{image.key}"  # fmt: skip


def _small(
    image: ViewImage, lesions: Sequence[CaseLesion], marks: Sequence[CaseMark], height: int
) -> SmallView:
    geometry = geometry_of(image)
    grey = small_grey(image, Pyramid(image.pixels), height)
    scale = (grey.shape[0] / geometry.hung_size[0], grey.shape[1] / geometry.hung_size[1])

    def hung(point: Point) -> Point:
        row, col = geometry.stored_to_hung(*point)
        return row * scale[0], col * scale[1]

    return SmallView(
        name=name_of(image),
        grey=grey,
        outlines=tuple(tuple(map(hung, one.corners)) for one in lesions if one.image_key == image.key),
        marks=tuple((hung(one.at), one.arm, one.reader) for one in marks if one.image_key == image.key),
    )
