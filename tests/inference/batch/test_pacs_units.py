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

_orthanc, orthanc, make_exam, proxy_to = pacs._orthanc, pacs.orthanc, pacs.make_exam, pacs.proxy_to
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


INFER = """
import sys
from functools import partial
from pathlib import Path
from inference.batch import command, units
from inference.batch.pacs_units import PacsOrder
from inference.exam.pacs.fetching import fetch_study
from resources.files import UserFacingError
units.fetch_study = partial(fetch_study, backoff_s=())  # the waits between its tries are not tested here
try:
    order = command.Order(source="pacs:web", folder=Path(sys.argv[1]), card=None, workers=1,
                          pacs=PacsOrder(patient_id=sys.argv[2]))
    sys.exit(command.carry_out(order))
except UserFacingError as error:
    print(error)
    sys.exit(2)
"""


def test_pacs_studies_of_a_pacs_that_was_lost_wait_for_the_next_run_and_another_search_is_another_run(
    orthanc: pacs.Orthanc,
    make_exam: Callable[..., pacs.Exam],
    proxy_to: Callable[[int], pacs.Proxy],
    tmp_path: Path,
) -> None:
    for _ in range(6):
        for file in make_exam().files:
            orthanc.add(file)
    proxy = proxy_to(orthanc.http)
    home, out = tmp_path / "home", tmp_path / "out"
    link = orthanc.web(url=f"http://localhost:{proxy.port}/dicom-web", parallel=1)
    ConnectionBook(home / "config").keep(link, secret=pacs.PASSWORD)

    def infer(patient: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", INFER, str(out), patient], cwd=ROOT, capture_output=True, text=True, check=False,
            env={**os.environ, "NEGATOSCOPE_HOME": str(home)}, timeout=240,
        )  # fmt: skip

    proxy.cut_after = 250_000  # two studies and a half; then the PACS is gone
    lost = infer()
    assert lost.returncode == 1, lost.stdout + lost.stderr
    assert "Ended early" in lost.stderr
    done = len(lines(out))
    assert done < 6
    assert {line["status"] for line in lines(out)} <= {"done"}, "nothing is known about the others"
    run = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert run["failures"]
    assert "fetched" in "".join(run["failures"].values())
    proxy.cut_after = None
    again = infer()
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(lines(out)) == 6
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["failures"] == {}
    other = infer("SECRET-17")
    assert other.returncode == 2
    assert "expected a run with PACS search" in other.stdout
    assert "SECRET" not in (out / "job.json").read_text(encoding="utf-8")
