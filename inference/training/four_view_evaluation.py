"""Runs a four-view detector on held-out phantoms and pairs what it says with what is true of them.

Detections come from the engine as a reader gets them, in stored pixels; the figures made of the pairs are
``four_view_figures``'s. Synthetic validation: nothing here says anything about patients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from inference.exam.phantom import PhantomExam, PhantomLesion, phantom_exam
from inference.exam.types import Box
from inference.four_view_engine import FourViewEngine
from inference.models.four_view import Fused
from inference.outlines import BEST, outline_of
from inference.preprocessing.four_view import PreparedView, prepare_exam
from inference.preprocessing.layout import box_to_stored
from inference.results import Detection, ExamResult
from inference.training.four_view_data import spec_of
from inference.training.four_view_measures import ImageResult, Mark, Truth, is_hit
from inference.training.places_outlines import dice
from resources.vocabulary import FindingType, Laterality, Pathology

VARIANTS = {
    "left/right and CC/MLO": Fused(),
    "left/right only": Fused(projections=False),
    "CC/MLO only": Fused(sides=False),
    "none": Fused(sides=False, projections=False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceCheck:
    """What was said of the place of a lesion that was hit, beside the truth."""

    region_right: bool
    depth_error: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlineCheck:
    """Dice of the outlines of a lesion that was hit, against the true one, both on the detection's box."""

    finding: FindingType  # the true one
    mask_head: float  # of the outline that the engine gave
    picture: float  # of the one that ``outlines.BEST`` draws from the picture for the finding said


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomCase:
    """One phantom and what was found in it."""

    seed: int
    images: tuple[ImageResult, ...]
    blobs: tuple[ImageResult, ...]
    breasts: tuple[tuple[bool, float], ...]  # cancer or not, suspicion
    grey: tuple[tuple[bool, float], ...]  # cancer or not, mean grey of the breast: a baseline
    seconds: float
    places: tuple[PlaceCheck, ...] = ()
    pairs: tuple[bool, ...] = ()  # lesions hit in both views: matched to each other
    wrong_pairs: int = 0  # pairs made of two marks that do not hit one lesion
    outlines: tuple[OutlineCheck, ...] = ()
    variants: Mapping[str, tuple[ImageResult, ...]] = field(default_factory=dict)  # other engines' answers


def run_phantoms(
    engine: FourViewEngine,
    seeds: Iterable[int],
    progress: Callable[[int], None] = lambda _done: None,
    *,
    others: Mapping[str, FourViewEngine] | None = None,
) -> list[PhantomCase]:
    """Analyse the phantoms of these seeds with an engine and pair the results with the truth.

    Parameters
    ----------
    others
        Engines by name that read the same phantoms, for comparisons; only their marks are kept.
    """
    out = []
    for done, seed in enumerate(seeds, start=1):
        phantom = phantom_exam(spec_of(seed))
        case = _case(seed, phantom, _read(engine, phantom), engine.card.threshold("box"))
        variants = {name: _images(phantom, _read(other, phantom)) for name, other in (others or {}).items()}
        out.append(replace(case, variants=variants))
        progress(done)
    return out


def _read(engine: FourViewEngine, phantom: PhantomExam) -> ExamResult:
    return engine.analyse(phantom.exam, lambda _fraction, _text: None, lambda: False)


def _images(phantom: PhantomExam, result: ExamResult) -> tuple[ImageResult, ...]:
    return tuple(
        image_result(phantom, image.key, _marks(result.detections, image.key))
        for image in phantom.exam.images
    )


def _case(seed: int, phantom: PhantomExam, result: ExamResult, threshold: float) -> PhantomCase:
    views = prepare_exam(phantom.exam.images)
    grey: dict[Laterality, list[float]] = {side: [] for side in Laterality}
    for image, view in zip(phantom.exam.images, views, strict=True):
        grey[image.view.laterality].append(float(view.planes[0][view.mask].mean()))
    cancer = {side: phantom.pathology[side] is Pathology.MALIGNANT for side in Laterality}
    pairs, wrong = _pairs(phantom, result, threshold)
    return PhantomCase(
        seed=seed,
        images=_images(phantom, result),
        blobs=tuple(image_result(phantom, view.image_key, blob_marks(view)) for view in views),
        breasts=tuple((cancer[side], result.breast_scores[side]) for side in Laterality),
        grey=tuple((cancer[side], float(np.mean(grey[side]))) for side in Laterality),
        seconds=result.seconds,
        places=_places(phantom, result.detections, threshold),
        pairs=pairs,
        wrong_pairs=wrong,
        outlines=_outlines(phantom, result.detections, threshold),
    )


def image_result(phantom: PhantomExam, key: str, marks: tuple[Mark, ...]) -> ImageResult:
    """Pair the marks of one image with the phantom's truth there."""
    return ImageResult(
        case_id=phantom.exam.exam_id,
        lesions=_truths(phantom.lesions, key),
        marks=marks,
        incidental=_truths(phantom.incidental, key),
    )


def _truths(lesions: Sequence[PhantomLesion], key: str) -> tuple[Truth, ...]:
    return tuple(
        Truth(
            box=_corners(lesion.views[key].box),
            finding=lesion.finding,
            malignant=lesion.malignant,
            lesion_id=lesion.lesion_id,
        )
        for lesion in lesions
        if key in lesion.views
    )


def _corners(box: Box) -> tuple[float, float, float, float]:
    return box.row0, box.col0, box.row1, box.col1


def _mark(detection: Detection) -> Mark:
    return Mark(
        box=_corners(detection.box),
        score=detection.score,
        finding=detection.finding or FindingType.MASS,
        malignancy=detection.malignancy or 0.0,
    )


def _marks(detections: Sequence[Detection], key: str) -> tuple[Mark, ...]:
    return tuple(_mark(d) for d in detections if d.image_key == key)


def _hits(
    phantom: PhantomExam, detections: Sequence[Detection], threshold: float
) -> dict[tuple[str, str], Detection]:
    """Strongest detection from the threshold upwards on each (lesion, image)."""
    out: dict[tuple[str, str], Detection] = {}
    for lesion in phantom.lesions:
        for key, view in lesion.views.items():
            truth = Truth(box=_corners(view.box), finding=lesion.finding, malignant=None)
            mine = [
                d
                for d in detections
                if d.image_key == key and d.score >= threshold and is_hit(_mark(d), truth, "centre")
            ]
            if mine:
                out[lesion.lesion_id, key] = max(mine, key=lambda d: d.score)
    return out


def _places(
    phantom: PhantomExam, detections: Sequence[Detection], threshold: float
) -> tuple[PlaceCheck, ...]:
    truth = {lesion.lesion_id: lesion for lesion in phantom.lesions}
    out = []
    for (lesion_id, key), found in _hits(phantom, detections, threshold).items():
        view = truth[lesion_id].views[key]
        error = None if found.depth is None else abs(found.depth - view.depth)
        out.append(PlaceCheck(region_right=found.region == view.region, depth_error=error))
    return tuple(out)


def _outlines(
    phantom: PhantomExam, detections: Sequence[Detection], threshold: float
) -> tuple[OutlineCheck, ...]:
    truth = {lesion.lesion_id: lesion for lesion in phantom.lesions}
    images = {image.key: image for image in phantom.exam.images}
    out = []
    for (lesion_id, key), found in _hits(phantom, detections, threshold).items():
        finding = found.finding or FindingType.MASS
        line = truth[lesion_id].views[key].contour + 0.5  # centres of pixels to their edges
        drawn = outline_of(images[key], found.box, finding, BEST.get(finding))
        out.append(
            OutlineCheck(
                finding=truth[lesion_id].finding,
                mask_head=dice(found.outline, line) if found.outline else 0.0,
                picture=dice(drawn, line),
            )
        )
    return tuple(out)


def _pairs(phantom: PhantomExam, result: ExamResult, threshold: float) -> tuple[tuple[bool, ...], int]:
    hits = _hits(phantom, result.detections, threshold)
    right = []
    for lesion in phantom.lesions:
        both = [hits[lesion.lesion_id, key] for key in lesion.views if (lesion.lesion_id, key) in hits]
        if len(both) == 2:
            right.append(both[0].group is not None and both[0].group == both[1].group)
    groups: dict[str, list[Detection]] = {}
    for found in result.detections:
        if found.group is not None and found.score >= threshold:
            groups.setdefault(found.group, []).append(found)
    owner = {found.detection_id: lesion_id for (lesion_id, _), found in hits.items()}
    wrong = sum(
        len(members) == 2
        and any(m.detection_id in owner for m in members)
        and len({owner.get(m.detection_id, m.detection_id) for m in members}) == 2
        for members in groups.values()
    )
    return tuple(right), wrong


def blob_marks(view: PreparedView, count: int = 10) -> tuple[Mark, ...]:
    """Baseline: peaks of differences of Gaussians of the grey and of the bright spots, strongest first."""
    marks: list[tuple[float, float, int, int]] = []
    for plane in (0, 1):
        picture = np.where(view.mask, view.planes[plane], 0).astype(np.float32)
        for sigma in (8.0, 13.0, 20.0):
            change = cv2.GaussianBlur(picture, (0, 0), sigma) - cv2.GaussianBlur(picture, (0, 0), 1.6 * sigma)
            change = np.where(view.mask, change, -1.0).astype(np.float32)
            size = 2 * int(sigma) + 1
            peak = (change >= cv2.dilate(change, np.ones((size, size), np.uint8))) & (change > 0)
            scale = float(change[view.mask].std()) or 1.0
            for row, col in np.argwhere(peak):
                marks.append((float(change[row, col]) / scale, sigma, int(row), int(col)))
    marks.sort(reverse=True)
    out = []
    for score, sigma, row, col in marks[:count]:
        reach = sigma * 2**0.5
        canvas = Box(row0=row - reach, col0=col - reach, row1=row + reach, col1=col + reach)
        box = box_to_stored(view.placement, canvas)
        if box is not None:
            confidence = score / (1.0 + score)
            out.append(
                Mark(box=_corners(box), score=confidence, finding=FindingType.MASS, malignancy=confidence)
            )
    return tuple(out)
