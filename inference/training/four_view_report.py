"""The page that a four-view training leaves behind: curves, figures of the validations, example overlays.

Reads a run's ``history.json`` and draws; it trains nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.models.four_view import FourViewDetector
from inference.training.four_view_data import PreparedExam
from inference.training.four_view_loop import Exams, predict, results
from inference.training.four_view_measures import ImageResult
from inference.training.four_view_recipe import FourViewRecipe

_TRUTH, _FOUND = (80, 220, 80), (40, 140, 255)  # BGR
_MARKS = 3  # strongest marks drawn a view
_SHOWN = 6


def write_report(
    folder: Path, recipe: FourViewRecipe, model: FourViewDetector, exams: Exams, *, learnt_from: str = ""
) -> tuple[Path, ...]:
    """Write ``report.md``, ``curves.png`` and ``examples.png`` into a run's folder; returns their paths.

    ``learnt_from`` are words on the exams: how they were split, how many were left out.
    """
    history: list[dict[str, float]] = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    curves = folder / "curves.png"
    draw_curves(history, curves)
    examples = folder / "examples.png"
    shown = [exam for _, exam in zip(range(3 * _SHOWN), exams.validation(), strict=False) if exam.lesions]
    rows = [overlay(exam, results(exam, predict(model, exam))) for exam in shown[:_SHOWN]]
    cv2.imwrite(str(examples), _stacked(rows))
    page = folder / "report.md"
    page.write_text(_page(history, recipe, learnt_from), encoding="utf-8")
    return page, curves, examples


def draw_curves(history: Sequence[dict[str, float]], path: Path) -> None:
    """Draw losses and validation figures over the steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = [entry for entry in history if "total" in entry]
    for name in ("total", "type", "loss_objectness", "malignancy", "mask"):
        left.plot([e["step"] for e in steps], [e.get(name, np.nan) for e in steps], label=name)
    checks = [entry for entry in history if "validation_sensitivity" in entry]
    for name in sorted(
        {key for e in checks for key in e if key.startswith(("validation_sens", "validation_mal"))}
    ):
        right.plot([e["step"] for e in checks], [e.get(name, np.nan) for e in checks], "o-", label=name[11:])
    left.set(xlabel="step", ylabel="loss", yscale="log")
    right.set(xlabel="step", ylabel="validation", ylim=(0, 1))
    for axes in (left, right):
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)


def overlay(exam: PreparedExam, images: Sequence[ImageResult]) -> NDArray[np.uint8]:
    """Draw an exam's views side by side: truth in green, strongest marks in orange; (rows, cols, 3) BGR."""
    out = []
    for view, image in enumerate(images):
        picture = np.repeat(exam.planes[view, 0][..., None], 3, axis=2).copy()
        for lesion in image.lesions:
            row0, col0, row1, col1 = (round(v) for v in lesion.box)
            cv2.rectangle(picture, (col0, row0), (col1, row1), _TRUTH, 1)
            kind = "" if lesion.malignant is None else " malignant" if lesion.malignant else " benign"
            _word(picture, lesion.finding.value + kind, (col0, row0 - 4), _TRUTH)
        for mark in image.marks[:_MARKS]:
            row0, col0, row1, col1 = (round(v) for v in mark.box)
            cv2.rectangle(picture, (col0, row0), (col1, row1), _FOUND, 1)
            _word(picture, f"{mark.finding.value} {mark.score:.2f}", (col0, row1 + 12), _FOUND)
        out.append(picture)
    return np.asarray(np.hstack(out), np.uint8)


def _word(picture: NDArray[np.uint8], text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)


def _stacked(rows: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    width = max((row.shape[1] for row in rows), default=1)
    padded = [np.pad(row, ((0, 8), (0, width - row.shape[1]), (0, 0))) for row in rows]
    whole = np.vstack(padded) if padded else np.zeros((1, 1, 3), np.uint8)
    return np.asarray(cv2.resize(whole, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA), np.uint8)


def _page(history: Sequence[dict[str, float]], recipe: FourViewRecipe, learnt_from: str) -> str:
    checks = [entry for entry in history if "validation_sensitivity" in entry]
    names = sorted({key for entry in checks for key in entry if key.startswith("validation_")})
    lines = [
        f"# Training of the four-view detector, recipe {recipe.name}",
        "",
        *([learnt_from, ""] if learnt_from else []),
        "Figures of the validation exams at 0.2 false marks per image; synthetic validation where the exams are "
        "phantoms.",
        "",
        "| step | " + " | ".join(name[11:].replace("_", " ") for name in names) + " |",
        "|---|" + "---|" * len(names),
        *[
            f"| {entry['step']} | "
            + " | ".join(f"{entry.get(name, float('nan')):.3f}" for name in names)
            + " |"
            for entry in checks
        ],
        "",
        "![curves](curves.png)",
        "",
        "Truth in green, the three strongest marks of each view in orange:",
        "",
        "![examples](examples.png)",
        "",
    ]
    return "\n".join(lines)
