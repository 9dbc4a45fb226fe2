"""The network is cut around a COMMIT: every answer is kept once, whether the server's word arrived or not."""

from __future__ import annotations

import dataclasses

import pytest

from reader_study.domain.events import EventKind
from reader_study.domain.reading import fold
from reader_study.errors import StoreError, StudyError
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
from reader_study.verify import verify_log

SID = "ST.r1.p1"
BUSY_S = 2.0
SLACK_S = 0.5  # the machine's own, besides the time that a step may take


@pytest.fixture
def station(through, study, clock, show):
    """A reader whose first case is on screen, on PostgreSQL behind a network."""
    database = open_database(through, busy_timeout_s=BUSY_S)
    database.save_study(study)
    sessions = Sessions(study=study, store=database.events, clock=clock)
    sessions.open(SID, "r1", {"app_version": "test"})
    show(sessions, SID, clock)
    yield sessions
    database.close()


@pytest.fixture
def other_form(normal_form):
    right, left = normal_form.breasts
    return dataclasses.replace(normal_form, breasts=(dataclasses.replace(right, suspicion=11), left))


def answers(study, url):
    """The locked answers, as a program that knows nothing of what happened reads them."""
    database = open_database(url)
    try:
        events = database.events.read(SID)
    finally:
        database.close()
    assert verify_log(url).ok
    fold(study, study.plan(SID), events)
    return [
        event.body["assessment"]["breasts"][0]["suspicion"]
        for event in events
        if event.kind is EventKind.ASSESSMENT_SUBMITTED
    ]


def refuse(stopwatch, step, words):
    """The step is refused with these words, and in time."""

    def go():
        with pytest.raises(StudyError, match=words) as refused:
            step()
        assert "secret" not in str(refused.value)

    assert stopwatch(go) < BUSY_S + SLACK_S


@pytest.mark.parametrize("fault", ["after", "silent"])
def test_rs_c3_a_commit_whose_answer_was_lost_is_found_and_the_step_succeeds(
    station, network, stopwatch, study, postgres_url, normal_form, fault
):
    network.fault = fault
    assert stopwatch(lambda: station.submit(SID, normal_form)) < BUSY_S + SLACK_S
    assert station.position(SID).index == 1
    station.shutdown()
    assert answers(study, postgres_url) == [4]


@pytest.mark.parametrize("fault", ["before", "quiet"])
def test_rs_c3_a_commit_that_never_arrived_is_refused_and_may_be_done_again(
    station, network, stopwatch, study, postgres_url, normal_form, fault
):
    case_id = station.position(SID).case_id
    network.fault = fault
    refuse(stopwatch, lambda: station.submit(SID, normal_form), "could not be saved|no answer")
    assert station.position(SID).case_id == case_id
    # The server still holds the cut transaction; it must not lock the session for longer than one more step.
    for attempt in range(3):
        try:
            station.submit(SID, normal_form)
            break
        except StoreError:
            assert attempt < 2
    assert station.position(SID).index == 1
    station.shutdown()
    assert answers(study, postgres_url) == [4]


@pytest.mark.parametrize("gone", ["down", "dead"])
def test_rs_c3_the_same_answer_given_again_after_the_network_is_back_is_kept_once(
    station, network, stopwatch, study, clock, postgres_url, normal_form, gone
):
    network.fault = "after"
    setattr(network, gone, True)
    refuse(stopwatch, lambda: station.submit(SID, normal_form), "expected the database to confirm")
    station.view_changed(SID, {"zoom": 2.0})  # the reader looks on while the network is gone
    refuse(stopwatch, lambda: station.submit(SID, normal_form), "could not be saved")
    setattr(network, gone, False)
    station.view_changed(SID, {"zoom": 3.0})
    clock.advance(60)
    station._flush(SID)  # the writer of view changes is the first to hear of it, and moves nobody on
    assert station.position(SID).index == 0
    position = station.submit(SID, normal_form)
    assert position.index == 1
    station.shutdown()
    assert answers(study, postgres_url) == [4]


def test_rs_c3_another_answer_after_one_that_was_saved_is_refused_and_the_true_position_shown(
    station, network, stopwatch, study, show, clock, postgres_url, normal_form, other_form
):
    network.fault, network.down = "after", True
    refuse(stopwatch, lambda: station.submit(SID, normal_form), "expected the database to confirm")
    network.down = False
    refuse(stopwatch, lambda: station.submit(SID, other_form), "AssessmentSubmitted.* was saved after all")
    assert station.position(SID).index == 1
    show(station, SID, clock)
    assert station.submit(SID, other_form).index == 2
    station.shutdown()
    assert answers(study, postgres_url) == [4, 11]


def test_rs_c3_another_answer_after_one_that_never_arrived_is_the_one_that_counts(
    station, network, stopwatch, study, postgres_url, normal_form, other_form
):
    network.fault, network.down = "before", True
    refuse(stopwatch, lambda: station.submit(SID, normal_form), "expected the database to confirm")
    network.down = False
    for attempt in range(3):  # the server may hold the cut transaction for a moment
        try:
            station.submit(SID, other_form)
            break
        except StoreError:
            assert attempt < 2
    station.shutdown()
    assert answers(study, postgres_url) == [11]


def test_rs_c3_a_mark_that_was_saved_after_all_is_there_before_the_next_step(
    station, network, stopwatch, study, postgres_url, normal_form, mark
):
    network.fault, network.down = "after", True
    refuse(stopwatch, lambda: station.add_mark(SID, mark("f1")), "expected the database to confirm")
    network.down = False
    station.add_mark(SID, mark("f2"))
    assert [one.finding_id for one in station.position(SID).reading.findings] == ["f1", "f2"]
    station.submit(SID, normal_form)
    station.shutdown()
    assert answers(study, postgres_url) == [4]


def test_rs_c3_a_restart_after_an_unknown_commit_shows_what_the_log_has(
    station, network, stopwatch, study, clock, through, postgres_url, normal_form
):
    network.fault, network.down = "after", True
    refuse(stopwatch, lambda: station.submit(SID, normal_form), "expected the database to confirm")
    network.down = False
    clock.restart("boot-2")
    database = open_database(through, busy_timeout_s=BUSY_S)
    again = Sessions(study=study, store=database.events, clock=clock)
    assert again.open(SID, "r1", {}).index == 1
    again.shutdown()
    database.close()
    assert answers(study, postgres_url) == [4]


def test_rs_c3_a_network_that_goes_silent_never_holds_the_screen_longer_than_the_timeout(
    station, network, stopwatch, study, postgres_url, clock, show, normal_form
):
    network.fault, network.dead = "quiet", True
    refuse(stopwatch, lambda: station.submit(SID, normal_form), "confirm")
    for _ in range(2):
        refuse(stopwatch, lambda: station.submit(SID, normal_form), "could not be saved")
    network.dead = False
    assert station.submit(SID, normal_form).index == 1
    station.shutdown()
    assert answers(study, postgres_url) == [4]
