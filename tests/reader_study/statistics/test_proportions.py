"""Intervals and tests of proportions against R, statsmodels, scikit-learn and Newcombe's printed tables."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics
from statsmodels.stats.multitest import multipletests

from reader_study.statistics.agreement import cohen_kappa
from reader_study.statistics.proportions import (
    binary_metrics,
    compare_categories,
    fisher_exact,
    holm,
    mcnemar,
    newcombe_paired,
    newcombe_unpaired,
    proportion,
)
from reader_study.statistics.provenance import with_exclusions
from reader_study.statistics.ratings import StatisticsError

REFERENCE = "stats_reference.expected.json"


@pytest.mark.data
def test_rs_s7_wilson_and_clopper_pearson_agree_with_newcombe_and_r(expected):
    rows = expected(REFERENCE)["proportion_ci_newcombe1998"]
    assert len(rows) == 4
    for row in rows:
        found = proportion(row["x"], row["n"])
        assert found.wilson == pytest.approx(row["wilson"], abs=1e-9)
        assert found.clopper_pearson == pytest.approx(row["clopper_pearson"], abs=1e-9)


@pytest.mark.data
def test_rs_s7_mcnemar_agrees_with_r(expected):
    want = expected(REFERENCE)["mcnemar"]
    found = mcnemar(want["table"][0][1], want["table"][1][0])
    assert found.chi2_corrected == pytest.approx(want["chi2_cc"], rel=1e-9)
    assert found.p_chi2_corrected == pytest.approx(want["p_cc"], rel=1e-9)
    assert found.chi2 == pytest.approx(want["chi2_nocc"], rel=1e-9)
    assert found.p_chi2 == pytest.approx(want["p_nocc"], rel=1e-9)
    assert found.p_exact == pytest.approx(want["exact_p"], rel=1e-9)
    small = expected(REFERENCE)["mcnemar_small_exact"]
    assert mcnemar(small["b"], small["c"]).p_exact == pytest.approx(small["p"], rel=1e-9)


def test_rs_s7_mcnemar_says_when_significance_is_out_of_reach():
    assert mcnemar(0, 0).p_exact == 1.0
    assert "no case" in mcnemar(0, 0).note
    assert "cannot go below 0.0625" in mcnemar(5, 0).note
    assert mcnemar(5, 0).p_exact == pytest.approx(0.0625)
    assert mcnemar(6, 0).note == ""


@pytest.mark.data
def test_rs_s10_chi_square_and_fisher_agree_with_r_and_disclose_the_rule(expected):
    want = expected(REFERENCE)["chi_square"]
    found = compare_categories(np.array(want["table"]))
    assert (found.statistic, found.df) == (pytest.approx(want["X2"], rel=1e-9), want["df"])
    assert found.p_value == pytest.approx(want["p"], rel=1e-9)
    assert found.rule.startswith("Pearson's chi-square without continuity correction, because 0%")
    tea = expected(REFERENCE)["fisher_tea"]
    found = compare_categories(np.array(tea["table"]))
    assert (found.test, found.p_value) == ("Fisher's exact test", pytest.approx(tea["p_two_sided"], rel=1e-9))
    assert "100% of the expected counts are below 5, the smallest is 2" in found.rule


@pytest.mark.data
def test_rs_s10_fishers_test_of_a_large_table_agrees_with_r(expected):
    job = expected(REFERENCE)["fisher_job"]
    found = compare_categories(np.array(job["table"]))
    assert found.p_value == pytest.approx(job["p"], rel=1e-8)
    assert "Freeman-Halton" in found.rule


def test_rs_s10_fishers_enumeration_equals_a_plain_sum_over_all_tables():
    table = np.array([[4, 0, 1], [1, 3, 2], [0, 2, 5]])
    rows, cols = table.sum(1), table.sum(0)
    chances = {}
    for a, b, c, d in itertools.product(range(8), repeat=4):
        full = np.array([[a, b, rows[0] - a - b], [c, d, rows[1] - c - d], [0, 0, 0]])
        full[2] = cols - full[:2].sum(0)
        if (full >= 0).all():
            chances[tuple(full.ravel())] = np.exp(-sum(map(_log_factorial, full.ravel())))
    total = sum(chances.values())
    own = chances[tuple(table.ravel())]
    want = sum(chance for chance in chances.values() if chance <= own * (1 + 1e-7)) / total
    assert fisher_exact(table) == pytest.approx(want, rel=1e-9)
    assert fisher_exact(table.T) == pytest.approx(want, rel=1e-9)


def _log_factorial(x: int) -> float:
    return float(np.log(np.arange(1, x + 1)).sum())


def test_rs_s7_newcombes_unpaired_interval_agrees_with_his_table_ii():
    # Newcombe 1998, Stat Med 17:873, Table II, method 10, examples (a) to (h)
    printed = {
        (56, 70, 48, 80): (0.0524, 0.3339),
        (9, 10, 3, 10): (0.1705, 0.8090),
        (6, 7, 2, 7): (0.0582, 0.8062),
        (5, 56, 0, 29): (-0.0381, 0.1926),
        (0, 10, 0, 20): (-0.1611, 0.2775),
        (0, 10, 0, 10): (-0.2775, 0.2775),
        (10, 10, 0, 20): (0.6791, 1.0000),
        (10, 10, 0, 10): (0.6075, 1.0000),
    }
    for counts, limits in printed.items():
        found = newcombe_unpaired(*counts)
        assert (found.lower, found.upper) == pytest.approx(limits, abs=5.1e-5), counts


def test_rs_s7_newcombes_paired_interval_agrees_with_print_and_covers():
    # Altman et al. 2000, Statistics with Confidence, chapter 6: 4, 9, 3, 16 gives 0.19, -0.02 (-0.03) to 0.38
    found = newcombe_paired(4, 9, 3, 16)
    assert found.difference == pytest.approx(0.1875)
    assert (found.lower, found.upper) == (pytest.approx(-0.027, abs=6e-4), pytest.approx(0.381, abs=6e-4))
    mirrored = newcombe_paired(4, 3, 9, 16)
    assert (mirrored.lower, mirrored.upper) == (pytest.approx(-found.upper), pytest.approx(-found.lower))
    cells, n, covered = np.array([0.35, 0.20, 0.08, 0.37]), 30, 0.0
    for b, c in itertools.product(range(n + 1), repeat=2):  # exact over every sample
        for a in range(n + 1 - b - c):
            chance = stats.multinomial.pmf([a, b, c, n - a - b - c], n, cells)
            if chance > 1e-9:
                limits = newcombe_paired(a, b, c, n - a - b - c)
                covered += chance * (limits.lower <= 0.12 <= limits.upper)
    assert 0.94 < covered < 0.97


def test_rs_s7_binary_metrics_agree_with_scikit_learn():
    rng = np.random.default_rng(2)
    truth = rng.random(120) < 0.4
    calls = np.where(rng.random(120) < 0.8, truth, ~truth)
    found = binary_metrics(calls, truth)
    assert found.sensitivity.estimate == pytest.approx(metrics.recall_score(truth, calls))
    assert found.specificity.estimate == pytest.approx(metrics.recall_score(~truth, ~calls))
    assert found.ppv.estimate == pytest.approx(metrics.precision_score(truth, calls))
    assert found.npv.estimate == pytest.approx(metrics.precision_score(~truth, ~calls))
    assert found.f1.estimate == pytest.approx(metrics.f1_score(truth, calls))
    assert found.accuracy.estimate == pytest.approx(metrics.accuracy_score(truth, calls))
    for row in found.rows():
        assert row.clopper_pearson[0] < row.wilson[0] < row.estimate < row.wilson[1] < row.clopper_pearson[1]
    named = with_exclusions(found, ["2 cases without truth"])
    assert "excluded: 2 cases without truth" in named.provenance.sentence()


def test_rs_s7_a_share_of_nothing_has_no_estimate():
    found = binary_metrics(np.array([False, False]), np.array([False, True]))
    assert (found.ppv.estimate, found.ppv.wilson, found.ppv.n) == (None, None, 0)
    assert found.sensitivity.estimate == 0.0
    with pytest.raises(StatisticsError, match="0 <= successes <= n"):
        proportion(3, 2)


def test_rs_s7_interval_of_f1_covers_the_truth_at_its_level():
    rng = np.random.default_rng(8)
    cells = np.array([0.30, 0.10, 0.45, 0.15])  # tp, fp, tn, fn
    want, hits, runs = 2 * 0.30 / (2 * 0.30 + 0.10 + 0.15), 0, 600
    for tp, fp, tn, fn in rng.multinomial(150, cells, size=runs):
        calls = np.repeat([True, True, False, False], [tp, fp, tn, fn])
        truth = np.repeat([True, False, False, True], [tp, fp, tn, fn])
        limits = binary_metrics(calls, truth).f1.wilson
        hits += limits[0] <= want <= limits[1]
    assert stats.binomtest(hits, runs, 0.95).pvalue > 1e-3


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_rs_s10_holm_agrees_with_statsmodels(values):
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1], abs=1e-12)


def test_rs_s11_equal_data_give_equal_digests_and_the_sentence_names_the_software():
    first, second = (
        compare_categories(np.array([[9, 8], [7, 6]])),
        compare_categories(np.array([[9, 8], [7, 6]])),
    )
    other = compare_categories(np.array([[9, 8], [7, 7]]))
    assert first.provenance == second.provenance
    assert first.provenance.data_sha256 != other.provenance.data_sha256
    line = cohen_kappa(np.array([[9, 8], [7, 6]])).provenance.sentence()
    for word in ("Cohen's kappa, unweighted", "30 cases", "excluded: none", "numpy 2", "scipy 1", "statsmodels 0.15", "SHA-256 "):  # fmt: skip
        assert word in line
