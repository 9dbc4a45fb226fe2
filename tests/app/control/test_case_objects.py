"""Saving DICOM objects from the exam list: what is said, and what a picture or a failed AI makes of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from app.control.case_objects import ObjectWriter, load_with_objects
from app.control.tasks import InlineTaskRunner
from app.state.ai_view import AiView
from app.state.cad import cad_overlay
from inference.engine import FakeEngine
from inference.exam.objects.cad_sr_read import read_cad_sr
from inference.exam.objects.model import CadMark, CadReport, CadState, Status
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource
from inference.exam.types import Exam
from reader_study.clock import ManualClock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=4, pixel_mm=1.0)), tmp_path / "in")
    return tmp_path / "in"


def loaded(folder: Path) -> Exam:
    source = FolderSource(folder)
    return load_with_objects(source, source.list()[0].exam_id).exam


def writer(folder: Path, said: list[str]) -> ObjectWriter:
    return ObjectWriter(
        root=folder, runner=InlineTaskRunner(), clock=ManualClock(), version="0.1.0", say=said.append
    )


def test_mg34_a_failed_ai_is_saved_as_failed_and_never_as_without_findings(
    folder: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    exam = loaded(folder)
    writer(folder, said).save_ai(
        exam, AiView(failure="AI not available: out of memory"), tmp_path / "o", threshold=0.5
    )
    report = read_cad_sr(next((tmp_path / "o").glob("*.dcm")))
    assert (report.state, report.detections) == (CadState.NONE_SUCCEEDED, Status.FAILED)
    assert "out of memory" in report.impression
    assert said[0].startswith("Saved ")


def test_mg34_an_ai_that_still_works_is_not_saved(folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    writer(folder, said).save_ai(loaded(folder), AiView(working="AI: waiting"), tmp_path / "o", threshold=0.5)
    assert said == ["The AI has not answered yet; save its result when it has."]
    assert not (tmp_path / "o").exists()


def test_mg34_pictures_that_are_no_dicom_get_a_sentence_and_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "png"
    folder.mkdir()
    data = cv2.imencode(".png", np.full((300, 200), 900, np.uint16))[1]
    (folder / "1_R-MLO.png").write_bytes(data.tobytes())
    said: list[str] = []
    exam = loaded(folder)
    result = FakeEngine().analyse(exam, lambda _f, _t: None, lambda: False)
    writer(folder, said).save_ai(exam, AiView(result=result), tmp_path / "o", threshold=0.5)
    assert "pictures without identifiers" in said[0]
    assert not (tmp_path / "o").exists()
    writer(folder, said).save_keys(exam, exam.images, tmp_path / "o")
    assert "nothing was saved" in said[1]


def test_starting_the_window_does_not_import_what_only_saving_needs() -> None:
    code = "import sys, app.views.main_window; print('highdicom' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("preserved", "drawn"), [("YES", True), ("NO", False), ("REORIENT_ONLY", False), (None, False)]
)
def test_mg31_a_report_on_the_raw_image_is_drawn_on_the_shown_one_only_where_positions_are_kept(
    preserved: str | None, drawn: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=4, pixel_mm=1.0)), folder)
    raw_uid = "1.2.826.0.1.77"
    shown = next(folder.glob("R-CC*.dcm"))
    ds = dcmread(shown)
    source = Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.2.1", raw_uid
    if preserved is not None:
        source.SpatialLocationsPreserved = preserved
    ds.SourceImageSequence = [source]
    ds.save_as(shown)
    exam = loaded(folder)
    mark = CadMark(mark_id="1", image_uid=raw_uid, finding=None, meaning="Density", center=(50.0, 60.0))
    report = CadReport(uid="1.1", state=CadState.ALL_WITH, marks=(mark,), name="cad.dcm")
    overlay = cad_overlay([report], exam.images)
    assert list(overlay.items) == (["R-CC"] if drawn else [])
    assert drawn == (overlay.notes == ())
    if not drawn:
        assert "R-CC" in overlay.notes[0]
        assert "not drawn" in overlay.notes[0]
