"""Loads earlier exams beside a current one, ready to draw. Which exams those are is decided by the caller."""

from __future__ import annotations

from collections.abc import Sequence

from app.state.display import Pyramid
from app.state.priors import as_prior
from inference.exam.sources import ExamSource
from inference.exam.types import Exam


def load_priors(source: ExamSource, exam_ids: Sequence[str]) -> tuple[tuple[Exam, ...], dict[str, Pyramid]]:
    """Decode earlier exams, newest first, with their keys marked as priors, and the halved copies of all images.

    Raises
    ------
    ExamError : one of them is not in the source or cannot be read.
    """
    priors = tuple(as_prior(source.load(exam_id), number) for number, exam_id in enumerate(exam_ids, 1))
    images = [image for prior in priors for image in prior.images]
    return priors, {image.key: Pyramid(image.pixels) for image in images}
