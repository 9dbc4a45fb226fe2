"""Shows a reader the truth of a practice case after it is locked, and of no other case (RS-T3).

Apart from ``sessions``, because that must never reach truth.
"""

from __future__ import annotations

from collections.abc import Mapping

from reader_study.domain.study import Study
from reader_study.domain.truth import TrueLesion, Truth
from reader_study.errors import StudyError
from reader_study.sessions import Sessions


def show_feedback(sessions: Sessions, study: Study, session_id: str, truth: Truth) -> Mapping[str, object]:
    """Record that the truth of a locked practice case is shown, and return it; refused for every other case."""
    words = feedback(study, truth)
    sessions.feedback_shown(session_id, truth.case_id, words)
    return words


def feedback(study: Study, truth: Truth) -> dict[str, object]:
    """Return the truth of a practice case in words for the reader (RS-T3): breasts, and lesions in stored pixels.

    Raises
    ------
    StudyError
        The case counts in the analysis, or the protocol gives no feedback: the truth is not shown.
    """
    if not study.case(truth.case_id).practice or not study.training.feedback:
        raise StudyError(
            f"Case {truth.case_id}: expected a practice case of a study with feedback;"
            " the truth of other cases is not shown."
        )
    return {
        "breasts": {side.value: pathology.value for side, pathology in truth.breasts.items()},
        "lesions": [
            {
                "image_key": lesion.image_key,
                "row": lesion.row,
                "col": lesion.col,
                "finding": lesion.finding.value,
                "malignant": lesion.malignant,
                "contour": [list(point) for point in lesion.contour],
                "radius_px": _radius_px(lesion),
            }
            for lesion in truth.lesions
        ],
    }


def _radius_px(lesion: TrueLesion) -> list[float] | None:
    """Rows and columns that a round lesion reaches from its centre; None where size or spacing is not known."""
    if lesion.radius_mm is None or lesion.spacing_mm is None:
        return None
    return [lesion.radius_mm / lesion.spacing_mm[0], lesion.radius_mm / lesion.spacing_mm[1]]
