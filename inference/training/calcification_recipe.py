"""Recipes of the calcification ensemble: ``small`` for two CPU cores, ``paper`` with five large ImageNet networks.

Every number that a run needs; ``calcification_loop`` runs them with the same code.
"""

from __future__ import annotations

from dataclasses import dataclass

from inference.model_card import ModelError
from inference.models.crop_classifier import CropConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRecipe:
    """One member's training: ``imagenet`` is "package" (offline), "timm" (its weights, where online) or "none"."""

    name: str
    network: CropConfig
    imagenet: str
    steps: int  # on plain views
    harder_steps: int = 0  # then, every second one on difficult views, from half the rate down
    learning_rate: float
    weight_decay: float = 1e-3
    warmup: int = 30
    batch: int = 24
    settled: bool = False  # normalisation set once on crops, then left alone: an ImageNet start of few steps
    averaging: float = 0.98  # decay of the weights' moving average, which is what is kept
    validate_every: int = 100
    checkpoint_every: int = 50
    seed: int = 2021

    @property
    def all_steps(self) -> int:
        """Steps of both parts."""
        return self.steps + self.harder_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleRecipe:
    """Five members and the phantoms they learn from: counts of hard views, exams, traps and coarse views."""

    name: str
    members: tuple[MemberRecipe, ...]
    train: tuple[int, int] = (220, 16)
    validation: tuple[int, int] = (50, 8)  # choose the steps kept
    calibration: tuple[int, int, int, int] = (50, 20, 60, 80)  # set calibration and operating points
    harder: tuple[int, int] = (80, 120)  # views with traps, and as film, of the second part
    harder_validation: tuple[int, int] = (20, 20)  # with the plain ones they choose its step
    nothing_share: float = 0.3  # of a batch: false candidates


def _lite(number: int) -> MemberRecipe:
    name = f"tf_efficientnet_lite{number}"
    return MemberRecipe(
        name=name,
        network=CropConfig(backbone=name, level=3, cbam=False, size=128, dropout=0.2, frozen_depthwise=True),
        imagenet="package",
        steps=400,
        harder_steps=80,
        learning_rate=1.5e-3,
        settled=True,
        seed=2021 + number,
    )


# Differs from the paper on purpose, for a few minutes of one CPU core a member: networks cut at stride 16 (specks
# are small, and Grad-CAM is finer), crops of 12.8 mm at 0.1 mm, phantoms, a moving average of the weights. Two
# members start from random weights so that not all share ImageNet's eyes.
SMALL = EnsembleRecipe(
    name="small",
    # resnet18d ends at stride 4: it sees the specks' own shapes, not how they lie. Depthwise and squeezed networks
    # (mobilenetv3_small_075, regnetx_002) learnt too slowly from random weights: validation AUC 0.68 and 0.71.
    members=(
        _lite(0),
        _lite(1),
        _lite(2),
        MemberRecipe(
            name="resnet18d",
            network=CropConfig(backbone="resnet18d", level=1, cbam=False, size=128, dropout=0.1),
            imagenet="none",
            steps=600,
            harder_steps=80,
            learning_rate=2e-3,
            seed=2024,
        ),
        MemberRecipe(
            name="resnet10t",
            network=CropConfig(backbone="resnet10t", level=2, cbam=False, size=128, dropout=0.1),
            imagenet="none",
            steps=600,
            harder_steps=80,
            learning_rate=2e-3,
            seed=2025,
        ),
    ),
)


def _paper(backbone: str, size: int, number: int) -> MemberRecipe:
    return MemberRecipe(
        name=backbone,
        network=CropConfig(backbone=backbone, level=4, cbam=False, size=size, dropout=0.2),
        imagenet="timm",
        steps=6000,
        harder_steps=2000,
        learning_rate=1e-4,
        weight_decay=1e-4,
        warmup=200,
        averaging=0.999,
        validate_every=500,
        checkpoint_every=250,
        seed=2021 + number,
    )


# Paper D: five ImageNet networks and their mean. The abstract names DenseNet-201 and ResNet-101; the other three,
# sizes, rates and steps are this program's choice. Crops are enlarged to each network's ImageNet size.
PAPER = EnsembleRecipe(
    name="paper",
    members=(
        _paper("densenet201", 224, 0),
        _paper("resnet101", 224, 1),
        _paper("legacy_xception", 299, 2),
        _paper("inception_v3", 299, 3),
        _paper("inception_resnet_v2", 299, 4),
    ),
    train=(3000, 300),
    validation=(300, 60),
    calibration=(300, 60, 200, 200),
    harder=(1000, 1000),
    harder_validation=(60, 60),
)

RECIPES = {SMALL.name: SMALL, PAPER.name: PAPER}


def ensemble_recipe(name: str) -> EnsembleRecipe:
    """Return the recipe of that name; ModelError lists the ones that exist."""
    try:
        return RECIPES[name]
    except KeyError:
        known = ", ".join(sorted(RECIPES))
        raise ModelError(f"Recipe {name!r}: expected one of {known}; name one of these.") from None
