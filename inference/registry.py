"""Which models there are, whether one can run here, and how a card becomes a network.

Lists and cards need no torch; it is imported inside ``build`` only.
"""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from inference.model_card import ModelCard, ModelError, read_card
from inference.preprocessing.calcification import CALCIFICATION as CALCIFICATION_CHAIN
from inference.preprocessing.cesm import CESM_CHAINS
from inference.preprocessing.four_view import CHAINS
from inference.preprocessing.pipeline import PIPELINES
from resources.files import ROOT, UserFacingError

if TYPE_CHECKING:
    from inference.models.cam_classifier import CamNetwork
    from inference.models.four_view import FourViewDetector

_LOG = logging.getLogger(__name__)
CAM_CLASSIFIER, FOUR_VIEW, CESM_CBAM = "cam_classifier", "four_view", "cesm_cbam"
CALCIFICATION = "calcification"
_FAMILIES = (CAM_CLASSIFIER, FOUR_VIEW, CESM_CBAM, CALCIFICATION)
# families whose networks timm builds, and with which packages; the others need torch alone
_NEEDS = {
    FOUR_VIEW: ("torchvision", "timm"),
    CESM_CBAM: ("torchvision", "timm", "captum"),
    CALCIFICATION: ("torchvision", "timm", "captum"),
}
# which preprocessing each family's networks read
_CHAINS = {
    CAM_CLASSIFIER: tuple(PIPELINES),
    FOUR_VIEW: tuple(CHAINS),
    CESM_CBAM: CESM_CHAINS,
    CALCIFICATION: (CALCIFICATION_CHAIN,),
}


def user_models_dir() -> Path:
    """Folder in which a user keeps model folders of their own; it may not exist."""
    return Path(platformdirs.user_data_dir("negatoscope", appauthor=False)) / "models"


def model_folders() -> tuple[Path, ...]:
    """Return every folder with a card: those that ship with the program first, then the user's."""
    found: list[Path] = []
    for root in (ROOT / "models", user_models_dir()):
        if root.is_dir():
            found += sorted(path.parent for path in root.glob("*/card.json"))
    return tuple(found)


def cards() -> tuple[ModelCard, ...]:
    """Return the cards that can be read; one that cannot is logged and left out."""
    out: list[ModelCard] = []
    for folder in model_folders():
        try:
            out.append(read_card(folder))
        except UserFacingError as error:
            _LOG.warning("model left out: %s", error)
    return tuple(out)


def load_card(id_or_folder: str | Path) -> ModelCard:
    """Find a card by its id, or read the one in a folder; ModelError lists the known ids."""
    folder = Path(id_or_folder)
    if (folder / "card.json").is_file():
        return read_card(folder)
    known = cards()
    for card in known:
        if card.model_id == str(id_or_folder):
            return card
    names = ", ".join(card.model_id for card in known) or "none"
    raise ModelError(
        f"Model {str(id_or_folder)!r}: expected a folder or one of the ids {names}; "
        "name one of these or a folder with a card.json."
    )


def why_not(card: ModelCard) -> str | None:
    """Say in one sentence why this model cannot run here, or None when it can. Weights' digest is not
    checked."""
    if card.architecture.get("family") not in _FAMILIES:
        family = card.architecture.get("family")
        return f"Model {card.model_id}: this program does not know the network {family!r}."
    if card.preprocessing not in _CHAINS[family_of(card)]:
        return f"Model {card.model_id}: this program does not have the preprocessing {card.preprocessing!r}."
    if not card.weights_path.is_file():
        return f"Model {card.model_id}: its weights file {card.weights_file} is missing."
    needs = _NEEDS.get(family_of(card), ())
    if family_of(card) == CAM_CLASSIFIER and "backbone" in card.architecture:
        needs = ("torchvision", "timm")
    for package in ("torch", "safetensors", *needs):
        if importlib.util.find_spec(package) is None:
            return f"Model {card.model_id}: the Python package {package} is not installed."
    return None


def family_of(card: ModelCard) -> str:
    """Name of the kind of network that the card describes."""
    return str(card.architecture.get("family", ""))


def build(card: ModelCard) -> CamNetwork:
    """Make the card's network with fresh weights (imports torch); ModelError when it is not known."""
    reason = why_not(card) if family_of(card) not in _FAMILIES else None
    if reason:
        raise ModelError(reason)
    from inference.models.cam_classifier import CamConfig, Pooling, network_of

    spec = card.architecture
    try:
        config = CamConfig(
            width=int(spec["width"]),
            pooling=Pooling(spec["pooling"]),
            sharpness=float(spec.get("sharpness", 4.0)),
            dropout=float(spec.get("dropout", 0.0)),
            detail_px=int(spec.get("detail_px", 0)),
            spots=bool(spec.get("spots", False)),
            flips=bool(spec.get("flips", False)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"Model {card.model_id}: architecture: expected width and pooling, found {dict(spec)}; correct "
            f"the card."
        ) from error
    try:
        if "backbone" not in spec:
            return network_of(config)
        from inference.models.dib_mg_modern import modern_of

        return modern_of(config, str(spec["backbone"]))
    except (RuntimeError, ValueError, LookupError, ArithmeticError) as error:
        raise ModelError(
            f"Model {card.model_id}: architecture/{'backbone' if 'backbone' in spec else 'width'}: {error}; correct "
            "the card or install a program version that knows it."
        ) from error


def build_four_view(card: ModelCard) -> FourViewDetector:
    """Make the four-view detector that the card describes, with fresh weights (imports torch and timm)."""
    from inference.models.four_view import FourViewConfig, FourViewDetector

    spec: dict[str, Any] = {
        name: _frozen(value) for name, value in card.architecture.get("network", {}).items()
    }
    try:
        config = FourViewConfig(**spec)
    except TypeError as error:
        raise ModelError(
            f"Model {card.model_id}: architecture/network: {error}; correct the card or install a program "
            "version that knows it."
        ) from error
    return FourViewDetector(config)


def _frozen(value: object) -> object:
    """JSON's lists as the tuples that a configuration holds."""
    return tuple(_frozen(x) for x in value) if isinstance(value, list) else value
