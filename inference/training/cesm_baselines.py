"""What the contrast-mammography network is held against: hand-made features with plain learners, and enhancement alone.

After Mao et al. 2023: features of both images, Spearman, ANOVA and LASSO, then nearest neighbours, logistic
regression, a decision tree and a support vector machine (scikit-learn).
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import f_classif
from sklearn.linear_model import LassoCV, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from inference.evaluation.radiomics import lesion_features
from inference.preprocessing.cesm import MARGIN_MM
from inference.training.cesm_data import REACH, CropSet

_ALIKE = 0.9  # Spearman correlation above which the later of two features goes
_SIGNIFICANT = 0.05


def crop_features(data: CropSet) -> tuple[list[str], NDArray[np.float64]]:
    """Features of every crop: names, (crops, features); the pixel's size follows from the 5 mm margin."""
    rows: list[dict[str, float]] = []
    for crop in data.crops:
        mask = crop[2] >= 128
        rows.append(
            lesion_features(
                {"low": crop[0].astype(np.float64), "recombined": crop[1].astype(np.float64)},
                mask,
                pixel_mm_of(mask),
            )
        )
    names = list(rows[0])
    table = np.array([[row[name] for name in names] for row in rows])
    return names, np.nan_to_num(table)


def pixel_mm_of(mask: NDArray[np.bool_]) -> float:
    """Millimetres per pixel of a kept crop, from its mask: 5 mm lie between the lesion and the square's side."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    extent = max(rows[-1] + 1 - rows[0], cols[-1] + 1 - cols[0])
    inner = len(mask) / REACH
    return float(2.0 * MARGIN_MM / max(inner - extent, 1.0))


def selected(names: list[str], table: NDArray[np.float64], truth: NDArray[np.bool_], seed: int) -> list[int]:
    """Numbers of the features that Spearman, ANOVA and LASSO leave; ``table`` is standardised."""
    ranks = np.argsort(np.argsort(table, axis=0), axis=0).astype(np.float64)
    with np.errstate(invalid="ignore"):
        alike = np.abs(np.nan_to_num(np.corrcoef(ranks.T)))
    kept: list[int] = []
    varies = table.std(axis=0) > 1e-9
    for n in range(len(names)):
        if varies[n] and all(alike[n, m] <= _ALIKE for m in kept):
            kept.append(n)
    _, p = f_classif(table[:, kept], truth)
    kept = [n for n, value in zip(kept, p, strict=True) if value < _SIGNIFICANT]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        lasso = LassoCV(cv=5, random_state=seed, alphas=30).fit(table[:, kept], truth.astype(float))
    chosen = [n for n, weight in zip(kept, lasso.coef_, strict=True) if abs(weight) > 1e-6]
    return chosen or kept


def learners(seed: int) -> dict[str, Any]:
    """The four plain learners."""
    return {
        "nearest neighbours": KNeighborsClassifier(15),
        "logistic regression": LogisticRegression(max_iter=2000),
        "decision tree": DecisionTreeClassifier(max_depth=5, random_state=seed),
        "support vector machine": SVC(random_state=seed),
    }


def radiomics_scores(
    learn: CropSet, test: CropSet, seed: int
) -> tuple[dict[str, NDArray[np.float64]], list[str]]:
    """Scores (crops,) of the test crops by each learner, and the names of the features that were kept."""
    names, table = crop_features(learn)
    _, other = crop_features(test)
    scaler = StandardScaler().fit(table)
    table, other = scaler.transform(table), scaler.transform(other)
    kept = selected(names, table, learn.malignant, seed)
    out: dict[str, NDArray[np.float64]] = {}
    for title, learner in learners(seed).items():
        learner.fit(table[:, kept], learn.malignant)
        if hasattr(learner, "predict_proba"):
            out[title] = np.asarray(learner.predict_proba(other[:, kept])[:, 1])
        else:
            out[title] = np.asarray(learner.decision_function(other[:, kept]))
    return out, [names[n] for n in kept]
