"""System B's network (Kim et al. 2018, Sci Rep 8:2762): cancer maps learnt from image-level labels.

Two initial convolutions, four residual blocks of four convolutions, and a 1 x 1 convolution to two class
maps: 19 in all, at any width. Shortcuts carry no convolution (pooling and zero channels), so the count
holds. The evidence map is cancer minus normal; its pooling per view, then per breast, is the score.
Architecture and forward only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional


class Pooling(StrEnum):
    """How a map becomes a score: the paper's average, or a smooth maximum that small lesions survive."""

    AVERAGE = "average"
    SMOOTH_MAX = "smooth_max"


@dataclass(frozen=True, slots=True, kw_only=True)
class CamConfig:
    """Size of the network; ``width`` is the filter count of the first convolution, doubled along the
    depth."""

    width: int = 16
    pooling: Pooling = Pooling.SMOOTH_MAX
    sharpness: float = 4.0  # of the smooth maximum; unused by AVERAGE
    detail_px: int = (
        0  # 0 = the picture alone; else one channel more, the picture minus its mean over so many pixels
    )
    spots: bool = False  # the input's second channel counts small bright spots
    flips: bool = False  # predict what all four mirror images agree on
    dropout: float = 0.1


STRIDE = 16  # canvas pixels per map cell; cell i covers pixels 16 i to 16 i + 16
_MIRRORS: tuple[tuple[int, ...], ...] = ((), (-2,), (-1,), (-2, -1))


class ResidualUnit(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation, and a shortcut without parameters."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self._extra = channels_out - channels_in
        self._stride = stride

    def forward(self, x: Tensor) -> Tensor:
        out = functional.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        short = functional.avg_pool2d(x, self._stride) if self._stride > 1 else x
        if self._extra:
            short = functional.pad(short, (0, 0, 0, 0, 0, self._extra))
        return functional.relu(out + short)


class CamNetwork(nn.Module):
    """What every network with evidence maps has in common: maps of two classes, use of maps, pooling.

    A subclass gives ``class_maps``. Canvas (batch, 1 or 2, rows, cols): the first channel is the picture in
    [-1, 1]; the second, where the configuration has one, counts spots.
    """

    def __init__(self, config: CamConfig) -> None:
        super().__init__()
        self.config = config

    def class_maps(self, canvas: Tensor) -> Tensor:
        """Return the two maps (batch, 2, rows / 16, cols / 16), logits of cancer and of normal."""
        raise NotImplementedError

    def forward(self, canvas: Tensor) -> Tensor:
        """Return the evidence map: (batch, rows / 16, cols / 16), logits of cancer against normal.

        Pooling is linear or monotonous in it, and the softmax of the two classes is the sigmoid of it, so that
        nothing is lost by taking the difference first.
        """
        maps = self.class_maps(canvas)
        evidence: Tensor = maps[:, 0] - maps[:, 1]
        return evidence

    def predict(self, canvas: Tensor, offset_px: tuple[float, float] = (0.0, 0.0)) -> Tensor:
        """Return the evidence map for use: put straight, and with ``flips`` the least over the mirror images.

        What is seen in the picture but not in its mirror image was an answer to something beside the place.

        Parameters
        ----------
        offset_px
            How far down and right of its cause the map of an unmirrored canvas answers, in canvas pixels. The
            same holds for a mirrored canvas, so that no side is favoured.
        """
        axes = _MIRRORS if self.config.flips else _MIRRORS[:1]
        maps = [moved_back(self(canvas.flip(way)), offset_px).flip(way) for way in axes]
        return torch.stack(maps).amin(0)

    def view_logits(self, evidence: Tensor, inside: Tensor) -> Tensor:
        """First stage of pooling: over the cells inside the breast.

        Parameters
        ----------
        evidence
            (batch, map rows, map cols) logits.
        inside
            Same shape, 1 where the cell touches the breast, else 0. A view without breast pools over all
            cells.

        Returns
        -------
        (batch,) logits.
        """
        weight = torch.where(inside.sum((1, 2), keepdim=True) > 0, inside, torch.ones_like(inside))
        count = weight.sum((1, 2))
        if self.config.pooling is Pooling.AVERAGE:
            return (evidence * weight).sum((1, 2)) / count
        sharp = self.config.sharpness
        masked = (evidence.float() * sharp).masked_fill(weight <= 0, float("-inf"))
        return (torch.logsumexp(masked.flatten(1), 1) - count.float().log()) / sharp


class CamClassifier(CamNetwork):
    """The published network at any width."""

    def __init__(self, config: CamConfig) -> None:
        super().__init__(config)
        w = config.width
        plan = ((w, w, 1), (w, w * 2, 2), (w * 2, w * 4, 2), (w * 4, w * 6, 1))
        channels = 1 + bool(config.detail_px) + config.spots
        self.stem1 = nn.Sequential(nn.Conv2d(channels, w, 5, 2, 2, bias=False), nn.BatchNorm2d(w), nn.ReLU())
        self.stem2 = nn.Sequential(nn.Conv2d(w, w, 3, 1, 1, bias=False), nn.BatchNorm2d(w), nn.ReLU())
        self.pool = nn.MaxPool2d(2)
        self.blocks = nn.ModuleList(
            nn.Sequential(ResidualUnit(c_in, c_out, stride), ResidualUnit(c_out, c_out, 1))
            for c_in, c_out, stride in plan
        )
        self.dropout = nn.Dropout2d(config.dropout)
        self.head = nn.Conv2d(w * 6, 2, 1)
        # even evidence at the start: a smooth maximum over loud random maps would learn their noise first
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.constant_(self.head.bias, 0.0)  # type: ignore[arg-type]

    def class_maps(self, canvas: Tensor) -> Tensor:
        x = self.pool(self.stem2(self.stem1(self._with_detail(canvas))))
        for block in self.blocks:
            x = block(x)
        maps: Tensor = self.head(self.dropout(x))
        return maps

    def _with_detail(self, canvas: Tensor) -> Tensor:
        if not self.config.detail_px:
            return canvas
        return torch.cat([canvas, 4.0 * local_detail(canvas[:, :1], self.config.detail_px)], 1)


def local_detail(grey: Tensor, size: int) -> Tensor:
    """Picture (batch, 1, rows, cols) in [-1, 1] less its mean over ``size`` pixels; 0 in air."""
    coarse = functional.avg_pool2d(grey, 4)  # a mean over 20 pixels needs no full resolution
    wide = size // 4 // 2 * 2 + 1
    coarse = functional.avg_pool2d(coarse, wide, 1, wide // 2, count_include_pad=False)
    mean = functional.interpolate(coarse, size=grey.shape[2:], mode="bilinear", align_corners=False)
    # air is level ground: without this the skin line would be the strongest detail of every picture
    return torch.where(grey > -1.0, grey - mean, torch.zeros_like(grey))


def moved_back(evidence: Tensor, offset_px: tuple[float, float]) -> Tensor:
    """Move maps (batch, map rows, map cols) up and left by canvas pixels, bilinear, edges repeated."""
    evidence = evidence.float()
    if offset_px == (0.0, 0.0):
        return evidence
    count, rows, cols = evidence.shape
    down, right = (2.0 * px / STRIDE / n for px, n in zip(offset_px, (rows, cols), strict=True))
    matrix = torch.tensor([[1.0, 0.0, right], [0.0, 1.0, down]], device=evidence.device)
    grid = functional.affine_grid(
        matrix.expand(count, 2, 3),
        [count, 1, rows, cols],
        align_corners=False,
    )
    moved = functional.grid_sample(evidence[:, None], grid, padding_mode="border", align_corners=False)
    return moved[:, 0]


def network_of(config: CamConfig) -> CamNetwork:
    """Make the network that a configuration describes, with fresh weights."""
    if type(config) is CamConfig:
        return CamClassifier(config)
    from inference.models.dib_mg_modern import ModernCam, ModernConfig  # timm only where it is needed

    assert isinstance(config, ModernConfig)
    return ModernCam(config)


def map_mask(mask: Tensor) -> Tensor:
    """Shrink a canvas breast mask (batch, rows, cols) in {0, 1} to map cells: 1 where a cell touches the
    breast."""
    return functional.max_pool2d(mask[:, None].float(), STRIDE)[:, 0]


def breast_logit(view_logits: Tensor) -> Tensor:
    """Second stage of pooling: the mean over a breast's views, (..., views) -> (...)."""
    return view_logits.mean(-1)


def fold_batch_norm(model: CamNetwork) -> CamNetwork:
    """Return the same function with every batch normalisation folded into its convolution (for
    prediction). Another network than the published one is only set to predict."""
    model.eval()
    if not isinstance(model, CamClassifier):
        return model
    for stem in (model.stem1, model.stem2):
        stem[0], stem[1] = _fused(stem[0], stem[1]), nn.Identity()
    for block in model.blocks:
        assert isinstance(block, nn.Sequential)
        for unit in block:
            assert isinstance(unit, ResidualUnit)
            unit.conv1, unit.conv2 = _fused(unit.conv1, unit.bn1), _fused(unit.conv2, unit.bn2)
            unit.bn1, unit.bn2 = nn.Identity(), nn.Identity()  # type: ignore[assignment]
    return model


def _fused(conv: nn.Module, norm: nn.Module) -> nn.Conv2d:
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    fused: nn.Conv2d = torch.nn.utils.fusion.fuse_conv_bn_eval(conv, norm)
    return fused
