"""Scratch folders: gone after their block, and after a process was killed gone at the next start."""

from __future__ import annotations

import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from resources.scratch import scratch_folder, sweep_scratch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's place for temporary files, of this test only."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_scratch_folder_is_its_users_only_and_gone_afterwards(place: Path) -> None:
    with scratch_folder("send") as folder:
        assert list(folder.iterdir()) == []
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
        assert sweep_scratch() == 0
        assert folder.is_dir()
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_swept_and_nothing_else(place: Path) -> None:
    code = (
        "import sys, time\nfrom resources.scratch import scratch_folder\n"
        "with scratch_folder('batch') as folder:\n"
        "    (folder / 'Rossi Anna.dcm').write_text('x')\n"
        "    print(folder, flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    left = Path(process.stdout.readline().strip())
    for other in ("negatoscope-batch-mine", "negatoscope-send-abcdefgh", "something-else"):
        (place / other).mkdir()  # a user's own folders, one by chance of the very form
    assert sweep_scratch() == 0, "it lives"
    process.kill()
    process.communicate()
    assert (left / "Rossi Anna.dcm").is_file()
    assert sweep_scratch() == 1
    assert not left.exists()
    assert len(list(place.iterdir())) == 3
