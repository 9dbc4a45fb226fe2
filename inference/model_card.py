"""What a model says about itself: the card that lies beside its weights, read and checked. No torch here.

A model is a folder: ``card.json`` and one safetensors file named in it with its SHA-256. Field names follow
the architecture's list and map onto a MONAI Bundle's metadata (version, task, description, data_source,
intended_use).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema

from inference.exam.types import InferenceError
from resources.files import read_json


class ModelError(InferenceError):
    """A model folder cannot be used; the text names the file, what was expected, what was found, what to
    do."""


_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
CARD_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": [
        "schema_version", "id", "name", "version", "task", "architecture", "inputs", "preprocessing",
        "outputs", "operating_points", "score_meaning", "training_data", "licence", "known_limits",
        "intended_use", "weights",
    ],
    "properties": {
        "schema_version": {"const": 1},
        "id": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]*$"},
        "name": _TEXT,
        "version": _TEXT,
        "task": _TEXT,
        "architecture": {
            "type": "object",
            "required": ["family"],
            "properties": {"family": _TEXT},
        },
        "inputs": {"type": "array", "minItems": 1, "items": _TEXT},
        "preprocessing": _TEXT,
        "outputs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "unit", "meaning"],
                "properties": {"name": _TEXT, "unit": _TEXT, "meaning": _TEXT},
            },
        },
        "operating_points": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "level", "threshold", "how_set"],
                "properties": {
                    "name": _TEXT,
                    "level": {"enum": ["box", "lesion", "view", "breast", "exam"]},
                    "threshold": {"type": "number", "minimum": 0, "maximum": 1},
                    "how_set": _TEXT,
                },
            },
        },
        "score_meaning": _TEXT,
        "training_data": _TEXT,
        "licence": _TEXT,
        "known_limits": {"type": "array", "minItems": 1, "items": _TEXT},
        "intended_use": {"type": "string", "pattern": "[Rr]esearch use only"},
        "weights": {
            "type": "object",
            "required": ["file", "sha256"],
            "properties": {
                "file": {"type": "string", "pattern": "^[A-Za-z0-9._-]+\\.safetensors$"},
                "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            },
        },
        "calibration": {
            "type": "object",
            "required": ["slope", "intercept", "how_set"],
            "properties": {
                "slope": {"type": "number"},
                "intercept": {"type": "number"},
                "map_offset_px": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
                "how_set": _TEXT,
            },
        },
        "evaluation": {"type": "object"},
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A threshold in [0, 1] on scores of one level (box, lesion, view, breast, exam), and how it was set."""

    name: str
    level: str
    threshold: float
    how_set: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOutput:
    """One thing the model says, with its unit."""

    name: str
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """The card of one model folder; ``evaluation`` holds measured figures by level, as written by
    evaluation."""

    folder: Path
    model_id: str
    name: str
    version: str
    task: str
    architecture: Mapping[str, Any] = field(compare=False)
    inputs: tuple[str, ...]
    preprocessing: str
    outputs: tuple[ModelOutput, ...]
    operating_points: tuple[OperatingPoint, ...]
    score_meaning: str
    training_data: str
    licence: str
    known_limits: tuple[str, ...]
    intended_use: str
    weights_file: str
    weights_sha256: str
    calibration: tuple[float, float] = (1.0, 0.0)  # slope and intercept on logits
    map_offset_px: tuple[float, float] = (
        0.0,
        0.0,
    )  # canvas rows, columns by which raw maps lie too far down and out
    evaluation: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def weights_path(self) -> Path:
        return self.folder / self.weights_file

    def threshold(self, level: str, fallback: float = 0.5) -> float:
        """Return the first operating point of that level."""
        return next((p.threshold for p in self.operating_points if p.level == level), fallback)


def read_card(folder: Path) -> ModelCard:
    """Read and check ``folder/card.json``; ModelError names the field that is wrong. Weights are not read."""
    path = folder / "card.json"
    if not path.is_file():
        raise ModelError(
            f"Model folder {folder.name}: expected a card.json, found none; choose a model folder."
        )
    raw = read_json(path)
    try:
        jsonschema.validate(raw, CARD_SCHEMA)
    except jsonschema.ValidationError as error:
        where = "/".join(str(part) for part in error.absolute_path) or "the whole card"
        raise ModelError(f"{path}: {where}: {error.message}; correct the card.") from error
    assert isinstance(raw, dict)
    try:
        return _card_of(folder, raw)
    except OverflowError as error:  # an integer of hundreds of digits
        raise ModelError(
            f"{path}: expected numbers, found one too large ({error}); correct the card."
        ) from error


def _card_of(folder: Path, raw: dict[str, Any]) -> ModelCard:
    calibration = raw.get("calibration", {"slope": 1.0, "intercept": 0.0})
    offset = calibration.get("map_offset_px", (0.0, 0.0))
    return ModelCard(
        folder=folder,
        model_id=raw["id"],
        name=raw["name"],
        version=raw["version"],
        task=raw["task"],
        architecture=raw["architecture"],
        inputs=tuple(raw["inputs"]),
        preprocessing=raw["preprocessing"],
        outputs=tuple(
            ModelOutput(name=o["name"], unit=o["unit"], meaning=o["meaning"]) for o in raw["outputs"]
        ),
        operating_points=tuple(
            OperatingPoint(
                name=p["name"], level=p["level"], threshold=float(p["threshold"]), how_set=p["how_set"]
            )
            for p in raw["operating_points"]
        ),
        score_meaning=raw["score_meaning"],
        training_data=raw["training_data"],
        licence=raw["licence"],
        known_limits=tuple(raw["known_limits"]),
        intended_use=raw["intended_use"],
        weights_file=raw["weights"]["file"],
        weights_sha256=raw["weights"]["sha256"],
        calibration=(float(calibration["slope"]), float(calibration["intercept"])),
        map_offset_px=(float(offset[0]), float(offset[1])),
        evaluation=raw.get("evaluation", {}),
    )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def checked_weights(card: ModelCard) -> bytes:
    """Return the bytes of the card's weights; ModelError when they are absent or not the ones the card
    names."""
    path = card.weights_path
    if not path.is_file():
        raise ModelError(
            f"Model {card.model_id}: expected weights {card.weights_file} beside the card, found none; "
            "copy the model folder again."
        )
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != card.weights_sha256:
        raise ModelError(
            f"Model {card.model_id}: weights {card.weights_file}: expected SHA-256 "
            f"{card.weights_sha256[:12]}..., "
            f"found {found[:12]}...; the file was changed or is damaged, copy the model folder again."
        )
    return data


def write_card(folder: Path, raw: Mapping[str, Any]) -> Path:
    """Check ``raw`` against the schema and write it as ``folder/card.json``; returns the path."""
    jsonschema.validate(raw, CARD_SCHEMA)
    path = folder / "card.json"
    path.write_text(json.dumps(raw, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
