"""DeLong's variance of empirical areas (DeLong, DeLong & Clarke-Pearson 1988), and the tests built on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from reader_study.statistics.ratings import Flags, Floats, StatisticsError
from reader_study.statistics.roc import auc


def placements(scores: Floats, truth: Flags) -> tuple[Floats, Floats]:
    """Structural components of one area.

    Returns
    -------
    V10, V01
        (n1,) mean success of each positive over all negatives, and (n0,) of each negative over all positives.
        Both have the area as their mean.
    """
    positive, negative = scores[truth], scores[~truth]
    n1, n0 = len(positive), len(negative)
    if n1 < 2 or n0 < 2:
        raise StatisticsError(
            f"DeLong: expected at least two cases of each truth, found {n1} with and {n0} without disease."
        )
    ranks = stats.rankdata(np.concatenate([positive, negative]))
    v10 = (ranks[:n1] - stats.rankdata(positive)) / n0
    v01 = 1.0 - (ranks[n1:] - stats.rankdata(negative)) / n1
    return v10, v01


def delong_covariance(scores: Floats, truth: Flags) -> Floats:
    """Covariance matrix of several areas on the same cases.

    Parameters
    ----------
    scores
        (m, n) float64, one row a test, no NaN.
    truth
        (n,) bool.

    Returns
    -------
    (m, m) float64.
    """
    parts = [placements(row, truth) for row in scores]
    v10, v01 = np.array([p[0] for p in parts]), np.array([p[1] for p in parts])
    n1, n0 = v10.shape[1], v01.shape[1]
    return np.asarray(np.atleast_2d(np.cov(v10)) / n1 + np.atleast_2d(np.cov(v01)) / n0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AucInterval:
    """An area with DeLong's variance and the normal interval, clipped to 0..1."""

    auc: float
    variance: float
    lower: float
    upper: float
    level: float


def auc_interval(scores: Floats, truth: Flags, *, level: float = 0.95) -> AucInterval:
    """Area of one test with its interval; cases not read (NaN) are left out."""
    read = ~np.isnan(scores)
    area = auc(scores[read], truth[read])
    variance = float(delong_covariance(scores[read][None], truth[read])[0, 0])
    half = float(stats.norm.ppf(0.5 + level / 2)) * math.sqrt(variance)
    return AucInterval(
        auc=area, variance=variance, lower=max(0.0, area - half), upper=min(1.0, area + half), level=level
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AucDifference:
    """First area minus second; ``df`` None = the normal distribution was used."""

    first: float
    second: float
    difference: float
    variance: float
    covariance: float
    statistic: float
    df: float | None
    p_value: float
    lower: float
    upper: float
    method: str


def paired_test(first: Floats, second: Floats, truth: Flags, *, level: float = 0.95) -> AucDifference:
    """DeLong's test of two tests on the same cases; cases that lack either score are left out."""
    both = ~(np.isnan(first) | np.isnan(second))
    rows, truth = np.array([first[both], second[both]]), truth[both]
    cov = delong_covariance(rows, truth)
    a, b = auc(rows[0], truth), auc(rows[1], truth)
    variance = float(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])
    error = math.sqrt(max(variance, 0.0))
    z = (a - b) / error if error > 0 else (0.0 if a == b else math.copysign(math.inf, a - b))
    half = float(stats.norm.ppf(0.5 + level / 2)) * error
    return AucDifference(
        first=a, second=b, difference=a - b, variance=variance, covariance=float(cov[0, 1]), statistic=z, df=None,
        p_value=float(2 * stats.norm.sf(abs(z))), lower=a - b - half, upper=a - b + half, method="DeLong, paired",
    )  # fmt: skip


def unpaired_test(
    first: Floats, first_truth: Flags, second: Floats, second_truth: Flags, *, level: float = 0.95
) -> AucDifference:
    """Difference of two areas on different cases, Welch-Satterthwaite degrees of freedom (as pROC has it).

    df = (s1 + s2)^2 / (s1^2 / (N1 - 1) + s2^2 / (N2 - 1)), s the variances and N the numbers of cases.

    Raises
    ------
    StatisticsError
        Neither area varies (both sets separated perfectly, or all scores equal), so there is no standard error.
    """
    one, two = auc_interval(first, first_truth, level=level), auc_interval(second, second_truth, level=level)
    n_one, n_two = int((~np.isnan(first)).sum()), int((~np.isnan(second)).sum())
    variance = one.variance + two.variance
    if variance <= 0:
        raise StatisticsError(
            f"DeLong, unpaired: expected areas that vary with the cases, found {one.auc:g} and {two.auc:g} with variance 0;"
            " scores separate the cases perfectly or do not tell them apart at all, and no test can be made."
        )
    df = variance**2 / (one.variance**2 / (n_one - 1) + two.variance**2 / (n_two - 1))
    t = (one.auc - two.auc) / math.sqrt(variance)
    half = float(stats.t.ppf(0.5 + level / 2, df)) * math.sqrt(variance)
    gap = one.auc - two.auc
    return AucDifference(
        first=one.auc, second=two.auc, difference=gap, variance=variance, covariance=0.0, statistic=t, df=df,
        p_value=float(2 * stats.t.sf(abs(t), df)), lower=gap - half, upper=gap + half, method="DeLong, unpaired",
    )  # fmt: skip
