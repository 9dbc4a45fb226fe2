"""From stored pixels to the grey values a reader sees first, as numbers in [0, 1].

Owns the arithmetic of the first VOI (PS3.3 C.11.2), inversion and air. It does not draw: what reaches a
screen is composed in ``app.state.display``; a model sees the same picture through this file.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.exam.types import Presentation, ViewImage, Voi, VoiFunction


def voi_values(modality: NDArray[np.float64], voi: Voi) -> NDArray[np.float64]:
    """Apply one window or VOI table to modality values.

    Parameters
    ----------
    modality
        Any shape, modality units (after rescale).
    voi
        The window or table to apply.

    Returns
    -------
    Same shape, float64 in [0, 1].

    Notes
    -----
    PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.2 (LINEAR_EXACT), C.11.2.1.3.1 (SIGMOID), C.11.1.1 (table,
    clamped).
    """
    if voi.function is VoiFunction.TABLE:
        assert voi.table is not None
        index = np.clip(np.rint(modality) - voi.first_value, 0, len(voi.table) - 1).astype(np.int64)
        return np.asarray(voi.table[index] / float((1 << voi.table_bits) - 1), dtype=np.float64)
    if voi.function is VoiFunction.SIGMOID:
        power = np.clip(-4.0 * (modality - voi.center) / max(voi.width, 1e-9), -700.0, 700.0)
        return np.asarray(1.0 / (1.0 + np.exp(power)), dtype=np.float64)
    if voi.function is VoiFunction.LINEAR_EXACT:
        return np.asarray(np.clip((modality - voi.center) / max(voi.width, 1e-9) + 0.5, 0.0, 1.0))
    if voi.width <= 1.0:  # LINEAR of width 1 is a step
        return np.asarray(np.where(modality <= voi.center - 0.5, 0.0, 1.0), dtype=np.float64)
    return np.asarray(np.clip((modality - (voi.center - 0.5)) / (voi.width - 1.0) + 0.5, 0.0, 1.0))


def first_voi_table(presentation: Presentation) -> NDArray[np.float32]:
    """Return the grey of every possible pixel value under the first VOI: (65536,) float32 in [0, 1], air =
    0."""
    pixels = np.arange(65536, dtype=np.float64)
    modality = (pixels + presentation.stored_offset) * presentation.slope + presentation.intercept
    grey = voi_values(modality, presentation.vois[0])
    if presentation.inverse:  # MG-19: after the VOI
        grey = 1.0 - grey
    if presentation.padding is not None:  # MG-18: air is black whatever the window or inversion says
        low, high = presentation.padding
        grey[max(low, 0) : high + 1] = 0.0
    return grey.astype(np.float32)


def displayed_grey(image: ViewImage) -> NDArray[np.float32]:
    """Return the view as first shown: (rows, cols) float32 in [0, 1], stored orientation, air = 0."""
    return first_voi_table(image.presentation)[image.pixels]
