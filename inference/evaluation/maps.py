"""The pointing game on heat maps and the Dice coefficient of drawn outlines, with intervals over patients.

Owns what is asked of a model's places beyond its boxes; the boxes are judged in ``inference.evaluation.froc``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.evaluation import ROUNDS
from inference.evaluation.figures import Patients, Weights, bootstrap, share_json
from inference.evaluation.froc import best_outlined
from inference.evaluation.regions import holds, outline_dice
from inference.evaluation.run_tables import FoundRow
from inference.evaluation.truth import Truth
from inference.exam.pictures import decode_picture
from inference.exam.types import ExamError
from resources.vocabulary import FindingType


def heatmap_name(case_id: str, image_key: str) -> str:
    """File name of an image's heat map in a run's folder ``heatmaps``."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", f"{case_id}_{image_key}") + ".png"


def pointing_json(
    truth: Truth, folder: Path, patients: Patients, *, seed: int, rounds: int = ROUNDS
) -> tuple[dict[str, Any], list[str]]:
    """Pointing game (Zhang et al. 2018): does the highest point of an image's map lie in a cancer.

    Asked of each image with a lesion known to be malignant, or with any lesion where malignancy is recorded
    for none.

    Returns
    -------
    Per type and for all: share of hits with its interval and ``n`` images; and sentences on what was left out.
    """
    if not (folder / "heatmaps").is_dir():
        return {}, [
            "pointing_game: the run has no folder heatmaps (infer --heatmaps writes it); not computed."
        ]
    graded = any(mark.malignant is not None for mark in truth.entries)
    notes = [] if graded else ["pointing_game: malignant is not recorded; every lesion counts as a target."]
    rows: list[tuple[str, bool, frozenset[FindingType]]] = []
    absent: list[str] = []
    for image, name in zip(truth.images, _map_names(truth), strict=True):
        targets = [x for x in image.lesions if x.entry.malignant or not graded]
        if not targets:
            continue
        path = folder / "heatmaps" / name
        if not path.is_file():
            absent.append(name)
            continue
        row, col = _peak(path)
        hit = any(holds(x.region, row, col) for x in targets)
        rows.append((image.patient, hit, frozenset(x.finding for x in targets)))
    if absent:
        notes.append(
            f"pointing_game: expected a heat map for each image with a lesion, found none for {len(absent)} "
            f"(first {absent[0]}); they were left out."
        )
    if not rows:
        notes.append("pointing_game: no image has both a lesion to point at and a heat map; not computed.")
        return {}, notes
    values = np.array([hit for _, hit, _ in rows], dtype=float)
    return _by_type(values, [p for p, _, _ in rows], [t for _, _, t in rows], patients, seed, rounds), notes


def _map_names(truth: Truth) -> list[str]:
    """Names of the images' heat maps; a second image of a view is numbered as the exam's loader does."""
    counts: dict[tuple[str, str], int] = {}
    out = []
    for image in truth.images:
        entry = image.entry
        key = entry.view.key + (f"/{entry.kind.value}" if entry.kind.is_contrast else "")
        number = counts[entry.case_id, key] = counts.get((entry.case_id, key), 0) + 1
        out.append(heatmap_name(entry.case_id, key if number == 1 else f"{key}#{number}"))
    return out


def _peak(path: Path) -> tuple[float, float]:
    """Centre of the highest pixel, the first in reading order of equals."""
    try:
        values = decode_picture(path.read_bytes())
    except ExamError as error:
        raise ExamError(f"heatmaps/{path.name}: {error}") from error
    row, col = np.unravel_index(int(np.argmax(values)), values.shape)
    return float(row) + 0.5, float(col) + 0.5


def dice_json(
    truth: Truth,
    found: Sequence[Sequence[FoundRow]],
    patients: Patients,
    *,
    seed: int,
    rounds: int = ROUNDS,
) -> tuple[dict[str, Any], list[str]]:
    """Dice coefficient of the outlines a model drew and the masks of the lesions.

    Each lesion with a mask is given the strongest outlined detection that hits it; a lesion without one counts
    as 0.

    Returns
    -------
    Per type and for all: median with its interval, ``mean``, ``n`` lesions, ``n_found`` of them outlined and
    ``median_found`` of these; and sentences on what could not be computed.
    """
    values, owners, kinds = [], [], []
    for image, marks in zip(truth.images, found, strict=True):
        for lesion in image.lesions:
            if lesion.region.outlined is None:
                continue
            best = best_outlined(lesion, marks)
            values.append(outline_dice(lesion.region, best.outline) if best else np.nan)
            owners.append(image.patient)
            kinds.append(frozenset({lesion.finding}))
    if not values:
        return {}, ["dice: no lesion has a mask; not computed."]
    if np.isnan(values).all() and not any(mark.outline for marks in found for mark in marks):
        return {}, ["dice: detections.csv has no outlines; not computed."]
    return _by_type(np.array(values), owners, kinds, patients, seed, rounds, median=True), []


def _by_type(
    values: NDArray[np.float64],
    owners: Sequence[str],
    types: Sequence[frozenset[FindingType]],
    patients: Patients,
    seed: int,
    rounds: int,
    *,
    median: bool = False,
) -> dict[str, Any]:
    owner = patients.indices(owners)
    present = [None, *(f for f in FindingType if any(f in kinds for kinds in types))]
    masks = [np.array([f is None or f in kinds for kinds in types], dtype=bool) for f in present]
    counted = np.nan_to_num(values)

    def both(weights: Weights) -> NDArray[np.float64]:
        return np.array([_centre(counted[m], weights[owner[m]], median=median) for m in masks])

    once = both(np.ones(len(patients.names)))
    draws = bootstrap(patients, both, seed=seed, rounds=rounds)
    out: dict[str, Any] = {}
    for k, finding in enumerate(present):
        units = None if median else len(np.unique(owner[masks[k]]))
        entry = share_json(once[k], draws[:, k], units=units, n=int(masks[k].sum()))
        if median:
            drawn = values[masks[k]]
            drawn = drawn[np.isfinite(drawn)]
            entry["mean"] = round(float(counted[masks[k]].mean()), 6)
            entry["n_found"] = len(drawn)
            entry["median_found"] = round(float(np.median(drawn)), 6) if len(drawn) else None
        out["all" if finding is None else finding.value] = entry
    return out


def _centre(values: NDArray[np.float64], weights: NDArray[np.float64], *, median: bool) -> float:
    if weights.sum() <= 0:
        return float("nan")
    if median:
        return float(np.median(np.repeat(values, weights.astype(int))))
    return float((values * weights).sum() / weights.sum())
