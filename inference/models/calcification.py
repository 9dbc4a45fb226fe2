"""The calcification ensemble: classifiers of crops whose answers are averaged, and where they look.

A member is a ``CropClassifier`` (benign or malignant) with a second answer from the same features: whether the
crop holds a group at all. Architecture, forward and Grad-CAM; what a crop is, is ``preprocessing.calcification``'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from inference.model_card import ModelError
from inference.models.crop_classifier import CropClassifier, CropConfig, grad_cam

_MEMBER = "member"  # tensors of the networks are named member0.*, member1.*, ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What is said of crops, before calibration: probabilities (members, crops)."""

    group: NDArray[np.float64]  # that a group of calcifications is there
    malignant: NDArray[np.float64]  # that the group, if there, is malignant


class CalcificationNet(nn.Module):
    """One member: crops (batch, 3, rows, cols) in 0..1 -> logits (batch, 2): a group is there, it is malignant."""

    def __init__(self, config: CropConfig, *, pretrained: bool = False) -> None:
        """Make the network; ``pretrained`` asks timm for its ImageNet weights, which needs a network once."""
        super().__init__()
        self.config = config
        self.crop = CropClassifier(config, pretrained=pretrained)
        self.group = nn.Linear(self.crop.head.in_features, 1)

    def forward(self, crops: Tensor) -> Tensor:
        """Return the logits (batch, 2); crops of another size than the network's are enlarged or shrunk."""
        attended = self.crop.attention(self.crop.features(fitted(crops, self.config.size)))
        pooled = self.crop.dropout(attended.mean((2, 3)))
        return torch.cat([self.group(pooled), self.crop.head(pooled)], dim=1)


def fitted(crops: Tensor, size: int) -> Tensor:
    """Crops at the size that a network is meant for."""
    if crops.shape[-1] == size:
        return crops
    return functional.interpolate(crops, (size, size), mode="bilinear", align_corners=False, antialias=True)


def networks_of(network: Sequence[Mapping[str, Any]]) -> list[CalcificationNet]:
    """Make the members that a card lists, with fresh weights.

    Raises
    ------
    ModelError
        A member's settings are not known.
    """
    out = []
    for number, spec in enumerate(network):
        try:
            out.append(CalcificationNet(CropConfig(**spec)))
        except (TypeError, ValueError, LookupError, AttributeError, RuntimeError) as error:
            raise ModelError(
                f"architecture/members/{number}: {error}; correct the card or install a program version that "
                "knows it."
            ) from error
    return out


def joined_state(members: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Put the members' tensors under one roof, for a weights file."""
    return {
        f"{_MEMBER}{number}.{name}": value
        for number, member in enumerate(members)
        for name, value in member.items()
    }


def member_state(state: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
    """Return one member's tensors from a weights file's, as float32."""
    prefix = f"{_MEMBER}{number}."
    return {
        name.removeprefix(prefix): value.float() if value.is_floating_point() else value
        for name, value in state.items()
        if name.startswith(prefix)
    }


def crops_tensor(crops: NDArray[np.uint8]) -> Tensor:
    """(n, 3, rows, cols) bytes as float32 in 0..1."""
    return (torch.from_numpy(crops).float() / 255.0).contiguous(memory_format=torch.channels_last)


def answers(
    networks: Sequence[CalcificationNet], crops: NDArray[np.uint8], device: torch.device, batch: int = 24
) -> Answers:
    """Ask every member about every crop.

    Parameters
    ----------
    crops
        (n, 3, rows, cols) uint8 planes.
    """
    group, malignant = [], []
    with torch.inference_mode():
        for network in networks:
            logits = [
                network(crops_tensor(crops[first : first + batch]).to(device)).double().cpu()
                for first in range(0, len(crops), batch)
            ]
            both = torch.sigmoid(torch.cat(logits)) if logits else torch.zeros((0, 2), dtype=torch.float64)
            group.append(both[:, 0].numpy())
            malignant.append(both[:, 1].numpy())
    return Answers(group=np.stack(group), malignant=np.stack(malignant))


def looked_at(
    networks: Sequence[CalcificationNet], crops: NDArray[np.uint8], device: torch.device
) -> NDArray[np.float32]:
    """Mean Grad-CAM of the members for "malignant", (n, rows, cols) float32 in [0, 1] of the crops' size."""
    if not len(crops):
        return np.zeros((0, *crops.shape[-2:]), np.float32)
    total = torch.zeros((len(crops), *crops.shape[-2:]))
    for network in networks:
        made = grad_cam(network.crop, fitted(crops_tensor(crops).to(device), network.config.size)).cpu()
        total += functional.interpolate(
            made[:, None], crops.shape[-2:], mode="bilinear", align_corners=False
        )[:, 0]
    return np.asarray((total / len(networks)).numpy(), np.float32)
