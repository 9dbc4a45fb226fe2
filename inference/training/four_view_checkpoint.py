"""A four-view run on disk: its checkpoint, what it was made of, its weights, and weights to start from.

A checkpoint of another recipe, network, exams or start is refused by name: mixing two runs would give a model
that no card could describe truly.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from inference.model_card import ModelError, file_sha256
from inference.models.four_view import FourViewDetector
from inference.training.four_view_recipe import FourViewRecipe

_FREE = ("steps", "patience", "validate_every", "checkpoint_every", "validation_exams", "name", "network")


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


def made_of(recipe: FourViewRecipe, exams: str, weights: Path | None = None) -> dict[str, str]:
    """Say what a run is made of, for its checkpoint; how long it goes on and how often it is looked at may change.

    Parameters
    ----------
    exams
        Identity of the exams.
    weights
        Weights that it starts from; None = as the recipe says.
    """
    values = asdict(recipe)
    settings = {name: value for name, value in values.items() if name not in _FREE}
    return {
        "recipe": recipe.name,
        "network": f"{recipe.network.backbone} {_short(values['network'])}",
        "settings": _short(settings),
        "exams": exams,
        "start": f"ImageNet {recipe.imagenet}" if weights is None else f"weights {file_sha256(weights)[:12]}",
    }


def _short(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]


def save_checkpoint(run: Run, folder: Path, origin: Mapping[str, str]) -> None:
    """Write everything a resume needs, whole or not at all; ``origin`` is ``made_of``'s."""
    content: dict[str, Any] = {
        "model": run.model.state_dict(),
        "average": run.average.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "step": run.step,
        "best": run.best,
        "stale": run.stale,
        "history": json.dumps(run.history),
        "made_of": dict(origin),
    }
    partial = folder / "checkpoint.tmp"
    torch.save(content, partial)
    partial.replace(folder / "checkpoint.pt")


def load_checkpoint(run: Run, folder: Path, origin: Mapping[str, str]) -> bool:
    """Continue where a run stopped; False when the folder has no checkpoint.

    Raises
    ------
    ModelError
        The checkpoint is of a run made of something else: the sentence names each difference.
    """
    path = folder / "checkpoint.pt"
    if not path.is_file():
        return False
    content = torch.load(path, map_location=run.device, weights_only=True)
    theirs = content.get("made_of", {})
    other = [name for name in origin if theirs.get(name) != origin[name]]
    if other:
        expected = ", ".join(f"{name} {origin[name]}" for name in other)
        found = ", ".join(f"{name} {theirs.get(name, 'not recorded')}" for name in other)
        raise ModelError(
            f"{folder.name}/{path.name}: expected a run of {expected}, found one of {found}; name another --out, "
            "or order what that run was made of."
        )
    run.model.load_state_dict(content["model"])
    run.average.load_state_dict(content["average"])
    run.optimizer.load_state_dict(content["optimizer"])
    run.step, run.best, run.stale = content["step"], content["best"], content["stale"]
    run.history = json.loads(content["history"])
    return True


def load_start(model: FourViewDetector, path: Path) -> None:
    """Load the weights of a detector of the same network, from a run or a model folder of one network.

    Raises
    ------
    ModelError
        The file cannot be read or holds another network, or several.
    """
    try:
        state = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(
            f"{path.name}: expected weights to start from, could not be read ({error})."
        ) from error
    own = model.state_dict()
    lacking = next((k for k, v in own.items() if k not in state or state[k].shape != v.shape), None)
    if lacking is not None:
        raise ModelError(
            f"{path.name}: expected the weights of one {model.config.backbone} detector of the recipe's size, found "
            f"none for {lacking}; start from a model that this recipe trained."
        )
    model.load_state_dict({k: state[k].to(v.dtype) for k, v in own.items()})
