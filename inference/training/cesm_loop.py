"""The training loop of the contrast-mammography classifier: one fold at a time, exact resume, lowest loss kept.

A fold's folder holds ``checkpoint.pt`` (everything, for resume), ``best.safetensors`` (fp16) and ``history.json``.
Everything random of an epoch comes from the recipe's seed, the fold and the epoch's number, so that a resumed
run equals one never stopped.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import nn

from inference.metrics import delong_auc
from inference.models.crop_classifier import CropClassifier, start_from_imagenet
from inference.models.lesion_segmenter import autocast
from inference.training.cesm_batch import inner_crops, training_crops
from inference.training.cesm_data import CropSet, fold_of
from inference.training.cesm_recipe import CesmRecipe
from inference.training.half_weights import save_weights

_LOG = logging.getLogger(__name__)
FINISHED = "finished"  # a file beside the weights of a fold that was trained to its end


@dataclass(slots=True)
class FoldRun:
    """What changes during a fold's run; all of it is in a checkpoint."""

    model: CropClassifier
    optimizer: torch.optim.Optimizer
    device: torch.device
    epoch: int = 0
    rate: float = 0.0
    best: float = math.inf
    stale: int = 0
    best_accuracy: float = -1.0
    stalled: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def start_fold(recipe: CesmRecipe, fold: int, device: str = "cpu") -> FoldRun:
    """Make a fresh state: network with its ImageNet start, optimiser."""
    torch.manual_seed(recipe.seed * 100 + fold)
    model = CropClassifier(recipe.network, pretrained=recipe.imagenet == "timm")
    if recipe.imagenet == "package" and not start_from_imagenet(model):
        _LOG.warning("no packaged ImageNet weights for %s: it starts at random", recipe.network.backbone)
    model = model.to(torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer: torch.optim.Optimizer
    if recipe.optimizer == "adamw":
        optimizer = torch.optim.AdamW(learning, recipe.learning_rate, weight_decay=recipe.weight_decay)
    else:
        optimizer = torch.optim.RMSprop(learning, recipe.learning_rate)
    return FoldRun(model, optimizer, torch.device(device), rate=recipe.learning_rate)


def fold_parts(data: CropSet, fold: int, folds: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the crops to learn from and to validate with; a woman is in one part only."""
    part = np.array(
        [
            data.folds[s.case_id] if s.case_id in data.folds else fold_of(s.case_id, folds)
            for s in data.samples
        ]
    )
    return np.flatnonzero(part != fold), np.flatnonzero(part == fold)


def train_epoch(
    recipe: CesmRecipe, run: FoldRun, data: CropSet, index: NDArray[np.int64], fold: int
) -> float:
    """Learn from every crop once; returns the mean loss."""
    rng = np.random.default_rng([recipe.seed, 5, fold, run.epoch])
    torch.manual_seed((recipe.seed * 31 + fold) * 1009 + run.epoch)
    order = rng.permutation(index)
    steps = max(1, len(order) // recipe.batch)
    run.model.train()
    losses = []
    for step in range(steps):
        rate = run.rate
        if not recipe.stall:  # one warm-up epoch, then a cosine to a hundredth
            done = (run.epoch + step / steps) / recipe.epochs
            rate = recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
            rate *= min(1.0, (run.epoch * steps + step + 1) / min(steps, 60))
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
        crops = training_crops(data.crops[chosen], recipe, rng).to(run.device)
        truth = torch.from_numpy(data.malignant[chosen].astype(np.float32)).to(run.device)
        with autocast(run.device):
            logits = run.model(crops.contiguous(memory_format=torch.channels_last))
        loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), truth)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(run.model.parameters(), 5.0)
        run.optimizer.step()
        losses.append(float(loss.detach()))
    run.epoch += 1
    return float(np.mean(losses))


def predict_logits(
    model: CropClassifier, data: CropSet, recipe: CesmRecipe, *, energies: str | None = None
) -> NDArray[np.float64]:
    """Logits (n,) of the lesions' squares as they are; ``energies`` None = those that the recipe shows."""
    device = next(model.parameters()).device
    model.eval()
    out = []
    with torch.inference_mode(), autocast(device):
        for first in range(0, len(data), 32):
            crops = inner_crops(
                data.crops[first : first + 32],
                model.config.size,
                energies or recipe.energies,
                equalise=recipe.equalises,
            )
            out.append(model(crops.to(device).contiguous(memory_format=torch.channels_last)).double().cpu())
    return torch.cat(out).numpy() if out else np.zeros(0)


def validated(run: FoldRun, recipe: CesmRecipe, data: CropSet) -> dict[str, float]:
    """Loss and accuracy over all crops, AUC over the lesions."""
    logits = predict_logits(run.model, data, recipe)
    truth = data.malignant
    loss = float(np.mean(np.logaddexp(0.0, np.where(truth, -logits, logits))))
    lesion = np.array([sample.is_lesion for sample in data.samples])
    found = {"validation_loss": loss, "validation_accuracy": float(((logits > 0) == truth).mean())}
    if truth[lesion].any() and not truth[lesion].all():
        found["validation_auc"] = delong_auc(truth[lesion], logits[lesion]).value
    return found


def run_fold(
    recipe: CesmRecipe,
    data: CropSet,
    fold: int,
    folder: Path,
    *,
    device: str = "cpu",
    epochs: int | None = None,
) -> Path:
    """Train a fold, or go on with the one found in ``folder``; returns the weights with the lowest loss.

    ``epochs`` stops after so many in all, for tests of resuming; None = as the recipe says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = start_fold(recipe, fold, device)
    _resume(run, folder / "checkpoint.pt")
    learn, check = fold_parts(data, fold, recipe.folds)
    kept = np.array([sample.is_lesion for sample in data.samples])
    kept |= np.random.default_rng([recipe.seed, 8]).random(len(data)) < recipe.decoys
    learn, check = learn[kept[learn]], check[kept[check]]
    held = data.part(check)
    last = recipe.epochs if epochs is None else min(epochs, recipe.epochs)
    while run.epoch < last and run.stale < recipe.patience:
        loss = train_epoch(recipe, run, data, learn, fold)
        found = validated(run, recipe, held)
        run.history.append({"epoch": run.epoch, "loss": loss, **found})
        _LOG.info(
            "fold %d epoch %d: %s", fold, run.epoch, {k: round(v, 4) for k, v in run.history[-1].items()}
        )
        _judge(run, recipe, found, folder)
        _save(run, folder)
    if last == recipe.epochs or run.stale >= recipe.patience:
        (folder / FINISHED).touch()
    return folder / "best.safetensors"


def _judge(run: FoldRun, recipe: CesmRecipe, found: dict[str, float], folder: Path) -> None:
    """Keep the weights of the lowest validation loss; lower the rate when accuracy stalls."""
    if found["validation_loss"] < run.best:
        run.best, run.stale = found["validation_loss"], 0
        save_weights(run.model, folder / "best.safetensors")
    else:
        run.stale += 1
    if not recipe.stall:
        return
    if found["validation_accuracy"] > run.best_accuracy:
        run.best_accuracy, run.stalled = found["validation_accuracy"], 0
    else:
        run.stalled += 1
        if run.stalled >= recipe.stall:
            run.rate, run.stalled = run.rate * 0.1, 0


def _save(run: FoldRun, folder: Path) -> None:
    partial = folder / "checkpoint.tmp"
    torch.save(
        {
            "model": run.model.state_dict(),
            "optimizer": run.optimizer.state_dict(),
            "numbers": [run.epoch, run.rate, run.best, run.stale, run.best_accuracy, run.stalled],
            "history": json.dumps(run.history),
        },
        partial,
    )
    partial.replace(folder / "checkpoint.pt")
    (folder / "history.json").write_text(json.dumps(run.history, indent=1), encoding="utf-8")


def _resume(run: FoldRun, path: Path) -> None:
    if not path.is_file():
        return
    content = torch.load(path, map_location=run.device, weights_only=True)
    run.model.load_state_dict(content["model"])
    run.optimizer.load_state_dict(content["optimizer"])
    run.epoch, run.rate, run.best, run.stale, run.best_accuracy, run.stalled = content["numbers"]
    run.history = json.loads(content["history"])


def load_classifier(recipe: CesmRecipe, weights: Path) -> CropClassifier:
    """The recipe's network with the weights of a file."""
    model = CropClassifier(recipe.network)
    state = safetensors.torch.load_file(weights)
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    return model.eval()
