"""Weights of a network in training as they are kept: fp16 safetensors. Owns no checkpoint; each loop has its own."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
from torch import nn


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the network as fp16 safetensors, whole or not at all; whole numbers stay what they are."""
    state = {
        name: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for name, value in model.state_dict().items()
    }
    partial = path.with_suffix(".tmp")
    safetensors.torch.save_file(state, partial)
    partial.replace(path)
