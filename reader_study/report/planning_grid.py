"""A planned study seen from all sides: its power, what would reach the wanted power, and power over readers x cases.

The planner screen and ``negatoscope plan`` show the same object. The formulae are in ``reader_study.statistics.planning``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reader_study.report.analysis import Choice, Fom, estimates_for
from reader_study.report.sources import inputs_of_file
from reader_study.statistics.obuchowski_rockette import Claim, Generalise
from reader_study.statistics.planning import Pilot, Power, cases_needed, pilot_from, power, readers_needed
from reader_study.statistics.ratings import StatisticsError


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What is planned; ``effect`` is the true difference, ``wanted`` the power to reach."""

    pilot: Pilot
    effect: float
    readers: int
    cases: int
    generalise: Generalise = Generalise.READERS_AND_CASES
    alpha: float = 0.05
    claim: Claim | None = None
    margin: float = 0.0
    wanted: float = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Power as planned, the sizes that reach the wanted power (or a sentence why none does), and a grid.

    Attributes
    ----------
    table
        ``table[r][c]`` = power with ``grid_readers[r]`` readers and ``grid_cases[c]`` cases.
    """

    request: PlanRequest
    power: Power
    cases: Power | None
    readers: Power | None
    refusals: tuple[str, ...]
    grid_readers: tuple[int, ...]
    grid_cases: tuple[int, ...]
    table: tuple[tuple[float, ...], ...]

    def sentences(self) -> tuple[str, ...]:
        """The result in the words of a protocol."""
        r = self.request
        aim = {
            None: f"a difference of {r.effect:g}",
            Claim.SUPERIORITY: f"superiority, the true difference being {r.effect:g},",
            Claim.NON_INFERIORITY: f"non-inferiority with a margin of {r.margin:g}, the true difference being {r.effect:g},",
        }[r.claim]
        level = f"two-sided alpha {r.alpha:g}" if r.claim is None else f"one-sided alpha {r.alpha / 2:g}"
        said = [
            f"{r.readers} readers and {r.cases} cases have {self.power.power:.1%} power to show {aim} at {level} ({r.generalise.value})."
        ]
        if self.cases is not None:
            said.append(f"With {r.readers} readers, {r.wanted:.0%} power needs {self.cases.cases} cases.")
        if self.readers is not None:
            said.append(f"With {r.cases} cases, {r.wanted:.0%} power needs {self.readers.readers} readers.")
        return (*said, *self.refusals)

    def rows(self) -> list[list[str]]:
        """The grid as text cells, head row first, for the clipboard and CSV."""
        head = ["readers \\ cases", *(str(c) for c in self.grid_cases)]
        return [
            head,
            *(
                [str(n), *(f"{p:.3f}" for p in row)]
                for n, row in zip(self.grid_readers, self.table, strict=True)
            ),
        ]

    def as_json(self) -> dict[str, object]:
        """The plan as plain values."""
        r, p = self.request, self.power
        return {
            "effect": r.effect, "readers": r.readers, "cases": r.cases, "alpha": r.alpha, "generalise": r.generalise.value,
            "claim": None if r.claim is None else r.claim.value, "margin": r.margin, "wanted": r.wanted,
            "power": p.power, "ncp": p.noncentrality, "df2": p.df2, "critical": p.critical,
            "cases_needed": None if self.cases is None else self.cases.cases,
            "readers_needed": None if self.readers is None else self.readers.readers,
            "pilot": {name: getattr(r.pilot, name) for name in ("modality_by_reader", "error", "cov1", "cov2", "cov3", "cases")},
            "warnings": list(self.refusals),
        }  # fmt: skip


def plan(request: PlanRequest) -> Plan:
    """Compute the plan.

    Raises
    ------
    StatisticsError
        The request itself makes no sense (too few readers, no margin, components without variance).
    """
    refusals: list[str] = []
    needed: list[Power | None] = []
    for find, words in (
        (cases_needed, {"readers": request.readers}),
        (readers_needed, {"cases": request.cases}),
    ):
        try:
            needed.append(
                find(request.pilot, effect=request.effect, wanted=request.wanted, generalise=request.generalise, alpha=request.alpha,
                     claim=request.claim, margin=request.margin, **words)
            )  # fmt: skip
        except StatisticsError as error:
            needed.append(None)
            refusals.append(str(error))
    least = 1 if request.generalise is Generalise.CASES else 2
    readers = _around_readers(request.readers, least)
    cases = _around_cases(request.cases)
    table = tuple(tuple(_at(request, n, c).power for c in cases) for n in readers)
    return Plan(
        request=request, power=_at(request, request.readers, request.cases), cases=needed[0], readers=needed[1],
        refusals=tuple(refusals), grid_readers=readers, grid_cases=cases, table=table,
    )  # fmt: skip


def _at(request: PlanRequest, readers: int, cases: int) -> Power:
    return power(
        request.pilot, effect=request.effect, readers=readers, cases=cases, generalise=request.generalise, alpha=request.alpha,
        claim=request.claim, margin=request.margin,
    )  # fmt: skip


def curve(request: PlanRequest, readers: int, cases: Sequence[int]) -> tuple[float, ...]:
    """Power of so many readers at each number of cases."""
    return tuple(_at(request, readers, c).power for c in cases)


def _around_readers(readers: int, least: int) -> tuple[int, ...]:
    """Five numbers of readers with the planned one in the middle."""
    step = max(1, round(readers / 4))
    found = sorted({max(least, readers + k * step) for k in (-2, -1, 0, 1, 2)})
    while len(found) < 5:
        found.append(found[-1] + step)
    return tuple(found)


def _around_cases(cases: int) -> tuple[int, ...]:
    """From a quarter to the double of the planned number, rounded, the planned one among them."""
    shares = (0.25, 0.5, 0.75, 1.25, 1.5, 1.75, 2.0)
    return tuple(sorted({cases, *(max(10, round(cases * share / 5) * 5) for share in shares)}))


def pilot_of_file(path: Path, fom: Fom | None = None, *, cut: float | None = None) -> tuple[Pilot, float, str]:  # fmt: skip
    """Components of a pilot study's file, its own difference (first minus second), and a sentence about it."""
    inputs = inputs_of_file(path, cut=cut)
    wanted = fom or (Fom.AUC if inputs.froc is None else Fom.WAFROC)
    found, _ = estimates_for(inputs, wanted, Choice(fom=wanted, cut=cut))
    means = found.values.mean(axis=1)
    pilot = pilot_from(found)
    said = f"{path.name}: {wanted.value}, {len(found.readers)} readers, {found.case_count} cases, {' minus '.join(found.modalities[:2])} = {means[0] - means[1]:+.4f}."
    return pilot, float(means[0] - means[1]), said


def parse_components(text: str) -> Pilot:
    """'TR,error,cov1,cov2,cov3,cases' as numbers; StatisticsError says what is wrong."""
    cells = [cell.strip() for cell in text.split(",")]
    try:
        tr, error, cov1, cov2, cov3 = (float(cell) for cell in cells[:5])
        (count,) = cells[5:]
        return Pilot(modality_by_reader=tr, error=error, cov1=cov1, cov2=cov2, cov3=cov3, cases=int(count))
    except ValueError as problem:
        raise StatisticsError(
            f"Components: expected six numbers (arm x reader, error, Cov1, Cov2, Cov3, cases of the pilot), found {text!r}."
        ) from problem
