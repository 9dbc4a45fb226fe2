"""Recipes: every number that a training run needs, one frozen object a model. ``loop`` runs them."""

from __future__ import annotations

from dataclasses import dataclass, field

from inference.model_card import ModelError
from inference.models.cam_classifier import CamConfig, Pooling
from inference.preprocessing.pipeline import DIB_MG_SMALL


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One training run. ``batch`` counts breasts (two views each)."""

    name: str
    network: CamConfig = field(default_factory=CamConfig)
    preprocessing: str = DIB_MG_SMALL
    train_exams: int
    easy_exams: int = 0  # first lessons: fatty breasts with and without a mass, labels per breast as ever
    easy_epochs: int = 0
    validation_exams: int
    epochs: int  # the easy ones included
    batch: int
    learning_rate: float
    weight_decay: float
    warmup_fraction: float = 0.1
    patience: int  # epochs without a better validation AUC before the run stops
    seed: int = 2018


# Differs from the paper on purpose: width 16 of 64 and a 0.45 mm canvas for two CPU cores, a smooth maximum
# because averaging drowns a 10 mm lesion, a detail channel because dense tissue hides one, AdamW with one
# cycle
# because a run is 20 short epochs.
DIB_MG_SMALL_RECIPE = Recipe(
    name="dib_mg_small",
    network=CamConfig(width=16, pooling=Pooling.SMOOTH_MAX, sharpness=4.0, dropout=0.05, detail_px=20),
    train_exams=1200,
    validation_exams=120,
    easy_exams=300,
    easy_epochs=8,
    epochs=20,
    batch=4,
    learning_rate=1.5e-3,
    weight_decay=1e-3,
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
