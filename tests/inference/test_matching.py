"""Matching of CC and MLO: the trees' evaluator against scikit-learn, greed by hand, faults of a weights file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from inference.exam.types import InferenceError
from inference.matching import (
    Matcher,
    greedy_pairs,
    load_matcher,
    match_matrix,
    matched_groups,
    matcher_arrays,
    tree_probability,
)
from inference.matching_features import PAIR_FEATURES, Candidate, pair_features
from inference.training.places_matching import BreastCandidates, fit_trees, matching_figures, nearest_score
from resources.vocabulary import FindingType


def _candidate(name: str, distance: float, **more: Any) -> Candidate:
    base = Candidate(
        detection_id=name,
        finding=FindingType.MASS,
        score=0.8,
        malignancy=0.7,
        nipple_distance_mm=distance,
        behind_mm=distance,
        before_mm=90.0 - distance,
        depth=distance / 90.0,
        above_mm=10.0,
        size_mm=14.0,
        contrast=1.0,
        attributes={"shape": "irregular"},
    )
    return replace(base, **more)


@pytest.fixture(scope="module")
def fitted() -> tuple[Matcher, Any, np.ndarray]:
    """Trees on pairs whose nipple distances agree or not, a tenth of the numbers missing."""
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(1500, len(PAIR_FEATURES))) * 10
    same = (np.abs(rows[:, 0]) < 6) ^ (rng.random(1500) < 0.05)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    trees, model = fit_trees(rows, same)
    return Matcher(trees=trees, floor=0.5), model, rows


def test_the_trees_as_arrays_answer_as_scikit_learn_does_missing_values_too(
    fitted: tuple[Matcher, Any, np.ndarray],
) -> None:
    matcher, model, rows = fitted
    ours = tree_probability(matcher.trees, rows)
    assert np.isnan(rows).any()
    np.testing.assert_allclose(ours, model.predict_proba(rows)[:, 1], atol=1e-12)
    assert ours.std() > 0.2


def test_a_weights_file_holds_the_trees_without_loss_and_with_a_prefix(
    fitted: tuple[Matcher, Any, np.ndarray],
) -> None:
    matcher, _, rows = fitted
    stored = safetensors.numpy.save({f"matching.{k}": v for k, v in matcher_arrays(matcher).items()})
    again = load_matcher(safetensors.numpy.load(stored))
    np.testing.assert_array_equal(tree_probability(again.trees, rows), tree_probability(matcher.trees, rows))
    assert again.floor == matcher.floor


def test_a_weights_file_that_lacks_an_array_or_leads_in_a_circle_is_refused(
    fitted: tuple[Matcher, Any, np.ndarray],
) -> None:
    arrays = matcher_arrays(fitted[0])
    with pytest.raises(InferenceError, match="threshold"):
        load_matcher({k: v for k, v in arrays.items() if k != "threshold"}, prefix="")
    inner = np.flatnonzero(arrays["left"] >= 0)
    circle = arrays["left"].copy()
    circle[inner[0]] = 0
    with pytest.raises(InferenceError, match="lead onward"):
        load_matcher({**arrays, "left": circle}, prefix="")
    beyond = arrays["feature"].copy()
    beyond[inner[0]] = len(PAIR_FEATURES)
    with pytest.raises(InferenceError, match="features"):
        load_matcher({**arrays, "feature": beyond}, prefix="")


def test_greed_takes_the_surest_pair_first_and_none_below_the_floor() -> None:
    # by hand: 0.9 takes row 0 and column 1; 0.8 and 0.85 are gone with them; 0.4 is below the floor
    matrix = np.array([[0.8, 0.9], [0.4, 0.85]])
    assert greedy_pairs(matrix, 0.5) == [(0, 1)]
    assert greedy_pairs(matrix, 0.3) == [(0, 1), (1, 0)]
    assert greedy_pairs(np.zeros((0, 3)), 0.1) == []


def test_pair_features_mirror_when_the_views_change_places_and_miss_what_is_not_known() -> None:
    first, second = _candidate("a", 40.0), _candidate("b", 47.0, malignancy=float("nan"), attributes={})
    there = dict(zip(PAIR_FEATURES, pair_features(first, second), strict=True))
    back = dict(zip(PAIR_FEATURES, pair_features(second, first), strict=True))
    assert there["nipple distance difference, mm"] == pytest.approx(7.0)
    assert there["nipple distance, CC less MLO, mm"] == pytest.approx(-7.0)
    assert back["nipple distance, CC less MLO, mm"] == pytest.approx(7.0)
    assert np.isnan(there["mean malignancy"])
    assert np.isnan(there["same shape"])
    assert there["same finding"] == 1.0


def test_matched_groups_name_the_detections_and_keep_the_probability(
    fitted: tuple[Matcher, Any, np.ndarray],
) -> None:
    matcher = fitted[0]
    axial = [_candidate("cc0", 40.0), _candidate("cc1", 80.0)]
    oblique = [_candidate("mlo0", 81.0), _candidate("mlo1", 41.0)]
    pairs = matched_groups(replace(matcher, floor=0.0), axial, oblique)
    matrix = match_matrix(matcher, axial, oblique)
    assert {p.axial for p in pairs} == {"cc0", "cc1"}
    assert pairs[0].probability == pytest.approx(matrix.max())
    assert matched_groups(matcher, axial, []) == []


def test_figures_count_right_links_and_false_ones_as_worked_by_hand() -> None:
    # lesion A in both views, lesion B in CC only, a false candidate in MLO near B's distance
    breast = BreastCandidates(
        axial=(_candidate("a", 30.0), _candidate("b", 60.0)),
        oblique=(_candidate("x", 31.0), _candidate("y", 61.0)),
        axial_truth=("A", "B"),
        oblique_truth=("A", None),
    )
    figures = matching_figures([breast], nearest_score, 0.5)
    assert figures["lesions_right"] == 1.0
    assert figures["links_right"] == 0.5
    assert figures["candidates_right"] == 0.5
    strict = matching_figures([breast], nearest_score, 0.95)
    assert strict["links"] == 0
