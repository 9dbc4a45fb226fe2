"""Recipes: every number that a training run needs, one frozen object a model. ``loop`` runs them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from inference.model_card import ModelError
from inference.models.cam_classifier import CamConfig, Pooling
from inference.models.dib_mg_modern import ModernConfig
from inference.preprocessing.pipeline import DIB_MG_PAPER, DIB_MG_SMALL_FILM
from inference.training.data import Look


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One training run. ``batch`` counts breasts (two views each)."""

    name: str
    network: CamConfig = field(default_factory=CamConfig)
    preprocessing: str = DIB_MG_SMALL_FILM
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
    look: Look = field(default_factory=Look)
    optimizer: str = "adamw"  # or "sgd", momentum 0.9
    milestones: tuple[int, ...] = ()  # epochs after which the rate is a fifth; none = one cosine with warm-up
    after: str = ""  # a recipe that is run first; its best weights are where this one starts
    imagenet: bool = False  # the backbone starts from ImageNet weights
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

# An ImageNet start, and half of the views made to look like film: what the small network mistook for cancer on
# real film (labels, muscle, the film's edge) it had never met.
MODERN_RECIPE = Recipe(
    name="dib_mg_modern",
    network=ModernConfig(
        pooling=Pooling.SMOOTH_MAX, sharpness=4.0, dropout=0.1, detail_px=20, spots=True, flips=True
    ),
    train_exams=800,
    validation_exams=60,
    easy_exams=300,
    easy_epochs=1,
    epochs=9,
    batch=4,
    learning_rate=8e-4,
    weight_decay=1e-3,
    warmup_fraction=0.05,
    mirror_every=5,
    mirror_weight=0.5,
    look=Look(film_share=0.5),
    imagenet=True,
    patience=9,
)

# The small network once more, after its own recipe: half of the views look like film.
FILM_RECIPE = replace(
    DIB_MG_SMALL_RECIPE,
    name="dib_mg_film",
    after=DIB_MG_SMALL_RECIPE.name,
    easy_exams=0,
    easy_epochs=0,
    epochs=4,
    learning_rate=6e-4,
    validation_exams=60,
    look=Look(film_share=0.5),
    patience=4,
)

# Kim et al. 2018: 19 convolutions, 1600 x 1600 padded with air, pooled by averages over the whole map and then
# over the views; SGD with momentum 0.9, rate 0.001 divided by 5 every 10 of 30 epochs, weight decay 5e-4, 64
# images a batch, contrast and brightness by 10 %, nothing else. The filter counts are not published: 64 first,
# as in the residual network that it builds on. Trained on phantoms it has fewer exams than the paper had.
PAPER_RECIPE = Recipe(
    name="dib_mg_paper",
    network=CamConfig(width=64, pooling=Pooling.AVERAGE, dropout=0.0),
    preprocessing=DIB_MG_PAPER,
    train_exams=4000,
    validation_exams=400,
    epochs=30,
    batch=32,
    learning_rate=1e-3,
    weight_decay=5e-4,
    look=Look(flips=False, shift=0, whole_field=True),
    optimizer="sgd",
    milestones=(10, 20),
    patience=30,
)

RECIPES: dict[str, Recipe] = {
    r.name: r for r in (DIB_MG_SMALL_RECIPE, FILM_RECIPE, MODERN_RECIPE, PAPER_RECIPE)
}


def recipe(name: str) -> Recipe:
    """Return the recipe of that name; ModelError lists the ones that exist."""
    try:
        return RECIPES[name]
    except KeyError:
        known = ", ".join(sorted(RECIPES))
        raise ModelError(f"Recipe {name!r}: expected one of {known}; name one of these.") from None
