"""A run over a PACS search: studies come from a real Orthanc, each is fetched and analysed once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from inference.exam.pacs.connections import ConnectionBook
from inference.exam.sources import FolderSource
from tests.inference.batch.conftest import ROOT, lines
from tests.inference.exam import conftest as exams
from tests.inference.exam.pacs import conftest as pacs

_orthanc, orthanc, make_exam = pacs._orthanc, pacs.orthanc, pacs.make_exam
header, breast, file_of = exams.header, exams.breast, exams.file_of


def test_pacs_studies_of_a_search_are_fetched_and_analysed_once_and_named_as_a_folder_would_name_them(
    orthanc: pacs.Orthanc, make_exam: Callable[..., pacs.Exam], tmp_path: Path
) -> None:
    made = [make_exam(), make_exam(PatientID="OTHER"), make_exam(PatientID="LATER", StudyDate="20250101")]
    for exam in made:
        for file in exam.files:
            orthanc.add(file)
    home, out = tmp_path / "home", tmp_path / "out"
    ConnectionBook(home / "config").keep(orthanc.web(), secret=pacs.PASSWORD)
    code = (
        "import sys; from tests.inference.batch.station import main\n"
        "from inference.batch.pacs_units import PacsOrder\n"
        "from inference.batch import command; from pathlib import Path\n"
        "sys.exit(command.carry_out(command.Order(source='pacs:web', folder=Path(sys.argv[1]), card=None, workers=1,"
        " pacs=PacsOrder(until='2024-12-31'))))"
    )
    for skipped in (0, 2):
        done = subprocess.run(
            [sys.executable, "-c", code, str(out)], cwd=ROOT, capture_output=True, text=True, check=False,
            env={**os.environ, "NEGATOSCOPE_HOME": str(home)}, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert ("2 exams were done before" in done.stdout) == bool(skipped)
        assert "SECRET" not in done.stdout + done.stderr
    run = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert run["failures"] == {}
    named = {one.exam_id for one in FolderSource(home / "pacs").list()}
    assert set(run["seconds_per_exam"]) == named
    assert len(named) == len(lines(out)) == 2
    text = "".join(path.read_text(encoding="utf-8") for path in (out / "journal").glob("*"))
    assert not any(exam.study_uid in text for exam in made)
