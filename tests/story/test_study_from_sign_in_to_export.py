"""The main job end to end: the real command, real windows, Qt events, SQLite, exports; and a reader's power cut."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reader_study.domain.events import EventKind
from reader_study.store.database import open_database
from reader_study.verify import verify_log

ROOT = Path(__file__).resolve().parents[2]


def run_cli(home: Path, *arguments: str, timeout: float = 540) -> subprocess.CompletedProcess[str]:
    env = dict(os.environ, NEGATOSCOPE_HOME=str(home), QT_QPA_PLATFORM="offscreen", COLUMNS="400")
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished unseen demo."""
    folder = tmp_path_factory.mktemp("home")
    done = run_cli(folder, "demo", "--no-display")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_demo_reads_every_case_in_both_arms_and_exports(home: Path) -> None:
    export = home / "demo" / "unseen" / "export"
    readings, times, scores = (
        rows(export / "readings.csv"),
        rows(export / "times.csv"),
        rows(export / "ai_scores.csv"),
    )
    assert sorted((row["case_id"], row["arm_id"]) for row in readings) == sorted(
        (f"C{i:03d}", arm) for i in range(1, 9) for arm in ("aided", "unaided")
    )
    assert all(float(row["raw_s"]) > 0 for row in times)
    assert {row["arm_id"] for row in scores} == {"aided"}
    assert all(0 <= float(row["score"]) <= 1 for row in scores)
    assert (home / "demo" / "unseen" / "report.html").stat().st_size > 1000
    assert len(list((home / "demo" / "unseen" / "screenshots").glob("*.png"))) > 15


@pytest.mark.slow
def test_rs_a2_the_log_of_the_demo_verifies_and_a_changed_score_is_found(home: Path, tmp_path: Path) -> None:
    unseen = home / "demo" / "unseen"
    anchor = unseen / "anchor" / "heads.jsonl"
    assert run_cli(home, "verify-log", str(unseen / "study.sqlite"), "--anchor", str(anchor)).returncode == 0
    copy = tmp_path / "tampered.sqlite"
    content = (unseen / "study.sqlite").read_bytes()
    changed = content.replace(b'"suspicion":5', b'"suspicion":6', 1)
    assert changed != content
    copy.write_bytes(changed)
    assert run_cli(home, "verify-log", str(copy)).returncode == 1


READ_TWO_CASES = """
import sys
from pathlib import Path
from app import bootstrap, demo_run, demo_study
from app.files import program_folders
from app.views import simulated_reader
folders = program_folders("demo")
engine = bootstrap.make_engine(folders.cache, "fake")
demo = demo_study.prepare(folders, engine, lambda f, t: None)
database, anchor = Path(sys.argv[1]), Path(sys.argv[2])
if not database.exists():
    opened = bootstrap.open_database(database); opened.save_study(demo.study); opened.close()
station = bootstrap.demo_station(demo_study.DemoStudy(study=demo.study, database=database, exams=demo.exams, anchor=anchor), engine)
qt, window = demo_run._window(station, "test", offscreen=True)
sessions = station.sessions()
submit = sessions.submit
def confirmed(session_id, form, seen=None, **more):
    position = submit(session_id, form, seen, **more)
    print("CONFIRMED", flush=True)
    return position
sessions.submit = confirmed
simulated_reader.read_study(window, reader="reader", password="negatoscope", folder=Path(sys.argv[3]), say=lambda text: None)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rs_c3_kill_9_in_the_reading_window_loses_no_confirmed_case(home: Path, tmp_path: Path) -> None:
    database, anchor = tmp_path / "study.sqlite", tmp_path / "heads.jsonl"
    env = dict(os.environ, NEGATOSCOPE_HOME=str(home), QT_QPA_PLATFORM="offscreen", PYTHONPATH=str(ROOT))
    arguments = [sys.executable, "-c", READ_TWO_CASES, str(database), str(anchor), str(tmp_path / "shots")]
    confirmed = 0
    for wanted, grace in ((2, 0.15), (1, 0.4)):
        with subprocess.Popen(arguments, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdout is not None
            seen = 0
            while seen < wanted:
                line = reader.stdout.readline()
                assert line, "the reader ended before it was killed"
                seen += "CONFIRMED" in line
            time.sleep(grace)
            reader.send_signal(signal.SIGKILL)
            seen += reader.stdout.read().count("CONFIRMED")
            confirmed += seen
        opened = open_database(database)
        try:
            events = [event for session in opened.events.heads() for event in opened.events.read(session)]
        finally:
            opened.close()
        locked = sum(event.kind is EventKind.READING_LOCKED for event in events)
        assert locked >= confirmed
        assert locked <= confirmed + 1  # saved, and killed before it could be said
        confirmed = locked
    assert any(event.kind is EventKind.SESSION_RECOVERED for event in events)
    assert verify_log(database, anchor).ok
