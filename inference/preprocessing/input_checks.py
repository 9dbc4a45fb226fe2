"""Looks whether a view is what a model takes it for: a breast, dark air, right way round, whole, of known size.

Measures first (``measure``), then says (``check``): each fault is a flag with one sentence, or a refusal where
an answer would be a guess. Thresholds were set on phantoms and real images (docs/models/places.md). What the
header declares is ``exam``'s; an unmeasured pixel size is estimated here and flagged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.types import ViewImage
from inference.exam.views import chest_wall_side
from inference.preprocessing.breast import find_breast
from inference.preprocessing.intensity import displayed_grey
from inference.preprocessing.layout import to_canonical
from inference.preprocessing.pixel_size import ASSUMED_BREAST_MM, LEAST_BREAST_CM2, is_absurd
from resources.vocabulary import Laterality, ViewModifier

_SIDE = 384  # measures are taken on a picture so long: they are of large things
# Each limit lies between what sound images and what faulty ones measure; both are in docs/models/places.md.
LEAST_RANGE = 0.05
INVERTED_BORDER = 0.30
INVERTED_RIM, INVERTED_RIM_CONTRAST = 0.35, 0.95
LEAST_AREA_CM2, MOST_AREA_CM2 = LEAST_BREAST_CM2, 500.0
LARGEST_FIELD_MM = 330.0  # the largest detectors are 240 x 300 mm
CUT_FRONT, CUT_ENDS = 0.05, 0.55
IMPLANT_SHARE = 0.20
WALL_SHARE = 0.65
PART_OF_BREAST = frozenset(
    {ViewModifier.MAGNIFICATION, ViewModifier.SPOT, ViewModifier.TANGENTIAL, ViewModifier.CLEAVAGE}
)


class Fault(StrEnum):
    """What can be wrong with an input."""

    BLANK = "blank"
    INVERTED = "inverted"
    SPACING_WRONG = "spacing wrong"
    SPACING_MISSING = "spacing missing"
    CROPPED = "cropped"
    IMPLANT = "implant"
    SWAPPED = "swapped"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFlag:
    """One fault of one view; ``refused`` means that no model should read it."""

    image_key: str
    fault: Fault
    refused: bool
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What the checks rest on; shares are of 1, millimetres None where no spacing is recorded."""

    grey_range: float  # 0.5 .. 99.5 percentile of the displayed picture
    found: bool
    black_air: bool  # air is exactly black up to the skin, as in digital images
    bright_border: float  # share of the picture's border about as bright as its brightest parts
    rim_over_middle: float  # grey just behind the skin less that of the breast's middle, in its spread
    breast_mm: tuple[float, float] | None  # height, breadth
    field_mm: tuple[float, float] | None
    cut_front: float  # share of the breast's rows that reach the edge away from the chest wall
    cut_ends: float  # breadth at the picture's first and last row over the greatest, the less of the two
    smooth_bright: float  # share of the breast in one very bright, smooth region that is no pectoral muscle
    wall_side: str  # "left" where it belongs
    wall_share: float  # evidence for it, 0.5..1
    guessed_mm: float  # pixel size if the breast were ``ASSUMED_BREAST_MM`` high


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """The views that a model may read, why others are not (by ViewImage.key), and what a reader must be told."""

    images: tuple[ViewImage, ...]
    unread: Mapping[str, str]
    warnings: tuple[str, ...]


def triage(images: Sequence[ViewImage], *, spacing: bool = True) -> Triage:
    """Check the views of an exam before a model reads them.

    Parameters
    ----------
    spacing
        False leaves out sentences on a spacing that is missing or too absurd to be believed, for a chain that
        says what it assumed instead (``pixel_size``).
    """
    measures = {image.key: measure(image) for image in images}
    flags = {image.key: check(image, measures[image.key]) for image in images}
    refused = {key: next((f.sentence for f in found if f.refused), "") for key, found in flags.items()}
    return Triage(
        images=tuple(image for image in images if not refused[image.key]),
        unread={key: sentence for key, sentence in refused.items() if sentence},
        warnings=tuple(
            flag.sentence
            for found in flags.values()
            for flag in found
            if not flag.refused and (spacing or not _said_by_chain(flag, measures[flag.image_key]))
        ),
    )


def _said_by_chain(flag: InputFlag, found: Measures) -> bool:
    absurd = found.breast_mm is not None and is_absurd(found.breast_mm)
    return flag.fault is Fault.SPACING_MISSING or (flag.fault is Fault.SPACING_WRONG and absurd)


def measure(image: ViewImage) -> Measures:
    """Measure one view as first shown, chest wall to the left if its labels are right."""
    mirror = image.view.laterality is Laterality.RIGHT
    canonical = np.ascontiguousarray(to_canonical(displayed_grey(image), image.orientation, mirror))
    scale = min(1.0, _SIDE / max(canonical.shape))
    size = tuple(max(8, round(n * scale)) for n in canonical.shape)
    grey = np.asarray(cv2.resize(canonical, size[::-1], interpolation=cv2.INTER_AREA), np.float32)
    mm = None
    if image.spacing is not None:
        mm = (image.spacing.row_mm, image.spacing.col_mm)
        mm = (mm[1], mm[0]) if image.orientation.transpose else mm
    return measure_grey(grey, scale, mm)


def measure_grey(grey: NDArray[np.float32], scale: float, mm: tuple[float, float] | None) -> Measures:
    """Measure a displayed picture at reduced size.

    Parameters
    ----------
    grey
        (rows, cols) float32 in [0, 1], longer side 384 or less, chest wall at column 0.
    scale
        Its pixels per pixel of the file.
    mm
        Size of the file's pixel, rows and columns, None if not recorded.
    """
    region = find_breast(grey)
    mask = region.mask
    low, high = np.percentile(grey, (0.5, 99.5))
    near = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    air = grey[near & ~mask]
    side, share = chest_wall_side(np.clip(grey * 4095, 0, 4095).astype(np.uint16))
    digital = bool(len(air)) and float((air < 0.004).mean()) > 0.8
    return Measures(
        grey_range=float(high - low),
        found=region.found,
        black_air=digital,
        bright_border=_bright_border(grey),
        rim_over_middle=_rim_over_middle(grey, mask),
        breast_mm=None if mm is None else _size_mm(region.shape, scale, mm),
        field_mm=None if mm is None else _size_mm(grey.shape, scale, mm),
        cut_front=_cut_front(mask),
        cut_ends=_cut_ends(mask),
        smooth_bright=_smooth_bright(grey, mask),
        wall_side=side,
        wall_share=share,
        guessed_mm=ASSUMED_BREAST_MM / (region.shape[0] / scale),
    )


def _size_mm(shape: tuple[int, ...], scale: float, mm: tuple[float, float]) -> tuple[float, float]:
    return shape[0] / scale * mm[0], shape[1] / scale * mm[1]


def check(image: ViewImage, found: Measures | None = None) -> tuple[InputFlag, ...]:
    """Say what is wrong with one view.

    Parameters
    ----------
    found
        Its measures, when taken already.

    Returns
    -------
    Flags, refusals first; empty for a view that is as it should be. Spot and magnification views are not
    checked for size and cropping.
    """
    m = found or measure(image)
    name = image.view.label
    if m.grey_range < LEAST_RANGE:
        return (_flag(image, Fault.BLANK, f"{name}: the image is blank (one even grey); it was not read."),)
    if _is_inverted(image, m):
        words = "air and fat look bright and dense tissue dark: black and white are swapped"
        return (
            _flag(
                image,
                Fault.INVERTED,
                f"{name}: {words} (Photometric Interpretation or inversion is wrong); it was not read.",
            ),
        )
    if not m.found:
        return (
            _flag(
                image, Fault.BLANK, f"{name}: nothing that looks like a breast was found; it was not read."
            ),
        )
    flags = [*_spacing_flags(image, m), *_shape_flags(image, m)]
    return tuple(flags)


def _flag(image: ViewImage, fault: Fault, sentence: str, *, refused: bool = True) -> InputFlag:
    return InputFlag(image_key=image.key, fault=fault, refused=refused, sentence=sentence)


def _is_inverted(image: ViewImage, m: Measures) -> bool:
    if m.bright_border > INVERTED_BORDER:
        return True
    # where padding keeps air black only the order of fat and gland tells; contrast images have bright skin
    limit = INVERTED_RIM_CONTRAST if image.kind.is_contrast else INVERTED_RIM
    return m.found and m.black_air and m.rim_over_middle > limit


def _spacing_flags(image: ViewImage, m: Measures) -> list[InputFlag]:
    name = image.view.label
    if m.breast_mm is None or m.field_mm is None:
        sentence = (
            f"{name}: no pixel spacing; {m.guessed_mm:.3f} mm was assumed from the breast's height "
            f"({ASSUMED_BREAST_MM:.0f} mm), so sizes are approximate."
        )
        return [_flag(image, Fault.SPACING_MISSING, sentence, refused=False)]
    if PART_OF_BREAST & set(image.modifiers):
        return []
    area = m.breast_mm[0] * m.breast_mm[1] / 100.0
    whole = LEAST_AREA_CM2 <= area <= MOST_AREA_CM2 and max(m.field_mm) <= LARGEST_FIELD_MM
    if whole:
        return []
    sentence = (
        f"{name}: by its pixel spacing the breast is {m.breast_mm[0]:.0f} x {m.breast_mm[1]:.0f} mm on a field "
        f"of {m.field_mm[0]:.0f} x {m.field_mm[1]:.0f} mm, which is implausible; do not trust sizes, and check "
        "the spacing."
    )
    return [_flag(image, Fault.SPACING_WRONG, sentence, refused=False)]


def _shape_flags(image: ViewImage, m: Measures) -> list[InputFlag]:
    name, out = image.view.label, []
    part = bool(PART_OF_BREAST & set(image.modifiers)) or image.flags.partial
    if m.wall_side != "left" and m.wall_share >= WALL_SHARE:
        sentence = (
            f"{name}: the chest wall lies on the wrong side for a {image.view.laterality.name.lower()} breast; "
            "side or orientation is mislabelled, so do not trust sides in the result."
        )
        out.append(_flag(image, Fault.SWAPPED, sentence, refused=False))
    if image.flags.partial and not PART_OF_BREAST & set(image.modifiers):
        sentence = f"{name}: the file calls it a partial view; places and the nipple may be wrong."
        out.append(_flag(image, Fault.CROPPED, sentence, refused=False))
    if not part and (m.cut_front > CUT_FRONT or m.cut_ends > CUT_ENDS):
        where = "in front" if m.cut_front > CUT_FRONT else "above and below"
        sentence = f"{name}: the breast is cut off {where}; places and the nipple may be wrong."
        out.append(_flag(image, Fault.CROPPED, sentence, refused=False))
    if image.flags.implant or (m.black_air and m.smooth_bright > IMPLANT_SHARE):
        said = "the file says so" if image.flags.implant else "a large, even, very bright area"
        sentence = f"{name}: an implant may be in the breast ({said}); the model was not made for it."
        out.append(_flag(image, Fault.IMPLANT, sentence, refused=False))
    return out


def _bright_border(grey: NDArray[np.float32]) -> float:
    rim = np.concatenate([grey[:3].ravel(), grey[-3:].ravel(), grey[:, :3].ravel(), grey[:, -3:].ravel()])
    return float((rim > 0.9 * float(np.percentile(grey, 99.5))).mean())


def _depth(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance to the skin in shares of the picture's side; the picture's own edges are no skin."""
    wide = np.pad(mask.astype(np.uint8), ((_SIDE, _SIDE), (_SIDE, 0)), mode="edge")
    wide = np.pad(wide, ((0, 0), (0, 1)))
    distance = cv2.distanceTransform(wide, cv2.DIST_L2, 3)[_SIDE:-_SIDE, _SIDE:-1]
    return np.asarray(distance / _SIDE, np.float32)


def _rim_over_middle(grey: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    depth = _depth(mask)
    rim, middle = mask & (depth > 0.012) & (depth < 0.04), mask & (depth > 0.08)
    if rim.sum() < 20 or middle.sum() < 20:
        return 0.0
    spread = float(grey[mask].std())
    return float((grey[rim].mean() - grey[middle].mean()) / max(spread, 1e-4))


def _cut_front(mask: NDArray[np.bool_]) -> float:
    return float(mask[:, -2:].any(axis=1).sum() / max(1, mask.any(axis=1).sum()))


def _cut_ends(mask: NDArray[np.bool_]) -> float:
    widths = mask.sum(axis=1)
    return float(min(widths[:2].max(), widths[-2:].max()) / max(1, widths.max()))


def _smooth_bright(grey: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Largest bright even region that does not begin at the breast's top, where the muscle does."""
    if not mask.any():
        return 0.0
    top = float(np.percentile(grey[mask], 99.0))
    mean = cv2.boxFilter(grey, -1, (7, 7))
    spread = np.sqrt(np.maximum(cv2.boxFilter(grey * grey, -1, (7, 7)) - mean * mean, 0))
    hit = (mask & (mean > 0.85 * top) & (spread < 0.04)).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13))
    hit = cv2.morphologyEx(hit, cv2.MORPH_OPEN, kernel)
    count, _, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(hit), connectivity=4)
    rows = np.flatnonzero(mask.any(axis=1))
    first = rows[0] + 0.12 * len(rows)
    areas = [stats[k, cv2.CC_STAT_AREA] for k in range(1, count) if stats[k, cv2.CC_STAT_TOP] > first]
    return float(max(areas, default=0) / mask.sum())
