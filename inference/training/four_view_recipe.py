"""Recipes of the four-view detector: ``small`` for two CPU cores or one GPU, ``small-tune`` to go on from its
weights, ``paper`` as published.

Every number that a run needs; ``four_view_loop`` runs them with the same code.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from inference.model_card import ModelError
from inference.models.four_view import FourViewConfig
from inference.preprocessing.four_view import FOUR_VIEW, FOUR_VIEW_FULL
from inference.training.four_view_batch import Augmentation


@dataclass(frozen=True, slots=True, kw_only=True)
class FourViewRecipe:
    """One training run of the four-view detector; ``batch_exams`` counts exams of up to four views."""

    name: str
    network: FourViewConfig
    preprocessing: str
    optimizer: str  # "adamw" or "sgd"
    learning_rate: float
    weight_decay: float
    warmup: int  # steps
    steps: int
    milestones: tuple[int, ...] = ()  # steps after which the rate is a tenth; none = cosine to a hundredth
    batch_exams: int = 1
    augmentation: Augmentation = field(default_factory=Augmentation)
    imagenet: str = "package"  # "package" = offline, "timm" = timm's weights where online, "none"
    settle_exams: int = 24  # exams on which normalisation statistics are set before the first step
    averaging: float = 0.997  # decay of the weights' moving average, which is what is kept
    train_exams: int = 900
    passes: float = 1.0  # over a manifest at least: a run is made longer until each exam was seen so often
    validation_exams: int = 40
    validate_every: int = 400
    checkpoint_every: int = 200
    patience: int = 5  # validations without a better one
    member: int | None = None  # 0, 1 or 2: learns from this random 80 % of the exams; None = from all
    unlabelled_every: int = 0  # every so many steps learn from pseudo-labels (0 = never)
    burn_in: int = 0  # steps that the student learns from truth alone; the teacher begins as a copy of it
    pseudo_threshold: float = 0.7
    pseudo_weight: float = 0.5  # of every loss of a step on pseudo-labels
    clip: float = 5.0
    seed: int = 2026


# Differs from the paper on purpose, for one CPU core and 80 minutes: EfficientNet-Lite0 on three planes at
# 0.3 mm (its depthwise filters keep their ImageNet weights: on a CPU their gradients cost more than the rest
# of a step), AdamW with one cosine because a run is a tenth as long, fusion parts dropped in 4 steps of 10 so
# that every subset of views and parts is trained, normalisation statistics set once on mammograms.
SMALL = FourViewRecipe(
    name="small",
    network=FourViewConfig(),
    preprocessing=FOUR_VIEW,
    optimizer="adamw",
    learning_rate=5e-4,
    weight_decay=1e-3,
    warmup=100,
    steps=4320,
    averaging=0.998,
    train_exams=900,
    passes=4.0,
    validate_every=480,
    checkpoint_every=240,
    patience=10,
    burn_in=1080,
)

# Goes on from weights of ``small`` with the images of one place: a third of the rate, a tenth of the steps.
TUNE = replace(
    SMALL,
    name="small-tune",
    learning_rate=1.5e-4,
    warmup=30,
    steps=400,
    passes=4.0,
    averaging=0.99,
    validate_every=80,
    checkpoint_every=40,
    patience=5,
    burn_in=100,
)

# Paper A: ResNet-50, SGD, rate 0.005, 500 warm-up steps, decay, weight decay 1e-4, 25 000 steps at most, four
# images a step (one exam), scale 0.8 to 1.2, flips, ImageNet transfer. Where it decays and by how much the
# paper does not say: a tenth after 60 % and 85 %.
PAPER = FourViewRecipe(
    name="paper",
    network=FourViewConfig(
        backbone="resnet50",
        planes=1,
        channels=256,
        strides=(4, 8, 16, 32),
        anchors=((32, 48), (64, 96), (128, 192), (256, 340)),
        box_features=1024,
        frozen_stages=1,
        frozen_depthwise=False,
        pool_scale=160,
        reach_px=80,
        proposals_training=500,
        proposals=200,
        regions=128,
    ),
    preprocessing=FOUR_VIEW_FULL,
    optimizer="sgd",
    learning_rate=0.005,
    weight_decay=1e-4,
    warmup=500,
    steps=25_000,
    milestones=(15_000, 21_250),
    augmentation=Augmentation(flip_rows=0.0),
    imagenet="timm",
    settle_exams=0,
    averaging=0.999,
    train_exams=4000,
    validate_every=1000,
    checkpoint_every=500,
    unlabelled_every=2,
    burn_in=5000,
)

RECIPES = {each.name: each for each in (SMALL, TUNE, PAPER)}


def four_view_recipe(name: str) -> FourViewRecipe:
    """Return the recipe of that name; ModelError lists the ones that exist."""
    try:
        return RECIPES[name]
    except KeyError:
        known = ", ".join(sorted(RECIPES))
        raise ModelError(f"Recipe {name!r}: expected one of {known}; name one of these.") from None
