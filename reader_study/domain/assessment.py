"""What a reader says about a case: findings, an assessment per breast, and when it is complete.

Owns the nouns, their JSON form and the rules of completeness. Does not store anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reader_study.domain.conduct import CallOf, Consistency
from reader_study.domain.study import Scale
from resources.vocabulary import (
    BackgroundEnhancement,
    Conspicuity,
    Density,
    EnhancementSymmetry,
    EnhancementType,
    FindingType,
    Laterality,
)

RECALL_CATEGORIES = frozenset({"0", "4", "4A", "4B", "4C", "5"})
NO_RECALL_CATEGORIES = frozenset({"1", "2"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One mark: a point, perhaps a box, in stored-file pixels (row, col); in mm where spacing is known."""

    finding_id: str
    image_key: str
    source_id: str
    row: float
    col: float
    box: tuple[float, float, float, float] | None = None  # (row0, col0, row1, col1), half-open
    row_mm: float | None = None  # None = the image has no pixel spacing
    col_mm: float | None = None
    finding: FindingType
    suspicion: int
    birads: str | None = None  # None = not asked
    enhancement: EnhancementType | None = None  # contrast exams only (CEM-08); None = not asked
    conspicuity: Conspicuity | None = None
    call: bool | None = None  # True = malignant, False = benign; None = not asked

    def __post_init__(self) -> None:
        if not 0 <= self.suspicion <= 100:
            raise ValueError(f"finding {self.finding_id}: expected suspicion 0..100, found {self.suspicion}")
        if self.box is not None and not (self.box[0] <= self.box[2] and self.box[1] <= self.box[3]):
            raise ValueError(
                f"finding {self.finding_id}: expected box (row0, col0, row1, col1), found {self.box}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BreastAssessment:
    """One breast: BI-RADS category and probability of malignancy 0..100; None = not answered yet."""

    laterality: Laterality
    birads: str | None = None
    suspicion: int | None = None
    bpe: BackgroundEnhancement | None = None  # contrast exams only (CEM-08)
    bpe_symmetry: EnhancementSymmetry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """The whole form of one case; None = not answered yet."""

    breasts: tuple[BreastAssessment, ...] = ()
    density: Density | None = None
    recall: bool | None = None
    contrast: bool = False  # the exam is a contrast one, so that the scale's contrast questions were asked
    call: bool | None = None  # True = malignant, False = benign; None = not asked or not answered

    def breast(self, laterality: Laterality) -> BreastAssessment | None:
        return next((breast for breast in self.breasts if breast.laterality is laterality), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProblem:
    """One thing to put right before submitting; ``field`` is e.g. ``R.birads``, ``density``."""

    field: str
    sentence: str
    warning: bool = False  # may be submitted all the same, once the reader confirms


def problems(
    assessment: Assessment, scale: Scale, findings: Sequence[Finding] = ()
) -> tuple[FieldProblem, ...]:
    """List what keeps an assessment from being submitted, in the order of the form (RS-C1, RS-C2).

    Parameters
    ----------
    assessment : Assessment
        The form as it stands.
    scale : Scale
        The protocol's categories, required fields and consistency rules.
    findings : sequence of Finding
        The marks of the case, for the call that some protocols ask of each.

    Returns
    -------
    tuple of FieldProblem
        Empty when the assessment may be submitted; ``warning`` ones may be confirmed.
    """
    found: list[FieldProblem] = []
    if not assessment.breasts:
        found.append(
            FieldProblem(field="breasts", sentence="No breast is assessed; answer for each breast shown.")
        )
    sides = [breast.laterality for breast in assessment.breasts]
    if len(set(sides)) != len(sides):
        found.append(
            FieldProblem(field="breasts", sentence="A breast is assessed twice; answer once for each.")
        )
    for breast in assessment.breasts:
        found.extend(_breast_problems(breast, scale))
        if assessment.contrast:
            found.extend(_contrast_problems(breast, scale))
    if assessment.density is None and "density" in scale.require:
        found.append(FieldProblem(field="density", sentence="Breast density is missing; choose a to d."))
    found.extend(_recall_problems(assessment, scale))
    found.extend(_call_problems(assessment, scale, findings))
    return tuple(found)


def _call_problems(assessment: Assessment, scale: Scale, findings: Sequence[Finding]) -> list[FieldProblem]:
    if scale.call is CallOf.CASE and assessment.call is None:
        return [FieldProblem(field="call", sentence="The call is missing; choose benign or malignant.")]
    if scale.call is CallOf.LESION:
        open_marks = sum(finding.call is None for finding in findings)
        if open_marks:
            sentence = (
                f"{open_marks} of {len(findings)} marks have no call; choose benign or malignant for each."
            )
            return [FieldProblem(field="findings", sentence=sentence)]
    return []


def _breast_problems(breast: BreastAssessment, scale: Scale) -> list[FieldProblem]:
    side = breast.laterality.value
    word = "Right" if breast.laterality is Laterality.RIGHT else "Left"
    found: list[FieldProblem] = []

    def add(field: str, sentence: str, *, warning: bool = False) -> None:
        found.append(
            FieldProblem(field=f"{side}.{field}", sentence=f"{word} breast: {sentence}", warning=warning)
        )

    if breast.birads is None:
        if "birads" in scale.require:
            add("birads", f"BI-RADS is missing; choose one of {', '.join(scale.birads)}.")
    elif breast.birads not in scale.birads:
        add(
            "birads",
            f"BI-RADS {breast.birads} is not on this study's scale; choose one of {', '.join(scale.birads)}.",
        )
    if breast.suspicion is None:
        if "suspicion" in scale.require:
            add("suspicion", "probability of malignancy is missing; give 0 to 100.")
    elif not 0 <= breast.suspicion <= 100:
        add("suspicion", f"probability of malignancy is {breast.suspicion}; give 0 to 100.")
    elif (
        scale.max_benign_suspicion is not None
        and breast.birads in NO_RECALL_CATEGORIES
        and breast.suspicion > scale.max_benign_suspicion
    ):
        add(
            "suspicion",
            f"BI-RADS {breast.birads} does not go with a probability of malignancy of {breast.suspicion};"
            f" at most {scale.max_benign_suspicion}, or change the category.",
            warning=scale.consistency is Consistency.WARN,
        )
    return found


def _contrast_problems(breast: BreastAssessment, scale: Scale) -> list[FieldProblem]:
    side, word = breast.laterality.value, "Right" if breast.laterality is Laterality.RIGHT else "Left"
    found: list[FieldProblem] = []
    if "bpe" in scale.contrast and breast.bpe is None:
        levels = ", ".join(BackgroundEnhancement)
        sentence = f"{word} breast: background enhancement is missing; choose one of {levels}."
        found.append(FieldProblem(field=f"{side}.bpe", sentence=sentence))
    if "bpe_symmetry" in scale.contrast and breast.bpe_symmetry is None:
        sentence = f"{word} breast: symmetry of the background enhancement is missing; choose one."
        found.append(FieldProblem(field=f"{side}.bpe_symmetry", sentence=sentence))
    return found


def _recall_problems(assessment: Assessment, scale: Scale) -> list[FieldProblem]:
    if assessment.recall is None:
        if "recall" not in scale.require:
            return []
        return [FieldProblem(field="recall", sentence="The recall decision is missing; choose yes or no.")]
    mild = scale.consistency is Consistency.WARN
    categories = {breast.birads for breast in assessment.breasts if breast.birads is not None}
    if not scale.match_recall or not categories:
        return []
    if not assessment.recall and categories & RECALL_CATEGORIES:
        worst = sorted(categories & RECALL_CATEGORIES)[-1]
        sentence = f"No recall does not go with BI-RADS {worst}; change the recall decision or the category."
        return [FieldProblem(field="recall", sentence=sentence, warning=mild)]
    if assessment.recall and categories <= NO_RECALL_CATEGORIES:
        sentence = (
            "Recall does not go with BI-RADS 1 or 2 in every breast; change the decision or a category."
        )
        return [FieldProblem(field="recall", sentence=sentence, warning=mild)]
    return []


def finding_to_json(finding: Finding) -> dict[str, object]:
    """Return the JSON form of a mark; ``finding_from_json`` reads it back unchanged.

    Contrast answers are written only where there are any, as logs from before they were asked have none.
    """
    contrast = {"enhancement": finding.enhancement, "conspicuity": finding.conspicuity}
    return {
        "finding_id": finding.finding_id,
        "image_key": finding.image_key,
        "source_id": finding.source_id,
        "row": float(finding.row),
        "col": float(finding.col),
        "box": None if finding.box is None else [float(edge) for edge in finding.box],
        "row_mm": None if finding.row_mm is None else float(finding.row_mm),
        "col_mm": None if finding.col_mm is None else float(finding.col_mm),
        "finding": finding.finding.value,
        "suspicion": int(finding.suspicion),
        "birads": finding.birads,
        **{name: answer.value for name, answer in contrast.items() if answer is not None},
        **({} if finding.call is None else {"call": finding.call}),
    }


def finding_from_json(value: Mapping[str, object]) -> Finding:
    """Read a mark back from its JSON form; ValueError names the field that is wrong."""
    box = value["box"]
    edges = None if box is None else [_number(edge, "box") for edge in _items(box, "box")]
    return Finding(
        finding_id=str(value["finding_id"]),
        image_key=str(value["image_key"]),
        source_id=str(value["source_id"]),
        row=_number(value["row"], "row"),
        col=_number(value["col"], "col"),
        box=None if edges is None else (edges[0], edges[1], edges[2], edges[3]),
        row_mm=None if value["row_mm"] is None else _number(value["row_mm"], "row_mm"),
        col_mm=None if value["col_mm"] is None else _number(value["col_mm"], "col_mm"),
        finding=FindingType(str(value["finding"])),
        suspicion=int(_number(value["suspicion"], "suspicion")),
        birads=None if value["birads"] is None else str(value["birads"]),
        enhancement=None if value.get("enhancement") is None else EnhancementType(str(value["enhancement"])),
        conspicuity=None if value.get("conspicuity") is None else Conspicuity(str(value["conspicuity"])),
        call=_flag(value.get("call")),
    )


def assessment_to_json(assessment: Assessment) -> dict[str, object]:
    """Return the JSON form of an assessment, complete or not."""
    return {
        "breasts": [
            {
                "laterality": breast.laterality.value,
                "birads": breast.birads,
                "suspicion": None if breast.suspicion is None else int(breast.suspicion),
                **_contrast_to_json(breast),
            }
            for breast in assessment.breasts
        ],
        "density": None if assessment.density is None else assessment.density.value,
        "recall": assessment.recall,
        **({"contrast": True} if assessment.contrast else {}),
        **({} if assessment.call is None else {"call": assessment.call}),
    }


def _contrast_to_json(breast: BreastAssessment) -> dict[str, object]:
    answers = {"bpe": breast.bpe, "bpe_symmetry": breast.bpe_symmetry}
    return {name: answer.value for name, answer in answers.items() if answer is not None}


def assessment_from_json(value: Mapping[str, object]) -> Assessment:
    """Read an assessment back from its JSON form."""
    breasts: list[BreastAssessment] = []
    for item in _items(value["breasts"], "breasts"):
        if not isinstance(item, Mapping):
            raise ValueError(f"breasts: expected objects, found {item!r}")
        breasts.append(
            BreastAssessment(
                laterality=Laterality(str(item["laterality"])),
                birads=None if item["birads"] is None else str(item["birads"]),
                suspicion=None if item["suspicion"] is None else int(_number(item["suspicion"], "suspicion")),
                bpe=None if item.get("bpe") is None else BackgroundEnhancement(str(item["bpe"])),
                bpe_symmetry=None
                if item.get("bpe_symmetry") is None
                else EnhancementSymmetry(str(item["bpe_symmetry"])),
            )
        )
    recall = value["recall"]
    return Assessment(
        breasts=tuple(breasts),
        density=None if value["density"] is None else Density(str(value["density"])),
        recall=None if recall is None else bool(recall),
        contrast=bool(value.get("contrast", False)),
        call=_flag(value.get("call")),
    )


def _flag(value: object) -> bool | None:
    return None if value is None else bool(value)


def _number(value: object, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{field}: expected a number, found {value!r}")
    return float(value)


def _items(value: object, field: str) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{field}: expected a list, found {value!r}")
    return value
