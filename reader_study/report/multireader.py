"""The accuracy section: areas by reader, Obuchowski-Rockette in the Iowa layout, U-statistics, the AI alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from reader_study.report import figures
from reader_study.report.analysis import COVARIANCE, Choice
from reader_study.report.dbm_from_covariance import dbm_from
from reader_study.report.inputs import ReportInputs
from reader_study.report.page import Absent, Cell, Part, Section, Table, p_shown
from reader_study.statistics import ustatistics
from reader_study.statistics.bootstrap import bootstrap, first_mean, mean_difference
from reader_study.statistics.covariance import Covariance, Estimates, estimates
from reader_study.statistics.delong import auc_interval, paired_test
from reader_study.statistics.obuchowski_rockette import Generalise, OrAnalysis, analyse
from reader_study.statistics.proportions import holm
from reader_study.statistics.provenance import provenance, provenance_of, with_exclusions
from reader_study.statistics.ratings import Ratings, StatisticsError

ACCURACY = "Reader accuracy"
BOOTSTRAP_SEED = 20_210


def attempt(title: str, make: Callable[[], Part]) -> Part:
    """Make a part, or say in its place why it cannot be made."""
    try:
        return make()
    except StatisticsError as error:
        return Absent(title=title, why=str(error))


def accuracy(inputs: ReportInputs, choice: Choice) -> Section:
    """ROC analysis: readers, the multi-reader tests, components, DBM beside OR, U-statistics, bootstrap."""
    ratings = inputs.ratings
    parts: list[Part] = [
        attempt("Empirical ROC curves", lambda: figures.roc_figure(inputs)),
        attempt("Area under the curve by reader", lambda: _auc_table(inputs)),
        attempt("Precision-recall curves", lambda: figures.precision_recall_figure(inputs)),
        attempt("Distribution of ratings", lambda: figures.distribution_figure(inputs)),
    ]
    try:
        found = estimates(ratings, covariance=COVARIANCE[choice.covariance])
    except StatisticsError as error:
        parts.append(Absent(title="Obuchowski-Rockette analysis", why=str(error)))
    else:
        parts += or_parts(found, "auc", "Area under the empirical ROC curve", inputs.exclusions)
        parts.append(attempt("Differences of each reader", lambda: _reader_differences(found, inputs)))
        parts.append(attempt("DBM variance components", lambda: _dbm_table(ratings, found, inputs)))
    parts.append(attempt("U-statistic analysis", lambda: _u_table(inputs)))
    if inputs.bootstrap:
        parts.append(attempt("Bootstrap", lambda: _bootstrap(inputs)))
    few = f"{len(ratings.readers)} readers took part" if len(ratings.readers) > 1 else "One reader took part"
    words = [
        f"The unit of analysis is {inputs.unit}. {few}; the first arm named is the first of every difference."
    ]
    if len(ratings.readers) < 5:
        words.append(
            "With so few readers the tests that generalise to other readers have few degrees of freedom and little power;"
            " fixed-reader results hold for these readers only."
        )  # fmt: skip
    return Section(title=ACCURACY, words=tuple(words), parts=tuple(parts))


def _auc_table(inputs: ReportInputs) -> Table:
    ratings = inputs.ratings
    arms = ratings.modalities
    rows: list[tuple[Cell, ...]] = []
    p_values: list[float] = []
    flat = False
    for j, reader in enumerate(ratings.readers):
        cells: list[Cell] = [reader]
        for i in range(len(arms)):
            if not _both_read(ratings, j, (i,)):  # a parallel study: this reader is of another arm
                cells.append("–")
                continue
            one = auc_interval(ratings.scores[i, j], ratings.truth)
            flat = flat or not one.variance > 0
            cells.append(f"{one.auc:.3f} ({one.lower:.3f}–{one.upper:.3f})")
        if len(arms) > 1 and not _both_read(ratings, j, (0, 1)):
            cells += ["–", "–"]
            p_values.append(math.nan)
        elif len(arms) > 1:
            test = paired_test(ratings.scores[0, j], ratings.scores[1, j], ratings.truth)
            cells += [
                f"{test.difference:+.3f} ({test.lower:+.3f} to {test.upper:+.3f})",
                p_shown(test.p_value),
            ]
            p_values.append(test.p_value)
        rows.append(tuple(cells))
    if p_values:
        adjusted = iter(holm([p for p in p_values if not math.isnan(p)]))
        rows = [(*row, p_shown(p if math.isnan(p) else next(adjusted))) for row, p in zip(rows, p_values, strict=True)]  # fmt: skip
    head = ("reader", *arms)
    if len(arms) > 1:
        head = (*head, f"{arms[0]} - {arms[1]}", "p", "p (Holm)")
    source = provenance(
        "Empirical area under the ROC curve, DeLong intervals; DeLong's paired test",
        ratings.digest(),
        covariance="DeLong",
        df_rule="normal",
        readers=len(ratings.readers),
        cases=len(ratings.cases),
        exclusions=inputs.exclusions,
    )
    return Table(
        name="auc_by_reader",
        title="Area under the curve by reader (95 % interval)",
        head=head,
        rows=tuple(rows),
        note=_single_reader_note(arms, flat, clustered=ratings.clusters is not None) + source.sentence(),
    )


def _both_read(ratings: Ratings, j: int, arms: Sequence[int]) -> bool:
    """Whether the reader read, in all these arms, two or more same cases of each truth."""
    read = ~np.isnan(ratings.scores[list(arms), j]).any(axis=0)
    return min(int((read & ratings.truth).sum()), int((read & ~ratings.truth).sum())) >= 2


def _single_reader_note(arms: Sequence[str], flat: bool, *, clustered: bool) -> str:
    words = "Each reader by herself: cases are random, readers fixed. "
    if clustered:
        words += "DeLong takes the breasts of one woman for independent; the multi-reader tables by jackknife do not. "
    if len(arms) > 2:
        words += f"Compared are the first two of {len(arms)} arms. "
    if flat:
        words += "Where all scores separate the cases perfectly DeLong's variance is 0 and the interval has no width; it is not exact. "
    return words


def or_parts(found: Estimates, name: str, title: str, exclusions: Sequence[str] = ()) -> list[Part]:
    """The tables of an Obuchowski-Rockette analysis in the layout of the Iowa programs."""
    parts: list[Part] = []
    first: OrAnalysis | None = None
    made: list[OrAnalysis] = []
    tests: list[tuple[Cell, ...]] = []
    gaps: list[tuple[Cell, ...]] = []
    for generalise in Generalise:
        try:
            result = analyse(found, generalise)
        except StatisticsError as error:
            parts.append(Absent(title=f"{title}: {generalise.value}", why=str(error)))
            continue
        first = first or result
        made.append(result)
        if result.test is not None:
            t = result.test
            tests.append((generalise.value, t.name, t.statistic, t.df1, t.df2, p_shown(t.p_value)))
        for gap in result.differences:
            gaps.append((generalise.value, gap.label, gap.estimate, gap.error, gap.df, gap.lower, gap.upper, p_shown(gap.p_value)))  # fmt: skip
    if first is None:
        return parts
    note = _source_of(made, exclusions)
    c = first.components
    parts.append(
        Table(
            name=f"{name}_means",
            title=f"{title}: mean over readers",
            head=("arm", "estimate", "std. error", "df", "95 % lower", "upper"),
            rows=tuple((m.label, m.estimate, m.error, m.df, m.lower, m.upper) for m in first.means),
            note=f"{first.generalise.value.capitalize()}. {_flat(first)}{note}",
        )
    )
    if tests:
        parts.append(Table(name=f"{name}_tests", title=f"{title}: tests of equal arms", head=("generalises to", "statistic", "value", "df1", "df2", "p"), rows=tuple(tests), note=note))  # fmt: skip
        parts.append(Table(name=f"{name}_differences", title=f"{title}: differences of arms", head=("generalises to", "arms", "difference", "std. error", "df", "95 % lower", "upper", "p"), rows=tuple(gaps), note=note))  # fmt: skip
    parts.append(
        Table(
            name=f"{name}_components",
            title=f"{title}: variance components and covariances",
            head=("reader", "arm x reader", "error", "Cov1", "Cov2", "Cov3"),
            rows=((c.reader, c.modality_by_reader, c.error, c.cov1, c.cov2, c.cov3),),
            note="Cov1: same reader, other arm; Cov2: other reader, same arm; Cov3: both differ. A negative component is an estimate of one near zero and is shown as it is. "
            + note,
        )
    )
    return parts


def _source_of(made: Sequence[OrAnalysis], exclusions: Sequence[str]) -> str:
    """Provenance of a table that holds several generalisations: each with its own rule for the degrees of freedom."""
    known = provenance_of(made[0], exclusions=exclusions)
    method = made[0].method.replace(f", {made[0].generalise.value}", "")
    rules = "; ".join(f"{one.generalise.value}: {one.df_rule}" for one in made)
    return replace(known, method=method, df_rule=rules).sentence()


def _flat(found: OrAnalysis) -> str:
    """Says so where an interval has no width because every reader has the same figure."""
    same = [one.label for one in found.means if not one.error > 0]
    return (
        f"No variance was found in {', '.join(same)}, so the interval has no width; it is not exact. "
        if same
        else ""
    )


def _u_table(inputs: ReportInputs) -> Table:
    arms = inputs.ratings.modalities
    results = [ustatistics.area(inputs.ratings, arm) for arm in arms]
    results += [ustatistics.difference(inputs.ratings, a, b) for a, b in combinations(arms, 2)]
    rows: list[tuple[Cell, ...]] = []
    for r in results:
        compares = " - " in r.label and r.label not in arms
        rows.append((r.label, r.estimate, r.variance, r.df, r.lower, r.upper, p_shown(r.p_value) if compares else "–"))  # fmt: skip
    negative = [r.label for r in results if r.negative_variance]
    warning = (
        f" The variance of {', '.join(negative)} is negative: too few readers or cases." if negative else ""
    )
    source = provenance(results[0].method, inputs.ratings.digest(), df_rule="Obuchowski, Gallas & Hillis 2012",
                        readers=results[0].readers, cases=len(inputs.ratings.cases), exclusions=inputs.exclusions)  # fmt: skip
    return Table(
        name="u_statistics",
        title="U-statistic analysis (also where reads are missing)",
        head=("arm", "area", "variance", "df", "95 % lower", "upper", "p"),
        rows=tuple(rows),
        note=source.sentence() + warning,
    )


def _reader_differences(found: Estimates, inputs: ReportInputs) -> Table:
    """Each reader's own difference, from her own covariances (RS-S13)."""
    if len(found.modalities) < 2:
        raise StatisticsError("Differences: expected two arms, found one.")
    result = analyse(found, Generalise.CASES)
    rows = tuple(
        (d.label, d.estimate, d.error, d.lower, d.upper, p_shown(d.p_value)) for d in result.reader_differences
    )  # fmt: skip
    return Table(name="auc_reader_differences", title="Difference of arms for each reader, cases random",
                 head=("reader: arms", "difference", "std. error", "95 % lower", "upper", "p"), rows=rows,
                 note=provenance_of(result, exclusions=inputs.exclusions).sentence())  # fmt: skip


def _dbm_table(ratings: Ratings, found: Estimates, inputs: ReportInputs) -> Table:
    """DBM's six components and F beside OR's, which they equal with the jackknife (RS-S4)."""
    jackknifed = found if found.method is Covariance.JACKKNIFE else estimates(ratings)
    parts = dbm_from(jackknifed)
    ms = parts.mean_squares
    rows: list[tuple[Cell, ...]] = [
        ("reader", parts.reader, ms["R"]), ("case", parts.case, ms["C"]),
        ("arm x reader", parts.modality_by_reader, ms["TR"]), ("arm x case", parts.modality_by_case, ms["TC"]),
        ("reader x case", parts.reader_by_case, ms["RC"]), ("error (arm x reader x case)", parts.error, ms["TRC"]),
        ("arm", None, ms["T"]),
    ]  # fmt: skip
    source = provenance("DBM, normalised pseudovalues (Hillis, Berbaum & Metz 2008)", jackknifed.digest, covariance="jackknife",
                        df_rule="Hillis", readers=len(found.readers), cases=jackknifed.case_count, exclusions=inputs.exclusions)  # fmt: skip
    return Table(name="dbm_components", title="DBM variance components and mean squares of pseudovalues",
                 head=("", "variance component", "mean square"), rows=tuple(rows),
                 note="With random readers and cases the DBM test equals the Obuchowski-Rockette test with jackknife covariance. " + source.sentence())  # fmt: skip


def _bootstrap(inputs: ReportInputs) -> Table:
    """Resampling beside the formulae; the seed is fixed, so the same data give the same table."""
    ratings = inputs.ratings
    rows: list[tuple[Cell, ...]] = []
    note = ""
    for readers in (False, True):
        found = bootstrap(ratings, np.random.default_rng(BOOTSTRAP_SEED), resample_readers=readers, replicates=inputs.bootstrap,
                          summary=mean_difference if len(ratings.modalities) > 1 else first_mean)  # fmt: skip
        note = note or with_exclusions(found, inputs.exclusions).provenance.sentence()
        bca = ("–", "–") if found.corrected is None else found.corrected
        rows.append(
            (
                "readers and cases" if readers else "cases",
                found.estimate,
                found.error,
                *found.percentile,
                *bca,
            )
        )
    what = (
        f"{ratings.modalities[0]} - {ratings.modalities[1]}"
        if len(ratings.modalities) > 1
        else ratings.modalities[0]
    )
    return Table(name="bootstrap", title=f"Bootstrap of the readers' mean AUC, {what}",
                 head=("resampled", "estimate", "std. error", "percentile lower", "upper", "BCa lower", "upper "), rows=tuple(rows),
                 note=f"{inputs.bootstrap} replicates, seed {BOOTSTRAP_SEED}. {note}")  # fmt: skip
