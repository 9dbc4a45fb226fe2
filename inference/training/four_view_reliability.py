"""How far a four-view detector's chances can be taken at their word: on phantoms that set nothing.

Marks and their truth in, the figure and two numbers out; the drawing is ``evaluation.reliability``'s.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.evaluation.calibration import expected_calibration_error
from inference.evaluation.reliability import reliability_plot
from inference.model_card import read_card, write_card
from inference.training.four_view_evaluation import PhantomCase
from inference.training.four_view_measures import best_marks


def lesion_reliability(folder: Path, picture: Path, cases: Sequence[PhantomCase]) -> dict[str, float]:
    """Compare the chance said of each box with how often a lesion is there, before and after calibration.

    Parameters
    ----------
    folder
        A packaged, calibrated model; the result goes into its card.
    picture
        The plot, PNG; a dark twin is not drawn.
    cases
        What the model says of phantoms that set nothing.

    Returns
    -------
    ``boxes``, ``exams``, ``ece_before`` and ``ece_after`` (expected calibration error, 0..1).
    """
    spec = read_card(folder).architecture
    hits, after = [], []
    for case in cases:
        for image in case.images:
            best = {id(mark) for mark in best_marks(image, "centre") if mark is not None}
            hits += [id(mark) in best for mark in image.marks]
            after += [mark.score for mark in image.marks]
    truth, said = np.array(hits), np.array(after)
    raw = uncalibrated(said, (float(spec["lesion_slope"]), float(spec["lesion_intercept"])))
    title = "Four-view detector, boxes on held-out phantoms"
    reliability_plot(
        picture, truth, raw, said, style="paper", title=title, method="platt", positive="with a lesion"
    )
    found = {"boxes": len(truth), "exams": len(cases), **_errors(truth, raw, said)}
    _note(folder, "reliability", found)
    return found


def breast_reliability(folder: Path, picture: Path, cases: Sequence[PhantomCase]) -> dict[str, float]:
    """Compare the chance of cancer said of each breast with how often there is one, before and after calibration.

    Returns
    -------
    ``breasts``, ``exams``, ``ece_before`` and ``ece_after``; the rest as ``lesion_reliability``.
    """
    pairs = [pair for case in cases for pair in case.breasts]
    truth, said = np.array([cancer for cancer, _ in pairs]), np.array([score for _, score in pairs])
    raw = uncalibrated(said, read_card(folder).calibration)
    title = "Four-view detector, breasts of held-out phantoms"
    reliability_plot(
        picture, truth, raw, said, style="paper", title=title, method="platt", positive="with cancer"
    )
    found = {"breasts": len(truth), "exams": len(cases), **_errors(truth, raw, said)}
    _note(folder, "breast_reliability", found)
    return found


def uncalibrated(said: NDArray[np.float64], scale: tuple[float, float]) -> NDArray[np.float64]:
    """Return the scores before slope and intercept were put on their logit."""
    kept = np.clip(said, 1e-6, 1.0 - 1e-6)
    logit = np.log(kept / (1.0 - kept))
    return np.asarray(1.0 / (1.0 + np.exp(-(logit - scale[1]) / scale[0])), np.float64)


def _errors(
    truth: NDArray[np.bool_], before: NDArray[np.float64], after: NDArray[np.float64]
) -> dict[str, float]:
    return {
        "ece_before": round(expected_calibration_error(truth, before), 4),
        "ece_after": round(expected_calibration_error(truth, after), 4),
    }


def _note(folder: Path, name: str, found: dict[str, float]) -> None:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["evaluation"].setdefault("phantom", {})[name] = found
    write_card(folder, card)
