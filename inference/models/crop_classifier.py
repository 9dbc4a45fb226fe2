"""Classifier of image crops: a timm backbone, optionally CBAM before the pooling, one logit; Grad-CAM by captum.

Shared by the contrast-mammography and the calcification models. Architecture, forward and its explanation only;
what the channels hold is the caller's.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import inference.models.vision_ops  # noqa: F401 - must come before timm
from inference.models.cbam import Cbam
from inference.models.imagenet_start import PACKAGED, load_imagenet

PAPER_BACKBONES = {"densenet121": "densenet121", "xception": "legacy_xception", "resnet50": "resnet50"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CropConfig:
    """One network; ``size`` is the crop's rows and columns that it is meant for."""

    backbone: str = "tf_efficientnet_lite0"  # timm's name
    level: int = 4  # which of the backbone's feature maps is pooled: 4 = stride 32, 3 = stride 16
    cbam: bool = True
    size: int = 128
    channels: int = 3
    dropout: float = 0.2
    frozen_depthwise: bool = False  # depthwise filters stay as they start: on a CPU they cost most of a step


class CropClassifier(nn.Module):
    """Crops (batch, channels, rows, cols) in 0..1 -> logits (batch,), high = the class looked for."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: CropConfig, *, pretrained: bool = False) -> None:
        """Make the network; ``pretrained`` asks timm for its ImageNet weights, which needs a network once."""
        super().__init__()
        self.config = config
        timm: Any = importlib.import_module("timm")
        self.backbone = timm.create_model(
            config.backbone,
            pretrained=pretrained,
            features_only=True,
            out_indices=(config.level,),
            in_chans=config.channels,
        )
        info = self.backbone.feature_info
        width = int(info.channels()[-1])
        last = str(info.module_name()[-1])
        if last.startswith("blocks."):  # what lies behind the pooled map is neither run nor kept
            self.backbone.blocks = self.backbone.blocks[: int(last.split(".")[1]) + 1]
        self.attention: nn.Module = Cbam(width) if config.cbam else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(width, 1)
        self.register_buffer("mean", torch.full((1, config.channels, 1, 1), 0.449), persistent=False)
        self.register_buffer("std", torch.full((1, config.channels, 1, 1), 0.226), persistent=False)
        if config.frozen_depthwise:
            for module in self.backbone.modules():
                if isinstance(module, nn.Conv2d) and module.groups > 1:
                    module.weight.requires_grad_(False)

    def features(self, crops: Tensor) -> Tensor:
        """The backbone's feature map, before any attention."""
        found: Tensor = self.backbone((crops - self.mean) / self.std)[-1]
        return found

    def forward(self, crops: Tensor) -> Tensor:
        """Return the logits (batch,)."""
        attended = self.attention(self.features(crops))
        pooled = self.dropout(attended.mean((2, 3)))
        out: Tensor = self.head(pooled)[:, 0]
        return out


def start_from_imagenet(model: CropClassifier) -> bool:
    """Load the packaged ImageNet weights where there are some for this backbone; False = none, nothing changed."""
    name = model.config.backbone
    if name not in PACKAGED or importlib.util.find_spec(PACKAGED[name][0]) is None:
        return False
    load_imagenet(model.backbone, name)
    return True


def grad_cam(model: CropClassifier, crops: Tensor) -> Tensor:
    """Where the logit comes from (Selvaraju et al. 2017), at the map that is pooled, after any attention.

    Returns
    -------
    (batch, rows, cols) in [0, 1] of the crops' size; each map's greatest value is 1 unless nothing speaks for
    the class.
    """
    captum: Any = importlib.import_module("captum.attr")
    was = model.training
    model.eval()
    with torch.enable_grad():
        crops = crops.detach().requires_grad_(
            True
        )  # the map needs a gradient even where all weights are frozen
        raw: Tensor = captum.LayerGradCam(model, model.attention).attribute(crops, relu_attributions=True)
    model.train(was)
    wide = functional.interpolate(
        raw.detach().float(), crops.shape[-2:], mode="bilinear", align_corners=False
    )
    peak = wide.amax((1, 2, 3), keepdim=True)
    return (wide / peak.clamp_min(1e-12))[:, 0].clamp(0.0, 1.0)
