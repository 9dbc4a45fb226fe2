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
from inference.model_card import ModelError
from inference.models.four_view import FourViewDetector
from inference.registry import load_card
from inference.training.four_view_card import Origin, read_origin, start_of, write_origin
from inference.training.four_view_draws import steps_for
from inference.training.four_view_loop import Exams, run_recipe
from inference.training.four_view_packaging import calibrate, package
from inference.training.four_view_recipe import FourViewRecipe, four_view_recipe
from inference.training.four_view_report import write_report
from inference.training.four_view_sources import (
    MOST_LEFT_OUT,
    ManifestExams,
    PhantomExams,
    write_left_out,
)

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
    unlabelled: int | None = None  # learn from exams without truth every so many steps; 0 = never
    start: str | None = None  # model id, model folder or weights file to go on from
    data: str = ""  # what the images are and whose, for the card
    licence: str = ""  # under which terms their owner lets the weights be used
    model_id: str | None = None
    workers: int = 1  # processes that read a manifest's images
    most_left_out: float = MOST_LEFT_OUT


def ordered_recipe(order: TrainingOrder) -> FourViewRecipe:
    """Return the recipe with what the order changes in it."""
    chosen = four_view_recipe(order.recipe)
    changes = {
        name: getattr(order, name)
        for name in ("steps", "member", "imagenet")
        if getattr(order, name) is not None
    }
    if order.unlabelled is not None:
        changes["unlabelled_every"] = order.unlabelled
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
    rank, world = (
        int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"))
    )
    return ManifestExams(
        order.manifest,
        order.lesions,
        order.cache,
        recipe.preprocessing,
        rank=rank,
        world=world,
        workers=order.workers,
        most_left_out=order.most_left_out,
    )


def start_weights(start: str | None) -> Path | None:
    """File of the weights to go on from: a safetensors file, or those of a model by id or folder."""
    if start is None:
        return None
    path = Path(start)
    if path.suffix == ".safetensors":
        if not path.is_file():
            raise ModelError(f"--start {start}: expected a file of weights, found none; correct the path.")
        return path
    return load_card(start).weights_path


def train_four_view(order: TrainingOrder) -> Path:
    """Train, or go on with a training found in ``order.out``, and write its report; returns the best weights.

    The folder also gets ``trained_on.json``, the record for the card, and of a manifest ``left_out.csv``.
    """
    recipe = ordered_recipe(order)
    exams = ordered_exams(order, recipe)
    recipe = fitted(recipe, exams, order)
    weights = start_weights(order.start)
    best = run_recipe(recipe, exams, order.out, device=chosen_device(order.device), weights=weights)
    if not is_first_process():
        return best
    if isinstance(exams, ManifestExams | PhantomExams):
        words, licence, started_on = start_of(recipe, weights)
        write_origin(
            Origin(
                trained_on=exams.trained_on,
                start=words,
                start_licence=licence,
                started_on=started_on,
                steps=recipe.steps,
                data=order.data,
                licence=order.licence,
            ),
            order.out,
        )
    if isinstance(exams, ManifestExams):
        write_left_out(exams.left_out, order.out / "left_out.csv")
    if best.is_file() and (order.out / "history.json").is_file():
        for path in write_report(order.out, recipe, loaded(recipe, best), exams):
            _LOG.info("wrote %s", path)
    return best


def fitted(recipe: FourViewRecipe, exams: Exams, order: TrainingOrder) -> FourViewRecipe:
    """Return the recipe made long enough for a manifest: every exam is seen, unless the user named the steps."""
    if order.manifest is None:
        return recipe
    world = int(os.environ.get("WORLD_SIZE", "1"))
    needed = steps_for(recipe, exams.count - exams.unlabelled, world)
    if order.steps is None:
        if needed > recipe.steps:
            _LOG.info("%d steps, so that every exam is seen %g times", needed, recipe.passes)
        return replace(recipe, steps=needed)
    seen = recipe.steps * recipe.batch_exams * world
    if seen < exams.count - exams.unlabelled:
        _LOG.warning("--steps: %d of the %d exams are seen", seen, exams.count - exams.unlabelled)
    return recipe


def train_and_package(order: TrainingOrder, folder: Path, *, version: str) -> Path:
    """Train, then write and calibrate the model folder; returns it."""
    best = train_four_view(order)
    if not is_first_process():
        return folder
    package(
        ordered_recipe(order),
        [best],
        folder,
        version=version,
        matcher=matching_weights(),
        history=order.out / "history.json",
        origin=read_origin(order.out),
        model_id=order.model_id,
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
