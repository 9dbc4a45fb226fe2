"""Objects beside the images: found when a folder or zip is listed, read when the exam asks, never in the way."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from inference.exam.objects.document import read_headers, save
from inference.exam.objects.key_object import key_object_documents
from inference.exam.objects.model import CadState, Turn
from inference.exam.objects.presentation_state import ShownImage, gsps
from inference.exam.sources import FolderSource
from inference.exam.types import Exam

CREATED = datetime(2026, 11, 21, 12, 30, 5)


@pytest.fixture
def full(tmp_path: Path, phantom_folder: Path, dicom_exam: Exam, sr: SimpleNamespace) -> Path:
    folder = tmp_path / "import"
    shutil.copytree(phantom_folder, folder)
    headers = read_headers(phantom_folder, dicom_exam)
    first = dicom_exam.images[0]
    assert first.reference is not None
    place = sr.scoord(sr.CENTER, "POINT", [100, 200], sr.by_reference("SELECTED FROM", 1, 1, 1))
    found = sr.finding(sr.CLUSTER, "CONTAINS", sr.intent("111150"), place)
    ds = sr.report("111242", [first.reference.sop_instance_uid], sr.impression(sr.intent("111150"), found))
    ds.StudyInstanceUID = first.reference.study_uid
    save(ds, folder, "cad.dcm")
    shown = ShownImage(
        image=first, voi=first.presentation.vois[0], inverse=False, turn=Turn(), corners=((0, 0), (9, 9))
    )
    save(gsps(shown, headers, created=CREATED, version="0.1.0"), folder, "gsps.dcm")
    save(*key_object_documents([first], headers, created=CREATED, version="0.1.0"), folder, "ko.dcm")
    return folder


def test_mg28_mg35_objects_beside_the_images_are_listed_and_come_with_their_exam(full: Path) -> None:
    source = FolderSource(full)
    (summary,) = source.list()
    exam = source.load(summary.exam_id)
    assert len(exam.images) == 4
    told = {e.path: e for e in source.report.entries}
    for name, word in (
        ("cad.dcm", "CAD report"),
        ("gsps.dcm", "presentation state"),
        ("ko.dcm", "key objects"),
    ):
        assert told[name].listed
        assert word in told[name].sentence
    objects = source.objects(exam)
    assert [r.state for r in objects.cad] == [CadState.ALL_WITH]
    assert [s.label for s in objects.states] == ["NEGATOSCOPE"]
    assert len(objects.keys) == 1
    assert objects.problems == ()


def test_mg28_objects_in_a_zip_are_found_as_well(full: Path, tmp_path: Path) -> None:
    archive = tmp_path / "exam.zip"
    with zipfile.ZipFile(archive, "w") as bundle:
        for path in full.iterdir():
            bundle.write(path, path.name)
    source = FolderSource(archive)
    exam = source.load(source.list()[0].exam_id)
    objects = source.objects(exam)
    assert (len(objects.cad), len(objects.states), len(objects.keys)) == (1, 1, 1)
    assert set(read_headers(archive, exam)) == {
        i.reference.sop_instance_uid for i in exam.images if i.reference
    }


def test_mg28_a_report_of_another_study_is_not_given_to_this_exam(full: Path, sr: SimpleNamespace) -> None:
    ds = sr.report("111241", ["1.9.9"])
    ds.StudyInstanceUID = "1.9"
    save(ds, full, "other.dcm")
    source = FolderSource(full)
    exam = source.load(source.list()[0].exam_id)
    assert [r.name for r in source.objects(exam).cad] == ["cad.dcm"]


def test_mg30_a_damaged_report_of_this_exam_is_said_and_not_passed_over(full: Path) -> None:
    source = FolderSource(full)
    exam = source.load(source.list()[0].exam_id)
    whole = (full / "cad.dcm").read_bytes()
    (full / "cad.dcm").write_bytes(whole[: len(whole) - 37])
    objects = source.objects(exam)
    assert objects.cad == ()
    assert "cad.dcm" in objects.problems[0]
    (full / "cad.dcm").unlink()
    gone = source.objects(exam)
    assert gone.cad == ()
    assert "cad.dcm" in gone.problems[0]


def test_mg34_headers_of_pictures_are_left_out(full: Path, dicom_exam: Exam) -> None:
    bare = replace(dicom_exam, images=(replace(dicom_exam.images[0], reference=None),))
    assert read_headers(full, bare) == {}


@pytest.mark.parametrize(("named", "count"), [(True, 1), (False, 0)])
def test_mg31_a_report_without_a_study_belongs_to_an_exam_only_by_the_images_it_names(
    tmp_path: Path, phantom_folder: Path, dicom_exam: Exam, sr: SimpleNamespace, named: bool, count: int
) -> None:
    folder = tmp_path / "import"
    shutil.copytree(phantom_folder, folder)
    reference = dicom_exam.images[0].reference
    assert reference is not None
    ds = sr.report("111241", [reference.sop_instance_uid if named else "1.2.3.999"], sr.impression())
    ds.StudyInstanceUID = ""
    save(ds, folder, "cad.dcm")
    source = FolderSource(folder)
    (summary,) = source.list()
    assert len(source.objects(source.load(summary.exam_id)).cad) == count
