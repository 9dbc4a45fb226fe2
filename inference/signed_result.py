"""The head of every model's answer: who says it of which exam, with which weights, on what, in how long.

What is said is the engines'. No torch.
"""

from __future__ import annotations

from inference.exam.types import Exam
from inference.model_card import ModelCard
from inference.results import ExamResult


def signed_result(card: ModelCard, exam: Exam, *, device: str, seconds: float) -> ExamResult:
    """Return the answer of a model on an exam with nothing said yet; ``dataclasses.replace`` fills it in.

    Parameters
    ----------
    device
        Words for it, e.g. "cpu" or "NVIDIA H100".
    seconds
        From the exam's arrival to its answer.
    """
    return ExamResult(
        exam_digest=exam.digest,
        model_id=card.model_id,
        model_version=card.version,
        weights_digest=card.weights_sha256,
        preprocessing=card.preprocessing,
        device=device,
        seconds=seconds,
        exam_score=None,
        score_meaning=card.score_meaning,
    )
