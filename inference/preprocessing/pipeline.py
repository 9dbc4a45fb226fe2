"""The named, versioned chains from a view to a model's input. Training and prediction call the same function.

``dib-mg-small/1``: first VOI, inversion and air -> breast found -> canonical orientation -> 0.45 mm pixels
on a fixed canvas, breast against column 0 -> -1..1, outside the breast -1. ``dib-mg-small/2``: the same, and
beside it the small bright spots counted at 0.2 mm, per canvas pixel. ``dib-mg-small/3``: the same, with the
breast on film found as on film and evidence in muscle, rim and film edge not counted. ``dib-mg-paper/1``: as
published. It does not know torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.types import InferenceError, ViewImage
from inference.preprocessing.breast import BreastRegion, find_breast
from inference.preprocessing.film import counted_area, film_breast
from inference.preprocessing.intensity import displayed_grey
from inference.preprocessing.layout import Placement, draw_on_canvas, to_canonical
from inference.preprocessing.pixel_size import (
    ASSUMED_BREAST_MM,
    believed_mm,
    breast_mm,
    disbelieved_words,
    recorded_mm,
)
from inference.preprocessing.spots import COARSEST_MM, SPOT_MM, spot_counts
from resources.vocabulary import ImageKind, Laterality

DIB_MG_SMALL = "dib-mg-small/1"
DIB_MG_SMALL_SPOTS = "dib-mg-small/2"
DIB_MG_SMALL_FILM = "dib-mg-small/3"
DIB_MG_PAPER = "dib-mg-paper/1"
PAPER_SIDE = 1600
CANVAS_SHAPE = (512, 320)
CANVAS_MM = 0.45


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInput:
    """One view ready for a model: canvas (rows, cols) float32 in [-1, 1], breast mask of it, and the way
    back."""

    image_key: str
    canvas: NDArray[np.float32] = field(compare=False, repr=False)
    mask: NDArray[np.bool_] = field(compare=False, repr=False)
    placement: Placement
    pixel_mm: float  # size of a canvas pixel; an estimate when a warning says so
    warnings: tuple[str, ...] = ()
    spots: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    # (rows, cols) number of small bright spots per canvas pixel; None where the chain does not seek them
    evidence_mask: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)
    # (rows, cols) where evidence counts; None = in the whole breast

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Where evidence counts: (rows, cols) of the canvas."""
        return self.mask if self.evidence_mask is None else self.evidence_mask

    @property
    def planes(self) -> NDArray[np.float32]:
        """What the network is given: (channels, rows, cols), the canvas and the spots if the chain has
        them."""
        return np.stack([self.canvas] if self.spots is None else [self.canvas, self.spots])


def dib_mg_small(image: ViewImage) -> ModelInput:
    """Prepare one view for the small DIB-MG model, version 1 (see the module text for the chain)."""
    return _prepare(image)[0]


def dib_mg_small_spots(image: ViewImage) -> ModelInput:
    """Prepare one view for the small DIB-MG model, version 2: the canvas and the spots."""
    return _with_spots(image, *_prepare(image))


def dib_mg_small_film(image: ViewImage) -> ModelInput:
    """Prepare one view for the small DIB-MG model, version 3: as version 2, but film is treated as film."""
    if image.kind is not ImageKind.FILM:
        return dib_mg_small_spots(image)
    item, canonical, region, source_mm = _prepare(image, film_breast)
    counted = counted_area(
        (item.canvas + 1.0) * 0.5, item.mask, item.pixel_mm, oblique=not image.view.projection.is_axial
    )
    return _with_spots(image, replace(item, evidence_mask=counted), canonical, region, source_mm)


def _with_spots(
    image: ViewImage,
    item: ModelInput,
    canonical: NDArray[np.float32],
    region: BreastRegion,
    source_mm: tuple[float, float],
) -> ModelInput:
    spots = np.zeros(CANVAS_SHAPE, np.float32)
    if max(source_mm) > COARSEST_MM:
        sentence = (
            f"{image.view.label}: pixels of {max(source_mm):.2f} mm are too coarse to show calcifications "
            f"({COARSEST_MM} mm at most); they were not looked for."
        )
        return replace(item, spots=spots, warnings=(*item.warnings, sentence))
    rows, cols = slice(region.row0, region.row1), slice(region.col0, region.col1)
    size = tuple(
        max(1, round(n * mm / SPOT_MM)) for n, mm in zip(region.shape, source_mm, strict=True)
    )  # rows, cols
    shrink = cv2.INTER_AREA if max(source_mm) < SPOT_MM else cv2.INTER_LINEAR
    grey = cv2.resize(np.ascontiguousarray(canonical[rows, cols]), size[::-1], interpolation=shrink)
    mask = np.ascontiguousarray(region.mask[rows, cols].astype(np.uint8))
    inside = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST)
    found = spot_counts(np.asarray(grey, np.float32), inside > 0)
    top, left = (round(v) for v in item.placement.offset)
    height, width = (round(n * s) for n, s in zip(region.shape, item.placement.scale, strict=True))
    each = size[0] * size[1] / (height * width)  # working pixels per canvas pixel: the sum is kept
    counted = cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA) * np.float32(each)
    spots[top : top + height, left : left + width] = counted
    return replace(item, spots=spots * item.mask)


def dib_mg_paper(image: ViewImage) -> ModelInput:
    """Prepare one view as Kim et al. 2018: longer side 1600, padded on the left for R and on the right for L.

    The padding is air (-1 after scaling), which is what zero is in the pictures that they pad. Nothing is
    segmented: the mask is the picture without its padding. A picture broader than high is padded below.
    """
    canonical = np.ascontiguousarray(to_canonical(displayed_grey(image), image.orientation, False))
    rows, cols = canonical.shape
    scale = PAPER_SIDE / max(rows, cols)
    height, width = (min(PAPER_SIDE, max(1, round(n * scale))) for n in (rows, cols))
    left = PAPER_SIDE - width if image.view.laterality is Laterality.RIGHT else 0
    placement = Placement(
        stored_shape=(image.pixels.shape[0], image.pixels.shape[1]),
        orientation=image.orientation,
        mirror=False,
        origin=(0.0, 0.0),
        extent=(float(rows), float(cols)),
        scale=(height / rows, width / cols),
        offset=(0.0, float(left)),
        canvas_shape=(PAPER_SIDE, PAPER_SIDE),
    )
    canvas = draw_on_canvas(canonical, placement, 0.0) * 2.0 - 1.0
    mask = np.zeros(canvas.shape, np.bool_)
    mask[:height, left : left + width] = True
    source_mm = 0.0 if image.spacing is None else image.spacing.row_mm
    return ModelInput(
        image_key=image.key,
        canvas=canvas,
        mask=mask,
        placement=placement,
        pixel_mm=source_mm / scale,
        evidence_mask=np.ones_like(mask),  # the published average is over the whole map
    )


def _prepare(
    image: ViewImage, find: Callable[[NDArray[np.float32]], BreastRegion] = find_breast
) -> tuple[ModelInput, NDArray[np.float32], BreastRegion, tuple[float, float]]:
    """Canvas of one view, and what it was drawn from: canonical grey, breast, mm per row and column."""
    mirror = image.view.laterality is Laterality.RIGHT
    canonical = to_canonical(displayed_grey(image), image.orientation, mirror)
    canonical = np.ascontiguousarray(canonical)
    region = find(canonical)
    warnings: list[str] = []
    if not region.found:
        warnings.append(
            f"{image.view.label}: the breast could not be told from the background; whole image used."
        )
    mm_row, mm_col = _pixel_mm(image, region, warnings)
    placement, pixel_mm = _placement(image, region, mirror, (mm_row, mm_col), warnings)
    mask = draw_on_canvas(region.mask.astype(np.float32), placement, 0.0) > 0.5
    canvas = draw_on_canvas(canonical, placement, 0.0) * 2.0 - 1.0
    canvas[~mask] = -1.0
    item = ModelInput(
        image_key=image.key,
        canvas=canvas,
        mask=mask,
        placement=placement,
        pixel_mm=pixel_mm,
        warnings=tuple(warnings),
    )
    return item, canonical, region, (mm_row, mm_col)


def _pixel_mm(image: ViewImage, region: BreastRegion, warnings: list[str]) -> tuple[float, float]:
    believed = believed_mm(image, region)
    if believed is not None:
        return believed
    estimate = ASSUMED_BREAST_MM / region.shape[0]
    if image.spacing is None:
        warnings.append(
            f"{image.view.label}: no pixel spacing; {estimate:.3f} mm was assumed from the breast's height "
            f"({ASSUMED_BREAST_MM:.0f} mm), so sizes are approximate."
        )
    else:
        made = breast_mm(region, recorded_mm(image) or (0.0, 0.0))
        end = f"from the breast's height ({ASSUMED_BREAST_MM:.0f} mm), so sizes are approximate."
        warnings.append(disbelieved_words(image, made, f"{estimate:.3f}", end))
    return (estimate, estimate)


def _placement(
    image: ViewImage,
    region: BreastRegion,
    mirror: bool,
    mm: tuple[float, float],
    warnings: list[str],
) -> tuple[Placement, float]:
    rows, cols = region.shape
    need = max(rows * mm[0] / CANVAS_SHAPE[0], cols * mm[1] / CANVAS_SHAPE[1])
    pixel_mm = max(CANVAS_MM, need)
    if pixel_mm > CANVAS_MM * 1.001:
        warnings.append(
            f"{image.view.label}: the breast is larger than the model's field; it was read at {pixel_mm:.2f} "
            f"mm "
            f"per pixel instead of {CANVAS_MM} mm."
        )
    height = min(CANVAS_SHAPE[0], max(1, round(rows * mm[0] / pixel_mm)))
    width = min(CANVAS_SHAPE[1], max(1, round(cols * mm[1] / pixel_mm)))
    placement = Placement(
        stored_shape=(image.pixels.shape[0], image.pixels.shape[1]),
        orientation=image.orientation,
        mirror=mirror,
        origin=(float(region.row0), float(region.col0)),
        extent=(float(rows), float(cols)),
        scale=(height / rows, width / cols),
        offset=(float((CANVAS_SHAPE[0] - height) // 2), 0.0),
        canvas_shape=CANVAS_SHAPE,
    )
    return placement, pixel_mm


PIPELINES: dict[str, Callable[[ViewImage], ModelInput]] = {
    DIB_MG_SMALL: dib_mg_small,
    DIB_MG_SMALL_SPOTS: dib_mg_small_spots,
    DIB_MG_SMALL_FILM: dib_mg_small_film,
    DIB_MG_PAPER: dib_mg_paper,
}


WITH_SPOTS = (DIB_MG_SMALL_SPOTS, DIB_MG_SMALL_FILM)  # the chains that give two planes


def pipeline(preprocessing_id: str) -> Callable[[ViewImage], ModelInput]:
    """Return the chain of that name; InferenceError names the ones that exist."""
    try:
        return PIPELINES[preprocessing_id]
    except KeyError:
        known = ", ".join(sorted(PIPELINES))
        raise InferenceError(
            f"Preprocessing {preprocessing_id!r}: expected one of {known}; install a program version "
            "that has it."
        ) from None
