"""Wilcoxon's signed-rank test and the Hodges-Lehmann estimate with its interval, exact where that is possible.

Takes paired differences and knows nothing of readers or cases; who is paired with whom is the caller's declaration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from reader_study.statistics.provenance import Provenance, digest_of, provenance
from reader_study.statistics.ratings import Floats, StatisticsError

EXACT_UP_TO = 50  # pairs; from there on the normal approximation is as good and R takes it too
_ALL_AVERAGES_UP_TO = 1500
_DECIMALS = 10  # differences closer than this are ties that only rounding tells apart


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRank:
    """Test that differences lie symmetrically about 0, and their pseudomedian.

    Attributes
    ----------
    n, zeros, tied
        pairs ranked; pairs without a difference (left out of the ranks, kept in the estimate); differences that share
        their size with another.
    statistic
        V, the sum of the ranks of positive differences.
    p_value
        two-sided; exact given the ranks (ties included) where ``exact``, else normal with continuity correction.
    smallest_p
        what the exact two-sided p cannot go below with so many pairs.
    estimate, lower, upper, achieved_level
        Hodges-Lehmann pseudomedian, its interval and the level that the interval really has.
    """

    n: int
    zeros: int
    tied: int
    statistic: float
    p_value: float
    p_greater: float
    p_less: float
    p_normal: float
    p_normal_uncorrected: float
    exact: bool
    smallest_p: float
    estimate: float
    lower: float
    upper: float
    level: float
    achieved_level: float
    note: str
    provenance: Provenance


def signed_rank(differences: Floats, *, level: float = 0.95) -> SignedRank:
    """Wilcoxon signed-rank test and Hodges-Lehmann interval of paired differences.

    Wilcoxon 1945 (Biometrics Bull 1:80); Hodges & Lehmann 1963 (Ann Math Stat 34:598); interval from the ordered Walsh
    averages (Hollander & Wolfe 1999, 3.3).

    Parameters
    ----------
    differences
        (n,) float64, first minus second, finite.

    Notes
    -----
    Assumes independent pairs and differences symmetrical about their median. Zeros are dropped from the ranks
    (Wilcoxon's rule). The interval counts ties as if they were apart, which keeps it on the safe side.
    """
    d: Floats = np.asarray(np.round(differences, _DECIMALS), dtype=np.float64)
    if d.ndim != 1 or not len(d) or not np.isfinite(d).all():
        raise StatisticsError(f"Signed-rank test: expected finite differences, found {d.shape} values.")
    used = d[d != 0]
    n, zeros = len(used), int((d == 0).sum())
    sizes = np.abs(used)
    _, counts = np.unique(sizes, return_counts=True)
    tied = int(counts[counts > 1].sum())
    exact = n <= EXACT_UP_TO
    ranks = stats.rankdata(sizes)
    v = float(ranks[used > 0].sum())
    p_greater, p_less = _tails(ranks, v) if exact else _normal_tails(n, v, counts, 0.5)
    corrected = _normal_tails(n, v, counts, 0.5) if n else (1.0, 1.0)
    plain = _normal_tails(n, v, counts, 0.0) if n else (1.0, 1.0)
    estimate, lower, upper, achieved = hodges_lehmann(d, level=level)
    smallest = min(1.0, 2.0 * 0.5**n)
    return SignedRank(
        n=n,
        zeros=zeros,
        tied=tied,
        statistic=v,
        p_value=min(1.0, 2 * min(p_greater, p_less)),
        p_greater=p_greater,
        p_less=p_less,
        p_normal=min(1.0, 2 * min(corrected)),
        p_normal_uncorrected=min(1.0, 2 * min(plain)),
        exact=exact,
        smallest_p=smallest,
        estimate=estimate,
        lower=lower,
        upper=upper,
        level=level,
        achieved_level=achieved,
        note=_note(n, zeros, tied, exact, smallest, level, achieved),
        provenance=provenance(
            f"Wilcoxon signed-rank, {'exact' if exact else 'normal with continuity correction'}; Hodges-Lehmann",
            digest_of(d),
            observations=len(d),
        ),
    )


def _note(n: int, zeros: int, tied: int, exact: bool, smallest: float, level: float, achieved: float) -> str:
    parts = []
    if smallest > 1 - level:
        parts.append(
            f"With {n} pair{'' if n == 1 else 's'} that differ the p-value cannot go below {smallest:.3g}."
        )
    if zeros:
        parts.append(
            f"{zeros} pair{'' if zeros == 1 else 's'} without a difference left out of the ranks, kept in the estimate."
        )
    if tied:
        parts.append(f"{tied} differences are tied in size; {'the exact p is taken given their ranks' if exact else 'the variance is corrected for them'}.")  # fmt: skip
    if achieved < level - 1e-9:
        parts.append(f"With so few pairs the widest interval has a level of {achieved:.1%}.")
    return " ".join(parts)


def _tails(ranks: Floats, v: float) -> tuple[float, float]:
    """P(V >= v) and P(V <= v) over all signs of these ranks (halves allowed, so ranks are doubled to whole steps)."""
    doubled = np.rint(2 * ranks).astype(np.int64)
    chance = np.ones(1)
    for step in doubled:
        longer = np.zeros(len(chance) + int(step))
        longer[: len(chance)] += chance / 2
        longer[int(step) :] += chance / 2
        chance = longer
    at = round(2 * v)
    return min(1.0, float(chance[at:].sum())), min(1.0, float(chance[: at + 1].sum()))


def _normal_tails(n: int, v: float, counts: NDArray[np.intp], correction: float) -> tuple[float, float]:
    mean = n * (n + 1) / 4
    variance = n * (n + 1) * (2 * n + 1) / 24 - float((counts**3 - counts).sum()) / 48
    if variance <= 0:
        return 1.0, 1.0
    deviation, toward = v - mean, math.copysign(correction, v - mean) if v != mean else 0.0
    z = (deviation - toward) / math.sqrt(variance)
    return float(stats.norm.sf(z)), float(stats.norm.cdf(z))


def hodges_lehmann(differences: Floats, *, level: float = 0.95) -> tuple[float, float, float, float]:
    """Pseudomedian, lower and upper limit, and the level reached.

    The limits are the k-th smallest and largest Walsh average, k from the exact distribution of V up to 50 pairs and
    from its normal approximation beyond. The level reached is at least ``level`` unless there are too few pairs.
    """
    x = np.sort(np.asarray(differences, dtype=np.float64))
    n = len(x)
    total = n * (n + 1) // 2
    k, achieved = _order(n, level)
    wanted = [(total + 1) // 2, total // 2 + 1, k, total + 1 - k]
    low_mid, high_mid, lower, upper = _walsh(x, wanted)
    return (low_mid + high_mid) / 2, lower, upper, achieved


def _order(n: int, level: float) -> tuple[int, float]:
    """The largest k with 2 P(V <= k - 1) <= 1 - level, at least 1, and the level that it gives."""
    if n > EXACT_UP_TO:
        mean, sd = n * (n + 1) / 4, math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        k = max(1, math.floor(mean + 0.5 - float(stats.norm.ppf(0.5 + level / 2)) * sd))
        return k, 1 - 2 * float(stats.norm.cdf((k - 0.5 - mean) / sd))
    chance = np.ones(1)
    for step in range(1, n + 1):
        longer = np.zeros(len(chance) + step)
        longer[: len(chance)] += chance / 2
        longer[step:] += chance / 2
        chance = longer
    below = np.cumsum(chance)
    k = max(1, int(np.searchsorted(below, (1 - level) / 2 * (1 + 1e-12), side="right")))
    return k, 1 - 2 * float(below[k - 1])


def _walsh(x: Floats, orders: list[int]) -> list[float]:
    """The averages of all pairs (each value with itself too) at these places, 1 = smallest; ``x`` is sorted."""
    n = len(x)
    if n <= _ALL_AVERAGES_UP_TO:
        i, j = np.triu_indices(n)
        averages = np.sort((x[i] + x[j]) / 2)
        return [float(averages[k - 1]) for k in orders]
    index = np.arange(n)

    def at_most(t: float) -> int:
        return int(np.maximum(np.searchsorted(x, 2 * t - x, side="right") - index, 0).sum())

    found = []
    for k in orders:
        low, high = float(x[0]) - 1.0, float(x[-1])
        while high - low > 1e-9 * max(1.0, abs(low), abs(high)):
            middle = (low + high) / 2
            low, high = (low, middle) if at_most(middle) >= k else (middle, high)
        found.append(high)
    return found
