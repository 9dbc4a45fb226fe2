"""What ``train four-view`` does: recipe and exams from the command line's words, run, report, packaged model.

Owns no loop and no figure; it puts the parts together.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
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
from inference.training.four_view_card import (
    Origin,
    counted,
    read_origin,
    start_of,
    training_words,
    write_origin,
)
from inference.training.four_view_draws import steps_for
from inference.training.four_view_loop import Exams, run_recipe
from inference.training.four_view_packaging import calibrate, calibrate_on, package, plain_engine
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


def ordered_exams(order: TrainingOrder, recipe: FourViewRecipe) -> PhantomExams | ManifestExams:
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
        unlabelled=bool(recipe.unlabelled_every),
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
    return _trained(order)[0]


def _trained(order: TrainingOrder) -> tuple[Path, PhantomExams | ManifestExams]:
    recipe = ordered_recipe(order)
    exams = ordered_exams(order, recipe)
    recipe = fitted(recipe, exams, order)
    weights = start_weights(order.start)
    best = run_recipe(recipe, exams, order.out, device=chosen_device(order.device), weights=weights)
    if not is_first_process():
        return best, exams
    words, licence, started_on = start_of(recipe, weights)
    origin = Origin(
        trained_on=exams.trained_on,
        start=words,
        start_licence=licence,
        started_on=started_on,
        recipe=recipe.name,
        steps=recipe.steps,
        member=recipe.member,
        processes=int(os.environ.get("WORLD_SIZE", "1")),
        data=order.data,
        licence=order.licence,
    )
    write_origin(origin, order.out)
    if isinstance(exams, ManifestExams):
        write_left_out(exams.left_out, order.out / "left_out.csv")
    if best.is_file() and (order.out / "history.json").is_file():
        words = f"Learnt from: {training_words(recipe, [], origin)}"
        if exams.trained_on.left_out:
            words += f" {exams.trained_on.left_out} exams, breasts or views left out: left_out.csv."
        for path in write_report(order.out, recipe, loaded(recipe, best), exams, learnt_from=words):
            _LOG.info("wrote %s", path)
    return best, exams


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
    """Train, then write the model folder and calibrate it, on a manifest's own validation exams; returns it."""
    best, exams = _trained(order)
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
    calibrate_by(folder, exams)
    return folder


def calibrate_by(folder: Path, exams: Exams) -> None:
    """Calibrate a packaged model on phantoms, or on the validation exams of the manifest that it learnt from."""
    if isinstance(exams, ManifestExams):
        women = counted(exams.trained_on.validation_women, "validation woman", "validation women")
        where = f"{counted(exams.trained_on.validation, 'exam')} of {women}, who also chose the weights"
        calibrate_on(folder, exams.judged(plain_engine(folder)), where)
    else:
        calibrate(folder)


def ensemble(runs: Sequence[Path], folder: Path, *, version: str, order: TrainingOrder) -> Path:
    """Package several runs' networks as one model whose answer is their mean, and calibrate it; returns its folder.

    Parameters
    ----------
    runs
        Folders of runs of one recipe on the same exams, each of a ``member`` of its own.
    order
        Names the manifest and the lesions table that they learnt from, if any, for the calibration.

    Raises
    ------
    ModelError
        A run is not finished, or the runs do not belong together.
    """
    origins = [read_origin(run) for run in runs]
    missing = next((run for run, o in zip(runs, origins, strict=True) if o is None), None)
    if missing is not None or len(runs) < 2:
        raise ModelError(
            f"{missing.name if missing else 'ensemble'}: expected two or more finished runs of train four-view, found "
            f"{'no record of training' if missing else len(runs)}; train each member to its end first."
        )
    known = [origin for origin in origins if origin is not None]
    same = {f"{origin.recipe} {origin.trained_on} {origin.start}" for origin in known}
    members = [origin.member for origin in known]
    if len(same) > 1 or None in members or len(set(members)) < len(members):
        raise ModelError(
            "ensemble: expected runs of one recipe on the same exams, each with a --partition of its own, found "
            f"recipes {', '.join(o.recipe for o in known)} and partitions {', '.join(map(str, members))}; train them "
            "alike."
        )
    recipe = four_view_recipe(known[0].recipe)
    joint = replace(known[0], member=None, members=tuple(m for m in members if m is not None))
    package(
        recipe,
        [run / "best.safetensors" for run in runs],
        folder,
        version=version,
        matcher=matching_weights(),
        origin=joint,
        model_id=order.model_id,
    )
    if known[0].trained_on.kind == "manifest" and order.manifest is None:
        _LOG.warning("no --manifest: calibrated on phantoms, though the networks learnt from other images")
    calibrate_by(folder, ordered_exams(order, recipe))
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
