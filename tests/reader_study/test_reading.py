"""The transition table, hammered: no path of steps leads past it, and a refused step changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reader_study.clock import ManualClock
from reader_study.domain.assessment import Finding
from reader_study.domain.events import Draft, EventKind, seal
from reader_study.domain.reading import TABLE, State, fold
from reader_study.errors import IllegalTransition, StudyError
from reader_study.ports import MemoryEventStore
from reader_study.sessions import Sessions
from resources.vocabulary import FindingType

STEPS = [
    "open",
    "crash",
    "open_case",
    "painted",
    "stage",
    "mark",
    "unmark",
    "draft",
    "submit",
    "pause",
    "resume",
    "reveal",
    "hide",
    "result",
    "focus",
    "idle",
    "close",
]


def _do(step, sessions, session_id, clock, form):
    mark = Finding(
        finding_id="f1",
        image_key="R-CC",
        source_id="s",
        row=1.0,
        col=1.0,
        finding=FindingType.MASS,
        suspicion=5,
    )
    reader = session_id.split(".")[1]
    actions = {
        "open": lambda: sessions.open(session_id, reader, {}),
        "open_case": lambda: sessions.open_case(session_id),
        "painted": lambda: sessions.frame_painted(session_id, clock.monotonic_ns()),
        "stage": lambda: sessions.stage_changed(session_id, "overview"),
        "mark": lambda: sessions.add_mark(session_id, mark),
        "unmark": lambda: sessions.remove_mark(session_id, "f1"),
        "draft": lambda: sessions.save_draft(session_id, form),
        "submit": lambda: sessions.submit(session_id, form),
        "pause": lambda: sessions.pause(session_id),
        "resume": lambda: sessions.resume(session_id),
        "reveal": lambda: sessions.ai_revealed(session_id, "boxes", {}),
        "hide": lambda: sessions.ai_hidden(session_id, "boxes"),
        "result": lambda: sessions.ai_result_recorded(session_id, {"exam": 0.1}, {"model_id": "m"}, []),
        "focus": lambda: sessions.focus_lost(session_id),
        "idle": lambda: sessions.idle_detected(session_id, 60.0),
        "close": lambda: sessions.close(session_id),
    }
    actions[step]()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(STEPS), max_size=60), reader=st.sampled_from(["r1", "r2"]))
def test_any_sequence_of_steps_keeps_the_rules(make_study, normal_form, steps, reader):
    study, store, clock = make_study(n_cases=4), MemoryEventStore(), ManualClock()
    session_id = f"ST.{reader}.p1"
    plan = study.plan(session_id)
    sessions = Sessions(study=study, store=store, clock=clock)
    runs = 1
    for step in steps:
        clock.advance(1.0)
        before = store.read(session_id)
        if step == "crash":
            runs += 1
            clock.restart(f"boot-{runs}")
            sessions = Sessions(study=study, store=store, clock=clock)
            continue
        try:
            _do(step, sessions, session_id, clock, normal_form)
        except StudyError:
            assert store.read(session_id) == before
        assert store.read(session_id)[: len(before)] == before

    events = store.read(session_id)
    record = fold(study, plan, events)  # the log alone gives the same place
    assert sessions.position(session_id).index == record.index
    locked = [e.body["case_id"] for e in events if e.kind is EventKind.READING_LOCKED]
    assert locked == [entry.case_id for entry in plan.entries][: len(locked)]
    assert all(reading.state is State.LOCKED for reading in record.readings[: record.index])
    assert all(reading.state is State.WAITING for reading in record.readings[record.index + 1 :])
    unaided = {entry.case_id for entry in plan.entries if entry.arm_id == "unaided"}
    ai = {EventKind.AI_REVEALED, EventKind.AI_HIDDEN, EventKind.AI_RESULT_RECORDED}
    assert not [e for e in events if e.kind in ai and e.body["case_id"] in unaided]
    for case_id in locked:
        kinds = [e.kind for e in events if e.body.get("case_id") == case_id]
        assert kinds[0] is EventKind.CASE_OPENED or kinds[0] in {
            EventKind.FOCUS_LOST,
            EventKind.IDLE_DETECTED,
        }
        assert kinds.index(EventKind.FRAME_PAINTED) < kinds.index(EventKind.ASSESSMENT_SUBMITTED)


def test_locked_has_no_way_out_in_the_table():
    assert not [kind for (state, kind) in TABLE if state is State.LOCKED]
    assert {kind for (state, kind) in TABLE if state is State.SUBMITTED} == {EventKind.READING_LOCKED}


def test_a_log_with_an_impossible_step_is_refused_by_name(study):
    clock = ManualClock()
    draft = Draft(
        kind=EventKind.PAUSED,
        body={"case_id": "c001"},
        boot_id="b",
        t_mono_ns=clock.monotonic_ns(),
        t_utc=clock.utc_now(),
    )
    events = seal("ST.r1.p1", [draft], seq=0, prev_hash="0" * 64)
    with pytest.raises(IllegalTransition, match=r"not started: Paused"):
        fold(study, study.plan("ST.r1.p1"), events)
