"""Which exams a step learns from: every exam once before any comes again, no exam twice at one time.

Pure functions of the recipe's seed, the step and the process, so that a resumed run draws what it would have.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np

from inference.training.four_view_recipe import FourViewRecipe

_PASS, _UNLABELLED_PASS = 1, 3  # what a draw's seed is for


class Counted(Protocol):
    """How many exams there are; those without truth come last."""

    @property
    def count(self) -> int: ...

    @property
    def unlabelled(self) -> int: ...


def partition(recipe: FourViewRecipe, count: int) -> list[int]:
    """Exams that this run may learn from: all, or its member's random 80 %."""
    if recipe.member is None:
        return list(range(count))
    rng = np.random.default_rng([recipe.seed, 80, recipe.member])
    return sorted(rng.permutation(count)[: round(0.8 * count)].tolist())


def is_unlabelled_step(recipe: FourViewRecipe, exams: Counted, step: int) -> bool:
    """Tell whether a step learns from the teacher's marks on exams without truth; never before the burn-in."""
    every = recipe.unlabelled_every
    return bool(exams.unlabelled and every and step >= recipe.burn_in and step % every == 0)


def step_exams(recipe: FourViewRecipe, exams: Counted, step: int, rank: int = 0, world: int = 1) -> list[int]:
    """Indices of the exams of one step of one process.

    The processes share out each pass: in ``world * batch_exams`` draws a step no exam comes twice, and every
    exam has come before one comes again.
    """
    batch = recipe.batch_exams
    before = _unlabelled_before(recipe, exams, step)
    if is_unlabelled_step(recipe, exams, step):
        first = (before * world + rank) * batch
        seed = (recipe.seed, _UNLABELLED_PASS)
        return [exams.count - 1 - n for n in _turns(seed, exams.unlabelled, first, batch)]
    labelled = partition(recipe, exams.count - exams.unlabelled)
    first = ((step - before) * world + rank) * batch
    return [labelled[n] for n in _turns((recipe.seed, _PASS), len(labelled), first, batch)]


def steps_for(recipe: FourViewRecipe, count: int, world: int = 1) -> int:
    """Steps that a run over a manifest takes: the recipe's, or more until each exam was seen ``passes`` times."""
    share = count if recipe.member is None else round(0.8 * count)
    needed = -(-round(recipe.passes * share) // (recipe.batch_exams * world))
    return max(recipe.steps, needed)


def _unlabelled_before(recipe: FourViewRecipe, exams: Counted, step: int) -> int:
    """How many of the steps before this one learnt from exams without truth."""
    every = recipe.unlabelled_every
    if not (exams.unlabelled and every) or step <= recipe.burn_in:
        return 0
    return -(-step // every) - -(-recipe.burn_in // every)


def _turns(seed: tuple[int, ...], count: int, first: int, size: int) -> list[int]:
    """Places first .. first + size of endless passes over ``count``, each pass shuffled anew."""
    return [_shuffled((*seed, n // count), count)[n % count] for n in range(first, first + size)]


@lru_cache(maxsize=4)
def _shuffled(seed: tuple[int, ...], count: int) -> tuple[int, ...]:
    return tuple(int(n) for n in np.random.default_rng(seed).permutation(count))
