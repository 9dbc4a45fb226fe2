"""One DICOM file in, one de-identified file out, with what was done to it in words and numbers.

Owns the file around the data set: preamble, file meta information, comments in compressed pixels. Refuses what it
cannot read whole, for what is not understood cannot be called clean.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from pydicom import config, dcmread, dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

from inference.exam.container import refuse_swelling
from inference.exam.deidentification.burned_in import header_warning
from inference.exam.deidentification.codestream import blank_comments
from inference.exam.deidentification.dataset import Pseudonym, deidentify_dataset
from inference.exam.deidentification.free_text import identifiers_of
from inference.exam.deidentification.site_key import SiteKey
from inference.exam.objects.content import BROKEN
from inference.exam.types import ExamError

MAX_FILE_BYTES = 192 << 20  # the largest frame that is read, with its header; copies of it are held meanwhile
_IMPLEMENTATION = "2.25.92233720368547758071"


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanFile:
    """A de-identified file; ``counts`` as ``deidentify_dataset``, "comments" for blanked pixel comments, "unused bits"."""

    data: bytes = field(repr=False)
    sop_instance_uid: str
    study_uid: str
    counts: Mapping[str, int]
    warnings: tuple[str, ...] = ()


def deidentify(data: bytes, name: str, *, key: SiteKey, who: Pseudonym) -> CleanFile:
    """De-identify one DICOM file by the basic profile and its options (see ``profile``).

    Parameters
    ----------
    data : the whole file
    name : what to call it in sentences

    Raises
    ------
    ExamError
        It cannot be read or written whole, or hides an overlay in the bits above the pixels.
    """
    if len(data) > MAX_FILE_BYTES:
        raise ExamError(
            f"{name}: expected a file of at most {MAX_FILE_BYTES >> 20} MB, found {len(data) >> 20} MB; left out."
        )
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            refuse_swelling(data)
            ds = dcmread(io.BytesIO(data), force=True)
            return _cleaned(ds, name, key=key, who=who)
    except ExamError as error:
        words = str(error)
        raise ExamError(words if words.startswith(name) else f"{name}: {words}") from error
    except BROKEN as error:
        raise ExamError(
            f"{name}: expected a DICOM file that can be read to its end, found damage ({type(error).__name__}); left out."
        ) from error


def _cleaned(ds: FileDataset, name: str, *, key: SiteKey, who: Pseudonym) -> CleanFile:
    if not ds.get("SOPClassUID") or not ds.get("SOPInstanceUID"):
        raise ExamError(f"{name}: expected SOP Class and Instance UID, found none; left out.")
    _refuse_hidden_overlay(ds, name)
    told = tuple(filter(None, [header_warning(ds)])) if "Rows" in ds else ()
    counts = deidentify_dataset(ds, key=key, who=who, identifiers=identifiers_of(ds))
    syntax = UID(str(ds.file_meta.get("TransferSyntaxUID", "") or _syntax_of(ds)))
    if "PixelData" in ds and syntax.is_encapsulated:
        ds.PixelData, blanked = blank_comments(ds.PixelData)
        counts |= {"comments": blanked} if blanked else {}
    elif _clear_unused_bits(ds, little=syntax != ExplicitVRBigEndian):
        counts |= {"unused bits": 1}
    ds.file_meta = _meta(ds, syntax)
    ds.preamble = b"\0" * 128
    out = io.BytesIO()
    dcmwrite(out, ds, enforce_file_format=True)
    return CleanFile(
        data=out.getvalue(),
        sop_instance_uid=str(ds.SOPInstanceUID),
        study_uid=str(ds.get("StudyInstanceUID", "") or ""),
        counts=counts,
        warnings=told,
    )


def _clear_unused_bits(ds: Dataset, *, little: bool) -> bool:
    """Set the bits above and below the stored values to 0, where older files kept overlays; True when any was set.

    Uncompressed unsigned pixels only: signed ones carry their sign there.
    """
    allocated, stored = int(ds.get("BitsAllocated", 0) or 0), int(ds.get("BitsStored", 0) or 0)
    data = ds.get("PixelData")
    if (
        data is None
        or allocated not in {8, 16}
        or not 0 < stored < allocated
        or ds.get("PixelRepresentation")
    ):
        return False
    shift = int(ds.get("HighBit", stored - 1)) + 1 - stored
    if not 0 <= shift <= allocated - stored or len(data) * 8 % allocated:
        return False
    words = np.frombuffer(data, np.dtype(f"{'<' if little else '>'}u{allocated // 8}"))
    kept = words & words.dtype.type(((1 << stored) - 1) << shift)
    if np.array_equal(kept, words):
        return False
    ds.PixelData = kept.tobytes()
    return True


def _meta(ds: Dataset, syntax: UID) -> FileMetaDataset:
    """Make new file meta information: the old one names stations, programs and the old instance."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(str(ds.SOPClassUID))
    meta.MediaStorageSOPInstanceUID = UID(str(ds.SOPInstanceUID))
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = UID(_IMPLEMENTATION)
    return meta


def _syntax_of(ds: FileDataset) -> str:
    implicit, little = ds.original_encoding
    if implicit:
        return "1.2.840.10008.1.2"
    return str(ExplicitVRLittleEndian) if little else "1.2.840.10008.1.2.2"


def _refuse_hidden_overlay(ds: Dataset, name: str) -> None:
    for group in range(0x6000, 0x601F, 2):
        position = ds.get((group, 0x0102))
        if position is not None and position.value and (group, 0x3000) not in ds:
            raise ExamError(
                f"{name}: expected overlays apart from the pixels, found one in their unused bits that may hold"
                " text; left out."
            )
