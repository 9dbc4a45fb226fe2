"""Reads what DICOMweb servers answer (DICOM JSON, PS3.18 F), as tolerantly as servers are various."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Protocol

from inference.exam.pacs.model import StudyMatch

_TAGS = {
    "StudyInstanceUID": "0020000D", "StudyDate": "00080020", "StudyTime": "00080030", "AccessionNumber": "00080050",
    "PatientName": "00100010", "PatientID": "00100020", "PatientBirthDate": "00100030",
    "StudyDescription": "00081030", "ModalitiesInStudy": "00080061", "NumberOfStudyRelatedSeries": "00201206",
    "NumberOfStudyRelatedInstances": "00201208", "SeriesInstanceUID": "0020000E", "Modality": "00080060",
    "SeriesDescription": "0008103E", "NumberOfSeriesRelatedInstances": "00201209", "SOPInstanceUID": "00080018",
    "SOPClassUID": "00080016", "ImageLaterality": "00200062", "ViewPosition": "00185101",
}  # fmt: skip
Json = Mapping[str, Any]


class Search(Protocol):
    """A search that has all but its page."""

    def __call__(self, *, limit: int, offset: int) -> object:
        """Return at most ``limit`` answers after the first ``offset``."""
        ...


def checked(found: object) -> list[Json]:
    """Return the data sets of an answer; ValueError when it is something else."""
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError("no list of data sets")
    return found


def all_pages(search: Search, keyword: str, *, most: int, told: int | None = None) -> list[Json]:
    """Ask page by page until nothing new comes, for a server may hand out fewer than it was asked for (PS3.18 8.3.4.4).

    Parameters
    ----------
    keyword : the UID that tells one answer from another
    most : the search ends with so many
    told : how many there are, where the server has said so
    """
    found: dict[str, Json] = {}
    received = 0
    while True:
        # All the rest at once: Orthanc 1.10 finds nothing beyond the first page where it filters by modality.
        page = checked(search(limit=most - len(found), offset=received))
        received += len(page)
        before = len(found)
        for one in page:
            found.setdefault(text_of(one, keyword) or repr(one), one)
        if len(found) >= most:
            return list(found.values())[:most]
        if len(found) == before or len(found) == told:  # the end; or a server that begins anew each time
            return list(found.values())


def _values(one: Json, keyword: str) -> list[Any]:
    element = one.get(_TAGS[keyword])
    values = element.get("Value") if isinstance(element, dict) else None
    return [value for value in values if value is not None] if isinstance(values, list) else []


def text_of(one: Json, keyword: str) -> str:
    """Return the first value as text, '' where there is none."""
    for value in _values(one, keyword):
        if isinstance(value, dict):
            return str(value.get("Alphabetic") or value.get("Ideographic") or value.get("Phonetic") or "")
        return str(value).strip()
    return ""


def count_of(one: Json, keyword: str) -> int | None:
    """Return a number of things, None where the server does not tell."""
    text = text_of(one, keyword)
    return int(text) if text.isdigit() else None


def day_of(text: str) -> date | None:
    """Read a DICOM date, None where it is none."""
    try:
        return datetime.strptime(text.strip()[:8], "%Y%m%d").date()
    except ValueError:
        return None


def study_of(one: Json) -> StudyMatch:
    """Read one study of a search."""
    return StudyMatch(
        study_uid=text_of(one, "StudyInstanceUID"),
        patient_name=text_of(one, "PatientName"),
        patient_id=text_of(one, "PatientID"),
        birth_date=text_of(one, "PatientBirthDate"),
        accession=text_of(one, "AccessionNumber"),
        study_date=day_of(text_of(one, "StudyDate")),
        study_time=text_of(one, "StudyTime"),
        description=text_of(one, "StudyDescription"),
        modalities=tuple(str(value) for value in _values(one, "ModalitiesInStudy")),
        series_count=count_of(one, "NumberOfStudyRelatedSeries"),
        instance_count=count_of(one, "NumberOfStudyRelatedInstances"),
    )
