"""The port through which the rest of the house asks for AI, and its fake twin that needs no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol

import numpy as np

from inference.exam.types import Box, Exam, InferenceError
from inference.results import Detection, ExamResult, Heatmap
from resources.vocabulary import FindingType, Laterality

Progress = Callable[[float, str], None]  # fraction 0..1, what is being done
Cancelled = Callable[[], bool]


class InferenceCancelled(InferenceError):
    """The caller asked to stop."""


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
            detections.append(
                Detection(
                    detection_id=f"{image.key}#0",
                    image_key=image.key,
                    box=Box(row0=row - half, col0=col - half, row1=row + half, col1=col + half),
                    score=score,
                    finding=list(FindingType)[int(rng.integers(4))],
                )
            )
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
        )
