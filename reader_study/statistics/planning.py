"""Power and sample size of a reader study of two modalities, from a pilot's Obuchowski-Rockette or DBM components.

Hillis, Obuchowski & Berbaum 2011 (Acad Radiol 18:129), Hillis & Schartz 2018 (J Med Imaging 5:045501); the older DBM
form of Hillis & Berbaum 2004 (Acad Radiol 11:1260) beside it. FROC effect sizes are in ``search_model``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from reader_study.statistics.covariance import Estimates
from reader_study.statistics.dbm import DbmComponents
from reader_study.statistics.obuchowski_rockette import Claim, Generalise, components
from reader_study.statistics.provenance import Provenance, digest_of, provenance
from reader_study.statistics.ratings import StatisticsError

MOST_CASES = 20_000
MOST_READERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """Obuchowski-Rockette components of a pilot study with ``cases`` cases, in squared units of the figure of merit.

    A negative ``modality_by_reader`` counts as 0, as does a negative cov2 - cov3.
    """

    modality_by_reader: float
    error: float
    cov1: float
    cov2: float
    cov3: float
    cases: int

    def __post_init__(self) -> None:
        if self.cases < 2 or self.error <= 0:
            raise StatisticsError(
                f"Pilot: expected two or more cases and an error variance above 0, found {self.cases} and {self.error}."
            )

    @property
    def between(self) -> float:
        """max(cov2 - cov3, 0)."""
        return max(self.cov2 - self.cov3, 0.0)


def pilot_from(estimates: Estimates) -> Pilot:
    """The pilot's components from its estimates (two or more modalities and readers)."""
    parts = components(estimates)
    if not math.isfinite(parts.modality_by_reader):
        raise StatisticsError("Pilot: expected two or more modalities and readers, found fewer.")
    return Pilot(
        modality_by_reader=parts.modality_by_reader,
        error=parts.error,
        cov1=parts.cov1,
        cov2=parts.cov2,
        cov3=parts.cov3,
        cases=estimates.case_count,
    )


def pilot_from_correlations(
    *, modality_by_reader: float, error: float, r1: float, r2: float, r3: float, cases: int
) -> Pilot:
    """Components from an error variance and the three error correlations, as papers print them."""
    return Pilot(
        modality_by_reader=modality_by_reader,
        error=error,
        cov1=r1 * error,
        cov2=r2 * error,
        cov3=r3 * error,
        cases=cases,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """Power of a planned study. ``df2`` None = chi-square (fixed readers)."""

    generalise: Generalise
    readers: int
    cases: int
    effect: float
    alpha: float
    claim: Claim | None
    margin: float
    power: float
    noncentrality: float
    df2: float | None
    critical: float
    provenance: Provenance


def power(
    pilot: Pilot,
    *,
    effect: float,
    readers: int,
    cases: int,
    generalise: Generalise = Generalise.READERS_AND_CASES,
    alpha: float = 0.05,
    claim: Claim | None = None,
    margin: float = 0.0,
) -> Power:
    """Chance that a study of so many readers and cases shows a true difference of ``effect``.

    Parameters
    ----------
    effect
        true first minus second, in units of the figure of merit.
    alpha
        two-sided level without a claim; with one (superiority, non-inferiority) the test is one-sided at alpha / 2.
    margin
        of non-inferiority, above 0.

    Notes
    -----
    The ratio of cases with disease is taken to be the pilot's; covariances shrink as 1 / cases.

    Raises
    ------
    StatisticsError
        Too few readers or cases, alpha outside of 0..1, no margin, or components that leave no variance.
    """
    if readers < 1 or cases < 2 or (readers < 2 and generalise is not Generalise.CASES):
        raise StatisticsError(
            f"Power: expected two or more readers (one if fixed) and cases, found {readers} and {cases}."
        )
    if not 0 < alpha < 1:
        raise StatisticsError(f"Power: expected alpha between 0 and 1, found {alpha:g}.")
    if claim is Claim.NON_INFERIORITY and not margin > 0:
        raise StatisticsError(f"Non-inferiority: expected a margin above 0, found {margin}.")
    denominator, df2 = _denominator(pilot, readers, cases, generalise)
    shift = effect + margin if claim is Claim.NON_INFERIORITY else effect
    noncentrality = shift**2 * readers / 2 / denominator
    chance, critical = _chance(noncentrality, shift, df2, alpha, one_sided=claim is not None)
    method = f"power, Hillis & Obuchowski, {generalise.value}"
    if claim is not None:
        method += f", {claim.value}" + (f" with margin {margin:g}" if claim is Claim.NON_INFERIORITY else "")
    return Power(
        generalise=generalise,
        readers=readers,
        cases=cases,
        effect=effect,
        alpha=alpha,
        claim=claim,
        margin=margin,
        power=chance,
        noncentrality=noncentrality,
        df2=df2,
        critical=critical,
        provenance=provenance(
            method,
            digest_of(
                [pilot.modality_by_reader, pilot.error, pilot.cov1, pilot.cov2, pilot.cov3, pilot.cases]
            ),
            df_rule="chi-square" if df2 is None else "Hillis",
            readers=readers,
            cases=cases,
        ),
    )


def _denominator(
    pilot: Pilot, readers: int, cases: int, generalise: Generalise
) -> tuple[float, float | None]:
    shrink = pilot.cases / cases
    by_reader = max(pilot.modality_by_reader, 0.0)
    own = shrink * (pilot.error - pilot.cov1 - pilot.between)
    if generalise is Generalise.READERS:
        return _positive(by_reader + own), float(readers - 1)
    shared = shrink * (pilot.error - pilot.cov1 + (readers - 1) * pilot.between)
    if generalise is Generalise.CASES:
        return _positive(shared), None
    denominator = _positive(by_reader + shared)
    return denominator, denominator**2 * (readers - 1) / _positive(by_reader + own) ** 2


def _positive(variance: float) -> float:
    if variance <= 0:
        raise StatisticsError(
            f"Power: expected components that leave a variance above 0, found {variance:g}; check the covariances."
        )
    return variance


def _chance(
    noncentrality: float, shift: float, df2: float | None, alpha: float, *, one_sided: bool
) -> tuple[float, float]:
    """Power and critical value: F or chi-square, or one-sided t or normal."""
    if one_sided:
        ncp = math.copysign(math.sqrt(noncentrality), shift)
        if df2 is None:
            z = float(stats.norm.ppf(1 - alpha / 2))
            return float(stats.norm.sf(z - ncp)), z
        t = float(stats.t.ppf(1 - alpha / 2, df2))
        return float(stats.nct.sf(t, df2, ncp)), t
    if df2 is None:
        chi = float(stats.chi2.ppf(1 - alpha, 1))
        return float(stats.ncx2.sf(chi, 1, noncentrality)) if noncentrality else alpha, chi
    f = float(stats.f.ppf(1 - alpha, 1, df2))
    return float(stats.ncf.sf(f, 1, df2, noncentrality)) if noncentrality else alpha, f


def _must_be_a_share(wanted: float) -> None:
    if not 0 < wanted < 1:
        raise StatisticsError(f"Sample size: expected a wanted power between 0 and 1, found {wanted:g}.")


def cases_needed(
    pilot: Pilot,
    *,
    effect: float,
    readers: int,
    wanted: float = 0.8,
    generalise: Generalise = Generalise.READERS_AND_CASES,
    alpha: float = 0.05,
    claim: Claim | None = None,
    margin: float = 0.0,
) -> Power:
    """The smallest number of cases that reaches the wanted power, with what it gives.

    Raises
    ------
    StatisticsError
        ``MOST_CASES`` are not enough: the readers differ too much, or the effect is too small.
    """

    def at(cases: int) -> Power:
        return power(
            pilot, effect=effect, readers=readers, cases=cases, generalise=generalise, alpha=alpha, claim=claim,
            margin=margin,
        )  # fmt: skip

    _must_be_a_share(wanted)
    top = at(MOST_CASES)
    if top.power < wanted:
        raise StatisticsError(
            f"Sample size: expected {wanted:.0%} power within {MOST_CASES} cases, found {top.power:.1%} with {readers} readers; add readers."
        )
    low, high = 1, MOST_CASES
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if at(middle).power >= wanted else (middle, high)
    return at(high)


def readers_needed(
    pilot: Pilot,
    *,
    effect: float,
    cases: int,
    wanted: float = 0.8,
    generalise: Generalise = Generalise.READERS_AND_CASES,
    alpha: float = 0.05,
    claim: Claim | None = None,
    margin: float = 0.0,
) -> Power:
    """The smallest number of readers that reaches the wanted power, with what it gives."""
    _must_be_a_share(wanted)
    found: Power | None = None
    for readers in range(1 if generalise is Generalise.CASES else 2, MOST_READERS + 1):
        found = power(
            pilot, effect=effect, readers=readers, cases=cases, generalise=generalise, alpha=alpha, claim=claim,
            margin=margin,
        )  # fmt: skip
        if found.power >= wanted:
            return found
    assert found is not None
    raise StatisticsError(
        f"Sample size: expected {wanted:.0%} power within {MOST_READERS} readers, found {found.power:.1%} with {cases} cases; add cases."
    )


def power_dbm(
    parts: DbmComponents,
    *,
    effect: float,
    readers: int,
    cases: int,
    generalise: Generalise = Generalise.READERS_AND_CASES,
    alpha: float = 0.05,
) -> Power:
    """Power from DBM pseudovalue components by the 2004 formulae, for comparison with older plans.

    Negative modality-by-reader and modality-by-case components count as 0. For fixed readers df2 = cases - 1.
    """
    by_reader, by_case = max(parts.modality_by_reader, 0.0), max(parts.modality_by_case, 0.0)
    if generalise is Generalise.READERS_AND_CASES:
        denominator = by_reader + (parts.error + readers * by_case) / cases
        df2 = denominator**2 * (readers - 1) / (by_reader + parts.error / cases) ** 2
    elif generalise is Generalise.CASES:
        denominator, df2 = (parts.error + readers * by_case) / cases, float(cases - 1)
    else:
        denominator, df2 = by_reader + parts.error / cases, float(readers - 1)
    noncentrality = effect**2 * readers / 2 / _positive(denominator)
    chance, critical = _chance(noncentrality, effect, df2, alpha, one_sided=False)
    return Power(
        generalise=generalise, readers=readers, cases=cases, effect=effect, alpha=alpha, claim=None, margin=0.0,
        power=chance, noncentrality=noncentrality, df2=df2, critical=critical,
        provenance=provenance(
            f"power, Hillis & Berbaum 2004, {generalise.value}",
            digest_of([parts.modality_by_reader, parts.modality_by_case, parts.error]),
            df_rule="Hillis & Berbaum 2004", readers=readers, cases=cases,
        ),
    )  # fmt: skip
