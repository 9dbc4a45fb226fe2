"""What an amendment or a lock at one station means at another that still runs, and washouts that run the wrong way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reader_study.accounts import SignedIn, hash_password
from reader_study.desk import Desk
from reader_study.domain.conduct import Conduct, Navigation
from reader_study.domain.study import AiPolicy
from reader_study.errors import StoreError, StudyError
from reader_study.permissions import Account, Role
from reader_study.randomization import allocate
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
from reader_study.store.transfer import merge
from reader_study.tables import build_tables
from reader_study.verify import verify_log

DAY = 86_400.0
COORDINATOR = Account(
    account_id="co", name="Carla", role=Role.COORDINATOR, password_hash=hash_password("long enough")
)


@pytest.fixture
def opened(tmp_path):
    database = open_database(tmp_path / "study.sqlite")
    yield database
    database.close()


@pytest.fixture
def desk_at(clock):
    def make(database):
        return Desk(database=database, clock=clock, signed_in=SignedIn(COORDINATOR, clock), study_id="ST")

    return make


@pytest.fixture
def frozen(desk_at, opened, make_study):
    desk = desk_at(opened)
    desk.draft(make_study(n_cases=4, washout_days=28))
    desk.put_account(COORDINATOR)
    desk.freeze()
    return desk


def reordered(study, version="2"):
    """The same study with r2's cases in another order."""
    other = allocate(
        study_id="ST", seed=99, cases=study.cases, readers=study.readers, arms=study.arms, only=["r2"]
    )
    kept = tuple(plan for plan in study.plans if plan.reader_id != "r2")
    return replace(study, protocol_version=version, plans=(*kept, *other))


def station(opened, study, clock):
    return Sessions(study=study, store=opened.events, clock=clock)


def read(sessions, session_id, clock, show, form, count=99):
    position = sessions.open(session_id, session_id.split(".")[1], {})
    for _ in range(count):
        if position.case_id is None:
            break
        show(sessions, session_id, clock)
        position = sessions.submit(session_id, form)
    sessions.close(session_id)


def test_rs_d1_a_station_that_still_has_the_older_protocol_begins_no_session(frozen, opened, clock):
    before = opened.study("ST")
    old_station = station(opened, before, clock)
    frozen.amend(reordered(before), why="new order for r2")
    with pytest.raises(StudyError, match="amended since"):
        old_station.open("ST.r2.p1", "r2", {})
    new_station = station(opened, opened.study("ST"), clock)
    assert new_station.open("ST.r2.p1", "r2", {}).index == 0
    new_station.shutdown()
    build_tables(opened.study("ST"), opened.events)


def test_rs_a4_a_session_that_is_open_elsewhere_takes_no_answer_once_the_study_is_locked(
    frozen, opened, clock, show, normal_form
):
    sessions = station(opened, opened.study("ST"), clock)
    sessions.open("ST.r1.p1", "r1", {})
    show(sessions, "ST.r1.p1", clock)
    sessions.submit("ST.r1.p1", normal_form)
    show(sessions, "ST.r1.p1", clock)
    frozen.lock(password="long enough", name="Carla", meaning="done", why="stopped")
    locked = len(opened.events.read("ST.r1.p1"))
    with pytest.raises(StudyError, match="is locked"):
        sessions.submit("ST.r1.p1", normal_form)
    assert len(opened.events.read("ST.r1.p1")) == locked
    sessions.shutdown()
    assert opened.events.read("ST.r1.p1")[-1].body == {"finished": False}, "leaving is still recorded"
    assert verify_log(opened_file(opened)).ok


def opened_file(database):
    return str(database._engine.url.database)


def test_rs_d4_washout_counts_from_every_session_that_shares_a_case_whatever_its_period(
    frozen, opened, clock, show, normal_form
):
    study = opened.study("ST")
    read(station(opened, study, clock), "ST.r1.p1", clock, show, normal_form)
    same = tuple(replace(p, period=1) if p.session_id == "ST.r1.p2" else p for p in study.plans)
    frozen.amend(replace(study, protocol_version="2", plans=same), why="both in one period")
    sessions = station(opened, opened.study("ST"), clock)
    with pytest.raises(StudyError, match="washout of 28 days is not over"):
        sessions.open("ST.r1.p2", "r1", {})
    clock.advance(28 * DAY)
    assert sessions.open("ST.r1.p2", "r1", {}).index == 0
    sessions.shutdown()


def test_rs_d4_an_earlier_session_does_not_go_on_right_after_a_later_one_that_an_override_opened(
    frozen, opened, clock, show, normal_form
):
    sessions = station(opened, opened.study("ST"), clock)
    read(sessions, "ST.r1.p1", clock, show, normal_form, count=1)
    frozen.grant_override("ST.r1.p2", why="reader leaves")
    sessions = station(opened, opened.study("ST"), clock)
    read(sessions, "ST.r1.p2", clock, show, normal_form)
    with pytest.raises(StudyError, match="washout of 28 days is not over"):
        sessions.open("ST.r1.p1", "r1", {})
    clock.advance(28 * DAY)
    assert sessions.open("ST.r1.p1", "r1", {}).index == 1
    sessions.shutdown()


def test_rs_r4_an_amendment_cannot_take_back_that_readers_may_look_back(
    desk_at, opened, make_study, clock, show, normal_form
):
    desk = desk_at(opened)
    desk.draft(replace(make_study(n_cases=2), conduct=Conduct(navigation=Navigation.LOOK_BACK)))
    desk.freeze()
    study = opened.study("ST")
    sessions = station(opened, study, clock)
    sessions.open("ST.r1.p1", "r1", {})
    show(sessions, "ST.r1.p1", clock)
    case_id = sessions.position("ST.r1.p1").case_id
    sessions.submit("ST.r1.p1", normal_form)
    sessions.amend("ST.r1.p1", case_id, replace(normal_form, recall=False), reason="slip")
    sessions.shutdown()
    forward = replace(study, protocol_version="2", conduct=Conduct())
    with pytest.raises(StudyError, match="navigation"):
        desk.amend(forward, why="no more")
    build_tables(opened.study("ST"), opened.events)


def _laptop(tmp_path, opened, name):
    """A copy of the study as a reader takes it home."""
    file = tmp_path / f"{name}.sqlite"
    merge(file, opened_file(opened))
    return file


def test_rs_u4_sessions_of_a_laptop_with_an_older_order_are_refused_and_the_study_stays_readable(
    frozen, opened, clock, show, normal_form, tmp_path
):
    laptop = _laptop(tmp_path, opened, "laptop")
    away = open_database(laptop)
    read(station(away, away.study("ST"), clock), "ST.r2.p1", clock, show, normal_form, count=1)
    away.close()
    frozen.amend(reordered(opened.study("ST")), why="new order for r2")
    for target, source in ((opened_file(opened), laptop), (laptop, opened_file(opened))):
        with pytest.raises(StoreError, match=r"ST\.r2\.p1.*order"):
            merge(target, source)
    build_tables(opened.study("ST"), opened.events)


def test_rs_a4_a_locked_study_takes_in_no_readings_of_a_late_laptop(
    frozen, opened, clock, show, normal_form, tmp_path
):
    laptop = _laptop(tmp_path, opened, "late")
    away = open_database(laptop)
    read(station(away, away.study("ST"), clock), "ST.r2.p1", clock, show, normal_form, count=1)
    away.close()
    frozen.lock(password="long enough", name="Carla", meaning="done", why="stopped")
    with pytest.raises(StoreError, match="locked"):
        merge(opened_file(opened), laptop)
    assert opened.events.read("ST.r2.p1") == ()


def test_rs_a5_a_backup_of_a_locked_study_comes_back_whole(
    frozen, opened, clock, show, normal_form, tmp_path
):
    read(station(opened, opened.study("ST"), clock), "ST.r1.p1", clock, show, normal_form)
    frozen.lock(password="long enough", name="Carla", meaning="done", why="stopped")
    merge(tmp_path / "again.sqlite", opened_file(opened))
    again = open_database(tmp_path / "again.sqlite")
    assert again.events.heads() == opened.events.heads()
    again.close()


def test_rs_r2_an_arm_that_turns_aided_by_amendment_leaves_begun_sessions_unaided(
    frozen, opened, clock, show, normal_form
):
    study = opened.study("ST")
    read(station(opened, study, clock), "ST.r1.p1", clock, show, normal_form, count=1)
    arms = (replace(study.arms[0], ai=AiPolicy(shown=True)), study.arms[1])
    with pytest.raises(StudyError, match="arm"):
        frozen.amend(replace(study, protocol_version="2", arms=arms), why="AI for all")


@pytest.mark.parametrize("when", ["open", "closed"])
def test_rs_a4_a_study_is_not_locked_silently_while_finished_sessions_lack_the_signature_it_asks_for(
    desk_at, opened, make_study, clock, show, normal_form, when
):
    desk = desk_at(opened)
    desk.draft(replace(make_study(n_cases=2, n_readers=1), conduct=Conduct(sign_sessions=True)))
    desk.freeze()
    sessions = station(opened, opened.study("ST"), clock)
    for period in (1, 2):
        read(sessions, f"ST.r1.p{period}", clock, show, normal_form)
    words = {"password": "long enough", "name": "Carla", "meaning": "done"}
    with pytest.raises(StudyError, match="2 unsigned"):
        desk.lock(**words)
    if when == "closed":
        for period in (1, 2):
            sessions.sign(f"ST.r1.p{period}", signed_by="r1", name="Reader One", meaning="my readings")
        desk.lock(**words)
        assert desk.stage().locked


def test_rs_u4_what_coordinators_did_at_two_stations_is_brought_together_with_the_readings(
    frozen, opened, desk_at, clock, show, normal_form, tmp_path
):
    """An override at the laptop, a backup at the desk: neither keeps the readings from coming in, or is lost."""
    here = opened_file(opened)
    read(station(opened, opened.study("ST"), clock), "ST.r1.p1", clock, show, normal_form)
    laptop = _laptop(tmp_path, opened, "laptop")
    away = open_database(laptop)
    at_laptop = desk_at(away)
    at_laptop.grant_override("ST.r1.p2", why="reader leaves")
    helper = replace(
        COORDINATOR, account_id="co2", name="Second", password_hash=hash_password("long enough 2")
    )
    at_laptop.put_account(helper)
    read(station(away, away.study("ST"), clock), "ST.r1.p2", clock, show, normal_form)
    away.close()
    frozen.put_account(replace(COORDINATOR, account_id="st", role=Role.STATISTICIAN))
    entries = len(opened.events.read("audit.ST"))

    merge(here, laptop, clock=clock)
    assert len(opened.events.read("ST.r1.p2")) > 0
    audit = frozen.audit()
    assert len(audit) == entries + 1
    told = audit[-1].new["entries"]
    assert [one["kind"] for one in told] == ["OverrideRecorded", "AccountChanged"]
    assert "reader leaves" in told[0]["body"]
    assert {one.account_id for one in opened.accounts("ST")} == {"co", "co2", "st"}
    assert verify_log(here).ok, verify_log(here).problems
    assert merge(here, laptop, clock=clock).events == 0, "the same once more brings nothing"

    merge(laptop, here, clock=clock)
    merge(here, laptop, clock=clock)
    assert len(frozen.audit()) == entries + 1, "going to and fro does not grow the audit"
    for file in (here, laptop):
        assert verify_log(file).ok, verify_log(file).problems


def test_rs_u4_a_protocol_that_was_amended_at_two_stations_is_refused_by_name(
    frozen, opened, desk_at, clock, tmp_path
):
    laptop = _laptop(tmp_path, opened, "laptop")
    away = open_database(laptop)
    desk_at(away).amend(replace(away.study("ST"), protocol_version="2", washout_days=14.0), why="shorter")
    away.close()
    frozen.put_account(replace(COORDINATOR, account_id="st", role=Role.STATISTICIAN))
    with pytest.raises(StoreError, match=r"ProtocolAmended.*one database only"):
        merge(opened_file(opened), laptop, clock=clock)
    assert opened.study("ST").protocol_version == "1"


def test_rs_a3_a_password_that_was_changed_at_the_laptop_comes_home_with_its_entry(
    frozen, opened, desk_at, clock, tmp_path
):
    laptop = _laptop(tmp_path, opened, "laptop")
    away = open_database(laptop)
    changed = replace(COORDINATOR, password_hash=hash_password("another one"))
    desk_at(away).put_account(changed)
    away.close()
    merge(opened_file(opened), laptop, clock=clock)
    assert opened.accounts("ST")[0].password_hash == changed.password_hash
    assert verify_log(opened_file(opened)).ok, verify_log(opened_file(opened)).problems
