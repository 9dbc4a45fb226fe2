"""The nouns of the image side: an exam, its views, how a view is shown, where lesions may lie.

Pixels stay as they lie in the file. What turns them to the hanging orientation is data (``Orientation``), so a
coordinate in a result, a mark or an export always means the stored file's pixel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from resources.files import UserFacingError
from resources.vocabulary import ImageKind, Laterality, Projection, ViewModifier, ViewName


class InferenceError(UserFacingError):
    """Root of what can go wrong on the image side; the text is one sentence for the user."""


class ExamError(InferenceError):
    """An image or exam cannot be read; the text names file, what was expected, what was found, what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spacing:
    """Size of one pixel in the breast plane, mm (row to row, column to column), and where it comes from (MG-12)."""

    row_mm: float
    col_mm: float
    method: str  # e.g. "imager spacing / ERMF", "detector plane, no ERMF", "declared in manifest"

    def __post_init__(self) -> None:
        if not (0.001 <= self.row_mm <= 10.0 and 0.001 <= self.col_mm <= 10.0):
            raise ValueError(f"spacing: expected 0.001..10 mm, found {self.row_mm} x {self.col_mm}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """How stored pixels turn into the hanging orientation: first transpose, then flip rows, then flip columns."""

    transpose: bool = False
    flip_rows: bool = False
    flip_cols: bool = False


class VoiFunction(StrEnum):
    """DICOM VOI LUT Function (PS3.3 C.11.2.1.3), and TABLE for a VOI LUT Sequence item."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"
    TABLE = "TABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Voi:
    """One window or VOI table; centre, width and first value are in modality units (after rescale)."""

    label: str
    function: VoiFunction
    center: float = 0.0
    width: float = 1.0
    first_value: int = 0
    table: NDArray[np.uint16] | None = field(default=None, compare=False)  # (entries,) uint16, TABLE only
    table_bits: int = 16

    def __post_init__(self) -> None:
        if (self.function is VoiFunction.TABLE) != (self.table is not None):
            raise ValueError(f"VOI {self.label!r}: a table is expected for TABLE and for nothing else")
        if self.table is not None:
            self.table.setflags(write=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """All that is needed to show pixels: stored = pixels + stored_offset; modality = stored * slope + intercept.

    ``vois`` are in file order and never empty. ``inverse`` is applied after the VOI (MG-19): MONOCHROME1 or
    Presentation LUT Shape INVERSE. ``padding`` is the inclusive range of ``pixels`` that is air (MG-18).
    """

    vois: tuple[Voi, ...]
    inverse: bool = False
    padding: tuple[int, int] | None = None
    slope: float = 1.0
    intercept: float = 0.0
    stored_offset: int = 0
    bits: int = 12

    def __post_init__(self) -> None:
        if not self.vois:
            raise ValueError("presentation: expected at least one VOI, found none")


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomReference:
    """What another DICOM object needs to point at an image; UIDs as in the file."""

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    study_uid: str
    transfer_syntax_uid: str = ""
    # (SOP Instance UID, Spatial Locations Preserved or "" when absent) of each Source Image Sequence item (MG-31)
    sources: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFlags:
    """What a reader must be told of an image (MG-26); every field is False or empty when the file says nothing."""

    partial: bool = False
    partial_region: tuple[str, ...] = ()  # code meanings of Partial View Code Sequence, e.g. "Anterior"
    implant: bool = False
    quality_control: bool = False
    lossy: bool = False
    lossy_ratio: float | None = None
    for_processing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewImage:
    """One decoded image: pixels (rows, cols) uint16 as stored, read-only, and how it hangs and shows."""

    view: ViewName
    kind: ImageKind
    pixels: NDArray[np.uint16] = field(compare=False, repr=False)
    presentation: Presentation
    orientation: Orientation
    spacing: Spacing | None  # None = not recorded
    source_id: str  # SOP Instance UID, or the manifest's relative path
    path: str = ""
    modifiers: tuple[ViewModifier, ...] = ()
    header: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)  # technique, equipment
    identity: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)  # who, when, where
    evidence: tuple[
        str, ...
    ] = ()  # which rule gave view, side, kind, orientation, spacing, one sentence each
    acquired: datetime | None = None  # acquisition date and time as the file says them, no time zone
    injected: datetime | None = None  # contrast bolus start, contrast mammography only (CEM-06)
    flags: ImageFlags = field(default_factory=ImageFlags)
    reference: DicomReference | None = None  # None for pictures that are no DICOM
    qualifier: str = ""  # tells images of the same view apart: "#2" a duplicate, "@P1" the first prior

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint16 or self.pixels.ndim != 2:
            raise ValueError(
                f"pixels: expected (rows, cols) uint16, found {self.pixels.shape} {self.pixels.dtype}"
            )
        if 0 in self.pixels.shape:
            raise ValueError(f"pixels: expected at least one row and column, found {self.pixels.shape}")
        self.pixels.setflags(write=False)

    @property
    def key(self) -> str:
        """Unique inside an exam: 'R-CC', 'R-CC/cesm_low', and 'R-CC#2' for a second image of that view."""
        base = self.view.key if not self.kind.is_contrast else f"{self.view.key}/{self.kind.value}"
        return base + self.qualifier


def with_unique_keys(images: Iterable[ViewImage]) -> tuple[ViewImage, ...]:
    """Number the images of one view from the second on ("#2"), in acquisition order, file order for ties (MG-39)."""
    listed = list(images)
    order = sorted(range(len(listed)), key=lambda k: (listed[k].acquired or datetime.max, k))
    counts: dict[str, int] = {}
    for k in order:
        bare = replace(listed[k], qualifier="")
        counts[bare.key] = counts.get(bare.key, 0) + 1
        number = counts[bare.key]
        listed[k] = bare if number == 1 else replace(bare, qualifier=f"#{number}")
    return tuple(listed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """The images of one examination; ``digest`` is a SHA-256 over view names and pixels."""

    exam_id: str
    images: tuple[ViewImage, ...]
    digest: str
    notes: tuple[str, ...] = ()  # declared fallbacks and warnings, shown to the user
    age: int | None = None
    # Same woman, other date = a prior (MG-41). Pseudonymous: derived from the patient id, never the id itself.
    patient_key: str = ""
    study_date: date | None = None

    def __post_init__(self) -> None:
        if not self.images:
            raise ValueError(f"exam {self.exam_id!r}: expected at least one image, found none")
        keys = [image.key for image in self.images]
        if len(set(keys)) < len(keys):
            raise ValueError(f"exam {self.exam_id!r}: expected one key an image, found {sorted(keys)}")

    def find(
        self, laterality: Laterality, projection: Projection, kind: ImageKind | None = None
    ) -> ViewImage | None:
        """Return the first image of that view (and kind, when given), or None."""
        for image in self.images:
            if image.view == ViewName(laterality, projection) and kind in {None, image.kind}:
                return image
        return None


def exam_digest(images: tuple[ViewImage, ...]) -> str:
    """SHA-256 over view key, kind, shape and pixels, independent of the order of ``images``."""
    return digest_of(image_digest(image) for image in images)


def image_digest(image: ViewImage) -> bytes:
    """SHA-256 over view key, kind, shape, number among duplicates and pixels of one image; releases the GIL."""
    # The number is part of it: kept results and marks name "R-CC#2", so swapped duplicates are another exam.
    head = f"{image.view.key}|{image.kind.value}|{image.pixels.shape}|{image.qualifier}"
    found = hashlib.sha256(head.encode())
    found.update(np.ascontiguousarray(image.pixels).data.cast("B"))
    return found.digest()


def digest_of(parts: Iterable[bytes]) -> str:
    """Join the digests of an exam's images to that of the exam."""
    return hashlib.sha256(b"".join(sorted(parts))).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamSummary:
    """A line of an exam list, from headers only: nothing is decoded for it."""

    exam_id: str
    title: str  # what a list shows; never a patient's name in a blinded context
    view_keys: tuple[str, ...]
    notes: tuple[str, ...] = ()
    patient_key: str = ""  # as in ``Exam``
    study_date: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Box:
    """Half-open rectangle in stored-file pixels: rows row0..row1, columns col0..col1."""

    row0: float
    col0: float
    row1: float
    col1: float

    def __post_init__(self) -> None:
        if not (self.row1 > self.row0 and self.col1 > self.col0):
            raise ValueError(f"box: expected row1 > row0 and col1 > col0, found {self}")

    @property
    def center(self) -> tuple[float, float]:
        return ((self.row0 + self.row1) / 2, (self.col0 + self.col1) / 2)
