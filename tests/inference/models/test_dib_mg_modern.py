"""The map network on an ImageNet backbone: its start, what stays frozen, its map and what it shares."""

from __future__ import annotations

import pytest
import torch

from inference.models.cam_classifier import CamClassifier, CamConfig, Pooling, network_of
from inference.models.dib_mg_modern import ModernCam, ModernConfig, modern_of
from inference.models.imagenet_start import mapped_weights, packaged_weights

CONFIG = ModernConfig(dropout=0.0, detail_px=20, spots=True)


@pytest.fixture(scope="module")
def modern() -> ModernCam:
    torch.manual_seed(0)
    model = network_of(CONFIG)
    assert isinstance(model, ModernCam)
    model.start_from_imagenet()
    return model


def test_b_modern_map_has_one_cell_per_sixteen_pixels_and_two_classes(modern: ModernCam) -> None:
    modern.eval()
    canvas = torch.rand(2, 2, 96, 64) * 2 - 1
    with torch.inference_mode():
        maps = modern.class_maps(canvas)
        assert maps.shape == (2, 2, 6, 4)
        torch.testing.assert_close(modern(canvas), maps[:, 0] - maps[:, 1])


def test_b_modern_starts_from_imagenet_and_keeps_its_first_stages_while_it_learns(modern: ModernCam) -> None:
    import timm  # vision_ops has been imported by the model's module

    whole = timm.create_model(CONFIG.backbone, pretrained=False)
    theirs = mapped_weights(packaged_weights(CONFIG.backbone), whole.state_dict())
    name = "blocks.1.0.conv_pw.weight"
    torch.testing.assert_close(modern.backbone.state_dict()[name], theirs[name])
    late = "blocks.4.0.conv_pw.weight"
    before = {key: value.clone() for key, value in modern.backbone.state_dict().items()}
    modern.train()
    optimizer = torch.optim.SGD([p for p in modern.parameters() if p.requires_grad], 0.5)
    modern.view_logits(modern(torch.rand(2, 2, 64, 64)), torch.ones(2, 4, 4)).sum().backward()
    optimizer.step()
    after = modern.backbone.state_dict()
    for key, value in before.items():
        if key.startswith(("conv_stem", "bn1", "blocks.0.", "blocks.1.")):
            assert torch.equal(value, after[key]), key
    assert not torch.equal(before[late], after[late])


def test_b_a_card_with_a_backbone_makes_the_modern_network_of_its_settings() -> None:
    settings = CamConfig(pooling=Pooling.SMOOTH_MAX, sharpness=3.0, spots=True, flips=True, detail_px=20)
    made = modern_of(settings, CONFIG.backbone)
    assert (made.config.sharpness, made.config.flips, made.config.spots) == (3.0, True, True)
    assert isinstance(network_of(settings), CamClassifier)
    with pytest.raises(RuntimeError):
        made.load_state_dict(network_of(settings).state_dict())
