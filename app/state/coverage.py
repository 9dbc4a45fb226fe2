"""Which tissue of an image was on screen at actual pixels or larger, and for how long; and the tiles that show it all.

Counts on a coarse grid of stored pixels (one cell of the coarsest pyramid level). Knows no screen and no clock: it is
told what was visible for how many milliseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from app.state.display import Pyramid, compose_lut
from app.state.geometry import ViewGeometry, geometry_of
from inference.exam.types import Box, ViewImage

SEEN_MS = 200.0  # shorter is a glimpse while dragging, not seen
OVERLAP = 0.06  # of a tile, so that nothing is cut at every edge it crosses
_SLACK_PX = 2.0  # viewports lie on whole screen pixels, so a tile may be off by half a pixel
_OPEN_PX = 9
_BLACK_GREY = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How much of an image's tissue was shown at 1:1 or larger: share 0..1, and for how long any of it was."""

    share: float
    dwell_ms: int


def tissue_cells(
    image: ViewImage, pyramid: Pyramid, air: tuple[int, int] | None = None
) -> tuple[int, NDArray[np.bool_]]:
    """Find the cells that hold breast.

    Returns
    -------
    Side of a cell in image pixels, and (rows, cols) bool in stored orientation; the cells cover every pixel. Errs on
    the side of calling a cell tissue: the mask is grown by one cell, and all is tissue where no breast stands out.
    """
    small = pyramid.levels[-1]
    side = 2 ** (len(pyramid.levels) - 1)
    rows, cols = image.pixels.shape
    shape = (math.ceil(rows / side), math.ceil(cols / side))
    table = compose_lut(image.presentation, air=air, value_range=pyramid.value_range)
    grey = np.ascontiguousarray((table[small] & 0xFF).astype(np.uint8))
    threshold, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    lit = (grey > max(_BLACK_GREY, 0.15 * threshold)).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_OPEN_PX, _OPEN_PX))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(lit, cv2.MORPH_OPEN, disc))
    if count < 2:
        return side, np.ones(shape, np.bool_)
    best = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    # Opening takes thin ends (the nipple) away: grow back into what was lit, and a cell beyond.
    core = (labels == best).astype(np.uint8)
    grown = cv2.bitwise_and(cv2.dilate(core, disc), lit) | core
    grown = cv2.dilate(grown, np.ones((3, 3), np.uint8))
    cells = np.zeros(shape, np.bool_)
    cells[: grown.shape[0], : grown.shape[1]] = grown.astype(np.bool_)
    cells[grown.shape[0] :, :] = cells[grown.shape[0] - 1, :]
    cells[:, grown.shape[1] :] = cells[:, grown.shape[1] - 1 : grown.shape[1]]
    return side, cells


@dataclass(slots=True)
class ImageCoverage:
    """The running account of one image: tissue cells, and how long each was visible at 1:1 or larger."""

    side: int
    tissue: NDArray[np.bool_]  # (rows, cols) cells
    shape: tuple[int, int]  # image rows and columns, pixels
    dwell: NDArray[np.float32] = field(init=False)  # (rows, cols) ms
    total_ms: float = 0.0
    _share: float | None = None

    def __post_init__(self) -> None:
        self.dwell = np.zeros(self.tissue.shape, np.float32)

    def shown(self, visible: Box, ms: float) -> None:
        """Add time to the cells that lie wholly inside ``visible`` (stored pixels)."""
        rows, cols = self.shape
        row0, col0 = (
            math.ceil(max(visible.row0, 0.0) / self.side),
            math.ceil(max(visible.col0, 0.0) / self.side),
        )
        # A last cell that the picture's edge cuts short is complete when the edge is visible.
        row1 = self.dwell.shape[0] if visible.row1 >= rows else math.floor(visible.row1 / self.side)
        col1 = self.dwell.shape[1] if visible.col1 >= cols else math.floor(visible.col1 / self.side)
        if row1 > row0 and col1 > col0 and ms > 0.0:
            self.dwell[row0:row1, col0:col1] += np.float32(ms)
            self.total_ms += ms
            self._share = None

    def is_tissue(self, row: float, col: float) -> bool:
        """True where a stored (row, col) lies in a tissue cell."""
        r, c = int(row // self.side), int(col // self.side)
        rows, cols = self.tissue.shape
        return 0 <= r < rows and 0 <= c < cols and bool(self.tissue[r, c])

    def extent(self) -> tuple[float, float] | None:
        """Rows and columns of the picture that the breast takes up, image pixels; None where all is taken for tissue."""
        if self.tissue.all() or not self.tissue.any():
            return None
        down, across = np.flatnonzero(self.tissue.any(axis=1)), np.flatnonzero(self.tissue.any(axis=0))
        rows = min((int(down[-1]) + 1) * self.side, self.shape[0]) - int(down[0]) * self.side
        cols = min((int(across[-1]) + 1) * self.side, self.shape[1]) - int(across[0]) * self.side
        return float(rows), float(cols)

    def seen(self) -> Seen:
        """Return the share of tissue cells that were visible for at least ``SEEN_MS``."""
        if self._share is None:
            of = int(np.count_nonzero(self.tissue))
            done = int(np.count_nonzero(self.tissue & (self.dwell >= SEEN_MS)))
            self._share = done / of if of else 1.0
        return Seen(share=self._share, dwell_ms=round(self.total_ms))


def visible_box(
    geometry: ViewGeometry, *, top: float, left: float, scale: float, height: float, width: float
) -> Box | None:
    """Return the stored pixels inside a viewport.

    Parameters
    ----------
    top, left : screen position of the hung picture's corner; ``height`` and ``width`` of the viewport; ``scale``
        screen pixels per picture pixel. All in the same screen pixels.

    Returns
    -------
    The box in stored pixels, clipped to the picture; None when nothing is visible.
    """
    rows, cols = geometry.hung_size
    row0, col0 = max(0.0, -top / scale), max(0.0, -left / scale)
    row1, col1 = min(float(rows), (height - top) / scale), min(float(cols), (width - left) / scale)
    if row1 <= row0 or col1 <= col0:
        return None
    a, b = geometry.hung_to_stored(row0, col0), geometry.hung_to_stored(row1, col1)
    return Box(row0=min(a[0], b[0]), col0=min(a[1], b[1]), row1=max(a[0], b[0]), col1=max(a[1], b[1]))


def tissue_tiles(
    image: ViewImage,
    coverage: ImageCoverage,
    *,
    height: int,
    width: int,
    geometry: ViewGeometry | None = None,
) -> tuple[tuple[float, float], ...]:
    """List the viewport centres that together show all tissue at 1:1 (MG-11), row by row, turning at each end.

    Parameters
    ----------
    height, width : size of the viewport, screen pixels.
    geometry : as hung with the reader's flips; as the file hangs when None.

    Returns
    -------
    Centres as (hung row, hung col); tiles overlap and tiles without tissue are left out.
    """
    hung = geometry or geometry_of(image)
    boxes = _hung_cells(coverage, hung)
    if boxes.size == 0:
        return ()
    middle_row, middle_col = boxes[:, (0, 2)].mean(axis=1), boxes[:, (1, 3)].mean(axis=1)
    overlap = 2 * coverage.side
    down = _centers(boxes[:, 0].min(), boxes[:, 2].max(), height, overlap)
    across = _centers(boxes[:, 1].min(), boxes[:, 3].max(), width, overlap)
    tiles: list[tuple[float, float]] = []
    for number, row in enumerate(down):
        in_line = np.abs(middle_row - row) < height / 2
        line = [
            (row, col) for col in across if bool((in_line & (np.abs(middle_col - col) < width / 2)).any())
        ]
        tiles += line[::-1] if number % 2 else line
    return tuple(tiles)


def _hung_cells(coverage: ImageCoverage, hung: ViewGeometry) -> NDArray[np.float64]:
    """Edges of the tissue cells on the hung picture: (n, 4) row0, col0, row1, col1."""
    at = np.argwhere(coverage.tissue) * coverage.side
    if at.size == 0:
        return np.zeros((0, 4))
    ends = np.minimum(at + coverage.side, np.array(coverage.shape))
    matrix = hung.stored_to_hung_matrix()
    corners = [(matrix[:2, :2] @ one[:, ::-1].T).T + matrix[:2, 2] for one in (at, ends)]  # (x, y)
    low, high = np.minimum(*corners), np.maximum(*corners)
    return np.column_stack([low[:, 1], low[:, 0], high[:, 1], high[:, 0]])


def _centers(first: float, last: float, size: int, overlap: int) -> tuple[float, ...]:
    """Middles of the stretches of ``size`` that together cover first..last, each overlapping the next."""
    first, last = first - _SLACK_PX, last + _SLACK_PX
    span = last - first
    if span <= size:
        return (float(round((first + last) / 2)),)
    step = max(1.0, size - max(overlap, size * OVERLAP))
    count = max(2, math.ceil((span - size) / step) + 1)
    return tuple(float(round(center)) for center in np.linspace(first + size / 2, last - size / 2, count))
