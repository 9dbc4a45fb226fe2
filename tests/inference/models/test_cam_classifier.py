"""The network's shape and its two-stage pooling."""

from __future__ import annotations

import copy

import pytest
import torch

from inference.models.cam_classifier import (
    CamClassifier,
    CamConfig,
    Pooling,
    fold_batch_norm,
    map_mask,
    moved_back,
)


def test_network_has_the_papers_nineteen_convolutions_at_any_width() -> None:
    for width in (4, 16):
        model = CamClassifier(CamConfig(width=width))
        assert sum(isinstance(m, torch.nn.Conv2d) for m in model.modules()) == 19


def test_evidence_map_has_one_cell_per_sixteen_pixels() -> None:
    model = CamClassifier(CamConfig(width=4)).eval()
    assert model(torch.zeros(2, 1, 512, 320)).shape == (2, 32, 20)


def test_average_pooling_is_the_mean_inside_the_breast_only() -> None:
    model = CamClassifier(CamConfig(width=4, pooling=Pooling.AVERAGE))
    evidence = torch.tensor([[[1.0, 3.0], [100.0, 100.0]]])
    inside = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    assert float(model.view_logits(evidence, inside)) == pytest.approx(2.0)


def test_smooth_maximum_lies_between_mean_and_maximum_and_ignores_outside() -> None:
    model = CamClassifier(CamConfig(width=4, pooling=Pooling.SMOOTH_MAX, sharpness=4.0))
    evidence = torch.tensor([[[1.0, 3.0], [100.0, 100.0]]])
    inside = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    expected = torch.log((torch.exp(torch.tensor(4.0)) + torch.exp(torch.tensor(12.0))) / 2) / 4
    assert float(model.view_logits(evidence, inside)) == pytest.approx(float(expected))
    assert 2.0 < float(expected) < 3.0


def test_a_view_without_breast_still_has_a_finite_score() -> None:
    model = CamClassifier(CamConfig(width=4))
    assert torch.isfinite(model.view_logits(torch.randn(1, 4, 4), torch.zeros(1, 4, 4))).all()


def test_folding_batch_norm_does_not_change_the_function() -> None:
    torch.manual_seed(1)
    model = CamClassifier(CamConfig(width=4))
    for _ in range(3):  # move the running statistics away from 0 and 1
        model(torch.randn(4, 1, 64, 64))
    model.eval()
    x = torch.randn(2, 1, 96, 64)
    with torch.no_grad():
        expected = model(x)
        found = fold_batch_norm(copy.deepcopy(model))(x)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_map_mask_marks_every_cell_that_touches_the_breast() -> None:
    mask = torch.zeros(1, 32, 32)
    mask[0, 15, 16] = 1
    assert map_mask(mask).tolist() == [[[0, 1], [0, 0]]]


def test_mirrored_prediction_follows_the_picture_exactly_so_cells_look_straight_down() -> None:
    torch.manual_seed(3)
    model = CamClassifier(CamConfig(width=4, spots=True, detail_px=20, flips=True)).eval()
    canvas = torch.randn(1, 2, 128, 96)
    with torch.inference_mode():
        offset = (24.0, -7.0)
        plain = model.predict(canvas, offset)
        for axes in ((-2,), (-1,), (-2, -1)):
            turned = model.predict(canvas.flip(axes), offset).flip(axes)
            torch.testing.assert_close(turned, plain, atol=1e-5, rtol=1e-4)
        # without the mirrors the same network does look to one side
        assert float((model(canvas.flip(-1)).flip(-1) - model(canvas)).abs().max()) > 1e-3


def test_a_second_channel_changes_the_map() -> None:
    torch.manual_seed(3)
    model = CamClassifier(CamConfig(width=4, spots=True)).eval()
    canvas = torch.zeros(1, 2, 64, 64)
    dotted = canvas.clone()
    dotted[0, 1, 30:34, 30:34] = 1.0
    with torch.inference_mode():
        assert float((model(dotted) - model(canvas)).abs().max()) > 0


def test_maps_move_back_by_canvas_pixels() -> None:
    evidence = torch.zeros(2, 32, 20)
    evidence[:, 12, 9] = 1.0
    moved = moved_back(evidence, (32.0, -16.0))
    assert [divmod(int(one.argmax()), 20) for one in moved] == [(10, 10)] * 2
    assert float(moved[0, 10, 10]) == pytest.approx(1.0, abs=1e-4)
    halfway = moved_back(evidence, (24.0, 0.0))[0, :, 9]  # one and a half cells: shared between two
    assert float(halfway[10]) == pytest.approx(0.5, abs=1e-4)
    assert float(halfway[11]) == pytest.approx(0.5, abs=1e-4)
    assert torch.equal(moved_back(evidence, (0.0, 0.0)), evidence)
