"""Bootstrap against DeLong, scipy's BCa and a clustered truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from reader_study.statistics.bootstrap import bootstrap, first_mean, mean_difference
from reader_study.statistics.delong import delong_covariance
from reader_study.statistics.ratings import Ratings, StatisticsError
from reader_study.statistics.roe_metz import Accuracy, Structure, simulated_ratings, standard_model


@pytest.mark.data
def test_rs_s2_bootstrap_error_of_one_readers_difference_is_near_delongs(vandyke):
    ratings = vandyke("case")
    one = ratings.pick(readers=ratings.readers[:1])
    found = bootstrap(one, np.random.default_rng(1), replicates=800)
    cov = delong_covariance(one.scores[:, 0], one.truth)
    want = np.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])
    assert found.error == pytest.approx(want, rel=0.12)
    assert found.percentile[0] < found.estimate < found.percentile[1]
    again = bootstrap(one, np.random.default_rng(1), replicates=800)
    assert again.percentile == found.percentile
    assert "800 replicates, cases resampled" in found.provenance.sentence()


def test_rs_s2_bca_interval_of_a_specificity_agrees_with_scipy():
    rng = np.random.default_rng(3)
    scores = rng.exponential(1.0, 60)
    ratings = Ratings(
        modalities=("m",), readers=("r",), cases=tuple(map(str, range(62))),
        truth=np.array([False] * 60 + [True] * 2), scores=np.concatenate([scores, [9.0, 9.0]])[None, None],
    )  # fmt: skip

    def mean_of_healthy(values, truth):
        return float(values[~truth].mean())

    found = bootstrap(ratings, rng, summary=first_mean, figure=mean_of_healthy, replicates=6000)
    want = stats.bootstrap((scores,), np.mean, n_resamples=6000, method="BCa", rng=rng).confidence_interval
    assert found.corrected == pytest.approx((want.low, want.high), rel=0.03)


def test_rs_s2_readers_drawn_too_widen_the_interval_and_doubled_cases_of_a_woman_do_not_narrow_it():
    rng = np.random.default_rng(6)
    ratings = simulated_ratings(standard_model(Structure.HH, Accuracy.MIDDLE), rng, readers=5, positives=30, negatives=30)  # fmt: skip
    fixed = bootstrap(ratings, rng, replicates=300)
    both = bootstrap(ratings, rng, replicates=300, resample_readers=True)
    assert both.error > fixed.error
    doubled = Ratings(
        modalities=ratings.modalities, readers=ratings.readers,
        cases=(*(f"{c} L" for c in ratings.cases), *(f"{c} R" for c in ratings.cases)),
        truth=np.tile(ratings.truth, 2), scores=np.tile(ratings.scores, 2), clusters=ratings.cases * 2,
    )  # fmt: skip
    clustered = bootstrap(doubled, rng, replicates=300)
    assert clustered.error == pytest.approx(fixed.error, rel=0.2)
    naive = bootstrap(replace(doubled, clusters=None), rng, replicates=300)
    assert naive.error < 0.85 * clustered.error
    with pytest.raises(StatisticsError, match="100 or more"):
        bootstrap(ratings, rng, summary=mean_difference, replicates=10)
