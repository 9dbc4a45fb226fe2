"""Keeps what lies over a picture as small pictures of its own, so that a change of greys does not draw it again.

Drawing is the caller's; here is only when to draw, what to keep, and the blending of what was kept.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRect, QRectF
from PySide6.QtGui import QImage, QPainter

TILE_PX = 32


def lit_rects(picture: QImage) -> list[QRect]:
    """Find where a picture is not wholly transparent.

    Parameters
    ----------
    picture : ARGB32 premultiplied.

    Returns
    -------
    Rectangles that do not overlap and cover every pixel with any alpha, on a lattice of ``TILE_PX``.
    """
    rows, cols = picture.height(), picture.width()
    if rows == 0 or cols == 0:
        return []
    words: NDArray[np.uint32] = np.frombuffer(picture.constBits(), np.uint32).reshape(rows, cols)
    lit = np.zeros((-(-rows // TILE_PX), -(-cols // TILE_PX)), np.bool_)
    across = np.arange(0, cols, TILE_PX)
    for number, top in enumerate(range(0, rows, TILE_PX)):
        lit[number] = np.bitwise_or.reduceat(np.bitwise_or.reduce(words[top : top + TILE_PX]), across) != 0
    return [rect.intersected(picture.rect()) for rect in _merged(lit)]


def _merged(lit: NDArray[np.bool_]) -> list[QRect]:
    """Join lit tiles to runs along a row, and equal runs of rows below each other."""
    rimmed = np.zeros((lit.shape[0], lit.shape[1] + 2), np.int8)
    rimmed[:, 1:-1] = lit
    edges = np.diff(rimmed, axis=1)
    runs: list[list[tuple[int, int]]] = [[] for _ in range(lit.shape[0])]
    for (row, first), (_, last) in zip(np.argwhere(edges > 0), np.argwhere(edges < 0), strict=True):
        runs[row].append((int(first), int(last)))
    done: list[QRect] = []
    growing: dict[tuple[int, int], QRect] = {}
    for number, line in enumerate(runs):
        done += [rect for run, rect in growing.items() if run not in line]
        growing = {
            run: growing[run].adjusted(0, 0, 0, TILE_PX)
            if run in growing
            else QRect(run[0] * TILE_PX, number * TILE_PX, (run[1] - run[0]) * TILE_PX, TILE_PX)
            for run in line
        }
    return done + list(growing.values())


Parts = list[tuple[QPointF, QImage]]
_DIRECTLY = 3  # times; a window that opens is painted twice by the toolkit
_MOST = 2  # looks that are kept: what is toggled, such as the polarity, goes back and forth between two


class KeptLayer:
    """One layer of one viewport: drawn directly while it changes, from kept pictures while it stands still.

    Holds only the parts with something in them, so a layer of words costs kilobytes and microseconds.
    """

    def __init__(self) -> None:
        # The last looks, oldest first; a number = drawn directly so often. Compared and not hashed: a hash goes
        # through every word and mark at every paint, a comparison stops at the first difference.
        self._looks: list[tuple[object, Parts | int]] = []

    @property
    def held_bytes(self) -> int:
        """Bytes of the kept pictures."""
        ready = [parts for _, parts in self._looks if not isinstance(parts, int)]
        return sum(picture.sizeInBytes() for parts in ready for _, picture in parts)

    def forget(self) -> None:
        """Drop what is kept."""
        self._looks = []

    def paint(self, painter: QPainter, size: QRectF, key: object, draw: Callable[[QPainter], object]) -> None:
        """Paint the layer.

        Parameters
        ----------
        painter : in logical pixels of the widget, no other transform.
        size : of the widget, logical pixels; corner at the origin.
        key : equal keys look equal.
        draw : paints the layer with the painter it is given.
        """
        device = painter.device()
        ratio = 1.0 if device is None else device.devicePixelRatioF()
        whole = (size.width(), size.height(), ratio, key)
        at = next((n for n, (look, _) in enumerate(self._looks) if look == whole), None)
        parts = 0 if at is None else self._looks[at][1]
        if isinstance(parts, int):
            stays = parts >= _DIRECTLY
            parts = _parts(size, ratio, draw) if stays else parts + 1
            if at is None:
                self._looks = [*self._looks[1 - _MOST :], (whole, parts)]
            else:
                self._looks[at] = (whole, parts)
            if isinstance(parts, int):
                draw(painter)
                return
        for place, picture in parts:
            painter.drawImage(place, picture)


def _parts(size: QRectF, ratio: float, draw: Callable[[QPainter], object]) -> Parts:
    form = QImage.Format.Format_ARGB32_Premultiplied
    canvas = QImage(max(1, round(size.width() * ratio)), max(1, round(size.height() * ratio)), form)
    canvas.fill(0)
    canvas.setDevicePixelRatio(ratio)
    inner = QPainter(canvas)
    draw(inner)
    inner.end()
    return [(QPointF(rect.topLeft()) / ratio, canvas.copy(rect)) for rect in lit_rects(canvas)]
