"""No phone home: what the program does on its own opens no socket but local ones, in any of its processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom

ROOT = Path(__file__).resolve().parents[2]
# Every process of the program, worker processes included, imports sitecustomize; an audit hook cannot be taken off.
WATCH = """
import os, sys
def watch(event, arguments, _folder=os.environ["NEGATOSCOPE_WATCH"]):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"):
        line = repr((event, str(arguments[-1] if event.startswith("socket.") and len(arguments) == 2 else arguments)))
        with open(os.path.join(_folder, "%d.txt" % os.getpid()), "a") as file:
            file.write(line + chr(10))
sys.addaudithook(watch)
with open(os.path.join(os.environ["NEGATOSCOPE_WATCH"], "%d.txt" % os.getpid()), "a") as file:
    file.write("")
"""
# Paths are sockets of this machine (D-Bus, X11); urllib3 binds [::1] once to learn whether there is IPv6.
LOCAL = ("'/", "socket.bind', \"('::1', 0)")
WINDOW = """
import sys
from pathlib import Path
from PySide6.QtCore import QTimer
sys.argv = ["negatoscope", "open", sys.argv[1]]
from app.views.start_window import StartWindow
over = StartWindow.hand_over
def hand_over(self, window, page):
    over(self, window, page)
    QTimer.singleShot(1500, window.close)
StartWindow.hand_over = hand_over
from app.__main__ import main
main()
"""


def watched(tmp_path: Path, *words: str) -> tuple[list[str], int, subprocess.CompletedProcess[str]]:
    """Run a command of this Python with every process watched; return the calls and how many processes there were."""
    (tmp_path / "hook").mkdir(exist_ok=True)
    (tmp_path / "hook" / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    seen = tmp_path / "seen"
    seen.mkdir()
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(tmp_path / "hook"), str(ROOT))),
        "NEGATOSCOPE_WATCH": str(seen),
        "NEGATOSCOPE_HOME": str(tmp_path / "home"),
        "QT_QPA_PLATFORM": "offscreen",
    }
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=240
    )
    told = [line for path in seen.iterdir() for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in told if not any(place in line for place in LOCAL)]
    return lines, len(list(seen.iterdir())), done


@pytest.fixture
def exams(tmp_path: Path) -> Path:
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=6, pixel_mm=0.5)), tmp_path / "exams" / "one")
    return tmp_path / "exams"


def test_the_watch_sees_a_connection_in_a_child_process(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'import socket; s = socket.socket(); s.settimeout(0.1);"
        's.connect_ex(("127.0.0.1", 9))\'])\n'
    )
    lines, processes, _ = watched(tmp_path, "-c", code)
    assert processes == 2
    assert any("socket.connect" in line for line in lines)


def test_opening_exams_in_the_window_connects_to_nothing(tmp_path: Path, exams: Path) -> None:
    lines, _, done = watched(tmp_path, "-c", WINDOW, str(exams))
    assert done.returncode == 0, done.stderr
    assert lines == []


def test_running_the_model_connects_to_nothing(tmp_path: Path, exams: Path) -> None:
    lines, _, done = watched(tmp_path, "-m", "app", "infer", str(exams), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "scores.csv").is_file()
    assert lines == []


def test_the_doctor_connects_to_nothing_where_no_pacs_is_set_up(tmp_path: Path) -> None:
    lines, processes, done = watched(tmp_path, "-m", "app", "doctor", "--json")
    assert json.loads(done.stdout)["lines"]
    assert processes >= 2  # torch is looked at in a process of its own
    assert lines == []
