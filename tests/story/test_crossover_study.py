"""The crossover study of ten readers, run once through the command and the windows, every claim checked from its files.

Nothing here asks the program's own checks: the database is read as SQL and JSON, the hashes by the formula of the log,
the exports as CSV and as the sheets that other programs read.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PRACTICE = {f"C{number:04d}" for number in range(61, 65)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    folder: Path
    said: str

    def rows(self, table: str) -> list[dict[str, str]]:
        with (self.folder / "export" / f"{table}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def events(self, where: str = "1", database: str = "demo-crossover.sqlite") -> list[sqlite3.Row]:
        connection = sqlite3.connect(f"file:{self.folder / database}?mode=ro", uri=True)
        connection.row_factory = sqlite3.Row
        try:
            return connection.execute(
                f"SELECT * FROM events WHERE {where} ORDER BY session_id, seq"
            ).fetchall()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("crossover")
    environment = {
        **os.environ,
        "NEGATOSCOPE_HOME": str(folder / "home"),
        "OMP_NUM_THREADS": "1",
        "QT_QPA_PLATFORM": "offscreen",
    }
    done = subprocess.run(
        [sys.executable, "-m", "app", "demo-study", "--out", str(folder / "study"), "--screens"],
        env=environment, cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True, timeout=540, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return Made(folder=folder / "study", said=done.stdout)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_rs_d1_the_protocol_in_yaml_names_the_study_that_was_read(made: Made) -> None:
    protocol = yaml.safe_load((made.folder / "protocol.yaml").read_text(encoding="utf-8"))
    assert (protocol["design"], protocol["washout_days"]) == ("crossover", 28.0)
    readers = {one["reader_id"] for one in protocol["readers"]}
    cases = {one["case_id"] for one in protocol["cases"] if not one["practice"]}
    assert (len(readers), len(cases)) == (10, 60)
    read = Counter((row["reader_id"], row["case_id"], row["arm_id"]) for row in made.rows("readings"))
    assert read == Counter(
        (reader, case, arm) for reader in readers for case in cases for arm in ("unaided", "aided")
    )
    frozen = made.events("kind = 'ProtocolFrozen'")
    first = min(utc(row["t_utc"]) for row in made.events("kind = 'CaseOpened'"))
    assert len(frozen) == 1
    assert utc(frozen[0]["t_utc"]) <= first


def test_rs_t1_the_practice_set_comes_first_with_feedback_and_is_in_no_table_of_readings(made: Made) -> None:
    shown = Counter(row["session_id"] for row in made.events("kind = 'FeedbackShown'"))
    assert shown == {f"DEMO-60.r{number:02d}.p0": 4 for number in range(1, 11)}
    for table in ("readings", "times", "findings", "ai_scores"):
        assert not {row["case_id"] for row in made.rows(table)} & PRACTICE, table
    for number in range(1, 11):
        ends = [
            utc(r["t_utc"])
            for r in made.events(f"session_id LIKE '%r{number:02d}.p0' AND kind = 'ReadingLocked'")
        ]
        begins = made.events(f"session_id LIKE '%r{number:02d}.p1' AND kind = 'CaseOpened'")[0]["t_utc"]
        assert max(ends) <= utc(begins)


def test_rs_m1_the_idle_read_is_flagged_and_its_five_minutes_are_not_reading_time(made: Made) -> None:
    idle = [row for row in made.rows("times") if float(row["idle_s"]) > 0]
    assert [(row["reader_id"], row["period"], float(row["idle_s"])) for row in idle] == [("r02", "1", 300.0)]
    event = made.events("kind = 'IdleDetected'")
    assert [(row["session_id"], json.loads(row["body"])["seconds"]) for row in event] == [
        ("DEMO-60.r02.p1", 300.0)
    ]
    raw, active = float(idle[0]["raw_s"]), float(idle[0]["active_s"])
    assert raw - active == pytest.approx(300.0, abs=1e-6)


def test_rs_r5_the_killed_program_lost_no_answer_and_no_mark(made: Made) -> None:
    rows = made.events("session_id = 'DEMO-60.r03.p1'")
    kinds = [row["kind"] for row in rows]
    at = kinds.index("SessionRecovered")
    assert kinds.count("SessionRecovered") == 1
    assert kinds[:at].count("ReadingLocked") == 5
    assert kinds.count("ReadingLocked") == 60
    before, after = {row["boot_id"] for row in rows[:at]}, {row["boot_id"] for row in rows[at:]}
    assert before == {"killed"}, "the first answers were written by the program that was killed"
    assert not before & after
    cut = json.loads(rows[at]["body"])["interrupted_case_id"]
    assert json.loads(rows[at - 2]["body"])["case_id"] == cut, (
        "its last words were a mark and a half-filled form"
    )
    flagged = [row for row in made.rows("times") if row["interrupted"] == "1"]
    assert [(row["reader_id"], row["case_id"]) for row in flagged] == [("r03", cut)]


def test_rs_d4_the_washout_is_kept_by_all_but_the_one_who_was_let_in_with_a_reason(made: Made) -> None:
    locked: dict[tuple[str, str], list[datetime]] = {}
    for row in made.events("kind = 'ReadingLocked' AND session_id NOT LIKE '%.p0'"):
        case = json.loads(row["body"])["case_id"]
        locked.setdefault((row["session_id"].split(".")[1], case), []).append(utc(row["t_utc"]))
    short = {key for key, times in locked.items() if (max(times) - min(times)).total_seconds() < 28 * 86_400}
    assert {len(times) for times in locked.values()} == {2}
    assert short == {("r04", case) for _, case in locked}
    washout = made.rows("washout")
    assert {(row["reader_id"], row["case_id"]) for row in washout if row["below_rule"] == "1"} == short
    assert {row["reader_id"] for row in washout if row["overridden"] == "1"} == {"r04"}
    granted = made.events("session_id = 'DEMO-60.r04.p2'")[0]
    assert granted["kind"] == "OverrideGranted", "the attempt before it opened nothing"
    audited = [
        json.loads(row["body"])
        for row in made.events("session_id = 'audit.DEMO-60' AND kind = 'OverrideRecorded'")
    ]
    assert len(audited) == 1, "the grant without a reason left no trace of being granted"
    assert (audited[0]["who"], audited[0]["subject"]) == ("coordinator", "DEMO-60.r04.p2")
    assert audited[0]["why"].startswith("Reader leaves the hospital")
    assert "washout of 28 days is not over" in audited[0]["old"]["why_not"]


def test_rs_a2_one_changed_audit_row_is_found_in_the_copy_and_nothing_in_the_original(made: Made) -> None:
    whole = {(r["session_id"], r["seq"]): tuple(r) for r in made.events()}
    copy = {(r["session_id"], r["seq"]): tuple(r) for r in made.events(database="tampered-copy.sqlite")}
    changed = [key for key in whole if copy[key] != whole[key]]
    assert whole.keys() == copy.keys()
    assert [key[0] for key in changed] == ["audit.DEMO-60"]

    def verify(name: str) -> subprocess.CompletedProcess[str]:
        anchor = made.folder / "anchor" / "heads.jsonl"
        command = [
            sys.executable,
            "-m",
            "reader_study",
            "verify-log",
            str(made.folder / name),
            "--anchor",
            str(anchor),
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    intact, damaged = verify("demo-crossover.sqlite"), verify("tampered-copy.sqlite")
    assert intact.returncode == 0, intact.stdout
    assert f"intact: 31 sessions, {len(whole)} events, 0 problems" in intact.stdout
    assert damaged.returncode == 1
    assert damaged.stdout.count("PROBLEM") == 1
    assert f"audit.DEMO-60, event {changed[0][1]}" in damaged.stdout


def test_rs_a1_every_event_follows_the_one_before_it(made: Made) -> None:
    last: dict[str, tuple[int, str]] = {}
    for row in made.events():
        seq, head = last.get(row["session_id"], (0, "0" * 64))
        assert (row["seq"], row["prev_hash"]) == (seq + 1, head)
        last[row["session_id"]] = (row["seq"], row["hash"])
    heads = {row["session_id"]: row["head_hash"] for row in made.rows("sessions")}
    assert heads == {name: head for name, (_, head) in last.items() if not name.startswith("audit.")}


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_rs_x1_the_exchange_files_hold_each_rating_of_the_readings_table(made: Made) -> None:
    ratings = {
        (r["reader_id"], r["arm_id"], r["case_id"]): float(r["suspicion_max"]) for r in made.rows("readings")
    }
    mrmc = made.folder / "export" / "mrmc"
    long = table_of(mrmc / "roc_suspicion_mrmcaov.csv")
    assert {(r["reader"], r["treatment"], r["case"]): float(r["rating"]) for r in long} == ratings
    assert len(long) == len(ratings) == 1200
    body = (mrmc / "roc_suspicion.imrmc").read_text(encoding="utf-8").split("BEGIN DATA:")[1]
    scores = [line.split(",") for line in body.split() if not line.startswith("truth")]
    assert Counter(float(line[-1]) for line in scores) == Counter(ratings.values())
    known = {row["case_id"]: row["malignant"] for row in table_of(made.folder / "export" / "truth.csv")}
    archive = {
        row["patient_id"] for row in table_of(made.folder / "truth.csv") if row["pathology"] == "malignant"
    }
    assert list(known.values()).count("1") == len(archive)
    assert {r["case"]: r["truth"] for r in long} == {
        case: ill for case, ill in known.items() if case not in PRACTICE
    }
    names = {path.name for path in (made.folder / "export").rglob("*")}
    assert {
        "study_tables.xlsx", "data_dictionary.csv", "roc_suspicion.lrc", "roc_suspicion_rjafroc.xlsx", "froc_rjafroc.xlsx",
    } <= names  # fmt: skip


def test_rs_r1_ai_was_shown_in_aided_readings_only(made: Made) -> None:
    aided = {(row["session_id"], row["case_id"]) for row in made.rows("readings") if row["arm_id"] == "aided"}
    shown = {(r["session_id"], json.loads(r["body"])["case_id"]) for r in made.events("kind = 'AiRevealed'")}
    analysed = {key for key in shown if key[1] not in PRACTICE}
    assert analysed == aided


def test_the_study_went_through_the_coordinators_windows(made: Made) -> None:
    shots = sorted(path.stem for path in (made.folder / "screenshots").glob("*.png"))
    assert [name.split("-", 2)[2] for name in shots] == [
        "washout", "override", "finished", "lock", "export", "intact", "tampered",
    ]  # fmt: skip
    assert "17 of 17 claims hold" in made.said
    archived = hashlib.sha256((made.folder / "archive" / "7000000" / "R-CC.dcm").read_bytes()).hexdigest()
    stored = {
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (made.folder / "demo-crossover-cases").rglob("*.dcm")
    }
    assert len(stored) == 64 * 4
    assert archived not in stored, "readers see de-identified files"
