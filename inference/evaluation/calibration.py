"""Turns scores into probabilities: temperature, Platt and isotonic, chosen on held-out patients.

Owns the maps and how well they fit; the picture of it is ``inference.evaluation.reliability``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize, minimize_scalar

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
_EDGE = 1e-6  # scores are kept this far from 0 and 1 where a logarithm is taken
METHODS = ("none", "temperature", "platt", "isotonic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A map from score to probability, both 0..1, that never falls.

    ``none`` keeps the score; ``temperature`` and ``platt`` are logistic in the score's logit (slope, intercept),
    temperature without intercept; ``isotonic`` is linear between knots.
    """

    method: str
    slope: float = 1.0
    intercept: float = 0.0
    knots: tuple[tuple[float, float], ...] = field(default=())  # score, probability

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"calibration: expected one of {', '.join(METHODS)}, found {self.method!r}")

    def apply(self, scores: Floats) -> Floats:
        """(n,) scores in 0..1 -> (n,) probabilities in 0..1."""
        if self.method == "none":
            return np.asarray(scores, dtype=float)
        if self.method == "isotonic":
            x, y = np.array(self.knots).T
            return np.asarray(np.interp(scores, x, y))
        return _sigmoid(self.slope * logit(scores) + self.intercept)

    def as_json(self) -> dict[str, Any]:
        """The map's figures, for a card or a report."""
        if self.method == "isotonic":
            return {"method": self.method, "knots": [[round(x, 6), round(y, 6)] for x, y in self.knots]}
        return {"method": self.method, "slope": round(self.slope, 6), "intercept": round(self.intercept, 6)}


def logit(scores: Floats) -> Floats:
    """Log odds of scores, which are first kept away from 0 and 1."""
    kept = np.clip(scores, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(kept / (1 - kept)))


def _sigmoid(z: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(z, -60.0, 60.0))))


def brier(truth: Flags, probability: Floats) -> float:
    """Mean squared difference of probability and truth (Brier 1950), 0..1."""
    return float(((probability - truth) ** 2).mean())


def log_loss(truth: Flags, probability: Floats) -> float:
    """Mean negative log likelihood, nats; probabilities are kept 1e-6 from 0 and 1."""
    kept = np.clip(probability, _EDGE, 1 - _EDGE)
    return float(-np.where(truth, np.log(kept), np.log(1 - kept)).mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Cases of like probability: their mean probability, how many are positive, Wilson's 95 % interval."""

    predicted: float
    observed: float
    lo: float
    hi: float
    count: int
    positive: int


def reliability_bins(truth: Flags, probability: Floats, bins: int = 10) -> tuple[Bin, ...]:
    """Group cases in equal steps of probability; empty steps are left out.

    Notes
    -----
    The interval is Wilson's (1927), which assumes independent cases.
    """
    place = np.minimum((probability * bins).astype(int), bins - 1)
    out = []
    for k in range(bins):
        mine = place == k
        n = int(mine.sum())
        if not n:
            continue
        hits = int(truth[mine].sum())
        lo, hi = _wilson(hits, n)
        out.append(
            Bin(
                predicted=float(probability[mine].mean()),
                observed=hits / n,
                lo=lo,
                hi=hi,
                count=n,
                positive=hits,
            )
        )
    return tuple(out)


def _wilson(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def expected_calibration_error(truth: Flags, probability: Floats, bins: int = 10) -> float:
    """ECE (Naeini et al. 2015): mean distance of probability and share of positives over equal steps, 0..1."""
    made = reliability_bins(truth, probability, bins)
    return float(sum(b.count * abs(b.predicted - b.observed) for b in made) / len(truth))


def fit(method: str, truth: Flags, scores: Floats) -> Calibration:
    """Fit one map.

    Parameters
    ----------
    truth, scores
        (n,) of data that nothing is judged on; both classes present.

    Notes
    -----
    Temperature: Guo et al. 2017. Platt 1999, with his smoothed targets against separable data. Isotonic: Zadrozny
    and Elkan 2002, by pool adjacent violators.
    """
    if not truth.any() or truth.all():
        raise ValueError(
            f"calibration: expected both classes, found {int(truth.sum())} of {len(truth)} positive"
        )
    return _FITS[method](truth, scores)


def _none(truth: Flags, scores: Floats) -> Calibration:  # noqa: ARG001 - every fit is asked alike
    return Calibration(method="none")


def _temperature(truth: Flags, scores: Floats) -> Calibration:
    z = logit(scores)
    found = minimize_scalar(
        lambda t: log_loss(truth, _sigmoid(np.exp(t) * z)), bounds=(-5.0, 5.0), method="bounded"
    )
    return Calibration(method="temperature", slope=float(np.exp(found.x)))


def _platt(truth: Flags, scores: Floats) -> Calibration:
    z = logit(scores)
    n_pos, n_neg = int(truth.sum()), int((~truth).sum())
    target = np.where(truth, (n_pos + 1) / (n_pos + 2), 1 / (n_neg + 2))

    def loss(ab: Floats) -> tuple[float, Floats]:
        p = np.clip(_sigmoid(ab[0] * z + ab[1]), 1e-12, 1 - 1e-12)
        value = float(-(target * np.log(p) + (1 - target) * np.log(1 - p)).mean())
        return value, np.array([((p - target) * z).mean(), (p - target).mean()])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(1e-3, 1e3), (-60, 60)])
    return Calibration(method="platt", slope=float(found.x[0]), intercept=float(found.x[1]))


def _isotonic(truth: Flags, scores: Floats) -> Calibration:
    x, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    means = np.bincount(inverse, weights=truth.astype(float)) / counts
    y = isotonic_regression(means, weights=counts).x
    # both ends of each step are knots, so that the map is flat inside a pool
    kept = [0, *(k for k in range(1, len(x) - 1) if y[k] != y[k - 1] or y[k] != y[k + 1]), len(x) - 1]
    knots = dict.fromkeys((float(x[k]), float(y[k])) for k in kept)
    return Calibration(method="isotonic", knots=tuple(knots))


_FITS: dict[str, Callable[[Flags, Floats], Calibration]] = {
    "none": _none,
    "temperature": _temperature,
    "platt": _platt,
    "isotonic": _isotonic,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The chosen map, fitted on all, and what each method showed on patients that it was not fitted on."""

    calibration: Calibration
    held_out: dict[str, dict[str, float]]  # method -> log_loss, brier, ece
    probability: Floats = field(compare=False, repr=False)  # (n,) of the chosen method, each held out


def choose(truth: Flags, scores: Floats, patients: NDArray[np.int64], *, seed: int, folds: int = 5) -> Choice:
    """Choose the method of least log loss on held-out patients (Brier score where two are equal).

    Parameters
    ----------
    truth, scores
        (n,) of data set aside for this.
    patients
        (n,) number of each one's patient; a patient is never on both sides of a split.

    Raises
    ------
    ValueError
        Too few patients or cases of a class for two folds.
    """
    parts = _folds(truth, patients, np.random.default_rng(seed), folds)
    held: dict[str, Floats] = {}
    for method in METHODS:
        values = np.empty(len(truth))
        for k in range(int(parts.max()) + 1):
            out = parts == k
            values[out] = fit(method, truth[~out], scores[~out]).apply(scores[out])
        held[method] = values
    table = {
        method: {
            "log_loss": round(log_loss(truth, p), 6),
            "brier": round(brier(truth, p), 6),
            "ece": round(expected_calibration_error(truth, p), 6),
        }
        for method, p in held.items()
    }
    best = min(METHODS, key=lambda m: (table[m]["log_loss"], table[m]["brier"]))
    return Choice(calibration=fit(best, truth, scores), held_out=table, probability=held[best])


def _folds(
    truth: Flags, patients: NDArray[np.int64], rng: np.random.Generator, folds: int
) -> NDArray[np.int64]:
    """Fold of each case: patients are shuffled and dealt out, those with a positive first."""
    names = rng.permutation(np.unique(patients))
    bearing = set(patients[truth].tolist())
    with_positive = [n for n in names if n in bearing]
    without = [n for n in names if n not in bearing]
    folds = min(folds, len(with_positive), len(set(patients[~truth].tolist())))
    if folds < 2:
        raise ValueError(
            "calibration: expected two or more patients with a positive and two or more with a negative case"
        )
    place = {n: k % folds for k, n in enumerate([*with_positive, *without])}
    return np.array([place[n] for n in patients], dtype=np.int64)
