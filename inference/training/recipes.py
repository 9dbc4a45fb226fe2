"""Recipes: every number that a training run needs, one frozen object a model. ``loop`` runs them."""

from __future__ import annotations

from dataclasses import dataclass, field

from inference.model_card import ModelError
from inference.models.cam_classifier import CamConfig, Pooling
from inference.preprocessing.pipeline import DIB_MG_SMALL_SPOTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One training run. ``batch`` counts breasts (two views each)."""

    name: str
    network: CamConfig = field(default_factory=CamConfig)
    preprocessing: str = DIB_MG_SMALL_SPOTS
    train_exams: int
    easy_exams: int = 0  # first lessons: fatty breasts, masses and calcifications, labels per breast as ever
    easy_epochs: int = 0
    validation_exams: int
    epochs: int  # the easy ones included
    batch: int
    learning_rate: float
    weight_decay: float
    warmup_fraction: float = 0.1
    mirror_every: int = 0  # steps; every so many also sees its batch mirrored (0 = none does)
    mirror_weight: float = 0.5
    patience: int  # epochs without a better validation AUC before the run stops
    seed: int = 2018


# Differs from the paper on purpose: width 16 of 64 and a 0.45 mm canvas for two CPU cores, a smooth maximum
# because averaging drowns a 10 mm lesion, a detail channel because dense tissue hides one, a channel of spots
# counted at 0.2 mm because the canvas averages calcifications away, AdamW with one cycle because a run is
# some 20 short epochs.
DIB_MG_SMALL_RECIPE = Recipe(
    name="dib_mg_small",
    network=CamConfig(
        width=16,
        pooling=Pooling.SMOOTH_MAX,
        sharpness=4.0,
        dropout=0.05,
        detail_px=20,
        spots=True,
        flips=True,
    ),
    train_exams=800,
    validation_exams=120,
    easy_exams=300,
    easy_epochs=8,
    epochs=23,
    batch=4,
    learning_rate=1.5e-3,
    weight_decay=1e-3,
    mirror_every=3,
    mirror_weight=0.5,
    patience=6,
)

RECIPES: dict[str, Recipe] = {DIB_MG_SMALL_RECIPE.name: DIB_MG_SMALL_RECIPE}


def recipe(name: str) -> Recipe:
    """Return the recipe of that name; ModelError lists the ones that exist."""
    try:
        return RECIPES[name]
    except KeyError:
        known = ", ".join(sorted(RECIPES))
        raise ModelError(f"Recipe {name!r}: expected one of {known}; name one of these.") from None
