"""A figure with its interval, and the bootstrap over patients that gives it.

Owns resampling and the form in which figures enter the report; the figures themselves are its neighbours'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.evaluation import ROUNDS
from inference.metrics import Estimate, percentile_interval

Weights = NDArray[np.float64]


class Patients:
    """Who an item belongs to, as numbers; one drawing of patients serves every item of an evaluation."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(sorted(set(names)))
        self._index = {name: i for i, name in enumerate(self.names)}

    def indices(self, names: Sequence[str]) -> NDArray[np.int64]:
        """(items,) int64 number of each item's patient."""
        return np.array([self._index[name] for name in names], dtype=np.int64)

    def draw(self, rng: np.random.Generator) -> Weights:
        """(patients,) float64, how often each was drawn when as many are drawn as there are."""
        drawn = rng.integers(0, len(self.names), len(self.names))
        return np.bincount(drawn, minlength=len(self.names)).astype(float)


def bootstrap(
    patients: Patients,
    statistic: Callable[[Weights], NDArray[np.float64]],
    *,
    seed: int,
    rounds: int = ROUNDS,
) -> NDArray[np.float64]:
    """Values of a statistic when patients are drawn again and again.

    Parameters
    ----------
    statistic
        From the patients' weights to an array of figures, always of one shape; NaN where a draw has none.
    seed
        The same seed draws the same patients, so two runs of an equal seed are paired.

    Returns
    -------
    (rounds, ...) float64.
    """
    rng = np.random.default_rng(seed)
    return np.array([statistic(patients.draw(rng)) for _ in range(rounds)])


def interval(values: NDArray[np.float64], units: int | None = None) -> tuple[float | None, float | None]:
    """95 % percentile interval of (rounds,) values; None where fewer than half of the draws had one.

    Draws that are all alike have no width to tell of: a share of 0 or 1 then has the exact interval of the
    ``units`` (patients) that it was counted over, any other figure none (see ``metrics.exact_interval``).
    """
    real = values[np.isfinite(values)]
    if not len(values) or len(real) * 2 < len(values):
        return None, None
    return percentile_interval(real, units)


def number(value: float | None) -> float | None:
    """Round for the report; NaN and None become None."""
    return None if value is None or not math.isfinite(value) else round(float(value), 6)


def estimate_json(estimate: Estimate) -> dict[str, Any]:
    """The contract's form of an AUC."""
    return {
        "value": number(estimate.value),
        "lo": number(estimate.lo),
        "hi": number(estimate.hi),
        "n_pos": estimate.n_pos,
        "n_neg": estimate.n_neg,
    }


def share_json(
    value: float, draws: NDArray[np.float64], *, units: int | None = None, **counts: int
) -> dict[str, Any]:
    """A share or mean with its bootstrap interval and what it was counted over; ``units`` as of ``interval``."""
    lo, hi = interval(draws, units)
    return {"value": number(value), "lo": number(lo), "hi": number(hi), **counts}
