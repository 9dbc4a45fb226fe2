"""Areas under the ROC curve where several lesions or breasts of one patient count: they are not independent.

Obuchowski 1997 (Biometrics 53:567): DeLong's components summed within a patient. With one case a patient it is
DeLong's. Owns no figure of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from inference.evaluation.compare import placements
from inference.metrics import Estimate, exact_interval

_Z = float(norm.ppf(0.975))
_NO_VARIANCE = 1e-12


def clustered_auc(truth: NDArray[np.bool_], scores: NDArray[np.float64], patients: Sequence[str]) -> Estimate:
    """Area under the ROC curve with the 95 % interval of clustered data.

    Parameters
    ----------
    truth
        (cases,) bool, True = positive.
    scores
        (cases,) higher = more suspicious; ties count half.
    patients
        (cases,) whose each case is.

    Notes
    -----
    Where the classes are apart, variance is 0: the exact interval of as many patients as the class of fewer has.

    Raises
    ------
    ValueError
        One of the classes is empty.
    """
    m, n = int(truth.sum()), int((~truth).sum())
    if not m or not n:
        raise ValueError(f"AUC: expected positives and negatives, found {m} and {n}")
    v10, v01 = placements(truth, scores)
    value = float(v10.mean())
    variance = _variance(v10, v01, truth, patients)
    if variance is None:
        return Estimate(value=value, lo=None, hi=None, n_pos=m, n_neg=n)
    if variance < _NO_VARIANCE:
        owners = np.asarray(patients)
        lo, hi = exact_interval(value, min(len(set(owners[truth])), len(set(owners[~truth]))))
        return Estimate(value=value, lo=lo, hi=hi, n_pos=m, n_neg=n)
    half = _Z * float(np.sqrt(variance))
    return Estimate(value=value, lo=max(0.0, value - half), hi=min(1.0, value + half), n_pos=m, n_neg=n)


def clustered_difference(
    truth: NDArray[np.bool_],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    patients: Sequence[str],
) -> dict[str, float | None]:
    """Difference of two areas on the same cases, first minus second.

    Returns
    -------
    ``value``, ``lo``, ``hi`` (95 %), ``z`` and two-sided ``p``; the last four None where it has no variance.
    """
    (a10, a01), (b10, b01) = placements(truth, first), placements(truth, second)
    gap = float(a10.mean() - b10.mean())
    variance = _variance(a10 - b10, a01 - b01, truth, patients)
    if variance is None or variance < _NO_VARIANCE:
        return {"value": gap, "lo": None, "hi": None, "z": None, "p": None}
    error = float(np.sqrt(variance))
    z = gap / error
    return {
        "value": gap,
        "lo": gap - _Z * error,
        "hi": gap + _Z * error,
        "z": z,
        "p": float(2 * norm.sf(abs(z))),
    }


def _variance(
    v10: NDArray[np.float64], v01: NDArray[np.float64], truth: NDArray[np.bool_], patients: Sequence[str]
) -> float | None:
    """Variance of the components' mean, by patients; None with fewer than two patients in either class."""
    _, owner = np.unique(np.asarray(patients), return_inverse=True)
    count, m, n = int(owner.max()) + 1, len(v10), len(v01)
    theta = float(v10.mean())
    positives, negatives = (
        np.bincount(owner[truth], minlength=count),
        np.bincount(owner[~truth], minlength=count),
    )
    with_positive, with_negative = int((positives > 0).sum()), int((negatives > 0).sum())
    if min(with_positive, with_negative) < 2:
        return None
    rest10 = np.bincount(owner[truth], v10, minlength=count) - positives * theta
    rest01 = np.bincount(owner[~truth], v01, minlength=count) - negatives * float(v01.mean())
    s10 = with_positive / ((with_positive - 1) * m) * float(rest10 @ rest10)
    s01 = with_negative / ((with_negative - 1) * n) * float(rest01 @ rest01)
    s11 = count / (count - 1) * float(rest10 @ rest01)
    return max(0.0, s10 / m + s01 / n + 2.0 * s11 / (m * n))
