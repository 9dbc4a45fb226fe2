"""What of the AI goes into a study's log: what it said, what of it was on screen, and why it said nothing (RS-C5).

Makes the contents of the events only; the log's own way is ``reader_study.case_steps``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.state.ai_view import AiPhase, AiView, unread_views
from inference.exam.types import ViewImage
from inference.results import ExamResult

STATE = "state"  # the layer that says why there is no AI, or which views it did not read


def scores_record(result: ExamResult) -> dict[str, float]:
    """Scores by what they are of: "view:KEY", "breast:SIDE", "exam"."""
    scores = {f"view:{key}": value for key, value in result.view_scores.items()}
    scores |= {f"breast:{side.value}": value for side, value in result.breast_scores.items()}
    if result.exam_score is not None:
        scores["exam"] = result.exam_score
    return scores


def model_record(result: ExamResult) -> dict[str, str]:
    """Which model said it, and how it was run."""
    return {
        "model_id": result.model_id,
        "version": result.model_version,
        "weights": result.weights_digest,
        "preprocessing": result.preprocessing,
        "device": result.device,
    }


def detections_record(result: ExamResult) -> list[dict[str, object]]:
    """Every detection, shown or not: place, score, type, and what matched it."""
    return [
        {
            "id": one.detection_id,
            "image_key": one.image_key,
            "box": [one.box.row0, one.box.col0, one.box.row1, one.box.col1],
            "score": one.score,
            "type": one.finding.value if one.finding else None,
            "malignancy": one.malignancy,
            "group": one.group,
            "match": one.match_probability,
            **({"energies": dict(one.energy_scores)} if one.energy_scores else {}),
        }
        for one in result.detections
    ]


def state_record(ai: AiView, images: Sequence[ViewImage]) -> Mapping[str, object] | None:
    """What is said in the place of an answer, or beside it; None where there is nothing to say.

    Where several models were asked, each of those that did not answer is named with its state and why.
    """
    if len(ai.runs) > 1:
        return _states_of_several(ai, images)
    if ai.phase in {AiPhase.FAILED, AiPhase.ABSENT}:
        return {"state": ai.phase.value, "why": _why(ai)}
    if ai.phase is AiPhase.STOPPED:
        return {"state": ai.phase.value}
    if ai.result is None:
        return None
    unread, warnings = unread_views(ai.result, images), list(ai.result.warnings)
    return {"state": "read in part", "unread": unread, "warnings": warnings} if unread or warnings else None


def _why(ai: AiView) -> str:
    """Why there is no answer, as the engines say it: in English, whatever the language of the screen."""
    return " ".join(run.why for run in ai.runs if run.why) or ai.failure or ai.absent or ""


def _states_of_several(ai: AiView, images: Sequence[ViewImage]) -> Mapping[str, object] | None:
    if ai.is_open:  # the state of the whole is logged once every model has answered or will not
        return None
    models: dict[str, dict[str, object]] = {}
    for run in ai.runs:
        if run.result is None:
            models[run.model_id] = {"state": run.state.value, "why": run.why}
            continue
        unread, warnings = unread_views(run.result, images), list(run.result.warnings)
        if unread or warnings:
            models[run.model_id] = {"state": "read in part", "unread": unread, "warnings": warnings}
    state = "read in part" if ai.phase is AiPhase.READY else ai.phase.value
    return {"state": state, "models": models} if models else None
