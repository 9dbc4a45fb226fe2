"""Calibration and operating points of the calcification ensemble: set on validation phantoms, measured on test ones.

Fine pixels and coarse ones (films) have a logistic fit each; the thresholds are the same, set on fine pixels. No
file and no network here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.calcification_engine import scaled
from inference.metrics import youden_threshold
from inference.training.calcification_data import NONE
from inference.training.calcification_evaluation import Judged, logit, settled
from inference.training.packaging import platt

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
_FALSE = {"high sensitivity": 0.5, "balanced": 0.1, "high specificity": 0.01}  # false marks a view, at most
_SURE = 0.95  # sensitivity and specificity of the outer points of malignancy


def fitted(judged: Judged) -> tuple[tuple[float, float], tuple[float, float]]:
    """Slope and intercept on the mean's logit: of "a group is there" on candidates, of malignancy on those with one."""
    said, kind, candidate = judged.said, judged.crops.kind, ~judged.crops.given
    there, malignant = said.group.mean(axis=0), said.malignant.mean(axis=0)
    found = candidate & (kind != NONE)
    return (
        _rounded(platt(kind[candidate] != NONE, logit(there[candidate]))),
        _rounded(platt(kind[found] == 1, logit(malignant[found]))),
    )


def group_points(truth: Flags, chance: Floats, views: int) -> dict[str, tuple[float, str]]:
    """Thresholds of "a group is there" on candidates by rate of false marks, balanced first: the card's default.

    Parameters
    ----------
    truth
        A group is there.
    views
        From how many views the candidates are.
    """
    false = np.sort(chance[~truth])[::-1]
    out = {}
    for name in ("balanced", "high sensitivity", "high specificity"):
        allowed = int(_FALSE[name] * views)
        # just above the first false candidate that is one too many
        first = float(np.nextafter(false[allowed], 2.0)) if allowed < len(false) else 0.0
        above = chance[chance >= first]
        at = float(above.min()) if len(above) else first
        out[name] = (settled(chance, at), f"at most {_FALSE[name]} false marks a view")
    return out


def malignancy_points(truth: Flags, chance: Floats) -> dict[str, tuple[float, str]]:
    """Thresholds of malignancy on given groups, never crossing: Youden's first, the card's default."""
    middle = settled(chance, youden_threshold(truth, chance))
    sick, well = np.sort(chance[truth])[::-1], np.sort(chance[~truth])
    low = settled(chance, float(sick[int(np.ceil(_SURE * len(sick) - 1e-9)) - 1]))
    last = float(well[int(np.ceil(_SURE * len(well) - 1e-9)) - 1])
    above = chance[chance > last]
    high = settled(chance, float(above.min())) if len(above) else last
    return {
        "youden": (middle, "highest Youden index"),
        "high sensitivity": (min(low, middle), f"a sensitivity of {_SURE} or the highest Youden index's"),
        "high specificity": (max(high, middle), f"a specificity of {_SURE} or the highest Youden index's"),
    }


def measured_points(
    judged: Judged, scales: tuple[Sequence[float], Sequence[float]], points: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """What the card's points give on views that nothing was set on.

    Parameters
    ----------
    scales
        Of group and malignancy, as the engine uses them for such pixels.
    points
        The card's ``operating_points``; box points are measured on candidates, where a group without one is
        missed, lesion points on groups that are given.
    """
    crops, said = judged.crops, judged.said
    there = scaled(said.group.mean(axis=0), (float(scales[0][0]), float(scales[0][1])))
    malignant = scaled(said.malignant.mean(axis=0), (float(scales[1][0]), float(scales[1][1])))
    rows = []
    for point in points:
        at = float(point["threshold"])
        row: dict[str, Any] = {"level": point["level"], "name": point["name"], "threshold": at}
        if point["level"] == "box":
            hit = ~crops.given & (crops.kind != NONE) & (there >= at)
            false = ~crops.given & (crops.kind == NONE) & (there >= at)
            row["sensitivity"] = round(float(hit.sum() / max(1, crops.given.sum())), 4)
            row["false_per_view"] = round(float(false.sum() / crops.views), 4)
        else:
            sick, well = crops.given & (crops.kind == 1), crops.given & (crops.kind == 0)
            row["sensitivity"] = round(float((malignant[sick] >= at).mean()), 4)
            row["specificity"] = round(float((malignant[well] < at).mean()), 4)
        rows.append(row)
    return rows


def _rounded(scale: tuple[float, float]) -> tuple[float, float]:
    return round(scale[0], 5), round(scale[1], 5)
