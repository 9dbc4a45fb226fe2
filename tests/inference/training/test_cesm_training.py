"""The contrast-mammography recipes: what a step changes, exact resume, what is learnt from, calibration."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.exam.contrast import contrast_pairs
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.model_card import ModelError
from inference.models.crop_classifier import CropConfig
from inference.models.lesion_segmenter import LesionSegmenter, SegmenterConfig
from inference.preprocessing.cesm import CESM_PAIR, CESM_PAPER, lesion_crop, prepare_pair
from inference.training.cesm_baselines import pixel_mm_of, selected
from inference.training.cesm_batch import inner_crops, rough_mask, training_crops, training_pictures
from inference.training.cesm_cases import CesmCase, FoundLesion
from inference.training.cesm_command import model_folder_of
from inference.training.cesm_data import CROP, CropSet, cesm_spec, fold_of, lesion_masks, prepared_cesm
from inference.training.cesm_evaluation import breast_scores
from inference.training.cesm_loop import fold_parts, run_fold, start_fold, train_epoch
from inference.training.cesm_packaging import by_lesion, operating_points
from inference.training.cesm_real_folds import fold_figures, run_real_fold
from inference.training.cesm_recipe import (
    RECIPES,
    SMALL,
    CesmOrder,
    SegmenterRecipe,
    cesm_recipe,
    variant_name,
)
from inference.training.cesm_segmenting import PictureSet, dice, run_segmenter
from resources.vocabulary import FindingType, Pathology

TINY = replace(
    SMALL, network=CropConfig(level=3, size=48), imagenet="none", batch=4, epochs=2, decoys=1.0, folds=2
)


@pytest.fixture(scope="module")
def data() -> CropSet:
    crops, samples = [], []
    for seed, pathology in (
        (0, Pathology.MALIGNANT),
        (1, Pathology.BENIGN),
        (2, Pathology.MALIGNANT),
        (3, Pathology.BENIGN),
    ):
        spec = PhantomSpec(
            seed=seed, cesm=True, pixel_mm=0.6, pathology=pathology, finding=FindingType.MASS, lesions=1
        )
        made = prepared_cesm(phantom_exam(spec), CESM_PAIR, seed)
        crops.append(made.crops)
        samples += made.samples
    return CropSet(crops=np.concatenate(crops), samples=tuple(samples))


@pytest.mark.parametrize("name", sorted(n for n in RECIPES if n.startswith("paper")))
def test_a_papers_recipe_is_the_published_one_and_takes_a_step(name: str, data: CropSet) -> None:
    recipe = cesm_recipe(name)
    assert (recipe.optimizer, recipe.learning_rate, recipe.batch, recipe.stall) == ("rmsprop", 1e-4, 12, 10)
    assert (recipe.folds, recipe.preprocessing, recipe.network.cbam) == (5, CESM_PAPER, True)
    small = replace(recipe, network=replace(recipe.network, size=64), imagenet="none", batch=2)
    run = start_fold(small, 0)
    assert isinstance(run.optimizer, torch.optim.RMSprop)
    before = run.model.head.weight.detach().clone()
    train_epoch(small, run, data, np.array([0, 1]), 0)
    assert not torch.equal(before, run.model.head.weight)


def test_a_resumed_run_equals_one_never_stopped(tmp_path: Path, data: CropSet) -> None:
    once = run_fold(TINY, data, 0, tmp_path / "once")
    run_fold(TINY, data, 0, tmp_path / "twice", epochs=1)
    twice = run_fold(TINY, data, 0, tmp_path / "twice")
    assert once.read_bytes() == twice.read_bytes()
    assert (tmp_path / "once/history.json").read_text() == (tmp_path / "twice/history.json").read_text()


def test_a_stalled_accuracy_lowers_the_published_rate_to_a_tenth(tmp_path: Path, data: CropSet) -> None:
    recipe = replace(TINY, stall=1, learning_rate=1e-12, epochs=3, optimizer="rmsprop")
    run_fold(recipe, data, 0, tmp_path)
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["numbers"]
    assert kept[1] == pytest.approx(1e-14)  # two epochs without better accuracy after the first


def test_names_of_recipes_say_what_is_left_out() -> None:
    assert not cesm_recipe("small-plain").network.cbam
    low = cesm_recipe("small-plain-low")
    assert (low.energies, low.network.cbam, variant_name(low)) == ("low", False, "small-plain-low")
    with pytest.raises(ModelError, match="expected one of"):
        cesm_recipe("large")


def test_both_views_of_a_woman_are_in_one_fold(data: CropSet) -> None:
    learn, check = fold_parts(data, 1, 5)
    women = [{data.samples[int(i)].case_id for i in part} for part in (learn, check)]
    assert not women[0] & women[1]
    assert {fold_of(s.case_id) for s in data.samples} <= set(range(5))
    assert len(learn) + len(check) == len(data)


def test_varied_crops_keep_the_lesion_under_its_mask(data: CropSet) -> None:
    """The three channels turn together: a bright disc stays where its mask says."""
    r, c = np.mgrid[:CROP, :CROP]
    disc = ((r - 80) ** 2 + (c - 88) ** 2 < 20**2).astype(np.uint8) * 255
    crops = np.repeat(np.stack([disc, disc, disc])[None], 6, axis=0)
    recipe = replace(SMALL, energy_dropout=0.0, gain=0.0, rough_masks=0.0)
    out = training_crops(crops, recipe, np.random.default_rng(1))
    torch.testing.assert_close(out[:, 0], out[:, 2])
    assert float((out[0] - out[1]).abs().max()) > 0.2  # each in its own way
    inner = inner_crops(crops, 128)
    assert inner.shape == (6, 3, 128, 128)
    np.testing.assert_array_equal(inner[0, 2].numpy() > 0.5, disc[16:144, 16:144] > 127)


@pytest.mark.parametrize(("chain", "size", "most"), [(CESM_PAPER, 224, 6.0), (CESM_PAIR, 112, 6.0)])
def test_a_network_learns_from_the_squares_that_it_is_shown_later(chain: str, size: int, most: float) -> None:
    """Cut with room, then inwards, as in training; or the square itself, as the engine does: the same greys."""
    spec = PhantomSpec(
        seed=4, cesm=True, pixel_mm=0.4, pathology=Pathology.MALIGNANT, finding=FindingType.MASS
    )
    phantom, alone = phantom_exam(spec), chain == CESM_PAPER
    pairs = [prepare_pair(pair, chain) for pair in contrast_pairs(phantom.exam.images)]
    pair, mask = next((pair, mask) for pair in pairs for _, mask in lesion_masks(phantom, pair))
    kept = prepared_cesm(phantom, chain, 4)
    first = next(n for n, sample in enumerate(kept.samples) if sample.is_lesion)
    learnt = inner_crops(kept.crops[[first]], size, equalise=alone)[0].numpy() * 255
    asked = lesion_crop(pair, mask, size, equalise=alone).astype(float)
    for channel in range(2):
        assert np.abs(learnt[channel] - asked[channel]).mean() < most
        assert abs(learnt[channel].mean() - asked[channel].mean()) < 2.0


def test_a_run_without_a_model_says_so_and_other_recipes_keep_their_own_folder() -> None:
    order = CesmOrder(out=Path("run"), cache=Path("cache"))
    assert model_folder_of(order) == Path("run/model")
    assert model_folder_of(replace(order, recipe="compare-paper-xception")) == Path(
        "run/model-paper-xception-cbam"
    )
    assert model_folder_of(replace(order, recipe="small-plain")) == Path("run/model-small-plain")


def test_the_energies_a_network_is_not_shown_are_blank(data: CropSet) -> None:
    low, recombined = (inner_crops(data.crops[:1], 48, name) for name in ("low", "recombined"))
    assert float(low[:, 1].abs().max()) == 0 < float(low[:, 0].max())
    assert float(recombined[:, 0].abs().max()) == 0 < float(recombined[:, 1].max())
    recipe = replace(SMALL, energy_dropout=0.5)
    out = training_crops(np.repeat(data.crops[:1], 20, axis=0), recipe, np.random.default_rng(0))
    blank = (out[:, :2].amax((2, 3)) == 0).sum(1)
    assert set(blank.tolist()) == {1}  # one of the two, never both


def test_a_mask_drawn_anew_stays_about_where_it_was() -> None:
    r, c = np.mgrid[:CROP, :CROP]
    mask = (((r - 80) ** 2 + (c - 80) ** 2) < 30**2).astype(np.uint8) * 255
    rng = np.random.default_rng(2)
    overlaps = [dice(rough_mask(mask, rng) > 0, mask > 0) for _ in range(10)]
    assert min(overlaps) > 0.75
    assert max(overlaps) < 1.0


def test_pictures_and_masks_vary_alike() -> None:
    mask = np.zeros((2, 256, 192), bool)
    mask[:, 100:140, 60:110] = True
    canvases = np.where(mask[:, None], 200, 40).astype(np.uint8).repeat(2, axis=1)
    recipe = SegmenterRecipe(energy_dropout=0.0)
    shown, masks = training_pictures(canvases, mask, recipe, np.random.default_rng(3))
    for picture, truth in zip(shown.mean(1), masks, strict=True):
        inside, outside = picture[truth > 0].mean(), picture[(truth == 0) & (picture > 0.01)].mean()
        assert float(inside) > float(outside) + 0.2


def test_the_segmenter_learns_and_resumes_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = np.zeros((4, 64, 48), np.uint8)
    masks[:3, 20:36, 10:30] = 1
    canvases = (rng.integers(20, 60, (4, 2, 64, 48)) + 150 * masks[:, None]).astype(np.uint8)
    pictures = PictureSet(canvases=canvases, masks=masks, cases=("a", "b", "c", "d"))
    recipe = SegmenterRecipe(
        network=SegmenterConfig(widths=(4, 6, 8, 8)), steps=4, batch=2, checkpoint_every=2
    )
    once = run_segmenter(recipe, pictures, pictures, tmp_path / "once")
    run_segmenter(recipe, pictures, pictures, tmp_path / "twice", steps=2)
    twice = run_segmenter(recipe, pictures, pictures, tmp_path / "twice")
    assert once.read_bytes() == twice.read_bytes()


def test_half_of_the_phantoms_hold_a_cancer_and_a_tenth_nothing() -> None:
    kinds = [cesm_spec(seed).pathology for seed in range(20)]
    assert kinds.count(Pathology.MALIGNANT) == 10
    assert kinds.count(Pathology.NORMAL) == 2
    assert all(cesm_spec(seed).cesm for seed in range(20))


def test_operating_points_hold_what_they_are_named_for() -> None:
    rng = np.random.default_rng(4)
    truth = np.arange(400) % 2 == 0
    scores = np.clip(rng.normal(0.4 + 0.25 * truth, 0.15), 0, 1)
    points = {p["name"]: p["threshold"] for p in operating_points(truth, scores, "lesion", "here")}
    assert (scores[truth] >= points["high sensitivity"]).mean() >= 0.945  # thresholds are rounded in the card
    assert (scores[~truth] < points["high specificity"]).mean() >= 0.945
    assert points["high sensitivity"] < points["youden"] < points["high specificity"]


def test_operating_points_of_kinds_that_hardly_overlap_do_not_cross() -> None:
    """Ninety-five per cent specificity is had far below the point of the highest Youden index here."""
    truth = np.array([True] * 20 + [False] * 40)
    scores = np.concatenate([np.linspace(0.8, 0.95, 20), np.linspace(0.0, 0.3, 39), [0.7]])
    points = {p["name"]: p for p in operating_points(truth, scores, "breast", "here")}
    assert points["high sensitivity"]["threshold"] <= points["youden"]["threshold"]
    assert points["youden"]["threshold"] <= points["high specificity"]["threshold"]
    assert "Youden index, which has it too" in points["high specificity"]["how_set"]
    assert (scores[truth] >= points["high sensitivity"]["threshold"]).mean() >= 0.95
    assert (scores[~truth] < points["high specificity"]["threshold"]).mean() >= 0.95


def test_a_lesions_views_are_averaged() -> None:
    keys, truth, scores = by_lesion([("a",), ("b",), ("a",)], [True, False, True], [0.2, 0.5, 0.6])
    assert keys == [("a",), ("b",)]
    assert truth.tolist() == [True, False]
    assert scores.tolist() == pytest.approx([0.4, 0.5])


def test_a_breast_is_its_most_suspicious_lesion_with_its_views_fused() -> None:
    def mark(side: str, view: str, group: str, presence: float) -> FoundLesion:
        return FoundLesion(
            side=side, view=view, group=group, presence=presence, hits="", harmless=False,
            dice=0, malignancy=0,
        )  # fmt: skip

    none = np.zeros((0, 3, 8, 8), np.uint8)
    case = CesmCase(
        case_id="x",
        cancer={"R": True, "L": False},
        lesions=(),
        found=(mark("R", "CC", "1", 0.9), mark("R", "MLO", "1", 0.5), mark("R", "CC", "2", 0.8)),
        lesion_crops=none,
        found_crops=none,
    )
    judged = np.array([0.8, 0.4, 0.5])
    fused = breast_scores(case, judged, (1.0, 0.0))
    assert fused["R"] == pytest.approx(0.9 * 0.6)  # best chance times the mean of 0.8 and 0.4
    assert fused["L"] == 0.0
    assert breast_scores(case, judged, (1.0, 0.0), "MLO")["R"] == pytest.approx(0.5 * 0.4)


def test_the_pixel_size_of_a_kept_crop_follows_from_the_margin() -> None:
    mask = np.zeros((CROP, CROP), bool)
    mask[48:112, 60:100] = True  # 64 of the square's 128 pixels; 5 mm on each side are the other 64
    assert pixel_mm_of(mask) == pytest.approx(10.0 / 64)


def test_features_that_say_the_same_or_nothing_are_left_out() -> None:
    rng = np.random.default_rng(5)
    truth = rng.random(200) < 0.5
    useful = truth + rng.normal(scale=0.5, size=200)
    table = np.stack(
        [useful, 2 * useful + 1e-3 * rng.normal(size=200), rng.normal(size=200), np.zeros(200)], 1
    )
    names = ["useful", "the same", "noise", "constant"]
    assert 0 in selected(names, (table - table.mean(0)) / (table.std(0) + 1e-9), truth, 1)
    assert 1 not in selected(names, table, truth, 1)
    assert 3 not in selected(names, table, truth, 1)


def test_real_pairs_are_learnt_from_and_judged_on_different_women(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cases = tuple(f"P{n // 2}" for n in range(40))
    masks = np.zeros((40, 32, 32), np.uint8)
    masks[:, 8:20, 10:22] = 1
    canvases = (rng.integers(20, 60, (40, 2, 32, 32)) + 150 * masks[:, None]).astype(np.uint8)
    pictures = PictureSet(canvases=canvases, masks=masks, cases=cases)
    torch.manual_seed(0)
    segmenter = LesionSegmenter(SegmenterConfig(widths=(4, 6, 8, 8)))
    told = json.loads(run_real_fold(segmenter, pictures, 2, tmp_path, steps=2).read_text())
    assert set(told["cases"]) == {c for c in cases if fold_of(c) == 2}
    assert len(told["dice"]) == len(told["before"]) == len(told["cases"])
    figures = fold_figures(tmp_path)
    assert (figures["folds"], figures["n_pairs"]) == (1, len(told["cases"]))
    assert figures["dice_median"]["value"] == pytest.approx(np.median(told["dice"]), abs=1e-6)
