"""Kept results: found again whole, keyed by model and exam, damaged ones made anew."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.cache import CachedEngine, ModelIdentity, ResultCache, identity_of
from inference.engine import Cancelled, FakeEngine, Progress
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Exam
from inference.model_card import read_card, write_card
from inference.registry import load_card
from inference.results import ExamResult

FAKE = ModelIdentity(model_id="fake", model_version="1", weights_digest="0" * 64, preprocessing="none")


class CountingEngine:
    """The fake engine, counted."""

    def __init__(self) -> None:
        self.runs = 0

    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
        self.runs += 1
        return FakeEngine(1).analyse(exam, progress, cancelled)


@pytest.fixture(scope="module")
def exam() -> Exam:
    return phantom_exam(PhantomSpec(seed=4, pixel_mm=0.8)).exam


def _analyse(engine: CachedEngine, exam: Exam) -> ExamResult:
    return engine.analyse(exam, lambda _fraction, _text: None, lambda: False)


def test_second_look_is_answered_from_disk_and_equal_in_every_field(tmp_path: Path, exam: Exam) -> None:
    inner = CountingEngine()
    first = _analyse(CachedEngine(inner, ResultCache(tmp_path), FAKE), exam)
    second = _analyse(CachedEngine(inner, ResultCache(tmp_path), FAKE), exam)
    assert inner.runs == 1
    assert first == second
    for a, b in zip(first.heatmaps, second.heatmaps, strict=True):
        np.testing.assert_array_equal(a.values, b.values)
    assert list(tmp_path.glob("*.tmp")) == []


def test_scores_from_each_energy_of_a_contrast_pair_are_kept(tmp_path: Path, exam: Exam) -> None:
    result = _analyse(CachedEngine(CountingEngine(), ResultCache(tmp_path), FAKE), exam)
    scores = {"low": 0.4, "recombined": 0.8, "both": 0.75}
    told = replace(result, detections=(replace(result.detections[0], energy_scores=scores),))
    ResultCache(tmp_path).put(told)
    kept = ResultCache(tmp_path).get(exam.digest, FAKE)
    assert kept is not None
    assert kept.detections[0].energy_scores == scores
    with pytest.raises(ValueError, match="energy score"):
        replace(result.detections[0], energy_scores={"high": 0.5})


def test_other_weights_other_exam_or_other_preprocessing_miss(tmp_path: Path, exam: Exam) -> None:
    cache = ResultCache(tmp_path)
    _analyse(CachedEngine(CountingEngine(), cache, FAKE), exam)
    assert cache.get(exam.digest, FAKE) is not None
    assert cache.get("f" * 64, FAKE) is None
    for changed in (replace(FAKE, weights_digest="1" * 64), replace(FAKE, preprocessing="x/2")):
        assert cache.get(exam.digest, changed) is None


def test_a_card_that_changed_under_the_same_weights_is_another_model(tmp_path: Path, exam: Exam) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    shipped = load_card("dib-mg").folder / "card.json"
    raw = json.loads(shipped.read_text(encoding="utf-8"))
    write_card(folder, raw)
    old = identity_of(read_card(folder))
    assert identity_of(read_card(folder)) == old
    raw["operating_points"][0]["threshold"] = 0.123
    write_card(folder, raw)
    new = identity_of(read_card(folder))
    assert new.weights_digest == old.weights_digest
    cache, inner = ResultCache(tmp_path / "kept"), CountingEngine()
    for _ in range(2):
        for card in (old.card_digest, new.card_digest):
            _analyse(CachedEngine(inner, cache, replace(FAKE, card_digest=card)), exam)
    assert inner.runs == 2


@pytest.mark.parametrize("damage", [b"", b"not a zip", None])
def test_damaged_entry_is_logged_removed_and_computed_anew(
    tmp_path: Path, exam: Exam, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    inner, cache = CountingEngine(), ResultCache(tmp_path)
    engine = CachedEngine(inner, cache, FAKE)
    _analyse(engine, exam)
    path = cache.path(exam.digest, FAKE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if damage is None else damage)
    with caplog.at_level(logging.WARNING):
        assert cache.get(exam.digest, FAKE) is None
    assert "damaged" in caplog.text
    assert not path.exists()
    _analyse(engine, exam)
    assert inner.runs == 2
