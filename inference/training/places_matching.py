"""Trains the trees that match CC and MLO detections, on simulated detections of phantoms, and judges them.

scikit-learn is used here only; what ships are the trees as arrays (``inference.matching``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.matching import Matcher, Trees, greedy_pairs, match_matrix
from inference.matching_features import Candidate, candidate_of, pair_features
from inference.preprocessing.landmarks import Landmarks, find_landmarks
from inference.training.places_data import TrueView, simulated_detections
from resources.vocabulary import Laterality, Projection

RUNS = 3  # simulated detectors that read each exam
MATCH_SEED = 17
Score = Callable[[Sequence[Candidate], Sequence[Candidate]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreastCandidates:
    """The candidates of one breast in both views, and the id of the lesion behind each (None: a false one)."""

    axial: tuple[Candidate, ...]
    oblique: tuple[Candidate, ...]
    axial_truth: tuple[str | None, ...]
    oblique_truth: tuple[str | None, ...]

    @property
    def pairs(self) -> set[tuple[int, int]]:
        """True pairs, (axial index, oblique index)."""
        return {
            (i, self.oblique_truth.index(t))
            for i, t in enumerate(self.axial_truth)
            if t is not None and t in self.oblique_truth
        }


def breasts(
    exams: Sequence[tuple[TrueView, ...]], rng: np.random.Generator, *, runs: int = RUNS
) -> list[BreastCandidates]:
    """Candidates of every breast as ``runs`` simulated detectors see them; places rest on found landmarks."""
    out = []
    for exam in exams:
        marks = {item.view.image_key: find_landmarks(item.view) for item in exam}
        for _ in range(runs):
            for side in Laterality:
                views = {item.frame.projection: item for item in exam if item.laterality is side}
                axial = _candidates(views[Projection.CC], marks, rng)
                oblique = _candidates(views[Projection.MLO], marks, rng)
                out.append(
                    BreastCandidates(
                        axial=tuple(c for c, _ in axial),
                        oblique=tuple(c for c, _ in oblique),
                        axial_truth=tuple(t for _, t in axial),
                        oblique_truth=tuple(t for _, t in oblique),
                    )
                )
    return out


def _candidates(
    item: TrueView, marks: dict[str, Landmarks], rng: np.random.Generator
) -> list[tuple[Candidate, str | None]]:
    mine = marks[item.view.image_key]
    if mine.frame is None:
        return []
    return [(candidate_of(d, item.view, mine), truth) for d, truth in simulated_detections(item, rng)]


def pair_table(found: Sequence[BreastCandidates]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """All pairs of all breasts: features (n, features), same lesion or not (n,)."""
    rows, same = [], []
    for breast in found:
        pairs = breast.pairs
        for i, a in enumerate(breast.axial):
            for j, o in enumerate(breast.oblique):
                rows.append(pair_features(a, o))
                same.append((i, j) in pairs)
    return np.stack(rows), np.array(same)


def fit_trees(features: NDArray[np.float64], same: NDArray[np.bool_]) -> tuple[Trees, Any]:
    """Fit gradient-boosted trees; returns them as arrays, and scikit-learn's own model to compare with."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=120,
        learning_rate=0.08,
        max_leaf_nodes=12,
        min_samples_leaf=15,
        l2_regularization=1.0,
        random_state=MATCH_SEED,
        early_stopping=False,
    )
    model.fit(features, same)
    return trees_of(model), model


def trees_of(model: Any) -> Trees:
    """Arrays of a fitted binary ``HistGradientBoostingClassifier`` without categorical features."""
    nodes = [stage[0].nodes for stage in model._predictors]
    starts = np.cumsum([0, *(len(n) for n in nodes)])
    left, right = [], []
    for n, start in zip(nodes, starts, strict=False):
        leaf = n["is_leaf"].astype(bool)
        left.append(np.where(leaf, -1, n["left"].astype(np.int64) + start))
        right.append(np.where(leaf, -1, n["right"].astype(np.int64) + start))
    whole = np.concatenate(nodes)
    inner = ~whole["is_leaf"].astype(bool)
    return Trees(
        feature=np.where(inner, whole["feature_idx"], 0).astype(np.int32),
        threshold=np.where(inner, whole["num_threshold"], 0.0).astype(np.float64),
        left=np.concatenate(left).astype(np.int32),
        right=np.concatenate(right).astype(np.int32),
        value=whole["value"].astype(np.float64) * ~inner,
        missing_left=whole["missing_go_to_left"].astype(np.bool_),
        tree_start=starts[:-1].astype(np.int32),
        baseline=float(np.asarray(model._baseline_prediction).reshape(-1)[0]),
    )


def nearest_score(axial: Sequence[Candidate], oblique: Sequence[Candidate]) -> NDArray[np.float64]:
    """The baseline: how alike the nipple distances are, 1 for equal ones, 0.5 at 10 mm."""
    gap = np.array([[abs(a.nipple_distance_mm - o.nipple_distance_mm) for o in oblique] for a in axial])
    return np.asarray(1.0 / (1.0 + gap.reshape(len(axial), len(oblique)) / 10.0), np.float64)


def matcher_score(matcher: Matcher) -> Score:
    """The trees as a scoring function."""
    return lambda axial, oblique: match_matrix(matcher, axial, oblique)


def best_floor(found: Sequence[BreastCandidates], score: Score) -> float:
    """The floor with the most candidates put right (partner found, or rightly single)."""
    floors = np.arange(0.05, 0.96, 0.025)
    rights = [matching_figures(found, score, float(f))["candidates_right"] for f in floors]
    return float(floors[int(np.argmax(rights))])


def matching_figures(found: Sequence[BreastCandidates], score: Score, floor: float) -> dict[str, float]:
    """How well pairs are made.

    Returns
    -------
    ``lesions_right``: share of the lesions detected in both views whose two detections were paired with each
    other; ``links_right``: share of the pairs made that are true; ``candidates_right``: share of all
    candidates, false ones included, with the right partner or rightly single; and the counts.
    """
    lesions = linked = links = candidates = right = 0
    for breast in found:
        made = set(greedy_pairs(score(breast.axial, breast.oblique), floor))
        true = breast.pairs
        lesions += len(true)
        linked += len(true & made)
        links += len(made)
        count = len(breast.axial) + len(breast.oblique)
        wrong_axial = {i for i, _ in true ^ made}
        wrong_oblique = {j for _, j in true ^ made}
        candidates += count
        right += count - len(wrong_axial) - len(wrong_oblique)
    return {
        "lesions_right": linked / max(lesions, 1),
        "links_right": linked / max(links, 1),
        "candidates_right": right / max(candidates, 1),
        "lesions": float(lesions),
        "links": float(links),
        "candidates": float(candidates),
    }
