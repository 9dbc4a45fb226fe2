"""The simulator against theory, and the Obuchowski-Rockette test against the simulator."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from reader_study.statistics.covariance import Covariance, Estimates
from reader_study.statistics.obuchowski_rockette import analyse
from reader_study.statistics.ratings import StatisticsError
from reader_study.statistics.roc import auc
from reader_study.statistics.roe_metz import (
    Accuracy,
    RoeMetz,
    Structure,
    Variances,
    expected_areas,
    expected_variance,
    simulate,
    simulated_ratings,
    standard_model,
)


def many_areas(scores, truth):
    """(studies, I, J) areas and their DeLong components, all studies at once."""
    negative, positive = scores[..., ~truth], scores[..., truth]
    success = positive[..., :, None] > negative[..., None, :]  # continuous scores: no ties
    return success.mean((-1, -2)), success.mean(-1), success.mean(-2)


def or_estimates(areas, v10, v01):
    n1, n0 = v10.shape[-1], v01.shape[-1]
    d1, d0 = v10 - areas[..., None], v01 - areas[..., None]
    cov = np.einsum("ijk,mnk->ijmn", d1, d1) / (n1 * (n1 - 1)) + np.einsum("ijk,mnk->ijmn", d0, d0) / (n0 * (n0 - 1))  # fmt: skip
    return Estimates(
        modalities=("a", "b"), readers=tuple(map(str, range(areas.shape[1]))), values=areas, covariance=cov,
        case_count=n1 + n0, shares_cases=np.ones_like(cov, dtype=bool), method=Covariance.DELONG,
        figure_of_merit="empirical AUC",
    )  # fmt: skip


def test_rs_s15_standard_models_have_the_published_areas():
    for structure in Structure:
        for accuracy in Accuracy:
            model = standard_model(structure, accuracy)
            # the area of a reader of mean ability; the spread of readers pulls the expectation down a little
            assert expected_areas(model)[0] == pytest.approx(float(accuracy.value), abs=0.009)
            own, shared = model.own[0], model.shared
            assert own.case[0] + own.reader_by_case[0] + shared.case[0] + shared.reader_by_case[0] == pytest.approx(1.0)  # fmt: skip
            no_spread = RoeMetz(
                separations=model.separations,
                shared=Variances(case=shared.case, reader_by_case=shared.reader_by_case),
                own=(Variances(case=own.case, reader_by_case=own.reader_by_case),) * 2,
            )
            assert expected_areas(no_spread)[0] == pytest.approx(float(accuracy.value), abs=6e-4)


def test_rs_s15_simulated_areas_have_the_mean_and_variance_of_theory():
    model = RoeMetz(  # unequal in everything, as Gallas & Hillis allow
        separations=(1.2, 1.6),
        shared=Variances(reader=(0.02, 0.04), case=(0.3, 0.2), reader_by_case=(0.15, 0.1)),
        own=(
            Variances(reader=(0.03, 0.02), case=(0.2, 0.3), reader_by_case=(0.3, 0.2)),
            Variances(reader=(0.05, 0.04), case=(0.1, 0.4), reader_by_case=(0.2, 0.4)),
        ),
    )
    rng, n = np.random.default_rng(17), 4000
    size = {"readers": 4, "positives": 15, "negatives": 25}
    scores, truth = simulate(model, rng, studies=n, **size)
    means = many_areas(scores, truth)[0].mean(-1)
    for i, want in enumerate(expected_areas(model)):
        assert abs(means[:, i].mean() - want) < 4 * means[:, i].std() / np.sqrt(n)
    for weights, found in (((1.0, 0.0), means[:, 0]), ((0.0, 1.0), means[:, 1]), ((1.0, -1.0), means[:, 0] - means[:, 1])):  # fmt: skip
        want = expected_variance(model, weights, **size)
        assert found.var(ddof=1) == pytest.approx(want, rel=4 * np.sqrt(2 / n))


def test_rs_s15_one_seed_gives_one_study_and_its_areas_are_those_of_roc():
    model = standard_model(Structure.HH, Accuracy.MIDDLE)
    one, two = (
        simulated_ratings(model, np.random.default_rng(4), readers=3, positives=12, negatives=20)
        for _ in range(2)
    )
    assert one.digest() == two.digest()
    areas = many_areas(one.scores[None], one.truth)[0][0]
    assert areas[1, 2] == pytest.approx(auc(one.scores[1, 2], one.truth))
    with pytest.raises(StatisticsError, match="negative one"):
        Variances(reader=(-0.1, 0.0))
    with pytest.raises(StatisticsError, match="each of 2"):
        RoeMetz(separations=(1.0, 1.0), shared=Variances(), own=(Variances(),))


@pytest.mark.slow
@pytest.mark.parametrize("structure", list(Structure))
def test_rs_s15_type_one_error_of_the_or_test_lies_within_monte_carlo_limits(structure):
    rng, runs = np.random.default_rng(1997), 1000
    model = standard_model(structure, Accuracy.MIDDLE)
    scores, truth = simulate(model, rng, readers=5, positives=50, negatives=50, studies=runs)
    areas, v10, v01 = many_areas(scores, truth)
    rejected = sum(analyse(or_estimates(areas[s], v10[s], v01[s])).test.p_value < 0.05 for s in range(runs))
    low, high = stats.binom.ppf([0.001, 0.999], runs, 0.05)
    print(f"{structure.value}: rejected {rejected} of {runs}, limits {low:g} to {high:g}")
    assert low <= rejected <= high


@pytest.mark.slow
def test_rs_s15_interval_of_a_true_difference_covers_at_its_level():
    rng, runs = np.random.default_rng(2007), 1000
    model = standard_model(Structure.HL, Accuracy.MIDDLE, shift=0.3)
    truth_gap = expected_areas(model)[0] - expected_areas(model)[1]
    scores, truth = simulate(model, rng, readers=6, positives=50, negatives=50, studies=runs)
    areas, v10, v01 = many_areas(scores, truth)
    hits = 0
    for s in range(runs):
        gap = analyse(or_estimates(areas[s], v10[s], v01[s])).differences[0]
        hits += gap.lower <= truth_gap <= gap.upper
    low, high = stats.binom.ppf([0.001, 0.999], runs, 0.95)
    print(f"covered {hits} of {runs}, limits {low:g} to {high:g}")
    assert low <= hits <= high
