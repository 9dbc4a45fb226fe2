"""A disk that is full says nothing about an exam: none is recorded as failed, and the next run does them all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.inference.batch.conftest import ROOT, Station, lines, write_cases


def test_exams_that_found_the_disk_full_wait_for_the_next_run(
    phantoms: Path, tmp_path: Path, start: Callable[..., Station]
) -> None:
    """Workers' scratch files go to a file system of 8 kB, in a name space of its own."""
    source, out, small = write_cases(phantoms, "full.csv", 5), tmp_path / "out", tmp_path / "small"
    small.mkdir()
    run = f'mount -t tmpfs -o size=8k none {small} && exec env TMPDIR={small} "$@"'
    if subprocess.run(
        ["unshare", "-rm", "sh", "-c", run, "sh", "true"], capture_output=True, check=False
    ).returncode:
        pytest.skip("not run: no name space with a file system of its own is allowed here")
    station = [
        sys.executable,
        "-m",
        "tests.inference.batch.station",
        str(source),
        str(out),
        "workers=1",
        "heatmaps=1",
    ]
    full = subprocess.run(
        ["unshare", "-rm", "sh", "-c", run, "sh", *station],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert full.returncode in {1, 2}, full.stdout + full.stderr
    assert "No space left on device" in full.stdout + full.stderr
    assert "Traceback" not in full.stderr
    assert lines(out) == []
    code, said = start(source, out, "workers=1", "heatmaps=1").end()
    assert code == 0, said
    assert len(lines(out)) == 5
