"""Finds CAD reports, presentation states and key objects among an import's files, and gives each exam its own.

Listing looks at the class only; contents are read when an exam asks for them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.exam.archive import Member
from inference.exam.container import opened, parse
from inference.exam.header import patient_id_of
from inference.exam.objects.cad_sr_read import MAMMOGRAPHY_CAD_SR, cad_report
from inference.exam.objects.content import BROKEN, read_object, told
from inference.exam.objects.key_object import KEY_OBJECTS, key_objects
from inference.exam.objects.model import CadReport, ExamObjects, KeyObjects, PresentationState
from inference.exam.objects.presentation_state import GSPS, presentation_state
from inference.exam.types import Exam, ExamError

_FEW = 64  # so many objects are read whatever study they say they are of
_NAMES = {
    MAMMOGRAPHY_CAD_SR: "CAD report",
    GSPS: "saved display (presentation state)",
    KEY_OBJECTS: "key objects",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundObject:
    """An object among the files; ``sentence`` is for the import report."""

    member: Member
    study_uid: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIdentity:
    """Which instance a file is and whose: ``patient`` with its issuer, '' where the id tells nobody apart."""

    sop_instance_uid: str = ""
    patient: str = ""
    patient_id: str = ""  # as written


def identity_of(member: Member) -> FileIdentity:
    """Read instance and patient id of a DICOM file from its header; all '' where it cannot be read."""
    try:
        with warnings.catch_warnings(), opened(member.header_source()) as stream:
            warnings.simplefilter("ignore")
            ds = parse(stream, whole=False)[0]
            return FileIdentity(
                sop_instance_uid=str(ds.get("SOPInstanceUID", "") or "").strip(),
                patient=patient_id_of(ds),
                patient_id=str(ds.get("PatientID", "") or "").strip(),
            )
    except (*BROKEN, ExamError):
        return FileIdentity()


def recognised(data: Path | bytes, member: Member) -> FoundObject | None:
    """Say what a file is that holds no image; None when it is none of the objects that are shown."""
    try:
        with warnings.catch_warnings(), opened(data) as stream:
            warnings.simplefilter("ignore")
            ds = parse(stream, whole=False)[0]
            name = _NAMES.get(str(ds.get("SOPClassUID", "")))
            study_uid = str(ds.get("StudyInstanceUID", "") or "")
    except (*BROKEN, ExamError):
        return None
    if name is None:
        return None
    return FoundObject(
        member=member,
        study_uid=study_uid,
        sentence=f"{member.name}: {name}; listed, shown with its exam on demand.",
    )


def objects_of(found: Sequence[FoundObject], exam: Exam) -> ExamObjects:
    """Read the objects that belong to an exam: of its study, or naming one of its images.

    A file that cannot be read becomes a problem, one sentence.
    """
    studies = {image.reference.study_uid for image in exam.images if image.reference is not None}
    uids = _image_uids(exam)
    cad: list[CadReport] = []
    states: list[PresentationState] = []
    keys: list[KeyObjects] = []
    problems: list[str] = []
    for item in found:
        same_study = (
            bool(item.study_uid) and item.study_uid in studies
        )  # without a study it must name an image
        if not same_study and len(found) > _FEW:
            continue
        try:
            read = _read(item.member)
        except ExamError as error:
            if same_study or not item.study_uid:
                problems.append(str(error))
            continue
        if not (same_study or uids & _named(read)):
            continue
        if isinstance(read, CadReport):
            cad.append(read)
        elif isinstance(read, PresentationState):
            states.append(read)
        else:
            keys.append(read)
    return ExamObjects(
        cad=tuple(sorted(cad, key=lambda r: (r.created, r.uid))),
        states=tuple(sorted(states, key=lambda s: (s.created, s.uid))),
        keys=tuple(keys),
        problems=tuple(problems),
    )


def _image_uids(exam: Exam) -> set[str]:
    found = set()
    for image in exam.images:
        if image.reference is not None:
            found |= {image.reference.sop_instance_uid, *(uid for uid, _ in image.reference.sources)}
    return found


def _named(read: CadReport | PresentationState | KeyObjects) -> set[str]:
    if isinstance(read, PresentationState):
        return {image.image_uid for image in read.images}
    return set(read.image_uids)


def _read(member: Member) -> CadReport | PresentationState | KeyObjects:
    ds = read_object(member.header_source(), member.name)
    readers: dict[str, Callable[..., CadReport | PresentationState | KeyObjects]] = {
        MAMMOGRAPHY_CAD_SR: cad_report,
        GSPS: presentation_state,
        KEY_OBJECTS: key_objects,
    }
    with told(member.name):
        return readers[str(ds.SOPClassUID)](ds, member.name)
