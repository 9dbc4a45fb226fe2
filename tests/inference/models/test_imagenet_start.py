"""The mapped ImageNet networks name what two ordinary photographs show."""

from __future__ import annotations

import pytest
import torch

from inference.exam.types import InferenceError
from inference.models import vision_ops  # noqa: F401 - before timm
from inference.models.imagenet_start import PACKAGED, load_imagenet, mapped_weights

PALACE, MONASTERY, STUPA, DAISY, BEE = 698, 663, 832, 985, 309  # ILSVRC 2012 class numbers


@pytest.mark.parametrize("network", sorted(PACKAGED))
def test_mapped_network_recognises_a_palace_and_a_flower(network: str) -> None:
    import timm
    from sklearn.datasets import load_sample_images

    model = timm.create_model(network, pretrained=False).eval()
    assert load_imagenet(model, network) == len(model.state_dict())
    found = []
    for picture in load_sample_images().images:  # china.jpg, flower.jpg, (427, 640, 3) bytes
        crop = torch.from_numpy(picture[:, 106:533].copy()).permute(2, 0, 1)[None].float()
        small = torch.nn.functional.interpolate(crop, (240, 240), mode="bilinear", antialias=True)
        with torch.inference_mode():
            found.append(set(model((small - 127.0) / 128.0).topk(5).indices[0].tolist()))
    print(found)
    assert found[0] & {PALACE, MONASTERY, STUPA}
    assert found[1] & {DAISY, BEE}


def test_every_backbone_tensor_is_mapped_and_differs_from_a_random_start() -> None:
    import timm

    backbone = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(2, 3, 4))
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    count = load_imagenet(backbone, "tf_efficientnet_lite0")
    after = backbone.state_dict()
    assert count == len(after)
    weights = [key for key in after if key.endswith("conv_pw.weight") or key.endswith("conv_dw.weight")]
    assert len(weights) >= 30
    assert all(not torch.equal(before[key], after[key]) for key in weights)


def test_weights_that_do_not_pair_are_refused_with_both_names() -> None:
    ours = {"conv.weight": torch.zeros(2, 3)}
    with pytest.raises(InferenceError, match=r"conv\.weight \(2, 3\), found _c\.weight \(3, 3\)"):
        mapped_weights({"_c.weight": torch.zeros(3, 3)}, ours)
    with pytest.raises(InferenceError, match="expected 1 tensors, found 2"):
        mapped_weights({"_c.weight": torch.zeros(2, 3), "d.bias": torch.zeros(1)}, ours)


def test_a_network_without_a_package_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(InferenceError, match="tf_efficientnet_lite0"):
        load_imagenet(torch.nn.Identity(), "resnet50")
