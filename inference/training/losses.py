"""Losses from image-level labels. Nothing here sees a lesion's place."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from inference.models.cam_classifier import breast_logit


def weak_loss(view_logits: Tensor, labels: Tensor, *, view_weight: float = 0.5) -> Tensor:
    """Cross-entropy of the breast's score, and of each of its views against the breast's label.

    Parameters
    ----------
    view_logits
        (breasts * 2,) CC, MLO in turn.
    labels
        (breasts,) 0 or 1.
    view_weight
        Weight of the views' term.

    Returns
    -------
    Scalar.
    """
    pairs = view_logits.reshape(-1, 2)
    breast = functional.binary_cross_entropy_with_logits(breast_logit(pairs), labels)
    view = functional.binary_cross_entropy_with_logits(pairs, labels[:, None].expand_as(pairs))
    return breast + view_weight * view


def mirror_loss(evidence: Tensor, mirrored: Tensor, inside: Tensor) -> Tensor:
    """Disagreement of a map with the map of the mirrored picture, turned back.

    Image-level labels do not say where in its field of view a cell should look; following the picture through
    its mirrors narrows that. It is no proof: two answers, one on either side of the cause, follow it as well
    (``straightening`` measures what is left). No lesion's place is used.

    Parameters
    ----------
    evidence, mirrored
        (views, map rows, map cols) logits, in the same orientation.
    inside
        Same shape, 1 where the cell touches the breast, else 0.

    Returns
    -------
    Scalar in 0..1, weighted towards cells with evidence.
    """
    a, b = torch.sigmoid(evidence) * inside, torch.sigmoid(mirrored) * inside
    apart = ((a - b) ** 2).sum((1, 2))
    weight = 1.0 + (a**2 + b**2).sum((1, 2))
    return (apart / weight).mean()
