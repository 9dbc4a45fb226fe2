"""What a batch consists of: one unit an exam, small enough to be sent to any worker, which loads it itself.

Lists units from a manifest, a folder, a zip or a PACS search. The key of a unit tells an exam apart from the same exam
with other files.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from inference.batch.public_words import reason, row_note
from inference.exam.dicom import pseudonym
from inference.exam.grouping import Group
from inference.exam.manifest import ManifestImage, exams_of, load_case, read_manifest
from inference.exam.pacs.fetching import fetch_study
from inference.exam.pacs.model import Peer, Query
from inference.exam.pacs.shelf import Shelf
from inference.exam.sources import FolderSource, load_group
from inference.exam.types import Exam, ExamError


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestCase:
    """The rows of one case; paths are relative to ``folder``."""

    rows: tuple[ManifestImage, ...]
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFolder:
    """A folder that holds one study."""

    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PacsStudy:
    """A study that is still in the PACS."""

    study_uid: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One exam to analyse.

    Attributes
    ----------
    case_id : what the tables call it.
    key : 32 hex digits over the case and its objects' UIDs (pictures: their names) and sizes.
    root : the folder, zip or manifest that it was listed from.
    former_key : the same over names and sizes, by which older runs know it; '' = it has none.
    """

    case_id: str
    key: str
    root: Path
    content: ManifestCase | Group | StudyFolder | PacsStudy
    former_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a source holds: exams, and a sentence for each file or row that cannot be one."""

    units: tuple[Unit, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()  # path, sentence: may name persons, for the private list
    refused_files: Mapping[str, int] = field(default_factory=dict)  # the same in public: why, and how many
    notes: tuple[str, ...] = ()


def list_units(source: Path) -> Listing:
    """List a manifest CSV, a folder or a zip from headers only; ExamError where it cannot be opened."""
    if source.suffix.lower() == ".csv":
        manifest = read_manifest(source)
        units = []
        for case_id, rows in exams_of(manifest):
            facts = [
                f"{row.view.key}|{row.kind}|{row.path}|{_size(manifest.folder / row.path)}" for row in rows
            ]
            content = ManifestCase(rows=rows, folder=manifest.folder)
            units.append(Unit(case_id=case_id, key=_key(case_id, facts), root=source, content=content))
        told = tuple((f"{source.name}, {number}", text) for number, text in enumerate(manifest.problems, 1))
        return Listing(
            units=tuple(units),
            refused=told,
            notes=tuple(row_note("Manifest", one) for one in manifest.problems),
        )
    folder = FolderSource(source)
    units = []
    for group in folder.groups():
        sizes = [_member_size(item.member.file, item.member.info) for item in group.items]
        keys = [
            _key(group.exam_id, [f"{name}|{size}" for name, size in zip(names, sizes, strict=True)])
            for names in (
                [
                    item.sop_uid or item.member.name for item in group.items
                ],  # a copy under other names is known
                [item.member.name for item in group.items],
            )
        ]
        units.append(Unit(case_id=group.exam_id, key=keys[0], root=source, content=group, former_key=keys[1]))
    # a report or saved display beside the images is no failure
    refused = tuple((entry.path, entry.sentence) for entry in folder.report.refused if entry.found is None)
    why = Counter(reason(sentence, path) for path, sentence in refused)
    return Listing(units=tuple(units), refused=refused, refused_files=dict(sorted(why.items())))


def as_recorded(unit: Unit, recorded: Set[str]) -> Unit:
    """Return a unit under the key that a run knows it by: one that an older program recorded is not done again."""
    if unit.former_key and unit.key not in recorded and unit.former_key in recorded:
        return replace(unit, key=unit.former_key)
    return unit


def list_pacs(peer: Peer, query: Query, name: str) -> Listing:
    """Search a PACS; its studies are named as a folder import would name them."""
    matches = peer.studies(query)
    units = tuple(
        Unit(
            case_id=(case := pseudonym(f"study|{study.study_uid}")),
            key=_key(case, [f"pacs|{study.study_uid}|{study.instance_count}"]),
            root=Path(name),
            content=PacsStudy(study_uid=study.study_uid),
        )
        for study in matches.studies
    )
    return Listing(units=units, notes=(matches.sentence,))


def fetched(
    unit: Unit, peer: Peer, shelf: Shelf, cancelled: Callable[[], bool], note: Callable[[str], None]
) -> Unit:
    """Bring a unit's study from the PACS onto the shelf; what is there whole is not fetched again.

    Parameters
    ----------
    note : told where the PACS lists fewer images than it says there are

    Raises
    ------
    PacsError
        It could not be fetched.
    """
    if not isinstance(unit.content, PacsStudy):
        return unit
    from inference.exam.pacs.model import StudyMatch

    uid = unit.content.study_uid
    got = fetch_study(peer, StudyMatch(study_uid=uid), shelf, cancelled=cancelled)
    if got.sentence:
        note(f"{unit.case_id}: {got.sentence}")
    folder = shelf.folder_of(uid)
    if folder is None:
        raise ExamError(f"exam {unit.case_id}: the PACS holds no images of it any more; search again.")
    return replace(unit, root=folder, content=StudyFolder(folder=folder))


def load_unit(unit: Unit, lost: Callable[[ExamError], None] = lambda _error: None) -> Exam:
    """Decode the images of a unit; ExamError where it cannot be read.

    Parameters
    ----------
    lost : told why an image of it cannot be read; the exam is what the others are
    """
    content = unit.content
    if isinstance(content, ManifestCase):
        return load_case(unit.case_id, content.rows, content.folder)
    if isinstance(content, Group):
        return load_group(content, lost=lost)
    if isinstance(content, StudyFolder):
        source = FolderSource(content.folder)
        groups = sorted(source.groups(), key=lambda one: len(one.items), reverse=True)
        if not groups:
            said = source.report.entries[0].sentence if source.report.entries else ""
            raise ExamError(
                f"exam {unit.case_id}: expected images that can be read, found none. {said}".strip()
            )
        return load_group(groups[0], lost=lost)
    raise ExamError(f"exam {unit.case_id}: expected images on a disk, found a study that is not fetched yet.")


def files_of(unit: Unit) -> tuple[Path, ...]:
    """The files on a disk that a unit is read from."""
    content = unit.content
    if isinstance(content, ManifestCase):
        return (unit.root, *(content.folder / row.path for row in content.rows))
    if isinstance(content, Group):
        return tuple(item.member.file or item.member.archive or unit.root for item in content.items)
    return (content.folder,) if isinstance(content, StudyFolder) else ()


def _key(case_id: str, facts: list[str]) -> str:
    return hashlib.sha256("\n".join([case_id, *sorted(facts)]).encode("utf-8")).hexdigest()[:32]


def _member_size(file: Path | None, info: object) -> str:
    # a zip knows a checksum; on a disk the time of change differs between two mounts of a share, so the size must do
    return f"{_size(file)}" if file is not None else f"{getattr(info, 'CRC', 0):08x}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
