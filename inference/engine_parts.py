"""What the engines' constructors share: weights read, networks made and filled, and a wrong card refused in one sentence.

Whatever is wrong in a card ends as ``ModelError``; which numbers and networks a card holds is each engine's own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from inference.matching import PREFIX, Matcher, load_matcher
from inference.model_card import ModelCard, ModelError, checked_weights

_T = TypeVar("_T", bound=nn.Module)
_MEMBER = "member"  # tensors of an ensemble's networks are named member0.*, member1.*, ...
# what a setting of the wrong kind, size or name ends in, in this program, in torch or in timm
_WRONG = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError, AssertionError)


@contextmanager
def understood(card: ModelCard, where: str) -> Iterator[None]:
    """Turn what a wrong setting under ``architecture/where`` raises into a ModelError that names it."""
    try:
        yield
    except _WRONG as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"Model {card.model_id}: architecture/{where}: {said}; correct the card or install a program version "
            "that knows it."
        ) from error


def check_chain(card: ModelCard, chains: Collection[str]) -> None:
    """Refuse a card whose preprocessing is not one of those that its networks read."""
    if card.preprocessing not in chains:
        raise ModelError(
            f"Model {card.model_id}: preprocessing: expected one of {', '.join(sorted(chains))}, found "
            f"{card.preprocessing}; correct the card."
        )


def check_members(card: ModelCard, state: Mapping[str, Tensor], said: int) -> None:
    """Refuse weights that hold another number of networks than the card, for its calibration is of that number."""
    found = len({name.split(".")[0] for name in state if name.startswith(_MEMBER)})
    if found != said:
        raise ModelError(
            f"Model {card.model_id}: architecture/members: expected {said} networks in the weights, found {found}; "
            "copy the model folder again."
        )


def number_of(card: ModelCard, name: str, fallback: float) -> float:
    """A finite number of the card's architecture; a missing one is ``fallback``."""
    with understood(card, name):
        value = float(card.architecture.get(name, fallback))
        if not np.isfinite(value):
            raise ValueError(f"expected a finite number, found {value}")
    return value


def scale(card: ModelCard, name: str) -> tuple[float, float]:
    """``name``_slope and ``name``_intercept of the card's architecture, which change nothing where missing."""
    return number_of(card, f"{name}_slope", 1.0), number_of(card, f"{name}_intercept", 0.0)


def weights_of(card: ModelCard) -> dict[str, Tensor]:
    """The tensors of the card's weights file; ModelError when it is absent, not the card's, or cannot be read."""
    try:
        return dict(safetensors.torch.load(checked_weights(card)))
    except safetensors.SafetensorError as error:
        raise ModelError(
            f"Model {card.model_id}: the weights file cannot be read ({error}); copy the model folder again."
        ) from error


def matcher_of(state: Mapping[str, Tensor]) -> Matcher | None:
    """The matcher of lesions between views, where the weights hold one."""
    mine = {name: value.numpy() for name, value in state.items() if name.startswith(PREFIX)}
    return load_matcher(mine) if mine else None


def part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors below a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def filled(card: ModelCard, network: _T, state: Mapping[str, Tensor], device: torch.device) -> _T:
    """The network with these weights as float32, for reading, on its device; ModelError when they do not fit."""
    try:
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    except RuntimeError as error:
        raise ModelError(
            f"Model {card.model_id}: the weights do not fit the network that the card describes "
            f"({str(error).splitlines()[0]}); copy the model folder again."
        ) from error
    return network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
