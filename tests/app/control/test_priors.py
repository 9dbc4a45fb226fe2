"""Priors in a study: only those the protocol names, with the case from its first moment, frozen like it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest
import yaml

from app.control.reading import ReadingController
from app.control.tasks import InlineTaskRunner
from app.state.hanging import load_protocols
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Exam, ExamError, ExamSummary
from reader_study.accounts import hash_password
from reader_study.clock import ManualClock
from reader_study.domain.study import AiPolicy, Arm, Case, PriorExam, Reader, Scale, Study
from reader_study.domain.study_json import protocol_hash, study_from_text, study_to_text
from reader_study.ports import MemoryEventStore
from reader_study.protocol_file import read_protocol
from reader_study.randomization import allocate
from reader_study.sessions import Sessions


class Source:
    """A current exam and an earlier one of the same woman."""

    def __init__(self) -> None:
        days = {"now": date(2024, 11, 10), "then": date(2022, 12, 1)}
        self.exams = {
            name: replace(
                phantom_exam(PhantomSpec(seed=seed, pixel_mm=0.8)).exam,
                exam_id=name,
                patient_key="w",
                study_date=days[name],
            )
            for seed, name in ((41, "now"), (42, "then"))
        }

    def list(self) -> tuple[ExamSummary, ...]:
        return ()

    def load(self, exam_id: str) -> Exam:
        if exam_id not in self.exams:
            raise ExamError(f"exam {exam_id}: expected one of the listed exams, found none.")
        return self.exams[exam_id]


class Screen:
    """Keeps the case and the sentences; the rest does not matter here."""

    def __init__(self) -> None:
        self.case = None
        self.blank = ""

    def show_case(self, case):  # type: ignore[no-untyped-def]
        self.case = case

    def show_loading(self, text: str) -> None:
        self.case, self.blank = None, text

    def show_retry(self, sentence: str, go_on: object) -> None:
        self.case, self.blank = None, sentence

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        return lambda *_args: None


@pytest.fixture(scope="module")
def source() -> Source:
    return Source()


def _study(source: Source, priors: tuple[PriorExam, ...]) -> Study:
    arm = Arm(arm_id="a", title="A", ai=AiPolicy(shown=False))
    case = Case(case_id="C", exam_id="now", exam_digest=source.exams["now"].digest, priors=priors)
    reader = Reader(reader_id="r", name="R", password_hash=hash_password("long enough"))
    plans = allocate(study_id="S", seed=1, cases=(case,), readers=(reader,), arms=(arm,), design="single")
    return Study(
        study_id="S",
        title="S",
        protocol_version="1",
        seed=1,
        arms=(arm,),
        readers=(reader,),
        cases=(case,),
        scale=Scale(),
        plans=plans,
    )


def _read(source: Source, study: Study) -> Screen:
    clock, screen = ManualClock(), Screen()
    controller = ReadingController(
        study=study,
        sessions=Sessions(study=study, store=MemoryEventStore(), clock=clock),
        source=source,
        engine=FakeEngine(),
        runner=InlineTaskRunner(),
        clock=clock,
        protocols=load_protocols(),
        environment={},
        screen=screen,
    )
    controller.start(study.plans[0].session_id, "r")
    return screen


def test_mg41_a_study_shows_no_prior_unless_its_protocol_names_it(source: Source) -> None:
    screen = _read(source, _study(source, ()))
    assert screen.case is not None
    assert screen.case.priors == ()
    assert screen.case.hanging.protocol.protocol_id == "four_view"


def test_mg41_named_priors_are_there_when_the_case_first_hangs(source: Source) -> None:
    prior = PriorExam(exam_id="then", exam_digest=source.exams["then"].digest)
    screen = _read(source, _study(source, (prior,)))
    assert screen.case is not None
    assert screen.case.hanging.protocol.protocol_id == "four_view_priors"
    keys = {image.key for image in screen.case.priors[0].images}
    assert keys == {"R-CC@P1", "L-CC@P1", "R-MLO@P1", "L-MLO@P1"}
    assert keys <= set(screen.case.pyramids)


@pytest.mark.parametrize(
    ("prior", "words"),
    [
        (PriorExam(exam_id="then", exam_digest="0" * 64), "changed since the study was frozen"),
        (PriorExam(exam_id="lost", exam_digest=""), "could not be loaded"),
    ],
)
def test_mg41_a_changed_or_missing_prior_stops_the_case(source: Source, prior: PriorExam, words: str) -> None:
    screen = _read(source, _study(source, (prior,)))
    assert screen.case is None
    assert words in screen.blank


def test_priors_are_part_of_the_protocol_hash_and_studies_without_keep_theirs(source: Source) -> None:
    plain = _study(source, ())
    with_prior = _study(source, (PriorExam(exam_id="then", exam_digest="1"),))
    assert "priors" not in json.loads(study_to_text(plain))["cases"][0]
    assert protocol_hash(plain) != protocol_hash(with_prior)
    assert study_from_text(study_to_text(with_prior)).cases == with_prior.cases
    assert study_from_text(study_to_text(plain)).cases == plain.cases


def test_a_protocol_file_names_priors_of_a_case(tmp_path) -> None:  # type: ignore[no-untyped-def]
    content = {
        "study_id": "S",
        "title": "S",
        "protocol_version": "1",
        "seed": 1,
        "design": "single",
        "arms": [{"arm_id": "a", "title": "A", "ai": {"shown": False}}],
        "readers": [{"reader_id": "r", "name": "R"}],
        "cases": [
            {
                "case_id": "C",
                "exam_id": "now",
                "exam_digest": "d",
                "priors": [{"exam_id": "then", "exam_digest": "e"}],
            }
        ],
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert read_protocol(path).cases[0].priors == (PriorExam(exam_id="then", exam_digest="e"),)
