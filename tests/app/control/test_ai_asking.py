"""Asking the AI: each way it can end is a state of its own, in the log of a study as on the screen (MG-30, RS-C5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.control.ai_asking import AiAsking, always
from app.control.reading import ReadingController
from app.control.tasks import Done, Failed, InlineTaskRunner, Report, Work, _ignore_progress
from app.state.ai_view import AiPhase, AiView, RunState
from app.state.hanging import load_protocols
from app.state.model_shelf import AskedModel, ListedModel, Shelf
from inference.engine import AiUnavailable, Cancelled, FakeEngine, InferenceEngine, Progress
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Exam, ExamSummary, InferenceError
from inference.results import ExamResult
from inference.worker import EngineSpec, WorkerEngine
from reader_study.accounts import hash_password
from reader_study.clock import ManualClock
from reader_study.domain.events import EventKind
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.domain.study_json import study_from_text, study_to_text
from reader_study.ports import MemoryEventStore
from reader_study.randomization import allocate
from reader_study.sessions import Sessions
from reader_study.store.database import open_database

EXAM = phantom_exam(PhantomSpec(seed=11, pixel_mm=0.9)).exam


class Failing:
    """Raises what it is given, then answers."""

    def __init__(self, *errors: Exception, result: Callable[[ExamResult], ExamResult] = lambda r: r) -> None:
        self._errors, self._result = list(errors), result

    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
        if self._errors:
            raise self._errors.pop(0)
        return self._result(FakeEngine().analyse(exam, progress, cancelled))


class NeverRuns(InlineTaskRunner):
    """Takes work and does none: the AI stays at work until it is stopped."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    def submit(
        self, key: str, work: Work, done: Done, failed: Failed, progress: Report = _ignore_progress
    ) -> None:
        progress(0.3, "running the network")

    def cancel(self, key: str) -> None:
        self.cancelled.append(key)


def ask(*engines: InferenceEngine) -> tuple[list[AiView], AiAsking]:
    seen: list[AiView] = []
    asking = AiAsking(asked=always(engines), runner=InlineTaskRunner(), show=seen.append)
    asking.ask(EXAM)
    return seen, asking


def test_mg30_a_failure_is_said_and_may_be_tried_again() -> None:
    seen, asking = ask(Failing(InferenceError("The disk is full.")))
    assert seen[-1].phase is AiPhase.FAILED
    assert seen[-1].failure == "AI not available, the analysis failed: The disk is full."
    asking.retry()
    assert seen[-1].phase is AiPhase.READY


def test_mg30_no_model_for_these_images_is_not_a_failure() -> None:
    seen, _ = ask(Failing(AiUnavailable("Model x reads no recombined images.")))
    assert seen[-1].phase is AiPhase.ABSENT
    assert seen[-1].failure is None
    assert "Model x reads no recombined images." in str(seen[-1].absent)


def test_a_bug_in_a_model_is_a_failure_and_ends_nothing() -> None:
    seen, _ = ask(Failing(ZeroDivisionError("division by zero")))
    assert seen[-1].phase is AiPhase.FAILED


def test_the_reader_stops_it_and_that_is_its_own_state() -> None:
    seen: list[AiView] = []
    runner = NeverRuns()
    asking = AiAsking(asked=always((FakeEngine(),)), runner=runner, show=seen.append)
    asking.ask(EXAM)
    assert seen[-1].phase is AiPhase.RUNNING
    assert seen[-1].fraction == pytest.approx(0.3)
    asking.stop()
    assert seen[-1].phase is AiPhase.STOPPED
    assert runner.cancelled == ["ai"]


def test_after_the_case_is_left_there_is_nothing_to_try_again() -> None:
    seen, asking = ask(FakeEngine())
    count = len(seen)
    asking.drop()
    asking.retry()
    asking.stop()
    assert len(seen) == count


def test_two_models_answer_side_by_side_and_one_that_fails_is_named() -> None:
    named = Failing(result=lambda one: replace(one, model_id="second"))
    seen, _ = ask(FakeEngine(), named)
    assert [one.model_id for one in seen[-1].results] == ["fake", "second"]
    seen, _ = ask(Failing(InferenceError("The first model is gone.")), named)
    assert [one.model_id for one in seen[-1].results] == ["second"]
    assert seen[-1].problems == ("The first model is gone.",)


def several(*engines: InferenceEngine) -> tuple[list[AiView], AiAsking]:
    """Ask engines under the names one, two, three."""
    names = ("one", "two", "three")
    models = tuple(
        AskedModel(engine=engine, model_id=name) for name, engine in zip(names, engines, strict=False)
    )
    seen: list[AiView] = []
    asking = AiAsking(asked=lambda: models, runner=InlineTaskRunner(), show=seen.append)
    asking.ask(EXAM)
    return seen, asking


def named(name: str, *errors: Exception) -> Failing:
    return Failing(*errors, result=lambda one: replace(one, model_id=name))


def test_each_of_several_models_has_its_own_state_and_a_reason() -> None:
    gone, unfit = InferenceError("The process is gone."), AiUnavailable("no contrast pair")
    seen, asking = several(named("one", gone), named("two"), named("three", unfit))
    last = seen[-1]
    assert [(run.model_id, run.state) for run in last.runs] == [
        ("one", RunState.FAILED),
        ("two", RunState.READY),
        ("three", RunState.ABSENT),
    ]
    assert [run.why for run in last.runs] == ["The process is gone.", "", "no contrast pair"]
    assert last.phase is AiPhase.READY
    assert not last.is_open
    asking.retry()  # what was answered stays, what failed is asked anew
    assert [run.state for run in seen[-1].runs] == [RunState.READY, RunState.READY, RunState.READY]
    assert seen[-1].results[1] is last.results[0]


def test_an_answer_shows_while_the_next_model_is_still_at_work() -> None:
    seen, _ = several(named("one"), named("two"))
    first = next(view for view in seen if view.results)
    assert [run.state for run in first.runs] == [RunState.READY, RunState.WAITING]
    assert first.is_open
    working = next(view for view in seen if view.results and view.runs[1].state is RunState.RUNNING)
    assert working.result is first.result


def test_where_no_model_answers_a_failure_is_said_before_what_does_not_fit() -> None:
    gone, unfit = InferenceError("The process is gone."), AiUnavailable("no contrast pair")
    seen, _ = several(named("one", unfit), named("two", gone))
    assert seen[-1].phase is AiPhase.FAILED
    seen, _ = several(named("one", unfit), named("two", unfit))
    assert seen[-1].phase is AiPhase.ABSENT


def test_an_answer_that_the_log_refuses_is_not_shown_and_not_taken_for_none() -> None:
    seen: list[AiView] = []
    models = always((FakeEngine(),))
    asking = AiAsking(asked=models, runner=InlineTaskRunner(), show=seen.append, record=lambda _r: False)
    asking.ask(EXAM)
    assert seen[-1].phase is AiPhase.FAILED
    assert "log" in str(seen[-1].failure)


def test_a_worker_process_says_not_available_where_its_model_cannot_be_read(tmp_path) -> None:
    engine = WorkerEngine(EngineSpec(model_folder=tmp_path / "nothing"))
    try:
        with pytest.raises(AiUnavailable, match=r"card\.json"):
            engine.analyse(EXAM, lambda _f, _t: None, lambda: False)
    finally:
        engine.close()


class _Source:
    def list(self) -> tuple[ExamSummary, ...]:
        return ()

    def load(self, exam_id: str) -> Exam:
        return EXAM


class _Screen:
    """Takes whatever it is told and keeps the AI's states."""

    def __init__(self) -> None:
        self.ai: list[AiView] = []

    def show_ai(self, ai: AiView) -> None:
        self.ai.append(ai)

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_a, **_k: None


def read(
    engine: InferenceEngine, *, aided: bool = True
) -> tuple[ReadingController, MemoryEventStore, _Screen, str]:
    arm = Arm(arm_id="a", title="A", ai=AiPolicy(shown=aided))
    case = Case(case_id="C", exam_id="E", exam_digest=EXAM.digest)
    reader = Reader(reader_id="r", name="R", password_hash=hash_password("long enough"))
    plans = allocate(study_id="S", seed=1, cases=(case,), readers=(reader,), arms=(arm,), design="single")
    study = Study(
        study_id="S", title="S", protocol_version="1", seed=1, arms=(arm,), readers=(reader,), cases=(case,),
        scale=Scale(), plans=plans,
    )  # fmt: skip
    store, screen, clock = MemoryEventStore(), _Screen(), ManualClock()
    controller = ReadingController(
        study=study, sessions=Sessions(study=study, store=store, clock=clock), source=_Source(), engine=engine,
        runner=InlineTaskRunner(), clock=clock, protocols=load_protocols(), environment={}, screen=screen,
    )  # fmt: skip
    controller.start(plans[0].session_id, "r")
    return controller, store, screen, plans[0].session_id


class _Models:
    """A shelf with two models under the ids that a protocol names."""

    main = station_model = "one"
    named_here = False

    def look(self) -> Shelf:
        return Shelf()

    try_devices = look

    def listed(self) -> tuple[ListedModel, ...]:
        return ()

    def asked(self, named: Sequence[str] = ()) -> tuple[AskedModel, ...]:
        made = {
            "one": Failing(
                result=lambda r: replace(
                    r, model_id="one", model_version="1.2", weights_digest="a" * 64, device="cpu"
                )
            ),
            "two": Failing(
                result=lambda r: replace(
                    r, model_id="two", model_version="0.9", weights_digest="b" * 64, device="H100"
                )
            ),
            "three": Failing(AiUnavailable("no contrast pair")),
        }
        return tuple(AskedModel(engine=made[name], model_id=name) for name in named)

    def close(self) -> None:
        """Nothing runs."""


def test_rs_a5_every_model_that_the_protocol_names_is_in_the_log_with_version_digest_and_device(
    tmp_path: Path,
) -> None:
    arm = Arm(arm_id="a", title="A", ai=AiPolicy(shown=True, models=("two", "one", "three")))
    case = Case(case_id="C", exam_id="E", exam_digest=EXAM.digest)
    reader = Reader(reader_id="r", name="R", password_hash=hash_password("long enough"))
    plans = allocate(study_id="S", seed=1, cases=(case,), readers=(reader,), arms=(arm,), design="single")
    study = Study(
        study_id="S", title="S", protocol_version="1", seed=1, arms=(arm,), readers=(reader,), cases=(case,),
        scale=Scale(), plans=plans,
    )  # fmt: skip
    database = open_database(tmp_path / "s.sqlite")
    database.save_study(study)
    clock, screen = ManualClock(), _Screen()
    controller = ReadingController(
        study=database.study("S"), sessions=Sessions(study=study, store=database.events, clock=clock),
        source=_Source(), engine=FakeEngine(), runner=InlineTaskRunner(), clock=clock, protocols=load_protocols(),
        environment={}, screen=screen, models=_Models(),
    )  # fmt: skip
    session_id = plans[0].session_id
    controller.start(session_id, "r")
    controller.painted(0)
    database.close()

    again = open_database(tmp_path / "s.sqlite", create=False)
    events = again.events.read(session_id)
    said = [event.body for event in events if event.kind is EventKind.AI_RESULT_RECORDED]
    told = [
        (m["model_id"], m["version"], m["weights"], m["device"]) for m in (body["model"] for body in said)
    ]
    assert told == [("two", "0.9", "b" * 64, "H100"), ("one", "1.2", "a" * 64, "cpu")]
    assert all(body["case_id"] == "C" and body["scores"] and body["detections"] for body in said)
    (state,) = [e.body["shown"] for e in events if e.body.get("layer") == "state"]
    assert state["models"] == {"three": {"state": "absent", "why": "no contrast pair"}}
    assert again.study("S").arms[0].ai.models == ("two", "one", "three")
    again.close()


def test_a_protocol_that_names_no_model_has_the_text_and_hash_of_before() -> None:
    arm = Arm(arm_id="a", title="A", ai=AiPolicy(shown=True))
    case = Case(case_id="C", exam_id="E", exam_digest=EXAM.digest)
    study = Study(
        study_id="S", title="S", protocol_version="1", seed=1, arms=(arm,), readers=(), cases=(case,),
        scale=Scale(), plans=(),
    )  # fmt: skip
    assert "models" not in study_to_text(study)
    named = replace(study, arms=(replace(arm, ai=replace(arm.ai, models=("one",))),))
    assert study_from_text(study_to_text(named)).arms[0].ai.models == ("one",)
    with pytest.raises(ValueError, match="different ids"):
        replace(arm.ai, models=("one", "one"))


def states(store: MemoryEventStore, session_id: str) -> list[tuple[EventKind, object]]:
    return [
        (event.kind, event.body.get("shown", {}).get("state"))
        for event in store.read(session_id)
        if event.body.get("layer") == "state"
    ]


def test_rs_c5_a_failure_is_logged_once_painted_and_ends_when_the_ai_answers() -> None:
    controller, store, screen, session_id = read(Failing(InferenceError("The disk is full.")))
    assert states(store, session_id) == []  # nothing is on screen yet
    controller.painted(0)
    assert states(store, session_id) == [(EventKind.AI_REVEALED, "failed")]
    controller.retry_ai()
    assert screen.ai[-1].phase is AiPhase.READY
    assert [kind for kind, _ in states(store, session_id)] == [EventKind.AI_REVEALED, EventKind.AI_HIDDEN]


def test_rs_c5_a_view_that_was_not_read_is_in_the_log() -> None:
    unread = Failing(result=lambda one: replace(one, unread={"L-MLO": "no breast"}))
    controller, store, _, session_id = read(unread)
    controller.painted(0)
    shown = next(e.body["shown"] for e in store.read(session_id) if e.body.get("layer") == "state")
    assert shown["state"] == "read in part"
    assert shown["unread"] == {"L-MLO": "no breast"}


def test_rs_c5_a_read_exam_without_warnings_needs_no_state_in_the_log() -> None:
    controller, store, _, session_id = read(FakeEngine())
    controller.painted(0)
    assert states(store, session_id) == []


def test_rs_r2_an_unaided_arm_asks_nothing_and_cannot_be_made_to() -> None:
    class Forbidden:
        def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
            raise AssertionError("the AI was asked in an unaided reading")

    controller, store, screen, session_id = read(Forbidden(), aided=False)
    controller.painted(0)
    controller.retry_ai()
    controller.stop_ai()
    assert screen.ai == []
    assert not any(event.kind.value.startswith("Ai") for event in store.read(session_id))
