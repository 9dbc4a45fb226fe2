"""Where results cannot be written, every command says so in one sentence before it works for an hour."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inference.evaluation.tables import write_page
from inference.exam.types import InferenceError


def test_infer_refuses_a_file_as_its_folder_in_one_sentence(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "inference", "infer", str(tmp_path), "--model", "dib-mg", "--out", str(taken)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "300"},
    )
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"{taken}: expected a folder that can be written, found a file; name another." in said
    assert "Traceback" not in said
    assert taken.read_text(encoding="utf-8") == "mine"


def test_a_page_below_a_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine", encoding="utf-8")
    with pytest.raises(InferenceError, match="expected a file that can be written"):
        write_page(taken / "page.md", "text")
    write_page(tmp_path / "new" / "page.md", "text")
    assert (tmp_path / "new" / "page.md").read_text(encoding="utf-8") == "text"
