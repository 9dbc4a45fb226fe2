"""Convolutional block attention (Woo et al. 2018, arXiv:1807.06521): first which channels, then which places.

The two equations of its section 3 and nothing else; it knows no backbone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ChannelAttention(nn.Module):
    """M_c(F) = sigmoid(W1 relu(W0 avg F) + W1 relu(W0 max F)); the two poolings share the weights."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.squeeze = nn.Linear(channels, hidden, bias=False)
        self.excite = nn.Linear(hidden, channels, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Weights of the channels: (batch, channels, 1, 1) in [0, 1]."""
        pooled = (features.mean((2, 3)), features.amax((2, 3)))
        summed = torch.stack([self.excite(functional.relu(self.squeeze(p))) for p in pooled]).sum(0)
        return torch.sigmoid(summed)[:, :, None, None]


class SpatialAttention(nn.Module):
    """M_s(F) = sigmoid(f7x7([avg F; max F])), the poolings taken over the channels."""

    def __init__(self, kernel: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Weights of the places: (batch, 1, rows, cols) in [0, 1]."""
        pooled = torch.cat([features.mean(1, keepdim=True), features.amax(1, keepdim=True)], 1)
        return torch.sigmoid(self.conv(pooled))


class Cbam(nn.Module):
    """F' = M_c(F) F, then F'' = M_s(F') F'; same shape in and out."""

    def __init__(self, channels: int, reduction: int = 16, kernel: int = 7) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels, reduction)
        self.spatial = SpatialAttention(kernel)

    def forward(self, features: Tensor) -> Tensor:
        """Refine a feature map (batch, channels, rows, cols)."""
        refined = features * self.channel(features)
        out: Tensor = refined * self.spatial(refined)
        return out
