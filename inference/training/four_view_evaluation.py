"""Measures a four-view detector on held-out phantoms: FROC, malignancy, breasts, places, pairs, baselines.

Detections come from the engine as a reader gets them, in stored pixels. Synthetic validation: no figure here
says anything about patients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.phantom import PhantomExam, phantom_exam
from inference.exam.types import Box
from inference.four_view_engine import FourViewEngine
from inference.metrics import FROC_RATES, Estimate, delong_auc
from inference.models.four_view import Fused
from inference.preprocessing.four_view import PreparedView, prepare_exam
from inference.preprocessing.layout import box_to_stored
from inference.results import Detection, ExamResult
from inference.training.four_view_data import FINDINGS, spec_of
from inference.training.four_view_measures import (
    ImageResult,
    Mark,
    Truth,
    best_marks,
    false_scores,
    is_hit,
    malignancy_pairs,
    sensitivity,
    threshold_at,
)
from resources.vocabulary import FindingType, Laterality, Pathology

RULES = ("centre", "iou")
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


def run_phantoms(
    engine: FourViewEngine, seeds: Iterable[int], progress: Callable[[int], None] = lambda _done: None
) -> list[PhantomCase]:
    """Analyse the phantoms of these seeds with an engine and pair the results with the truth."""
    out = []
    for done, seed in enumerate(seeds, start=1):
        phantom = phantom_exam(spec_of(seed))
        result = engine.analyse(phantom.exam, lambda _fraction, _text: None, lambda: False)
        out.append(_case(seed, phantom, result, engine.card.threshold("box")))
        progress(done)
    return out


def _case(seed: int, phantom: PhantomExam, result: ExamResult, threshold: float) -> PhantomCase:
    views = prepare_exam(phantom.exam.images)
    grey: dict[Laterality, list[float]] = {side: [] for side in Laterality}
    for image, view in zip(phantom.exam.images, views, strict=True):
        grey[image.view.laterality].append(float(view.planes[0][view.mask].mean()))
    cancer = {side: phantom.pathology[side] is Pathology.MALIGNANT for side in Laterality}
    pairs, wrong = _pairs(phantom, result, threshold)
    return PhantomCase(
        seed=seed,
        images=tuple(
            image_result(phantom, image.key, _marks(result.detections, image.key))
            for image in phantom.exam.images
        ),
        blobs=tuple(image_result(phantom, view.image_key, blob_marks(view)) for view in views),
        breasts=tuple((cancer[side], result.breast_scores[side]) for side in Laterality),
        grey=tuple((cancer[side], float(np.mean(grey[side]))) for side in Laterality),
        seconds=result.seconds,
        places=_places(phantom, result.detections, threshold),
        pairs=pairs,
        wrong_pairs=wrong,
    )


def image_result(phantom: PhantomExam, key: str, marks: tuple[Mark, ...]) -> ImageResult:
    """Pair the marks of one image with the phantom's truth there."""
    lesions = tuple(
        Truth(
            box=_corners(lesion.views[key].box),
            finding=lesion.finding,
            malignant=lesion.malignant,
            lesion_id=lesion.lesion_id,
        )
        for lesion in phantom.lesions
        if key in lesion.views
    )
    return ImageResult(case_id=phantom.exam.exam_id, lesions=lesions, marks=marks)


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


def figures(cases: Sequence[PhantomCase]) -> dict[str, Any]:
    """Put the figures of an evaluation into plain JSON, with 95 % intervals (bootstrap over exams, or DeLong)."""
    images = [image for case in cases for image in case.images]
    truth, suspicion = (np.array(x) for x in zip(*(b for c in cases for b in c.breasts), strict=True))
    grey_truth, grey = (np.array(x) for x in zip(*(b for c in cases for b in c.grey), strict=True))
    malignant, malignancy = malignancy_pairs(images)
    places = [p for case in cases for p in case.places]
    depths = [p.depth_error for p in places if p.depth_error is not None]
    pairs = [p for case in cases for p in case.pairs]
    return {
        "level": "phantom, held-out seeds",
        "n_exams": len(cases),
        "n_images": len(images),
        "froc": {rule: _froc(images, rule) for rule in RULES},
        "at_0.2": {rule: at_rate(cases, rule) for rule in RULES},
        "at_0.2_blob_detector": at_rate(cases, "centre", blobs=True),
        "malignancy_auc": _as_dict(delong_auc(np.array(malignant), np.array(malignancy))),
        "breast_auc": _as_dict(delong_auc(truth, suspicion)),
        "breast_auc_mean_grey": _as_dict(delong_auc(grey_truth, grey)),
        "type_right": _type_right(images),
        "region_right": {"value": _mean([p.region_right for p in places]), "n": len(places)},
        "depth_error": {"mean": _mean(depths), "median": float(np.median(depths)) if depths else None},
        "pairs_right": {
            "value": _mean(pairs), "n": len(pairs), "wrong_pairs": sum(c.wrong_pairs for c in cases),
        },
        "seconds_per_exam": round(float(np.median([case.seconds for case in cases])), 2),
    }  # fmt: skip


def _mean(values: Sequence[float]) -> float | None:
    return round(float(np.mean(values)), 4) if len(values) else None


def _type_right(images: Sequence[ImageResult]) -> dict[str, Any]:
    threshold = threshold_at(images, 0.2)
    found = [
        mark.finding is lesion.finding
        for image in images
        for lesion, mark in zip(image.lesions, best_marks(image, "centre"), strict=True)
        if mark is not None and mark.score >= threshold
    ]
    return {"value": _mean(found), "n": len(found)}


def _froc(images: Sequence[ImageResult], rule: str) -> dict[str, dict[str, float]]:
    groups: dict[str, dict[str, Any]] = {"all": {}, "malignant": {"malignant": True}}
    groups |= {finding.value: {"finding": finding} for finding in FINDINGS}
    return {
        name: {
            str(rate): round(sensitivity(images, threshold_at(images, rate, rule), rule, **which)[0], 4)
            for rate in FROC_RATES
        }
        for name, which in groups.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """One exam in numbers, so that a bootstrap need not look at boxes again."""

    hits: NDArray[np.float64]  # best score on each lesion, -inf where there is no mark
    lesions: tuple[Truth, ...]
    false: NDArray[np.float64]
    images: int


def _counted(images: Sequence[ImageResult], rule: str) -> _Counted:
    best = [mark for image in images for mark in best_marks(image, rule)]
    return _Counted(
        hits=np.array([-np.inf if mark is None else mark.score for mark in best]),
        lesions=tuple(lesion for image in images for lesion in image.lesions),
        false=np.array(false_scores(images, rule)),
        images=len(images),
    )


def _found(exams: Sequence[_Counted], rate: float) -> NDArray[np.bool_]:
    """Which lesions of these exams have a mark at the threshold that the rate of false marks allows."""
    false = np.sort(np.concatenate([exam.false for exam in exams]))[::-1]
    allowed = int(rate * sum(exam.images for exam in exams) + 1e-9)
    threshold = 0.0 if allowed >= len(false) else float(np.nextafter(false[allowed], 1.0))
    return np.asarray(np.concatenate([exam.hits for exam in exams]) >= threshold)


def _groups(lesions: Sequence[Truth]) -> dict[str, NDArray[np.bool_]]:
    malignant = np.array([x.malignant is True for x in lesions])
    out = {"all": np.ones(len(lesions), bool), "malignant": malignant, "benign": ~malignant}
    for finding in FINDINGS:
        own = np.array([x.finding is finding for x in lesions])
        out |= {
            finding.value: own,
            f"{finding.value} malignant": own & malignant,
            f"{finding.value} benign": own & ~malignant,
        }
    return out


def at_rate(
    cases: Sequence[PhantomCase], rule: str, *, rate: float = 0.2, blobs: bool = False, rounds: int = 500
) -> dict[str, Any]:
    """Sensitivity at a rate of false marks per image, overall, of malignant and benign lesions and by type."""
    counted = [_counted(case.blobs if blobs else case.images, rule) for case in cases]
    found, groups = _found(counted, rate), _groups([x for exam in counted for x in exam.lesions])
    draws: dict[str, list[float]] = {name: [] for name in groups}
    rng = np.random.default_rng(11)
    for _ in range(rounds):
        drawn = [counted[n] for n in rng.integers(0, len(counted), len(counted))]
        hit, parts = _found(drawn, rate), _groups([x for exam in drawn for x in exam.lesions])
        for name, part in parts.items():
            if part.any():
                draws[name].append(float(hit[part].mean()))
    images = [image for case in cases for image in (case.blobs if blobs else case.images)]
    out: dict[str, Any] = {"threshold": round(threshold_at(images, rate, rule), 5)}
    for name, part in groups.items():
        value = float(found[part].mean()) if part.any() else None
        lo, hi = np.percentile(draws[name], [2.5, 97.5]) if draws[name] else (None, None)
        out[name] = {"value": _short(value), "lo": _short(lo), "hi": _short(hi), "n": int(part.sum())}
    return out


def _short(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The same exams read with one choice of fusion parts."""

    name: str
    exams: tuple[tuple[ImageResult, ...], ...] = field(repr=False)


def compared(
    variants: Sequence[Variant], *, rate: float = 0.2, rounds: int = 1000, seed: int = 5
) -> list[dict[str, Any]]:
    """Compare every variant with the last: sensitivity at the rate, paired bootstrap over exams.

    Returns
    -------
    For each variant ``name``, ``value``, and against the last ``difference`` with ``lo`` and ``hi`` (95 %).
    """
    rng = np.random.default_rng(seed)
    count = len(variants[0].exams)

    tables = {v.name: [_counted(exam, "centre") for exam in v.exams] for v in variants}

    def value(variant: Variant, index: NDArray[np.int64]) -> float:
        found = _found([tables[variant.name][n] for n in index], rate)
        return float(found.mean()) if len(found) else float("nan")

    everything = np.arange(count)
    draws = [rng.integers(0, count, count) for _ in range(rounds)]
    table = {v.name: np.array([value(v, draw) for draw in draws]) for v in variants}
    last = variants[-1]
    out = []
    for variant in variants:
        difference = table[variant.name] - table[last.name]
        lo, hi = np.nanpercentile(difference, [2.5, 97.5])
        out.append(
            {
                "name": variant.name,
                "value": round(value(variant, everything), 4),
                "difference": round(value(variant, everything) - value(last, everything), 4),
                "lo": round(float(lo), 4),
                "hi": round(float(hi), 4),
            }
        )
    return out


def _as_dict(estimate: Estimate) -> dict[str, float | int | None]:
    return {
        "value": _short(estimate.value),
        "lo": _short(estimate.lo),
        "hi": _short(estimate.hi),
        "n_pos": estimate.n_pos,
        "n_neg": estimate.n_neg,
    }
