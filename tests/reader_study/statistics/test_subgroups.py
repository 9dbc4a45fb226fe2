"""Strata, balance and GEE: against geepack, scipy and direct counting."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from reader_study.statistics.proportions import holm
from reader_study.statistics.ratings import StatisticsError
from reader_study.statistics.roc import auc
from reader_study.statistics.subgroups import NOT_RECORDED, balance_table, banded, gee_logistic, strata

# Wheeze of 537 children at ages 7, 8, 9 and 10, by the mother's smoking (Zeger, Liang & Albert 1988, Biometrics
# 44:1049): number of children with each pattern 000, 001, 010 ... at 7-9, (without, with) wheeze at 10.
OHIO = {
    0: [(237, 10), (15, 4), (16, 2), (7, 3), (24, 3), (3, 2), (6, 2), (5, 11)],
    1: [(118, 6), (8, 2), (11, 1), (6, 4), (7, 3), (3, 1), (4, 2), (4, 7)],
}


def ohio():
    wheeze, age, smoke, child, number = [], [], [], [], 0
    for smoking, rows in OHIO.items():
        for pattern, counts in zip(itertools.product((0, 1), repeat=3), rows, strict=True):
            for last, count in enumerate(counts):
                for _ in range(count):
                    wheeze += [*pattern, last]
                    age += [-2, -1, 0, 1]
                    smoke += [smoking] * 4
                    child += [f"child {number}"] * 4
                    number += 1
    assert number == 537
    return np.array(wheeze, dtype=bool), np.array(age, float), np.array(smoke, float), child


def test_gee_of_the_ohio_children_agrees_with_geepack():
    wheeze, age, smoke, child = ohio()
    found = gee_logistic(wheeze, {"age": age, "smoke": smoke, "age x smoke": age * smoke}, child)
    # PROVENANCE: R 4.2.2, geepack 1.3.9, geeglm(resp ~ age + smoke + age:smoke, corstr = "exch"), 2026-11-21
    want = {"age": (-0.14123591, 0.05820089), "smoke": (0.31382579, 0.18784182), "age x smoke": (0.07083184, 0.08827885)}  # fmt: skip
    assert found.intercept == pytest.approx(-1.90049518, abs=1e-5)
    for ratio in found.ratios:
        estimate, error = want[ratio.name]
        assert ratio.log_ratio == pytest.approx(estimate, abs=1e-5), ratio.name
        assert ratio.error == pytest.approx(error, rel=2e-4), ratio.name
        assert ratio.ratio == pytest.approx(np.exp(ratio.log_ratio))
    assert found.correlation == pytest.approx(0.35460, abs=0.002)
    assert (found.n, found.clusters) == (2148, 537)
    assert [r.p_holm for r in found.ratios] == pytest.approx(holm([r.p_value for r in found.ratios]))


def test_gee_intervals_cover_a_simulated_truth_where_plain_regression_does_not():
    import statsmodels.api as sm

    rng = np.random.default_rng(3)
    hits = plain = 0
    runs, women = 150, 120
    for _ in range(runs):
        dense = np.repeat(rng.random(women) < 0.5, 4)
        latent = np.repeat(rng.normal(0, 1.0, women), 4)
        correlated = stats.norm.cdf(0.8 * latent + 0.6 * rng.normal(0, 1, 4 * women))
        found = correlated < 1 / (1 + np.exp(-(-0.4 + 0.7 * dense)))
        clusters = [f"w{k // 4}" for k in range(4 * women)]
        ratio = gee_logistic(found, {"dense": dense.astype(float)}, clusters).ratios[0]
        hits += ratio.lower <= np.exp(0.7) <= ratio.upper
        naive = sm.GLM(
            found.astype(float), sm.add_constant(dense.astype(float)), family=sm.families.Binomial()
        ).fit()
        low, high = naive.conf_int()[1]
        plain += low <= 0.7 <= high
    assert stats.binomtest(hits, runs, 0.95).pvalue > 1e-3
    assert plain < hits - 10


def test_gee_names_levels_against_the_reference_and_counts_missing_rows():
    rng = np.random.default_rng(1)
    density = rng.choice(["A", "B", "C", "D"], 400).tolist()
    age = rng.normal(55, 8, 400).tolist()
    density[3], age[9] = None, None
    found = gee_logistic(
        rng.random(400) < 0.4, {"density": density, "age": age}, [f"w{k // 2}" for k in range(400)],
        reference={"density": "B"},
    )  # fmt: skip
    assert sorted(ratio.name for ratio in found.ratios) == [
        "age",
        "density: A / B",
        "density: C / B",
        "density: D / B",
    ]
    assert (found.n, found.missing) == (398, 2)
    assert "2 rows with a missing feature" in found.provenance.sentence()


def test_gee_refuses_in_words_what_it_cannot_fit():
    y, women = np.arange(60) % 2 == 0, [f"w{k // 2}" for k in range(60)]
    x = np.random.default_rng(0).normal(size=60)
    with pytest.raises(StatisticsError, match="separate"):
        gee_logistic(y, {"x": y.astype(float)}, women)
    with pytest.raises(StatisticsError, match="determine each other"):
        gee_logistic(y, {"x": x, "twice": 2 * x}, women)
    with pytest.raises(StatisticsError, match="only one"):
        gee_logistic(np.ones(60, dtype=bool), {"x": x}, women)
    with pytest.raises(StatisticsError, match="10 or more clusters"):
        gee_logistic(y, {"x": x}, ["w"] * 60)


def test_strata_give_each_level_its_own_accuracy():
    rng = np.random.default_rng(6)
    truth = np.arange(200) % 2 == 0
    scores = rng.normal(truth * 1.0, 1)
    density = np.array(list("ABCD"))[np.arange(200) // 2 % 4].tolist()
    density[0] = None
    rows = strata("density", density, scores, truth, threshold=0.5, order=["D", "C", "B", "A"])
    assert [row.level for row in rows] == ["D", "C", "B", "A", NOT_RECORDED]
    for row in rows[:4]:
        inside = np.array([level == row.level for level in density])
        assert row.auc.auc == pytest.approx(auc(scores[inside], truth[inside]))
        assert row.sensitivity.estimate == pytest.approx(np.mean(scores[inside & truth] >= 0.5))
        assert row.specificity.estimate == pytest.approx(np.mean(scores[inside & ~truth] < 0.5))
    assert sum(row.positives + row.negatives for row in rows) == 200
    assert (rows[4].auc, rows[4].note) == (None, "fewer than two cases of one truth: no AUC")


def test_strata_of_lesions_are_held_against_all_cases_without_disease():
    truth = np.array([True] * 40 + [False] * 60)
    scores = np.concatenate([np.linspace(0, 3, 40), np.linspace(-1, 2, 60)])
    size = [*banded(np.linspace(5, 40, 40).tolist(), [20], unit="mm"), *[None] * 60]
    rows = strata("size", size, scores, truth, threshold=1.0, shared_negatives=True)
    assert [(row.level, row.positives, row.negatives) for row in rows] == [
        ("< 20 mm", 17, 60),
        (">= 20 mm", 23, 60),
    ]
    small = np.concatenate([np.arange(17), np.arange(40, 100)])
    assert rows[0].auc.auc == pytest.approx(auc(scores[small], truth[small]))


def test_bands_put_an_edge_into_the_band_above_it():
    assert banded([19.9, 20, 50, None, 49], [20, 50], unit="mm") == (
        "< 20 mm", "20 to < 50 mm", ">= 50 mm", None, "20 to < 50 mm",
    )  # fmt: skip
    with pytest.raises(StatisticsError, match="rising"):
        banded([1.0], [3, 2])


def test_rs_s10_balance_of_groups_uses_welch_and_the_declared_table_rule_with_holm():
    rng = np.random.default_rng(9)
    groups = ["train"] * 60 + ["test"] * 40
    age = np.concatenate([rng.normal(52, 8, 60), rng.normal(56, 12, 40)])
    maker = ["x" if k % 3 else "y" for k in range(100)]
    rare = ["yes" if k in {3, 70} else "no" for k in range(100)]
    rows = balance_table(
        groups, numbers={"age": [*age[:-1].tolist(), None]}, categories={"maker": maker, "rare": rare, "same": ["a"] * 100},
    )  # fmt: skip
    by_name = {row.name: row for row in rows}
    want = stats.ttest_ind(age[:60], age[60:99], equal_var=False)
    assert by_name["age"].p_value == pytest.approx(want.pvalue)
    assert (by_name["age"].df, by_name["age"].missing) == (pytest.approx(want.df), 1)
    assert "chi-square" in by_name["maker"].rule
    assert "Fisher" in by_name["rare"].rule
    assert by_name["same"].p_value is None
    compared = [row for row in rows if row.p_value is not None]
    assert [row.p_holm for row in compared] == pytest.approx(holm([row.p_value for row in compared]))
