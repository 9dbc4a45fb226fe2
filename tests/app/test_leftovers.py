"""What a killed program left is gone after the next start of any command; what a living one uses stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from inference.exam.pacs.shelf import Shelf
from tests.inference.exam import conftest as exams
from tests.inference.exam.pacs import conftest as pacs

ROOT = Path(__file__).resolve().parents[2]
header, breast, file_of, make_exam = exams.header, exams.breast, exams.file_of, pacs.make_exam


def test_copies_with_names_that_a_killed_import_left_go_at_the_next_start(make_exam, tmp_path: Path) -> None:
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    temporary.mkdir()
    env = {**os.environ, "NEGATOSCOPE_HOME": str(home), "TMPDIR": str(temporary)}
    shelf, exam = Shelf(home / "pacs"), make_exam(("RCC",))
    shelf.put([exam.files[0]])
    code = (
        "import sys\nfrom resources.scratch import scratch_folder\n"
        "from tests.inference.exam.pacs.shelf_user import Path, Shelf, stage\n"
        "with scratch_folder('send') as folder:\n"
        "    (folder / 'report.dcm').write_text('Doe^Jane')\n"
        f"    stage(Shelf(Path({str(shelf.root)!r})), {exam.study_uid!r})\n"
    )

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "staged"
        return process

    killed, living = start(), start()
    killed.kill()
    killed.communicate()
    incoming = shelf.root / ".incoming"
    assert len(list(incoming.rglob("*.dcm"))) == len(list(temporary.rglob("report.dcm"))) == 2
    command = [sys.executable, "-m", "app", "pacs", "list"]
    try:
        subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True)
        assert len(list(incoming.rglob("*.dcm"))) == len(list(temporary.rglob("report.dcm"))) == 1
    finally:
        living.kill()
        living.communicate()
    subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True)
    assert list(incoming.iterdir()) == list(temporary.glob("negatoscope-*")) == []
    assert shelf.count_of(exam.study_uid) == 1
