"""Turns trained members into a model folder: weights, card, calibration, operating points, measured figures.

Calibration and thresholds are set on validation phantoms, figures are from test phantoms. The page for the docs
is ``calcification_page``'s.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from numpy.typing import NDArray

from inference.calcification_engine import CalcificationEngine, scaled
from inference.metrics import youden_threshold
from inference.model_card import ModelError, file_sha256, write_card
from inference.models.calcification import answers, joined_state, looked_at
from inference.preprocessing.calcification import CALCIFICATION
from inference.registry import CALCIFICATION as FAMILY
from inference.training.calcification_data import EXAM, GROUP, NONE, Crops, joined, phantom_crops
from inference.training.calcification_evaluation import (
    Judged,
    attention,
    baselines,
    candidate_stage,
    gain,
    group_table,
    table,
)
from inference.training.calcification_loop import middle
from inference.training.calcification_recipe import EnsembleRecipe
from inference.training.data import TEST_SEEDS, TRAIN_SEEDS, VALIDATION_SEEDS
from inference.training.packaging import platt
from resources.files import read_json

_LOG = logging.getLogger(__name__)
WEIGHTS = "weights.safetensors"
_SHARE = 0.99  # of the groups, or of the false candidates, at the two outer operating points
_FLOOR = 0.05  # nothing less likely is returned
_MAPS = 80  # malignant groups whose Grad-CAM is judged


def package(recipe: EnsembleRecipe, runs: Path, folder: Path, *, version: str) -> Path:
    """Write a model folder from the members trained under ``runs``, not yet calibrated.

    A member that has no weights yet is left out and named in the card.

    Raises
    ------
    ModelError
        No member has weights.
    """
    trained = [m for m in recipe.members if (runs / m.name / "best.safetensors").is_file()]
    if not trained:
        raise ModelError(
            f"{runs.name}: expected a trained member's best.safetensors, found none; train first."
        )
    folder.mkdir(parents=True, exist_ok=True)
    state = joined_state([safetensors.torch.load_file(runs / m.name / "best.safetensors") for m in trained])
    target = folder / WEIGHTS
    safetensors.torch.save_file(state, target)
    target.chmod(0o644)  # it is written for its owner alone, but a model folder is for all users
    steps = {m.name: _kept(runs / m.name / "history.json", m.steps) for m in trained}
    raw = _card(recipe, [asdict(m.network) for m in trained], version, file_sha256(target), steps)
    return write_card(folder, raw)


def _kept(path: Path, wanted: int) -> str:
    entries = read_json(path) if path.is_file() else []
    if not isinstance(entries, list) or not entries:
        return "no history"
    best = max(
        entries, key=lambda e: e["validation_malignancy_auc"] + 0.25 * e.get("validation_group_auc", 0.0)
    )
    return f"{entries[-1]['step']} of {wanted} steps run, step {best['step']} kept"


def judged(engine: CalcificationEngine, crops: Crops) -> Judged:
    """Ask the members about every crop."""
    return Judged(crops=crops, said=answers(engine.networks, middle(crops.pixels), engine.device))


def validation_crops(cache: Path, views: int, exams: int, *, workers: int = 1) -> tuple[Crops, Crops]:
    """Crops of the validation phantoms: hard views, and exams."""
    first = VALIDATION_SEEDS
    return (
        phantom_crops(GROUP, range(first, first + views), cache, workers=workers),
        phantom_crops(EXAM, range(first, first + exams), cache, workers=workers),
    )


def calibrate(folder: Path, cache: Path, *, views: int, exams: int, workers: int = 1) -> dict[str, Any]:
    """Set calibration, floor and operating points of a packaged model on validation phantoms, in its card."""
    raw: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    engine = CalcificationEngine(folder, "cpu")
    crops = joined(validation_crops(cache, views, exams, workers=workers))
    said = judged(engine, crops).said
    there, malignant = said.group.mean(axis=0), said.malignant.mean(axis=0)
    candidate, kind = ~crops.given, crops.kind
    group_scale = _rounded(platt(kind[candidate] != NONE, _logit(there[candidate])))
    found = candidate & (kind != NONE)
    malignancy_scale = _rounded(platt(kind[found] == 1, _logit(malignant[found])))
    chance = scaled(there, group_scale)
    points = _group_points(kind[candidate] != NONE, chance[candidate])
    raw["architecture"] |= {
        "group_scale": list(group_scale),
        "malignancy_scale": list(malignancy_scale),
        "floor": round(min(_FLOOR, points["high sensitivity"][0]), 4),
    }
    where = f"{views} hard views and {exams} exams of validation phantoms, which also chose the steps kept"
    raw["calibration"] = {
        "slope": 1.0,
        "intercept": 0.0,
        "how_set": f"logistic fits (Platt 1999) of group and malignancy, in architecture, on {where}",
    }
    given = crops.given
    threshold = youden_threshold(kind[given] == 1, scaled(malignant[given], malignancy_scale))
    raw["operating_points"] = [
        *(
            {
                "name": name,
                "level": "box",
                "threshold": round(value, 4),
                "how_set": f"{how} on the candidates of {where}",
            }
            for name, (value, how) in points.items()
        ),
        {
            "name": "youden",
            "level": "lesion",
            "threshold": round(threshold, 4),
            "how_set": f"highest Youden index of malignancy of the groups of {where}",
        },
    ]
    write_card(folder, raw)
    return raw


def evaluate(
    folder: Path, cache: Path, *, views: int, exams: int, recipe: EnsembleRecipe, workers: int = 1
) -> dict[str, Any]:
    """Measure a packaged model on test phantoms and write the figures into its card.

    Parameters
    ----------
    views, exams
        Hard test views and test exam phantoms.
    recipe
        Whose validation phantoms set the members' thresholds and on whose training phantoms, of each world its
        own, the baselines are fitted.
    """
    engine = CalcificationEngine(folder, "cpu")
    raw = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    names = [m["backbone"] for m in raw["architecture"]["members"]]
    hard, plain = validation_crops(cache, *recipe.validation, workers=workers)
    worlds = {}
    for world, count, validation, learnt in (
        (GROUP, views, hard, recipe.train[0]),
        (EXAM, exams, plain, recipe.train[1]),
    ):
        known = phantom_crops(world, range(TRAIN_SEEDS, TRAIN_SEEDS + learnt), cache, workers=workers)
        crops = phantom_crops(world, range(TEST_SEEDS, TEST_SEEDS + count), cache, workers=workers)
        test, chosen = judged(engine, crops), judged(engine, validation)
        rng = np.random.default_rng(7)
        asked = crops[np.flatnonzero(crops.given & (crops.kind == 1))[:_MAPS]]
        maps = looked_at(engine.networks, middle(asked.pixels), engine.device)
        worlds[world] = {
            "cases": count,
            "members": table(names, chosen, test, rng),
            "gain": gain(names, test, rng),
            "baselines": baselines(known, crops),
            "candidates": candidate_stage(test),
            "group": group_table(test, names),
            "attention": attention(asked, maps),
        }
    raw["evaluation"] = {
        **raw.get("evaluation", {}), "phantom": {"level": "phantom, held-out seeds", **worlds}
    }  # fmt: skip
    write_card(folder, raw)
    return worlds


def note_real(folder: Path, lines: Sequence[str]) -> None:
    """Write what was seen on real films into the card, as lines of words."""
    raw = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    raw["evaluation"] = {
        **raw.get("evaluation", {}), "real": {"level": "real, described", "lines": list(lines)}
    }  # fmt: skip
    write_card(folder, raw)


def _group_points(truth: NDArray[np.bool_], chance: NDArray[np.float64]) -> dict[str, tuple[float, str]]:
    """Thresholds of "a group is there" and how each was set: balanced first, the card's default."""
    balanced = youden_threshold(truth, chance)
    groups, false = np.sort(chance[truth])[::-1], np.sort(chance[~truth])
    low = float(groups[int(np.ceil(_SHARE * len(groups))) - 1])
    high = float(np.nextafter(false[int(np.ceil(_SHARE * len(false))) - 1], 2.0))
    return {
        "balanced": (balanced, "highest Youden index"),
        "high sensitivity": (min(low, balanced), f"a sensitivity of {_SHARE} or the balanced one's"),
        "high specificity": (max(high, balanced), f"a specificity of {_SHARE} or the balanced one's"),
    }


def _logit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    p = np.clip(values, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p / (1 - p)), np.float64)


def _rounded(scale: tuple[float, float]) -> tuple[float, float]:
    return round(scale[0], 5), round(scale[1], 5)


def _card(
    recipe: EnsembleRecipe,
    members: Sequence[dict[str, Any]],
    version: str,
    sha256: str,
    steps: dict[str, str],
) -> dict[str, Any]:
    lacking = [m.name for m in recipe.members if m.name not in steps]
    kept = "; ".join(f"{name}: {words}" for name, words in steps.items())
    return {
        "schema_version": 1,
        "id": "calcification-ensemble",
        "name": "Calcification ensemble",
        "version": version,
        "task": "finding of calcification groups and their classification as benign or malignant",
        "architecture": {
            "family": FAMILY,
            "members": list(members),
            "recipe": recipe.name,
            "not_trained": lacking,
            "source": "mean of five ImageNet classifiers on crops of calcifications with Grad-CAM, after the "
            "microcalcification ensemble of Inje University and Gangnam Severance Hospital (Sci Rep 2021;11:23925); "
            "candidates by a top-hat with lines, gathered where dense",
        },
        "inputs": ["any mammographic view with pixels of 0.25 mm or less; ordinary, film or low-energy images"],
        "preprocessing": CALCIFICATION,
        "outputs": [
            {"name": "box", "unit": "0..1", "meaning": "chance that a group of calcifications is there"},
            {"name": "outline", "unit": "pixels", "meaning": "line 0.8 mm round the group's spots, stored pixels"},
            {"name": "malignancy", "unit": "0..1", "meaning": "chance that the group, if there, is malignant"},
            {"name": "heat map", "unit": "0..1", "meaning": "Grad-CAM for malignant, the members' mean, times both chances"},
            {"name": "view score", "unit": "0..1", "meaning": "highest product of both chances in the view"},
            {"name": "breast and exam score", "unit": "0..1", "meaning": "the highest of their views"},
        ],
        "operating_points": [],
        "score_meaning": "Chance that a calcification group is there, and, apart from it, that such a group is "
        "malignant; both as calibrated on synthetic phantoms, half of whose groups are malignant; not "
        "probabilities for a patient.",
        "training_data": f"{recipe.train[0]} synthetic views with 2 to 5 groups each, benign and malignant drawn to "
        f"overlap, and {recipe.train[1]} four-view phantoms with calcifications (seeds from 0; pixels of 0.1 mm); "
        f"{kept}. EfficientNet-Lite members started from ImageNet weights (Apache-2.0), the others from random "
        "ones. No patient's image was used.",
        "licence": "Apache-2.0, weights included",
        "known_limits": [
            "Trained on synthetic phantoms only. On the real films described below it finds part of the groups and "
            "does not tell malignant from benign; on digital mammograms its behaviour is unknown.",
            "The phantoms' groups differ in the shape, size and arrangement of specks only; vascular, popcorn-like, "
            "milk-of-calcium, skin and suture calcifications were never seen.",
            "Seeks groups of at least three spots within 10 mm; single calcifications and larger areas are not "
            "gathered, and a group wider than the crop of 12.8 mm is judged by its middle.",
            "Judges every view by itself; CC and MLO are not matched.",
            "Pixels of 0.1 mm were learnt from; coarser ones blur the specks that it judges by, and on films of 0.2 mm "
            "its chances mean little: see the lines on real films.",
            "Half of the groups that it learnt from were malignant, so scores are far above what screening would "
            "justify.",
        ],
        "intended_use": "Research use only: to exercise the workstation and its reader studies. Not for diagnosis.",
        "weights": {"file": WEIGHTS, "sha256": sha256},
    }  # fmt: skip
