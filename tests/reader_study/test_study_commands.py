"""A study from its YAML file to the locked export by commands alone, and what they refuse."""

from __future__ import annotations

import json

import openpyxl
import pytest
import typer
from typer.testing import CliRunner

from reader_study.__main__ import register
from reader_study.clock import SystemClock
from reader_study.domain.assessment import Assessment, BreastAssessment
from reader_study.protocol_file import protocol_to_text, read_protocol
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
from resources.vocabulary import Density, Laterality


@pytest.fixture
def run(monkeypatch):
    app = typer.Typer()
    register(app)
    monkeypatch.setenv("NEGATOSCOPE_PASSWORD", "pass-word")

    def invoke(*arguments, typed=""):
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=typed)

    return invoke


@pytest.fixture
def protocol(make_study, tmp_path):
    path = tmp_path / "protocol.yaml"
    path.write_text(protocol_to_text(make_study(n_cases=4)), encoding="utf-8")
    return path


def _read(db):
    database = open_database(db)
    study = database.study("ST")
    sessions = Sessions(study=study, store=database.events, clock=SystemClock())
    for period in (1, 2):
        for reader in study.readers:
            session_id = f"ST.{reader.reader_id}.p{period}"
            position = sessions.open(session_id, reader.reader_id, {})
            while position.case_id is not None:
                sessions.open_case(session_id)
                sessions.frame_painted(session_id, sessions._clock.monotonic_ns())
                high = 60 if position.case_id in {"c001", "c002"} else 10
                sides = (
                    BreastAssessment(
                        laterality=Laterality.RIGHT, birads="4A" if high > 50 else "2", suspicion=high
                    ),
                    BreastAssessment(laterality=Laterality.LEFT, birads="1", suspicion=1),
                )
                form = Assessment(breasts=sides, density=Density.FATTY, recall=high > 50)
                position = sessions.submit(session_id, form)
            sessions.close(session_id)
    sessions.shutdown()
    database.close()


def test_a_study_goes_from_yaml_to_the_locked_export_by_commands(run, protocol, tmp_path):
    db, anchor = tmp_path / "study.sqlite", tmp_path / "anchor.jsonl"
    me = ("--as", "co", "--anchor", anchor)
    drafted = run("study", "draft", protocol, "--db", db, *me, "--name", "Carla Ordinata")
    assert drafted.exit_code == 0, drafted.output
    assert "period 1  aided  -  2..2" in run("study", "balance", db, "--study", "ST", "--as", "co").output
    assert run("study", "freeze", db, "--study", "ST", *me).exit_code == 0
    made = ("--account", "st", "--role", "statistician", "--name", "Stat")
    assert (
        run("study", "account", db, "--study", "ST", *made, *me, typed="pass-word\npass-word\n").exit_code
        == 0
    )
    _read(db)
    assert "ST.r1.p1  4/4" in run("study", "monitor", db, "--study", "ST", "--as", "co").output

    cases = [
        {
            "case_id": f"c{i:03}",
            "breasts": {"R": "malignant" if i < 3 else "normal", "L": "normal"},
            "lesions": [{"lesion_id": "1", "image_key": "R-CC", "row": 9, "col": 9, "finding": "mass", "malignant": True}]
            if i < 3
            else [],
        }
        for i in range(1, 5)
    ]  # fmt: skip
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({"cases": cases}), encoding="utf-8")
    out = ("--out", tmp_path / "out", "--truth", truth)
    assert "expected the account" in run("export", db, "--study", "ST", *out).output
    early = run("export", db, "--study", "ST", *out, "--as", "st")
    assert early.exit_code == 2
    assert "before the study is locked" in early.output
    assert not (tmp_path / "out").exists()
    locked = run("study", "lock", db, "--study", "ST", *me, "--name", "Carla Ordinata")
    assert locked.exit_code == 0, locked.output
    exported = run("export", db, "--study", "ST", *out, "--as", "st", "--anchor", anchor)
    assert exported.exit_code == 0, exported.output
    assert "not written" not in exported.output
    names = {path.name for path in (tmp_path / "out" / "mrmc").iterdir()}
    assert {
        "roc_suspicion.imrmc",
        "roc_birads.lrc",
        "roc_suspicion_mrmcaov.csv",
        "froc_rjafroc.xlsx",
    } <= names
    book = openpyxl.load_workbook(tmp_path / "out" / "study_tables.xlsx", read_only=True)
    rows = list(book["readings"].iter_rows(values_only=True))
    book.close()
    assert len(rows) == 1 + 16
    assert rows[1][rows[0].index("suspicion_max")] in {10, 60}
    audit = run("study", "audit", db, "--study", "ST", "--as", "st").output
    words = ("ProtocolDrafted", "ProtocolFrozen", "AccountChanged", "StudyLocked", "ExportMade")
    assert [word for word in words if word in audit] == list(words)
    assert run("verify-log", db, "--anchor", anchor).exit_code == 0


def test_the_protocol_in_force_is_written_back_as_the_same_study(run, protocol, tmp_path):
    db = tmp_path / "study.sqlite"
    run("study", "draft", protocol, "--db", db, "--as", "co")
    command = ("study", "protocol", db, "--study", "ST", "--as", "co")
    assert run(*command, "--out", tmp_path / "again.yaml").exit_code == 0
    assert read_protocol(tmp_path / "again.yaml") == read_protocol(protocol)
    assert "found one already" in run(*command, "--out", protocol).output


def test_rs_r2_no_command_tells_a_reader_of_others_or_gives_her_their_password(run, protocol, tmp_path):
    db = tmp_path / "study.sqlite"
    run("study", "draft", protocol, "--db", db, "--as", "co")
    run("study", "freeze", db, "--study", "ST", "--as", "co")
    mine = ("--study", "ST", "--reader", "r1")
    assert run("study", "password", db, *mine, "--as", "co", typed="pass-word\npass-word\n").exit_code == 0
    as_reader = ("--study", "ST", "--as", "r1")
    for command in ("protocol", "monitor", "balance", "audit", "freeze"):
        refused = run("study", command, db, *as_reader)
        assert (refused.exit_code, "a reader may not" in refused.output) == (2, True), command
    taken = ("study", "password", db, "--study", "ST", "--reader", "r2")
    for extra, told in (((), "--as"), (("--as", "r1"), "a reader may not"), (("--as", "zz"), "is not right")):
        refused = run(*taken, *extra, typed="my own word\nmy own word\n")
        assert (refused.exit_code, told in refused.output) == (2, True), refused.output
    assert "r2" not in run("study", "list", db).output
    entry = run("study", "audit", db, "--study", "ST", "--as", "co").output
    assert "AccountChanged  r1" in entry
    assert "password set" in entry
    assert run("verify-log", db).exit_code == 0


def test_rs_a1_create_does_not_write_over_a_coordinators_draft(run, protocol, tmp_path):
    db = tmp_path / "study.sqlite"
    run("study", "draft", protocol, "--db", db, "--as", "co")
    protocol.write_text(protocol.read_text(encoding="utf-8").replace("seed: 7", "seed: 8"), encoding="utf-8")
    refused = run("study", "create", protocol, "--db", db)
    assert (refused.exit_code, "has a coordinator" in refused.output) == (2, True)
    assert "seed: 7" in run("study", "protocol", db, "--study", "ST", "--as", "co").output


def test_an_amendment_by_command_needs_a_reason_and_a_new_version(run, protocol, tmp_path):
    db = tmp_path / "study.sqlite"
    run("study", "draft", protocol, "--db", db, "--as", "co")
    run("study", "freeze", db, "--study", "ST", "--as", "co")
    text = protocol.read_text(encoding="utf-8").replace("washout_days: 0.0", "washout_days: 7.0")
    protocol.write_text(text, encoding="utf-8")
    arguments = ("study", "amend", db, protocol, "--study", "ST", "--as", "co", "--why", "longer")
    assert "protocol_version" in run(*arguments).output
    protocol.write_text(text.replace("protocol_version: '1'", "protocol_version: '2'"), encoding="utf-8")
    assert run(*arguments).exit_code == 0
    assert "washout_days: 7.0" in run("study", "protocol", db, "--study", "ST", "--as", "co").output


@pytest.mark.parametrize("command", ["freeze", "monitor", "balance", "audit"])
def test_rs_a3_a_wrong_password_is_one_sentence(run, protocol, tmp_path, monkeypatch, command):
    db = tmp_path / "study.sqlite"
    run("study", "draft", protocol, "--db", db, "--as", "co")
    monkeypatch.setenv("NEGATOSCOPE_PASSWORD", "wrong")
    refused = run("study", command, db, "--study", "ST", "--as", "co")
    assert refused.exit_code == 2
    assert refused.output.strip().count("\n") == 0
    assert "is not right" in refused.output
