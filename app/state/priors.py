"""Which earlier exams belong to a case, how their images are told from the current ones, and how old they are.

Works on summaries and exams already at hand; loading them is the controller's. A prior's image carries the
qualifier "@P1" in its key, so that one grid holds current and prior images of the same view.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date

from inference.exam.types import Exam, ExamSummary, ViewImage
from resources.translation import translate

MOST_PRIORS = 2
_MARK = re.compile(r"@P(\d+)$")


def _tr(text: str) -> str:
    return translate("priors", text)


def priors_of(
    exams: Iterable[ExamSummary], current: ExamSummary, *, most: int = MOST_PRIORS
) -> tuple[ExamSummary, ...]:
    """Return the earlier exams of the same woman, newest first; none where her key or a date is not known."""
    if not current.patient_key or current.study_date is None:
        return ()
    before = [
        (exam.study_date, exam)
        for exam in exams
        if exam.exam_id != current.exam_id
        and exam.patient_key == current.patient_key
        and exam.study_date is not None
        and exam.study_date < current.study_date
    ]
    before.sort(key=lambda pair: (pair[0], pair[1].exam_id), reverse=True)
    return tuple(exam for _, exam in before[:most])


def as_prior(exam: Exam, number: int) -> Exam:
    """Return ``exam`` with its images' keys marked as those of prior ``number`` (1 = the newest)."""
    # Without the date: a blinded reader may ask why an image is here.
    why = _tr("Prior exam: the same patient id, an earlier study date.")
    images = tuple(
        replace(image, qualifier=f"{image.qualifier}@P{number}", evidence=(*image.evidence, why))
        for image in exam.images
    )
    return replace(exam, images=images)


def prior_number(image: ViewImage) -> int:
    """0 for an image of the current exam, else the number of its prior."""
    found = _MARK.search(image.qualifier)
    return int(found.group(1)) if found else 0


def all_images(exam: Exam, priors: Sequence[Exam] = ()) -> dict[str, ViewImage]:
    """Every image of the case by key, current first."""
    return {image.key: image for one in (exam, *priors) for image in one.images}


def gap_words(current: date | None, prior: date | None) -> str:
    """Say how long before the current exam a prior was: "1 y 11 mo", "3 mo", "12 d"; "" without both dates.

    Whole calendar months are counted; below two months, days.
    """
    if current is None or prior is None:
        return ""
    days = (current - prior).days
    months = 12 * (current.year - prior.year) + current.month - prior.month
    # The 31st to the 28th of February is a whole month: that month has no later day.
    last = monthrange(current.year, current.month)[1]
    if current.day < min(prior.day, last):
        months -= 1
    if months < 2:
        return _tr("{0} d").format(days)
    years, months = divmod(months, 12)
    parts = ([_tr("{0} y").format(years)] if years else []) + (
        [_tr("{0} mo").format(months)] if months else []
    )
    return " ".join(parts)
