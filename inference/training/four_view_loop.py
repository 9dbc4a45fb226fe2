"""The training loop of the four-view detector: steps, checkpoints, exact resume, early stop, several processes.

A run's folder holds ``checkpoint.pt`` (everything, for resume; ``four_view_checkpoint``), ``best.safetensors``
(fp16, averaged weights of the best validation), ``history.json`` and TensorBoard's files. Everything random of a
step comes from the recipe's seed and the step's number, so that a resumed run equals one never stopped.
"""

from __future__ import annotations

import copy
import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from inference.device import has_bf16
from inference.exam.types import InferenceError
from inference.models.four_view import BOTH, FourViewDetector, Fused
from inference.models.four_view_heads import Found
from inference.models.imagenet_start import load_imagenet
from inference.training.four_view_batch import augmented, batch_of, drawn_fusion
from inference.training.four_view_checkpoint import (
    Run,
    load_checkpoint,
    load_start,
    made_of,
    save_checkpoint,
)
from inference.training.four_view_data import FINDINGS, LesionTruth, PreparedExam
from inference.training.four_view_draws import step_exams
from inference.training.four_view_measures import ImageResult, Mark, Truth, summary
from inference.training.four_view_processes import (
    Process,
    from_first,
    joined,
    of_first,
    same_everywhere,
    share_gradients,
)
from inference.training.four_view_recipe import FourViewRecipe
from inference.training.half_weights import save_weights

_LOG = logging.getLogger(__name__)


class Exams(Protocol):
    """Where exams come from; an index is in 0..count - 1."""

    count: int
    unlabelled: int  # how many of them have no truth; they come last
    identity: str  # tells them from other exams: a run goes on with its own only

    def exam(self, index: int) -> PreparedExam: ...

    def validation(self) -> Iterator[PreparedExam]: ...


def start(recipe: FourViewRecipe, exams: Exams, device: str = "cpu", *, weights: Path | None = None) -> Run:
    """Make a fresh state: ImageNet start, normalisation set on a few exams, optimiser.

    ``weights`` of a detector trained before take the place of the ImageNet start and of the normalisation.
    """
    torch.manual_seed(recipe.seed)
    model = FourViewDetector(recipe.network, pretrained=recipe.imagenet == "timm" and weights is None)
    if weights is not None:
        load_start(model, weights)
    elif recipe.imagenet == "package":
        load_imagenet(model.backbone, recipe.network.backbone)
    model = model.to(torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    if weights is None:
        settle_norms(model, [exams.exam(n) for n in range(min(recipe.settle_exams, exams.count))])
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer: torch.optim.Optimizer
    if recipe.optimizer == "adamw":
        optimizer = torch.optim.AdamW(learning, recipe.learning_rate, weight_decay=recipe.weight_decay)
    else:
        optimizer = torch.optim.SGD(
            learning, recipe.learning_rate, momentum=0.9, weight_decay=recipe.weight_decay
        )
    average = copy.deepcopy(model).eval()
    return Run(model, average, optimizer, torch.device(device))


def settle_norms(model: FourViewDetector, exams: Sequence[PreparedExam]) -> None:
    """Set the backbone's normalisation statistics on these exams: mammograms are not photographs."""
    if not exams:
        return
    norms = [m for m in model.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the batches
        norm.train()
    device = next(model.parameters()).device
    with torch.no_grad():
        for exam in exams:
            views, _ = batch_of([exam], masks=False)
            model.features(replace(views, planes=views.planes.to(device)))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
        norm.eval()


def rate(recipe: FourViewRecipe, step: int) -> float:
    """Learning rate of a step: linear warm-up, then tenths at the milestones or a cosine to a hundredth."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    if recipe.milestones:
        return recipe.learning_rate * 0.1 ** sum(step >= m for m in recipe.milestones)
    done = min(1.0, (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup))
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def train_step(
    recipe: FourViewRecipe, run: Run, exams: Exams, *, rank: int = 0, world: int = 1
) -> dict[str, float]:
    """Take one step; returns the losses by name, of pseudo-labels each at the recipe's ``pseudo_weight``."""
    rng = np.random.default_rng([recipe.seed, 2, run.step, rank])
    torch.manual_seed(recipe.seed * 1_000_003 + run.step * 17 + rank)
    run.model.train()
    for group in run.optimizer.param_groups:
        group["lr"] = rate(recipe, run.step)
    drawn = [exams.exam(index) for index in step_exams(recipe, exams, run.step, rank, world)]
    share = 1.0 if all(exam.labelled for exam in drawn) else recipe.pseudo_weight  # a step has one kind
    drawn = [exam if exam.labelled else pseudo_labelled(recipe, run, exam) for exam in drawn]
    varied = [augmented(exam, recipe.augmentation, rng) for exam in drawn]
    views, targets = batch_of(varied, masks=True)
    views = replace(views, planes=views.planes.to(run.device))
    targets = [_on(target, run.device) for target in targets]
    with _autocast(run.device):
        losses = run.model.losses(views, targets, drawn_fusion(recipe.augmentation, rng))
    losses = {name: loss.float() * share for name, loss in losses.items()}
    total = torch.stack(list(losses.values())).sum()
    run.optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    share_gradients(run.model)
    nn.utils.clip_grad_norm_(run.model.parameters(), recipe.clip)
    run.optimizer.step()
    run.step += 1
    _follow(run, recipe.averaging)
    if recipe.unlabelled_every and exams.unlabelled and run.step == recipe.burn_in:
        run.average.load_state_dict(run.model.state_dict())  # the teacher begins as the trained student
    return {"total": float(total.detach()), **{name: float(x.detach()) for name, x in losses.items()}}


def pseudo_labelled(recipe: FourViewRecipe, run: Run, exam: PreparedExam) -> PreparedExam:
    """Return the exam with what the averaged weights (the teacher) are sure of as its truth."""
    lesions = []
    for view, found in enumerate(predict(run.average, exam)):
        for n in range(len(found.score)):
            if float(found.score[n]) < recipe.pseudo_threshold:
                continue
            x0, y0, x1, y1 = (float(v) for v in found.boxes[n])
            lesions.append(
                LesionTruth(
                    view=view,
                    lesion_id=f"{view}-{n}",
                    finding=FINDINGS[int(found.types[n].argmax())],
                    malignant=None,
                    box=(y0, x0, y1, x1),
                )
            )
    return replace(exam, lesions=tuple(lesions))


def predict(model: FourViewDetector, exam: PreparedExam, fused: Fused = BOTH) -> list[Found]:
    """Return what a network finds in each view of a prepared exam."""
    device = next(model.parameters()).device
    views, _ = batch_of([exam], masks=False)
    model.eval()
    with torch.inference_mode(), _autocast(device):
        found: list[Found] = model(replace(views, planes=views.planes.to(device)), fused)
    return found


def results(exam: PreparedExam, found: Sequence[Found]) -> list[ImageResult]:
    """Pair what was found with the truth, view by view."""
    out = []
    for view, answer in enumerate(found):
        marks = []
        for n in range(len(answer.score)):
            x0, y0, x1, y1 = (float(v) for v in answer.boxes[n])
            marks.append(
                Mark(
                    box=(y0, x0, y1, x1),
                    score=float(answer.score[n]),
                    finding=FINDINGS[int(answer.types[n].argmax())],
                    malignancy=float(answer.malignancy[n]),
                )
            )
        lesions = tuple(
            Truth(box=x.box, finding=x.finding, malignant=x.malignant, lesion_id=x.lesion_id)
            for x in exam.lesions
            if x.view == view
        )
        out.append(ImageResult(case_id=exam.case_id, lesions=lesions, marks=tuple(marks)))
    return out


def validated(run: Run, exams: Exams, count: int) -> dict[str, float]:
    """Measure the averaged weights on the validation exams."""
    images: list[ImageResult] = []
    for number, exam in enumerate(exams.validation()):
        if number >= count:
            break
        images += results(exam, predict(run.average, exam))
    return summary(images)


def run_recipe(
    recipe: FourViewRecipe, exams: Exams, out: Path, *, device: str = "cpu", weights: Path | None = None
) -> Path:
    """Train to the recipe's last step or until validation stops improving; continues a run found in ``out``.

    Parameters
    ----------
    weights
        Of a detector to start from; None = as the recipe says.

    Returns
    -------
    Path of the best averaged weights (fp16 safetensors).

    Raises
    ------
    InferenceError
        ``out`` holds another run, or one that not every process sees.
    """
    out.mkdir(parents=True, exist_ok=True)
    with joined(device) as mine:
        run = _begun(recipe, exams, out, mine, weights)
        origin = made_of(recipe, exams.identity, weights)
        watch: list[dict[str, float]] = []
        with _tensorboard(out if mine.rank == 0 else None) as board:
            while run.step < recipe.steps and run.stale < recipe.patience:
                watch.append(train_step(recipe, run, exams, rank=mine.rank, world=mine.world))
                if run.step % 20 == 0 and mine.rank == 0:
                    _report(run, recipe, watch, board)
                    watch = []
                if run.step % recipe.validate_every == 0 or run.step == recipe.steps:
                    _validate(run, recipe, exams, out, board, mine.rank)
                if run.step % recipe.checkpoint_every == 0 and mine.rank == 0:
                    save_checkpoint(run, out, origin)
        if mine.rank == 0:
            save_checkpoint(run, out, origin)
    return out / "best.safetensors"


def _begun(recipe: FourViewRecipe, exams: Exams, out: Path, mine: Process, weights: Path | None) -> Run:
    """A fresh run, or the one that ``out`` holds, alike in every process."""
    run = start(recipe, exams, mine.device, weights=weights)
    if load_checkpoint(run, out, made_of(recipe, exams.identity, weights)):
        _LOG.info("continuing at step %d", run.step)
    if not same_everywhere(run.step, run.device):
        raise InferenceError(
            f"{out.name}: expected one run that every process sees, found different checkpoints; put --out on a "
            "disk that all share."
        )
    from_first(run.model)
    from_first(run.average)
    return run


def _report(run: Run, recipe: FourViewRecipe, watch: Sequence[Mapping[str, float]], board: Any) -> None:
    names = sorted({name for losses in watch for name in losses})
    mean = {name: float(np.mean([x[name] for x in watch if name in x])) for name in names}
    run.history.append({"step": run.step, "rate": rate(recipe, run.step), **mean})
    _LOG.info("step %d of %d: %s", run.step, recipe.steps, " ".join(f"{k} {v:.3f}" for k, v in mean.items()))
    if board is not None:
        for name, value in mean.items():
            board.add_scalar(f"loss/{name}", value, run.step)


def _validate(run: Run, recipe: FourViewRecipe, exams: Exams, out: Path, board: Any, rank: int) -> None:
    figures = validated(run, exams, recipe.validation_exams) if rank == 0 else {"sensitivity": 0.0}
    score = figures["sensitivity"] + 0.25 * figures.get("malignancy_auc", 0.5)
    score = of_first(score, run.device)  # every process stops at the same step
    if score > run.best:
        run.best, run.stale = score, 0
        if rank == 0:
            save_weights(run.average, out / "best.safetensors")
    else:
        run.stale += 1
    if rank:
        return
    run.history.append({"step": run.step, **{f"validation_{k}": v for k, v in figures.items()}})
    (out / "history.json").write_text(json.dumps(run.history, indent=1) + "\n", encoding="utf-8")
    _LOG.info("validation at step %d: %s", run.step, " ".join(f"{k} {v:.3f}" for k, v in figures.items()))
    if board is not None:
        for name, value in figures.items():
            board.add_scalar(f"validation/{name}", value, run.step)


def _follow(run: Run, decay: float) -> None:
    """Move the averaged weights a little towards the present ones; early on, faster."""
    decay = min(decay, (1 + run.step) / (10 + run.step))
    with torch.no_grad():
        ours, theirs = run.average.state_dict(), run.model.state_dict()
        for key, value in ours.items():
            if value.is_floating_point():
                value.lerp_(theirs[key], 1.0 - decay)
            else:
                value.copy_(theirs[key])


def _autocast(device: torch.device) -> torch.autocast:
    """fp16 ranges are too short for losses: bf16 on CUDA and on CPUs that have it, else full precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bf16(device.type))


def _on(target: Any, device: torch.device) -> Any:
    def moved(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.to(device)

    return replace(
        target,
        boxes=target.boxes.to(device),
        labels=target.labels.to(device),
        malignant=target.malignant.to(device),
        descriptors={name: x.to(device) for name, x in target.descriptors.items()},
        masks=moved(target.masks),
        drawn=moved(target.drawn),
    )


@contextmanager
def _tensorboard(folder: Path | None) -> Iterator[Any]:
    """Open TensorBoard's writer, or None where it is not installed or not wanted."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        folder = None
    if folder is None:
        yield None
        return
    with SummaryWriter(str(folder / "tensorboard")) as board:
        yield board
