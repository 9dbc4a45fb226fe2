"""Agreement: Cohen's and Fleiss' kappa with intervals and bands, intraclass correlation, Dice.

Categories are given in their order; a degenerate table gives no kappa and a sentence that says why.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import stats

from reader_study.statistics.provenance import Provenance, digest_of, provenance
from reader_study.statistics.ratings import Flags, Floats, StatisticsError


class Weighting(StrEnum):
    """How far apart two categories count: all the same, by distance, by squared distance."""

    NONE = "unweighted"
    LINEAR = "linear weights"
    QUADRATIC = "quadratic weights"


_BANDS = (
    (0.20, "slight"),
    (0.40, "fair"),
    (0.60, "moderate"),
    (0.80, "substantial"),
    (1.00, "almost perfect"),
)


_AGREE = "The raters agree on every case; the large-sample interval then has no width."


def kappa_band(kappa: float) -> str:
    """Word for a kappa: -1 none, up to 0 poor, 0.20 slight, 0.40 fair, 0.60 moderate, 0.80 substantial, 1 almost perfect.

    After Landis & Koch 1977 (Biometrics 33:159), who call all below 0 poor. A band ends with its limit at two printed
    decimals: 0.204 prints as 0.20 and is slight.
    """
    shown = round(kappa, 2)
    if shown <= -1:
        return "none"
    if kappa <= 0:
        return "poor"
    return next(word for limit, word in _BANDS if shown <= limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kappa:
    """Chance-corrected agreement.

    Attributes
    ----------
    kappa, error, lower, upper
        None where the table does not define them; ``note`` then says why. Limits are cut to -1..1.
    statistic, p_value
        of the test of no agreement beyond chance (the error under that hypothesis, two-sided normal).
    observed, expected
        share of (weighted) agreement, as seen and by chance.
    """

    kappa: float | None
    error: float | None
    lower: float | None
    upper: float | None
    statistic: float | None
    p_value: float | None
    observed: float
    expected: float
    n: int
    raters: int
    level: float
    band: str | None
    note: str
    provenance: Provenance


def confusion(
    first: Sequence[Hashable], second: Sequence[Hashable], categories: Sequence[Hashable]
) -> Floats:
    """Counts (categories, categories): rows the first rater, columns the second.

    Raises
    ------
    StatisticsError
        Unequal lengths, a value outside of ``categories``, or a category named twice.
    """
    if len(first) != len(second):
        raise StatisticsError(
            f"Agreement: expected one value of each rater a case, found {len(first)} and {len(second)}."
        )
    place = {category: k for k, category in enumerate(categories)}
    if len(place) != len(categories):
        raise StatisticsError("Agreement: expected each category once, found one twice; remove it.")
    table = np.zeros((len(place), len(place)))
    for a, b in zip(first, second, strict=True):
        for value in (a, b):
            if value not in place:
                raise StatisticsError(
                    f"Agreement: expected one of {', '.join(map(str, categories))}, found {value!r}."
                )
        table[place[a], place[b]] += 1
    return table


def cohen_kappa(table: Floats, *, weighting: Weighting = Weighting.NONE, level: float = 0.95) -> Kappa:
    """Agreement of two raters (Cohen 1960, 1968; error of Fleiss, Cohen & Everitt 1969, as statsmodels has it).

    Parameters
    ----------
    table
        (c, c) counts, rows the first rater, columns the second, categories in their order.

    Notes
    -----
    Cases are independent. With one category in use agreement by chance is 1 and kappa is not defined.
    """
    from statsmodels.stats.inter_rater import cohens_kappa  # slow to import

    table = np.asarray(table, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or len(table) < 2 or (table < 0).any():
        raise StatisticsError(f"Kappa: expected a square table of counts, found shape {table.shape}.")
    n = int(table.sum())
    if n < 1:
        raise StatisticsError("Kappa: expected at least one case, found none.")
    weights = 1.0 - _distances(len(table), weighting)
    rows, cols = table.sum(1) / n, table.sum(0) / n
    observed = float((weights * table).sum() / n)
    expected = float((weights * np.outer(rows, cols)).sum())
    source = provenance(f"Cohen's kappa, {weighting.value}", digest_of(table), cases=n, readers=2)
    if 1.0 - expected < 1e-12:
        note = "Both raters put every case into one and the same category, so kappa is not defined; report the share of agreement."
        return Kappa(
            kappa=None, error=None, lower=None, upper=None, statistic=None, p_value=None, observed=observed,
            expected=expected, n=n, raters=2, level=level, band=None, note=note, provenance=source,
        )  # fmt: skip
    wt = {Weighting.NONE: None, Weighting.LINEAR: "linear", Weighting.QUADRATIC: "quadratic"}[weighting]
    if (rows > 0).sum() == 1 or (cols > 0).sum() == 1:
        note = "One rater used a single category, so kappa is 0 whatever the other did, and has no interval."
        return Kappa(
            kappa=0.0, error=None, lower=None, upper=None, statistic=None, p_value=None, observed=observed,
            expected=expected, n=n, raters=2, level=level, band=kappa_band(0.0), note=note, provenance=source,
        )  # fmt: skip
    with np.errstate(invalid="ignore", divide="ignore"):  # rounding can leave a variance of 0 just below it
        found = cohens_kappa(table, wt=wt)
    note = _AGREE if observed > 1 - 1e-12 else ""
    return _with_interval(
        float(found.kappa), float(found.var_kappa), float(found.var_kappa0), observed, expected, n, 2, level, note, source
    )  # fmt: skip


def _distances(size: int, weighting: Weighting) -> Floats:
    step = np.abs(np.subtract.outer(np.arange(size), np.arange(size))) / (size - 1)
    if weighting is Weighting.NONE:
        return np.asarray(step > 0, dtype=np.float64)
    return np.asarray(step if weighting is Weighting.LINEAR else step**2)


def _with_interval(
    kappa: float, variance: float, null_variance: float, observed: float, expected: float, n: int, raters: int,
    level: float, note: str, source: Provenance,
) -> Kappa:  # fmt: skip
    error, null_error = math.sqrt(max(variance, 0.0)), math.sqrt(max(null_variance, 0.0))
    half = float(stats.norm.ppf(0.5 + level / 2)) * error
    z = kappa / null_error if null_error > 1e-12 else None
    return Kappa(
        kappa=kappa, error=error, lower=max(-1.0, kappa - half), upper=min(1.0, kappa + half), statistic=z,
        p_value=None if z is None else float(2 * stats.norm.sf(abs(z))), observed=observed, expected=expected, n=n,
        raters=raters, level=level, band=kappa_band(kappa), note=note, provenance=source,
    )  # fmt: skip


def category_counts(ratings: Sequence[Sequence[Hashable]], categories: Sequence[Hashable]) -> Floats:
    """How many raters put each case into each category, (cases, categories), from one row of ratings a case."""
    place = {category: k for k, category in enumerate(categories)}
    table = np.zeros((len(ratings), len(place)))
    for case, row in enumerate(ratings):
        for value in row:
            if value not in place:
                raise StatisticsError(
                    f"Agreement: expected one of {', '.join(map(str, categories))}, found {value!r}."
                )
            table[case, place[value]] += 1
    return table


def fleiss_kappa(counts: Floats, *, level: float = 0.95) -> Kappa:
    """Agreement of several raters on nominal categories (Fleiss 1971, Psychol Bull 76:378).

    Parameters
    ----------
    counts
        (cases, categories), every case rated by the same number of raters.

    Notes
    -----
    The interval uses the large-sample error without the assumption of no agreement (Gwet 2021, Educ Psychol Meas
    81:781, cases random); the test uses the error under no agreement (Fleiss, Nee & Landis 1979, Psychol Bull 86:974).
    """
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim != 2 or len(counts) < 2 or counts.shape[1] < 2:
        raise StatisticsError(f"Fleiss' kappa: expected (cases, categories) counts, found {counts.shape}.")
    per_case = counts.sum(1)
    raters = round(per_case[0])
    if (per_case != raters).any() or raters < 2:
        raise StatisticsError(
            f"Fleiss' kappa: expected the same number (2 or more) of raters on every case, found {per_case.min():g} to {per_case.max():g}."
        )
    n, share = len(counts), counts.sum(0) / counts.sum()
    by_case = ((counts**2).sum(1) - raters) / (raters * (raters - 1))
    observed, expected = float(by_case.mean()), float((share**2).sum())
    source = provenance("Fleiss' kappa", digest_of(counts), cases=n, readers=raters)
    if 1.0 - expected < 1e-12:
        note = "All raters put every case into one and the same category, so kappa is not defined; report the share of agreement."
        return Kappa(
            kappa=None, error=None, lower=None, upper=None, statistic=None, p_value=None, observed=observed,
            expected=expected, n=n, raters=raters, level=level, band=None, note=note, provenance=source,
        )  # fmt: skip
    kappa = (observed - expected) / (1 - expected)
    chance = counts @ share / raters
    parts = (by_case - expected) / (1 - expected) - 2 * (1 - kappa) * (chance - expected) / (1 - expected)
    variance = float(((parts - kappa) ** 2).sum()) / (n * (n - 1))
    spread = float((share * (1 - share)).sum())
    skew = float((share * (1 - share) * (1 - 2 * share)).sum())
    null = 2 * (spread**2 - skew) / (n * raters * (raters - 1) * spread**2)
    return _with_interval(
        kappa,
        variance,
        null,
        observed,
        expected,
        n,
        raters,
        level,
        _AGREE if observed > 1 - 1e-12 else "",
        source,
    )


class IccForm(StrEnum):
    """Shrout & Fleiss' six forms: model (1 one-way, 2 two-way random, 3 two-way mixed), single or mean rating."""

    ICC1_1 = "ICC(1,1)"
    ICC2_1 = "ICC(2,1)"
    ICC3_1 = "ICC(3,1)"
    ICC1_K = "ICC(1,k)"
    ICC2_K = "ICC(2,k)"
    ICC3_K = "ICC(3,k)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Icc:
    """One intraclass correlation with its F test against 0 and interval; None where the ratings do not vary."""

    form: IccForm
    icc: float | None
    f: float | None
    df1: float
    df2: float
    p_value: float | None
    lower: float | None
    upper: float | None
    level: float
    note: str
    provenance: Provenance


def intraclass(scores: Floats, *, level: float = 0.95) -> tuple[Icc, ...]:
    """All six intraclass correlations of complete (cases, raters) scores, in the order of ``IccForm``.

    Shrout & Fleiss 1979 (Psychol Bull 86:420), intervals included; normal effects are assumed.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or min(scores.shape) < 2 or not np.isfinite(scores).all():
        raise StatisticsError(
            f"ICC: expected finite scores of two or more raters on two or more cases, found shape {scores.shape}."
        )
    n, k = scores.shape
    source = provenance("intraclass correlation (Shrout & Fleiss)", digest_of(scores), cases=n, readers=k)
    grand, rows, cols = scores.mean(), scores.mean(1), scores.mean(0)
    bms = k * float(((rows - grand) ** 2).sum()) / (n - 1)
    wms = float(((scores - rows[:, None]) ** 2).sum()) / (n * (k - 1))
    jms = n * float(((cols - grand) ** 2).sum()) / (k - 1)
    ems = float(((scores - rows[:, None] - cols[None, :] + grand) ** 2).sum()) / ((n - 1) * (k - 1))
    df_b, df_w, df_e = float(n - 1), float(n * (k - 1)), float((n - 1) * (k - 1))
    tail = 0.5 + level / 2
    found: dict[IccForm, Icc] = {}

    def put(form: IccForm, value: float, ratio: float, df2: float, low: float, high: float) -> None:
        found[form] = Icc(
            form=form, icc=value, f=ratio, df1=df_b, df2=df2, p_value=float(stats.f.sf(ratio, df_b, df2)),
            lower=low, upper=high, level=level, note="", provenance=source,
        )  # fmt: skip

    if min(wms, ems) <= 1e-14 * max(1.0, bms) or bms <= 0:
        note = "The cases do not vary, or the raters differ by a constant at most, so no F test and no interval is defined."
        values = _without_rest(bms, wms, jms, n, k)
        return tuple(
            Icc(form=form, icc=values.get(form), f=None, df1=df_b, df2=df_w if "(1" in form.value else df_e, p_value=None,
                lower=None, upper=None, level=level, note=note, provenance=source)
            for form in IccForm
        )  # fmt: skip
    for single, mean, value, mean_value, ratio, df2 in (
        (IccForm.ICC1_1, IccForm.ICC1_K, (bms - wms) / (bms + (k - 1) * wms), (bms - wms) / bms, bms / wms, df_w),
        (IccForm.ICC3_1, IccForm.ICC3_K, (bms - ems) / (bms + (k - 1) * ems), (bms - ems) / bms, bms / ems, df_e),
    ):  # fmt: skip
        low = ratio / float(stats.f.ppf(tail, df_b, df2))
        high = ratio * float(stats.f.ppf(tail, df2, df_b))
        put(single, value, ratio, df2, (low - 1) / (low + k - 1), (high - 1) / (high + k - 1))
        put(mean, mean_value, ratio, df2, 1 - 1 / low, 1 - 1 / high)
    icc2 = (bms - ems) / (bms + (k - 1) * ems + k * (jms - ems) / n)
    low, high = _two_way_limits(bms, jms, ems, icc2, n, k, tail)
    put(IccForm.ICC2_1, icc2, bms / ems, df_e, low, high)
    mean2 = (bms - ems) / (bms + (jms - ems) / n)
    put(IccForm.ICC2_K, mean2, bms / ems, df_e, k * low / (1 + (k - 1) * low), k * high / (1 + (k - 1) * high))  # fmt: skip
    return tuple(found[form] for form in IccForm)


def _without_rest(bms: float, wms: float, jms: float, n: int, k: int) -> dict[IccForm, float]:
    """The six values where raters differ by a constant at most (residual mean square 0); none where cases do not vary."""
    if bms <= 0:
        return {}
    return {
        IccForm.ICC1_1: (bms - wms) / (bms + (k - 1) * wms),
        IccForm.ICC2_1: bms / (bms + k * jms / n),
        IccForm.ICC3_1: 1.0,
        IccForm.ICC1_K: (bms - wms) / bms,
        IccForm.ICC2_K: bms / (bms + jms / n),
        IccForm.ICC3_K: 1.0,
    }


def _two_way_limits(
    bms: float, jms: float, ems: float, icc: float, n: int, k: int, tail: float
) -> tuple[float, float]:
    ratio = jms / ems
    top = k * icc * ratio + n * (1 + (k - 1) * icc) - k * icc
    df = (k - 1) * (n - 1) * top**2 / ((n - 1) * k**2 * icc**2 * ratio**2 + (n * (1 + (k - 1) * icc) - k * icc) ** 2)  # fmt: skip
    f_low, f_high = float(stats.f.ppf(tail, n - 1, df)), float(stats.f.ppf(tail, df, n - 1))
    rest = k * jms + (k * n - k - n) * ems
    return (
        n * (bms - f_low * ems) / (f_low * rest + n * bms),
        n * (f_high * bms - ems) / (rest + n * f_high * bms),
    )


def dice(first: Flags, second: Flags) -> float | None:
    """Overlap of two outlines on one image, 2 |A and B| / (|A| + |B|) (Dice 1945, Ecology 26:297).

    Parameters
    ----------
    first, second
        (rows, cols) bool masks of equal shape.

    Returns
    -------
    0..1, or None where both masks are empty.
    """
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if a.shape != b.shape:
        raise StatisticsError(f"Dice: expected masks of one shape, found {a.shape} and {b.shape}.")
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else None
