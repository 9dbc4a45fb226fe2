"""What a DICOM header says beside side, view and kind: technique, identity, times, flags, references, all tags.

Reads attributes only. Identity is kept in a mapping of its own, so that one switch hides all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID

from inference.exam.types import DicomReference, ImageFlags
from resources.code_tables import mammography_codes

MG_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
# JPEG Baseline and Extended lose by definition; other syntaxes may be either and the attribute decides.
_LOSSY_SYNTAXES = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
# Ids that archives write where they took the real one away: they do not tell women apart.
_NO_ID = frozenset({"", "0", "ANON", "ANONYMOUS", "ANONYMIZED", "ANONYMISED", "UNKNOWN", "NONE", "N/A", "NA"})

# Technique and equipment that tell nothing of who, where and by whom (MG-24, part of MG-25).
TECHNIQUE: tuple[str, ...] = (
    "Manufacturer",
    "ManufacturerModelName",
    "SoftwareVersions",
    "DetectorType",
    "KVP",
    "Exposure",
    "ExposureInuAs",
    "ExposureTime",
    "XRayTubeCurrent",
    "AnodeTargetMaterial",
    "FilterMaterial",
    "FilterType",
    "FocalSpots",
    "Grid",
    "BodyPartThickness",
    "CompressionForce",
    "PaddleDescription",
    "PositionerPrimaryAngle",
    "RelativeXRayExposure",
    "OrganDose",
    "EntranceDoseInmGy",
    "DistanceSourceToDetector",
    "EstimatedRadiographicMagnificationFactor",
    "AcquisitionDeviceProcessingCode",
    "AcquisitionDeviceProcessingDescription",
    "BreastImplantPresent",
    "PartialView",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "PresentationIntentType",
    "SecondaryCaptureDeviceManufacturer",
    "SecondaryCaptureDeviceManufacturerModelName",
    "ContrastBolusAgent",
    "ContrastBolusVolume",
    "ContrastBolusIngredientConcentration",
    "QualityControlImage",
    "BurnedInAnnotation",
    "ImageType",
    "PatientOrientation",
    "ViewPosition",
)
# Who, when, where, by whom and on which very machine (MG-22, rest of MG-25): hidden in a blinded study.
IDENTITY: tuple[str, ...] = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientAge",
    "PatientSex",
    "StudyDate",
    "AcquisitionDate",
    "AcquisitionTime",
    "AccessionNumber",
    "StudyID",
    "SeriesNumber",
    "AcquisitionNumber",
    "InstanceNumber",
    "InstitutionName",
    "InstitutionAddress",
    "StationName",
    "OperatorsName",
    "DeviceSerialNumber",
    "DetectorID",
)


def technique_of(ds: Dataset) -> dict[str, str]:
    """Read technique and equipment by keyword; several values are joined by a backslash, absent ones left out."""
    return _texts(ds, TECHNIQUE)


def identity_of(ds: Dataset) -> dict[str, str]:
    """Read what identifies woman, time, place and machine by keyword; absent values are left out."""
    return _texts(ds, IDENTITY)


def patient_id_of(ds: Dataset) -> str:
    """Return the patient id with its issuer, or '' where it does not tell women apart ("ANONYMOUS")."""
    patient = str(ds.get("PatientID", "") or "").strip()
    if patient.upper() in _NO_ID:
        return ""
    issuer = str(ds.get("IssuerOfPatientID", "") or "").strip()
    return f"{patient}^{issuer}" if issuer else patient


def study_date_of(ds: Dataset) -> date | None:
    """Return the date of the study, else of series, acquisition or content; None when none is legible."""
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        found = date_of(ds.get(keyword))
        if found is not None:
            return found
    return None


def acquired_of(ds: Dataset) -> tuple[datetime | None, str]:
    """Return acquisition date and time, and a sentence when they had to come from the content's date and time.

    Acquisition DateTime, then Acquisition Date and Time, then Content Date and Time; no time zone is applied.
    """
    whole = re.fullmatch(
        r"(\d{8})(\d{2,6}(?:\.\d{1,6})?)(?:[+-]\d{4})?", str(ds.get("AcquisitionDateTime", "") or "").strip()
    )
    if whole is not None:
        day, moment = date_of(whole[1]), _time(whole[2])
        if day is not None and moment is not None:
            return datetime.combine(day, moment), ""
    for what, said in (("Acquisition", ""), ("Content", "Acquisition time from Content Date and Time.")):
        day, moment = date_of(ds.get(f"{what}Date")), _time(ds.get(f"{what}Time"))
        if day is not None and moment is not None:
            return datetime.combine(day, moment), said
    return None, ""


def injected_of(ds: Dataset, acquired: datetime | None) -> datetime | None:
    """Return when the contrast bolus began (CEM-06), on the day of the acquisition or, past midnight, before it."""
    values = [ds.get("ContrastBolusStartTime")]
    values += [
        item.get("ContrastBolusStartTime") for item in ds.get("ContrastAdministrationProfileSequence") or ()
    ]
    moments = [moment for moment in map(_time, values) if moment is not None]
    if acquired is None or not moments:
        return None
    injected = datetime.combine(acquired.date(), moments[0])
    late = injected > acquired and injected - acquired > timedelta(hours=12)
    return injected - timedelta(days=1) if late else injected


def flags_of(ds: Dataset, transfer_syntax: str = "") -> ImageFlags:
    """Read what a reader must be told of an image (MG-26, MG-36, MG-38)."""
    regions = tuple(_section(item) for item in ds.get("PartialViewCodeSequence") or ())
    ratios = [value for value in _floats(ds.get("LossyImageCompressionRatio")) if value > 0]
    lossy = (
        str(ds.get("LossyImageCompression", "") or "").strip() == "01" or transfer_syntax in _LOSSY_SYNTAXES
    )
    intent = str(ds.get("PresentationIntentType", "") or "").strip().upper()
    return ImageFlags(
        partial=_yes(ds, "PartialView"),
        partial_region=tuple(region for region in regions if region),
        implant=_yes(ds, "BreastImplantPresent"),
        quality_control=_yes(ds, "QualityControlImage"),
        lossy=lossy,
        lossy_ratio=max(ratios) if lossy and ratios else None,  # of several steps the strongest
        for_processing=intent == "FOR PROCESSING" or str(ds.get("SOPClassUID", "")) == MG_FOR_PROCESSING,
    )


def _section(item: Dataset) -> str:
    """Word of a partial view section (CID 4005): the table's for a known code, else what the file calls it."""
    code = str(item.get("CodeValue", "")).strip()
    for word in mammography_codes().partial_view_sections:
        if code in {word.sct, word.srt}:
            return word.meaning.capitalize()
    return str(item.get("CodeMeaning", "") or code).strip()


def reference_of(ds: Dataset, transfer_syntax: str = "") -> DicomReference | None:
    """Return what other DICOM objects need to point at the image; None when a UID is missing."""
    uids = [
        str(ds.get(keyword, "") or "").strip()
        for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
    ]
    if not all(uids):
        return None
    sources = tuple(
        (str(item.ReferencedSOPInstanceUID), str(item.get("SpatialLocationsPreserved", "") or "").strip())
        for item in ds.get("SourceImageSequence") or ()
        if item.get("ReferencedSOPInstanceUID")
    )
    return DicomReference(
        sop_class_uid=uids[0],
        sop_instance_uid=uids[1],
        series_uid=uids[2],
        study_uid=uids[3],
        transfer_syntax_uid=transfer_syntax,
        sources=sources,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRow:
    """One line of the image information panel; ``depth`` counts the sequences around it."""

    tag: str  # "(0018,0060)"
    keyword: str  # the standard's keyword, or the private creator's name
    vr: str
    value: str
    depth: int = 0


_MAX_ROWS, _MAX_VALUE, _MAX_DEPTH = 5000, 400, 8


def tag_rows(ds: Dataset) -> tuple[TagRow, ...]:
    """List all attributes of a data set in file order, sequences opened, long values cut; pixel data is not read."""
    rows: list[TagRow] = []
    _add_rows(ds, 0, rows)
    return tuple(rows[:_MAX_ROWS])


def _add_rows(ds: Dataset, depth: int, rows: list[TagRow]) -> None:
    for element in ds:
        if len(rows) >= _MAX_ROWS:
            return
        tag = f"({element.tag.group:04X},{element.tag.element:04X})"
        keyword = keyword_for_tag(element.tag) or _private_name(element)
        if element.VR != "SQ":
            rows.append(TagRow(tag=tag, keyword=keyword, vr=element.VR, value=_shown(element), depth=depth))
            continue
        count = len(element.value)
        rows.append(TagRow(
            tag=tag, keyword=keyword, vr="SQ", value=f"{count} item{'' if count == 1 else 's'}", depth=depth,
        ))  # fmt: skip
        if depth < _MAX_DEPTH:
            for item in element.value:
                _add_rows(item, depth + 1, rows)


def _private_name(element: DataElement) -> str:
    if not element.tag.is_private:
        return "Unknown"
    return f"private: {element.private_creator}" if element.private_creator else "private"


def _shown(element: DataElement) -> str:
    value = element.value
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, MultiValue) and len(value) > 64:
        return f"{len(value)} values: " + "\\".join(str(v) for v in value[:8]) + " …"
    words = "" if value is None else "\\".join(_text_of(v) for v in _items(value))
    return words if len(words) <= _MAX_VALUE else words[:_MAX_VALUE] + " …"


def _text_of(value: object) -> str:
    """A value as text; a UID of the standard with its name."""
    if isinstance(value, UID) and value.name != value:
        return f"{value} ({value.name})"
    return str(value)


def _texts(ds: Dataset, keywords: Iterable[str]) -> dict[str, str]:
    found: Mapping[str, str] = {
        key: "\\".join("" if v is None else str(v).strip() for v in _items(ds.get(key))) for key in keywords
    }
    return {key: text for key, text in found.items() if text.strip("\\")}


def _yes(ds: Dataset, keyword: str) -> bool:
    return str(ds.get(keyword, "") or "").strip().upper() == "YES"


def _items(value: object) -> list[object]:
    # A person's name iterates over its characters' groups; it is one value.
    if isinstance(value, MultiValue | list | tuple):
        return list(value)
    return [value]


def _floats(value: object) -> list[float]:
    try:
        return [float(str(item)) for item in _items(value) if item not in (None, "")]
    except ValueError:
        return []


def date_of(value: object) -> date | None:
    """Read a date written as 20260131, 2026-01-31 or 2026.01.31; None when it is not one."""
    match = re.fullmatch(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})", str(value or "").strip())
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def _time(value: object) -> time | None:
    match = re.fullmatch(r"(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d{1,6}))?", str(value or "").strip())
    if match is None:
        return None
    try:
        return time(
            int(match[1]),
            int(match[2] or 0),
            min(int(match[3] or 0), 59),
            int((match[4] or "0").ljust(6, "0")),
        )
    except ValueError:
        return None
