"""What ``train four-view`` does: recipe and exams from the command line's words, run, report, packaged model.

Owns no loop and no figure; it puts the parts together.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors.torch
import torch

from inference.device import chosen_device
from inference.exam.types import InferenceError
from inference.matching import matching_weights
from inference.models.four_view import FourViewDetector
from inference.training.four_view_loop import Exams, run_recipe
from inference.training.four_view_packaging import calibrate, package
from inference.training.four_view_recipe import FourViewRecipe, four_view_recipe
from inference.training.four_view_report import write_report
from inference.training.four_view_sources import ManifestExams, PhantomExams

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOrder:
    """What a user asked for; None = as the recipe says."""

    out: Path
    cache: Path
    recipe: str = "small"
    manifest: Path | None = None  # None = phantoms
    lesions: Path | None = None
    device: str = "auto"
    steps: int | None = None
    member: int | None = None
    imagenet: str | None = None


def ordered_recipe(order: TrainingOrder) -> FourViewRecipe:
    """Return the recipe with what the order changes in it."""
    chosen = four_view_recipe(order.recipe)
    changes = {
        name: getattr(order, name)
        for name in ("steps", "member", "imagenet")
        if getattr(order, name) is not None
    }
    return replace(chosen, **changes)


def ordered_exams(order: TrainingOrder, recipe: FourViewRecipe) -> Exams:
    """Return the exams to learn from: the manifest's, or phantoms when there is none."""
    if order.manifest is None:
        return PhantomExams(
            order.cache,
            recipe.preprocessing,
            count=recipe.train_exams,
            validation=recipe.validation_exams,
        )
    if order.lesions is None:
        raise InferenceError(
            "Training on a manifest: expected --lesions LESIONS.csv beside --manifest, found none; name the table."
        )
    return ManifestExams(order.manifest, order.lesions, order.cache, recipe.preprocessing)


def train_four_view(order: TrainingOrder) -> Path:
    """Train, or go on with a training found in ``order.out``, and write its report; returns the best weights."""
    recipe = ordered_recipe(order)
    exams = ordered_exams(order, recipe)
    best = run_recipe(recipe, exams, order.out, device=chosen_device(order.device))
    if is_first_process() and best.is_file() and (order.out / "history.json").is_file():
        for path in write_report(order.out, recipe, loaded(recipe, best), exams):
            _LOG.info("wrote %s", path)
    return best


def train_and_package(order: TrainingOrder, folder: Path, *, version: str) -> Path:
    """Train, then write and calibrate the model folder; returns it."""
    recipe = ordered_recipe(order)
    best = train_four_view(order)
    if not is_first_process():
        return folder
    package(
        recipe,
        [best],
        folder,
        version=version,
        matcher=matching_weights(),
        history=order.out / "history.json",
    )
    calibrate(folder)
    return folder


def is_first_process() -> bool:
    """Tell whether this is the only process, or the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def loaded(recipe: FourViewRecipe, weights: Path) -> FourViewDetector:
    """Return the recipe's network with the weights of a file."""
    model = FourViewDetector(recipe.network)
    state = safetensors.torch.load_file(weights)
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    return model.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload,no-any-return]
