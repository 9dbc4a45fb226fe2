"""Does a model find cancers of one kind more often than of another? Sensitivity and specificity by stratum, tested.

Independent cases are compared by Pearson's chi-square, or Fisher's exact test where counts are small; where a case counts in several strata (a mass with
calcifications) or a woman has several cases, by logistic regression with generalised estimating equations. Where
cases come from is ``strata_cases``'s business.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import MonteCarloMethod, chi2_contingency, fisher_exact

from inference.evaluation.figures import number

MEASURES = ("sensitivity", "specificity", "accuracy")
_FEW = 5.0  # expected count under which a chi-square is rough (Cochran 1954)
_CHI_SQUARE = "chi-square"
_FISHER = "Fisher's exact"
_MOST_TABLES = 500_000  # about a tenth of a second
_DRAWN_TABLES = 100_000  # standard error of p = 0.05: 0.0007
_TOO_FEW = "too few women to tell"
_LARGEST_LOG = 50.0  # a log odds ratio beyond it says that there is no finite one


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One judged case: whose, is there a cancer, did the model say so, and its strata by attribute."""

    patient: str
    positive: bool
    called: bool
    groups: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """A way to divide cases; ``of_cancer`` divides the cancers only, so that there is no specificity."""

    name: str
    of_cancer: bool = False


ATTRIBUTES = (
    Attribute(name="age"),
    Attribute(name="manufacturer"),
    Attribute(name="density"),
    Attribute(name="type", of_cancer=True),
    Attribute(name="invasiveness", of_cancer=True),
    Attribute(name="size", of_cancer=True),
)
_Row = tuple[str, str, bool]  # patient, group, is the measure met


def strata_json(cases: Sequence[Case]) -> tuple[dict[str, Any], list[str]]:
    """Measures of each stratum with Wilson's interval, and per attribute and measure a test of their difference.

    Returns
    -------
    ``{attribute: {"groups": {group: {measure: figure}}, "tests": {measure: test}}}`` and a sentence for each
    attribute that nothing is known of.
    """
    out: dict[str, Any] = {}
    notes = []
    for attribute in ATTRIBUTES:
        entry: dict[str, Any] = {"groups": {}, "tests": {}}
        for measure in MEASURES[:1] if attribute.of_cancer else MEASURES:
            rows = _rows(cases, attribute.name, measure)
            for group in sorted({row[1] for row in rows}):
                met = [row[2] for row in rows if row[1] == group]
                entry["groups"].setdefault(group, {})[measure] = share(sum(met), len(met))
            if len({row[1] for row in rows}) > 1:
                entry["tests"][measure] = _test(rows)
        if entry["groups"]:
            out[attribute.name] = entry
        else:
            notes.append(f"strata.{attribute.name}: not recorded for any case; not computed.")
    return out, notes


def _rows(cases: Sequence[Case], attribute: str, measure: str) -> list[_Row]:
    asked = [case for case in cases if measure == "accuracy" or case.positive is (measure == "sensitivity")]
    return [
        (case.patient, group, case.called is case.positive)
        for case in asked
        for group in sorted(case.groups.get(attribute, frozenset()))
    ]


def share(met: int, count: int) -> dict[str, Any]:
    """A share with Wilson's 95 % interval (Wilson 1927)."""
    from statsmodels.stats.proportion import proportion_confint

    lo, hi = proportion_confint(met, count, alpha=0.05, method="wilson")
    return {"value": number(met / count), "lo": number(lo), "hi": number(hi), "met": met, "n": count}


def _test(rows: Sequence[_Row]) -> dict[str, Any]:
    if len({row[0] for row in rows}) == len(rows):
        return independent_test(rows)
    return gee(rows)


def independent_test(rows: Sequence[_Row]) -> dict[str, Any]:
    """Test of group against outcome: Pearson's chi-square, uncorrected, or Fisher's where an expected count is under 5.

    Returns
    -------
    ``test`` (its name), n and p; of the chi-square its statistic and df, of Fisher's test the smallest expected
    count in ``note``. p is None where every outcome is the same.

    Notes
    -----
    Cochran, Biometrics 1954;10:417 (when); Freeman and Halton, Biometrika 1951;38:141 (more than two groups).
    """
    groups = sorted({row[1] for row in rows})
    table = np.array([[sum(r[1] == g and r[2] is v for r in rows) for v in (True, False)] for g in groups])
    if (table.sum(axis=0) == 0).any():
        return {"test": _CHI_SQUARE, "n": len(rows), "p": None, "note": "every outcome is the same"}
    found = chi2_contingency(table, correction=False)
    least = float(found.expected_freq.min())
    if least < _FEW:
        name, p = fisher(table)
        note = f"smallest expected count {least:.1f}"
        return {"test": name, "n": len(rows), "p": number(p), "note": note}
    return {
        "test": _CHI_SQUARE,
        "n": len(rows),
        "statistic": number(found.statistic),
        "df": int(found.dof),
        "p": number(found.pvalue),
    }


def fisher(table: NDArray[np.int64], *, most: int = _MOST_TABLES) -> tuple[str, float]:
    """Two-sided Fisher's exact test: the probability, margins given, of all tables no likelier than this one.

    Parameters
    ----------
    table
        (groups, 2) counts; at least two groups, none of them empty.
    most
        Number of tables of these margins up to which each is weighed; beyond it they are drawn by a seeded
        generator.

    Returns
    -------
    The name of the test and p.
    """
    name = _FISHER if len(table) == 2 else f"{_FISHER} (Freeman-Halton)"
    listed = _all_tables(table, most)
    if listed is None:
        drawn = MonteCarloMethod(n_resamples=_DRAWN_TABLES, rng=np.random.default_rng(0))
        return f"{name}, {_DRAWN_TABLES} tables drawn", float(fisher_exact(table, method=drawn).pvalue)
    here = float(_log_ways(table.sum(axis=1), table[:, 0]).sum())
    chance = np.exp(listed - listed.max())
    # tables as likely as this one count, though rounding may put them a little above
    return name, min(1.0, float(chance[listed <= here + 1e-7].sum() / chance.sum()))


def _all_tables(table: NDArray[np.int64], most: int) -> NDArray[np.float64] | None:
    """(tables,) log weight of every table with these margins; None where there are more than ``most``."""
    sizes, total = table.sum(axis=1), int(table[:, 0].sum())
    met, weight = np.zeros(1, np.int64), np.zeros(1)
    for k, size in enumerate(sizes):
        if len(met) * (int(size) + 1) > 20 * most:
            return None
        here = np.arange(size + 1)
        met = (met[:, None] + here).ravel()
        weight = (weight[:, None] + _log_ways(np.full(len(here), size), here)).ravel()
        possible = (met <= total) & (met + sizes[k + 1 :].sum() >= total)
        met, weight = met[possible], weight[possible]
        if len(met) > most:
            return None
    return weight


def _log_ways(size: NDArray[np.int64], met: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log of the number of ways to choose ``met`` out of ``size``."""
    return np.asarray(gammaln(size + 1) - gammaln(met + 1) - gammaln(size - met + 1), np.float64)


def gee(rows: Sequence[_Row]) -> dict[str, Any]:
    """Logistic regression of the outcome on the group, exchangeable within a woman, robust errors.

    Returns
    -------
    Odds ratios against the largest group with 95 % intervals and p, and the joint Wald test of all of them. A
    group with one outcome only, whose odds ratio is not finite, is left out and named. p is None, with the reason
    in ``note``, where the fit does not settle or too few women differ for robust errors of all odds ratios.

    Notes
    -----
    Liang and Zeger, Biometrika 1986;73:13.
    """
    import statsmodels.api as sm

    counts = {g: [r[2] for r in rows if r[1] == g] for g in sorted({row[1] for row in rows})}
    out: dict[str, Any] = {
        "test": "GEE logistic regression",
        "n": len(rows),
        "women": len({r[0] for r in rows}),
    }
    even = [g for g, met in counts.items() if len(set(met)) < 2]
    if even:
        out["note"] = f"one outcome only in {', '.join(even)}, where an odds ratio has no estimate: left out"
    rows = [row for row in rows if row[1] not in even]
    counts = {g: met for g, met in counts.items() if g not in even}
    if len(counts) < 2:
        return {**out, "p": None}
    reference = max(counts, key=lambda g: len(counts[g]))
    others = [g for g in counts if g != reference]
    ordered = sorted(rows, key=lambda row: row[0])
    design = np.array([[1.0, *(float(row[1] == g) for g in others)] for row in ordered])
    outcome = np.array([float(row[2]) for row in ordered])
    model = sm.GEE(
        outcome,
        design,
        groups=np.array([row[0] for row in ordered]),
        family=sm.families.Binomial(),
        cov_struct=sm.cov_struct.Exchangeable(),
    )
    out |= {"reference": reference, "odds_ratios": {}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a fit that did not settle: told below
            fitted = model.fit(maxiter=200)
            if not fitted.converged:
                return _untold(out, "the fit did not settle")
            if not _full_rank(np.asarray(fitted.cov_params())):
                return _untold(out, _TOO_FEW)
            joint = fitted.wald_test(np.eye(len(others) + 1)[1:], scalar=True)
    except (ValueError, np.linalg.LinAlgError):  # a singular step of the fit, or of the test
        return _untold(out, _TOO_FEW)
    limits = np.asarray(fitted.conf_int())
    for k, group in enumerate(others, start=1):
        out["odds_ratios"][group] = {
            "value": _odds(fitted.params[k]),
            "lo": _odds(limits[k, 0]),
            "hi": _odds(limits[k, 1]),
            "p": number(float(fitted.pvalues[k])),
        }
    return out | {
        "statistic": number(float(joint.statistic)),
        "df": len(others),
        "p": number(float(joint.pvalue)),
    }


def _untold(out: dict[str, Any], why: str) -> dict[str, Any]:
    note = "; ".join([*([out["note"]] if "note" in out else []), why])
    return {**out, "p": None, "note": note}


def _full_rank(covariance: NDArray[np.float64]) -> bool:
    """Tell whether errors are positive and no estimate is a sum of others: by correlations, whatever the scale."""
    errors = np.sqrt(np.clip(np.diag(covariance), 0.0, None))
    if not (np.isfinite(covariance).all() and (errors > 0).all()):
        return False
    correlations = covariance / np.outer(errors, errors)
    return int(np.linalg.matrix_rank(correlations, tol=1e-8, hermitian=True)) == len(covariance)


def _odds(log_ratio: float) -> float | None:
    return number(math.exp(log_ratio)) if abs(log_ratio) < _LARGEST_LOG else None
