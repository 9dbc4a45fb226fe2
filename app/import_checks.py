"""What an import looks at before it writes: copies, the study's own files, whose report it is, what is not certain.

Decides and says; reading files is ``inference.exam``, writing cases is ``app.case_import``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.exam.archive import Member
from inference.exam.dicom import patient_key
from inference.exam.grouping import Group, Item
from inference.exam.objects.folder import identity_of
from inference.exam.sources import ImportEntry
from inference.exam.types import Exam, ExamError
from resources.vocabulary import Density


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """A file that is not taken because another one stands for it."""

    name: str
    sentence: str
    same: bool  # byte for byte; else two contents claim one SOP Instance UID


def own_files(source: Path, cases: Path) -> str:
    """Return the path of the case folder below a source folder with a slash behind, '' when it lies elsewhere.

    Raises
    ------
    ExamError
        The source lies in the case folder: what is there was imported before.
    """
    if not source.is_dir():
        return ""
    inside, own = source.resolve(), cases.resolve()
    if inside.is_relative_to(own):
        raise ExamError(
            f"{source}: expected exams from outside the study, found the study's own case folder; choose another."
        )
    return f"{own.relative_to(inside).as_posix()}/" if own.is_relative_to(inside) else ""


def without_copies(items: Sequence[Item]) -> tuple[list[Item], list[Repeated]]:
    """Part images from repetitions of them: the same SOP Instance UID in the same view; the first by name stays.

    Pictures have no instance of their own and are never taken for copies.
    """
    kept: list[Item] = []
    told: list[Repeated] = []
    seen: dict[tuple[str, str], Member] = {}
    for item in sorted(items, key=lambda one: one.member.name):
        uid = "" if item.member.is_picture else _instance(item.member)
        first = seen.setdefault((uid, item.key), item.member) if uid else item.member
        if first is item.member:
            kept.append(item)
        else:
            told.append(_repeated(item.member, first))
    return kept, told


def copies_of_objects(entries: Sequence[ImportEntry]) -> list[Repeated]:
    """Return reports, presentation states and key objects that repeat another one."""
    told: list[Repeated] = []
    seen: dict[str, Member] = {}
    for entry in sorted(entries, key=lambda one: one.path):
        if entry.found is None:
            continue
        member = entry.found.member
        uid = _instance(member)
        first = seen.setdefault(uid, member) if uid else member
        if first is not member:
            told.append(_repeated(member, first))
    return told


def _repeated(member: Member, first: Member) -> Repeated:
    same = _sha256(member) == _sha256(first)
    found = (
        f"a copy of {first.name}, which is taken"
        if same
        else f"the SOP Instance UID of {first.name} with other content; keep the right one and import again"
    )
    return Repeated(
        name=member.name, sentence=f"{member.name}: expected every image once, found {found}.", same=same
    )


def _sha256(member: Member) -> str:
    return hashlib.sha256(member.read()).hexdigest()


def whose(
    entry: ImportEntry, tokens: Mapping[str, set[str]], ids: Mapping[str, set[str]]
) -> tuple[str | None, str]:
    """Say to which woman a report or saved display belongs, and why to none.

    Parameters
    ----------
    tokens
        Women by study UID: patient keys, or "exam ..." where there is none. Several = a study with several ids.
    ids
        Patient ids of the images by study UID, as written there: not every CAD server repeats their issuer.
    """
    women = tokens.get(entry.study_uid, set())
    if not women or entry.found is None:
        return None, "An object of no imported exam. "
    header = identity_of(entry.found.member)
    own = patient_key(header.patient)
    if own in women:
        return own, ""
    written = header.patient_id
    if len(women) == 1 and (not own or not ids.get(entry.study_uid) or written in ids[entry.study_uid]):
        return next(iter(women)), ""
    return None, "Whose it is cannot be told: its study holds several patient ids, or it names another. "


def unread(group: Group, exam: Exam) -> str:
    """Return why an image of a group could not be decoded, '' when all could: half an exam is no case."""
    read = {image.path for image in exam.images}
    for item in group.items:
        if item.member.name not in read:
            known = (note for note in exam.notes if note.startswith(f"{item.member.name}:"))
            return next(known, f"{item.member.name}: expected an image, could not be read.")
    return ""


def remarks(groups: Sequence[Group], exams: Sequence[Exam]) -> list[str]:
    """Return what a coordinator should know of a case: notes of its exams, and an order of exams that is a guess."""
    days = [group.study_date for group in groups]
    told = []
    if len(groups) > 1 and (None in days or len(set(days)) < len(days)):
        told.append(
            "Exams without a date, or of one day: expected dates that part them, so which is the newest is a guess;"
            " look at them before the freeze."
        )
    for number, exam in enumerate(exams):
        if exam.notes:
            told.append(f"{'Current exam' if number == 0 else f'Prior {number}'}: {' '.join(exam.notes)}")
    return told


def _instance(member: Member) -> str:
    return identity_of(member).sop_instance_uid


# BI-RADS 5th edition writes a to d, the ones before wrote 1 to 4
_DENSITIES = {**{one.value: one.value for one in Density}, "1": "a", "2": "b", "3": "c", "4": "d"}


def facts_of(group: Group, exam: Exam) -> tuple[str, str]:
    """Manufacturer and density: as the de-identified files say, else as the manifest does; "" = nothing, or not one."""
    rows = [item.row for item in group.items if item.row is not None]
    said = {str(image.header.get("Manufacturer") or "").strip() for image in exam.images}
    makers = said - {""} or {row.manufacturer.strip() for row in rows if row.manufacturer}
    dense = {_DENSITIES.get(row.density.strip().lower(), "") for row in rows if row.density} - {""}
    return (
        makers.pop() if len(makers) == 1 else "",
        dense.pop() if len(dense) == 1 else "",
    )
