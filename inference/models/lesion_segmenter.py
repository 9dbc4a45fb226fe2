"""A small U-Net (Ronneberger et al. 2015) that outlines lesions on a low-energy and recombined pair.

Plain convolutions with normalisation, one halving before the first level so that two CPU cores are enough.
Architecture and forward only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from inference.device import has_bf16


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmenterConfig:
    """Filters of each level, from half the picture's size down."""

    widths: tuple[int, ...] = (24, 48, 80, 112)
    channels: int = 2


def _twice(channels_in: int, channels_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for source in (channels_in, channels_out):
        layers += [
            nn.Conv2d(source, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class LesionSegmenter(nn.Module):
    """Pictures (batch, 2, rows, cols) in 0..1, sides multiples of 16 -> logits of lesion (batch, rows, cols)."""

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__()
        self.config = config
        first = config.widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(config.channels, first, 5, 2, 2, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
        )
        self.down = nn.ModuleList(
            _twice(source, width)
            for source, width in zip((first, *config.widths), config.widths, strict=False)
        )
        below = list(zip(config.widths[1:], config.widths, strict=False))
        self.up = nn.ModuleList(_twice(deep + side, side) for deep, side in reversed(below))
        self.head = nn.Conv2d(first, 1, 1)
        nn.init.constant_(self.head.bias, -3.0)  # type: ignore[arg-type]  # few pixels are lesion

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the logits at the pictures' own size."""
        x = self.stem(pictures)
        passed: list[Tensor] = []
        for number, block in enumerate(self.down):
            x = block(x if number == 0 else functional.max_pool2d(x, 2))
            passed.append(x)
        for block, side in zip(self.up, reversed(passed[:-1]), strict=True):
            wide = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([wide, side], 1))
        logits = functional.interpolate(self.head(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        return logits[:, 0]


def lesion_probability(
    model: LesionSegmenter, canvases: NDArray[np.uint8], energies: str = "both"
) -> NDArray[np.float32]:
    """Probability of lesion at every pixel, the mean over the picture and its mirror image head to foot.

    Parameters
    ----------
    canvases
        (n, 2, rows, cols) uint8, low energy and recombined.
    energies
        "both", or "low" or "recombined" to read one image alone.

    Returns
    -------
    (n, rows, cols) float32 in [0, 1], 0 in air.
    """
    model.eval()
    device = next(model.parameters()).device
    out = np.zeros((len(canvases), *canvases.shape[2:]), np.float32)
    with torch.inference_mode(), autocast(device):
        for first in range(0, len(canvases), 16):
            part = np.ascontiguousarray(canvases[first : first + 16])
            batch = torch.from_numpy(part).to(device).float() / 255.0
            if energies != "both":
                batch[:, 1 if energies == "low" else 0] = 0.0
            seen = torch.cat([batch, batch.flip(2)]).contiguous(memory_format=torch.channels_last)
            p = torch.sigmoid(model(seen).float())
            mean = (p[: len(batch)] + p[len(batch) :].flip(1)) / 2
            out[first : first + 16] = mean.cpu().numpy() * (part.max(axis=1) > 0)
    return out


def autocast(device: torch.device) -> torch.autocast:
    """bf16 where the device multiplies in it, else full precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bf16(device.type))
