"""What one viewport paints over its picture: marks, layers of the tools, the words at the edges, the legend.

Keeps what stands still as small pictures, so that a change of greys costs no drawing; the heat map itself belongs to
``app.views.image_item``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter

from app.state.geometry import chest_wall_is_right, orientation_letters
from app.state.label_places import Ground
from app.state.overlays import AnnotationText, HeatLayer, OverlayItem, OverlayKind
from app.views import edge_text, painting, theme
from app.views.ai_painting import Canvas, paint_findings
from app.views.kept_layer import KeptLayer
from app.views.painting import ScreenMap
from app.views.tools import Layer

if TYPE_CHECKING:
    from app.views.viewport import Viewport

_BELOW = frozenset({OverlayKind.SHUTTER, OverlayKind.SAVED, OverlayKind.CAD})


class OverPicture:
    """Everything over one viewport's picture; it paints what it was told last."""

    def __init__(self) -> None:
        self.items: tuple[OverlayItem, ...] = ()
        self.heat: HeatLayer | None = None
        self.words = AnnotationText()
        self.words_shown = True  # False hides identity, technique and evidence (MG-27)
        self.layers: tuple[Layer, ...] = ()
        self._marks, self._edges = KeptLayer(), KeptLayer()
        self._air: tuple[object, edge_text.Clearance | None] | None = None

    @property
    def held_bytes(self) -> int:
        """Bytes of the kept pictures."""
        return self._marks.held_bytes + self._edges.held_bytes

    def clear(self) -> None:
        """Another picture comes: its marks and map are not this one's."""
        self.items, self.heat, self._air = (), None, None
        self._marks.forget()
        self._edges.forget()

    def paint(self, painter: QPainter, size: QRectF, view: Viewport, screen: ScreenMap) -> None:
        """Paint over the picture of ``view``; ``painter`` in its logical pixels, ``size`` with its corner at 0, 0."""
        image = view.image
        if image is None:
            return
        tokens = [(layer, layer.token(image)) for layer in self.layers]
        steady = [layer for layer, token in tokens if token is not None]
        beside = (self.words, self.heat is None) if self.has_ai else None  # labels keep clear of the words
        key = (screen, view.text_scale, self.items, tuple(token for _, token in tokens), beside)
        self._marks.paint(
            painter, size, key, lambda on: self.paint_marks(on, size, view, screen, self.items, steady)
        )
        for layer, token in tokens:
            if token is None:
                layer.paint(painter, view, screen, image)
        self._paint_edges(painter, size, view, screen)

    @property
    def has_ai(self) -> bool:
        """True while a mark of AI or CAD is painted."""
        return any(item.kind in {OverlayKind.AI_BOX, OverlayKind.CAD} for item in self.items)

    def paint_marks(
        self,
        painter: QPainter,
        size: QRectF,
        view: Viewport,
        screen: ScreenMap,
        items: Sequence[OverlayItem],
        layers: Sequence[Layer],
    ) -> None:
        """Paint boxes, marks and layers now, without keeping them."""
        if items:
            scale = view.text_scale
            font = theme.font(theme.SMALL_PX, scale=scale)
            found = [item for item in items if item.kind is OverlayKind.AI_BOX]
            first = [item for item in items if item.kind in _BELOW]
            last = [item for item in items if item.kind not in _BELOW and item.kind is not OverlayKind.AI_BOX]
            painting.paint_items(painter, first, screen, font, width=size.width(), scale=scale)
            if found:
                ground = self._ground(size, view, screen)
                paint_findings(painter, found, Canvas(screen=screen, ground=ground, font=font, scale=scale))
            painting.paint_items(painter, last, screen, font, width=size.width(), scale=scale)
        for layer in layers:
            if view.image is not None:
                layer.paint(painter, view, screen, view.image)

    def _ground(self, size: QRectF, view: Viewport, screen: ScreenMap) -> Ground:
        """The viewport's air as labels may use it, and the words that stand in it already."""
        info = _edge_info(view, screen, self.words, self.words_shown, self.heat)
        if info is None or view.image is None:
            return Ground(width=size.width(), height=size.height(), air_left=True)
        air = self._clearance(size, view, screen, air_left=info.air_left)
        return Ground(
            width=size.width(),
            height=size.height(),
            air_left=info.air_left,
            free=() if air is None else air.skin(),
            taken=() if air is None else edge_text.taken(size, info, air.step, scale=view.text_scale),
            step=8.0 if air is None else air.step,
        )

    def _clearance(
        self, size: QRectF, view: Viewport, screen: ScreenMap, *, air_left: bool
    ) -> edge_text.Clearance | None:
        """The air as the picture stands; looked up once a place, for labels and words alike."""
        pyramid = view.item.pyramid
        key = (size.width(), size.height(), screen, id(pyramid), air_left)
        if self._air is None or self._air[0] != key:
            found = None
            if view.image is not None:
                found = edge_text.clearance_of(view.image, pyramid, screen, size, air_left=air_left)
            self._air = (key, found)
        return self._air[1]

    def _paint_edges(self, painter: QPainter, size: QRectF, view: Viewport, screen: ScreenMap) -> None:
        info = _edge_info(view, screen, self.words, self.words_shown, self.heat)
        key = (screen, view.text_scale, info, self.heat, view.item.pyramid)
        self._edges.paint(
            painter, size, key, lambda on: self.draw_edges(on, size, view, screen, self.words, self.heat)
        )

    def draw_edges(
        self,
        painter: QPainter,
        size: QRectF,
        view: Viewport,
        screen: ScreenMap,
        words: AnnotationText,
        heat: HeatLayer | None,
    ) -> None:
        """Draw words, letters and scale at the edges and the map's legend now, without keeping them."""
        info = _edge_info(view, screen, words, self.words_shown, heat)
        if info is None or view.image is None:
            return
        air_left = info.air_left
        free = self._clearance(size, view, screen, air_left=air_left)
        edge_text.paint_edges(painter, size, replace(info, clearance=free), scale=view.text_scale)
        if heat is not None:
            painting.paint_legend(painter, size, heat, air_left=air_left, scale=view.text_scale)


def _edge_info(
    view: Viewport, screen: ScreenMap, words: AnnotationText, shown: bool, heat: HeatLayer | None
) -> edge_text.EdgeInfo | None:
    image, state = view.image, view.state()
    if image is None:
        return None
    spacing = screen.geometry.hung_spacing
    return edge_text.EdgeInfo(
        words=words,
        letters=orientation_letters(image.view, flipped_h=state.flipped_h, flipped_v=state.flipped_v),
        state=replace(state, center=None, width=None),  # greys are not written at the edges
        air_left=chest_wall_is_right(image.view.laterality, flipped_h=state.flipped_h),
        mm_per_px=None if spacing is None else spacing[0] / screen.scale,
        shown=shown,
        legend=heat is not None,
    )
