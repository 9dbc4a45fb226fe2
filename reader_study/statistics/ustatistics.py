"""Gallas' U-statistic variance of reader-averaged areas, for any pattern of missing reads (split-plot, unpaired).

Gallas 2006 (Acad Radiol 13:353), Gallas, Bandos, Samuelson & Wagner 2009 (Commun Stat 38:2586); degrees of freedom of
Obuchowski, Gallas & Hillis 2012 (Acad Radiol 19:1508). What iMRMC computes. A negative variance is reported as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import stats

from reader_study.statistics.ratings import Floats, Ratings, StatisticsError

# Which of (reader, negative case, positive case) are the same in both factors of a product.
_CLASSES = tuple((r, n, p) for r in (True, False) for n in (True, False) for p in (True, False))


class Moments(StrEnum):
    """Unbiased U-statistics, or plug-in estimates (never negative, biased upwards)."""

    U_STATISTIC = "U-statistic"
    MLE = "MLE"


class DfRule(StrEnum):
    """Exact t, or what iMRMC does: whole degrees of freedom, and the normal distribution from 50 on."""

    EXACT = "t"
    IMRMC = "iMRMC (whole df, normal from 50)"


@dataclass(frozen=True, slots=True, kw_only=True)
class UResult:
    """A reader-averaged area, or a difference of two; ``p_value`` tests against 0.5, or against 0."""

    label: str
    estimate: float
    variance: float
    df: float
    statistic: float
    p_value: float
    lower: float
    upper: float
    p_normal: float
    readers: int
    negatives: int
    positives: int
    method: str
    negative_variance: bool


@dataclass(frozen=True, slots=True)
class _Kernel:
    """Success scores and weights of one modality: (J, N0, N1), 0 where not read."""

    success: Floats
    weight: Floats

    @property
    def total(self) -> float:
        return float(self.weight.sum())

    @property
    def area(self) -> float:
        return float(self.success.sum()) / self.total


def _kernel(ratings: Ratings, i: int) -> _Kernel:
    negative, positive = ratings.scores[i][:, ~ratings.truth], ratings.scores[i][:, ratings.truth]
    read = ~np.isnan(negative)[:, :, None] & ~np.isnan(positive)[:, None, :]
    with np.errstate(invalid="ignore"):
        success = (positive[:, None, :] > negative[:, :, None]) + 0.5 * (
            positive[:, None, :] == negative[:, :, None]
        )
    if not read.any():
        raise StatisticsError(
            f"Modality {ratings.modalities[i]}: expected a reader who read cases of both truths, found none."
        )
    kernel = _Kernel(success=np.where(read, success, 0.0), weight=read.astype(np.float64))
    _refuse_what_has_no_variance(ratings, i, kernel)
    return kernel


def _refuse_what_has_no_variance(ratings: Ratings, i: int, kernel: _Kernel) -> None:
    """Unbiased moments need pairs that share neither reader nor case: two readers and two cases of each truth."""
    if ratings.clusters is not None and len(set(ratings.clusters)) < len(ratings.cases):
        raise StatisticsError(
            "U-statistics: expected independent cases, found several of one unit; use Obuchowski-Rockette with the jackknife."
        )
    readers, negatives, positives = _sizes(kernel)
    if readers < 2:
        raise StatisticsError(
            f"U-statistics, modality {ratings.modalities[i]}: expected two or more readers, as readers are random, found {readers};"
            " use Obuchowski-Rockette with fixed readers."
        )
    if min(negatives, positives) < 2:
        raise StatisticsError(
            f"U-statistics, modality {ratings.modalities[i]}: expected two or more cases of each truth, found {positives} with"
            f" and {negatives} without disease."
        )


def _nested_sums(a: Floats, b: Floats) -> dict[tuple[bool, bool, bool], float]:
    """Sums of products over pairs in which the flagged indices (reader, negative, positive) are equal, others free."""
    sums = {}
    for flags in _CLASSES:
        free = tuple(axis for axis, same in enumerate(flags) if not same)
        x = a.sum(axis=free) if free else a
        y = b.sum(axis=free) if free else b
        sums[flags] = float(np.sum(x * y))
    return sums


def _exact(nested: dict[tuple[bool, bool, bool], float]) -> dict[tuple[bool, bool, bool], float]:
    """From 'flagged are equal, others free' to 'flagged are equal, others differ' (inclusion-exclusion)."""
    out = {}
    for flags in _CLASSES:
        total = 0.0
        for wider, value in nested.items():
            if all(w or not f for f, w in zip(flags, wider, strict=True)):
                total += (-1) ** (sum(wider) - sum(flags)) * value
        out[flags] = total
    return out


@dataclass(frozen=True, slots=True)
class _Products:
    """Coefficients and expected products by class, for the (co)variance of two areas."""

    coefficient: dict[tuple[bool, bool, bool], float]
    moment: dict[tuple[bool, bool, bool], float]

    @property
    def covariance(self) -> float:
        apart = self.moment[False, False, False]
        return sum(self.coefficient[c] * (self.moment[c] - apart) for c in _CLASSES)


def _products(a: _Kernel, b: _Kernel, moments: Moments) -> _Products:
    nested_s, nested_w = _nested_sums(a.success, b.success), _nested_sums(a.weight, b.weight)
    exact_s, exact_w = _exact(nested_s), _exact(nested_w)
    coefficient = {c: exact_w[c] / (a.total * b.total) for c in _CLASSES}
    moment = {}
    for c in _CLASSES:
        if moments is Moments.U_STATISTIC:
            n, s = exact_w[c], exact_s[c]
        else:
            n, s = nested_w[c], nested_s[c]
        moment[c] = s / n if n > 0 else 0.0
    return _Products(coefficient=coefficient, moment=moment)


@dataclass(frozen=True, slots=True)
class _Spread:
    """Along readers, negatives and positives: spread of the marginal means, and degrees of freedom of each."""

    between: tuple[float, float, float]
    df: tuple[int, int, int]
    paired: tuple[bool, bool, bool]


_AXES = ((True, False, False), (False, True, False), (False, False, True))


def _spread(a: _Kernel, b: _Kernel) -> _Spread:
    sums, weights = _nested_sums(a.success, b.success), _nested_sums(a.weight, b.weight)
    none = (False, False, False)
    everything = sums[none] / weights[none]
    between = tuple(sums[c] / weights[c] - everything if weights[c] > 0 else 0.0 for c in _AXES)
    share = [weights[c] / weights[none] for c in _AXES]
    return _Spread(
        between=(between[0], between[1], between[2]),
        df=tuple(round(1 / s - 1) if s > 0 else 0 for s in share),  # type: ignore[arg-type]
        paired=(share[0] > 0, share[1] > 0, share[2] > 0),
    )


def _df(variance: float, terms: list[tuple[float, int]]) -> float:
    """Satterthwaite over the random factors, from mean squares (Obuchowski, Gallas & Hillis 2012).

    Not below the smallest degrees of freedom of a factor (Gaylor & Hopper 1969), nor below 2.
    """
    usable = [(between, df) for between, df in terms if df > 0]
    if not usable:
        return 2.0
    total = sum((between / df) ** 2 / df for between, df in usable)
    lowest = min(df for _, df in usable)
    return max(variance**2 / total if total > 0 else math.inf, float(lowest), 2.0)


def _result(
    label: str, estimate: float, null: float, variance: float, df: float, sizes: tuple[int, int, int],
    moments: Moments, rule: DfRule, level: float,
) -> UResult:  # fmt: skip
    error = math.sqrt(variance) if variance > 0 else math.nan
    statistic = (estimate - null) / error if variance > 0 else math.nan
    p_normal = float(2 * stats.norm.sf(abs(statistic)))
    used: float = df
    if rule is DfRule.IMRMC:
        used = math.inf if df >= 50 else float(math.floor(df)) if math.isfinite(df) else math.inf
    plain = not math.isfinite(used) or used < 1
    quantile = float(stats.norm.ppf(0.5 + level / 2) if plain else stats.t.ppf(0.5 + level / 2, used))
    return UResult(
        label=label, estimate=estimate, variance=variance, df=df, statistic=statistic,
        p_value=p_normal if plain else float(2 * stats.t.sf(abs(statistic), used)),
        lower=estimate - quantile * error, upper=estimate + quantile * error, p_normal=p_normal,
        readers=sizes[0], negatives=sizes[1], positives=sizes[2],
        method=f"U-statistic MRMC (Gallas), {moments.value}, {rule.value}", negative_variance=variance < 0,
    )  # fmt: skip


def _sizes(*kernels: _Kernel) -> tuple[int, int, int]:
    """Readers and cases that took part in any of the modalities."""
    weight = np.sum([kernel.weight for kernel in kernels], axis=0)
    return (
        int((weight.sum(axis=(1, 2)) > 0).sum()),
        int((weight.sum(axis=(0, 2)) > 0).sum()),
        int((weight.sum(axis=(0, 1)) > 0).sum()),
    )


def area(
    ratings: Ratings, modality: str, *, moments: Moments = Moments.U_STATISTIC, rule: DfRule = DfRule.EXACT,
    level: float = 0.95,
) -> UResult:  # fmt: skip
    """Reader-averaged area of one modality (each reader weighted by the pairs read), readers and cases random.

    Raises
    ------
    StatisticsError
        Fewer than two readers or than two cases of a truth: the variance then has no unbiased estimate.
    """
    kernel = _kernel(ratings, ratings.modalities.index(modality))
    products = _products(kernel, kernel, moments)
    own = _spread(kernel, kernel)
    df = _df(products.covariance, list(zip(own.between, own.df, strict=True)))
    sizes = _sizes(kernel)
    return _result(modality, kernel.area, 0.5, products.covariance, df, sizes, moments, rule, level)


def difference(
    ratings: Ratings, first: str, second: str, *, moments: Moments = Moments.U_STATISTIC,
    rule: DfRule = DfRule.EXACT, level: float = 0.95,
) -> UResult:  # fmt: skip
    """First modality minus second, whatever readers and cases they share."""
    a = _kernel(ratings, ratings.modalities.index(first))
    b = _kernel(ratings, ratings.modalities.index(second))
    own_a, own_b, cross = _products(a, a, moments), _products(b, b, moments), _products(a, b, moments)
    variance = own_a.covariance + own_b.covariance - 2 * cross.covariance
    one, two, both = _spread(a, a), _spread(b, b), _spread(a, b)
    terms: list[tuple[float, int]] = []
    for axis in range(3):
        if both.paired[axis]:  # the same readers or cases in both: their difference varies as one
            gap = one.between[axis] + two.between[axis] - 2 * both.between[axis]
            terms.append((gap, min(one.df[axis], two.df[axis])))
        else:
            terms += [(one.between[axis], one.df[axis]), (two.between[axis], two.df[axis])]
    df = _df(variance, terms)
    sizes = _sizes(a, b)
    label = f"{first} - {second}"
    return _result(label, a.area - b.area, 0.0, variance, df, sizes, moments, rule, level)
