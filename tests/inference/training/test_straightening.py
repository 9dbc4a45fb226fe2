"""The offset of a map is found from mirrored pictures, without knowing where anything is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from inference.exam.types import Orientation
from inference.models.cam_classifier import STRIDE, CamClassifier, CamConfig
from inference.preprocessing.layout import Placement
from inference.preprocessing.pipeline import CANVAS_MM, CANVAS_SHAPE, ModelInput
from inference.training.straightening import mirror_offset


class _Squinting(CamClassifier):
    """Answers to brightness, two cells lower and one to the left of it."""

    def forward(self, canvas: Tensor) -> Tensor:
        return functional.avg_pool2d(canvas[:, 0] * 20.0, STRIDE).roll((2, -1), (1, 2))


def _view(row: int, col: int, height: float) -> ModelInput:
    canvas = np.zeros(CANVAS_SHAPE, np.float32)
    canvas[row - 12 : row + 12, col - 12 : col + 12] = height
    placement = Placement(
        stored_shape=CANVAS_SHAPE,
        orientation=Orientation(),
        mirror=False,
        origin=(0.0, 0.0),
        extent=(float(CANVAS_SHAPE[0]), float(CANVAS_SHAPE[1])),
        scale=(1.0, 1.0),
        offset=(0.0, 0.0),
        canvas_shape=CANVAS_SHAPE,
    )
    mask = np.ones(CANVAS_SHAPE, np.bool_)
    return ModelInput(image_key="L-CC", canvas=canvas, mask=mask, placement=placement, pixel_mm=CANVAS_MM)


def test_half_the_distance_between_a_map_and_its_mirror_is_the_offset() -> None:
    places = ((200, 100), (150, 60), (300, 130), (251, 87))
    items = [_view(row, col, 1.0) for row, col in places] + [_view(220, 90, 0.01)]
    model = _Squinting(CamConfig(width=4))
    (down, right), used = mirror_offset(model, items)
    assert down == pytest.approx(2 * STRIDE, abs=4)
    assert right == pytest.approx(-STRIDE, abs=4)
    assert used == len(places)  # the faint one says nothing
    with torch.inference_mode():
        straight = model.predict(torch.from_numpy(items[0].planes)[None], (down, right))[0]
    row, col = divmod(int(straight.argmax()), straight.shape[1])
    assert abs((row + 0.5) * STRIDE - 200) <= STRIDE
    assert abs((col + 0.5) * STRIDE - 100) <= STRIDE


def test_views_that_show_nothing_give_no_offset() -> None:
    assert mirror_offset(_Squinting(CamConfig(width=4)), [_view(200, 100, 0.0)]) == ((0.0, 0.0), 0)


class _LoudInAir(_Squinting):
    """Answers louder still at the far end of the canvas, where there is no breast."""

    def forward(self, canvas: Tensor) -> Tensor:
        evidence = super().forward(canvas).clone()
        evidence[:, -1, -1] = 99.0
        return evidence


def test_what_a_network_answers_to_air_does_not_move_its_maps() -> None:
    items = [_view(row, col, 1.0) for row, col in ((200, 100), (150, 60), (300, 130))]
    for item in items:
        item.mask[-2 * STRIDE :] = False
        item.mask[:, -2 * STRIDE :] = False
        item.mask[: 2 * STRIDE] = False
        item.mask[:, : 2 * STRIDE] = False
    (down, right), used = mirror_offset(_LoudInAir(CamConfig(width=4)), items)
    assert used == len(items)
    assert (down, right) == (pytest.approx(2 * STRIDE, abs=4), pytest.approx(-STRIDE, abs=4))
