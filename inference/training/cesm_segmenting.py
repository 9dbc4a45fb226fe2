"""Trains the lesion segmenter on contrast phantoms, and measures outlines: Dice, and which lesions were found.

A run's folder holds ``checkpoint.pt``, ``best.safetensors`` (fp16) and ``history.json``; every step's draws come
from the recipe's seed and the step's number, so that a resumed run equals one never stopped.
"""

from __future__ import annotations

import copy
import json
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.models.lesion_segmenter import LesionSegmenter, autocast, lesion_probability
from inference.training.cesm_batch import training_pictures
from inference.training.cesm_data import CesmExam, cesm_exam
from inference.training.cesm_recipe import SegmenterRecipe
from inference.training.half_weights import save_weights

_LOG = logging.getLogger(__name__)
_AVERAGING = 0.99  # decay of the weights' moving average, which is what is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSet:
    """Pictures (n, 2, rows, cols) uint8 with lesion numbers (n, rows, cols) uint8, 0 = none; whose they are."""

    canvases: NDArray[np.uint8] = field(repr=False)
    masks: NDArray[np.uint8] = field(repr=False)
    cases: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.cases)

    def part(self, index: Iterable[int]) -> PictureSet:
        """Return the pictures of these numbers."""
        chosen = [int(i) for i in index]
        return PictureSet(
            canvases=self.canvases[chosen],
            masks=self.masks[chosen],
            cases=tuple(self.cases[i] for i in chosen),
        )


def picture_set(folder: Path, seeds: Iterable[int], preprocessing: str) -> PictureSet:
    """Collect the pictures of these phantoms."""
    return joined_pictures(cesm_exam(folder, seed, preprocessing) for seed in seeds)


def joined_pictures(exams: Iterable[CesmExam]) -> PictureSet:
    """Collect the pictures of these exams."""
    canvases, masks, cases = [], [], list[str]()
    for exam in exams:
        canvases.append(exam.canvases)
        masks.append(exam.masks)
        cases += [exam.case_id] * len(exam.canvases)
    return PictureSet(canvases=np.concatenate(canvases), masks=np.concatenate(masks), cases=tuple(cases))


@dataclass(slots=True)
class SegmenterRun:
    """What changes during a run; all of it is in a checkpoint."""

    model: LesionSegmenter
    average: LesionSegmenter
    optimizer: torch.optim.Optimizer
    step: int = 0
    best: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)


def start_segmenter(recipe: SegmenterRecipe) -> SegmenterRun:
    """Make a fresh state."""
    torch.manual_seed(recipe.seed)
    model = LesionSegmenter(recipe.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    return SegmenterRun(model, copy.deepcopy(model).eval(), optimizer)


def segmenter_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy plus one minus the soft Dice of the batch."""
    cross = nn.functional.binary_cross_entropy_with_logits(logits, masks)
    p = torch.sigmoid(logits)
    dice = (2.0 * (p * masks).sum() + 1.0) / (p.sum() + masks.sum() + 1.0)
    return cross + 0.5 * (1.0 - dice)


def segmenter_step(recipe: SegmenterRecipe, run: SegmenterRun, data: PictureSet) -> float:
    """Take one step; returns the loss."""
    rng = np.random.default_rng([recipe.seed, 6, run.step])
    done = run.step / max(1, recipe.steps)
    rate = recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
    for group in run.optimizer.param_groups:
        group["lr"] = rate * min(1.0, (run.step + 1) / 50)
    sick = data.masks.any(axis=(1, 2))
    pools = np.flatnonzero(sick), np.flatnonzero(~sick)
    healthy = rng.random(recipe.batch) < (recipe.healthy if len(pools[1]) else 0.0)
    chosen = np.array([rng.choice(pools[int(h)]) for h in healthy])
    shown, masks = training_pictures(data.canvases[chosen], data.masks[chosen] > 0, recipe, rng)
    run.model.train()
    with autocast(torch.device("cpu")):
        logits = run.model(shown.contiguous(memory_format=torch.channels_last))
    loss = segmenter_loss(logits.float(), masks)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(run.model.parameters(), 5.0)
    run.optimizer.step()
    run.step += 1
    _follow(run)
    return float(loss.detach())


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Dice of two masks; 1 where both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 1.0 if total == 0 else 2.0 * int((one & other).sum()) / total


def picture_dice(p: NDArray[np.float32], masks: NDArray[np.uint8], level: float = 0.5) -> NDArray[np.float64]:
    """Dice of each picture that shows a lesion, all its lesions together."""
    return np.array([dice(a >= level, m > 0) for a, m in zip(p, masks, strict=True) if m.any()])


def run_segmenter(
    recipe: SegmenterRecipe,
    learn: PictureSet,
    check: PictureSet,
    folder: Path,
    *,
    steps: int | None = None,
    start: Mapping[str, Tensor] | None = None,
) -> Path:
    """Train, or go on with the run found in ``folder``; returns the weights with the highest mean Dice.

    ``start`` = weights to begin with; None = random ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = start_segmenter(recipe)
    if start is not None:
        run.model.load_state_dict(dict(start))
        run.average.load_state_dict(dict(start))
    _resume(run, folder / "checkpoint.pt")
    last = recipe.steps if steps is None else min(steps, recipe.steps)
    losses: list[float] = []
    while run.step < last:
        losses.append(segmenter_step(recipe, run, learn))
        if run.step % recipe.checkpoint_every and run.step < last:
            continue
        score = float(picture_dice(lesion_probability(run.average, check.canvases), check.masks).mean())
        run.history.append({"step": run.step, "loss": float(np.mean(losses)), "validation_dice": score})
        _LOG.info("segmenter step %d: loss %.4f, Dice %.4f", run.step, np.mean(losses), score)
        losses = []
        if score > run.best:
            run.best = score
            save_weights(run.average, folder / "best.safetensors")
        _save(run, folder)
    return folder / "best.safetensors"


def load_segmenter(recipe: SegmenterRecipe, weights: Path) -> LesionSegmenter:
    """The recipe's network with the weights of a file."""
    model = LesionSegmenter(recipe.network)
    state = safetensors.torch.load_file(weights)
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    return model.eval()


def _follow(run: SegmenterRun) -> None:
    decay = min(_AVERAGING, (1 + run.step) / (10 + run.step))
    with torch.no_grad():
        theirs = run.model.state_dict()
        for key, value in run.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(theirs[key], 1.0 - decay)
            else:
                value.copy_(theirs[key])


def _save(run: SegmenterRun, folder: Path) -> None:
    partial = folder / "checkpoint.tmp"
    torch.save(
        {
            "model": run.model.state_dict(),
            "average": run.average.state_dict(),
            "optimizer": run.optimizer.state_dict(),
            "numbers": [run.step, run.best],
            "history": json.dumps(run.history),
        },
        partial,
    )
    partial.replace(folder / "checkpoint.pt")
    (folder / "history.json").write_text(json.dumps(run.history, indent=1), encoding="utf-8")


def _resume(run: SegmenterRun, path: Path) -> None:
    if not path.is_file():
        return
    content = torch.load(path, weights_only=True)
    run.model.load_state_dict(content["model"])
    run.average.load_state_dict(content["average"])
    run.optimizer.load_state_dict(content["optimizer"])
    run.step, run.best = content["numbers"]
    run.history = json.loads(content["history"])
