"""DICOM files to ``HeaderInfo`` (headers only) and ``ViewImage`` (decoded).

Owns what is accepted, listed or refused and the sentence that says so. Identity stays out of what is shown
by itself: ids are hashes, ``ViewImage.header`` holds technique only, ``ViewImage.identity`` all the rest.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from inference.exam import codecs, contrast, grayscale, header, views
from inference.exam.container import locate_frame, opened, parse, pixel_vr, read_pieces
from inference.exam.types import ExamError, Spacing, ViewImage
from resources.vocabulary import ImageKind, Projection, ViewModifier, ViewName

_PARSE_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    AttributeError,
    TypeError,
    NotImplementedError,
    IndexError,
    RuntimeError,
    OverflowError,
    struct.error,
    BytesLengthException,
    InvalidDicomError,
    Warning,
    zlib.error,
)
_BREAST_MODALITIES = frozenset({"RG", "CR", "DX", "OT", "SC"})
# Known and not read (MG-01): the study's list of exams says that they are there.
_DECLINED = {
    "1.2.840.10008.5.1.4.1.1.13.1.3": "breast tomosynthesis",
    "1.2.840.10008.5.1.4.1.1.13.1.4": "a breast projection image (for presentation)",
    "1.2.840.10008.5.1.4.1.1.13.1.5": "a breast projection image (for processing)",
}


class Standing(StrEnum):
    """What becomes of a file: hung, listed but not hung (MG-04), or refused."""

    HUNG = "hung"
    LISTED = "listed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderInfo:
    """What a list needs to know of one file; nothing is decoded for it.

    ``study_uid`` and ``patient_id`` serve grouping only and are never shown; ``patient_key`` is the hash of an
    id that tells women apart, or ''.
    """

    name: str
    standing: Standing
    sentence: str
    reason: str = ""  # why it does not hang, in few words that other files of its kind share
    view: ViewName | None = None
    kind: ImageKind = ImageKind.FFDM
    modifiers: tuple[ViewModifier, ...] = ()
    evidence: tuple[str, ...] = ()
    study_uid: str = field(default="", repr=False)
    patient_id: str = field(default="", repr=False)
    patient_key: str = ""
    birth_date: str = field(default="", repr=False)  # for telling women of one patient id apart; never shown
    sop_instance_uid: str = ""
    modality: str = ""
    transfer_syntax: str = ""
    rows: int = 0
    cols: int = 0
    age: int | None = None
    study_date: date | None = None


def read_header(source: Path | bytes, name: str = "") -> HeaderInfo:
    """Judge one file by its header; never raises for bad input, the sentence says what is wrong.

    Parameters
    ----------
    source : path of a file, or its bytes
    name : what to call it in sentences and in the name rules; the path when empty
    """
    label = name or (source.as_posix() if isinstance(source, Path) else "image")
    try:
        with opened(source) as stream:
            ds, syntax, body, size = parse(stream, whole=False)
            return _judge(ds, syntax, body, size, label)
    except ExamError as error:
        return HeaderInfo(name=label, standing=Standing.REFUSED, sentence=f"{label}: {error}")
    except _PARSE_ERRORS as error:
        return HeaderInfo(name=label, standing=Standing.REFUSED, sentence=f"{label}: {_damaged(error)}")


def read_tags(source: Path | bytes) -> tuple[header.TagRow, ...]:
    """List all attributes of a DICOM file up to its pixels, file meta information first.

    Raises
    ------
    ExamError
        The file cannot be read as DICOM.
    """
    try:
        with opened(source) as stream:
            ds, _, _, _ = parse(stream, whole=False)
            return (
                (*header.tag_rows(ds.file_meta), *header.tag_rows(ds))
                if hasattr(ds, "file_meta")
                else header.tag_rows(ds)
            )
    except _PARSE_ERRORS as error:
        raise ExamError(_damaged(error)) from error


def load_view(
    source: Path | bytes,
    name: str = "",
    *,
    view: ViewName | None = None,
    kind: ImageKind | None = None,
    spacing_mm: float | None = None,
    decode: Callable[[codecs.Bytes, codecs.FrameFormat], codecs.Array] = codecs.decode_bytes,
) -> ViewImage:
    """Read and decode one DICOM image.

    Parameters
    ----------
    source : path of a file, or its bytes
    name : what to call it in sentences and in the name rules; the path when empty
    view, kind, spacing_mm : what a manifest declares; it overrules the header and the evidence says so
    decode : turns the frame's bytes into stored values

    Raises
    ------
    ExamError
        One sentence with the file's name, what was expected, what was found.
    """
    label = name or (source.as_posix() if isinstance(source, Path) else "image")
    try:
        with opened(source) as stream:
            ds, syntax, body, size = parse(stream, whole=True)
            fmt = codecs.frame_format(ds, syntax)
            _refuse_class(ds)
            vr = pixel_vr(body, syntax)
            frame = read_pieces(body, locate_frame(body, size, syntax))
            stored = decode(codecs.unswapped(frame, vr=vr, fmt=fmt), fmt)
        return _view_image(ds, stored, label, syntax=syntax, view=view, kind=kind, spacing_mm=spacing_mm)
    except ExamError as error:
        raise ExamError(f"{label}: {error}") from error
    except _PARSE_ERRORS as error:
        raise ExamError(f"{label}: {_damaged(error)}") from error


def spacing_of(ds: Dataset) -> tuple[Spacing | None, str]:
    """Return the pixel size in the breast plane (MG-12) and the sentence that says how it was found.

    Imager Pixel Spacing divided by the magnification factor; Pixel Spacing is never used.
    """
    values = _floats(ds.get("ImagerPixelSpacing"))
    method = "imager spacing / ERMF"
    if len(values) != 2:
        values, method = _floats(ds.get("NominalScannedPixelSpacing")), "nominal scanned spacing"
    if len(values) != 2:
        extra = "; Pixel Spacing is not used (MG-12)" if ds.get("PixelSpacing") else ""
        return None, f"Spacing not recorded{extra}."
    factor = _floats(ds.get("EstimatedRadiographicMagnificationFactor"))
    if method.startswith("imager"):
        if len(factor) == 1 and 0.5 <= factor[0] <= 10:
            values = [value / factor[0] for value in values]
        else:
            method = "detector plane, no ERMF"
    try:
        spacing = Spacing(row_mm=values[0], col_mm=values[1], method=method)
    except ValueError as error:
        return None, f"Spacing not used: {error}."
    return spacing, f"Spacing {spacing.row_mm:.4f} x {spacing.col_mm:.4f} mm: {method}."


def pseudonym(key: str, prefix: str = "E") -> str:
    """Turn a study key into a short id that does not tell whom it belongs to; same key, same id."""
    return prefix + hashlib.sha256(key.encode("utf-8")).hexdigest()[:12]


def patient_key(patient_id: str) -> str:
    """Turn a patient id into the key that links a woman's exams (MG-41); '' stays ''."""
    return pseudonym(patient_id, "W") if patient_id else ""


def to_pixels(stored: NDArray[np.generic], bits_stored: int) -> tuple[NDArray[np.uint16], int]:
    """Turn stored values into (rows, cols) uint16 pixels and the offset with ``stored = pixels + offset``."""
    if stored.dtype.kind == "i":
        offset = -(1 << (bits_stored - 1))
        return (stored.astype(np.int32) - offset).astype(np.uint16), offset
    return stored.astype(np.uint16, copy=False), 0


def _refuse_class(ds: Dataset) -> None:
    """Refuse what is no two-dimensional mammogram, by modality and SOP class."""
    sop, modality = str(ds.get("SOPClassUID", "")), str(ds.get("Modality", "")).strip().upper()
    if sop in _DECLINED:
        raise ExamError(
            f"expected a two-dimensional mammogram, found {_DECLINED[sop]}, which is not read yet."
        )
    if modality and modality != "MG" and modality not in _BREAST_MODALITIES:
        raise ExamError(f"expected a mammogram (MG), found modality {modality}; leave it out of the import.")
    if not modality and "PixelData" not in ds and "Rows" not in ds:
        raise ExamError("expected a mammogram, found no modality and no image; leave it out of the import.")


def _not_for_hanging(ds: Dataset) -> str:
    """Why a readable image is listed only (MG-01, MG-04), or ''."""
    intent = str(ds.get("PresentationIntentType", "")).strip().upper()
    if str(ds.get("SOPClassUID", "")) == header.MG_FOR_PROCESSING or intent == "FOR PROCESSING":
        return "For Processing image, not for reading; listed, not hung."
    if str(ds.get("QualityControlImage", "")).strip().upper() == "YES":
        return "quality control image; listed, not hung."
    description = str(ds.get("SeriesDescription", "") or "").lower()
    if re.search(r"\broi mask|mask image|cropped image", description):
        return "lesion mask or cut-out by its series description; listed, not hung."
    if re.search(r"\bheat ?map\b", description):
        return "AI heat map by its series description; listed, not hung."
    return ""


def _judge(ds: Dataset, syntax: str, body: BinaryIO, size: int, label: str) -> HeaderInfo:
    declined = _DECLINED.get(str(ds.get("SOPClassUID", "")))
    if declined is not None:
        return HeaderInfo(
            name=label,
            standing=Standing.REFUSED,
            sentence=f"{label}: expected a two-dimensional mammogram, found {declined}, which is not read yet.",
            reason=f"{declined}, not read yet",
            study_uid=str(ds.get("StudyInstanceUID", "") or ""),
        )
    _refuse_class(ds)
    fmt = codecs.frame_format(ds, syntax)
    pieces = locate_frame(body, size, syntax)
    codecs.check_length(sum(length for _, length in pieces), fmt)
    name = _name_evidence(ds, label)
    side, projection = views.laterality_of(ds, name), views.projection_of(ds, name)
    kind, modifiers = contrast.kind_of(ds, label), views.modifiers_of(ds)
    modality = str(ds.get("Modality", "")).strip().upper()
    said = " ".join((*side.evidence, *projection.evidence))
    why = _not_for_hanging(ds)
    if side.value is None or projection.value is None:
        lacking = "side" if side.value is None else "view"
        if modality not in {"MG", ""}:
            raise ExamError(
                f"expected a breast view, found modality {modality} without {lacking} of a breast."
            )
        why = why or f"no rule gives the {lacking} of the breast ({said})"
    elif projection.value is Projection.SPECIMEN:
        why = why or "specimen radiograph; listed, not hung."
    view = ViewName(side.value, projection.value) if side.value and projection.value else None
    age = re.fullmatch(r"0*(\d{1,3})Y", str(ds.get("PatientAge", "") or "").strip())
    return HeaderInfo(
        name=label,
        standing=Standing.LISTED if why else Standing.HUNG,
        sentence=f"{label}: {why or _accepted(view)}",
        reason=why.partition(";")[0].partition(" (")[0].rstrip("."),
        view=view,
        kind=kind.value or ImageKind.FFDM,
        modifiers=modifiers.value or (),
        evidence=(*side.evidence, *projection.evidence, *modifiers.evidence, *kind.evidence),
        study_uid=str(ds.get("StudyInstanceUID", "") or ""),
        patient_id=str(ds.get("PatientID", "") or ""),
        sop_instance_uid=str(ds.get("SOPInstanceUID", "") or ""),
        modality=modality,
        transfer_syntax=syntax,
        rows=fmt.rows,
        cols=fmt.cols,
        age=int(age[1]) if age else None,
        patient_key=patient_key(header.patient_id_of(ds)),
        birth_date=str(header.date_of(ds.get("PatientBirthDate")) or ""),
        study_date=header.study_date_of(ds),
    )


def _view_image(
    ds: Dataset,
    stored: NDArray[np.generic],
    label: str,
    *,
    syntax: str,
    view: ViewName | None,
    kind: ImageKind | None,
    spacing_mm: float | None,
) -> ViewImage:
    evidence: list[str] = []
    name = _name_evidence(ds, label)
    if view is None:
        side, projection = views.laterality_of(ds, name), views.projection_of(ds, name)
        if side.value is None or projection.value is None:
            said = " ".join((*side.evidence, *projection.evidence))
            raise ExamError(f"expected side and view of a breast, found none ({said})")
        view = ViewName(side.value, projection.value)
        evidence += [*side.evidence, *projection.evidence]
    else:
        evidence.append(f"Side and view {view.label} declared in the case file.")
    if kind is None:
        ruled = contrast.kind_of(ds, label)
        kind = ruled.value or ImageKind.FFDM
        evidence += ruled.evidence
    else:
        evidence.append(f"Kind {kind.value} declared in the case file.")
    modifiers = views.modifiers_of(ds)
    lut = grayscale.modality_lut(ds)
    bits = int(ds.get("BitsStored", 0) or ds.BitsAllocated)
    if lut is None:
        pixels, offset = to_pixels(stored, bits)
    else:
        pixels, offset = grayscale.apply_lut(stored.astype(np.int32), lut), 0
        evidence.append("Modality LUT applied to the pixels.")
    presentation = grayscale.presentation_of(ds, pixels, stored_offset=offset)
    bright_air = str(ds.get("PhotometricInterpretation", "")) == "MONOCHROME1"
    turned = views.orientation_of(ds, view.laterality, view.projection, pixels, dark_air=not bright_air)
    if spacing_mm is not None:
        spacing: Spacing | None = Spacing(row_mm=spacing_mm, col_mm=spacing_mm, method="declared in manifest")
        spacing_said = f"Spacing {spacing_mm:g} mm declared in the case file."
    else:
        spacing, spacing_said = spacing_of(ds)
    assert turned.value is not None  # the pixel rule always answers
    acquired, timed_said = header.acquired_of(ds)
    pixels.setflags(write=False)
    return ViewImage(
        view=view,
        kind=kind,
        pixels=pixels,
        presentation=presentation,
        orientation=turned.value,
        spacing=spacing,
        source_id=str(ds.get("SOPInstanceUID", "") or "") or pseudonym(label, "I"),
        path=label,
        modifiers=modifiers.value or (),
        header=header.technique_of(ds),
        identity=header.identity_of(ds),
        evidence=(
            *evidence,
            *modifiers.evidence,
            *turned.evidence,
            spacing_said,
            *filter(None, [timed_said]),
        ),
        acquired=acquired,
        injected=header.injected_of(ds, acquired),
        flags=header.flags_of(ds, syntax),
        reference=header.reference_of(ds, syntax),
    )


def _name_evidence(ds: Dataset, label: str) -> str:
    """Names that may carry side and view: the file's path, and the patient id of research film sets."""
    patient = str(ds.get("PatientID", "") or "")
    named = patient if views.view_from_name(patient) else ""
    return f"{named}/{label.rsplit('/', 1)[-1]}" if named else label


def _items(value: object) -> list[object]:
    if isinstance(value, (str, int, float)) or not hasattr(value, "__iter__"):
        return [value]
    return list(value)


def _floats(value: object) -> list[float]:
    if value is None or value == "":
        return []
    try:
        return [float(str(item)) for item in _items(value)]
    except ValueError:
        return []


def _accepted(view: ViewName | None) -> str:
    return f"accepted as {view.label}." if view else "accepted."


def _damaged(error: BaseException) -> str:
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"expected a readable DICOM file, found a damaged or cut-off one ({first})."
