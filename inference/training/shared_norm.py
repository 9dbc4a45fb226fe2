"""Batch normalisation over the batches of all processes, so that several learn what one on the whole batch would.

Works between CPUs (gloo) and CUDA devices (NCCL) alike; PyTorch's own synchronised layer refuses CPUs. Owns no process
group: without one it is the plain layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class _SumOverProcesses(torch.autograd.Function):
    """The sum over all processes; each one's loss depends on every other's part, so gradients are summed too."""

    @staticmethod
    def forward(_context: Any, value: Tensor) -> Tensor:
        total = value.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        torch.distributed.all_reduce(total)
        return total


def sum_over_processes(value: Tensor) -> Tensor:
    """Add a tensor of the same shape from every process; differentiable."""
    total: Tensor = _SumOverProcesses.apply(value)  # type: ignore[no-untyped-call]
    return total


class SharedNorm(nn.BatchNorm2d):
    """Normalises by mean and variance over the batches of all processes, which may differ in size."""

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and torch.distributed.is_initialized()):
            return super().forward(x)
        wide = x.float()  # sums over a million pixels do not fit bf16
        own = torch.cat([wide.sum((0, 2, 3)), wide.new_tensor([wide.numel() / wide.shape[1]])])
        summed = sum_over_processes(own)
        count = summed[-1].detach()
        mean = summed[:-1] / count
        centred = wide - mean[:, None, None]
        variance = sum_over_processes((centred * centred).sum((0, 2, 3))) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)


def share_norms(model: nn.Module) -> int:
    """Make every plain batch normalisation of a network a shared one, same weights; returns how many.

    Layers of other classes (timm's, with their activation inside) stay as they are and see their process's batch only.
    """
    found = [m for m in model.modules() if type(m) is nn.BatchNorm2d]
    for norm in found:
        norm.__class__ = SharedNorm
    return len(found)
