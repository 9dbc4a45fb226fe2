"""What is said of a proposed region: type, box, malignancy, BI-RADS descriptors and mask, with their losses.

Sampling and box coding are torchvision's; the answers share one small trunk. Architecture and forward only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

import inference.models.vision_ops  # noqa: F401 - must come before torchvision

from torchvision.models.detection.roi_heads import RoIHeads  # isort: skip
from torchvision.ops import MultiScaleRoIAlign, boxes as box_ops  # isort: skip

CLASSES = 5  # background, mass, calcification, asymmetry, distortion
DESCRIPTORS = {"shape": 3, "margin": 3, "morphology": 2, "distribution": 2}  # number of terms of each
MASK_SIDE = 28
_MASKED_REGIONS = 24  # per step: masks are learnt from few regions, they cost most
_WEIGHTS = {"type": 1.0, "box": 1.0, "malignancy": 0.5, "descriptors": 0.2, "mask": 0.5}
_TOP = 12  # lesions per view that leave the network
_FLOOR = 0.01  # lowest probability that leaves it
_SUPPRESS_IOU = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Truth of one view: boxes (n, 4) x0 y0 x1 y1, labels (n,) 1..4, malignant (n,) 0, 1 or -100 = unknown,
    descriptors (n,) each, masks of the same lesions (n, rows, cols) bool or None where none are drawn."""

    boxes: Tensor
    labels: Tensor
    malignant: Tensor
    descriptors: dict[str, Tensor]
    masks: Tensor | None = None
    drawn: Tensor | None = None  # (n,) bool: this lesion has a mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Lesions of one view, best first: boxes (n, 4) x0 y0 x1 y1 canvas pixels, score (n,) that a lesion is
    there, types (n, 4), malignancy (n,), all probabilities; descriptors by name (n, terms); masks
    (n, 28, 28) probabilities over the box."""

    boxes: Tensor
    score: Tensor
    types: Tensor
    malignancy: Tensor
    descriptors: dict[str, Tensor] = field(default_factory=dict)
    masks: Tensor | None = None


class LesionHeads(nn.Module):
    """Trunk and answers over pooled regions of the fused pyramid."""

    def __init__(
        self, *, channels: int, levels: list[str], features: int, regions: int, pool_scale: int
    ) -> None:
        super().__init__()
        where = {"canonical_scale": pool_scale, "canonical_level": 4}
        self.pool = MultiScaleRoIAlign(levels, 7, 2, **where)
        self.mask_pool = MultiScaleRoIAlign(levels, 14, 2, **where)
        # torchvision's heads are used for sampling and box coding alone
        self.sampler = RoIHeads(
            self.pool, nn.Identity(), nn.Identity(), 0.4, 0.4, regions, 0.4, None, 0.0, 0.5, _TOP
        )
        self.trunk = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * 49, features),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(features, features),
            nn.ReLU(),
        )
        self.kind = nn.Linear(features, CLASSES)
        self.box = nn.Linear(features, 4)
        self.malignancy = nn.Linear(features, 1)
        self.descriptors = nn.ModuleDict({name: nn.Linear(features, n) for name, n in DESCRIPTORS.items()})
        self.mask = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(channels, channels // 2, 2, 2),
            nn.ReLU(),
            nn.Conv2d(channels // 2, 1, 1),
        )

    def losses(
        self,
        features: dict[str, Tensor],
        regions: list[Tensor],
        targets: Sequence[Targets],
        size: tuple[int, int],
    ) -> dict[str, Tensor]:
        """Sample regions and return the losses by name."""
        truth = [{"boxes": t.boxes, "labels": t.labels} for t in targets]
        sampled, matched, labels, deltas = self.sampler.select_training_samples(regions, truth)
        hidden = self.trunk(self.pool(features, sampled, [size] * len(sampled)))
        label = torch.cat(labels)
        inside = label > 0
        type_loss = functional.cross_entropy(self.kind(hidden).float(), label)
        box_loss = functional.smooth_l1_loss(
            self.box(hidden)[inside].float(), torch.cat(deltas)[inside], beta=1 / 9, reduction="sum"
        )
        own = [m[x > 0] for m, x in zip(matched, labels, strict=True)]
        out = {
            "type": type_loss * _WEIGHTS["type"],
            "box": box_loss / max(1, label.numel()) * _WEIGHTS["box"],
            **self._described(hidden[inside], own, targets),
        }
        positive = [s[x > 0] for s, x in zip(sampled, labels, strict=True)]
        mask = self._mask_loss(features, positive, own, targets, size)
        return out if mask is None else {**out, "mask": mask * _WEIGHTS["mask"]}

    def _described(self, hidden: Tensor, own: list[Tensor], targets: Sequence[Targets]) -> dict[str, Tensor]:
        zero = hidden.sum() * 0.0
        known = torch.cat([t.malignant[m] for t, m in zip(targets, own, strict=True)])
        logit = self.malignancy(hidden)[:, 0].float()
        rated = known >= 0
        malignancy = (
            functional.binary_cross_entropy_with_logits(logit[rated], known[rated].float())
            if rated.any()
            else zero
        )
        descriptors = zero
        for name, head in self.descriptors.items():
            term = torch.cat([t.descriptors[name][m] for t, m in zip(targets, own, strict=True)])
            if (term >= 0).any():
                descriptors = descriptors + functional.cross_entropy(
                    head(hidden).float(), term, ignore_index=-100
                )
        return {
            "malignancy": malignancy * _WEIGHTS["malignancy"],
            "descriptors": descriptors * _WEIGHTS["descriptors"],
        }

    def _mask_loss(
        self,
        features: dict[str, Tensor],
        positive: list[Tensor],
        own: list[Tensor],
        targets: Sequence[Targets],
        size: tuple[int, int],
    ) -> Tensor | None:
        each = max(1, _MASKED_REGIONS // len(positive))
        boxes, wanted = [], []
        for region, match, target in zip(positive, own, targets, strict=True):
            if target.masks is None or target.drawn is None or not len(region):
                boxes.append(region[:0])
                continue
            chosen = torch.nonzero(target.drawn[match])[:, 0][:each]
            boxes.append(region[chosen])
            if len(chosen):
                number = match[chosen].to(region)[:, None]
                places = torch.cat([number, region[chosen]], 1)
                shapes = target.masks[:, None].float()
                align = torch.ops.torchvision.roi_align
                wanted.append(align(shapes, places, 1.0, MASK_SIDE, MASK_SIDE, 1, True)[:, 0])
        if not wanted:
            return None
        logits = self.mask(self.mask_pool(features, boxes, [size] * len(boxes)))[:, 0]
        return functional.binary_cross_entropy_with_logits(logits.float(), (torch.cat(wanted) > 0.5).float())

    def forward(
        self, features: dict[str, Tensor], regions: list[Tensor], size: tuple[int, int]
    ) -> list[Found]:
        """Return the lesions of each view, overlapping ones suppressed whatever their type."""
        hidden = self.trunk(self.pool(features, regions, [size] * len(regions)))
        counts = [len(region) for region in regions]
        types = self.kind(hidden).float().softmax(-1).split(counts)
        deltas = self.box(hidden).float().split(counts)
        chosen: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        for region, kind, delta, part in zip(regions, types, deltas, hidden.split(counts), strict=True):
            boxes = box_ops.clip_boxes_to_image(self.sampler.box_coder.decode(delta, [region])[:, 0], size)
            score = 1.0 - kind[:, 0]
            sides = boxes[:, 2:] - boxes[:, :2]
            real = torch.nonzero((score >= _FLOOR) & (sides.amin(1) > 2.0))[:, 0]
            kept = real[box_ops.nms(boxes[real], score[real], _SUPPRESS_IOU)][:_TOP]
            chosen.append((boxes[kept], score[kept], kind[kept, 1:], part[kept]))
        masks = self.mask(self.mask_pool(features, [c[0] for c in chosen], [size] * len(chosen)))
        shapes = masks[:, 0].float().sigmoid().split([len(c[0]) for c in chosen])
        return [
            Found(
                boxes=boxes,
                score=score,
                types=kind / kind.sum(1, keepdim=True).clamp(min=1e-9),
                malignancy=self.malignancy(part)[:, 0].float().sigmoid(),
                descriptors={name: head(part).float().softmax(-1) for name, head in self.descriptors.items()},
                masks=shape,
            )
            for (boxes, score, kind, part), shape in zip(chosen, shapes, strict=True)
        ]
