"""Writes what a batch run says: scores.csv, detections.csv, heat-map PNGs and run.json (contract in the
docs).

Owns the file formats; which exams are analysed and by what is ``inference.__main__``.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inference.exam.types import Exam, ViewImage
from inference.lesions import LesionScore
from inference.results import Detection, ExamResult, Heatmap

SCORE_COLUMNS = ("case_id", "level", "laterality", "view", "kind", "lesion_id", "score")
DETECTION_COLUMNS = (
    "case_id", "path", "laterality", "view", "kind", "x0", "y0", "x1", "y1",
    "type", "score", "malignancy", "lesion_group",
    # beyond the contract: x,y corners of the outline; attribute=term:probability; place; match
    "outline", "attributes", "region", "depth", "nipple_distance_mm", "match_probability",
)  # fmt: skip


@dataclass(slots=True)
class RunOutput:
    """Gathers the results of a run; ``write`` makes the files."""

    folder: Path
    heatmaps: bool = False
    paths: bool = True  # False: files' names may name persons, images are told by their keys
    scores: list[dict[str, str]] = field(default_factory=list)
    detections: list[dict[str, str]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    unread: dict[str, dict[str, str]] = field(default_factory=dict)  # case -> image key -> why

    def add(self, case_id: str, exam: Exam, result: ExamResult) -> None:
        """Take in one exam's result; heat maps are written at once."""
        images: dict[str, ViewImage] = {}
        for image in exam.images:
            images.setdefault(image.key, image)
        self.seconds[case_id] = round(result.seconds, 3)
        if result.unread:
            self.unread[case_id] = dict(result.unread)
        if result.warnings:
            self.warnings[case_id] = list(result.warnings)
        for key, score in result.view_scores.items():
            self._score(case_id, "view", score, images[key])
        for side, score in result.breast_scores.items():
            self.scores.append(
                _row(case_id=case_id, level="breast", laterality=side.value, score=_number(score))
            )
        if result.exam_score is not None:
            self.scores.append(_row(case_id=case_id, level="exam", score=_number(result.exam_score)))
        for found in result.detections:
            image = images[found.image_key]
            self.detections.append(
                {
                    "case_id": case_id,
                    "path": image.path if self.paths else image.key,
                    "laterality": image.view.laterality.value,
                    "view": image.view.projection.value,
                    "kind": image.kind.value,
                    "x0": f"{found.box.col0:.1f}",
                    "y0": f"{found.box.row0:.1f}",
                    "x1": f"{found.box.col1:.1f}",
                    "y1": f"{found.box.row1:.1f}",
                    "type": "" if found.finding is None else found.finding.value,
                    "score": _number(found.score),
                    "malignancy": "" if found.malignancy is None else _number(found.malignancy),
                    "lesion_group": found.group or "",
                    **_described(found),
                }
            )
        if self.heatmaps:
            for heatmap in result.heatmaps:
                self._heatmap(case_id, heatmap, images[heatmap.image_key])

    def add_lesions(self, case_id: str, scores: Sequence[LesionScore]) -> None:
        """Take in what a lesion-level model says of the lesions it was given."""
        for found in scores:
            view = found.view
            self.scores.append(
                _row(
                    case_id=case_id,
                    level="lesion",
                    laterality=found.laterality.value,
                    view="" if view is None else view.value,
                    kind="" if found.kind is None else found.kind.value,
                    lesion_id=found.lesion_id,
                    score=_number(found.score),
                )
            )

    def fail(self, case_id: str, sentence: str) -> None:
        """Note an exam that could not be analysed."""
        self.failures[case_id] = sentence

    def write(self, **facts: Any) -> None:
        """Write scores.csv, detections.csv and run.json; ``facts`` go into the latter."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _table(self.folder / "scores.csv", SCORE_COLUMNS, self.scores)
        _table(self.folder / "detections.csv", DETECTION_COLUMNS, self.detections)
        run = {
            **facts,
            "seconds_per_exam": self.seconds,
            "failures": self.failures,
            "warnings": self.warnings,
            "unread": self.unread,
        }
        text = json.dumps(run, indent=2, ensure_ascii=False) + "\n"
        (self.folder / "run.json").write_text(text, encoding="utf-8")

    def _score(self, case_id: str, level: str, score: float, image: ViewImage) -> None:
        self.scores.append(
            _row(
                case_id=case_id,
                level=level,
                laterality=image.view.laterality.value,
                view=image.view.projection.value,
                kind=image.kind.value,
                score=_number(score),
            )
        )

    def _heatmap(self, case_id: str, heatmap: Heatmap, image: ViewImage) -> None:
        rows, cols = image.pixels.shape
        full = cv2.resize(heatmap.values, (cols, rows), interpolation=cv2.INTER_LINEAR)
        sixteen = np.rint(np.clip(full, 0, 1) * 65535).astype(np.uint16)
        folder = self.folder / "heatmaps"
        folder.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{case_id}_{heatmap.image_key}")
        done, data = cv2.imencode(".png", sixteen)
        assert done
        (folder / f"{name}.png").write_bytes(data.tobytes())


def _described(found: Detection) -> dict[str, str]:
    """The cells that a detector of lesions fills beyond the contract's."""
    return {
        "outline": " ".join(f"{col:.1f},{row:.1f}" for row, col in found.outline),
        "attributes": ";".join(
            f"{name}={a.term}:{a.probability:.3f}" for name, a in found.attributes.items()
        ),
        "region": found.region or "",
        "depth": "" if found.depth is None else _number(found.depth),
        "nipple_distance_mm": "" if found.nipple_distance_mm is None else f"{found.nipple_distance_mm:.1f}",
        "match_probability": "" if found.match_probability is None else _number(found.match_probability),
    }


def _row(**cells: str) -> dict[str, str]:
    return {column: cells.get(column, "") for column in SCORE_COLUMNS}


def _number(value: float) -> str:
    return f"{value:.6f}"


def _table(path: Path, columns: tuple[str, ...], rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
