"""What ``train calcification-ensemble`` does: phantoms, members one after another, packaged and calibrated model.

Owns no loop and no figure; it puts the parts together.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from inference.calcification_engine import CalcificationEngine
from inference.device import chosen_device
from inference.model_card import ModelError, read_card
from inference.training.calcification_data import COARSE, EXAM, GROUP, TRAPS, joined, phantom_crops
from inference.training.calcification_exams import exam_figures, note_exams
from inference.training.calcification_loop import train_member
from inference.training.calcification_packaging import (
    calibrate,
    evaluate,
    note_real,
    package,
)
from inference.training.calcification_page import document
from inference.training.calcification_real import real_lines
from inference.training.calcification_recipe import EnsembleRecipe, ensemble_recipe
from inference.training.data import TRAIN_SEEDS, VALIDATION_SEEDS

_LOG = logging.getLogger(__name__)
_FILMS = 40  # exams without calcifications that are read of a set of films: each takes seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleOrder:
    """What the command line asked for; None = as the recipe says, or every member."""

    out: Path
    cache: Path
    recipe: str = "small"
    device: str = "auto"
    workers: int = 1
    steps: int | None = None
    member: int | None = None


def ordered(order: EnsembleOrder) -> EnsembleRecipe:
    """Return the recipe with the changes asked for."""
    recipe = ensemble_recipe(order.recipe)
    members = recipe.members
    if order.member is not None:
        if not 0 <= order.member < len(members):
            raise ModelError(
                f"Member {order.member}: expected 0 to {len(members) - 1}, as recipe {recipe.name} has "
                f"{len(members)}; choose one there."
            )
        members = (members[order.member],)
    if order.steps is not None:
        members = tuple(
            replace(m, steps=order.steps, harder_steps=0, validate_every=min(m.validate_every, order.steps))
            for m in members
        )
    return replace(recipe, members=members)


def train_ensemble(order: EnsembleOrder) -> list[Path]:
    """Train the members, or go on with what is found in ``order.out``; returns their best weights."""
    recipe = ordered(order)
    learning, validation = (
        joined(
            [
                phantom_crops(world, range(first, first + count), order.cache, workers=order.workers)
                for world, count in zip((GROUP, EXAM), counts, strict=True)
            ]
        )
        for first, counts in ((TRAIN_SEEDS, recipe.train), (VALIDATION_SEEDS, recipe.validation))
    )
    harder = tuple(
        joined(
            [
                phantom_crops(world, range(first, first + count), order.cache, workers=order.workers)
                for world, count in zip((TRAPS, COARSE), counts, strict=True)
            ]
        )
        for first, counts in ((TRAIN_SEEDS, recipe.harder), (VALIDATION_SEEDS, recipe.harder_validation))
    )
    _LOG.info("%d crops to learn from, %d to validate with", len(learning), len(validation))
    return [
        train_member(
            member,
            learning,
            validation,
            order.out / member.name,
            device=chosen_device(order.device),
            harder=(harder[0], harder[1]) if member.harder_steps else None,
            nothing_share=recipe.nothing_share,
        )
        for member in recipe.members
    ]


def train_and_package(order: EnsembleOrder, folder: Path, *, version: str) -> Path:
    """Train, then write and calibrate the model folder from every member trained so far; returns it."""
    train_ensemble(order)
    recipe = ensemble_recipe(order.recipe)
    package(recipe, order.out, folder, version=version)
    calibrate(folder, order.cache, counts=recipe.calibration, workers=order.workers)
    return folder


def measured_page(
    folder: Path, *, views: int, cache: Path = Path("build/prepared"), films: Path | None = None
) -> str:
    """Measure a model folder on test phantoms and describe it on real films, write both into its card, return
    its page.

    Parameters
    ----------
    views
        Hard test views; exam phantoms are two fifths as many, views with traps and coarse ones three fifths.
    films
        Folder that ``datasets prepare`` wrote of a set of films; None = what the card says of films stays.
    """
    recipe = ensemble_recipe(str(read_card(folder).architecture.get("recipe", "small")))
    counts = (views, max(4, 2 * views // 5), max(4, 3 * views // 5), max(4, 3 * views // 5))
    evaluate(folder, cache, counts=counts, recipe=recipe)
    note_exams(folder, exam_figures(folder, counts[1]))
    if films is not None:
        note_real(
            folder, real_lines(CalcificationEngine(folder, "cpu", floor=0.0, maps=False), films, most=_FILMS)
        )
    return document(folder)
