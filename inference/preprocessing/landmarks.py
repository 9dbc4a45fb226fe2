"""Finds the landmarks that places are measured from: the nipple, and in oblique views the pectoral muscle.

Works on the displayed grey at half a millimetre, chest wall to the left; answers in stored-file pixels (edge
coordinates) with a confidence each. The muscle is ``landmarks_pectoral``'s, the geometry ``view_frame``'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.types import ViewImage
from inference.exam.view_frame import CHEST_WALL_EDGE, Place, ViewFrame, place_of, straight_line
from inference.preprocessing.breast import find_breast
from inference.preprocessing.intensity import displayed_grey
from inference.preprocessing.landmarks_nipple import find_nipple
from inference.preprocessing.landmarks_pectoral import find_pectoral
from inference.preprocessing.layout import (
    Placement,
    draw_on_canvas,
    point_to_canvas,
    point_to_stored,
    to_canonical,
)
from inference.preprocessing.pixel_size import PixelSize, pixel_sizes
from resources.vocabulary import Laterality, Projection

LANDMARK_MM = 0.5
PECTORAL_FLOOR = 0.5  # confidence below which no muscle is said to be visible
_GLOW_SHARE = 0.18  # of the breast's median grey
LONGEST_SIDE = 900  # canvas pixels: a wrong spacing must not make the picture huge


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallView:
    """The breast of one view at ``pixel_mm``: grey (rows, cols) float32 in [0, 1], 0 outside; mask of the same
    shape; ``measured`` is False where the pixel's size is a guess, for the file records none or a wrong one."""

    image_key: str
    projection: Projection
    grey: NDArray[np.float32] = field(compare=False, repr=False)
    mask: NDArray[np.bool_] = field(compare=False, repr=False)
    placement: Placement
    pixel_mm: float
    measured: bool
    found: bool  # False = no breast could be told from the background

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the breast's box in the canonical picture at its full size."""
        rows, cols = self.placement.extent
        return round(rows), round(cols)


@dataclass(frozen=True, slots=True, kw_only=True)
class Landmarks:
    """Landmarks of one view; points are (row, column) edge coordinates in stored-file pixels.

    ``pectoral_edge`` is empty where no muscle was seen; then depth ends at the breast's chest-wall side.
    ``frame`` is None where no breast was found; it lies in the pixels of ``placement``'s canvas.
    """

    image_key: str
    projection: Projection
    nipple: tuple[float, float] | None
    nipple_confidence: float  # 0..1
    in_profile: bool  # False = no bump of the skin line: the nipple is where the breast reaches out farthest
    pectoral_edge: tuple[tuple[float, float], ...]
    pectoral_confidence: float  # 0..1; 0 in axial views
    frame: ViewFrame | None
    placement: Placement
    measured: bool  # False = millimetres rest on a guessed pixel size

    def place(self, row: float, col: float) -> Place | None:
        """Place of a stored-file point in the breast; None where there is no frame."""
        return (
            None if self.frame is None else place_of(self.frame, *point_to_canvas(self.placement, row, col))
        )


def small_view(image: ViewImage, size: PixelSize | None = None) -> SmallView:
    """Cut the breast out of a view and draw it at ``LANDMARK_MM``, chest wall at column 0.

    Parameters
    ----------
    size
        Of the file's pixel, where the exam's other views have a say; None goes by this view alone.
    """
    mirror = image.view.laterality is Laterality.RIGHT
    canonical = np.ascontiguousarray(to_canonical(displayed_grey(image), image.orientation, mirror))
    region = find_breast(canonical)
    known = size or pixel_sizes([(image, region)])[image.key]
    mm = known.mm
    long_mm = max(n * m for n, m in zip(region.shape, mm, strict=True))
    pixel_mm = max(LANDMARK_MM, long_mm / LONGEST_SIDE)
    shape = tuple(max(8, round(n * m / pixel_mm)) for n, m in zip(region.shape, mm, strict=True))
    placement = Placement(
        stored_shape=(image.pixels.shape[0], image.pixels.shape[1]),
        orientation=image.orientation,
        mirror=mirror,
        origin=(float(region.row0), float(region.col0)),
        extent=(float(region.shape[0]), float(region.shape[1])),
        scale=(shape[0] / region.shape[0], shape[1] / region.shape[1]),
        offset=(0.0, 0.0),
        canvas_shape=(shape[0], shape[1]),
    )
    grey = draw_on_canvas(canonical, placement, 0.0)
    mask = _without_glow(grey, draw_on_canvas(region.mask.astype(np.float32), placement, 0.0) > 0.5)
    return SmallView(
        image_key=image.key,
        projection=image.view.projection,
        grey=np.where(mask, grey, 0.0).astype(np.float32),
        mask=mask,
        placement=placement,
        pixel_mm=pixel_mm,
        measured=known.measured,
        found=region.found,
    )


def _without_glow(grey: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave out what is far darker than the breast at its rim: film that glows beside the skin."""
    air = grey[(cv2.dilate(mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0) & ~mask]
    if not mask.any() or not len(air) or (air == 0).mean() > 0.9:  # digital: air is black up to the skin
        return mask
    lit = (mask & (grey > _GLOW_SHARE * np.median(grey[mask]))).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    wide = cv2.copyMakeBorder(lit, 4, 4, 4, 4, cv2.BORDER_REPLICATE)
    lit = np.ascontiguousarray(cv2.morphologyEx(wide, cv2.MORPH_OPEN, kernel)[4:-4, 4:-4])
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lit, connectivity=4)
    if count < 2:
        return mask
    best = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    filled = cv2.morphologyEx(best.astype(np.uint8), cv2.MORPH_CLOSE, kernel) > 0
    return np.asarray(filled & mask) if filled.sum() > 0.5 * mask.sum() else mask


def find_landmarks(view: SmallView) -> Landmarks:
    """Find nipple and pectoral muscle of one view.

    Parameters
    ----------
    view
        From ``small_view``.
    """
    if not view.found:
        return _nothing(view)
    edge, sure = np.zeros((0, 2), np.float32), 0.0
    if not view.projection.is_axial:
        edge, sure = find_pectoral(view.grey, view.mask, view.pixel_mm)
        if sure < PECTORAL_FLOOR:
            edge = edge[:0]
    wall = straight_line(edge) if len(edge) else CHEST_WALL_EDGE
    tip = find_nipple(view.grey, view.mask, view.pixel_mm, wall)
    frame = ViewFrame(projection=view.projection, nipple=tip.at, wall=wall, pixel_mm=view.pixel_mm)
    return Landmarks(
        image_key=view.image_key,
        projection=view.projection,
        nipple=point_to_stored(view.placement, *tip.at),
        nipple_confidence=tip.confidence,
        in_profile=tip.in_profile,
        pectoral_edge=tuple(point_to_stored(view.placement, float(r), float(c)) for r, c in edge),
        pectoral_confidence=sure,
        frame=frame,
        placement=view.placement,
        measured=view.measured,
    )


def _nothing(view: SmallView) -> Landmarks:
    return Landmarks(
        image_key=view.image_key,
        projection=view.projection,
        nipple=None,
        nipple_confidence=0.0,
        in_profile=False,
        pectoral_edge=(),
        pectoral_confidence=0.0,
        frame=None,
        placement=view.placement,
        measured=view.measured,
    )
