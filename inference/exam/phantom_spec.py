"""What a phantom is asked to be, and the truth that comes with it.

Plain data: ``PhantomSpec`` in, ``PhantomExam`` with its ``PhantomLesion`` out. How the pixels are made is in
``phantom`` and the ``phantom_*`` modules beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.exam.types import Box, Exam, ExamError
from resources.vocabulary import Density, FindingType, Laterality, Pathology


class PhantomError(ExamError):
    """A phantom was asked for that cannot be made, or could not be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomSpec:
    """A synthetic four-view exam to make; None means that the seed draws it."""

    seed: int
    cesm: bool = False  # contrast pair (low energy and recombined) instead of the plain mammogram
    pixel_mm: float = 0.1
    density: Density | None = None
    lesions: int | None = (
        None  # malignant and benign lesions of the index breast, not the trivia of a normal one
    )
    pathology: Pathology | None = None
    finding: FindingType | None = None

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise PhantomError(
                f"Phantom seed: expected 0 or more, found {self.seed}; give a non-negative seed."
            )
        if not 0.05 <= self.pixel_mm <= 1.0:
            raise PhantomError(
                f"Phantom pixel size: expected 0.05 to 1 mm, found {self.pixel_mm}; choose one there."
            )
        if self.lesions is not None and not 0 <= self.lesions <= 4:
            raise PhantomError(
                f"Phantom lesions: expected 0 to 4, found {self.lesions}; choose a number there."
            )
        if self.pathology is Pathology.NORMAL and self.lesions:
            raise PhantomError(
                f"Phantom lesions: a normal exam has 0, found {self.lesions}; ask for benign or malignant."
            )
        if self.lesions == 0 and self.pathology in {Pathology.BENIGN, Pathology.MALIGNANT}:
            raise PhantomError(
                f"Phantom lesions: a {self.pathology.value} exam needs at least 1, found 0; ask for one."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionView:
    """Where a lesion lies in one image, in stored-file pixels."""

    box: Box
    center: tuple[float, float]  # row, column
    contour: NDArray[np.float32] = field(compare=False, repr=False)  # (n, 2) float32 row, column
    region: str  # of results.MLO_REGIONS or CC_REGIONS; definitions in ``view_frame``
    depth: float  # in this view's plane: 0 nipple .. 1 pectoral muscle's line (MLO) or image edge (CC)
    nipple_distance_mm: float  # in this view's plane

    def __post_init__(self) -> None:
        self.contour.setflags(write=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomLesion:
    """One lesion and its truth, the same in every view.

    ``position_mm`` is (x, y, z) in the uncompressed breast: x medial to lateral, y inferior to superior, z chest
    wall to nipple, with the nipple at (0, 0, z_n).
    """

    lesion_id: str
    finding: FindingType
    malignant: bool
    laterality: Laterality
    position_mm: tuple[float, float, float]
    radius_mm: float
    quadrant: str  # UO, UI, LO, LI or central (less than 20 mm from the nipple)
    clock: int  # 1..12, seen from in front of the woman
    depth: float  # 0 nipple .. 1 chest wall
    nipple_distance_mm: float  # straight distance in the uncompressed breast
    shape: str = ""  # BI-RADS terms; shape and margin of masses,
    margin: str = ""
    morphology: str = ""  # morphology and distribution of calcifications, else empty
    distribution: str = ""
    iodine_mg_ml: float = 0.0  # enhancement above the gland, contrast exams only
    views: Mapping[str, LesionView] = field(default_factory=dict, compare=False)  # by ViewImage.key


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomExam:
    """A synthetic exam and all that is true of it."""

    spec: PhantomSpec
    exam: Exam
    lesions: tuple[PhantomLesion, ...]
    pathology: Mapping[Laterality, Pathology]
    density: Density
    age: int
    nipples: Mapping[str, tuple[float, float]]  # row, column in stored pixels, by ViewImage.key
    line_integrals: Mapping[str, NDArray[np.float32]] = field(compare=False, repr=False)
    # (rows, cols) float32, natural log units of the low-energy beam, stored orientation, 0 in air, by view key
    thickness_mm: Mapping[str, float] = field(default_factory=dict)  # compressed, by view key
    # (n, 2) float32 row, column in stored pixels of the pectoral muscle's front edge from the top down, by
    # ViewImage.key; (0, 2) where the view shows none
    pectoral_edges: Mapping[str, NDArray[np.float32]] = field(default_factory=dict, compare=False, repr=False)
    # What a normal breast may hold besides (nodes, round calcifications): drawn as benign lesions are, so that a
    # mark on one is neither a hit nor plainly false.
    incidental: tuple[PhantomLesion, ...] = ()

    @property
    def is_malignant(self) -> bool:
        """True when either breast holds a malignant lesion."""
        return Pathology.MALIGNANT in self.pathology.values()
