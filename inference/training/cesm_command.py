"""What ``train cesm-cbam`` and ``evaluate-phantoms`` do for the contrast-mammography model: the parts put together.

Owns no loop and no figure.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch

from inference.cesm_engine import CesmEngine
from inference.device import chosen_device
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import InferenceError
from inference.model_card import read_card, write_card
from inference.training.cesm_cases import cases
from inference.training.cesm_data import CropSet, cesm_cache, cesm_seeds, crop_set, fill
from inference.training.cesm_evaluation import case_figures, judged_breasts, mask_figures
from inference.training.cesm_loop import FINISHED, run_fold
from inference.training.cesm_manifest import train_on_manifest
from inference.training.cesm_packaging import (
    calibrate_malignancy,
    calibrate_presence,
    package,
)
from inference.training.cesm_page import document
from inference.training.cesm_real import real_figures
from inference.training.cesm_real_folds import FOLDS, fold_figures, real_pictures, run_real_fold
from inference.training.cesm_recipe import (
    CesmOrder,
    CesmRecipe,
    SegmenterRecipe,
    cesm_recipe,
    variant_name,
)
from inference.training.cesm_segmenting import picture_set, run_segmenter

_LOG = logging.getLogger(__name__)
OUTLINES = "outlines"  # in place of a recipe: cross-validates the segmenter on a manifest of real pairs
COMPARE = "compare"  # or "compare-RECIPE", no training: every variant of it in the run's folder is compared
_TEST = 160
_VARIANTS = {"cbam": "", "plain": "-plain", "low": "-low", "recombined": "-recombined"}


def train_cesm(order: CesmOrder) -> dict[int, Path]:
    """Train segmenter and folds, or go on with what lies in ``order.out``; returns the weights by fold."""
    recipe = cesm_recipe(order.recipe, epochs=order.epochs)
    segmenter = SegmenterRecipe(preprocessing=recipe.preprocessing)
    folder = cesm_cache(order.cache, recipe.preprocessing)
    seeds = cesm_seeds("train", recipe.train_exams)
    fill(folder, seeds, recipe.preprocessing, workers=order.workers)
    learn = picture_set(folder, seeds[: segmenter.train_exams], recipe.preprocessing)
    check = picture_set(folder, seeds[segmenter.train_exams :], recipe.preprocessing)
    sick = [n for n in range(len(check)) if check.masks[n].any()][:100]
    run_segmenter(segmenter, learn, check.part(sick), _segmenter_run(order.out, recipe))
    data = crop_set(folder, seeds, recipe.preprocessing)
    for fold in range(recipe.folds) if order.fold is None else (order.fold,):
        target = order.out / variant_name(recipe) / f"fold{fold}"
        run_fold(recipe, data, fold, target, device=chosen_device(order.device))
    return fold_weights(order.out, recipe)


def _segmenter_run(out: Path, recipe: CesmRecipe) -> Path:
    """A segmenter belongs to a chain of greys: each has its own folder in a run's."""
    return out / ("segmenter-paper" if recipe.equalises else "segmenter")


def fold_weights(out: Path, recipe: CesmRecipe) -> dict[int, Path]:
    """Weights of the folds of a variant that were trained to their end in a run's folder."""
    found = {n: out / variant_name(recipe) / f"fold{n}" for n in range(recipe.folds)}
    return {n: path / "best.safetensors" for n, path in found.items() if (path / FINISHED).is_file()}


def model_folder_of(order: CesmOrder) -> Path:
    """Where a run's model is written unless a folder is named: "model", of other recipes "model-VARIANT"."""
    base = order.recipe.removeprefix(f"{COMPARE}-")
    if base in {COMPARE, OUTLINES}:
        return order.out / "model"
    recipe = cesm_recipe(base)
    return order.out / ("model" if recipe == cesm_recipe("small") else f"model-{variant_name(recipe)}")


def train_and_package(order: CesmOrder, folder: Path, *, version: str) -> Path | None:
    """Train, then write and calibrate the model folder; with recipe "compare" only measure what there is.

    With a manifest it learns from the manifest's pairs, else from phantoms. None = trained, and there is no model
    to write: the network was shown one image only, or folds are lacking.
    """
    if order.recipe.startswith(COMPARE):
        compare_variants(order, folder)
        return folder
    if order.recipe == OUTLINES:
        cross_validate_outlines(order, folder)
        return folder
    recipe = cesm_recipe(order.recipe, epochs=order.epochs)
    if order.manifest is not None:
        return train_on_manifest(order, recipe, folder, version=version)
    runs = train_cesm(order)
    if recipe.energies != "both":
        _LOG.info("trained %s to be compared: a model is made of networks that see both images", order.recipe)
        return None
    return package_run(order, recipe, runs, folder, version=version)


def package_run(
    order: CesmOrder, recipe: CesmRecipe, runs: Mapping[int, Path], folder: Path, *, version: str
) -> Path:
    """Write the model folder of trained weights, calibrated on held-out folds and validation phantoms."""
    segmenter = SegmenterRecipe(preprocessing=recipe.preprocessing)
    weights = _segmenter_run(order.out, recipe) / "best.safetensors"
    if not runs or not weights.is_file():
        raise InferenceError(
            f"Run {order.out.name}: expected weights of the segmenter and of a fold, found {len(runs)} folds and "
            f"{'a' if weights.is_file() else 'no'} segmenter; train on."
        )
    members = [runs[n] for n in sorted(runs)][: order.shipped]
    package(recipe, segmenter, members, weights, folder, version=version, trained=len(runs))
    data = crop_set(
        cesm_cache(order.cache, recipe.preprocessing),
        cesm_seeds("train", recipe.train_exams),
        recipe.preprocessing,
    )
    calibrate_malignancy(folder, recipe, data, runs)
    engine = CesmEngine(folder, "cpu", floor=0.0)
    measured = list(
        cases(engine, _case_folder(order.cache, folder), cesm_seeds("validation", order.validation))
    )
    spec = engine.card.architecture
    scale = (float(spec["malignancy_slope"]), float(spec["malignancy_intercept"]))
    calibrate_presence(folder, measured, judged_breasts([(engine.members, measured)], scale))
    return folder


def _case_folder(cache: Path, folder: Path) -> Path:
    """Measured phantoms hold for one segmenter: its tensors' digest names their folder."""
    state = safetensors.torch.load_file(read_card(folder).weights_path)
    digest = hashlib.sha256()
    for name in sorted(n for n in state if n.startswith("segmenter.")):
        digest.update(state[name].numpy().tobytes())
    return cache / f"cesm-cases-{digest.hexdigest()[:12]}"


def compare_variants(order: CesmOrder, folder: Path) -> dict[str, Any]:
    """Compare the variants found in ``order.out`` on test phantoms with true masks; writes the model's card."""
    base = order.recipe.removeprefix(COMPARE).removeprefix("-") or "small"
    found = {name: cesm_recipe(base + word) for name, word in _VARIANTS.items()}
    variants = {name: (recipe, fold_weights(order.out, recipe)) for name, recipe in found.items()}
    variants = {name: value for name, value in variants.items() if value[1]}
    if "cbam" not in variants:
        raise InferenceError(
            f"Run {order.out.name}: expected a fold of recipe {base} trained to its end, found none; train it first."
        )
    recipe = found["cbam"]
    kept = cesm_cache(order.cache, recipe.preprocessing)
    learn = _lesions(crop_set(kept, cesm_seeds("train", recipe.train_exams), recipe.preprocessing))
    test = _lesions(crop_set(kept, cesm_seeds("test", _TEST), recipe.preprocessing))
    raw = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    scale = (raw["architecture"]["malignancy_slope"], raw["architecture"]["malignancy_intercept"])
    figures = mask_figures(variants, learn, test, raw["operating_points"], scale)
    _note(folder, "true_masks", figures)
    return figures


def cross_validate_outlines(order: CesmOrder, folder: Path) -> None:
    """Cross-validate the segmenter of a model folder on real pairs, by woman; writes the figures into its card."""
    if order.manifest is None or order.lesions is None:
        raise InferenceError(
            "Recipe outlines: expected --manifest and --lesions, found none; name both tables."
        )
    engine = CesmEngine(folder, "cpu")
    pictures = real_pictures(engine, order.manifest, order.lesions, order.out / "pictures.npz")
    for fold in range(FOLDS) if order.fold is None else (order.fold,):
        run_real_fold(engine.segmenter, pictures, fold, order.out)
    note_folds(folder, fold_figures(order.out))


def note_folds(folder: Path, figures: Mapping[str, Any]) -> None:
    """Write the figures of the segmenter's cross-validation on real pairs into the card."""
    raw = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    raw["evaluation"] = {**raw.get("evaluation", {}), "real_folds": dict(figures)}
    write_card(folder, raw)


def measured_page(
    folder: Path,
    *,
    exams: int,
    cache: Path = Path("build/prepared"),
    real: Path | None = None,
    women: int | None = None,
) -> str:
    """Measure a model folder end to end on test phantoms, write the figures into its card, return its page.

    ``real`` is a folder that ``datasets prepare cesm`` wrote, of which the first ``women`` are read; None = what the
    card says of real pairs stays.
    """
    engine = CesmEngine(folder, "cpu", floor=0.0)
    spec = engine.card.architecture
    measured = list(cases(engine, _case_folder(cache, folder), cesm_seeds("test", exams)))
    figures = case_figures(
        measured,
        engine.members,
        (float(spec["malignancy_slope"]), float(spec["malignancy_intercept"])),
        (float(spec["lesion_slope"]), float(spec["lesion_intercept"])),
    )
    _note(folder, "end_to_end", {**figures, "seconds_per_exam": seconds_per_exam(folder)})
    if real is not None:
        note_real(folder, real_figures(engine, real / "images.csv", real / "lesions.csv", women=women))
    return document(folder)


def seconds_per_exam(folder: Path) -> float:
    """Least time of five four-view exams of 0.1 mm pixels on the CPU, the model loaded and used once before.

    Other work on the computer can only make it longer, so the least is nearest to what the model costs.
    """
    engine = CesmEngine(folder, "cpu")
    times = []
    for seed in cesm_seeds("test", 6):
        exam = phantom_exam(PhantomSpec(seed=seed, cesm=True, pixel_mm=0.1, lesions=2)).exam
        begun = time.perf_counter()
        engine.analyse(exam, lambda _fraction, _text: None, lambda: False)
        times.append(time.perf_counter() - begun)
    return round(min(times[1:]), 2)


def note_real(folder: Path, figures: Mapping[str, Any]) -> None:
    """Write the figures of real pairs into the card."""
    raw = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    raw["evaluation"] = {**raw.get("evaluation", {}), "real": dict(figures)}
    write_card(folder, raw)


def _note(folder: Path, name: str, figures: Mapping[str, Any]) -> None:
    raw = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    told = raw.get("evaluation", {})
    raw["evaluation"] = {**told, "phantom": {**told.get("phantom", {}), name: dict(figures)}}
    write_card(folder, raw)


def _lesions(data: CropSet) -> CropSet:
    return data.part([n for n, sample in enumerate(data.samples) if sample.is_lesion])
