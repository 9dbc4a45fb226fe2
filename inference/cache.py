"""Results kept on disk, so that the same exam under the same model is analysed once.

Keyed by exam digest, weights digest, card (version and SHA-256) and preprocessing. Holds what a model said and no patient
identity. A damaged entry is logged, removed and computed anew; it is never an error to the reader.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inference.engine import Cancelled, InferenceEngine, Progress
from inference.exam.types import Box, Exam
from inference.model_card import ModelCard, file_sha256
from inference.results import Attribute, Detection, ExamResult, Heatmap
from resources.vocabulary import FindingType, Laterality

_LOG = logging.getLogger(__name__)
_FORMAT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """What must be equal for a cached result to be the model's own."""

    model_id: str
    model_version: str
    weights_digest: str
    preprocessing: str
    card_digest: str = (
        ""  # SHA-256 of card.json: thresholds and calibration change results, weights being equal
    )


def identity_of(card: ModelCard) -> ModelIdentity:
    """Return the identity under which results of this card are cached."""
    return ModelIdentity(
        model_id=card.model_id,
        model_version=card.version,
        weights_digest=card.weights_sha256,
        preprocessing=card.preprocessing,
        card_digest=file_sha256(card.folder / "card.json"),
    )


_DAMAGE = (
    OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, IndexError, RuntimeError, OverflowError,
    SyntaxError, MemoryError, NotImplementedError, zipfile.BadZipFile, zlib.error,
    tokenize.TokenError,
)  # fmt: skip  # whatever a damaged zip, array head or JSON raises; the result is made anew


class ResultCache:
    """A folder of results: one ``.npz`` each, holding the heat maps and the rest as JSON."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, exam_digest: str, model: ModelIdentity) -> Path:
        """Return where this result lies or would lie."""
        parts = (exam_digest, model.model_id, model.model_version, model.weights_digest, model.preprocessing,
                 model.card_digest)  # fmt: skip
        return self._folder / f"{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:40]}.npz"

    def get(self, exam_digest: str, model: ModelIdentity) -> ExamResult | None:
        """Return the kept result, or None; a damaged file is removed."""
        path = self.path(exam_digest, model)
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
                head = json.loads(str(stored["head"]))
                maps = tuple(
                    Heatmap(image_key=key, values=stored[f"map{i}"].astype(np.float32), label=label)
                    for i, (key, label) in enumerate(head["heatmaps"])
                )
            result = _result_of(head, maps)
        except FileNotFoundError:
            return None
        except _DAMAGE as error:
            _LOG.warning("cached result %s is damaged (%s); removed", path.name, type(error).__name__)
            path.unlink(missing_ok=True)
            return None
        same = (result.exam_digest, result.weights_digest) == (exam_digest, model.weights_digest)
        return result if same else None

    def put(self, result: ExamResult, card_digest: str = "") -> Path:
        """Keep a result, whole or not at all, under what it says of its model and that card; returns its path."""
        model = ModelIdentity(
            model_id=result.model_id,
            model_version=result.model_version,
            weights_digest=result.weights_digest,
            preprocessing=result.preprocessing,
            card_digest=card_digest,
        )
        path = self.path(result.exam_digest, model)
        self._folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {f"map{i}": h.values for i, h in enumerate(result.heatmaps)}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, head=np.array(json.dumps(_head_of(result))), **arrays)
        partial = path.with_suffix(f".{os.getpid()}.tmp")
        partial.write_bytes(buffer.getvalue())
        partial.replace(path)
        return path


class CachedEngine:
    """An ``InferenceEngine`` that asks the cache first."""

    def __init__(self, engine: InferenceEngine, cache: ResultCache, model: ModelIdentity) -> None:
        self._engine, self._cache, self._model = engine, cache, model

    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
        """Return the kept result when there is one, else analyse and keep it."""
        kept = self._cache.get(exam.digest, self._model)
        if kept is not None:
            progress(1.0, "kept result")
            return kept
        result = self._engine.analyse(exam, progress, cancelled)
        try:
            self._cache.put(result, self._model.card_digest)
        except OSError as error:  # a full disk costs time at the next look, not this result
            _LOG.warning("result could not be cached: %s", error.strerror)
        return result

    def close(self) -> None:
        """Close the engine behind, when it can be closed."""
        close = getattr(self._engine, "close", None)
        if close is not None:
            close()


def _head_of(result: ExamResult) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "exam_digest": result.exam_digest,
        "model_id": result.model_id,
        "model_version": result.model_version,
        "weights_digest": result.weights_digest,
        "preprocessing": result.preprocessing,
        "device": result.device,
        "seconds": result.seconds,
        "exam_score": result.exam_score,
        "breast_scores": {side.value: score for side, score in result.breast_scores.items()},
        "view_scores": dict(result.view_scores),
        "score_meaning": result.score_meaning,
        "warnings": list(result.warnings),
        "nipples": {key: list(place) for key, place in result.nipples.items()},
        "unread": dict(result.unread),
        "heatmaps": [[h.image_key, h.label] for h in result.heatmaps],
        "detections": [
            {
                "detection_id": d.detection_id,
                "image_key": d.image_key,
                "box": [d.box.row0, d.box.col0, d.box.row1, d.box.col1],
                "score": d.score,
                "finding": None if d.finding is None else d.finding.value,
                "malignancy": d.malignancy,
                "group": d.group,
                "match_probability": d.match_probability,
                "outline": [list(corner) for corner in d.outline],
                "attributes": {name: [a.term, a.probability] for name, a in d.attributes.items()},
                "region": d.region,
                "depth": d.depth,
                "nipple_distance_mm": d.nipple_distance_mm,
                "energy_scores": dict(d.energy_scores),
            }
            for d in result.detections
        ],
    }


def _result_of(head: dict[str, Any], heatmaps: tuple[Heatmap, ...]) -> ExamResult:
    if head["format"] != _FORMAT:
        raise ValueError(f"format: expected {_FORMAT}, found {head['format']}")
    return ExamResult(
        exam_digest=head["exam_digest"],
        model_id=head["model_id"],
        model_version=head["model_version"],
        weights_digest=head["weights_digest"],
        preprocessing=head["preprocessing"],
        device=head["device"],
        seconds=head["seconds"],
        exam_score=head["exam_score"],
        breast_scores={Laterality(side): score for side, score in head["breast_scores"].items()},
        view_scores=head["view_scores"],
        detections=tuple(_detection_of(entry) for entry in head["detections"]),
        heatmaps=heatmaps,
        score_meaning=head["score_meaning"],
        warnings=tuple(head["warnings"]),
        nipples={key: (row, col) for key, (row, col) in head["nipples"].items()},
        unread=head["unread"],
    )


def _detection_of(entry: dict[str, Any]) -> Detection:
    row0, col0, row1, col1 = entry["box"]
    return Detection(
        detection_id=entry["detection_id"],
        image_key=entry["image_key"],
        box=Box(row0=row0, col0=col0, row1=row1, col1=col1),
        score=entry["score"],
        finding=None if entry["finding"] is None else FindingType(entry["finding"]),
        malignancy=entry["malignancy"],
        group=entry["group"],
        match_probability=entry["match_probability"],
        outline=tuple((row, col) for row, col in entry["outline"]),
        attributes={
            name: Attribute(term=term, probability=probability)
            for name, (term, probability) in entry["attributes"].items()
        },
        region=entry["region"],
        depth=entry["depth"],
        nipple_distance_mm=entry["nipple_distance_mm"],
        energy_scores=entry.get("energy_scores", {}),
    )
