"""What every object we write shares: whose it is (copied from an image's header), who made it, how it is saved.

Also fetches those headers again from the files an exam was read from. Nothing here knows what an object says.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from inference.exam.container import opened, parse
from inference.exam.objects.codes import Code
from inference.exam.objects.model import ObjectError
from inference.exam.types import Exam, ViewImage

MANUFACTURER = "Negatoscope"
MODEL = "Negatoscope (research use only)"
SERIAL = "0"
_IMPLEMENTATION = "2.25.92233720368547758071"
_COPIED = (
    "SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex",
    "PatientAge", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
    "ReferringPhysicianName", "StudyDescription", "PatientIdentityRemoved", "DeidentificationMethod",
)  # fmt: skip
_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip

Headers = Mapping[str, Dataset]  # by SOP Instance UID


def read_headers(root: Path, exam: Exam) -> dict[str, Dataset]:
    """Read the headers of an exam's DICOM images again from where they came from.

    Parameters
    ----------
    root : the folder, zip, manifest or file the exam was read from

    Returns
    -------
    Headers without pixels, by SOP Instance UID; pictures that are no DICOM are left out.
    """
    found: dict[str, Dataset] = {}
    for image in exam.images:
        if image.reference is None:
            continue
        with opened(_bytes_of(root, image)) as stream:
            ds = parse(stream, whole=False)[0]
        found[str(ds.SOPInstanceUID)] = ds
    return found


def _bytes_of(root: Path, image: ViewImage) -> Path | bytes:
    try:
        if root.is_dir() and (root / image.path).is_file():
            return root / image.path
        if root.suffix.lower() in {".csv", ".json"} and (root.parent / image.path).is_file():
            return root.parent / image.path
        if root.is_file() and zipfile.is_zipfile(root):
            with zipfile.ZipFile(root) as bundle:
                return bundle.read(image.path)
        if root.is_file() and root.name == image.path:
            return root
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ObjectError(
            f"{image.path}: expected the image's file, found none ({error}); open the exam again."
        ) from error
    raise ObjectError(
        f"{image.path}: expected the image's file in {root.name}, found none; open the exam again."
    )


def referable(exam: Exam, headers: Headers) -> tuple[ViewImage, ...]:
    """Return the images another DICOM object can point at.

    Raises
    ------
    ObjectError
        None is DICOM, an image is a picture (no partial truth is written), or they are of several studies.
    """
    pictures = [image.key for image in exam.images if image.reference is None]
    if pictures:
        raise ObjectError(
            f"Exam {exam.exam_id}: expected DICOM images to refer to, found pictures without identifiers "
            f"({', '.join(pictures)}); results of such exams are saved as tables only."
        )
    lost = [i.key for i in exam.images if i.reference and i.reference.sop_instance_uid not in headers]
    if lost:
        raise ObjectError(
            f"Exam {exam.exam_id}: expected the headers of {', '.join(lost)}, found none; open it again."
        )
    return exam.images


def new_object(
    *,
    sop_class: str,
    modality: str,
    source: Dataset,
    key: str,
    created: datetime,
    description: str,
    series_number: int,
    version: str,
) -> FileDataset:
    """Start an object of the same patient and study as ``source``; ``key`` decides its UIDs.

    Parameters
    ----------
    created : when the object is made, no time zone
    version : version of this program
    """
    uid, series = make_uid(key, "instance"), make_uid(key, "series")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), UID(uid)
    meta.TransferSyntaxUID, meta.ImplementationClassUID = ExplicitVRLittleEndian, UID(_IMPLEMENTATION)
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid
    for keyword in _COPIED:
        if keyword in source:
            ds[keyword] = source[keyword]
    for keyword in _TYPE_2:
        if keyword not in ds:
            setattr(ds, keyword, "")
    if not str(ds.get("SpecificCharacterSet", "") or ""):
        ds.SpecificCharacterSet = "ISO_IR 192"
    ds.Modality, ds.SeriesInstanceUID, ds.SeriesNumber, ds.InstanceNumber = modality, series, series_number, 1
    ds.SeriesDescription = description[:64]
    ds.SeriesDate = ds.ContentDate = ds.InstanceCreationDate = created.strftime("%Y%m%d")
    ds.SeriesTime = ds.ContentTime = ds.InstanceCreationTime = created.strftime("%H%M%S")
    ds.Manufacturer, ds.ManufacturerModelName = MANUFACTURER, MODEL
    ds.DeviceSerialNumber, ds.SoftwareVersions = SERIAL, version[:64]
    return ds


def completed(header: Dataset) -> Dataset:
    """Return a header with the attributes that every object must have, empty where its maker left them out."""
    made = Dataset()
    made.update(header)
    for keyword in _TYPE_2:
        if keyword not in made:
            setattr(made, keyword, "")
    return made


def patient_orientation(header: Dataset) -> tuple[str, str] | None:
    """Return Patient Orientation where it is two sets of anatomical directions; real files hold other things too."""
    value = header.get("PatientOrientation")
    items = [value] if isinstance(value, str) else [str(v) for v in value or ()]
    if len(items) != 2 or not all(item and set(item) <= set("LRAPHF") for item in items):
        return None
    return items[0], items[1]


def make_uid(*parts: str) -> str:
    """UID derived from a 128-bit number (PS3.5 B.2) that the parts alone decide."""
    digest = hashlib.sha256("|".join(parts).encode()).digest()[:16]
    return f"2.25.{int.from_bytes(digest, 'big')}"


def code_item(code: Code) -> Dataset:
    """Turn a code into a code sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning[:64]
    return item


def reference_item(sop_class: str, uid: str) -> Dataset:
    """Turn a reference into a Referenced SOP Sequence item."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    return item


def evidence_of(images: tuple[ViewImage, ...]) -> list[Dataset]:
    """Current Requested Procedure Evidence Sequence for these images: by study, then series."""
    tree: dict[str, dict[str, list[Dataset]]] = {}
    for image in images:
        at = image.reference
        assert at is not None  # callers passed ``referable``
        tree.setdefault(at.study_uid, {}).setdefault(at.series_uid, []).append(
            reference_item(at.sop_class_uid, at.sop_instance_uid)
        )
    studies = []
    for study_uid, by_series in tree.items():
        study = Dataset()
        study.StudyInstanceUID, study.ReferencedSeriesSequence = study_uid, []
        for series_uid, items in by_series.items():
            series = Dataset()
            series.SeriesInstanceUID, series.ReferencedSOPSequence = series_uid, items
            study.ReferencedSeriesSequence.append(series)
        studies.append(study)
    return studies


def save(ds: Dataset, folder: Path, name: str) -> Path:
    """Write an object whole or not at all; ObjectError when the folder cannot be written."""
    path = folder / name
    partial = path.with_suffix(".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The images' character set may not hold what was written on them; UTF-8 holds every script.
        ds.decode()
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.save_as(partial, enforce_file_format=True)
        partial.replace(path)
    except (OSError, ValueError, TypeError) as error:
        partial.unlink(missing_ok=True)
        raise ObjectError(f"{path.name}: could not be written ({error}); choose another folder.") from error
    return path
