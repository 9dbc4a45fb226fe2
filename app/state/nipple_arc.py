"""The nipple-distance arc: where a point seen in one view may lie in another view of the same breast.

A lesion keeps about the same distance from the nipple in CC and MLO, so its place in the other view is looked for on
an arc around that view's nipple. The nipple is the reader's mark; nothing here finds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from app.state.geometry import geometry_of
from app.state.measurements import Point
from inference.exam.types import ViewImage
from inference.preprocessing.input_checks import PART_OF_BREAST
from inference.preprocessing.pixel_size import is_absurd

_STEP_DEGREES = 1.5


def nipple_distance_mm(image: ViewImage, nipple: Point, point: Point) -> float | None:
    """Return the distance of a point from the nipple, mm in the breast plane; None = spacing not recorded."""
    return geometry_of(image).distance_mm(nipple, point)


def impossible_breast_mm(image: ViewImage, extent: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the breast's height and breadth in mm where the file's pixel spacing makes it a size that no breast has.

    Parameters
    ----------
    extent : stored rows and columns of the breast in the picture; None = it was not told from the background.

    Returns
    -------
    None where the spacing can be believed, is not recorded, or the image shows a part of the breast only. The limits
    are those by which the AI disbelieves a spacing (``inference.preprocessing.pixel_size``).
    """
    if (
        image.spacing is None
        or extent is None
        or image.flags.partial
        or PART_OF_BREAST & set(image.modifiers)
    ):
        return None
    pair = extent[0] * image.spacing.row_mm, extent[1] * image.spacing.col_mm
    hung = pair[::-1] if image.orientation.transpose else pair
    return hung if is_absurd(hung) else None


def arc(
    image: ViewImage,
    nipple: Point,
    distance_mm: float,
    in_breast: Callable[[float, float], bool] = lambda _row, _col: True,
) -> tuple[tuple[Point, ...], ...]:
    """Return the points of an image at a distance from its nipple.

    Parameters
    ----------
    nipple : stored (row, col).
    distance_mm : radius in the breast plane.
    in_breast : tells whether a stored (row, col) is tissue; the arc is drawn only there.

    Returns
    -------
    Polylines of stored (row, col), each inside the picture; empty where spacing is unknown or nothing is inside.
    """
    if image.spacing is None or distance_mm <= 0.0:
        return ()
    rows, cols = image.pixels.shape
    pieces: list[list[Point]] = [[]]
    for turn in _turns():
        row = nipple[0] + distance_mm / image.spacing.row_mm * math.sin(turn)
        col = nipple[1] + distance_mm / image.spacing.col_mm * math.cos(turn)
        if 0.0 <= row <= rows and 0.0 <= col <= cols and in_breast(row, col):
            pieces[-1].append((row, col))
        elif pieces[-1]:
            pieces.append([])
    # The turn begins and ends at the same angle: join the two halves of a piece that runs across it.
    if len(pieces) > 1 and pieces[-1] and pieces[0] and pieces[-1][-1] == pieces[0][0]:
        pieces[0] = pieces.pop() + pieces[0][1:]
    return tuple(tuple(piece) for piece in pieces if len(piece) > 1)


def _turns() -> Iterator[float]:
    count = round(360.0 / _STEP_DEGREES)
    for k in range(count + 1):
        yield 2.0 * math.pi * (k % count) / count


def arc_targets(source: ViewImage, images: Sequence[ViewImage]) -> tuple[ViewImage, ...]:
    """Return the images that an arc from ``source`` belongs on: other views of that breast, and its priors."""
    return tuple(
        image
        for image in images
        if image.key != source.key
        and image.view.laterality is source.view.laterality
        and (image.view != source.view or image.qualifier != source.qualifier)
    )
