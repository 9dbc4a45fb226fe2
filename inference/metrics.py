"""Figures by which a model is chosen and reported: AUC, FROC, pointing game. Arrays in, small dataclasses
out.

For model selection and cards; reader-study statistics live in ``reader_study.statistics`` and share nothing
with this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from inference.exam.types import Box

_NO_WIDTH = 1e-12  # a variance or a width under it is rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its 95 % interval; ``lo`` and ``hi`` are None when there is too little data for one."""

    value: float
    lo: float | None
    hi: float | None
    n_pos: int
    n_neg: int

    def __str__(self) -> str:
        interval = "" if self.lo is None or self.hi is None else f" ({self.lo:.3f} to {self.hi:.3f})"
        return f"{self.value:.3f}{interval}"


def delong_auc(
    truth: NDArray[np.bool_], scores: NDArray[np.float64], *, confidence: float = 0.95
) -> Estimate:
    """Area under the ROC curve with its DeLong interval.

    Parameters
    ----------
    truth
        (cases,) bool, True = positive.
    scores
        (cases,) higher = more suspicious; ties count half.

    Notes
    -----
    DeLong, DeLong and Clarke-Pearson 1988, by mid-ranks after Sun and Xu 2014. Assumes independent cases. The
    interval is clipped to [0, 1]. DeLong's variance is 0 where every positive lies above every negative (or
    below): an AUC of 1 or 0 then has ``exact_interval`` of as many cases as the smaller class has. Any other
    AUC of no variance, as of scores that are all alike, has no interval.

    Raises
    ------
    ValueError
        One of the classes is empty.
    """
    positive, negative = scores[truth], scores[~truth]
    m, n = len(positive), len(negative)
    if m == 0 or n == 0:
        raise ValueError(f"AUC: expected positives and negatives, found {m} and {n}")
    ranks = rankdata(np.concatenate([positive, negative]))
    v10 = (ranks[:m] - rankdata(positive)) / n
    v01 = 1.0 - (ranks[m:] - rankdata(negative)) / m
    auc = float(v10.mean())
    if m < 2 or n < 2:
        return Estimate(value=auc, lo=None, hi=None, n_pos=m, n_neg=n)
    variance = float(v10.var(ddof=1) / m + v01.var(ddof=1) / n)
    if variance < _NO_WIDTH:
        lo, hi = exact_interval(auc, min(m, n), confidence=confidence)
        return Estimate(value=auc, lo=lo, hi=hi, n_pos=m, n_neg=n)
    half = float(norm.ppf(0.5 + confidence / 2)) * math.sqrt(variance)
    return Estimate(value=auc, lo=max(0.0, auc - half), hi=min(1.0, auc + half), n_pos=m, n_neg=n)


def exact_interval(
    value: float, units: int | None, *, confidence: float = 0.95
) -> tuple[float | None, float | None]:
    """Interval of a figure that has no spread to take one from.

    Parameters
    ----------
    value
        The figure; a share, or an area between 0 and 1.
    units
        Number of independent units that all agree; None where the figure is no share, as a difference is none.

    Returns
    -------
    (lo, hi): for 0 or 1 Clopper and Pearson's (1934) of none or all of ``units``, whose one free limit is
    ``(alpha / 2) ** (1 / units)`` or 1 less that; (None, None) for any other figure.
    """
    if not units or value not in (0.0, 1.0):
        return None, None
    limit = float(((1 - confidence) / 2) ** (1 / units))
    return (limit, 1.0) if value == 1.0 else (0.0, 1.0 - limit)


def roc_points(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners of the empirical ROC curve.

    Parameters
    ----------
    truth
        (cases,) bool, True = positive; some of each.
    scores
        (cases,) higher = more suspicious; cases of one score move together (Metz 1978).

    Returns
    -------
    (corners, 2) float64, share of the negatives and of the positives called positive, from (0, 0) to (1, 1).
    Points on a straight line between two others are left out.
    """
    cuts = np.unique(scores)[::-1]
    points = [(0.0, 0.0)] + [
        (float((scores[~truth] >= cut).mean()), float((scores[truth] >= cut).mean())) for cut in cuts
    ]
    kept = [points[0]]
    for before, point, after in zip(points, points[1:], points[2:], strict=False):
        turn = (point[0] - before[0]) * (after[1] - point[1]) - (point[1] - before[1]) * (after[0] - point[0])
        if abs(turn) > 1e-12:
            kept.append(point)
    return np.array([*kept, points[-1]])


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMarks:
    """One image for FROC: the truth's boxes and the marks' centres (row, col) with scores."""

    patient: str
    lesions: tuple[Box, ...]
    marks: tuple[tuple[float, float, float], ...]  # row, col, score


FROC_RATES = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 4.0)


def froc(images: Sequence[ImageMarks], rates: Sequence[float] = FROC_RATES) -> dict[float, float]:
    """Lesion sensitivity at given false positives per image, centre rule.

    A lesion is hit by a mark whose centre lies in its box; the strongest such mark counts. A mark in no
    lesion is a false positive; false positives are counted over all images. The sensitivity is the highest
    whose rate does not exceed the given one.

    Raises
    ------
    ValueError
        There is no image, or no lesion in any image.
    """
    hits: list[float] = []
    false: list[float] = []
    for image in images:
        for box in image.lesions:
            inside = [score for row, col, score in image.marks if _inside(box, row, col)]
            hits.append(max(inside, default=-np.inf))
        false += [s for row, col, s in image.marks if not any(_inside(b, row, col) for b in image.lesions)]
    if not hits:
        raise ValueError(f"FROC: expected at least one lesion, found none in {len(images)} images")
    return {rate: _sensitivity_at(np.array(hits), np.array(false), rate * len(images)) for rate in rates}


def _inside(box: Box, row: float, col: float) -> bool:
    return box.row0 <= row < box.row1 and box.col0 <= col < box.col1


def _sensitivity_at(hits: NDArray[np.float64], false: NDArray[np.float64], allowed: float) -> float:
    thresholds = np.unique(hits[np.isfinite(hits)])  # ascending: the first that is allowed finds the most
    for threshold in thresholds:
        if int((false >= threshold).sum()) <= allowed + 1e-9:
            return float((hits >= threshold).mean())
    return 0.0


def bootstrap_interval(
    patients: Sequence[str],
    statistic: Callable[[NDArray[np.int64]], float],
    *,
    rng: np.random.Generator,
    rounds: int = 500,
    units: int | None = None,
) -> tuple[float | None, float | None]:
    """95 % percentile interval of a statistic when patients, not images, are drawn again.

    Parameters
    ----------
    patients
        Patient of each item.
    statistic
        From the chosen item indices (with repeats) to a figure; ValueError = this draw has none and is left
        out.
    units
        For a share or an AUC: how many patients it is counted over (of an AUC, of the smaller class). None for
        anything else, as a difference or a median.

    Returns
    -------
    (lo, hi). Where every draw gives 0, or every draw 1, that of ``exact_interval`` for ``units``; (None, None)
    where the draws are alike otherwise.
    """
    names = sorted(set(patients))
    members = {name: np.array([i for i, p in enumerate(patients) if p == name]) for name in names}
    values: list[float] = []
    for _ in range(rounds):
        drawn = rng.integers(0, len(names), len(names))
        try:
            values.append(statistic(np.concatenate([members[names[i]] for i in drawn])))
        except ValueError:
            continue
    if not values:
        raise ValueError("bootstrap: expected at least one draw with a value, found none")
    return percentile_interval(np.array(values), units)


def percentile_interval(
    values: NDArray[np.float64], units: int | None = None
) -> tuple[float | None, float | None]:
    """95 % percentile interval of (draws,) finite values, at least one; of draws all alike ``exact_interval``."""
    lo, hi = (float(v) for v in np.percentile(values, [2.5, 97.5]))
    return exact_interval(lo, units) if hi - lo < _NO_WIDTH else (lo, hi)


def pointing_hit(values: NDArray[np.float32], lesions: Sequence[Box], image_shape: tuple[int, int]) -> bool:
    """Tell whether the highest point of a map lies in one of the lesions' boxes (Zhang et al. 2018, pointing
    game).

    Parameters
    ----------
    values
        (rows, cols) map over the whole image of ``image_shape``.
    lesions
        Boxes in pixels of ``image_shape``.
    """
    row, col = np.unravel_index(int(np.argmax(values)), values.shape)
    at_row = (row + 0.5) * image_shape[0] / values.shape[0]
    at_col = (col + 0.5) * image_shape[1] / values.shape[1]
    return any(_inside(box, float(at_row), float(at_col)) for box in lesions)


def youden_threshold(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Score at which sensitivity + specificity - 1 is highest (the lowest such score)."""
    candidates = np.unique(scores)
    gains = [float((scores[truth] >= c).mean() - (scores[~truth] >= c).mean()) for c in candidates]
    return float(candidates[int(np.argmax(gains))])
