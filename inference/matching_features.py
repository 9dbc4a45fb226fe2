"""What a pair of detections, one in CC and one in MLO, is judged by: numbers from places, size, type and grey.

Missing values are NaN here and only here: the trees of ``matching`` know what to do with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.exam.types import Box
from inference.preprocessing.landmarks import Landmarks, SmallView
from inference.preprocessing.layout import box_to_canvas, point_to_canvas
from inference.results import ATTRIBUTES, Detection
from resources.vocabulary import FindingType

_RING = 0.5  # of the box's size on either side: the surroundings that a lesion's grey is compared with
_TYPES = (FindingType.MASS, FindingType.CALCIFICATION, FindingType.ASYMMETRY, FindingType.DISTORTION)

PAIR_FEATURES = (
    "nipple distance difference, mm",
    "nipple distance, CC less MLO, mm",
    "distance before the wall, CC less MLO, mm",
    "depth difference",
    "nipple distance behind, CC less MLO, mm",
    "outer of the nipple in CC, mm",
    "above the nipple in MLO, mm",
    "log of the sizes' ratio",
    "mean size, mm",
    "same finding",
    "finding in CC",
    "finding in MLO",
    "malignancy difference",
    "mean malignancy",
    "score difference",
    "lower score",
    "contrast difference",
    "mean contrast",
    *(f"same {name}" for name in ATTRIBUTES),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One detection as matching sees it; millimetres in the plane of its view, NaN = not known."""

    detection_id: str
    finding: FindingType | None
    score: float
    malignancy: float
    nipple_distance_mm: float
    behind_mm: float  # behind the nipple along the posterior nipple line
    before_mm: float  # before the wall
    depth: float
    above_mm: float
    size_mm: float
    contrast: float  # grey of the box less that of its surroundings
    attributes: Mapping[str, str]


def candidate_of(detection: Detection, view: SmallView, marks: Landmarks) -> Candidate:
    """Measure one detection in its view; the view must have a frame."""
    frame = marks.frame
    assert frame is not None
    row, col = point_to_canvas(view.placement, *detection.box.center)
    place = marks.place(*detection.box.center)
    assert place is not None
    before = frame.wall.distance(row, col) * frame.pixel_mm
    box = box_to_canvas(view.placement, detection.box)
    high, wide = (box.row1 - box.row0) * view.pixel_mm, (box.col1 - box.col0) * view.pixel_mm
    return Candidate(
        detection_id=detection.detection_id,
        finding=detection.finding,
        score=detection.score,
        malignancy=np.nan if detection.malignancy is None else detection.malignancy,
        nipple_distance_mm=place.nipple_distance_mm,
        behind_mm=frame.nipple_line_mm - before,
        before_mm=before,
        depth=place.depth,
        above_mm=place.above_mm,
        size_mm=float(np.sqrt(max(high * wide, 1e-6))),
        contrast=_contrast(view, box),
        attributes={name: a.term for name, a in detection.attributes.items()},
    )


def _contrast(view: SmallView, box: Box) -> float:
    """Mean grey of the box less that of the breast round it, in standard deviations of the breast."""
    rows, cols = view.grey.shape
    extra_r, extra_c = _RING * (box.row1 - box.row0), _RING * (box.col1 - box.col0)
    inner = _window((box.row0, box.row1), (box.col0, box.col1), rows, cols)
    outer = _window(
        (box.row0 - extra_r, box.row1 + extra_r), (box.col0 - extra_c, box.col1 + extra_c), rows, cols
    )
    mask = view.mask.copy()
    inside = view.grey[inner][mask[inner]]
    mask[inner] = False
    around = view.grey[outer][mask[outer]]
    spread = float(view.grey[view.mask].std()) if view.mask.any() else 0.0
    if not len(inside) or not len(around) or spread < 1e-6:
        return float("nan")
    return float((inside.mean() - around.mean()) / spread)


def _window(
    rows: tuple[float, float], cols: tuple[float, float], height: int, width: int
) -> tuple[slice, slice]:
    r0, c0 = (int(np.clip(np.floor(v), 0, n - 1)) for v, n in ((rows[0], height), (cols[0], width)))
    r1, c1 = (int(np.clip(np.ceil(v), 1, n)) for v, n in ((rows[1], height), (cols[1], width)))
    return slice(r0, max(r1, r0 + 1)), slice(c0, max(c1, c0 + 1))


def pair_features(axial: Candidate, oblique: Candidate) -> NDArray[np.float64]:
    """Features of one CC and one MLO candidate, (len(PAIR_FEATURES),) float64 in that order; NaN = unknown."""
    nearer = axial.nipple_distance_mm - oblique.nipple_distance_mm
    return np.array(
        [
            abs(nearer),
            nearer,
            axial.before_mm - oblique.before_mm,
            abs(axial.depth - oblique.depth),
            axial.behind_mm - oblique.behind_mm,
            axial.above_mm,
            oblique.above_mm,
            float(np.log(axial.size_mm / oblique.size_mm)),
            0.5 * (axial.size_mm + oblique.size_mm),
            _same(axial.finding, oblique.finding),
            _number(axial.finding),
            _number(oblique.finding),
            abs(axial.malignancy - oblique.malignancy),
            0.5 * (axial.malignancy + oblique.malignancy),
            abs(axial.score - oblique.score),
            min(axial.score, oblique.score),
            abs(axial.contrast - oblique.contrast),
            0.5 * (axial.contrast + oblique.contrast),
            *(_same(axial.attributes.get(name), oblique.attributes.get(name)) for name in ATTRIBUTES),
        ]
    )


def _same(first: object | None, second: object | None) -> float:
    return float("nan") if first is None or second is None else float(first == second)


def _number(finding: FindingType | None) -> float:
    return float(_TYPES.index(finding)) if finding in _TYPES else float("nan")
