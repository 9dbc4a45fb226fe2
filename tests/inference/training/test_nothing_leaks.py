"""Nothing that a figure is measured on is learnt from or chosen by: folds by woman, seeds apart, thresholds fixed before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inference.exam.types import Orientation
from inference.model_card import read_card
from inference.models.lesion_segmenter import LesionSegmenter, SegmenterConfig
from inference.preprocessing.cesm import CESM_PAIR
from inference.preprocessing.layout import Placement
from inference.preprocessing.pipeline import ModelInput
from inference.training import cesm_command
from inference.training.cesm_data import CropSet, LesionSample, fold_of
from inference.training.cesm_loop import FINISHED
from inference.training.cesm_real_folds import run_real_fold
from inference.training.cesm_recipe import CesmOrder, cesm_recipe
from inference.training.cesm_segmenting import PictureSet
from inference.training.data import EASY_SEEDS, TEST_SEEDS, VALIDATION_SEEDS
from inference.training.dib_mg_folds import RealView, one_fold
from resources.files import ROOT
from resources.vocabulary import Laterality, Projection

DIB_MG = ROOT / "models" / "dib-mg"
CESM = ROOT / "models" / "cesm-cbam"


def real_views(count: int) -> list[RealView]:
    """Views of as many women, every second with a cancer, all of grain."""
    rng = np.random.default_rng(8)
    shape = (64, 48)
    place = Placement(
        stored_shape=shape, orientation=Orientation(), mirror=False, origin=(0.0, 0.0),
        extent=(64.0, 48.0), scale=(1.0, 1.0), offset=(0.0, 0.0), canvas_shape=shape,
    )  # fmt: skip
    return [
        RealView(
            woman=f"w{number}",
            cancer=number % 2 == 0,
            item=ModelInput(
                image_key=f"w{number}", canvas=rng.uniform(-1, 1, shape).astype(np.float32),
                mask=np.ones(shape, bool), placement=place, pixel_mm=0.45,
                spots=rng.integers(0, 3, shape).astype(np.float32),
            ),
            circles=(),
        )
        for number in range(count)
    ]  # fmt: skip


def test_what_is_known_of_the_held_out_women_changes_nothing_in_their_film_scores() -> None:
    """Their labels are turned round: a fold that learns from them would score them otherwise."""
    card, views = read_card(DIB_MG), real_views(20)
    parts = np.arange(20) // 2 % 5
    turned = {
        held: [
            replace(v, cancer=not v.cancer) if (part == 1) == held else v
            for v, part in zip(views, parts, strict=True)
        ]
        for held in (True, False)
    }
    scores, _ = one_fold(card, views, parts, 1, epochs=1)
    assert len(scores) == 4
    np.testing.assert_array_equal(one_fold(card, turned[True], parts, 1, epochs=1)[0], scores)
    # those of the women it learns from do count
    assert not np.array_equal(one_fold(card, turned[False], parts, 1, epochs=1)[0], scores)


def test_pairs_of_the_held_out_women_leave_no_trace_in_their_folds_weights(tmp_path: Path) -> None:
    """Their pictures are made dark: neither the weights learnt nor the score they are chosen by may change."""
    rng = np.random.default_rng(0)
    cases = tuple(f"P{n}" for n in range(40))
    masks = np.zeros((40, 32, 32), np.uint8)
    masks[:, 8:20, 10:22] = 1
    bright = (rng.integers(20, 60, (40, 2, 32, 32)) + 150 * masks[:, None]).astype(np.uint8)
    held = np.array([fold_of(case) == 2 for case in cases])
    assert 3 < held.sum() < 20
    torch.manual_seed(0)
    segmenter = LesionSegmenter(SegmenterConfig(widths=(4, 4, 4, 4)))
    kept = {}
    for name, dark in (("as they are", np.zeros(40, bool)), ("held dark", held), ("others dark", ~held)):
        canvases = np.where(dark[:, None, None, None], bright // 8, bright)
        pictures = PictureSet(canvases=canvases, masks=masks, cases=cases)
        run_real_fold(segmenter, pictures, 2, tmp_path / name, steps=2)
        run = tmp_path / name / "fold2"
        kept[name] = (run / "best.safetensors").read_bytes(), (run / "history.json").read_text()
    assert kept["held dark"] == kept["as they are"]
    assert kept["others dark"][0] != kept["as they are"][0]
    assert kept["others dark"][1] != kept["as they are"][1]


def sample(seed: int) -> LesionSample:
    return LesionSample(
        case_id=str(seed), laterality=Laterality.LEFT, projection=Projection.CC, lesion_id="1", finding="mass",
        malignant=bool(seed % 2), diameter_mm=9.0, enhancement=1.0,
    )  # fmt: skip


def test_contrast_variants_are_compared_on_phantoms_that_none_of_them_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the making of phantoms and the figures are stood in for: which seeds reach which is the program's."""
    given: dict[str, list[int]] = {}

    def made(_folder: Path, seeds: Iterable[int], _preprocessing: str) -> CropSet:
        samples = tuple(sample(seed) for seed in seeds)
        return CropSet(crops=np.zeros((len(samples), 3, 1, 1), np.uint8), samples=samples)

    def figures(_variants: object, learn: CropSet, test: CropSet, *_: object) -> dict[str, Any]:
        given["learn"], given["test"] = ([int(s.case_id) for s in x.samples] for x in (learn, test))
        return {"told": 1}

    monkeypatch.setattr(cesm_command, "crop_set", made)
    monkeypatch.setattr(cesm_command, "mask_figures", figures)
    shutil.copytree(CESM, tmp_path / "model")
    fold = tmp_path / "run" / "small-cbam" / "fold0"
    fold.mkdir(parents=True)
    (fold / FINISHED).touch()
    order = CesmOrder(out=tmp_path / "run", cache=tmp_path / "cache", recipe="compare")
    cesm_command.compare_variants(order, tmp_path / "model")
    recipe = cesm_recipe("small")
    assert recipe.preprocessing == CESM_PAIR
    assert given["learn"] == list(range(recipe.train_exams))
    assert recipe.train_exams < EASY_SEEDS < VALIDATION_SEEDS < TEST_SEEDS
    assert len(given["test"]) > 100
    assert min(given["test"]) >= TEST_SEEDS  # validation phantoms have calibrated the model: they lie below
    card = json.loads((tmp_path / "model" / "card.json").read_text(encoding="utf-8"))
    assert card["evaluation"]["phantom"]["true_masks"] == {"told": 1}
