"""Tables in the layout of two published reader studies, so that results can be set beside them.

Tables A1 to A4: finding types by reader group and arm (a four-view study of junior and senior readers). Tables C2 to C5:
the AI, its operating points, and each reader without and with it (a contrast-mammography study).
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from reader_study.report.ai_section import ai_cut, ai_scores, metrics_cells, operating_points_of_ai
from reader_study.report.inputs import ReportInputs, TypeRatings
from reader_study.report.multireader import attempt
from reader_study.report.page import Absent, Cell, Part, Section, Table, p_shown
from reader_study.statistics.agreement import Kappa, category_counts, cohen_kappa, confusion, fleiss_kappa
from reader_study.statistics.delong import auc_interval, paired_test, unpaired_test
from reader_study.statistics.proportions import mcnemar
from reader_study.statistics.ratings import Flags, Floats, Ratings, StatisticsError
from reader_study.statistics.roc import youden_point
from reader_study.statistics.times import TimeSummary, Unit, compare_by_group

_POOLED = "Reads of a group are pooled as the published table has them: reads of one case are taken for independent, so errors and p are too small (pseudo-replication); the multi-reader tables are the result."
PAPERS = "Layouts of published studies"
_ALL = "all readers"


def paper_tables(inputs: ReportInputs) -> Section:
    """All eight tables, each or why it is not given."""
    parts: list[Part] = []
    if len(inputs.ratings.modalities) == 2:
        parts += [
            attempt("Finding types: AUC", lambda: type_auc_table(inputs)),
            attempt("Finding types: comparisons", lambda: type_comparison_table(inputs)),
            attempt("Reading time by group", lambda: group_time_table(inputs)),
            attempt("Finding types: kappa", lambda: type_kappa_table(inputs)),
        ]
    else:
        parts.append(Absent(title="Finding types and groups", why="these tables compare two arms."))
    if inputs.standalone and inputs.cut is not None:
        parts += [
            attempt("Performance of the AI", lambda: ai_table(inputs)),
            attempt("The AI at high sensitivity and specificity", lambda: ai_points_table(inputs)),
            attempt("The AI and the readers alone", lambda: ai_reader_table(inputs)),
        ]
    else:
        parts.append(Absent(title="Performance of the AI", why="it needs the AI's scores and a cut-off of the readers (--cut)."))  # fmt: skip
    if inputs.cut is not None and len(inputs.ratings.modalities) == 2:
        parts.append(attempt("Readers with the AI", lambda: aided_table(inputs)))
    words = (
        "Layouts follow two published studies so that figures can be compared. Where these layouts pool the reads of a group, the"
        " reads of one case are taken for independent, as those papers did; the multi-reader tables above do not."
    )
    return Section(title=PAPERS, words=(words,), parts=tuple(parts))


# ------------------------------------------------------------------------------------------------ groups and pooling


def groups_of(inputs: ReportInputs, ratings: Ratings) -> dict[str, list[int]]:
    """Group -> positions of its readers, in order of first appearance; one group where none is known."""
    found: dict[str, list[int]] = {}
    for j, reader in enumerate(ratings.readers):
        found.setdefault(inputs.groups.get(reader, _ALL), []).append(j)
    return found


def types_of(inputs: ReportInputs) -> dict[str, TypeRatings]:
    """The finding types, or the study's own ratings where types were not handed in."""
    return dict(inputs.by_type) or {
        "any finding": TypeRatings(ratings=inputs.ratings, standalone=inputs.standalone)
    }


def pooled(ratings: Ratings, i: int, readers: list[int]) -> tuple[Floats, Flags]:
    """Scores of all reads of these readers under one arm, one after the other, with the truth of each."""
    return ratings.scores[i, readers].ravel(), np.tile(ratings.truth, len(readers))


def _p_of_chance(area: float, variance: float) -> float | None:
    """Two-sided normal test of AUC = 0.5."""
    return float(2 * stats.norm.sf(abs(area - 0.5) / math.sqrt(variance))) if variance > 0 else None


def _auc_row(label: str, scores: Floats, truth: Flags) -> tuple[Cell, ...]:
    keep = ~np.isnan(scores)
    one = auc_interval(scores, truth)
    best, _ = youden_point(scores[keep], truth[keep])
    return (label, f"{one.auc:.3f} ({one.lower:.3f}–{one.upper:.3f})", f"{math.sqrt(one.variance):.3f}", p_shown(_p_of_chance(one.auc, one.variance)),
            f"{100 * best.sensitivity:.2f}", f"{100 * best.specificity:.2f}", best.threshold, f"{best.youden:.3f}")  # fmt: skip


def type_auc_table(inputs: ReportInputs) -> Table:
    """Table 1 of the four-view study: finding types by AI, group and arm."""
    rows: list[tuple[Cell, ...]] = []
    for name, one in types_of(inputs).items():
        ratings = one.ratings
        if one.standalone:
            scores = np.array([one.standalone.get(c, np.nan) for c in ratings.cases])
            rows.append((name, *_auc_row("AI", scores, ratings.truth)))
        for group, readers in groups_of(inputs, ratings).items():
            for i in (1, 0):
                rows.append((name, *_auc_row(f"{group}, {ratings.modalities[i]}", *pooled(ratings, i, readers))))  # fmt: skip
    return Table(name="layout_a1", title="Table A1. AUC by finding type, group and arm",
                 head=("feature", "", "AUC (95 % interval)", "SE", "P", "sensitivity, %", "specificity, %", "cut-off", "Youden's J"), rows=tuple(rows),
                 note="DeLong standard errors; P tests AUC = 0.5. Cut-off of the highest Youden index (optimistic); the published table prints J under the name of cut-off. " + _POOLED)  # fmt: skip


def type_comparison_table(inputs: ReportInputs) -> Table:
    """Table 2 of the four-view study: DeLong P within groups (paired) and between groups (unpaired)."""
    head: list[str] = ["feature"]
    rows: list[tuple[Cell, ...]] = []
    for name, one in types_of(inputs).items():
        ratings = one.ratings
        aided, alone = ratings.modalities
        groups = groups_of(inputs, ratings)
        cells: list[Cell] = [name]
        head = ["feature"]
        for group, readers in groups.items():
            head.append(f"{group}: {alone} vs {aided}")
            test = paired_test(pooled(ratings, 1, readers)[0], pooled(ratings, 0, readers)[0], np.tile(ratings.truth, len(readers)))  # fmt: skip
            cells.append(p_shown(test.p_value))
        names = list(groups)
        for a in range(len(names)):
            for b in range(a + 1, len(names)):
                for i, arm in ((0, aided), (1, alone)):
                    head.append(f"{arm}: {names[b]} vs {names[a]}")
                    test = unpaired_test(*pooled(ratings, i, groups[names[b]]), *pooled(ratings, i, groups[names[a]]))  # fmt: skip
                    cells.append(p_shown(test.p_value))
        rows.append(tuple(cells))
    return Table(name="layout_a2", title="Table A2. Comparisons of AUC (P)", head=tuple(head), rows=tuple(rows),
                 note="DeLong's test: paired within a group (same readers and cases), unpaired between groups. " + _POOLED)  # fmt: skip


def group_time_table(inputs: ReportInputs) -> Table:
    """Table 3 of the four-view study: median (min-max) by group and arm, with Wilcoxon P by three units."""
    times = inputs.opened_times or inputs.times
    if times is None:
        raise StatisticsError("Reading times: expected times, found none.")
    aided, alone = inputs.ratings.modalities
    rows: list[tuple[Cell, ...]] = []
    found = compare_by_group(times, alone, aided)
    for label in dict.fromkeys(c.label for c in found):
        own = {c.unit: c for c in found if c.label == label}
        by = own[Unit.READ]
        rows.append((label, _span(by.first), _span(by.second),
                     *(p_shown(own[unit].test.p_value) for unit in (Unit.READ, Unit.CASE, Unit.READER))))  # fmt: skip
    kind = "case opened to submit" if inputs.opened_times is not None else "first painted frame to submit"
    return Table(name="layout_a3", title="Table A3. Reading time by group, median (min–max), s",
                 head=("group", alone, aided, "P, pooled reads", "P, cases", "P, readers"), rows=tuple(rows),
                 note=f"Interval: {kind}. Wilcoxon signed-rank test; the published table prints the pooled one, which takes reads of one reader and of one case for independent (pseudo-replication): its P is too small. With n readers the last cannot go below 2/2^n.")  # fmt: skip


def _span(times: TimeSummary) -> str:
    """Median (min–max) to a tenth of a second."""
    return f"{round(times.median, 1):g} ({round(times.minimum, 1):g}–{round(times.maximum, 1):g})"


def _group_kappa(calls: Floats, readers: list[int]) -> Kappa:
    """Cohen's kappa of two readers, Fleiss' of more, on cases that all of them read."""
    own = calls[readers]
    complete = ~np.isnan(own).any(axis=0)
    table = own[:, complete].astype(int)
    if len(readers) < 2:
        raise StatisticsError("Kappa: expected two readers in the group, found one.")
    if len(readers) == 2:
        return cohen_kappa(confusion(table[0].tolist(), table[1].tolist(), (0, 1)))
    return fleiss_kappa(category_counts(table.T.tolist(), (0, 1)))


def type_kappa_table(inputs: ReportInputs) -> Table:
    """Table 4 of the four-view study: kappa by finding type, group and arm."""
    rows: list[tuple[Cell, ...]] = []
    head: list[str] = []
    for name, one in types_of(inputs).items():
        ratings = one.ratings
        cut = 0.5 if inputs.by_type else inputs.cut
        if cut is None:
            raise StatisticsError(
                "Kappa of calls: expected finding types or a cut-off (--cut), found neither."
            )
        cells: list[Cell] = [name]
        head = ["feature"]
        for group, readers in groups_of(inputs, ratings).items():
            for i in (1, 0):
                head += [f"{group}, {ratings.modalities[i]}: kappa", "P", "band"]
                x = ratings.scores[i]
                calls = np.where(np.isnan(x), np.nan, (x >= cut).astype(float))
                try:
                    k = _group_kappa(calls, readers)
                    cells += [k.kappa, p_shown(k.p_value), k.band or k.note]
                except StatisticsError as error:
                    cells += [None, "–", str(error)]
        rows.append(tuple(cells))
    return Table(name="layout_a4", title="Table A4. Agreement within groups, kappa", head=tuple(head), rows=tuple(rows),
                 note="Cohen's kappa of two readers, Fleiss' of more; P tests no agreement beyond chance. Bands after Landis & Koch 1977.")  # fmt: skip


# ------------------------------------------------------------------------------------------------ the AI and single readers

_METRICS = ("accuracy", "sensitivity", "specificity", "PPV", "NPV", "F1")
_WILSON = "95 % Wilson intervals."


def _ai(inputs: ReportInputs) -> tuple[Floats, Flags, Flags]:
    """Scores and truth of the cases that the AI scored, and which cases those are."""
    scores = ai_scores(inputs)
    keep = ~np.isnan(scores)
    return scores[keep], inputs.ratings.truth[keep], keep


def ai_table(inputs: ReportInputs) -> Table:
    """Table 2 of the contrast study: the AI at its own cut-off."""
    scores, truth, _ = _ai(inputs)
    cut, whence = ai_cut(inputs)
    one = auc_interval(scores, truth)
    rows: list[tuple[Cell, ...]] = [("AUC", f"{one.auc:.3f} ({one.lower:.3f}–{one.upper:.3f})")]
    rows += list(zip(_METRICS, metrics_cells(scores >= cut, truth), strict=True))
    return Table(name="layout_c2", title="Table C2. Performance of the AI", head=("metric", "AI"), rows=tuple(rows),
                 note=f"Cut-off {cut:g} ({whence}). AUC: DeLong; {_WILSON}")  # fmt: skip


def ai_points_table(inputs: ReportInputs) -> Table:
    """Table 3 of the contrast study: the AI at 95 % sensitivity and at 95 % specificity."""
    scores, truth, _ = _ai(inputs)
    one = auc_interval(scores, truth)
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (name, cut, f"{one.auc:.3f} ({one.lower:.3f}–{one.upper:.3f})", *metrics_cells(scores >= cut, truth))
        for name, cut in operating_points_of_ai(inputs, ai_scores(inputs))
        if name.startswith("high ")
    )
    return Table(name="layout_c3", title="Table C3. The AI at high sensitivity and at high specificity",
                 head=("threshold", "cut-off", "AUC", *_METRICS), rows=rows, note=f"Found on these data (optimistic). {_WILSON}")  # fmt: skip


def _right_ps(first: Flags, second: Flags, truth: Flags) -> tuple[str, str, str]:
    """McNemar's exact P of accuracy, sensitivity and specificity of two sets of calls on the same cases."""
    found = []
    for pick in (np.ones_like(truth), truth, ~truth):
        a, b = (first == truth)[pick], (second == truth)[pick]
        found.append(p_shown(mcnemar(int((a & ~b).sum()), int((b & ~a).sum()), cases=int(pick.sum())).p_exact))  # fmt: skip
    return found[0], found[1], found[2]


def _columns(metrics: tuple[str, ...], ps: tuple[str, str, str] | None) -> list[tuple[Cell, Cell]]:
    """A reader's two columns: metric and P; predictive values and F1 have no McNemar test."""
    shown = ("–",) * 6 if ps is None else (*ps, "–", "–", "–")
    return list(zip(metrics, shown, strict=True))


MANY_READERS = 6  # beyond, readers are the rows


def _by_reader(inputs: ReportInputs, columns: list[list[tuple[Cell, Cell]]], arm: str, first: tuple[Cell, ...] | None) -> tuple[tuple[str, ...], tuple[tuple[Cell, ...], ...]]:  # fmt: skip
    """Head and rows of many readers: one row a reader (and the AI first), the published columns beside each other."""
    head = ("", *(h for m in _METRICS for h in ((m, "P") if m in _METRICS[:3] else (m,))))
    rows: list[tuple[Cell, ...]] = []
    if first is not None:
        rows.append(("AI", *(c for k, cell in enumerate(first) for c in ((cell, "–") if k < 3 else (cell,)))))
    for reader, column in zip(inputs.ratings.readers, columns, strict=True):
        rows.append((f"{reader}, {arm}", *(c for k, (m, p) in enumerate(column) for c in ((m, p) if k < 3 else (m,)))))  # fmt: skip
    return head, tuple(rows)


def _kappa_line(calls: Floats) -> str:
    if len(calls) < 2:
        return "–"
    try:
        k = _group_kappa(calls, list(range(len(calls))))
    except StatisticsError:
        return "–"
    return "–" if k.kappa is None else f"{k.kappa:.3f} ({k.band})"


def _readers_calls(inputs: ReportInputs, i: int) -> Floats:
    x = inputs.ratings.scores[i]
    return np.where(np.isnan(x), np.nan, (x >= (inputs.cut or 0.0)).astype(float))


def ai_reader_table(inputs: ReportInputs) -> Table:
    """Table 4 of the contrast study: the AI beside each reader without it, P against the AI."""
    _, _, keep = _ai(inputs)
    alone = len(inputs.ratings.modalities) - 1
    cut, _ = ai_cut(inputs)
    positive = ai_scores(inputs) >= cut
    truth = inputs.ratings.truth
    calls = _readers_calls(inputs, alone)
    columns: list[list[tuple[Cell, Cell]]] = []
    for own in calls:
        both = keep & ~np.isnan(own)
        ps = _right_ps(own[both] == 1, positive[both], truth[both])
        columns.append(_columns(metrics_cells(own[both] == 1, truth[both]), ps))
    ai = metrics_cells(positive[keep], truth[keep])
    rows: list[tuple[Cell, ...]] = [(name, ai[k], *(cell for column in columns for cell in column[k])) for k, name in enumerate(_METRICS)]  # fmt: skip
    rows.append(("kappa between readers", "", _kappa_line(calls), *([""] * (2 * len(columns) - 1))))
    arm = inputs.ratings.modalities[alone]
    head: tuple[str, ...] = (
        "metric",
        "AI",
        *(h for r in inputs.ratings.readers for h in (f"{r}, {arm}", "P")),
    )
    body = tuple(rows)
    if len(columns) > MANY_READERS:
        head, body = _by_reader(inputs, columns, arm, ai)
    return Table(name="layout_c4", title="Table C4. The AI and each reader without it", head=head, rows=body,
                 note=f"Kappa between readers: {_kappa_line(calls)}. P: McNemar's exact test against the AI on the same cases; predictive values and F1 have no such test. {_WILSON}")  # fmt: skip


def aided_table(inputs: ReportInputs) -> Table:
    """Table 5 of the contrast study: each reader in the first arm, P against the same reader in the second."""
    truth = inputs.ratings.truth
    aided, alone = _readers_calls(inputs, 0), _readers_calls(inputs, 1)
    columns: list[list[tuple[Cell, Cell]]] = []
    for one, two in zip(aided, alone, strict=True):
        both = ~np.isnan(one) & ~np.isnan(two)
        ps = _right_ps(one[both] == 1, two[both] == 1, truth[both])
        columns.append(_columns(metrics_cells(one[both] == 1, truth[both]), ps))
    rows: list[tuple[Cell, ...]] = [(name, *(cell for column in columns for cell in column[k])) for k, name in enumerate(_METRICS)]  # fmt: skip
    rows.append(("kappa between readers", _kappa_line(aided), *([""] * (2 * len(columns) - 1))))
    first, second = inputs.ratings.modalities
    head: tuple[str, ...] = ("metric", *(h for r in inputs.ratings.readers for h in (f"{r}, {first}", "P")))
    body = tuple(rows)
    if len(columns) > MANY_READERS:
        head, body = _by_reader(inputs, columns, first, None)
    return Table(name="layout_c5", title=f"Table C5. Readers, {first}", head=head, rows=body,
                 note=f"Kappa between readers: {_kappa_line(aided)}. P: McNemar's exact test against the same reader, {second}. {_WILSON}")  # fmt: skip
