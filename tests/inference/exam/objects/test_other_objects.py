"""Key objects, heat maps and presentation states: judged by dciodvfy and dsrdump, read back, and damaged."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from inference.engine import FakeEngine
from inference.exam.dicom import load_view
from inference.exam.objects.document import read_headers, save
from inference.exam.objects.heat_map import heat_map_image
from inference.exam.objects.key_object import key_object_documents, read_key_objects
from inference.exam.objects.model import Graphic, ObjectError, Turn
from inference.exam.objects.presentation_state import ShownImage, gsps, read_presentation_state
from inference.exam.sources import FolderSource
from inference.exam.types import Exam

CREATED = datetime(2026, 11, 21, 12, 30, 5)


@pytest.fixture(scope="module")
def headers(phantom_folder: Path, dicom_exam: Exam) -> dict[str, Dataset]:
    return read_headers(phantom_folder, dicom_exam)


def tool(*command: str) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"not run: {command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_mg35_key_images_are_written_and_read_back(
    dicom_exam: Exam, headers: dict[str, Dataset], tmp_path: Path
) -> None:
    chosen = dicom_exam.images[1:3]
    (ds,) = key_object_documents(
        chosen, headers, created=CREATED, version="0.1.0", description="for discussion"
    )
    path = save(ds, tmp_path, "ko.dcm")
    assert "Error" not in tool("dciodvfy", str(path))
    assert "Of Interest" in tool("dsrdump", str(path))
    back = read_key_objects(path)
    assert back.title == "Of Interest"
    assert back.description == "for discussion"
    assert set(back.image_uids) == {i.reference.sop_instance_uid for i in chosen if i.reference}
    with pytest.raises(ObjectError, match="nothing was saved"):
        key_object_documents([], headers, created=CREATED, version="0.1.0")


def test_mg34_the_heat_map_is_an_object_of_its_own_over_its_source(
    dicom_exam: Exam, headers: dict[str, Dataset], tmp_path: Path
) -> None:
    result = FakeEngine().analyse(dicom_exam, lambda _f, _t: None, lambda: False)
    heat = result.heatmaps[0]
    image = next(i for i in dicom_exam.images if i.key == heat.image_key)
    path = save(
        heat_map_image(heat, image, result, headers, created=CREATED, version="0.1.0"), tmp_path, "h.dcm"
    )
    assert "Error" not in tool("dciodvfy", str(path))
    ds = dcmread(path)
    source = ds.SourceImageSequence[0]
    assert image.reference is not None
    assert source.ReferencedSOPInstanceUID == image.reference.sop_instance_uid
    assert source.SpatialLocationsPreserved == "YES"
    assert (ds.Rows, ds.Columns) == image.pixels.shape
    wanted = cv2.resize(heat.values, image.pixels.shape[::-1], interpolation=cv2.INTER_LINEAR)
    pixels = load_view(path, "h.dcm", view=image.view).pixels  # our own JPEG-LS reader
    slope = ds.RealWorldValueMappingSequence[0].RealWorldValueSlope
    assert np.abs(pixels * slope - np.clip(wanted, 0, 1)).max() <= 0.5 / 255 + 1e-6


def test_mg34_a_heat_map_over_a_picture_is_refused(dicom_exam: Exam, headers: dict[str, Dataset]) -> None:
    result = FakeEngine().analyse(dicom_exam, lambda _f, _t: None, lambda: False)
    bare = replace(dicom_exam.images[0], reference=None)
    with pytest.raises(ObjectError, match="saved as PNG only"):
        heat_map_image(result.heatmaps[0], bare, result, headers, created=CREATED, version="0.1.0")


def _gsps(exam: Exam, headers: dict[str, Dataset]) -> Dataset:
    image = exam.images[0]
    shown = ShownImage(
        image=image, voi=image.presentation.vois[0], inverse=False, turn=Turn(), corners=((0, 0), (9, 9))
    )
    return gsps(shown, headers, created=CREATED, version="0.1.0")


def _no_images(ds: Dataset) -> None:
    ds.ReferencedSeriesSequence = []


def _other_class(ds: Dataset) -> None:
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.11.2"


def _shutter_without_edges(ds: Dataset) -> None:
    ds.ShutterShape = "RECTANGULAR"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_no_images, "names its images, found none"),
        (_other_class, "found SOP class"),
        (_shutter_without_edges, "found damage"),
    ],
)
def test_mg35_a_damaged_presentation_state_gets_a_sentence(
    harm: Callable[[Dataset], None], said: str, dicom_exam: Exam, headers: dict[str, Dataset], tmp_path: Path
) -> None:
    ds = _gsps(dicom_exam, headers)
    harm(ds)
    with pytest.raises(ObjectError, match=said):
        read_presentation_state(save(ds, tmp_path, "bad.dcm"))
    with pytest.raises(ObjectError, match=r"bad\.dcm"):
        read_presentation_state(b"\0" * 400, "bad.dcm")


def test_mg35_a_picture_has_no_presentation_state(dicom_exam: Exam, headers: dict[str, Dataset]) -> None:
    bare = replace(dicom_exam, images=(replace(dicom_exam.images[0], reference=None),))
    with pytest.raises(ObjectError, match="picture without identifiers"):
        _gsps(bare, headers)


def test_mg35_headers_that_lack_what_objects_need_and_two_studies_are_no_obstacle(
    dicom_exam: Exam, headers: dict[str, Dataset], tmp_path: Path
) -> None:
    bare: dict[str, Dataset] = {}
    for number, (uid, header) in enumerate(headers.items()):
        ds = Dataset()
        ds.update(header)
        for keyword in ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyTime"):
            if keyword in ds:
                del ds[keyword]
        ds.PatientName, ds.StudyInstanceUID = "P_00173_RIGHT_CC", f"1.2.{number % 2}"  # as in the film sets
        bare[uid] = ds
    made = key_object_documents(dicom_exam.images, bare, created=CREATED, version="0.1.0")
    assert len(made) == 2
    for number, ds in enumerate([*made, _gsps(dicom_exam, bare)]):
        assert "Error" not in tool("dciodvfy", str(save(ds, tmp_path, f"{number}.dcm")))


def test_mg34_a_heat_map_copies_no_orientation_that_is_none(
    dicom_exam: Exam, headers: dict[str, Dataset], tmp_path: Path
) -> None:
    result = FakeEngine().analyse(dicom_exam, lambda _f, _t: None, lambda: False)
    uid = dicom_exam.images[0].source_id
    odd = Dataset()
    odd.update(headers[uid])
    odd.PatientOrientation = "CC"  # as in the film sets
    ds = heat_map_image(
        result.heatmaps[0], dicom_exam.images[0], result, {uid: odd}, created=CREATED, version="0.1.0"
    )
    assert "Error" not in tool("dciodvfy", str(save(ds, tmp_path, "h.dcm")))


def test_mg34_a_heat_map_saved_beside_its_image_is_listed_and_never_hung(
    dicom_exam: Exam, headers: dict[str, Dataset], phantom_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "exam"
    shutil.copytree(phantom_folder, folder)
    result = FakeEngine().analyse(dicom_exam, lambda _f, _t: None, lambda: False)
    image = next(i for i in dicom_exam.images if i.key == result.heatmaps[0].image_key)
    ds = heat_map_image(result.heatmaps[0], image, result, headers, created=CREATED, version="0.1.0")
    save(ds, folder, f"heat_{image.key}.dcm")  # a name that says side and view
    source = FolderSource(folder)
    assert len(source.load(source.list()[0].exam_id).images) == 4
    entry = next(e for e in source.report.entries if e.path.startswith("heat_"))
    assert entry.listed
    assert "heat map" in entry.sentence


def test_mg35_words_in_any_script_are_kept_beside_a_name_in_latin_1(
    dicom_exam: Exam, headers: dict[str, Dataset], tmp_path: Path
) -> None:
    """The image may be in ISO_IR 100; what a reader writes on it is not bound to that."""
    image = dicom_exam.images[0]
    latin = tmp_path / "latin.dcm"
    source = Dataset()
    source.update(headers[image.source_id])
    source.SpecificCharacterSet, source.PatientName = "ISO_IR 100", "Müller^Änne"
    source.file_meta = headers[image.source_id].file_meta
    source.save_as(latin, enforce_file_format=True)
    read = dcmread(latin, stop_before_pixels=True)
    note = Graphic(kind="TEXT", points=((20.0, 30.0),), text="乳头")
    shown = ShownImage(
        image=image,
        voi=image.presentation.vois[0],
        inverse=False,
        turn=Turn(),
        corners=((0, 0), (9, 9)),
        graphics=(note,),
    )
    path = save(gsps(shown, {image.source_id: read}, created=CREATED, version="0.1.0"), tmp_path, "words.dcm")
    assert "Error" not in tool("dciodvfy", str(path))
    back = dcmread(path)
    assert str(back.PatientName) == "Müller^Änne"
    assert read_presentation_state(path).images[0].graphics[0].text == "乳头"
