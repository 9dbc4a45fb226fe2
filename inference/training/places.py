"""The recipe of places: trains what matches lesions and what locates them, measures all of it on held-out
phantoms, and writes weights, figures and the page of the docs.

``train_places`` is one command (``negatoscope train places``); nothing here runs when a picture is read.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import safetensors.torch

from inference.exam.manifest import load_row, read_manifest
from inference.exam.phantom import phantom_exam
from inference.exam.phantom_spec import PhantomSpec
from inference.exam.types import ExamError, ViewImage
from inference.matching import Matcher, matcher_arrays
from inference.outlines import METHODS
from inference.preprocessing.landmarks import find_landmarks
from inference.training.places_data import TEST_SEEDS, TRAIN_SEEDS, TrueView, load_views
from inference.training.places_inputs import input_rates
from inference.training.places_location import judged, location_figures, train_location
from inference.training.places_matching import (
    best_floor,
    breasts,
    fit_trees,
    matcher_score,
    matching_figures,
    nearest_score,
    pair_table,
)
from inference.training.places_outlines import dice_by_finding, drawn_by
from inference.training.places_page import document
from resources.vocabulary import FindingType, Pathology

_LOG = logging.getLogger(__name__)
TRAIN_EXAMS, FLOOR_SHARE, TEST_EXAMS = 400, 0.2, 120
LOCATION_EXAMS = 200
OUTLINE_SEEDS, INPUT_SEEDS = 7_000_000, 8_000_000
OUTLINE_EXAMS, INPUT_EXAMS = 32, 12
FIGURES, PAGE = "places.json", "places.md"


def train_places(
    folder: Path,
    cache: Path,
    *,
    workers: int = 1,
    train_exams: int = TRAIN_EXAMS,
    test_exams: int = TEST_EXAMS,
    real: Mapping[str, Sequence[ViewImage]] | None = None,
) -> dict[str, Any]:
    """Train the matching trees and the region and depth network, measure, and write all to ``folder``.

    Writes ``matching.safetensors`` and ``location.safetensors`` (names without a prefix), ``places.json`` and the page ``places.md``.

    Parameters
    ----------
    cache
        Folder for prepared phantoms.
    real
        Real images by name of their set, for the false alarms of the input checks.

    Returns
    -------
    The figures that ``places.json`` holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    train = load_views(range(TRAIN_SEEDS, TRAIN_SEEDS + train_exams), cache, workers=workers)
    test = load_views(range(TEST_SEEDS, TEST_SEEDS + test_exams), cache, workers=workers)
    rng = np.random.default_rng(TRAIN_SEEDS)
    figures: dict[str, Any] = {"train_exams": train_exams, "test_exams": test_exams}
    matcher, figures["matching"] = _train_matching(train, test, rng)
    safetensors.numpy.save_file(matcher_arrays(matcher), folder / "matching.safetensors")
    _LOG.info("matching: %s", figures["matching"]["trees"])
    network = train_location(train[:LOCATION_EXAMS])
    safetensors.torch.save_file(
        {
            name: (t.half() if t.is_floating_point() else t).contiguous()
            for name, t in network.state_dict().items()
        },
        folder / "location.safetensors",
    )
    placed = judged(test, network, np.random.default_rng(TEST_SEEDS))
    figures["location"] = {m: location_figures(placed, m) for m in ("rule", "network")}
    figures["location_kb"] = round((folder / "location.safetensors").stat().st_size / 1000)
    figures["matching_kb"] = round((folder / "matching.safetensors").stat().st_size / 1000)
    figures["landmarks"] = landmark_figures(test)
    figures["outlines"] = outline_figures()
    figures["inputs"] = input_rates({"phantoms": _input_phantoms(), **(real or {})})
    (folder / FIGURES).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (folder / PAGE).write_text(document(figures), encoding="utf-8")
    return figures


def _train_matching(
    train: Sequence[tuple[TrueView, ...]], test: Sequence[tuple[TrueView, ...]], rng: np.random.Generator
) -> tuple[Matcher, dict[str, Any]]:
    """Fit on most training exams, set floors on the rest, judge on the test exams."""
    split = len(train) - max(1, round(FLOOR_SHARE * len(train)))
    fit, held, judge = (breasts(exams, rng) for exams in (train[:split], train[split:], test))
    trees, _ = fit_trees(*pair_table(fit))
    free = matcher_score(Matcher(trees=trees, floor=0.0))
    matcher = Matcher(trees=trees, floor=best_floor(held, free))
    nearest_floor = best_floor(held, nearest_score)
    return matcher, {
        "trees": {**matching_figures(judge, free, matcher.floor), "floor": matcher.floor},
        "nipple distance alone": {
            **matching_figures(judge, nearest_score, nearest_floor),
            "floor": nearest_floor,
        },
    }


def landmark_figures(exams: Iterable[tuple[TrueView, ...]]) -> dict[str, float]:
    """Errors of nipple, muscle and posterior nipple line on views whose truth is known, mm."""
    tip, edge, line, seen = [], [], [], []
    for item in (item for exam in exams for item in exam):
        marks = find_landmarks(item.view)
        if marks.frame is None:
            continue
        mm = item.view.pixel_mm
        tip.append(float(np.hypot(*np.subtract(marks.frame.nipple, item.frame.nipple))) * mm)
        line.append(abs(marks.frame.nipple_line_mm - item.frame.nipple_line_mm))
        if not item.frame.projection.is_axial:
            seen.append(bool(marks.pectoral_edge))
            points = np.array(marks.pectoral_edge).reshape(-1, 2)
            edge += [
                abs(item.frame.wall.distance(r, c)) * mm for r, c in points[:: max(1, len(points) // 12)]
            ]
    return {
        "views": float(len(tip)),
        "nipple_median_mm": float(np.median(tip)),
        "nipple_p95_mm": float(np.percentile(tip, 95)),
        "nipple_over_10_mm": float(np.mean(np.array(tip) > 10)),
        "muscle_seen": float(np.mean(seen)),
        "muscle_mean_mm": float(np.mean(edge)),
        "nipple_line_mean_mm": float(np.mean(line)),
    }


def outline_figures() -> dict[str, dict[str, tuple[float, int]]]:
    """Mean Dice and number of lesion views by method and finding, on phantoms at 0.15 mm."""
    findings = (
        FindingType.MASS,
        FindingType.CALCIFICATION,
        FindingType.ASYMMETRY,
        FindingType.DISTORTION,
    )
    exams = (
        phantom_exam(
            PhantomSpec(
                seed=OUTLINE_SEEDS + k,
                pixel_mm=0.15,
                pathology=(Pathology.MALIGNANT, Pathology.BENIGN)[k // 4 % 2],
                finding=findings[k % 4],
                lesions=2,
            )
        )
        for k in range(OUTLINE_EXAMS)
    )
    sources = {name: drawn_by(name) for name in METHODS}
    values = dice_by_finding(exams, sources, np.random.default_rng(OUTLINE_SEEDS))
    return {
        name: {finding: (float(np.mean(v)), len(v)) for finding, v in by.items()}
        for name, by in values.items()
    }


def real_images(manifest: Path) -> dict[str, list[ViewImage]]:
    """The images of a manifest as one set, named after its folder; rows that cannot be read are left out."""
    table = read_manifest(manifest)
    found = []
    for row in table.images:
        try:
            found.append(load_row(row, table.folder))
        except ExamError as error:
            _LOG.warning("left out: %s", error)
    return {manifest.resolve().parent.name: found}


def _input_phantoms() -> list[ViewImage]:
    exams = (phantom_exam(PhantomSpec(seed=INPUT_SEEDS + k, pixel_mm=0.4)) for k in range(INPUT_EXAMS))
    return [image for exam in exams for image in exam.exam.images]
