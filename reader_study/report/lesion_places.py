"""From an export's marks and the truth's lesions to what localisation is scored on, or why it cannot be.

Targets are malignant lesions, as in the export's own files: a mark on a benign lesion is a false mark. Scores nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from reader_study.report.inputs import Localised
from reader_study.statistics.localisation import Mark, Outline, Rule

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedOutline:
    """A lesion in one view and what it is (mass, calcification ...).

    ``spacing_known`` False: the truth does not give the pixel spacing, and that of the reader's marks is taken.
    """

    outline: Outline
    finding: str
    malignant: bool = True
    spacing_known: bool = True


def localised_of(
    findings: Iterable[Row],
    lesions: Sequence[TypedOutline],
    malignant: Mapping[str, bool],
    cases: set[str],
    rule: Rule | None,
) -> tuple[Localised | None, tuple[str, ...]]:
    """Marks and malignant lesions of these cases; None with a sentence where scoring them would mislead.

    A malignant case without the place of its lesion would count as one without disease, and every mark on its cancer
    as false. A distance in mm needs a spacing that somebody measured.
    """
    rows = [f for f in findings if f.get("suspicion") and f.get("row") and f.get("image_key") and f["case_id"] in cases]  # fmt: skip
    targets = [lesion for lesion in lesions if lesion.malignant and lesion.outline.case in cases]
    if not targets:
        return None, ()
    placed = {lesion.outline.case for lesion in targets}
    lacking = sorted(case for case in cases if malignant.get(case) and case not in placed)
    if lacking:
        return None, (
            f"localisation as a whole: {len(lacking)} malignant case{'s have' if len(lacking) > 1 else ' has'} no place of a"
            f" malignant lesion in the truth (first: {lacking[0]})",
        )
    spacing = _spacings(rows)
    marked = {(f["case_id"], f["image_key"]) for f in rows}
    outlines = []
    for lesion in targets:
        place = (lesion.outline.case, lesion.outline.view)
        if lesion.spacing_known or place not in marked:  # no mark there: nothing hits it at any distance
            outlines.append(lesion.outline)
        elif place in spacing:
            outlines.append(replace(lesion.outline, spacing_mm=spacing[place]))
        else:
            return None, (
                f"localisation as a whole: no pixel spacing is known of case {place[0]}, {place[1]}",
            )
    marks = tuple(
        Mark(reader=f["reader_id"], modality=f["arm_id"], case=f["case_id"], view=f["image_key"], row=float(f["row"]),
             column=float(f["col"]), rating=float(f["suspicion"]))
        for f in rows
    )  # fmt: skip
    return Localised(marks=marks, outlines=tuple(outlines), rule=rule or Rule(radius_mm=20.0)), ()


def _spacings(rows: Iterable[Row]) -> dict[tuple[str, str], tuple[float, float]]:
    """(case, view) -> mm a pixel, as marks tell it: place in mm over place in pixels."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for f in rows:
        numbers = [float(f.get(name) or 0) for name in ("row_mm", "row", "col_mm", "col")]
        if all(numbers):
            found[f["case_id"], f["image_key"]] = (numbers[0] / numbers[1], numbers[2] / numbers[3])
    return found
