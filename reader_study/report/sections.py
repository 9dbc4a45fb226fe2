"""Design, cut-offs and agreement: sections computed from ``ReportInputs``.

What cannot be computed says why in its place. ROC analysis is in ``multireader``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np

from reader_study.report import figures
from reader_study.report.inputs import ReportInputs
from reader_study.report.multireader import attempt, or_parts
from reader_study.report.page import Absent, Cell, Part, Section, Table, p_shown
from reader_study.statistics.agreement import (
    Weighting,
    category_counts,
    cohen_kappa,
    confusion,
    fleiss_kappa,
    intraclass,
)
from reader_study.statistics.covariance import Sensitivity, Specificity, estimates
from reader_study.statistics.proportions import binary_metrics, mcnemar
from reader_study.statistics.ratings import StatisticsError
from reader_study.statistics.roc import youden_point
from reader_study.statistics.subgroups import balance_table

DESIGN, BINARY, AGREEMENT = "Design", "Sensitivity and specificity", "Agreement between readers"

# ------------------------------------------------------------------------------------------------ design


def design(inputs: ReportInputs) -> Section:
    """What was done: facts, flow, readers, case mix, washout."""
    truth = inputs.ratings.truth
    mix = Table(
        name="cases",
        title="Cases",
        head=("", "n", "%"),
        rows=(
            ("with disease", int(truth.sum()), round(100 * float(truth.mean()), 1)),
            ("without disease", int((~truth).sum()), round(100 * float((~truth).mean()), 1)),
        ),
        note="The share of disease is the study's, chosen by its coordinators; predictive values hold for this share only.",
    )
    known = tuple(dict.fromkeys(key for facts in inputs.reader_facts.values() for key in facts))
    readers = Table(
        name="readers",
        title="Readers",
        head=("reader", "group", *known, *(f"reads, {arm}" for arm in inputs.ratings.modalities)),
        rows=tuple(
            (reader, inputs.groups.get(reader, "–"), *(inputs.reader_facts.get(reader, {}).get(k, "–") for k in known), *(int((~np.isnan(inputs.ratings.scores[i, j])).sum()) for i in range(len(inputs.ratings.modalities))))
            for j, reader in enumerate(inputs.ratings.readers)
        ),
    )  # fmt: skip
    parts: list[Part] = []
    if inputs.facts:
        parts.append(Table(name="design", title="Design", head=("", ""), rows=inputs.facts))
    if inputs.flow is not None:
        parts.append(figures.flow_figure(inputs.flow))
    parts += [mix, *_case_tables(inputs), readers]
    if inputs.washout_days:
        days = np.array(inputs.washout_days)
        parts.append(
            Table(
                name="washout",
                title="Washout actually kept, days between two reads of one case by one reader",
                head=("pairs", "minimum", "median", "maximum"),
                rows=((len(days), float(days.min()), float(np.median(days)), float(days.max())),),
            )
        )
    words = tuple(f"Excluded: {sentence}" for sentence in inputs.exclusions)
    return Section(title=DESIGN, words=words, parts=tuple(parts))


def _case_tables(inputs: ReportInputs) -> list[Part]:
    """Case characteristics by truth, and their comparison (Welch, chi-square or Fisher; Holm)."""
    if not (inputs.strata or inputs.case_numbers):
        return []
    cases, truth = inputs.ratings.cases, inputs.ratings.truth
    rows: list[tuple[Cell, ...]] = []
    for name, values in inputs.case_numbers.items():
        groups = [np.array([values[c] for c, t in zip(cases, truth, strict=True) if t == ill and c in values]) for ill in (True, False)]  # fmt: skip
        rows.append((name, "median (min–max)", *(f"{np.median(g):g} ({g.min():g}–{g.max():g})" if len(g) else "–" for g in groups)))  # fmt: skip
    for name, levels in inputs.strata.items():
        for level in dict.fromkeys(sorted(set(levels.values()))):
            counts = [sum(levels.get(c) == level and bool(t) == ill for c, t in zip(cases, truth, strict=True)) for ill in (True, False)]  # fmt: skip
            rows.append((name, level, *(f"{n} ({100 * n / total:.0f} %)" for n, total in zip(counts, (truth.sum(), (~truth).sum()), strict=True))))  # fmt: skip
    parts: list[Part] = [Table(name="case_characteristics", title="Cases by characteristic", head=("characteristic", "", "with disease", "without disease"), rows=tuple(rows))]  # fmt: skip
    parts.append(attempt("Comparison of characteristics", lambda: _balance(inputs)))
    return parts


def _balance(inputs: ReportInputs) -> Table:
    cases = inputs.ratings.cases
    found = balance_table(
        ["with" if t else "without" for t in inputs.ratings.truth],
        numbers={n: [v.get(c) for c in cases] for n, v in inputs.case_numbers.items()},
        categories={n: [v.get(c) for c in cases] for n, v in inputs.strata.items()},
    )  # fmt: skip
    rows = tuple((b.name, b.test, b.statistic, b.df, p_shown(b.p_value), p_shown(b.p_holm), b.missing, b.rule) for b in found)  # fmt: skip
    return Table(name="case_balance", title="Characteristics of cases with and without disease compared",
                 head=("characteristic", "test", "statistic", "df", "p", "p (Holm)", "not recorded", "rule"), rows=rows,
                 note="p (Holm) is adjusted over this table. Tests and rules stand in the rows; reads of one case count once.")  # fmt: skip


# ------------------------------------------------------------------------------------------------ binary


def binary(inputs: ReportInputs) -> Section:
    """Sensitivity and specificity at the protocol's cut-off, by reader and over readers; McNemar; Youden."""
    if inputs.cut is None:
        return Section(
            title=BINARY,
            parts=(
                Absent(
                    title="At a cut-off", why="no rating was named from which a reading is positive (--cut)."
                ),
                attempt("Youden index", lambda: _youden_table(inputs)),
            ),
        )
    cut = inputs.cut
    parts: list[Part] = [
        attempt("By reader", lambda: _binary_table(inputs, cut)),
        attempt("McNemar", lambda: _mcnemar_table(inputs, cut)),
    ]
    for figure, name in ((Sensitivity(cut), "sensitivity"), (Specificity(cut), "specificity")):
        try:
            parts += or_parts(estimates(inputs.ratings, figure=figure, name=name), name, name.capitalize(), inputs.exclusions)  # fmt: skip
        except StatisticsError as error:
            parts.append(Absent(title=name.capitalize(), why=str(error)))
    parts.append(attempt("Youden index", lambda: _youden_table(inputs)))
    return Section(
        title=BINARY,
        words=(
            f"A reading is positive when the {inputs.rating_name} is {inputs.cut_name or f'at least {cut:g}'}.",
        ),
        parts=tuple(parts),
    )


def _binary_table(inputs: ReportInputs, cut: float) -> Table:
    ratings = inputs.ratings
    rows: list[tuple[Cell, ...]] = []
    for i, arm in enumerate(ratings.modalities):
        for j, reader in enumerate(ratings.readers):
            read = ~np.isnan(ratings.scores[i, j])
            if not read.any():  # a parallel study: this reader is of another arm
                continue
            m = binary_metrics(ratings.scores[i, j, read] >= cut, ratings.truth[read])
            cells: list[Cell] = [reader, arm]
            for p in (m.sensitivity, m.specificity, m.ppv, m.npv, m.accuracy):
                limits = f" ({p.wilson[0]:.2f}–{p.wilson[1]:.2f})" if p.wilson else ""
                cells.append("–" if p.estimate is None else f"{p.estimate:.3f}{limits}")
            rows.append(tuple(cells))
    return Table(name="binary_by_reader", title="By reader and arm (95 % Wilson interval)",
                 head=("reader", "arm", "sensitivity", "specificity", "PPV", "NPV", "accuracy"), rows=tuple(rows),
                 note=f"Positive: {inputs.rating_name} >= {cut:g}. Predictive values and accuracy hold for the study's share of disease only.")  # fmt: skip


def _mcnemar_table(inputs: ReportInputs, cut: float) -> Table:
    ratings = inputs.ratings
    if len(ratings.modalities) < 2:
        raise StatisticsError("McNemar: expected two arms, found one.")
    rows: list[tuple[Cell, ...]] = []
    for j, reader in enumerate(ratings.readers):
        both = ~np.isnan(ratings.scores[:2, j]).any(axis=0)
        if not both.any():
            continue
        for truth, name in ((True, "sensitivity"), (False, "specificity")):
            pick = both & (ratings.truth == truth)
            right = (ratings.scores[:2, j][:, pick] >= cut) == truth
            test = mcnemar(int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum()), cases=int(pick.sum()))  # fmt: skip
            rows.append((reader, name, test.first_only, test.second_only, p_shown(test.p_exact)))
    a, b = ratings.modalities[:2]
    if not rows:
        raise StatisticsError("McNemar: expected a reader who read cases in both arms, found none.")
    return Table(name="mcnemar", title="McNemar's exact test by reader",
                 head=("reader", "", f"right in {a} only", f"right in {b} only", "p, exact"), rows=tuple(rows),
                 note="McNemar's test, exact binomial, on the cases that the reader read in both arms; each reader by herself (readers fixed), p not adjusted for their number."
                 + (f" Compared are the first two of {len(ratings.modalities)} arms." if len(ratings.modalities) > 2 else ""))  # fmt: skip


def _youden_table(inputs: ReportInputs) -> Table:
    ratings = inputs.ratings
    rows: list[tuple[Cell, ...]] = []
    for i, arm in enumerate(ratings.modalities):
        for j, reader in enumerate(ratings.readers):
            read = ratings.truth[~np.isnan(ratings.scores[i, j])]
            if not read.any() or read.all():
                continue
            best, tied = youden_point(ratings.scores[i, j], ratings.truth)
            rows.append(
                (reader, arm, best.threshold, best.sensitivity, best.specificity, best.youden, len(tied))
            )
    return Table(
        name="youden",
        title="Cut-off of the highest Youden index",
        head=("reader", "arm", "cut-off", "sensitivity", "specificity", "J", "tied cut-offs"),
        rows=tuple(rows),
        note="Found on the data it is reported on and therefore optimistic. Of tied cut-offs the one of higher sensitivity.",
    )


# ------------------------------------------------------------------------------------------------ agreement


MOST_PAIRS = 30  # rows of reader pairs on the page
FEW_VALUES = 10  # ratings with no more values are a scale of categories themselves


def agreement(inputs: ReportInputs) -> Section:
    """Fleiss' kappa of all readers, Cohen's of pairs, and the intraclass correlation of ratings, by arm."""
    parts: list[Part] = []
    categories, order, source = _categories(inputs)
    if categories:
        parts.append(attempt("Kappa", lambda: _kappa_table(inputs, categories, order, source)))
    else:
        parts.append(Absent(title="Kappa", why="no categories (BI-RADS) were handed in."))
    if inputs.cut is not None and len(inputs.ratings.readers) > 1:
        cut = inputs.cut
        calls = _by_case(inputs, lambda x: "positive" if x >= cut else "negative")
        parts.append(attempt("Agreement of calls", lambda: _kappa_table(inputs, calls, ("negative", "positive"), "Calls at the cut-off.", name="agreement_calls")))  # fmt: skip
    if len(inputs.ratings.readers) > 1:
        parts.append(attempt("Intraclass correlation", lambda: _icc_table(inputs)))
    return Section(title=AGREEMENT, parts=tuple(parts))


Categories = dict[str, dict[str, dict[str, str]]]


def _by_case(inputs: ReportInputs, name_of: Callable[[float], str]) -> Categories:
    ratings = inputs.ratings
    return {
        reader: {
            arm: {c: name_of(float(x)) for c, x in zip(ratings.cases, ratings.scores[i, j], strict=True) if not np.isnan(x)}
            for i, arm in enumerate(ratings.modalities)
        }
        for j, reader in enumerate(ratings.readers)
    }  # fmt: skip


def _categories(inputs: ReportInputs) -> tuple[Categories, tuple[str, ...], str]:
    """Categories that were given, or a short rating scale taken as such."""
    if inputs.categories:
        given = {r: {a: dict(cases) for a, cases in arms.items()} for r, arms in inputs.categories.items()}
        return given, inputs.category_order, f"Categories: {', '.join(inputs.category_order)}."
    values = np.unique(inputs.ratings.scores[np.isfinite(inputs.ratings.scores)])
    if len(values) > FEW_VALUES or len(inputs.ratings.readers) < 2 or np.isneginf(inputs.ratings.scores).any():  # fmt: skip
        return {}, (), ""
    order = tuple(f"{v:g}" for v in values)
    return _by_case(inputs, lambda x: f"{x:g}"), order, f"Ratings taken as categories: {', '.join(order)}."


def _kappa_table(
    inputs: ReportInputs, categories: Categories, order: tuple[str, ...], source: str, name: str = "agreement"
) -> Table:  # fmt: skip
    every: list[tuple[Cell, ...]] = []
    pairs: list[tuple[Cell, ...]] = []
    readers = tuple(categories)
    weightings = (Weighting.NONE, Weighting.LINEAR, Weighting.QUADRATIC) if len(order) > 2 else (Weighting.NONE,)  # fmt: skip
    for arm in inputs.ratings.modalities:
        common = [c for c in inputs.ratings.cases if all(c in categories[r].get(arm, {}) for r in readers)]
        if len(readers) > 2 and len(common) > 1:
            k = fleiss_kappa(category_counts([[categories[r][arm][c] for r in readers] for c in common], order))  # fmt: skip
            every.append((arm, "all readers", "Fleiss", k.n, k.kappa, k.lower, k.upper, p_shown(k.p_value), k.band or k.note))  # fmt: skip
        for first, second in combinations(readers, 2):
            a, b = categories[first].get(arm, {}), categories[second].get(arm, {})
            shared = [case for case in a if case in b]
            if not shared:
                continue
            table = confusion([a[c] for c in shared], [b[c] for c in shared], order)
            for weighting in weightings:
                k = cohen_kappa(table, weighting=weighting)
                pairs.append((arm, f"{first}, {second}", f"Cohen, {weighting.value}", k.n, k.kappa, k.lower, k.upper, p_shown(k.p_value), k.band or k.note))  # fmt: skip
    return Table(name=name, title="Kappa (95 % interval)" if name == "agreement" else "Kappa of calls (95 % interval)",
                 head=("arm", "readers", "kappa", "cases", "estimate", "lower", "upper", "p (no agreement)", "Landis & Koch"), rows=(*every, *pairs),
                 note=f"{source} Bands after Landis & Koch 1977.", on_page=len(every) + MOST_PAIRS)  # fmt: skip


def _icc_table(inputs: ReportInputs) -> Table:
    rows: list[tuple[Cell, ...]] = []
    unmarked = 0
    for i, arm in enumerate(inputs.ratings.modalities):
        scores = inputs.ratings.scores[i]
        complete = np.isfinite(scores).all(axis=0)
        unmarked += int((np.isneginf(scores).any(axis=0) & ~np.isnan(scores).any(axis=0)).sum())
        for one in intraclass(scores[:, complete].T):
            rows.append((arm, one.form.value, int(complete.sum()), one.icc, one.lower, one.upper, p_shown(one.p_value), one.note))  # fmt: skip
    return Table(name="icc", title="Intraclass correlation of ratings (95 % interval)",
                 head=("arm", "form", "cases", "estimate", "lower", "upper", "p", "note"), rows=tuple(rows),
                 note="Shrout & Fleiss 1979; cases that every reader rated."
                 + (f" Left out, as nothing marked is no number: {unmarked} cases (counted in each arm) in which a reader marked nothing; agreement holds for marked cases only." if unmarked else ""))  # fmt: skip
