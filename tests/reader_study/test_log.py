"""The log: append-only, chained, verified; the study frozen once begun; a kill loses nothing confirmed."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from reader_study.clock import SystemClock
from reader_study.domain.events import EventKind, canonical, row_hash
from reader_study.domain.reading import State, fold
from reader_study.errors import StoreError
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
from reader_study.store.inspection import read_raw
from reader_study.store.triggers import RULES, sqlite_trigger
from reader_study.verify import verify_log

SID = "ST.r1.p1"


@pytest.fixture
def read_study(study, tmp_path, clock, show, normal_form, mark):
    """A database in which reader 1 read three cases, and its anchor file; closed."""
    path, anchor = tmp_path / "study.sqlite", tmp_path / "elsewhere" / "heads.jsonl"
    database = open_database(path)
    database.save_study(study)
    sessions = Sessions(study=study, store=database.events, clock=clock, anchor=anchor)
    sessions.open(SID, "r1", {})
    for _ in range(3):
        show(sessions, SID, clock)
        sessions.add_mark(SID, mark())
        sessions.submit(SID, normal_form)
    sessions.close(SID)
    database.close()
    return path, anchor


def _tamper(path: Path, *statements: str, keep_triggers: bool = True) -> None:
    """Change the file as someone with sqlite3 at hand would; the triggers are put back afterwards."""
    connection = sqlite3.connect(path)
    for name in RULES:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    if keep_triggers:
        for name in RULES:
            connection.execute(sqlite_trigger(name))
    connection.commit()
    connection.close()


def test_rs_a2_untouched_log_verifies(read_study):
    path, anchor = read_study
    report = verify_log(path, anchor)
    assert (report.ok, report.problems, report.sessions, report.events) == (True, (), 1, 17)
    assert verify_log(f"sqlite:///{path}").ok


@pytest.mark.parametrize("verb", ["UPDATE events SET body = '{}'", "DELETE FROM events WHERE seq = 2"])
def test_rs_a1_triggers_refuse_update_and_delete(read_study, verb):
    connection = sqlite3.connect(read_study[0])
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(verb)
    connection.close()


@pytest.mark.parametrize("column", ["kind", "version", "boot_id", "t_mono_ns", "t_utc", "prev_hash", "hash"])
def test_rs_a2_a_change_in_any_column_is_found(read_study, column):
    path, _ = read_study
    _tamper(path, f"UPDATE events SET {column} = {column} || '1' WHERE seq = 5")
    report = verify_log(path)
    assert not report.ok
    assert any("event 5" in problem or "event 6" in problem for problem in report.problems)


def test_rs_a2_a_changed_answer_is_found_even_with_its_hash_redone(read_study):
    path, _ = read_study
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    row = dict(connection.execute("SELECT * FROM events WHERE kind = 'AssessmentSubmitted'").fetchone())
    connection.close()
    row["body"] = row["body"].replace('"suspicion":4', '"suspicion":94')
    digest = row_hash(**{k: v for k, v in row.items() if k not in {"body", "hash"}}, body_text=row["body"])
    _tamper(path, f"UPDATE events SET body = '{row['body']}', hash = '{digest}' WHERE seq = {row['seq']}")
    problems = verify_log(path).problems
    assert len(problems) == 1
    assert f"event {row['seq'] + 1}: it does not follow" in problems[0]


def test_rs_a2_a_removed_event_is_found(read_study):
    path, _ = read_study
    _tamper(path, "DELETE FROM events WHERE seq = 6")
    assert any("expected event 6" in problem for problem in verify_log(path).problems)


def test_rs_a2_an_inserted_event_is_found(read_study):
    path, _ = read_study
    copied = "session_id, 18, kind, version, boot_id, t_mono_ns, t_utc, body, prev_hash, hash"
    _tamper(path, f"INSERT INTO events SELECT {copied} FROM events WHERE seq = 17")
    assert any("event 18" in problem for problem in verify_log(path).problems)


def test_rs_a2_reordered_events_are_found(read_study):
    path, _ = read_study
    _tamper(
        path,
        "UPDATE events SET seq = 1000 WHERE seq = 4",
        "UPDATE events SET seq = 4 WHERE seq = 5",
        "UPDATE events SET seq = 5 WHERE seq = 1000",
    )
    assert not verify_log(path).ok


def test_rs_a2_a_cut_tail_is_found_with_the_anchor_only(read_study):
    path, anchor = read_study
    _tamper(path, "DELETE FROM events WHERE seq > 12")
    assert verify_log(path).ok
    report = verify_log(path, anchor)
    assert not report.ok
    assert "knows 17 events, the log ends at 12" in report.problems[0]


def test_rs_a2_a_missing_session_is_found_with_the_anchor(read_study):
    path, anchor = read_study
    _tamper(path, "DELETE FROM events")
    assert not verify_log(path, anchor).ok


def test_rs_a2_a_log_made_anew_with_good_hashes_is_found_with_the_anchor(
    read_study, study, tmp_path, clock, show, normal_form
):
    _, anchor = read_study
    database = open_database(tmp_path / "forged.sqlite")
    database.save_study(study)
    sessions = Sessions(study=study, store=database.events, clock=clock)
    sessions.open(SID, "r1", {})
    for _ in range(6):
        show(sessions, SID, clock)
        sessions.submit(SID, normal_form)
    sessions.close(SID)
    database.close()
    assert verify_log(tmp_path / "forged.sqlite").ok
    assert not verify_log(tmp_path / "forged.sqlite", anchor).ok


def test_a_dropped_trigger_is_found(read_study):
    path, anchor = read_study
    _tamper(path, keep_triggers=False)
    report = verify_log(path, anchor)
    assert len(report.problems) == len(RULES)
    assert "events_refuse_update" in report.problems[0]


@pytest.mark.parametrize("content", [b"", b"not a database, a text file " * 200])
def test_a_file_that_is_no_database_is_a_problem_and_no_crash(tmp_path, content):
    path = tmp_path / "x.sqlite"
    path.write_bytes(content)
    report = verify_log(path)
    assert not report.ok
    assert not verify_log(tmp_path / "absent.sqlite").ok
    assert not (tmp_path / "absent.sqlite").exists()


def test_a_line_torn_by_a_crash_does_not_spoil_the_anchor(read_study, study, clock):
    path, anchor = read_study
    with anchor.open("ab") as file:
        file.write(b'{"count":99,"ha')
    database = open_database(path)
    sessions = Sessions(study=study, store=database.events, clock=clock, anchor=anchor)
    sessions.open(SID, "r1", {})
    sessions.close(SID)
    database.close()
    report = verify_log(path, anchor)
    assert report.ok
    assert "1 unreadable line" in report.notes[0]


def test_an_anchor_that_cannot_be_written_stops_the_session_before_it_begins(
    study, database, clock, tmp_path
):
    (tmp_path / "folder").mkdir()
    sessions = Sessions(study=study, store=database.events, clock=clock, anchor=tmp_path / "folder")
    with pytest.raises(StoreError, match="Anchor file"):
        sessions.open(SID, "r1", {})
    assert database.events.heads() == {}


def test_canonical_text_is_the_same_for_equal_content():
    assert canonical({"b": 1, "a": [0.1, None, "ü"]}) == '{"a":[0.1,null,"ü"],"b":1}'
    with pytest.raises(ValueError, match="JSON"):
        canonical({"a": float("nan")})


def test_a_begun_study_cannot_change_but_a_password_can(read_study, study):
    database = open_database(read_study[0])
    with pytest.raises(StoreError, match="has begun"):
        database.save_study(dataclasses.replace(study, washout_days=3.0))
    database.save_study(study)
    database.set_password("ST", "r1", "hash-2")
    assert database.study("ST").readers[0].password_hash == "hash-2"
    database.close()
    connection = sqlite3.connect(read_study[0])
    with pytest.raises(sqlite3.IntegrityError, match="has begun"):
        connection.execute("UPDATE studies SET body = '{}'")
    connection.close()


def test_a_study_that_has_not_begun_can_change_and_reads_back_equal(database, study):
    changed = dataclasses.replace(study, title="Other", washout_days=14.5)
    database.save_study(changed)
    assert database.study("ST") == changed
    with pytest.raises(StoreError, match="it has: ST"):
        database.study("XX")


def test_rs_a5_database_is_wal_with_full_sync_and_refuses_a_newer_schema(tmp_path, study):
    database = open_database(tmp_path / "study.sqlite")
    with database._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        connection.exec_driver_sql("PRAGMA user_version = 99")
        connection.commit()
    database.close()
    with pytest.raises(StoreError, match="found 99"):
        open_database(tmp_path / "study.sqlite")
    with pytest.raises(StoreError, match="found mysql"):
        open_database("mysql://server/study")


def test_read_only_database_refuses_in_one_sentence(read_study, study, clock):
    path, _ = read_study
    database = open_database(f"sqlite:///file:{path}?mode=ro&uri=true")
    sessions = Sessions(study=study, store=database.events, clock=clock)
    assert sessions.worklist("r1")[0].n_done == 3
    with pytest.raises(StoreError, match="readonly"):
        sessions.open(SID, "r1", {})
    database.close()


READER_PROGRAM = """
import sys
from pathlib import Path
from reader_study.clock import SystemClock
from reader_study.domain.assessment import Assessment, BreastAssessment
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
from resources.vocabulary import Density, Laterality
folder = Path(sys.argv[1])
database = open_database(folder / "study.sqlite")
clock = SystemClock()
sessions = Sessions(study=database.study("ST"), store=database.events, clock=clock, anchor=folder / "heads.jsonl")
position = sessions.open("ST.r1.p1", "r1", {})
print("opened", position.index, flush=True)
while position.case_id is not None:
    sessions.open_case("ST.r1.p1")
    sessions.frame_painted("ST.r1.p1", clock.monotonic_ns())
    for step in range(20):
        sessions.view_changed("ST.r1.p1", {"zoom": step})
    form = Assessment(
        breasts=(BreastAssessment(laterality=Laterality.RIGHT, birads="1", suspicion=position.index % 50),),
        density=Density.FATTY,
        recall=False,
    )
    done = position.case_id
    position = sessions.submit("ST.r1.p1", form)
    print("confirmed", done, form.breasts[0].suspicion, flush=True)
"""


def test_rs_c3_kill_9_at_any_moment_loses_nothing_that_was_confirmed(make_study, tmp_path):
    study = make_study(n_cases=4000, n_readers=1)
    database = open_database(tmp_path / "study.sqlite")
    database.save_study(study)
    database.close()
    moments = random.Random(11)
    confirmed: dict[str, int] = {}
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "OMP_NUM_THREADS": "1",
    }
    for _ in range(6):
        program = subprocess.Popen(
            [sys.executable, "-c", READER_PROGRAM, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        wanted = moments.randint(1, 25)
        try:
            assert program.stdout is not None
            opened = program.stdout.readline().split()
            assert opened[0] == "opened"
            assert int(opened[1]) - len(confirmed) in {0, 1}  # one submit may be kept whose print was cut off
            for _line in range(wanted):
                _, case_id, suspicion = program.stdout.readline().split()
                confirmed[case_id] = int(suspicion)
            signal.sigtimedwait([], moments.random() * 0.004)  # anywhere inside a step
        finally:
            program.kill()
            rest = program.communicate()[0].splitlines()
        assert program.returncode == -signal.SIGKILL
        for line in rest:
            words = line.split()
            if len(words) == 3 and line in rest[:-1]:
                confirmed[words[1]] = int(words[2])

        database = open_database(tmp_path / "study.sqlite")
        record = fold(study, study.plan(SID), database.events.read(SID))
        sessions = Sessions(study=study, store=database.events, clock=SystemClock())
        kept = {r.case_id: r.final.breasts[0].suspicion for r in record.readings if r.state is State.LOCKED}
        assert {case_id: kept.get(case_id) for case_id in confirmed} == confirmed
        assert sessions.position(SID).index == len(kept)
        assert sessions.position(SID).case_id == study.plan(SID).entries[len(kept)].case_id
        confirmed = {case_id: suspicion for case_id, suspicion in kept.items() if suspicion is not None}
        database.close()
        assert verify_log(tmp_path / "study.sqlite", tmp_path / "heads.jsonl").ok
    database = open_database(tmp_path / "study.sqlite")
    kinds = [event.kind for event in database.events.read(SID)]
    database.close()
    assert kinds.count(EventKind.SESSION_RECOVERED) == 5
    assert len(confirmed) >= 6


def test_rs_a2_a_database_without_a_study_is_never_called_intact(tmp_path):
    path = tmp_path / "x.sqlite"
    open_database(path).close()
    report = verify_log(path)
    assert not report.ok
    assert "holds no study" in report.problems[0]


def test_verify_names_a_folder_and_an_empty_file_as_what_they_are(tmp_path):
    (tmp_path / "empty.sqlite").write_bytes(b"")
    for name, found in (
        ("", "found a folder"),
        ("empty.sqlite", "found an empty file"),
        ("no", "found none"),
    ):
        (problem,) = verify_log(tmp_path / name).problems
        assert found in problem


def test_rs_a2_values_of_another_type_are_a_problem_and_no_crash(read_study):
    path, anchor = read_study
    for column in ("body", "prev_hash", "hash", "kind", "t_mono_ns", "session_id", "seq"):
        for value in ("x'00ff'", "1e999", "CAST(x'ff' AS TEXT)"):
            copy = path.with_name("copy.sqlite")
            copy.write_bytes(path.read_bytes())
            _tamper(copy, f"UPDATE events SET {column} = {value} WHERE seq = 3")
            assert not verify_log(copy, anchor).ok, (column, value)


def test_rs_a2_random_damage_to_the_file_is_a_report_and_no_crash(read_study):
    path, anchor = read_study
    whole = path.read_bytes()
    before = list(read_raw(path).rows)
    rng = random.Random(5)
    for _ in range(60):
        bad = bytearray(whole)
        start = rng.randrange(len(bad))
        width = rng.choice((1, 16, 600, 5000))
        bad[start : start + width] = rng.randbytes(len(bad[start : start + width]))
        if rng.random() < 0.2:
            del bad[start:]
        copy = path.with_name("copy.sqlite")
        for side in ("", "-wal", "-shm"):
            path.with_name(f"copy.sqlite{side}").unlink(missing_ok=True)
        copy.write_bytes(bytes(bad))
        report = verify_log(copy, anchor)
        if report.ok:  # the damage hit a free page or an index
            assert list(read_raw(copy).rows) == before
