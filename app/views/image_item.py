"""Our one graphics item inside pyqtgraph's ViewBox: the picture, and the heat map over it.

Samples only the visible crop, keeps it until the geometry changes, and looks greys up in one table.
Decides nothing:
what to show is the ``ViewportState`` it is handed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

from app.state.display import (
    Crop,
    Packed,
    Pixels,
    Pyramid,
    ViewportState,
    air_range,
    compose_lut,
    plan_crop,
    to_grey,
    warp,
)
from app.state.geometry import ViewGeometry, geometry_of
from app.state.gsdf import DisplayTable
from app.state.overlays import HeatLayer, heat_argb
from app.views.kept_layer import lit_rects
from inference.exam.types import ViewImage

_HEAT_SIDE = 384  # the small map is enlarged smoothly to this many pixels before it is coloured


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the hung picture lies on the screen, device pixels."""

    scale: float
    top: float
    left: float
    height: int
    width: int


class ImageItem(pg.GraphicsObject):  # type: ignore[misc]
    """Draws one image in hung coordinates; x = hung column, y = hung row."""

    def __init__(self) -> None:
        super().__init__()
        self.image: ViewImage | None = None
        self.pyramid: Pyramid | None = None
        self.geometry: ViewGeometry | None = None
        self.air: tuple[int, int] | None = None
        self._state = ViewportState()
        self._table: Packed | None = None
        self._table_inverted: Packed | None = None
        self._display: DisplayTable | None = None
        self._placement: Placement | None = None
        self._asked: Placement | None = None
        self._crop: Crop | None = None
        self._values: Pixels | None = None
        self._spare: tuple[Placement | None, Crop | None, Pixels | None] = (None, None, None)
        self._grey: NDArray[np.int32] | None = None
        self._grey_is_old = True
        self._heat = HeatPainter()

    # ------------------------------------------------------------ what is shown

    def set_image(self, image: ViewImage | None, pyramid: Pyramid | None) -> None:
        """Show another image; the pyramid is built when none is given."""
        self.prepareGeometryChange()
        self.image = image
        self.pyramid = None if image is None else pyramid or Pyramid(image.pixels)
        self.geometry = None if image is None else geometry_of(image)
        self.air = None if image is None or self.pyramid is None else air_range(image, self.pyramid.levels[0])
        self._table = self._table_inverted = self._placement = self._crop = None
        self._spare = (None, None, None)
        self._grey_is_old = True

    def set_state(self, state: ViewportState) -> None:
        """Take over greys and flips; zoom and pan arrive through the ViewBox."""
        old, self._state = self._state, state
        if self.image is None:
            return
        if _greys(old) != _greys(state):
            self._table = self._table_inverted = None
            self._grey_is_old = True
        if old.inverted != state.inverted:
            # Inverted greys need air set apart (MG-18): two samplings, kept so that toggling costs none.
            now = (self._placement, self._crop, self._values)
            (self._placement, self._crop, self._values), self._spare = self._spare, now
        if (old.flipped_h, old.flipped_v) != (state.flipped_h, state.flipped_v):
            self._spare = (None, None, None)
            base = geometry_of(self.image)
            self.geometry = base.flipped(horizontally=state.flipped_h, vertically=state.flipped_v)
            self._placement = None

    def set_heat(self, layer: HeatLayer | None) -> None:
        """Lay a heat map over the picture, or take it away."""
        self._heat.set_layer(layer)

    def set_placement(self, placement: Placement) -> None:
        """Say exactly where the picture lies: at 125 % the toolkit's own transform is off by a part of a pixel, and
        1:1 would be blurred (MG-11)."""
        self._asked = placement

    def set_display(self, display: DisplayTable | None) -> None:
        """Take the monitor's table from P-value to driving level; None = as they are, on an 8-bit surface."""
        if display is not self._display:
            self._display, self._grey_is_old = display, True
            self._table = self._table_inverted = None
            self.update()

    @property
    def picture_format(self) -> QImage.Format:
        """Layout of the pixels that ``table`` yields."""
        ten = self._display is not None and self._display.bits == 10
        return QImage.Format.Format_RGB30 if ten else QImage.Format.Format_RGB32

    def table(self) -> Packed:
        """Return the (65536,) uint32 table in force."""
        if self.image is None or self.pyramid is None:
            raise RuntimeError("no image is shown, so there is no grey table")
        if self._table is None:
            self._table = self._compose(inverted=self._state.inverted)
        return self._table

    def inverted_table(self) -> Packed:
        """Return the table of the other polarity, for a glass that inverts."""
        if self._table_inverted is None:
            self._table_inverted = self._compose(inverted=not self._state.inverted)
        return self._table_inverted

    def _compose(self, *, inverted: bool) -> Packed:
        if self.image is None or self.pyramid is None:
            raise RuntimeError("no image is shown, so there is no grey table")
        state = self._state
        return compose_lut(
            self.image.presentation,
            voi_index=state.voi_index,
            center=state.center,
            width=state.width,
            inverted=inverted,
            air=self.air,
            value_range=self.pyramid.value_range,
            display=self._display,
        )

    def set_pyramid(self, pyramid: Pyramid) -> None:
        """Show other pixels of the same image in the same place: the enhanced picture, or the original again."""
        self.pyramid = pyramid
        self._table = self._table_inverted = self._placement = self._crop = None
        self._spare = (None, None, None)
        self._grey_is_old = True

    # ------------------------------------------------------------ Qt

    def boundingRect(self) -> QRectF:
        if self.geometry is None:
            return QRectF()
        rows, cols = self.geometry.hung_size
        return QRectF(0, 0, cols, rows)

    def paint(
        self, painter: QPainter, _option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        if self.image is None or self.geometry is None or self.pyramid is None or widget is None:
            return
        # worldTransform and not deviceTransform: the latter is wrong while the widget is grabbed.
        world = painter.worldTransform()
        ratio = widget.devicePixelRatioF()
        placement = Placement(
            round(world.m11() * ratio, 9),
            round(world.dy() * ratio, 4),
            round(world.dx() * ratio, 4),
            round(widget.height() * ratio),
            round(widget.width() * ratio),
        )
        asked = self._asked
        if asked is not None and (asked.height, asked.width) == (placement.height, placement.width):
            placement = asked
        if placement != self._placement:
            self._resample(placement)
        painter.save()
        painter.resetTransform()
        if self._crop is not None and self._values is not None:
            self._draw(painter, self._crop, self._values, placement, ratio)
        else:
            painter.fillRect(widget.rect(), Qt.GlobalColor.black)
        painter.restore()

    def _draw(
        self, painter: QPainter, crop: Crop, values: Pixels, placement: Placement, ratio: float
    ) -> None:
        if self._grey_is_old or self._grey is None:
            keep = self._grey if self._grey is not None and self._grey.shape == values.shape else None
            self._grey = to_grey(values, self.table(), keep)
            self._grey_is_old = False
        picture = QImage(self._grey.data.cast("B"), crop.cols, crop.rows, crop.cols * 4, self.picture_format)
        painter.scale(1 / ratio, 1 / ratio)
        for strip in _around(crop, placement):
            painter.fillRect(strip, Qt.GlobalColor.black)
        painter.drawImage(crop.col0, crop.row0, picture)
        if self.geometry is not None:
            self._heat.paint(painter, self.geometry, crop, placement)

    def _resample(self, placement: Placement) -> None:
        if self.geometry is None or self.pyramid is None:
            return
        crop = plan_crop(
            self.geometry,
            self.pyramid,
            scale=placement.scale,
            top=placement.top,
            left=placement.left,
            height=placement.height,
            width=placement.width,
        )
        air = self.air if self._state.inverted else None
        before, old_crop, old_values = self._placement, self._crop, self._values
        self._placement, self._crop, self._grey_is_old = placement, crop, True
        if crop is None:
            return
        shifted = None
        if before is not None and old_crop is not None and old_values is not None:
            shifted = _shift(self.pyramid, crop, placement, old_crop, old_values, before, air)
        if shifted is not None:
            self._values = shifted
            return
        fits = old_values is not None and old_values.shape == (crop.rows, crop.cols)
        self._values = warp(self.pyramid, crop, old_values if fits else None, air=air)


def _greys(state: ViewportState) -> tuple[object, ...]:
    return state.voi_index, state.center, state.width, state.inverted


def _around(crop: Crop, place: Placement) -> list[QRectF]:
    bottom, right = crop.row0 + crop.rows, crop.col0 + crop.cols
    strips = [
        QRectF(0, 0, place.width, crop.row0),
        QRectF(0, bottom, place.width, place.height - bottom),
        QRectF(0, crop.row0, crop.col0, crop.rows),
        QRectF(right, crop.row0, place.width - right, crop.rows),
    ]
    return [strip for strip in strips if strip.width() > 0 and strip.height() > 0]


def _shift(
    pyramid: Pyramid,
    crop: Crop,
    place: Placement,
    old_crop: Crop,
    old_values: Pixels,
    before: Placement,
    air: tuple[int, int] | None,
) -> Pixels | None:
    """Move what is already sampled by whole pixels and sample only the strips that come into view."""
    down, across = round(place.top - before.top), round(place.left - before.left)
    if place.scale != before.scale or (place.top - before.top, place.left - before.left) != (down, across):
        return None
    row0, col0 = max(crop.row0, old_crop.row0 + down), max(crop.col0, old_crop.col0 + across)
    row1 = min(crop.row0 + crop.rows, old_crop.row0 + down + old_crop.rows)
    col1 = min(crop.col0 + crop.cols, old_crop.col0 + across + old_crop.cols)
    if row1 - row0 < crop.rows // 2 or col1 - col0 < crop.cols // 2:
        return None
    values = np.empty((crop.rows, crop.cols), np.uint16)
    top, left = old_crop.row0 + down, old_crop.col0 + across
    values[row0 - crop.row0 : row1 - crop.row0, col0 - crop.col0 : col1 - crop.col0] = old_values[
        row0 - top : row1 - top, col0 - left : col1 - left
    ]
    end_row, end_col = crop.row0 + crop.rows, crop.col0 + crop.cols
    strips = (
        (crop.row0, crop.col0, row0, end_col),
        (row1, crop.col0, end_row, end_col),
        (row0, crop.col0, row1, col0),
        (row0, col1, row1, end_col),
    )
    for r0, c0, r1, c1 in strips:
        if r1 > r0 and c1 > c0:
            matrix = crop.matrix.copy()
            matrix[:, 2] += matrix[:, 0] * (c0 - crop.col0) + matrix[:, 1] * (r0 - crop.row0)
            part = replace(crop, row0=r0, col0=c0, rows=r1 - r0, cols=c1 - c0, matrix=matrix)
            values[r0 - crop.row0 : r1 - crop.row0, c0 - crop.col0 : c1 - crop.col0] = warp(
                pyramid, part, air=air
            )
    return values


class HeatPainter:
    """Keeps the coloured map; drawn small and smooth while the view moves, as a ready layer while it
    stands."""

    def __init__(self) -> None:
        self._layer: HeatLayer | None = None
        self._small: QImage | None = None
        self._small_key: object = None
        self._ready: list[tuple[int, int, QImage]] | None = (
            None  # the parts with evidence: left, top, picture
        )
        self._ready_key: object = None
        self._last_key: object = None
        self._memory: NDArray[np.uint32] | None = None

    def set_layer(self, layer: HeatLayer | None) -> None:
        """Take another map; None = no map."""
        self._layer = layer
        self._small_key = self._ready_key = self._last_key = None

    def paint(self, painter: QPainter, geometry: ViewGeometry, crop: Crop, place: Placement) -> None:
        """Draw the map over the visible crop; ``painter`` is in device pixels."""
        if self._layer is None:
            return
        key = (place, geometry.orientation)
        if key == self._ready_key and self._ready is not None:
            for left, top, part in self._ready:
                painter.drawImage(crop.col0 + left, crop.row0 + top, part)
            return
        if key == self._last_key:
            ready = QImage(crop.cols, crop.rows, QImage.Format.Format_ARGB32_Premultiplied)
            ready.fill(0)
            inner = QPainter(ready)
            inner.translate(-crop.col0, -crop.row0)
            self._stretch(inner, self._layer, geometry, place)
            inner.end()
            self._ready = [(rect.left(), rect.top(), ready.copy(rect)) for rect in lit_rects(ready)]
            self._ready_key = key
            painter.drawImage(crop.col0, crop.row0, ready)
            return
        self._last_key = key
        painter.save()
        painter.setClipRect(crop.col0, crop.row0, crop.cols, crop.rows)
        self._stretch(painter, self._layer, geometry, place)
        painter.restore()

    def _stretch(self, painter: QPainter, layer: HeatLayer, geometry: ViewGeometry, place: Placement) -> None:
        if self._small is None or self._small_key != geometry.orientation:
            self._small = self._coloured(layer, geometry)
            self._small_key = geometry.orientation
        rows, cols = geometry.hung_size
        target = QRectF(place.left, place.top, cols * place.scale, rows * place.scale)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
        painter.drawImage(target, self._small, QRectF(self._small.rect()))

    def _coloured(self, layer: HeatLayer, geometry: ViewGeometry) -> QImage:
        rows, cols = layer.values.shape
        grow = max(1.0, _HEAT_SIDE / max(rows, cols))
        size = (round(cols * grow), round(rows * grow))
        values = cv2.resize(layer.values, size, interpolation=cv2.INTER_LINEAR)
        argb = heat_argb(replace(layer, values=values))
        self._memory = np.ascontiguousarray(geometry.orient(argb)).astype(np.uint32, copy=False)
        height, width = self._memory.shape
        form = QImage.Format.Format_ARGB32_Premultiplied
        return QImage(self._memory.data.cast("B"), width, height, width * 4, form)
