"""System A's network: Faster R-CNN with feature pyramid on four views that are fused before the proposals.

timm backbone -> pyramid -> left/right and CC/MLO fusion -> torchvision's region proposals -> boxes, types,
malignancy, descriptors, masks (``four_view_heads``). One to four views of each exam. Architecture and forward
only; canvases come from ``inference.preprocessing.four_view``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

import inference.models.vision_ops  # noqa: F401 - must come before timm and torchvision

import timm  # isort: skip
from torchvision.models.detection.anchor_utils import AnchorGenerator  # isort: skip
from torchvision.models.detection.image_list import ImageList  # isort: skip
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead  # isort: skip
from torchvision.ops import FeaturePyramidNetwork  # isort: skip

from inference.models.four_view_fusion import (
    OTHER_PROJECTION,
    OTHER_SIDE,
    ProjectionFusion,
    SideFusion,
    partners,
)
from inference.models.four_view_heads import Found, LesionHeads, Targets

_RATIOS = (0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FourViewConfig:
    """Size of the network. ``anchors`` are side lengths in canvas pixels, one tuple a pyramid level."""

    backbone: str = "tf_efficientnet_lite0"
    planes: int = 3
    channels: int = 64
    strides: tuple[int, ...] = (8, 16, 32)
    anchors: tuple[tuple[int, ...], ...] = ((18, 28), (42, 62), (92, 140))
    box_features: int = 256
    frozen_stages: int = 0  # the stem and so many stages keep their start weights; 0 = all learn
    frozen_depthwise: bool = True  # on a CPU their weights' gradients cost more than all else of a step
    pool_scale: int = 80  # regions of this side in pixels are pooled from the level of stride 16
    reach_px: int = 40  # how far a mirrored or projected place may be off
    proposals_training: int = 120  # per view, after suppression
    proposals: int = 60
    regions: int = 64  # per view, sampled for the heads while training


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """Which fusion parts work in a forward pass: both in use, fewer for ablations and in training."""

    sides: bool = True
    projections: bool = True


BOTH = Fused()
NEITHER = Fused(sides=False, projections=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """A batch: planes (views, planes, rows, cols) float32, and of each view its exam, slot and used rows."""

    planes: Tensor
    exams: tuple[int, ...]
    slots: tuple[int, ...]
    used_rows: tuple[int, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Canvas rows and columns."""
        return int(self.planes.shape[2]), int(self.planes.shape[3])


class _ProposalHead(RPNHead):  # type: ignore[misc]
    """torchvision's head whose answers leave it in full precision."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        logits, deltas = super().forward(x)
        return [v.float() for v in logits], [v.float() for v in deltas]


class FourViewDetector(nn.Module):
    """Views of one or more exams -> lesions in each view."""

    def __init__(self, config: FourViewConfig, *, pretrained: bool = False) -> None:
        super().__init__()
        self.config = config
        # level k of timm's features has stride 2 ** (k + 1)
        levels = tuple(stride.bit_length() - 2 for stride in config.strides)
        self.backbone = timm.create_model(
            config.backbone,
            pretrained=pretrained,
            features_only=True,
            out_indices=levels,
            in_chans=config.planes,
        )
        self.pyramid = FeaturePyramidNetwork(self.backbone.feature_info.channels(), config.channels)
        self.sides = SideFusion(config.channels)
        self.projections = ProjectionFusion(config.channels)
        generator = AnchorGenerator(config.anchors, (_RATIOS,) * len(config.anchors))
        self.proposals = RegionProposalNetwork(
            generator,
            _ProposalHead(config.channels, generator.num_anchors_per_location()[0]),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.3,
            batch_size_per_image=96,
            positive_fraction=0.5,
            pre_nms_top_n={"training": 400, "testing": 250},
            post_nms_top_n={"training": config.proposals_training, "testing": config.proposals},
            nms_thresh=0.7,
        )
        self.heads = LesionHeads(
            channels=config.channels,
            levels=[str(n) for n in range(len(config.strides))],
            features=config.box_features,
            regions=config.regions,
            pool_scale=config.pool_scale,
        )
        self.freeze()

    def freeze(self) -> None:
        """Keep the start weights of the stem and the first stages (0 = of neither), and of what else is said."""
        count = self.config.frozen_stages
        children = dict(self.backbone.named_children())
        stem = [children[name] for name in ("conv_stem", "conv1", "bn1") if name in children]
        stages = list(children.get("blocks", [])) or [children[n] for n in sorted(children) if "layer" in n]
        frozen = stem + stages[:count] if count else []
        if self.config.frozen_depthwise:
            convolutions = [m for m in self.backbone.modules() if isinstance(m, nn.Conv2d)]
            frozen += [m for m in convolutions if m.groups > 1 and m.groups == m.in_channels]
        for module in frozen:
            for parameter in module.parameters():
                parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> FourViewDetector:
        """Switch to training; normalisation layers stay as they are for prediction."""
        super().train(mode)
        for module in self.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def features(self, views: Views, fused: Fused = BOTH) -> dict[str, Tensor]:
        """Return the fused pyramid: by level name (views, channels, rows, cols) float32."""
        plain = self._pyramid(views)
        device = views.planes.device
        out: dict[str, Tensor] = {}
        side = _present(partners(views.exams, views.slots, OTHER_SIDE), device)
        projection = _present(partners(views.exams, views.slots, OTHER_PROJECTION), device)
        for stride, (name, level) in zip(self.config.strides, plain.items(), strict=True):
            reach = 2 * max(1, round(self.config.reach_px / stride / 2)) + 1
            x = level
            if fused.sides:
                x = self.sides(x, *side, reach)
            if fused.projections:
                x = self.projections(x, *projection, reach)
            out[name] = x
        return out

    def _pyramid(self, views: Views) -> dict[str, Tensor]:
        """Backbone and pyramid, on the rows that each projection uses; the rest of a level is zero."""
        total = views.size[0]
        parts: list[dict[str, Tensor]] = []
        order: list[int] = []
        for rows in sorted(set(views.used_rows)):
            mine = [i for i, used in enumerate(views.used_rows) if used == rows]
            order += mine
            picture = views.planes[mine, :, :rows].contiguous(memory_format=torch.channels_last)
            levels = self.backbone(picture)
            named = self.pyramid({str(n): level for n, level in enumerate(levels)})
            parts.append(
                {
                    name: functional.pad(x, (0, 0, 0, total // stride - x.shape[2]))
                    for stride, (name, x) in zip(self.config.strides, named.items(), strict=True)
                }
            )
        back = torch.tensor(order, device=views.planes.device).argsort()
        return {name: torch.cat([part[name] for part in parts])[back] for name in parts[0]}

    def losses(self, views: Views, targets: Sequence[Targets], fused: Fused = BOTH) -> dict[str, Tensor]:
        """Return the training losses by name, one target for each view."""
        features = self.features(views, fused)
        boxes = [{"boxes": target.boxes, "labels": target.labels} for target in targets]
        images = ImageList(views.planes, [views.size] * len(views.slots))
        regions, proposal_losses = self.proposals(images, features, boxes)
        full = {name: level.float() for name, level in features.items()}
        return {**proposal_losses, **self.heads.losses(full, regions, targets, views.size)}

    def forward(self, views: Views, fused: Fused = BOTH) -> list[Found]:
        """Return the lesions found in each view, best first."""
        features = self.features(views, fused)
        images = ImageList(views.planes, [views.size] * len(views.slots))
        regions, _ = self.proposals(images, features)
        full = {name: level.float() for name, level in features.items()}
        return self.heads(full, regions, views.size)  # type: ignore[no-any-return]


def _present(partner: list[int], device: torch.device) -> tuple[Tensor, Tensor]:
    index = torch.tensor(partner, device=device)
    return index.clamp(min=0), (index >= 0).float().view(-1, 1, 1, 1)
