"""Lesions that are given to a model to be judged, and what a lesion-level model says of them.

The port ``LesionEngine`` is optional: an engine that has it scores lesions it is shown instead of finding its own.
Owns the nouns, the port and the way from a lesions table to an exam's images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.engine import Cancelled, FakeEngine, InferenceCancelled, Progress
from inference.exam.manifest import ManifestLesion, resolve_inside
from inference.exam.pictures import decode_picture
from inference.exam.types import Box, Exam, ExamError, InferenceError, ViewImage
from resources.vocabulary import FindingType, ImageKind, Laterality, Projection


class LesionsNotRead(InferenceError):
    """The model scores no given lesions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenLesion:
    """One lesion in one image, in stored-file pixels; the same ``lesion_id`` in two images is one lesion."""

    lesion_id: str
    laterality: Laterality
    image_key: str  # ViewImage.key
    box: Box  # inside the image
    finding: FindingType
    mask: NDArray[np.bool_] | None = field(
        default=None, compare=False, repr=False
    )  # (rows, cols) of the image; None = known by its box only

    def __post_init__(self) -> None:
        if self.mask is not None and self.mask.ndim != 2:
            raise ValueError(f"mask: expected (rows, cols), found {self.mask.shape}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionScore:
    """What a model says of one lesion: of all its images together, or of one view and kind where it says which."""

    lesion_id: str
    laterality: Laterality
    score: float  # 0..1
    view: Projection | None = None
    kind: ImageKind | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.score <= 1.0:
            raise ValueError(f"score: expected 0..1, found {self.score}")


@runtime_checkable
class LesionEngine(Protocol):
    """Scores the lesions it is given."""

    def score_lesions(
        self, exam: Exam, lesions: Sequence[GivenLesion], progress: Progress, cancelled: Cancelled
    ) -> tuple[LesionScore, ...]: ...


class FakeLesionEngine(FakeEngine):
    """The fake engine with the port: a lesion's score is the share of its image that its box fills."""

    def score_lesions(
        self, exam: Exam, lesions: Sequence[GivenLesion], progress: Progress, cancelled: Cancelled
    ) -> tuple[LesionScore, ...]:
        """Score each lesion in each of its images, without a model."""
        images = {image.key: image for image in exam.images}
        out = []
        for index, lesion in enumerate(lesions):
            if cancelled():
                raise InferenceCancelled("The analysis was cancelled.")
            progress(index / len(lesions), lesion.lesion_id)
            image = images[lesion.image_key]
            area = (lesion.box.row1 - lesion.box.row0) * (lesion.box.col1 - lesion.box.col0)
            out.append(
                LesionScore(
                    lesion_id=lesion.lesion_id,
                    laterality=lesion.laterality,
                    score=area / image.pixels.size,
                    view=image.view.projection,
                    kind=image.kind,
                )
            )
        return tuple(out)


def given_lesions(
    exam: Exam, case_id: str, entries: Sequence[ManifestLesion], folder: Path
) -> tuple[tuple[GivenLesion, ...], tuple[str, ...]]:
    """Place a case's lesions in the images of its exam.

    Parameters
    ----------
    entries
        Rows of the lesions table, of any cases.
    folder
        Of the lesions table; masks lie in it or below.

    Returns
    -------
    The lesions, one entry for each image that a row is about, and a sentence for each row that fits none.
    """
    made: list[GivenLesion] = []
    notes: list[str] = []
    for entry in entries:
        if entry.case_id != case_id:
            continue
        images = [i for i in exam.images if i.view == entry.view and entry.kind in {None, i.kind}]
        if not images:
            notes.append(f"Lesions row {entry.row}, view: the exam has no image {entry.view.label}.")
        for image in images:
            try:
                made.append(_placed(entry, image, folder))
            except ExamError as error:
                notes.append(f"Lesions row {entry.row}: {error}")
    return tuple(made), tuple(notes)


def _placed(entry: ManifestLesion, image: ViewImage, folder: Path) -> GivenLesion:
    rows, cols = image.pixels.shape
    mask = read_mask(entry.mask_path, (rows, cols), folder) if entry.mask_path else None
    if entry.box is not None:
        row0, col0, row1, col1 = entry.box
    elif entry.circle is not None:
        row, col, radius = entry.circle
        row0, col0, row1, col1 = row - radius, col - radius, row + radius, col + radius
    else:
        assert mask is not None
        at_rows, at_cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        row0, row1 = float(at_rows[0]), float(at_rows[-1] + 1)
        col0, col1 = float(at_cols[0]), float(at_cols[-1] + 1)
    row0, col0, row1, col1 = max(row0, 0.0), max(col0, 0.0), min(row1, float(rows)), min(col1, float(cols))
    if row1 <= row0 or col1 <= col0:
        raise ExamError(
            f"expected a lesion inside {image.path} ({rows} x {cols} pixels), found one beside it."
        )
    return GivenLesion(
        lesion_id=entry.lesion_id,
        laterality=entry.view.laterality,
        image_key=image.key,
        box=Box(row0=row0, col0=col0, row1=row1, col1=col1),
        finding=entry.type,
        mask=mask,
    )


def read_mask(relative: str, shape: tuple[int, int], folder: Path) -> NDArray[np.bool_]:
    """Read a lesion's mask, (rows, cols) bool of the image's shape.

    A mask of another size but the same proportions is resized; ExamError says why one cannot be used.
    """
    path = resolve_inside(folder, relative)
    try:
        values = decode_picture(path.read_bytes())
    except OSError as error:
        raise ExamError(f"expected the file {relative}, could not be read ({error.strerror}).") from error
    mask = mask_of(values)
    if not mask.any():
        raise ExamError(f"{relative}: expected at least one pixel set, found none.")
    if mask.shape == shape:
        return mask
    if abs(shape[0] * mask.shape[1] / (shape[1] * mask.shape[0]) - 1) > 0.01:
        raise ExamError(
            f"{relative}: expected {shape[0]} x {shape[1]} pixels as in the image, "
            f"found {mask.shape[0]} x {mask.shape[1]}."
        )
    resized = cv2.resize(mask.astype(np.uint8), (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized, dtype=bool)


def mask_of(values: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Turn the gray values of a mask file into a mask: the upper half of its range is lesion.

    A mask saved as JPEG has noise about 0 and 255; 128 and more of 255 is lesion, 1 of 1 likewise.
    """
    return np.asarray(values >= max(1, (int(values.max()) + 1) // 2))
