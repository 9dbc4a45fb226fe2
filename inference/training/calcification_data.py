"""Crops of calcification groups and of false candidates, cut from phantoms and kept as bytes on disk.

Four worlds: ``group`` views, whose benign and malignant groups overlap (``calcification_phantoms``), ``exam``
phantoms as the rest of the program makes them, and to set and measure operating points ``traps`` and ``coarse``
views, difficult ones of 0.1 and of 0.2 mm. Owns which seeds are learnt from and the cache.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import multiprocessing
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.exam import phantom_lesions, phantom_tone
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Box, ViewImage
from inference.preprocessing import calcification, calcification_candidates
from inference.preprocessing.calcification import cut, prepare_view
from inference.preprocessing.calcification_candidates import Candidate, find_candidates
from inference.preprocessing.layout import box_to_canvas
from inference.training import calcification_film, calcification_phantoms, calcification_specks
from inference.training.calcification_phantoms import PIXEL_MM, group_view
from inference.training.data import TEST_SEEDS, TRAIN_SEEDS, VALIDATION_SEEDS
from resources.vocabulary import FindingType, Pathology

_LOG = logging.getLogger(__name__)
GROUP, EXAM, TRAPS, COARSE = "group", "exam", "traps", "coarse"
STORED_PX = 192  # so that a crop may be moved while it is learnt from
NONE = -1  # kind of a crop that holds no group
FIRST = {"train": TRAIN_SEEDS, "validation": VALIDATION_SEEDS, "test": TEST_SEEDS}
FEATURES = ("spots", "mean height", "extent")  # what the plain baselines know of a group


@dataclass(frozen=True, slots=True, kw_only=True)
class Crops:
    """Crops of one or many views; all arrays have one entry a crop."""

    pixels: NDArray[np.uint8] = field(repr=False)  # (n, 3, STORED_PX, STORED_PX)
    kind: NDArray[np.int64]  # 1 malignant, 0 benign, NONE
    given: NDArray[np.bool_]  # centred on the truth's box; else on a candidate
    strength: NDArray[
        np.float32
    ]  # of the candidate; for a given group that of the best one on it, 0 = missed
    features: NDArray[np.float32]  # (n, 3) FEATURES
    case: NDArray[np.int64]  # seed of its view or exam
    views: int = 1  # from how many views these are

    def __len__(self) -> int:
        return len(self.kind)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Crops:
        return Crops(
            pixels=self.pixels[chosen],
            kind=self.kind[chosen],
            given=self.given[chosen],
            strength=self.strength[chosen],
            features=self.features[chosen],
            case=self.case[chosen],
            views=self.views,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """One view and its truth: groups (malignant, box in stored pixels), and places that are neither right nor wrong."""

    image: ViewImage
    groups: tuple[tuple[bool, Box], ...]
    neutral: tuple[Box, ...] = ()


def group_views(seed: int, *, difficult: bool = False, coarse: bool = False) -> list[Marked]:
    """Return the hard view of a seed with its truth."""
    made = group_view(seed, difficult=difficult, coarse=coarse)
    return [Marked(image=made.image, groups=tuple((g.malignant, g.box) for g in made.groups))]


def exam_views(seed: int) -> list[Marked]:
    """Return the four views of an exam phantom with calcifications, malignant and benign in turn."""
    pathology = Pathology.BENIGN if seed % 2 else Pathology.MALIGNANT
    spec = PhantomSpec(
        seed=seed, pixel_mm=PIXEL_MM, pathology=pathology, finding=FindingType.CALCIFICATION, lesions=2
    )
    made = phantom_exam(spec)
    out = []
    for image in made.exam.images:
        calcified = [
            (x, x.views[image.key].box)
            for x in (*made.lesions, *made.incidental)
            if image.key in x.views and x.finding is FindingType.CALCIFICATION
        ]
        listed = {x.lesion_id for x in made.lesions}
        out.append(
            Marked(
                image=image,
                groups=tuple((x.malignant, box) for x, box in calcified if x.lesion_id in listed),
                neutral=tuple(box for x, box in calcified if x.lesion_id not in listed),
            )
        )
    return out


def views_of(world: str, seed: int) -> list[Marked]:
    """Return the views of a seed in one of the four worlds."""
    if world == EXAM:
        return exam_views(seed)
    return group_views(seed, difficult=world in {TRAPS, COARSE}, coarse=world == COARSE)


def is_on(candidate: Candidate, box: Box) -> bool:
    """Tell whether a candidate's middle lies in a box of the same canvas."""
    row, col = candidate.center
    return box.row0 <= row < box.row1 and box.col0 <= col < box.col1


def features_of(spots: NDArray[np.float32]) -> tuple[float, float, float]:
    """Number of spots, their mean height over the grain, and how far they spread (mm)."""
    if not len(spots):
        return (0.0, 0.0, 0.0)
    spread = float(spots[:, :2].std(axis=0).max()) * calcification.WORK_MM
    return (float(len(spots)), float(spots[:, 2].mean()), spread)


def crops_of(marked: Marked, case: int) -> Crops:
    """Cut the crops of one view: each group by its truth and by the best candidate on it, each false candidate."""
    view = prepare_view(marked.image)
    candidates = find_candidates(view)
    boxes = [box_to_canvas(view.placement, box) for _, box in marked.groups]
    neutral = [box_to_canvas(view.placement, box) for box in marked.neutral]
    rows: list[tuple[NDArray[np.uint8], int, bool, float, tuple[float, float, float]]] = []
    for (malignant, _), box in zip(marked.groups, boxes, strict=True):
        on = [c for c in candidates if is_on(c, box)]
        strength = on[0].strength if on else 0.0
        middle = ((box.row0 + box.row1) / 2, (box.col0 + box.col1) / 2)
        held = features_of(on[0].spots) if on else (0.0, 0.0, 0.0)
        rows.append((cut(view, *middle, STORED_PX), int(malignant), True, strength, held))
        if on:
            rows.append((cut(view, *on[0].center, STORED_PX), int(malignant), False, strength, held))
    for c in candidates:
        if not any(is_on(c, box) for box in (*boxes, *neutral)):
            rows.append((cut(view, *c.center, STORED_PX), NONE, False, c.strength, features_of(c.spots)))
    return Crops(
        pixels=np.stack([r[0] for r in rows]) if rows else np.zeros((0, 3, STORED_PX, STORED_PX), np.uint8),
        kind=np.array([r[1] for r in rows], np.int64),
        given=np.array([r[2] for r in rows], bool),
        strength=np.array([r[3] for r in rows], np.float32),
        features=np.array([r[4] for r in rows], np.float32).reshape(-1, len(FEATURES)),
        case=np.full(len(rows), case, np.int64),
    )


def joined(parts: Sequence[Crops]) -> Crops:
    """Put crops of several views together."""
    return Crops(
        pixels=np.concatenate([p.pixels for p in parts]),
        kind=np.concatenate([p.kind for p in parts]),
        given=np.concatenate([p.given for p in parts]),
        strength=np.concatenate([p.strength for p in parts]),
        features=np.concatenate([p.features for p in parts]),
        case=np.concatenate([p.case for p in parts]),
        views=sum(p.views for p in parts),
    )


def phantom_crops(world: str, seeds: Iterable[int], cache: Path, *, workers: int = 1) -> Crops:
    """Return the crops of phantoms, made once and kept under ``cache``.

    Parameters
    ----------
    world
        GROUP, EXAM, TRAPS or COARSE.
    """
    home = cache / f"calcification-{_digest()}"
    home.mkdir(parents=True, exist_ok=True)
    jobs = [(world, seed, str(home)) for seed in seeds]
    if workers > 1:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            paths = list(pool.imap(_cached, jobs))
    else:
        paths = [_cached(job) for job in jobs]
    return joined([_loaded(Path(path)) for path in paths])


def _cached(job: tuple[str, int, str]) -> str:
    world, seed, home = job
    path = Path(home) / f"{world}-{seed}.npz"
    if not path.is_file():
        made = joined([crops_of(view, seed) for view in views_of(world, seed)])
        partial = path.with_name(f"{path.stem}.{os.getpid()}.tmp.npz")
        np.savez_compressed(
            partial,
            pixels=made.pixels,
            kind=made.kind,
            given=made.given,
            strength=made.strength,
            features=made.features,
            case=made.case,
            views=made.views,
        )
        partial.replace(path)
        _LOG.info("phantom %s %d prepared", world, seed)
    return str(path)


def _loaded(path: Path) -> Crops:
    with np.load(path) as held:
        arrays = {name: held[name] for name in held.files if name != "views"}
        return Crops(**arrays, views=int(held["views"]))


def _digest() -> str:
    """Changes whenever what makes the crops does, so that a cache is never stale."""
    modules = (
        calcification_phantoms, calcification_specks, calcification_film, phantom_lesions, phantom_tone,
        calcification, calcification_candidates,
    )  # fmt: skip
    text = "".join(inspect.getsource(module) for module in modules) + inspect.getsource(crops_of)
    return hashlib.sha256(text.encode()).hexdigest()[:10]
