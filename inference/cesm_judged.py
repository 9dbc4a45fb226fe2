"""What the contrast-mammography engine holds of a pair and of its lesions, and how that becomes marks and maps.

No torch: the engine fills these, and they say what stands on the low-energy and what on the recombined image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.cesm_lesions import Candidate
from inference.exam.contrast import ContrastPair
from inference.preprocessing.cesm import PreparedPair, crop_affine, crop_box
from inference.results import Detection, Heatmap

_HEAT_SIDE = 512  # rows or columns of a heat map, whichever is more
_SOFT = 6.0  # working pixels, 1.5 mm
HEAT_LABEL = "Grad-CAM of malignancy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One pair that is read: its images, greys, and the segmenter's map on the working grid."""

    images: ContrastPair
    pair: PreparedPair
    map: NDArray[np.float32] = field(repr=False)  # chance of lesion, 0..1


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One lesion candidate of a view: chance that it is there, and is malignant."""

    seen: Seen
    candidate: Candidate
    presence: float
    malignancy: float
    map: NDArray[np.float32] = field(repr=False)  # Grad-CAM over the crop
    by_image: Mapping[str, float] = field(default_factory=dict)  # malignancy from each image and from both


def twins(lesion: Judged, on_low: Detection) -> tuple[Detection, Detection]:
    """The detection on both images of the pair, which are read together: the same place, chance and malignancy."""
    pair = lesion.seen.pair
    name = on_low.detection_id.replace(pair.low_key, pair.recombined_key, 1)
    return on_low, replace(on_low, detection_id=name, image_key=pair.recombined_key)


def heatmaps_of(seen: Seen, lesions: Iterable[Judged]) -> list[Heatmap]:
    """Grad-CAM of each lesion times its malignancy and its chance, laid on both images."""
    rows, cols = seen.pair.low.shape
    whole = np.zeros((rows, cols), np.float32)
    for lesion in lesions:
        size = lesion.map.shape[0]
        back = crop_affine(crop_box(lesion.candidate.mask), size)
        strength = np.float32(lesion.malignancy * lesion.presence)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        whole = np.maximum(whole, cv2.warpAffine(lesion.map * strength, back, (cols, rows), flags=flags))
    whole = cv2.GaussianBlur(whole, (0, 0), _SOFT)  # the crop's border is no edge of anything
    shrink = min(1.0, _HEAT_SIDE / max(rows, cols))
    small = cv2.resize(
        whole * seen.pair.breast,
        (max(1, round(cols * shrink)), max(1, round(rows * shrink))),
        interpolation=cv2.INTER_AREA,
    )
    values = np.clip(small, 0.0, 1.0).astype(np.float32)
    return [
        Heatmap(image_key=key, values=values.copy(), label=HEAT_LABEL)
        for key in (seen.pair.low_key, seen.pair.recombined_key)
    ]
