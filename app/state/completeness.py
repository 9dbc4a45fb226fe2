"""What a standard mammogram should have and this exam has not (MG-44, the missing-view part).

What was not looked at in full resolution is ``app.state.coverage``.
"""

from __future__ import annotations

from collections.abc import Iterable

from app.state.terms import kind_term
from inference.exam.types import Exam, ExamSummary, ViewImage
from resources.translation import translate
from resources.vocabulary import FOUR_VIEWS, ImageKind, Projection, ViewName

_OBLIQUE = frozenset({Projection.MLO, Projection.LMO})
_AXIAL = frozenset({Projection.CC, Projection.FB})


def _tr(text: str) -> str:
    return translate("completeness", text)


def _stands_for(view: ViewName, wanted: ViewName) -> bool:
    family = _AXIAL if wanted.projection in _AXIAL else _OBLIQUE
    return view.laterality is wanted.laterality and view.projection in family


def _missing(views: Iterable[ViewName]) -> tuple[ViewName, ...]:
    had = list(views)
    return tuple(wanted for wanted in FOUR_VIEWS if not any(_stands_for(view, wanted) for view in had))


def missing_views(exam: Exam) -> tuple[str, ...]:
    """Name the standard views that the exam lacks: R CC, L CC, R MLO, L MLO and, for contrast, each energy."""
    whole = [image for image in exam.images if _is_whole(image)]
    told = [view.label for view in _missing(image.view for image in whole)]
    for kind in (ImageKind.CESM_LOW, ImageKind.CESM_RECOMBINED):
        other = ImageKind.CESM_RECOMBINED if kind is ImageKind.CESM_LOW else ImageKind.CESM_LOW
        here = {image.view for image in whole if image.kind is kind}
        there = {image.view for image in whole if image.kind is other}
        told += [f"{view.label} {kind_term(kind)}" for view in sorted(there - here)]
    return tuple(told)


def _is_whole(image: ViewImage) -> bool:
    flags = image.flags
    return not (flags.quality_control or flags.for_processing) and not {"M", "S"} & {
        modifier.value for modifier in image.modifiers
    }


def missing_of_summary(summary: ExamSummary) -> tuple[str, ...]:
    """Name the standard views that a line of the exam list lacks, from its view keys alone."""
    views = []
    for key in summary.view_keys:
        try:
            views.append(ViewName.parse(key.split("/")[0].split("#")[0]))
        except ValueError:
            continue
    return tuple(view.label for view in _missing(views))


def missing_words(missing: Iterable[str]) -> str:
    """One quiet line, "" when nothing is missing."""
    listed = ", ".join(missing)
    return _tr("Missing: {0}").format(listed) if listed else ""
