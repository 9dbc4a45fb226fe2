"""Imports by command are in the study's audit list where the study is named, and ask who does them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from app import import_commands
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from reader_study.__main__ import register
from reader_study.audit import audit_list
from reader_study.store.database import open_database
from reader_study.verify import verify_log

PROTOCOL = """study_id: ST
title: T
protocol_version: '1'
seed: 1
arms:
- {arm_id: u, title: U, ai: {shown: false}}
- {arm_id: a, title: A, ai: {shown: true}}
readers:
- {reader_id: r1, name: N}
cases:
- {case_id: C0001, exam_id: e1}
"""


@pytest.fixture
def run(monkeypatch, tmp_path):
    app = typer.Typer()
    register(app)
    import_commands.register(app)
    monkeypatch.setenv("NEGATOSCOPE_PASSWORD", "long enough")
    monkeypatch.setenv("HOME", str(tmp_path))
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.skipif(
    sys.platform == "win32", reason="HOME places the program's folders on Linux and macOS only"
)
def test_rs_a1_imports_by_command_are_audited_and_refused_to_others(run, tmp_path: Path) -> None:
    (tmp_path / "protocol.yaml").write_text(PROTOCOL, encoding="utf-8")
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=21, pixel_mm=0.8)), tmp_path / "archive" / "one")
    db, store = tmp_path / "study.sqlite", tmp_path / "cases"
    assert run("study", "draft", tmp_path / "protocol.yaml", "--db", db, "--as", "co").exit_code == 0
    named = ("--db", db, "--study", "ST", "--as", "co")
    command = (
        "study",
        "import-cases",
        tmp_path / "archive",
        "--store",
        store,
        "--key",
        tmp_path / "k" / "s.key",
    )
    refused = run(*command, *named[:-1], "r1")
    assert (refused.exit_code, store.exists()) == (2, False), "nothing is imported for who may not"
    assert "expected --db" in run(*command, "--as", "co").output
    done = run(*command, *named)
    assert done.exit_code == 0, done.output
    truth = tmp_path / "truth.csv"
    truth.write_text("case_id,side,pathology\nC0001,R,normal\nC0001,L,normal\n", encoding="utf-8")
    out = tmp_path / "t" / "truth.json"
    given = run("study", "import-truth", truth, "--store", store, "--out", out, *named)
    assert given.exit_code == 0, given.output
    opened = open_database(db)
    entries = audit_list(opened.events, "ST")[-2:]
    opened.close()
    assert [(one.who, one.action.value) for one in entries] == [
        ("co", "CasesImported"),
        ("co", "TruthImported"),
    ]
    assert entries[0].new == {"cases": 1, "new": 1, "refused": 0}
    assert entries[1].new == {"cases": 1, "covered": 1}
    assert verify_log(db).ok
