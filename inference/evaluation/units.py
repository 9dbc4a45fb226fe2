"""What is counted at each level of the contract: views, breasts, exams, lesions, each with truth and score.

Owns the join of scores with truth; the figures made of the units are its neighbours'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.evaluation.run_tables import LEVELS, EvaluationError, RunTables, ScoreRow
from inference.evaluation.truth import Truth
from inference.exam.manifest import ManifestImage, ManifestLesion
from inference.metrics import Estimate, delong_auc
from resources.vocabulary import FindingType, ImageKind, Laterality, Pathology, Projection

Key = tuple[str, str, str, str, str]  # case, laterality, view, kind, lesion; "" where it does not apply


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One thing that is scored and whose truth is known."""

    level: str
    key: Key
    patient: str
    truth: Pathology
    types: frozenset[FindingType]  # of its lesions: the malignant ones, or of the lesion itself
    score: float
    images: tuple[ManifestImage, ...]
    lesions: tuple[ManifestLesion, ...]

    @property
    def positive(self) -> bool:
        return self.truth is Pathology.MALIGNANT


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    key: Key
    case_id: str
    truth: Pathology | None
    images: tuple[ManifestImage, ...]
    lesions: tuple[ManifestLesion, ...]


Candidates = Mapping[str, Mapping[Key, _Candidate]]


def units_of(
    truth: Truth,
    run: RunTables,
    level: str,
    *,
    negatives: str = "all",
    candidates: Candidates | None = None,
) -> tuple[list[Unit], list[str]]:
    """Join a level's scores with its truth.

    Parameters
    ----------
    level
        "view", "breast", "exam" or "lesion".
    negatives
        "all" = normal and benign; "normal" leaves the benign out.
    candidates
        Of ``candidates_of(truth)``, where several levels are asked for.

    Returns
    -------
    The units with a truth and a score, and one sentence for each reason that others were left out.

    Raises
    ------
    EvaluationError
        scores.csv holds one thing twice.
    """
    mine = (candidates or candidates_of(truth))[level]
    scores, notes = _scores(truth, run, level, mine)
    out, unknown, unscored = [], 0, []
    for candidate in mine.values():
        if candidate.truth is None:
            unknown += candidate.key in scores
            continue
        if candidate.key not in scores:
            unscored.append(candidate)
            continue
        if negatives == "normal" and candidate.truth is Pathology.BENIGN:
            continue
        guilty = [x for x in candidate.lesions if x.malignant or level == "lesion"]
        out.append(
            Unit(
                level=level,
                key=candidate.key,
                patient=truth.patients[candidate.case_id],
                truth=candidate.truth,
                types=frozenset(x.type for x in guilty),
                score=scores[candidate.key],
                images=candidate.images,
                lesions=candidate.lesions,
            )
        )
    if unknown:
        notes.append(f"auc.{level}: pathology is not known for {unknown} scored; they were left out.")
    if unscored and scores:
        first = " ".join(part for part in unscored[0].key if part)
        notes.append(
            f"scores.csv: expected a score of level {level} for each {level} of {truth.name}, found none for "
            f"{len(unscored)} (first {first}); they were left out."
        )
    return out, notes


def candidates_of(truth: Truth) -> Candidates:
    """Everything that could be scored, by level and key, whether its truth is known or not."""
    images: dict[str, dict[Key, list[ManifestImage]]] = {level: {} for level in LEVELS}
    for image in truth.images:
        entry = image.entry
        for level, key in _keys_of_image(entry).items():
            images[level].setdefault(key, []).append(entry)
    lesions: dict[str, dict[Key, list[ManifestLesion]]] = {level: {} for level in LEVELS}
    for mark in truth.entries:
        side, view = mark.view.laterality.value, mark.view.projection.value
        kinds = [k.value for k in ImageKind] if mark.kind is None else [mark.kind.value]
        for kind in kinds:
            lesions["view"].setdefault((mark.case_id, side, view, kind, ""), []).append(mark)
        lesions["breast"].setdefault((mark.case_id, side, "", "", ""), []).append(mark)
        lesions["exam"].setdefault((mark.case_id, "", "", "", ""), []).append(mark)
        lesions["lesion"].setdefault((mark.case_id, side, "", "", mark.lesion_id), []).append(mark)
    out: dict[str, dict[Key, _Candidate]] = {}
    for level in ("view", "breast", "exam"):
        out[level] = {
            key: _Candidate(
                key=key,
                case_id=key[0],
                truth=_pathology(truth, key),
                images=tuple(rows),
                lesions=tuple(lesions[level].get(key, ())),
            )
            for key, rows in images[level].items()
        }
    out["lesion"] = {
        key: _Candidate(
            key=key,
            case_id=key[0],
            truth=_lesion_truth(marks),
            images=tuple(images["breast"].get((key[0], key[1], "", "", ""), ())),
            lesions=tuple(marks),
        )
        for key, marks in lesions["lesion"].items()
    }
    return out


def _keys_of_image(entry: ManifestImage) -> Mapping[str, Key]:
    side, view = entry.view.laterality.value, entry.view.projection.value
    return {
        "view": (entry.case_id, side, view, entry.kind.value, ""),
        "breast": (entry.case_id, side, "", "", ""),
        "exam": (entry.case_id, "", "", "", ""),
    }


def _pathology(truth: Truth, key: Key) -> Pathology | None:
    """Of the key's breast, or the worst of the exam's: unknown where a breast is and none is malignant."""
    sides = [s for s in Laterality if (key[0], s) in truth.breasts and key[1] in {"", s.value}]
    words = [truth.breasts[key[0], side] for side in sides]
    if Pathology.MALIGNANT in words:
        return Pathology.MALIGNANT
    if None in words or not words:
        return None
    return Pathology.BENIGN if Pathology.BENIGN in words else Pathology.NORMAL


def _lesion_truth(marks: Iterable[ManifestLesion]) -> Pathology | None:
    said = {mark.malignant for mark in marks} - {None}
    if not said:
        return None
    return Pathology.MALIGNANT if True in said else Pathology.BENIGN


def _scores(
    truth: Truth, run: RunTables, level: str, candidates: Mapping[Key, _Candidate]
) -> tuple[dict[Key, float], list[str]]:
    rows: dict[Key, list[ScoreRow]] = {}
    seen: dict[tuple[Key, Projection | None, ImageKind | None], ScoreRow] = {}
    strange: list[ScoreRow] = []
    for row in run.scores:
        if row.level != level:
            continue
        key = _key_of_row(row, candidates)
        if key is None:
            strange.append(row)
            continue
        mark = (key, row.view, row.kind)
        if mark in seen and len(rows[key]) >= _allowed(level, candidates[key]):
            raise EvaluationError(
                f"scores.csv, row {row.row}, case_id: expected one score of level {level} for "
                f"{' '.join(part for part in key if part)}, found a second one (first in row {seen[mark].row}); "
                "keep one."
            )
        seen.setdefault(mark, row)
        rows.setdefault(key, []).append(row)
    notes = _strange(truth, strange, level)
    several = [key for key, found in rows.items() if len(found) > 1]
    if several:
        how = "the highest" if level == "view" else "the mean"
        notes.append(f"scores.csv: {len(several)} of level {level} have several scores; {how} was taken.")
    pick = max if level == "view" else lambda values: sum(values) / len(values)
    return {key: float(pick([row.score for row in found])) for key, found in rows.items()}, notes


def _allowed(level: str, candidate: _Candidate) -> int:
    """How many scores of one key are no mistake: a view that was taken twice has two."""
    return len(candidate.images) if level == "view" else 1


def _key_of_row(row: ScoreRow, candidates: Mapping[Key, _Candidate]) -> Key | None:
    side = row.laterality.value if row.laterality else ""
    if row.level == "exam":
        key: Key = (row.case_id, "", "", "", "")
    elif row.level == "breast":
        key = (row.case_id, side, "", "", "")
    elif row.level == "lesion":
        sides = [side] if side else [s.value for s in Laterality]
        fits = [k for s in sides if (k := (row.case_id, s, "", "", row.lesion_id or "")) in candidates]
        if len(fits) > 1:
            raise EvaluationError(
                f"scores.csv, row {row.row}, laterality: expected L or R, for both breasts of {row.case_id} "
                f"have a lesion {row.lesion_id}, found none."
            )
        return fits[0] if fits else None
    else:
        view = row.view.value if row.view else ""
        kinds = [row.kind.value] if row.kind else [k.value for k in ImageKind]
        fits = [k for kind in kinds if (k := (row.case_id, side, view, kind, "")) in candidates]
        return fits[0] if len(fits) == 1 else None
    return key if key in candidates else None


def _strange(truth: Truth, strange: list[ScoreRow], level: str) -> list[str]:
    if not strange:
        return []
    first = strange[0]
    if first.case_id not in truth.patients:
        what = f"case_id: expected a case of {truth.name}, found {first.case_id!r}"
    elif level == "lesion":
        what = f"lesion_id: expected a lesion of case {first.case_id}, found {first.lesion_id!r}"
    else:
        side = first.laterality.value if first.laterality else ""
        view = first.view.value if first.view else ""
        what = f"view: expected a {level} of case {first.case_id}, found {f'{side} {view}'.strip()!r}"
    more = f" (and {len(strange) - 1} more rows of level {level})" if len(strange) > 1 else ""
    return [f"scores.csv, row {first.row}, {what}{more}; left out."]


def arrays(units: Iterable[Unit]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """(units,) bool truth and (units,) float64 scores."""
    listed = list(units)
    return (
        np.array([u.positive for u in listed], dtype=bool),
        np.array([u.score for u in listed], dtype=float),
    )


def of_type(units: Iterable[Unit], finding: FindingType) -> list[Unit]:
    """Positives with a malignant lesion of this type, against all negatives.

    At the lesion level the negatives are the benign lesions of the same type.
    """
    return [u for u in units if finding in u.types or (not u.positive and u.level != "lesion")]


def auc_of(units: Iterable[Unit]) -> Estimate | None:
    """AUC with DeLong's interval, None where one of the classes is empty."""
    truth, scores = arrays(units)
    if not truth.any() or truth.all():
        return None
    return delong_auc(truth, scores)
