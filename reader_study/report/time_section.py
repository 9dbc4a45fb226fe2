"""Reading times: by reader and group, paired comparisons by declared unit, the log-time model, design effects."""

from __future__ import annotations

from reader_study.report import figures
from reader_study.report.inputs import ReportInputs
from reader_study.report.multireader import attempt
from reader_study.report.page import Absent, Cell, Part, Section, Table, p_shown
from reader_study.statistics.provenance import with_exclusions
from reader_study.statistics.ratings import StatisticsError
from reader_study.statistics.time_models import TimeModel, fit_log_times
from reader_study.statistics.times import ReadTimes, TimeComparison, Unit, compare_by_group, summarise

TIMES = "Reading times"
FEW_READERS = 6  # below, an exact Wilcoxon over readers cannot reach .05


def reading_times(inputs: ReportInputs) -> Section:
    """All tables of times, or why there are none."""
    if inputs.times is None:
        return Section(title=TIMES, parts=(Absent(title="Times", why="no reading times were handed in."),))
    times, arms = inputs.times, inputs.ratings.modalities
    parts: list[Part] = [
        attempt("Reading times", lambda: figures.times_figure(times, arms)),
        attempt("By reader", lambda: _summary(times, "times_by_reader", "From the first painted frame of all views to submit, pauses left out.")),
    ]  # fmt: skip
    if inputs.opened_times is not None:
        opened = inputs.opened_times
        parts.append(attempt("Case opened to submit", lambda: _summary(opened, "times_opened_to_submit", "From opening the case to submit, loading included: the interval that some papers print.")))  # fmt: skip
    if len(arms) > 1:
        parts.append(attempt("Comparison of arms", lambda: _comparison(inputs, times, flagged=True)))
        if times.flagged.any():
            parts.append(attempt("Comparison without flagged reads", lambda: _comparison(inputs, times, flagged=False)))  # fmt: skip
        parts += _models(inputs, times)
    return Section(title=TIMES, words=(*_words(times), *_untimed(inputs, times)), parts=tuple(parts))


def _words(times: ReadTimes) -> tuple[str, ...]:
    """What the unit of each test means; with few readers, how small its p can be."""
    words = [
        "Tests over readers speak to other readers; tests over cases hold for these readers. Pooled reads take the reads of"
        " one reader and of one case for independent, which they are not; they are printed because papers print them."
    ]
    sizes: dict[str, int] = {"all readers": len(set(times.readers))}
    for reader in dict.fromkeys(times.readers):
        if reader in times.groups:
            sizes[times.groups[reader]] = sizes.get(times.groups[reader], 0) + 1
    for label, n in sizes.items():
        if n < FEW_READERS:
            least = 2.0 / 2**n
            count = "one reader" if n == 1 else f"{n} readers"
            words.append(
                f"{label}: with {count} a two-sided Wilcoxon test over readers cannot go below p = {min(least, 1):.3g}, whatever the times are."
            )
    return tuple(words)


def _untimed(inputs: ReportInputs, times: ReadTimes) -> tuple[str, ...]:
    """Reads that have a rating and no time are said, for they are in no test of times."""
    rated = int((inputs.ratings.scores == inputs.ratings.scores).sum())
    without = rated - len(times.seconds)
    return (
        (f"{without} of {rated} rated reads have no reading time and are not analysed here.",)
        if without > 0
        else ()
    )


def _summary(times: ReadTimes, name: str, note: str) -> Table:
    rows = tuple(
        (s.label, s.arm, s.n, s.median, f"{s.minimum:.1f}–{s.maximum:.1f}", s.lower_quartile, s.upper_quartile, s.mean)
        for s in summarise(times)
    )  # fmt: skip
    title = "Reading time by reader and arm, s" if name == "times_by_reader" else "Case opened to submit by reader and arm, s"  # fmt: skip
    return Table(name=name, title=title, head=("", "arm", "reads", "median", "min–max", "lower quartile", "upper quartile", "mean"),
                 rows=rows, note=note, decimals=2)  # fmt: skip


def _not_independent() -> str:
    return f"The unit '{Unit.READ.value}' is no test of independent values: its p is too small and is printed beside the others only because papers print it."


def _source(found: TimeComparison, times: ReadTimes, flagged: bool) -> str:
    """Provenance that names the flagged reads that were left out before the comparison."""
    left_out = () if flagged else (f"{int(times.flagged.sum())} flagged reads",)
    return with_exclusions(found, left_out).provenance.sentence()


def _comparison(inputs: ReportInputs, times: ReadTimes, *, flagged: bool) -> Table:
    used = times if flagged else times.unflagged()
    a, b = inputs.ratings.modalities[:2]
    found = compare_by_group(used, a, b)
    rows = tuple(
        (c.label, c.unit.value, c.test.n, c.first.median, c.second.median, c.test.estimate, c.test.lower, c.test.upper,
         p_shown(c.test.p_value), c.test.zeros, c.test.tied, p_shown(c.normality.p_value), c.test.note)
        for c in found
    )  # fmt: skip
    suffix = "" if flagged else "_unflagged"
    left = "" if flagged else f" Left out: {int(times.flagged.sum())} flagged reads."
    return Table(
        decimals=2,
        name=f"times_comparison{suffix}",
        title=f"Comparison of arms{'' if flagged else ' without flagged reads'} ({a} - {b}), s",
        head=("readers", "unit", "n", f"median, {a}", f"median, {b}", "shift", "95 % lower", "upper", "p", "zeros", "tied", "Shapiro-Wilk p", "note"),
        rows=rows,
        note=f"Wilcoxon signed-rank test by three units; shift: Hodges-Lehmann.{left} {_not_independent()} First row: {_source(found[0], times, flagged)}",
    )  # fmt: skip


def _models(inputs: ReportInputs, times: ReadTimes) -> list[Part]:
    reference = inputs.ratings.modalities[1]
    parts: list[Part] = [
        attempt("Log-time mixed model", lambda: _model_table(times, reference)),
    ]
    if times.periods is not None or times.positions is not None:
        parts.append(attempt("Period, order and learning in time", lambda: _effects_table(times, reference)))
    return parts


def _rows(model: TimeModel, label: str) -> list[tuple[Cell, ...]]:
    return [
        (label, r.name, r.ratio, r.lower, r.upper, 100 * (r.ratio - 1), r.df, p_shown(r.p_value)) for r in model.ratios
    ]  # fmt: skip


_HEAD = ("model", "effect", "ratio of times", "95 % lower", "upper", "change, %", "df", "p")


def _model_table(times: ReadTimes, reference: str) -> Table:
    """With all reads and without flagged ones; the arm's effect alike for all readers, and varying between them."""
    rows: list[tuple[Cell, ...]] = []
    notes: list[str] = []
    source = ""
    for flagged in (True, False) if times.flagged.any() else (True,):
        for varying in (False, True):
            label = f"{'all reads' if flagged else 'without flagged reads'}, arm effect {'varies between' if varying else 'the same for'} readers"
            try:
                model = fit_log_times(
                    times, reference=reference, include_flagged=flagged, reader_by_arm=varying
                )
            except StatisticsError as error:
                notes.append(f"{label}: {error}")
                continue
            rows += _rows(model, label)
            notes += [note for note in model.notes if note not in notes]
            source += f" {label.capitalize()}: {model.provenance.sentence()}"
    if not rows:
        raise StatisticsError("; ".join(notes))
    return Table(name="times_model", title=f"Log-time mixed model, reader and case random (ratio to {reference})",
                 head=_HEAD, rows=tuple(rows), note=" ".join([*notes, source.strip()]))  # fmt: skip


def _effects_table(times: ReadTimes, reference: str) -> Table:
    model = fit_log_times(times, reference=reference, design_effects=True)
    return Table(name="times_effects", title="Period, order of arms and place in the session",
                 head=_HEAD, rows=tuple(_rows(model, "all reads")), note=" ".join([*model.notes, model.provenance.sentence()]))  # fmt: skip
