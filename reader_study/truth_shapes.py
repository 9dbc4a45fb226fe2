"""Where a lesion is: polygon, circle or mask of a truth file, as centre and contour in stored-file pixels.

Checks shapes against the image they lie in. Rows before columns, from the top left corner of the stored image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from reader_study.case_import import StoredImage

_MAX_RADIUS_MM = 200.0
_SPECK = 0.01  # of a mask's area: stray pixels of a hand-drawn mask
_PNG = b"\x89PNG\r\n\x1a\n"
_MIN_AREA = 1.0  # pixels


class ShapeError(Exception):
    """What is wrong with a shape; ``column`` names the cell when it is not the shape's own."""

    def __init__(self, sentence: str, column: str = "") -> None:
        super().__init__(sentence)
        self.column = column


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Centre (row, col), corners in order (() for a circle) and radius (None but for a circle)."""

    row: float
    col: float
    contour: tuple[tuple[float, float], ...] = ()
    radius_mm: float | None = None


def polygon(text: str, image: StoredImage) -> Shape:
    """Read "row col|row col|row col"; its centre is the centre of its area."""
    corners = []
    for number, pair in enumerate(text.split("|"), start=1):
        parts = pair.split()
        if len(parts) != 2:
            raise ShapeError(f"expected row and column at corner {number}, found {pair.strip()!r}.")
        row, col = (_number(part) for part in parts)
        _inside(row, col, image, f"corner {number}")
        corners.append((row, col))
    if len(corners) < 3:
        raise ShapeError(f"expected three corners or more, separated by '|', found {len(corners)}.")
    return Shape(row=_centre(corners)[0], col=_centre(corners)[1], contour=tuple(corners))


def circle(row: str, col: str, radius_mm: str, image: StoredImage) -> Shape:
    """Read a centre in pixels and a radius in mm."""
    at = []
    for column, text in (("row", row), ("col", col), ("radius_mm", radius_mm)):
        try:
            at.append(_number(text))
        except ShapeError as error:
            raise ShapeError(str(error), column) from error
    _inside(at[0], at[1], image, "the centre", "row" if not 0 <= at[0] <= image.rows else "col")
    if not 0 < at[2] <= _MAX_RADIUS_MM:
        raise ShapeError(
            f"expected more than 0 and at most {_MAX_RADIUS_MM:g} mm, found {at[2]:g}.", "radius_mm"
        )
    return Shape(row=at[0], col=at[1], radius_mm=at[2])


def mask(folder: Path, name: str, image: StoredImage) -> Shape:
    """Read a PNG of the image's own size in which the lesion is not 0; its outline becomes the contour."""
    # Imported here: only files with masks need it.
    import cv2
    import numpy as np

    path = (folder / name.replace("\\", "/").replace("\0", "?")).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ShapeError("expected a file beside the truth file, found a path that leads out of its folder.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ShapeError(f"expected the mask {name}, could not be read ({error.strerror}).") from error
    if data[:8] != _PNG or len(data) < 24:
        raise ShapeError(f"expected a gray PNG, found another kind in {name}.")
    claimed = (int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big"))
    if claimed != (image.rows, image.cols):  # before a picture of a size nobody needs is unpacked
        raise ShapeError(
            f"expected a mask of {image.rows} x {image.cols} pixels as the image has,"
            f" found {claimed[0]} x {claimed[1]}."
        )
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 2:
        raise ShapeError(
            f"expected a gray PNG, found {'another kind' if pixels is None else 'colour'} in {name}."
        )
    lit = (pixels != 0).astype(np.uint8)
    count, labels, stats, centres = cv2.connectedComponentsWithStats(lit, connectivity=8)
    areas = [int(stats[k, cv2.CC_STAT_AREA]) for k in range(1, count)]
    large = [k for k, area in enumerate(areas, start=1) if area >= _SPECK * max(areas)]
    if not large:
        raise ShapeError("expected a lesion that is not 0, found an empty mask.")
    if len(large) > 1:
        raise ShapeError(f"expected one region, found {len(large)}; give each lesion a mask of its own.")
    region = np.asarray(labels == large[0], dtype=np.uint8)
    outlines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corners = [(float(y), float(x)) for x, y in outlines[0].reshape(-1, 2)]
    if len(corners) < 3:
        raise ShapeError(f"expected a region of some area, found {areas[large[0] - 1]} pixels.")
    return Shape(row=float(centres[large[0]][1]), col=float(centres[large[0]][0]), contour=tuple(corners))


def _centre(corners: list[tuple[float, float]]) -> tuple[float, float]:
    """Centre of area of a simple polygon (shoelace formula); ShapeError when its corners lie on a line."""
    twice = row = col = 0.0
    for (r0, c0), (r1, c1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        cross = c0 * r1 - c1 * r0
        twice += cross
        row += (r0 + r1) * cross
        col += (c0 + c1) * cross
    if abs(twice) / 2 < _MIN_AREA:
        raise ShapeError("expected corners around an area, found them on a line or crossing.")
    return row / (3 * twice), col / (3 * twice)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise ShapeError(f"expected a number, found {text!r}.") from error
    if not math.isfinite(value):
        raise ShapeError(f"expected a number, found {text!r}.")
    return value


def _inside(row: float, col: float, image: StoredImage, what: str, column: str = "") -> None:
    if not (0 <= row <= image.rows and 0 <= col <= image.cols):
        turned = 0 <= col <= image.rows and 0 <= row <= image.cols
        hint = " It would lie inside with row and column changed over: rows come first." if turned else ""
        raise ShapeError(
            f"expected {what} inside the image of {image.rows} rows and {image.cols} columns,"
            f" found row {row:g}, column {col:g}.{hint}",
            column,
        )
