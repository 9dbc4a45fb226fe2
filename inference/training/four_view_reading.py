"""Reads a manifest's exam for the four-view training: checks, lesions, planes, and a cache that knows its sources.

A view that cannot be read or trusted is left out with a reason, never the run: ``read_all`` looks at every exam
before the first step. Sorting exams is ``four_view_cases``'.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.manifest import ManifestLesion, load_row, resolve_inside
from inference.exam.types import Box, Exam, InferenceError, ViewImage, exam_digest, with_unique_keys
from inference.lesions import given_lesions
from inference.preprocessing.four_view import PreparedView, prepare_exam
from inference.preprocessing.input_checks import triage
from inference.torch_engine import readable_images
from inference.training.four_view_cases import Case, LeftOut
from inference.training.four_view_data import (
    TERMS,
    LesionTruth,
    PreparedExam,
    assembled,
    load_exam,
    on_canvas,
    outline_on_canvas,
    save_exam,
)
from resources.files import UserFacingError
from resources.vocabulary import FOUR_VIEWS, ViewModifier

_LOG = logging.getLogger(__name__)
_FILE_VERSION = 1  # of what this module makes of an exam
_PART_OF_BREAST = {ViewModifier.SPOT, ViewModifier.MAGNIFICATION}
# What decoders and arrays raise on files that are no image: one such file must not end a run of days.
_BROKEN = (UserFacingError, OSError, ValueError, ArithmeticError, LookupError, TypeError, cv2.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What came of one case: no exam where no view could be read."""

    exam: PreparedExam | None
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Where a manifest's files and the prepared exams lie. ``folder`` is the images table's."""

    folder: Path
    lesion_folder: Path
    cache: Path
    preprocessing: str

    def prepared(self, case: Case) -> PreparedExam:
        """Return a case's exam, prepared anew when its cached file is not there or damaged."""
        found = self.read(case).exam
        if found is None:
            raise InferenceError(
                f"Exam {case.case_id}: expected what could be read when the training began, found none; leave the "
                "images where they are until it ends."
            )
        return found

    def read(self, case: Case) -> Read:
        """Read a case, from the cache where nothing that it rests on has changed."""
        path = self.cache / f"{self.key(case)}.npz"
        notes = path.with_suffix(".json")
        try:
            kept = json.loads(notes.read_text(encoding="utf-8"))
            return Read(exam=load_exam(path), left_out=tuple(LeftOut(**item) for item in kept))
        except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile):
            pass  # not made yet, or cut off
        done = read_case(case, self.folder, self.lesion_folder, self.preprocessing)
        if done.exam is not None:
            self.cache.mkdir(parents=True, exist_ok=True)
            notes.write_text(json.dumps([asdict(item) for item in done.left_out]), encoding="utf-8")
            save_exam(done.exam, path)
        return done

    def key(self, case: Case) -> str:
        """Digest of all that a prepared exam rests on: folders, rows, lesions, and each file's size and time."""
        files = [(self.folder, row.path) for row in case.rows]
        files += [(self.lesion_folder, x.mask_path) for x in case.lesions if x.mask_path]
        parts = [
            str(_FILE_VERSION),
            self.preprocessing,
            str(self.folder.resolve()),
            str(self.lesion_folder.resolve()),
            repr(case.labelled),
            *(repr(replace(row, row=0, extra={})) for row in case.rows),
            *(repr(replace(x, row=0)) for x in case.lesions),
            *(_state(folder, name) for folder, name in files),
        ]
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:24]


def _state(folder: Path, name: str) -> str:
    try:
        found = resolve_inside(folder, name).stat()
    except (OSError, UserFacingError):
        return f"{name} absent"
    return f"{name} {found.st_size} {found.st_mtime_ns}"


def read_all(
    reader: Reader, cases: Sequence[Case], *, rank: int = 0, world: int = 1, workers: int = 1
) -> tuple[frozenset[str], tuple[LeftOut, ...]]:
    """Read every case once, so that what cannot be read is known before the first step.

    Parameters
    ----------
    rank, world
        Each of several processes begins with its own share, and finds the others' in the cache.
    workers
        Processes that read.

    Returns
    -------
    The cases that can be learnt from, and all that was left out, in the order of the cases.
    """
    order = sorted(range(len(cases)), key=lambda n: ((n - rank) % world, n))
    found: dict[int, tuple[bool, tuple[LeftOut, ...]]] = {}
    for done, (n, answer) in enumerate(_answers(reader, cases, order, workers), start=1):
        found[n] = answer
        if done % 100 == 0:
            _LOG.info("looked at %d of %d exams", done, len(cases))
    readable = frozenset(case.case_id for n, case in enumerate(cases) if found[n][0])
    return readable, tuple(item for n in range(len(cases)) for item in found[n][1])


def _answers(
    reader: Reader, cases: Sequence[Case], order: Sequence[int], workers: int
) -> Iterator[tuple[int, tuple[bool, tuple[LeftOut, ...]]]]:
    jobs = [(reader, cases[n]) for n in order]
    if workers < 2 or len(jobs) < 2 * workers:
        yield from zip(order, map(_looked_at, jobs), strict=True)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from zip(order, pool.imap(_looked_at, jobs, chunksize=4), strict=True)


def _looked_at(job: tuple[Reader, Case]) -> tuple[bool, tuple[LeftOut, ...]]:
    reader, case = job
    done = reader.read(case)
    return done.exam is not None, done.left_out


def read_case(case: Case, folder: Path, lesion_folder: Path, preprocessing: str) -> Read:
    """Read, check and prepare one case.

    Views that cannot be decoded, are no whole CC or MLO, fail the input checks, or hold a lesion that cannot be
    placed are left out: such a lesion would be taught as background.
    """
    left_out: list[LeftOut] = []
    try:
        images = _sound(_decoded(case, folder, left_out), case, left_out)
        images, placed = _placed(case, images, lesion_folder, left_out)
        if images:
            return Read(exam=_prepared(case, images, placed, preprocessing), left_out=tuple(left_out))
        why = "expected a CC or MLO view that can be read, found none"
    except _BROKEN as error:
        why = str(error) or type(error).__name__
    left_out.append(LeftOut(case_id=case.case_id, what="exam", why=why))
    return Read(exam=None, left_out=tuple(left_out))


def _decoded(case: Case, folder: Path, left_out: list[LeftOut]) -> list[ViewImage]:
    out = []
    for row in case.rows:
        try:
            out.append(load_row(row, folder))
        except _BROKEN as error:
            why = str(error) or type(error).__name__
            left_out.append(LeftOut(case_id=case.case_id, what=row.path, why=why))
    return out


def _sound(images: Sequence[ViewImage], case: Case, left_out: list[LeftOut]) -> list[ViewImage]:
    """Of the decoded images those that a whole-view detector may learn from, in FOUR_VIEWS' order."""
    if not images:
        return []
    keyed = with_unique_keys(images)
    exam = Exam(exam_id=case.case_id, images=keyed, digest=exam_digest(keyed))
    chosen = [image for image in readable_images(exam)[0] if image.view in FOUR_VIEWS]
    whole = [image for image in chosen if not _PART_OF_BREAST & set(image.modifiers)]
    parts = [image for image in chosen if image not in whole]
    left_out += [
        LeftOut(case_id=case.case_id, what=image.path, why="a spot or magnification view, no whole breast")
        for image in parts
    ]
    checked = triage(whole, spacing=False)
    left_out += [
        LeftOut(case_id=case.case_id, what=key, why=sentence) for key, sentence in checked.unread.items()
    ]
    for sentence in checked.warnings:
        _LOG.info("%s: %s", case.case_id, sentence)
    return sorted(checked.images, key=lambda image: FOUR_VIEWS.index(image.view))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    image_key: str
    entry: ManifestLesion
    box: Box
    mask: NDArray[np.bool_] | None


def _placed(
    case: Case, images: Sequence[ViewImage], folder: Path, left_out: list[LeftOut]
) -> tuple[list[ViewImage], list[_Placed]]:
    """The views whose lesions could all be placed, and those lesions."""
    kept, placed = [], []
    for image in images:
        alone = Exam(exam_id=case.case_id, images=(image,), digest="")
        entries = [x for x in case.lesions if x.view == image.view and x.kind in {None, image.kind}]
        mine: list[_Placed] = []
        notes: list[str] = []
        for entry in entries:
            found, said = given_lesions(alone, case.case_id, [entry], folder)
            notes += said
            mine += [_Placed(image_key=image.key, entry=entry, box=x.box, mask=x.mask) for x in found]
        if notes:
            why = f"{notes[0]} Without it the lesion would be taught as background"
            left_out.append(LeftOut(case_id=case.case_id, what=image.path, why=why))
            continue
        kept.append(image)
        placed += mine
    return kept, placed


def _prepared(
    case: Case, images: list[ViewImage], placed: Sequence[_Placed], preprocessing: str
) -> PreparedExam:
    views = prepare_exam(images, preprocessing)
    number = {image.key: n for n, image in enumerate(images)}
    lesions = []
    for item in placed:
        entry, view = item.entry, number[item.image_key]
        lesions.append(
            LesionTruth(
                view=view,
                lesion_id=f"{entry.view.laterality.value}{entry.lesion_id}",
                finding=entry.type,
                malignant=entry.malignant,
                box=on_canvas(views[view], item.box),
                outline=() if item.mask is None else _mask_outline(views[view], item.mask),
                **{name: entry.extra.get(name, "").strip().lower() for name in TERMS},
            )
        )
    return replace(assembled(case.case_id, images, views, lesions), labelled=case.labelled)


def _mask_outline(view: PreparedView, mask: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return ()
    largest = max(contours, key=cv2.contourArea)[:, 0, ::-1]  # x, y to row, col
    return outline_on_canvas(view, largest.astype(np.float32))
