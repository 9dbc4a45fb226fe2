"""Subgroups: accuracy by stratum over readers, of the AI by stratum, and which features go with a right call (GEE)."""

from __future__ import annotations

import re

import numpy as np

from reader_study.report import comparison_figures
from reader_study.report.ai_section import ai_cut, ai_scores
from reader_study.report.inputs import ReportInputs
from reader_study.report.multireader import attempt
from reader_study.report.page import Absent, Cell, Part, Section, Table, p_shown
from reader_study.statistics.covariance import estimates
from reader_study.statistics.obuchowski_rockette import Generalise, analyse
from reader_study.statistics.proportions import holm
from reader_study.statistics.provenance import provenance, with_exclusions
from reader_study.statistics.ratings import Flags, Ratings, StatisticsError
from reader_study.statistics.subgroups import GeeFit, banded, gee_logistic, strata

SUBGROUPS = "Subgroups"
# Factors that only disease has are compared with all cases without disease.
_OF_DISEASE = re.compile(r"size|type|invas|histolog|lesion|finding", re.IGNORECASE)
EDGES = {"age": (50.0,), "size": (20.0,)}


def factors(inputs: ReportInputs) -> dict[str, dict[str, str]]:
    """Every stratum variable, numbers in bands (age at 50 years, size at 20 mm, others at the median)."""
    found = {name: dict(levels) for name, levels in inputs.strata.items()}
    for name, values in inputs.case_numbers.items():
        edges = next((e for key, e in EDGES.items() if key in name.lower()), None)
        edges = edges or (float(np.median(list(values.values()))),)
        bands = banded(list(values.values()), edges)
        found[name] = {case: band for case, band in zip(values, bands, strict=True) if band is not None}
    return found


def of_cases(ratings: Ratings, keep: Flags) -> Ratings:
    """Only these cases."""
    return Ratings(
        modalities=ratings.modalities, readers=ratings.readers, truth=ratings.truth[keep].copy(),
        cases=tuple(c for c, k in zip(ratings.cases, keep, strict=True) if k),
        scores=np.ascontiguousarray(ratings.scores[:, :, keep]),
        clusters=None if ratings.clusters is None else tuple(c for c, k in zip(ratings.clusters, keep, strict=True) if k),
    )  # fmt: skip


def subgroups(inputs: ReportInputs) -> Section:
    """All tables by stratum, or why there are none."""
    known = factors(inputs)
    parts: list[Part] = []
    if known:
        parts += _reader_strata(inputs, known)
        if inputs.standalone:
            parts.append(attempt("The AI by stratum", lambda: _ai_strata(inputs, known)))
    else:
        parts.append(Absent(title="Strata", why="no characteristics of the cases were handed in (columns of the truth table such as density, manufacturer, age, size_mm, type)."))  # fmt: skip
    if inputs.cut is not None:
        cut = inputs.cut
        parts.append(attempt("Features of a right call", lambda: _gee(inputs, cut)))
    else:
        parts.append(Absent(title="Features of a right call", why="no rating was named from which a reading is positive (--cut)."))  # fmt: skip
    words = "Subgroups are explorative unless the protocol names them; p-values of one table are adjusted by Holm's method."
    return Section(title=SUBGROUPS, words=(words,), parts=tuple(parts))


def _reader_strata(inputs: ReportInputs, known: dict[str, dict[str, str]]) -> list[Part]:
    """Mean over readers of the AUC in each stratum, and the difference of the first two arms."""
    ratings = inputs.ratings
    who = Generalise.READERS_AND_CASES if len(ratings.readers) > 1 else Generalise.CASES
    rows: list[list[Cell]] = []
    p_at: list[tuple[int, float]] = []
    drawn: list[tuple[str, float, float, float]] = []
    rule = "Hillis" if who is Generalise.READERS_AND_CASES else "normal"
    for factor, level, keep in _levels(inputs, known):
        truth = ratings.truth[keep]
        row: list[Cell] = [factor, level, int(truth.sum()), int((~truth).sum())]
        try:
            result = analyse(estimates(of_cases(ratings, keep)), who)
        except StatisticsError as error:
            empty: list[Cell] = ["–"] * (len(ratings.modalities) + 3)
            few = min(int(truth.sum()), int((~truth).sum())) < 2
            rows.append([*row, *empty, "too few cases of one truth" if few else str(error)])
            continue
        rule = result.df_rule
        row += [f"{m.estimate:.3f} ({m.lower:.3f}–{m.upper:.3f})" for m in result.means]
        if result.differences:
            d = result.differences[0]
            row += [f"{d.estimate:+.3f} ({d.lower:+.3f} to {d.upper:+.3f})", p_shown(d.p_value), ""]
            drawn.append((f"{factor}: {level}", d.estimate, d.lower, d.upper))
            if d.p_value is not None and np.isfinite(d.p_value):
                p_at.append((len(rows), d.p_value))
        else:
            row += ["–", "–", ""]
        rows.append([*row, "all cases without disease" if _OF_DISEASE.search(factor) else ""])
    for (k, _), adjusted in zip(p_at, holm([p for _, p in p_at]) if p_at else (), strict=True):
        rows[k][-2] = p_shown(adjusted)
    arms = ratings.modalities
    gap = f"{arms[0]} - {arms[1]}" if len(arms) > 1 else "difference"
    note = provenance(f"Empirical AUC by stratum, Obuchowski-Rockette, {who.value}", ratings.digest(), covariance="jackknife", df_rule=rule, readers=len(ratings.readers), cases=len(ratings.cases), exclusions=inputs.exclusions)  # fmt: skip
    table = Table(name="strata", title="AUC by stratum, mean over readers (95 % interval)",
                  head=("factor", "level", "with disease", "without", *arms, gap, "p", "p (Holm)", "note"), rows=tuple(tuple(r) for r in rows), note=note.sentence())  # fmt: skip
    if not drawn:
        return [table]
    return [comparison_figures.forest_figure(drawn, axis=f"difference of AUC, {gap}"), table]


def _levels(inputs: ReportInputs, known: dict[str, dict[str, str]]) -> list[tuple[str, str, Flags]]:
    found = []
    cases, truth = inputs.ratings.cases, inputs.ratings.truth
    for factor, of_case in known.items():
        for level in sorted({of_case[c] for c in cases if c in of_case}):
            inside = np.array([of_case.get(c) == level for c in cases])
            keep = inside | ~truth if _OF_DISEASE.search(factor) else inside
            if (inside & truth).any() or not _OF_DISEASE.search(factor):
                found.append((factor, level, keep))
    return found


def _ai_strata(inputs: ReportInputs, known: dict[str, dict[str, str]]) -> Table:
    scores = ai_scores(inputs)
    cut, whence = ai_cut(inputs)
    rows: list[tuple[Cell, ...]] = []
    source = ""
    for factor, of_case in known.items():
        shared = bool(_OF_DISEASE.search(factor))
        for s in strata(factor, [of_case.get(c) for c in inputs.ratings.cases], scores, inputs.ratings.truth, threshold=cut, order=sorted(set(of_case.values())), shared_negatives=shared):  # fmt: skip
            area = "–" if s.auc is None else f"{s.auc.auc:.3f} ({s.auc.lower:.3f}–{s.auc.upper:.3f})"
            shares = ["–" if p.estimate is None or p.wilson is None else f"{p.estimate:.3f} ({p.wilson[0]:.3f}–{p.wilson[1]:.3f})" for p in (s.sensitivity, s.specificity)]  # fmt: skip
            rows.append((factor, s.level, s.positives, s.negatives, area, *shares, s.note))
            source = source or with_exclusions(s, inputs.exclusions).provenance.sentence()
    return Table(name="ai_strata", title="The AI by stratum (95 % interval: DeLong, Wilson)",
                 head=("factor", "level", "with disease", "without", "AUC", "sensitivity", "specificity", "note"), rows=tuple(rows),
                 note=f"Cut-off {cut:g} ({whence}). First row: {source}")  # fmt: skip


def _gee(inputs: ReportInputs, cut: float) -> Table:
    """Right call on arm, truth, period, place and the case's features; reads of one woman are correlated."""
    ratings = inputs.ratings
    i, j, k = np.nonzero(~np.isnan(ratings.scores))
    right = (ratings.scores[i, j, k] >= cut) == ratings.truth[k]
    names = [ratings.cases[at] for at in k]
    women = names if ratings.clusters is None else [ratings.clusters[at] for at in k]
    features: dict[str, list[float | str | None]] = {}
    if len(ratings.modalities) > 1:
        features["arm"] = [ratings.modalities[at] for at in i]
    features["disease"] = [float(ratings.truth[at]) for at in k]
    if inputs.order:
        places = [inputs.order.get((ratings.readers[b], ratings.modalities[a], ratings.cases[c])) for a, b, c in zip(i, j, k, strict=True)]  # fmt: skip
        if len({p[0] for p in places if p}) > 1:
            features["second period"] = [None if p is None else float(p[0] > 1) for p in places]
        features["per 10 places in the session"] = [None if p is None else (p[1] - 1) / 10 for p in places]
    for name, values in inputs.case_numbers.items():
        if not _OF_DISEASE.search(name):
            features[f"{name}, per 10"] = [values[c] / 10 if c in values else None for c in names]
    for name, levels in inputs.strata.items():
        if not _OF_DISEASE.search(name):
            features[name] = [levels.get(c) for c in names]
    fit, dropped = _fit(right, features, women, ratings.modalities[1] if len(ratings.modalities) > 1 else None)  # fmt: skip
    rows = tuple(
        (r.name, r.ratio, r.lower, r.upper, p_shown(r.p_value), p_shown(r.p_holm)) for r in fit.ratios
    )
    said = f" Left out, as the model could not be fitted with them: {', '.join(dropped)}." if dropped else ""
    return Table(name="gee", title="Odds of a right call, logistic regression by generalised estimating equations",
                 head=("feature", "odds ratio", "95 % lower", "upper", "p", "p (Holm)"), rows=rows,
                 note=f"{fit.n} reads of {fit.clusters} units of analysis ({inputs.unit}), {fit.missing} left out for a missing feature; correlation within a unit {fit.correlation:.3f}. Reads of one reader are taken for independent given the features.{said} {with_exclusions(fit, inputs.exclusions).provenance.sentence()}")  # fmt: skip


def _fit(
    right: Flags, features: dict[str, list[float | str | None]], names: list[str], reference: str | None
) -> tuple[GeeFit, list[str]]:
    """Fit with all features; where they separate the outcome or determine each other, without one, then without more.

    The arm and the disease stay in. StatisticsError is that of the fit with all features.
    """

    def fit(used: dict[str, list[float | str | None]]) -> GeeFit:
        return gee_logistic(right, used, names, reference={"arm": reference} if "arm" in used and reference else None)  # fmt: skip

    optional = [name for name in features if name not in {"arm", "disease"}]
    tries = [[], *([name] for name in reversed(optional))]
    tries += [optional[k:] for k in range(len(optional) - 1, -1, -1)]
    first: StatisticsError | None = None
    for left_out in tries:
        try:
            return fit({name: column for name, column in features.items() if name not in left_out}), left_out
        except StatisticsError as error:
            first = first or error
    assert first is not None
    raise first
