"""How good a four-view detector's lesions are: hits by two rules, FROC by type, malignancy AUC.

Arrays of boxes in, plain figures out; nothing here knows torch. Boxes are (row0, col0, row1, col1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from inference.metrics import delong_auc
from resources.vocabulary import FindingType

_Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One lesion of one image."""

    box: _Box
    finding: FindingType
    malignant: bool | None
    lesion_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One detection of one image; ``score`` and ``malignancy`` in [0, 1]."""

    box: _Box
    score: float
    finding: FindingType
    malignancy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageResult:
    """What is in one image and what was found there.

    ``incidental`` are harmless structures that the truth does not list (nodes, round calcifications): a mark on
    one is neither a hit nor false. ``strict`` counts it as false.
    """

    case_id: str
    lesions: tuple[Truth, ...]
    marks: tuple[Mark, ...]
    incidental: tuple[Truth, ...] = ()


def overlap(a: _Box, b: _Box) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    height = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    width = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    common = height * width
    total = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / total if total > 0 else 0.0


def is_hit(mark: Mark, lesion: Truth, rule: str) -> bool:
    """Tell whether a mark hits a lesion: "centre" = its centre lies in the box, "iou" = overlap above 0.2."""
    if rule == "iou":
        return overlap(mark.box, lesion.box) > 0.2
    row, col = (mark.box[0] + mark.box[2]) / 2, (mark.box[1] + mark.box[3]) / 2
    return lesion.box[0] <= row < lesion.box[2] and lesion.box[1] <= col < lesion.box[3]


def best_marks(image: ImageResult, rule: str) -> list[Mark | None]:
    """Strongest mark on each lesion of an image, None where there is none."""
    return [
        max((m for m in image.marks if is_hit(m, x, rule)), key=lambda m: m.score, default=None)
        for x in image.lesions
    ]


def strict(images: Sequence[ImageResult]) -> list[ImageResult]:
    """The same images without the incidental structures, so that marks on them are false."""
    return [replace(image, incidental=()) for image in images]


def false_scores(images: Sequence[ImageResult], rule: str) -> list[float]:
    """Scores of the marks that hit neither a lesion nor an incidental structure, highest first."""
    return sorted(
        (
            m.score
            for i in images
            for m in i.marks
            if not any(is_hit(m, x, rule) for x in (*i.lesions, *i.incidental))
        ),
        reverse=True,
    )


def incidental_marks(images: Sequence[ImageResult], threshold: float, rule: str = "centre") -> int:
    """How many marks from the threshold upwards lie on an incidental structure and on no lesion."""
    return sum(
        m.score >= threshold
        and not any(is_hit(m, x, rule) for x in i.lesions)
        and any(is_hit(m, x, rule) for x in i.incidental)
        for i in images
        for m in i.marks
    )


def threshold_at(images: Sequence[ImageResult], rate: float, rule: str = "centre") -> float:
    """Lowest score that keeps false marks per image at or under the rate; a mark counts from it upwards."""
    false = false_scores(images, rule)
    allowed = int(rate * len(images) + 1e-9)
    return 0.0 if allowed >= len(false) else float(np.nextafter(false[allowed], 1.0))


def sensitivity(
    images: Sequence[ImageResult],
    threshold: float,
    rule: str = "centre",
    *,
    finding: FindingType | None = None,
    malignant: bool | None = None,
) -> tuple[float, int]:
    """Share of lesions (of a type, of a pathology) with a mark from the threshold upwards, and their number."""
    found = [
        mark is not None and mark.score >= threshold
        for image in images
        for lesion, mark in zip(image.lesions, best_marks(image, rule), strict=True)
        if finding in {None, lesion.finding} and malignant in {None, lesion.malignant}
    ]
    return (float(np.mean(found)) if found else float("nan")), len(found)


def malignancy_pairs(images: Sequence[ImageResult], rule: str = "centre") -> tuple[list[bool], list[float]]:
    """Truth and malignancy of every lesion that any mark hits, by its strongest mark."""
    truth, scores = [], []
    for image in images:
        for lesion, mark in zip(image.lesions, best_marks(image, rule), strict=True):
            if mark is not None and lesion.malignant is not None:
                truth.append(lesion.malignant)
                scores.append(mark.malignancy)
    return truth, scores


def summary(images: Sequence[ImageResult], rate: float = 0.2) -> dict[str, float]:
    """Figures that a training run watches: sensitivity at the rate (all, by type, malignant), malignancy AUC."""
    threshold = threshold_at(images, rate)
    out = {"threshold": threshold, "sensitivity": sensitivity(images, threshold)[0]}
    for finding in dict.fromkeys(x.finding for image in images for x in image.lesions):
        out[f"sensitivity_{finding.value}"] = sensitivity(images, threshold, finding=finding)[0]
    out["sensitivity_malignant"] = sensitivity(images, threshold, malignant=True)[0]
    out["sensitivity_iou"] = sensitivity(images, threshold_at(images, rate, "iou"), "iou")[0]
    out["found_at_all"] = sensitivity(images, 0.0)[0]
    truth, scores = malignancy_pairs(images)
    if 0 < sum(truth) < len(truth):
        out["malignancy_auc"] = delong_auc(np.array(truth), np.array(scores)).value
    return out
