"""The paper's recipe: size, padding, pooling, rates; one step and an exact resume. Film's look; the folds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.models.cam_classifier import CamConfig, Pooling, breast_logit, network_of
from inference.models.dib_mg_modern import ModernCam
from inference.preprocessing.layout import point_to_canvas, point_to_stored
from inference.preprocessing.pipeline import PAPER_SIDE, ModelInput, dib_mg_paper
from inference.training import checkpoint, loop
from inference.training.data import BreastSet, Look, balanced_order, batch_tensors
from inference.training.dib_mg_folds import FOLDS, RealView, folds_of
from inference.training.film_look import film_look
from inference.training.recipes import MODERN_RECIPE, PAPER_RECIPE, RECIPES
from resources.vocabulary import Laterality

SMALL_PAPER = replace(PAPER_RECIPE, network=replace(PAPER_RECIPE.network, width=4), batch=2)


@pytest.fixture(scope="module")
def paper_views() -> list[tuple[Laterality, ModelInput]]:
    exam = phantom_exam(PhantomSpec(seed=11, pixel_mm=0.5)).exam
    return [(image.view.laterality, dib_mg_paper(image)) for image in exam.images]


def test_b_paper_pads_to_1600_on_the_left_for_right_and_on_the_right_for_left_breasts(
    paper_views: list[tuple[Laterality, ModelInput]],
) -> None:
    for side, item in paper_views:
        assert item.planes.shape == (1, PAPER_SIDE, PAPER_SIDE) == (1, 1600, 1600)
        rows, cols = np.flatnonzero(item.mask.any(axis=1)), np.flatnonzero(item.mask.any(axis=0))
        assert max(len(rows), len(cols)) == 1600
        if side is Laterality.RIGHT:
            assert cols[-1] == 1599
            assert cols[0] > 0
        else:
            assert cols[0] == 0
            assert cols[-1] < 1599
        assert np.all(item.canvas[~item.mask] == -1.0)
        assert item.canvas.max() > 0.0
        assert item.canvas.min() >= -1.0
        # the chest wall, where the breast is bright, meets the picture's edge opposite to the padding
        bright = item.canvas[:, -40:] if side is Laterality.RIGHT else item.canvas[:, :40]
        far = (
            item.canvas[:, cols[0] : cols[0] + 40]
            if side is Laterality.RIGHT
            else item.canvas[:, cols[-1] - 39 : cols[-1] + 1]
        )
        assert bright.mean() > far.mean()
        at = point_to_canvas(item.placement, 30.0, 40.0)
        assert point_to_stored(item.placement, *at) == pytest.approx((30.0, 40.0))


def test_b_paper_network_gives_two_maps_of_100_by_100_from_19_convolutions() -> None:
    model = network_of(replace(PAPER_RECIPE.network, width=4)).eval()
    assert sum(isinstance(m, torch.nn.Conv2d) for m in model.modules()) == 19
    assert model.get_submodule("head").weight.shape[0] == 2  # type: ignore[union-attr]
    with torch.inference_mode():
        assert model.class_maps(torch.zeros(1, 1, 1600, 1600)).shape == (1, 2, 100, 100)
    assert sum(p.numel() for p in network_of(PAPER_RECIPE.network).parameters()) > 5e6


def test_b_two_stage_average_of_two_maps_and_softmax_is_what_the_evidence_map_gives() -> None:
    model = network_of(CamConfig(width=4, pooling=Pooling.AVERAGE)).eval()
    with torch.inference_mode():
        canvas = torch.rand(2, 1, 64, 64) * 2 - 1  # the two views of a breast
        maps = model.class_maps(canvas) * 30.0
        per_view = maps.mean((2, 3))  # first stage
        published = functional.softmax(per_view.mean(0), 0)[0]  # second stage, chance of cancer
        ours = model.view_logits(maps[:, 0] - maps[:, 1], torch.ones(2, 4, 4))
        assert float(torch.sigmoid(breast_logit(ours))) == pytest.approx(float(published), rel=1e-5)


def test_b_paper_recipe_has_the_published_numbers() -> None:
    state = loop.start(SMALL_PAPER, 300)  # 10 steps an epoch
    group = state.optimizer.param_groups[0]
    assert isinstance(state.optimizer, torch.optim.SGD)
    assert (group["momentum"], group["weight_decay"]) == (0.9, 5e-4)
    rates = []
    for _ in range(300):
        rates.append(group["lr"])
        state.optimizer.step()
        state.scheduler.step()
    for step, rate in ((0, 1e-3), (99, 1e-3), (100, 2e-4), (199, 2e-4), (200, 4e-5), (299, 4e-5)):
        assert rates[step] == pytest.approx(rate), step
    assert (PAPER_RECIPE.epochs, 2 * PAPER_RECIPE.batch) == (30, 64)  # two views a breast
    assert Look(flips=False, shift=0, whole_field=True) == PAPER_RECIPE.look


def _noise(channels: int) -> BreastSet:
    rng = np.random.default_rng(4)
    canvases = rng.integers(1, 255, (4, 2, channels, 64, 48)).astype(np.uint8)
    return BreastSet(canvases=canvases, labels=np.array([True, False, True, False]))


@pytest.mark.parametrize("name", ["dib_mg_paper", "dib_mg_modern"])
def test_b_one_step_changes_the_network_and_a_resumed_run_equals_an_unbroken_one(
    name: str, tmp_path: Path
) -> None:
    recipe = SMALL_PAPER if name == "dib_mg_paper" else replace(MODERN_RECIPE, easy_epochs=0, batch=2)
    recipe = replace(recipe, epochs=2, milestones=(1,) if recipe.milestones else (), learning_rate=1e-3)
    data = _noise(1 if name == "dib_mg_paper" else 2)
    whole = loop.train(recipe, data, data, tmp_path / "whole")
    steps = len(balanced_order(data.labels, np.random.default_rng(0))) // recipe.batch
    (tmp_path / "parts").mkdir()
    first = loop.start(recipe, recipe.epochs * steps)
    fresh = {key: value.clone() for key, value in first.model.state_dict().items()}
    loss = loop.train_epoch(
        first,
        data,
        recipe.batch,
        mirror_every=recipe.mirror_every,
        mirror_weight=recipe.mirror_weight,
        look=recipe.look,
    )
    assert any(not torch.equal(value, fresh[key]) for key, value in first.model.state_dict().items())
    logits = loop.breast_logits(first.model, data, whole_field=recipe.look.whole_field)
    first.history.append({"loss": loss, "validation_auc": loop.delong_auc(data.labels, logits).value})
    checkpoint.save_checkpoint(first, tmp_path / "parts")
    torch.manual_seed(77)
    resumed = loop.train(recipe, data, data, tmp_path / "parts")
    assert resumed.history == whole.history
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key]), key


def test_b_every_recipe_makes_its_network_and_a_later_one_starts_from_the_first_ones_weights(
    tmp_path: Path,
) -> None:
    assert set(RECIPES) == {"dib_mg_small", "dib_mg_film", "dib_mg_modern", "dib_mg_paper"}
    assert isinstance(network_of(MODERN_RECIPE.network), ModernCam)
    later = replace(RECIPES["dib_mg_film"], network=CamConfig(width=4, spots=True), epochs=0)
    assert later.after == "dib_mg_small"
    earlier = network_of(later.network)
    checkpoint.save_weights(earlier, tmp_path / "best.safetensors")
    data = _noise(2)
    state = loop.train(later, data, data, tmp_path / "run", first=tmp_path / "best.safetensors")
    for key, value in earlier.state_dict().items():
        torch.testing.assert_close(state.model.state_dict()[key], value.half().to(value.dtype))


def test_b_film_look_changes_pictures_but_neither_labels_nor_shape_and_keeps_the_breast_inside() -> None:
    canvases = np.zeros((2, 2, 2, 96, 64), np.uint8)
    canvases[:, :, 0, 16:80, :40] = 120
    data = BreastSet(canvases=canvases, labels=np.array([True, False]))
    planes, masks, labels = batch_tensors(data, np.arange(2))
    before = planes.clone()
    film, wide = film_look(planes, masks, np.random.default_rng(5), share=1.0)
    assert torch.equal(planes, before)
    assert film.shape == planes.shape
    assert labels.tolist() == [1.0, 0.0]
    assert bool((wide >= masks).all())
    assert bool((film[:, 0][wide == 0] == -1.0).all())
    assert float(film[:, 0].min()) >= -1.0
    assert float(film[:, 0].max()) <= 1.0
    assert all(not torch.equal(film[i, 0], planes[i, 0]) for i in range(4))
    none, same = film_look(planes, masks, np.random.default_rng(5), share=0.0)
    assert torch.equal(none, planes)
    assert torch.equal(same, masks)


def test_b_folds_keep_a_womans_views_together_and_spread_the_cancers(
    paper_views: list[tuple[Laterality, ModelInput]],
) -> None:
    item = paper_views[0][1]
    views = [RealView(woman=f"w{k // 2:02d}", cancer=k % 8 == 0, item=item, circles=()) for k in range(80)]
    parts = folds_of(views)
    assert all(parts[k] == parts[k + 1] for k in range(0, 80, 2))
    assert [
        sum(v.cancer for v, part in zip(views, parts, strict=True) if part == n) for n in range(FOLDS)
    ] == [2] * 5
    assert np.bincount(parts).tolist() == [16] * 5
