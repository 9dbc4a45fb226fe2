"""Where the four-view training's exams come from: phantoms made on the way, or a manifest with its lesions.

Owns the split into training and validation and the cache's use; what an exam is lies in ``four_view_data``.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.manifest import ManifestImage, ManifestLesion, exams_of, load_case, read_manifest
from inference.exam.types import Exam, InferenceError
from inference.lesions import given_lesions
from inference.preprocessing.four_view import PreparedView, prepare_exam
from inference.torch_engine import readable_images
from inference.training.four_view_data import (
    FINDINGS,
    TERMS,
    LesionTruth,
    PreparedExam,
    assembled,
    load_exam,
    on_canvas,
    outline_on_canvas,
    phantom_cache,
    phantom_path,
    save_exam,
    seeds_of,
)
from resources.files import UserFacingError
from resources.vocabulary import FOUR_VIEWS

_LOG = logging.getLogger(__name__)
_VALIDATION_SHARE = 5  # one woman in so many


class PhantomExams:
    """Training phantoms by index, validation phantoms in order; each is made once and kept in the cache."""

    unlabelled = 0

    def __init__(self, cache: Path, preprocessing: str, *, count: int, validation: int) -> None:
        self.count = count
        self._folder = phantom_cache(cache, preprocessing)
        self._preprocessing = preprocessing
        self._train = seeds_of("train", count)
        self._validation = seeds_of("validation", validation)

    def exam(self, index: int) -> PreparedExam:
        """Return a training exam."""
        return load_exam(phantom_path(self._folder, self._train[index], self._preprocessing))

    def validation(self) -> Iterator[PreparedExam]:
        """Yield the validation exams."""
        for seed in self._validation:
            yield load_exam(phantom_path(self._folder, seed, self._preprocessing))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    case_id: str
    rows: tuple[ManifestImage, ...]
    lesions: tuple[ManifestLesion, ...]
    labelled: bool


class ManifestExams:
    """The exams of an images table and its lesions table, split by woman; every fifth woman validates.

    An exam without lesions whose pathology is not recorded either counts as unlabelled: it is learnt from
    only by recipes that make pseudo-labels.
    """

    def __init__(self, manifest: Path, lesions: Path, cache: Path, preprocessing: str) -> None:
        """Read the tables; images are read and prepared when they are first asked for.

        Raises
        ------
        InferenceError
            No exam is left to learn from or to validate with.
        """
        table = read_manifest(manifest, lesions)
        for sentence in table.problems:
            _LOG.warning("%s", sentence)
        self._folder, self._lesion_folder = table.folder, lesions.parent
        self._preprocessing = preprocessing
        self._cache = cache / f"{preprocessing.replace('/', '-')}-manifest"
        self._cache.mkdir(parents=True, exist_ok=True)
        learning: list[_Case] = []
        self._held: list[_Case] = []
        for case_id, rows in exams_of(table):
            mine = tuple(x for x in table.lesions if x.case_id == case_id)
            known = bool(mine) or any(row.pathology is not None for row in rows)
            case = _Case(case_id=case_id, rows=rows, lesions=mine, labelled=known)
            woman = rows[0].patient_id or case_id
            held = int(hashlib.sha256(woman.encode()).hexdigest(), 16) % _VALIDATION_SHARE == 0
            (self._held if held and known else learning).append(case)
        self._learning = sorted(learning, key=lambda case: not case.labelled)  # unlabelled ones last
        self.count = len(self._learning)
        self.unlabelled = sum(not case.labelled for case in self._learning)
        if self.count == self.unlabelled or not self._held:
            raise InferenceError(
                f"{manifest.name}: expected labelled exams of at least two women in both parts, found "
                f"{self.count - self.unlabelled} to learn from and {len(self._held)} to validate with; add exams."
            )

    def exam(self, index: int) -> PreparedExam:
        """Return an exam to learn from."""
        return self._prepared(self._learning[index])

    def validation(self) -> Iterator[PreparedExam]:
        """Yield the validation exams; one that cannot be read is logged and left out."""
        for case in self._held:
            try:
                yield self._prepared(case)
            except UserFacingError as error:
                _LOG.warning("%s left out: %s", case.case_id, error)

    def _prepared(self, case: _Case) -> PreparedExam:
        key = "|".join([case.case_id, *(row.path for row in case.rows), repr(case.lesions)])
        path = self._cache / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.npz"
        if not path.is_file():
            exam = load_case(case.case_id, case.rows, self._folder)
            made = prepared_case(exam, case.lesions, self._lesion_folder, self._preprocessing)
            save_exam(replace(made, labelled=case.labelled), path)
        return load_exam(path)


def prepared_case(
    exam: Exam, entries: Sequence[ManifestLesion], folder: Path, preprocessing: str
) -> PreparedExam:
    """Prepare a case of a manifest with the lesions of its table.

    Parameters
    ----------
    entries
        Rows of the lesions table about this case.
    folder
        Of the lesions table; masks lie in it or below.
    """
    images, _ = readable_images(exam)
    images = sorted((i for i in images if i.view in FOUR_VIEWS), key=lambda i: FOUR_VIEWS.index(i.view))
    if not images:
        raise InferenceError(f"Exam {exam.exam_id}: expected a CC or MLO view, found none; leave it out.")
    views = prepare_exam(images, preprocessing)
    number = {image.key: n for n, image in enumerate(images)}
    lesions: list[LesionTruth] = []
    for entry in entries:
        placed, notes = given_lesions(exam, exam.exam_id, [entry], folder)
        for sentence in notes:
            _LOG.warning("%s: %s", exam.exam_id, sentence)
        for lesion in placed:
            view = number.get(lesion.image_key)
            if view is None or lesion.finding not in FINDINGS:
                continue
            lesions.append(
                LesionTruth(
                    view=view,
                    lesion_id=f"{lesion.laterality.value}{lesion.lesion_id}",
                    finding=lesion.finding,
                    malignant=entry.malignant,
                    box=on_canvas(views[view], lesion.box),
                    outline=() if lesion.mask is None else _mask_outline(views[view], lesion.mask),
                    **{name: entry.extra.get(name, "").strip().lower() for name in TERMS},
                )
            )
    return assembled(exam.exam_id, images, views, lesions)


def _mask_outline(view: PreparedView, mask: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return ()
    largest = max(contours, key=cv2.contourArea)[:, 0, ::-1]  # x, y to row, col
    return outline_on_canvas(view, largest.astype(np.float32))
