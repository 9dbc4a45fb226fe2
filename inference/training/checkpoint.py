"""What a run of the plain training loop is made of while it lasts, on disk and off: its state, checkpoints, weights.

Owns no step; ``loop`` runs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from inference.models.cam_classifier import CamNetwork


@dataclass(slots=True)
class TrainingState:
    """What changes during a run; all of it is in a checkpoint, so that a resumed run equals one never
    stopped."""

    model: CamNetwork
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LambdaLR
    rng: np.random.Generator
    history: list[dict[str, float]]


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
    content = torch.load(path, map_location="cpu", weights_only=True)
    state.model.load_state_dict(content["model"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.scheduler.load_state_dict(content["scheduler"])
    state.rng.bit_generator.state = json.loads(content["numpy"])
    torch.set_rng_state(content["torch"])
    state.history = json.loads(content["history"])
    return True


def save_weights(model: CamNetwork, path: Path) -> None:
    """Write the network as fp16 safetensors."""
    state = {key: value.half().cpu().contiguous() for key, value in model.state_dict().items()}
    safetensors.torch.save_file(state, path)
