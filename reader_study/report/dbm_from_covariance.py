"""Dorfman-Berbaum-Metz mean squares from Obuchowski-Rockette quantities, without making pseudovalues.

With the jackknife the two are one analysis in two parametrisations (Hillis, Obuchowski, Schartz & Berbaum 2005, Stat Med
24:1579): pseudovalue mean squares are the number of cases times sums of error variance and covariances.
"""

from __future__ import annotations

from reader_study.statistics.covariance import Covariance, Estimates
from reader_study.statistics.dbm import DbmComponents
from reader_study.statistics.obuchowski_rockette import Generalise, analyse, components
from reader_study.statistics.ratings import StatisticsError


def dbm_from(found: Estimates) -> DbmComponents:
    """The six variance components and seven mean squares of normalised pseudovalues.

    Raises
    ------
    StatisticsError
        Another covariance than the jackknife, or fewer than two modalities or readers.
    """
    i_n, j_n = found.values.shape
    if found.method is not Covariance.JACKKNIFE:
        raise StatisticsError(f"DBM: expected the jackknife covariance, found {found.method.value}.")
    if min(i_n, j_n) < 2:
        raise StatisticsError(
            f"DBM: expected at least two modalities and readers, found {i_n} and {j_n}; use OR."
        )
    c = components(found)
    k = found.case_count
    fixed = analyse(found, Generalise.CASES)
    readers = found.values.mean(axis=0)
    ms = {
        "T": k * fixed.ms_modality,
        "R": k * i_n * float(((readers - readers.mean()) ** 2).sum()) / (j_n - 1),
        "C": k * (c.error + (i_n - 1) * c.cov1 + (j_n - 1) * c.cov2 + (i_n - 1) * (j_n - 1) * c.cov3),
        "TR": k * fixed.ms_modality_reader,
        "TC": k * (c.error - c.cov1 + (j_n - 1) * (c.cov2 - c.cov3)),
        "RC": k * (c.error + (i_n - 1) * c.cov1 - c.cov2 - (i_n - 1) * c.cov3),
        "TRC": k * (c.error - c.cov1 - (c.cov2 - c.cov3)),
    }
    return DbmComponents(
        reader=(ms["R"] - ms["TR"] - ms["RC"] + ms["TRC"]) / (i_n * k),
        case=(ms["C"] - ms["TC"] - ms["RC"] + ms["TRC"]) / (i_n * j_n),
        modality_by_reader=(ms["TR"] - ms["TRC"]) / k,
        modality_by_case=(ms["TC"] - ms["TRC"]) / j_n,
        reader_by_case=(ms["RC"] - ms["TRC"]) / i_n,
        error=ms["TRC"],
        mean_squares=ms,
    )
