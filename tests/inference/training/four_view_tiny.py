"""A training small enough for tests: run as a program in a process of its own, so that it can be killed.

``python four_view_tiny.py OUT STEPS`` trains on drawn exams; rank and step of the end are written to OUT.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from inference.models.four_view import FourViewConfig
from inference.training.four_view_batch import Augmentation
from inference.training.four_view_data import FINDINGS, LesionTruth, PreparedExam
from inference.training.four_view_loop import run_recipe
from inference.training.four_view_recipe import FourViewRecipe

ROWS, COLS = 128, 96


def drawn_exam(number: int, *, labelled: bool = True) -> PreparedExam:
    """Four views of grain; each holds one bright square with an outline."""
    rng = np.random.default_rng([number, 3])
    planes = rng.integers(40, 90, (4, 3, ROWS, COLS)).astype(np.uint8)
    lesions = []
    for view in range(4):
        row, col, side = int(rng.integers(8, 90)), int(rng.integers(8, 60)), int(rng.integers(18, 30))
        row1, col1 = min(row + side, ROWS), min(col + side, COLS)
        planes[view, :, row:row1, col:col1] = 220
        lesions.append(
            LesionTruth(
                view=view,
                lesion_id="R1",
                finding=FINDINGS[number % 4],
                malignant=bool(number % 2),
                box=(float(row), float(col), float(row1), float(col1)),
                outline=((row, col), (row, col1), (row1, col1), (row1, col)),
                shape="irregular",
            )
        )
    return PreparedExam(
        case_id=f"drawn {number}",
        planes=planes,
        slots=(0, 1, 2, 3),
        used_rows=(ROWS,) * 4,
        lesions=tuple(lesions) if labelled else (),
        labelled=labelled,
    )


class DrawnExams:
    """Eight drawn exams, the last two unlabelled, and two to validate with."""

    count, unlabelled = 8, 2

    def exam(self, index: int) -> PreparedExam:
        return drawn_exam(index, labelled=index < self.count - self.unlabelled)

    def validation(self) -> Iterator[PreparedExam]:
        yield from (drawn_exam(100), drawn_exam(101))


def tiny_recipe(steps: int) -> FourViewRecipe:
    return FourViewRecipe(
        name="tiny",
        network=FourViewConfig(proposals_training=20, proposals=10, regions=8),
        preprocessing="four-view/1",
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=1e-4,
        warmup=2,
        steps=steps,
        augmentation=Augmentation(),
        imagenet="none",
        settle_exams=1,
        train_exams=8,
        first_exams=8,
        validation_exams=1,
        validate_every=4,
        checkpoint_every=1,
        patience=99,
        unlabelled_every=3,
        pseudo_threshold=0.0,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    out = Path(sys.argv[1])
    run_recipe(tiny_recipe(int(sys.argv[2])), DrawnExams(), out)
    (out / f"rank{os.environ.get('RANK', '0')}.txt").write_text("done", encoding="utf-8")
