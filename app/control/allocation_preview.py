"""What may be shown of an allocation before anybody reads: counts by reader, session, arm and stratum, never an order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from reader_study.domain.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many cases of one stratum one reader reads in one arm of one session (0 = practice)."""

    reader_id: str
    period: int
    arm_id: str
    stratum: str
    cases: int


def shares(study: Study) -> tuple[Share, ...]:
    """Return the counts by reader, period, arm and stratum, in that order."""
    stratum = {case.case_id: case.stratum for case in study.cases}
    order = {arm.arm_id: place for place, arm in enumerate(study.arms)}
    counts: Counter[tuple[str, int, str, str]] = Counter()
    for plan in study.plans:
        counts.update(
            (plan.reader_id, plan.period, entry.arm_id, stratum[entry.case_id]) for entry in plan.entries
        )
    keys = sorted(counts, key=lambda key: (key[0], key[1], order[key[2]], key[3]))
    return tuple(
        Share(reader_id=key[0], period=key[1], arm_id=key[2], stratum=key[3], cases=counts[key])
        for key in keys
    )


def largest_difference(counts: Sequence[Share], readers: Collection[str]) -> int:
    """Return by how many cases readers differ at most in one period, arm and stratum; practice left out."""
    cells: defaultdict[tuple[int, str, str], dict[str, int]] = defaultdict(dict)
    for share in counts:
        if share.period > 0:
            cells[share.period, share.arm_id, share.stratum][share.reader_id] = share.cases
    return max(
        (
            max(cell.values()) - (min(cell.values()) if len(cell) == len(readers) else 0)
            for cell in cells.values()
        ),
        default=0,
    )
