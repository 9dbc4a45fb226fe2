"""Proportions: Wilson and Clopper-Pearson intervals, differences, McNemar, chi-square or Fisher by rule, Holm.

Counts in, frozen results out. Cases are independent; readers are taken one at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from reader_study.statistics.exact_tables import freeman_halton
from reader_study.statistics.provenance import Provenance, digest_of, provenance
from reader_study.statistics.ratings import Flags, Floats, StatisticsError

Limits = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportion:
    """A share with its two binomial intervals; estimate and intervals are None where nothing was counted (n = 0)."""

    name: str
    successes: int
    n: int
    estimate: float | None
    wilson: Limits | None
    clopper_pearson: Limits | None
    level: float


def proportion(successes: int, n: int, *, name: str = "proportion", level: float = 0.95) -> Proportion:
    """Share with Wilson's score interval and Clopper & Pearson's exact one.

    Wilson 1927 (JASA 22:209), without continuity correction; Clopper & Pearson 1934 (Biometrika 26:404).
    """
    if not 0 <= successes <= n:
        raise StatisticsError(f"{name}: expected 0 <= successes <= n, found {successes} of {n}.")
    if n == 0:
        return Proportion(
            name=name, successes=0, n=0, estimate=None, wilson=None, clopper_pearson=None, level=level
        )
    wilson = stats.binomtest(successes, n).proportion_ci(level, "wilson")
    tail = (1 - level) / 2
    exact_low = float(stats.beta.ppf(tail, successes, n - successes + 1)) if successes else 0.0
    exact_high = float(stats.beta.ppf(1 - tail, successes + 1, n - successes)) if successes < n else 1.0
    return Proportion(
        name=name,
        successes=successes,
        n=n,
        estimate=successes / n,
        wilson=(float(wilson.low), float(wilson.high)),
        clopper_pearson=(exact_low, exact_high),
        level=level,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryMetrics:
    """One reader's calls against the truth. ``f1`` carries the intervals of F* = TP / (TP + FP + FN), mapped to F1."""

    tp: int
    fp: int
    tn: int
    fn: int
    sensitivity: Proportion
    specificity: Proportion
    ppv: Proportion
    npv: Proportion
    accuracy: Proportion
    f1: Proportion
    provenance: Provenance

    @property
    def youden(self) -> float | None:
        """Sensitivity + specificity - 1; None where one of them is not defined."""
        if self.sensitivity.estimate is None or self.specificity.estimate is None:
            return None
        return self.sensitivity.estimate + self.specificity.estimate - 1.0

    def rows(self) -> tuple[Proportion, ...]:
        """The six shares in the order in which a table prints them."""
        return (self.accuracy, self.sensitivity, self.specificity, self.ppv, self.npv, self.f1)


def binary_metrics(positive: Flags, truth: Flags, *, level: float = 0.95) -> BinaryMetrics:
    """Sensitivity, specificity, predictive values, accuracy and F1 of calls.

    Parameters
    ----------
    positive, truth
        (n,) bool: the call, and whether disease is present.

    Notes
    -----
    Predictive values and accuracy hold at the prevalence of this sample. F1 = 2 F* / (1 + F*) rises with F*, which is
    a binomial share (Hand, Christen & Kirielle 2021, Mach Learn 110:451), so its limits are mapped.
    """
    calls, ill = np.asarray(positive, dtype=bool), np.asarray(truth, dtype=bool)
    if calls.shape != ill.shape or calls.ndim != 1 or not len(calls):
        raise StatisticsError(f"Calls: expected (n,) calls and truth, found {calls.shape} and {ill.shape}.")
    tp, fp = int((calls & ill).sum()), int((calls & ~ill).sum())
    fn, tn = int((~calls & ill).sum()), int((~calls & ~ill).sum())

    def share(name: str, successes: int, n: int) -> Proportion:
        return proportion(successes, n, name=name, level=level)

    star = share("F1", tp, tp + fp + fn)
    return BinaryMetrics(
        tp=tp, fp=fp, tn=tn, fn=fn,
        sensitivity=share("sensitivity", tp, tp + fn),
        specificity=share("specificity", tn, tn + fp),
        ppv=share("PPV", tp, tp + fp),
        npv=share("NPV", tn, tn + fn),
        accuracy=share("accuracy", tp + tn, len(calls)),
        f1=_as_f1(star),
        provenance=provenance("binary metrics, Wilson and Clopper-Pearson intervals", digest_of(calls, ill), cases=len(calls)),
    )  # fmt: skip


def _as_f1(star: Proportion) -> Proportion:
    def mapped(value: float) -> float:
        return 2 * value / (1 + value)

    if star.estimate is None or star.wilson is None or star.clopper_pearson is None:
        return star
    return Proportion(
        name=star.name,
        successes=star.successes,
        n=star.n,
        estimate=mapped(star.estimate),
        wilson=(mapped(star.wilson[0]), mapped(star.wilson[1])),
        clopper_pearson=(mapped(star.clopper_pearson[0]), mapped(star.clopper_pearson[1])),
        level=star.level,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """First proportion minus second."""

    first: float
    second: float
    difference: float
    lower: float
    upper: float
    level: float
    provenance: Provenance


def newcombe_unpaired(x1: int, n1: int, x2: int, n2: int, *, level: float = 0.95) -> Difference:
    """Difference of two independent shares, hybrid score interval (Newcombe 1998, Stat Med 17:873, method 10)."""
    one, two = proportion(x1, n1, level=level), proportion(x2, n2, level=level)
    if one.estimate is None or two.estimate is None or one.wilson is None or two.wilson is None:
        raise StatisticsError(f"Difference: expected cases in both groups, found {n1} and {n2}.")
    p1, p2 = one.estimate, two.estimate
    lower = p1 - p2 - math.hypot(p1 - one.wilson[0], two.wilson[1] - p2)
    upper = p1 - p2 + math.hypot(one.wilson[1] - p1, p2 - two.wilson[0])
    return Difference(
        first=p1, second=p2, difference=p1 - p2, lower=lower, upper=upper, level=level,
        provenance=provenance("Newcombe hybrid score, unpaired", digest_of([x1, n1, x2, n2]), cases=n1 + n2),
    )  # fmt: skip


def newcombe_paired(
    both: int, first_only: int, second_only: int, neither: int, *, level: float = 0.95
) -> Difference:
    """Difference of two shares on the same cases (Newcombe 1998, Stat Med 17:2635, method 10).

    Parameters
    ----------
    both, first_only, second_only, neither
        cases called by both, by the first alone, by the second alone, by none.
    """
    n = both + first_only + second_only + neither
    if min(both, first_only, second_only, neither) < 0 or n == 0:
        raise StatisticsError(
            "Paired difference: expected counts of one or more cases, found none or a negative one."
        )
    (p1, (low1, high1)), (p2, (low2, high2)) = (
        (x / n, stats.binomtest(x, n).proportion_ci(level, "wilson"))
        for x in (both + first_only, both + second_only)
    )
    margins = (both + first_only) * (second_only + neither) * (both + second_only) * (first_only + neither)
    product = float(both * neither - first_only * second_only)
    if product > 0:  # the method's continuity correction of the correlation
        product = max(product - n / 2, 0.0)
    phi = product / math.sqrt(margins) if margins else 0.0
    d_low1, d_high1, d_low2, d_high2 = p1 - low1, high1 - p1, p2 - low2, high2 - p2
    below = d_low1**2 - 2 * phi * d_low1 * d_high2 + d_high2**2
    above = d_high1**2 - 2 * phi * d_high1 * d_low2 + d_low2**2
    gap = (first_only - second_only) / n
    return Difference(
        first=p1, second=p2, difference=gap, lower=gap - math.sqrt(max(below, 0.0)),
        upper=gap + math.sqrt(max(above, 0.0)), level=level,
        provenance=provenance(
            "Newcombe hybrid score, paired", digest_of([both, first_only, second_only, neither]), cases=n
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """Test of equal shares on the same cases; the exact p is the result, the chi-squares are given beside it."""

    first_only: int
    second_only: int
    p_exact: float
    chi2: float | None
    p_chi2: float | None
    chi2_corrected: float | None
    p_chi2_corrected: float | None
    note: str
    provenance: Provenance


def mcnemar(first_only: int, second_only: int, *, cases: int | None = None) -> McNemar:
    """McNemar's test (1947, Psychometrika 12:153): exact binomial, and chi-square with and without correction.

    Parameters
    ----------
    first_only, second_only
        discordant cases: right (or positive) in the first reading alone, in the second alone.
    """
    b, c = first_only, second_only
    if min(b, c) < 0:
        raise StatisticsError(f"McNemar: expected counts, found {b} and {c}.")
    source = provenance("McNemar, exact binomial", digest_of([b, c]), cases=cases, observations=b + c)
    if b + c == 0:
        return McNemar(
            first_only=b, second_only=c, p_exact=1.0, chi2=None, p_chi2=None, chi2_corrected=None,
            p_chi2_corrected=None, note="The two readings differ on no case, so there is nothing to test.",
            provenance=source,
        )  # fmt: skip
    plain, corrected = (b - c) ** 2 / (b + c), max(abs(b - c) - 1, 0) ** 2 / (b + c)
    note = ""
    if 2 * 0.5 ** (b + c) > 0.05:
        note = f"With {b + c} discordant case{'s' if b + c > 1 else ''} the exact p cannot go below {min(1.0, 2 * 0.5 ** (b + c)):.3g}."
    return McNemar(
        first_only=b,
        second_only=c,
        p_exact=float(stats.binomtest(b, b + c, 0.5).pvalue),
        chi2=plain,
        p_chi2=float(stats.chi2.sf(plain, 1)),
        chi2_corrected=corrected,
        p_chi2_corrected=float(stats.chi2.sf(corrected, 1)),
        note=note,
        provenance=source,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TableTest:
    """Independence of rows and columns; ``rule`` says which test was taken and why (RS-S10)."""

    test: str
    statistic: float | None
    df: int | None
    p_value: float
    rule: str
    smallest_expected: float
    n: int
    provenance: Provenance


def compare_categories(table: Floats) -> TableTest:
    """Chi-square, or Fisher's exact test where expected counts are small.

    The rule (Cochran 1954, Biometrics 10:417): Fisher in a 2 x 2 table with an expected count below 5; in a larger one
    when more than a fifth of the expected counts are below 5, or one is below 1. Chi-square is Pearson's without
    continuity correction; Fisher's two-sided p adds all tables that are no more probable (Freeman & Halton 1951).

    Parameters
    ----------
    table
        (r, c) counts. Rows and columns without any count are left out, and the rule says so.
    """
    counts = np.asarray(table, dtype=np.float64)
    if counts.ndim != 2 or (counts < 0).any() or not np.array_equal(counts, np.rint(counts)):
        raise StatisticsError("Table: expected whole counts in rows and columns, found something else.")
    kept = counts[counts.sum(1) > 0][:, counts.sum(0) > 0]
    dropped = counts.shape != kept.shape
    if min(kept.shape) < 2:
        raise StatisticsError(
            "Table: expected two or more rows and columns with counts, found fewer; nothing can be compared."
        )
    n = int(kept.sum())
    expected = np.outer(kept.sum(1), kept.sum(0)) / n
    small, least = float((expected < 5).mean()), float(expected.min())
    exact = least < 5 if kept.shape == (2, 2) else small > 0.2 or least < 1
    why = f"{small:.0%} of the expected counts are below 5, the smallest is {least:.3g}"
    why += "; empty rows or columns were left out" if dropped else ""
    digest = digest_of(counts)
    if exact:
        p = fisher_exact(kept)
        name = "Fisher's exact test" if kept.shape == (2, 2) else "Fisher's exact test (Freeman-Halton)"
        return TableTest(
            test=name, statistic=None, df=None, p_value=p, rule=f"{name}, because {why}", smallest_expected=least,
            n=n, provenance=provenance(name, digest, cases=n),
        )  # fmt: skip
    chi2 = float(((kept - expected) ** 2 / expected).sum())
    df = (kept.shape[0] - 1) * (kept.shape[1] - 1)
    name = "Pearson's chi-square without continuity correction"
    return TableTest(
        test=name, statistic=chi2, df=df, p_value=float(stats.chi2.sf(chi2, df)), rule=f"{name}, because {why}",
        smallest_expected=least, n=n, provenance=provenance(name, digest, df_rule="(r - 1)(c - 1)", cases=n),
    )  # fmt: skip


def fisher_exact(table: Floats) -> float:
    """Two-sided p of Fisher's exact test: scipy's for 2 x 2, Freeman & Halton's for larger tables."""
    counts = np.rint(np.asarray(table)).astype(np.int64)
    if counts.shape == (2, 2):
        return float(stats.fisher_exact(counts).pvalue)
    return freeman_halton(counts)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p-values (1979, Scand J Stat 6:65), in the order given; they control the family-wise error."""
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, k in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[k]))
        adjusted[k] = running
    return tuple(adjusted)
