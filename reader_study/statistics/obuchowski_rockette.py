"""Obuchowski-Rockette analysis of reader-by-modality estimates, with Hillis' degrees of freedom.

Obuchowski & Rockette 1995 (Commun Stat Simul 24:285); Hillis 2007 (Stat Med 26:596), 2014 (Stat Med 33:330). Takes
estimates and their covariance from any figure of merit; does not look at ratings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations

import numpy as np
from scipy import stats

from reader_study.statistics.covariance import Estimates
from reader_study.statistics.ratings import Floats, StatisticsError


class Generalise(StrEnum):
    """To which population a test speaks: what is random and what is fixed."""

    READERS_AND_CASES = "random readers, random cases"
    CASES = "fixed readers, random cases"
    READERS = "random readers, fixed cases"


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Variance components and covariances of the model; a negative estimate is shown, not hidden.

    ``cov1`` same reader, other modality; ``cov2`` other reader, same modality; ``cov3`` both differ.
    """

    reader: float
    modality_by_reader: float
    error: float
    cov1: float
    cov2: float
    cov3: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate with its standard error; ``df`` None = normal distribution."""

    label: str
    estimate: float
    error: float
    df: float | None
    lower: float
    upper: float
    statistic: float | None = None  # of the test against 0, for differences only
    p_value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OmnibusTest:
    """Are the modalities equal? F with two degrees of freedom, or chi-square with one (``df2`` None)."""

    statistic: float
    name: str  # "F" or "X2"
    df1: float
    df2: float | None
    p_value: float
    denominator: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OrAnalysis:
    """All that an Obuchowski-Rockette table prints, and how it was made (RS-S11)."""

    generalise: Generalise
    components: Components
    ms_modality: float
    ms_modality_reader: float
    test: OmnibusTest | None  # None with one modality
    differences: tuple[Interval, ...]
    means: tuple[Interval, ...]
    reader_differences: tuple[Interval, ...]
    values: Floats = field(repr=False)
    method: str
    covariance: str
    df_rule: str
    readers: int
    cases: int
    digest: str
    level: float


def components(estimates: Estimates) -> Components:
    """Average the covariance matrix into error variance and Cov1..Cov3 and solve for the rest."""
    i_n, j_n = estimates.values.shape
    error, cov1, cov2, cov3 = _averages(estimates.covariance)
    _, ms_r, ms_tr = _mean_squares(estimates.values)
    reader = (ms_r - ms_tr) / i_n - cov1 + cov3 if i_n > 1 else ms_r - error + cov2
    by_reader = ms_tr - error + cov1 + (cov2 - cov3) if i_n > 1 and j_n > 1 else math.nan
    return Components(
        reader=reader, modality_by_reader=by_reader, error=error, cov1=cov1, cov2=cov2, cov3=cov3
    )


def _averages(cov: Floats) -> tuple[float, float, float, float]:
    i_n, j_n = cov.shape[:2]
    same_i = np.eye(i_n, dtype=bool)[:, None, :, None] & np.ones((i_n, j_n, i_n, j_n), dtype=bool)
    same_j = np.eye(j_n, dtype=bool)[None, :, None, :] & np.ones((i_n, j_n, i_n, j_n), dtype=bool)

    def mean(where: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
        return float(cov[where].mean()) if where.any() else 0.0

    return (
        mean(same_i & same_j),
        mean(~same_i & same_j),
        mean(same_i & ~same_j),
        mean(~same_i & ~same_j),
    )


def _mean_squares(values: Floats) -> tuple[float, float, float]:
    i_n, j_n = values.shape
    grand, by_i, by_j = values.mean(), values.mean(axis=1), values.mean(axis=0)
    ms_t = j_n * float(((by_i - grand) ** 2).sum()) / (i_n - 1) if i_n > 1 else math.nan
    ms_r = i_n * float(((by_j - grand) ** 2).sum()) / (j_n - 1) if j_n > 1 else math.nan
    rest = values - by_i[:, None] - by_j[None, :] + grand
    ms_tr = float((rest**2).sum()) / ((i_n - 1) * (j_n - 1)) if i_n > 1 and j_n > 1 else math.nan
    scale = float((values**2).max())
    return (
        _settled(ms_t, scale, _ROUNDING**2),
        _settled(ms_r, scale, _ROUNDING**2),
        _settled(ms_tr, scale, _ROUNDING**2),
    )


_ROUNDING = 1e-12  # relative; a spread smaller than this is left over from rounding, and a test would be made of noise


def _settled(value: float, scale: float, tolerance: float = _ROUNDING) -> float:
    """0 where only rounding keeps the value from it (arms or readers that agree exactly)."""
    return 0.0 if abs(value) <= tolerance * scale else value


def analyse(
    estimates: Estimates,
    generalise: Generalise = Generalise.READERS_AND_CASES,
    *,
    level: float = 0.95,
) -> OrAnalysis:
    """Test the equality of modalities and give intervals of means and differences.

    Raises
    ------
    StatisticsError
        Random readers were asked for with fewer than two readers.
    """
    i_n, j_n = estimates.values.shape
    if generalise is not Generalise.CASES and j_n < 2:
        raise StatisticsError(
            f"{generalise.value}: expected at least two readers, found {j_n}; treat readers as fixed."
        )
    parts = components(estimates)
    ms_t, _, ms_tr = _mean_squares(estimates.values)
    denominator, df2 = _denominator(parts, ms_tr, i_n, j_n, generalise)
    test = _omnibus(ms_t, denominator, df2, i_n, generalise) if i_n > 1 else None
    difference_error = math.sqrt(max(0.0, 2.0 / j_n * denominator)) if i_n > 1 else math.nan
    means = estimates.values.mean(axis=1)
    differences = tuple(
        _interval(
            f"{estimates.modalities[a]} - {estimates.modalities[b]}", float(means[a] - means[b]),
            difference_error, df2, level, tested=True,
        )
        for a, b in combinations(range(i_n), 2)
    )  # fmt: skip
    return OrAnalysis(
        generalise=generalise,
        components=parts,
        ms_modality=ms_t,
        ms_modality_reader=ms_tr,
        test=test,
        differences=differences,
        means=tuple(_mean_interval(estimates, i, generalise, level) for i in range(i_n)),
        reader_differences=_reader_differences(estimates, level) if generalise is Generalise.CASES else (),
        values=estimates.values,
        method=f"Obuchowski-Rockette, {generalise.value}, {estimates.figure_of_merit}",
        covariance=estimates.method.value,
        df_rule=_df_rule(generalise, i_n),
        readers=j_n,
        cases=estimates.case_count,
        digest=estimates.digest,
        level=level,
    )  # fmt: skip


def _df_rule(generalise: Generalise, i_n: int) -> str:
    if generalise is Generalise.CASES:
        return "normal / chi-square"
    if generalise is Generalise.READERS_AND_CASES:
        return "Hillis"
    return "(arms - 1)(readers - 1)" if i_n > 1 else "readers - 1"


def _denominator(
    parts: Components, ms_tr: float, i_n: int, j_n: int, generalise: Generalise
) -> tuple[float, float | None]:
    scale = abs(parts.error)
    between = max(_settled(parts.cov2 - parts.cov3, scale), 0.0)
    if generalise is Generalise.CASES:
        return _settled(parts.error - parts.cov1 + (j_n - 1) * between, scale), None
    if generalise is Generalise.READERS:
        return ms_tr, float((i_n - 1) * (j_n - 1))
    denominator = ms_tr + j_n * between
    if i_n < 2:
        return denominator, math.nan
    return denominator, denominator**2 / (ms_tr**2 / ((i_n - 1) * (j_n - 1))) if ms_tr > 0 else math.inf


def _omnibus(
    ms_t: float, denominator: float, df2: float | None, i_n: int, generalise: Generalise
) -> OmnibusTest:
    df1 = float(i_n - 1)
    if denominator <= 0:
        raise StatisticsError(
            f"{generalise.value}: expected estimates that vary, found a variance of {denominator:g};"
            " every reader may have the same value, or there are too few cases."
        )
    if generalise is Generalise.CASES:
        chi = df1 * ms_t / denominator
        return OmnibusTest(
            statistic=chi,
            name="X2",
            df1=df1,
            df2=None,
            p_value=float(stats.chi2.sf(chi, df1)),
            denominator=denominator,
        )
    assert df2 is not None
    f = ms_t / denominator
    p = float(stats.f.sf(f, df1, df2)) if math.isfinite(df2) else float(stats.chi2.sf(df1 * f, df1))
    return OmnibusTest(statistic=f, name="F", df1=df1, df2=df2, p_value=p, denominator=denominator)


def _quantile(probability: float, df: float | None) -> float:
    """Of Student's t, or of the normal distribution where there are no (or infinite) degrees of freedom."""
    if df is None or not math.isfinite(df):
        return float(stats.norm.ppf(probability))
    return float(stats.t.ppf(probability, df))


def _upper_tail(statistic: float, df: float | None) -> float:
    if df is None or not math.isfinite(df):
        return float(stats.norm.sf(statistic))
    return float(stats.t.sf(statistic, df))


def _interval(
    label: str, estimate: float, error: float, df: float | None, level: float, *, tested: bool = False
) -> Interval:
    quantile = _quantile(0.5 + level / 2, df)
    statistic = p = None
    if tested:
        statistic = estimate / error if error > 0 else math.copysign(math.inf, estimate) if estimate else 0.0
        p = 2 * _upper_tail(abs(statistic), df)
    return Interval(
        label=label, estimate=estimate, error=error, df=df, lower=estimate - quantile * error,
        upper=estimate + quantile * error, statistic=statistic, p_value=p,
    )  # fmt: skip


def _mean_interval(estimates: Estimates, i: int, generalise: Generalise, level: float) -> Interval:
    """Single-modality interval from that modality's own data (Hillis 2014, section 4)."""
    row = estimates.values[i]
    j_n = len(row)
    cov = estimates.covariance[i : i + 1, :, i : i + 1, :]
    error_variance, _, cov2, _ = _averages(cov)
    ms_r = float(row.var(ddof=1)) if j_n > 1 else math.nan
    name, mean = estimates.modalities[i], float(row.mean())
    if generalise is Generalise.CASES:
        variance = (error_variance + (j_n - 1) * max(cov2, 0.0)) / j_n
        return _interval(name, mean, math.sqrt(max(variance, 0.0)), None, level)
    if generalise is Generalise.READERS:
        return _interval(name, mean, math.sqrt(ms_r / j_n), float(j_n - 1), level)
    total = ms_r + j_n * max(cov2, 0.0)
    df = total**2 / (ms_r**2 / (j_n - 1)) if ms_r > 0 else math.inf
    return _interval(name, mean, math.sqrt(total / j_n), df, level)


def _reader_differences(estimates: Estimates, level: float) -> tuple[Interval, ...]:
    """Each reader's own differences, cases random: variance from that reader's covariances alone."""
    found = []
    for j, reader in enumerate(estimates.readers):
        cov = estimates.covariance[:, j : j + 1, :, j : j + 1]
        error_variance, cov1, _, _ = _averages(cov)
        error = math.sqrt(max(0.0, 2 * (error_variance - cov1)))
        for a, b in combinations(range(len(estimates.modalities)), 2):
            label = f"{reader}: {estimates.modalities[a]} - {estimates.modalities[b]}"
            gap = float(estimates.values[a, j] - estimates.values[b, j])
            found.append(_interval(label, gap, error, None, level, tested=True))
    return tuple(found)


class Claim(StrEnum):
    """What a one-sided comparison sets out to show."""

    SUPERIORITY = "superiority"
    NON_INFERIORITY = "non-inferiority"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """Does the interval of first minus second clear the margin? ``p_value`` is one-sided."""

    claim: Claim
    margin: float
    statistic: float
    p_value: float
    bound: float
    shown: bool


def claim_test(
    difference: Interval, claim: Claim, *, margin: float = 0.0, alpha: float = 0.025
) -> ClaimResult:
    """Superiority (difference > 0) or non-inferiority (difference > -margin), higher being better (RS-S12).

    Parameters
    ----------
    difference
        first modality minus second, from an analysis.
    margin
        positive, in units of the figure of merit; unused for superiority.

    Raises
    ------
    StatisticsError
        Non-inferiority without a margin, or a difference whose standard error is 0 or not known.
    """
    if claim is Claim.NON_INFERIORITY and margin <= 0:
        raise StatisticsError(f"Non-inferiority: expected a margin above 0, found {margin}.")
    if not difference.error > 0:
        raise StatisticsError(
            f"{claim.value.capitalize()}, {difference.label}: expected a standard error above 0, found {difference.error:g};"
            " the estimates do not vary, so no bound can be given."
        )
    limit = 0.0 if claim is Claim.SUPERIORITY else -margin
    t = (difference.estimate - limit) / difference.error
    p = _upper_tail(t, difference.df)
    bound = difference.estimate - _quantile(1 - alpha, difference.df) * difference.error
    return ClaimResult(claim=claim, margin=margin, statistic=t, p_value=p, bound=bound, shown=bound > limit)
