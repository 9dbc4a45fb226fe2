"""Who reads which case in which arm, in which order: seeded, counterbalanced, the same list on any machine.

Owns the allocation only. Randomness comes from PCG64 seeded with a SHA-256; the shuffle draws raw words,
because numpy keeps the bit stream of a generator fixed between releases but not the methods above it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from reader_study.domain.conduct import Design
from reader_study.domain.study import Arm, Case, PlannedRead, Reader, SessionPlan
from reader_study.errors import StudyError

ALGORITHM = "latin-blocks/1 (SHA-256, PCG64, Fisher-Yates on raw words)"
DESIGNS: tuple[str, ...] = tuple(Design)

_SEVERAL_PERIODS = frozenset({Design.CROSSOVER, Design.FIXED_SEQUENCE, Design.SPLIT_PLOT})

T = TypeVar("T")


def generator(*words: object) -> np.random.Generator:
    """Return a Generator seeded with the SHA-256 of ``words``; equal words give an equal stream anywhere."""
    digest = hashlib.sha256("\x1f".join(str(word) for word in words).encode("utf-8")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))


def shuffled(items: Sequence[T], rng: np.random.Generator) -> tuple[T, ...]:
    """Return ``items`` in random order (Fisher-Yates, unbiased by rejection)."""
    order = list(items)
    for last in range(len(order) - 1, 0, -1):
        pick = _below(last + 1, rng)
        order[last], order[pick] = order[pick], order[last]
    return tuple(order)


def _below(limit: int, rng: np.random.Generator) -> int:
    ceiling = 2**64 - 2**64 % limit
    while True:
        word = int(rng.bit_generator.random_raw())
        if word < ceiling:
            return word % limit


def allocate(
    *,
    study_id: str,
    seed: int,
    cases: Sequence[Case],
    readers: Sequence[Reader],
    arms: Sequence[Arm],
    design: str = "crossover",
    strata: Mapping[str, str] | None = None,
    blocks: int = 1,
    only: Sequence[str] | None = None,
) -> tuple[SessionPlan, ...]:
    """Make every reader's sessions (RS-R1, RS-R3, RS-D2, RS-D3).

    Parameters
    ----------
    study_id, seed
        With the reader's id they seed everything; the same three give the same list.
    cases, readers, arms
        The study's. Practice cases go into a session of their own, period 0, in the last arm.
    design : str
        One of ``Design``. crossover: as many periods as arms; each period a reader reads each part of the cases
        in another arm, so that in the end every case was read once in every arm. fixed_sequence: period by
        period all cases in one arm, in the order of the arms. sequential: one period; each case is locked in
        the first arm, then finished in the second. parallel: one period, each reader in one arm. split_plot:
        as crossover, but each block of readers has its own block of cases. single: everybody in the first arm.
    strata : mapping of case id to label, optional
        Parts are dealt inside each label (truth, type, density), so that arms get equal mixes; the cases' own
        labels when it is not given.
    blocks : int
        Of a split-plot design, 1 elsewhere.
    only : sequence of reader id, optional
        Return these readers' sessions only; everybody is still dealt in.

    Returns
    -------
    tuple of SessionPlan
        By reader and period; inside a period the arms are read in blocks whose order is balanced over readers.

    Raises
    ------
    StudyError
        Unknown design, or no cases, readers or arms.
    """
    if design not in DESIGNS:
        raise StudyError(
            f"Design: expected one of {', '.join(DESIGNS)}, found {design!r}; correct the protocol."
        )
    for what, found in (("arm", arms), ("reader", readers), ("case", [c for c in cases if not c.practice])):
        if not found:
            raise StudyError(
                f"Allocation: expected at least one {what}, found none; add one to the protocol."
            )
    _check_design(design, readers=readers, arms=arms, blocks=blocks)
    ranks = _ranks(readers, study_id=study_id, seed=seed)
    labels = strata if strata is not None else {case.case_id: case.stratum for case in cases}
    ids = sorted(case.case_id for case in cases if not case.practice)
    rng_of_parts = generator(study_id, seed, "parts")
    dealt = _parts(ids, blocks, labels, rng_of_parts) if blocks > 1 else (tuple(ids),)
    parts_of = [_parts(sorted(block), len(arms), labels, rng_of_parts) for block in dealt]
    practice = tuple(sorted(case.case_id for case in cases if case.practice))
    plans: list[SessionPlan] = []
    for reader in readers:
        if only is not None and reader.reader_id not in only:
            continue
        rank, block = ranks[reader.reader_id] // blocks, ranks[reader.reader_id] % blocks
        rng = generator(study_id, seed, reader.reader_id)

        def session(
            period: int, entries: Sequence[PlannedRead], reader_id: str = reader.reader_id
        ) -> SessionPlan:
            session_id = f"{study_id}.{reader_id}.p{period}"
            return SessionPlan(
                session_id=session_id, reader_id=reader_id, period=period, entries=tuple(entries)
            )

        if practice:
            order = shuffled(practice, rng)
            first = arms[0].arm_id if design == Design.SEQUENTIAL else None
            read = [PlannedRead(case_id=c, arm_id=arms[-1].arm_id, first_arm_id=first) for c in order]
            plans.append(session(0, read))
        for period in range(1, (len(arms) if design in _SEVERAL_PERIODS else 1) + 1):
            plans.append(session(period, _period(period, rank, parts_of[block], arms, design, rng)))
    return tuple(plans)


def _check_design(design: str, *, readers: Sequence[Reader], arms: Sequence[Arm], blocks: int) -> None:
    if design == Design.SEQUENTIAL and [arm.ai.shown for arm in arms] != [False, True]:
        raise StudyError(
            "Design: expected an arm without AI and then one with AI for a sequential design,"
            f" found {', '.join(arm.arm_id for arm in arms)}; correct the arms."
        )
    if (blocks > 1) is not (design == Design.SPLIT_PLOT) or not 1 <= blocks <= len(readers):
        raise StudyError(
            "Design: expected 2 or more blocks, no more than readers, for a split-plot design and 1 for others,"
            f" found {blocks} for {design}; correct the protocol."
        )


def _ranks(readers: Sequence[Reader], *, study_id: str, seed: int) -> dict[str, int]:
    """Deal ranks inside each group, so that senior and junior readers are balanced over the start arms."""
    rng = generator(study_id, seed, "readers")
    ranks: dict[str, int] = {}
    for group in sorted({reader.group for reader in readers}):
        ids = sorted(reader.reader_id for reader in readers if reader.group == group)
        for reader_id in shuffled(ids, rng):
            ranks[reader_id] = len(ranks)
    return ranks


def _parts(
    ids: Sequence[str], count: int, strata: Mapping[str, str], rng: np.random.Generator
) -> tuple[tuple[str, ...], ...]:
    parts: list[list[str]] = [[] for _ in range(count)]
    dealt = 0  # goes on over the strata, so that parts differ in size by one at most
    for label in sorted({strata.get(case_id, "") for case_id in ids}):
        for case_id in shuffled([c for c in ids if strata.get(c, "") == label], rng):
            parts[dealt % count].append(case_id)
            dealt += 1
    return tuple(tuple(part) for part in parts)


def _period(
    period: int,
    rank: int,
    parts: tuple[tuple[str, ...], ...],
    arms: Sequence[Arm],
    design: str,
    rng: np.random.Generator,
) -> list[PlannedRead]:
    count = len(arms)
    blocks: list[tuple[str, tuple[str, ...]]] = []
    first: str | None = None
    if design in {Design.CROSSOVER, Design.SPLIT_PLOT}:
        for offset in range(count):
            # Block order turns with the rank, the arm of a part with the period.
            arm = (offset + rank + period) % count
            part = (arm + period + rank // count) % count
            blocks.append((arms[arm].arm_id, parts[part]))
    else:
        turn = {Design.PARALLEL: rank % count, Design.FIXED_SEQUENCE: period - 1, Design.SEQUENTIAL: 1}
        first = arms[0].arm_id if design == Design.SEQUENTIAL else None
        arm_id = arms[turn.get(Design(design), 0)].arm_id
        blocks.append((arm_id, tuple(case_id for part in parts for case_id in part)))
    return [
        PlannedRead(case_id=case_id, arm_id=arm_id, first_arm_id=first)
        for arm_id, part in blocks
        for case_id in shuffled(part, rng)
    ]
