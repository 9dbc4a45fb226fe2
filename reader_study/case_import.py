"""The study's own case folder: de-identified exams under neutral names, and the manifest that freezes them.

Owns layout, numbering and all-or-nothing writing. Knows no pixels and no patients: a case arrives as finished files,
its woman as a fingerprint.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml

from reader_study.domain.study import Case, PriorExam
from reader_study.errors import StudyError
from resources.file_locks import held_now
from resources.files import read_json

EXAMS, MANIFEST = "exams", "cases.json"
_STAGING = ".staging"
_FORMAT = "negatoscope cases"
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """Size of an image in stored-file pixels, and the (row, col) distance of its pixels; None = not recorded."""

    rows: int
    cols: int
    spacing_mm: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredExam:
    """One exam as the readers' program will list it; ``images`` by image key."""

    exam_id: str
    digest: str
    images: Mapping[str, StoredImage]
    source: str  # fingerprint of the exam it was made from


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCase:
    """One woman's case: the exam to read and its priors, newest first."""

    case_id: str
    woman: str  # fingerprint; leads nowhere without the key
    exam: StoredExam
    priors: tuple[StoredExam, ...] = ()
    age_years: int | None = None  # None = not recorded
    manufacturer: str = ""  # "" = not recorded
    density: str = ""  # a to d; "" = not recorded

    @property
    def sources(self) -> frozenset[str]:
        return frozenset(exam.source for exam in (self.exam, *self.priors))


@dataclass(slots=True)
class CaseStore:
    """A folder with ``cases.json`` and the exams it names; ``exams`` is what ``negatoscope read --exams`` takes."""

    root: Path
    cases: list[StoredCase] = field(default_factory=list)

    @property
    def exams(self) -> Path:
        return self.root / EXAMS

    @property
    def staging(self) -> Path:
        return self.root / _STAGING

    def of_woman(self, woman: str) -> StoredCase | None:
        """Return the case of a woman by her fingerprint, or None."""
        return next((case for case in self.cases if case.woman == woman), None)

    def next_id(self, prefix: str = "C") -> str:
        """Return the first free running number, e.g. "C0007"."""
        taken = {case.case_id for case in self.cases}
        number = 1
        while f"{prefix}{number:04d}" in taken:
            number += 1
        return f"{prefix}{number:04d}"

    def stage(self, case_id: str) -> Path:
        """Return an empty folder to write a case's exams into; what an interrupted import left is thrown away."""
        with written(self.root):
            shutil.rmtree(self.staging, ignore_errors=True)
            folder = self.staging / case_id
            folder.mkdir(parents=True)
        return folder

    def discard(self) -> None:
        """Throw away what is staged."""
        shutil.rmtree(self.staging, ignore_errors=True)

    def publish(self, case: StoredCase) -> None:
        """Move the staged folder of a case among the exams and enter it in the manifest; all or nothing.

        Raises
        ------
        StudyError
            Disk full, folder read-only; the case is not in the manifest then and can be imported again.
        """
        goal = self.exams / case.case_id
        with written(self.root):
            self.exams.mkdir(parents=True, exist_ok=True)
            if goal.exists():  # moved, but never entered: an import that was cut off in between
                shutil.rmtree(goal)
            (self.staging / case.case_id).replace(goal)
            try:
                _replace(self.root / MANIFEST, _text([*self.cases, case]))
            except OSError:
                shutil.rmtree(goal, ignore_errors=True)
                raise
        self.cases.append(case)
        self.discard()


def open_store(root: Path) -> CaseStore:
    """Open a case folder; an empty or missing one is a store without cases.

    Raises
    ------
    StudyError
        The manifest is damaged or of a later version; names the field.
    """
    path = root / MANIFEST
    if not path.exists():
        return CaseStore(root=root)
    value = read_json(path)
    if not isinstance(value, dict) or value.get("format") != _FORMAT or value.get("version") != _VERSION:
        raise StudyError(
            f"{path}: expected a '{_FORMAT}' file of version {_VERSION}, found another; name the folder."
        )
    try:
        store = CaseStore(root=root, cases=[_case(item) for item in value["cases"]])
        protocol_cases(store)  # what a protocol refuses of a case is refused here, with the file's name
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise StudyError(
            f"{path}: expected cases with their exams, found {error!r}; import again."
        ) from error
    return store


def protocol_cases(store: CaseStore) -> tuple[Case, ...]:
    """Return the store's cases as a protocol names them, by id and pixel digest."""
    return tuple(
        Case(
            case_id=case.case_id,
            exam_id=case.exam.exam_id,
            exam_digest=case.exam.digest,
            priors=tuple(PriorExam(exam_id=p.exam_id, exam_digest=p.digest) for p in case.priors),
            age_years=case.age_years,
            manufacturer=case.manufacturer,
            density=case.density,
        )
        for case in sorted(store.cases, key=lambda case: case.case_id)
    )


def write_protocol_cases(store: CaseStore) -> Path:
    """Write ``cases.yaml``: the part of a protocol that names the cases, to be pasted into it.

    Raises
    ------
    StudyError
        The file cannot be written.
    """
    rows: list[dict[str, object]] = []
    for case in protocol_cases(store):
        row: dict[str, object] = {
            "case_id": case.case_id, "exam_id": case.exam_id, "exam_digest": case.exam_digest,
        }  # fmt: skip
        if case.age_years is not None:
            row["age_years"] = case.age_years
        row.update({name: value for name in ("manufacturer", "density") if (value := getattr(case, name))})
        if case.priors:
            row["priors"] = [asdict(prior) for prior in case.priors]
        rows.append(row)
    path = store.root / "cases.yaml"
    with written(store.root):
        _replace(path, yaml.safe_dump({"cases": rows}, sort_keys=False))
    return path


@contextmanager
def only_import(store: CaseStore) -> Iterator[None]:
    """Hold the case folder for one import; a crash lets go of it.

    Raises
    ------
    StudyError
        Another program imports into the same folder, or the folder cannot be written.
    """
    with ExitStack() as holding:
        with written(store.root):
            store.root.mkdir(parents=True, exist_ok=True)
            ours = holding.enter_context(held_now(store.root / ".import.lock"))
        if not ours:
            raise StudyError(
                f"{store.root}: expected one import at a time, found another going on; wait until it has ended."
            )
        yield


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Turn what the system says when writing fails into a sentence (StudyError)."""
    try:
        yield
    except OSError as error:
        raise StudyError(_sentence(folder, error)) from error


def _sentence(folder: Path, error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"{folder}: expected room for the case, found a full disk; free space and import again, it goes on."
    if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
        return f"{folder}: expected a folder that can be written, found it read-only; choose another or change its rights."
    return f"{folder}: the case could not be written ({error.strerror}); nothing half is left, import again."


def _replace(path: Path, text: str) -> None:
    partial = path.with_suffix(".part")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _text(cases: list[StoredCase]) -> str:
    rows = [asdict(case) for case in sorted(cases, key=lambda case: case.case_id)]
    return json.dumps({"format": _FORMAT, "version": _VERSION, "cases": rows}, indent=1) + "\n"


def _case(item: Mapping[str, object]) -> StoredCase:
    age = item["age_years"]
    priors = item["priors"]
    if not isinstance(priors, list):
        raise ValueError("priors: expected a list")
    return StoredCase(
        case_id=str(item["case_id"]),
        woman=str(item["woman"]),
        exam=_exam(item["exam"]),
        priors=tuple(_exam(prior) for prior in priors),
        age_years=age if isinstance(age, int) else None,
        manufacturer=str(item.get("manufacturer", "")),
        density=str(item.get("density", "")),
    )


def _exam(item: object) -> StoredExam:
    if not isinstance(item, dict):
        raise ValueError(f"exam: expected an object, found {item!r}")
    return StoredExam(
        exam_id=str(item["exam_id"]),
        digest=str(item["digest"]),
        images={str(key): _image(image) for key, image in item["images"].items()},
        source=str(item["source"]),
    )


def _image(item: Mapping[str, object]) -> StoredImage:
    spacing = item["spacing_mm"]
    if spacing is not None and not (isinstance(spacing, list) and len(spacing) == 2):
        raise ValueError(f"spacing_mm: expected two distances, found {spacing!r}")
    return StoredImage(
        rows=int(str(item["rows"])),
        cols=int(str(item["cols"])),
        spacing_mm=None if spacing is None else (float(spacing[0]), float(spacing[1])),
    )
