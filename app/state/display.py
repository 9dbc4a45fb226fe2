"""What one viewport shows (``ViewportState``), and the arithmetic from stored values to greys on the screen.

Pure numpy and OpenCV: a pyramid of the pixels, a crop warped to screen pixels, one table from value to grey.
Placing images is ``app.state.sizing``; nothing is drawn here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from app.state.geometry import Affine, ViewGeometry
from app.state.gsdf import DisplayTable, packed_levels
from inference.exam.types import Presentation, ViewImage, Voi, VoiFunction

Pixels = NDArray[np.uint16]
Packed = NDArray[np.uint32]  # 0xFFRRGGBB per entry or pixel

BLACK = 0xFF000000
TABLE_SIZE = 65_536
AIR_SHARE = (
    0.05  # one value at the dark end held by this share of the pixels is taken for air when no tag says so
)
SCALE_RANGE = (0.01, 32.0)
_SPECK = 9  # screen pixels; smaller patches of the air value are dark tissue
# Bilinear sampling of at most this many level pixels a screen pixel: beyond it, fine lines alias (MG-14).
MOST_PIXELS_PER_SAMPLE = 1.5


class Change(StrEnum):
    """What can be done to the picture of a viewport."""

    WINDOW = "window"
    INVERT = "invert"
    NEXT_VOI = "next_voi"
    ZOOM = "zoom"
    PAN = "pan"
    FIT = "fit"
    SAME = "same"
    ACTUAL = "actual"
    TRUE = "true"
    RESET = "reset"
    FLIP_H = "flip_h"
    FLIP_V = "flip_v"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A change that linked viewports follow.

    ``first`` and ``second`` are, for WINDOW, the shift of the centre and the growth of the width as shares of
    the width; for ZOOM, the factor in ``first``; for PAN, screen pixels down and right.
    """

    change: Change
    first: float = 0.0
    second: float = 0.0


class ZoomMode(StrEnum):
    """How the scale came about; shown on screen (MG-13)."""

    FIT = "fit"
    SAME = "same"
    ACTUAL = "actual"
    TRUE = "true"
    FREE = "free"


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewportState:
    """Everything that decides what one viewport shows.

    ``center`` and ``width`` are in modality units, None = as the VOI says; ``scale`` is screen pixels per
    hung
    pixel; ``pan_row`` and ``pan_col`` are the hung-picture point in the middle of the viewport.
    """

    image_key: str = ""
    voi_index: int = 0
    center: float | None = None
    width: float | None = None
    inverted: bool = False
    zoom_mode: ZoomMode = ZoomMode.FIT
    scale: float = 1.0
    pan_row: float = 0.0
    pan_col: float = 0.0
    flipped_h: bool = False
    flipped_v: bool = False


# ---------------------------------------------------------------- greys


def voi_window(voi: Voi) -> tuple[float, float]:
    """Centre and width of a VOI in modality units; for a table, the middle and length of its input range."""
    if voi.table is None:
        return voi.center, voi.width
    return voi.first_value + (len(voi.table) - 1) / 2, float(len(voi.table))


def window_of(presentation: Presentation, state: ViewportState) -> tuple[float, float]:
    """Centre and width in force for ``state``, modality units."""
    center, width = voi_window(presentation.vois[min(state.voi_index, len(presentation.vois) - 1)])
    return (
        center if state.center is None else state.center,
        width if state.width is None else state.width,
    )


def apply_voi(
    modality: NDArray[np.float64], voi: Voi, center: float | None = None, width: float | None = None
) -> NDArray[np.float64]:
    """Turn modality values into greys.

    Parameters
    ----------
    modality : (n,) float64 in modality units.
    voi : the window or table.
    center, width : an override, modality units. A table keeps its curve and is stretched over the window.

    Returns
    -------
    (n,) float64 in [0, 1].

    Notes
    -----
    DICOM PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT), C.11.2.1.1
    (table).
    """
    c0, w0 = voi_window(voi)
    c = c0 if center is None else center
    w = w0 if width is None else width
    if voi.table is not None:
        index = np.rint((modality - c) / max(w, 1e-9) * w0 + c0 - voi.first_value)
        index = np.clip(index, 0, len(voi.table) - 1).astype(np.intp)
        return voi.table[index] / float(2**voi.table_bits - 1)
    if voi.function is VoiFunction.SIGMOID:
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (modality - c) / max(w, 1e-9), -700, 700))))
    if voi.function is VoiFunction.LINEAR_EXACT:
        return np.clip((modality - c) / max(w, 1e-9) + 0.5, 0.0, 1.0)
    if w <= 1.0:  # C.11.2.1.2.1: width 1 is a threshold
        return np.where(modality > c - 0.5, 1.0, 0.0)
    return np.clip((modality - (c - 0.5)) / (w - 1.0) + 0.5, 0.0, 1.0)


def compose_lut(
    presentation: Presentation,
    *,
    voi_index: int = 0,
    center: float | None = None,
    width: float | None = None,
    inverted: bool = False,
    air: tuple[int, int] | None = None,
    value_range: tuple[int, int] = (0, TABLE_SIZE - 1),
    display: DisplayTable | None = None,
) -> Packed:
    """Make the one table from a pixel value of ``ViewImage.pixels`` to a packed grey.

    The order is rescale, VOI, inverse of the file and then of the user (MG-19), P-value to driving level
    (MG-20; None = as they are, 8 bits). Air is black whatever the window or inversion (MG-18).

    Parameters
    ----------
    air : inclusive range of pixel values that is air; None = ``presentation.padding``.
    value_range : lowest and highest pixel value present; entries outside repeat the nearest one inside.

    Returns
    -------
    (65536,) uint32, pixels of the surface: 0xFFgggggg, or RGB30 where ``display`` has 10 bits.
    """
    low, high = value_range
    values = np.arange(low, high + 1, dtype=np.float64)
    modality = (values + presentation.stored_offset) * presentation.slope + presentation.intercept
    voi = presentation.vois[min(voi_index, len(presentation.vois) - 1)]
    screen = packed_levels(display)
    p_values = np.rint(apply_voi(modality, voi, center, width) * (len(screen) - 1)).astype(np.intp)
    packed = screen[::-1][p_values] if presentation.inverse != inverted else screen[p_values]
    table = np.empty(TABLE_SIZE, np.uint32)
    table[:low], table[low : high + 1], table[high + 1 :] = packed[0], packed, packed[-1]
    dark = presentation.padding if air is None else air
    if dark is not None:
        table[max(dark[0], 0) : max(dark[1], 0) + 1] = screen[0]
    return table


def air_range(image: ViewImage, sample: Pixels | None = None) -> tuple[int, int] | None:
    """Return the inclusive range of pixel values that is air, or None when it cannot be told.

    The padding of the header counts; without one, the single darkest value when it fills a good part of
    the image,
    as in masked exposures and cleaned films.

    Parameters
    ----------
    sample : (rows, cols) uint16, pixels to count instead of all; only every value's share matters.
    """
    presentation = image.presentation
    if presentation.padding is not None:
        return presentation.padding
    values = (image.pixels if sample is None else sample)[::4, ::4]
    darkest = int(values.max() if presentation.inverse else values.min())
    share = float(np.count_nonzero(values == darkest)) / values.size
    return (darkest, darkest) if share >= AIR_SHARE else None


def auto_window(image: ViewImage, air: tuple[int, int] | None) -> tuple[float, float]:
    """Centre and width (modality units) from the 1st to the 99.5th percentile of all that is not air
    (MG-18)."""
    values = image.pixels[::4, ::4].ravel()
    if air is not None:
        tissue = values[(values < air[0]) | (values > air[1])]
        values = tissue if tissue.size else values
    low, high = np.percentile(values, [1.0, 99.5])
    scale = image.presentation
    ends = [(float(v) + scale.stored_offset) * scale.slope + scale.intercept for v in (low, high)]
    return (ends[0] + ends[1]) / 2, max(abs(ends[1] - ends[0]), 1.0)


# ---------------------------------------------------------------- pixels


class Pyramid:
    """The pixels and their halvings by area mean, in stored orientation; level k has 2**k pixels a sample."""

    def __init__(self, pixels: Pixels, smallest: int = 128) -> None:
        levels = [pixels]
        while min(levels[-1].shape) >= 2 * smallest:
            last = levels[-1]
            rows, cols = last.shape[0] // 2, last.shape[1] // 2
            half = cv2.resize(last[: 2 * rows, : 2 * cols], (cols, rows), interpolation=cv2.INTER_AREA)
            levels.append(half)
        self.levels: tuple[Pixels, ...] = tuple(levels)
        low, high, _, _ = cv2.minMaxLoc(pixels)  # one pass where numpy needs two
        self.value_range: tuple[int, int] = (int(low), int(high))

    def level_for(self, scale: float) -> int:
        """Return the level to sample at ``scale`` screen pixels per pixel, so that nothing aliases
        (MG-14)."""
        wanted = math.ceil(math.log2(max(1.0 / scale / MOST_PIXELS_PER_SAMPLE, 1e-9)) - 1e-9)
        return min(max(wanted, 0), len(self.levels) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """The part of the screen that the picture covers, and how its pixels are found.

    ``row0, col0, rows, cols`` are screen pixels; ``matrix`` (2, 3) float64 maps a screen pixel of the
    crop (x, y)
    to a pixel of ``level``, both at centres as OpenCV counts.
    """

    level: int
    row0: int
    col0: int
    rows: int
    cols: int
    matrix: Affine


def plan_crop(
    geometry: ViewGeometry,
    pyramid: Pyramid,
    *,
    scale: float,
    top: float,
    left: float,
    height: int,
    width: int,
) -> Crop | None:
    """Find what of the picture is visible.

    Parameters
    ----------
    scale : screen pixels per hung pixel.
    top, left : screen position of the hung picture's first row and column, pixels, may be negative.
    height, width : size of the viewport, screen pixels.

    Returns
    -------
    The crop, or None when nothing of the picture is on the screen.
    """
    rows, cols = geometry.hung_size
    row0, col0 = max(0, round(top)), max(0, round(left))
    row1, col1 = min(height, round(top + rows * scale)), min(width, round(left + cols * scale))
    if row1 <= row0 or col1 <= col0:
        return None
    level = pyramid.level_for(scale)
    to_hung = np.array(
        [[1 / scale, 0, (col0 + 0.5 - left) / scale], [0, 1 / scale, (row0 + 0.5 - top) / scale], [0, 0, 1.0]]
    )
    factor = 2.0**-level
    to_level = np.array([[factor, 0, -0.5], [0, factor, -0.5], [0, 0, 1.0]])
    matrix = (to_level @ geometry.hung_to_stored_matrix() @ to_hung)[:2]
    return Crop(level=level, row0=row0, col0=col0, rows=row1 - row0, cols=col1 - col0, matrix=matrix)


def warp(
    pyramid: Pyramid,
    crop: Crop,
    out: Pixels | None = None,
    *,
    air: tuple[int, int] | None = None,
) -> Pixels:
    """Sample the visible crop.

    Parameters
    ----------
    out : (crop.rows, crop.cols) uint16 to write into, or None.
    air : where given, samples whose nearest pixel is air become air outright, so that no half-air rim
    lights up
        when greys are inverted (MG-18); specks of the air value inside tissue stay tissue.

    Returns
    -------
    (crop.rows, crop.cols) uint16, values as in ``ViewImage.pixels``.
    """
    source, size = pyramid.levels[crop.level], (crop.cols, crop.rows)
    edge, how = cv2.BORDER_REPLICATE, cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    values: Pixels = cv2.warpAffine(source, crop.matrix, size, dst=out, flags=how, borderMode=edge)
    if air is None:
        return values
    how = cv2.WARP_INVERSE_MAP | cv2.INTER_NEAREST
    nearest = cv2.warpAffine(source, crop.matrix, size, flags=how, borderMode=edge)
    is_air = _without_specks(cv2.inRange(nearest, float(air[0]), float(air[1])))
    if crop.level > 0:  # level pixels at the border are means of air and tissue: they lie within two samples
        is_air = cv2.dilate(is_air, np.ones((5, 5), np.uint8))
    step = float(np.abs(crop.matrix[:, :2]).max())
    reach = max(1, math.ceil(1.0 / step))
    rim = cv2.dilate(is_air, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    cv2.copyTo(nearest, rim, values)
    beside = air[1] + 1 if air[1] < pyramid.value_range[1] else max(air[0] - 1, 0)
    specks = cv2.inRange(values, float(air[0]), float(air[1]))
    cv2.copyTo(np.full_like(values, beside), specks, values)
    cv2.copyTo(np.full_like(values, air[0]), is_air, values)
    return values


def _without_specks(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    kernel = np.ones((_SPECK, _SPECK), np.uint8)
    grown = cv2.dilate(cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel), kernel)
    return np.asarray(cv2.bitwise_and(grown, mask), dtype=np.uint8)


def to_grey(values: Pixels, table: Packed, out: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
    """Look ``values`` (rows, cols) uint16 up in a (65536,) table; returns (rows, cols) int32 holding
    0xFFRRGGBB."""
    # OpenCV's table look-up takes 16-bit indices and signed 32-bit entries; the bits are the same.
    result: NDArray[np.int32] = cv2.LUT(values, table.view(np.int32).reshape(1, TABLE_SIZE), out)
    return result


# ---------------------------------------------------------------- changes


def windowed(
    state: ViewportState, presentation: Presentation, *, center_share: float, width_share: float
) -> ViewportState:
    """Move the window relative to its own width, so that linked views of other vendors follow alike
    (MG-21)."""
    center, width = window_of(presentation, state)
    floor = max(abs(presentation.slope), 1e-6)
    return replace(state, center=center + center_share * width, width=max(width * (1.0 + width_share), floor))


def zoomed(state: ViewportState, factor: float, *, row: float, col: float) -> ViewportState:
    """Zoom by ``factor`` about the hung point (row, col), which stays where it is on the screen."""
    scale = min(max(state.scale * factor, SCALE_RANGE[0]), SCALE_RANGE[1])
    keep = state.scale / scale
    return replace(
        state,
        zoom_mode=ZoomMode.FREE,
        scale=scale,
        pan_row=row + (state.pan_row - row) * keep,
        pan_col=col + (state.pan_col - col) * keep,
    )


def panned(state: ViewportState, *, rows_px: float, cols_px: float) -> ViewportState:
    """Drag the picture by screen pixels (positive = down, right)."""
    return replace(
        state, pan_row=state.pan_row - rows_px / state.scale, pan_col=state.pan_col - cols_px / state.scale
    )


def unwindowed(state: ViewportState) -> ViewportState:
    """Back to the file's own window and polarity (MG-17)."""
    return replace(state, center=None, width=None, inverted=False, voi_index=0)


def scale_text(scale: float) -> str:
    """Say the zoom factor: 1:2.4 (2.4 image pixels a screen pixel), 1:1, 2:1 (MG-13)."""
    if abs(scale - 1.0) < 1e-3:
        return "1:1"
    return f"1:{1 / scale:.1f}" if scale < 1.0 else f"{scale:.1f}:1"
