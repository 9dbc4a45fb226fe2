"""Writes the words at a viewport's edges: on the air side, and never over tissue where there is air to write on.

View label, flags and size always show; identity, technique and evidence give way where the breast lies, and an
ellipsis says that something was left out (the image information panel has it all).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter

from app.state.coverage import tissue_cells
from app.state.display import Pyramid, ViewportState, ZoomMode, scale_text
from app.state.geometry import EdgeLetters
from app.state.overlays import AnnotationText
from app.views import theme
from app.views.lettering import advance, text
from app.views.painting import ScreenMap
from inference.exam.types import ViewImage

_PAD = 10.0
_HALO = QColor(0, 0, 0, 200)
_STEP_PX = 8.0  # how finely the tissue's edge is looked for along a line of text
_GAP_PX = 6.0  # between text and skin
_MOST_LINES = (
    0.34  # of the height: what is written above and below leaves the middle of the air side to the scale
)
_LEGEND_LINES = 4.2  # what app.views.painting.paint_legend takes above the size
_NARROW_PX, _NARROW_LINES = 560.0, 3

Cells = tuple[int, NDArray[np.bool_]]
_CELLS: WeakKeyDictionary[Pyramid, Cells] = WeakKeyDictionary()


def _tr(text: str) -> str:
    return QCoreApplication.translate("edges", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeInfo:
    """What the edges of a viewport say, beyond the given words."""

    words: AnnotationText
    letters: EdgeLetters
    state: ViewportState
    air_left: bool
    mm_per_px: float | None  # mm per logical screen pixel; None = no spacing recorded
    spacing_method: str = ""
    shown: bool = True  # False hides all but the view label, the flags and the size
    legend: bool = False  # the heat map's legend stands above the size: the lower lines make room
    clearance: Clearance | None = None  # None = every place is free


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearance:
    """How much air lies along each line of text: ``free[k]`` logical pixels from the air edge at height k * step."""

    free: NDArray[np.float64]
    step: float

    def skin(self) -> tuple[float, ...]:
        """Distance of the tissue from the air's edge at each height k * step, logical pixels."""
        return tuple((self.free + _PAD + _GAP_PX).tolist())

    def at(self, top: float, bottom: float) -> float:
        """Return the width that is free of tissue between two heights, in logical pixels from the air edge."""
        first = max(0, int(top / self.step))
        last = min(len(self.free) - 1, int(bottom / self.step) + 1)
        return float(self.free[first : last + 1].min()) if first <= last else 0.0


def clearance_of(
    image: ViewImage, pyramid: Pyramid | None, screen: ScreenMap, size: QRectF, *, air_left: bool
) -> Clearance | None:
    """Measure the air of a viewport as it is shown now: any flip, zoom and pan.

    Looks the tissue up on a grid of ``_STEP_PX``; what counts as tissue is ``app.state.coverage.tissue_cells``.
    """
    if pyramid is None:
        return None
    if pyramid not in _CELLS:
        side, cells = tissue_cells(image, pyramid)
        _CELLS[pyramid] = side, np.pad(cells, 1)  # a rim of air, for what lies beyond the picture
    side, cells = _CELLS[pyramid]
    xs = np.arange(_STEP_PX / 2, size.width(), _STEP_PX)
    ys = np.arange(_STEP_PX / 2, size.height(), _STEP_PX)
    # The map flips, turns by right angles and scales: a stored row hangs on x alone or on y alone.
    origin, right, down = (screen.stored(x, y) for x, y in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)))
    turned = abs(right[0] - origin[0]) > abs(down[0] - origin[0])
    step, along_rows, along_cols = (right, xs, ys) if turned else (down, ys, xs)
    other = down if turned else right
    rows = _cell_index(origin[0] + along_rows * (step[0] - origin[0]), side, cells.shape[0])
    cols = _cell_index(origin[1] + along_cols * (other[1] - origin[1]), side, cells.shape[1])
    found = cells[np.ix_(rows, cols)]
    tissue = found.T if turned else found
    ordered = tissue if air_left else tissue[:, ::-1]
    first = np.where(ordered.any(axis=1), ordered.argmax(axis=1) * _STEP_PX, size.width())
    return Clearance(free=first - _PAD - _GAP_PX, step=_STEP_PX)


def _cell_index(places: NDArray[np.float64], side: int, count: int) -> NDArray[np.int64]:
    """Turn stored pixels into indices of the rimmed cells; all that lies outside falls on the rim."""
    return np.asarray(np.clip(np.floor(places / side) + 1, 0, count - 1), np.int64)


def size_line(state: ViewportState) -> str:
    """Zoom factor and size mode, as MG-13 wants them."""
    return f"{scale_text(state.scale)}  {mode_words(state.zoom_mode)}"


def mode_words(mode: ZoomMode) -> str:
    """How the size of a picture was chosen."""
    return {
        ZoomMode.FIT: _tr("fit"),
        ZoomMode.SAME: _tr("same size"),
        ZoomMode.ACTUAL: _tr("actual pixels"),
        ZoomMode.TRUE: _tr("true size"),
        ZoomMode.FREE: _tr("free"),
    }[mode]


def fitting(
    lines: Sequence[str],
    widths: Sequence[float],
    tops: Sequence[float],
    step: float,
    clearance: Clearance | None,
) -> tuple[tuple[str, float], ...]:
    """Lay lines into places from first to last; a place that is too narrow stays empty.

    Parameters
    ----------
    lines, widths : texts and their widths, logical pixels
    tops : upper edge of each place, logical pixels; ``step`` is their height

    Returns
    -------
    (text, top) of what is written; where lines remain, the last place taken (or the first) says "…".
    """
    placed: list[tuple[str, float]] = []
    rest = list(zip(lines, widths, strict=True))
    free = list(tops)
    while rest and free:
        top = free.pop(0)
        if clearance is None or rest[0][1] <= clearance.at(top, top + step):
            placed.append((rest.pop(0)[0], top))
    if rest and tops:
        if placed:
            words, top = placed[-1]
            placed[-1] = (f"{words} …", top)
        else:
            placed.append(("…", tops[0]))
    return tuple(placed)


def paint_edges(painter: QPainter, size: QRectF, info: EdgeInfo, *, scale: float = 1.0) -> None:
    """Write view label, flags, identity, technique, size, letters and the mm scale (MG-08, MG-13, MG-22 to MG-26)."""
    plain, quiet, loud = QColor(theme.TEXT), QColor(theme.TEXT_SECONDARY), QColor(theme.ACCENT)
    x = _PAD if info.air_left else size.width() - _PAD
    right = not info.air_left
    painter.setFont(theme.font(theme.VIEW_LABEL_PX, scale=scale, bold=True))
    y = _PAD + QFontMetricsF(painter.font()).ascent()
    text(painter, QPointF(x, y), info.words.view_label, plain, right=right)
    painter.setFont(theme.font(theme.SMALL_PX, scale=scale))
    metrics = QFontMetricsF(painter.font())
    step, ascent = metrics.height(), metrics.ascent()
    y += step * 1.3
    for words in (*filter(None, [info.words.score]), *_flags(info)):
        text(painter, QPointF(x, y), words, loud, right=right)
        y += step
    if info.words.ai:
        plain_font = painter.font()
        painter.setFont(theme.font(theme.SMALL_PX, scale=scale, bold=info.words.ai_warns))
        colour = QColor(theme.ERROR) if info.words.ai_warns else quiet
        text(painter, QPointF(x, y), info.words.ai, colour, right=right)
        painter.setFont(plain_font)
        y += step
    text(painter, QPointF(x, size.height() - _PAD), size_line(info.state), quiet, right=right)
    if info.shown:
        most = int(size.height() * _MOST_LINES / step)
        down = [y - ascent + k * step for k in range(most)]
        # A letter stands at the air edge at 0.30 of the height: no line runs through it.
        letter = size.height() * 0.30
        down = [top for top in down if abs(top + ascent - letter) > step and top < size.height() * 0.36]
        _block(painter, info, info.words.identity, down, x, quiet)
        lower = (*info.words.technique, *info.words.evidence)
        if size.width() < _NARROW_PX * scale and len(lower) > _NARROW_LINES:
            lower = (
                *lower[: _NARROW_LINES - 1],
                f"{lower[_NARROW_LINES - 1]} …",
            )  # many views: keep them calm
        above = size.height() - _PAD - step - (0.0 if info.mm_per_px is not None else step)
        above -= _LEGEND_LINES * step if info.legend else 0.0
        up = [above - k * step - ascent for k in range(most)]
        up = [top for top in up if top > size.height() * 0.74]
        # Read from the top down: the places are filled from their upper end.
        _block(painter, info, lower, sorted(up)[-len(lower) :] if lower else (), x, quiet, spare=sorted(up))
    _paint_letters(painter, size, info, quiet, step)
    _paint_scale_bar(painter, size, info, quiet, step)


def taken(size: QRectF, info: EdgeInfo, step: float, *, scale: float = 1.0) -> tuple[float, ...]:
    """How far from the air's edge words, scale and legend may reach, logical pixels at each height k * ``step``.

    Errs on the side of more: a line counts where it might stand, whether or not tissue leaves it out.
    """
    font, large = (
        theme.font(theme.SMALL_PX, scale=scale),
        theme.font(theme.VIEW_LABEL_PX, scale=scale, bold=True),
    )
    words, line, high = info.words, QFontMetricsF(font).height(), size.height()

    def widest(lines: Sequence[str]) -> float:
        return _PAD + max((advance(font, one) for one in lines), default=0.0)

    loud = [one for one in (words.score, words.ai, *_flags(info)) if one]
    top = _PAD + QFontMetricsF(large).ascent()
    below = top + line * (0.5 + len(loud))
    lower = (*words.technique, *words.evidence) if info.shown else ()
    reaches = (
        (0.0, top + line * 0.4, _PAD + advance(large, words.view_label)),
        (top, below, widest(loud)),
        (below, high * 0.36 + line, widest(words.identity if info.shown else ())),
        (0.0, high, _PAD + advance(font, "100 mm") if info.mm_per_px is not None else _PAD),
        (high * 0.74, high, widest(lower)),
        (high - _PAD - 2 * line, high, widest((size_line(info.state),))),
        (high - _PAD - 5 * line, high, _PAD + 128.0 * scale if info.legend else 0.0),
    )
    covered = np.zeros(int(high / step) + 2)
    for first, last, reach in reaches:
        rows = slice(max(0, math.ceil(first / step)), math.ceil(last / step))
        covered[rows] = np.maximum(covered[rows], reach)
    return tuple((covered + _GAP_PX).tolist())


def _flags(info: EdgeInfo) -> tuple[str, ...]:
    own = list(info.words.flags)
    if info.state.flipped_h or info.state.flipped_v:
        own.append(_tr("FLIPPED BY USER"))
    if info.state.inverted:
        own.append(_tr("INVERTED"))
    return tuple(own)


def _block(
    painter: QPainter,
    info: EdgeInfo,
    lines: Sequence[str],
    tops: Sequence[float],
    x: float,
    colour: QColor,
    *,
    spare: Sequence[float] = (),
) -> None:
    """Write lines into places; where they do not all fit, into the spare places, which start higher up."""
    metrics = QFontMetricsF(painter.font())
    widths = [metrics.horizontalAdvance(line) for line in lines]
    placed = fitting(lines, widths, tops, metrics.height(), info.clearance)
    if spare and len(placed) < len(lines):
        placed = fitting(lines, widths, spare, metrics.height(), info.clearance)
    for words, top in placed:
        text(painter, QPointF(x, top + metrics.ascent()), words, colour, right=not info.air_left)


def _paint_letters(painter: QPainter, size: QRectF, info: EdgeInfo, colour: QColor, step: float) -> None:
    letters, air_left = info.letters, info.air_left
    edge = letters.left if air_left else letters.right
    x = _PAD if air_left else size.width() - _PAD
    text(painter, QPointF(x, size.height() * 0.30), edge, colour, right=not air_left)
    for letter, top in ((letters.top, _PAD - step * 0.2), (letters.bottom, size.height() - _PAD - step)):
        room = size.width() if info.clearance is None else info.clearance.at(max(top, 0.0), top + step)
        # A third of the way in, nearer to the air's edge where tissue reaches that far.
        inward = max(min(size.width() * 0.34, room - step), size.width() * 0.2)
        x = inward if air_left else size.width() - inward
        text(painter, QPointF(x, top + step * 0.9), letter, colour, right=not air_left)


def _paint_scale_bar(painter: QPainter, size: QRectF, info: EdgeInfo, colour: QColor, step: float) -> None:
    right = not info.air_left
    x = _PAD if info.air_left else size.width() - _PAD
    if info.mm_per_px is None:
        place = QPointF(x, size.height() - _PAD - step)
        text(painter, place, _tr("no scale: spacing not recorded"), colour, right=right)
        return
    most = size.height() * 0.35
    length_mm = next((mm for mm in (100, 50, 20, 10, 5, 2, 1) if mm / info.mm_per_px <= most), 1)
    length = length_mm / info.mm_per_px
    top = size.height() * 0.55 - length / 2
    inward = 1 if info.air_left else -1
    ticks = 10 if length_mm >= 10 else length_mm
    bars = [QRectF(x, top, 1, length + 1)]
    for k in range(ticks + 1):
        reach = 9 if k in {0, ticks} else (6 if k * 2 == ticks else 4)
        bars.append(QRectF(min(x, x + inward * reach), top + length * k / ticks, reach + 1, 1))
    # On whole pixels, filled: a stroked line of three pixels costs fifty times as much.
    whole = [QRectF(round(bar.x()), round(bar.y()), bar.width(), round(bar.height())) for bar in bars]
    painter.setPen(Qt.PenStyle.NoPen)
    for brush, grown in ((_HALO, 1), (colour, 0)):
        painter.setBrush(brush)
        painter.drawRects([bar.adjusted(-grown, -grown, grown, grown) for bar in whole])
    painter.setBrush(Qt.BrushStyle.NoBrush)
    text(painter, QPointF(x, top + length + step), f"{length_mm} mm", colour, right=right)
