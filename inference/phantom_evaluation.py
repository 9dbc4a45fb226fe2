"""Judges a model on held-out phantoms: AUC, FROC, pointing game, beside baselines that know nothing.

Level 1 of the three honest levels (phantom, real, the papers'): no figure from here is a clinical claim.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.engine import InferenceEngine
from inference.evaluation.strata import Case, strata_json
from inference.evaluation.strata_cases import age_group, size_group
from inference.exam.phantom import PhantomExam, phantom_exam
from inference.exam.types import Box
from inference.metrics import (
    Estimate,
    ImageMarks,
    bootstrap_interval,
    delong_auc,
    froc,
    pointing_hit,
    roc_points,
    youden_threshold,
)
from inference.preprocessing.layout import box_to_canvas, map_to_stored, point_to_canvas
from inference.preprocessing.pipeline import ModelInput, pipeline
from inference.results import ExamResult
from inference.training.data import training_spec
from resources.vocabulary import FindingType, Laterality, Pathology

_LOG = logging.getLogger(__name__)
PHANTOM_MM = 0.1  # as files are; training reads the same kind of phantoms at 0.2 mm, for time
_SIDES = (Laterality.RIGHT, Laterality.LEFT)


@dataclass(slots=True)
class PhantomRun:
    """What was measured, one entry an exam, breast or image; ``baselines`` by name."""

    exam_truth: list[bool] = field(default_factory=list)
    exam_score: list[float] = field(default_factory=list)
    exam_findings: list[frozenset[FindingType]] = field(default_factory=list)
    breast_patient: list[str] = field(default_factory=list)
    breast_truth: list[bool] = field(default_factory=list)
    breast_score: list[float] = field(default_factory=list)
    images: list[ImageMarks] = field(default_factory=list)
    pointing_patient: list[str] = field(default_factory=list)
    pointing: list[bool] = field(default_factory=list)
    pointing_findings: list[frozenset[FindingType]] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)  # one an exam, called positive from 0.5 on
    baselines: dict[str, list[float]] = field(default_factory=dict)
    blob_pointing: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # of the processor, all cores together
    peak_offsets_px: list[tuple[float, float]] = field(
        default_factory=list
    )  # canvas, peak less centre of the cancer


def run_phantoms(
    engine: InferenceEngine, seeds: Iterable[int], preprocessing: str, pixel_mm: float = PHANTOM_MM
) -> PhantomRun:
    """Analyse the phantoms of these seeds with an engine and with the baselines.

    Parameters
    ----------
    engine
        Should report boxes down to a low score, so that the FROC curve has its right end.
    preprocessing
        The chain that the baselines see the views through.
    pixel_mm
        Of the phantoms' files.
    """
    return run_together([engine], seeds, preprocessing, pixel_mm)[0]


def run_together(
    engines: Sequence[InferenceEngine],
    seeds: Iterable[int],
    preprocessing: str,
    pixel_mm: float = PHANTOM_MM,
) -> list[PhantomRun]:
    """Analyse each phantom with several engines, which is made once; a run for each, as ``run_phantoms`` gives."""
    runs = [PhantomRun() for _ in engines]
    prepare = pipeline(preprocessing)
    for number, seed in enumerate(seeds):
        phantom = phantom_exam(training_spec(seed, pixel_mm))
        inputs = [prepare(image) for image in phantom.exam.images]
        blobs = [blob_response(item) for item in inputs]
        baselines = baseline_scores(inputs, blobs)
        for run, engine in zip(runs, engines, strict=True):
            begun = time.process_time()  # of the processor: what else runs on the computer has no say
            result = engine.analyse(phantom.exam, lambda _fraction, _text: None, lambda: False)
            run.seconds.append(time.process_time() - begun)
            _add_exam(run, phantom, result, str(seed))
            _add_places(run, phantom, result, list(zip(inputs, blobs, strict=True)), str(seed))
            for name, score in baselines.items():
                run.baselines.setdefault(name, []).append(score)
        if (number + 1) % 10 == 0:
            _LOG.info("evaluated %d exams", number + 1)
    return runs


def _add_exam(run: PhantomRun, phantom: PhantomExam, result: ExamResult, patient: str) -> None:
    run.exam_truth.append(Pathology.MALIGNANT in phantom.pathology.values())
    run.exam_score.append(result.exam_score or 0.0)
    run.exam_findings.append(frozenset(x.finding for x in phantom.lesions if x.malignant))
    run.cases.append(_case(phantom, run.exam_truth[-1], run.exam_score[-1] >= 0.5))
    for side in _SIDES:
        run.breast_patient.append(patient)
        run.breast_truth.append(phantom.pathology[side] is Pathology.MALIGNANT)
        run.breast_score.append(result.breast_scores[side])


def _add_places(
    run: PhantomRun,
    phantom: PhantomExam,
    result: ExamResult,
    inputs: Sequence[tuple[ModelInput, NDArray[np.float32]]],
    patient: str,
) -> None:
    """Marks of every view, and of views with a cancer where the maps peak; ``inputs`` with their blob responses."""
    maps = {h.image_key: h.values for h in result.heatmaps}
    for image, (item, blob) in zip(phantom.exam.images, inputs, strict=True):
        boxes = malignant_boxes(phantom, image.key)
        marks = tuple((*d.box.center, d.score) for d in result.detections if d.image_key == image.key)
        run.images.append(ImageMarks(patient=patient, lesions=boxes, marks=marks))
        if not boxes:
            continue
        shape = (image.pixels.shape[0], image.pixels.shape[1])
        run.peak_offsets_px += peak_offset(maps[image.key], boxes, item)
        run.pointing_patient.append(patient)
        run.pointing_findings.append(run.exam_findings[-1])
        run.pointing.append(pointing_hit(maps[image.key], boxes, shape))
        run.blob_pointing.append(pointing_hit(map_to_stored(blob, item.placement), boxes, shape))


def prepared_views(seeds: Iterable[int], preprocessing: str, pixel_mm: float) -> list[ModelInput]:
    """Every view of the phantoms of these seeds, ready for a model; what is true of them is left behind."""
    prepare = pipeline(preprocessing)
    return [
        prepare(image) for seed in seeds for image in phantom_exam(training_spec(seed, pixel_mm)).exam.images
    ]


def peak_offset(
    values: NDArray[np.float32], boxes: tuple[Box, ...], item: ModelInput, *, least: float = 0.5
) -> list[tuple[float, float]]:
    """How far a map's peak lies from the nearest cancer: one (rows, columns) in canvas pixels, none below ``least``."""
    row, col = np.unravel_index(int(np.argmax(values)), values.shape)
    if values[row, col] < least:
        return []
    rows, cols = item.placement.stored_shape
    peak = point_to_canvas(
        item.placement, (row + 0.5) / values.shape[0] * rows, (col + 0.5) / values.shape[1] * cols
    )
    centres = [box_to_canvas(item.placement, box).center for box in boxes]
    offsets = [(peak[0] - centre[0], peak[1] - centre[1]) for centre in centres]
    return [min(offsets, key=lambda offset: offset[0] ** 2 + offset[1] ** 2)]


def _case(phantom: PhantomExam, positive: bool, called: bool) -> Case:
    guilty = [lesion for lesion in phantom.lesions if lesion.malignant]
    groups = {"age": age_group(phantom.age), "density": frozenset({phantom.density.value})}
    if positive:
        groups["type"] = frozenset(lesion.finding.value for lesion in guilty)
        groups["size"] = size_group(max((2.0 * lesion.radius_mm for lesion in guilty), default=None))
    return Case(patient=phantom.exam.exam_id, positive=positive, called=called, groups=groups)


def malignant_boxes(phantom: PhantomExam, image_key: str) -> tuple[Box, ...]:
    """Boxes of the cancers in one image, stored-file pixels."""
    return tuple(x.views[image_key].box for x in phantom.lesions if x.malignant and image_key in x.views)


def blob_response(item: ModelInput) -> NDArray[np.float32]:
    """Strongest bright-blob response over scales of 3 to 12 mm radius: scale-normalised -LoG, canvas-sized.

    Notes
    -----
    Lindeberg 1998; sigma = radius / sqrt(2). Zero outside the breast and within 4 mm of its edge.
    """
    grey = np.where(item.mask, (item.canvas + 1) / 2, 0).astype(np.float32)
    best = np.zeros_like(grey)
    for radius_mm in (3.0, 5.0, 8.0, 12.0):
        sigma = radius_mm / item.pixel_mm / np.sqrt(2)
        smooth = cv2.GaussianBlur(grey, (0, 0), sigma)
        best = np.maximum(best, -cv2.Laplacian(smooth, cv2.CV_32F) * sigma**2)
    size = 2 * round(4.0 / item.pixel_mm) + 1
    bordered = cv2.copyMakeBorder(item.mask.astype(np.uint8), 0, 0, size, 0, cv2.BORDER_REPLICATE)
    inner = cv2.erode(bordered, np.ones((size, size), np.uint8))[:, size:]
    return np.asarray(best * inner, dtype=np.float32)


def baseline_scores(
    inputs: Sequence[ModelInput], blobs: Sequence[NDArray[np.float32]] | None = None
) -> dict[str, float]:
    """Exam scores of the plain baselines: mean grey of the breast, and its strongest blob (highest view).

    ``blobs`` are the views' ``blob_response`` where they are known already.
    """
    found = [blob_response(x) for x in inputs] if blobs is None else blobs
    means = [float(x.canvas[x.mask].mean()) if x.mask.any() else -1.0 for x in inputs]
    return {"mean intensity": max(means), "blob detector": max(float(blob.max()) for blob in found)}


def summary(run: PhantomRun, rng: np.random.Generator) -> dict[str, Any]:
    """Turn a run into the figures of the card: every value with its interval and counts."""
    truth, score = np.array(run.exam_truth), np.array(run.exam_score)
    breast_truth, breast_score = np.array(run.breast_truth), np.array(run.breast_score)

    def breast_auc(index: NDArray[np.int64]) -> float:
        return delong_auc(breast_truth[index], breast_score[index]).value

    sides = [
        {p for p, t in zip(run.breast_patient, breast_truth, strict=True) if t == c} for c in (True, False)
    ]
    lo, hi = bootstrap_interval(
        run.breast_patient, breast_auc, rng=rng, rounds=300, units=min(len(side) for side in sides)
    )
    breast = delong_auc(breast_truth, breast_score)
    hits = np.array(run.pointing, dtype=float)
    p_lo, p_hi = bootstrap_interval(
        run.pointing_patient, lambda i: float(hits[i].mean()), rng=rng, units=len(set(run.pointing_patient))
    )
    by_type = {}
    for finding in FindingType:
        kept = np.array([not f or finding in f for f in run.exam_findings])
        if truth[kept].sum() >= 5:
            by_type[finding.value] = _as_dict(delong_auc(truth[kept], score[kept]))
    return {
        "level": "phantom, held-out seeds",
        "n_exams": len(truth),
        "auc_exam": _as_dict(delong_auc(truth, score)),
        "roc_exam": [[round(float(x), 4) for x in corner] for corner in roc_points(truth, score)],
        "auc_breast": _as_dict(breast) | {"lo": _short(lo), "hi": _short(hi)},
        "auc_exam_by_type": by_type,
        "froc_centre": {str(rate): round(v, 4) for rate, v in froc(run.images).items()},
        "froc_lesions": sum(len(image.lesions) for image in run.images),
        "froc_images": len(run.images),
        "pointing_game": {
            "value": round(float(hits.mean()), 4), "lo": _short(p_lo), "hi": _short(p_hi), "n": len(hits),
        },
        "pointing_game_by_type": _pointing_by_type(run),
        "peak_offset_px": [
            round(float(x), 2) for x in np.median(np.array(run.peak_offsets_px or [(0.0, 0.0)]), axis=0)
        ],
        "baselines": {k: _as_dict(delong_auc(truth, np.array(v))) for k, v in run.baselines.items()},
        "blob_pointing_game": round(float(np.mean(run.blob_pointing)), 4),
        "strata": strata_json(run.cases)[0],
        "operating": _sensitivity_specificity(truth, score),
        "seconds_per_exam": round(float(np.median(run.seconds)), 3),
    }  # fmt: skip


def _pointing_by_type(run: PhantomRun) -> dict[str, dict[str, float | int]]:
    out: dict[str, dict[str, float | int]] = {}
    for finding in FindingType:
        hits = [h for h, kinds in zip(run.pointing, run.pointing_findings, strict=True) if finding in kinds]
        if hits:
            out[finding.value] = {"value": round(float(np.mean(hits)), 4), "n": len(hits)}
    return out


def _as_dict(estimate: Estimate) -> dict[str, float | int | None]:
    return {
        "value": _short(estimate.value),
        "lo": _short(estimate.lo),
        "hi": _short(estimate.hi),
        "n_pos": estimate.n_pos,
        "n_neg": estimate.n_neg,
    }


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _sensitivity_specificity(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> dict[str, float]:
    return {
        "threshold": 0.5,
        "sensitivity": round(float((score[truth] >= 0.5).mean()), 4),
        "specificity": round(float((score[~truth] < 0.5).mean()), 4),
    }


def exam_threshold(run: PhantomRun) -> float:
    """Exam score of highest Youden index in this run (use validation seeds, never the test's)."""
    return youden_threshold(np.array(run.exam_truth), np.array(run.exam_score))


def box_threshold(run: PhantomRun, false_per_image: float) -> float:
    """Lowest box score that keeps false marks per image at or under the given rate in this run."""
    false = sorted(
        (
            score
            for image in run.images
            for row, col, score in image.marks
            if not any(b.row0 <= row < b.row1 and b.col0 <= col < b.col1 for b in image.lesions)
        ),
        reverse=True,
    )
    allowed = int(false_per_image * len(run.images))
    return 0.0 if allowed >= len(false) else float(np.nextafter(false[allowed], 1.0))
