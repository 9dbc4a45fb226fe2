"""How the ten simulated readers of the crossover demo read: practice, one idle spell, one killed program, signatures.

Readers go through ``Sessions`` as the windows do, on a clock that is moved by hand. No pixels, no Qt.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from app.crossover_cases import CaseBook
from reader_study.case_steps import Position
from reader_study.clock import ManualClock, from_utc_text
from reader_study.domain.assessment import Assessment, BreastAssessment, Finding
from reader_study.domain.study import Study
from reader_study.feedback import show_feedback
from reader_study.ports import EventStore
from reader_study.randomization import generator
from reader_study.sessions import Sessions
from reader_study.simulation import ImageFrame, SimulatedReader, read_session
from reader_study.store.database import open_database
from resources.files import UserFacingError
from resources.vocabulary import FindingType, Laterality, Pathology

IDLE_S = 300.0  # how long the idle reader is away from the screen
IDLE_AT = 20  # in this case of her order, from 1
KILLED_AFTER = 5  # cases of the sitting whose program is killed
AWAY_S = 7_200.0  # until the killed reader is back
_START_S = 60.0  # longest wait for the program that is to be killed
AI_SEPARATION = 1.6  # of the simulated scores, in standard deviations: area under the curve 0.87


class ReaderProgramError(UserFacingError):
    """The second program of the demo did not do what it was started for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """What the killed program had confirmed, and what the next one found: each must be equal."""

    exit_code: int
    case_id: str | None
    found_case_id: str | None
    answers_before: int
    answers_found: int
    mark_kept: bool
    form_kept: bool


@dataclass(kw_only=True)
class Reading:
    """One study being read; ``clock`` is moved on by everything that is done."""

    study: Study
    store: EventStore
    database: Path
    anchor: Path
    clock: ManualClock
    book: CaseBook

    def sessions(self) -> Sessions:
        """A program start: nothing is remembered from the one before."""
        return Sessions(study=self.study, store=self.store, clock=self.clock, anchor=self.anchor)

    def read(
        self, reader_id: str, period: int, *, idle: bool = False, sessions: Sessions | None = None
    ) -> None:
        """Read one session to its end and sign it; practice cases get their feedback."""
        plan = self.study.plans_of(reader_id)[period]
        sessions = sessions or self.sessions()
        study, book, clock = self.study, self.book, self.clock
        idle_case = plan.entries[IDLE_AT - 1].case_id if idle else None

        def images(position: Position) -> tuple[ImageFrame, ...]:
            if idle_case is not None and position.case_id == idle_case:
                clock.advance(IDLE_S)
                sessions.idle_detected(plan.session_id, IDLE_S)
            return book.frames[str(position.case_id)]

        def locked(case_id: str) -> None:
            if study.case(case_id).practice:
                show_feedback(sessions, study, plan.session_id, book.truth[case_id])

        read_session(
            sessions, plan.session_id, reader_id, reader=simulated(study, reader_id, period), clock=clock,
            scale=study.scale, images=images, truth=book.truth, ai=lambda position: ai_scores(study, book, position),
            locked=locked,
        )  # fmt: skip
        name = next(one.name for one in study.readers if one.reader_id == reader_id)
        sessions.sign(plan.session_id, signed_by=reader_id, name=name, meaning="These are my readings.")
        sessions.shutdown()

    def read_interrupted(self, reader_id: str, period: int) -> Interrupted:
        """Let another program read, kill it in the middle of a case, take the session up and read it to its end."""
        plan = self.study.plans_of(reader_id)[period]
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe(duplex=False)
        program = context.Process(
            target=_read_until_killed,
            args=(there, self.database, self.anchor, self.study.study_id, plan.session_id, reader_id, period,
                  self.clock.utc_now(), self.book),
        )  # fmt: skip
        program.start()
        there.close()
        if not here.poll(_START_S):
            program.kill()
            raise ReaderProgramError(
                f"Second program: expected a case in reading within {_START_S:.0f} s, found none; try again."
            )
        case_id, utc = here.recv()
        program.kill()
        program.join()
        gone = (from_utc_text(utc) - from_utc_text(self.clock.utc_now())).total_seconds()
        self.clock.advance(gone + AWAY_S)
        self.clock.restart(f"after-{program.exitcode}")
        sessions = self.sessions()
        found = sessions.open(plan.session_id, reader_id, {"reader": "simulated"})
        kept = Interrupted(
            exit_code=program.exitcode or 0,
            case_id=case_id,
            found_case_id=found.case_id,
            answers_before=KILLED_AFTER,
            answers_found=len(sessions.locked_answers(plan.session_id)),
            mark_kept=[mark.finding_id for mark in found.reading.findings] == [_half_mark(self.book, case_id).finding_id],
            form_kept=found.reading.draft == _HALF_FORM,
        )  # fmt: skip
        self.read(reader_id, period, sessions=sessions)
        return kept


def simulated(study: Study, reader_id: str, period: int) -> SimulatedReader:
    """A reader of the protocol: who has read for longer sees more and reads faster."""
    years = next(one.experience_years or 0 for one in study.readers if one.reader_id == reader_id)
    return SimulatedReader(
        generator(study.seed, reader_id, period, "simulated"),
        skill=1.0 + 0.05 * years,
        trust=0.6,
        median_s=70.0 - 1.5 * years,
    )


def ai_scores(study: Study, book: CaseBook, position: Position) -> Mapping[Laterality, float]:
    """Simulated scores, the same for every reader: logistic of a normal deviate, ``AI_SEPARATION`` apart."""
    rng = generator(study.seed, str(position.case_id), "simulated AI")
    breasts = book.truth[str(position.case_id)].breasts
    return {
        side: float(1 / (1 + np.exp(-2.0 * (deviate + AI_SEPARATION * ((found is Pathology.MALIGNANT) - 0.5)))))
        for (side, found), deviate in zip(sorted(breasts.items()), rng.standard_normal(len(breasts)), strict=True)
    }  # fmt: skip


_HALF_FORM = Assessment(
    breasts=(BreastAssessment(laterality=Laterality.RIGHT, birads="2", suspicion=7),),
    density=None,
    recall=None,
)


def _half_mark(book: CaseBook, case_id: str) -> Finding:
    frame = book.frames[case_id][0]
    return Finding(
        finding_id="before-the-cut",
        image_key=frame.image_key,
        source_id=frame.source_id,
        row=40.0,
        col=30.0,
        row_mm=None,
        col_mm=None,
        finding=FindingType.MASS,
        suspicion=60,
        birads="4B",
    )


def _read_until_killed(
    tell: Connection,
    database: Path,
    anchor: Path,
    study_id: str,
    session_id: str,
    reader_id: str,
    period: int,
    utc: str,
    book: CaseBook,
) -> None:
    """The program that is killed: some cases, then half a case with a mark and a half-filled form."""
    opened = open_database(database)
    study, clock = opened.study(study_id), ManualClock(utc, boot_id="killed")
    sessions = Sessions(study=study, store=opened.events, clock=clock, anchor=anchor)
    frames: Callable[[Position], tuple[ImageFrame, ...]] = lambda position: book.frames[str(position.case_id)]  # noqa: E731
    read_session(
        sessions, session_id, reader_id, reader=simulated(study, reader_id, period), clock=clock, scale=study.scale,
        images=frames, truth=book.truth, ai=lambda position: ai_scores(study, book, position), limit=KILLED_AFTER,
    )  # fmt: skip
    clock.advance(60.0)
    case_id = sessions.open(session_id, reader_id, {"reader": "simulated"}).case_id
    sessions.open_case(session_id)
    clock.advance(0.4)
    sessions.frame_painted(session_id, clock.monotonic_ns())
    clock.advance(25.0)
    sessions.add_mark(session_id, _half_mark(book, str(case_id)))
    sessions.save_draft(session_id, _HALF_FORM)
    tell.send((case_id, clock.utc_now()))
    threading.Event().wait()  # until it is killed
