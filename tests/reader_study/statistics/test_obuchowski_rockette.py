"""Obuchowski-Rockette and DBM against MRMCaov and RJafroc."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reader_study.statistics.covariance import Covariance, Sensitivity, Specificity, estimates
from reader_study.statistics.dbm import dbm_components, dbm_test, pseudovalues
from reader_study.statistics.obuchowski_rockette import Claim, Generalise, Interval, analyse, claim_test
from reader_study.statistics.ratings import StatisticsError, ratings_from_rows

PARTS = (
    ("reader", "reader"),
    ("treatment:reader", "modality_by_reader"),
    ("Error", "error"),
    ("Cov1", "cov1"),
    ("Cov2", "cov2"),
    ("Cov3", "cov3"),
)


def near(value):
    return pytest.approx(value, rel=1e-8, abs=1e-12)


@pytest.mark.data
@pytest.mark.parametrize(
    ("key", "covariance"),
    [
        ("RRRC_jackknife", Covariance.JACKKNIFE),
        ("RRRC_DeLong", Covariance.DELONG),
        ("RRRC_unbiased", Covariance.UNBIASED),
    ],
)
def test_rs_s3_random_readers_and_cases_agree_with_mrmcaov(vandyke, expected, key, covariance):
    want = expected("vandyke.expected.json")["results"][key]
    found = analyse(estimates(vandyke("case"), covariance=covariance))
    test = want["test_equality"][0]
    assert found.test is not None
    assert (found.test.statistic, found.test.df2) == (near(test["F"]), near(test["df2"]))
    assert found.test.p_value == near(test["p-value"])
    for name, attribute in PARTS:
        assert getattr(found.components, attribute) == near(want["vcov"][name]["Estimate"]), name
    for row, mean in zip(want["test_means"], found.means, strict=True):
        assert (mean.estimate, mean.error, mean.df) == (
            near(row["Estimate"]),
            near(row["StdErr"]),
            near(row["df"]),
        )
        assert (mean.lower, mean.upper) == (near(row["CI.Lower"]), near(row["CI.Upper"]))
    gap = found.differences[0]
    row = want["test_diffs"][0]
    assert (gap.lower, gap.upper, gap.statistic) == (
        near(row["CI.Lower"]),
        near(row["CI.Upper"]),
        near(row["t"]),
    )


@pytest.mark.data
def test_rs_s3_fixed_readers_and_fixed_cases_agree_with_mrmcaov(vandyke, expected):
    results = expected("vandyke.expected.json")["results"]
    found = estimates(vandyke("case"))
    want, readers_fixed = results["FRRC_jackknife"], analyse(found, Generalise.CASES)
    assert readers_fixed.test is not None
    assert readers_fixed.test.statistic == near(want["test_equality"][0]["X2"])
    assert readers_fixed.test.p_value == near(want["test_equality"][0]["p-value"])
    for row, mean in zip(want["test_means"], readers_fixed.means, strict=True):
        assert (mean.error, mean.lower) == (near(row["StdErr"]), near(row["CI.Lower"]))
    for row, gap in zip(want["reader_test_diffs"], readers_fixed.reader_differences, strict=True):
        assert (gap.estimate, gap.error) == (near(row["Estimate"]), near(row["StdErr"]))
        assert gap.p_value == near(row["p-value"])
    want, cases_fixed = results["RRFC"], analyse(found, Generalise.READERS)
    assert cases_fixed.test is not None
    assert (cases_fixed.test.statistic, cases_fixed.test.df2) == (near(want["test_equality"][0]["F"]), 4)
    for row, mean in zip(want["test_means"], cases_fixed.means, strict=True):
        assert (mean.error, mean.upper) == (near(row["StdErr"]), near(row["CI.Upper"]))


@pytest.mark.data
@pytest.mark.parametrize(
    ("column", "key"), [("case2", "nested_cases_in_readers_case2"), ("case3", "nested_cases_in_tests_case3")]
)
def test_rs_s6_nested_designs_agree_with_mrmcaov(vandyke, expected, column, key):
    want = expected("vandyke.expected.json")["results"][key]
    found = analyse(estimates(vandyke(column)))
    assert found.test is not None
    assert (found.test.statistic, found.test.df2) == (
        near(want["test_equality"][0]["F"]),
        near(want["test_equality"][0]["df2"]),
    )
    for name, attribute in PARTS:
        assert getattr(found.components, attribute) == near(want["vcov"][name]["Estimate"]), name


@pytest.mark.data
@pytest.mark.parametrize(
    ("key", "figure"), [("binary_sens_ge3", Sensitivity(3)), ("binary_spec_ge3", Specificity(3))]
)
def test_rs_s7_sensitivity_and_specificity_agree_with_mrmcaov(vandyke, expected, key, figure):
    want = expected("vandyke.expected.json")["results"][key]
    found = analyse(estimates(vandyke("case"), figure=figure, name=key))
    assert found.test is not None
    assert found.test.statistic == near(want["test_equality"][0]["F"])
    assert found.components.modality_by_reader == near(want["vcov"]["treatment:reader"]["Estimate"])


@pytest.mark.data
def test_rs_s4_dbm_with_random_readers_and_cases_is_or_with_jackknife(vandyke):
    ratings = vandyke("case")
    found = estimates(ratings)
    left_out = np.empty((len(ratings.cases), *found.values.shape))
    for k in range(len(ratings.cases)):
        keep = np.arange(len(ratings.cases)) != k
        for i in range(2):
            for j in range(5):
                scores, truth = ratings.scores[i, j, keep], ratings.truth[keep]
                positive, negative = scores[truth], scores[~truth]
                wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
                left_out[k, i, j] = wins.mean()
    pseudo = pseudovalues(found.values, left_out)
    dbm, orh = dbm_test(found, pseudo), analyse(found)
    assert orh.test is not None
    assert (dbm.f, dbm.df2) == (near(orh.test.statistic), near(orh.test.df2))
    k = len(ratings.cases)
    parts = dbm_components(
        pseudo
    )  # Hillis et al. 2005: the OR parameters are the DBM components over the cases
    assert parts.modality_by_reader == near(orh.components.modality_by_reader)
    assert orh.components.cov2 - orh.components.cov3 == near(parts.modality_by_case / k)
    assert orh.components.cov1 - orh.components.cov3 == near(parts.reader_by_case / k)


def _toy(**changes):
    rng = np.random.default_rng(3)
    rows = []
    for case in range(30):
        for reader in "ab":
            for modality in ("x", "y"):
                rows.append((reader, modality, str(case), case % 2, float(rng.normal(case % 2, 1))))
    return ratings_from_rows(rows, **changes)


def test_one_reader_cannot_stand_for_readers_at_large():
    with pytest.raises(StatisticsError, match="at least two readers"):
        analyse(estimates(_toy().pick(readers=["a"])))


def test_cases_of_one_woman_are_left_out_together():
    toy = _toy()
    twin = type(toy)(
        modalities=toy.modalities, readers=toy.readers, truth=np.tile(toy.truth, 2),
        cases=toy.cases + tuple(f"{c}'" for c in toy.cases), scores=np.tile(toy.scores, 2),
        clusters=toy.cases * 2,
    )  # fmt: skip
    alone, doubled = estimates(toy), estimates(twin)
    # the same pictures twice tell nothing new: the spread must not shrink as it would with 60 independent cases
    assert np.allclose(alone.values, doubled.values)
    assert np.allclose(alone.covariance, doubled.covariance)
    with pytest.raises(StatisticsError, match="jackknife"):
        estimates(twin, covariance=Covariance.DELONG)


def test_rs_s12_non_inferiority_moves_the_null_by_the_margin():
    gap = Interval(label="a - b", estimate=-0.01, error=0.02, df=None, lower=-0.0492, upper=0.0292)
    shown = claim_test(gap, Claim.NON_INFERIORITY, margin=0.05)
    assert (shown.statistic, shown.shown) == (pytest.approx(2.0), True)
    assert shown.p_value == pytest.approx(0.5 * math.erfc(2.0 / math.sqrt(2)))
    assert not claim_test(gap, Claim.NON_INFERIORITY, margin=0.03).shown
    assert not claim_test(gap, Claim.SUPERIORITY).shown
    with pytest.raises(StatisticsError, match="margin above 0"):
        claim_test(gap, Claim.NON_INFERIORITY, margin=0.0)


def test_rs_s11_an_analysis_says_how_it_was_made():
    found = analyse(estimates(_toy()))
    assert "random readers, random cases" in found.method
    assert (found.covariance, found.df_rule, found.readers, found.cases) == ("jackknife", "Hillis", 2, 30)
    assert len(found.digest) == 64


@pytest.mark.parametrize(
    ("row", "words"),
    [(("a", "x", "0", 1, 1.0), "one truth"), (("a", "x", "1", 1, 1.0), "one score, found two")],
)
def test_contradicting_rows_are_refused_by_name(row, words):
    rows = [("a", "x", "0", 0, 1.0), ("a", "x", "1", 1, 2.0)]
    with pytest.raises(StatisticsError, match=words):
        ratings_from_rows([*rows, row])
