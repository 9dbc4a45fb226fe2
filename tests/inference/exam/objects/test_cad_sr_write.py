"""Our result as CAD SR: judged by dciodvfy and dsrdump, and read back."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from inference.__main__ import main
from inference.engine import FakeEngine
from inference.exam.objects.cad_sr_read import read_cad_sr
from inference.exam.objects.cad_sr_write import CadRun, cad_sr, state_of
from inference.exam.objects.document import read_headers, save
from inference.exam.objects.model import CadReport, CadState, Intent, ObjectError, Status
from inference.exam.types import Exam
from inference.results import ExamResult
from resources.vocabulary import FindingType, ImageKind

CREATED = datetime(2026, 11, 21, 12, 30, 5)
WEIGHTS = "5f" * 32


@pytest.fixture(scope="module")
def headers(phantom_folder: Path, dicom_exam: Exam) -> dict[str, Dataset]:
    return read_headers(phantom_folder, dicom_exam)


@pytest.fixture(scope="module")
def result(dicom_exam: Exam) -> ExamResult:
    """Four detections: R CC and R MLO are one lesion, each type once."""
    made = FakeEngine().analyse(dicom_exam, lambda _f, _t: None, lambda: False)
    types = [FindingType.MASS, FindingType.ASYMMETRY, FindingType.MASS, FindingType.ENHANCEMENT]
    by_key = dict(zip(["R-CC", "L-CC", "R-MLO", "L-MLO"], types, strict=True))
    found = tuple(
        replace(
            d, finding=by_key[d.image_key], malignancy=0.25 if d.image_key == "R-CC" else None,
            group="lesion 1" if d.image_key.startswith("R") else None,
        )
        for d in made.detections
    )  # fmt: skip
    return replace(made, detections=found)


def run_of(exam: Exam, **more: object) -> CadRun:
    return CadRun(exam=exam, model_id="dib-mg", model_version="1.0.0", weights_digest=WEIGHTS, **more)  # type: ignore[arg-type]


def states(exam: Exam, result: ExamResult) -> dict[CadState, CadRun]:
    keys = [image.key for image in exam.images]
    part = {k: result.view_scores[k] for k in keys[:3]}
    kept = tuple(d for d in result.detections if d.image_key in part)
    return {
        CadState.ALL_WITH: run_of(exam, result=result, threshold=0.5),
        CadState.ALL_WITHOUT: run_of(exam, result=replace(result, detections=())),
        CadState.SOME_WITH: run_of(exam, result=replace(result, view_scores=part, detections=kept)),
        CadState.SOME_WITHOUT: run_of(exam, result=replace(result, view_scores=part, detections=())),
        CadState.NONE_SUCCEEDED: run_of(exam, failure="the model ran out of memory"),
    }


def written(run: CadRun, headers: dict[str, Dataset], folder: Path) -> Path:
    return save(cad_sr(run, headers, created=CREATED, version="0.1.0"), folder, "cad.dcm")


def tool(*command: str) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"not run: {command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("state", list(CadState)[:5])
def test_mg34_dciodvfy_and_dsrdump_accept_the_report_in_each_of_the_five_states(
    state: CadState, dicom_exam: Exam, result: ExamResult, headers: dict[str, Dataset], tmp_path: Path
) -> None:
    path = written(states(dicom_exam, result)[state], headers, tmp_path)
    said = tool("dciodvfy", str(path))
    assert "MammographyCADSR" in said
    assert [line for line in said.splitlines() if line.startswith("Error")] == []
    printed = tool("dsrdump", "+Pn", str(path))
    assert state.value in printed
    assert "Mammography CAD Report" in printed
    assert read_cad_sr(path).state is state


def test_mg34_detections_read_back_as_they_were_written(
    dicom_exam: Exam, result: ExamResult, headers: dict[str, Dataset], tmp_path: Path
) -> None:
    report = read_cad_sr(written(run_of(dicom_exam, result=result), headers, tmp_path))
    keys = {i.reference.sop_instance_uid: i.key for i in dicom_exam.images if i.reference is not None}
    back = {keys[mark.image_uid]: mark for mark in report.marks}
    assert len(back) == 4
    for found in result.detections:
        mark = back[found.image_key]
        rows, cols = zip(*mark.outlines[0].points, strict=True)
        box = (min(rows), min(cols), max(rows), max(cols))
        # SCOORD holds 32-bit floats
        assert box == pytest.approx(
            (found.box.row0, found.box.col0, found.box.row1, found.box.col1), rel=1e-6
        )
        assert mark.center == pytest.approx(found.box.center, rel=1e-6)
        assert mark.certainty == pytest.approx(found.score, abs=1e-9)
        assert mark.probability == found.malignancy
        assert mark.finding is found.finding
    assert back["R-CC"].group == back["R-MLO"].group != back["L-CC"].group


def test_mg34_the_model_its_version_and_its_weights_are_named(
    dicom_exam: Exam, result: ExamResult, headers: dict[str, Dataset], tmp_path: Path
) -> None:
    report = read_cad_sr(written(run_of(dicom_exam, result=result), headers, tmp_path))
    assert {mark.algorithm for mark in report.marks} == {"dib-mg"}
    assert {mark.version for mark in report.marks} == {f"1.0.0; weights SHA-256 {WEIGHTS}"}
    assert report.algorithms[0].name == "dib-mg"
    assert "Research use only" in report.impression


def test_mg34_weak_detections_are_optional_at_operating_point_one(
    dicom_exam: Exam, result: ExamResult, headers: dict[str, Dataset], tmp_path: Path
) -> None:
    report = read_cad_sr(written(run_of(dicom_exam, result=result, threshold=0.5), headers, tmp_path))
    intents = {round(mark.certainty or 0, 9): mark for mark in report.marks}
    for found in result.detections:
        mark = intents[round(found.score, 9)]
        assert (mark.intent is Intent.OPTIONAL) == (found.score < 0.5)
        assert mark.operating_point == (1.0 if found.score < 0.5 else None)


def test_mg34_not_attempted_is_told_apart_from_failed(
    dicom_exam: Exam, headers: dict[str, Dataset], tmp_path: Path
) -> None:
    run = run_of(dicom_exam, failure="torch is not installed", attempted=False)
    report = read_cad_sr(written(run, headers, tmp_path))
    assert (report.state, report.detections) == (CadState.NONE_SUCCEEDED, Status.NOT_ATTEMPTED)
    failed = read_cad_sr(written(run_of(dicom_exam, failure="out of memory"), headers, tmp_path))
    assert (failed.state, failed.detections) == (CadState.NONE_SUCCEEDED, Status.FAILED)
    assert "out of memory" in failed.impression


def test_mg34_the_report_is_of_the_same_patient_and_study_and_refers_to_every_image(
    dicom_exam: Exam, result: ExamResult, headers: dict[str, Dataset]
) -> None:
    ds = cad_sr(run_of(dicom_exam, result=result), headers, created=CREATED, version="0.1.0")
    source = next(iter(headers.values()))
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
        assert ds[keyword].value == source[keyword].value
    listed = [
        at.ReferencedSOPInstanceUID
        for study in ds.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for at in series.ReferencedSOPSequence
    ]
    assert sorted(listed) == sorted(headers)


def test_mg34_pictures_that_are_no_dicom_are_refused_in_a_sentence(
    dicom_exam: Exam, result: ExamResult, headers: dict[str, Dataset]
) -> None:
    bare = replace(dicom_exam, images=(replace(dicom_exam.images[0], reference=None), *dicom_exam.images[1:]))
    with pytest.raises(
        ObjectError, match=r"pictures without identifiers \(.*\); results of such exams are saved as tables"
    ):
        cad_sr(run_of(bare, result=result), headers, created=CREATED, version="0.1.0")


def test_mg34_the_reader_of_our_report_gets_no_problem(
    dicom_exam: Exam, result: ExamResult, headers: dict[str, Dataset], tmp_path: Path
) -> None:
    report: CadReport = read_cad_sr(written(run_of(dicom_exam, result=result), headers, tmp_path))
    assert report.problems == ()


def test_mg34_a_second_image_of_a_view_and_a_recombined_one_are_no_failure(
    dicom_exam: Exam, result: ExamResult
) -> None:
    first = dicom_exam.images[0]
    more = (replace(first, qualifier="#2"), replace(first, kind=ImageKind.CESM_RECOMBINED))
    run = run_of(replace(dicom_exam, images=(*dicom_exam.images, *more)), result=result)
    assert state_of(run) == (CadState.ALL_WITH, Status.SUCCEEDED)


def test_mg34_infer_writes_reports_that_our_reader_and_dciodvfy_accept(
    phantom_folder: Path, tmp_path: Path
) -> None:
    assert main(["infer", str(phantom_folder), "--sr", str(tmp_path / "sr")]) == 0
    assert main(["infer", str(phantom_folder)]) != 0  # neither --out nor --sr
    (path,) = (tmp_path / "sr").glob("*_cad_sr.dcm")
    report = read_cad_sr(path)
    assert report.state in {CadState.ALL_WITH, CadState.ALL_WITHOUT}
    assert report.algorithms[0].name == "dib-mg"
    assert "weights SHA-256" in report.algorithms[0].version
    for written_path in (tmp_path / "sr").glob("*.dcm"):
        assert "Error" not in tool("dciodvfy", str(written_path))
    assert len(list((tmp_path / "sr").glob("*_heat_*.dcm"))) == 4
