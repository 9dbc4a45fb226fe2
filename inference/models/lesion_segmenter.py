"""A small U-Net (Ronneberger et al. 2015) that outlines lesions on a low-energy and recombined pair.

Plain convolutions with normalisation, one halving before the first level so that two CPU cores are enough.
Architecture and forward only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


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
