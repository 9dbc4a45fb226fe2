"""Test patterns for monitors, drawn pixel by pixel at the size of the screen (QC-01).

After the ideas of AAPM TG18 and TG270, by drawing code of our own: they show what those patterns show and are not
the published files. Grey levels are P-values of 0 to ``top``; how they reach the glass is the display table's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.uint16]

LN_STEPS = 18
LN_BACKGROUND = 153 / 255  # TG18-LN: about 20 % of the largest luminance on a GSDF monitor
LN_SHARE = 0.10  # of the screen's area, the patch under the photometer
_LETTERS = "QUALITY CONTROL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One pattern and how it is drawn; what it is called stands on the screen that shows it.

    ``draw(rows, cols, top)`` returns (rows, cols) uint16 in 0..top.
    """

    pattern_id: str
    draw: Callable[[int, int, int], Levels]


def _level(share: float, top: int) -> int:
    return round(share * top)


def luminance_level(step: int, top: int = 255) -> int:
    """Grey level of TG18-LN patch ``step`` (1 to 18): 0, 15, 30 ... 255 of 255."""
    if not 1 <= step <= LN_STEPS:
        raise ValueError(f"TG18-LN: expected a step from 1 to {LN_STEPS}, found {step}")
    return _level((step - 1) / (LN_STEPS - 1), top)


def luminance_patch(step: int, rows: int, cols: int, top: int = 255) -> Levels:
    """Square of a tenth of the area in the middle, for the photometer; the rest at 153 of 255."""
    picture = np.full((rows, cols), _level(LN_BACKGROUND, top), np.uint16)
    side = min(round((LN_SHARE * rows * cols) ** 0.5), rows, cols)
    row0, col0 = (rows - side) // 2, (cols - side) // 2
    picture[row0 : row0 + side, col0 : col0 + side] = luminance_level(step, top)
    return picture


def uniform(share: float, rows: int, cols: int, top: int = 255) -> Levels:
    """One level all over (TG18-UN10: 26 of 255, TG18-UN80: 204), with fine marks at the five places to measure."""
    level = _level(share, top)
    picture = np.full((rows, cols), level, np.uint16)
    mark = level + max(2, top // 24) * (1 if share < 0.5 else -1)
    reach = max(3, min(rows, cols) // 100)
    for row, col in ((0.5, 0.5), (0.1, 0.1), (0.1, 0.9), (0.9, 0.1), (0.9, 0.9)):
        r, c = round(row * (rows - 1)), round(col * (cols - 1))
        picture[max(r - reach, 0) : r + reach + 1, c] = mark
        picture[r, max(c - reach, 0) : c + reach + 1] = mark
    return picture


def gradient(rows: int, cols: int, top: int = 255) -> Levels:
    """Every level from black to white, left to right; each second band runs backwards; a band in 16 steps below."""
    ramp = np.linspace(0, top, cols).round().astype(np.uint16)
    bands = 8
    picture = np.empty((rows, cols), np.uint16)
    for band in range(bands):
        row0, row1 = rows * band // bands, rows * (band + 1) // bands
        picture[row0:row1] = ramp if band % 2 == 0 else ramp[::-1]
    steps = np.minimum(np.arange(cols) * 16 // cols, 15)
    picture[rows * (bands - 1) // bands :] = np.rint(steps / 15 * top).astype(np.uint16)
    return picture


def line_pairs(rows: int, cols: int, *, low: int, high: int, period: int, upright: bool) -> Levels:
    """Lines of ``period // 2`` pixels; period 2 is the finest a screen can show (Nyquist)."""
    index = np.arange(cols if upright else rows) % period < period // 2
    line = np.where(index, high, low).astype(np.uint16)
    return np.broadcast_to(line[None, :] if upright else line[:, None], (rows, cols)).copy()


def geometry(rows: int, cols: int, top: int = 255) -> Levels:
    """Grid of squares, circles, a one-pixel frame at the very edge, and line pairs in the middle and corners."""
    mid, white = _level(0.2, top), _level(0.75, top)
    picture = np.full((rows, cols), mid, np.uint16)
    pitch = max(8, min(rows, cols) // 16)
    for row in range(rows // 2 % pitch, rows, pitch):
        picture[row] = white
    for col in range(cols // 2 % pitch, cols, pitch):
        picture[:, col] = white
    middle = (cols // 2, rows // 2)
    for radius in (min(rows, cols) // 2 - 2, min(rows, cols) // 4):
        cv2.circle(picture, middle, radius, white, 1)
    picture[[0, -1], :] = picture[:, [0, -1]] = top
    side = pitch
    places = [(rows // 2, cols // 2)]
    places += [(r, c) for r in (pitch, rows - pitch) for c in (pitch, cols - pitch)]
    for row, col in places:
        _line_patch(picture, row, col, side, top)
    return picture


def _line_patch(picture: Levels, row: int, col: int, side: int, top: int) -> None:
    """Four quarters: upright and level lines at Nyquist and half of it, full contrast."""
    half = side // 2
    for down, across, period, upright in (
        (0, 0, 2, True),
        (0, 1, 2, False),
        (1, 0, 4, True),
        (1, 1, 4, False),
    ):
        r0, c0 = row - half + down * half, col - half + across * half
        r1, c1 = min(r0 + half, picture.shape[0]), min(c0 + half, picture.shape[1])
        r0, c0 = max(r0, 0), max(c0, 0)
        if r1 > r0 and c1 > c0:
            lines = line_pairs(r1 - r0, c1 - c0, low=0, high=top, period=period, upright=upright)
            picture[r0:r1, c0:c1] = lines


def qc_levels(top: int = 255) -> tuple[int, ...]:
    """The 18 levels of the QC pattern's patches: 0, then 8 to 248 in sixteen steps of 16, then 255 (of 255)."""
    return (0, *(_level(v / 255, top) for v in range(8, 249, 16)), top)


def qc_patch_places(rows: int, cols: int) -> tuple[tuple[int, int, int], ...]:
    """Row, column and side of each of the 18 patches: a ring around the middle, clockwise from the left."""
    side = min(rows, cols) // 10
    row_mid, col_mid = rows // 2, cols // 2
    ring: list[tuple[int, int]] = [(r, -3) for r in (1, 0, -1)]
    ring += [(-2, c) for c in (-3, -2, -1, 1, 2, 3)]
    ring += [(r, 3) for r in (-1, 0, 1)]
    ring += [(2, c) for c in (3, 2, 1, -1, -2, -3)]
    return tuple((row_mid + r * side - side // 2, col_mid + c * side - side // 2, side) for r, c in ring)


def qc(rows: int, cols: int, top: int = 255) -> Levels:
    """After TG18-QC: luminance patches with faint corners, 5 % and 95 % squares, letters, line pairs, ramps, grid."""
    picture = np.full((rows, cols), _level(128 / 255, top), np.uint16)
    grid = _level(191 / 255, top)
    pitch = max(8, min(rows, cols) // 10)
    picture[rows // 2 % pitch :: pitch] = grid
    picture[:, cols // 2 % pitch :: pitch] = grid
    for level, (row, col, side) in zip(qc_levels(top), qc_patch_places(rows, cols), strict=True):
        _qc_patch(picture, level, row, col, side, top)
    _qc_middle(picture, top)
    _qc_ramps(picture, top)
    for row in (pitch // 2 + 2, rows - pitch // 2 - 2):
        for col in (pitch // 2 + 2, cols - pitch // 2 - 2):
            _line_patch(picture, row, col, pitch // 2, top)
    picture[[2, -3], 2:-2] = picture[2:-2, [2, -3]] = top
    return picture


def _qc_patch(picture: Levels, level: int, row: int, col: int, side: int, top: int) -> None:
    picture[row : row + side, col : col + side] = level
    if level in {0, top}:  # the 5 % and 95 % squares
        inner, quarter = _level(13 / 255 if level == 0 else 242 / 255, top), side // 4
        picture[row + quarter : row + 3 * quarter, col + quarter : col + 3 * quarter] = inner
        return
    small, off = max(2, side // 8), max(1, round(4 / 255 * top))
    for down, across, sign in ((0, 0, 1), (0, 1, -1), (1, 0, -1), (1, 1, 1)):
        r0, c0 = row + down * (side - small), col + across * (side - small)
        picture[r0 : r0 + small, c0 : c0 + small] = min(max(level + sign * off, 0), top)


def _qc_middle(picture: Levels, top: int) -> None:
    rows, cols = picture.shape
    pitch = min(rows, cols) // 10
    _line_patch(picture, rows // 2, cols // 2, pitch, top)
    height, width = pitch // 2, 3 * pitch
    for index, background in enumerate((0, _level(128 / 255, top), top)):
        row0 = rows // 2 + 3 * pitch + pitch // 4
        col0 = cols // 2 + round((index - 1) * 3.4 * pitch) - width // 2
        _letters(picture, row0, col0, height, width, background, top)


def _letters(
    picture: Levels, row0: int, col0: int, height: int, width: int, background: int, top: int
) -> None:
    """Each letter one level (of 255) closer to its background than the one before: 14 down to 1."""
    cell = width / len(_LETTERS)
    picture[row0 : row0 + height, col0 : col0 + width] = background
    contrast, sign = 14, -1 if background == top else 1
    for place, letter in enumerate(_LETTERS):
        if letter == " ":
            continue
        size = cell / 22
        mask = np.zeros((height, max(1, round(cell))), np.uint8)
        at = (0, height // 2 + round(11 * size))
        cv2.putText(mask, letter, at, cv2.FONT_HERSHEY_SIMPLEX, size, 255, max(1, round(2 * size)))
        c0 = col0 + round(place * cell)
        part = picture[row0 : row0 + height, c0 : c0 + mask.shape[1]]
        level = background + sign * max(1, round(contrast / 255 * top))
        part[mask[:, : part.shape[1]] > 127] = level
        contrast -= 1


def _qc_ramps(picture: Levels, top: int) -> None:
    rows, cols = picture.shape
    side = min(rows, cols) // 10
    height = 6 * side
    ramp = np.linspace(top, 0, height).round().astype(np.uint16)[:, None]
    row0 = rows // 2 - height // 2
    for col0 in (cols // 2 - round(4.7 * side), cols // 2 + round(4.2 * side)):
        picture[row0 : row0 + height, max(col0, 4) : col0 + side // 2] = ramp


def simple_qc(rows: int, cols: int, top: int = 255) -> Levels:
    """After TG270-sQC: 18 levels in two rows with a pair of faint bars each, 5/95 % squares, ramps, line pairs."""
    picture = np.full((rows, cols), _level(LN_BACKGROUND, top), np.uint16)
    columns, high = LN_STEPS // 2, rows // 5
    for index in range(LN_STEPS):
        down, across = divmod(index, columns)
        level = luminance_level(index + 1, top)
        row0 = rows // 8 + down * (high + rows // 30)
        width = cols // (columns + 2)
        col0 = cols // 2 + round((across - columns / 2) * width)
        picture[row0 : row0 + high, col0 : col0 + width] = level
        sign = -1 if level > top // 2 else 1
        for part, off in ((1, 3), (3, 6)):
            r0, c0 = row0 + high // 4, col0 + width * part // 5
            value = level + sign * max(1, round(off / 255 * top))
            picture[r0 : r0 + high // 2, c0 : c0 + width // 5] = value
    row0 = rows // 8 + 2 * high + rows // 12
    _simple_lower(picture, row0, top)
    return picture


def _simple_lower(picture: Levels, row0: int, top: int) -> None:
    rows, cols = picture.shape
    side = rows // 8
    for index, (outer, inner) in enumerate(((0.0, 0.05), (1.0, 0.95))):
        col0 = cols // 8 + index * (side + side // 4)
        picture[row0 : row0 + side, col0 : col0 + side] = _level(outer, top)
        q = side // 4
        picture[row0 + q : row0 + 3 * q, col0 + q : col0 + 3 * q] = _level(inner, top)
    for index in range(3):
        _line_patch(picture, row0 + side // 2, cols // 2 + index * (side + side // 4), side, top)
    ramp0, width = row0 + side + rows // 24, 3 * cols // 4
    ramp = np.linspace(0, top, width).round().astype(np.uint16)
    picture[ramp0 : ramp0 + rows // 14, cols // 8 : cols // 8 + width] = ramp
    coarse = np.linspace(0, 255, width).round() / 255 * top
    picture[ramp0 + rows // 14 : ramp0 + rows // 7, cols // 8 : cols // 8 + width] = coarse.round()[::-1]


def _patch_pattern(step: int) -> Pattern:
    return Pattern(
        pattern_id=f"LN-{step:02d}",
        draw=lambda rows, cols, top: luminance_patch(step, rows, cols, top),
    )


PATTERNS: tuple[Pattern, ...] = (
    Pattern(pattern_id="QC", draw=qc),
    Pattern(pattern_id="sQC", draw=simple_qc),
    Pattern(pattern_id="UN10", draw=lambda rows, cols, top: uniform(0.10, rows, cols, top)),
    Pattern(pattern_id="UN80", draw=lambda rows, cols, top: uniform(0.80, rows, cols, top)),
    Pattern(pattern_id="gradient", draw=gradient),
    Pattern(pattern_id="geometry", draw=geometry),
    *(_patch_pattern(step) for step in range(1, LN_STEPS + 1)),
)
