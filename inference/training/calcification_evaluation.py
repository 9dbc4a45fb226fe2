"""Figures of the calcification ensemble on phantoms that nothing was learnt or chosen from.

Every member and their mean on the same crops, the plain baselines beside them, the candidate stage, and where
Grad-CAM looks. Numbers only; the page is ``calcification_page``'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from inference.evaluation.operating import measures, patients_behind
from inference.metrics import FROC_RATES, Estimate, bootstrap_interval, delong_auc, youden_threshold
from inference.models.calcification import Answers
from inference.training.calcification_data import FEATURES, NONE, Crops
from inference.training.calcification_loop import middle
from inference.training.calcification_shapes import BRIGHT, SHAPES, shape_features

ENSEMBLE = "ensemble"
MEASURES = ("sensitivity", "specificity", "ppv", "npv", "accuracy")
_NEAR_PX = 10  # 1 mm
_ROUNDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Crops with what the members say of them, in the same order."""

    crops: Crops
    said: Answers

    @property
    def given(self) -> NDArray[np.bool_]:
        """Groups centred on the truth."""
        return self.crops.given

    def malignancy(self, names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Chance of malignancy of every given group, by member and of the ensemble."""
        per = self.said.malignant[:, self.given]
        return {**dict(zip(names, per, strict=True)), ENSEMBLE: per.mean(axis=0)}


def own_thresholds(names: Sequence[str], validation: Judged) -> dict[str, float]:
    """Threshold of each member and of the plain mean: of the highest Youden index on validation phantoms, settled
    between the cases on either side of it."""
    known = validation.crops.kind[validation.given] == 1
    return {
        name: round(settled(scores, youden_threshold(known, scores)), 4)
        for name, scores in validation.malignancy(names).items()
    }


def table(
    names: Sequence[str], thresholds: Mapping[str, float], test: Judged, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """One row a member and one for the ensemble: AUC with DeLong's interval, and the five measures with
    bootstrap intervals over views, at its own threshold."""
    found = test.malignancy(names)
    truth = test.crops.kind[test.given] == 1
    cases = [str(c) for c in test.crops.case[test.given]]
    rows = []
    for name, scores in found.items():
        threshold = float(thresholds[name])
        rows.append(
            {
                "name": name,
                "auc": estimate(delong_auc(truth, scores)),
                "threshold": round(threshold, 4),
                **_measured(truth, scores >= threshold, cases, rng),
            }
        )
    return rows


def settled(scores: NDArray[np.float64], at: float) -> float:
    """Move a threshold down to half way, on logits, to the next lower score: it then hangs on no single case."""
    lower = scores[scores < at]
    if not len(lower):
        return at
    half = float(logit(np.array([lower.max(), at])).mean())
    return float(1.0 / (1.0 + np.exp(-half)))


def logit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log odds of probabilities, those of 0 and 1 kept finite."""
    p = np.clip(values, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p / (1 - p)), np.float64)


def _measured(
    truth: NDArray[np.bool_], called: NDArray[np.bool_], cases: Sequence[str], rng: np.random.Generator
) -> dict[str, Any]:
    out = {}
    once, behind = measures(truth, called, np.ones(len(truth))), patients_behind(truth, called, cases)
    for k, name in enumerate(MEASURES):

        def one(index: NDArray[np.int64], k: int = k) -> float:
            value = float(measures(truth[index], called[index], np.ones(len(index)))[k])
            if np.isnan(value):
                raise ValueError("nothing to divide by")
            return value

        lo, hi = bootstrap_interval(cases, one, rng=rng, rounds=300, units=behind[k])
        out[name] = {"value": round(float(once[k]), 4), "lo": _short(lo), "hi": _short(hi)}
    return out


def gain(names: Sequence[str], test: Judged, rng: np.random.Generator) -> dict[str, Any]:
    """AUC of the ensemble less that of its best member on the same groups, with an interval over views.

    The best member is the one that is best on these very groups, which favours it.
    """
    found = test.malignancy(names)
    truth = test.crops.kind[test.given] == 1
    best = max(names, key=lambda name: delong_auc(truth, found[name]).value)

    def difference(index: NDArray[np.int64]) -> float:
        ensemble = delong_auc(truth[index], found[ENSEMBLE][index]).value
        return ensemble - delong_auc(truth[index], found[best][index]).value

    lo, hi = bootstrap_interval(
        [str(c) for c in test.crops.case[test.given]], difference, rng=rng, rounds=_ROUNDS
    )
    value = difference(np.arange(len(truth)))
    return {"best_member": best, "value": round(value, 4), "lo": _short(lo), "hi": _short(hi)}


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def baselines(train: Crops, test: Crops) -> list[dict[str, Any]]:
    """AUC of what a plain rule knows of a group: each feature, its sign as in training, and a logistic regression
    of those that are drawn alike for both kinds, and of these with the shapes of the specks."""
    known, asked = train[train.given & (train.strength > 0)], test[test.given]
    learnt, found = _features(known), _features(asked)
    sick, truth = known.kind == 1, asked.kind == 1
    rows = []
    for k, name in enumerate((*FEATURES, *SHAPES)):
        sign = 1.0 if delong_auc(sick, learnt[:, k]).value >= 0.5 else -1.0
        rows.append({"name": name, "auc": estimate(delong_auc(truth, sign * found[:, k]))})
    plain = len(FEATURES)
    for name, many in (
        (f"logistic regression of the first {plain}", plain),
        (f"logistic regression of all {plain + len(SHAPES)}", plain + len(SHAPES)),
    ):
        scale = StandardScaler().fit(learnt[:, :many])
        fitted = LogisticRegression().fit(scale.transform(learnt[:, :many]), sick)
        scores = np.asarray(fitted.decision_function(scale.transform(found[:, :many])), np.float64)
        rows.append({"name": name, "auc": estimate(delong_auc(truth, scores))})
    return rows


def _features(crops: Crops) -> NDArray[np.float64]:
    """(n, 7): FEATURES of the candidate stage, then SHAPES of the specks in the crop."""
    return np.hstack([crops.features.astype(np.float64), shape_features(middle(crops.pixels)[:, 2])])


def candidate_stage(test: Judged) -> dict[str, Any]:
    """Sensitivity for groups at rates of false candidates per view, ranked by strength alone and by the
    ensemble's chance of a group; and what is reached when every candidate is taken."""
    crops = test.crops
    out: dict[str, Any] = {
        "views": crops.views,
        "groups": {
            "malignant": int((crops.given & (crops.kind == 1)).sum()),
            "benign": int((crops.given & (crops.kind == 0)).sum()),
        },
        "false_per_view": round(float((crops.kind == NONE).sum()) / crops.views, 2),
    }
    ranks = {
        "strength": crops.strength.astype(np.float64),
        "ensemble": test.said.group.mean(axis=0),
    }
    for name, score in ranks.items():
        false = score[crops.kind == NONE]
        out[name] = {
            kind: sensitivities(_best_on(crops, score, label), false, crops.views)
            for kind, label in (("all", None), ("malignant", 1), ("benign", 0))
        }
    return out


def _best_on(crops: Crops, score: NDArray[np.float64], label: int | None) -> NDArray[np.float64]:
    """Score of the candidate on each given group of a kind; -inf where there is none.

    A group's candidate crop, if it has one, follows its given crop.
    """
    hits = []
    for k in np.flatnonzero(crops.given):
        if label is not None and crops.kind[k] != label:
            continue
        found = crops.strength[k] > 0
        hits.append(score[k + 1] if found else -np.inf)
    return np.array(hits, np.float64)


def sensitivities(hits: NDArray[np.float64], false: NDArray[np.float64], views: int) -> dict[str, float]:
    """Highest sensitivity at which the false marks per view do not exceed each rate, and of all candidates."""
    out = {}
    for rate in FROC_RATES:
        best = 0.0
        for threshold in np.unique(hits[np.isfinite(hits)]):
            if (false >= threshold).sum() <= rate * views + 1e-9:
                best = float((hits >= threshold).mean())
                break
        out[str(rate)] = round(best, 4)
    out["all candidates"] = round(float(np.isfinite(hits).mean()), 4) if len(hits) else 0.0
    return out


def group_table(test: Judged, names: Sequence[str]) -> list[dict[str, Any]]:
    """AUC of "a group is there" on candidates, by member and of the ensemble."""
    chosen = ~test.given
    truth = test.crops.kind[chosen] != NONE
    per = test.said.group[:, chosen]
    rows = {**dict(zip(names, per, strict=True)), ENSEMBLE: per.mean(axis=0)}
    return [{"name": name, "auc": estimate(delong_auc(truth, scores))} for name, scores in rows.items()]


def attention(crops: Crops, maps: NDArray[np.float32]) -> dict[str, Any]:
    """How often Grad-CAM peaks on the specks, against chance.

    Parameters
    ----------
    maps
        (n, CROP_PX, CROP_PX) of these crops, in their order.

    Returns
    -------
    ``on_specks``: share of maps whose peak lies within 1 mm of a speck; ``by_chance``: the mean share of the
    crop's area that does; ``middle``: how often the middle of the crop does, where a map that knew nothing but the
    group's place would peak; ``mass``: mean share of the map that lies there.
    """
    hits, areas, middles, mass = [], [], [], []
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _NEAR_PX + 1, 2 * _NEAR_PX + 1))
    for planes, values in zip(middle(crops.pixels), maps, strict=True):
        bright = (planes[2] >= BRIGHT).astype(np.uint8)
        if not bright.any() or values.max() <= 0:
            continue
        near = cv2.dilate(bright, kernel).astype(bool)
        hits.append(bool(near[np.unravel_index(int(np.argmax(values)), values.shape)]))
        areas.append(float(near.mean()))
        middles.append(bool(near[near.shape[0] // 2, near.shape[1] // 2]))
        mass.append(float(values[near].sum() / values.sum()))
    return {
        "maps": len(hits),
        "on_specks": round(float(np.mean(hits)), 4) if hits else None,
        "by_chance": round(float(np.mean(areas)), 4) if areas else None,
        "middle": round(float(np.mean(middles)), 4) if middles else None,
        "mass": round(float(np.mean(mass)), 4) if mass else None,
    }


def estimate(found: Estimate) -> dict[str, Any]:
    """An AUC as the card keeps it."""
    return {
        "value": round(found.value, 4),
        "lo": _short(found.lo),
        "hi": _short(found.hi),
        "n_pos": found.n_pos,
        "n_neg": found.n_neg,
    }


def best_of(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The member's row of the highest AUC, the ensemble's left out."""
    return max((r for r in rows if r["name"] != ENSEMBLE), key=lambda r: float(r["auc"]["value"]))
