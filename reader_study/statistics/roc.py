"""One reader's ROC: empirical area, points, partial area, precision-recall, cut-offs.

Scores are (n,) float64, truth (n,) bool; -inf (nothing marked) is a legal score and ties with itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

import numpy as np
from scipy import stats

from reader_study.statistics.ratings import Flags, Floats, StatisticsError


def _split(scores: Floats, truth: Flags) -> tuple[Floats, Floats]:
    """Negatives and positives that were read; refuses fewer than one of each."""
    scores, truth = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=bool)
    if scores.shape != truth.shape or scores.ndim != 1:
        raise StatisticsError(f"ROC: expected (n,) scores and truth, found {scores.shape} and {truth.shape}.")
    read = ~np.isnan(scores)
    negative, positive = scores[read & ~truth], scores[read & truth]
    if not len(negative) or not len(positive):
        raise StatisticsError(
            f"ROC: expected read cases with and without disease, found {len(positive)} and {len(negative)}."
        )
    return negative, positive


def auc(scores: Floats, truth: Flags) -> float:
    """Empirical area under the ROC curve: P(positive > negative) + P(tie) / 2 (Bamber 1975; Hanley & McNeil 1982).

    Returns
    -------
    float in 0..1; cases that were not read (NaN) are left out.
    """
    negative, positive = _split(scores, truth)
    ranks = stats.rankdata(np.concatenate([positive, negative]))
    n1, n0 = len(positive), len(negative)
    return float((ranks[:n1].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


@dataclass(frozen=True, slots=True, kw_only=True)
class RocCurve:
    """Points of the empirical curve from (0, 0) to (1, 1).

    Attributes
    ----------
    fpf, tpf
        (m,) float64 in 0..1, rising.
    thresholds
        (m,) a case is called positive when its score is >= this; the first is +inf.
    """

    fpf: Floats = field(repr=False)
    tpf: Floats = field(repr=False)
    thresholds: Floats = field(repr=False)


def roc_curve(scores: Floats, truth: Flags) -> RocCurve:
    """Every operating point that the scores offer (Metz 1978)."""
    negative, positive = _split(scores, truth)
    cuts = np.unique(np.concatenate([negative, positive]))[::-1]
    fpf = [0.0] + [float(np.mean(negative >= cut)) for cut in cuts]
    tpf = [0.0] + [float(np.mean(positive >= cut)) for cut in cuts]
    return RocCurve(fpf=np.array(fpf), tpf=np.array(tpf), thresholds=np.concatenate([[np.inf], cuts]))


class PartialOver(StrEnum):
    """Which axis bounds a partial area."""

    SPECIFICITY = "specificity"
    SENSITIVITY = "sensitivity"


def partial_auc(
    scores: Floats,
    truth: Flags,
    *,
    low: float,
    high: float,
    over: PartialOver = PartialOver.SPECIFICITY,
    corrected: bool = False,
) -> float:
    """Area under the part of the empirical curve between two specificities or sensitivities.

    Parameters
    ----------
    low, high
        bounds in 0..1, low < high.
    corrected
        McClish (1989): 0.5 = chance and 1 = perfect within the bounds.

    Returns
    -------
    float, 0..(high - low) when not corrected.
    """
    if not 0.0 <= low < high <= 1.0:
        raise StatisticsError(f"Partial AUC: expected 0 <= low < high <= 1, found {low} and {high}.")
    curve = roc_curve(scores, truth)
    if over is PartialOver.SPECIFICITY:
        x, y = curve.fpf, curve.tpf
        a, b = 1.0 - high, 1.0 - low
    else:  # the curve seen from the sensitivity axis: specificity as a function of sensitivity
        x, y = curve.tpf, 1.0 - curve.fpf
        a, b = low, high
    area = _area_between(x, y, a, b)
    if not corrected:
        return area
    least = (b * b - a * a) / 2 if over is PartialOver.SPECIFICITY else (b - a) - (b * b - a * a) / 2
    return 0.5 * (1.0 + (area - least) / ((b - a) - least))


def _area_between(x: Floats, y: Floats, a: float, b: float) -> float:
    """Trapezoidal area of the polyline over a..b; at a vertical step the outer value holds on each side."""
    total = 0.0
    for k in range(len(x) - 1):
        x0, x1 = x[k], x[k + 1]
        lo, hi = max(x0, a), min(x1, b)
        if hi <= lo or x1 == x0:
            continue
        y_lo = y[k] + (y[k + 1] - y[k]) * (lo - x0) / (x1 - x0)
        y_hi = y[k] + (y[k + 1] - y[k]) * (hi - x0) / (x1 - x0)
        total += (hi - lo) * (y_lo + y_hi) / 2
    return float(total)


def average_precision(scores: Floats, truth: Flags) -> float:
    """Area under the precision-recall steps: sum of (R_n - R_{n-1}) P_n, without interpolation."""
    negative, positive = _split(scores, truth)
    total, before = 0.0, 0.0
    for cut in np.unique(np.concatenate([negative, positive]))[::-1]:
        tp, fp = int((positive >= cut).sum()), int((negative >= cut).sum())
        recall = tp / len(positive)
        total += (recall - before) * tp / (tp + fp)
        before = recall
    return float(total)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A cut-off: positive when score >= ``threshold`` (halfway between the neighbouring observed scores)."""

    threshold: float
    sensitivity: float
    specificity: float

    @property
    def youden(self) -> float:
        """Youden's J, sensitivity + specificity - 1, in -1..1 (some programs print it without the - 1)."""
        return self.sensitivity + self.specificity - 1.0


class Ties(StrEnum):
    """Which of several cut-offs with the same J is taken."""

    HIGHER_SENSITIVITY = "higher sensitivity"
    HIGHER_SPECIFICITY = "higher specificity"


def operating_points(scores: Floats, truth: Flags) -> tuple[OperatingPoint, ...]:
    """All distinct cut-offs, from the strictest on; thresholds lie halfway between observed scores."""
    negative, positive = _split(scores, truth)
    values = np.unique(np.concatenate([negative, positive]))
    cuts = [_halfway(float(a), float(b)) for a, b in pairwise(values)]
    points = [
        OperatingPoint(
            threshold=float(cut),
            sensitivity=float(np.mean(positive >= cut)),
            specificity=float(np.mean(negative < cut)),
        )
        for cut in cuts[::-1]
    ]
    ends = (
        OperatingPoint(threshold=np.inf, sensitivity=0.0, specificity=1.0),
        OperatingPoint(threshold=-np.inf, sensitivity=1.0, specificity=0.0),
    )
    return (ends[0], *points, ends[1])


def _halfway(low: float, high: float) -> float:
    """A finite number above ``low`` and at most ``high``: the middle, where the two are far enough apart for one."""
    middle = low / 2 + high / 2 if np.isfinite(low) else float(np.nextafter(high, -np.inf))
    return middle if low < middle <= high and np.isfinite(middle) else high


def youden_point(
    scores: Floats, truth: Flags, *, ties: Ties = Ties.HIGHER_SENSITIVITY
) -> tuple[OperatingPoint, tuple[OperatingPoint, ...]]:
    """Cut-off of the highest Youden index (Youden 1950), and every cut-off that ties with it.

    The index was found on the data it is reported on, so it is optimistic; a report says so (RS-S8).
    """
    points = operating_points(scores, truth)
    best = max(point.youden for point in points)
    tied = tuple(point for point in points if best - point.youden < 1e-12)
    chosen = tied[-1] if ties is Ties.HIGHER_SENSITIVITY else tied[0]
    return chosen, tied


def point_at(
    scores: Floats, truth: Flags, *, sensitivity: float | None = None, specificity: float | None = None
) -> OperatingPoint:
    """The cut-off that reaches a wanted sensitivity (or specificity) and gives away least of the other."""
    if (sensitivity is None) == (specificity is None):
        raise StatisticsError("Operating point: expected either a sensitivity or a specificity, not both.")
    points = operating_points(scores, truth)
    if sensitivity is not None:
        return next(point for point in points if point.sensitivity >= sensitivity - 1e-12)
    return next(point for point in reversed(points) if point.specificity >= (specificity or 0.0) - 1e-12)
