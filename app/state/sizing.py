"""At what scale and where a hung picture lies in its viewport: fit, same size, actual pixels, true size.

Owns the placing rules (chest wall to the viewport's inner edge, axilla at the top) and the common scale
of several
images. Does not sample pixels for the screen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from app.state.display import Pyramid, ViewportState, ZoomMode, compose_lut
from app.state.geometry import ViewGeometry, chest_wall_is_right, geometry_of
from inference.exam.types import Box, ViewImage
from resources.translation import translate

_STRIP = 13  # pixels of the coarsest pyramid level, whose shorter side has 128 to 255
_BLACK_GREY = 10  # of 255, in the file's own window: film scanned beside the breast is not quite black
OBLONG = 0.01  # of a pixel's side
MARGIN = 1.04  # room left around the largest breast at same size


def _tr(text: str) -> str:
    return translate("sizing", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class SameSize:
    """A common size: screen pixels per image pixel by image key, mm per screen pixel (None = estimated),
    and why."""

    scales: Mapping[str, float]
    mm_per_px: float | None
    reason: str


def breast_extent(image: ViewImage, pyramid: Pyramid, air: tuple[int, int] | None = None) -> Box:
    """Return the rectangle around the breast in hung pixels; the whole picture when no breast stands out."""
    geometry = geometry_of(image)
    rows, cols = geometry.hung_size
    small = pyramid.levels[-1]
    table = compose_lut(image.presentation, air=air, value_range=pyramid.value_range)
    grey = np.ascontiguousarray(geometry.orient((table[small] & 0xFF).astype(np.uint8)))
    threshold, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    _, mask = cv2.threshold(grey, max(4.0, 0.3 * threshold), 255, cv2.THRESH_BINARY)
    # Opening cuts off the bright strips at the edges of digitised film, which would count as breast.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_STRIP, _STRIP))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disc)
    count, _, stats, _ = cv2.connectedComponentsWithStats(opened)
    if count < 2:
        return Box(row0=0, col0=0, row1=rows, col1=cols)
    best = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    x, y, w, h = (int(v) for v in stats[best, :4])
    down, across = rows / grey.shape[0], cols / grey.shape[1]
    return Box(row0=y * down, col0=x * across, row1=(y + h) * down, col1=(x + w) * across)


def _needed(extent: Box, image: ViewImage, geometry: ViewGeometry) -> tuple[float, float]:
    """Rows and columns of hung pixels that must be visible: the breast, measured from the chest wall edge."""
    rows, cols = geometry.hung_size
    width = cols - extent.col0 if chest_wall_is_right(image.view.laterality) else extent.col1
    height = 2 * max(rows / 2 - extent.row0, extent.row1 - rows / 2)  # axial views hang centred
    if not image.view.projection.is_axial:
        height = extent.row1  # obliques and laterals hang from the top
    return min(height * MARGIN, rows), min(width * MARGIN, cols)


def same_size_scale(
    images: Sequence[ViewImage],
    extents: Mapping[str, Box],
    viewports: Mapping[str, tuple[int, int]],
) -> SameSize:
    """Give every image the scale at which one mm is the same number of screen pixels everywhere (MG-09).

    Parameters
    ----------
    images : the images of one stage.
    extents : ``breast_extent`` of each, by image key.
    viewports : height and width of each image's viewport, screen pixels, by image key.

    Returns
    -------
    The scales and a sentence. Where spacing is missing the sizes are estimated and the sentence says so.
    """
    if not images:
        return SameSize(scales={}, mm_per_px=None, reason=_tr("no image"))
    geometries = {image.key: geometry_of(image) for image in images}
    unit, reason, known = _pixel_sizes(images, extents, geometries)
    per_px = 0.0
    for image in images:
        height, width = _needed(extents[image.key], image, geometries[image.key])
        view_h, view_w = viewports[image.key]
        size = unit[image.key]
        per_px = max(per_px, height * size / max(view_h, 1), width * size / max(view_w, 1))
    scales = {image.key: unit[image.key] / per_px for image in images}
    return SameSize(scales=scales, mm_per_px=per_px if known else None, reason=reason)


def _pixel_sizes(
    images: Sequence[ViewImage], extents: Mapping[str, Box], geometries: Mapping[str, ViewGeometry]
) -> tuple[dict[str, float], str, bool]:
    sizes: dict[str, float] = {}
    for image in images:
        spacing = geometries[image.key].hung_spacing
        if spacing is not None:
            sizes[image.key] = (spacing[0] + spacing[1]) / 2
    missing = [image for image in images if image.key not in sizes]
    if not missing:
        return sizes, _tr("same size: pixel spacing of every image"), True
    heights = {image.key: extents[image.key].row1 - extents[image.key].row0 for image in images}
    if sizes:
        reference = float(np.median([heights[key] * size for key, size in sizes.items()]))
        for image in missing:
            sizes[image.key] = reference / heights[image.key]
        names = ", ".join(image.view.label for image in missing)
        words = _tr("same size estimated from breast extent: {0} without pixel spacing")
        return sizes, words.format(names), False
    areas = [geometries[image.key].rows * geometries[image.key].cols for image in images]
    if max(areas) <= 2 * min(areas):
        return (
            dict.fromkeys(heights, 1.0),
            _tr("same size estimated: no pixel spacing, one pixel size assumed"),
            False,
        )
    estimated = {key: 1000.0 / height for key, height in heights.items()}
    return estimated, _tr("same size estimated from breast extent: no pixel spacing"), False


def wall_inset(image: ViewImage, pyramid: Pyramid, air: tuple[int, int] | None) -> float:
    """Hung columns at the chest wall that are black from top to bottom, as in padded pictures; 0 if none
    (MG-06)."""
    table = compose_lut(image.presentation, air=air, value_range=pyramid.value_range)
    black = np.asarray((table[pyramid.levels[-1]] & 0xFF) <= _BLACK_GREY)
    is_black = np.atleast_1d(geometry_of(image).orient(black).all(axis=0))
    columns = is_black[::-1] if chest_wall_is_right(image.view.laterality) else is_black
    leading = 0 if columns.all() else int(np.argmin(columns))
    return float(leading * 2 ** (len(pyramid.levels) - 1))


def placed(
    state: ViewportState,
    image: ViewImage,
    *,
    height: int,
    width: int,
    scale: float,
    mode: ZoomMode,
    inset: float = 0.0,
) -> ViewportState:
    """Put the picture at ``scale`` with its chest wall on the viewport's inner edge (MG-06).

    Obliques and laterals hang from the top, axial views centred. ``height`` and ``width`` are screen pixels,
    ``inset`` is ``wall_inset``.
    """
    geometry = geometry_of(image)
    rows, cols = geometry.hung_size
    half_rows, half_cols = height / scale / 2, width / scale / 2
    wall_right = chest_wall_is_right(image.view.laterality, flipped_h=state.flipped_h)
    pan_col = cols - inset - half_cols if wall_right else half_cols + inset
    pan_row = rows / 2 if image.view.projection.is_axial else half_rows
    if not image.view.projection.is_axial and state.flipped_v:
        pan_row = rows - half_rows
    return replace(state, zoom_mode=mode, scale=scale, pan_row=pan_row, pan_col=pan_col)


def fitted(state: ViewportState, image: ViewImage, *, height: int, width: int) -> ViewportState:
    """Show the whole picture, chest wall on the inner edge."""
    rows, cols = geometry_of(image).hung_size
    scale = min(height / rows, width / cols)
    return placed(state, image, height=height, width=width, scale=scale, mode=ZoomMode.FIT)


def sized(
    state: ViewportState,
    image: ViewImage,
    mode: ZoomMode,
    *,
    height: int,
    width: int,
    same_scale: float | None,
    inset: float,
) -> ViewportState:
    """Size a picture as its stage wants; FIT where the mode gives no scale. ``inset`` is ``wall_inset``."""
    scale = {ZoomMode.SAME: same_scale, ZoomMode.ACTUAL: 1.0}.get(mode)
    if scale is None:
        return fitted(state, image, height=height, width=width)
    return placed(state, image, height=height, width=width, scale=scale, mode=mode, inset=inset)


def true_scale(image: ViewImage, pitch_mm: float | None) -> float | None:
    """Screen pixels per image pixel at true size (MG-10); None when spacing or the monitor's pitch is not known, or
    pixels are not square."""
    spacing = geometry_of(image).hung_spacing
    if spacing is None or pitch_mm is None or is_oblong(image):
        return None
    return (spacing[0] + spacing[1]) / 2 / pitch_mm


def is_oblong(image: ViewImage) -> bool:
    """True where a pixel is not square: it is drawn as a square, so distances are right but the shape is not."""
    spacing = image.spacing
    return spacing is not None and abs(spacing.row_mm / spacing.col_mm - 1.0) > OBLONG
