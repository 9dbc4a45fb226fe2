"""What the reader sees when an answer that was reported as lost had been saved after all: the case that comes next."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest

from app.control.reading import ReadingController
from app.control.tasks import InlineTaskRunner
from app.state.hanging import load_protocols
from inference.engine import FakeEngine
from inference.exam.types import InferenceError
from reader_study.clock import ManualClock, to_utc_text
from reader_study.domain.assessment import Assessment
from reader_study.domain.events import EventKind
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
from tests.app.control import test_reading as control


@pytest.fixture(scope="module")
def source():
    return control.PhantomSource()


@pytest.fixture
def clock() -> ManualClock:
    """A clock that agrees with the server's: one that does not opens no session."""
    return ManualClock(to_utc_text(datetime.now(UTC)))


@pytest.mark.parametrize("same", [True, False])
def test_rs_c3_an_answer_saved_after_all_brings_the_next_case_and_says_so(
    source, network, through, clock, same
):
    *_, session_id = made = control.make(source, aided=False, engine=FakeEngine())
    study = made[0]._study
    database = open_database(through, busy_timeout_s=2)
    database.save_study(study)
    screen = control.RecordingScreen()
    controller = ReadingController(
        study=study,
        sessions=Sessions(study=study, store=database.events, clock=clock),
        source=source,
        engine=FakeEngine(),
        runner=InlineTaskRunner(),
        clock=clock,
        protocols=load_protocols(),
        environment={},
        screen=screen,
    )
    controller.start(session_id, "r1")
    controller.painted(clock.monotonic_ns())
    first: Assessment = control.full_form(suspicion=5)
    network.fault, network.down = "after", True
    assert not controller.submit(first)
    assert "expected the database to confirm" in screen.messages[-1]
    shown = screen.case.exam.exam_id
    network.down = False
    again = first if same else dataclasses.replace(control.full_form(suspicion=6))
    assert controller.submit(again) is same
    assert screen.case.exam.exam_id != shown
    if not same:
        assert "was saved after all" in screen.messages[-1]
        assert "not submitted" not in screen.messages[-1]
    controller.painted(clock.monotonic_ns())
    assert controller.submit(control.full_form(suspicion=7))
    events = database.events.read(session_id)
    database.close()
    given = [e.body["assessment"] for e in events if e.kind is EventKind.ASSESSMENT_SUBMITTED]
    assert [one["breasts"][0]["suspicion"] for one in given] == [5, 7]


@pytest.mark.parametrize("gone", ["changed", "missing"])
def test_rs_a5_a_case_gone_or_changed_since_the_allocation_is_not_shown_and_costs_no_answer(
    source, clock, tmp_path, gone
):
    made = control.make(source, aided=False, engine=FakeEngine())
    study, session_id = made[0]._study, made[-1]
    database = open_database(tmp_path / "study.sqlite")
    database.save_study(study)
    second = study.case(study.plan(session_id).entries[1].case_id)

    class Tampered:
        def list(self):
            return source.list()

        def load(self, exam_id):
            if exam_id != second.exam_id:
                return source.load(exam_id)
            if gone == "missing":
                raise InferenceError("Exam: the file secret-name.dcm is gone.")
            return next(exam for one, exam in source.exams.items() if one != exam_id)

    screen = control.RecordingScreen()
    controller = ReadingController(
        study=study,
        sessions=Sessions(study=study, store=database.events, clock=clock),
        source=Tampered(),
        engine=FakeEngine(),
        runner=InlineTaskRunner(),
        clock=clock,
        protocols=load_protocols(),
        environment={},
        screen=screen,
    )
    controller.start(session_id, "r1")
    controller.painted(clock.monotonic_ns())
    assert controller.submit(control.full_form())
    assert screen.case is None
    expected = (
        "changed since the study was frozen" if gone == "changed" else "could not be loaded. Nothing was lost"
    )
    assert expected in screen.blank
    assert "secret-name" not in screen.blank
    # where the case may come yet, the key of submitting tries to open it again; nothing is submitted by it
    assert controller.submit(control.full_form()) == (gone == "missing")
    assert screen.case is None
    assert expected in screen.blank
    controller.leave()
    kinds = [event.kind for event in database.events.read(session_id)]
    database.close()
    assert kinds.count(EventKind.READING_LOCKED) == 1
    assert kinds[-1] is EventKind.SESSION_CLOSED
