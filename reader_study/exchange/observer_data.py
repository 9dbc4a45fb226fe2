"""The neutral form of multi-reader data that every exchange format is read into and written from.

Owns the noun, its checks, and the way to the arrays of ``reader_study.statistics``. Knows no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache

from reader_study.errors import StudyError
from reader_study.statistics.froc import FrocData, froc_from_rows
from reader_study.statistics.ratings import Ratings, ratings_from_rows

WEIGHT_SLACK = 0.015  # published tables print three thirds as 0.33


class ExchangeError(StudyError):
    """A file cannot be taken in; the text names file, sheet or line, column, expected, found, and what to do."""


class Paradigm(StrEnum):
    """How readers answer: one rating a case, free marks, one located rating, or one rating a region."""

    ROC = "ROC"
    FROC = "FROC"
    LROC = "LROC"
    ROI = "ROI"


class Crossing(StrEnum):
    """Who read what: everybody everything, or readers nested in modalities (A), or cases nested in readers (C)."""

    FACTORIAL = "FCTRL"
    SPLIT_PLOT_A = "SPLIT-PLOT-A"
    SPLIT_PLOT_C = "SPLIT-PLOT-C"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Lesion:
    """One lesion of a case; weights of a case sum to 1, and all 0 stands for equal weights."""

    lesion_id: str
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class TruthCase:
    """One case; no lesion = without disease."""

    case_id: str
    lesions: tuple[Lesion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Mark:
    """One rating; ``lesion_id`` "" = on no lesion (a false positive, or the rating of a case without disease)."""

    reader: str
    modality: str
    case_id: str
    lesion_id: str
    rating: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverData:
    """A whole data set. ``reads`` are the (reader, modality, case) that took place, marked or not."""

    paradigm: Paradigm
    cases: tuple[TruthCase, ...]
    reads: frozenset[tuple[str, str, str]] = field(repr=False)
    marks: tuple[Mark, ...] = field(repr=False)
    crossing: Crossing = Crossing.FACTORIAL
    title: str = field(default="", compare=False)

    @property
    def readers(self) -> tuple[str, ...]:
        """Reader names, in natural order."""
        return natural({reader for reader, _, _ in self.reads})

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modality names, in natural order."""
        return natural({modality for _, modality, _ in self.reads})

    def ratings(self) -> Ratings:
        """One score a read: the rating (ROC, ROI), or the highest mark, -inf where nothing was marked.

        Where every case is a breast (its id ends in ``:R`` or ``:L``), the two breasts of a woman are one cluster, so
        that resampling leaves out women.

        Raises
        ------
        StatisticsError
            Only cases of one truth.
        """
        highest = dict.fromkeys(self.reads, float("-inf"))
        for mark in self.marks:
            key = (mark.reader, mark.modality, mark.case_id)
            highest[key] = max(highest[key], mark.rating)
        truth = {case.case_id: bool(case.lesions) for case in self.cases}
        order = {case.case_id: k for k, case in enumerate(self.cases)}
        reads = sorted(self.reads, key=lambda r: (_natural_key(r[0]), _natural_key(r[1]), order[r[2]]))
        found = ratings_from_rows(
            ((reader, modality, case, truth[case], highest[reader, modality, case]) for reader, modality, case in reads),
            modality_order=self.modalities,
        )  # fmt: skip
        return replace(found, clusters=women_of_breasts(found.cases))

    def froc(self) -> FrocData:
        """Free-response arrays; ExchangeError unless every reader read every case under every modality."""
        full = len(self.readers) * len(self.modalities) * len(self.cases)
        if len(self.reads) != full:
            raise ExchangeError(
                f"{self.title or 'Data'}: expected every reader to read every case under every modality ({full} reads),"
                f" found {len(self.reads)}; analyse the highest ratings instead."
            )
        truth: list[tuple[str, str, float]] = []
        for case in self.cases:
            truth += [(case.case_id, x.lesion_id, x.weight) for x in case.lesions] or [(case.case_id, "0", 0)]
        return froc_from_rows(
            truth=truth,
            false_positives=((m.reader, m.modality, m.case_id, m.rating) for m in self.marks if not m.lesion_id),
            true_positives=(
                (m.reader, m.modality, m.case_id, m.lesion_id, m.rating) for m in self.marks if m.lesion_id
            ),
            modalities=self.modalities,
            readers=self.readers,
        )  # fmt: skip


def roc_data(
    rows: Iterable[tuple[str, str, str, bool, float]], *, title: str = "", crossing: Crossing = Crossing.FACTORIAL
) -> ObserverData:  # fmt: skip
    """Make ROC data from (reader, modality, case, diseased, rating), already checked for repetitions."""
    diseased: dict[str, bool] = {}
    marks = []
    for reader, modality, case, truth, rating in rows:
        diseased[case] = truth
        marks.append(
            Mark(
                reader=reader, modality=modality, case_id=case, lesion_id="1" if truth else "", rating=rating
            )
        )
    cases = tuple(
        TruthCase(case_id=case, lesions=(Lesion(lesion_id="1", weight=1.0),) if truth else ())
        for case, truth in diseased.items()
    )
    reads = frozenset((mark.reader, mark.modality, mark.case_id) for mark in marks)
    return normalised(
        ObserverData(
            paradigm=Paradigm.ROC,
            cases=cases,
            reads=reads,
            marks=tuple(marks),
            crossing=crossing,
            title=title,
        )
    )


def normalised(data: ObserverData) -> ObserverData:
    """Put cases and marks in natural order and weights on a sum of 1, so that equal data are equal."""
    cases = []
    for case in data.cases:
        total = sum(lesion.weight for lesion in case.lesions)
        count = len(case.lesions)
        lesions = tuple(
            Lesion(lesion_id=x.lesion_id, weight=x.weight / total if total else 1.0 / count)
            for x in sorted(case.lesions, key=lambda x: _natural_key(x.lesion_id))
        )
        cases.append(TruthCase(case_id=case.case_id, lesions=lesions))
    cases.sort(key=lambda case: (bool(case.lesions), _natural_key(case.case_id)))
    order = {case.case_id: k for k, case in enumerate(cases)}
    marks = sorted(
        data.marks,
        key=lambda m: (
            _natural_key(m.reader), _natural_key(m.modality), order[m.case_id], _natural_key(m.lesion_id), m.rating,
        ),
    )  # fmt: skip
    return ObserverData(
        paradigm=data.paradigm, cases=tuple(cases), reads=data.reads, marks=tuple(marks), crossing=data.crossing,
        title=data.title,
    )  # fmt: skip


def women_of_breasts(cases: Sequence[str]) -> tuple[str, ...] | None:
    """The woman of each breast, or None where the cases are not all breasts or each woman has one."""
    women = tuple(case[:-2] for case in cases)
    if not all(case.endswith((":R", ":L")) for case in cases) or len(set(women)) == len(women):
        return None
    return women


def natural(names: Iterable[str]) -> tuple[str, ...]:
    """Sort names so that 2 comes before 10."""
    return tuple(sorted(names, key=_natural_key))


@cache
def _natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Digits by value, the rest by letter."""
    runs = re.findall(r"\d+|\D+", name)
    return tuple((0, int(run), run) if run.isdecimal() else (1, 0, run) for run in runs)
