"""Recipes of the contrast-mammography lesion classifier: as published for three backbones, and a small one.

Every number that a run needs; ``cesm_loop`` runs them all with the same code.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from inference.model_card import ModelError
from inference.models.crop_classifier import PAPER_BACKBONES, CropConfig
from inference.models.lesion_segmenter import SegmenterConfig
from inference.preprocessing.cesm import CESM_PAIR, CESM_PAPER

ENERGIES = ("both", "low", "recombined")


@dataclass(frozen=True, slots=True, kw_only=True)
class CesmRecipe:
    """One cross-validated training of the classifier."""

    name: str
    network: CropConfig
    preprocessing: str
    optimizer: str  # "rmsprop" or "adamw"
    learning_rate: float
    epochs: int
    batch: int = 12
    stall: int = 0  # epochs without better validation accuracy before the rate is a tenth; 0 = cosine instead
    patience: int = 30  # epochs without lower validation loss before the run ends
    weight_decay: float = 0.0
    imagenet: str = "package"  # "package" = offline, "timm" = timm's weights where online, "none"
    energies: str = "both"  # which grey channels the network is shown
    energy_dropout: float = 0.0  # chance of blanking either grey channel, so that each can be read alone
    turn: float = 180.0  # degrees either way
    scale: float = 0.12
    shift: float = 0.06  # of the crop's side
    gain: float = 0.1  # contrast and brightness of the grey channels
    rough_masks: float = 0.5  # share of crops whose mask is drawn anew less exactly, as a segmenter would
    decoys: float = 0.3  # share kept of the places that are no lesion, to be learnt as benign
    folds: int = 5
    train_exams: int = 480
    seed: int = 2026

    @property
    def equalises(self) -> bool:
        """Whether each grey channel of a lesion's square is equalised alone, as published."""
        return self.preprocessing == CESM_PAPER


# Differs from the paper on purpose: two CPU cores. EfficientNet-Lite0 cut off at stride 16, whose map is fine enough
# to show where the logit comes from; AdamW with one cosine, because a run is a tenth as long; blanked channels.
SMALL = CesmRecipe(
    name="small",
    network=CropConfig(backbone="tf_efficientnet_lite0", level=3, cbam=True, size=112),
    preprocessing=CESM_PAIR,
    optimizer="adamw",
    learning_rate=7e-4,
    weight_decay=0.01,
    epochs=5,
    batch=16,
    energy_dropout=0.12,
)


def _paper(backbone: str, size: int) -> CesmRecipe:
    """Mao et al. 2023: RMSProp, rate 1e-4, a tenth after ten epochs without better accuracy, batches of 12."""
    return CesmRecipe(
        name=f"paper-{backbone}",
        network=CropConfig(backbone=PAPER_BACKBONES[backbone], level=4, cbam=True, size=size, dropout=0.0),
        preprocessing=CESM_PAPER,
        optimizer="rmsprop",
        learning_rate=1e-4,
        epochs=100,
        stall=10,
        imagenet="timm",
        turn=15.0,
        gain=0.0,
        rough_masks=0.0,
        decoys=0.0,
        train_exams=2000,
    )


RECIPES = {
    recipe.name: recipe
    for recipe in (SMALL, _paper("densenet121", 224), _paper("xception", 299), _paper("resnet50", 224))
}


def cesm_recipe(name: str, *, epochs: int | None = None) -> CesmRecipe:
    """Return the recipe of that name; ModelError lists the ones that exist.

    "-plain" at the end leaves out the attention; "-low" or "-recombined" shows the network one image only.
    """
    base, energies, cbam = name, "both", True
    for word in ENERGIES[1:]:
        if base.endswith(f"-{word}"):
            base, energies = base.removesuffix(f"-{word}"), word
    if base.endswith("-plain"):
        base, cbam = base.removesuffix("-plain"), False
    if base not in RECIPES:
        raise ModelError(
            f"Recipe {name!r}: expected one of {', '.join(sorted(RECIPES))}, with -plain, -low or -recombined after "
            "it if wanted; name one of these."
        )
    chosen = RECIPES[base]
    chosen = replace(chosen, network=replace(chosen.network, cbam=cbam), energies=energies)
    if energies != "both":
        chosen = replace(chosen, energy_dropout=0.0)
    return chosen if epochs is None else replace(chosen, epochs=epochs)


def variant_name(recipe: CesmRecipe) -> str:
    """Name of a run's folder, e.g. "small-cbam" or "small-plain-low"."""
    attention = "cbam" if recipe.network.cbam else "plain"
    return f"{recipe.name}-{attention}" + ("" if recipe.energies == "both" else f"-{recipe.energies}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmenterRecipe:
    """One training of the lesion segmenter."""

    network: SegmenterConfig = field(default_factory=SegmenterConfig)
    preprocessing: str = CESM_PAIR
    steps: int = 450
    batch: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    energy_dropout: float = 0.15
    healthy: float = 0.25  # share of pictures without a lesion
    checkpoint_every: int = 50
    train_exams: int = 400
    validation_exams: int = 80  # the last of the training phantoms
    seed: int = 2026


@dataclass(frozen=True, slots=True, kw_only=True)
class CesmOrder:
    """What a user asked for; None = as the recipe says."""

    out: Path
    cache: Path
    recipe: str = "small"
    device: str = "auto"
    epochs: int | None = None
    fold: int | None = None  # train this fold only
    workers: int = 1  # processes that make phantoms
    manifest: Path | None = None  # real pairs and their lesions
    lesions: Path | None = None
    validation: int = 40  # phantoms on which presence and breasts are calibrated
    shipped: int = 2  # folds whose networks are packaged
    outline_steps: int = 120  # of the segmenter on a manifest, in each fold
    data: str = ""  # what a manifest's images are, in the user's words
    licence: str = ""  # terms of weights learnt from a manifest
    model_id: str | None = None
    most_left_out: float = 0.25  # share of a manifest's exams that may be unreadable
