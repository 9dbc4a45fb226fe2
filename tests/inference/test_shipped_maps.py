"""The shipped network's map answers at the place where something is put, which no lesion's place taught it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.models.cam_classifier import STRIDE
from inference.preprocessing.pipeline import CANVAS_MM, ModelInput, pipeline
from inference.torch_engine import TorchEngine
from resources.files import ROOT
from resources.vocabulary import Density, Pathology

SHIPPED = ROOT / "models" / "dib-mg"


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    return TorchEngine(SHIPPED, "cpu")


@pytest.fixture(scope="module")
def items(engine: TorchEngine) -> list[ModelInput]:
    spec = PhantomSpec(seed=3_200_000, pixel_mm=0.2, pathology=Pathology.NORMAL, density=Density.SCATTERED)
    return [pipeline(engine.card.preprocessing)(image) for image in phantom_exam(spec).exam.images]


def _with_cluster(item: ModelInput, row: int, col: int) -> ModelInput:
    """The view with 22 spots around a place, spread as a malignant cluster is (radius some 5 mm)."""
    assert item.spots is not None
    rng = np.random.default_rng(7)
    spots = item.spots.copy()
    for down, right in rng.normal(0, 2.5 / CANVAS_MM, (22, 2)):
        spots[int(row + down), int(col + right)] += 1.0
    return replace(item, spots=spots)


def test_a_cluster_put_anywhere_raises_the_map_there(engine: TorchEngine, items: list[ModelInput]) -> None:
    apart = []
    for item in items:
        middle = int(np.median(np.nonzero(item.mask)[0]))
        for row in (middle - 45, middle - 4, middle + 37):
            for col in (48, 61, 75):
                before, after = engine.run_views([item, _with_cluster(item, row, col)])[0]
                cell = np.unravel_index(int(np.argmax(after - before)), before.shape)
                apart.append(((cell[0] + 0.5) * STRIDE - row, (cell[1] + 0.5) * STRIDE - col))
    distance = np.hypot(*np.array(apart).T)
    assert np.mean(distance <= STRIDE) > 0.8  # within one cell: 7 mm
    # straight down, not to one side: half a cell is what rounding to cells allows
    assert np.abs(np.mean(apart, axis=0)).max() < STRIDE / 2


def test_calcifications_count_in_the_breasts_score(engine: TorchEngine, items: list[ModelInput]) -> None:
    item = items[0]
    middle = int(np.median(np.nonzero(item.mask)[0]))
    before, after = engine.run_views([item, _with_cluster(item, middle, 60)])[1]
    assert after > before + 1.0  # logits
