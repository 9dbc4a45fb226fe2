"""Turns trained members into a model folder: weights, card, calibration, operating points, measured figures.

Calibration and thresholds are set on validation phantoms, figures are from test phantoms. The page for the docs
is ``calcification_page``'s.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from inference.calcification_engine import CalcificationEngine, scaled
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.model_card import ModelError, file_sha256, write_card
from inference.models.calcification import answers, joined_state, looked_at
from inference.preprocessing.calcification import CALCIFICATION
from inference.registry import CALCIFICATION as FAMILY
from inference.training.calcification_data import (
    COARSE,
    EXAM,
    GROUP,
    NONE,
    TRAPS,
    Crops,
    joined,
    phantom_crops,
)
from inference.training.calcification_evaluation import (
    Judged,
    attention,
    baselines,
    candidate_stage,
    gain,
    group_table,
    own_thresholds,
    table,
)
from inference.training.calcification_loop import middle
from inference.training.calcification_points import (
    fitted,
    group_points,
    malignancy_points,
    measured_points,
)
from inference.training.calcification_recipe import EnsembleRecipe, MemberRecipe
from inference.training.data import TEST_SEEDS, TRAIN_SEEDS, VALIDATION_SEEDS
from resources.files import read_json
from resources.vocabulary import FindingType

_LOG = logging.getLogger(__name__)
WEIGHTS = "weights.safetensors"
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
    steps = {m.name: _kept(runs / m.name / "history.json", m) for m in trained}
    raw = _card(recipe, [asdict(m.network) for m in trained], version, file_sha256(target), steps)
    return write_card(folder, raw)


def _kept(path: Path, member: MemberRecipe) -> str:
    entries = read_json(path) if path.is_file() else []
    if not isinstance(entries, list) or not entries:
        return "no history"
    last = entries[-1]["step"]
    best = max(
        [e for e in entries if e["step"] > member.steps] or entries,
        key=lambda e: e["validation_malignancy_auc"] + 0.25 * e.get("validation_group_auc", 0.0),
    )
    return f"{last} of {member.all_steps} steps run, step {best['step']} kept"


def judged(engine: CalcificationEngine, crops: Crops) -> Judged:
    """Ask the members about every crop."""
    return Judged(crops=crops, said=answers(engine.networks, middle(crops.pixels), engine.device))


def calibration_crops(
    cache: Path, counts: tuple[int, int, int, int], *, workers: int = 1
) -> tuple[Crops, Crops]:
    """Crops of the validation phantoms: all of fine pixels (hard views, exams, traps), and those of coarse ones."""
    made = [
        phantom_crops(world, range(VALIDATION_SEEDS, VALIDATION_SEEDS + count), cache, workers=workers)
        for world, count in zip((GROUP, EXAM, TRAPS, COARSE), counts, strict=True)
    ]
    return joined(made[:3]), made[3]


def calibrate(
    folder: Path, cache: Path, *, counts: tuple[int, int, int, int], workers: int = 1
) -> dict[str, Any]:
    """Set calibration, floor and operating points of a packaged model on validation phantoms, in its card.

    Parameters
    ----------
    counts
        Hard views, exams, views with traps and coarse views.
    """
    raw: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    engine = CalcificationEngine(folder, "cpu")
    names = [m["backbone"] for m in raw["architecture"]["members"]]
    fine, coarse = (judged(engine, c) for c in calibration_crops(cache, counts, workers=workers))
    group_scale, malignancy_scale = fitted(fine)
    group_coarse, malignancy_coarse = fitted(coarse)
    crops, candidate = fine.crops, ~fine.crops.given
    chance = scaled(fine.said.group.mean(axis=0), group_scale)
    malignant = scaled(fine.said.malignant.mean(axis=0), malignancy_scale)
    points = group_points(crops.kind[candidate] != NONE, chance[candidate], crops.views)
    lesion = malignancy_points(crops.kind[crops.given] == 1, malignant[crops.given])
    raw["architecture"] |= {
        "group_scale": list(group_scale),
        "malignancy_scale": list(malignancy_scale),
        "group_scale_coarse": list(group_coarse),
        "malignancy_scale_coarse": list(malignancy_coarse),
        "own_thresholds": {"fine": own_thresholds(names, fine), "coarse": own_thresholds(names, coarse)},
        "floor": round(min(_FLOOR, points["high sensitivity"][0]), 4),
    }
    hard, exams, traps, films = counts
    where = f"{hard} hard views, {exams} exams and {traps} views with traps of validation phantoms"
    raw["calibration"] = {
        "slope": 1.0,
        "intercept": 0.0,
        "how_set": f"logistic fits (Platt 1999) of group and malignancy, in architecture, on {where}; for pixels above "
        f"0.15 mm on {films} views of simulated film of 0.2 mm",
    }
    raw["operating_points"] = [
        {"name": name, "level": level, "threshold": round(value, 4), "how_set": f"{how}, {what} of {where}"}
        for level, what, made in (("box", "candidates", points), ("lesion", "given groups", lesion))
        for name, (value, how) in made.items()
    ]
    write_card(folder, raw)
    return raw


def evaluate(
    folder: Path,
    cache: Path,
    *,
    counts: tuple[int, int, int, int],
    recipe: EnsembleRecipe,
    workers: int = 1,
) -> dict[str, Any]:
    """Measure a packaged model on test phantoms and write the figures into its card.

    Parameters
    ----------
    counts
        Hard test views, test exams, test views with traps and coarse ones.
    recipe
        On whose training phantoms the baselines are fitted: exams on exams, hard views and traps on hard views,
        coarse views on coarse ones.
    """
    engine = CalcificationEngine(folder, "cpu")
    raw = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    worlds: dict[str, Any] = {}
    for world, count in zip((GROUP, EXAM, TRAPS, COARSE), counts, strict=True):
        known = _learnt(world, recipe, cache, workers)
        crops = phantom_crops(world, range(TEST_SEEDS, TEST_SEEDS + count), cache, workers=workers)
        worlds[world] = {"cases": count, **_world(engine, raw, world, judged(engine, crops), known)}
        _LOG.info("%s: %d cases measured", world, count)
    raw["evaluation"] = {
        **raw.get("evaluation", {}),
        "phantom": {
            "level": "phantom, held-out seeds",
            "seconds_per_exam": seconds_per_exam(engine),
            **worlds,
        },
    }
    write_card(folder, raw)
    return worlds


def _learnt(world: str, recipe: EnsembleRecipe, cache: Path, workers: int) -> Crops:
    """The groups of training phantoms on which a world's baselines are fitted; the other crops are let go."""
    sources = {EXAM: (EXAM, recipe.train[1]), COARSE: (COARSE, recipe.harder[1])}
    source, count = sources.get(world, (GROUP, recipe.train[0]))
    made = phantom_crops(source, range(TRAIN_SEEDS, TRAIN_SEEDS + count), cache, workers=workers)
    return made[made.given & (made.strength > 0)]


def _world(
    engine: CalcificationEngine,
    raw: dict[str, Any],
    world: str,
    test: Judged,
    known: Crops,
) -> dict[str, Any]:
    """All figures of one kind of test phantoms."""
    names = [m["backbone"] for m in raw["architecture"]["members"]]
    rng = np.random.default_rng(7)
    asked = test.crops[np.flatnonzero(test.given & (test.crops.kind == 1))[:_MAPS]]
    suffix = "_coarse" if world == COARSE else ""
    scales = tuple(raw["architecture"][f"{name}_scale{suffix}"] for name in ("group", "malignancy"))
    return {
        "members": table(
            names, raw["architecture"]["own_thresholds"]["coarse" if world == COARSE else "fine"], test, rng
        ),
        "gain": gain(names, test, rng),
        "points": measured_points(test, (scales[0], scales[1]), raw["operating_points"]),
        "baselines": baselines(known, test.crops),
        "candidates": candidate_stage(test),
        "group": group_table(test, names),
        "attention": attention(asked, looked_at(engine.networks, middle(asked.pixels), engine.device)),
    }


def seconds_per_exam(engine: CalcificationEngine) -> float:
    """Median processor time of three exams of four views at 0.1 mm, the model used once before.

    Processor time, torch on one core: other work on the machine does not count.
    """
    cores = torch.get_num_threads()
    torch.set_num_threads(1)
    times = []
    for seed in range(TEST_SEEDS, TEST_SEEDS + 4):
        spec = PhantomSpec(seed=seed, pixel_mm=0.1, finding=FindingType.CALCIFICATION, lesions=2)
        exam = phantom_exam(spec).exam
        begun = time.process_time()
        engine.analyse(exam, lambda _fraction, _text: None, lambda: False)
        times.append(time.process_time() - begun)
    torch.set_num_threads(cores)
    return round(float(np.median(times[1:])), 2)


def note_real(folder: Path, lines: Sequence[str]) -> None:
    """Write what was seen on real films into the card, as lines of words."""
    raw = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    raw["evaluation"] = {
        **raw.get("evaluation", {}), "real": {"level": "real, described", "lines": list(lines)}
    }  # fmt: skip
    write_card(folder, raw)


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
        f"overlap, and {recipe.train[1]} four-view phantoms with calcifications (seeds from 0; pixels of 0.1 mm); in the last steps every second "
        f"batch from {recipe.harder[0]} views with faint groups, lone specks and fibres and {recipe.harder[1]} such views as "
        f"scanned film of 0.2 mm; {kept}. EfficientNet-Lite members started from ImageNet weights (Apache-2.0), the others from random "
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
            "Mostly pixels of 0.1 mm were learnt from; coarser ones blur the specks that it judges by. Above 0.15 mm the chances "
            "have a calibration of their own, from simulated film of 0.2 mm, but the thresholds are those of fine pixels: "
            "what they give there is in the table of coarse views, and every such result says so.",
            "The least height of a spot on coarse pixels was chosen by looking at fifty films of mini-MIAS, so its "
            "sensitivity on films is somewhat flattered.",
            "Marks most of the harmless groups of normal tissue too, which it did not learn as benign, and calls some "
            "malignant: an exam without a cancer often has a score far above 0 (see the table of whole exams).",
            "Half of the groups that it learnt from were malignant, so scores are far above what screening would "
            "justify.",
        ],
        "intended_use": "Research use only: to exercise the workstation and its reader studies. Not for diagnosis.",
        "weights": {"file": WEIGHTS, "sha256": sha256},
    }  # fmt: skip
