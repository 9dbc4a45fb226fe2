"""The command line on paths that lead nowhere: one sentence, exit 2, no window."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("command", [["open", "{gone}"], ["read", "study.sqlite", "--exams", "{gone}"]])
def test_a_path_that_does_not_exist_is_one_sentence_and_exit_2(tmp_path: Path, command: list[str]) -> None:
    gone = tmp_path / "nowhere" / "exams"
    words = [part.format(gone=gone) for part in command]
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-m", "app", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, **home},
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    sentence = done.stderr.strip().splitlines()[-1]  # Qt may have said something of its own before
    assert sentence.startswith(f"{gone}: expected a folder, zip or manifest")
