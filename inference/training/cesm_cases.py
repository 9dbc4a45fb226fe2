"""Held-out contrast phantoms run through the model's own chain, kept so that any classifier can be asked of them.

Owns what a measured case is: each listed lesion with its true mask's crop, each candidate of the segmenter with
its crop, its group, and the lesion that it hits. Figures are ``cesm_evaluation``'s.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.cesm_engine import CesmEngine
from inference.cesm_judged import Seen
from inference.exam.phantom import PhantomExam, phantom_exam
from inference.exam.types import Box, Exam
from inference.training.cesm_data import cesm_spec, lesion_masks, plain_enhancement
from inference.training.cesm_segmenting import dice
from resources.vocabulary import Laterality, Pathology

CASE_MM = (
    0.3  # pixels of the measured phantoms: the crops' detail is that of 0.25 mm, and a third of the cost
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueLesion:
    """A listed lesion in one view."""

    side: str
    view: str
    lesion_id: str
    finding: str
    malignant: bool
    diameter_mm: float
    enhancement: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLesion:
    """A candidate in one view; ``hits`` is the lesion that its centre lies in, empty = none."""

    side: str
    view: str
    group: str
    presence: float
    hits: str
    harmless: bool  # its centre lies in something that the truth does not list
    dice: float  # with the lesion that it hits; 0 otherwise
    malignancy: float  # as the engine that made the case said


@dataclass(frozen=True, slots=True, kw_only=True)
class CesmCase:
    """One measured phantom; crops (n, 3, size, size) uint8 go with ``lesions`` and ``found``."""

    case_id: str
    cancer: dict[str, bool]  # by side, R and L
    lesions: tuple[TrueLesion, ...]
    found: tuple[FoundLesion, ...]
    lesion_crops: NDArray[np.uint8] = field(repr=False)
    found_crops: NDArray[np.uint8] = field(repr=False)
    picture_dice: tuple[float, ...] = ()  # of each view with a lesion, the segmenter's map at one half
    views: int = 4  # pairs of the exam


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A lesion that is known to be there in one view: its box in stored pixels, its mask on the working grid."""

    truth: TrueLesion
    box: Box
    mask: NDArray[np.bool_] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewTruth:
    """What is known of one view; marks with their centre in a box of ``ignored`` are neither right nor wrong."""

    listed: tuple[Listed, ...]
    ignored: tuple[Box, ...] = ()


def measured_case(engine: CesmEngine, phantom: PhantomExam) -> CesmCase:
    """Run a phantom through the engine's chain and pair what it finds with the truth."""

    def truth_of(one: Seen) -> ViewTruth:
        view, key = one.images.low.view, one.pair.recombined_key
        listed = [
            Listed(
                truth=TrueLesion(
                    side=view.laterality.value,
                    view=view.projection.value,
                    lesion_id=lesion.lesion_id,
                    finding=lesion.finding.value,
                    malignant=lesion.malignant,
                    diameter_mm=2.0 * lesion.radius_mm,
                    enhancement=plain_enhancement(one.pair, mask),
                ),
                box=lesion.views[key].box,
                mask=mask,
            )
            for lesion, mask in lesion_masks(phantom, one.pair)
        ]
        ignored = (x.views[key].box for x in phantom.incidental if key in x.views)
        return ViewTruth(listed=tuple(listed), ignored=tuple(ignored))

    cancer = {side.value: phantom.pathology[side] is Pathology.MALIGNANT for side in Laterality}
    return measured_exam(engine, phantom.exam, truth_of, cancer)


def measured_exam(
    engine: CesmEngine, exam: Exam, truth_of: Callable[[Seen], ViewTruth], cancer: Mapping[str, bool]
) -> CesmCase:
    """Run an exam through the engine's chain and pair what it finds with the truth.

    Parameters
    ----------
    cancer
        By side, R and L; a side of which it is not known is missing.
    """
    pairs, _ = engine.pairs(exam)
    seen = engine.read(pairs, lambda _fraction, _text: None, lambda: False)
    judged = [lesion for one in seen for lesion in engine.judged(one, explained=False)]
    placed, _, _ = engine.described(seen, judged)
    size = engine.members[0].config.size
    lesions: list[TrueLesion] = []
    found: list[FoundLesion] = []
    lesion_crops, found_crops = (
        [np.zeros((0, 3, size, size), np.uint8)],
        [np.zeros((0, 3, size, size), np.uint8)],
    )
    overlaps = []
    for one in seen:
        view = one.images.low.view
        truth = truth_of(one)
        made = engine.crops(one.pair, [x.mask for x in truth.listed])
        if made is not None:
            lesion_crops.append(np.rint(made.cpu().numpy() * 255).astype(np.uint8))
            union = np.any([x.mask for x in truth.listed], axis=0)
            overlaps.append(dice(one.map >= 0.5, union))
        lesions += [x.truth for x in truth.listed]
        mine = [(x, d) for x, d in zip(judged, placed, strict=True) if x.seen is one]
        made = engine.crops(one.pair, [x.candidate.mask for x, _ in mine])
        if made is not None:
            found_crops.append(np.rint(made.cpu().numpy() * 255).astype(np.uint8))
        for x, d in mine:
            hit = next((t for t in truth.listed if _inside(d.box, t.box)), None)
            found.append(
                FoundLesion(
                    side=view.laterality.value,
                    view=view.projection.value,
                    group=d.group or d.detection_id,
                    presence=x.candidate.presence,
                    hits="" if hit is None else hit.truth.lesion_id,
                    harmless=any(_inside(d.box, box) for box in truth.ignored),
                    dice=0.0 if hit is None else dice(x.candidate.mask, hit.mask),
                    malignancy=x.malignancy,
                )
            )
    return CesmCase(
        case_id=exam.exam_id,
        cancer=dict(cancer),
        lesions=tuple(lesions),
        found=tuple(found),
        lesion_crops=np.concatenate(lesion_crops),
        found_crops=np.concatenate(found_crops),
        picture_dice=tuple(overlaps),
        views=len(seen),
    )


def _inside(mark: Box, box: Box) -> bool:
    row, col = mark.center
    return box.row0 <= row < box.row1 and box.col0 <= col < box.col1


def cases(engine: CesmEngine, folder: Path, seeds: Iterable[int]) -> Iterator[CesmCase]:
    """Measure these phantoms, or load what was kept of them by the same segmenter and chain."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        path = folder / f"{seed}.npz"
        if not path.exists():
            spec = replace(cesm_spec(seed), pixel_mm=CASE_MM)
            _save(measured_case(engine, phantom_exam(spec)), path)
        yield _load(path)


def _save(case: CesmCase, path: Path) -> None:
    truth = {
        "case_id": case.case_id,
        "cancer": case.cancer,
        "lesions": [asdict(x) for x in case.lesions],
        "found": [asdict(x) for x in case.found],
        "picture_dice": case.picture_dice,
    }
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    with partial.open("wb") as stream:
        np.savez(stream, lesion=case.lesion_crops, found=case.found_crops, truth=np.array(json.dumps(truth)))
    partial.replace(path)


def _load(path: Path) -> CesmCase:
    with np.load(path) as stored:
        truth = json.loads(str(stored["truth"]))
        return CesmCase(
            case_id=truth["case_id"],
            cancer=truth["cancer"],
            lesions=tuple(TrueLesion(**x) for x in truth["lesions"]),
            found=tuple(FoundLesion(**{k: x[k] for k in FoundLesion.__slots__}) for x in truth["found"]),
            lesion_crops=stored["lesion"],
            found_crops=stored["found"],
            picture_dice=tuple(truth["picture_dice"]),
        )
