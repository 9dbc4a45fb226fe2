"""Kappa, intraclass correlation and Dice against published tables, statsmodels, scikit-learn and a jackknife."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from reader_study.statistics.agreement import (
    IccForm,
    Weighting,
    category_counts,
    cohen_kappa,
    confusion,
    dice,
    fleiss_kappa,
    intraclass,
    kappa_band,
)
from reader_study.statistics.ratings import StatisticsError

REFERENCE = "stats_reference.expected.json"
READINGS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=3, max_size=40)


@pytest.mark.data
def test_rs_s9_cohen_kappas_agree_with_the_published_table(expected):
    want = expected(REFERENCE)["cohen_kappa_sexualfun"]
    table = np.array(want["table"])
    plain, linear = cohen_kappa(table), cohen_kappa(table, weighting=Weighting.LINEAR)
    assert (plain.kappa, plain.error) == (
        pytest.approx(want["kappa"], abs=5e-5),
        pytest.approx(want["ase"], abs=5e-6),
    )
    assert linear.kappa == pytest.approx(want["weighted_linear"], abs=5e-5)
    assert linear.error == pytest.approx(want["ase_w"], abs=5e-6)
    squared = cohen_kappa(table, weighting=Weighting.QUADRATIC)
    assert squared.kappa == pytest.approx(want["verified_statsmodels"]["quadratic"], abs=1e-12)
    assert (plain.lower, plain.upper) == (
        pytest.approx(0.1293303 - 1.959964 * 0.0685985, abs=1e-6),
        pytest.approx(0.1293303 + 1.959964 * 0.0685985, abs=1e-6),
    )
    assert cohen_kappa(np.array([[20, 5], [10, 15]])).kappa == pytest.approx(0.4)


@pytest.mark.data
def test_rs_s9_fleiss_kappa_and_its_z_agree_with_fleiss_1971(expected):
    want = expected(REFERENCE)["fleiss_kappa_diagnoses"]
    counts = category_counts(want["ratings"], [1, 2, 3, 4, 5])
    found = fleiss_kappa(counts)
    assert found.kappa == pytest.approx(want["kappa"], abs=5e-4)
    assert found.statistic == pytest.approx(17.65, abs=0.005)  # published beside it
    assert found.band == "moderate"
    assert found.kappa == pytest.approx(statsmodels_fleiss(counts), abs=1e-12)
    wiki = fleiss_kappa(np.array(expected(REFERENCE)["fleiss_kappa_wikipedia"]["table"]))
    assert wiki.kappa == pytest.approx(0.210, abs=5e-4)


@pytest.mark.data
def test_rs_s9_error_of_fleiss_kappa_is_that_of_a_jackknife_over_cases(expected):
    counts = category_counts(expected(REFERENCE)["fleiss_kappa_diagnoses"]["ratings"], [1, 2, 3, 4, 5])
    n = len(counts)
    without = np.array([statsmodels_fleiss(np.delete(counts, k, axis=0)) for k in range(n)])
    jackknife = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    found = fleiss_kappa(counts)
    assert found.error == pytest.approx(jackknife, rel=0.05)


def test_rs_s9_interval_of_fleiss_kappa_covers_the_truth_at_its_level():
    rng = np.random.default_rng(5)
    share, agree, hits, runs = np.array([0.5, 0.3, 0.2]), 0.5, 0, 400
    for _ in range(
        runs
    ):  # every rater copies the case's own category with chance 0.7071: agreement 0.5 of the rest
        own = rng.choice(3, size=60, p=share)
        copied = rng.random((60, 4)) < math.sqrt(agree)
        ratings = np.where(copied, own[:, None], rng.choice(3, size=(60, 4), p=share))
        found = fleiss_kappa(category_counts(ratings.tolist(), [0, 1, 2]))
        hits += found.lower <= agree <= found.upper
    low, high = stats.binom.ppf([0.0005, 0.9995], runs, 0.95) / runs
    assert low - 0.015 <= hits / runs <= high  # a little liberal in 60 cases


@settings(max_examples=50, deadline=None)
@given(READINGS, st.permutations([0, 1, 2, 3]))
def test_rs_s9_kappa_is_symmetric_and_does_not_see_the_names_of_categories(pairs, order):
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    found = cohen_kappa(confusion(first, second, [0, 1, 2, 3]))
    swapped = cohen_kappa(confusion(second, first, [0, 1, 2, 3]))
    renamed = cohen_kappa(confusion(first, second, order))
    if found.kappa is None:
        assert len(set(first + second)) == 1
        assert "not defined" in found.note
        return
    assert swapped.kappa == pytest.approx(found.kappa)
    assert renamed.kappa == pytest.approx(found.kappa)
    assert -1.0 <= found.kappa <= 1.0


@settings(max_examples=40, deadline=None)
@given(READINGS)
def test_rs_s9_weighted_kappas_agree_with_scikit_learn(pairs):
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    for weighting, name in ((Weighting.LINEAR, "linear"), (Weighting.QUADRATIC, "quadratic")):
        found = cohen_kappa(confusion(first, second, [0, 1, 2, 3]), weighting=weighting)
        if found.kappa is None:
            continue
        assert found.kappa == pytest.approx(
            cohen_kappa_score(first, second, labels=[0, 1, 2, 3], weights=name)
        )


def test_rs_s9_one_category_only_gives_a_sentence_and_no_number():
    found = cohen_kappa(np.array([[12, 0], [0, 0]]))
    assert (found.kappa, found.lower, found.band) == (None, None, None)
    assert found.observed == 1.0
    assert "same category" in found.note
    several = fleiss_kappa(np.array([[3, 0], [3, 0], [3, 0]]))
    assert several.kappa is None
    assert "same category" in several.note
    half = cohen_kappa(np.array([[6, 6], [0, 0]]))
    assert (half.kappa, half.lower, half.upper) == (0.0, None, None)
    assert "single category" in half.note


def test_rs_s9_bands_are_those_that_the_literature_prints():
    printed = {
        0.861: "almost perfect",
        0.676: "substantial",
        0.495: "moderate",
        0.343: "fair",
        0.156: "slight",
        -0.011: "poor",
        0.204: "slight",
        0.206: "fair",
        0.0: "poor",
        1.0: "almost perfect",
        -1.0: "none",
        0.001: "slight",
    }
    assert {kappa: kappa_band(kappa) for kappa in printed} == printed


@pytest.mark.data
def test_rs_s9_six_intraclass_correlations_agree_with_shrout_and_fleiss(expected):
    want = expected(REFERENCE)["icc_shrout_fleiss"]
    found = intraclass(np.array(want["data"]))
    assert [icc.form for icc in found] == list(IccForm)
    assert [icc.icc for icc in found] == pytest.approx(want["verified"], abs=1e-12)
    assert [round(icc.icc, 2) for icc in found] == want["expected"]
    # R psych 2.2.9, ICC(sf, lmer = FALSE): 95 % limits of the same data
    limits = [(-0.133, 0.72), (0.019, 0.76), (0.342, 0.95), (-0.884, 0.91), (0.071, 0.93), (0.676, 0.99)]
    for icc, (low, high) in zip(found, limits, strict=True):
        assert icc.lower == pytest.approx(low, abs=6e-4), icc.form
        assert icc.upper == pytest.approx(high, abs=6e-3), icc.form


def test_rs_s9_ratings_that_never_vary_give_no_intraclass_interval():
    same = intraclass(np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]))
    assert [icc.icc for icc in same] == [1.0] * 6
    flat = intraclass(np.ones((4, 2)))
    assert [icc.icc for icc in flat] == [None] * 6
    assert all(icc.lower is None and "do not vary" in icc.note for icc in (*same, *flat))


def test_dice_of_two_outlines_by_hand():
    a, b = np.zeros((4, 4), dtype=bool), np.zeros((4, 4), dtype=bool)
    a[:2], b[1:3] = True, True
    assert dice(a, b) == pytest.approx(0.5)
    assert dice(a, a) == 1.0
    assert dice(a & ~a, b & ~b) is None
    with pytest.raises(StatisticsError, match="one shape"):
        dice(a, b[:2])


def test_agreement_refuses_a_category_that_was_not_declared():
    with pytest.raises(StatisticsError, match="found '0'"):
        confusion(["1", "0"], ["1", "2"], ["1", "2", "3"])
    with pytest.raises(StatisticsError, match="same number"):
        fleiss_kappa(np.array([[2, 1], [2, 0]]))
    with pytest.raises(StatisticsError, match="square"):
        cohen_kappa(np.ones((2, 3)))
