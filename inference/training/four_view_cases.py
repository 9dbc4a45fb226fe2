"""What the rows of a manifest mean for the four-view training: who is learnt from, and what is known of a breast.

Owns the split by woman and the words marked, normal and unmarked (docs/training.md); reads no image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from inference.exam.manifest import Manifest, ManifestImage, ManifestLesion, exams_of
from inference.training.four_view_data import FINDINGS
from resources.vocabulary import Laterality, Pathology

_VALIDATION_SHARE = 5  # one woman in so many validates where the table names nobody
_WITHOUT_FINDING = ("1", "2")  # BI-RADS assessments in which nothing suspicious is marked


class Part(IntEnum):
    """What an exam may be used for; where the rows of one woman differ, the strictest holds for all of hers."""

    TRAIN = 0
    VALIDATION = 1
    TEST = 2


class Known(IntEnum):
    """What is known of one breast."""

    MARKED = 0  # its lesions lie in the table
    NORMAL = 1  # looked at, nothing to mark
    UNMARKED = 2  # nothing recorded, or a lesion is known and nobody says where


_PARTS = {
    "": None, "train": Part.TRAIN, "training": Part.TRAIN, "val": Part.VALIDATION, "valid": Part.VALIDATION,
    "validation": Part.VALIDATION, "test": Part.TEST, "testing": Part.TEST,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """One thing of a manifest that is not learnt from, and why."""

    case_id: str
    what: str  # a file, a breast or "exam"
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One exam of a manifest as it may be learnt from: its unmarked breasts' rows are not among ``rows``."""

    case_id: str
    woman: str
    part: Part
    labelled: bool  # False: no breast's truth is known, only pseudo-labels can teach it
    rows: tuple[ManifestImage, ...]
    lesions: tuple[ManifestLesion, ...]
    malignant: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorting:
    """The exams of a manifest sorted for training, in file order."""

    cases: tuple[Case, ...]
    left_out: tuple[LeftOut, ...]
    rule: str  # how the exams were split, in words

    def of(self, part: Part, *, labelled: bool) -> tuple[Case, ...]:
        """Exams of a part."""
        return tuple(c for c in self.cases if c.part is part and c.labelled is labelled)


def sorted_cases(table: Manifest) -> Sorting:
    """Sort the exams of a manifest by what they are for and what is known of them.

    Parameters
    ----------
    table
        Both tables. A column ``split`` (train, validation or test) in the images table, or in the lesions
        table, is obeyed; where nobody validates, every fifth woman among those to learn from does. A woman is a
        ``patient_id``, or a case none of whose rows has one.

    Returns
    -------
    Exams to learn from, to validate with and to leave alone, all exams of a woman in one part.
    """
    women = women_of((row.case_id, row.patient_id or "") for row in table.images)
    given, unknown = _given_parts(table, women)
    parts, rule = _all_parts(sorted(set(women.values())), given)
    lesions: dict[str, list[ManifestLesion]] = {}
    for lesion in table.lesions:
        lesions.setdefault(lesion.case_id, []).append(lesion)
    cases, left_out = [], list(unknown)
    for case_id, rows in exams_of(table):
        woman = women[case_id]
        case, dropped = _case(case_id, woman, parts[woman], rows, lesions.get(case_id, []))
        cases.append(case)
        left_out += dropped
    named = {row.case_id for row in table.images if row.patient_id}
    if any(row.case_id not in named for row in table.images):
        rule += "; where patient_id is empty each case counts as a woman of her own"
    return Sorting(cases=tuple(cases), left_out=tuple(left_out), rule=rule)


def women_of(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Say whose each case is.

    Parameters
    ----------
    pairs
        Case and patient_id ("" = empty) of each row.

    Returns
    -------
    By case one name of its woman: a patient_id that any of its rows has, the case where none has one. A case with
    the numbers of two women makes them one, so that neither is on both sides of a split.
    """
    numbers: dict[str, set[str]] = {}
    for case_id, patient_id in pairs:
        numbers.setdefault(case_id, set()).update([patient_id] if patient_id else [])
    same: dict[str, set[str]] = {}
    for case_id, found in numbers.items():
        joined = set().union(*(same.get(name, {name}) for name in found or {case_id}))
        same |= dict.fromkeys(joined, joined)
    return {case_id: min(same[min(found or {case_id})]) for case_id, found in numbers.items()}


def _given_parts(table: Manifest, women: Mapping[str, str]) -> tuple[dict[str, Part], list[LeftOut]]:
    """The strictest part that any row names for a woman; a word that is no part keeps her out of training."""
    found: dict[str, Part] = {}
    odd: dict[str, LeftOut] = {}
    rows: Iterable[ManifestImage | ManifestLesion] = (*table.images, *table.lesions)
    for row in rows:
        word = row.extra.get("split", "").strip().lower()
        woman = women.get(row.case_id)
        if woman is None or not word:
            continue
        part = _PARTS.get(word)
        if part is None:
            part = Part.TEST
            why = f"split: expected train, validation or test, found {word!r}; never learnt from"
            odd.setdefault(woman, LeftOut(case_id=row.case_id, what="exam", why=why))
        found[woman] = max(part, found.get(woman, Part.TRAIN))
    return found, list(odd.values())


def _all_parts(women: Sequence[str], given: Mapping[str, Part]) -> tuple[dict[str, Part], str]:
    parts = {woman: given.get(woman, Part.TRAIN) for woman in women}
    rule = "split as the table's column split says, by patient_id" if given else "split by patient_id"
    if Part.VALIDATION not in given.values():
        own = {
            woman: Part.VALIDATION for woman, part in parts.items() if part is Part.TRAIN and _drawn(woman)
        }
        parts |= own
        rule += f", one woman in {_VALIDATION_SHARE} (by the digest of her number) validates"
    return parts, rule


def _drawn(woman: str) -> bool:
    return int(hashlib.sha256(woman.encode()).hexdigest(), 16) % _VALIDATION_SHARE == 0


def _case(
    case_id: str, woman: str, part: Part, rows: Sequence[ManifestImage], lesions: Sequence[ManifestLesion]
) -> tuple[Case, list[LeftOut]]:
    known = known_of(rows, lesions)
    labelled = any(what is not Known.UNMARKED for what in known.values())
    kept = [row for row in rows if not labelled or known[row.view.laterality] is not Known.UNMARKED]
    left_out = [
        LeftOut(
            case_id=case_id,
            what=f"{side.name.lower()} breast",
            why="a finding is known or nothing is recorded, and no lesion row says where: not taught as background",
        )
        for side, what in known.items()
        if labelled and what is Known.UNMARKED
    ]
    malignant = any(row.pathology is Pathology.MALIGNANT for row in rows) or any(x.malignant for x in lesions)
    case = Case(
        case_id=case_id,
        woman=woman,
        part=part,
        labelled=labelled,
        rows=tuple(kept),
        lesions=tuple(x for x in lesions if x.type in FINDINGS),
        malignant=malignant,
    )
    return case, left_out


def known_of(rows: Sequence[ManifestImage], lesions: Sequence[ManifestLesion]) -> dict[Laterality, Known]:
    """Say what is known of each breast of an exam.

    Returns
    -------
    Marked: a lesion row of one of the four types. Normal: pathology normal, or BI-RADS 1 or 2 with no cancer
    recorded; or nothing recorded of it where the other breast was marked, since an annotated exam was looked at
    whole. Unmarked: all else, above all a cancer or a benign lesion that no row places.
    """
    marked = {x.view.laterality for x in lesions if x.type in FINDINGS}
    other = {x.view.laterality for x in lesions if x.type not in FINDINGS} - marked
    out: dict[Laterality, Known] = {}
    for side in dict.fromkeys(row.view.laterality for row in rows):
        mine = [row for row in rows if row.view.laterality is side]
        recorded = {row.pathology for row in mine} - {None}
        assessed = {(row.birads or "").strip().removeprefix("BI-RADS").strip()[:1] for row in mine} - {""}
        if side in marked:
            out[side] = Known.MARKED
        elif side in other or Pathology.MALIGNANT in recorded:
            out[side] = Known.UNMARKED
        elif (
            recorded == {Pathology.NORMAL}
            or (assessed and assessed <= set(_WITHOUT_FINDING))
            or (not recorded and not assessed and marked)
        ):
            out[side] = Known.NORMAL
        else:
            out[side] = Known.UNMARKED
    return out
