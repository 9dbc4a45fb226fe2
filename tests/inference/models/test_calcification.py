"""The calcification ensemble's networks: both recipes' shapes, the mean of members, weights under one roof."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch

from inference.model_card import ModelError
from inference.models.calcification import (
    CalcificationNet,
    answers,
    crops_tensor,
    joined_state,
    looked_at,
    member_state,
    networks_of,
)
from inference.models.crop_classifier import CropConfig
from inference.training.calcification_recipe import SMALL

TINY = CropConfig(backbone="mobilenetv3_small_050", level=2, cbam=False, size=64)
CPU = torch.device("cpu")


def crops(count: int, side: int = 64) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (count, 3, side, side), dtype=np.uint8)


@pytest.mark.parametrize("member", SMALL.members, ids=lambda m: m.name)
def test_each_small_member_answers_twice_a_crop(member: object) -> None:
    config = member.network  # type: ignore[attr-defined]
    net = CalcificationNet(config).eval()
    with torch.inference_mode():
        assert net(crops_tensor(crops(2, 128))).shape == (2, 2)


def test_crops_of_another_size_are_brought_to_the_networks() -> None:
    net = CalcificationNet(TINY).eval()
    with torch.inference_mode():
        wide = net(crops_tensor(crops(1, 128)))
    assert wide.shape == (1, 2)
    assert torch.isfinite(wide).all()


def test_the_answers_are_each_members_own_whatever_the_batch() -> None:
    torch.manual_seed(1)
    nets = [CalcificationNet(TINY).eval() for _ in range(2)]
    given = crops(5)
    both = answers(nets, given, CPU, batch=2)
    with torch.inference_mode():
        for number, net in enumerate(nets):
            expected = torch.sigmoid(net(crops_tensor(given)).double()).numpy()
            assert np.allclose(both.group[number], expected[:, 0], atol=1e-5)
            assert np.allclose(both.malignant[number], expected[:, 1], atol=1e-5)
    assert not np.allclose(both.malignant[0], both.malignant[1])
    assert answers(nets, given[:0], CPU).malignant.shape == (2, 0)


def test_members_come_back_out_of_one_weights_file_as_they_went_in() -> None:
    torch.manual_seed(2)
    nets = [CalcificationNet(TINY) for _ in range(2)]
    state = joined_state([net.state_dict() for net in nets])
    again = networks_of([asdict(TINY), asdict(TINY)])
    for number, (old, new) in enumerate(zip(nets, again, strict=True)):
        new.load_state_dict(member_state(state, number))
        assert all(
            torch.equal(a, b)
            for a, b in zip(old.state_dict().values(), new.state_dict().values(), strict=True)
        )


def test_a_member_that_the_program_does_not_know_is_named() -> None:
    with pytest.raises(ModelError, match="members/1"):
        networks_of([asdict(TINY), {"backbone": "tf_efficientnet_lite0", "depth_charges": 3}])


def test_grad_cam_covers_the_crop_and_changes_no_weight() -> None:
    torch.manual_seed(3)
    net = CalcificationNet(TINY).eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    maps = looked_at([net], crops(2), CPU)
    assert maps.shape == (2, 64, 64)
    assert maps.dtype == np.float32
    assert 0.0 <= float(maps.min()) <= float(maps.max()) <= 1.0
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
