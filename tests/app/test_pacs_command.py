"""``negatoscope pacs``: from nothing to a first fetched exam by the command line alone, with its exit codes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from typer.testing import CliRunner

from app.cli import app
from inference.exam.sources import FolderSource
from tests.inference.exam import conftest as exams
from tests.inference.exam.pacs import conftest as pacs

ROOT = Path(__file__).parents[1]


_orthanc, orthanc, make_exam = pacs._orthanc, pacs.orthanc, pacs.make_exam
header, breast, file_of = exams.header, exams.breast, exams.file_of


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run one command line; returns exit code, what it printed, and what it said on the side."""
    monkeypatch.setenv("NEGATOSCOPE_HOME", str(tmp_path / "home"))

    def call(*words: object):
        done = CliRunner().invoke(app, ["pacs", *map(str, words)], catch_exceptions=False)
        return done.exit_code, done.stdout, done.stderr

    return call


@pytest.fixture
def connected(run, orthanc, tmp_path):
    """Both connections to Orthanc, added by command."""
    secret = tmp_path / "password.txt"
    secret.write_text("pässword\n")
    web = ("add", "web", "--url", f"{orthanc.url}/dicom-web", "--user", "station", "--password-file", secret)
    assert run(*web)[0] == 0
    assert run("add", "archive", "--aet", "ORTHANC", "--host", "127.0.0.1", "--port", orthanc.dicom)[0] == 0
    return run


def test_pacs_connections_are_added_listed_and_removed_and_the_password_lies_apart(connected, tmp_path):
    code, out, _ = connected("list")
    assert code == 0
    assert "web" in out
    assert "ORTHANC at 127.0.0.1" in out
    config = tmp_path / "home" / "config"
    assert "pässword" not in (config / "pacs.json").read_text()
    assert stat.S_IMODE((config / "pacs-secrets.json").stat().st_mode) == 0o600
    assert connected("remove", "web")[0] == 0
    assert "web" not in connected("list")[1]


@pytest.mark.parametrize("name", ["web", "archive"])
def test_pacs_echo_query_and_fetch_lead_to_an_exam_that_can_be_read(
    connected, orthanc, make_exam, tmp_path, name
):
    exam = make_exam()
    for data in exam.files:
        orthanc.add(data)
    code, out, _ = connected("echo", name)
    assert (code, "answers" in out) == (0, True)
    code, out, said = connected("query", name, "--patient-name", "doe", "--since", "2024-01-01")
    assert code == 0
    assert out.split("\t")[:2] == ["2024-03-05", "SECRET-17"]
    assert out.strip().endswith(exam.study_uid)
    assert "1 studies found." in said
    to = tmp_path / "fetched"
    code, out, _ = connected("fetch", name, "--patient-id", "SECRET-17", "--to", to)
    assert code == 0
    assert out.startswith("done\t4/4\t")
    source = FolderSource(Path(out.split("\t")[2]))
    assert len(source.load(source.list()[0].exam_id).images) == 4
    code, out, _ = connected("fetch", name, "--study", exam.study_uid, "--to", to)
    assert (code, out[:9]) == (0, "done\t4/4\t")


def test_pacs_exit_codes_tell_nothing_found_trouble_and_misuse_apart(connected, run, orthanc):
    assert connected("query", "web", "--patient-id", "nobody")[0] == 1
    code, _, said = connected("fetch", "web", "--study", "1.2.3.4.5")
    assert code == 1
    code, _, said = connected("query", "elsewhere")
    assert code == 2
    assert "expected one of archive, web" in said
    assert connected("fetch", "web")[0] == 2
    assert connected("query", "web", "--since", "yesterday")[0] == 2
    code, _, said = run("add", "bad", "--aet", "X" * 17, "--host", "h")
    assert code == 2
    assert "AE title: expected" in said
    assert run("add", "gone", "--url", "http://127.0.0.1:9/x", "--timeout", "2")[0] == 0
    code, _, said = run("echo", "gone")
    assert (code, "nothing listens" in said) == (2, True)


@pytest.mark.parametrize("name", ["web", "archive"])
def test_pacs_send_stores_files_and_names_what_was_refused(connected, orthanc, make_exam, tmp_path, name):
    folder = tmp_path / "out"
    folder.mkdir()
    for number, data in enumerate(make_exam().files):
        (folder / f"{number}.dcm").write_bytes(data)
    code, out, _ = connected("send", name, folder)
    assert (code, out.strip()) == (0, "4 of 4 files were stored.")
    assert orthanc.count() == 4
    (folder / "bad.dcm").write_bytes(b"nothing" * 50)
    code, out, said = connected("send", name, folder)
    assert code == 1
    assert "bad.dcm" in said
    assert connected("send", name, tmp_path / "not there.dcm")[0] == 2


def test_pacs_listen_takes_what_is_pushed_until_it_is_told_to_end(orthanc, make_exam, tmp_path):
    for data in make_exam().files:
        orthanc.add(data)
    env = dict(os.environ, NEGATOSCOPE_HOME=str(tmp_path / "home"))
    command = [sys.executable, "-m", "app", "pacs", "listen", "--peer", "ORTHANC@127.0.0.1", "--port", str(orthanc.own_port),
               "--to", str(tmp_path / "inbox")]  # fmt: skip
    with subprocess.Popen(
        command, cwd=ROOT.parent, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("Listening as NEGATOSCOPE"), first + (
            process.stderr.read() if process.stderr else ""
        )
        auth = (b"station", "pässword".encode())
        ids = requests.get(f"{orthanc.url}/instances", auth=auth, timeout=10).json()
        requests.post(
            f"{orthanc.url}/modalities/station/store", json=ids, auth=auth, timeout=30
        ).raise_for_status()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Received 4 objects" in out
    assert len(list((tmp_path / "inbox").rglob("*.dcm"))) == 4


def test_pacs_listen_without_senders_is_refused(run):
    code, _, said = run("listen", "--port", "0")
    assert code == 2
    assert "expected --peer AETITLE" in said


@pytest.mark.parametrize("name", ["web", "archive"])
def test_pacs_what_a_pacs_says_cannot_steer_the_terminal(connected, orthanc, make_exam, name):
    start = "\x1b[" if name == "web" else "\x9b"  # pydicom warns of the first where it comes by DIMSE
    marks = {
        "PatientID": "ESC-1",
        "PatientName": f"Do{start}2J^Jaowned\x07ne",
        "AccessionNumber": f"A{start}31m",
    }
    for data in make_exam(("RCC",), **marks).files:
        orthanc.add(data)
    code, out, said = connected("query", name, "--patient-id", "ESC-1")
    assert code == 0
    assert "owned" in out, "the PACS keeps what it was given"
    assert not [one for one in out + said if not one.isprintable() and one not in "\t\n"]
    assert len(out.splitlines()) == 1
