"""What an AI model says about an exam: detections, heat maps, scores, and who said it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.exam.types import Box
from resources.vocabulary import FindingType, Laterality

ATTRIBUTES = ("shape", "margin", "morphology", "distribution")  # the last two are of calcifications
MLO_REGIONS = ("upper", "middle", "lower", "axillary tail", "areola")
CC_REGIONS = ("outer", "middle", "inner", "areola")
ENERGIES = ("low", "recombined", "both")  # of a contrast pair: from which of its images a score comes


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """A descriptor of a lesion: the BI-RADS lexicon's term and how sure the model is of it, in [0, 1]."""

    term: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One lesion candidate in one image; the box is in stored-file pixels, score and malignancy in [0, 1]."""

    detection_id: str
    image_key: str  # ViewImage.key
    box: Box
    score: float
    finding: FindingType | None  # None = the model does not type its findings
    malignancy: float | None = None
    group: str | None = None  # the same lesion in another view carries the same group
    match_probability: float | None = None  # that the members of the group are one lesion; None = unmatched
    outline: tuple[
        tuple[float, float], ...
    ] = ()  # (row, column) corners of a closed line; empty = none drawn
    attributes: Mapping[str, Attribute] = field(default_factory=dict)  # by one of ATTRIBUTES
    region: str | None = None  # one of MLO_REGIONS or CC_REGIONS, by the image's projection
    depth: float | None = None  # 0 nipple .. 1 pectoral muscle (MLO) or chest wall (CC)
    nipple_distance_mm: float | None = None  # in the image's plane; None = no nipple or no pixel size
    # of a contrast pair: the lesion's malignancy from one image alone or both, 0..1, by one of ENERGIES
    energy_scores: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("score", "malignancy", "match_probability", "depth"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:
                raise ValueError(f"{name}: expected 0..1, found {value}")
        for name, value in self.energy_scores.items():
            if name not in ENERGIES or not 0.0 <= value <= 1.0:
                raise ValueError(
                    f"energy score: expected 0..1 by one of {', '.join(ENERGIES)}, found {name} {value}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap:
    """A map over one whole stored image: values (rows, cols) float32 in [0, 1], any smaller size than the image."""

    image_key: str
    values: NDArray[np.float32] = field(compare=False, repr=False)
    label: str = "cancer evidence"

    def __post_init__(self) -> None:
        if self.values.dtype != np.float32 or self.values.ndim != 2:
            raise ValueError(
                f"heat map: expected (rows, cols) float32, found {self.values.shape} {self.values.dtype}"
            )
        self.values.setflags(write=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamResult:
    """All that one model says about one exam. Scores are in [0, 1]; a missing key = not computed."""

    exam_digest: str
    model_id: str
    model_version: str
    weights_digest: str
    preprocessing: str
    device: str
    seconds: float
    exam_score: float | None
    breast_scores: Mapping[Laterality, float] = field(default_factory=dict)
    view_scores: Mapping[str, float] = field(default_factory=dict)  # by ViewImage.key
    detections: tuple[Detection, ...] = ()
    heatmaps: tuple[Heatmap, ...] = ()
    score_meaning: str = ""  # the words for what the number means, from the model card
    warnings: tuple[str, ...] = ()
    nipples: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # row, column by ViewImage.key
    unread: Mapping[str, str] = field(default_factory=dict)  # by ViewImage.key: why this view was not read
