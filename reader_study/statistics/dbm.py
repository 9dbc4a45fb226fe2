"""Dorfman-Berbaum-Metz analysis: a mixed-model ANOVA of jackknife pseudovalues (DBM 1992; Hillis 2007 model).

With random readers and cases it equals Obuchowski-Rockette with jackknife covariance; what it adds is the six
variance components.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from reader_study.statistics.covariance import Estimates
from reader_study.statistics.ratings import Floats, StatisticsError


@dataclass(frozen=True, slots=True, kw_only=True)
class DbmComponents:
    """Variance components of pseudovalues; negative estimates are shown as they are.

    ``error`` is the modality x reader x case term, which cannot be told from pure error.
    """

    reader: float
    case: float
    modality_by_reader: float
    modality_by_case: float
    reader_by_case: float
    error: float
    mean_squares: dict[str, float] = field(default_factory=dict)


def pseudovalues(values: Floats, left_out: Floats) -> Floats:
    """Return n * estimate - (n - 1) * estimate without the case, shifted so that their mean is the estimate.

    The shift (normalised pseudovalues, Hillis, Berbaum & Metz 2008, Acad Radiol 15:647) takes the jackknife's bias
    correction out, so that the analysis is about the estimates that are printed.

    Parameters
    ----------
    values
        (I, J).
    left_out
        (K, I, J).

    Returns
    -------
    (I, J, K) float64.
    """
    n = len(left_out)
    raw = n * values[:, :, None] - (n - 1) * np.moveaxis(left_out, 0, -1)
    return np.asarray(raw + (values - raw.mean(axis=-1))[:, :, None])


def dbm_components(pseudo: Floats) -> DbmComponents:
    """Three-way ANOVA of (I, J, K) pseudovalues, readers and cases random."""
    i_n, j_n, k_n = pseudo.shape
    if min(i_n, j_n, k_n) < 2:
        raise StatisticsError(
            f"DBM: expected at least two modalities, readers and cases, found {pseudo.shape}."
        )
    ms = _mean_squares(pseudo)
    return DbmComponents(
        reader=(ms["R"] - ms["TR"] - ms["RC"] + ms["TRC"]) / (i_n * k_n),
        case=(ms["C"] - ms["TC"] - ms["RC"] + ms["TRC"]) / (i_n * j_n),
        modality_by_reader=(ms["TR"] - ms["TRC"]) / k_n,
        modality_by_case=(ms["TC"] - ms["TRC"]) / j_n,
        reader_by_case=(ms["RC"] - ms["TRC"]) / i_n,
        error=ms["TRC"],
        mean_squares=ms,
    )


def _mean_squares(p: Floats) -> dict[str, float]:
    i_n, j_n, k_n = p.shape
    grand = p.mean()
    t, r, c = p.mean(axis=(1, 2)), p.mean(axis=(0, 2)), p.mean(axis=(0, 1))
    tr, tc, rc = p.mean(axis=2), p.mean(axis=1), p.mean(axis=0)
    rest_tr = tr - t[:, None] - r[None, :] + grand
    rest_tc = tc - t[:, None] - c[None, :] + grand
    rest_rc = rc - r[:, None] - c[None, :] + grand
    rest = (
        p - tr[:, :, None] - tc[:, None, :] - rc[None, :, :]
        + t[:, None, None] + r[None, :, None] + c[None, None, :] - grand
    )  # fmt: skip
    return {
        "T": float(j_n * k_n * ((t - grand) ** 2).sum() / (i_n - 1)),
        "R": float(i_n * k_n * ((r - grand) ** 2).sum() / (j_n - 1)),
        "C": float(i_n * j_n * ((c - grand) ** 2).sum() / (k_n - 1)),
        "TR": float(k_n * (rest_tr**2).sum() / ((i_n - 1) * (j_n - 1))),
        "TC": float(j_n * (rest_tc**2).sum() / ((i_n - 1) * (k_n - 1))),
        "RC": float(i_n * (rest_rc**2).sum() / ((j_n - 1) * (k_n - 1))),
        "TRC": float((rest**2).sum() / ((i_n - 1) * (j_n - 1) * (k_n - 1))),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class DbmTest:
    """F test of equal modalities, random readers and random cases."""

    f: float
    df1: float
    df2: float
    denominator: float


def dbm_test(estimates: Estimates, pseudo: Floats) -> DbmTest:
    """Hillis' form: F = MS(T) / (MS(TR) + max(MS(TC) - MS(TRC), 0))."""
    ms = _mean_squares(pseudo)
    i_n, j_n = estimates.values.shape
    denominator = ms["TR"] + max(ms["TC"] - ms["TRC"], 0.0)
    df2 = denominator**2 / (ms["TR"] ** 2 / ((i_n - 1) * (j_n - 1)))
    return DbmTest(f=ms["T"] / denominator, df1=float(i_n - 1), df2=df2, denominator=denominator)
