"""What of the AI was on screen, and for how long: read from the log of a real session (RS-C5)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reader_study.domain.study import AiPolicy, Arm
from reader_study.domain.study_json import protocol_hash, study_from_text, study_to_text
from reader_study.errors import IllegalTransition
from reader_study.ports import MemoryEventStore
from reader_study.sessions import Sessions
from reader_study.tables import build_tables


def _aided(study):
    """Session of period 1 whose first case is aided."""
    first = {study.plan(f"ST.{r}.p1").entries[0].arm_id: f"ST.{r}.p1" for r in ("r1", "r2")}
    return first["aided"]


def _rows(study, store):
    table = next(table for table in build_tables(study, store) if table.name == "exposure")
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def test_rs_c5_a_moved_threshold_ends_one_row_and_begins_the_next(study, clock, show, normal_form):
    store, session_id = MemoryEventStore(), _aided(study)
    sessions = Sessions(study=study, store=store, clock=clock)
    sessions.open(session_id, session_id.split(".")[1], {})
    show(sessions, session_id, clock)
    sessions.ai_revealed(session_id, "boxes", {"threshold": 0.5, "findings": 2})
    clock.advance(4)
    sessions.ai_revealed(session_id, "boxes", {"threshold": 0.2, "findings": 12})
    clock.advance(7)
    sessions.ai_revealed(session_id, "finding", {"finding": "R-CC#0"})
    clock.advance(3)
    sessions.ai_hidden(session_id, "finding")
    sessions.ai_hidden(session_id, "boxes")
    sessions.submit(session_id, normal_form)
    rows = _rows(study, store)
    assert [(row["layer"], row["seconds"], row["ended_by"]) for row in rows] == [
        ("boxes", 4.0, "changed"),
        ("finding", 3.0, "hidden"),
        ("boxes", 10.0, "hidden"),
    ]
    assert '"threshold":0.5' in rows[0]["content"]
    assert '"findings":12' in rows[2]["content"]


def test_rs_c5_a_pause_keeps_what_the_layer_held_last(study, clock, show, normal_form):
    store, session_id = MemoryEventStore(), _aided(study)
    sessions = Sessions(study=study, store=store, clock=clock)
    sessions.open(session_id, session_id.split(".")[1], {})
    show(sessions, session_id, clock)
    sessions.ai_revealed(session_id, "boxes", {"threshold": 0.5})
    clock.advance(2)
    sessions.ai_revealed(session_id, "boxes", {"threshold": 0.3})
    clock.advance(2)
    sessions.pause(session_id)
    clock.advance(60)
    sessions.resume(session_id)
    clock.advance(5)
    sessions.ai_hidden(session_id, "boxes")
    sessions.submit(session_id, normal_form)
    rows = _rows(study, store)
    assert [(row["seconds"], row["ended_by"]) for row in rows] == [
        (2.0, "changed"),
        (2.0, "paused"),
        (5.0, "hidden"),
    ]
    assert '"threshold":0.3' in rows[-1]["content"]


def test_rs_r2_one_finding_cannot_be_told_where_the_arm_shows_no_boxes(study, clock, show):
    arms = tuple(replace(arm, ai=replace(arm.ai, boxes=False)) for arm in study.arms)
    bare, session_id = replace(study, arms=arms), _aided(study)
    sessions = Sessions(study=bare, store=MemoryEventStore(), clock=clock)
    sessions.open(session_id, session_id.split(".")[1], {})
    show(sessions, session_id, clock)
    with pytest.raises(IllegalTransition, match="does not show the AI layer finding"):
        sessions.ai_revealed(session_id, "finding", {})


def test_rs_d1_the_readers_choice_of_a_threshold_is_part_of_the_frozen_protocol(study):
    fixed = replace(study.arms[1], ai=replace(study.arms[1].ai, threshold_choice=False))
    other = replace(study, arms=(study.arms[0], fixed))
    assert protocol_hash(other) != protocol_hash(study)
    assert study_from_text(study_to_text(other)).arms[1].ai.threshold_choice is False
    # A protocol that was frozen before there was a choice reads and hashes as it did.
    assert "threshold_choice" not in study_to_text(study)
    assert Arm(arm_id="a", title="A", ai=AiPolicy(shown=True)).ai.threshold_choice
