"""Finds how far a trained network's maps answer from the cause, from mirrored pictures alone.

Image-level labels do not say where in its field of view a cell should look, so a trained map may answer a
cell or two beside its cause. In the mirrored picture it answers on the other side: half of the distance
between the two answers is the offset. No lesion's place is used.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from inference.models.cam_classifier import STRIDE, CamNetwork
from inference.preprocessing.pipeline import ModelInput

_FINE = 4  # canvas pixels per cell of the map that peaks are read from


def mirror_offset(
    model: CamNetwork, items: Sequence[ModelInput], *, least: float = 1.0
) -> tuple[tuple[float, float], int]:
    """Measure the offset of a network's maps.

    Parameters
    ----------
    least
        Views whose map or mirrored map peaks lower than this (logits) in the breast show nothing to compare.
        What a network answers to air was never asked for and counts for nothing.

    Returns
    -------
    Rows and columns in canvas pixels, medians, positive down and right; and the number of views used. Zeros
    when there were none.
    """
    down, right = [], []
    model.eval()
    with torch.inference_mode():
        for item in items:
            canvas = torch.from_numpy(item.planes)[None]
            plain = model(canvas)[0].float()
            rows = model(canvas.flip(-2))[0].flip(-2).float()
            cols = model(canvas.flip(-1))[0].flip(-1).float()
            peaks = [_peak(evidence.numpy(), item.counted) for evidence in (plain, rows, cols)]
            if min(height for height, _, _ in peaks) < least:
                continue
            down.append(0.5 * (peaks[0][1] - peaks[1][1]))
            right.append(0.5 * (peaks[0][2] - peaks[2][2]))
    if not down:
        return (0.0, 0.0), 0
    return (float(np.median(down)), float(np.median(right))), len(down)


def _peak(evidence: NDArray[np.float32], counted: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Height, row and column of the highest point in what counts of the canvas, canvas pixels."""
    factor = STRIDE // _FINE
    size = (evidence.shape[1] * factor, evidence.shape[0] * factor)
    fine = cv2.resize(evidence, size, interpolation=cv2.INTER_CUBIC)
    inside = cv2.resize(counted.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    fine = np.where(inside, fine, -np.inf)
    row, col = np.unravel_index(int(np.argmax(fine)), fine.shape)
    return float(fine[row, col]), (float(row) + 0.5) * _FINE, (float(col) + 0.5) * _FINE
