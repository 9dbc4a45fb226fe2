"""Where the point under the pointer lies on another image: its contrast partner, a duplicate, or a prior.

Exact between low energy and recombined, which share their pixels (where the files say so); by nipple or chest wall between acquisitions of the
same view, and then only a guide, as the name of the method says.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.state.geometry import chest_wall_is_right, geometry_of
from app.state.measurements import Point
from app.state.priors import prior_number
from inference.exam.contrast import contrast_pairs
from inference.exam.types import ViewImage
from resources.translation import translate


def _tr(text: str) -> str:
    return translate("linked_cursor", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedPoint:
    """A place on another image, how it was found, and whether it is the very same place or only a guide."""

    row: float
    col: float
    method: str
    exact: bool


def is_contrast_partner(one: ViewImage, other: ViewImage) -> bool:
    """True for low energy and recombined that can be of one exposure: view, pixel grid, source and time agree (CEM-07).

    Of several exposures of a view more than one may fit; which one it is says ``app.state.hanging_fill.partner_of``.
    """
    return prior_number(one) == prior_number(other) and bool(contrast_pairs((one, other)))


def is_registered(one: ViewImage, other: ViewImage) -> bool:
    """True when the files say that the pixels of a contrast pair have one size; pictures cut out by hand do not."""
    return one.spacing is not None and one.spacing == other.spacing and one.orientation == other.orientation


def linked_point(
    source: ViewImage,
    target: ViewImage,
    point: Point,
    *,
    nipples: tuple[Point | None, Point | None] = (None, None),
) -> LinkedPoint | None:
    """Carry a stored (row, col) of ``source`` to ``target``.

    Parameters
    ----------
    nipples : stored (row, col) of the nipple on source and target; None = not marked.

    Returns
    -------
    The place, or None for another view, unknown spacing, or where it would lie outside the picture.
    """
    if source.view != target.view or source.key == target.key:
        return None
    if is_contrast_partner(source, target):
        exact = is_registered(source, target)
        method = _tr("same pixels") if exact else _tr("same pixels, registration not known")
        return LinkedPoint(row=point[0], col=point[1], method=method, exact=exact)
    one, other = geometry_of(source), geometry_of(target)
    from_mm, to_mm = one.hung_spacing, other.hung_spacing
    if from_mm is None or to_mm is None:
        return None
    if nipples[0] is not None and nipples[1] is not None:
        start, end = one.stored_to_hung(*nipples[0]), other.stored_to_hung(*nipples[1])
        method = _tr("same distance from nipple")
    else:
        start, end = _anchor(source), _anchor(target)
        method = _tr("same distance from chest wall")
    row, col = one.stored_to_hung(*point)
    hung = (
        end[0] + (row - start[0]) * from_mm[0] / to_mm[0],
        end[1] + (col - start[1]) * from_mm[1] / to_mm[1],
    )
    rows, cols = other.hung_size
    if not (0.0 <= hung[0] < rows and 0.0 <= hung[1] < cols):
        return None
    stored = other.hung_to_stored(*hung)
    return LinkedPoint(row=stored[0], col=stored[1], method=method, exact=False)


def _anchor(image: ViewImage) -> Point:
    """The hung point that two acquisitions of a view share: on the chest wall, at mid height or at the top."""
    rows, cols = geometry_of(image).hung_size
    wall = float(cols) if chest_wall_is_right(image.view.laterality) else 0.0
    return (rows / 2 if image.view.projection.is_axial else 0.0), wall
