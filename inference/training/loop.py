"""The plain training loop: epochs, a checkpoint after each, exact resume, early stopping. One process, one
device.

A run's folder holds ``checkpoint.pt`` (everything, for resume), ``best.safetensors`` (fp16, best validation
AUC) and ``history.json``.
"""

from __future__ import annotations

import json
import logging
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.exam.types import InferenceError
from inference.metrics import delong_auc
from inference.models.cam_classifier import CamNetwork, breast_logit, map_mask, network_of
from inference.models.dib_mg_modern import ModernCam
from inference.training.data import (
    EASY_SEEDS,
    TRAIN_SEEDS,
    VALIDATION_SEEDS,
    BreastSet,
    Look,
    augment,
    balanced_order,
    batch_tensors,
    breast_set,
    crop_to_breasts,
)
from inference.training.film_look import film_look
from inference.training.losses import mirror_loss, weak_loss
from inference.training.recipes import Recipe
from inference.training.recipes import recipe as named_recipe

PLAIN = Look()
_LOG = logging.getLogger(__name__)
_MIRRORS = ((-2,), (-1,), (-2, -1))
_HAS_BF16 = bool(
    torch.backends.cpu.get_cpu_capability().startswith("AVX512")
)  # halves a step where it is native


@dataclass(slots=True)
class TrainingState:
    """What changes during a run; all of it is in a checkpoint, so that a resumed run equals one never
    stopped."""

    model: CamNetwork
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LambdaLR
    rng: np.random.Generator
    history: list[dict[str, float]]


def start(recipe: Recipe, total: int) -> TrainingState:
    """Make a fresh state for a run of ``total`` steps, all randomness from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    model = network_of(recipe.network)
    if isinstance(model, ModernCam) and recipe.imagenet:
        model.start_from_imagenet()
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learnt = [value for value in model.parameters() if value.requires_grad]
    optimizer: torch.optim.Optimizer
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            learnt, recipe.learning_rate, momentum=0.9, weight_decay=recipe.weight_decay
        )
    else:
        optimizer = torch.optim.AdamW(learnt, recipe.learning_rate, weight_decay=recipe.weight_decay)
    warmup = max(1, round(total * recipe.warmup_fraction))

    def factor(step: int) -> float:
        if recipe.milestones:
            return float(0.2 ** sum(step * recipe.epochs >= m * total for m in recipe.milestones))
        if step < warmup:
            return (step + 1) / warmup
        return 0.01 + 0.99 * 0.5 * (
            1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup)))
        )

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return TrainingState(model, optimizer, scheduler, np.random.default_rng(recipe.seed), [])


def train_epoch(
    state: TrainingState,
    data: BreastSet,
    batch: int,
    *,
    mirror_every: int = 0,
    mirror_weight: float = 0.5,
    look: Look = PLAIN,
) -> float:
    """Run one pass over the data in a drawn order; returns the mean loss.

    Every ``mirror_every``-th step (0 = never) also sees the batch mirrored, under the same labels, and is
    asked for the same maps.
    """
    state.model.train()
    order = balanced_order(data.labels, state.rng)
    losses: list[float] = []
    for first in range(0, len(order) - batch + 1, batch):
        canvases, masks, labels = batch_tensors(data, order[first : first + batch])
        canvases, masks = _varied(canvases, masks, look, state.rng)
        inside = map_mask(masks)
        if mirror_every and len(losses) % mirror_every == 0:
            axes = _MIRRORS[int(state.rng.integers(len(_MIRRORS)))]
            both = evidence_of(state.model, torch.cat([canvases, canvases.flip(axes)]))
            evidence, mirrored = both[: len(canvases)], both[len(canvases) :].flip(axes)
            loss = 0.5 * weak_loss(state.model.view_logits(evidence, inside), labels)
            loss = loss + 0.5 * weak_loss(state.model.view_logits(mirrored, inside), labels)
            loss = loss + mirror_weight * mirror_loss(evidence, mirrored, inside)
        else:
            evidence = evidence_of(state.model, canvases)
            loss = weak_loss(state.model.view_logits(evidence, inside), labels)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(state.model.parameters(), 5.0)
        state.optimizer.step()
        state.scheduler.step()
        losses.append(float(loss.detach()))
        if len(losses) % 25 == 0:
            _LOG.info("step %d: mean loss of the last 25 %.4f", len(losses), np.mean(losses[-25:]))
    return float(np.mean(losses))


def _varied(canvases: Tensor, masks: Tensor, look: Look, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    if look.whole_field:
        masks = torch.ones_like(masks)
    if look.film_share:
        canvases, masks = film_look(canvases, masks, rng, share=look.film_share)
    canvases, masks = augment(canvases, masks, rng, shift=look.shift, flips=look.flips)
    return (canvases, masks) if look.whole_field else crop_to_breasts(canvases, masks)


def evidence_of(model: CamNetwork, canvases: Tensor) -> Tensor:
    """The maps of a training step, in bfloat16 where the processor has it: half of the time."""
    with torch.autocast("cpu", torch.bfloat16, enabled=_HAS_BF16):
        evidence: Tensor = model(canvases.contiguous(memory_format=torch.channels_last))
    return evidence.float()


def breast_logits(
    model: CamNetwork, data: BreastSet, batch: int = 16, *, whole_field: bool = False
) -> NDArray[np.float64]:
    """Predict: (breasts,) logits before calibration."""
    model.eval()
    out: list[NDArray[np.float64]] = []
    with torch.inference_mode():
        for first in range(0, len(data), batch):
            canvases, masks, _ = batch_tensors(data, np.arange(first, min(first + batch, len(data))))
            evidence = model(canvases.contiguous(memory_format=torch.channels_last))
            inside = map_mask(torch.ones_like(masks) if whole_field else masks)
            pairs = model.view_logits(evidence, inside).reshape(-1, 2)
            out.append(breast_logit(pairs).double().numpy())
    return np.concatenate(out)


def save_checkpoint(state: TrainingState, folder: Path) -> None:
    """Write everything a resume needs, whole or not at all."""
    content: dict[str, Any] = {
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "scheduler": state.scheduler.state_dict(),
        "numpy": json.dumps(state.rng.bit_generator.state),
        "torch": torch.get_rng_state(),
        "history": json.dumps(state.history),
    }
    partial = folder / "checkpoint.tmp"
    torch.save(content, partial)
    partial.replace(folder / "checkpoint.pt")


def load_checkpoint(state: TrainingState, folder: Path) -> bool:
    """Continue where a run stopped; False when the folder has no checkpoint."""
    path = folder / "checkpoint.pt"
    if not path.is_file():
        return False
    content = torch.load(path, weights_only=True)
    state.model.load_state_dict(content["model"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.scheduler.load_state_dict(content["scheduler"])
    state.rng.bit_generator.state = json.loads(content["numpy"])
    torch.set_rng_state(content["torch"])
    state.history = json.loads(content["history"])
    return True


def save_weights(model: CamNetwork, path: Path) -> None:
    """Write the network as fp16 safetensors."""
    state = {key: value.half().contiguous() for key, value in model.state_dict().items()}
    safetensors.torch.save_file(state, path)


def train(
    recipe: Recipe,
    train_set: BreastSet,
    validation: BreastSet,
    folder: Path,
    *,
    easy: BreastSet | None = None,
    first: Path | None = None,
) -> TrainingState:
    """Run a recipe in ``folder``, resuming when it holds a checkpoint; the best weights lie in
    best.safetensors.

    ``easy`` is used for the first ``recipe.easy_epochs`` epochs in place of ``train_set``; ``first`` are weights
    to start from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    easy_epochs = recipe.easy_epochs if easy is not None else 0
    easy_steps = easy_epochs * _steps(easy, recipe.batch) if easy is not None else 0
    state = start(recipe, easy_steps + (recipe.epochs - easy_epochs) * _steps(train_set, recipe.batch))
    if first is not None:
        stored = safetensors.torch.load_file(first)
        state.model.load_state_dict({key: value.float() for key, value in stored.items()})
    if load_checkpoint(state, folder):
        _LOG.info("resumed after epoch %d", len(state.history))
    while len(state.history) < recipe.epochs and not _stalled(state, max(recipe.patience, easy_epochs)):
        lesson = easy if easy is not None and len(state.history) < easy_epochs else train_set
        loss = train_epoch(
            state,
            lesson,
            recipe.batch,
            mirror_every=recipe.mirror_every,
            mirror_weight=recipe.mirror_weight,
            look=recipe.look,
        )
        logits = breast_logits(state.model, validation, whole_field=recipe.look.whole_field)
        auc = delong_auc(validation.labels, logits).value
        best = max((entry["validation_auc"] for entry in state.history), default=-1.0)
        state.history.append({"loss": loss, "validation_auc": auc})
        if auc > best:
            save_weights(state.model, folder / "best.safetensors")
        save_checkpoint(state, folder)
        (folder / "history.json").write_text(json.dumps(state.history, indent=1), encoding="utf-8")
        _LOG.info("epoch %d: loss %.4f, validation breast AUC %.4f", len(state.history), loss, auc)
    return state


def _steps(data: BreastSet, batch: int) -> int:
    return max(1, len(balanced_order(data.labels, np.random.default_rng(0))) // batch)


def run_recipe(recipe: Recipe, folder: Path, cache: Path, *, workers: int = 1) -> Path:
    """Generate the recipe's phantoms and train on them; returns the path of the best weights.

    Raises
    ------
    InferenceError
        Started under torchrun: each process would train a model of its own.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1:
        raise InferenceError(
            f"train {recipe.name}: expected one process, found {processes} started together; this recipe trains on one "
            "device, so start it without torchrun (--workers makes its phantoms in several processes)."
        )
    first = None
    if recipe.after:
        first = folder / "first" / "best.safetensors"
        if not first.is_file():
            run_recipe(named_recipe(recipe.after), folder / "first", cache, workers=workers)
    train_range = range(TRAIN_SEEDS, TRAIN_SEEDS + recipe.train_exams)
    check_range = range(VALIDATION_SEEDS, VALIDATION_SEEDS + recipe.validation_exams)
    validation = breast_set(check_range, recipe.preprocessing, cache, workers=workers)
    easy = None
    if recipe.easy_epochs:
        easy_range = range(EASY_SEEDS, EASY_SEEDS + recipe.easy_exams)
        easy = breast_set(easy_range, recipe.preprocessing, cache, workers=workers)
    train_set = breast_set(train_range, recipe.preprocessing, cache, workers=workers)
    _LOG.info("%d breasts to train on, %d with cancer", len(train_set), int(train_set.labels.sum()))
    train(recipe, train_set, validation, folder, easy=easy, first=first)
    return folder / "best.safetensors"


def _stalled(state: TrainingState, patience: int) -> bool:
    aucs = [entry["validation_auc"] for entry in state.history]
    return bool(aucs) and len(aucs) - 1 - int(np.argmax(aucs)) >= patience
