"""The four-view detector's chain: from the views of one exam to planes on one canvas, and the way back.

"four-view/1": displayed grey -> triangle breast -> chest wall to the left -> 0.15 mm -> crop to the breast ->
linear map with 5 % of the breast below 0 and 5 % above 1 -> three planes at 0.3 mm: grey, small bright spots
(found at 0.15 mm, so that calcifications survive), local detail. "four-view-full/1": the 0.15 mm picture
alone. All views of an exam share a canvas; breasts touch its right edge, and of one projection the outermost
points, where nipples stand in profile, lie on one row: a fusion by place compares like with like. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.types import InferenceError, ViewImage
from inference.preprocessing.breast import BreastRegion, find_breast
from inference.preprocessing.intensity import displayed_grey
from inference.preprocessing.layout import Placement, to_canonical
from inference.preprocessing.pixel_size import PixelSize, listed, pixel_sizes, size_sentences
from resources.vocabulary import Laterality

FOUR_VIEW = "four-view/1"
FOUR_VIEW_FULL = "four-view-full/1"
WORK_MM = 0.15  # the paper's pixel
COARSEST_MM = 0.25  # source pixels above this do not hold single calcifications
MULTIPLE = 32  # coarsest stride of the feature pyramid
_LINE_PX = 9  # 1.35 mm: longer than a calcification, shorter than a stretch of vessel
_SKIN_MM = 1.5  # the skin's edge holds no spot
_DETAIL_MM = 4.0  # detail is what differs from the mean over about so much
_LOW, _RANGE = -0.25, 1.5  # grey byte 0 and 255 stand for -0.25 and 1.25 of the 5 % .. 95 % range
_SPOT_TOP, _DETAIL_TOP = 0.4, 0.5
AIR = (0, 0, 128)  # bytes beside the breast: darkest grey, no spot, level detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What tells the chains apart: pixels of the work grid per canvas pixel, and how many planes."""

    name: str
    shrink: int
    planes: int

    @property
    def pixel_mm(self) -> float:
        """Size of a canvas pixel."""
        return WORK_MM * self.shrink


CHAINS = {
    FOUR_VIEW: Chain(name=FOUR_VIEW, shrink=2, planes=3),
    FOUR_VIEW_FULL: Chain(name=FOUR_VIEW_FULL, shrink=1, planes=1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedView:
    """One view on the exam's canvas."""

    image_key: str
    planes: NDArray[np.uint8] = field(compare=False, repr=False)  # (planes, rows, cols)
    mask: NDArray[np.bool_] = field(compare=False, repr=False)  # (rows, cols), the breast
    used_rows: int  # the canvas below is air; a multiple of 32, equal in both views of a projection
    placement: Placement
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One view as first shown, chest wall to the left, and where its breast is."""

    canonical: NDArray[np.float32]
    region: BreastRegion


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """One view before it is laid on the canvas."""

    image: ViewImage
    region: BreastRegion
    planes: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    tip_row: int
    warnings: tuple[str, ...]


def chain(preprocessing_id: str) -> Chain:
    """Return the chain of that name; InferenceError names the ones that exist."""
    try:
        return CHAINS[preprocessing_id]
    except KeyError:
        raise InferenceError(
            f"Preprocessing {preprocessing_id!r}: expected one of {', '.join(sorted(CHAINS))}; install a "
            "program version that has it."
        ) from None


def prepare_exam(images: Sequence[ViewImage], preprocessing_id: str = FOUR_VIEW) -> list[PreparedView]:
    """Prepare the views of one exam on one canvas.

    Parameters
    ----------
    images
        One to four views, of one woman, in any order.
    preprocessing_id
        One of ``CHAINS``.

    Returns
    -------
    One prepared view for each image, in order; all of one canvas shape, a multiple of 32. A warning that holds
    for several views is the same sentence in each.

    Raises
    ------
    InferenceError
        There is no such chain, or no image.
    """
    kind = chain(preprocessing_id)
    if not images:
        raise InferenceError(
            "Preparing an exam: expected one to four CC or MLO views, found none; choose an exam that has one."
        )
    seen = [_seen(image) for image in images]
    pairs = [(image, s.region) for image, s in zip(images, seen, strict=True)]
    sizes = pixel_sizes(pairs)
    said = size_sentences(pairs, sizes)
    coarse = _coarse(images, sizes)
    cuts = []
    for image, one in zip(images, seen, strict=True):
        told = [table[image.key] for table in (said, coarse) if image.key in table]
        cuts.append(_cut(image, one, kind, sizes[image.key].mm, told))
    return lay_out(cuts, kind)


def _coarse(images: Sequence[ViewImage], sizes: Mapping[str, PixelSize]) -> dict[str, str]:
    """By key of each view with too large pixels: one sentence for all of them."""
    large = [image for image in images if max(sizes[image.key].mm) > COARSEST_MM]
    if not large:
        return {}
    sentence = (
        f"{listed([image.view.label for image in large])}: pixels of up to "
        f"{max(max(sizes[image.key].mm) for image in large):.2f} mm are too coarse to show calcifications "
        f"({COARSEST_MM} mm at most); they may be missed."
    )
    return {image.key: sentence for image in large}


def _seen(image: ViewImage) -> _Seen:
    mirror = image.view.laterality is Laterality.RIGHT
    canonical = np.ascontiguousarray(to_canonical(displayed_grey(image), image.orientation, mirror))
    return _Seen(canonical=canonical, region=find_breast(canonical))


def _cut(image: ViewImage, seen: _Seen, kind: Chain, mm: tuple[float, float], told: list[str]) -> _Cut:
    """Draw the planes of one view's breast, without a place on a canvas yet."""
    canonical, region = seen.canonical, seen.region
    warnings: list[str] = []
    if not region.found:
        warnings.append(
            f"{image.view.label}: the breast could not be told from the background; whole image used."
        )
    step = kind.shrink
    size = tuple(max(1, round(n * m / kind.pixel_mm)) * step for n, m in zip(region.shape, mm, strict=True))
    grey, inside = resampled(canonical, region, size)
    value = normalised(grey, inside)
    planes = _three_planes(value, inside) if kind.planes == 3 else _grey_byte(value, inside)[None]
    mask = inside[step // 2 :: step, step // 2 :: step]
    width = mask.sum(axis=1)
    tip = np.flatnonzero(width >= 0.97 * width.max()) if width.max() else np.array([len(width) // 2])
    return _Cut(
        image=image,
        region=region,
        planes=planes,
        mask=mask,
        tip_row=int(np.median(tip)),
        warnings=(*told, *warnings),
    )


def lay_out(cuts: Sequence[_Cut], kind: Chain) -> list[PreparedView]:
    """Lay views on one canvas: breasts against its right edge, the outermost points of one projection level.

    CC and MLO are each laid from the top of the canvas, so that a network may skip the rows that one leaves.
    """
    tops: list[int] = []
    used: list[int] = []
    for axial in (cut.image.view.projection.is_axial for cut in cuts):
        group = [cut for cut in cuts if cut.image.view.projection.is_axial == axial]
        above = max(cut.tip_row for cut in group)
        need = above + max(len(cut.mask) - cut.tip_row for cut in group)
        used.append(_whole(need))
        tops.append(above + (used[-1] - need) // 2)
    shape = (max(used), _whole(max(cut.mask.shape[1] for cut in cuts)))
    return [
        _laid(cut, kind, shape, level - cut.tip_row, rows)
        for cut, level, rows in zip(cuts, tops, used, strict=True)
    ]


def _whole(length: int) -> int:
    return -(-length // MULTIPLE) * MULTIPLE


def _laid(cut: _Cut, kind: Chain, shape: tuple[int, int], top: int, used: int) -> PreparedView:
    height, width = cut.mask.shape
    left = shape[1] - width
    planes = np.empty((kind.planes, *shape), np.uint8)
    planes[:] = np.array(AIR[: kind.planes], np.uint8)[:, None, None]
    planes[:, top : top + height, left:] = cut.planes
    mask = np.zeros(shape, bool)
    mask[top : top + height, left:] = cut.mask
    region = cut.region
    placement = Placement(
        stored_shape=(cut.image.pixels.shape[0], cut.image.pixels.shape[1]),
        orientation=cut.image.orientation,
        mirror=cut.image.view.laterality is Laterality.RIGHT,
        origin=(float(region.row0), float(region.col0)),
        extent=(float(region.shape[0]), float(region.shape[1])),
        scale=(height / region.shape[0], width / region.shape[1]),
        offset=(float(top), float(left)),
        canvas_shape=shape,
    )
    return PreparedView(
        image_key=cut.image.key,
        planes=planes,
        mask=mask,
        used_rows=used,
        placement=placement,
        warnings=cut.warnings,
    )


def pixel_size_mm(
    image: ViewImage, region: BreastRegion, guess_mm: float | None, warnings: list[str]
) -> tuple[float, float]:
    """Size of a canonical pixel of one view read alone, rows then columns; a guess is added to ``warnings``."""
    sizes = pixel_sizes([(image, region)])
    size = sizes[image.key]
    if not size.measured and guess_mm is not None:
        sizes = {image.key: PixelSize(mm=(guess_mm, guess_mm), measured=False)}
    warnings += size_sentences([(image, region)], sizes).values()
    return sizes[image.key].mm


def resampled(
    canonical: NDArray[np.float32], region: BreastRegion, size: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    rows, cols = slice(region.row0, region.row1), slice(region.col0, region.col1)
    crop = np.ascontiguousarray(canonical[rows, cols])
    mode = cv2.INTER_AREA if size[0] < crop.shape[0] else cv2.INTER_LINEAR
    grey = cv2.resize(crop, size[::-1], interpolation=mode)
    mask = np.ascontiguousarray(region.mask[rows, cols].astype(np.uint8))
    inside = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST) > 0
    return np.asarray(grey, np.float32), inside


def normalised(grey: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Linear map after which 5 % of the breast lie below 0 and 5 % above 1 (paper A)."""
    sample = grey[::4, ::4][inside[::4, ::4]]
    low, high = np.percentile(sample, (5.0, 95.0)) if len(sample) else (0.0, 1.0)
    return (grey - np.float32(low)) / np.float32(max(float(high - low), 1e-3))


def _grey_byte(value: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    byte = np.clip((value - _LOW) * (254.0 / _RANGE) + 1.0, 1.0, 255.0)
    return np.where(inside, byte, 0.0).astype(np.uint8)


def _three_planes(value: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(3, rows / 2, cols / 2) bytes: grey, spots, detail."""
    size = (value.shape[1] // 2, value.shape[0] // 2)
    half_in = inside[1::2, 1::2]
    half = cv2.resize(value, size, interpolation=cv2.INTER_AREA)
    spots = _spots(value, inside)
    pooled = spots.reshape(size[1], 2, size[0], 2).max(axis=(1, 3))
    spot_byte = 255.0 * np.clip(pooled / _SPOT_TOP, 0.0, 1.0)
    detail = half - _local_mean(half, half_in)
    detail_byte = np.where(half_in, 128.0 + 127.0 * np.clip(detail / _DETAIL_TOP, -1.0, 1.0), 128.0)
    return np.stack([_grey_byte(half, half_in), spot_byte.astype(np.uint8), detail_byte.astype(np.uint8)])


def _local_mean(half: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean over about ``_DETAIL_MM``, of the breast alone, found at a quarter of the size."""
    weight = inside.astype(np.float32)
    rows, cols = half.shape
    small = (max(1, cols // 4), max(1, rows // 4))
    sigma = _DETAIL_MM / (WORK_MM * 2) / 4
    total = cv2.GaussianBlur(cv2.resize(half * weight, small, interpolation=cv2.INTER_AREA), (0, 0), sigma)
    count = cv2.GaussianBlur(cv2.resize(weight, small, interpolation=cv2.INTER_AREA), (0, 0), sigma)
    mean = total / np.maximum(count, 1e-3)
    return np.asarray(cv2.resize(mean, (cols, rows), interpolation=cv2.INTER_LINEAR), np.float32)


def _spots(value: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """White top-hat by short lines: brighter than the surroundings along every direction (Soille 2003, 4.6)."""
    smooth = cv2.GaussianBlur(value, (0, 0), 0.6)
    opened = np.maximum.reduce([cv2.morphologyEx(smooth, cv2.MORPH_OPEN, line) for line in _lines()])
    border = round(_SKIN_MM / WORK_MM)
    wide = cv2.copyMakeBorder(inside.astype(np.uint8), 0, 0, border, 0, cv2.BORDER_REPLICATE)
    core = cv2.erode(wide, np.ones((2 * border + 1, 2 * border + 1), np.uint8))[:, border:]
    return np.asarray((smooth - opened) * core, np.float32)


def _lines() -> list[NDArray[np.uint8]]:
    kernels, reach = [], _LINE_PX // 2
    for angle in np.deg2rad(np.arange(0.0, 180.0, 22.5)):
        kernel = np.zeros((_LINE_PX, _LINE_PX), np.uint8)
        x, y = round(reach * np.cos(angle)), round(reach * np.sin(angle))
        cv2.line(kernel, (reach - x, reach - y), (reach + x, reach + y), (1,))
        kernels.append(kernel)
    return kernels
