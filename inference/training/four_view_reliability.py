"""How far a four-view detector's lesion chances can be taken at their word: on phantoms that set nothing.

Marks and their truth in, the figure and two numbers out; the drawing is ``evaluation.reliability``'s.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from inference.evaluation.calibration import expected_calibration_error
from inference.evaluation.reliability import reliability_plot
from inference.four_view_engine import FourViewEngine
from inference.model_card import write_card
from inference.training.data import VALIDATION_SEEDS
from inference.training.four_view_evaluation import run_phantoms
from inference.training.four_view_measures import best_marks

FIRST = (
    VALIDATION_SEEDS + 300
)  # beyond the phantoms that chose the weights and those that set the calibration


def lesion_reliability(folder: Path, picture: Path, *, exams: int = 60) -> dict[str, float]:
    """Compare the chance said of each box with how often a lesion is there, before and after calibration.

    Parameters
    ----------
    folder
        A packaged, calibrated model; the result goes into its card.
    picture
        The plot, PNG; a dark twin is not drawn.

    Returns
    -------
    ``boxes``, ``ece_before`` and ``ece_after`` (expected calibration error, 0..1).
    """
    engine = FourViewEngine(folder, "cpu")
    spec = engine.card.architecture
    hits, after = [], []
    for case in run_phantoms(engine, range(FIRST, FIRST + exams)):
        for image in case.images:
            best = {id(mark) for mark in best_marks(image, "centre") if mark is not None}
            hits += [id(mark) in best for mark in image.marks]
            after += [mark.score for mark in image.marks]
    truth, said = np.array(hits), np.array(after)
    logit = np.log(said / (1.0 - said))
    raw = 1.0 / (1.0 + np.exp(-(logit - float(spec["lesion_intercept"])) / float(spec["lesion_slope"])))
    title = "Four-view detector, boxes on held-out phantoms"
    reliability_plot(
        picture, truth, raw, said, style="paper", title=title, method="platt", positive="with a lesion"
    )
    found = {
        "boxes": len(truth),
        "ece_before": round(expected_calibration_error(truth, raw), 4),
        "ece_after": round(expected_calibration_error(truth, said), 4),
    }
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["evaluation"]["phantom"]["reliability"] = found
    write_card(folder, card)
    return found
