"""What the calcification ensemble says of whole exams, harmless calcifications and exams without any included.

The other figures are of single groups; a reader sees scores of exams and marks on whatever looks like a group.
Numbers only; the page is ``calcification_page``'s.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inference.calcification_engine import CalcificationEngine
from inference.exam.phantom import PhantomExam, PhantomSpec, phantom_exam
from inference.exam.types import Box
from inference.metrics import delong_auc
from inference.model_card import write_card
from inference.results import ExamResult
from inference.training.calcification_evaluation import estimate
from inference.training.calcification_phantoms import PIXEL_MM
from inference.training.data import TEST_SEEDS
from resources.vocabulary import FindingType, Pathology

_LOG = logging.getLogger(__name__)
FIRST_SEED = TEST_SEEDS + 5_000  # apart from the exams whose groups are measured
CANCER, OTHER, BENIGN, NORMAL = (
    "cancer with calcifications", "cancer without", "benign calcifications", "normal",
)  # fmt: skip
_SPECS = {
    CANCER: (Pathology.MALIGNANT, FindingType.CALCIFICATION),
    NORMAL: (Pathology.NORMAL, None),
    BENIGN: (Pathology.BENIGN, FindingType.CALCIFICATION),
    OTHER: (Pathology.MALIGNANT, FindingType.MASS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadExam:
    """One exam as the engine answered: its kind, score, marks shown and those called malignant, and how many
    harmless groups there are, are marked, and are called malignant (per view)."""

    kind: str
    score: float
    shown: int
    called: int
    harmless: int = 0
    harmless_shown: int = 0
    harmless_called: int = 0


def exam_spec(number: int) -> tuple[str, PhantomSpec]:
    """The exam of a number: the four kinds in turn."""
    kind = list(_SPECS)[number % len(_SPECS)]
    pathology, finding = _SPECS[kind]
    return kind, PhantomSpec(
        seed=FIRST_SEED + number, pixel_mm=PIXEL_MM, pathology=pathology, finding=finding
    )


def read_exam(kind: str, phantom: PhantomExam, result: ExamResult, points: tuple[float, float]) -> ReadExam:
    """Count the marks of an exam at the thresholds of box and malignancy."""
    shown = [d for d in result.detections if d.score >= points[0]]
    called = [d for d in shown if (d.malignancy or 0.0) >= points[1]]
    harmless = harmless_shown = harmless_called = 0
    for lesion in phantom.incidental:
        if lesion.finding is not FindingType.CALCIFICATION:
            continue
        for key, seen in lesion.views.items():
            harmless += 1
            there = [d for d in shown if d.image_key == key and _in(d.box.center, seen.box)]
            harmless_shown += bool(there)
            harmless_called += any(d in called for d in there)
    return ReadExam(
        kind=kind,
        score=float(result.exam_score or 0.0),
        shown=len(shown),
        called=len(called),
        harmless=harmless,
        harmless_shown=harmless_shown,
        harmless_called=harmless_called,
    )


def _in(point: tuple[float, float], box: Box) -> bool:
    return box.row0 <= point[0] < box.row1 and box.col0 <= point[1] < box.col1


def exam_figures(folder: Path, count: int) -> dict[str, Any]:
    """Read ``count`` test exams of 0.1 mm, a quarter of each kind, and summarise (``summary``)."""
    engine = CalcificationEngine(folder, "cpu", maps=False)
    points = (engine.card.threshold("box"), engine.card.threshold("lesion"))
    read = []
    for number in range(count):
        kind, spec = exam_spec(number)
        phantom = phantom_exam(spec)
        result = engine.analyse(phantom.exam, lambda _fraction, _text: None, lambda: False)
        read.append(read_exam(kind, phantom, result, points))
        if (number + 1) % 10 == 0:
            _LOG.info("read %d of %d exams", number + 1, count)
    return summary(read)


def note_exams(folder: Path, figures: Mapping[str, Any]) -> None:
    """Write the figures of whole exams into the card, beside those of groups."""
    raw = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    told = raw.get("evaluation", {})
    raw["evaluation"] = {**told, "phantom": {**told.get("phantom", {}), "whole_exams": dict(figures)}}
    write_card(folder, raw)


def summary(read: Sequence[ReadExam]) -> dict[str, Any]:
    """AUC per exam of cancers with calcifications against exams without a cancer, and by kind what a reader is shown."""
    scores = np.array([one.score for one in read])
    kinds = np.array([one.kind for one in read])
    judged = kinds != OTHER
    total = sum(one.harmless for one in read)
    shown, called = sum(one.harmless_shown for one in read), sum(one.harmless_called for one in read)
    return {
        "exams": len(read),
        "auc": estimate(delong_auc(kinds[judged] == CANCER, scores[judged])),
        "kinds": [
            {
                "kind": kind,
                "exams": int((kinds == kind).sum()),
                "median_score": round(float(np.median(scores[kinds == kind])), 3),
                "shown": sum(one.shown > 0 for one in read if one.kind == kind),
                "called": sum(one.called > 0 for one in read if one.kind == kind),
            }
            for kind in _SPECS
            if (kinds == kind).any()
        ],
        "harmless": {"groups": total, "shown": shown, "called": called},
    }
