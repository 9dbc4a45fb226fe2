"""Times, worked out by hand on a clock that moves when told."""

from __future__ import annotations

import pytest

from reader_study.sessions import Sessions
from reader_study.timing import reading_times

SID = "ST.r1.p1"


def _times(store, case_id):
    return reading_times([event for event in store.read(SID) if event.body.get("case_id") == case_id])


def test_rs_m1_time_runs_from_first_paint_to_submit_and_load_is_apart(
    sessions, store, clock, show, normal_form
):
    case_id = sessions.open(SID, "r1", {}).case_id
    clock.advance(3.0)  # before the case was asked for: nobody's time
    show(sessions, SID, clock, load_s=0.75)
    clock.advance(41.37)
    sessions.submit(SID, normal_form)
    clock.advance(100.0)
    times = _times(store, case_id)
    assert (times.load_s, times.raw_s, times.active_s, times.opened_to_submit_s) == (
        0.75,
        41.37,
        41.37,
        42.12,
    )
    assert (times.openings, times.interrupted) == (1, False)


def test_rs_m1_the_paint_counts_when_it_happened_and_not_when_it_was_reported(
    sessions, store, clock, normal_form
):
    case_id = sessions.open(SID, "r1", {}).case_id
    sessions.open_case(SID)
    clock.advance(0.5)
    painted = clock.monotonic_ns()
    clock.advance(0.02)
    sessions.frame_painted(SID, painted)
    clock.advance(9.98)
    sessions.submit(SID, normal_form)
    assert (_times(store, case_id).load_s, _times(store, case_id).raw_s) == (0.5, 10.0)


def test_rs_m2_pause_idle_and_focus_are_apart_and_never_counted_twice(
    sessions, store, clock, show, normal_form
):
    case_id = sessions.open(SID, "r1", {}).case_id
    show(sessions, SID, clock)  # second 0
    clock.advance(10)
    sessions.focus_lost(SID)  # 10
    clock.advance(5)
    sessions.pause(SID)  # 15
    clock.advance(20)
    sessions.resume(SID)  # 35
    clock.advance(5)
    sessions.focus_regained(SID)  # 40
    clock.advance(100)
    sessions.idle_detected(SID, 110)  # 30..140, of which 30..35 is pause and 35..40 unfocused
    clock.advance(60)
    sessions.submit(SID, normal_form)  # 200
    times = _times(store, case_id)
    assert times.raw_s == 200
    assert times.paused_s == 20  # 15..35
    assert times.idle_s == 105  # 35..140
    assert times.unfocused_s == 5  # 10..15; 15..40 is pause and idle
    assert times.active_s == 70  # 0..10 and 140..200
    assert not times.interrupted


def test_idle_time_before_the_first_paint_is_not_reading_time(sessions, store, clock, show, normal_form):
    case_id = sessions.open(SID, "r1", {}).case_id
    show(sessions, SID, clock, load_s=30)
    clock.advance(4)
    sessions.idle_detected(SID, 20)
    sessions.submit(SID, normal_form)
    times = _times(store, case_id)
    assert (times.idle_s, times.raw_s, times.active_s) == (4, 4, 0)


def test_rs_m3_a_crash_flags_the_reading_and_the_gap_is_not_reading_time(
    study, store, clock, show, mark, normal_form
):
    first = Sessions(study=study, store=store, clock=clock)
    case_id = first.open(SID, "r1", {}).case_id
    show(first, SID, clock, load_s=1)
    clock.advance(12)
    first.add_mark(SID, mark())
    clock.advance(7)  # nothing was logged in these seconds: the crash takes them
    clock.restart("boot-2")
    clock.advance(3600)
    second = Sessions(study=study, store=store, clock=clock)
    second.open(SID, "r1", {})
    show(second, SID, clock, load_s=2)
    clock.advance(30)
    second.submit(SID, normal_form)
    times = _times(store, case_id)
    assert (times.load_s, times.raw_s, times.openings, times.interrupted) == (1, 42, 2, True)
    assert times.opened_to_submit_s == 13 + 32


def test_paint_from_the_future_is_refused(sessions, clock):
    sessions.open(SID, "r1", {})
    sessions.open_case(SID)
    with pytest.raises(Exception, match="ahead of the clock"):
        sessions.frame_painted(SID, clock.monotonic_ns() + 1)
