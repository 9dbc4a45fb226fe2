"""Figures of the contrast-mammography model on held-out phantoms: with true masks, and end to end.

Every figure is per lesion or per breast, both views fused unless said otherwise; areas carry DeLong's interval,
comparisons his paired test, shares a bootstrap over exams.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inference.cesm_engine import scaled
from inference.evaluation.clustered import clustered_auc, clustered_difference
from inference.evaluation.figures import Patients, bootstrap, estimate_json, number, share_json
from inference.evaluation.operating import MEASURES, measures, patients_behind
from inference.evaluation.subgroups import category
from inference.metrics import FROC_RATES
from inference.models.crop_classifier import CropClassifier
from inference.training.cesm_baselines import radiomics_scores
from inference.training.cesm_cases import CesmCase
from inference.training.cesm_data import CropSet
from inference.training.cesm_loop import load_classifier, predict_logits
from inference.training.cesm_packaging import by_lesion, lesion_keys, presence_scale
from inference.training.cesm_recipe import CesmRecipe

_ROUNDS = 500
_SPLIT_MM = 20.0  # the paper's subgroups


def ensemble(
    recipe: CesmRecipe, runs: Mapping[int, Path], data: CropSet, energies: str = "both"
) -> NDArray[np.float64]:
    """Mean probability (crops,) of the folds' networks."""
    found = [fold_logits(recipe, weights, data, energies) for weights in runs.values()]
    return np.asarray(np.mean([1 / (1 + np.exp(-x)) for x in found], axis=0))


def fold_logits(recipe: CesmRecipe, weights: Path, data: CropSet, energies: str) -> NDArray[np.float64]:
    """Logits (crops,) of one network, kept beside its weights: many figures ask for them."""
    digest = hashlib.sha256(weights.read_bytes() + data.crops.tobytes()).hexdigest()[:12]
    path = weights.parent / f"logits-{energies}-{digest}.npy"
    if not path.exists():
        np.save(path, predict_logits(load_classifier(recipe, weights), data, recipe, energies=energies))
    return np.asarray(np.load(path), np.float64)


def auc_json(data: CropSet, scores: NDArray[np.float64]) -> dict[str, Any]:
    """AUC per lesion, its views' mean."""
    keys, truth, fused = by_lesion(lesion_keys(data), data.malignant, scores)
    return estimate_json(clustered_auc(truth, fused, [key[0] for key in keys]))


def paired_json(data: CropSet, first: NDArray[np.float64], second: NDArray[np.float64]) -> dict[str, Any]:
    """First minus second AUC per lesion with interval and p; lesions of a woman count together."""
    keys, truth, one = by_lesion(lesion_keys(data), data.malignant, first)
    _, _, other = by_lesion(lesion_keys(data), data.malignant, second)
    return _rounded(clustered_difference(truth, one, other, [key[0] for key in keys]))


def _rounded(found: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: number(value) for name, value in found.items()}


def mask_figures(
    variants: Mapping[str, tuple[CesmRecipe, Mapping[int, Path]]],
    learn: CropSet,
    test: CropSet,
    thresholds: Sequence[Mapping[str, Any]],
    scale: tuple[float, float],
) -> dict[str, Any]:
    """Figures of every variant on lesions outlined by their true masks.

    Parameters
    ----------
    variants
        Recipe and weights by fold of "cbam", "plain" and others; "cbam" is what the others are compared with, on
        the folds that both have.
    learn
        Lesions that the radiomics baseline learns from.
    thresholds
        The card's operating points of level "lesion".
    scale
        Slope and intercept of malignancy.
    """
    recipe, runs = variants["cbam"]
    best = ensemble(recipe, runs, test)
    out: dict[str, Any] = {
        "n_exams": len({s.case_id for s in test.samples}),
        "folds": len(runs),
        "auc": {"cbam": auc_json(test, best)},
        "against": {},
        "single_network": [
            auc_json(test, ensemble(recipe, {fold: weights}, test)) for fold, weights in runs.items()
        ],
    }
    for name, (other, theirs) in variants.items():
        common = {fold: weights for fold, weights in runs.items() if fold in theirs}
        if name == "cbam" or not common:
            continue
        ours = best if len(common) == len(runs) else ensemble(recipe, common, test)
        scores = ensemble(other, {fold: theirs[fold] for fold in common}, test, other.energies)
        out["auc"][name] = auc_json(test, scores)
        out["against"][name] = {**paired_json(test, ours, scores), "folds": len(common)}
    for energies in ("low", "recombined"):
        blanked = ensemble(recipe, runs, test, energies)
        out["auc"][f"{energies} image alone"] = auc_json(test, blanked)
        out["against"][f"{energies} image alone"] = {**paired_json(test, best, blanked), "folds": len(runs)}
    outline = ensemble(recipe, runs, test, "neither")
    out["auc"]["outline alone"] = auc_json(test, outline)
    out["against"]["outline alone"] = {**paired_json(test, best, outline), "folds": len(runs)}
    out |= _baselines(learn, test, best, recipe.seed)
    out["views"] = _views(test, best)
    out["subgroups"] = subgroups(test, best)
    out["operating"] = operating(test, best, thresholds, scale)
    return out


def _baselines(learn: CropSet, test: CropSet, best: NDArray[np.float64], seed: int) -> dict[str, Any]:
    plain = np.array([s.enhancement for s in test.samples])
    scores, kept = radiomics_scores(learn, test, seed)
    rows = {"enhancement alone": plain, **{f"radiomics, {name}": value for name, value in scores.items()}}
    return {
        "baselines": {name: auc_json(test, value) for name, value in rows.items()},
        "against_baselines": {name: paired_json(test, best, value) for name, value in rows.items()},
        "radiomics_features": kept,
    }


def _views(test: CropSet, scores: NDArray[np.float64]) -> dict[str, Any]:
    """One view alone, against both fused, on lesions that both views show."""
    keys = lesion_keys(test)
    shown = {
        key: {s.projection.value for s, k in zip(test.samples, keys, strict=True) if k == key}
        for key in set(keys)
    }
    both = [n for n, key in enumerate(keys) if len(shown[key]) == 2]
    out: dict[str, Any] = {"fused": auc_json(test.part(both), scores[both])}
    for view in ("CC", "MLO"):
        index = [n for n in both if test.samples[n].projection.value == view]
        out[view] = auc_json(test.part(index), scores[index])
        part = test.part(index)
        names, truth, single = by_lesion(lesion_keys(part), part.malignant, scores[index])
        fused_names, _, fused = by_lesion(
            lesion_keys(test.part(both)), test.part(both).malignant, scores[both]
        )
        order = [fused_names.index(name) for name in names]
        out[f"fused less {view}"] = _rounded(
            clustered_difference(truth, fused[order], single, [name[0] for name in names])
        )
    return out


def subgroups(test: CropSet, scores: NDArray[np.float64]) -> dict[str, Any]:
    """AUC per lesion of the paper's two subgroups, diameter and BI-RADS 4, and of each type of finding."""
    groups: dict[str, list[int]] = {
        "diameter 2 cm or less": [n for n, s in enumerate(test.samples) if s.diameter_mm <= _SPLIT_MM],
        "diameter over 2 cm": [n for n, s in enumerate(test.samples) if s.diameter_mm > _SPLIT_MM],
    }
    groups["BI-RADS 4"] = [n for n, s in enumerate(test.samples) if category(s.birads) == "4"]
    for finding in sorted({s.finding for s in test.samples}):
        groups[finding] = [n for n, s in enumerate(test.samples) if s.finding == finding]
    out = {}
    for name, index in groups.items():
        part = test.part(index)
        if part.malignant.any() and not part.malignant.all():
            out[name] = auc_json(part, scores[index])
    return out


def operating(
    test: CropSet,
    scores: NDArray[np.float64],
    thresholds: Sequence[Mapping[str, Any]],
    scale: tuple[float, float],
) -> dict[str, Any]:
    """Shares per lesion at each of the card's points of level "lesion"; ``scores`` are not yet calibrated."""
    calibrated = [scaled(float(p), scale) for p in scores]
    keys, truth, fused = by_lesion(lesion_keys(test), test.malignant, calibrated)
    return {
        str(point["name"]): _measured(
            truth, fused >= point["threshold"], [k[0] for k in keys], point["threshold"]
        )
        for point in thresholds
        if point["level"] == "lesion"
    }


def _measured(
    truth: NDArray[np.bool_], called: NDArray[np.bool_], cases: Sequence[str], threshold: float
) -> dict[str, Any]:
    patients = Patients(cases)
    owner = patients.indices(cases)
    draws = bootstrap(patients, lambda w: measures(truth, called, w[owner]), seed=7, rounds=_ROUNDS)
    once, behind = measures(truth, called, np.ones(len(truth))), patients_behind(truth, called, owner)
    return {
        "threshold": threshold,
        "confusion": [
            int((called & truth).sum()),
            int((called & ~truth).sum()),
            int((~called & truth).sum()),
            int((~called & ~truth).sum()),
        ],
        **{name: share_json(once[k], draws[:, k], units=behind[k]) for k, name in enumerate(MEASURES)},
    }


def judged_crops(members: Sequence[CropClassifier], crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean probability (crops,) of the shipped networks for crops (n, 3, size, size) as they were kept."""
    if not len(crops):
        return np.zeros(0)
    batch = torch.from_numpy(crops).float().div(255).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        return np.asarray(torch.stack([torch.sigmoid(m(batch)) for m in members]).mean(0).double().numpy())


def breast_scores(
    case: CesmCase, judged: NDArray[np.float64], presence: tuple[float, float], view: str | None = None
) -> dict[str, float]:
    """Uncalibrated score of each breast, as the engine fuses it; ``view`` = from that projection alone."""
    out = dict.fromkeys(case.cancer, 0.0)
    groups: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for n, mark in enumerate(case.found):
        if view in {None, mark.view}:
            chance = scaled(mark.presence, presence)
            groups.setdefault((mark.side, mark.group), []).append((chance, float(judged[n])))
    for (side, _), same in groups.items():
        if side not in out:
            continue  # cancer or not is not known of this breast
        out[side] = max(out[side], max(c for c, _ in same) * float(np.mean([m for _, m in same])))
    return out


def judged_breasts(
    measured: Sequence[tuple[Sequence[CropClassifier], Sequence[CesmCase]]], scale: tuple[float, float]
) -> list[tuple[bool, float]]:
    """Cancer or not and the uncalibrated score of every breast.

    Parameters
    ----------
    measured
        Networks, and the cases that they judge.
    scale
        Slope and intercept of malignancy; that of presence is what fits all the cases.
    """
    presence = presence_scale([case for _, found in measured for case in found])
    out = []
    for members, found in measured:
        for case in found:
            judged = np.array([scaled(p, scale) for p in judged_crops(members, case.found_crops)])
            scores = breast_scores(case, judged, presence)
            out += [(case.cancer[side], scores[side]) for side in case.cancer]
    return out


def case_figures(
    measured: Sequence[CesmCase],
    members: Sequence[CropClassifier],
    scale: tuple[float, float],
    presence: tuple[float, float],
) -> dict[str, Any]:
    """Figures end to end: outlines, lesions found, true against automatic masks, breasts."""
    judged = [
        np.array([scaled(p, scale) for p in judged_crops(members, case.found_crops)]) for case in measured
    ]
    given = [
        np.array([scaled(p, scale) for p in judged_crops(members, case.lesion_crops)]) for case in measured
    ]
    return {
        "n_exams": len(measured),
        **found_figures(measured, presence),
        "masks": _masks(measured, judged, given),
        "breast": _breasts(measured, judged, presence),
    }


def found_figures(measured: Sequence[CesmCase], presence: tuple[float, float]) -> dict[str, Any]:
    """Outlines (Dice) and lesions found (FROC) of measured cases."""
    overlaps = [x for case in measured for x in case.picture_dice]
    hit = [mark.dice for case in measured for mark in case.found if mark.hits]
    return {
        "n_pairs": sum(case.views for case in measured),
        "dice": {
            "pictures_median": float(np.median(overlaps)) if overlaps else None,
            "found_median": float(np.median(hit)) if hit else None,
            "pictures": len(overlaps),
            "found": len(hit),
        },
        "froc": _froc(measured, presence),
    }


def _froc(measured: Sequence[CesmCase], presence: tuple[float, float]) -> dict[str, Any]:
    """Sensitivity per lesion and view at false marks per pair, all and malignant; centre in the truth's box."""
    best: dict[tuple[str, ...], float] = {}
    sick = set()
    false = []
    for case in measured:
        for x in case.lesions:
            key = (case.case_id, x.side, x.view, x.lesion_id)
            best.setdefault(key, -1.0)
            if x.malignant:
                sick.add(key)
        for mark in case.found:
            chance = scaled(mark.presence, presence)
            if mark.hits:
                key = (case.case_id, mark.side, mark.view, mark.hits)
                best[key] = max(best[key], chance)
            elif not mark.harmless:
                false.append(chance)
    pairs = sum(case.views for case in measured)
    order = np.sort(np.array(false))[::-1]
    out: dict[str, Any] = {
        "n_lesions": len(best),
        "n_malignant": len(sick),
        "all": {},
        "malignant": {},
        "benign": {},
    }
    for rate in FROC_RATES:
        allowed = int(rate * pairs + 1e-9)
        least = float(np.nextafter(order[allowed], 2.0)) if allowed < len(order) else 0.0
        for name, keys in (("all", set(best)), ("malignant", sick), ("benign", set(best) - sick)):
            share = np.mean([best[k] >= least and best[k] >= 0 for k in keys]) if keys else float("nan")
            out[name][f"{rate:g}"] = number(float(share))
    return out


def _masks(
    measured: Sequence[CesmCase], judged: Sequence[NDArray[np.float64]], given: Sequence[NDArray[np.float64]]
) -> dict[str, Any]:
    """AUC per lesion with the true masks and with the segmenter's, on lesions found in a view and on all."""
    true: dict[tuple[str, ...], list[float]] = {}
    auto: dict[tuple[str, ...], list[float]] = {}
    state: dict[tuple[str, ...], bool] = {}
    for case, by_found, by_given in zip(measured, judged, given, strict=True):
        for n, x in enumerate(case.lesions):
            key = (case.case_id, x.side, x.lesion_id)
            state[key] = x.malignant
            true.setdefault(key, []).append(float(by_given[n]))
        for n, mark in enumerate(case.found):
            if mark.hits:
                auto.setdefault((case.case_id, mark.side, mark.hits), []).append(float(by_found[n]))
    keys = sorted(state)
    truth = np.array([state[k] for k in keys])
    manual = np.array([np.mean(true[k]) for k in keys])
    automatic = np.array([np.mean(auto.get(k, [0.0])) for k in keys])
    was = np.array([k in auto for k in keys])
    women = np.array([k[0] for k in keys])
    out = {
        "true_mask": estimate_json(clustered_auc(truth, manual, women.tolist())),
        "automatic_all": estimate_json(clustered_auc(truth, automatic, women.tolist())),
        "loss_all": _rounded(clustered_difference(truth, manual, automatic, women.tolist())),
        "found": int(was.sum()),
        "lesions": len(keys),
    }
    if truth[was].any() and not truth[was].all():
        theirs = women[was].tolist()
        out["true_mask_found"] = estimate_json(clustered_auc(truth[was], manual[was], theirs))
        out["automatic_found"] = estimate_json(clustered_auc(truth[was], automatic[was], theirs))
        out["loss_found"] = _rounded(clustered_difference(truth[was], manual[was], automatic[was], theirs))
    return out


def _breasts(
    measured: Sequence[CesmCase], judged: Sequence[NDArray[np.float64]], presence: tuple[float, float]
) -> dict[str, Any]:
    truth = np.array([cancer for case in measured for cancer in case.cancer.values()])
    women = [case.case_id for case in measured for _ in case.cancer]
    out: dict[str, Any] = {}
    scores: dict[str, NDArray[np.float64]] = {}
    for name, view in (("fused", None), ("CC", "CC"), ("MLO", "MLO")):
        found = [breast_scores(case, j, presence, view) for case, j in zip(measured, judged, strict=True)]
        scores[name] = np.array(
            [one[side] for case, one in zip(measured, found, strict=True) for side in case.cancer]
        )
        out[name] = estimate_json(clustered_auc(truth, scores[name], women))
    for view in ("CC", "MLO"):
        out[f"fused less {view}"] = _rounded(
            clustered_difference(truth, scores["fused"], scores[view], women)
        )
    return out
