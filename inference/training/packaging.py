"""Turns trained weights of dib-mg into a model folder: calibrated, with operating points and a card.

Everything is set on validation seeds and reported on test seeds.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from inference.model_card import file_sha256, read_card, write_card
from inference.models.cam_classifier import CamConfig
from inference.models.dib_mg_modern import ModernConfig
from inference.phantom_evaluation import (
    PHANTOM_MM,
    PhantomRun,
    box_threshold,
    exam_threshold,
    prepared_views,
    run_phantoms,
    run_together,
    summary,
)
from inference.preprocessing.spots import SPOT_MM
from inference.torch_engine import TorchEngine
from inference.training.data import EASY_SEEDS, TEST_SEEDS, VALIDATION_SEEDS
from inference.training.dib_mg_page import ROC, document, roc_figure
from inference.training.dib_mg_variants import variant_figures
from inference.training.recipes import Recipe
from inference.training.recipes import recipe as named_recipe
from inference.training.straightening import mirror_offset
from resources.files import read_json

_FALSE_PER_IMAGE = 0.3
_ALL_BOXES = 0.005  # lowest score of a box, so that the FROC curve has its right end


def platt(truth: np.ndarray[Any, np.dtype[np.bool_]], logits: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Slope and intercept of logistic calibration on logits, with Platt's smoothed targets.

    Notes
    -----
    Platt 1999, "Probabilistic outputs for support vector machines".
    """
    pos, neg = int(truth.sum()), int((~truth).sum())
    target = np.where(truth, (pos + 1) / (pos + 2), 1 / (neg + 2))

    def loss(p: np.ndarray[Any, Any]) -> float:
        z = p[0] * logits + p[1]
        return float(np.mean(np.logaddexp(0, z) - target * z))

    found = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead")
    return float(max(found.x[0], 0.05)), float(found.x[1])


def package(
    recipe: Recipe, weights: Path, folder: Path, *, version: str, validation_exams: int
) -> PhantomRun:
    """Write ``folder`` from best weights: calibrate and set the thresholds on validation seeds.

    Returns
    -------
    The validation run, after calibration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "weights.safetensors"
    if weights.resolve() != target.resolve():
        shutil.copyfile(weights, target)
    raw = _card(recipe, version, file_sha256(target))
    raw["training_data"] = training_words(recipe, _history(weights))
    if recipe.after:
        earlier = training_words(
            named_recipe(recipe.after), _history(weights.parent / "first" / weights.name)
        )
        raw["training_data"] = f"{earlier} Then, from those weights: {raw['training_data']}"
    write_card(folder, raw)
    seeds = range(VALIDATION_SEEDS, VALIDATION_SEEDS + validation_exams)
    engine = TorchEngine(folder, "cpu")
    offset, views = mirror_offset(engine.network, prepared_views(seeds, recipe.preprocessing, SPOT_MM))
    straight = {
        "map_offset_px": list(offset),
        "how_set": f"map offset: half the distance between the peaks of {views} views of validation phantoms and "
        "of the same views mirrored, no lesion's place used",
    }
    raw["calibration"] = {"slope": 1.0, "intercept": 0.0, **straight}
    write_card(folder, raw)
    run = _run(folder, seeds, recipe.preprocessing, SPOT_MM)
    score = np.clip(np.array(run.breast_score), 1e-7, 1 - 1e-7)
    slope, intercept = platt(np.array(run.breast_truth), np.log(score / (1 - score)))
    how = f"logistic fit on the breasts of {validation_exams} validation phantoms at {SPOT_MM} mm (half of them with a cancer)"
    straight["how_set"] = f"{how}; {straight['how_set']}"
    raw["calibration"] = {"slope": round(slope, 5), "intercept": round(intercept, 5), **straight}
    write_card(folder, raw)
    run = _run(folder, seeds, recipe.preprocessing, SPOT_MM)
    raw["operating_points"] = [
        {
            "name": "balanced", "level": "exam", "threshold": round(exam_threshold(run), 4),
            "how_set": f"highest Youden index on {validation_exams} validation phantoms at {SPOT_MM} mm",
        },
        {
            "name": "balanced", "level": "breast", "threshold": 0.5,
            "how_set": "even odds after calibration",
        },
        {
            "name": "boxes", "level": "box", "threshold": round(box_threshold(run, _FALSE_PER_IMAGE), 4),
            "how_set": f"at most {_FALSE_PER_IMAGE} false boxes per image on {validation_exams} validation "
            f"phantoms at {SPOT_MM} mm",
        },
    ]  # fmt: skip
    write_card(folder, raw)
    return run


def evaluate(
    folder: Path, *, exams: int, against: Path | None = None, films: Path | None = None
) -> dict[str, Any]:
    """Measure a model folder on test seeds and write the figures into its card; returns them.

    Parameters
    ----------
    against
        A folder of the same task from another recipe, measured on the same phantoms; its paired differences go into
        this card too.
    films
        Folder that ``datasets prepare`` wrote: both are judged on it. Only with ``against``.
    """
    card = read_card(folder)
    folders = [folder] if against is None else [folder, against]
    engines = [TorchEngine(path, "cpu", box_threshold=_ALL_BOXES) for path in folders]
    seeds = range(TEST_SEEDS, TEST_SEEDS + exams)
    runs = run_together(engines, seeds, card.preprocessing, PHANTOM_MM)
    figures = summary(runs[0], np.random.default_rng(TEST_SEEDS))
    raw = read_json(folder / "card.json")
    assert isinstance(raw, dict)
    known = raw.get("evaluation", {})
    raw["evaluation"] = {**known, "phantom": figures}
    if against is not None:
        entry = variant_figures(folder, against, (runs[0], runs[1]), films)
        raw["evaluation"]["against"] = {**known.get("against", {}), entry["recipe"]: entry}
    write_card(folder, raw)
    return figures


def measured_page(
    folder: Path,
    *,
    exams: int,
    beside: Path | None = None,
    against: Path | None = None,
    films: Path | None = None,
) -> str:
    """``evaluate``, and return the page; its ROC figure is drawn where the page will lie (``beside``)."""
    evaluate(folder, exams=exams, against=against, films=films)
    if beside is not None:
        roc_figure(folder, beside.with_name(ROC))
    return document(folder)


def _run(folder: Path, seeds: range, preprocessing: str, pixel_mm: float) -> PhantomRun:
    engine = TorchEngine(folder, "cpu", box_threshold=_ALL_BOXES)
    return run_phantoms(engine, seeds, preprocessing, pixel_mm)


def _card(recipe: Recipe, version: str, sha256: str) -> dict[str, Any]:
    network = recipe.network
    return {
        "schema_version": 1,
        "id": "dib-mg",
        "name": "Cancer maps from image-level labels (small DIB-MG)",
        "version": version,
        "task": "weakly supervised cancer maps and scores per view, breast and exam",
        "architecture": {
            "family": "cam_classifier",
            "recipe": recipe.name,
            "width": network.width,
            "pooling": network.pooling.value,
            "sharpness": network.sharpness,
            "dropout": network.dropout,
            "detail_px": network.detail_px,
            "spots": network.spots,
            "flips": network.flips,
            **_origin(network),
        },
        "inputs": [
            "any of the CC and MLO views of both breasts; ordinary, film or low-energy contrast images"
        ],
        "preprocessing": recipe.preprocessing,
        "outputs": [
            {"name": "evidence map", "unit": "0..1", "meaning": "evidence of cancer at a place"},
            {
                "name": "box",
                "unit": "0..1",
                "meaning": "a region of the map; the score is its peak; finding untyped",
            },
            {"name": "view score", "unit": "0..1", "meaning": "smooth maximum of the map over the breast"},
            {
                "name": "breast score",
                "unit": "0..1",
                "meaning": "mean of the views' logits, calibrated on phantoms",
            },
            {"name": "exam score", "unit": "0..1", "meaning": "the higher of the two breasts"},
        ],
        "operating_points": [],
        "score_meaning": "Chance of cancer as calibrated on synthetic phantoms, half of them with a cancer; "
        "not a probability for a patient.",
        "training_data": "",
        "licence": "Apache-2.0, weights included",
        "known_limits": [
            "Trained on synthetic phantoms only; its behaviour on real digital mammograms is unknown.",
            "Reads at 0.45 mm per pixel; calcifications only as spots counted at 0.2 mm, so it is blind to their "
            "shape, and to all of them where the file's pixels exceed 0.25 mm.",
            "Reads phantoms of the same generator that it was trained on; the held-out ones differ by seed only.",
            "Its raw maps answer beside their cause and are moved back by an offset found from mirrored pictures "
            "(calibration in the card); a second answer may remain some 20 mm above or below a strong one.",
            "On the two real film exams of the demo the malignant one scores 0.09 and the benign one 0.04, on either side of "
            "the operating point; two exams allow no figure.",
            "On real film that it has never met it is little better than chance: on mini-MIAS AUC per view 0.58 (0.48 to "
            "0.68), peak in 8 of 35 marked cancers, and five-fold training there does not help "
            "(docs/models/dib-mg-mias.md). Muscle, rim and the film's edges are left out on film, so a cancer over the "
            "muscle is not shown.",
            "Does not tell the type of a finding, its quadrant or its match in the other view.",
            "Where no pixel spacing is recorded the scale is guessed from the height of the breast.",
            "Half of the training exams held a cancer, so scores are far above what screening would justify.",
        ],
        "intended_use": "Research use only: to exercise the workstation and its reader studies. Not for "
        "diagnosis.",
        "weights": {"file": "weights.safetensors", "sha256": sha256},
    }


def _origin(network: CamConfig) -> dict[str, str]:
    """Whose design the network is, and its backbone if it has one."""
    if isinstance(network, ModernConfig):
        return {
            "backbone": network.backbone,
            "source": "maps and pooling after Kim et al. 2018, Sci Rep 8:2762, on EfficientNet-Lite with an ImageNet "
            "start",
        }
    return {
        "source": "Kim et al. 2018, Sci Rep 8:2762 (19 convolutions, reduced width, smooth-maximum pooling)"
    }


def _history(weights: Path) -> list[dict[str, float]]:
    path = weights.parent / "history.json"
    found = read_json(path) if path.is_file() else []
    return found if isinstance(found, list) else []


def training_words(recipe: Recipe, history: list[dict[str, float]]) -> str:
    """Say what a model was trained on, and from the run's history how long and which epoch was kept."""
    words = (
        f"{recipe.train_exams} synthetic phantom exams (seeds 0 to {recipe.train_exams - 1}) at 0.2 mm, labels "
        "per breast only"
    )
    if recipe.easy_epochs:
        words += (
            f", after {recipe.easy_epochs} epoch{'s' * (recipe.easy_epochs > 1)} on {recipe.easy_exams} easy phantoms (fatty breasts, seeds "
            f"from {EASY_SEEDS})"
        )
    if recipe.look.film_share:
        words += f", {recipe.look.film_share:.0%} of the views made to look like film"
    if history:
        best = 1 + int(np.argmax([entry["validation_auc"] for entry in history]))
        words += f"; {len(history)} of at most {recipe.epochs} epochs run, epoch {best} kept"
    return (
        f"{words}; {recipe.validation_exams} further phantoms chose the epoch. No patient's image was used."
    )
