"""Bootstrap intervals of any figure of merit, resampling the declared unit (the woman) and, on request, the readers.

Efron & Tibshirani 1993, An Introduction to the Bootstrap. For figures that no formula covers; where one does
(DeLong, Obuchowski-Rockette), that is the result and this the check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from reader_study.statistics.covariance import FigureOfMerit
from reader_study.statistics.provenance import Provenance, provenance
from reader_study.statistics.ratings import Floats, Ratings, StatisticsError
from reader_study.statistics.roc import auc

Summary = Callable[[Floats], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapInterval:
    """An estimate with its bootstrap error and two intervals.

    Attributes
    ----------
    percentile
        the middle ``level`` of the replicates.
    corrected
        bias-corrected and accelerated (BCa), None where all replicates lie on one side of the estimate, or where
        leaving out one unit leaves none of its truth (no acceleration can be estimated).
    replicates
        (n,) float64; ``failed`` more could not be computed (a truth class was missing) and were drawn again.
    """

    estimate: float
    error: float
    percentile: tuple[float, float]
    corrected: tuple[float, float] | None
    level: float
    replicates: Floats = field(repr=False)
    failed: int
    provenance: Provenance


def first_mean(values: Floats) -> float:
    """Mean of the readers under the first modality."""
    return float(values[0].mean())


def mean_difference(values: Floats) -> float:
    """Reader-averaged first modality minus second."""
    return float(values[0].mean() - values[1].mean())


def bootstrap(
    ratings: Ratings,
    rng: np.random.Generator,
    *,
    summary: Summary = mean_difference,
    figure: FigureOfMerit = auc,
    name: str = "empirical AUC",
    resample_readers: bool = False,
    replicates: int = 2000,
    level: float = 0.95,
) -> BootstrapInterval:
    """Bootstrap a summary of the (modalities, readers) figures of merit.

    Parameters
    ----------
    summary
        number from the (I, J) figures, for example ``mean_difference``.
    resample_readers
        False: readers are fixed. True: readers are drawn too, and the interval speaks to other readers.

    Notes
    -----
    Units (clusters, else cases) are drawn with replacement within those that hold disease and those that do not, so
    prevalence stays; all cases of a unit come along. BCa's acceleration is from the jackknife over units.
    """
    if replicates < 100:
        raise StatisticsError(f"Bootstrap: expected 100 or more replicates, found {replicates}.")
    positive, negative = _units(ratings)
    readers = len(ratings.readers)

    def value(cases: NDArray[np.intp], who: NDArray[np.intp]) -> float:
        truth = ratings.truth[cases]
        scores = ratings.scores[:, :, cases]
        table = np.array([[figure(scores[i, j], truth) for j in who] for i in range(len(scores))])
        return summary(table)

    everyone = np.arange(readers)
    estimate = value(np.arange(len(ratings.cases)), everyone)
    found: list[float] = []
    failed = 0
    while len(found) < replicates:
        drawn = [unit for group in (positive, negative) for unit in _draw(group, rng)]
        who = rng.integers(0, readers, readers) if resample_readers else everyone
        try:
            found.append(value(np.concatenate(drawn), who))
        except StatisticsError:
            failed += 1
            if failed > replicates:
                raise
    values = np.array(found)
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return BootstrapInterval(
        estimate=estimate,
        error=float(values.std(ddof=1)),
        percentile=(float(low), float(high)),
        corrected=_corrected(values, estimate, value, positive + negative, everyone, level),
        level=level,
        replicates=values,
        failed=failed,
        provenance=provenance(
            f"bootstrap of {name}, {replicates} replicates, {'readers and cases' if resample_readers else 'cases'} resampled",
            ratings.digest(), df_rule="percentile and BCa", readers=readers, cases=len(positive) + len(negative),
        ),
    )  # fmt: skip


def _units(ratings: Ratings) -> tuple[list[NDArray[np.intp]], list[NDArray[np.intp]]]:
    names = ratings.clusters if ratings.clusters is not None else ratings.cases
    groups: dict[str, list[int]] = {}
    for k, unit in enumerate(names):
        groups.setdefault(unit, []).append(k)
    members = [np.array(rows, dtype=np.intp) for rows in groups.values()]
    return (
        [rows for rows in members if ratings.truth[rows].any()],
        [rows for rows in members if not ratings.truth[rows].any()],
    )


def _draw(group: list[NDArray[np.intp]], rng: np.random.Generator) -> list[NDArray[np.intp]]:
    return [group[k] for k in rng.integers(0, len(group), len(group))] if group else []


def _left_out(
    value: Callable[[NDArray[np.intp], NDArray[np.intp]], float],
    units: list[NDArray[np.intp]],
    everyone: NDArray[np.intp],
) -> Floats:
    out = []
    for k in range(len(units)):
        rest = units[:k] + units[k + 1 :]
        if rest:
            out.append(value(np.concatenate(rest), everyone))
    return np.array(out)


def _corrected(
    values: Floats,
    estimate: float,
    value: Callable[[NDArray[np.intp], NDArray[np.intp]], float],
    units: list[NDArray[np.intp]],
    everyone: NDArray[np.intp],
    level: float,
) -> tuple[float, float] | None:
    try:
        left_out = _left_out(value, units, everyone)
    except StatisticsError:
        return None
    return _bca(values, estimate, left_out, level)


def _bca(values: Floats, estimate: float, left_out: Floats, level: float) -> tuple[float, float] | None:
    """Efron 1987 (JASA 82:171)."""
    below = float(np.mean(values < estimate) + np.mean(values == estimate) / 2)
    if not 0 < below < 1:
        return None
    bias = float(stats.norm.ppf(below))
    deviations = left_out.mean() - left_out
    spread = float((deviations**2).sum())
    acceleration = float((deviations**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    limits = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + float(stats.norm.ppf(tail))
        at = float(stats.norm.cdf(bias + z / (1 - acceleration * z)))
        limits.append(float(np.quantile(values, at)))
    return limits[0], limits[1]
