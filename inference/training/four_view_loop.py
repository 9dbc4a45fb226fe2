"""The training loop of the four-view detector: steps, checkpoints, exact resume, early stop, several processes.

A run's folder holds ``checkpoint.pt`` (everything, for resume), ``best.safetensors`` (fp16, averaged weights of
the best validation), ``history.json`` and TensorBoard's files. Everything random of a step comes from the
recipe's seed and the step's number, so that a resumed run equals one never stopped.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from inference.models.four_view import BOTH, FourViewDetector, Fused
from inference.models.four_view_heads import Found
from inference.models.imagenet_start import load_imagenet
from inference.training.four_view_batch import augmented, batch_of, drawn_fusion
from inference.training.four_view_data import FINDINGS, LesionTruth, PreparedExam
from inference.training.four_view_measures import ImageResult, Mark, Truth, summary
from inference.training.four_view_recipe import FourViewRecipe

_LOG = logging.getLogger(__name__)


class Exams(Protocol):
    """Where exams come from; an index is in 0..count - 1."""

    count: int
    unlabelled: int  # how many of them have no truth; they come last

    def exam(self, index: int) -> PreparedExam: ...

    def validation(self) -> Iterator[PreparedExam]: ...


@dataclass(slots=True)
class Run:
    """What changes during a run; all of it is in a checkpoint."""

    model: FourViewDetector
    average: FourViewDetector
    optimizer: torch.optim.Optimizer
    device: torch.device
    step: int = 0
    best: float = -1.0
    stale: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def start(recipe: FourViewRecipe, exams: Exams, device: str = "cpu") -> Run:
    """Make a fresh state: ImageNet start, normalisation set on a few exams, optimiser."""
    torch.manual_seed(recipe.seed)
    model = FourViewDetector(recipe.network, pretrained=recipe.imagenet == "timm")
    if recipe.imagenet == "package":
        load_imagenet(model.backbone, recipe.network.backbone)
    model = model.to(torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
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


def partition(recipe: FourViewRecipe, count: int) -> list[int]:
    """Exams that this run may learn from: all, or its member's random 80 %."""
    if recipe.member is None:
        return list(range(count))
    rng = np.random.default_rng([recipe.seed, 80, recipe.member])
    return sorted(rng.permutation(count)[: round(0.8 * count)].tolist())


def step_exams(recipe: FourViewRecipe, exams: Exams, step: int, rank: int = 0) -> list[int]:
    """Indices of the exams of one step of one process."""
    labelled = partition(recipe, exams.count - exams.unlabelled)
    pool = min(len(labelled), round(recipe.first_exams + recipe.growth * step))
    rng = np.random.default_rng([recipe.seed, 1, step, rank])
    if exams.unlabelled and recipe.unlabelled_every and step % recipe.unlabelled_every == 0:
        return [exams.count - 1 - int(i) for i in rng.integers(exams.unlabelled, size=recipe.batch_exams)]
    return [labelled[i] for i in rng.integers(pool, size=recipe.batch_exams)]


def train_step(recipe: FourViewRecipe, run: Run, exams: Exams, *, rank: int = 0) -> dict[str, float]:
    """Take one step; returns the losses by name."""
    rng = np.random.default_rng([recipe.seed, 2, run.step, rank])
    torch.manual_seed(recipe.seed * 1_000_003 + run.step * 17 + rank)
    run.model.train()
    for group in run.optimizer.param_groups:
        group["lr"] = rate(recipe, run.step)
    drawn = [exams.exam(index) for index in step_exams(recipe, exams, run.step, rank)]
    drawn = [exam if exam.labelled else pseudo_labelled(recipe, run, exam) for exam in drawn]
    varied = [augmented(exam, recipe.augmentation, rng) for exam in drawn]
    views, targets = batch_of(varied, masks=True)
    weights = [1.0 if e.labelled else recipe.pseudo_weight for e in varied for _ in e.slots]
    targets = [replace(t, weight=w) for t, w in zip(targets, weights, strict=True)]
    views = replace(views, planes=views.planes.to(run.device))
    targets = [_on(target, run.device) for target in targets]
    with _autocast(run.device):
        losses = run.model.losses(views, targets, drawn_fusion(recipe.augmentation, rng))
    total = torch.stack([loss.float() for loss in losses.values()]).sum()
    run.optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    _share_gradients(run.model)
    nn.utils.clip_grad_norm_(run.model.parameters(), recipe.clip)
    run.optimizer.step()
    run.step += 1
    _follow(run, recipe.averaging)
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


def run_recipe(recipe: FourViewRecipe, exams: Exams, out: Path, *, device: str = "cpu") -> Path:
    """Train to the recipe's last step or until validation stops improving; continues a run found in ``out``.

    Returns
    -------
    Path of the best averaged weights (fp16 safetensors).
    """
    out.mkdir(parents=True, exist_ok=True)
    rank, world = _join(device)
    run = start(recipe, exams, device)
    if load_checkpoint(run, out):
        _LOG.info("continuing at step %d", run.step)
    watch: list[dict[str, float]] = []
    with _tensorboard(out if rank == 0 else None) as board:
        while run.step < recipe.steps and run.stale < recipe.patience:
            watch.append(train_step(recipe, run, exams, rank=rank))
            if run.step % 20 == 0 and rank == 0:
                _report(run, recipe, watch, board)
                watch = []
            if run.step % recipe.validate_every == 0 or run.step == recipe.steps:
                _validate(run, recipe, exams, out, board, rank)
            if run.step % recipe.checkpoint_every == 0 and rank == 0:
                save_checkpoint(run, out)
    if rank == 0:
        save_checkpoint(run, out)
    _leave(world)
    return out / "best.safetensors"


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
    score = torch.tensor([figures["sensitivity"] + 0.25 * figures.get("malignancy_auc", 0.5)])
    if torch.distributed.is_initialized():  # every process stops at the same step
        torch.distributed.broadcast(score, 0)
    if float(score) > run.best:
        run.best, run.stale = float(score), 0
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


def save_weights(model: FourViewDetector, path: Path) -> None:
    """Write the network as fp16 safetensors."""
    state = {
        k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in model.state_dict().items()
    }
    safetensors.torch.save_file(state, path)


def save_checkpoint(run: Run, folder: Path) -> None:
    """Write everything a resume needs, whole or not at all."""
    content: dict[str, Any] = {
        "model": run.model.state_dict(),
        "average": run.average.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "step": run.step,
        "best": run.best,
        "stale": run.stale,
        "history": json.dumps(run.history),
    }
    partial = folder / "checkpoint.tmp"
    torch.save(content, partial)
    partial.replace(folder / "checkpoint.pt")


def load_checkpoint(run: Run, folder: Path) -> bool:
    """Continue where a run stopped; False when the folder has no checkpoint."""
    path = folder / "checkpoint.pt"
    if not path.is_file():
        return False
    content = torch.load(path, map_location=run.device, weights_only=True)
    run.model.load_state_dict(content["model"])
    run.average.load_state_dict(content["average"])
    run.optimizer.load_state_dict(content["optimizer"])
    run.step, run.best, run.stale = content["step"], content["best"], content["stale"]
    run.history = json.loads(content["history"])
    return True


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
    bf16 = device.type == "cuda" or torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)


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


def _join(device: str) -> tuple[int, int]:
    """Join the other processes when torchrun started this one; (rank, how many)."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world < 2:
        return 0, 1
    torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return torch.distributed.get_rank(), world


def _leave(world: int) -> None:
    if world > 1:
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def _share_gradients(model: nn.Module) -> None:
    """Average the gradients over the processes; a part that one process did not use counts as zero there."""
    if not torch.distributed.is_initialized():
        return
    for parameter in model.parameters():
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad /= torch.distributed.get_world_size()


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
