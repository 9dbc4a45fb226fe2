"""A study in one file: disk full, read-only, locked, deleted, replaced; no confirmed answer is lost, each has words."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from reader_study.domain.events import EventKind
from reader_study.errors import StoreError
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
from reader_study.store.schema import SCHEMA_VERSION
from reader_study.verify import verify_log

SID = "ST.r1.p1"


@pytest.fixture
def begin(study, clock, show, normal_form):
    """Open a study in a file and read its first case, so that there is a confirmed answer to lose."""
    opened = []

    def start(file: Path, anchor: Path | None = None) -> Sessions:
        database = open_database(file, busy_timeout_s=0.5)
        opened.append(database)
        database.save_study(study)
        sessions = Sessions(study=study, store=database.events, clock=clock, anchor=anchor)
        sessions.open(SID, "r1", {})
        show(sessions, SID, clock)
        sessions.submit(SID, normal_form)
        show(sessions, SID, clock)
        return sessions

    yield start
    for database in opened:
        database.close()


def answers(file: Path, anchor: Path | None = None) -> int:
    """How many locked answers a program that knows nothing of the fault finds in an intact log."""
    report = verify_log(file, anchor)
    assert report.ok, report.problems
    database = open_database(file, create=False)
    try:
        return sum(event.kind is EventKind.READING_LOCKED for event in database.events.read(SID))
    finally:
        database.close()


def test_rs_c3_a_full_disk_refuses_the_answer_in_words_and_takes_it_when_there_is_room(
    begin, small_disk, fill, normal_form
):
    disk = small_disk("2m")
    sessions = begin(disk / "study.sqlite", disk / "anchor.jsonl")
    ballast = fill(disk)

    def go_on() -> None:
        for _ in range(200):  # the write-ahead log may hold a few more steps
            sessions.stage_changed(SID, "CC")

    with pytest.raises(StoreError, match=r"(the disk is full|the disk failed).*nothing was changed"):
        go_on()
    with pytest.raises(StoreError, match="could not be saved"):
        sessions.submit(SID, normal_form)
    assert sessions.position(SID).index == 1
    ballast.unlink()
    assert sessions.submit(SID, normal_form).index == 2
    sessions.shutdown()
    assert answers(disk / "study.sqlite", disk / "anchor.jsonl") == 2


def test_rs_c3_a_full_disk_of_the_anchor_file_stops_no_answer_and_lets_no_session_begin(
    begin, small_disk, fill, tmp_path, study, normal_form, caplog
):
    disk = small_disk("64k")
    anchor = disk / "anchor.jsonl"
    sessions = begin(tmp_path / "study.sqlite", anchor)
    ballast = fill(disk)
    for number in range(100):  # to the end of the anchor's last block
        sessions.stage_changed(SID, f"step {number}")
    assert "the anchor file falls behind the log" in caplog.text
    assert sessions.submit(SID, normal_form).index == 2
    with pytest.raises(StoreError, match=r"Anchor file anchor.jsonl: could not be written .*free the disk"):
        sessions.open("ST.r2.p1", "r2", {})
    ballast.unlink()
    sessions.open("ST.r2.p1", "r2", {})
    sessions.shutdown()
    assert answers(tmp_path / "study.sqlite", anchor) == 2


def read_only(place: Path, on: bool) -> None:
    subprocess.run(["mount", "-o", f"remount,{'ro' if on else 'rw'}", str(place)], check=True)


def test_rs_c3_a_disk_that_turns_read_only_refuses_in_words_and_nothing_is_lost(
    begin, small_disk, tmp_path, study, clock
):
    disk = small_disk("4m")
    sessions = begin(tmp_path / "first.sqlite")
    sessions.shutdown()
    place = disk / "study.sqlite"
    shutil.copy(tmp_path / "first.sqlite", place)
    for leftover in tmp_path.glob("first.sqlite-*"):
        shutil.copy(leftover, disk / leftover.name.replace("first", "study"))
    read_only(disk, True)
    try:
        database = open_database(place, create=False, busy_timeout_s=0.5)
        again = Sessions(study=study, store=database.events, clock=clock)
        assert again.worklist("r1")[0].n_done == 1, "what was read can still be seen"
        with pytest.raises(
            StoreError, match=r"could not be saved \(the file or its folder is read-only.*writable"
        ):
            again.open(SID, "r1", {})
        database.close()
        with pytest.raises(StoreError, match=r"could not be opened .*make file and folder writable"):
            open_database(disk / "new.sqlite")
    finally:
        read_only(disk, False)
    assert answers(place) == 1


def test_rs_c3_an_anchor_that_cannot_be_written_mid_session_is_told_and_made_good_by_the_next_step(
    begin, tmp_path, normal_form, caplog
):
    anchor = tmp_path / "elsewhere" / "anchor.jsonl"
    sessions = begin(tmp_path / "study.sqlite", anchor)
    anchor.rename(tmp_path / "kept.jsonl")
    anchor.mkdir()  # nothing can be appended to a folder, whoever tries
    sessions.save_draft(SID, normal_form)
    assert "the anchor file falls behind the log" in caplog.text
    anchor.rmdir()
    (tmp_path / "kept.jsonl").rename(anchor)
    assert sessions.submit(SID, normal_form).index == 2
    sessions.shutdown()
    assert answers(tmp_path / "study.sqlite", anchor) == 2


HOLDER = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""


def test_rs_c3_a_file_locked_by_another_program_is_waited_for_no_longer_than_the_timeout(
    begin, tmp_path, normal_form, stopwatch
):
    sessions = begin(tmp_path / "study.sqlite")
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "study.sqlite")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout.readline() == b"held\n"

        def step():
            with pytest.raises(StoreError, match=r"another program is writing to it.*close that program"):
                sessions.submit(SID, normal_form)

        assert stopwatch(step) < 0.5 + 0.5
        assert sessions.position(SID).index == 1
        other.kill()
    assert sessions.submit(SID, normal_form).index == 2
    sessions.shutdown()
    assert answers(tmp_path / "study.sqlite") == 2


def test_rs_a1_two_programs_on_one_file_read_two_sessions_and_never_the_same_one(
    begin, tmp_path, study, clock, show, normal_form
):
    first = begin(tmp_path / "study.sqlite")
    database = open_database(tmp_path / "study.sqlite", busy_timeout_s=0.5)
    second = Sessions(study=study, store=database.events, clock=clock)
    second.open("ST.r2.p1", "r2", {})
    show(second, "ST.r2.p1", clock)
    second.submit("ST.r2.p1", normal_form)
    assert first.submit(SID, normal_form).index == 2
    assert second.open(SID, "r1", {}).index == 2, "a second program may take a session up, as after a crash"
    with pytest.raises(StoreError, match="open elsewhere"):
        first.open_case(SID)
    second.shutdown()
    database.close()
    assert answers(tmp_path / "study.sqlite") == 2


def test_rs_c3_a_database_deleted_while_open_is_noticed_and_its_answers_are_kept_beside_it(
    begin, tmp_path, normal_form
):
    file = tmp_path / "study.sqlite"
    sessions = begin(file)
    for one in tmp_path.glob("study.sqlite*"):
        one.unlink()
    with pytest.raises(StoreError, match=r"found none \(it was deleted or moved\); all that was saved is kept in study.rescued"):  # fmt: skip
        sessions.submit(SID, normal_form)
    assert not file.exists(), "no empty database in its place"
    with pytest.raises(StoreError, match=r"study\.rescued\.sqlite"):
        sessions.submit(SID, normal_form)
    assert sessions.position(SID).index == 1
    assert answers(tmp_path / "study.rescued.sqlite") == 1
    assert sorted(one.name for one in tmp_path.glob("*rescued*.sqlite")) == ["study.rescued.sqlite"]


def test_rs_c3_a_database_replaced_by_another_is_noticed_and_both_are_kept(
    begin, tmp_path, study, normal_form
):
    file = tmp_path / "study.sqlite"
    sessions = begin(file)
    other = open_database(tmp_path / "other.sqlite")
    other.save_study(study)
    other.close()
    (tmp_path / "other.sqlite").replace(file)
    with pytest.raises(
        StoreError, match=r"found another one in its place; all that was saved is kept in study.rescued"
    ):
        sessions.submit(SID, normal_form)
    assert answers(tmp_path / "study.rescued.sqlite") == 1


def test_rs_c3_a_write_ahead_log_deleted_while_open_costs_no_answer(begin, tmp_path, normal_form):
    file = tmp_path / "study.sqlite"
    sessions = begin(file)
    (tmp_path / "study.sqlite-wal").unlink()
    with pytest.raises(
        StoreError, match=r"its write-ahead log study.sqlite-wal was deleted while it was open"
    ):
        sessions.submit(SID, normal_form)
    assert sessions.position(SID).index == 1
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(file, copy / "study.sqlite")  # what the disk holds, and not what the open program still knows
    assert answers(copy / "study.sqlite") == 1


def test_rs_a5_a_newer_programs_database_is_refused_and_left_alone(begin, tmp_path):
    file = tmp_path / "study.sqlite"
    begin(file).shutdown()
    raw = sqlite3.connect(file)
    raw.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    raw.close()
    with pytest.raises(
        StoreError, match=rf"expected schema {SCHEMA_VERSION} or older, found {SCHEMA_VERSION + 1}"
    ):
        open_database(file)
    raw = sqlite3.connect(file)
    assert raw.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION + 1,)
    raw.close()


def test_rs_c3_a_file_size_limit_is_a_full_disk_too_and_needs_no_rights_to_test(tmp_path):
    """The same on machines where no test may mount a disk: the limit of the system on a file's size."""
    script = f"""
import resource, signal, sys
sys.path[:0] = {[os.fspath(Path(__file__).parents[3])]!r}
from pathlib import Path
from reader_study.clock import ManualClock
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.errors import StoreError
from reader_study.randomization import allocate
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
arms = (Arm(arm_id="a", title="A", ai=AiPolicy(shown=False)),)
base = dict(study_id="ST", seed=1, cases=(Case(case_id="c1", exam_id="e", exam_digest="0" * 64),),
            readers=(Reader(reader_id="r1", name="R"),), arms=arms)
study = Study(**base, title="T", protocol_version="1", scale=Scale(), plans=allocate(**base, design="single"))
database = open_database(Path(sys.argv[1]))
database.save_study(study)
sessions = Sessions(study=study, store=database.events, clock=ManualClock())
sid = study.plans[0].session_id
sessions.open(sid, "r1", {{}})
sessions.open_case(sid)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
used = max(one.stat().st_size for one in Path(sys.argv[1]).parent.iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (used, resource.RLIM_INFINITY))
sessions_before = database.events.heads()
try:
    for _ in range(500):
        sessions.focus_lost(sid)
        sessions_before = database.events.heads()
except StoreError as error:
    print(error)
assert database.events.heads() == sessions_before
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
sessions.focus_regained(sid)
database.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "study.sqlite")],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "could not be saved" in done.stdout
    assert "free the disk" in done.stdout or "not full" in done.stdout
    assert verify_log(tmp_path / "study.sqlite").ok


@pytest.mark.parametrize("wal", ["kept", "emptied"])
@pytest.mark.parametrize("other", ["rubbish", "a database"])
def test_rs_c3_a_file_overwritten_in_place_is_never_taken_for_the_study(
    begin, tmp_path, study, normal_form, other, wal
):
    file = tmp_path / "study.sqlite"
    sessions = begin(file)
    if other == "rubbish":
        (tmp_path / "other").write_bytes(b"no database at all " * 4000)
    else:
        empty = open_database(tmp_path / "other")
        empty.save_study(study)
        empty.close()
    shutil.copyfile(tmp_path / "other", file)  # the same file, other bytes
    if wal == "emptied":
        (tmp_path / "study.sqlite-wal").write_bytes(b"")
    try:
        sessions.submit(SID, normal_form)
    except StoreError as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert sessions.position(SID).index == 1
        assert "wrote over it" in said
    else:  # the write-ahead log holds every page: nothing of the other's bytes is seen, and the answer is kept
        assert wal == "kept"
        assert answers(file) == 2
