"""Makes a picture of a viewport, or of the whole step, to be given away: no identity, "RESEARCH USE ONLY" in it.

Greys are P-values: the monitor's table stays on the monitor. Paints only; files and refusals are
``app.control.picture_export``.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter

from app.state.display import compose_lut, plan_crop, to_grey, warp
from app.state.overlays import AnnotationText, OverlayKind
from app.views import theme
from app.views.ai_arcs import AiArcLayer
from app.views.image_item import HeatPainter, Placement
from app.views.lettering import text
from app.views.painting import ScreenMap
from app.views.view_layers import BadgeLayer
from app.views.viewport import Viewport
from app.views.viewport_grid import ViewportGrid

_AI = frozenset({OverlayKind.AI_BOX, OverlayKind.CAD})


def _tr(words: str) -> str:
    return QCoreApplication.translate("export", words)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureContent:
    """What goes into the picture besides the greys; the enhancement's badge and the research words always do."""

    labels: bool = True  # view label, flags, orientation letters, scale
    marks: bool = True  # measurements, the reader's marks, the grid
    ai: bool = False  # the layers of AI and CAD that are on screen


def stage_picture(grid: ViewportGrid, content: PictureContent) -> QImage:
    """Paint all viewports of the step in their places; size in device pixels, RGB32."""
    ratio = grid.devicePixelRatioF()
    canvas = _black(grid.width(), grid.height(), ratio)
    painter = QPainter(canvas)
    for view in grid.viewports():
        if view.image is not None and view.isVisibleTo(grid):
            painter.drawImage(QPointF(view.pos()), view_picture(view, content))
    painter.end()
    return canvas


def view_picture(view: Viewport, content: PictureContent) -> QImage:
    """Paint one viewport as it stands; size in device pixels, RGB32, without identity and monitor's table."""
    ratio = view.devicePixelRatioF()
    canvas = _black(view.width(), view.height(), ratio)
    screen = view.screen_map()
    if screen is None or view.image is None:
        return canvas
    painter = QPainter(canvas)
    size = QRectF(0, 0, view.width(), view.height())
    _paint_greys(painter, view, screen, ratio, heat=content.ai)
    _paint_over(painter, size, view, screen, content)
    _paint_research(painter, size, view.text_scale)
    painter.end()
    return canvas


def _black(width: int, height: int, ratio: float) -> QImage:
    canvas = QImage(max(1, round(width * ratio)), max(1, round(height * ratio)), QImage.Format.Format_RGB32)
    canvas.setDevicePixelRatio(ratio)
    canvas.fill(Qt.GlobalColor.black)
    return canvas


def _paint_greys(painter: QPainter, view: Viewport, screen: ScreenMap, ratio: float, *, heat: bool) -> None:
    item, image, state = view.item, view.image, view.state()
    height, width = view.device_size()
    place = Placement(screen.scale * ratio, screen.top * ratio, screen.left * ratio, height, width)
    if image is None or item.pyramid is None:
        return
    crop = plan_crop(
        screen.geometry,
        item.pyramid,
        scale=place.scale,
        top=place.top,
        left=place.left,
        height=height,
        width=width,
    )
    if crop is None:
        return
    table = compose_lut(
        image.presentation,
        voi_index=state.voi_index,
        center=state.center,
        width=state.width,
        inverted=state.inverted,
        air=item.air,
        value_range=item.pyramid.value_range,
        display=None,
    )
    grey = to_grey(warp(item.pyramid, crop, air=item.air if state.inverted else None), table)
    form = QImage.Format.Format_RGB32
    painter.save()
    painter.scale(1 / ratio, 1 / ratio)
    painter.drawImage(
        crop.col0, crop.row0, QImage(grey.data.cast("B"), crop.cols, crop.rows, crop.cols * 4, form)
    )
    if heat and view.over.heat is not None:
        layer = HeatPainter()
        layer.set_layer(view.over.heat)
        layer.paint(painter, screen.geometry, crop, place)
    painter.restore()


def _paint_over(
    painter: QPainter, size: QRectF, view: Viewport, screen: ScreenMap, content: PictureContent
) -> None:
    over = view.over
    # Words saved by others may name the woman, so their drawings stay out; a shutter hides, so it stays.
    items = [
        item
        for item in over.items
        if item.kind is OverlayKind.SHUTTER
        or (content.ai if item.kind in _AI else content.marks and item.kind is not OverlayKind.SAVED)
    ]
    steady = [
        layer
        for layer in over.layers
        if view.image is not None
        and layer.token(view.image) is not None
        and (content.ai if isinstance(layer, AiArcLayer) else content.marks or isinstance(layer, BadgeLayer))
    ]
    over.paint_marks(painter, size, view, screen, items, steady)
    heat = over.heat if content.ai else None
    if content.labels:
        words = AnnotationText(
            view_label=over.words.view_label,
            flags=over.words.flags,
            score=over.words.score if content.ai else "",
            ai=over.words.ai if content.ai else "",
            ai_warns=over.words.ai_warns,
        )
        over.draw_edges(painter, size, view, screen, words, heat)


def _paint_research(painter: QPainter, size: QRectF, scale: float) -> None:
    painter.setFont(theme.font(theme.SMALL_PX, scale=scale, bold=True))
    words = _tr("RESEARCH USE ONLY")
    metrics = QFontMetricsF(painter.font())
    wide, high = metrics.horizontalAdvance(words), metrics.height()
    at = QPointF((size.width() - wide) / 2, size.height() - 0.5 * high)
    painter.fillRect(
        QRectF(at.x() - 5, at.y() - metrics.ascent() - 2, wide + 10, high + 4), QColor(0, 0, 0, 190)
    )
    text(painter, at, words, QColor(theme.ACCENT))
