"""What the contrast-mammography models learn from: phantoms, their lesion crops and canvases, kept on disk.

Owns which phantoms there are, the truth beside them and the cache; batches and variation are ``cesm_batch``'s.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.exam.contrast import contrast_pairs
from inference.exam.phantom import PhantomExam, PhantomSpec, phantom_exam
from inference.exam.phantom_spec import PhantomLesion
from inference.preprocessing.cesm import (
    CANVAS,
    WORK_MM,
    PreparedPair,
    lesion_crop,
    mask_on_canvas,
    mask_on_grid,
    prepare_pair,
    segmenter_canvas,
)
from inference.training.data import TEST_SEEDS, TRAIN_SEEDS, VALIDATION_SEEDS
from resources.vocabulary import FindingType, Laterality, Pathology, Projection, ViewName

_LOG = logging.getLogger(__name__)
CROP, REACH = 160, 1.25  # a kept crop has room for turning: its inner 128 pixels are the lesion's square
_PIXELS_MM = (0.2, 0.25, 0.3)
EVALUATION_MM = 0.2
_FINDINGS = (FindingType.MASS, FindingType.ENHANCEMENT, FindingType.ASYMMETRY, FindingType.DISTORTION)
_SHARES = (0.5, 0.25, 0.15, 0.1)
_DECOYS = 2  # places per exam that look lively and are no lesion
_DECOY_MM = (4.0, 12.0)  # their radius


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionSample:
    """One lesion in one view, or a decoy; ``malignant`` of a decoy is False."""

    case_id: str
    laterality: Laterality
    projection: Projection
    lesion_id: str
    finding: str  # empty = decoy
    malignant: bool
    diameter_mm: float
    enhancement: float  # plain baseline: mean grey of the recombined image in the mask, less about it
    birads: str = ""  # category as recorded; empty = not recorded, as of every phantom

    @property
    def is_lesion(self) -> bool:
        """False for a decoy."""
        return bool(self.finding)


@dataclass(frozen=True, slots=True, kw_only=True)
class CesmExam:
    """One phantom prepared: crops (samples, 3, 160, 160), canvases (views, 2, 256, 192), lesion masks there."""

    case_id: str
    crops: NDArray[np.uint8] = field(compare=False, repr=False)
    samples: tuple[LesionSample, ...]
    canvases: NDArray[np.uint8] = field(compare=False, repr=False)
    masks: NDArray[np.uint8] = field(
        compare=False, repr=False
    )  # (views, 256, 192): 0, or lesion number from 1


def cesm_spec(seed: int) -> PhantomSpec:
    """Return the contrast phantom of a seed: of 10 five malignant, four benign, one normal; one to three lesions."""
    rng = np.random.default_rng([seed, 73])
    mm = EVALUATION_MM if seed >= VALIDATION_SEEDS else _PIXELS_MM[seed % 3]
    place = seed % 10
    if place == 9:
        return PhantomSpec(seed=seed, cesm=True, pixel_mm=mm, pathology=Pathology.NORMAL)
    return PhantomSpec(
        seed=seed,
        cesm=True,
        pixel_mm=mm,
        pathology=Pathology.MALIGNANT if place % 2 == 0 else Pathology.BENIGN,
        finding=_FINDINGS[int(rng.choice(4, p=_SHARES))],
        lesions=int(rng.choice([1, 2, 3], p=[0.55, 0.35, 0.1])),
    )


def cesm_seeds(part: str, count: int) -> range:
    """Seeds of "train", "validation" or "test"."""
    first = {"train": TRAIN_SEEDS, "validation": VALIDATION_SEEDS, "test": TEST_SEEDS}[part]
    return range(first, first + count)


def stored_mask(contour: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill an outline of pixel centres (n, 2) row, column: (rows, cols) bool."""
    out = np.zeros(shape, np.uint8)
    points = np.round(contour[:, ::-1] * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.fillPoly(out, [points], 1, shift=4)
    return out.astype(bool)


def lesion_masks(phantom: PhantomExam, pair: PreparedPair) -> list[tuple[PhantomLesion, NDArray[np.bool_]]]:
    """The listed lesions that a view shows, each with its mask on the working grid."""
    out = []
    for lesion in phantom.lesions:
        seen = lesion.views.get(pair.recombined_key)
        if seen is not None:
            out.append((lesion, mask_on_grid(pair, stored_mask(seen.contour, pair.stored_shape))))
    return [(lesion, mask) for lesion, mask in out if mask.any()]


def plain_enhancement(pair: PreparedPair, mask: NDArray[np.bool_]) -> float:
    """Mean grey of the recombined image in a mask less that of a ring of 5 mm about it."""
    reach = round(5.0 / WORK_MM)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    ring = (cv2.dilate(mask.astype(np.uint8), kernel) > 0) & ~mask & pair.breast
    about = float(pair.recombined[ring].mean()) if ring.any() else 0.0
    return float(pair.recombined[mask].mean()) - about


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedView:
    """A prepared pair whose lesions are all marked, each with its mask; without a sample = there, truth not known."""

    pair: PreparedPair
    view: ViewName
    marks: tuple[tuple[LesionSample | None, NDArray[np.bool_]], ...]


def prepared_cesm(phantom: PhantomExam, preprocessing: str, seed: int) -> CesmExam:
    """Cut the lesions and decoys of a phantom and lay its views on the segmenter's canvas."""
    case = phantom.exam.exam_id
    by_key = {image.key: image for image in phantom.exam.images}
    views = []
    for pair in contrast_pairs(phantom.exam.images):
        ready = prepare_pair(pair, preprocessing)
        view = by_key[ready.recombined_key].view
        marks = [
            (
                LesionSample(
                    case_id=case,
                    laterality=view.laterality,
                    projection=view.projection,
                    lesion_id=lesion.lesion_id,
                    finding=lesion.finding.value,
                    malignant=lesion.malignant,
                    diameter_mm=2.0 * lesion.radius_mm,
                    enhancement=plain_enhancement(ready, mask),
                ),
                mask,
            )
            for lesion, mask in lesion_masks(phantom, ready)
        ]
        views.append(MarkedView(pair=ready, view=view, marks=tuple(marks)))
    return cut_exam(case, views, np.random.default_rng([seed, 91]))


def cut_exam(case_id: str, views: Iterable[MarkedView], rng: np.random.Generator) -> CesmExam:
    """Cut lesions and decoys out of marked views and lay the views on the segmenter's canvas.

    Nothing is equalised here: a square must not be by what lies about it.
    """
    crops: list[NDArray[np.uint8]] = []
    samples: list[LesionSample] = []
    canvases, masks = [np.zeros((0, 2, *CANVAS), np.uint8)], [np.zeros((0, *CANVAS), np.uint8)]
    for marked in views:
        ready = marked.pair
        numbered = np.zeros(CANVAS, np.uint8)
        taken = np.zeros(ready.low.shape, bool)
        for number, (sample, mask) in enumerate(marked.marks, start=1):
            taken |= mask
            numbered[mask_on_canvas(ready, mask)] = number
            if sample is not None:
                crops.append(lesion_crop(ready, mask, CROP, reach=REACH))
                samples.append(sample)
        if rng.random() < _DECOYS / 4:
            decoy = decoy_mask(ready, taken, rng)
            if decoy is not None:
                crops.append(lesion_crop(ready, decoy, CROP, reach=REACH))
                samples.append(
                    LesionSample(
                        case_id=case_id,
                        laterality=marked.view.laterality,
                        projection=marked.view.projection,
                        lesion_id="decoy",
                        finding="",
                        malignant=False,
                        diameter_mm=0.0,
                        enhancement=plain_enhancement(ready, decoy),
                    )
                )
        canvases.append(segmenter_canvas(ready)[None])
        masks.append(numbered[None])
    return CesmExam(
        case_id=case_id,
        crops=np.stack(crops) if crops else np.zeros((0, 3, CROP, CROP), np.uint8),
        samples=tuple(samples),
        canvases=np.concatenate(canvases),
        masks=np.concatenate(masks),
    )


def decoy_mask(
    pair: PreparedPair, taken: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.bool_] | None:
    """An ellipse on one of the livelier places of the breast that is away from every lesion; None = none free."""
    far = cv2.dilate(taken.astype(np.uint8), np.ones((81, 81), np.uint8)) > 0
    inner = cv2.erode(pair.breast.astype(np.uint8), np.ones((41, 41), np.uint8)) > 0
    lively = cv2.GaussianBlur(pair.recombined.astype(np.float32), (0, 0), 10) + rng.uniform(0, 0.5) * (
        cv2.GaussianBlur(pair.low.astype(np.float32), (0, 0), 10)
    )
    free = inner & ~far
    if not free.any():
        return None
    floor = np.quantile(lively[free], 0.9)
    at = np.argwhere(free & (lively >= floor))
    row, col = at[int(rng.integers(len(at)))]
    half = rng.uniform(*_DECOY_MM, 2) / WORK_MM
    r, c = np.arange(pair.low.shape[0])[:, None] - row, np.arange(pair.low.shape[1])[None, :] - col
    return np.asarray((r / half[0]) ** 2 + (c / half[1]) ** 2 <= 1.0, bool)


def cesm_cache(cache: Path, preprocessing: str) -> Path:
    """Folder of the prepared phantoms: one for what generator and chain make now, whatever their code."""
    probe = prepared_cesm(
        phantom_exam(PhantomSpec(seed=6, cesm=True, pixel_mm=0.4, lesions=2)), preprocessing, 6
    )
    digest = hashlib.sha256(probe.crops.tobytes() + probe.canvases.tobytes()).hexdigest()[:12]
    folder = cache / f"{preprocessing.replace('/', '-')}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def cesm_exam(folder: Path, seed: int, preprocessing: str) -> CesmExam:
    """Load a seed's prepared phantom, made and kept now when it is not there."""
    path = folder / f"{seed}.npz"
    if not path.exists():
        save_exam(prepared_cesm(phantom_exam(cesm_spec(seed)), preprocessing, seed), path)
    return load_exam(path)


def load_exam(path: Path) -> CesmExam:
    """Load what ``save_exam`` wrote."""
    with np.load(path) as stored:
        truth = json.loads(str(stored["truth"]))
        return CesmExam(
            case_id=truth["case_id"],
            crops=stored["crops"],
            samples=tuple(
                LesionSample(
                    **{
                        **item,
                        "laterality": Laterality(item["laterality"]),
                        "projection": Projection(item["projection"]),
                    }
                )
                for item in truth["samples"]
            ),
            canvases=stored["canvases"],
            masks=stored["masks"],
        )


def save_exam(exam: CesmExam, path: Path) -> None:
    """Write a prepared exam, whole or not at all."""
    truth = {"case_id": exam.case_id, "samples": [asdict(s) for s in exam.samples]}
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    with partial.open("wb") as stream:
        np.savez(
            stream,
            crops=exam.crops,
            canvases=exam.canvases,
            masks=exam.masks,
            truth=np.array(json.dumps(truth)),
        )
    partial.replace(path)


def fill(folder: Path, seeds: Iterable[int], preprocessing: str, *, workers: int = 1) -> None:
    """Make every missing phantom of these seeds, in so many processes."""
    missing = [(folder, seed, preprocessing) for seed in seeds if not (folder / f"{seed}.npz").exists()]
    if workers < 2 or len(missing) < 2:
        for job in missing:
            cesm_exam(*job)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for count, _ in enumerate(pool.imap_unordered(_made, missing, chunksize=4), start=1):
            if count % 50 == 0:
                _LOG.info("prepared %d of %d contrast phantoms", count, len(missing))


def _made(job: tuple[Path, int, str]) -> None:
    cesm_exam(*job)


@dataclass(frozen=True, slots=True, kw_only=True)
class CropSet:
    """Crops (n, 3, 160, 160) uint8 of many exams with what they are."""

    crops: NDArray[np.uint8] = field(repr=False)
    samples: tuple[LesionSample, ...]
    folds: Mapping[str, int] = field(default_factory=dict)  # by case; empty = by ``fold_of``

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def malignant(self) -> NDArray[np.bool_]:
        """(n,) bool."""
        return np.array([s.malignant for s in self.samples], dtype=np.bool_)

    def part(self, index: Sequence[int] | NDArray[np.int64]) -> CropSet:
        """Return the crops of these numbers."""
        chosen = [int(i) for i in index]
        return CropSet(
            crops=self.crops[chosen], samples=tuple(self.samples[i] for i in chosen), folds=self.folds
        )


def crop_set(folder: Path, seeds: Iterable[int], preprocessing: str) -> CropSet:
    """Collect the crops of these phantoms."""
    return joined_crops(cesm_exam(folder, seed, preprocessing) for seed in seeds)


def joined_crops(exams: Iterable[CesmExam], folds: Mapping[str, int] | None = None) -> CropSet:
    """Collect the crops of these exams; ``folds`` = the part of each case in a cross-validation."""
    crops: list[NDArray[np.uint8]] = []
    samples: list[LesionSample] = []
    for exam in exams:
        crops.append(exam.crops)
        samples += exam.samples
    return CropSet(crops=np.concatenate(crops), samples=tuple(samples), folds=dict(folds or {}))


def fold_of(case_id: str, folds: int = 5) -> int:
    """Which part of a cross-validation a woman belongs to; the same on every machine."""
    return int(hashlib.sha256(f"cesm|{case_id}".encode()).hexdigest(), 16) % folds
