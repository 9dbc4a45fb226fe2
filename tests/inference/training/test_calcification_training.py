"""Training of the calcification ensemble: phantoms, crops, a step of every paper network, exact resume, figures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.metrics import delong_auc
from inference.model_card import ModelError
from inference.models.calcification import Answers
from inference.models.crop_classifier import CropConfig
from inference.preprocessing.calcification import CROP_PX, prepare_view
from inference.training.calcification_command import EnsembleOrder, ordered
from inference.training.calcification_data import (
    COARSE,
    NONE,
    STORED_PX,
    TRAPS,
    Crops,
    crops_of,
    group_views,
    views_of,
)
from inference.training.calcification_evaluation import (
    ENSEMBLE,
    Judged,
    attention,
    candidate_stage,
    gain,
    own_thresholds,
    sensitivities,
    settled,
    table,
)
from inference.training.calcification_film import as_film
from inference.training.calcification_loop import (
    drawn_batch,
    load_checkpoint,
    rate,
    save_checkpoint,
    start,
    train_member,
    train_step,
)
from inference.training.calcification_phantoms import group_view
from inference.training.calcification_points import group_points, malignancy_points, measured_points
from inference.training.calcification_recipe import PAPER, MemberRecipe, ensemble_recipe
from inference.training.calcification_shapes import shape_features
from inference.training.calcification_specks import draw_specks, fainter

TINY = MemberRecipe(
    name="tiny",
    network=CropConfig(backbone="mobilenetv3_small_050", level=2, cbam=False, size=64, dropout=0.0),
    imagenet="none",
    steps=4,
    learning_rate=1e-3,
    warmup=1,
    batch=4,
    validate_every=2,
    checkpoint_every=2,
)


def made_crops(count: int = 24) -> Crops:
    """Crops whose kind is plain to see: malignant ones carry a bright cross, benign ones a dot, others nothing."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(90, 130, (count, 3, STORED_PX, STORED_PX), dtype=np.uint8)
    kind = np.array([1, 0, NONE] * (count // 3))
    middle = STORED_PX // 2
    pixels[kind == 1, :, middle - 20 : middle + 20, middle - 2 : middle + 2] = 250
    pixels[kind == 0, :, middle - 3 : middle + 3, middle - 3 : middle + 3] = 250
    return Crops(
        pixels=pixels,
        kind=kind,
        given=(kind != NONE) & (np.arange(count) % 6 < 3),
        strength=np.ones(count, np.float32),
        features=rng.normal(size=(count, 3)).astype(np.float32),
        case=np.arange(count) // 6,
    )


@pytest.mark.parametrize("member", PAPER.members, ids=lambda m: m.name)
def test_each_network_of_the_paper_takes_a_step(member: MemberRecipe) -> None:
    small = replace(
        member, network=replace(member.network, size=96), imagenet="none", batch=3, warmup=1, steps=2
    )
    crops = made_crops(6)
    run = start(small, crops)
    before = run.model.crop.head.weight.detach().clone()
    assert np.isfinite(train_step(small, run, crops))
    assert run.step == 1
    assert not torch.equal(before, run.model.crop.head.weight)


def test_a_network_of_the_paper_goes_on_from_its_checkpoint_as_if_never_stopped(tmp_path: Path) -> None:
    member = PAPER.members[0]
    small = replace(member, network=replace(member.network, size=64), imagenet="none", batch=3, warmup=1)
    crops = made_crops(6)
    run = start(small, crops)
    train_step(small, run, crops)
    save_checkpoint(run, tmp_path)
    again = start(replace(small, seed=5), crops)  # other weights, to be replaced
    assert load_checkpoint(again, tmp_path)
    (tmp_path / "checkpoint.pt").unlink()  # hundreds of megabytes
    assert again.step == 1
    assert train_step(small, run, crops) == train_step(small, again, crops)
    for (name, one), other in zip(
        run.model.state_dict().items(), again.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name


def test_the_papers_networks_are_the_five_of_the_recipe() -> None:
    names = [m.network.backbone for m in ensemble_recipe("paper").members]
    assert names == ["densenet201", "resnet101", "legacy_xception", "inception_v3", "inception_resnet_v2"]
    with pytest.raises(ModelError, match="paper, small"):
        ensemble_recipe("huge")


def test_a_run_that_was_cut_off_equals_one_that_never_stopped(tmp_path: Path) -> None:
    crops = made_crops()
    whole = train_member(TINY, crops, crops, tmp_path / "whole")
    cut = tmp_path / "cut"
    cut.mkdir()
    run = start(TINY, crops)
    for _ in range(2):
        train_step(TINY, run, crops)
    save_checkpoint(run, cut)
    resumed = train_member(TINY, crops, crops, cut)
    first = torch.load(tmp_path / "whole" / "checkpoint.pt", weights_only=True)
    second = torch.load(cut / "checkpoint.pt", weights_only=True)
    assert second["step"] == first["step"] == 4
    for name, value in first["model"].items():
        assert torch.equal(value, second["model"][name]), name
    for name, value in first["average"].items():
        assert torch.equal(value, second["average"][name]), name
    assert whole.is_file()
    assert resumed.is_file()


def test_the_second_part_learns_from_harder_crops_too_and_keeps_a_step_of_its_own(tmp_path: Path) -> None:
    crops, harder = made_crops(), made_crops(12)
    two = replace(TINY, steps=2, harder_steps=2)
    first = train_member(replace(TINY, steps=2), crops, crops, tmp_path / "run")
    begun = first.read_bytes()
    train_member(two, crops, crops, tmp_path / "run", harder=(harder, harder))
    history = json.loads((tmp_path / "run" / "history.json").read_text(encoding="utf-8"))
    assert [entry["step"] for entry in history] == [2, 4]
    assert (tmp_path / "run" / "best.safetensors").read_bytes() != begun, (
        "best anew, whatever was best before"
    )
    whole = train_member(two, crops, crops, tmp_path / "whole", harder=(harder, harder))
    assert whole.read_bytes() == (tmp_path / "run" / "best.safetensors").read_bytes()


def test_the_second_part_draws_every_other_batch_from_the_harder_crops() -> None:
    crops, harder = made_crops(), made_crops()
    harder.pixels[:] = 0
    two = replace(TINY, steps=2, harder_steps=2)
    run, other = start(two, crops), start(two, crops)
    losses = [(train_step(two, run, crops, 0.3, harder), train_step(two, other, crops)) for _ in range(4)]
    assert [a == b for a, b in losses] == [True, True, True, False]
    assert [rate(two, k) for k in range(2, 5)] == pytest.approx([5e-4, 2.55e-4, 1e-5])


def test_a_batch_holds_both_kinds_alike_and_crops_of_the_networks_size() -> None:
    planes, kinds = drawn_batch(made_crops(), 10, 0.2, np.random.default_rng(0))
    assert planes.shape == (10, 3, CROP_PX, CROP_PX)
    assert [(kinds == k).sum() for k in (1, 0, NONE)] == [4, 4, 2]


def test_a_hard_view_is_the_same_for_the_same_seed_and_its_boxes_hold_its_specks() -> None:
    first, again = group_view(41), group_view(41)
    assert np.array_equal(first.image.pixels, again.image.pixels)
    assert first.groups == again.groups
    rows, cols = first.image.pixels.shape
    for group in first.groups:
        assert 0 <= group.box.row0 < group.box.row1 <= rows
        assert 0 <= group.box.col0 < group.box.col1 <= cols
    crops = crops_of(group_views(41)[0], 41)
    assert int(crops.given.sum()) == len(first.groups)
    bright = crops.pixels[crops.given][:, 2, 48:-48, 48:-48].reshape(len(first.groups), -1)
    assert all((spots > 120).sum() > 10 for spots in bright), "a given crop shows its specks"


@pytest.mark.parametrize(("world", "pixel_mm"), [(TRAPS, 0.1), (COARSE, 0.2)])
def test_a_difficult_view_repeats_itself_and_its_traps_are_no_group(world: str, pixel_mm: float) -> None:
    made, again = views_of(world, 41)[0], views_of(world, 41)[0]
    assert np.array_equal(made.image.pixels, again.image.pixels)
    assert made.image.spacing is not None
    assert made.image.spacing.row_mm == pixel_mm
    assert prepare_view(made.image).coarse == (world == COARSE)
    rows, cols = made.image.pixels.shape
    assert all(0 <= b.row0 < b.row1 <= rows and 0 <= b.col0 < b.col1 <= cols for _, b in made.groups)
    crops = crops_of(made, 41)
    assert int(crops.given.sum()) == len(made.groups)
    assert (crops.kind == NONE).any(), "lone specks and fibres give false candidates"


def test_fainter_groups_have_no_more_and_no_larger_specks() -> None:
    rng = np.random.default_rng(2)
    groups = [draw_specks(rng, bool(k % 2)) for k in range(60)]
    faint = [fainter(g, rng) for g in groups]
    for before, after in zip(groups, faint, strict=True):
        kept = len(after.size_mm)
        assert 4 <= kept <= len(before.size_mm)
        assert (after.size_mm <= before.size_mm[:kept]).all()
        assert (after.density <= before.density[:kept]).all()
    changed = [
        len(a.size_mm) < len(b.size_mm) or a.size_mm[0] < b.size_mm[0]
        for b, a in zip(groups, faint, strict=True)
    ]
    assert 0.5 < np.mean(changed) < 1.0, "most are fainter, some stay as they were"


def test_film_keeps_air_dark_and_blurs_a_speck_into_its_surroundings() -> None:
    pixels = np.full((120, 100), 1500, np.uint16)
    pixels[:, 80:] = 0
    pixels[60, 40] = 4000
    film = as_film(pixels, np.random.default_rng(4))
    assert (film[:, 80:] == 0).all()
    assert film[:, :80].min() >= 60
    level = float(np.median(film[:, :80]))
    assert film[60, 41] > level + 0.02 * (film[60, 40] - level)
    assert float(film[:40, :80].std()) > 5, "grain"


def test_the_points_of_a_group_allow_their_rates_of_false_marks_and_are_ordered() -> None:
    rng = np.random.default_rng(1)
    truth = np.arange(1000) < 400
    chance = np.where(truth, rng.beta(4, 2, 1000), rng.beta(2, 4, 1000))
    points = group_points(truth, chance, views=100)
    low, middle, high = (points[n][0] for n in ("high sensitivity", "balanced", "high specificity"))
    assert low < middle < high
    for name, at in (("high sensitivity", 50), ("balanced", 10), ("high specificity", 1)):
        # half way to the next lower score no other case lies, so the count is that of the rate
        assert (chance[~truth] >= points[name][0]).sum() <= at
        assert (chance[~truth] >= points[name][0]).sum() >= at - 1
    assert next(iter(points)) == "balanced", "the first is the card's default"


def test_the_points_of_malignancy_never_cross_and_lie_between_cases() -> None:
    truth = np.array([True] * 20 + [False] * 20)
    apart = np.concatenate([np.full(20, 0.9), np.full(20, 0.2)])
    points = malignancy_points(truth, apart)
    middle = points["youden"][0]
    # half way on logits between 0.2 and 0.9: odds sqrt(0.25 * 9) = 1.5, that is 0.6
    assert middle == pytest.approx(0.6, abs=1e-6)
    assert {round(value, 6) for value, _ in points.values()} == {0.6}
    rng = np.random.default_rng(5)
    mixed = np.where(truth, rng.normal(0.6, 0.15, 40), rng.normal(0.4, 0.15, 40)).clip(0.01, 0.99)
    got = malignancy_points(truth, mixed)
    assert got["high sensitivity"][0] <= got["youden"][0] <= got["high specificity"][0]
    assert (mixed[truth] >= got["high sensitivity"][0]).mean() >= 0.95
    assert (mixed[~truth] < got["high specificity"][0]).mean() >= 0.95


def test_a_threshold_is_settled_half_way_to_the_next_lower_case() -> None:
    scores = np.array([0.2, 0.5, 0.9])
    assert settled(scores, 0.9) == pytest.approx(0.75)  # odds sqrt(1 * 9) = 3
    assert settled(scores, 0.2) == 0.2


def test_counting_or_measuring_specks_does_not_tell_the_hard_groups_apart() -> None:
    rng = np.random.default_rng(9)
    truth = np.arange(600) % 2 == 0
    groups = [draw_specks(rng, bool(m)) for m in truth]
    for feature in (
        [float(len(g.size_mm)) for g in groups],
        [float(np.median(g.size_mm)) for g in groups],
        [float(g.offsets.std()) for g in groups],
    ):
        assert 0.35 < delong_auc(truth, np.array(feature)).value < 0.7
    longest = np.array([float(g.ratio.mean()) for g in groups])
    assert delong_auc(truth, longest).value > 0.9, "the shape of specks does tell"


def judged(first: list[float], second: list[float]) -> Judged:
    """Six groups, each with its candidate, of two members; malignant ones first."""
    kind = np.repeat([1, 1, 1, 0, 0, 0], 2)
    crops = Crops(
        pixels=np.zeros((12, 3, STORED_PX, STORED_PX), np.uint8),
        kind=kind,
        given=np.arange(12) % 2 == 0,
        strength=np.ones(12, np.float32),
        features=np.zeros((12, 3), np.float32),
        case=np.arange(12) // 2,
    )
    malignant = np.stack([np.repeat(first, 2), np.repeat(second, 2)])
    return Judged(crops=crops, said=Answers(group=np.full((2, 12), 0.9), malignant=malignant))


def test_two_members_that_err_in_different_places_are_better_together_in_the_table() -> None:
    one, other = [0.9, 0.2, 0.8, 0.1, 0.3, 0.2], [0.7, 0.9, 0.4, 0.5, 0.1, 0.1]
    both = judged(one, other)
    rows = {
        r["name"]: r
        for r in table(["a", "b"], own_thresholds(["a", "b"], both), both, np.random.default_rng(0))
    }
    # pairs in order, by hand: a: 0.2 ties 0.2 and loses to 0.3 -> 7.5 of 9; b: 0.4 loses to 0.5 -> 8 of 9
    assert rows["a"]["auc"]["value"] == pytest.approx(7.5 / 9, abs=1e-4)
    assert rows["b"]["auc"]["value"] == pytest.approx(8 / 9, abs=1e-4)
    assert rows[ENSEMBLE]["auc"]["value"] == 1.0
    assert rows[ENSEMBLE]["sensitivity"]["value"] == rows[ENSEMBLE]["specificity"]["value"] == 1.0
    told = gain(["a", "b"], both, np.random.default_rng(0))
    assert told["best_member"] == "b"
    assert told["value"] == pytest.approx(1 / 9, abs=1e-4)


def test_the_candidate_stage_counts_a_missed_group_and_false_marks_per_view() -> None:
    crops = Crops(
        pixels=np.zeros((5, 3, STORED_PX, STORED_PX), np.uint8),
        kind=np.array([1, 1, 0, NONE, NONE]),
        given=np.array([True, False, True, False, False]),  # the benign group has no candidate
        strength=np.array([8.0, 8.0, 0.0, 9.0, 1.0], np.float32),
        features=np.zeros((5, 3), np.float32),
        case=np.zeros(5, np.int64),
        views=2,
    )
    said = Answers(group=np.array([[0.0, 0.9, 0.0, 0.2, 0.1]]), malignant=np.zeros((1, 5)))
    found = candidate_stage(Judged(crops=crops, said=said))
    assert found["false_per_view"] == 1.0
    assert found["strength"]["all"] == {
        **dict.fromkeys(("0.05", "0.1", "0.2", "0.3"), 0.0),
        "0.5": 0.5,
        "1.0": 0.5,
        "2.0": 0.5,
        "4.0": 0.5,
        "all candidates": 0.5,
    }
    assert found["ensemble"]["malignant"]["0.05"] == 1.0
    assert found["ensemble"]["benign"]["4.0"] == 0.0


def test_a_group_without_a_candidate_counts_as_missed_at_every_point() -> None:
    crops = Crops(
        pixels=np.zeros((5, 3, STORED_PX, STORED_PX), np.uint8),
        kind=np.array([1, 1, 0, NONE, NONE]),
        given=np.array([True, False, True, False, False]),
        strength=np.array([8.0, 8.0, 0.0, 9.0, 1.0], np.float32),
        features=np.zeros((5, 3), np.float32),
        case=np.zeros(5, np.int64),
        views=2,
    )
    said = Answers(
        group=np.array([[0.0, 0.9, 0.0, 0.7, 0.1]]), malignant=np.array([[0.6, 0.0, 0.7, 0.0, 0.0]])
    )
    points = [
        {"level": "box", "name": "balanced", "threshold": 0.5},
        {"level": "lesion", "name": "youden", "threshold": 0.5},
    ]
    box, lesion = measured_points(Judged(crops=crops, said=said), ((1.0, 0.0), (1.0, 0.0)), points)
    assert (box["sensitivity"], box["false_per_view"]) == (0.5, 0.5)
    assert (lesion["sensitivity"], lesion["specificity"]) == (1.0, 0.0)
    shifted, _ = measured_points(Judged(crops=crops, said=said), ((1.0, -1.0), (1.0, 0.0)), points)
    assert shifted["false_per_view"] == 0.0, "the scales are applied: 0.7 becomes 0.46"


def test_no_group_found_is_a_sensitivity_of_nought() -> None:
    assert set(sensitivities(np.array([-np.inf, -np.inf]), np.array([0.5]), 1).values()) == {0.0}


def test_attention_tells_a_map_on_the_specks_from_one_beside_them() -> None:
    crops = made_crops(3)[np.array([0, 0])]
    crops.pixels[:, 2] = 0
    rim = (STORED_PX - CROP_PX) // 2
    crops.pixels[:, 2, rim + 30 : rim + 33, rim + 30 : rim + 33] = 255
    maps = np.zeros((2, CROP_PX, CROP_PX), np.float32)
    maps[0, 35, 31], maps[1, 90, 90] = 1.0, 1.0
    told = attention(crops, maps)
    assert told["on_specks"] == 0.5
    assert told["mass"] == 0.5
    assert told["by_chance"] < 0.05
    assert told["middle"] == 0.0


def test_elongation_of_a_bar_is_that_of_its_second_moments() -> None:
    plane = np.zeros((64, 64), np.uint8)
    plane[10:13, 5:14] = 200  # 3 x 9 pixels
    plane[40:43, 40:43] = 100  # 3 x 3
    plane[60, 60] = 255  # one pixel has no shape
    elongation, areas, heights, longest = shape_features(plane[None])[0]
    # Sample variance of 0..8 (each three times) is 180/26, of 0..2 (nine times) 18/26, plus a twelfth.
    bar = np.sqrt((180 / 26 + 1 / 12) / (18 / 26 + 1 / 12))
    assert longest == pytest.approx(bar)
    assert elongation == pytest.approx((bar + 1.0) / 2)
    assert areas == pytest.approx(9 / 18)  # 27 and 9: deviation 9, mean 18
    assert heights == pytest.approx(50 / 150)


def test_a_crop_without_specks_has_the_shape_of_nothing() -> None:
    assert shape_features(np.zeros((1, 64, 64), np.uint8)).tolist() == [[1.0, 0.0, 0.0, 1.0]]


def test_a_member_that_the_recipe_does_not_have_is_refused() -> None:
    order = EnsembleOrder(out=Path("run"), cache=Path("cache"), member=5)
    with pytest.raises(ModelError, match="0 to 4"):
        ordered(order)
    assert [m.name for m in ordered(replace(order, member=1, steps=7)).members] == ["tf_efficientnet_lite1"]
