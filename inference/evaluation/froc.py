"""FROC: lesion sensitivity against false positives per image, by type, with intervals over patients.

A lesion in an image is found by the strongest mark that hits it; a mark that hits no lesion is a false
positive; further marks on a found lesion count for nothing. False positives are counted over all images.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.evaluation import ROUNDS
from inference.evaluation.figures import Patients, Weights, bootstrap, interval, number
from inference.evaluation.regions import is_hit
from inference.evaluation.run_tables import FoundRow
from inference.evaluation.truth import Truth, TruthImage, TruthLesion
from inference.metrics import FROC_RATES
from resources.vocabulary import FindingType

RULES = ("centre", "iou")
AREA_TO = 1.0  # false positives per image up to which the area under the curve is taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Froc:
    """Everything the curve needs, by patient number; false positives are sorted, strongest first."""

    hit_score: NDArray[np.float64]  # (lesions,), -inf = never found
    hit_patient: NDArray[np.int64]
    hit_finding: tuple[FindingType, ...]
    false_score: NDArray[np.float64]  # (false positives,)
    false_patient: NDArray[np.int64]
    images: NDArray[np.float64]  # (patients,) images of each

    def of(self, finding: FindingType | None) -> NDArray[np.bool_]:
        """Which lesions are of a type; None = all."""
        return np.array([finding is None or f is finding for f in self.hit_finding], dtype=bool)


def collect(
    pairs: Iterable[tuple[TruthImage, Sequence[FoundRow]]],
    rule: str,
    patients: Patients,
    *,
    malignant_only: bool = False,
) -> Froc:
    """Apply a hit rule to every image.

    Parameters
    ----------
    pairs
        Each image with its detections.
    rule
        "centre" or "iou".
    malignant_only
        Only lesions known to be malignant are to be found; a mark on another is a false positive.
    """
    hits: list[tuple[float, str, FindingType]] = []
    false: list[tuple[float, str]] = []
    counts = np.zeros(len(patients.names))
    for image, found in pairs:
        counts[patients.indices([image.patient])[0]] += 1
        targets = [x for x in image.lesions if x.entry.malignant or not malignant_only]
        missed = [True] * len(found)
        for lesion in targets:
            best = -np.inf
            for k, mark in enumerate(found):
                if is_hit(rule, mark.box, lesion.region):
                    missed[k] = False
                    best = max(best, mark.score)
            hits.append((best, image.patient, lesion.finding))
        false += [(m.score, image.patient) for m, alone in zip(found, missed, strict=True) if alone]
    false.sort(key=lambda item: -item[0])
    return Froc(
        hit_score=np.array([h[0] for h in hits], dtype=float),
        hit_patient=patients.indices([h[1] for h in hits]),
        hit_finding=tuple(h[2] for h in hits),
        false_score=np.array([f[0] for f in false], dtype=float),
        false_patient=patients.indices([f[1] for f in false]),
        images=counts,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """The lesions of one type, ready for many draws of patients."""

    patients: NDArray[np.int64]  # (lesions,) most strongly found first
    above: NDArray[np.int64]  # (steps + 1,) how many are found above each group of equal false positives


class Curves:
    """The FROC curves of some types for many draws of patients: what does not depend on the draw is done once."""

    def __init__(self, froc: Froc, masks: Sequence[NDArray[np.bool_]]) -> None:
        """Prepare; ``masks`` are (lesions,) bool, one a curve."""
        scores = froc.false_score
        ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(scores) else np.zeros(0, int)
        limits = np.append(-scores[ends], np.inf)
        self._froc = froc
        self._ends = ends
        self._kinds = []
        for kept in masks:
            score = froc.hit_score[kept]
            order = np.argsort(-score, kind="stable")
            above = np.searchsorted(-score[order], limits, side="left")
            self._kinds.append(_Kind(patients=froc.hit_patient[kept][order], above=above))

    def figures(
        self, weights: Weights, rates: Sequence[float] = FROC_RATES, to: float = AREA_TO
    ) -> NDArray[np.float64]:
        """Sensitivities and area of every curve.

        Parameters
        ----------
        weights
            (patients,) how often each patient counts.
        rates
            False positives per image; the sensitivity is the highest at no more than the rate.
        to
            The area under the curve is taken from 0 to this rate, as a share of it.

        Returns
        -------
        (curves, rates + 1) float64 in 0..1, the area last; NaN without lesions.
        """
        out = np.full((len(self._kinds), len(rates) + 1), np.nan)
        images = float((weights * self._froc.images).sum())
        if images <= 0:
            return out
        # rate[k]: false positives per image when all groups down to the k-th are let in; below it, found[k] holds
        rate = np.append(np.cumsum(weights[self._froc.false_patient])[self._ends] / images, np.inf)
        at = np.searchsorted(rate, np.array(rates) + 1e-9, side="right")
        last = int(np.searchsorted(rate, to, side="right")) + 1
        steps = np.diff(np.append(0.0, np.minimum(rate[:last], to))) / to
        for k, kind in enumerate(self._kinds):
            gained = np.append(0.0, np.cumsum(weights[kind.patients]))
            if gained[-1] > 0:
                out[k, :-1] = gained[kind.above[at]] / gained[-1]
                out[k, -1] = float((steps * gained[kind.above[:last]]).sum() / gained[-1])
        return out


def froc_json(froc: Froc, patients: Patients, *, seed: int, rounds: int = ROUNDS) -> dict[str, Any]:
    """The contract's table of one hit rule: per type and for all, the eight rates with their intervals."""
    kinds = (None, *(f for f in FindingType if f in froc.hit_finding))
    masks = [froc.of(kind) for kind in kinds]
    if not len(froc.hit_score):
        return {}
    curves = Curves(froc, masks)
    width = len(FROC_RATES) + 1
    values = curves.figures(np.ones(len(patients.names)))
    draws = bootstrap(patients, curves.figures, seed=seed, rounds=rounds)
    out: dict[str, Any] = {}
    for k, kind in enumerate(kinds):
        units = len(np.unique(froc.hit_patient[masks[k]]))
        lows_highs = [interval(draws[:, k, r], units) for r in range(width)]
        out["all" if kind is None else kind.value] = {
            **{f"{rate:g}": number(values[k, r]) for r, rate in enumerate(FROC_RATES)},
            "n_lesions": int(masks[k].sum()),
            "n_images": int(froc.images.sum()),
            "lo": {f"{rate:g}": number(lows_highs[r][0]) for r, rate in enumerate(FROC_RATES)},
            "hi": {f"{rate:g}": number(lows_highs[r][1]) for r, rate in enumerate(FROC_RATES)},
            "area": {
                "value": number(values[k, -1]),
                "lo": number(lows_highs[-1][0]),
                "hi": number(lows_highs[-1][1]),
            },
        }
    return out


def paired_images(truth: Truth, found: Sequence[FoundRow]) -> tuple[list[list[FoundRow]], list[str]]:
    """Give each image of the truth its detections: by path, else by view and kind where only one image fits.

    Returns
    -------
    Detections per image, in the order of ``truth.images``, and sentences on those that fit no image.
    """
    by_path: dict[tuple[str, str], int] = {}
    by_view: dict[tuple[str, str, str], list[int]] = {}
    for image in truth.images:
        entry = image.entry
        by_path.setdefault((entry.case_id, entry.path.replace("\\", "/")), image.index)
        by_view.setdefault(
            (entry.case_id, entry.view.laterality.value, entry.view.projection.value), []
        ).append(image.index)
    out: list[list[FoundRow]] = [[] for _ in truth.images]
    strange: list[FoundRow] = []
    for mark in found:
        at = by_path.get((mark.case_id, mark.path))
        if at is None:
            same = by_view.get((mark.case_id, mark.laterality.value, mark.view.value), [])
            fits = [i for i in same if mark.kind in {None, truth.images[i].entry.kind}]
            at = fits[0] if len(fits) == 1 else None
        if at is None:
            strange.append(mark)
        else:
            out[at].append(mark)
    if not strange:
        return out, []
    first = strange[0]
    known = {image.entry.case_id for image in truth.images}
    what = (
        f"case_id: expected a case of {truth.name}, found {first.case_id!r}"
        if first.case_id not in known
        else f"path: expected an image of {truth.name}, found {first.path!r}"
    )
    more = f" (and {len(strange) - 1} more rows)" if len(strange) > 1 else ""
    return out, [f"detections.csv, row {first.row}, {what}{more}; left out."]


def best_outlined(lesion: TruthLesion, found: Sequence[FoundRow]) -> FoundRow | None:
    """The strongest detection with an outline that hits a lesion by either rule, or None."""
    hits = [
        mark
        for mark in found
        if mark.outline and any(is_hit(rule, mark.box, lesion.region) for rule in RULES)
    ]
    return max(hits, key=lambda mark: mark.score, default=None)
