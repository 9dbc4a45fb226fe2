"""Exams prepared for the four-view detector: from phantoms or from a manifest, kept as bytes on disk.

Owns what is learnt from (which phantoms, which truth) and its cache; how a step's tensors are made is
``four_view_batch``. Boxes and outlines are in canvas pixels.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.exam.phantom import PhantomExam, PhantomSpec, phantom_exam
from inference.exam.types import Box, ViewImage
from inference.preprocessing.four_view import PreparedView, prepare_exam
from inference.preprocessing.layout import box_to_canvas, canvas_affine
from inference.training.data import TEST_SEEDS, TRAIN_SEEDS, VALIDATION_SEEDS
from resources.vocabulary import FOUR_VIEWS, FindingType, Pathology

_LOG = logging.getLogger(__name__)
FINDINGS = (FindingType.MASS, FindingType.CALCIFICATION, FindingType.ASYMMETRY, FindingType.DISTORTION)
TERMS: dict[str, tuple[str, ...]] = {  # BI-RADS descriptors that the detector tells apart
    "shape": ("oval", "round", "irregular"),
    "margin": ("circumscribed", "indistinct", "spiculated"),
    "morphology": ("round", "fine pleomorphic"),
    "distribution": ("grouped", "linear"),
}
_TRAIN_MM = (0.15, 0.2, 0.15, 0.2, 0.1, 0.15, 0.2, 0.15, 0.2, 0.15)
_TRAIN_SHARES = {  # by malignancy: rare types more often than in life, so that each is learnt
    True: (0.27, 0.25, 0.24, 0.24),
    False: (0.33, 0.09, 0.29, 0.29),  # benign calcifications look like a normal breast's harmless ones
}
EVALUATION_MM = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionTruth:
    """One lesion in one view; ``box`` is (row0, col0, row1, col1), empty terms and None = not known."""

    view: int  # index into PreparedExam.planes
    lesion_id: str
    finding: FindingType
    malignant: bool | None
    box: tuple[float, float, float, float]
    outline: tuple[tuple[float, float], ...] = ()
    shape: str = ""
    margin: str = ""
    morphology: str = ""
    distribution: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedExam:
    """One exam ready to be learnt from: planes (views, planes, rows, cols) uint8 and its truth."""

    case_id: str
    planes: NDArray[np.uint8] = field(compare=False, repr=False)
    slots: tuple[int, ...]  # which of FOUR_VIEWS each view is
    used_rows: tuple[int, ...]
    lesions: tuple[LesionTruth, ...] = ()
    labelled: bool = True  # False: nobody looked for lesions here (semi-supervised training)


def training_spec(seed: int) -> PhantomSpec:
    """Return the phantom to learn from: 5 of 8 malignant, 2 benign, 1 normal; types about even, 1 to 3 lesions."""
    rng = np.random.default_rng([seed, 41])
    pathology = (
        *(Pathology.MALIGNANT,) * 3,
        Pathology.BENIGN,
        *(Pathology.MALIGNANT,) * 2,
        Pathology.NORMAL,
        Pathology.BENIGN,
    )[seed % 8]
    mm = _TRAIN_MM[seed % len(_TRAIN_MM)]
    if pathology is Pathology.NORMAL:
        return PhantomSpec(seed=seed, pixel_mm=mm, pathology=pathology)
    mixed = rng.random() < 0.3
    finding = FINDINGS[int(rng.choice(4, p=_TRAIN_SHARES[pathology is Pathology.MALIGNANT]))]
    count = (None, 2, 3)[int(rng.choice(3, p=(0.4, 0.35, 0.25)))]
    return PhantomSpec(
        seed=seed,
        pixel_mm=mm,
        pathology=pathology,
        finding=None if mixed else finding,
        lesions=3 if mixed else count,
    )


def evaluation_spec(seed: int) -> PhantomSpec:
    """Return the phantom to judge by: 2 of 4 malignant, 1 benign, 1 normal; the four types in turn."""
    pathology = (Pathology.MALIGNANT, Pathology.NORMAL, Pathology.MALIGNANT, Pathology.BENIGN)[seed % 4]
    finding = None if pathology is Pathology.NORMAL else FINDINGS[(seed // 4 + seed) % 4]
    return PhantomSpec(seed=seed, pixel_mm=EVALUATION_MM, pathology=pathology, finding=finding)


def spec_of(seed: int) -> PhantomSpec:
    """Return the phantom of a seed by the range that it lies in (train, validation, test)."""
    return training_spec(seed) if seed < VALIDATION_SEEDS else evaluation_spec(seed)


def seeds_of(part: str, count: int) -> range:
    """Seeds of "train", "validation" or "test"."""
    first = {"train": TRAIN_SEEDS, "validation": VALIDATION_SEEDS, "test": TEST_SEEDS}[part]
    return range(first, first + count)


def prepared_phantom(phantom: PhantomExam, preprocessing: str) -> PreparedExam:
    """Prepare a phantom with its truth."""
    chosen = sorted(phantom.exam.images, key=lambda image: FOUR_VIEWS.index(image.view))
    views = prepare_exam(chosen, preprocessing)
    lesions = []
    for number, view in enumerate(views):
        for lesion in phantom.lesions:
            seen = lesion.views.get(view.image_key)
            if seen is None:
                continue
            mass = lesion.finding is FindingType.MASS
            lesions.append(
                LesionTruth(
                    view=number,
                    lesion_id=lesion.lesion_id,
                    finding=lesion.finding,
                    malignant=lesion.malignant,
                    box=on_canvas(view, seen.box),
                    outline=outline_on_canvas(view, seen.contour),
                    shape=lesion.shape if mass else "",
                    margin=lesion.margin if mass else "",
                    morphology=lesion.morphology,
                    distribution=lesion.distribution,
                )
            )
    return assembled(phantom.exam.exam_id, chosen, views, lesions)


def assembled(
    case_id: str, images: list[ViewImage], views: list[PreparedView], lesions: list[LesionTruth]
) -> PreparedExam:
    """Put prepared views and their truth together."""
    return PreparedExam(
        case_id=case_id,
        planes=np.stack([view.planes for view in views]),
        slots=tuple(FOUR_VIEWS.index(image.view) for image in images),
        used_rows=tuple(view.used_rows for view in views),
        lesions=tuple(lesions),
    )


def on_canvas(view: PreparedView, box: Box) -> tuple[float, float, float, float]:
    """Map a stored-file box to the canvas, clipped to it."""
    there = box_to_canvas(view.placement, box)
    rows, cols = view.placement.canvas_shape
    row0, row1 = (float(v) for v in np.clip((there.row0, there.row1), 0, rows))
    col0, col1 = (float(v) for v in np.clip((there.col0, there.col1), 0, cols))
    return row0, col0, row1, col1


def outline_on_canvas(view: PreparedView, contour: NDArray[np.float32]) -> tuple[tuple[float, float], ...]:
    """Map an outline of stored pixels (n, 2), row and column of pixel centres, to the canvas."""
    affine = canvas_affine(view.placement)
    points = np.hstack([contour + 0.5, np.ones((len(contour), 1))]) @ affine.T  # centres to edges
    return tuple((round(float(r), 1), round(float(c), 1)) for r, c in points)


def save_exam(exam: PreparedExam, path: Path) -> None:
    """Write a prepared exam, whole or not at all."""
    truth = asdict(exam)
    truth.pop("planes")
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    with partial.open("wb") as stream:
        np.savez_compressed(stream, planes=exam.planes, truth=np.array(json.dumps(truth)))
    partial.replace(path)


def load_exam(path: Path) -> PreparedExam:
    """Read what ``save_exam`` wrote."""
    with path.open("rb") as stream, np.load(stream) as stored:  # numpy leaves a file open that is cut off
        truth: dict[str, Any] = json.loads(str(stored["truth"]))
        planes = stored["planes"]
    lesions = tuple(
        LesionTruth(
            **{
                **item,
                "finding": FindingType(item["finding"]),
                "box": tuple(item["box"]),
                "outline": tuple((r, c) for r, c in item["outline"]),
            }
        )
        for item in truth["lesions"]
    )
    return PreparedExam(
        case_id=truth["case_id"],
        planes=planes,
        slots=tuple(truth["slots"]),
        used_rows=tuple(truth["used_rows"]),
        lesions=lesions,
        labelled=truth["labelled"],
    )


@lru_cache(maxsize=4)
def chain_digest(preprocessing: str) -> str:
    """Digest of what the generator and the chain make of one phantom now, whatever their code."""
    probe = prepared_phantom(phantom_exam(PhantomSpec(seed=7, pixel_mm=0.4, lesions=3)), preprocessing)
    content = probe.planes.tobytes() + json.dumps([lesion.box for lesion in probe.lesions]).encode()
    return hashlib.sha256(content).hexdigest()[:12]


def phantom_cache(cache: Path, preprocessing: str) -> Path:
    """Folder of the prepared phantoms: one for what the generator and the chain make now."""
    folder = cache / f"{preprocessing.replace('/', '-')}-{chain_digest(preprocessing)}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def phantom_path(folder: Path, seed: int, preprocessing: str) -> Path:
    """Return the file of a seed's prepared exam, made now when it is not there."""
    path = folder / f"{seed}.npz"
    if not path.exists():
        save_exam(prepared_phantom(phantom_exam(spec_of(seed)), preprocessing), path)
    return path


def fill_cache(folder: Path, seeds: Iterable[int], preprocessing: str) -> int:
    """Make every missing phantom of these seeds; returns how many there are now."""
    count = 0
    for count, seed in enumerate(seeds, start=1):
        phantom_path(folder, seed, preprocessing)
        if count % 50 == 0:
            _LOG.info("prepared %d exams", count)
    return count


def term_index(name: str, term: str) -> int:
    """Class number of a descriptor, -100 (ignored by the loss) when it is empty or not among ``TERMS``."""
    terms: Mapping[str, int] = {word: number for number, word in enumerate(TERMS[name])}
    return terms.get(term, -100)
