"""Subgroups and correlated features: strata of accuracy, balance of groups, logistic regression by GEE.

The strata of a mammography study: density, manufacturer, age, size, finding type, BI-RADS 4. Explorative unless the
protocol says otherwise; p-values of one table are adjusted by Holm.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from reader_study.statistics.delong import AucInterval, auc_interval
from reader_study.statistics.proportions import Proportion, compare_categories, holm, proportion
from reader_study.statistics.provenance import Provenance, digest_of, provenance
from reader_study.statistics.ratings import Flags, Floats, StatisticsError

Labels = NDArray[np.str_]
NOT_RECORDED = "not recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Accuracy among the cases of one level; ``auc`` is None with fewer than two cases of a truth."""

    factor: str
    level: str
    positives: int
    negatives: int
    auc: AucInterval | None
    sensitivity: Proportion
    specificity: Proportion
    note: str
    provenance: Provenance


def strata(
    factor: str,
    levels: Sequence[str | None],
    scores: Floats,
    truth: Flags,
    *,
    threshold: float,
    order: Sequence[str] | None = None,
    shared_negatives: bool = False,
    level: float = 0.95,
) -> tuple[Stratum, ...]:
    """AUC, sensitivity and specificity within each level of a factor.

    Parameters
    ----------
    levels
        (n,) the level of each case, None = not recorded (a row of its own, last).
    threshold
        a case is called positive when its score is >= this.
    order
        the levels in the order of print; default the order of appearance. Levels without a case are left out.
    shared_negatives
        compare the diseased cases of each level with all cases without disease: for factors that only disease has
        (type, size, invasion).
    """
    scores, truth = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=bool)
    names = np.array([NOT_RECORDED if name is None else name for name in levels])
    if not len(names) == len(scores) == len(truth):
        raise StatisticsError(f"Strata of {factor}: expected one level a case, found {len(names)} for {len(scores)}.")  # fmt: skip
    read = ~np.isnan(scores)
    known = list(dict.fromkeys([*(order or ()), *names[names != NOT_RECORDED].tolist()]))
    rows = []
    for name in [*known, NOT_RECORDED]:
        inside = names == name
        if not inside.any() or (shared_negatives and not (inside & truth).any()):
            continue
        use = read & (inside | ~truth if shared_negatives else inside)
        rows.append(_stratum(factor, str(name), scores[use], truth[use], threshold, shared_negatives, level))
    return tuple(rows)


def _stratum(
    factor: str, name: str, scores: Floats, truth: Flags, threshold: float, shared: bool, level: float
) -> Stratum:
    positives, negatives = int(truth.sum()), int((~truth).sum())
    calls = scores >= threshold
    notes = ["all cases without disease"] if shared else []
    area = auc_interval(scores, truth, level=level) if min(positives, negatives) >= 2 else None
    if area is None:
        notes.append("fewer than two cases of one truth: no AUC")
    return Stratum(
        factor=factor,
        level=name,
        positives=positives,
        negatives=negatives,
        auc=area,
        sensitivity=proportion(int((calls & truth).sum()), positives, name="sensitivity", level=level),
        specificity=proportion(int((~calls & ~truth).sum()), negatives, name="specificity", level=level),
        note="; ".join(notes),
        provenance=provenance(
            f"{factor} = {name}: empirical AUC (DeLong), sensitivity and specificity at score >= {threshold:g}",
            digest_of(scores, truth),
            covariance="DeLong",
            cases=positives + negatives,
        ),
    )


def banded(
    values: Sequence[float | None], edges: Sequence[float], *, unit: str = ""
) -> tuple[str | None, ...]:
    """Levels such as "< 50 y" and ">= 50 y" from numbers; an edge belongs to the band above it; None stays None."""
    if list(edges) != sorted(set(edges)) or not edges:
        raise StatisticsError(f"Bands: expected rising edges, found {list(edges)}.")
    tail = f" {unit}" if unit else ""
    names = [f"< {edges[0]:g}{tail}"]
    names += [f"{a:g} to < {b:g}{tail}" for a, b in pairwise(edges)]
    names.append(f">= {edges[-1]:g}{tail}")
    return tuple(
        None if value is None else names[int(np.searchsorted(edges, value, side="right"))] for value in values
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """One characteristic compared between groups; ``p_holm`` is adjusted over the table."""

    name: str
    test: str
    rule: str
    statistic: float | None
    df: float | None
    p_value: float | None
    p_holm: float | None
    missing: int
    provenance: Provenance


def balance_table(
    groups: Sequence[str],
    *,
    numbers: Mapping[str, Sequence[float | None]] | None = None,
    categories: Mapping[str, Sequence[str | None]] | None = None,
) -> tuple[Balance, ...]:
    """Compare characteristics between two (numbers) or more (categories) groups.

    Numbers by Welch's t test (1947, Biometrika 34:28), categories by chi-square or Fisher's test under the declared
    rule; missing values are left out and counted. A characteristic that cannot be compared has no p-value.
    """
    names = tuple(dict.fromkeys(groups))
    if len(names) < 2:
        raise StatisticsError(f"Balance: expected two or more groups, found {len(names)}.")
    group_of = np.array(groups)
    rows = [_welch(name, values, group_of, names) for name, values in (numbers or {}).items()]
    rows += [_table(name, values, group_of, names) for name, values in (categories or {}).items()]
    adjusted = iter(holm([row.p_value for row in rows if row.p_value is not None]))
    return tuple(replace(row, p_holm=None if row.p_value is None else next(adjusted)) for row in rows)


def _welch(name: str, values: Sequence[float | None], group_of: Labels, names: tuple[str, ...]) -> Balance:
    x = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    missing = int(np.isnan(x).sum())
    source = provenance("Welch's t test", digest_of(x, group_of), df_rule="Welch-Satterthwaite", observations=len(x) - missing)  # fmt: skip
    parts = [x[(group_of == group) & ~np.isnan(x)] for group in names]
    comparable = len(parts) == 2 and min(map(len, parts)) >= 2 and max(map(np.ptp, parts)) > 0
    if not comparable:
        rule = "not compared: needs two groups with two or more values that vary"
        return Balance(name=name, test="none", rule=rule, statistic=None, df=None, p_value=None, p_holm=None, missing=missing, provenance=source)  # fmt: skip
    found = stats.ttest_ind(*parts, equal_var=False)
    return Balance(
        name=name, test="Welch's t test", rule="Welch's t test: variances are not taken to be equal",
        statistic=float(found.statistic), df=float(found.df), p_value=float(found.pvalue), p_holm=None,
        missing=missing, provenance=source,
    )  # fmt: skip


def _table(name: str, values: Sequence[str | None], group_of: Labels, names: tuple[str, ...]) -> Balance:
    known = [value is not None for value in values]
    kinds = tuple(dict.fromkeys(value for value in values if value is not None))
    labels = np.array([str(value) for value in values])
    counts = np.array([[np.sum((group_of == g) & (labels == k) & known) for k in kinds] for g in names])
    missing = len(values) - sum(known)
    try:
        found = compare_categories(counts.reshape(len(names), len(kinds)))
    except StatisticsError as error:
        source = provenance("not compared", digest_of(counts))
        return Balance(name=name, test="none", rule=str(error), statistic=None, df=None, p_value=None, p_holm=None, missing=missing, provenance=source)  # fmt: skip
    return Balance(
        name=name, test=found.test, rule=found.rule, statistic=found.statistic,
        df=None if found.df is None else float(found.df), p_value=found.p_value, p_holm=None, missing=missing,
        provenance=found.provenance,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class OddsRatio:
    """Effect of a feature on the odds, all others held; z test with robust error."""

    name: str
    ratio: float
    lower: float
    upper: float
    log_ratio: float
    error: float
    z: float
    p_value: float
    p_holm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GeeFit:
    """A logistic regression by generalised estimating equations."""

    ratios: tuple[OddsRatio, ...]
    intercept: float
    correlation: float
    n: int
    clusters: int
    missing: int
    provenance: Provenance


def gee_logistic(
    outcome: Flags,
    features: Mapping[str, Sequence[float | str | None]],
    clusters: Sequence[str],
    *,
    reference: Mapping[str, str] | None = None,
    level: float = 0.95,
) -> GeeFit:
    """Logistic regression of a yes/no outcome on features of correlated cases (breasts, views, reads of one woman).

    Liang & Zeger 1986 (Biometrika 73:13), exchangeable correlation within a cluster, sandwich errors; by statsmodels.

    Parameters
    ----------
    outcome
        (n,) bool.
    features
        name -> (n,) numbers, or texts (one odds ratio for each level against the reference, the first seen unless
        named in ``reference``). Rows with a None are left out.
    clusters
        (n,) the unit within which rows are correlated (the woman).

    Raises
    ------
    StatisticsError
        Too few clusters, an outcome or feature that does not vary, features that determine each other or separate
        the outcome.
    """
    y, groups = np.asarray(outcome, dtype=np.float64), np.array(clusters)
    complete = np.array([all(column[k] is not None for column in features.values()) for k in range(len(y))])
    names, x = _design(features, reference or {}, complete)
    y, groups = y[complete], groups[complete]
    n_clusters = len(set(groups.tolist()))
    if n_clusters < 10:
        raise StatisticsError(
            f"GEE: expected 10 or more clusters for its errors to hold, found {n_clusters}."
        )
    if y.min() == y.max():
        raise StatisticsError("GEE: expected both outcomes, found only one.")
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise StatisticsError(
            "GEE: expected features that do not determine each other, found that they do; drop one."
        )
    estimates, covariance, correlation = _fit_gee(y, x, groups)
    errors = np.sqrt(np.diag(covariance))
    z = estimates / errors
    p = 2 * stats.norm.sf(np.abs(z))
    half = float(stats.norm.ppf(0.5 + level / 2))
    adjusted = holm(p[1:].tolist())
    return GeeFit(
        ratios=tuple(
            OddsRatio(
                name=name, ratio=math.exp(estimates[k]), lower=math.exp(estimates[k] - half * errors[k]),
                upper=math.exp(estimates[k] + half * errors[k]), log_ratio=float(estimates[k]), error=float(errors[k]),
                z=float(z[k]), p_value=float(p[k]), p_holm=adjusted[k - 1],
            )
            for k, name in enumerate(names) if k
        ),
        intercept=float(estimates[0]),
        correlation=correlation,
        n=len(y),
        clusters=n_clusters,
        missing=int((~complete).sum()),
        provenance=provenance(
            "GEE logistic regression, exchangeable within the cluster", digest_of(y, x, groups),
            covariance="sandwich (robust)", df_rule="normal", observations=len(y),
            exclusions=[f"{int((~complete).sum())} rows with a missing feature"] if not complete.all() else [],
        ),
    )  # fmt: skip


def _design(
    features: Mapping[str, Sequence[float | str | None]], reference: Mapping[str, str], complete: Flags
) -> tuple[list[str], Floats]:
    names, columns = ["intercept"], [np.ones(int(complete.sum()))]
    for name, column in features.items():
        values = [value for value, keep in zip(column, complete, strict=True) if keep]
        if all(isinstance(value, str) for value in values):
            kinds = list(dict.fromkeys(values))
            base = reference.get(name, kinds[0] if kinds else "")
            if base not in kinds:
                raise StatisticsError(f"GEE: expected a level of {name} as reference, found {base!r}.")
            for kind in kinds:
                if kind != base:
                    names.append(f"{name}: {kind} / {base}")
                    columns.append(np.array([float(value == kind) for value in values]))
        else:
            names.append(name)
            columns.append(np.array([float(value) for value in values if value is not None]))
    return names, np.column_stack(columns)


def _fit_gee(y: Floats, x: Floats, groups: Labels) -> tuple[Floats, Floats, float]:
    import statsmodels.api as sm  # slow to import

    model = sm.GEE(
        y, x, groups=groups, family=sm.families.Binomial(), cov_struct=sm.cov_struct.Exchangeable()
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # judged below, in words
        found = model.fit(maxiter=200)
    estimates = np.asarray(found.params)
    if not found.converged or not np.isfinite(found.cov_params()).all() or np.abs(estimates[1:] * np.ptp(x[:, 1:], axis=0)).max(initial=0) > 15:  # fmt: skip
        raise StatisticsError(
            "GEE: expected features that overlap between the outcomes, found that they separate them; merge levels or drop a feature."
        )
    if (np.diag(found.cov_params()) <= 1e-12 * max(1.0, float(np.abs(found.cov_params()).max()))).any():
        raise StatisticsError(
            "GEE: expected effects that vary between clusters, found one without any variance (the feature changes no outcome in any cluster); drop it."
        )
    return estimates, np.asarray(found.cov_params()), float(found.cov_struct.dep_params)
