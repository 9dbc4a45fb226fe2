"""The port through which the rest of the house asks for AI, and its fake twin that needs no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Protocol, TypedDict

import numpy as np

from inference.exam.types import Box, Exam, InferenceError, ViewImage
from inference.results import CC_REGIONS, MLO_REGIONS, Attribute, Detection, ExamResult, Heatmap
from resources.vocabulary import FindingType, Laterality

Progress = Callable[[float, str], None]  # fraction 0..1, what is being done
Cancelled = Callable[[], bool]


class InferenceCancelled(InferenceError):
    """The caller asked to stop."""


def check_cancelled(cancelled: Cancelled) -> None:
    """Raise InferenceCancelled where the caller asks to stop; called between two steps of an analysis."""
    if cancelled():
        raise InferenceCancelled("The analysis was cancelled.")


def nothing_to_read(exam: Exam, unread: Mapping[str, str]) -> InferenceError:
    """The error of an exam none of whose images is sound; ``unread`` says why, by image."""
    why = " ".join(dict.fromkeys(unread.values()))
    return InferenceError(
        f"Exam {exam.exam_id}: expected a view that can be read, found none. {why} Choose another exam or model."
    )


class AiUnavailable(InferenceError):
    """No model can run here, or none reads such images: asking again does not help."""


class InferenceEngine(Protocol):
    """Turns an exam into a result."""

    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult: ...


class FakeEngine:
    """Same exam, same made-up answer: for tests, simulation, and machines without torch."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
        detections: list[Detection] = []
        heatmaps: list[Heatmap] = []
        nipples: dict[str, tuple[float, float]] = {}
        view_scores: dict[str, float] = {}
        breast: dict[Laterality, float] = {}
        for index, image in enumerate(exam.images):
            if cancelled():
                raise InferenceCancelled("The analysis was cancelled.")
            progress(index / len(exam.images), f"{image.view.label}")
            seed = hashlib.sha256(f"{self._seed}|{exam.digest}|{image.key}".encode()).digest()[:8]
            rng = np.random.default_rng(int.from_bytes(seed, "little"))
            rows, cols = image.pixels.shape
            score = float(rng.uniform(0.05, 0.95))
            view_scores[image.key] = score
            breast[image.view.laterality] = max(score, breast.get(image.view.laterality, 0.0))
            row, col = rng.uniform(0.3, 0.7) * rows, rng.uniform(0.3, 0.7) * cols
            half = 0.06 * min(rows, cols)
            finding = list(FindingType)[int(rng.integers(4))]
            detections.append(
                Detection(
                    detection_id=f"{image.key}#0",
                    image_key=image.key,
                    box=Box(row0=row - half, col0=col - half, row1=row + half, col1=col + half),
                    score=score,
                    finding=finding,
                    **_described(row, col, half, score, image),
                )
            )
            nipples[image.key] = (rows / 2, cols - 1.0 if image.view.laterality is Laterality.LEFT else 0.0)
            grid_r, grid_c = np.mgrid[0:40, 0:32].astype(np.float32)
            spread = (grid_r - row / rows * 40) ** 2 + (grid_c - col / cols * 32) ** 2
            heatmaps.append(
                Heatmap(image_key=image.key, values=(score * np.exp(-spread / 12)).astype(np.float32))
            )
        progress(1.0, "done")
        return ExamResult(
            exam_digest=exam.digest,
            model_id="fake",
            model_version="1",
            weights_digest="0" * 64,
            preprocessing="none",
            device="none",
            seconds=0.0,
            exam_score=max(breast.values()),
            breast_scores=breast,
            view_scores=view_scores,
            detections=tuple(detections),
            heatmaps=tuple(heatmaps),
            score_meaning="Made up for tests; means nothing.",
            nipples=nipples,
        )


class _Described(TypedDict):
    """The fields of a detection that only a detector of lesions fills."""

    malignancy: float
    group: str
    match_probability: float
    outline: tuple[tuple[float, float], ...]
    attributes: Mapping[str, Attribute]
    region: str
    depth: float
    nipple_distance_mm: float


def _described(row: float, col: float, half: float, score: float, image: ViewImage) -> _Described:
    """Make up what a detector says beside the box; the two views of a breast share one group."""
    turns = np.arange(16) * (2 * np.pi / 16)
    regions = CC_REGIONS if image.view.projection.is_axial else MLO_REGIONS
    return _Described(
        malignancy=score,
        group=image.view.laterality.value + "1",
        match_probability=0.8,
        outline=tuple(
            (float(row + 0.8 * half * np.sin(t)), float(col + 0.8 * half * np.cos(t))) for t in turns
        ),
        attributes={"shape": Attribute(term="irregular", probability=0.7)},
        region=regions[0],
        depth=0.5,
        nipple_distance_mm=30.0,
    )
