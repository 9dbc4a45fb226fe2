"""Phantom views prepared for training: generated once at 0.2 mm, kept as bytes on disk, drawn as tensors.

Labels are per breast (malignant or not). Lesion boxes are never loaded here: the model is weakly supervised
and its maps are judged by ``inference.phantom_evaluation``, which reads them from the phantoms.
"""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.exam.phantom import PhantomExam, PhantomSpec, phantom_exam
from inference.preprocessing.pipeline import ModelInput, pipeline
from inference.preprocessing.spots import SPOT_MM
from resources.vocabulary import FOUR_VIEWS, Density, FindingType, Laterality, Pathology

_LOG = logging.getLogger(__name__)
TRAIN_SEEDS, EASY_SEEDS, VALIDATION_SEEDS, TEST_SEEDS = 0, 500_000, 1_000_000, 2_000_000
_SIDES = (Laterality.RIGHT, Laterality.LEFT)
_SPOT_STEPS = 100.0  # bytes per spot: up to 2.55 spots in one canvas pixel
_EASY_FINDINGS = (FindingType.MASS, FindingType.CALCIFICATION, FindingType.MASS)


@dataclass(frozen=True, slots=True, kw_only=True)
class BreastSet:
    """Prepared breasts: canvases (breasts, 2 views CC MLO, channels, rows, cols) uint8, labels (breasts,).

    The first channel is the grey picture, 0 outside the breast; the second, if there is one, counts spots.
    """

    canvases: NDArray[np.uint8] = field(repr=False)
    labels: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a batch is varied, and what a network is asked about."""

    flips: bool = True  # head to foot
    shift: int = 12  # rows
    film_share: float = 0.0  # chance of each view to look like film
    whole_field: bool = False  # the whole canvas is pooled, as published; else the breast


def training_spec(seed: int, pixel_mm: float = SPOT_MM) -> PhantomSpec:
    """Return the phantom of a seed: every second exam has a cancer, the others are normal or benign in turn.

    Seeds from ``EASY_SEEDS`` up to the validation seeds are first lessons: fatty breasts with a mass or with
    calcifications, none benign.
    """
    if EASY_SEEDS <= seed < VALIDATION_SEEDS:
        sick = seed % 4 != 3
        return PhantomSpec(
            seed=seed,
            pixel_mm=pixel_mm,
            density=Density.FATTY,
            pathology=Pathology.MALIGNANT if sick else Pathology.NORMAL,
            finding=_EASY_FINDINGS[seed % 4] if sick else None,
        )
    pathology = (Pathology.MALIGNANT, Pathology.NORMAL, Pathology.MALIGNANT, Pathology.BENIGN)[seed % 4]
    return PhantomSpec(seed=seed, pixel_mm=pixel_mm, pathology=pathology)


def prepared_exam(seed: int, preprocessing: str) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Make one phantom and prepare its breasts: canvases (2, 2, channels, rows, cols) uint8, labels (2,)."""
    phantom = phantom_exam(training_spec(seed))
    prepare = pipeline(preprocessing)
    views = {image.view: image for image in phantom.exam.images}
    stack = np.stack([_as_bytes(prepare(views[name])) for name in FOUR_VIEWS])
    # FOUR_VIEWS is R-CC, L-CC, R-MLO, L-MLO; a breast is (CC, MLO)
    return stack.reshape(2, 2, *stack.shape[1:]).swapaxes(0, 1), breast_labels(phantom)


def breast_labels(phantom: PhantomExam) -> NDArray[np.bool_]:
    """Image-level truth, (right, left): does this breast hold a cancer."""
    return np.array([phantom.pathology[side] is Pathology.MALIGNANT for side in _SIDES], dtype=np.bool_)


def _as_bytes(item: ModelInput) -> NDArray[np.uint8]:
    """(channels, rows, cols): -1..1 to 1..255, 0 where the canvas is exactly -1 (outside the breast); spots."""
    grey = np.clip(np.rint((item.canvas + 1.0) * 127.5), 1, 255)
    planes = [np.where(item.canvas <= -1.0, 0, grey)]
    if item.spots is not None:
        planes.append(np.clip(np.rint(item.spots * _SPOT_STEPS), 0, 255))
    return np.stack(planes).astype(np.uint8)


def _generator_digest() -> str:
    """Of what decides what is prepared: the code of the phantoms and of the preprocessing."""
    from inference.exam import phantom
    from inference.preprocessing import pipeline as chain

    parts = [p.read_bytes() for p in sorted(Path(str(phantom.__file__)).parent.glob("phantom*.py"))]
    parts += [p.read_bytes() for p in sorted(Path(str(chain.__file__)).parent.glob("*.py"))]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


def _cached_exam(job: tuple[int, str, str]) -> str:
    seed, preprocessing, folder = job
    path = Path(folder) / f"{seed}.npz"
    if not path.exists():
        canvases, labels = prepared_exam(seed, preprocessing)
        partial = path.with_suffix(f".{os.getpid()}.tmp")
        with partial.open("wb") as stream:
            np.savez_compressed(stream, canvases=canvases, labels=labels)
        partial.replace(path)
    return str(path)


def breast_set(
    seeds: range, preprocessing: str, cache: Path, *, workers: int = 1, mapped: bool = False
) -> BreastSet:
    """Generate (or find in the cache) the exams of these seeds.

    Parameters
    ----------
    cache
        Folder for prepared exams; a changed generator or preprocessing gets a folder of its own.
    workers
        Processes that generate.
    mapped
        Keep the canvases in one file beside the exams and only map it, so that processes share the memory.
    """
    folder = cache / f"{preprocessing.replace('/', '-')}-{_generator_digest()}"
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(seed, preprocessing, str(folder)) for seed in seeds]
    paths: list[str] = []
    if workers > 1:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            for path in pool.imap(_cached_exam, jobs, chunksize=4):
                paths.append(path)
                if len(paths) % 100 == 0:
                    _LOG.info("prepared %d of %d exams", len(paths), len(jobs))
    else:
        paths = [_cached_exam(job) for job in jobs]
    if mapped:
        return _mapped_set(paths, folder / f"exams-{seeds.start}-{seeds.stop}.npy")
    canvases, labels = [], []
    for path in paths:
        with np.load(path) as stored:
            canvases.append(stored["canvases"])
            labels.append(stored["labels"])
    return BreastSet(canvases=np.concatenate(canvases), labels=np.concatenate(labels))


def _mapped_set(paths: list[str], file: Path) -> BreastSet:
    """Breasts of these prepared exams, their canvases in ``file``, which is written if it is not there."""
    labels = []
    for path in paths:
        with np.load(path) as stored:
            labels.append(stored["labels"])
    if not file.exists():
        with np.load(paths[0]) as stored:
            shape = stored["canvases"].shape
        partial = file.with_suffix(f".{os.getpid()}.tmp")
        canvases = np.lib.format.open_memmap(
            partial, mode="w+", dtype=np.uint8, shape=(len(paths) * shape[0], *shape[1:])
        )
        for number, path in enumerate(paths):
            with np.load(path) as stored:
                canvases[number * shape[0] : (number + 1) * shape[0]] = stored["canvases"]
        canvases.flush()
        partial.replace(file)
    return BreastSet(canvases=np.load(file, mmap_mode="r"), labels=np.concatenate(labels))


def batch_tensors(data: BreastSet, index: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
    """Return canvases (2n, channels, rows, cols): grey in [-1, 1] and spots; masks (2n, rows, cols), labels
    (n,); CC, MLO in turn."""
    raw = torch.from_numpy(np.array(data.canvases[index])).flatten(0, 1)
    masks = (raw[:, 0] > 0).float()
    canvases = raw.float() / _SPOT_STEPS
    canvases[:, 0] = torch.where(raw[:, 0] > 0, raw[:, 0].float() / 127.5 - 1.0, torch.tensor(-1.0))
    return canvases, masks, torch.from_numpy(data.labels[index].astype(np.float32))


def balanced_order(labels: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw an epoch: every breast with a cancer once, and as many others, drawn anew, mixed."""
    positive, negative = np.flatnonzero(labels), np.flatnonzero(~labels)
    others = rng.choice(negative, min(len(positive), len(negative)), replace=False)
    return rng.permutation(np.concatenate([positive, others])).astype(np.int64)


def crop_to_breasts(canvases: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Cut a batch to the rows and columns that its breasts reach (whole map cells, one cell of air): same
    maps, less work."""
    cols = torch.nonzero(masks.amax((0, 1)))
    rows = torch.nonzero(masks.amax((0, 2)))
    if not len(cols):
        return canvases, masks
    first = max(0, int(rows[0]) // 16 * 16 - 16)
    last = min(masks.shape[1], -(-int(rows[-1] + 1) // 16) * 16 + 16)
    width = min(masks.shape[2], -(-int(cols[-1] + 1) // 16) * 16 + 16)
    return canvases[:, :, first:last, :width], masks[:, first:last, :width]


def augment(
    canvases: Tensor, masks: Tensor, rng: np.random.Generator, *, shift: int = 12, flips: bool = True
) -> tuple[Tensor, Tensor]:
    """Change contrast and brightness by up to 10 % (Kim et al. 2018), flip head to foot, and shift rows."""
    count = len(canvases)
    gain = canvases.new_tensor(rng.uniform(0.9, 1.1, (count, 1, 1, 1)).astype(np.float32))
    bias = canvases.new_tensor(rng.uniform(-0.1, 0.1, (count, 1, 1, 1)).astype(np.float32))
    grey = canvases[:, :1]
    toned = torch.where(masks[:, None] > 0, (grey * gain + bias).clamp(-1, 1), grey)
    out = torch.cat([toned, canvases[:, 1:]], 1)
    kept = masks.clone()
    for i in range(count):
        move = int(rng.integers(-shift, shift + 1))
        if flips and rng.random() < 0.5:
            out[i], kept[i] = out[i].flip(1), kept[i].flip(0)
        out[i], kept[i] = torch.roll(out[i], move, 1), torch.roll(kept[i], move, 0)
    return out, kept
