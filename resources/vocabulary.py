"""The words everyone shares: sides, views, kinds of image, BI-RADS, finding types.

Each member carries the standard's code where DICOM has one. This module owns names and codes only;
how a DICOM header is turned into them is ``inference.exam.views``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Laterality(StrEnum):
    """Side of the breast (DICOM CID 6022)."""

    RIGHT = "R"
    LEFT = "L"

    @property
    def other(self) -> Laterality:
        return Laterality.LEFT if self is Laterality.RIGHT else Laterality.RIGHT


class Projection(StrEnum):
    """Mammographic projection (DICOM CID 4014); the value is the ACR abbreviation."""

    CC = "CC"
    MLO = "MLO"
    ML = "ML"
    LM = "LM"
    LMO = "LMO"
    FB = "FB"  # caudo-cranial, "from below"
    SIO = "SIO"
    ISO = "ISO"
    XCCL = "XCCL"
    XCCM = "XCCM"
    XCC = "XCC"
    SPECIMEN = "SPECIMEN"
    UNKNOWN = "UNKNOWN"

    @property
    def is_axial(self) -> bool:
        """True for the cranio-caudal family, whose columns run side to side and not head to foot."""
        return self in {Projection.CC, Projection.FB, Projection.XCCL, Projection.XCCM, Projection.XCC}


class ViewModifier(StrEnum):
    """View modifiers (DICOM CID 4015); the value is the ACR abbreviation."""

    MAGNIFICATION = "M"
    SPOT = "S"
    IMPLANT_DISPLACED = "ID"
    CLEAVAGE = "CV"
    AXILLARY_TAIL = "AT"
    ROLLED_LATERAL = "RL"
    ROLLED_MEDIAL = "RM"
    ROLLED_SUPERIOR = "RS"
    ROLLED_INFERIOR = "RI"
    TANGENTIAL = "TAN"
    NIPPLE_IN_PROFILE = "NP"
    ANTERIOR_COMPRESSION = "AC"
    INFRAMAMMARY_FOLD = "IMF"
    AXILLARY_TISSUE = "AX"


class ImageKind(StrEnum):
    """What the pixels are; the value is the word of the image manifest."""

    FFDM = "ffdm"
    FILM = "film"
    CESM_LOW = "cesm_low"
    CESM_HIGH = "cesm_high"
    CESM_RECOMBINED = "cesm_recombined"

    @property
    def is_contrast(self) -> bool:
        return self in {ImageKind.CESM_LOW, ImageKind.CESM_HIGH, ImageKind.CESM_RECOMBINED}


@dataclass(frozen=True, slots=True, order=True)
class ViewName:
    """One view of one breast, e.g. R CC; ``key`` ("R-CC") is its name in files and logs."""

    laterality: Laterality
    projection: Projection

    @property
    def key(self) -> str:
        return f"{self.laterality.value}-{self.projection.value}"

    @property
    def label(self) -> str:
        return f"{self.laterality.value} {self.projection.value}"

    @classmethod
    def parse(cls, key: str) -> ViewName:
        """Read ``key`` back; ValueError names what was found."""
        side, _, projection = key.replace(" ", "-").partition("-")
        try:
            return cls(Laterality(side.upper()), Projection(projection.upper()))
        except ValueError as error:
            raise ValueError(f"view name: expected e.g. 'R-CC', found {key!r}") from error


FOUR_VIEWS: tuple[ViewName, ...] = (
    ViewName(Laterality.RIGHT, Projection.CC),
    ViewName(Laterality.LEFT, Projection.CC),
    ViewName(Laterality.RIGHT, Projection.MLO),
    ViewName(Laterality.LEFT, Projection.MLO),
)


class FindingType(StrEnum):
    """Lesion types of the four-view detector's paper, and enhancement for contrast mammography."""

    MASS = "mass"
    CALCIFICATION = "calcification"
    ASYMMETRY = "asymmetry"
    DISTORTION = "distortion"
    ENHANCEMENT = "enhancement"


class BiRads(StrEnum):
    """BI-RADS assessment category (ACR BI-RADS Atlas, 5th ed.). 0 is not ordinal."""

    INCOMPLETE = "0"
    NEGATIVE = "1"
    BENIGN = "2"
    PROBABLY_BENIGN = "3"
    SUSPICIOUS_LOW = "4A"
    SUSPICIOUS_MODERATE = "4B"
    SUSPICIOUS_HIGH = "4C"
    MALIGNANT = "5"


class Density(StrEnum):
    """BI-RADS breast composition (DICOM CID 6000)."""

    FATTY = "a"
    SCATTERED = "b"
    HETEROGENEOUS = "c"
    DENSE = "d"


class BackgroundEnhancement(StrEnum):
    """Background parenchymal enhancement of contrast mammography (ACR BI-RADS CEM supplement, 2022)."""

    MINIMAL = "minimal"
    MILD = "mild"
    MODERATE = "moderate"
    MARKED = "marked"


class EnhancementSymmetry(StrEnum):
    """Whether the background enhancement of one breast matches the other's."""

    SYMMETRIC = "symmetric"
    ASYMMETRIC = "asymmetric"


class EnhancementType(StrEnum):
    """How a finding shows on the recombined image (ACR BI-RADS CEM supplement, 2022)."""

    NONE = "none"
    MASS = "mass"
    NON_MASS = "nme"
    ASYMMETRY = "asymmetry"


class Conspicuity(StrEnum):
    """How a finding's enhancement stands out from its background."""

    LOW = "low"
    MODERATE = "moderate"
    HIGH = "high"


class Pathology(StrEnum):
    """Truth of one breast, as the image manifest writes it."""

    NORMAL = "normal"
    BENIGN = "benign"
    MALIGNANT = "malignant"
