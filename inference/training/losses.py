"""Losses from image-level labels. Nothing here sees a lesion's place."""

from __future__ import annotations

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
