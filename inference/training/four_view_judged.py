"""Runs a four-view detector on exams of a manifest and pairs what it says with the tables' truth.

Detections come from the engine as a reader gets them, in stored pixels. What the pairs are for (calibration,
cross-validation) is the callers'.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from inference.exam.manifest import load_case
from inference.exam.types import Exam
from inference.four_view_engine import FourViewEngine
from inference.lesions import given_lesions
from inference.results import ExamResult
from inference.training.four_view_cases import Case
from inference.training.four_view_measures import ImageResult, Mark, Truth
from resources.files import UserFacingError
from resources.vocabulary import FindingType, Laterality, Pathology

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedBreast:
    """One breast: cancer or not, and the marks in its views."""

    cancer: bool
    marks: tuple[Mark, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedExam:
    """One exam and what was found in it."""

    case_id: str
    images: tuple[ImageResult, ...] = field(repr=False)
    breasts: tuple[JudgedBreast, ...] = field(repr=False)


def judged_exams(
    engine: FourViewEngine,
    cases: Iterable[Case],
    folder: Path,
    lesion_folder: Path,
    progress: Callable[[int], None] = lambda _done: None,
) -> list[JudgedExam]:
    """Read every case with an engine and pair its marks with the truth; a case that cannot be read is logged.

    Parameters
    ----------
    folder, lesion_folder
        Of the images table and of the lesions table.
    """
    out = []
    for done, case in enumerate(cases, start=1):
        try:
            exam = load_case(case.case_id, case.rows, folder)
            result = engine.analyse(exam, lambda _fraction, _text: None, lambda: False)
        except UserFacingError as error:
            _LOG.warning("%s not judged: %s", case.case_id, error)
            continue
        out.append(_paired(exam, result, case, lesion_folder))
        progress(done)
    return out


def _paired(exam: Exam, result: ExamResult, case: Case, lesion_folder: Path) -> JudgedExam:
    images = []
    for key in result.view_scores:
        truths = []
        for entry in case.lesions:
            placed, _ = given_lesions(exam, case.case_id, [entry], lesion_folder)
            truths += [
                Truth(
                    box=(x.box.row0, x.box.col0, x.box.row1, x.box.col1),
                    finding=x.finding,
                    malignant=entry.malignant,
                    lesion_id=f"{x.laterality.value}{x.lesion_id}",
                )
                for x in placed
                if x.image_key == key
            ]
        images.append(ImageResult(case_id=case.case_id, lesions=tuple(truths), marks=_marks(result, key)))
    sides = {image.key: image.view.laterality for image in exam.images}
    breasts = tuple(
        JudgedBreast(
            cancer=_has_cancer(case, side),
            marks=tuple(m for key in result.view_scores if sides[key] is side for m in _marks(result, key)),
        )
        for side in result.breast_scores
    )
    return JudgedExam(case_id=case.case_id, images=tuple(images), breasts=breasts)


def _marks(result: ExamResult, key: str) -> tuple[Mark, ...]:
    return tuple(
        Mark(
            box=(d.box.row0, d.box.col0, d.box.row1, d.box.col1),
            score=d.score,
            finding=d.finding or FindingType.MASS,
            malignancy=d.malignancy or 0.0,
        )
        for d in result.detections
        if d.image_key == key
    )


def _has_cancer(case: Case, side: Laterality) -> bool:
    rows = any(r.pathology is Pathology.MALIGNANT for r in case.rows if r.view.laterality is side)
    return rows or any(x.malignant is True for x in case.lesions if x.view.laterality is side)
