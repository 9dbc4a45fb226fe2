"""Areas, DeLong, partial areas and cut-offs against pROC, scikit-learn and hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from reader_study.statistics.delong import auc_interval, paired_test, unpaired_test
from reader_study.statistics.ratings import StatisticsError
from reader_study.statistics.roc import (
    PartialOver,
    Ties,
    auc,
    average_precision,
    operating_points,
    partial_auc,
    point_at,
    roc_curve,
    youden_point,
)

scored = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=4, max_size=40).filter(
    lambda rows: 0 < sum(t for _, t in rows) < len(rows)
)


@pytest.fixture
def asah(table, expected):
    rows = table("asah.csv")
    truth = np.array([r["outcome"] == "Poor" for r in rows])
    scores = {k: np.array([float(r[k]) for r in rows]) for k in ("wfns", "s100b", "ndka")}
    return scores, truth, expected("asah.expected.json")


@pytest.mark.data
def test_rs_s2_delong_agrees_with_proc(asah):
    scores, truth, want = asah
    for name, row in want["per_marker"].items():
        found = auc_interval(scores[name], truth)
        assert found.auc == pytest.approx(row["auc"], abs=1e-8)
        assert found.variance == pytest.approx(row["var_delong"], rel=1e-8)
        assert (found.lower, found.upper) == (
            pytest.approx(row["ci95_delong"][0], abs=1e-8),
            pytest.approx(row["ci95_delong"][2], abs=1e-8),
        )
    for row in want["pairs"]:
        a, b = (scores[name] for name in row["pair"].split())
        paired, apart = paired_test(a, b, truth), unpaired_test(a, truth, b, truth)
        assert (paired.statistic, paired.p_value) == (
            pytest.approx(row["Z"], rel=1e-8),
            pytest.approx(row["p"], rel=1e-8),
        )
        assert (paired.lower, paired.covariance) == (
            pytest.approx(row["ci"][0], abs=1e-8),
            pytest.approx(row["cov"], rel=1e-8),
        )
        assert (apart.statistic, apart.df) == (
            pytest.approx(row["unpaired_D"], rel=1e-8),
            pytest.approx(row["unpaired_df"], rel=1e-8),
        )  # fmt: skip


@pytest.mark.data
def test_rs_s8_youden_cut_offs_agree_with_proc(asah):
    scores, truth, want = asah
    for name, row in want["per_marker"].items():
        best, _ = youden_point(scores[name], truth)
        published = row["youden_best"][0]
        assert best.threshold == pytest.approx(published["threshold"])
        assert best.youden == pytest.approx(published["youden"] - 1)  # pROC prints the sum


@settings(max_examples=150, deadline=None)
@given(scored)
def test_rs_s1_area_and_average_precision_agree_with_scikit_learn(rows):
    scores = np.array([s for s, _ in rows], dtype=float)
    truth = np.array([t for _, t in rows])
    assert auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores))
    assert average_precision(scores, truth) == pytest.approx(average_precision_score(truth, scores))
    curve = roc_curve(scores, truth)
    assert np.trapezoid(curve.tpf, curve.fpf) == pytest.approx(auc(scores, truth))
    assert partial_auc(scores, truth, low=0.0, high=1.0) == pytest.approx(auc(scores, truth))
    assert partial_auc(scores, truth, low=0.0, high=1.0, over=PartialOver.SENSITIVITY) == pytest.approx(auc(scores, truth))  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(scored, st.floats(0.01, 0.99))
def test_rs_s1_partial_area_over_low_false_positives_agrees_with_scikit_learn(rows, cut):
    scores = np.array([s for s, _ in rows], dtype=float)
    truth = np.array([t for _, t in rows])
    found = partial_auc(scores, truth, low=1 - cut, high=1.0, corrected=True)
    assert found == pytest.approx(roc_auc_score(truth, scores, max_fpr=cut), abs=1e-9)


def test_unmarked_cases_rank_lowest_and_tie_at_one_half():
    scores = np.array([-np.inf, -np.inf, 3.0, 1.0])
    truth = np.array([False, True, True, False])
    assert auc(scores, truth) == (0.5 + 0 + 1 + 1) / 4


def test_rs_s8_ties_of_the_index_are_all_told_and_the_rule_decides():
    scores, truth = np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, True, False, True])
    sensitive, tied = youden_point(scores, truth, ties=Ties.HIGHER_SENSITIVITY)
    specific, _ = youden_point(scores, truth, ties=Ties.HIGHER_SPECIFICITY)
    assert (sensitive.threshold, specific.threshold, len(tied)) == (1.5, 3.5, 2)
    assert sensitive.youden == pytest.approx(0.5)


def test_wanted_sensitivity_gives_away_least_specificity():
    scores, truth = np.arange(10.0), np.array([False] * 4 + [True, False, True, True, True, True])
    assert point_at(scores, truth, sensitivity=0.95).threshold == 3.5
    assert point_at(scores, truth, sensitivity=0.8).specificity == 1.0
    assert point_at(scores, truth, specificity=0.95).threshold == 5.5
    ends = operating_points(scores, truth)
    assert (ends[0].sensitivity, ends[-1].specificity) == (0.0, 0.0)


@pytest.mark.parametrize("truth", [[True, True], [False, False]])
def test_one_class_only_is_refused_in_a_sentence(truth):
    with pytest.raises(StatisticsError, match="with and without disease"):
        auc(np.array([1.0, 2.0]), np.array(truth))
