"""Training learns, resumes to the same bits, and keeps its seeds apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.exam.types import InferenceError
from inference.model_card import ModelError
from inference.models.cam_classifier import CamConfig
from inference.training import checkpoint, data, loop
from inference.training.data import BreastSet, balanced_order, breast_set, crop_to_breasts, training_spec
from inference.training.losses import mirror_loss, weak_loss
from inference.training.recipes import DIB_MG_SMALL_RECIPE, recipe
from resources.vocabulary import Pathology

TINY = replace(
    DIB_MG_SMALL_RECIPE,
    network=CamConfig(width=4, dropout=0.0, spots=True),
    batch=4,
    epochs=3,
    easy_epochs=0,
    learning_rate=3e-3,
)


@pytest.fixture(scope="module")
def breasts(tmp_path_factory: pytest.TempPathFactory) -> BreastSet:
    return breast_set(range(6), TINY.preprocessing, tmp_path_factory.mktemp("cache"))


def test_a_number_of_processes_that_does_not_divide_the_batch_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")  # what torchrun sets; nothing answers here, so it must not wait
    with pytest.raises(InferenceError, match=r"share out 4 breasts a step evenly, found 3"):
        loop.run_recipe(TINY, tmp_path / "run", tmp_path / "cache")
    assert not (tmp_path / "run").exists()


def _bright_square_set() -> BreastSet:
    """Breasts that differ by one bright square only: what image-level labels must be able to teach."""
    rng = np.random.default_rng(1)
    canvases = rng.integers(60, 120, (32, 2, 2, 96, 64)).astype(np.uint8)
    canvases[:, :, 1] = 0  # no spots
    labels = np.arange(32) % 2 == 0
    canvases[labels, :, 0, 40:56, 24:40] = 250
    return BreastSet(canvases=canvases, labels=labels)


def test_training_reduces_the_loss_and_the_map_points_at_what_was_never_labelled() -> None:
    torch.manual_seed(0)
    squares = _bright_square_set()
    state = loop.start(TINY, 80)
    first = loop.train_epoch(state, squares, 8)
    for _ in range(19):
        last = loop.train_epoch(state, squares, 8)
    assert last < 0.5 * first
    logits = loop.breast_logits(state.model, squares)
    assert logits[squares.labels].min() > logits[~squares.labels].max()
    canvases, _, _ = data.batch_tensors(squares, np.array([0]))
    with torch.inference_mode():
        evidence = state.model.eval()(canvases)[0]
    row, col = divmod(int(evidence.argmax()), evidence.shape[1])
    assert abs(row - 2.5) <= 1.5
    assert abs(col - 1.5) <= 1.5


def test_a_resumed_run_equals_one_that_was_never_stopped(breasts: BreastSet, tmp_path: Path) -> None:
    whole = loop.train(TINY, breasts, breasts, tmp_path / "whole")

    # stopped after the first epoch, as if by a crash: same schedule, fewer epochs done
    steps = len(balanced_order(breasts.labels, np.random.default_rng(0))) // TINY.batch
    (tmp_path / "parts").mkdir()
    first = loop.start(TINY, TINY.epochs * steps)
    loss = loop.train_epoch(first, breasts, TINY.batch, mirror_every=TINY.mirror_every)
    auc = loop.delong_auc(breasts.labels, loop.breast_logits(first.model, breasts)).value
    first.history.append({"loss": loss, "validation_auc": auc})
    checkpoint.save_checkpoint(first, tmp_path / "parts")
    torch.manual_seed(999)  # whatever happened in between
    resumed = loop.train(TINY, breasts, breasts, tmp_path / "parts")

    assert resumed.history == whole.history
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_prepared_breasts_come_from_the_cache_unchanged(breasts: BreastSet, tmp_path: Path) -> None:
    made = breast_set(range(2), TINY.preprocessing, tmp_path)
    kept = breast_set(range(2), TINY.preprocessing, tmp_path)
    np.testing.assert_array_equal(made.canvases, kept.canvases)
    np.testing.assert_array_equal(made.canvases, breasts.canvases[:4])
    assert breasts.labels.sum() == sum(training_spec(s).pathology is Pathology.MALIGNANT for s in range(6))


def test_seed_ranges_of_training_validation_and_test_are_disjoint() -> None:
    chosen = DIB_MG_SMALL_RECIPE
    train = range(data.TRAIN_SEEDS, data.TRAIN_SEEDS + chosen.train_exams)
    easy = range(data.EASY_SEEDS, data.EASY_SEEDS + chosen.easy_exams)
    check = range(data.VALIDATION_SEEDS, data.VALIDATION_SEEDS + chosen.validation_exams)
    ends = [train.stop, easy.start, easy.stop, check.start, check.stop, data.TEST_SEEDS]
    assert ends == sorted(ends)


def test_an_epoch_holds_every_cancer_once_and_as_many_others() -> None:
    labels = np.array([True] * 3 + [False] * 9)
    order = balanced_order(labels, np.random.default_rng(2))
    assert sorted(order[labels[order]]) == [0, 1, 2]
    assert len(set(order)) == len(order) == 6


def test_cropping_a_batch_cuts_air_only() -> None:
    canvases, masks = torch.full((2, 1, 160, 96), -1.0), torch.zeros(2, 160, 96)
    canvases[:, :, 50:90, :30], masks[:, 50:90, :30] = 0.5, 1.0
    small, small_mask = crop_to_breasts(canvases, masks)
    assert small.shape == (2, 1, 80, 48)
    assert float(small_mask.sum()) == float(masks.sum())
    assert float((small > -1).sum()) == float((canvases > -1).sum())


def test_weak_loss_is_cross_entropy_of_breast_and_views() -> None:
    found = weak_loss(torch.tensor([2.0, 0.0]), torch.tensor([1.0]), view_weight=0.5)
    expected = np.log1p(np.exp(-1.0)) + 0.5 * (np.log1p(np.exp(-2.0)) + np.log(2.0)) / 2
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_the_maps_follow_the_mirrored_picture_when_training_asks_them_to() -> None:
    torch.manual_seed(0)
    squares = _bright_square_set()
    state = loop.start(TINY, 80)
    for _ in range(20):
        loop.train_epoch(state, squares, 8, mirror_every=1, mirror_weight=2.0)
    canvases, masks, _ = data.batch_tensors(squares, np.array([0, 2, 4, 6]))
    inside = loop.map_mask(masks)
    with torch.inference_mode():
        state.model.eval()
        there = state.model(canvases)
        back = state.model(canvases.flip((-2, -1))).flip((-2, -1))
    assert float(mirror_loss(there, back, inside)) < 0.1


def test_mirror_loss_is_nothing_for_equal_maps_and_large_for_one_cell_beside() -> None:
    evidence = torch.full((1, 6, 6), -8.0)
    evidence[0, 2, 2] = 8.0
    inside = torch.ones(1, 6, 6)
    assert float(mirror_loss(evidence, evidence, inside)) == 0.0
    # two cells differ by one, each map's squares sum to one: 2 / (1 + 2)
    assert float(mirror_loss(evidence, evidence.roll(1, 2), inside)) == pytest.approx(2 / 3, abs=0.01)
    assert float(mirror_loss(evidence, evidence.roll(1, 2), torch.zeros(1, 6, 6))) == 0.0


def test_prepared_spots_are_counted_at_full_resolution_and_kept_as_bytes(breasts: BreastSet) -> None:
    canvases, masks, _ = data.batch_tensors(breasts, np.arange(2))
    assert canvases.shape[1] == 2
    assert float(canvases[:, 0].min()) == -1.0
    assert float(canvases[:, 1].min()) == 0.0
    assert float(canvases[:, 1].max()) > 0.3
    assert float((canvases[:, 1] * (1 - masks)).max()) == 0.0


def test_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(ModelError, match="dib_mg_small"):
        recipe("nothing")
