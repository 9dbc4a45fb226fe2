"""Matches CC and MLO detections of one breast: gradient-boosted trees judge pairs, greed assigns them.

Owns the evaluator of the trees (plain arrays, no scikit-learn, no pickle) and the assignment; training is
``training.places``'s. Paper A: a matrix of matching probabilities, greedy choice, and below a floor a lesion
stays single.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.exam.types import InferenceError
from inference.matching_features import PAIR_FEATURES, Candidate, pair_features
from resources.files import resource_path

PREFIX = "matching."
_ARRAYS = (
    "feature",
    "threshold",
    "left",
    "right",
    "value",
    "missing_left",
    "tree_start",
    "baseline",
    "floor",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """A forest as arrays over all nodes of all trees; ``left`` is -1 at a leaf, children count from the
    forest's first node, ``value`` is a leaf's share of the log odds."""

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    missing_left: NDArray[np.bool_]
    tree_start: NDArray[np.int32]  # first node of each tree
    baseline: float  # log odds before any tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """Trees and the probability below which a pair is not made."""

    trees: Trees = field(repr=False)
    floor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A CC and an MLO detection, by id, that are one lesion with this probability."""

    axial: str
    oblique: str
    probability: float


def tree_probability(trees: Trees, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability of the positive class.

    Parameters
    ----------
    features
        (n, features) float64; NaN goes the way that training chose for missing values.

    Returns
    -------
    (n,) float64 in [0, 1].
    """
    rows = np.arange(len(features))[:, None]
    node = np.repeat(trees.tree_start[None, :].astype(np.int64), len(features), axis=0)
    while True:
        inner = trees.left[node] >= 0
        if not inner.any():
            break
        value = features[rows, np.maximum(trees.feature[node], 0)]
        go_left = np.where(np.isnan(value), trees.missing_left[node], value <= trees.threshold[node])
        step = np.where(go_left, trees.left[node], trees.right[node])
        node = np.where(inner, step, node)
    odds = trees.baseline + trees.value[node].sum(axis=1)
    return np.asarray(1.0 / (1.0 + np.exp(-odds)), dtype=np.float64)


def match_matrix(
    matcher: Matcher, axial: Sequence[Candidate], oblique: Sequence[Candidate]
) -> NDArray[np.float64]:
    """Probability that candidate i of CC and j of MLO are one lesion, (len(axial), len(oblique))."""
    if not axial or not oblique:
        return np.zeros((len(axial), len(oblique)))
    rows = np.stack([pair_features(a, o) for a in axial for o in oblique])
    return tree_probability(matcher.trees, rows).reshape(len(axial), len(oblique))


def greedy_pairs(probability: NDArray[np.float64], floor: float) -> list[tuple[int, int]]:
    """Pairs (row, column), the most probable first, each row and column used once, none below ``floor``."""
    left = probability.astype(np.float64, copy=True)
    out: list[tuple[int, int]] = []
    while left.size and left.max() >= floor:
        i, j = (int(v) for v in np.unravel_index(int(np.argmax(left)), left.shape))
        out.append((i, j))
        left[i, :], left[:, j] = -1.0, -1.0
    return out


def matched_groups(matcher: Matcher, axial: Sequence[Candidate], oblique: Sequence[Candidate]) -> list[Pair]:
    """Pair the candidates of one breast, the surest pair first."""
    matrix = match_matrix(matcher, axial, oblique)
    return [
        Pair(axial=axial[i].detection_id, oblique=oblique[j].detection_id, probability=float(matrix[i, j]))
        for i, j in greedy_pairs(matrix, matcher.floor)
    ]


def matcher_arrays(matcher: Matcher) -> dict[str, NDArray[np.generic]]:
    """The matcher as named arrays for a safetensors file, names without a prefix."""
    trees = matcher.trees
    return {
        "feature": trees.feature.astype(np.int32),
        "threshold": trees.threshold.astype(np.float64),
        "left": trees.left.astype(np.int32),
        "right": trees.right.astype(np.int32),
        "value": trees.value.astype(np.float64),
        "missing_left": trees.missing_left.astype(np.uint8),
        "tree_start": trees.tree_start.astype(np.int32),
        "baseline": np.array([trees.baseline], np.float64),
        "floor": np.array([matcher.floor], np.float64),
    }


def matching_weights() -> Path:
    """The trees that ship with the program (``negatoscope train places`` made them): names without a prefix."""
    return resource_path("places") / "matching.safetensors"


def load_matcher(arrays: Mapping[str, NDArray[np.generic]], prefix: str = PREFIX) -> Matcher:
    """Read a matcher from named arrays.

    Parameters
    ----------
    arrays
        Those of a weights file; other names are ignored.
    prefix
        Put before each name; "" for a file of its own.

    Raises
    ------
    InferenceError
        An array is missing, or a tree points outside the forest or asks for a feature there is not.
    """
    missing = [prefix + name for name in _ARRAYS if prefix + name not in arrays]
    if missing:
        raise InferenceError(
            f"Matching weights: expected the array {missing[0]!r}, found none; install the model again."
        )
    get = {name: np.asarray(arrays[prefix + name]) for name in _ARRAYS}
    trees = Trees(
        feature=get["feature"].astype(np.int32),
        threshold=get["threshold"].astype(np.float64),
        left=get["left"].astype(np.int32),
        right=get["right"].astype(np.int32),
        value=get["value"].astype(np.float64),
        missing_left=get["missing_left"].astype(np.bool_),
        tree_start=get["tree_start"].astype(np.int32),
        baseline=float(get["baseline"].reshape(-1)[0]),
    )
    _check(trees)
    return Matcher(trees=trees, floor=float(get["floor"].reshape(-1)[0]))


def _check(trees: Trees) -> None:
    count, index = len(trees.left), np.arange(len(trees.left))
    inner = trees.left >= 0
    children = np.concatenate([trees.left[inner], trees.right[inner]])
    parents = np.concatenate([index[inner], index[inner]])
    sound = (children > parents).all() and (children < count).all()  # forward only: no walk without an end
    sound = sound and (trees.feature[inner] >= 0).all() and (trees.feature[inner] < len(PAIR_FEATURES)).all()
    sound = sound and (trees.tree_start >= 0).all() and (trees.tree_start < count).all()
    if not sound:
        raise InferenceError(
            f"Matching weights: expected trees over {len(PAIR_FEATURES)} features whose branches lead onward, "
            "found others; install the model again."
        )
