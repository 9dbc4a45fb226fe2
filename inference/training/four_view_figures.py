"""The figures of a four-view detector on phantoms: FROC, malignancy, breasts, places, pairs, outlines, fusion.

Paired results in, plain JSON out. Marks on harmless structures that the truth does not list count for nothing
(``ImageResult.incidental``); the figures that count them as false stand beside, named ``strict``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.metrics import FROC_RATES, Estimate, delong_auc, percentile_interval
from inference.training.four_view_data import FINDINGS
from inference.training.four_view_evaluation import PhantomCase
from inference.training.four_view_measures import (
    ImageResult,
    Truth,
    best_marks,
    false_scores,
    incidental_marks,
    malignancy_pairs,
    sensitivity,
    strict,
    threshold_at,
)

RULES = ("centre", "iou")


def figures(cases: Sequence[PhantomCase]) -> dict[str, Any]:
    """Put the figures of an evaluation into plain JSON, with 95 % intervals (bootstrap over exams, or DeLong)."""
    images = [image for case in cases for image in case.images]
    harsher = [replace(c, images=tuple(strict(c.images)), blobs=tuple(strict(c.blobs))) for c in cases]
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
        "froc_strict": {rule: _froc(strict(images), rule) for rule in RULES},
        "at_0.2": {rule: at_rate(cases, rule) for rule in RULES},
        "at_0.2_strict": {rule: at_rate(harsher, rule) for rule in RULES},
        "at_0.2_blob_detector": at_rate(cases, "centre", blobs=True),
        "incidental": {
            "structures": sum(len(image.incidental) for image in images),
            "marks_at_0.2": incidental_marks(images, threshold_at(images, 0.2)),
        },
        "malignancy_auc": _as_dict(delong_auc(np.array(malignant), np.array(malignancy))),
        "breast_auc": _as_dict(delong_auc(truth, suspicion)),
        "breast_auc_mean_grey": _as_dict(delong_auc(grey_truth, grey)),
        "type_right": _type_right(images),
        "region_right": {"value": _mean([p.region_right for p in places]), "n": len(places)},
        "depth_error": {"mean": _mean(depths), "median": float(np.median(depths)) if depths else None},
        "pairs_right": {
            "value": _mean(pairs), "n": len(pairs), "wrong_pairs": sum(c.wrong_pairs for c in cases),
        },
        "outlines": outline_figures(cases),
        "seconds_per_exam": round(float(np.median([case.seconds for case in cases])), 2),
    }  # fmt: skip


def outline_figures(cases: Sequence[PhantomCase]) -> dict[str, Any]:
    """Median Dice by type of the mask head's outlines and of those drawn from the picture, lesions found."""
    checks = [check for case in cases for check in case.outlines]
    out: dict[str, Any] = {}
    for finding in FINDINGS:
        mine = [check for check in checks if check.finding is finding]
        if mine:
            out[finding.value] = {
                "mask_head": _short(float(np.median([check.mask_head for check in mine]))),
                "picture": _short(float(np.median([check.picture for check in mine]))),
                "n": len(mine),
            }
    return out


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
    malignant = np.array([x.malignant is True for x in lesions], dtype=bool)
    out = {"all": np.ones(len(lesions), bool), "malignant": malignant, "benign": ~malignant}
    for finding in FINDINGS:
        own = np.array([x.finding is finding for x in lesions], dtype=bool)
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
        units = sum(bool(_groups(exam.lesions)[name].any()) for exam in counted)
        lo, hi = percentile_interval(np.array(draws[name]), units) if draws[name] else (None, None)
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
    For each variant ``name``, ``value``, and against the last ``difference`` with ``lo`` and ``hi`` (95 %;
    None where every draw gives the same).
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
        known = difference[np.isfinite(difference)]
        lo, hi = percentile_interval(known) if len(known) else (None, None)
        out.append(
            {
                "name": variant.name,
                "value": round(value(variant, everything), 4),
                "difference": round(value(variant, everything) - value(last, everything), 4),
                "lo": _short(lo),
                "hi": _short(hi),
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
