"""Design, cut-offs, localisation, times and agreement: sections computed from ``ReportInputs``.

What cannot be computed says why in its place. ROC analysis is in ``multireader``.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from reader_study.report import figures
from reader_study.report.inputs import ReportInputs
from reader_study.report.multireader import Part, accuracy, attempt, or_parts
from reader_study.report.page import Absent, Cell, Section, Table, p_shown
from reader_study.statistics.agreement import Weighting, category_counts, cohen_kappa, confusion, fleiss_kappa
from reader_study.statistics.covariance import Sensitivity, Specificity, estimates
from reader_study.statistics.froc import FrocFigure, froc_estimates
from reader_study.statistics.proportions import binary_metrics, mcnemar
from reader_study.statistics.ratings import StatisticsError
from reader_study.statistics.roc import youden_point
from reader_study.statistics.times import Unit, compare_by_group, summarise

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
    readers = Table(
        name="readers",
        title="Readers",
        head=("reader", "group", *(f"reads, {arm}" for arm in inputs.ratings.modalities)),
        rows=tuple(
            (reader, inputs.groups.get(reader, "–"), *(int((~np.isnan(inputs.ratings.scores[i, j])).sum()) for i in range(len(inputs.ratings.modalities))))
            for j, reader in enumerate(inputs.ratings.readers)
        ),
    )  # fmt: skip
    parts: list[Part] = []
    if inputs.facts:
        parts.append(Table(name="design", title="Design", head=("", ""), rows=inputs.facts))
    if inputs.flow is not None:
        parts.append(figures.flow_figure(inputs.flow))
    parts += [mix, readers]
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
    return Section(title="Design", words=words, parts=tuple(parts))


# ------------------------------------------------------------------------------------------------ binary


def binary(inputs: ReportInputs) -> Section:
    """Sensitivity and specificity at the protocol's cut-off, by reader and over readers; McNemar; Youden."""
    if inputs.cut is None:
        return Section(
            title="Sensitivity and specificity",
            parts=(
                Absent(title="At a cut-off", why="the protocol names no cut-off for a positive reading."),
            ),
        )
    cut = inputs.cut
    parts: list[Part] = [
        attempt("By reader", lambda: _binary_table(inputs, cut)),
        attempt("McNemar", lambda: _mcnemar_table(inputs, cut)),
    ]
    for figure, name in ((Sensitivity(cut), "sensitivity"), (Specificity(cut), "specificity")):
        try:
            parts += or_parts(estimates(inputs.ratings, figure=figure, name=name), name, name.capitalize())
        except StatisticsError as error:
            parts.append(Absent(title=name.capitalize(), why=str(error)))
    parts.append(attempt("Youden index", lambda: _youden_table(inputs)))
    return Section(
        title="Sensitivity and specificity",
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
            m = binary_metrics(ratings.scores[i, j, read] >= cut, ratings.truth[read])
            cells: list[Cell] = [reader, arm]
            for p in (m.sensitivity, m.specificity, m.ppv, m.npv, m.accuracy):
                limits = f" ({p.wilson[0]:.2f}–{p.wilson[1]:.2f})" if p.wilson else ""
                cells.append("–" if p.estimate is None else f"{p.estimate:.3f}{limits}")
            rows.append(tuple(cells))
    return Table(name="binary_by_reader", title="By reader and arm (95 % Wilson interval)",
                 head=("reader", "arm", "sensitivity", "specificity", "PPV", "NPV", "accuracy"), rows=tuple(rows),
                 note="Predictive values and accuracy hold for the study's share of disease only.")  # fmt: skip


def _mcnemar_table(inputs: ReportInputs, cut: float) -> Table:
    ratings = inputs.ratings
    if len(ratings.modalities) < 2:
        raise StatisticsError("McNemar: expected two arms, found one.")
    rows: list[tuple[Cell, ...]] = []
    for j, reader in enumerate(ratings.readers):
        both = ~np.isnan(ratings.scores[:2, j]).any(axis=0)
        for truth, name in ((True, "sensitivity"), (False, "specificity")):
            pick = both & (ratings.truth == truth)
            right = (ratings.scores[:2, j][:, pick] >= cut) == truth
            test = mcnemar(int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum()), cases=int(pick.sum()))  # fmt: skip
            rows.append((reader, name, test.first_only, test.second_only, p_shown(test.p_exact)))
    a, b = ratings.modalities[:2]
    return Table(name="mcnemar", title="McNemar's exact test by reader",
                 head=("reader", "", f"right in {a} only", f"right in {b} only", "p, exact"), rows=tuple(rows))  # fmt: skip


def _youden_table(inputs: ReportInputs) -> Table:
    ratings = inputs.ratings
    rows: list[tuple[Cell, ...]] = []
    for i, arm in enumerate(ratings.modalities):
        for j, reader in enumerate(ratings.readers):
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


# ------------------------------------------------------------------------------------------------ free response


def localisation(inputs: ReportInputs) -> Section:
    """wAFROC, AFROC and inferred ROC."""
    title = "Localisation"
    if inputs.froc is None:
        return Section(
            title=title,
            parts=(Absent(title="wAFROC", why="no marks scored against lesions were handed in."),),
        )
    data = inputs.froc
    parts: list[Part] = [attempt("wAFROC curves", lambda: figures.wafroc_figure(data))]
    for figure in (FrocFigure.WAFROC, FrocFigure.AFROC, FrocFigure.HR_AUC):
        try:
            parts += or_parts(froc_estimates(data, figure), figure.value.lower(), figure.value)
        except StatisticsError as error:
            parts.append(Absent(title=figure.value, why=str(error)))
    return Section(title=title, parts=tuple(parts))


# ------------------------------------------------------------------------------------------------ times


def reading_times(inputs: ReportInputs) -> Section:
    """Times by reader, group and arm; paired comparison by reader, case and read; with and without flagged reads."""
    title = "Reading times"
    if inputs.times is None:
        return Section(title=title, parts=(Absent(title="Times", why="no reading times were handed in."),))
    times, arms = inputs.times, inputs.ratings.modalities
    parts: list[Part] = [
        attempt("Reading times", lambda: figures.times_figure(times, arms)),
        attempt("By reader", lambda: _times_table(inputs)),
    ]
    if len(arms) > 1:
        parts.append(attempt("Comparison of arms", lambda: _comparison(inputs, flagged=True)))
        if times.flagged.any():
            parts.append(
                attempt("Comparison without flagged reads", lambda: _comparison(inputs, flagged=False))
            )
    return Section(title=title, parts=tuple(parts))


def _times_table(inputs: ReportInputs) -> Table:
    assert inputs.times is not None
    rows = tuple(
        (
            s.label,
            s.arm,
            s.n,
            s.median,
            f"{s.minimum:.1f}–{s.maximum:.1f}",
            s.lower_quartile,
            s.upper_quartile,
            s.mean,
        )
        for s in summarise(inputs.times)
    )
    return Table(name="times_by_reader", title="Reading time by reader and arm, s",
                 head=("", "arm", "reads", "median", "min–max", "lower quartile", "upper quartile", "mean"), rows=rows,
                 note="From the first painted frame of all views to submit, pauses left out.")  # fmt: skip


def _comparison(inputs: ReportInputs, *, flagged: bool) -> Table:
    assert inputs.times is not None
    times = inputs.times if flagged else inputs.times.unflagged()
    a, b = inputs.ratings.modalities[:2]
    found = compare_by_group(times, a, b, units=(Unit.READER, Unit.CASE))
    rows = tuple(
        (c.label, c.unit.value, c.test.n, c.first.median, c.second.median, c.test.estimate, c.test.lower, c.test.upper,
         p_shown(c.test.p_value), p_shown(c.normality.p_value), c.test.note)
        for c in found
    )  # fmt: skip
    suffix = "" if flagged else "_unflagged"
    return Table(
        name=f"times_comparison{suffix}",
        title=f"Comparison of arms{'' if flagged else ' without flagged reads'} ({a} - {b}), s",
        head=("readers", "unit", "n", f"median, {a}", f"median, {b}", "shift", "95 % lower", "upper", "p", "Shapiro-Wilk p", "note"),
        rows=rows,
        note=found[0].provenance.sentence(),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ agreement


def agreement(inputs: ReportInputs) -> Section:
    """Cohen's kappa of reader pairs and Fleiss' kappa of all, by arm."""
    title = "Agreement between readers"
    if not inputs.categories:
        return Section(
            title=title, parts=(Absent(title="Kappa", why="no categories (BI-RADS) were handed in."),)
        )
    rows: list[tuple[Cell, ...]] = []
    readers = tuple(inputs.categories)
    order = inputs.category_order
    for arm in inputs.ratings.modalities:
        for first, second in combinations(readers, 2):
            a, b = inputs.categories[first].get(arm, {}), inputs.categories[second].get(arm, {})
            shared = [case for case in a if case in b]
            if not shared:
                continue
            table = confusion([a[c] for c in shared], [b[c] for c in shared], order)
            for weighting in (Weighting.NONE, Weighting.QUADRATIC):
                k = cohen_kappa(table, weighting=weighting)
                rows.append((arm, f"{first}, {second}", f"Cohen, {weighting.value}", k.n, k.kappa, k.lower, k.upper, k.band or k.note))  # fmt: skip
        common = [
            c for c in inputs.ratings.cases if all(c in inputs.categories[r].get(arm, {}) for r in readers)
        ]
        if len(readers) > 2 and common:
            counts = category_counts([[inputs.categories[r][arm][c] for r in readers] for c in common], order)
            k = fleiss_kappa(counts)
            rows.append((arm, "all readers", "Fleiss", k.n, k.kappa, k.lower, k.upper, k.band or k.note))
    return Section(
        title=title,
        parts=(
            Table(name="agreement", title="Kappa (95 % interval)",
                  head=("arm", "readers", "kappa", "cases", "estimate", "lower", "upper", "Landis & Koch"), rows=tuple(rows),
                  note=f"Categories: {', '.join(order)}."),
        ),
    )  # fmt: skip


def write_up(inputs: ReportInputs) -> tuple[Section, ...]:
    """All sections in the order of a paper's results."""
    return (
        design(inputs), accuracy(inputs), binary(inputs), localisation(inputs), reading_times(inputs), agreement(inputs),
    )  # fmt: skip
