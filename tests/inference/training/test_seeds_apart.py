"""Which phantoms reach what: calibrations see validation seeds or held-out folds, figures see test seeds only.

Making and reading phantoms is stood in for, because hours of it are what these functions otherwise do; the choice of
seeds, which is looked at, is the program's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.models.calcification import Answers
from inference.training import calcification_packaging, cesm_packaging, packaging
from inference.training.calcification_data import Crops
from inference.training.calcification_evaluation import Judged
from inference.training.calcification_recipe import ensemble_recipe
from inference.training.cesm_data import CropSet, LesionSample, fold_of
from inference.training.cesm_recipe import cesm_recipe
from inference.training.data import TEST_SEEDS, VALIDATION_SEEDS
from inference.training.recipes import recipe as named_recipe
from resources.vocabulary import Laterality, Projection


class StopHereError(Exception):
    """Enough was seen."""


def crops_of_seeds(_world: str, seeds: Iterable[int], _cache: Path, *, workers: int = 1) -> Crops:
    """One empty crop a seed, which is its case."""
    cases = np.array(list(seeds)[: 5 * workers])
    return Crops(
        pixels=np.zeros((len(cases), 3, 1, 1), np.uint8),
        kind=cases % 2,
        given=np.ones(len(cases), bool),
        strength=np.ones(len(cases), np.float32),
        features=np.zeros((len(cases), 3), np.float32),
        case=cases,
        views=len(cases),
    )


def test_calcifications_are_calibrated_on_validation_and_measured_on_test_phantoms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, tuple[Any, ...]] = {}

    def asked(_engine: object, crops: Crops) -> Judged:
        half = np.full((1, len(crops)), 0.5)
        return Judged(crops=crops, said=Answers(group=half, malignant=half))

    def figures(_engine: object, _raw: object, world: str, *parts: Any) -> dict[str, Any]:
        told[world] = parts
        return {}

    monkeypatch.setattr(calcification_packaging, "phantom_crops", crops_of_seeds)
    fine, coarse = calcification_packaging.calibration_crops(tmp_path, (2, 3, 4, 5))
    assert sorted(fine.case) == sorted(VALIDATION_SEEDS + np.array([0, 1, 0, 1, 2, 0, 1, 2, 3]))
    assert coarse.case.tolist() == [VALIDATION_SEEDS + n for n in range(5)]

    for name, stand_in in (("judged", asked), ("_world", figures)):
        monkeypatch.setattr(calcification_packaging, name, stand_in)
    monkeypatch.setattr(calcification_packaging, "CalcificationEngine", lambda *_: None)
    monkeypatch.setattr(calcification_packaging, "seconds_per_exam", lambda _engine: 1.0)
    monkeypatch.setattr(calcification_packaging, "write_card", lambda *_: None)
    (tmp_path / "card.json").write_text(json.dumps({"evaluation": {}}), encoding="utf-8")
    calcification_packaging.evaluate(tmp_path, tmp_path, counts=(4, 4, 4, 4), recipe=ensemble_recipe("small"))
    assert len(told) == 4
    for test, *others in told.values():
        assert test.crops.case.tolist() == [TEST_SEEDS + n for n in range(4)]
        for other in others:
            known = other.crops if isinstance(other, Judged) else other
            assert known.case.max() < TEST_SEEDS


def test_malignancy_of_contrast_lesions_is_calibrated_by_networks_that_never_saw_the_woman(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples = tuple(
        LesionSample(
            case_id=f"w{number}", laterality=Laterality.LEFT, projection=Projection.CC, lesion_id="1",
            finding="mass" if number % 3 else "", malignant=number % 2 == 0, diameter_mm=9.0, enhancement=1.0,
        )
        for number in range(40)
    )  # fmt: skip
    data = CropSet(crops=np.zeros((40, 3, 1, 1), np.uint8), samples=samples)
    monkeypatch.setattr(cesm_packaging, "load_classifier", lambda _recipe, weights: int(weights.name))
    # the "logit" of a lesion is the number of the fold whose network was asked
    monkeypatch.setattr(
        cesm_packaging, "predict_logits", lambda network, part, _recipe: np.full(len(part), float(network))
    )
    runs = {fold: Path(str(fold)) for fold in (0, 1, 3)}
    index, logits = cesm_packaging.held_out(cesm_recipe("small"), data, runs)
    expected = [n for n in range(40) if n % 3 and fold_of(f"w{n}", 5) in runs]
    assert sorted(index.tolist()) == expected  # every lesion of these folds once, no decoy
    assert len(expected) > 10
    assert all(fold_of(f"w{n}", 5) == fold for n, fold in zip(index, logits, strict=True))


def test_dib_mg_is_calibrated_on_validation_and_measured_on_test_phantoms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Engine:
        network = None

        def __init__(self, *_: object, **__: object) -> None:
            """Nothing is loaded."""

    seen: list[list[int]] = []

    def prepared(seeds: Iterable[int], *_: object) -> list[object]:
        seen.append(list(seeds))
        return []

    def stop(_what: object, seeds: Iterable[int], *_: object) -> None:
        seen.append(list(seeds))
        raise StopHereError

    monkeypatch.setattr(packaging, "TorchEngine", Engine)
    monkeypatch.setattr(packaging, "prepared_views", prepared)
    monkeypatch.setattr(packaging, "mirror_offset", lambda *_: ((0.0, 0.0), 1))
    monkeypatch.setattr(packaging, "run_phantoms", stop)
    monkeypatch.setattr(packaging, "run_together", stop)
    weights = tmp_path / "best.safetensors"
    weights.write_bytes(b"weights")
    with pytest.raises(StopHereError):
        packaging.package(
            named_recipe("dib_mg_small"), weights, tmp_path / "model", version="1", validation_exams=3
        )
    assert seen == [[VALIDATION_SEEDS + n for n in range(3)]] * 2
    seen.clear()
    with pytest.raises(StopHereError):
        packaging.evaluate(tmp_path / "model", exams=3)
    assert seen == [[TEST_SEEDS + n for n in range(3)]]
