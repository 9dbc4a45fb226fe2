"""The calcification ensemble's chain: one view at 0.1 mm, with what calcifications are sought and judged on.

"calcification/1": displayed grey -> triangle breast -> chest wall to the left -> 0.1 mm -> crop to the breast
-> linear map with 5 % of the breast below 0 and 5 % above 1 -> three planes: grey, local detail, small bright
spots. Crops are cut from these planes at this spacing. It finds no groups (``calcification_candidates``) and
knows no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.types import ViewImage
from inference.preprocessing.breast import find_breast
from inference.preprocessing.four_view import normalised, pixel_size_mm, resampled
from inference.preprocessing.intensity import displayed_grey
from inference.preprocessing.layout import Placement, to_canonical
from resources.vocabulary import Laterality

CALCIFICATION = "calcification/1"
WORK_MM = 0.1
CROP_PX = 128  # 12.8 mm: most groups, and enough of their surroundings
_LINE_PX = 13  # 1.3 mm: longer than a calcification, shorter than a stretch of vessel
_COARSE_MM = 0.15
_SKIN_MM = 1.5  # the skin's edge holds no spot
_DETAIL_MM = 2.5  # detail is what differs from the mean over about so much
_GREY_LOW, _GREY_RANGE = -0.25, 1.75  # grey byte 0 and 255 stand for -0.25 and 1.5 of the 5 % .. 95 % range
_DETAIL_TOP, _SPOT_TOP = 0.6, 0.6
AIR = (0, 128, 0)  # bytes beside the breast: darkest grey, level detail, no spot


@dataclass(frozen=True, slots=True, kw_only=True)
class CalcificationView:
    """One view at 0.1 mm, cropped to the breast, chest wall at column 0."""

    image_key: str
    planes: NDArray[np.uint8] = field(compare=False, repr=False)  # (3, rows, cols): grey, detail, spots
    spots: NDArray[np.float32] = field(compare=False, repr=False)
    # (rows, cols) float32: how far a place stands out of its surroundings, in parts of the breast's grey range
    inside: NDArray[np.bool_] = field(compare=False, repr=False)  # (rows, cols), the breast
    placement: Placement
    pixel_mm: float = WORK_MM  # the longer side of a pixel in the file
    warnings: tuple[str, ...] = ()

    @property
    def coarse(self) -> bool:
        """Pixels above 0.15 mm in the file, films for example: specks are blurred, and so is the grain."""
        return self.pixel_mm > _COARSE_MM


def prepare_view(image: ViewImage) -> CalcificationView:
    """Prepare one view: see the module's text for the chain.

    Parameters
    ----------
    image
        An ordinary, film or low-energy view. Pixels above 0.25 mm, or of unknown size, are read with a warning.
    """
    mirror = image.view.laterality is Laterality.RIGHT
    canonical = np.ascontiguousarray(to_canonical(displayed_grey(image), image.orientation, mirror))
    region = find_breast(canonical)
    warnings: list[str] = []
    if not region.found:
        warnings.append(
            f"{image.view.label}: the breast could not be told from the background; whole image used."
        )
    mm = pixel_size_mm(image, region, None, warnings)
    size = tuple(max(1, round(n * m / WORK_MM)) for n, m in zip(region.shape, mm, strict=True))
    grey, inside = resampled(canonical, region, size)
    value = normalised(grey, inside)
    spots = spot_heights(value, inside)
    return CalcificationView(
        image_key=image.key,
        planes=_bytes(value, spots, inside),
        spots=spots,
        inside=inside,
        placement=Placement(
            stored_shape=(image.pixels.shape[0], image.pixels.shape[1]),
            orientation=image.orientation,
            mirror=mirror,
            origin=(float(region.row0), float(region.col0)),
            extent=(float(region.shape[0]), float(region.shape[1])),
            scale=(size[0] / region.shape[0], size[1] / region.shape[1]),
            offset=(0.0, 0.0),
            canvas_shape=(size[0], size[1]),
        ),
        pixel_mm=max(mm),
        warnings=tuple(warnings),
    )


def cut(view: CalcificationView, row: float, col: float, side: int = CROP_PX) -> NDArray[np.uint8]:
    """Cut a crop out of a view's planes.

    Parameters
    ----------
    row, col
        Middle of the crop, canvas pixels (edge coordinates).

    Returns
    -------
    (3, side, side) uint8; what lies beyond the picture is air.
    """
    top, left = round(row - side / 2), round(col - side / 2)
    out = np.empty((3, side, side), np.uint8)
    out[:] = np.array(AIR, np.uint8)[:, None, None]
    rows, cols = view.inside.shape
    r0, r1 = max(0, top), min(rows, top + side)
    c0, c1 = max(0, left), min(cols, left + side)
    if r1 > r0 and c1 > c0:
        out[:, r0 - top : r1 - top, c0 - left : c1 - left] = view.planes[:, r0:r1, c0:c1]
    return out


def spot_heights(value: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return how far small bright spots stand out, by a white top-hat with short lines.

    Parameters
    ----------
    value
        (rows, cols) float32 at ``WORK_MM``, 0..1 over most of the breast; chest wall at column 0.
    inside
        Same shape, the breast.

    Returns
    -------
    Same shape, float32, at least 0; 0 within 1.5 mm of the skin and outside.

    Notes
    -----
    Brighter than the surroundings along every direction (Soille, Morphological Image Analysis, 2nd ed. 2003,
    4.6): what is long in any direction, vessel or strand, is no spot.
    """
    smooth = cv2.GaussianBlur(value, (0, 0), 0.8)
    opened = smooth.min() * np.ones_like(smooth)
    for line in _lines():
        np.maximum(opened, cv2.morphologyEx(smooth, cv2.MORPH_OPEN, line), out=opened)
    border = round(_SKIN_MM / WORK_MM)
    # beyond the chest wall the breast goes on; beyond the other edges there is air
    wide = cv2.copyMakeBorder(inside.astype(np.uint8), 0, 0, border, 0, cv2.BORDER_REPLICATE)
    core = cv2.erode(wide, np.ones((2 * border + 1, 2 * border + 1), np.uint8))[:, border:]
    return np.asarray((smooth - opened) * core, np.float32)


def _bytes(
    value: NDArray[np.float32], spots: NDArray[np.float32], inside: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """(3, rows, cols) bytes: grey, detail, spots."""
    grey = np.where(inside, np.clip((value - _GREY_LOW) * (254.0 / _GREY_RANGE) + 1.0, 1.0, 255.0), 0.0)
    weight = inside.astype(np.float32)
    side = 2 * round(_DETAIL_MM / WORK_MM / 2) + 1
    mean = cv2.blur(value * weight, (side, side)) / np.maximum(cv2.blur(weight, (side, side)), 0.01)
    detail = np.where(inside, 128.0 + 127.0 * np.clip((value - mean) / _DETAIL_TOP, -1.0, 1.0), 128.0)
    spot = 255.0 * np.clip(spots / _SPOT_TOP, 0.0, 1.0)
    return np.stack([grey.astype(np.uint8), detail.astype(np.uint8), spot.astype(np.uint8)])


def _lines() -> list[NDArray[np.uint8]]:
    kernels, reach = [], _LINE_PX // 2
    for angle in np.deg2rad(np.arange(0.0, 180.0, 22.5)):
        kernel = np.zeros((_LINE_PX, _LINE_PX), np.uint8)
        x, y = round(reach * np.cos(angle)), round(reach * np.sin(angle))
        cv2.line(kernel, (reach - x, reach - y), (reach + x, reach + y), (1,))
        kernels.append(kernel)
    return kernels
