"""What the calcification ensemble says of real films: described, for there are too few groups for more.

Films come as a prepared manifest (mini-MIAS, for example); nothing is learnt or set on them. Candidates are
counted against the truth's circles, malignancy is told with its interval.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from inference.calcification_engine import CalcificationEngine
from inference.exam.manifest import ManifestImage, ManifestLesion, exams_of, load_case, read_manifest
from inference.exam.types import Box
from inference.lesions import given_lesions
from inference.metrics import delong_auc
from inference.results import Detection, ExamResult
from inference.training.calcification_evaluation import sensitivities
from resources.files import UserFacingError
from resources.vocabulary import FindingType

_LOG = logging.getLogger(__name__)
_RATES = ("0.5", "1.0", "2.0", "4.0")


@dataclass(slots=True)
class _Tally:
    """What was counted over the films so far."""

    films: int = 0
    hits: list[float] = field(default_factory=list)  # best score on each group, -inf = none
    false: list[float] = field(default_factory=list)
    malignant: list[bool] = field(default_factory=list)
    chances: list[float] = field(default_factory=list)


def real_lines(
    engine: CalcificationEngine,
    films: Path,
    *,
    most: int | None = None,
    seen: Callable[[str, ExamResult], None] | None = None,
) -> list[str]:
    """Read the films of a prepared folder (``images.csv`` and ``lesions.csv``) and tell what was found.

    Parameters
    ----------
    engine
        With a floor of 0, so that every candidate counts.
    most
        Women without calcifications whose films are read beside all that have some; None = all.
    seen
        Called with case and result of every film read.
    """
    table = read_manifest(films / "images.csv", films / "lesions.csv")
    calcified = {x.case_id for x in table.lesions if x.type is FindingType.CALCIFICATION}
    cases = exams_of(table)
    without = [c for c in cases if c[0] not in calcified]
    others = without[:most]
    tally = _Tally()
    for case_id, rows in (*[c for c in cases if c[0] in calcified], *others):
        try:
            _read_case(engine, case_id, rows, table.lesions, films, tally, seen)
        except UserFacingError as error:
            _LOG.warning("%s left out: %s", case_id, error)
    points = {p.name: p.threshold for p in engine.card.operating_points if p.level == "box"}
    left = len(without) - len(others)
    return [
        *_told(tally, points),
        "Read were all exams that hold calcifications"
        + (f" and the first {len(others)} of the {len(without)} others." if left else " and all others.")
        + " Nothing was learnt from these films or set on them.",
    ]


def _read_case(
    engine: CalcificationEngine,
    case_id: str,
    rows: tuple[ManifestImage, ...],
    lesions: tuple[ManifestLesion, ...],
    films: Path,
    tally: _Tally,
    seen: Callable[[str, ExamResult], None] | None,
) -> None:
    exam = load_case(case_id, rows, films)
    result = engine.analyse(exam, lambda _fraction, _text: None, lambda: False)
    if seen is not None:
        seen(case_id, result)
    entries = [x for x in lesions if x.case_id == case_id and x.type is FindingType.CALCIFICATION]
    placed, _ = given_lesions(exam, case_id, entries, films)
    truth = {x.lesion_id: x.malignant for x in entries}
    tally.films += len(result.view_scores)
    for lesion in placed:
        on = [d.score for d in result.detections if d.image_key == lesion.image_key and _on(d, lesion.box)]
        tally.hits.append(max(on, default=-np.inf))
    for mark in result.detections:
        mine = [x.box for x in placed if x.image_key == mark.image_key]
        if not any(_on(mark, box) for box in mine):
            tally.false.append(mark.score)
    scored = engine.score_lesions(exam, placed, lambda _fraction, _text: None, lambda: False)
    for score in scored:
        known = truth.get(score.lesion_id)
        if known is not None:
            tally.malignant.append(known)
            tally.chances.append(score.score)


def _on(mark: Detection, box: Box) -> bool:
    """The mark's middle in the truth's box, or the box's middle in the mark: circles of 1 mm are smaller than marks."""
    row, col = (mark.box.row0 + mark.box.row1) / 2, (mark.box.col0 + mark.box.col1) / 2
    if box.row0 <= row < box.row1 and box.col0 <= col < box.col1:
        return True
    middle = (box.row0 + box.row1) / 2, (box.col0 + box.col1) / 2
    return mark.box.row0 <= middle[0] < mark.box.row1 and mark.box.col0 <= middle[1] < mark.box.col1


def _told(tally: _Tally, points: Mapping[str, float]) -> list[str]:
    if not tally.hits:
        return [f"{tally.films} films read; the table names no calcifications."]
    hits, false = np.array(tally.hits), np.array(tally.false)
    found = sensitivities(hits, false, tally.films)
    rates = ", ".join(f"{found[rate]:.2f} at {rate}" for rate in _RATES)
    lines = [
        f"{tally.films} films, {len(hits)} calcification groups, {len(false) / tally.films:.1f} false candidates a "
        f"film: a candidate lies on {found['all candidates']:.2f} of the groups; ranked by the ensemble's chance of a "
        f"group, sensitivity {rates} false marks a film (a mark's middle in the truth or the reverse)."
    ]
    at = "; ".join(
        f"{name} ({value:.3f}) {(hits >= value).mean():.2f} at {(false >= value).sum() / tally.films:.2f}"
        for name, value in points.items()
    )
    if at:
        lines.append(f"At the operating points, sensitivity at false marks a film: {at}.")
    truth, chances = np.array(tally.malignant, bool), np.array(tally.chances, np.float64)
    if truth.any() and not truth.all():
        lines.append(
            f"Malignancy of given groups, {int(truth.sum())} malignant and {int((~truth).sum())} benign: AUC "
            f"{delong_auc(truth, chances)}; mean chance {chances[truth].mean():.2f} and {chances[~truth].mean():.2f}. "
            "So few groups allow no conclusion."
        )
    return lines
