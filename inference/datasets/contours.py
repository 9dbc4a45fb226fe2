"""Drawn outlines of the public sets turned into masks: VGG Image Annotator shapes and OsiriX plist contours."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.datasets.layout import DatasetError
from inference.evaluation.regions import filled

_BROKEN = (
    OSError, plistlib.InvalidFileException, ExpatError, LookupError, TypeError, ValueError, AttributeError,
    RecursionError, OverflowError,
)  # fmt: skip  # what Python's plist reader meets in files that no program writes
_POINT = re.compile(r"\(\s*([-+0-9.eE]+)\s*,\s*([-+0-9.eE]+)\s*\)")


def via_mask(shape: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Mask of one region of a VGG Image Annotator table (``region_shape_attributes``).

    Parameters
    ----------
    shape
        polygon, polyline, rect, circle or ellipse in pixels.
    size
        Rows and columns of the image.

    Returns
    -------
    (rows, cols) bool; None for a point, an unknown shape, and one that holds no pixel.
    """
    name = shape.get("name")
    canvas = np.zeros(size, np.uint8)
    try:
        if name in {"polygon", "polyline"}:
            corners = np.array([shape["all_points_y"], shape["all_points_x"]], dtype=float).T
            mask = filled(corners, size) if len(corners) > 2 else canvas.astype(bool)
        elif name == "rect":
            row, col = round(shape["y"]), round(shape["x"])
            canvas[max(row, 0) : row + round(shape["height"]), max(col, 0) : col + round(shape["width"])] = 1
            mask = canvas.astype(bool)
        elif name in {"circle", "ellipse"}:
            axes = (shape["r"], shape["r"]) if name == "circle" else (shape["rx"], shape["ry"])
            centre = (round(shape["cx"]), round(shape["cy"]))
            turn = float(np.degrees(shape.get("theta", 0.0)))
            cv2.ellipse(canvas, centre, (round(axes[0]), round(axes[1])), turn, 0, 360, 1, thickness=-1)
            mask = canvas.astype(bool)
        else:
            return None
    except (KeyError, TypeError, ValueError):
        return None
    return mask if mask.any() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contour:
    """One OsiriX region: its name and its (n, 2) corners, row then column, in pixels."""

    name: str
    corners: NDArray[np.float64]

    def mask(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """(rows, cols) bool; a contour too small to hold a pixel's centre is the pixels of its corners."""
        mask = filled(self.corners, size)
        if not mask.any():
            at = np.floor(self.corners).astype(int)
            inside = ((at >= 0) & (at < np.array(size))).all(axis=1)
            mask[at[inside, 0], at[inside, 1]] = True
        return mask


def osirix_contours(path: Path) -> list[Contour]:
    """The regions of an OsiriX plist (``Images`` / ``ROIs`` / ``Point_px`` as "(x, y)").

    Raises
    ------
    DatasetError
        The file is no such plist.
    """
    try:
        content = plistlib.loads(path.read_bytes())
        regions = [region for image in content["Images"] for region in image["ROIs"]]
        out = []
        for region in regions:
            points = [_POINT.fullmatch(str(point).strip()) for point in region.get("Point_px", ())]
            corners = [(float(p.group(2)), float(p.group(1))) for p in points if p is not None]
            if corners:
                out.append(Contour(name=str(region.get("Name", "")).strip(), corners=np.array(corners)))
    except _BROKEN as error:
        raise DatasetError(
            f"{path.name}: expected an OsiriX plist with Images, ROIs and Point_px, could not be read ({error})."
        ) from error
    return out
