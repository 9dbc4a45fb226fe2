"""The first section: the analysis that was asked for, and the protocol's claim with its margin."""

from __future__ import annotations

from reader_study.report.analysis import SHORT, Choice, run
from reader_study.report.inputs import ReportInputs
from reader_study.report.page import Absent, Cell, Section, Table, p_shown
from reader_study.statistics.obuchowski_rockette import Claim, claim_test
from reader_study.statistics.provenance import provenance
from reader_study.statistics.ratings import StatisticsError

PRIMARY = "Primary analysis"
LONG = {short: generalise.value for generalise, short in SHORT.items()}


def primary(inputs: ReportInputs, choice: Choice) -> Section:
    """Tests and differences by the chosen figure of merit, method and covariance."""
    try:
        found = run(inputs, choice)
    except StatisticsError as error:
        return Section(title=PRIMARY, parts=(Absent(title=PRIMARY, why=str(error)),))
    note = provenance(
        f"{found.method.value}, {found.fom_name}", found.digest, covariance=found.covariance,
        df_rule="; ".join(f"{name}: {test.df_rule}" for name, test in found.analyses.items()),
        readers=found.counts["readers"], cases=found.counts["cases"], exclusions=inputs.exclusions,
    ).sentence()  # fmt: skip
    tests: list[tuple[Cell, ...]] = []
    gaps: list[tuple[Cell, ...]] = []
    for name, test in found.analyses.items():
        if test.stat is not None:
            tests.append((LONG[name], test.stat_name, test.stat, test.df1, test.df2, p_shown(test.p)))
        gaps += [(LONG[name], f"{d.a} - {d.b}", d.estimate, d.se, d.df, d.lo, d.hi, p_shown(d.p)) for d in test.differences]  # fmt: skip
    parts: list[Table | Absent] = []
    if gaps:
        parts.append(Table(name="primary_tests", title=f"Equality of arms by {found.fom_name}", head=("generalises to", "statistic", "value", "df1", "df2", "p"), rows=tuple(tests), note=note))  # fmt: skip
        parts.append(Table(name="primary_differences", title=f"Differences of {found.fom_name}", head=("generalises to", "arms", "difference", "std. error", "df", "95 % lower", "upper", "p"), rows=tuple(gaps), note=note))  # fmt: skip
    else:
        parts.append(Absent(title="Differences", why="there is one arm only."))
    words = [
        f"Figure of merit {found.fom_name}, method {found.method.value}, covariance {found.covariance}; the unit of analysis is {inputs.unit}."
    ]
    words += [f"Note: {warning}" for warning in found.warnings]
    if inputs.claim is not None:
        parts.append(_claim(inputs, choice, note))
    return Section(title=PRIMARY, words=tuple(words), parts=tuple(parts))


def _claim(inputs: ReportInputs, choice: Choice, note: str) -> Table | Absent:
    """Does the one-sided bound clear the margin? For every generalisation and pair of arms (RS-S12)."""
    claim = inputs.claim or Claim.SUPERIORITY
    rows: list[tuple[Cell, ...]] = []
    try:
        found = run(inputs, choice)
        for result in found.or_analyses:
            for gap in result.differences:
                if not gap.error > 0:
                    rows.append((result.generalise.value, gap.label, gap.estimate, None, None, "–", "not tested: no variance"))  # fmt: skip
                    continue
                said = claim_test(gap, claim, margin=inputs.margin)
                rows.append((result.generalise.value, gap.label, gap.estimate, said.bound, -inputs.margin if claim is Claim.NON_INFERIORITY else 0.0, p_shown(said.p_value), "shown" if said.shown else "not shown"))  # fmt: skip
    except StatisticsError as error:
        return Absent(title=f"Claim of {claim.value}", why=str(error))
    if not rows:
        return Absent(
            title=f"Claim of {claim.value}", why="claims are tested with the Obuchowski-Rockette method and two arms."
        )  # fmt: skip
    words = "One-sided at 0.025: the claim is shown when the lower 97.5 % bound of first minus second lies above the limit. "
    return Table(name="claim", title=f"Claim: {claim.value} of the first arm",
                 head=("generalises to", "arms", "difference", "lower bound", "limit", "p, one-sided", "verdict"),
                 rows=tuple(rows), note=words + note)  # fmt: skip
