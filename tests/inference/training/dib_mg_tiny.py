"""One epoch of the paper's recipe, small enough for tests: run as a program, alone or under torchrun.

``python dib_mg_tiny.py OUT`` trains on drawn breasts; each process writes to OUT the gradient that its first step
used and the weights that it ends with.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from inference.models.cam_classifier import CamConfig, Pooling
from inference.training import loop
from inference.training.data import BreastSet
from inference.training.four_view_processes import joined
from inference.training.recipes import PAPER_RECIPE

RECIPE = replace(
    PAPER_RECIPE,
    network=CamConfig(width=4, pooling=Pooling.AVERAGE, dropout=0.0),
    epochs=1,
    milestones=(),
    batch=4,
    learning_rate=0.05,
)


def drawn_breasts() -> BreastSet:
    """Eight breasts of grain, half of them with a cancer."""
    rng = np.random.default_rng(4)
    canvases = rng.integers(1, 255, (8, 2, 1, 64, 48)).astype(np.uint8)
    return BreastSet(canvases=canvases, labels=np.arange(8) % 2 == 0)


def gradient(model: nn.Module) -> torch.Tensor:
    """All gradients of a network in one row."""
    return torch.cat([p.grad.reshape(-1).clone() for p in model.parameters() if p.grad is not None])


def main(out: Path) -> None:
    """Train one epoch of two steps and keep the first step's shared gradient."""
    kept: list[torch.Tensor] = []
    share = loop.share_gradients

    def watched(model: nn.Module) -> None:
        share(model)
        kept.append(gradient(model))

    loop.share_gradients = watched  # type: ignore[assignment]
    loop.has_bf16 = lambda _device: False  # type: ignore[assignment]
    with joined("cpu") as process:
        data = drawn_breasts()
        state = loop.train(RECIPE, data, data, out, process=process)
        said = {"gradient": kept[0], "model": state.model.state_dict(), "history": state.history}
        torch.save(said, out / f"rank{os.environ.get('RANK', '0')}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
