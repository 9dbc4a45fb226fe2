"""Readers with known skill and speed, for end-to-end tests, pilots and the demo without a person.

A simulated reader turns truth (and AI scores, where the arm shows them) into what a person would hand in.
``read_session`` drives ``sessions`` with it on a ``ManualClock``. No pixels; not used by the screen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reader_study.case_steps import Position, Stage
from reader_study.clock import ManualClock
from reader_study.domain.assessment import Assessment, BreastAssessment, Finding
from reader_study.domain.conduct import CallOf
from reader_study.domain.study import Scale
from reader_study.domain.truth import TrueLesion, Truth
from reader_study.sessions import Sessions
from resources.vocabulary import Density, FindingType, Laterality, Pathology

# Lowest probability of malignancy, %, of each category; drawn apart from BI-RADS so that all occur.
_CUTS: tuple[tuple[int, str], ...] = (
    (90, "5"),
    (75, "4C"),
    (60, "4B"),
    (45, "4A"),
    (30, "3"),
    (15, "2"),
    (0, "1"),
)
_RECALL_FROM = 45


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFrame:
    """One image as the reader sees it: key (e.g. "R-CC"), source and size in stored-file pixels."""

    image_key: str
    source_id: str
    rows: int
    cols: int
    spacing_mm: tuple[float, float] | None = None  # (row, col) distance of pixels; None = not known

    @property
    def laterality(self) -> Laterality:
        return Laterality(self.image_key.split("-", 1)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedRead:
    """What one reader hands in for one case, and how long it took from the first paint, s."""

    assessment: Assessment
    findings: tuple[Finding, ...]
    seconds: float


class SimulatedReader:
    """A reader of a given skill; draws from its own generator, so the same seed reads the same way.

    Notes
    -----
    Evidence per breast is Gaussian with unit variance, ``skill`` apart between malignant and other breasts
    (the equal-variance binormal model: unaided AUC = Phi(skill / sqrt(2))). With AI the logit of its score is
    added with weight ``trust``. Reading time is log-normal around ``median_s``.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        *,
        skill: float = 1.6,
        trust: float = 0.5,
        median_s: float = 60.0,
        jitter: float = 0.01,
    ) -> None:
        self._rng = rng
        self._skill = skill
        self._trust = trust
        self._median_s = median_s
        self._jitter = jitter  # standard deviation of a mark, as a share of the image's longer side

    def read_case(
        self,
        *,
        images: Sequence[ImageFrame],
        scale: Scale,
        truth: Truth | None = None,
        ai: Mapping[Laterality, float] | None = None,
    ) -> SimulatedRead:
        """Read one case.

        Parameters
        ----------
        images : sequence of ImageFrame
            What is on screen; both breasts are assessed where both are shown.
        scale : Scale
            The protocol's categories.
        truth : Truth, optional
            What is really there; without it the reader guesses.
        ai : mapping of Laterality to float, optional
            The AI's score per breast in [0, 1]; None in an arm without AI.

        Returns
        -------
        SimulatedRead
            Complete and consistent by the scale.
        """
        breasts: list[BreastAssessment] = []
        findings: list[Finding] = []
        for side in sorted({frame.laterality for frame in images}, reverse=True):
            suspicion = self._suspicion(side, truth, None if ai is None else ai.get(side))
            birads = self._birads(suspicion, scale)
            breasts.append(BreastAssessment(laterality=side, birads=birads, suspicion=suspicion))
            if suspicion >= _CUTS[4][0]:
                mine = [frame for frame in images if frame.laterality is side]
                findings.extend(self._marks(mine, truth, suspicion, birads, start=len(findings)))
        recall = any((breast.suspicion or 0) >= _RECALL_FROM for breast in breasts)
        density = tuple(Density)[int(self._rng.integers(4))]
        worst = max((breast.suspicion or 0 for breast in breasts), default=0)
        call = worst >= 50 if scale.call is CallOf.CASE else None
        if scale.call is CallOf.LESION:
            findings = [replace(finding, call=finding.suspicion >= 50) for finding in findings]
        assessment = Assessment(breasts=tuple(breasts), density=density, recall=recall, call=call)
        seconds = float(self._median_s * math.exp(0.35 * self._rng.standard_normal()))
        return SimulatedRead(assessment=assessment, findings=tuple(findings), seconds=seconds)

    def _suspicion(self, side: Laterality, truth: Truth | None, score: float | None) -> int:
        malignant = truth is not None and truth.breasts.get(side) is Pathology.MALIGNANT
        evidence = self._skill * (1.0 if malignant else 0.0) + float(self._rng.standard_normal())
        logit = 1.2 * (evidence - self._skill / 2.0) - 0.8
        if score is not None:
            clipped = min(max(score, 0.01), 0.99)
            logit += self._trust * math.log(clipped / (1.0 - clipped))
        return min(100, max(0, round(100.0 / (1.0 + math.exp(-logit)))))

    def _birads(self, suspicion: int, scale: Scale) -> str:
        wanted = next(index for index, (low, _) in enumerate(_CUTS) if suspicion >= low)
        # A scale with fewer categories: the nearest lower one it has, else the lowest.
        for _, category in _CUTS[wanted:]:
            if category in scale.birads:
                return category
        return scale.birads[0]

    def _marks(
        self, images: Sequence[ImageFrame], truth: Truth | None, suspicion: int, birads: str, *, start: int
    ) -> list[Finding]:
        marks: list[Finding] = []
        for frame in images:
            lesion = _lesion(truth, frame.image_key)
            if lesion is None:
                row, col = self._rng.uniform(0.2, 0.8, 2) * (frame.rows, frame.cols)
            else:
                spread = self._jitter * max(frame.rows, frame.cols)
                row, col = self._rng.normal((lesion.row, lesion.col), spread)
            row, col = float(min(max(row, 0.0), frame.rows - 1)), float(min(max(col, 0.0), frame.cols - 1))
            marks.append(
                Finding(
                    finding_id=f"f{start + len(marks) + 1}",
                    image_key=frame.image_key,
                    source_id=frame.source_id,
                    row=row,
                    col=col,
                    row_mm=None if frame.spacing_mm is None else row * frame.spacing_mm[0],
                    col_mm=None if frame.spacing_mm is None else col * frame.spacing_mm[1],
                    finding=FindingType.MASS if lesion is None else lesion.finding,
                    suspicion=suspicion,
                    birads=birads,
                )
            )
        return marks


def _lesion(truth: Truth | None, image_key: str) -> TrueLesion | None:
    lesions = () if truth is None else truth.lesions
    return next((one for one in lesions if one.image_key == image_key), None)


def read_session(
    sessions: Sessions,
    session_id: str,
    reader_id: str,
    *,
    reader: SimulatedReader,
    clock: ManualClock,
    scale: Scale,
    images: Callable[[Position], Sequence[ImageFrame]],
    truth: Mapping[str, Truth],
    ai: Callable[[Position], Mapping[Laterality, float]],
    limit: int | None = None,
    locked: Callable[[str], None] | None = None,
) -> int:
    """Read a session from where it stands to its end, or ``limit`` cases of it; returns how many were read.

    The AI is asked, recorded and revealed in arms that show it, and not asked at all in the others. ``locked`` is told
    each case when its answer is final: what the screen does between two cases, e.g. feedback, comes there.
    """
    position = sessions.open(session_id, reader_id, {"reader": "simulated"})
    sessions.acknowledge_instruction(session_id)
    read = 0
    while position.case_id is not None and (limit is None or read < limit):
        if position.stage is not Stage.FINAL:
            sessions.open_case(session_id)
            clock.advance(0.4)
            sessions.frame_painted(session_id, clock.monotonic_ns())
        scores = _shown_scores(sessions, position, ai)
        done = reader.read_case(
            images=images(position), scale=scale, truth=truth.get(position.case_id), ai=scores
        )
        clock.advance(done.seconds)
        for known in position.reading.findings:  # a final answer marks anew
            sessions.remove_mark(session_id, known.finding_id)
        for finding in done.findings:
            sessions.add_mark(session_id, finding)
        read += position.stage is not Stage.PROVISIONAL
        final, case_id = position.stage is not Stage.PROVISIONAL, position.case_id
        position = sessions.submit(session_id, done.assessment, confirmed=True)
        if locked is not None and final:
            locked(case_id)
    sessions.close(session_id)
    return read


def _shown_scores(
    sessions: Sessions, position: Position, ai: Callable[[Position], Mapping[Laterality, float]]
) -> Mapping[Laterality, float] | None:
    if not position.arm.ai.shown:
        return None
    scores = ai(position)
    named = {f"breast:{side.value}": score for side, score in scores.items()}
    sessions.ai_result_recorded(position.session_id, named, {"model_id": "simulated"}, ())
    if position.arm.ai.allows("score"):
        sessions.ai_revealed(position.session_id, "score", named)
    return scores
