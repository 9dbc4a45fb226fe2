"""Where the labels of findings stand: in the air beside the breast, never over each other, else beside their boxes.

Pure geometry in logical pixels of one viewport; drawing belongs to ``app.views.ai_painting``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_GAP_PX = 8.0  # between label and skin
_BESIDE_PX = 4.0  # between label and box where there is no air


@dataclass(frozen=True, slots=True, kw_only=True)
class Rect:
    """A rectangle on the screen, logical pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Rect) -> bool:
        """True where the two share more than an edge."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedLabel:
    """Where one label stands; ``in_air`` = away from its box, which then needs a tag of its own."""

    rect: Rect
    in_air: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The viewport's ground: its size, on which side the air is, and how much of it is free.

    ``free`` and ``taken`` hold logical pixels from the air's edge at height k * ``step``: up to the skin, and what words
    at the edge already cover. Without ``free`` there is no air.
    """

    width: float
    height: float
    air_left: bool
    free: Sequence[float] = ()
    taken: Sequence[float] = ()
    step: float = 8.0


def place_labels(
    boxes: Sequence[Rect], widths: Sequence[float], height: float, ground: Ground
) -> tuple[PlacedLabel | None, ...]:
    """Find a place for each label.

    Parameters
    ----------
    boxes : on screen, the most important first: it gets the best place.
    widths, height : of the labels.

    Returns
    -------
    One place a box, in the same order. In the air at the height of the box where there is room (nearest free height
    first), else above, below or beside the box where it covers no other box or label; None where the box is not on
    screen or nothing is free.
    """
    placed: list[Rect] = []
    found: list[PlacedLabel | None] = []
    bands = _bands(height, ground, len(boxes))
    for box, width in zip(boxes, widths, strict=True):
        place: PlacedLabel | None = None
        if _is_seen(box, ground):
            others = (*placed, *(other for other in boxes if other is not box))
            place = _in_air(box, width, height, bands, ground, placed, boxes) or _beside(
                box, width, height, ground, others
            )
        if place is not None:
            placed.append(place.rect)
        found.append(place)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Bands:
    """Heights at which a label may stand in the air, (n,) each: middle, room for it, and where the room ends."""

    top: NDArray[np.float64]
    room: NDArray[np.float64]
    near: NDArray[np.float64]  # from the air's edge to the label's inner end


def _bands(height: float, ground: Ground, count: int) -> _Bands:
    """Heights for ``count`` labels: every ``ground.step``, or, where they are many, packed without gaps."""
    nothing = np.zeros(0)
    covers = math.ceil(height / ground.step) + 1
    rows = min(len(ground.free), len(ground.taken))
    if rows < covers:
        return _Bands(nothing, nothing, nothing)
    free, taken = np.asarray(ground.free, np.float64), np.asarray(ground.taken, np.float64)
    stride = ground.step if 2 * count * height < ground.height else height
    top = np.arange(0.0, ground.height - height, stride)
    first = np.minimum((top / ground.step).astype(np.int64), rows - covers)
    window = first[:, None] + np.arange(covers)
    near = free[window].min(axis=1) - _GAP_PX
    return _Bands(top, near - taken[window].max(axis=1), near)


def _is_seen(box: Rect, ground: Ground) -> bool:
    return box.right > 0 and box.bottom > 0 and box.left < ground.width and box.top < ground.height


def _in_air(
    box: Rect,
    width: float,
    height: float,
    bands: _Bands,
    ground: Ground,
    placed: Sequence[Rect],
    boxes: Sequence[Rect],
) -> PlacedLabel | None:
    """The free place nearest to the height of the box; farther than half a viewport is too far.

    Where a box reaches into the air the label stands beyond it, if there is room.
    """
    away = np.abs(bands.top + (height - box.top - box.bottom) / 2)
    fits = np.flatnonzero((bands.room >= width) & (away <= ground.height / 2))
    for k in fits[np.argsort(away[fits], kind="stable")].tolist():
        near, top = float(bands.near[k]), float(bands.top[k])
        left = near - width if ground.air_left else ground.width - near
        rect = Rect(left=left, top=top, right=left + width, bottom=top + height)
        rect = _beyond(rect, boxes, float(bands.room[k]) - width, ground)
        if not any(rect.meets(other) for other in placed):
            return PlacedLabel(rect=rect, in_air=True)
    return None


def _beyond(rect: Rect, boxes: Sequence[Rect], room: float, ground: Ground) -> Rect:
    """The same label farther out, clear of boxes in the air; unmoved where ``room`` pixels are not enough."""
    shift = 0.0
    for _ in range(len(boxes)):
        moved = -shift if ground.air_left else shift
        now = Rect(left=rect.left + moved, top=rect.top, right=rect.right + moved, bottom=rect.bottom)
        met = [box for box in boxes if now.meets(box)]
        if not met:
            return now
        edge = min(box.left for box in met) if ground.air_left else max(box.right for box in met)
        shift = _BESIDE_PX + (rect.right - edge if ground.air_left else edge - rect.left)
        if shift > room:
            return rect
    return rect


def _beside(
    box: Rect, width: float, height: float, ground: Ground, others: Sequence[Rect]
) -> PlacedLabel | None:
    middle = (box.top + box.bottom - height) / 2
    left = min(max(box.left, 0.0), ground.width - width)
    outward = box.left - width - _BESIDE_PX if ground.air_left else box.right + _BESIDE_PX
    inward = box.right + _BESIDE_PX if ground.air_left else box.left - width - _BESIDE_PX
    corners = (
        (left, box.top - height - _BESIDE_PX),
        (left, box.bottom + _BESIDE_PX),
        (outward, middle),
        (inward, middle),
    )
    for x, y in corners:
        rect = Rect(left=x, top=y, right=x + width, bottom=y + height)
        inside = 0 <= x <= ground.width - width and 0 <= y <= ground.height - height
        if inside and not any(rect.meets(other) for other in others):
            return PlacedLabel(rect=rect, in_air=False)
    return None
