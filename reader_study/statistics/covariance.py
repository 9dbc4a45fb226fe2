"""From ratings to reader-by-modality estimates with their covariance over cases: jackknife, DeLong, unbiased.

Missing reads (NaN) are allowed: every estimate uses the cases its reader read, and two estimates that share no case
have covariance 0 by design.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from reader_study.statistics.delong import placements
from reader_study.statistics.ratings import Flags, Floats, Ratings, StatisticsError
from reader_study.statistics.roc import auc

FigureOfMerit = Callable[[Floats, Flags], float]


class Covariance(StrEnum):
    """How the covariance of estimates over cases is estimated."""

    JACKKNIFE = "jackknife"
    DELONG = "DeLong"
    UNBIASED = "unbiased (U-statistic)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """Figures of merit of I modalities and J readers.

    Attributes
    ----------
    values
        (I, J) float64.
    covariance
        (I, J, I, J) float64 over cases.
    case_count
        number of units resampled or summed over.
    shares_cases
        (I, J, I, J) bool, False where two estimates have no case in common.
    """

    modalities: tuple[str, ...]
    readers: tuple[str, ...]
    values: Floats
    covariance: Floats = field(repr=False)
    case_count: int
    shares_cases: Flags = field(repr=False)
    method: Covariance
    figure_of_merit: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Share of diseased cases with score >= threshold; a figure of merit that looks at diseased cases only."""

    threshold: float
    looks_at: bool = True  # the only truth this figure depends on

    def __call__(self, scores: Floats, truth: Flags) -> float:
        read = truth & ~np.isnan(scores)
        if not read.any():
            raise StatisticsError("Sensitivity: expected a read case with disease, found none.")
        return float(np.mean(scores[read] >= self.threshold))


@dataclass(frozen=True, slots=True)
class Specificity:
    """Share of cases without disease with score < threshold."""

    threshold: float
    looks_at: bool = False

    def __call__(self, scores: Floats, truth: Flags) -> float:
        read = ~truth & ~np.isnan(scores)
        if not read.any():
            raise StatisticsError("Specificity: expected a read case without disease, found none.")
        return float(np.mean(scores[read] < self.threshold))


def estimates(
    ratings: Ratings,
    *,
    covariance: Covariance = Covariance.JACKKNIFE,
    figure: FigureOfMerit = auc,
    name: str = "empirical AUC",
) -> Estimates:
    """Estimate every reader's figure of merit under every modality, and their covariances.

    Parameters
    ----------
    figure
        any figure of merit of (scores, truth); DeLong and unbiased covariances exist for the empirical AUC only.

    Raises
    ------
    StatisticsError
        A reader lacks a truth class, or the covariance does not exist for the figure.
    """
    if covariance is not Covariance.JACKKNIFE and figure is not auc:
        raise StatisticsError(
            f"Covariance {covariance.value}: expected the empirical AUC, found {name}; use the jackknife."
        )
    values = _values(ratings, figure)
    read = ~np.isnan(ratings.scores)
    count = len(ratings.cases)
    if covariance is Covariance.JACKKNIFE:
        units = _units(ratings, getattr(figure, "looks_at", None))
        count = len(units)
        quick = figure is auc and count == len(ratings.cases)
        left_out = _auc_without_each(ratings, values) if quick else None
        if left_out is None:
            left_out = np.array([_without(ratings, unit, figure, values) for unit in units])
        cov = jackknife_covariance(left_out)
    elif covariance is Covariance.DELONG:
        _refuse_clusters(ratings, covariance)
        cov = _delong(ratings)
    else:
        _refuse_clusters(ratings, covariance)
        cov = _unbiased(ratings)
    shares = np.einsum("ijk,mnk->ijmn", read.astype(np.intp), read.astype(np.intp)) > 0
    return Estimates(
        modalities=ratings.modalities,
        readers=ratings.readers,
        values=values,
        covariance=np.where(shares, cov, 0.0),
        case_count=count,
        shares_cases=shares,
        method=covariance,
        figure_of_merit=name,
        digest=ratings.digest(),
    )


def jackknife_covariance(left_out: Floats) -> Floats:
    """Jackknife covariance from leave-one-out estimates (Efron & Tibshirani 1993, eq. 11.5).

    Parameters
    ----------
    left_out
        (units, I, J): the estimates without each unit.

    Returns
    -------
    (I, J, I, J): (n - 1) / n times the sum of products of deviations.
    """
    n = len(left_out)
    deviations = left_out - left_out.mean(axis=0)
    return np.asarray((n - 1) / n * np.einsum("kij,kmn->ijmn", deviations, deviations))


def _values(ratings: Ratings, figure: FigureOfMerit) -> Floats:
    values = np.empty(ratings.scores.shape[:2])
    for i, modality in enumerate(ratings.modalities):
        for j, reader in enumerate(ratings.readers):
            try:
                values[i, j] = figure(ratings.scores[i, j], ratings.truth)
            except StatisticsError as error:
                raise StatisticsError(f"Reader {reader}, modality {modality}: {error}") from error
    return values


def _units(ratings: Ratings, looks_at: bool | None) -> list[Flags]:
    """What the jackknife leaves out: single cases, or all cases of one cluster (woman).

    A unit that the figure of merit cannot see (a healthy case, for a sensitivity) is no unit of its sample.
    """
    names = ratings.clusters if ratings.clusters is not None else ratings.cases
    groups: dict[str, list[int]] = {}
    for k, name in enumerate(names):
        groups.setdefault(name, []).append(k)
    units = []
    for members in groups.values():
        if looks_at is not None and not (ratings.truth[members] == looks_at).any():
            continue
        mask = np.zeros(len(ratings.cases), dtype=bool)
        mask[members] = True
        units.append(mask)
    return units


def _without(ratings: Ratings, unit: Flags, figure: FigureOfMerit, full: Floats) -> Floats:
    out = full.copy()
    keep = ~unit
    truth = ratings.truth[keep]
    for i in range(full.shape[0]):
        for j in range(full.shape[1]):
            if not np.isnan(ratings.scores[i, j, unit]).all():  # an unread case changes nothing
                try:
                    out[i, j] = figure(ratings.scores[i, j, keep], truth)
                except StatisticsError as error:
                    raise StatisticsError(
                        f"Jackknife, reader {ratings.readers[j]}, modality {ratings.modalities[i]}: expected two or more read units"
                        f" with and without disease, found one whose removal leaves none ({error})"
                    ) from error
    return out


def _auc_without_each(ratings: Ratings, full: Floats) -> Floats | None:
    """Empirical areas without each case, from the placements: the area is their mean, so one is simply taken out.

    None where a reader has fewer than two read cases of a truth; the slow way then says what is missing.
    """
    out = np.repeat(full[None], len(ratings.cases), axis=0)
    for i in range(full.shape[0]):
        for j in range(full.shape[1]):
            read = ~np.isnan(ratings.scores[i, j])
            truth = ratings.truth[read]
            if min(truth.sum(), (~truth).sum()) < 2:
                return None
            for placement, ill in zip(
                placements(ratings.scores[i, j, read], truth), (True, False), strict=True
            ):
                n = len(placement)
                out[read & (ratings.truth == ill), i, j] = (placement.sum() - placement) / (n - 1)
    return out


def _refuse_clusters(ratings: Ratings, covariance: Covariance) -> None:
    if ratings.clusters is not None and len(set(ratings.clusters)) < len(ratings.cases):
        raise StatisticsError(
            f"Covariance {covariance.value}: expected independent cases, found several of one unit; use the jackknife."
        )


def _delong(ratings: Ratings) -> Floats:
    i_n, j_n, k_n = ratings.scores.shape
    parts = np.zeros((i_n, j_n, k_n))
    for i in range(i_n):
        for j in range(j_n):
            read = ~np.isnan(ratings.scores[i, j])
            v10, v01 = placements(ratings.scores[i, j, read], ratings.truth[read])
            for truth, v in ((True, v10), (False, v01)):
                where = read & (ratings.truth == truth)
                n = int(where.sum())
                # scaled so that the covariance is a plain sum of products over shared cases
                parts[i, j, where] = (v - v.mean()) / n * np.sqrt(n / (n - 1))
    return np.asarray(np.einsum("ijk,mnk->ijmn", parts, parts))


def _unbiased(ratings: Ratings) -> Floats:
    """U-statistic covariance of two areas (Gallas 2006 single reader; used in MRMCaov as 'unbiased')."""
    i_n, j_n, _ = ratings.scores.shape
    positives, negatives = ratings.truth, ~ratings.truth
    kernels, weights = [], []
    for i in range(i_n):
        for j in range(j_n):
            pos, neg = ratings.scores[i, j, positives], ratings.scores[i, j, negatives]
            read = ~np.isnan(pos)[:, None] & ~np.isnan(neg)[None, :]
            with np.errstate(invalid="ignore"):
                success = (pos[:, None] > neg[None, :]) + 0.5 * (pos[:, None] == neg[None, :])
            kernels.append(np.where(read, success, 0.0))
            weights.append(read.astype(float))
    m = i_n * j_n
    cov = np.empty((m, m))
    for a in range(m):
        for b in range(a, m):
            cov[a, b] = cov[b, a] = _pair_covariance(kernels[a], weights[a], kernels[b], weights[b])
    return cov.reshape(i_n, j_n, i_n, j_n)


def _pair_covariance(s: Floats, w: Floats, t: Floats, v: Floats) -> float:
    moments: list[float] = []
    counts: list[float] = []
    for x, y, out in ((s, t, moments), (w, v, counts)):
        both = float((x * y).sum())
        same_pos = float((x.sum(1) * y.sum(1)).sum()) - both
        same_neg = float((x.sum(0) * y.sum(0)).sum()) - both
        none = float(x.sum() * y.sum()) - both - same_pos - same_neg
        out.extend([both, same_pos, same_neg, none])
    total = float(w.sum() * v.sum())
    if counts[3] == 0:
        raise StatisticsError("Unbiased covariance: expected at least two cases of each truth, found fewer.")
    mean_product = moments[3] / counts[3]
    expected = sum(moments)  # E[A B] is observed as it stands: the sum of all classes
    return expected / total - mean_product
