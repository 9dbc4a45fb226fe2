"""The four-view network: fusion starts as identity, forgives missing views, and both recipes' shapes hold."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from inference.models.four_view import BOTH, NEITHER, FourViewConfig, FourViewDetector, Fused, Views
from inference.models.four_view_fusion import OTHER_PROJECTION, OTHER_SIDE, partners
from inference.models.four_view_heads import Targets
from inference.training.four_view_recipe import PAPER

SIZE = (128, 96)


def _views(slots: tuple[int, ...], planes: Tensor | None = None, channels: int = 3) -> Views:
    if planes is None:
        planes = torch.rand(4, channels, *SIZE, generator=torch.Generator().manual_seed(1))[list(slots)]
    return Views(planes=planes, exams=(0,) * len(slots), slots=slots, used_rows=(SIZE[0],) * len(slots))


def _target() -> Targets:
    mask = torch.zeros(1, *SIZE, dtype=torch.uint8)
    mask[0, 40:80, 20:60] = 1
    return Targets(
        boxes=torch.tensor([[20.0, 40.0, 60.0, 80.0]]),
        labels=torch.tensor([2]),
        malignant=torch.tensor([1]),
        descriptors={
            "shape": torch.tensor([-100]), "margin": torch.tensor([-100]),
            "morphology": torch.tensor([1]), "distribution": torch.tensor([0]),
        },
        masks=mask,
        drawn=torch.tensor([True]),
    )  # fmt: skip


@pytest.fixture(scope="module")
def fresh() -> FourViewDetector:
    torch.manual_seed(4)
    return FourViewDetector(FourViewConfig()).eval()


@pytest.fixture(scope="module")
def stirred() -> FourViewDetector:
    """A network whose fusion parts have something to say."""
    torch.manual_seed(4)
    model = FourViewDetector(FourViewConfig()).eval()
    for part in (model.sides, model.projections):
        torch.nn.init.normal_(part.gated.change.weight, std=0.05)
    return model


def test_fusion_of_an_untrained_network_changes_nothing(fresh: FourViewDetector) -> None:
    with torch.inference_mode():
        fused, plain = (
            fresh.features(_views((0, 1, 2, 3)), BOTH),
            fresh.features(_views((0, 1, 2, 3)), NEITHER),
        )
    for name in fused:
        torch.testing.assert_close(fused[name], plain[name])


def test_each_part_of_fusion_changes_what_it_should_and_only_where_a_partner_is(
    stirred: FourViewDetector,
) -> None:
    sides, projections = Fused(projections=False), Fused(sides=False)
    with torch.inference_mode():
        for slots, part, changed in (
            ((0, 1), sides, True), ((0, 1), projections, False),
            ((0, 2), sides, False), ((0, 2), projections, True),
            ((1, 2), sides, False), ((1, 2), projections, False), ((3,), BOTH, False),
        ):  # fmt: skip
            with_part = stirred.features(_views(slots), part)["0"]
            without = stirred.features(_views(slots), NEITHER)["0"]
            assert torch.allclose(with_part, without) is not changed, (slots, part)


def test_a_view_reads_the_same_wherever_it_stands_in_the_batch(stirred: FourViewDetector) -> None:
    straight, mixed = _views((0, 1, 2, 3)), _views((2, 0, 3, 1))
    with torch.inference_mode():
        first, second = stirred.features(straight)["1"], stirred.features(mixed)["1"]
    torch.testing.assert_close(first[[2, 0, 3, 1]], second, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("slots", [(0,), (3,), (0, 1), (0, 2), (1, 2), (0, 1, 2), (1, 2, 3), (0, 1, 2, 3)])
def test_any_one_two_three_or_four_views_are_read(stirred: FourViewDetector, slots: tuple[int, ...]) -> None:
    with torch.inference_mode():
        found = stirred(_views(slots))
    assert len(found) == len(slots)
    for answer in found:
        assert ((answer.score >= 0) & (answer.score <= 1)).all()
        assert answer.boxes.shape == (len(answer.score), 4)
        assert answer.masks is not None
        assert answer.masks.shape[1:] == (28, 28)


def test_views_of_two_exams_in_one_batch_do_not_look_at_each_other(stirred: FourViewDetector) -> None:
    one = _views((0, 1))
    other = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(9))
    both = Views(
        planes=torch.cat([one.planes, other]),
        exams=(0, 0, 1, 1),
        slots=(0, 1, 0, 1),
        used_rows=(SIZE[0],) * 4,
    )
    with torch.inference_mode():
        alone, together = stirred.features(one)["0"], stirred.features(both)["0"]
    torch.testing.assert_close(alone, together[:2], atol=1e-5, rtol=1e-4)
    assert partners((0, 0, 1, 1), (0, 1, 0, 2), OTHER_SIDE) == [1, 0, -1, -1]
    assert partners((0, 0, 1, 1), (0, 1, 0, 2), OTHER_PROJECTION) == [-1, -1, 3, 2]


def test_rows_that_a_projection_leaves_empty_are_not_computed_and_hold_nothing(
    fresh: FourViewDetector,
) -> None:
    views = _views((0, 2))
    short = Views(planes=views.planes, exams=(0, 0), slots=(0, 2), used_rows=(64, 128))
    with torch.inference_mode():
        level = fresh.features(short, NEITHER)["0"]
    assert level.shape[2] == SIZE[0] // 8
    assert (level[0, :, 8:] == 0).all()
    assert (level[1, :, 8:] != 0).any()


def test_small_weights_stay_under_25_mb_in_half_precision(fresh: FourViewDetector) -> None:
    assert 2 * sum(p.numel() for p in fresh.parameters()) < 25e6


def test_paper_network_takes_a_step_at_its_own_shapes() -> None:
    torch.manual_seed(0)
    model = FourViewDetector(PAPER.network).train()
    assert model.backbone.feature_info.channels() == [256, 512, 1024, 2048]  # ResNet-50's four stages
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.005, momentum=0.9)
    before = model.pyramid.inner_blocks[0][0].weight.detach().clone()
    losses = model.losses(_views((0, 1), channels=1), [_target(), _target()])
    assert set(losses) == {
        "loss_objectness", "loss_rpn_box_reg", "type", "box", "malignancy", "descriptors", "mask",
    }  # fmt: skip
    total = torch.stack(list(losses.values())).sum()
    assert torch.isfinite(total)
    total.backward()
    optimizer.step()
    assert not torch.equal(before, model.pyramid.inner_blocks[0][0].weight)
    assert model.backbone.conv1.weight.grad is None  # frozen, as the recipe says
    assert (PAPER.learning_rate, PAPER.weight_decay, PAPER.warmup, PAPER.steps) == (0.005, 1e-4, 500, 25_000)
