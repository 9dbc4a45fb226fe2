"""Sensitivity, specificity and their kin at named thresholds, with intervals over patients.

Thresholds come from the model's card or are found on other data; none is found on the data it is judged on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.evaluation import ROUNDS
from inference.evaluation.figures import Patients, Weights, bootstrap, interval, number
from inference.evaluation.units import Unit, arrays
from inference.metrics import youden_threshold
from inference.registry import load_card
from resources.files import UserFacingError

MEASURES = ("sensitivity", "specificity", "ppv", "npv", "accuracy", "f1")
_TARGET = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A score at and above which a case counts as positive."""

    name: str
    level: str
    value: float
    how_set: str


def card_thresholds(model: str) -> tuple[list[Threshold], list[str]]:
    """The named thresholds of a model's card, and a sentence where there is no card."""
    try:
        card = load_card(model)
    except UserFacingError as error:
        return [], [f"operating_points: the thresholds of the model's card are not known: {error}"]
    return [
        Threshold(name=p.name, level=p.level, value=p.threshold, how_set=p.how_set)
        for p in card.operating_points
        if p.level in {"view", "breast", "exam", "lesion"}
    ], []


def half(level: str) -> Threshold:
    """The threshold 0.5, which needs no data."""
    return Threshold(name="0.5", level=level, value=0.5, how_set="fixed beforehand")


def found_thresholds(level: str, units: Sequence[Unit], where: str) -> list[Threshold]:
    """Thresholds found on other data: highest Youden index, sensitivity and specificity of at least 0.95.

    Empty where that data lacks one of the classes.
    """
    truth, scores = arrays(units)
    if not truth.any() or truth.all():
        return []
    sure = np.sort(scores[truth])[::-1]
    high = float(sure[int(np.ceil(_TARGET * len(sure) - 1e-9)) - 1])
    clear = np.sort(scores[~truth])
    low = float(np.nextafter(clear[int(np.ceil(_TARGET * len(clear) - 1e-9)) - 1], 2.0))
    counts = f"{where}, {int(truth.sum())} positive and {int((~truth).sum())} negative"
    made = [
        ("youden", youden_threshold(truth, scores), "highest Youden index"),
        ("high sensitivity", high, f"highest threshold of sensitivity {_TARGET} or more"),
        ("high specificity", low, f"lowest threshold of specificity {_TARGET} or more"),
    ]
    return [
        Threshold(name=name, level=level, value=value, how_set=f"{how} on {counts}")
        for name, value, how in made
    ]


def measures(truth: NDArray[np.bool_], called: NDArray[np.bool_], weights: Weights) -> NDArray[np.float64]:
    """The six measures of ``MEASURES``; NaN where its denominator is 0.

    Parameters
    ----------
    truth, called
        (units,) bool.
    weights
        (units,) how often each counts.
    """
    tp, fp = float(weights[truth & called].sum()), float(weights[~truth & called].sum())
    fn, tn = float(weights[truth & ~called].sum()), float(weights[~truth & ~called].sum())

    def share(part: float, whole: float) -> float:
        return part / whole if whole > 0 else float("nan")

    return np.array(
        [
            share(tp, tp + fn),
            share(tn, tn + fp),
            share(tp, tp + fp),
            share(tn, tn + fn),
            share(tp + tn, tp + tn + fp + fn),
            share(2 * tp, 2 * tp + fp + fn),
        ]
    )


def patients_behind(
    truth: NDArray[np.bool_], called: NDArray[np.bool_], patients: Sequence[str] | NDArray[np.int64]
) -> tuple[int | None, ...]:
    """Patients that each of ``MEASURES`` is counted over, (units,) inputs; None for F1, which is no share."""
    names = np.asarray(patients)
    asked = (truth, ~truth, called, ~called, np.ones(len(truth), bool))
    return (*(len(np.unique(names[kept])) for kept in asked), None)


def operating_json(
    units: Mapping[str, Sequence[Unit]],
    thresholds: Sequence[Threshold],
    patients: Patients,
    *,
    seed: int,
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    """Per level and name of threshold: the six measures with intervals, the threshold and how it was set."""
    out: dict[str, Any] = {}
    for threshold in thresholds:
        mine = units.get(threshold.level, ())
        if not mine:
            continue
        truth, scores = arrays(mine)
        called = scores >= threshold.value
        owner = patients.indices([u.patient for u in mine])

        def figures(
            weights: Weights,
            truth: NDArray[np.bool_] = truth,
            called: NDArray[np.bool_] = called,
            owner: NDArray[np.int64] = owner,
        ) -> NDArray[np.float64]:
            return measures(truth, called, weights[owner])

        once = measures(truth, called, np.ones(len(truth)))
        draws = bootstrap(patients, figures, seed=seed, rounds=rounds)
        entry: dict[str, Any] = {
            "threshold": number(threshold.value),
            "how_set": threshold.how_set,
            "n_pos": int(truth.sum()),
            "n_neg": int((~truth).sum()),
        }
        behind = patients_behind(truth, called, owner)
        for k, name in enumerate(MEASURES):
            lo, hi = interval(draws[:, k], behind[k])
            entry[name] = {"value": number(once[k]), "lo": number(lo), "hi": number(hi)}
        out.setdefault(threshold.level, {})[threshold.name] = entry
    return out
