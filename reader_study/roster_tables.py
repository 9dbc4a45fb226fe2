"""Who read and what was read: the readers without their names, and the cases with what protocol and truth know of them.

Without a truth the cases' truth columns are empty; nothing of it comes from anywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import hypot

from reader_study.domain.study import Case, Study
from reader_study.domain.truth import TrueLesion, Truth
from reader_study.table_columns import Column, TidyTable, Value


def _c(name: str, kind: str, meaning: str, unit: str = "", values: str = "") -> Column:
    return Column(name=name, type=kind, unit=unit, range=values, meaning=meaning)


READERS = (
    _c("study_id", "text", "The study."),
    _c("reader_id", "text", "The reader; names stay in the study's database."),
    _c("group", "text", "Group of the protocol.", values="as in the protocol, e.g. senior, junior"),
    _c("experience_years", "integer", "Years of reading mammograms.", "a", "0.."),
    _c("qualification", "text", "Qualification as the protocol gives it."),
    _c("exams_a_year", "integer", "Mammograms read a year.", "1/a", "0.."),
)
CASES = (
    _c("study_id", "text", "The study."),
    _c("case_id", "text", "The case."),
    _c("exam_id", "text", "Pseudonym of the exam."),
    _c("exam_digest", "text", "SHA-256 of the exam's pixels.", values="hexadecimal"),
    _c("practice", "yes/no", "Practice case, not analysed.", values="0, 1"),
    _c("stratum", "text", "Stratum inside which cases were dealt.", values="as in the protocol"),
    _c("age", "integer", "Age of the woman.", "a", "0.."),
    _c("manufacturer", "text", "Manufacturer of the machine, as the files say; empty = not recorded."),
    _c("density", "text", "Density as the truth gives it, else as recorded with the exam; readers' own are in readings.", values="a, b, c, d"),
    _c("n_priors", "integer", "Earlier exams shown beside it.", values="0.."),
    _c("malignant", "yes/no", "Truth: cancer in either breast.", values="0, 1"),
    _c("lesion_type", "text", "Truth: types of its lesions, joined by +.", values="mass, calcification, asymmetry, distortion, enhancement"),
    _c("n_lesions", "integer", "Truth: lesions, each counted once over its views.", values="0.."),
    _c("size_mm", "number", "Truth: largest diameter of any lesion in any view, in the plane of the detector.", "mm", "0.."),
)  # fmt: skip


def readers_table(study: Study) -> TidyTable:
    """One row a reader: id, group, experience and qualification; no name."""
    made = TidyTable(name="readers", columns=READERS)
    for one in sorted(study.readers, key=lambda reader: reader.reader_id):
        made.add(study.study_id, one.reader_id, one.group, one.experience_years, one.qualification or None, one.exams_a_year)  # fmt: skip
    return made


def cases_table(study: Study, truth: Mapping[str, Truth] | None = None) -> TidyTable:
    """One row a case, practice cases included and marked; truth columns are empty where there is no truth."""
    made = TidyTable(name="cases", columns=CASES)
    known = truth or {}
    for case in sorted(study.cases, key=lambda one: one.case_id):
        made.add(
            study.study_id, case.case_id, case.exam_id, case.exam_digest, case.practice, case.stratum or None,
            case.age_years, case.manufacturer or None, _density(case, known.get(case.case_id)), len(case.priors), *_truth_values(known.get(case.case_id)),
        )  # fmt: skip
    return made


def _density(case: Case, truth: Truth | None) -> str | None:
    if truth is not None and truth.density is not None:
        return truth.density.value
    return case.density or None


def _truth_values(truth: Truth | None) -> tuple[Value, Value, Value, Value]:
    if truth is None:
        return None, None, None, None
    types = sorted({lesion.finding.value for lesion in truth.lesions})
    sizes = [size for lesion in truth.lesions if (size := diameter_mm(lesion)) is not None]
    count = len({lesion.lesion_id for lesion in truth.lesions})
    return truth.malignant, "+".join(types) or None, count, round(max(sizes), 2) if sizes else None


def diameter_mm(lesion: TrueLesion) -> float | None:
    """Largest distance of two corners of the contour, else twice the radius, mm; None = not known."""
    if len(lesion.contour) > 1 and lesion.spacing_mm is not None:
        down, across = lesion.spacing_mm
        pairs = combinations(lesion.contour, 2)
        return max(hypot((a[0] - b[0]) * down, (a[1] - b[1]) * across) for a, b in pairs)
    return None if lesion.radius_mm is None else 2 * lesion.radius_mm
