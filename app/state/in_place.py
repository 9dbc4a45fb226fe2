"""Another image in the same viewport without moving the breast: energies, priors, duplicates.

Owns the arithmetic that keeps the place in millimetres; which image follows is the grid's.
"""

from __future__ import annotations

from dataclasses import replace

from app.state.display import ViewportState, ZoomMode
from app.state.geometry import chest_wall_is_right, geometry_of
from inference.exam.types import ViewImage


def size_ratio(image: ViewImage, other: ViewImage) -> float:
    """How much larger a pixel of ``other`` is than one of ``image``.

    From the pixel spacings; where one is missing, from the pictures' heights, which is right for one detector.
    """
    one, two = geometry_of(image), geometry_of(other)
    if one.hung_spacing is not None and two.hung_spacing is not None:
        return sum(two.hung_spacing) / sum(one.hung_spacing)
    return one.hung_size[0] / two.hung_size[0]


def carried(state: ViewportState, image: ViewImage, other: ViewImage, grey: ViewportState) -> ViewportState:
    """Return the state that shows ``other`` where ``image`` is, at the same size in mm (CEM-03, MG-41).

    The chest wall stays where it is; obliques keep their distance from the upper edge, axial views from the
    middle. ``grey`` gives window and polarity, which are ``other``'s own.
    """
    ratio = size_ratio(image, other)
    (rows, cols), (new_rows, new_cols) = geometry_of(image).hung_size, geometry_of(other).hung_size
    if chest_wall_is_right(image.view.laterality, flipped_h=state.flipped_h):
        pan_col = new_cols - (cols - state.pan_col) / ratio
    else:
        pan_col = state.pan_col / ratio
    if image.view.projection.is_axial:
        pan_row = new_rows / 2 + (state.pan_row - rows / 2) / ratio
    elif state.flipped_v:
        pan_row = new_rows - (rows - state.pan_row) / ratio
    else:
        pan_row = state.pan_row / ratio
    mode = state.zoom_mode
    if abs(ratio - 1.0) > 1e-6 and mode in {ZoomMode.ACTUAL, ZoomMode.FIT}:
        mode = ZoomMode.FREE  # the size in mm is kept, so it is neither 1:1 nor fitted any more
    return replace(
        grey,
        zoom_mode=mode,
        scale=state.scale * ratio,
        pan_row=pan_row,
        pan_col=pan_col,
        flipped_h=state.flipped_h,
        flipped_v=state.flipped_v,
    )
