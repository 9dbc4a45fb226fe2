"""Reading times: medians (min-max), paired comparisons of two arms by declared unit, with and without flagged reads.

Takes seconds as the study measured them; which clock and which start is the study's business (``timing.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from reader_study.statistics.provenance import Provenance, digest_of, provenance
from reader_study.statistics.ratings import Flags, Floats, StatisticsError
from reader_study.statistics.signed_rank import SignedRank, signed_rank


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTimes:
    """One row a read.

    Attributes
    ----------
    readers, cases, arms
        (n,) names; a reader reads a case at most once in an arm.
    seconds
        (n,) float64, above 0.
    flagged
        (n,) bool, True = interrupted or otherwise marked by the rule of the protocol.
    periods, positions
        (n,) whole numbers from 1 (session, place in the session's list), or None = not recorded.
    groups
        reader -> group (junior, senior ...); empty = one group.
    """

    readers: tuple[str, ...]
    cases: tuple[str, ...]
    arms: tuple[str, ...]
    seconds: Floats = field(repr=False)
    flagged: Flags = field(repr=False)
    periods: NDArray[np.int64] | None = field(default=None, repr=False)
    positions: NDArray[np.int64] | None = field(default=None, repr=False)
    groups: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.readers)
        columns = [self.cases, self.arms, self.seconds, self.flagged]
        columns += [c for c in (self.periods, self.positions) if c is not None]
        if n == 0 or any(len(column) != n for column in columns):
            raise StatisticsError(f"Reading times: expected columns of one length above 0, found {n} readers and {[len(c) for c in columns]}.")  # fmt: skip
        if not (np.isfinite(self.seconds) & (self.seconds > 0)).all():
            raise StatisticsError(
                "Reading times: expected seconds above 0, found others; leave out reads without a time."
            )
        seen = set(zip(self.readers, self.cases, self.arms, strict=True))
        if len(seen) != n:
            raise StatisticsError(
                "Reading times: expected each reader, case and arm once, found one twice; keep one read."
            )

    def digest(self) -> str:
        """SHA-256 of all columns."""
        return digest_of(self.readers, self.cases, self.arms, self.seconds, self.flagged)

    def keep(self, rows: Flags) -> ReadTimes:
        """Only the rows marked True."""
        at = np.flatnonzero(rows)
        if not len(at):
            raise StatisticsError("Reading times: expected reads after the exclusions, found none.")
        return replace(
            self,
            readers=tuple(self.readers[k] for k in at),
            cases=tuple(self.cases[k] for k in at),
            arms=tuple(self.arms[k] for k in at),
            seconds=self.seconds[at],
            flagged=self.flagged[at],
            periods=None if self.periods is None else self.periods[at],
            positions=None if self.positions is None else self.positions[at],
        )

    def of_group(self, group: str) -> ReadTimes:
        """Only the readers of one group."""
        return self.keep(np.array([self.groups.get(reader) == group for reader in self.readers]))

    def unflagged(self) -> ReadTimes:
        """Without the flagged reads."""
        return self.keep(~self.flagged)


def times_from_rows(
    rows: Iterable[tuple[str, str, str, float, bool]], *, groups: Mapping[str, str] | None = None
) -> ReadTimes:
    """Build ``ReadTimes`` from (reader, case, arm, seconds, flagged) rows."""
    table = list(rows)
    return ReadTimes(
        readers=tuple(r[0] for r in table),
        cases=tuple(r[1] for r in table),
        arms=tuple(r[2] for r in table),
        seconds=np.array([r[3] for r in table], dtype=np.float64),
        flagged=np.array([r[4] for r in table], dtype=bool),
        groups=dict(groups or {}),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSummary:
    """Seconds of one reader, group or arm."""

    label: str
    arm: str
    n: int
    median: float
    minimum: float
    maximum: float
    lower_quartile: float
    upper_quartile: float
    mean: float

    def text(self) -> str:
        """Median (min-max), as papers print it."""
        return f"{self.median:g} ({self.minimum:g}-{self.maximum:g})"


def summarise(times: ReadTimes) -> tuple[TimeSummary, ...]:
    """Median (min-max) of every arm: all reads, then each group, then each reader, in order of first appearance."""
    arms, readers = tuple(dict.fromkeys(times.arms)), tuple(dict.fromkeys(times.readers))
    groups = tuple(dict.fromkeys(times.groups[r] for r in readers if r in times.groups))
    reader_of, arm_of = np.array(times.readers), np.array(times.arms)
    group_of = np.array([times.groups.get(reader, "") for reader in times.readers])
    blocks = [("all readers", np.ones(len(reader_of), dtype=bool))]
    blocks += [(group, group_of == group) for group in groups]
    blocks += [(reader, reader_of == reader) for reader in readers]
    return tuple(
        _summary(label, arm, times.seconds[rows & (arm_of == arm)])
        for label, rows in blocks
        for arm in arms
        if (rows & (arm_of == arm)).any()
    )


def _summary(label: str, arm: str, seconds: Floats) -> TimeSummary:
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    return TimeSummary(
        label=label, arm=arm, n=len(seconds), median=float(middle), minimum=float(seconds.min()),
        maximum=float(seconds.max()), lower_quartile=float(low), upper_quartile=float(high), mean=float(seconds.mean()),
    )  # fmt: skip


class Unit(StrEnum):
    """What is paired, and so to whom the test speaks."""

    READER = "readers (median over their cases)"
    CASE = "cases (mean over readers)"
    READ = "reads, pooled over readers (takes reads of one reader for independent)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapiroWilk:
    """Test of normal differences; None where there are fewer than 3 or more than 5000, or all are equal."""

    w: float | None
    p_value: float | None
    n: int


def shapiro_wilk(values: Floats) -> ShapiroWilk:
    """Shapiro & Wilk 1965 (Biometrika 52:591), by Royston's algorithm, as scipy has it."""
    x = np.asarray(values, dtype=np.float64)
    if not 3 <= len(x) <= 5000 or float(np.ptp(x)) <= 1e-12 * max(1.0, float(np.abs(x).max(initial=0.0))):
        return ShapiroWilk(w=None, p_value=None, n=len(x))
    found = stats.shapiro(x)
    return ShapiroWilk(w=float(found.statistic), p_value=float(found.pvalue), n=len(x))


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeComparison:
    """Two arms, paired. ``test.estimate`` is the Hodges-Lehmann shift of first minus second, s."""

    label: str
    first: TimeSummary
    second: TimeSummary
    unit: Unit
    flagged_included: bool
    flagged_pairs: int
    unpaired_reads: int
    normality: ShapiroWilk
    test: SignedRank
    provenance: Provenance


def paired_reads(times: ReadTimes, first: str, second: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row numbers of the reads of one reader and case in both arms, in the order of the first arm."""
    for arm in (first, second):
        if arm not in times.arms:
            raise StatisticsError(f"Reading times: expected an arm of {', '.join(dict.fromkeys(times.arms))}, found {arm!r}.")  # fmt: skip
    at = {key: k for k, key in enumerate(zip(times.readers, times.cases, times.arms, strict=True))}
    pairs = [
        (k, at[reader, case, second])
        for (reader, case, arm), k in at.items()
        if arm == first and (reader, case, second) in at
    ]
    if not pairs:
        raise StatisticsError(f"Reading times: expected a reader with one case in both {first} and {second}, found none.")  # fmt: skip
    rows = np.array(pairs, dtype=np.intp)
    return rows[:, 0], rows[:, 1]


def compare_arms(
    times: ReadTimes,
    first: str,
    second: str,
    *,
    unit: Unit = Unit.READER,
    include_flagged: bool = True,
    label: str = "all readers",
    level: float = 0.95,
) -> TimeComparison:
    """Paired comparison of two arms: Wilcoxon, Hodges-Lehmann, Shapiro-Wilk (RS-M4).

    Only reads with a partner in the other arm count; a pair is flagged when either read is. By reader: differences of
    the reader's medians. By case: the mean of its readers' differences. By read: every pair.
    """
    one, two = paired_reads(times, first, second)
    flagged = times.flagged[one] | times.flagged[two]
    if not include_flagged:
        one, two = one[~flagged], two[~flagged]
        if not len(one):
            raise StatisticsError("Reading times: expected pairs without a flagged read, found none.")
    a, b = times.seconds[one], times.seconds[two]
    if unit is Unit.READ:
        differences = a - b
    else:
        names = np.array(times.readers if unit is Unit.READER else times.cases)[one]
        pick = [names == name for name in dict.fromkeys(names.tolist())]
        if unit is Unit.READER:
            differences = np.array([np.median(a[rows]) - np.median(b[rows]) for rows in pick])
        else:
            differences = np.array([(a[rows] - b[rows]).mean() for rows in pick])
    in_arms = sum(arm in {first, second} for arm in times.arms)
    left_out = [] if include_flagged else [f"{int(flagged.sum())} pairs with a flagged read"]
    test = signed_rank(differences, level=level)
    return TimeComparison(
        label=label,
        first=_summary(label, first, a),
        second=_summary(label, second, b),
        unit=unit,
        flagged_included=include_flagged,
        flagged_pairs=int(flagged.sum()),
        unpaired_reads=in_arms - 2 * len(flagged),
        normality=shapiro_wilk(differences),
        test=test,
        provenance=provenance(
            f"{test.provenance.method}, unit: {unit.value}",
            times.digest(),
            readers=len({times.readers[k] for k in one}),
            cases=len({times.cases[k] for k in one}),
            observations=len(differences),
            exclusions=left_out,
        ),
    )


def with_and_without_flagged(
    times: ReadTimes, first: str, second: str, *, unit: Unit = Unit.READER, label: str = "all readers"
) -> tuple[TimeComparison, TimeComparison | None]:
    """The comparison of all pairs, and that of pairs without a flagged read; None where none is left (RS-M3)."""
    everything = compare_arms(times, first, second, unit=unit, label=label)
    if everything.flagged_pairs == 0:
        return everything, everything
    try:
        return everything, compare_arms(times, first, second, unit=unit, include_flagged=False, label=label)
    except StatisticsError:
        return everything, None


def compare_by_group(
    times: ReadTimes, first: str, second: str, *, units: Sequence[Unit] = tuple(Unit)
) -> tuple[TimeComparison, ...]:
    """Every group's comparison by every unit (then all readers together), for a table of times."""
    groups = tuple(dict.fromkeys(times.groups[r] for r in dict.fromkeys(times.readers) if r in times.groups))
    blocks = [(group, times.of_group(group)) for group in groups] + [("all readers", times)]
    return tuple(
        compare_arms(part, first, second, unit=unit, label=label) for label, part in blocks for unit in units
    )


def winsorised(times: ReadTimes, *, share: float = 0.05) -> ReadTimes:
    """Times beyond the ``share`` and 1 - ``share`` quantiles of their arm drawn in to those quantiles."""
    if not 0.0 < share < 0.5:
        raise StatisticsError(f"Winsorising: expected a share between 0 and 0.5, found {share}.")
    seconds, arm_of = times.seconds.copy(), np.array(times.arms)
    for arm in dict.fromkeys(times.arms):
        rows = arm_of == arm
        low, high = np.quantile(seconds[rows], [share, 1 - share])
        seconds[rows] = np.clip(seconds[rows], low, high)
    return replace(times, seconds=seconds)
