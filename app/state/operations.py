"""What each operation does to a ``ViewportState``: one function from state, operation and image to the
next state."""

from __future__ import annotations

from dataclasses import replace

from app.state.display import (
    Change,
    Operation,
    ViewportState,
    ZoomMode,
    panned,
    unwindowed,
    windowed,
    zoomed,
)
from app.state.geometry import geometry_of
from app.state.sizing import fitted, true_scale
from inference.exam.types import ViewImage


def applied(
    state: ViewportState,
    operation: Operation,
    image: ViewImage,
    *,
    height: int,
    width: int,
    pitch_mm: float | None = None,
) -> ViewportState:
    """Return ``state`` after ``operation``.

    Parameters
    ----------
    height, width : size of the viewport, screen pixels.
    pitch_mm : size of a screen pixel; None = the monitor is not calibrated, and true size changes nothing.
    """
    change = operation.change
    if change is Change.WINDOW:
        return windowed(state, image.presentation, center_share=operation.first, width_share=operation.second)
    if change is Change.INVERT:
        return replace(state, inverted=not state.inverted)
    if change is Change.NEXT_VOI:
        following = (state.voi_index + 1) % len(image.presentation.vois)
        return replace(state, voi_index=following, center=None, width=None)
    if change is Change.ZOOM:
        return zoomed(state, operation.first, row=state.pan_row, col=state.pan_col)
    if change is Change.PAN:
        return panned(state, rows_px=operation.first, cols_px=operation.second)
    if change is Change.FLIP_H:
        _, cols = geometry_of(image).hung_size
        return replace(state, flipped_h=not state.flipped_h, pan_col=cols - state.pan_col)
    if change is Change.FLIP_V:
        rows, _ = geometry_of(image).hung_size
        return replace(state, flipped_v=not state.flipped_v, pan_row=rows - state.pan_row)
    return _sized(state, change, image, height=height, width=width, pitch_mm=pitch_mm)


def _sized(
    state: ViewportState, change: Change, image: ViewImage, *, height: int, width: int, pitch_mm: float | None
) -> ViewportState:
    if change is Change.ACTUAL:
        return replace(state, scale=1.0, zoom_mode=ZoomMode.ACTUAL)
    if change is Change.TRUE:
        scale = true_scale(image, pitch_mm)
        return state if scale is None else replace(state, scale=scale, zoom_mode=ZoomMode.TRUE)
    if change is Change.RESET:
        state = replace(unwindowed(state), flipped_h=False, flipped_v=False)
    return fitted(state, image, height=height, width=width)


def clamped(state: ViewportState, image: ViewImage) -> ViewportState:
    """Keep the middle of the viewport within reach of the picture, so that it cannot be lost."""
    rows, cols = geometry_of(image).hung_size
    # At small scales the chest wall lies on the viewport's edge, far from its middle: allow that.
    reach_r, reach_c = rows * 0.5 + 2000 / state.scale, cols * 0.5 + 2000 / state.scale
    return replace(
        state,
        pan_row=min(max(state.pan_row, rows / 2 - reach_r), rows / 2 + reach_r),
        pan_col=min(max(state.pan_col, cols / 2 - reach_c), cols / 2 + reach_c),
    )
