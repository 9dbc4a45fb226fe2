"""A training small enough for tests: run as a program in a process of its own, so that it can be killed.

``python four_view_tiny.py OUT STEPS`` trains on drawn exams; each process writes to OUT which exams it drew and
the digest of the weights that it ends with.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inference.models.four_view import FourViewConfig
from inference.training import four_view_loop
from inference.training.four_view_batch import Augmentation
from inference.training.four_view_checkpoint import Run
from inference.training.four_view_data import FINDINGS, LesionTruth, PreparedExam
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
    identity = "drawn exams"

    def __init__(self) -> None:
        self.seen: list[int] = []

    def exam(self, index: int) -> PreparedExam:
        self.seen.append(index)
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
        validation_exams=1,
        validate_every=4,
        checkpoint_every=1,
        patience=99,
        unlabelled_every=3,
        burn_in=2,
        pseudo_threshold=0.0,
    )


def digest(run: Run) -> str:
    found = hashlib.sha256()
    for value in (*run.model.state_dict().values(), *run.average.state_dict().values()):
        found.update(value.detach().cpu().numpy().tobytes())
    return found.hexdigest()


def main(out: Path, steps: int) -> None:
    """Train, and keep hold of the run to say what its weights are in this very process."""
    runs: list[Run] = []
    begun = four_view_loop.start

    def watched(*args: Any, **kwargs: Any) -> Run:
        runs.append(begun(*args, **kwargs))
        return runs[-1]

    four_view_loop.start = watched  # type: ignore[assignment]
    exams = DrawnExams()
    four_view_loop.run_recipe(tiny_recipe(steps), exams, out)
    said = {"seen": exams.seen[1:], "weights": digest(runs[-1])}  # the first settled the normalisation
    (out / f"rank{os.environ.get('RANK', '0')}.json").write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), int(sys.argv[2]))
