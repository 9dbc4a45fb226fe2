"""From the design to the export, with simulated readers, through the database and the command line."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from reader_study.__main__ import register
from reader_study.clock import ManualClock
from reader_study.domain.truth import read_truth
from reader_study.errors import StudyError
from reader_study.export import export_tidy
from reader_study.ports import MemoryEventStore
from reader_study.randomization import generator
from reader_study.sessions import Sessions
from reader_study.simulation import ImageFrame, SimulatedReader, read_session
from reader_study.store.database import open_database
from resources.vocabulary import Laterality, Pathology

FRAMES = tuple(
    ImageFrame(image_key=key, source_id=f"1.2.{key}", rows=3000, cols=2400)
    for key in ("R-CC", "L-CC", "R-MLO", "L-MLO")
)
N_CASES = 12


@pytest.fixture
def protocol(tmp_path):
    cases = "".join(
        f"  - {{case_id: c{i:03}, exam_id: exam-{i}, exam_digest: {i:064x}, stratum: {'m' if i % 3 == 0 else 'n'}}}\n"
        for i in range(N_CASES)
    )
    path = tmp_path / "protocol.yaml"
    path.write_text(
        "study_id: PILOT\ntitle: Pilot\nprotocol_version: '1'\nseed: 3\nwashout_days: 28\n"
        "arms:\n  - {arm_id: unaided, title: Without AI, ai: {shown: false}}\n"
        "  - {arm_id: aided, title: With AI, ai: {shown: true, operating_threshold: 0.4}}\n"
        "readers:\n  - {reader_id: r1, name: One, experience_years: 12}\n"
        "  - {reader_id: r2, name: Two, group: junior}\n" + "cases:\n" + cases,
        encoding="utf-8",
    )
    return path


@pytest.fixture
def truth(tmp_path):
    def one(i):
        malignant = i % 3 == 0
        lesion = {"lesion_id": "1", "row": 900.0, "col": 700.0, "finding": "mass", "malignant": True}
        lesions = [lesion | {"image_key": key} for key in ("R-CC", "R-MLO")] if malignant else []
        breasts = {"R": "malignant" if malignant else "normal", "L": "normal"}
        return {"case_id": f"c{i:03}", "breasts": breasts, "lesions": lesions}

    path = tmp_path / "truth.json"
    path.write_text(json.dumps({"cases": [one(i) for i in range(N_CASES)]}), encoding="utf-8")
    return {truth.case_id: truth for truth in read_truth(path)}


@pytest.fixture
def run():
    app = typer.Typer()
    register(app)

    def invoke(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


def _read_all(study, database, anchor, truth, asked):
    clock = ManualClock()

    def ai(position):
        asked.append((position.session_id, position.case_id, position.arm.arm_id))
        right = 0.9 if truth[position.case_id].malignant else 0.1
        return {Laterality.RIGHT: right, Laterality.LEFT: 0.1}

    for period in (1, 2):
        for reader_id in ("r1", "r2"):
            sessions = Sessions(study=study, store=database.events, clock=clock, anchor=anchor)
            session_id = f"PILOT.{reader_id}.p{period}"
            reader = SimulatedReader(generator(study.seed, reader_id, period, "simulated"), skill=2.0)
            more = {"reader": reader, "clock": clock, "scale": study.scale, "truth": truth, "ai": ai}
            read_session(sessions, session_id, reader_id, images=lambda _p: FRAMES, limit=5, **more)
            assert sessions.worklist(reader_id)[period - 1].n_done == 5
            read_session(sessions, session_id, reader_id, images=lambda _p: FRAMES, **more)
        clock.advance(29 * 86400)


def _rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_study_goes_from_design_to_export(protocol, truth, run, tmp_path):
    db, anchor = tmp_path / "study.sqlite", tmp_path / "anchor.jsonl"
    created = run("study", "create", protocol, "--db", db)
    assert (created.exit_code, created.output.strip()) == (0, "PILOT: 2 readers, 12 cases, 4 plans")
    database = open_database(db)
    study = database.study("PILOT")
    asked = []
    _read_all(study, database, anchor, truth, asked)
    assert "PILOT.r1.p1  12/12" in run("study", "list", db).output
    assert {arm for _, _, arm in asked} == {"aided"}
    assert len(asked) == 2 * N_CASES

    out = tmp_path / "export"
    exported = run("export", db, "--study", "PILOT", "--out", out)
    assert exported.exit_code == 0
    readings, times = _rows(out / "readings.csv"), _rows(out / "times.csv")
    assert len(readings) == len(times) == 2 * 2 * N_CASES
    keys = {(row["reader_id"], row["case_id"], row["arm_id"]) for row in readings}
    assert len(keys) == len(readings)
    scored = _rows(out / "ai_scores.csv")
    assert {row["arm_id"] for row in scored} == {"aided"}
    assert {row["score_of"] for row in scored} == {"breast:L", "breast:R"}
    for row in readings:
        assert row["suspicion_max"] == str(max(int(row["suspicion_R"]), int(row["suspicion_L"])))
    kept = {(r["session_id"], r["case_id"]): int(r["n_findings"]) for r in readings}
    findings = _rows(out / "findings.csv")
    assert len(findings) == sum(kept.values()) > 0
    assert {row["laterality"] for row in findings} <= {"R", "L"}
    assert all(float(row["load_s"]) == 0.4 and float(row["raw_s"]) > 0 for row in times)
    assert all(row["interrupted"] == "0" for row in times)
    database.close()
    assert run("verify-log", db, "--anchor", anchor).exit_code == 0


def test_every_exported_column_is_in_the_data_dictionary(protocol, truth, run, tmp_path):
    db = tmp_path / "study.sqlite"
    run("study", "create", protocol, "--db", db)
    run("export", db, "--study", "PILOT", "--out", tmp_path / "out")
    dictionary = _rows(tmp_path / "out" / "data_dictionary.csv")
    for name in ("sessions", "readings", "findings", "times", "ai_scores"):
        with (tmp_path / "out" / f"{name}.csv").open(encoding="utf-8") as file:
            header = next(csv.reader(file))
        described = [row for row in dictionary if row["table"] == name]
        assert [row["column"] for row in described] == header
        assert all(row["type"] and row["meaning"] for row in described)
    assert "RESEARCH USE ONLY" in (tmp_path / "out" / "README.txt").read_text(encoding="utf-8")


def test_tables_rebuilt_from_the_log_are_the_same_byte_for_byte(protocol, truth, run, tmp_path):
    db = tmp_path / "study.sqlite"
    run("study", "create", protocol, "--db", db)
    database = open_database(db)
    study = database.study("PILOT")
    _read_all(study, database, None, truth, [])
    first = export_tidy(study, database.events, tmp_path / "one")
    copied = MemoryEventStore()
    for session_id in database.events.heads():
        copied.append(database.events.read(session_id), 0)
    database.close()
    reopened = open_database(db)
    second = export_tidy(reopened.study("PILOT"), reopened.events, tmp_path / "two")
    third = export_tidy(study, copied, tmp_path / "three")
    reopened.close()
    for paths in zip(first, second, third, strict=True):
        assert len({path.read_bytes() for path in paths}) == 1
    with pytest.raises(StudyError, match=r"found one; choose an empty folder"):
        export_tidy(study, copied, tmp_path / "one")


def test_rs_t1_practice_readings_are_not_in_the_analysed_tables(
    make_study, clock, show, normal_form, tmp_path
):
    study, store = make_study(n_cases=2, practice=1), MemoryEventStore()
    sessions = Sessions(study=study, store=store, clock=clock)
    assert sessions.open("ST.r1.p0", "r1", {}).practice
    show(sessions, "ST.r1.p0", clock)
    sessions.submit("ST.r1.p0", normal_form)
    sessions.close("ST.r1.p0")
    export_tidy(study, store, tmp_path)
    assert _rows(tmp_path / "readings.csv") == []
    assert next(row for row in _rows(tmp_path / "sessions.csv") if row["period"] == "0")["n_locked"] == "1"


def test_rs_l1_removed_marks_are_exported_as_removed(
    sessions, store, study, clock, show, mark, normal_form, tmp_path
):
    sessions.open("ST.r1.p1", "r1", {})
    show(sessions, "ST.r1.p1", clock)
    sessions.add_mark("ST.r1.p1", mark("f1"))
    sessions.remove_mark("ST.r1.p1", "f1")
    sessions.add_mark("ST.r1.p1", mark("f1", row=50.0))
    sessions.move_mark("ST.r1.p1", mark("f1", row=60.0))
    sessions.submit("ST.r1.p1", normal_form)
    export_tidy(study, store, tmp_path)
    rows = _rows(tmp_path / "findings.csv")
    assert [(row["status"], row["row"], row["n_moves"]) for row in rows] == [
        ("removed", "100.5", "0"),
        ("kept", "60.0", "1"),
    ]
    assert float(rows[1]["row_mm"]) == pytest.approx(4.2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no database", "could not be read"),
        (b"", "found an empty file"),
        (b"SQLite format 3\0" + bytes(range(256)) * 40, "could not be read"),
        (None, "found a folder"),
    ],
)
def test_verify_log_command_exits_1_on_a_damaged_file(run, tmp_path, content, words):
    path = tmp_path / "x.sqlite"
    path.mkdir() if content is None else path.write_bytes(content)
    result = run("verify-log", path)
    assert result.exit_code == 1
    assert "PROBLEM" in result.output
    assert words in result.output
    assert "Traceback" not in result.output


def test_verify_log_exits_1_where_the_other_commands_exit_2(run, tmp_path):
    open_database(tmp_path / "bare.sqlite").close()
    for target in ("nosuch://x", tmp_path / "absent.sqlite", tmp_path / "bare.sqlite"):
        assert run("verify-log", target).exit_code == 1
    assert run("verify-log", tmp_path / "absent.sqlite", "--anchor", tmp_path).exit_code == 1
    for target in ("nosuch://x", tmp_path / "absent.sqlite"):
        assert run("study", "list", target).exit_code == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"title: x\nreaders: [a\n  b: {\n", r"protocol\.yaml, line 3, column \d+: expected YAML"),
        (b"title: x\n\tseed: 3\n", r"protocol\.yaml, line 2, column \d+: expected YAML"),
        (b"\x89PNG\r\n\x1a\n\0\0\xff", "found a binary file"),
        (b"title: \x00\x01\n", "found a binary file"),
        (b"seed: 2026-02-31\n", "expected YAML, found an error"),
        (b"", "found an empty file"),
        (b"- a\n- b\n", "found a list"),
    ],
)
def test_a_protocol_that_is_no_yaml_is_refused_in_one_sentence(protocol, run, tmp_path, content, words):
    protocol.write_bytes(content)
    result = run("study", "create", protocol, "--db", tmp_path / "study.sqlite")
    assert result.exit_code == 2
    assert re.search(words, result.output)
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "study.sqlite").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seed: 3", "seed: three", "seed: expected a whole number"),
        ("title: Pilot\n", "", "expected the key 'title'"),
        ("seed: 3", "sede: 3", "found sede"),
        ("case_id: c001", "case_id: c000", "c000 more than once"),
        ("{shown: false}", "{shown: 'no'}", "ai.shown: expected true or false"),
        ("arms:\n", "arms: [\n", "expected YAML"),
    ],
)
def test_a_wrong_protocol_is_refused_in_one_sentence(protocol, run, tmp_path, old, new, words):
    protocol.write_text(protocol.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    result = run("study", "create", protocol, "--db", tmp_path / "study.sqlite")
    assert result.exit_code == 2
    assert re.search(words, result.output)
    assert "Traceback" not in result.output
    assert not (tmp_path / "study.sqlite").exists()


def test_simulated_readers_skill_shows_in_their_ratings(make_study, truth):
    """Equal-variance binormal: AUC = Phi(skill / sqrt 2), .857 for 1.5 (Notes of SimulatedReader)."""
    reader = SimulatedReader(np.random.default_rng(1), skill=1.5)
    scale = make_study().scale
    by_truth = {Pathology.MALIGNANT: [], Pathology.NORMAL: []}
    for _ in range(150):
        for case in truth.values():
            for breast in reader.read_case(images=FRAMES, scale=scale, truth=case).assessment.breasts:
                by_truth[case.breasts[breast.laterality]].append(breast.suspicion)
    positive, negative = (np.array(ratings) for ratings in by_truth.values())
    auc = np.mean((positive[:, None] > negative) + 0.5 * (positive[:, None] == negative))
    assert auc == pytest.approx(0.8556, abs=0.025)
