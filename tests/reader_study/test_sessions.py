"""The only writer: order of steps, blinding, resuming, submitting, washout."""

from __future__ import annotations

import dataclasses
import sqlite3

import pytest

from reader_study.domain.assessment import Assessment, BreastAssessment
from reader_study.domain.events import EventKind
from reader_study.domain.reading import State
from reader_study.domain.study_json import protocol_hash
from reader_study.errors import IllegalTransition, StoreError, StudyError
from reader_study.ports import MemoryEventStore
from reader_study.sessions import AssessmentIncomplete, Sessions
from reader_study.store.database import open_database
from resources.vocabulary import Laterality

SID = "ST.r1.p1"


def _unaided_and_aided(study):
    """Sessions of period 1 whose first case is unaided, and aided."""
    first = {study.plan(f"ST.{r}.p1").entries[0].arm_id: f"ST.{r}.p1" for r in ("r1", "r2")}
    return first["unaided"], first["aided"]


def _reader(session_id):
    return session_id.split(".")[1]


def test_submit_moves_to_the_next_case_and_locks_the_last(sessions, store, clock, show, normal_form, study):
    sessions.open(SID, "r1", {"version": "1"})
    planned = [entry.case_id for entry in study.plan(SID).entries]
    read = []
    position = sessions.position(SID)
    while position.case_id is not None:
        read.append(position.case_id)
        show(sessions, SID, clock)
        position = sessions.submit(SID, normal_form)
    assert read == planned
    assert position.index == position.total == 6
    row = sessions.worklist("r1")[0]
    assert (row.n_done, row.closed, row.available) == (6, True, False)
    kinds = [event.kind for event in store.read(SID)]
    assert kinds.count(EventKind.READING_LOCKED) == 6
    with pytest.raises(IllegalTransition, match="finished"):
        sessions.submit(SID, normal_form)


def test_rs_r4_locked_reading_rejects_new_mark_and_second_submit(sessions, clock, show, normal_form, mark):
    sessions.open(SID, "r1", {})
    show(sessions, SID, clock)
    sessions.submit(SID, normal_form)
    with pytest.raises(IllegalTransition, match=r"waiting.*MarkAdded"):
        sessions.add_mark(SID, mark())
    with pytest.raises(IllegalTransition, match=r"waiting.*AssessmentSubmitted"):
        sessions.submit(SID, normal_form)


def test_rs_r2_unaided_arm_takes_no_ai_event(study, store, clock, show):
    unaided, aided = _unaided_and_aided(study)
    sessions = Sessions(study=study, store=store, clock=clock)
    sessions.open(unaided, _reader(unaided), {})
    show(sessions, unaided, clock)
    before = store.heads()[unaided]
    for step in (
        lambda: sessions.ai_result_recorded(unaided, {"exam": 0.5}, {"model_id": "m"}, []),
        lambda: sessions.ai_revealed(unaided, "boxes", {}),
        lambda: sessions.ai_hidden(unaided, "boxes"),
    ):
        with pytest.raises(IllegalTransition, match="without AI"):
            step()
    assert store.heads()[unaided] == before
    sessions.open(aided, _reader(aided), {})
    show(sessions, aided, clock)
    sessions.ai_result_recorded(aided, {"exam": 0.5}, {"model_id": "m"}, [{"score": 0.5}])
    sessions.ai_revealed(aided, "boxes", {"n": 1})
    assert sessions.position(aided).reading.shown_layers == ("boxes",)
    with pytest.raises(IllegalTransition, match="heatmap"):
        sessions.ai_revealed(aided, "heatmap", {})
    sessions.ai_hidden(aided, "boxes")
    assert sessions.position(aided).reading.shown_layers == ()


def test_rs_r2_readers_are_isolated(sessions, clock, show, normal_form, mark):
    sessions.open(SID, "r1", {})
    show(sessions, SID, clock)
    sessions.add_mark(SID, mark())
    sessions.submit(SID, normal_form)
    with pytest.raises(StudyError, match="another reader"):
        sessions.open(SID, "r2", {})
    assert {row.session_id for row in sessions.worklist("r2")} == {"ST.r2.p1", "ST.r2.p2"}
    other = sessions.open("ST.r2.p1", "r2", {})
    assert (other.index, other.reading.findings, other.reading.draft) == (0, (), None)


def test_nothing_a_session_returns_can_hold_truth(sessions):
    names = {field.name for field in dataclasses.fields(sessions.open(SID, "r1", {}))}
    names |= {field.name for field in dataclasses.fields(sessions.position(SID).reading)}
    assert not names & {"truth", "pathology", "lesions", "malignant"}


def test_rs_c1_incomplete_form_names_each_field_and_writes_nothing(sessions, store, clock, show):
    sessions.open(SID, "r1", {})
    show(sessions, SID, clock)
    before = store.heads()[SID]
    form = Assessment(breasts=(BreastAssessment(laterality=Laterality.RIGHT),))
    with pytest.raises(AssessmentIncomplete) as caught:
        sessions.submit(SID, form)
    assert [p.field for p in caught.value.problems] == ["R.birads", "R.suspicion", "density", "recall"]
    assert store.heads()[SID] == before


def test_rs_c3_crash_resumes_on_the_same_case_with_marks_and_form(
    study, store, clock, show, mark, normal_form
):
    first = Sessions(study=study, store=store, clock=clock)
    first.open(SID, "r1", {})
    show(first, SID, clock)
    first.submit(SID, normal_form)
    show(first, SID, clock)
    first.add_mark(SID, mark())
    half = dataclasses.replace(normal_form, recall=None)
    first.save_draft(SID, half)
    case_id = first.position(SID).case_id

    clock.restart("boot-2")
    second = Sessions(study=study, store=store, clock=clock)
    position = second.open(SID, "r1", {})
    assert (position.case_id, position.index) == (case_id, 1)
    assert position.reading.findings == (mark(),)
    assert position.reading.draft == half
    assert position.reading.interrupted
    events = store.read(SID)
    assert events[-1].kind is EventKind.SESSION_RECOVERED
    assert events[-1].body["interrupted_case_id"] == case_id
    show(second, SID, clock)
    assert store.read(SID)[-2].body["resumed"] is True
    assert second.position(SID).reading.state is State.ASSESSING
    assert second.submit(SID, normal_form).index == 2


def test_open_case_and_later_paints_are_idempotent(sessions, store, clock, show):
    sessions.open(SID, "r1", {})
    show(sessions, SID, clock)
    count = store.heads()[SID].count
    sessions.open_case(SID)
    sessions.frame_painted(SID, clock.monotonic_ns())
    assert store.heads()[SID].count == count


def test_rs_l1_edits_and_removals_of_marks_stay_in_the_log(sessions, store, clock, show, mark):
    sessions.open(SID, "r1", {})
    show(sessions, SID, clock)
    sessions.add_mark(SID, mark("f1"))
    sessions.move_mark(SID, mark("f1", row=120.0))
    sessions.remove_mark(SID, "f1")
    kinds = [event.kind for event in store.read(SID)][-3:]
    assert kinds == [EventKind.MARK_ADDED, EventKind.MARK_MOVED, EventKind.MARK_REMOVED]
    moved = store.read(SID)[-2].body
    assert (moved["old"]["row"], moved["finding"]["row"]) == (100.5, 120.0)
    with pytest.raises(IllegalTransition, match="no mark f1"):
        sessions.remove_mark(SID, "f1")


def test_paused_case_takes_no_mark(sessions, clock, show, mark):
    sessions.open(SID, "r1", {})
    show(sessions, SID, clock)
    sessions.pause(SID)
    with pytest.raises(IllegalTransition, match=r"paused.*MarkAdded"):
        sessions.add_mark(SID, mark())
    sessions.resume(SID)
    assert sessions.position(SID).reading.state is State.SHOWN


def test_rs_d4_washout_blocks_until_it_is_over_and_an_override_is_logged(
    make_study, store, clock, show, normal_form
):
    study = make_study(n_cases=2, washout_days=28)
    sessions = Sessions(study=study, store=store, clock=clock)
    second = sessions.worklist("r1")[1]
    assert not second.available
    assert "period 1 comes first" in second.why_not
    sessions.open(SID, "r1", {})
    for _ in range(2):
        show(sessions, SID, clock)
        sessions.submit(SID, normal_form)
    sessions.close(SID)
    clock.advance(27 * 86400)
    assert "1.0 days are left" in sessions.worklist("r1")[1].why_not
    with pytest.raises(StudyError, match="washout"):
        sessions.open("ST.r1.p2", "r1", {})
    sessions.grant_override("ST.r1.p2", reason="reader leaves", granted_by="coordinator")
    assert sessions.worklist("r1")[1].available
    assert store.read("ST.r1.p2")[0].body["reason"] == "reader leaves"
    fresh = Sessions(study=study, store=MemoryEventStore(), clock=clock)
    assert not fresh.worklist("r1")[1].available
    clock.advance(86400)
    assert Sessions(study=study, store=store, clock=clock).worklist("r1")[1].available


def test_session_opened_records_protocol_environment_and_order(sessions, store, study):
    sessions.open(SID, "r1", {"app": "0.1.0", "screen": "2560x2048"})
    body = store.read(SID)[0].body
    kept = dict(body["environment"])
    assert set(kept) == {"app", "screen", "machine_boot", "machine_uptime_s"}
    assert (kept["app"], kept["screen"]) == ("0.1.0", "2560x2048")
    assert body["protocol_hash"] == protocol_hash(study)
    assert body["plan"] == [[entry.case_id, entry.arm_id] for entry in study.plan(SID).entries]


def test_rs_c3_disk_that_refuses_does_not_advance_the_case(study, tmp_path, clock, show, normal_form):
    path = tmp_path / "study.sqlite"
    database = open_database(path, busy_timeout_s=0.05)
    database.save_study(study)
    sessions = Sessions(study=study, store=database.events, clock=clock)
    sessions.open(SID, "r1", {})
    show(sessions, SID, clock)
    case_id = sessions.position(SID).case_id
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(
        StoreError,
        match=r"could not be saved \(.*database is locked\); nothing was changed: close that program",
    ):
        sessions.submit(SID, normal_form)
    assert sessions.position(SID).case_id == case_id
    other.execute("ROLLBACK")
    other.close()
    assert sessions.submit(SID, normal_form).index == 1
    sessions.shutdown()
    database.close()


def test_full_disk_is_a_sentence_and_the_case_stays(study, tmp_path, clock, show, normal_form):
    database = open_database(tmp_path / "study.sqlite")
    database.save_study(study)
    sessions = Sessions(study=study, store=database.events, clock=clock)
    sessions.open(SID, "r1", {})
    show(sessions, SID, clock)
    with database._engine.connect() as connection:  # the pool hands this connection out again
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="full"):
        sessions.stage_changed(SID, "overview " + "x" * 500_000)
    count = database.events.heads()[SID].count
    assert sessions.position(SID).index == 0
    with database._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    sessions.submit(SID, normal_form)
    assert database.events.heads()[SID].count == count + 2
    database.close()


def test_two_programs_on_one_session_do_not_fork_its_chain(study, store, clock, show, normal_form):
    one = Sessions(study=study, store=store, clock=clock)
    one.open(SID, "r1", {})
    show(one, SID, clock)
    two = Sessions(study=study, store=store, clock=clock)
    two.open(SID, "r1", {})
    with pytest.raises(StoreError, match="open elsewhere"):
        one.submit(SID, normal_form)


def test_view_changes_reach_the_disk_before_any_later_step(study, database, clock, show, normal_form):
    sessions = Sessions(study=study, store=database.events, clock=clock)
    sessions.open(SID, "r1", {})
    show(sessions, SID, clock)
    for zoom in range(200):
        sessions.view_changed(SID, {"image": "R-CC", "zoom": zoom / 10})
    sessions.submit(SID, normal_form)
    events = database.events.read(SID)
    zooms = [event.body["view"]["zoom"] for event in events if event.kind is EventKind.VIEW_CHANGED]
    assert zooms == [zoom / 10 for zoom in range(200)]
    assert [event.kind for event in events[-2:]] == [EventKind.ASSESSMENT_SUBMITTED, EventKind.READING_LOCKED]
    sessions.view_changed(SID, {"zoom": 1.0})  # the next case is not on screen yet
    sessions.close(SID)
    kinds = [event.kind for event in database.events.read(SID)]
    assert kinds.count(EventKind.VIEW_CHANGED) == 200
    assert kinds[-1] is EventKind.SESSION_CLOSED


def test_view_changes_reach_the_disk_without_a_later_step(study, database, clock, show):
    sessions = Sessions(study=study, store=database.events, clock=clock)
    sessions.open(SID, "r1", {})
    show(sessions, SID, clock)
    count = database.events.heads()[SID].count
    sessions.view_changed(SID, {"zoom": 2.0})
    sessions._stream.stop()  # ends the writer after it has written what it has
    assert database.events.heads()[SID].count == count + 1
    sessions.shutdown()
