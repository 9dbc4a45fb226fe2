"""System B's maps on an ImageNet backbone: EfficientNet-Lite up to stride 16, its two finest ends joined, two maps.

Architecture and forward only; the same use of maps and the same pooling as ``cam_classifier``.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

import inference.models.vision_ops  # noqa: F401 - must come before timm
from inference.models.cam_classifier import CamConfig, CamNetwork, local_detail
from inference.models.imagenet_start import load_imagenet

_LAST_BLOCK = 5  # stages up to stride 16; what follows sees more than a breast at once
_NECK = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class ModernConfig(CamConfig):
    """``width`` is unused: the backbone has its own."""

    backbone: str = "tf_efficientnet_lite0"
    frozen_stages: int = 2  # with the stem keep their ImageNet weights: half of a step's time on a CPU


def modern_of(config: CamConfig, backbone: str) -> ModernCam:
    """The network on a backbone, all else as in the configuration of a card."""
    return ModernCam(
        ModernConfig(
            backbone=backbone,
            pooling=config.pooling,
            sharpness=config.sharpness,
            dropout=config.dropout,
            detail_px=config.detail_px,
            spots=config.spots,
            flips=config.flips,
        )
    )


class ModernCam(CamNetwork):
    """Canvas (batch, 2, rows, cols) of picture and spots -> evidence map, one cell per 16 x 16 pixels."""

    def __init__(self, config: ModernConfig) -> None:
        super().__init__(config)
        self.backbone_name, self.backbone_frozen = config.backbone, config.frozen_stages
        timm = importlib.import_module("timm")
        self.backbone = timm.create_model(
            config.backbone, pretrained=False, features_only=True, out_indices=(2, 3)
        )
        fine, coarse = self.backbone.feature_info.channels()
        self.backbone.blocks = self.backbone.blocks[:_LAST_BLOCK]
        self.neck = nn.Sequential(
            nn.Conv2d(fine + coarse, _NECK, 1, bias=False), nn.BatchNorm2d(_NECK), nn.ReLU()
        )
        self.dropout = nn.Dropout2d(config.dropout)
        self.head = nn.Conv2d(_NECK, 2, 1)
        # even evidence at the start: a smooth maximum over loud random maps would learn their noise first
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.constant_(self.head.bias, 0.0)  # type: ignore[arg-type]
        for part in self._frozen():
            part.requires_grad_(False)

    def start_from_imagenet(self) -> int:
        """Load the packaged ImageNet weights into the backbone; returns how many tensors."""
        return load_imagenet(self.backbone, self.backbone_name)

    def train(self, mode: bool = True) -> ModernCam:
        """As for every module; what is frozen keeps its statistics too."""
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def _frozen(self) -> list[nn.Module]:
        count = self.backbone_frozen
        return [self.backbone.conv_stem, self.backbone.bn1, *self.backbone.blocks[:count]] if count else []

    def class_maps(self, canvas: Tensor) -> Tensor:
        grey = canvas[:, :1]
        detail = (
            local_detail(grey, self.config.detail_px) if self.config.detail_px else torch.zeros_like(grey)
        )
        spots = canvas[:, 1:2] if self.config.spots else torch.zeros_like(grey)
        planes = torch.cat([grey, (4.0 * detail).clamp(-1, 1), (2.0 * spots - 1.0).clamp(-1, 1)], 1)
        fine, coarse = self.backbone(planes)
        x = self.neck(torch.cat([functional.avg_pool2d(fine, 2), coarse], 1))
        maps: Tensor = self.head(self.dropout(x))
        return maps
