"""Keeps what lies over a picture as small pictures of its own, so that a change of greys does not draw it again.

Drawing is the caller's; here is only when to draw, what to keep, and the blending of what was kept.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

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
    done: list[QRect] = []
    growing: dict[tuple[int, int], QRect] = {}
    for number, line in enumerate(lit):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], line.view(np.int8), [0]))))
        runs = {(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)}
        done += [rect for run, rect in growing.items() if run not in runs]
        growing = {
            run: growing[run].adjusted(0, 0, 0, TILE_PX)
            if run in growing
            else QRect(run[0] * TILE_PX, number * TILE_PX, (run[1] - run[0]) * TILE_PX, TILE_PX)
            for run in sorted(runs)
        }
    return done + list(growing.values())


class KeptLayer:
    """One layer of one viewport: drawn directly while it changes, from kept pictures while it stands still.

    Holds only the parts with something in them, so a layer of words costs kilobytes and microseconds.
    """

    def __init__(self) -> None:
        self._last: Hashable = None
        self._key: Hashable = None
        self._parts: list[tuple[QPointF, QImage]] = []

    @property
    def held_bytes(self) -> int:
        """Bytes of the kept pictures."""
        return sum(picture.sizeInBytes() for _, picture in self._parts)

    def forget(self) -> None:
        """Drop what is kept."""
        self._last = self._key = None
        self._parts = []

    def paint(
        self, painter: QPainter, size: QRectF, key: Hashable, draw: Callable[[QPainter], object]
    ) -> None:
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
        whole = (key, size.width(), size.height(), ratio)
        if whole != self._key:
            if whole != self._last:  # the first time: it may not stay
                self._last, self._key, self._parts = whole, None, []
                draw(painter)
                return
            self._parts, self._key = _kept(size, ratio, draw), whole
        for place, picture in self._parts:
            painter.drawImage(place, picture)


def _kept(size: QRectF, ratio: float, draw: Callable[[QPainter], object]) -> list[tuple[QPointF, QImage]]:
    form = QImage.Format.Format_ARGB32_Premultiplied
    canvas = QImage(max(1, round(size.width() * ratio)), max(1, round(size.height() * ratio)), form)
    canvas.fill(0)
    canvas.setDevicePixelRatio(ratio)
    inner = QPainter(canvas)
    draw(inner)
    inner.end()
    return [(QPointF(rect.topLeft()) / ratio, canvas.copy(rect)) for rect in lit_rects(canvas)]
