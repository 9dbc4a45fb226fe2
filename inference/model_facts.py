"""What a model folder can do and what it costs, read from card and file sizes for lists of models. No torch, no weights read.

Also lists the folders that cannot be used, with the reason, where ``inference.registry`` gives only those that can.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from inference.model_card import ModelCard
from inference.registry import user_models_dir
from resources.files import ROOT
from resources.vocabulary import FindingType

_LESIONS = (
    FindingType.MASS,
    FindingType.CALCIFICATION,
    FindingType.ASYMMETRY,
    FindingType.DISTORTION,
)
# Where a card has no list "finds" in its architecture: by the beginning of its network family's name.
_FINDS: Mapping[str, tuple[FindingType, ...]] = {
    "four_view": _LESIONS,
    "calcification": (FindingType.CALCIFICATION,),
}
_SPEED = "seconds_per_exam"
_DEEPEST = 4  # levels of the card's evaluation that are looked through for the speed


class Needs(StrEnum):
    """Which exams a model reads."""

    VIEWS = "views"  # any of the four standard views
    CONTRAST_PAIR = "contrast pair"  # low energy and recombined of one exposure


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """``finds`` empty = the findings have no type; ``seconds_per_exam`` None = the card has no figure."""

    finds: tuple[FindingType, ...]
    needs: Needs
    needs_cuda: bool
    seconds_per_exam: float | None
    size_bytes: int


def model_facts(card: ModelCard) -> ModelFacts:
    """Take the facts of a card; the size is that of its folder's files."""
    spec = card.architecture
    family = str(spec.get("family", ""))
    named = spec.get("finds")
    finds = next((found for start, found in _FINDS.items() if family.startswith(start)), ())
    if isinstance(named, list):
        known = {one.value: one for one in FindingType}
        finds = tuple(known[name] for name in named if name in known)
    contrast = spec.get("needs") == Needs.CONTRAST_PAIR.value or family.startswith("cesm")
    return ModelFacts(
        finds=finds,
        needs=Needs.CONTRAST_PAIR if contrast else Needs.VIEWS,
        needs_cuda=bool(spec.get("needs_cuda", False)),
        seconds_per_exam=_seconds(card.evaluation),
        size_bytes=folder_bytes(card.folder),
    )


def folder_bytes(folder: Path) -> int:
    """Size of the files directly in a folder; 0 where it cannot be looked into."""
    try:
        return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    except OSError:
        return 0


def _seconds(evaluation: Mapping[str, Any], depth: int = 0) -> float | None:
    """The nearest figure of seconds an exam in the card's evaluation."""
    value = evaluation.get(_SPEED)
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    if depth >= _DEEPEST:
        return None
    for part in evaluation.values():
        if isinstance(part, Mapping) and (found := _seconds(part, depth + 1)) is not None:
            return found
    return None


def all_model_folders() -> tuple[tuple[Path, bool], ...]:
    """Return every folder where models lie and whether it ships with the program; also those without a card."""
    found: list[tuple[Path, bool]] = []
    for root, ships in ((ROOT / "models", True), (user_models_dir(), False)):
        if root.is_dir():
            folders = (path for path in root.iterdir() if path.is_dir() and path.name[0] not in "._")
            found += [(path, ships) for path in sorted(folders)]
    return tuple(found)
