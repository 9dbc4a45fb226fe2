"""Turns trained four-view weights into a model folder: matcher, calibration, operating points, card, figures.

Set on validation phantoms that did not choose the weights, or on a manifest's validation exams; measured by
``four_view_measured``. The page for the docs is ``four_view_page``'s.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

from inference.four_view_engine import FourViewEngine
from inference.matching import PREFIX
from inference.metrics import youden_threshold
from inference.model_card import file_sha256, read_card, write_card
from inference.training.data import VALIDATION_SEEDS
from inference.training.four_view_card import Origin, card_of
from inference.training.four_view_data import EVALUATION_MM
from inference.training.four_view_evaluation import run_phantoms
from inference.training.four_view_judged import JudgedBreast, JudgedExam
from inference.training.four_view_measures import ImageResult, best_marks, is_hit, strict, threshold_at
from inference.training.four_view_recipe import FourViewRecipe
from inference.training.packaging import platt
from resources.files import read_json

_LOG = logging.getLogger(__name__)
CALIBRATION_FIRST, CALIBRATION_EXAMS = VALIDATION_SEEDS + 100, 60  # the first hundred chose the weights
_POINTS = (("balanced", 0.2), ("high sensitivity", 0.5), ("high specificity", 0.05))
_FLOOR_RATE = 2.0  # false marks per image below which nothing is returned
_FALLBACK_FLOOR = 0.01
_LEAST = 8  # of either kind: a logistic fit on fewer says nothing


def package(
    recipe: FourViewRecipe,
    members: Sequence[Path],
    folder: Path,
    *,
    version: str,
    matcher: Path | None = None,
    history: Path | None = None,
    origin: Origin | None = None,
    model_id: str | None = None,
) -> Path:
    """Write a model folder from trained weights, not yet calibrated.

    Parameters
    ----------
    members
        Weights of one network, or of an ensemble's.
    matcher
        Safetensors file with the matching trees, names without a prefix; None = lesions stay single.
    history
        The run's ``history.json``, for the card's words.
    origin
        What the run learnt from; None = the card says that it is not recorded.
    model_id
        None = the shipped one's id for phantoms, another for a model of the user's own images.

    Returns
    -------
    Path of the card.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state: dict[str, torch.Tensor] = {}
    for number, path in enumerate(members):
        prefix = "" if len(members) == 1 else f"member{number}."
        state |= {prefix + name: value for name, value in safetensors.torch.load_file(path).items()}
    if matcher is not None:
        state |= {PREFIX + name: value for name, value in safetensors.torch.load_file(matcher).items()}
    target = folder / "weights.safetensors"
    safetensors.torch.save_file(state, target)
    target.chmod(0o644)  # it is written for its owner alone, but a model folder is for all users
    read = None if history is None else read_json(history)
    entries = read if isinstance(read, list) else []
    return write_card(folder, card_of(recipe, version, file_sha256(target), entries, origin, model_id))


def calibrate(folder: Path, *, exams: int = CALIBRATION_EXAMS) -> dict[str, Any]:
    """Set calibration, floor and operating points of a packaged model on validation phantoms, in its card."""
    _plain(folder)
    cases = run_phantoms(FourViewEngine(folder, "cpu"), _seeds(CALIBRATION_FIRST, exams), _said)
    images = strict([image for case in cases for image in case.images])  # a reader is spared harmless marks
    breasts = [
        JudgedBreast(cancer=cancer, marks=tuple(m for image in case.images[side::2] for m in image.marks))
        for case in cases
        for side, (cancer, _) in enumerate(case.breasts)  # right, left; images are R-CC, L-CC, R-MLO, L-MLO
    ]
    where = f"{exams} validation phantoms at {EVALUATION_MM} mm that did not choose the weights"
    return _calibrated(folder, images, breasts, where, "synthetic phantoms, half of them with a cancer")


def calibrate_on(folder: Path, judged: Sequence[JudgedExam], where: str) -> dict[str, Any]:
    """Set them on exams of a manifest instead.

    Parameters
    ----------
    judged
        Read with the model as ``package`` left it (``plain_engine``).
    where
        Words on what these exams are.
    """
    images = [image for exam in judged for image in exam.images]
    breasts = [breast for exam in judged for breast in exam.breasts]
    share = sum(breast.cancer for breast in breasts) / max(1, len(breasts))
    return _calibrated(folder, images, breasts, where, f"{where}, {share:.0%} of their breasts with a cancer")


def plain_engine(folder: Path) -> FourViewEngine:
    """Return an engine whose chances are the networks' own, for a calibration to come."""
    _plain(folder)
    return FourViewEngine(folder, "cpu")


def _plain(folder: Path) -> None:
    raw: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    for name in ("lesion", "malignancy"):
        raw["architecture"] |= {f"{name}_slope": 1.0, f"{name}_intercept": 0.0}
    raw["architecture"]["floor"] = _FALLBACK_FLOOR
    raw["calibration"] = {"slope": 1.0, "intercept": 0.0, "how_set": "not calibrated"}
    raw["operating_points"] = []
    write_card(folder, raw)


def _calibrated(
    folder: Path, images: Sequence[ImageResult], breasts: Sequence[JudgedBreast], where: str, kind: str
) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    left: list[str] = []  # what had too few examples to be fitted
    lesion = _fitted(*_lesion_pairs(images), "lesion presence", left)
    malignancy = _fitted(*_malignancy_pairs(images), "malignancy", left)
    floor = _through(max(threshold_at(images, _FLOOR_RATE), _FALLBACK_FLOOR), lesion)
    truth, suspicion = _suspicions(breasts, lesion, malignancy, floor)
    breast = _fitted(truth, suspicion, "breast", left)
    raw["architecture"] |= {
        "lesion_slope": lesion[0], "lesion_intercept": lesion[1],
        "malignancy_slope": malignancy[0], "malignancy_intercept": malignancy[1], "floor": round(floor, 5),
    }  # fmt: skip
    fitted = [name for name in ("lesion presence", "malignancy", "breast") if name not in left]
    said = f"logistic fits (Platt 1999) of {_listed(fitted)} on {where}" if fitted else "not calibrated"
    if left:
        said += f"; not fitted, for fewer than {_LEAST} of either kind: {_listed(left)}"
    raw["calibration"] = {"slope": breast[0], "intercept": breast[1], "how_set": said}
    calibrated = np.array([_through(float(s), breast) for s in suspicion])
    raw["operating_points"] = [
        {
            "name": name, "level": "box",
            "threshold": round(_through(max(threshold_at(images, rate), _FALLBACK_FLOOR), lesion), 4),
            "how_set": f"at most {rate} false boxes per image on {where}",
        }
        for name, rate in _POINTS
    ]  # fmt: skip
    if 0 < truth.sum() < len(truth):
        threshold = round(youden_threshold(truth, calibrated), 4)
        how = f"highest Youden index of the breasts of {where}"
        raw["operating_points"] += [
            {"name": "balanced", "level": level, "threshold": threshold, "how_set": how}
            for level in ("breast", "exam")
        ]
    raw["score_meaning"] = (
        "Chance that a lesion is there, and breast score: chance of cancer from the most suspicious lesion (its chance "
        f"times its malignancy); {f'both as calibrated on {kind}' if not left else said}; not probabilities for a patient."
    )
    for output in raw["outputs"]:
        if output["name"] == "breast score":
            how = f"calibrated on {kind.partition(',')[0]}" if "breast" not in left else "not calibrated"
            output["meaning"] = f"highest lesion chance times malignancy in the breast, {how}"
    write_card(folder, raw)
    return raw


def _said(done: int) -> None:
    if done % 20 == 0:
        _LOG.info("%d phantoms measured", done)


def _seeds(first: int, count: int) -> range:
    return range(first, first + count)


def _logit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    p = np.clip(values, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p / (1 - p)), np.float64)


def _through(value: float, scale: tuple[float, float]) -> float:
    z = scale[0] * float(_logit(np.array(value))) + scale[1]
    return float(1.0 / (1.0 + np.exp(-z)))


def _listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))


def _fitted(
    truth: NDArray[np.bool_], values: NDArray[np.float64], name: str, left: list[str]
) -> tuple[float, float]:
    """Slope and intercept on the logit; the values as they are where there are too few of either kind."""
    if min(int(truth.sum()), int((~truth).sum())) < _LEAST:
        left.append(name)
        return 1.0, 0.0
    slope, intercept = platt(truth, _logit(values))
    return round(slope, 5), round(intercept, 5)


def _lesion_pairs(images: Sequence[ImageResult]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Of each mark whether a lesion is there, and its score; a second mark on a lesion counts as none."""
    hit, scores = [], []
    for image in images:
        best = {id(mark) for mark in best_marks(image, "centre") if mark is not None}
        for mark in image.marks:
            hit.append(id(mark) in best)
            scores.append(mark.score)
    return np.array(hit, bool), np.array(scores)


def _malignancy_pairs(images: Sequence[ImageResult]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    truth, values = [], []
    for image in images:
        for lesion in image.lesions:
            for mark in image.marks:
                if lesion.malignant is not None and is_hit(mark, lesion, "centre"):
                    truth.append(lesion.malignant)
                    values.append(mark.malignancy)
    return np.array(truth, bool), np.array(values)


def _suspicions(
    breasts: Sequence[JudgedBreast],
    lesion: tuple[float, float],
    malignancy: tuple[float, float],
    floor: float,
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Cancer or not of every breast, and its highest lesion chance times malignancy, as the engine takes it."""
    out = []
    for breast in breasts:
        scored = [(_through(m.score, lesion), _through(m.malignancy, malignancy)) for m in breast.marks]
        out.append(max((s * m for s, m in scored if s >= floor), default=0.0))
    return np.array([breast.cancer for breast in breasts], bool), np.array(out)


def described(folder: Path) -> str:
    """One line about a packaged model, for a log."""
    card = read_card(folder)
    return f"{card.model_id} {card.version}, {card.weights_path.stat().st_size / 1e6:.1f} MB"
