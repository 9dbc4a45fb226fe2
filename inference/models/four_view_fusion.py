"""Fusion of the views of an exam before the region proposals: left with right, CC with MLO.

Both parts are residual and gated, start as the identity, and leave a view whose partner is missing as it was.
Views must lie on one canvas as ``inference.preprocessing.four_view`` lays them. Architecture only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

OTHER_SIDE = (1, 0, 3, 2)  # slots are R-CC, L-CC, R-MLO, L-MLO
OTHER_PROJECTION = (2, 3, 0, 1)


def partners(exams: Sequence[int], slots: Sequence[int], other: Sequence[int]) -> list[int]:
    """Index of each view's partner view in the batch, -1 where its exam has none.

    Parameters
    ----------
    exams
        Exam number of each view.
    slots
        Slot 0..3 of each view.
    other
        ``OTHER_SIDE`` or ``OTHER_PROJECTION``.
    """
    where = {(exam, slot): index for index, (exam, slot) in enumerate(zip(exams, slots, strict=True))}
    return [where.get((exam, other[slot]), -1) for exam, slot in zip(exams, slots, strict=True)]


class _Gated(nn.Module):
    """x + present * gate * change, where both read the view and what its partner shows there."""

    def __init__(self, channels: int, sources: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels * (1 + sources), channels, 1)
        self.change = nn.Conv2d(channels, channels, 3, padding=1)
        self.gate = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)  # type: ignore[arg-type]
        nn.init.constant_(self.gate.bias, 1.0)  # type: ignore[arg-type]

    def forward(self, x: Tensor, other: Sequence[Tensor], present: Tensor) -> Tensor:
        mixed = functional.relu(self.mix(torch.cat([x, *other], 1)))
        out: Tensor = x + present * torch.sigmoid(self.gate(mixed)) * self.change(mixed)
        return out


class SideFusion(nn.Module):
    """Left/right: what the other breast shows at the mirrored place, give or take about a centimetre."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gated = _Gated(channels, 2)

    def forward(self, x: Tensor, partner: Tensor, present: Tensor, reach: int) -> Tensor:
        """Fuse one level.

        Parameters
        ----------
        x
            (views, channels, rows, cols) features.
        partner
            (views,) int64 index of the other side's view; any index where ``present`` is 0.
        present
            (views, 1, 1, 1) 1 or 0.
        reach
            Cells, odd: how far the mirrored place may be off.
        """
        other = x[partner] * present
        near = functional.max_pool2d(other, reach, 1, reach // 2)
        mean = functional.avg_pool2d(other, reach, 1, reach // 2)
        out: Tensor = self.gated(x, (near, mean), present)
        return out


class ProjectionFusion(nn.Module):
    """CC/MLO: what the other projection shows at the same distance from the nipple, in whichever row."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gated = _Gated(channels, 2)

    def forward(self, x: Tensor, partner: Tensor, present: Tensor, reach: int) -> Tensor:
        """Fuse one level; parameters as ``SideFusion.forward``, ``reach`` along the columns."""
        other = x[partner] * present
        column = other.amax(2, keepdim=True)
        near = functional.max_pool2d(column, (1, reach), 1, (0, reach // 2))
        mean = other.mean(2, keepdim=True)
        wide = (near.expand_as(x), mean.expand_as(x))
        out: Tensor = self.gated(x, wide, present)
        return out
