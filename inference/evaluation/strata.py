"""Does a model find cancers of one kind more often than of another? Sensitivity and specificity by stratum, tested.

Independent cases are compared by Pearson's chi-square; where a case counts in several strata (a mass with
calcifications) or a woman has several cases, by logistic regression with generalised estimating equations. Where
cases come from is ``strata_cases``'s business.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2_contingency

from inference.evaluation.figures import number

MEASURES = ("sensitivity", "specificity", "accuracy")
_FEW = 5.0  # expected count under which a chi-square is rough (Cochran 1954)


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
        return chi_square(rows)
    return gee(rows)


def chi_square(rows: Sequence[_Row]) -> dict[str, Any]:
    """Pearson's chi-square, without continuity correction, of group against outcome.

    Returns
    -------
    statistic, df, p and the smallest expected count; p is None where every outcome is the same.
    """
    groups = sorted({row[1] for row in rows})
    table = np.array([[sum(r[1] == g and r[2] is v for r in rows) for v in (True, False)] for g in groups])
    out: dict[str, Any] = {"test": "chi-square", "n": len(rows)}
    if (table.sum(axis=0) == 0).any():
        return {**out, "p": None, "note": "every outcome is the same"}
    found = chi2_contingency(table, correction=False)
    least = float(found.expected_freq.min())
    out |= {"statistic": number(found.statistic), "df": int(found.dof), "p": number(found.pvalue)}
    if least < _FEW:
        out["note"] = f"smallest expected count {least:.1f}: the p value is rough"
    return out


def gee(rows: Sequence[_Row]) -> dict[str, Any]:
    """Logistic regression of the outcome on the group, exchangeable within a woman, robust errors.

    Returns
    -------
    Odds ratios against the largest group with 95 % intervals and p, and the joint Wald test of all of them. A
    group with one outcome only, whose odds ratio is not finite, is left out and named.

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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a fit that did not settle: told below
        fitted = model.fit(maxiter=200)
    out |= {"reference": reference, "odds_ratios": {}}
    if not fitted.converged:
        return {**out, "p": None, "note": "the fit did not settle"}
    limits = np.asarray(fitted.conf_int())
    for k, group in enumerate(others, start=1):
        out["odds_ratios"][group] = {
            "value": number(float(np.exp(fitted.params[k]))),
            "lo": number(float(np.exp(limits[k, 0]))),
            "hi": number(float(np.exp(limits[k, 1]))),
            "p": number(float(fitted.pvalues[k])),
        }
    joint = fitted.wald_test(np.eye(len(others) + 1)[1:], scalar=True)
    return out | {
        "statistic": number(float(joint.statistic)),
        "df": len(others),
        "p": number(float(joint.pvalue)),
    }
