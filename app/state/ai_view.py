"""Where the AI stands beside a case, and what its model's card says about its numbers.

Running, failing, not being available and having found nothing are different states here, so that no screen can take one
for another. Asking the AI belongs to ``app.control``; words about single findings to ``app.state.ai_findings``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from app.state.ai_told import told
from app.state.priors import prior_number
from inference.exam.types import ViewImage
from inference.model_card import ModelCard, OperatingPoint
from inference.results import ExamResult
from resources.translation import translate
from resources.vocabulary import FindingType, ImageKind

PRIOR, NOT_SUCH = "priors are not read", "the model does not read such images"
_FINDING_LEVELS = frozenset({"box", "finding"})  # on the score that a finding is there
_LESION_LEVEL = "lesion"  # on the malignancy of a finding
_THRESHOLD_MATCH = 0.005  # a threshold as near as this to a named point is that point: two decimals are shown


def _tr(text: str) -> str:
    return translate("ai_view", text)


class AiPhase(StrEnum):
    """What the AI is doing for the case on screen; each has its own look."""

    IDLE = "idle"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    ABSENT = "absent"
    STOPPED = "stopped"


class RunState(StrEnum):
    """Where one of several models stands with the exam on screen."""

    WAITING = "waiting"  # another model is at work first
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    ABSENT = "absent"  # it cannot run here, or does not read such images
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRun:
    """One model that is asked about the exam; ``result`` is there when it is ready, ``why`` when it will not be."""

    model_id: str
    version: str = ""
    state: RunState = RunState.WAITING
    fraction: float = 0.0
    why: str = ""
    finds: tuple[FindingType, ...] = ()  # types that it tells apart; empty = none, or not known
    result: ExamResult | None = field(default=None, compare=False)

    @property
    def is_open(self) -> bool:
        """True while its answer is still to come."""
        return self.state in {RunState.WAITING, RunState.RUNNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWords:
    """What one model's card says for the screen."""

    name: str = ""
    points: tuple[OperatingPoint, ...] = ()  # of findings, by rising threshold
    malignancy_points: tuple[OperatingPoint, ...] = ()  # of a finding's malignancy, by rising threshold
    finding_meaning: str = ""
    malignancy_meaning: str = ""

    @property
    def start(self) -> float | None:
        """The threshold to begin with where no protocol sets one; None = the card names none."""
        named = {point.name.casefold(): point.threshold for point in self.points}
        first = self.points[0].threshold if self.points else None
        return named.get("balanced", named.get("youden", first))

    def point_at(self, threshold: float) -> OperatingPoint | None:
        """The named point that a threshold stands for; None between the points."""
        return next((p for p in self.points if abs(p.threshold - threshold) < _THRESHOLD_MATCH), None)


def point_title(name: str) -> str:
    """Name of an operating point within a sentence; a model's own names stay as they are."""
    return {
        "high sensitivity": _tr("high sensitivity"),
        "balanced": _tr("balanced"),
        "high specificity": _tr("high specificity"),
        "boxes": _tr("few false findings"),
        "youden": _tr("highest Youden index"),
    }.get(name.casefold(), name)


def no_words(_model_id: str) -> ModelWords:
    """What is said of a model whose card is not known."""
    return ModelWords()


def words_of_card(card: ModelCard) -> ModelWords:
    """Take from a card what the screen says of single findings: named thresholds, and what the numbers mean."""
    points = [point for point in card.operating_points if point.level in _FINDING_LEVELS]
    lesion = [point for point in card.operating_points if point.level == _LESION_LEVEL]
    meanings = {output.name: output.meaning for output in card.outputs if output.unit.startswith("0")}
    return ModelWords(
        name=card.name,
        points=tuple(sorted(points, key=lambda point: point.threshold)),
        malignancy_points=tuple(sorted(lesion, key=lambda point: point.threshold)),
        finding_meaning=next((meanings[n] for n in ("finding", "lesion", "box") if n in meanings), ""),
        malignancy_meaning=meanings.get("malignancy", ""),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AiView:
    """State of the AI beside a case: exactly one of result, working, failure, absent or stopped is set, or none yet.

    ``others`` are further models' results on the same exam; ``cards`` what each model's card says, by model id.
    """

    result: ExamResult | None = None
    others: tuple[ExamResult, ...] = ()
    working: str | None = None
    fraction: float = 0.0
    failure: str | None = None  # it was tried and went wrong: trying again may help
    absent: str | None = None  # no model here, or not for such images: trying again does not help
    stopped: bool = False  # the reader stopped it
    cards: Mapping[str, ModelWords] = field(default_factory=dict)
    problems: tuple[str, ...] = ()  # why a model beside those of the results did not answer
    runs: tuple[ModelRun, ...] = ()  # every model that was asked, in that order

    @property
    def side_by_side(self) -> bool:
        """True where more than one model was asked, so that each answer must name its model."""
        return len(self.runs) > 1 or len(self.results) > 1

    @property
    def is_open(self) -> bool:
        """True while a model is still to answer, whatever others have said."""
        return self.working is not None or any(run.is_open for run in self.runs)

    @property
    def results(self) -> tuple[ExamResult, ...]:
        """One result a model, the first model's first; empty while there is none."""
        return () if self.result is None else (self.result, *self.others)

    @property
    def phase(self) -> AiPhase:
        """Which of the states holds."""
        if self.result is not None:
            return AiPhase.READY
        if self.working is not None:
            return AiPhase.RUNNING
        if self.failure is not None:
            return AiPhase.FAILED
        if self.absent is not None:
            return AiPhase.ABSENT
        return AiPhase.STOPPED if self.stopped else AiPhase.IDLE

    def card_of(self, result: ExamResult) -> ModelWords:
        """What the card of a result's model says; empty words where there is no card."""
        return self.cards.get(result.model_id, ModelWords())


def why_words(why: str) -> str:
    """A reason of ``unread_views`` in the language of the screen."""
    return {PRIOR: _tr("priors are not read"), NOT_SUCH: _tr("the model does not read such images")}.get(
        why
    ) or told(why)


def unread_views(result: ExamResult, images: Sequence[ViewImage]) -> dict[str, str]:
    """Say which images of the exam, priors included, the model did not read, and why.

    Returns
    -------
    Reason by ``ViewImage.key``, in English as the log keeps it (``why_words`` for the screen). A model that scores views has not read those without a score, map or finding, even
    where it does not say so. High-energy images, which are not read by anybody, are left out.
    """
    unread: dict[str, str] = {}
    traces = {*result.view_scores, *result.nipples, *(h.image_key for h in result.heatmaps)}
    traces |= {one.image_key for one in result.detections}
    for image in images:
        if image.kind is ImageKind.CESM_HIGH:
            continue
        if image.key in result.unread:
            unread[image.key] = result.unread[image.key]
        elif prior_number(image):
            unread[image.key] = PRIOR
        elif result.view_scores and image.key not in traces:
            unread[image.key] = NOT_SUCH
    return unread
