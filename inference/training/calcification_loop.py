"""The training loop of one member of the calcification ensemble: steps, checkpoints, exact resume.

A member's folder holds ``checkpoint.pt`` (everything, for resume), ``best.safetensors`` (fp16, averaged weights
of the best validation) and ``history.json``. Everything random of a step comes from the recipe's seed and the
step's number, so that a resumed run equals one never stopped.
"""

from __future__ import annotations

import copy
import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from inference.device import has_bf16
from inference.metrics import delong_auc
from inference.models.calcification import CalcificationNet, answers, crops_tensor
from inference.models.crop_classifier import start_from_imagenet
from inference.preprocessing.calcification import CROP_PX
from inference.training.calcification_data import NONE, STORED_PX, Crops, joined
from inference.training.calcification_recipe import MemberRecipe
from inference.training.half_weights import save_weights

_LOG = logging.getLogger(__name__)
_MOVE_PX = 12  # a crop is moved by so much: candidates are not centred as the truth is
_SETTLE_BATCHES = 12


@dataclass(slots=True)
class Run:
    """What changes during a run; all of it is in a checkpoint."""

    model: CalcificationNet
    average: CalcificationNet
    optimizer: torch.optim.Optimizer
    device: torch.device
    step: int = 0
    best: float = -1.0


def start(recipe: MemberRecipe, crops: Crops, device: str = "cpu") -> Run:
    """Make a fresh state: ImageNet start where there is one, normalisation set on crops, optimiser."""
    torch.manual_seed(recipe.seed)
    model = CalcificationNet(recipe.network, pretrained=recipe.imagenet == "timm")
    if recipe.imagenet == "package":
        start_from_imagenet(model.crop)
    model = model.to(torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.settled:
        _settle(model, recipe, crops)
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, recipe.learning_rate, weight_decay=recipe.weight_decay)
    return Run(model, copy.deepcopy(model).eval(), optimizer, torch.device(device))


def _settle(model: CalcificationNet, recipe: MemberRecipe, crops: Crops) -> None:
    """Set the backbone's normalisation statistics on crops: mammograms are not photographs."""
    norms = [m for m in model.crop.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the batches
        norm.train()
    device = next(model.parameters()).device
    rng = np.random.default_rng([recipe.seed, 1])
    with torch.no_grad():
        for _ in range(_SETTLE_BATCHES):
            planes, _ = drawn_batch(crops, recipe.batch, 0.3, rng)
            model(crops_tensor(planes).to(device))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum


def rate(recipe: MemberRecipe, step: int) -> float:
    """Learning rate of a step: linear warm-up, then a cosine to a hundredth; from half again in the second part."""
    if step >= recipe.steps:
        done = min(1.0, (step - recipe.steps) / max(1, recipe.harder_steps))
        return recipe.learning_rate * 0.5 * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    done = min(1.0, (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup))
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def drawn_batch(
    crops: Crops, size: int, nothing_share: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw a batch, as many malignant as benign, and change it: moved, turned, mirrored, brighter or darker.

    Returns
    -------
    (size, 3, CROP_PX, CROP_PX) uint8 and kinds (size,).
    """
    nothing = round(size * nothing_share) if (crops.kind == NONE).any() else 0
    groups = size - nothing
    counts = {1: groups // 2, 0: groups - groups // 2, NONE: nothing}
    chosen = np.concatenate(
        [rng.choice(np.flatnonzero(crops.kind == kind), count) for kind, count in counts.items() if count]
    )
    planes = np.stack([_changed(crops.pixels[k], rng) for k in chosen])
    return planes, crops.kind[chosen]


def _changed(planes: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    move = rng.integers(-_MOVE_PX, _MOVE_PX + 1, 2)
    out = middle(planes[None], (int(move[0]), int(move[1])))[0]
    out = np.rot90(out, int(rng.integers(4)), (1, 2))
    if rng.random() < 0.5:
        out = out[:, :, ::-1]
    value = out.astype(np.float32)
    value[0] = value[0] * rng.uniform(0.85, 1.15) + rng.uniform(-20, 20)
    gain = rng.uniform(0.8, 1.25)
    value[1] = (value[1] - 128.0) * gain + 128.0
    value[2] = value[2] * gain
    return np.asarray(np.clip(value, 0.0, 255.0), np.uint8)


def middle(planes: NDArray[np.uint8], move: tuple[int, int] = (0, 0)) -> NDArray[np.uint8]:
    """Cut stored crops (n, 3, STORED_PX, STORED_PX) down to (n, 3, CROP_PX, CROP_PX)."""
    rim = (STORED_PX - CROP_PX) // 2
    r, c = rim + move[0], rim + move[1]
    return planes[:, :, r : r + CROP_PX, c : c + CROP_PX]


def train_step(
    recipe: MemberRecipe, run: Run, crops: Crops, nothing_share: float = 0.3, harder: Crops | None = None
) -> float:
    """Take one step; returns the loss. ``harder`` crops are drawn from in every second step of the second part."""
    if harder is not None and run.step >= recipe.steps and run.step % 2:
        crops = harder
    rng = np.random.default_rng([recipe.seed, 2, run.step])
    torch.manual_seed(recipe.seed * 1_000_003 + run.step)
    run.model.train()
    if recipe.settled:
        for module in run.model.crop.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    for group in run.optimizer.param_groups:
        group["lr"] = rate(recipe, run.step)
    planes, kinds = drawn_batch(crops, recipe.batch, nothing_share, rng)
    inputs, kind = crops_tensor(planes).to(run.device), torch.from_numpy(kinds).to(run.device)
    with torch.autocast(run.device.type, torch.bfloat16, enabled=has_bf16(str(run.device))):
        logits = run.model(inputs)
    loss = losses(logits.float(), kind)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(run.model.parameters(), 5.0)
    run.optimizer.step()
    _follow(run, recipe)
    run.step += 1
    return float(loss.detach())


def losses(logits: Tensor, kind: Tensor) -> Tensor:
    """Cross-entropy of "a group is there", and of "it is malignant" where one is.

    Parameters
    ----------
    logits
        (batch, 2).
    kind
        (batch,) 1 malignant, 0 benign, NONE.
    """
    there = kind != NONE
    group = functional.binary_cross_entropy_with_logits(logits[:, 0], there.float())
    if not there.any():
        return group
    malignant = functional.binary_cross_entropy_with_logits(logits[there, 1], kind[there].float())
    return 0.5 * group + malignant


def _follow(run: Run, recipe: MemberRecipe) -> None:
    """Let the average follow; quicker in the first steps, when there is nothing to remember."""
    keep = min(recipe.averaging, (1 + run.step) / (10 + run.step))
    with torch.no_grad():
        theirs = run.model.state_dict()
        for name, value in run.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(theirs[name], 1 - keep)
            else:
                value.copy_(theirs[name])


def validated(model: CalcificationNet, crops: Crops, device: torch.device) -> dict[str, float]:
    """AUC of malignancy on given groups, and of "a group is there" on candidates."""
    found = answers([model], middle(crops.pixels), device)
    given, candidates = crops.given, ~crops.given
    kind = crops.kind
    malignancy = delong_auc(kind[given] == 1, found.malignant[0][given]).value
    group = delong_auc(kind[candidates] != NONE, found.group[0][candidates]).value
    return {"validation_malignancy_auc": malignancy, "validation_group_auc": group}


def train_member(
    recipe: MemberRecipe,
    crops: Crops,
    validation: Crops,
    folder: Path,
    *,
    harder: tuple[Crops, Crops] | None = None,
    device: str = "cpu",
    nothing_share: float = 0.3,
) -> Path:
    """Run a member's recipe in ``folder``, resuming when it holds a checkpoint; returns its best weights.

    Parameters
    ----------
    harder
        Difficult crops of the second part: to learn from, and to validate with beside the plain ones. What was best
        in the first part is then no longer asked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = start(recipe, crops, device)
    path = folder / "history.json"
    if load_checkpoint(run, folder):
        _LOG.info("%s: resumed at step %d", recipe.name, run.step)
    history = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    history = [entry for entry in history if entry["step"] <= run.step]
    recent: list[float] = []
    ends = {recipe.steps, recipe.all_steps}
    while run.step < recipe.all_steps:
        if run.step == recipe.steps:
            run.best = -1.0
        recent.append(train_step(recipe, run, crops, nothing_share, harder[0] if harder else None))
        if run.step % recipe.validate_every == 0 or run.step in ends:
            entry = {"step": run.step, "loss": float(np.mean(recent))}
            asked = joined([validation, harder[1]]) if harder and run.step > recipe.steps else validation
            entry |= validated(run.average, asked, run.device)
            recent = []
            history.append(entry)
            _LOG.info("%s: %s", recipe.name, {k: round(v, 4) for k, v in entry.items()})
            mark = entry["validation_malignancy_auc"] + 0.25 * entry["validation_group_auc"]
            if mark > run.best:
                run.best = mark
                save_weights(run.average, folder / "best.safetensors")
            path.write_text(json.dumps(history, indent=1), encoding="utf-8")
        if run.step % recipe.checkpoint_every == 0 or run.step in ends:
            save_checkpoint(run, folder)
    return folder / "best.safetensors"


def save_checkpoint(run: Run, folder: Path) -> None:
    """Write everything a resume needs, whole or not at all."""
    content = {
        "model": run.model.state_dict(),
        "average": run.average.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "step": run.step,
        "best": run.best,
    }
    partial = folder / "checkpoint.tmp"
    torch.save(content, partial)
    partial.replace(folder / "checkpoint.pt")


def load_checkpoint(run: Run, folder: Path) -> bool:
    """Go on where a run stopped; False when the folder has no checkpoint."""
    path = folder / "checkpoint.pt"
    if not path.is_file():
        return False
    content = torch.load(path, weights_only=True, map_location=run.device)
    run.model.load_state_dict(content["model"])
    run.average.load_state_dict(content["average"])
    run.optimizer.load_state_dict(content["optimizer"])
    run.step, run.best = int(content["step"]), float(content["best"])
    return True
