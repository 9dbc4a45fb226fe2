"""The plain training loop: epochs, a checkpoint after each, exact resume, early stopping; several processes.

Under torchrun each process takes its share of every batch, on its own device, and all keep one set of weights; the
first one validates and writes. A run's folder holds ``checkpoint.pt`` (everything, for resume), ``best.safetensors`` (fp16, best validation
AUC) and ``history.json``.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.device import has_bf16
from inference.exam.types import InferenceError
from inference.metrics import delong_auc
from inference.models.cam_classifier import CamNetwork, breast_logit, map_mask, network_of
from inference.models.dib_mg_modern import ModernCam
from inference.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint, save_weights
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
from inference.training.four_view_processes import (
    Process,
    from_first,
    joined,
    of_first,
    same_everywhere,
    share_gradients,
)
from inference.training.losses import mirror_loss, weak_loss
from inference.training.recipes import Recipe
from inference.training.recipes import recipe as named_recipe
from inference.training.shared_norm import share_norms

PLAIN = Look()
ALONE = Process()
_LOG = logging.getLogger(__name__)
_MIRRORS = ((-2,), (-1,), (-2, -1))


def start(recipe: Recipe, total: int, device: str = "cpu") -> TrainingState:
    """Make a fresh state for a run of ``total`` steps, all randomness from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    model = network_of(recipe.network)
    if isinstance(model, ModernCam) and recipe.imagenet:
        model.start_from_imagenet()
    model = model.to(torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
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
    process: Process = ALONE,
    seed: int = 0,
) -> float:
    """Run one pass over the data in a drawn order; returns the mean loss (of this process's share).

    Every ``mirror_every``-th step (0 = never) also sees the batch mirrored, under the same labels, and is
    asked for the same maps. Of several processes all draw the same order; ``seed`` is what each one's own draws
    come from.
    """
    state.model.train()
    order = balanced_order(data.labels, state.rng)
    losses: list[float] = []
    for first in range(0, len(order) - batch + 1, batch):
        canvases, masks, labels = share_of(state, data, order[first : first + batch], look, process, seed)
        axes = None
        if mirror_every and len(losses) % mirror_every == 0:
            axes = _MIRRORS[int(state.rng.integers(len(_MIRRORS)))]
        loss = step_loss(state.model, canvases, masks, labels, axes=axes, mirror_weight=mirror_weight)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        share_gradients(state.model)
        nn.utils.clip_grad_norm_(state.model.parameters(), 5.0)
        state.optimizer.step()
        state.scheduler.step()
        losses.append(float(loss.detach()))
        if len(losses) % 25 == 0 and process.rank == 0:
            _LOG.info("step %d: mean loss of the last 25 %.4f", len(losses), np.mean(losses[-25:]))
    return float(np.mean(losses))


def share_of(
    state: TrainingState,
    data: BreastSet,
    index: NDArray[np.int64],
    look: Look,
    process: Process = ALONE,
    seed: int = 0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a process's share of a step's breasts ``index`` (every world-th), varied, on the network's device."""
    rng = state.rng
    if process.world > 1:
        index = index[process.rank :: process.world]
        step = state.scheduler.last_epoch
        rng = np.random.default_rng([seed, 3, step, process.rank])
        torch.manual_seed(seed * 1_000_003 + step * 17 + process.rank)  # of dropout
    device = next(state.model.parameters()).device
    canvases, masks, labels = batch_tensors(data, index)
    if not look.film_share:  # film is drawn in NumPy
        canvases, masks = canvases.to(device), masks.to(device)
    canvases, masks = _varied(canvases, masks, look, rng)
    return canvases.to(device), masks.to(device), labels.to(device)


def step_loss(
    model: CamNetwork,
    canvases: Tensor,
    masks: Tensor,
    labels: Tensor,
    *,
    axes: tuple[int, ...] | None = None,
    mirror_weight: float = 0.5,
) -> Tensor:
    """The loss of one step's breasts; with ``axes`` of the batch mirrored along them too."""
    inside = map_mask(masks)
    if axes is None:
        return weak_loss(model.view_logits(evidence_of(model, canvases), inside), labels)
    both = evidence_of(model, torch.cat([canvases, canvases.flip(axes)]))
    evidence, mirrored = both[: len(canvases)], both[len(canvases) :].flip(axes)
    loss = 0.5 * weak_loss(model.view_logits(evidence, inside), labels)
    loss = loss + 0.5 * weak_loss(model.view_logits(mirrored, inside), labels)
    return loss + mirror_weight * mirror_loss(evidence, mirrored, inside)


def _varied(canvases: Tensor, masks: Tensor, look: Look, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    if look.whole_field:
        masks = torch.ones_like(masks)
    if look.film_share:
        canvases, masks = film_look(canvases, masks, rng, share=look.film_share)
    canvases, masks = augment(canvases, masks, rng, shift=look.shift, flips=look.flips)
    return (canvases, masks) if look.whole_field else crop_to_breasts(canvases, masks)


def evidence_of(model: CamNetwork, canvases: Tensor) -> Tensor:
    """The maps of a training step, in bfloat16 where the device has it: half of the time."""
    kind = canvases.device.type
    with torch.autocast(kind, torch.bfloat16, enabled=has_bf16(kind)):
        evidence: Tensor = model(canvases.contiguous(memory_format=torch.channels_last))
    return evidence.float()


def breast_logits(
    model: CamNetwork, data: BreastSet, batch: int = 16, *, whole_field: bool = False
) -> NDArray[np.float64]:
    """Predict: (breasts,) logits before calibration."""
    model.eval()
    device = next(model.parameters()).device
    out: list[NDArray[np.float64]] = []
    with torch.inference_mode():
        for first in range(0, len(data), batch):
            canvases, masks, _ = batch_tensors(data, np.arange(first, min(first + batch, len(data))))
            canvases, masks = canvases.to(device), masks.to(device)
            evidence = model(canvases.contiguous(memory_format=torch.channels_last))
            inside = map_mask(torch.ones_like(masks) if whole_field else masks)
            pairs = model.view_logits(evidence, inside).reshape(-1, 2)
            out.append(breast_logit(pairs).double().cpu().numpy())
    return np.concatenate(out)


def train(
    recipe: Recipe,
    train_set: BreastSet,
    validation: BreastSet,
    folder: Path,
    *,
    easy: BreastSet | None = None,
    first: Path | None = None,
    process: Process = ALONE,
) -> TrainingState:
    """Run a recipe in ``folder``, resuming when it holds a checkpoint; the best weights lie in
    best.safetensors.

    Parameters
    ----------
    easy
        Used for the first ``recipe.easy_epochs`` epochs in place of ``train_set``.
    first
        Weights to start from.
    process
        Which of several this is; each runs this function, on the same data and folder.

    Raises
    ------
    InferenceError
        A batch cannot be shared out evenly, or the processes do not see one folder.
    """
    _check_shares(recipe, process.world)
    folder.mkdir(parents=True, exist_ok=True)
    easy_epochs = recipe.easy_epochs if easy is not None else 0
    easy_steps = easy_epochs * _steps(easy, recipe.batch) if easy is not None else 0
    total = easy_steps + (recipe.epochs - easy_epochs) * _steps(train_set, recipe.batch)
    state = _begun(recipe, total, folder, first, process)
    while len(state.history) < recipe.epochs and not _stalled(state, max(recipe.patience, easy_epochs)):
        lesson = easy if easy is not None and len(state.history) < easy_epochs else train_set
        loss = train_epoch(
            state,
            lesson,
            recipe.batch,
            mirror_every=recipe.mirror_every,
            mirror_weight=recipe.mirror_weight,
            look=recipe.look,
            process=process,
            seed=recipe.seed,
        )
        from_first(state.model)  # weights are alike; statistics of layers that are not shared become so
        _validate(state, recipe, validation, folder, loss, process)
    return state


def _check_shares(recipe: Recipe, processes: int) -> None:
    if recipe.batch % processes:
        raise InferenceError(
            f"train {recipe.name}: expected processes that share out {recipe.batch} breasts a step evenly, found "
            f"{processes}; start as many as divide {recipe.batch}."
        )


def _begun(recipe: Recipe, total: int, folder: Path, first: Path | None, process: Process) -> TrainingState:
    """A fresh state, or the one that ``folder`` holds, alike in every process."""
    state = start(recipe, total, process.device)
    if first is not None:
        stored = safetensors.torch.load_file(first)
        state.model.load_state_dict({key: value.float() for key, value in stored.items()})
    if load_checkpoint(state, folder):
        _LOG.info("resumed after epoch %d", len(state.history))
    if not same_everywhere(len(state.history), torch.device(process.device)):
        raise InferenceError(
            f"{folder.name}: expected one run that every process sees, found different checkpoints; put --out on a "
            "disk that all share."
        )
    if process.world > 1:
        share_norms(state.model)
    from_first(state.model)
    return state


def _validate(
    state: TrainingState,
    recipe: Recipe,
    validation: BreastSet,
    folder: Path,
    loss: float,
    process: Process,
) -> None:
    """Measure the epoch and write it down; the first process does, the others take its figures."""
    auc = 0.0
    if process.rank == 0:
        logits = breast_logits(state.model, validation, whole_field=recipe.look.whole_field)
        auc = delong_auc(validation.labels, logits).value
    if process.world > 1:
        device = torch.device(process.device)
        auc, loss = of_first(auc, device), of_first(loss, device)
    best = max((entry["validation_auc"] for entry in state.history), default=-1.0)
    state.history.append({"loss": loss, "validation_auc": auc})
    if process.rank:
        return
    if auc > best:
        save_weights(state.model, folder / "best.safetensors")
    save_checkpoint(state, folder)
    (folder / "history.json").write_text(json.dumps(state.history, indent=1), encoding="utf-8")
    _LOG.info("epoch %d: loss %.4f, validation breast AUC %.4f", len(state.history), loss, auc)


def _steps(data: BreastSet, batch: int) -> int:
    return max(1, len(balanced_order(data.labels, np.random.default_rng(0))) // batch)


def run_recipe(recipe: Recipe, folder: Path, cache: Path, *, workers: int = 1, device: str = "cpu") -> Path:
    """Generate the recipe's phantoms and train on them; returns the path of the best weights.

    Parameters
    ----------
    device
        "cpu", "cuda" or "cuda:N"; under torchrun "cuda" gives each process the device of its own rank.

    Raises
    ------
    InferenceError
        Started by torchrun with a number of processes that does not divide the batch, or with fewer devices.
    """
    _check_shares(
        recipe, int(os.environ.get("WORLD_SIZE", "1"))
    )  # each tells it before any waits for another
    with joined(device) as process:
        return _run(recipe, folder, cache, workers, process)


def _run(recipe: Recipe, folder: Path, cache: Path, workers: int, process: Process) -> Path:
    first = None
    if recipe.after:
        first = folder / "first" / "best.safetensors"
        if not same_everywhere(int(first.is_file()), torch.device(process.device)) or not first.is_file():
            _run(named_recipe(recipe.after), folder / "first", cache, workers, process)

    def phantoms(begin: int, count: int) -> BreastSet:
        seeds, mapped = range(begin, begin + count), process.world > 1
        return _first_then_others(
            lambda: breast_set(seeds, recipe.preprocessing, cache, workers=workers, mapped=mapped), process
        )

    validation = phantoms(VALIDATION_SEEDS, recipe.validation_exams)
    easy = phantoms(EASY_SEEDS, recipe.easy_exams) if recipe.easy_epochs else None
    train_set = phantoms(TRAIN_SEEDS, recipe.train_exams)
    if process.rank == 0:
        _LOG.info("%d breasts to train on, %d with cancer", len(train_set), int(train_set.labels.sum()))
    train(recipe, train_set, validation, folder, easy=easy, first=first, process=process)
    return folder / "best.safetensors"


def _first_then_others(make: Callable[[], BreastSet], process: Process) -> BreastSet:
    """Let the first process prepare, and the others find what it prepared."""
    if process.world > 1 and process.rank:
        torch.distributed.barrier()
    made = make()
    if process.world > 1 and not process.rank:
        torch.distributed.barrier()
    return made


def _stalled(state: TrainingState, patience: int) -> bool:
    aucs = [entry["validation_auc"] for entry in state.history]
    return bool(aucs) and len(aucs) - 1 - int(np.argmax(aucs)) >= patience
