"""Joins the locked answers of a study with the truth: ROC and free-response data for statistics and exchange.

The only way from the log to ``exchange.ObserverData``. What counts as a hit is the protocol's localisation rule; the
unit of analysis is a woman or a breast (RS-L2 to L4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reader_study.domain.assessment import Assessment, BreastAssessment, Finding
from reader_study.domain.conduct import Design, HitRule, Localisation, Surplus
from reader_study.domain.reading import SessionRecord, State, fold
from reader_study.domain.study import Study
from reader_study.domain.truth import TrueLesion, Truth
from reader_study.errors import StudyError
from reader_study.exchange.observer_data import (
    Crossing,
    Lesion,
    Mark,
    ObserverData,
    Paradigm,
    TruthCase,
    normalised,
    roc_data,
)
from reader_study.ports import EventStore
from reader_study.statistics import localisation as scoring
from resources.vocabulary import Pathology


class Rating(StrEnum):
    """Which answer is the rating."""

    SUSPICION = "suspicion"  # probability of malignancy 0..100, the highest breast of a woman
    BIRADS = "birads"  # place on the protocol's scale, from 1
    CALL = "call"  # benign 0, malignant 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One locked answer of one reader to one case in one arm, with the marks that were there."""

    reader_id: str
    case_id: str
    arm_id: str
    assessment: Assessment
    findings: tuple[Finding, ...]


def locked_answers(study: Study, store: EventStore) -> Iterator[Answer]:
    """Yield every locked answer, practice left out; a sequential reading gives two, one for each arm."""
    for plan in study.plans:
        yield from answers_of(fold(study, plan, store.read(plan.session_id)))


def answers_of(record: SessionRecord) -> Iterator[Answer]:
    """Yield the locked answers of one session that count."""
    for entry, reading in zip(record.plan.entries, record.readings, strict=True):
        if reading.state is not State.LOCKED or reading.final is None or reading.case_id in record.practice:
            continue
        who = {"reader_id": record.plan.reader_id, "case_id": reading.case_id}
        if entry.first_arm_id is not None and reading.provisional is not None:
            early, marks = reading.provisional, reading.provisional_findings
            yield Answer(**who, arm_id=entry.first_arm_id, assessment=early, findings=marks)
        yield Answer(**who, arm_id=reading.arm_id, assessment=reading.final, findings=reading.findings)


def roc_observer_data(
    study: Study,
    answers: Sequence[Answer],
    truth: Mapping[str, Truth],
    *,
    rating: Rating = Rating.SUSPICION,
    by_breast: bool = False,
) -> ObserverData:
    """Return one rating a woman, or a breast (case id ``CASE:R``), and whether she has cancer.

    Parameters
    ----------
    answers : sequence of Answer
        From ``locked_answers``.
    truth : mapping of case id to Truth
        Of every case that was read.

    Raises
    ------
    StudyError
        No answer; a case without truth; a rating that was not given; or BI-RADS 0, which has no place in an order.
    """
    _must_be_known(answers, truth)
    rows: list[tuple[str, str, str, bool, float]] = []
    for one in answers:
        found = truth[one.case_id]
        if not by_breast:
            value = max(_value(study, one, breast, rating) for breast in _breasts(one, rating))
            rows.append((one.reader_id, one.arm_id, one.case_id, found.malignant, value))
            continue
        for breast in one.assessment.breasts:
            side = breast.laterality
            ill = found.breasts.get(side) is Pathology.MALIGNANT
            unit = f"{one.case_id}:{side.value}"
            rows.append((one.reader_id, one.arm_id, unit, ill, _value(study, one, breast, rating)))
    return roc_data(rows, title=f"{study.study_id} {rating.value}", crossing=_crossing(study))


def froc_observer_data(
    study: Study,
    answers: Sequence[Answer],
    truth: Mapping[str, Truth],
    *,
    rule: Localisation | None = None,
    malignant_only: bool = True,
) -> ObserverData:
    """Return every mark, scored against the lesions by the protocol's rule, or by ``rule`` in a sensitivity analysis.

    ``malignant_only`` takes malignant lesions as targets, so that a mark on a benign one is a false positive.

    Raises
    ------
    StudyError
        As ``roc_observer_data``; a malignant case without the place of a lesion; or an image with a mark and a lesion has no pixel spacing and the rule is in mm.
    """
    _must_be_known(answers, truth)
    declared = study.localisation if rule is None else rule
    targets = {
        case_id: [x for x in truth[case_id].lesions if x.malignant or not malignant_only]
        for case_id in sorted({one.case_id for one in answers})
    }
    marks = [
        scoring.Mark(
            reader=one.reader_id,
            modality=one.arm_id,
            case=one.case_id,
            view=mark.image_key,
            row=mark.row,
            column=mark.col,
            rating=float(mark.suspicion),
        )
        for one in answers
        for mark in one.findings
    ]
    placeless = [case_id for case_id, lesions in targets.items() if truth[case_id].malignant and not lesions]
    if placeless:
        raise StudyError(
            f"Truth, case {placeless[0]}: expected the place of its malignant lesion, found none ({len(placeless)} such cases); the"
            " case would count as one without disease. Add the lesion, or analyse the ratings."
        )
    spacing = _spacings(answers)
    marked = {(mark.case, mark.view) for mark in marks}
    outlines = []
    for case_id, lesions in targets.items():
        for lesion in lesions:
            place = (case_id, lesion.image_key)
            known = lesion.spacing_mm or spacing.get(place)
            if known is None and place not in marked:
                known = (1.0, 1.0)  # no mark in this image: nothing can hit the lesion at any distance
            outlines.append(_outline(case_id, lesion, declared, known))
    scored = scoring.score_marks(marks, outlines, scoring_rule(declared))
    lesion_names = {
        case_id: sorted({_lesion_name(x, declared) for x in lesions}) for case_id, lesions in targets.items()
    }
    hits = [
        Mark(reader=reader, modality=arm, case_id=case, lesion_id=lesion, rating=rating)
        for reader, arm, case, lesion, rating in scored.true_positives
    ]
    misses = [
        Mark(reader=reader, modality=arm, case_id=case, lesion_id="", rating=rating)
        for reader, arm, case, rating in scored.false_positives
    ]
    return normalised(
        ObserverData(
            paradigm=Paradigm.FROC,
            cases=tuple(
                TruthCase(case_id=case_id, lesions=tuple(Lesion(lesion_id=x, weight=0.0) for x in names))
                for case_id, names in lesion_names.items()
            ),
            reads=frozenset((one.reader_id, one.arm_id, one.case_id) for one in answers),
            marks=(*hits, *misses),
            crossing=_crossing(study),
            title=f"{study.study_id} marks. {scoring_rule(declared).sentence()}",
        )
    )


def scoring_rule(declared: Localisation) -> scoring.Rule:
    """Return the protocol's localisation rule as the scorer takes it."""
    hits = {
        HitRule.RADIUS: scoring.Hit.CENTRE,
        HitRule.CONTOUR: scoring.Hit.CONTOUR,
        HitRule.BOX: scoring.Hit.BOX,
    }
    surplus = scoring.Surplus.IGNORED
    if declared.surplus is Surplus.FALSE_POSITIVE:
        surplus = scoring.Surplus.FALSE_POSITIVE
    across = scoring.Correspondence.CASE if declared.across_views else scoring.Correspondence.VIEW
    radius = declared.radius_mm if declared.rule is HitRule.RADIUS else None
    return scoring.Rule(hit=hits[declared.rule], radius_mm=radius, surplus=surplus, correspondence=across)


def _must_be_known(answers: Sequence[Answer], truth: Mapping[str, Truth]) -> None:
    if not answers:
        raise StudyError("Answers: expected at least one locked reading that counts, found none; read first.")
    lacking = sorted({one.case_id for one in answers} - set(truth))
    if lacking:
        raise StudyError(
            f"Truth: expected it for every case read, found none for {', '.join(lacking[:5])}"
            f"{', …' if len(lacking) > 5 else ''} ({len(lacking)} cases); import it."
        )


def _breasts(answer: Answer, rating: Rating) -> Sequence[BreastAssessment | None]:
    return (None,) if rating is Rating.CALL else answer.assessment.breasts


def _value(study: Study, answer: Answer, breast: BreastAssessment | None, rating: Rating) -> float:
    where = f"Reader {answer.reader_id}, case {answer.case_id}, arm {answer.arm_id}"
    if rating is Rating.CALL:
        given: object = answer.assessment.call
    elif breast is None:
        given = None
    else:
        given = breast.suspicion if rating is Rating.SUSPICION else breast.birads
    if given is None:
        raise StudyError(
            f"{where}: expected an answer for {rating.value}, found none; rate by another answer."
        )
    if rating is Rating.BIRADS:
        if given == "0":
            raise StudyError(
                f"{where}: expected BI-RADS 1 to 5, found 0, which has no place in an order;"
                " rate by the probability of malignancy."
            )
        return float([category for category in study.scale.birads if category != "0"].index(str(given)) + 1)
    assert isinstance(given, int)
    return float(given)


def _crossing(study: Study) -> Crossing:
    nested = {Design.SPLIT_PLOT: Crossing.SPLIT_PLOT_C, Design.PARALLEL: Crossing.SPLIT_PLOT_A}
    return nested.get(study.design, Crossing.FACTORIAL)


def _spacings(answers: Sequence[Answer]) -> dict[tuple[str, str], tuple[float, float]]:
    """Pixel spacing of images as their marks tell it: place in mm over place in pixels."""
    known: dict[tuple[str, str], tuple[float, float]] = {}
    for one in answers:
        for mark in one.findings:
            if mark.row_mm and mark.col_mm and mark.row and mark.col:
                known[one.case_id, mark.image_key] = (mark.row_mm / mark.row, mark.col_mm / mark.col)
    return known


def _lesion_name(lesion: TrueLesion, rule: Localisation) -> str:
    return (
        lesion.lesion_id if rule.across_views else f"{lesion.lesion_id} {lesion.image_key}"
    )  # as the scorer names it


def _outline(
    case_id: str, lesion: TrueLesion, rule: Localisation, spacing: tuple[float, float] | None
) -> scoring.Outline:
    where = f"Case {case_id}, lesion {lesion.lesion_id} in {lesion.image_key}"
    if rule.rule is HitRule.RADIUS:
        if spacing is None:
            raise StudyError(
                f"{where}: expected a pixel spacing for a radius in mm, found none; give it with the truth."
            )
        point = (lesion.row, lesion.col, lesion.row, lesion.col)
        return scoring.Outline(
            case=case_id, lesion=lesion.lesion_id, view=lesion.image_key, box=point, spacing_mm=spacing
        )
    if not lesion.contour:
        raise StudyError(
            f"{where}: expected an outline for the rule {rule.rule.value}, found none; import one, or score by radius."
        )
    rows, cols = [row for row, _ in lesion.contour], [col for _, col in lesion.contour]
    return scoring.Outline(
        case=case_id,
        lesion=lesion.lesion_id,
        view=lesion.image_key,
        box=(min(rows), min(cols), max(rows), max(cols)),
        spacing_mm=spacing or (1.0, 1.0),
        contour=lesion.contour,
    )
