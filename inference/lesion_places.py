"""Says of each detected lesion where it lies and which detection of the other view is the same lesion.

One call for an engine: detections with boxes (outline, finding, malignancy, attributes where it has them) go
in, the same detections with region, depth, nipple distance, group and match probability come out. How
landmarks are found is ``preprocessing.landmarks``'s, how pairs are judged is ``matching``'s. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from inference.exam.types import ViewImage
from inference.matching import Matcher, matched_groups
from inference.matching_features import Candidate, candidate_of
from inference.preprocessing.landmarks import Landmarks, SmallView, find_landmarks, small_view
from inference.preprocessing.pixel_size import pixel_sizes
from inference.results import Detection
from resources.vocabulary import Laterality, Projection


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """Detections with their places, the nipples by ViewImage.key (row, column, stored pixels), and what a
    reader must be told."""

    detections: tuple[Detection, ...]
    nipples: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def describe(
    images: Sequence[ViewImage],
    detections: Sequence[Detection],
    matcher: Matcher | None,
    *,
    views: Mapping[str, SmallView] | None = None,
    landmarks: Mapping[str, Landmarks] | None = None,
) -> Described:
    """Place the detections of one exam in the breast and match those of CC and MLO.

    Parameters
    ----------
    images
        The views that were read, of one woman.
    detections
        In stored-file pixels of ``images``; places, groups and match probabilities in them are overwritten.
    matcher
        From ``matching.load_matcher``; None leaves every lesion single.
    views, landmarks
        By ViewImage.key, when the caller has them already.

    Returns
    -------
    The detections in their order. A region or depth is None where no breast was found; a distance is None
    there and where the pixel's size is unknown.
    """
    small = dict(views or {})
    small.update(small_views([i for i in images if i.key not in small]))
    marks = dict(landmarks or {})
    marks.update({key: find_landmarks(view) for key, view in small.items() if key not in marks})
    placed = [_placed(detection, marks.get(detection.image_key)) for detection in detections]
    if matcher is not None:
        placed = _matched(images, placed, small, marks, matcher)
    return Described(
        detections=tuple(placed),
        nipples={key: mark.nipple for key, mark in marks.items() if mark.nipple is not None},
        warnings=_sentences(images, marks, {d.image_key for d in detections}),
    )


def small_views(images: Sequence[ViewImage]) -> dict[str, SmallView]:
    """The small views of one exam by key; files whose pixel size is unknown or wrong are taken to share one.

    A guess a view would make distances in CC and MLO incomparable.
    """
    out = {image.key: small_view(image) for image in images}
    sizes = pixel_sizes((image, out[image.key]) for image in images)
    blind = [image for image in images if not sizes[image.key].measured]
    if len(blind) > 1:
        out.update({image.key: small_view(image, sizes[image.key]) for image in blind})
    return out


def _placed(detection: Detection, marks: Landmarks | None) -> Detection:
    bare = replace(
        detection, region=None, depth=None, nipple_distance_mm=None, group=None, match_probability=None
    )
    place = None if marks is None else marks.place(*detection.box.center)
    if marks is None or place is None:
        return bare
    distance = place.nipple_distance_mm if marks.measured else None
    return replace(bare, region=place.region, depth=place.depth, nipple_distance_mm=distance)


def _matched(
    images: Sequence[ViewImage],
    detections: list[Detection],
    views: Mapping[str, SmallView],
    marks: Mapping[str, Landmarks],
    matcher: Matcher,
) -> list[Detection]:
    """Give the pairs of each breast a group; the views of one kind (plain, low energy, recombined) pair up."""
    out = {d.detection_id: d for d in detections}
    for laterality in Laterality:
        for kind in sorted({i.kind for i in images}):
            keys = {
                i.key: i.view.projection
                for i in images
                if i.view.laterality is laterality and i.kind is kind and marks[i.key].frame is not None
            }
            axial = _candidates(detections, [k for k, p in keys.items() if p is Projection.CC], views, marks)
            oblique = _candidates(
                detections, [k for k, p in keys.items() if p is Projection.MLO], views, marks
            )
            prefix = f"{laterality.value}{kind.value}" if kind.is_contrast else laterality.value
            for number, pair in enumerate(matched_groups(matcher, axial, oblique), start=1):
                for key in (pair.axial, pair.oblique):
                    out[key] = replace(
                        out[key], group=f"{prefix}{number}", match_probability=pair.probability
                    )
    return [out[d.detection_id] for d in detections]


def _candidates(
    detections: Sequence[Detection],
    keys: Sequence[str],
    views: Mapping[str, SmallView],
    marks: Mapping[str, Landmarks],
) -> list[Candidate]:
    return [
        candidate_of(d, views[d.image_key], marks[d.image_key]) for d in detections if d.image_key in keys
    ]


def _sentences(
    images: Sequence[ViewImage], marks: Mapping[str, Landmarks], used: set[str]
) -> tuple[str, ...]:
    """What a reader must know of the landmarks; of the nipple only in the views that show lesions."""
    out = [
        f"{image.view.label}: no pectoral muscle could be told; depth is measured to the image's edge instead."
        for image in images
        if _without_muscle(marks[image.key])
    ]
    unsure = [i.view.label for i in images if i.key in used and not marks[i.key].in_profile]
    if unsure:
        out.append(
            f"{', '.join(unsure)}: the nipple is not seen in profile; distances from it are estimates."
        )
    return tuple(out)


def _without_muscle(marks: Landmarks) -> bool:
    return marks.frame is not None and not marks.projection.is_axial and not marks.pectoral_edge
