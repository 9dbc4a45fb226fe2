"""From marks and lesions to free-response ratings: which mark hits which lesion, by a declared rule (RS-L2 to L4).

Positions are stored-file pixels (row, column) with a spacing in mm; the answer goes to ``froc.froc_from_rows``. A
lesion that is seen in two views is one lesion: a hit in either view counts, once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy.optimize import linear_sum_assignment

from reader_study.statistics.froc import FrocData, froc_from_rows
from reader_study.statistics.ratings import StatisticsError

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A reader's mark: where, in which view, how suspicious (higher = more)."""

    reader: str
    modality: str
    case: str
    view: str
    row: float
    column: float
    rating: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """One lesion in one view.

    Attributes
    ----------
    box
        (row0, column0, row1, column1), half-open, px.
    contour
        corners (row, column) in order, px; empty = not drawn.
    spacing_mm
        (row, column) distance of pixels in mm.
    weight
        of the lesion in its case, the same in every view; all 0 = equal weights.
    """

    case: str
    lesion: str
    view: str
    box: tuple[float, float, float, float]
    spacing_mm: tuple[float, float]
    contour: tuple[Point, ...] = ()
    weight: float = 0.0

    @property
    def centre(self) -> Point:
        """Centre of the contour's area, or of the box where no contour was drawn."""
        if len(self.contour) >= 3:
            return _centroid(self.contour)
        row0, column0, row1, column1 = self.box
        return (row0 + row1) / 2, (column0 + column1) / 2


class Hit(StrEnum):
    """When a mark hits a lesion."""

    CENTRE = "centre within radius"
    BOX = "inside the box"
    CONTOUR = "inside the contour (the box where none was drawn)"


class Surplus(StrEnum):
    """What becomes of a further mark that hits a lesion already hit in the same view."""

    IGNORED = "ignored"
    FALSE_POSITIVE = "counted as false positives"


class Correspondence(StrEnum):
    """Whether a lesion seen in two views is one lesion, or one in each view."""

    CASE = "a lesion counts once, hit in any view"
    VIEW = "a lesion counts in each view"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The scoring rule, declared with the results. ``radius_mm`` is for ``Hit.CENTRE`` only."""

    hit: Hit = Hit.CENTRE
    radius_mm: float | None = None
    surplus: Surplus = Surplus.IGNORED
    correspondence: Correspondence = Correspondence.CASE

    def __post_init__(self) -> None:
        if self.hit is Hit.CENTRE and (self.radius_mm is None or self.radius_mm <= 0):
            raise StatisticsError(f"Localisation: expected a radius above 0 mm, found {self.radius_mm}.")

    def sentence(self) -> str:
        """The rule in words, for the report."""
        radius = f" of {self.radius_mm:g} mm" if self.hit is Hit.CENTRE else ""
        return (
            f"A mark hits a lesion when it lies {self.hit.value}{radius}; one mark a lesion and view, the highest rated "
            f"first; further marks on it are {self.surplus.value}; {self.correspondence.value}."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Rows for ``froc_from_rows``, and what the rule did.

    Attributes
    ----------
    true_positives
        (reader, modality, case, lesion, rating), at most one a lesion.
    false_positives
        (reader, modality, case, rating).
    surplus
        number of further marks on a lesion already hit.
    """

    true_positives: tuple[tuple[str, str, str, str, float], ...]
    false_positives: tuple[tuple[str, str, str, float], ...]
    surplus: int
    rule: Rule


def score_marks(marks: Iterable[Mark], outlines: Iterable[Outline], rule: Rule) -> Scored:
    """Assign marks to lesions one to one, in each view, and join the views.

    The assignment has the most hits; among those the highest ratings; among those the shortest distances (the
    Hungarian method). A lesion hit in several views keeps its highest rating.
    """
    by_view: dict[tuple[str, str], list[Outline]] = {}
    for outline in outlines:
        by_view.setdefault((outline.case, outline.view), []).append(outline)
    by_image: dict[tuple[str, str, str, str], list[Mark]] = {}
    for mark in marks:
        if not math.isfinite(mark.rating):
            raise StatisticsError(
                f"Reader {mark.reader}, case {mark.case}: expected a finite rating, found {mark.rating}."
            )
        by_image.setdefault((mark.reader, mark.modality, mark.case, mark.view), []).append(mark)
    best: dict[tuple[str, str, str, str], float] = {}
    misses: list[tuple[str, str, str, float]] = []
    surplus = 0
    for (reader, modality, case, view), own in by_image.items():
        lesions = by_view.get((case, view), [])
        hits, extra, missed = _assign(own, lesions, rule)
        for lesion, mark in hits:
            key = (reader, modality, case, _name(lesion, rule))
            best[key] = max(best.get(key, -math.inf), mark.rating)
        surplus += len(extra)
        wrong = missed + extra if rule.surplus is Surplus.FALSE_POSITIVE else missed
        misses += [(reader, modality, case, mark.rating) for mark in wrong]
    return Scored(
        true_positives=tuple((*key, rating) for key, rating in best.items()),
        false_positives=tuple(misses),
        surplus=surplus,
        rule=rule,
    )


def _name(outline: Outline, rule: Rule) -> str:
    if rule.correspondence is Correspondence.CASE:
        return outline.lesion
    return f"{outline.lesion} {outline.view}"


def _assign(
    marks: Sequence[Mark], lesions: Sequence[Outline], rule: Rule
) -> tuple[list[tuple[Outline, Mark]], list[Mark], list[Mark]]:
    """Hits, marks on lesions already hit, and marks on no lesion."""
    if not lesions:
        return [], [], list(marks)
    distance = np.array([[_distance_mm(mark, lesion) for lesion in lesions] for mark in marks])
    allowed = np.array([[_hits(mark, lesion, rule) for lesion in lesions] for mark in marks])
    levels = np.unique([mark.rating for mark in marks], return_inverse=True)[1].astype(np.float64)
    most = min(distance.shape) + 1
    # worth of a pair: a hit outweighs all ratings, a step of rating all distances
    step = 1.0 / (most * (levels.max() + 1))
    near = 1.0 - distance / (distance.max() + 1.0)
    worth = np.where(allowed, 1.0 + step * (levels[:, None] + near / most), 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    hits = [
        (lesions[c], marks[r]) for r, c in zip(rows.tolist(), columns.tolist(), strict=True) if allowed[r, c]
    ]
    taken = {r for r, c in zip(rows.tolist(), columns.tolist(), strict=True) if allowed[r, c]}
    extra = [mark for r, mark in enumerate(marks) if r not in taken and allowed[r].any()]
    missed = [mark for r, mark in enumerate(marks) if not allowed[r].any()]
    return hits, extra, missed


def _distance_mm(mark: Mark, lesion: Outline) -> float:
    row, column = lesion.centre
    return math.hypot((mark.row - row) * lesion.spacing_mm[0], (mark.column - column) * lesion.spacing_mm[1])


def _hits(mark: Mark, lesion: Outline, rule: Rule) -> bool:
    if rule.hit is Hit.CENTRE:
        assert rule.radius_mm is not None
        return _distance_mm(mark, lesion) <= rule.radius_mm
    if rule.hit is Hit.CONTOUR and len(lesion.contour) >= 3:
        return _inside(mark.row, mark.column, lesion.contour)
    row0, column0, row1, column1 = lesion.box
    return row0 <= mark.row < row1 and column0 <= mark.column < column1


def _inside(row: float, column: float, corners: Sequence[Point]) -> bool:
    """Even-odd rule: a ray along the row crosses the outline an odd number of times."""
    inside = False
    for (r0, c0), (r1, c1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if (r0 > row) != (r1 > row) and column < c0 + (row - r0) * (c1 - c0) / (r1 - r0):
            inside = not inside
    return inside


def _centroid(corners: Sequence[Point]) -> Point:
    pairs = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    cross = [r0 * c1 - r1 * c0 for (r0, c0), (r1, c1) in pairs]
    area = sum(cross)
    if abs(area) < 1e-12:
        return sum(r for r, _ in corners) / len(corners), sum(c for _, c in corners) / len(corners)
    row = sum((r0 + r1) * w for ((r0, _), (r1, _)), w in zip(pairs, cross, strict=True)) / (3 * area)
    column = sum((c0 + c1) * w for ((_, c0), (_, c1)), w in zip(pairs, cross, strict=True)) / (3 * area)
    return row, column


def froc_data(
    marks: Sequence[Mark],
    outlines: Sequence[Outline],
    rule: Rule,
    *,
    cases: Sequence[str],
    readers: Sequence[str],
    modalities: Sequence[str],
) -> tuple[FrocData, Scored]:
    """Score the marks and build free-response data; ``cases`` names all cases, those without lesion too."""
    scored = score_marks(marks, outlines, rule)
    weights: dict[tuple[str, str], float] = {}
    for outline in outlines:
        key = (outline.case, _name(outline, rule))
        if weights.setdefault(key, outline.weight) != outline.weight:
            raise StatisticsError(
                f"Case {key[0]}, lesion {key[1]}: expected one weight in all views, found two; correct the truth."
            )
    if rule.correspondence is Correspondence.VIEW and any(weights.values()):
        totals = {case: sum(w for (c, _), w in weights.items() if c == case) for case, _ in weights}
        weights = {
            key: weight / totals[key[0]] if totals[key[0]] else 0.0 for key, weight in weights.items()
        }  # a case of which all weights are 0 has equal ones
    ill = {case for case, _ in weights}
    if missing := sorted(ill - set(cases)):
        raise StatisticsError(
            f"Localisation: expected lesions of the listed cases, found one of case {missing[0]}."
        )
    truth: list[tuple[str, str, float]] = [(case, "0", 0.0) for case in cases if case not in ill]
    truth += [(case, lesion, weight) for (case, lesion), weight in weights.items()]
    order = {case: k for k, case in enumerate(cases)}
    truth.sort(key=lambda row: order[row[0]])
    data = froc_from_rows(
        truth=truth, false_positives=scored.false_positives, true_positives=scored.true_positives,
        modalities=modalities, readers=readers,
    )  # fmt: skip
    return data, scored


def radius_sweep(
    marks: Sequence[Mark],
    outlines: Sequence[Outline],
    radii_mm: Sequence[float],
    *,
    cases: Sequence[str],
    readers: Sequence[str],
    modalities: Sequence[str],
    rule: Rule | None = None,
) -> tuple[tuple[float, FrocData, Scored], ...]:
    """The data at each radius, all else as in ``rule``: how much a result leans on the radius (Haygood 2013)."""
    base = rule or Rule(radius_mm=radii_mm[0])
    return tuple(
        (radius, *froc_data(marks, outlines, replace(base, hit=Hit.CENTRE, radius_mm=radius), cases=cases,
                            readers=readers, modalities=modalities))
        for radius in radii_mm
    )  # fmt: skip
