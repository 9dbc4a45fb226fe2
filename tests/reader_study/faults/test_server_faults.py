"""A study on a server: restarted, its disk full, newer than the program; ten stations of which one is killed."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from reader_study.domain.events import EventKind
from reader_study.errors import StoreError
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
from reader_study.store.schema import SCHEMA_VERSION
from reader_study.verify import verify_log

SID = "ST.r1.p1"


def administer(url, *statements):
    engine = create_engine(url.replace("postgresql:", "postgresql+pg8000:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@pytest.fixture
def reading(postgres_url, study, clock, show, normal_form):
    database = open_database(postgres_url, busy_timeout_s=2)
    database.save_study(study)
    sessions = Sessions(study=study, store=database.events, clock=clock)
    sessions.open(SID, "r1", {})
    show(sessions, SID, clock)
    sessions.submit(SID, normal_form)
    show(sessions, SID, clock)
    yield sessions
    database.close()


def test_rs_c3_a_server_restarted_between_two_answers_is_not_even_noticed(
    reading, postgres, postgres_url, normal_form
):
    postgres.stop()
    postgres.start()
    assert reading.submit(SID, normal_form).index == 2
    reading.shutdown()
    assert verify_log(postgres_url).ok


def test_rs_c3_a_servers_full_disk_refuses_in_words_and_takes_the_answer_when_there_is_room(
    postgres, postgres_url, small_disk, fill, clock, study, show, normal_form
):
    disk = small_disk("12m")
    account = pwd.getpwnam("postgres")
    for one in (disk, *disk.parents):  # the server runs as another user
        if one == Path("/tmp"):
            break
        one.chmod(0o755)
    os.chown(disk, account.pw_uid, account.pw_gid)
    name = postgres_url.rsplit("/", 1)[1]
    small = f"small_{name}"
    administer(postgres.url("postgres"), f"CREATE TABLESPACE {small} LOCATION '{disk}'")
    database = open_database(postgres_url, busy_timeout_s=5)
    database.save_study(study)
    administer(postgres_url, f"ALTER TABLE events SET TABLESPACE {small}")
    sessions = Sessions(study=study, store=database.events, clock=clock)
    sessions.open(SID, "r1", {})
    show(sessions, SID, clock)
    sessions.submit(SID, normal_form)
    show(sessions, SID, clock)
    ballast = fill(disk)

    def go_on():
        for number in range(400):
            sessions.stage_changed(SID, f"{number} " + "long words " * 300)

    with pytest.raises(
        StoreError, match=r"the server's disk is full.*nothing was changed: free the server's disk"
    ):
        go_on()
    assert sessions.position(SID).index == 1
    ballast.unlink()
    assert sessions.submit(SID, normal_form).index == 2
    sessions.shutdown()
    database.close()
    assert verify_log(postgres_url).ok
    administer(postgres_url, "ALTER TABLE events SET TABLESPACE pg_default")
    administer(postgres.url("postgres"), f"DROP TABLESPACE {small}")


def test_rs_a5_a_newer_programs_database_on_a_server_is_refused_and_left_alone(reading, postgres_url):
    reading.shutdown()
    administer(postgres_url, f"UPDATE alembic_version SET version_num = '{SCHEMA_VERSION + 1:04}'")
    with pytest.raises(
        StoreError, match=rf"expected schema {SCHEMA_VERSION} or older, found {SCHEMA_VERSION + 1}"
    ):
        open_database(postgres_url)
    administer(postgres_url, f"UPDATE alembic_version SET version_num = '{SCHEMA_VERSION:04}'")


STATION = """
import sys
sys.path.insert(0, sys.argv[1])
from reader_study.clock import SystemClock
from reader_study.domain.assessment import Assessment, BreastAssessment
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
from resources.vocabulary import Density, Laterality
database = open_database(sys.argv[2], busy_timeout_s=20)
study, reader_id, clock = database.study("ST"), sys.argv[3], SystemClock()
sessions = Sessions(study=study, store=database.events, clock=clock)
plan = study.plans_of(reader_id)[0]
form = Assessment(breasts=tuple(BreastAssessment(laterality=side, birads="1", suspicion=3) for side in Laterality),
                  density=Density.SCATTERED, recall=False)
position = sessions.open(plan.session_id, reader_id, {})
while position.case_id is not None:
    sessions.open_case(plan.session_id)
    sessions.frame_painted(plan.session_id, clock.monotonic_ns())
    sessions.view_changed(plan.session_id, {"zoom": 2.0})
    position = sessions.submit(plan.session_id, form)
    print("confirmed", position.index, flush=True)
sessions.shutdown()
database.close()
"""


def station(url, reader_id):
    root = str(Path(__file__).parents[3])
    return subprocess.Popen(
        [sys.executable, "-c", STATION, root, url, reader_id],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_rs_a5_ten_stations_at_once_and_one_killed_lose_nothing_and_lock_nobody_out(postgres_url, make_study):
    study = make_study(n_cases=12, n_readers=10)
    first = open_database(postgres_url)
    first.save_study(study)
    readers = [one.reader_id for one in study.readers]
    running = {reader_id: station(postgres_url, reader_id) for reader_id in readers}
    victim = running["r5"]
    confirmed = 0
    for line in victim.stdout:
        confirmed = int(line.split()[1])
        if confirmed == 5:
            victim.send_signal(signal.SIGKILL)
            break
    confirmed = max([confirmed, *(int(line.split()[1]) for line in victim.stdout)])
    victim.communicate()
    for reader_id in set(readers) - {"r5"}:
        told, failed = running[reader_id].communicate(timeout=240)
        assert running[reader_id].returncode == 0, failed
        assert told.splitlines()[-1] == "confirmed 12"
    locked = [e for e in first.events.read("ST.r5.p1") if e.kind is EventKind.READING_LOCKED]
    assert confirmed <= len(locked) <= confirmed + 1
    begun = time.monotonic()
    again = station(postgres_url, "r5")
    told, failed = again.communicate(timeout=120)
    assert again.returncode == 0, failed
    assert told.splitlines()[-1] == "confirmed 12"
    assert time.monotonic() - begun < 60, "the dead station's lock was not in the way"
    report = verify_log(postgres_url)
    assert (report.ok, report.problems, report.sessions) == (True, (), 10)
    for reader_id in readers:
        events = first.events.read(f"ST.{reader_id}.p1")
        assert sum(event.kind is EventKind.READING_LOCKED for event in events) == 12
    first.close()
