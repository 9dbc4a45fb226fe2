"""What is true of the images of a manifest: pathology of each breast, lesions of each image, whose they are.

Owns the join of the images and the lesions table and the reading of masks; scores are joined in
``inference.evaluation.units``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.evaluation.regions import Region, region_of
from inference.exam.dicom import read_header
from inference.exam.manifest import (
    PICTURE_SUFFIXES,
    Manifest,
    ManifestImage,
    ManifestLesion,
    read_manifest,
    resolve_inside,
)
from inference.exam.pictures import decode_picture
from inference.exam.types import ExamError
from inference.lesions import read_mask
from resources.vocabulary import FindingType, ImageKind, Laterality, Pathology

_RANK = {Pathology.NORMAL: 0, Pathology.BENIGN: 1, Pathology.MALIGNANT: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthLesion:
    """One lesion in one image."""

    entry: ManifestLesion
    region: Region

    @property
    def finding(self) -> FindingType:
        return self.entry.type


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthImage:
    """One image of the manifest with its lesions."""

    index: int
    patient: str
    entry: ManifestImage
    lesions: tuple[TruthLesion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """All that the two tables say; ``notes`` are sentences on what was left out or inferred."""

    name: str  # of the images table
    folder: Path
    images: tuple[TruthImage, ...]
    patients: Mapping[str, str]  # case id -> patient
    breasts: Mapping[tuple[str, Laterality], Pathology | None]  # None = not known
    entries: tuple[ManifestLesion, ...] = ()  # lesions whose case and view are in the manifest
    notes: tuple[str, ...] = field(default=())


def read_truth(
    images: Path,
    lesions: Path | None = None,
    *,
    kinds: tuple[ImageKind, ...] = (),
    split: str | None = None,
) -> Truth:
    """Read a manifest and its lesions for judging a run.

    Parameters
    ----------
    images, lesions
        The two tables; without lesions there is no truth of places.
    kinds
        Only images of these kinds; empty = all.
    split
        Only images whose column ``split`` says this.

    Raises
    ------
    ExamError
        A table cannot be read or nothing is left of it.
    """
    manifest = read_manifest(images, lesions)
    notes = list(manifest.problems)
    rows = [
        row
        for row in manifest.images
        if (not kinds or row.kind in kinds) and (split is None or row.extra.get("split") == split)
    ]
    if not rows:
        raise ExamError(
            f"{images.name}: expected at least one image of the kind and split asked for, found none."
        )
    patients = _patients(rows, notes)
    marks = _known_lesions(manifest, rows, images.name, lesions, kinds, notes)
    by_view: dict[tuple[str, object], list[ManifestLesion]] = {}
    for mark in marks:
        by_view.setdefault((mark.case_id, mark.view), []).append(mark)
    shelf = _Masks(manifest.folder, lesions.parent if lesions else manifest.folder, notes)
    joined = []
    for index, row in enumerate(rows):
        mine = [m for m in by_view.get((row.case_id, row.view), []) if m.kind in {None, row.kind}]
        placed = [(m, shelf.region(m, row)) for m in mine]
        joined.append(
            TruthImage(
                index=index,
                patient=patients[row.case_id],
                entry=row,
                lesions=tuple(TruthLesion(entry=m, region=r) for m, r in placed if r is not None),
            )
        )
    return Truth(
        name=images.name,
        folder=manifest.folder,
        images=tuple(joined),
        patients=patients,
        breasts=_pathology(rows, marks, images.name, notes),
        entries=tuple(marks),
        notes=tuple(notes),
    )


def _patients(rows: list[ManifestImage], notes: list[str]) -> dict[str, str]:
    """Whose each case is: its patient id, or the case itself where its rows name none or several."""
    named: dict[str, set[str]] = {}
    for row in rows:
        named.setdefault(row.case_id, set()).update([row.patient_id] if row.patient_id else [])
    several = [case for case, ids in named.items() if len(ids) > 1]
    if several:
        notes.append(
            f"Column patient_id: expected one patient per case, found several in {len(several)} cases "
            f"(first {several[0]}); each of these cases is counted as one patient."
        )
    return {case: f"p:{next(iter(ids))}" if len(ids) == 1 else f"c:{case}" for case, ids in named.items()}


def _known_lesions(
    manifest: Manifest,
    rows: list[ManifestImage],
    name: str,
    lesions: Path | None,
    kinds: tuple[ImageKind, ...],
    notes: list[str],
) -> list[ManifestLesion]:
    views = {(row.case_id, row.view, row.kind) for row in rows}
    all_views = {(row.case_id, row.view, row.kind) for row in manifest.images}
    all_cases = {row.case_id for row in manifest.images}
    legal = kinds or tuple(ImageKind)

    def among(mark: ManifestLesion, pool: set[tuple[str, object, ImageKind]]) -> bool:
        wanted = tuple(ImageKind) if mark.kind is None else (mark.kind,)
        return any((mark.case_id, mark.view, kind) in pool for kind in wanted)

    kept, strange = [], []
    for mark in manifest.lesions:
        if among(mark, views):  # type: ignore[arg-type]
            if mark.kind is None or mark.kind in legal:
                kept.append(mark)
        elif not among(mark, all_views):  # type: ignore[arg-type]
            strange.append(mark)
    if strange:
        first = strange[0]
        what = (
            f"case_id: expected a case of {name}, found {first.case_id!r}"
            if first.case_id not in all_cases
            else f"view: expected a view of {name}, found {first.view.label} of case {first.case_id}"
        )
        more = f" (and {len(strange) - 1} more rows)" if len(strange) > 1 else ""
        assert lesions is not None
        notes.append(f"{lesions.name}, row {first.row}, {what}{more}; left out.")
    return kept


def _pathology(
    rows: list[ManifestImage], marks: list[ManifestLesion], name: str, notes: list[str]
) -> dict[tuple[str, Laterality], Pathology | None]:
    said: dict[tuple[str, Laterality], set[Pathology]] = {}
    for row in rows:
        said.setdefault((row.case_id, row.view.laterality), set()).update(
            [row.pathology] if row.pathology else []
        )
    drawn: dict[tuple[str, Laterality], list[bool]] = {}
    for mark in marks:
        if mark.malignant is not None:
            drawn.setdefault((mark.case_id, mark.view.laterality), []).append(mark.malignant)
    out: dict[tuple[str, Laterality], Pathology | None] = {}
    inferred, torn = 0, []
    for key, words in said.items():
        if len(words) > 1:
            torn.append(key)
        if words:
            out[key] = max(words, key=_RANK.__getitem__)
        elif key in drawn:
            out[key] = Pathology.MALIGNANT if any(drawn[key]) else Pathology.BENIGN
            inferred += 1
        else:
            out[key] = None
    if torn:
        notes.append(
            f"{name}, pathology: expected one word per breast, found several for {len(torn)} breasts "
            f"(first {torn[0][0]} {torn[0][1].value}); the worst was taken."
        )
    if inferred:
        notes.append(
            f"{name}, pathology: none for {inferred} breasts with lesions; it was taken from their lesions."
        )
    return out


class _Masks:
    """Reads lesion masks, one sentence for each that cannot be used."""

    def __init__(self, images: Path, lesions: Path, notes: list[str]) -> None:
        self._folders = tuple(dict.fromkeys((lesions, images)))
        self._images = images
        self._notes = notes

    def region(self, mark: ManifestLesion, row: ManifestImage) -> Region | None:
        """The region of a lesion in an image, None (and a note) when its mask cannot be used."""
        try:
            mask = self._mask(mark.mask_path, row) if mark.mask_path else None
            return region_of(box=mark.box, circle=mark.circle, mask=mask)
        except (ExamError, ValueError) as error:
            if mark.box is not None or mark.circle is not None:
                self._notes.append(f"Lesions row {mark.row}, mask_path: {error}; its outline is not judged.")
                return region_of(box=mark.box, circle=mark.circle, mask=None)
            self._notes.append(f"Lesions row {mark.row}, mask_path: {error}; the lesion was left out.")
            return None

    def _mask(self, relative: str, row: ManifestImage) -> NDArray[np.bool_]:
        shape = stored_shape(resolve_inside(self._images, row.path))
        folders = [f for f in self._folders if resolve_inside(f, relative).is_file()]
        if not folders:
            raise ExamError(f"expected the file {relative}, found none")
        return read_mask(relative, shape, folders[0])


def stored_shape(path: Path) -> tuple[int, int]:
    """Rows and columns of an image file as stored; ExamError when it cannot be read."""
    if path.suffix.lower() in PICTURE_SUFFIXES:
        try:
            shape = decode_picture(path.read_bytes()).shape
        except OSError as error:
            raise ExamError(f"{path.name}: could not be read ({error.strerror})") from error
        return int(shape[0]), int(shape[1])
    found = read_header(path, path.name)
    if not (found.rows and found.cols):
        raise ExamError(found.sentence.rstrip("."))
    return found.rows, found.cols
