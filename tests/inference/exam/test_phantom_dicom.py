"""Phantoms as files: valid DICOM by an independent checker, the same pixels back, manifests that agree."""

from __future__ import annotations

import csv
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from inference.exam.manifest import read_manifest
from inference.exam.phantom import PhantomError, PhantomExam, PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import patient_orientation, write_manifest, write_phantom_dicom
from inference.exam.sources import FolderSource
from resources.vocabulary import Laterality, Pathology


def make(seed: int, *, cesm: bool = False) -> PhantomExam:
    return phantom_exam(PhantomSpec(seed=seed, pixel_mm=0.8, cesm=cesm, pathology=Pathology.MALIGNANT))


@pytest.mark.parametrize("cesm", [False, True])
def test_dciodvfy_reports_no_error(tmp_path: Path, cesm: bool) -> None:
    tool = shutil.which("dciodvfy")
    if tool is None:
        pytest.skip("not run: dciodvfy (Debian's dicom3tools) is not installed")
    for path in write_phantom_dicom(make(1, cesm=cesm), tmp_path, processing=True):
        done = subprocess.run([tool, str(path)], capture_output=True, text=True, check=False)
        told = done.stdout + done.stderr
        assert told.startswith("MammographyImageFor"), told  # the checker knew the object
        assert not [line for line in told.splitlines() if line.startswith("Error")], told


def test_the_file_holds_the_pixels_and_header_of_the_image(tmp_path: Path) -> None:
    exam = make(4)
    for path, image in zip(write_phantom_dicom(exam, tmp_path), exam.exam.images, strict=True):
        ds = pydicom.dcmread(path)
        assert np.array_equal(ds.pixel_array, image.pixels)
        assert ds.SOPInstanceUID == image.source_id
        assert ds.ImageLaterality == image.view.laterality.value
        assert ds.ViewCodeSequence[0].CodingSchemeDesignator == "SCT"
        assert ds.PatientName == "PHANTOM^4"
        assert ds.PixelPaddingValue == 0
        assert ds.VOILUTFunction == "SIGMOID"
        assert len(ds.WindowCenter) == 3


def test_writing_twice_gives_the_same_bytes_and_no_two_images_share_a_uid(tmp_path: Path) -> None:
    first = write_phantom_dicom(make(8, cesm=True), tmp_path / "a", processing=True)
    again = write_phantom_dicom(make(8, cesm=True), tmp_path / "b", processing=True)
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]
    headers = [pydicom.dcmread(p, stop_before_pixels=True) for p in first]
    assert len({h.SOPInstanceUID for h in headers}) == len(first)
    assert len({h.StudyInstanceUID for h in headers}) == 1
    assert all(len(h.SOPInstanceUID) <= 64 for h in headers)


def test_patient_orientation_tells_where_the_chest_wall_lies_in_the_file(tmp_path: Path) -> None:
    seen = set()
    for seed in range(8):
        for image in make(seed).exam.images:
            along, down = patient_orientation(image)
            wall = image.pixels[:, -1] if along == "P" else image.pixels[:, 0]
            assert (wall > 0).mean() > 0.3
            assert down.endswith("L" if image.view.laterality is Laterality.RIGHT else "R")
            seen.add((image.view.laterality, along))
    assert (Laterality.RIGHT, "A") in seen
    assert (Laterality.RIGHT, "P") in seen


def test_cem01_low_energy_and_recombined_are_told_apart_by_image_type(tmp_path: Path) -> None:
    paths = write_phantom_dicom(make(2, cesm=True), tmp_path)
    words = [pydicom.dcmread(p, stop_before_pixels=True).ImageType[3] for p in paths]
    assert words == ["LOW_ENERGY", "RECOMBINED"] * 4


def test_the_for_processing_image_is_brighter_where_less_tissue_lies(tmp_path: Path) -> None:
    exam = make(3)
    raw = write_phantom_dicom(exam, tmp_path, processing=True)[4:]
    for path, line in zip(raw, exam.line_integrals.values(), strict=True):
        ds = pydicom.dcmread(path)
        assert ds.PresentationIntentType == "FOR PROCESSING"
        counts = ds.pixel_array.astype(float)
        inside = line > 0.5
        assert np.abs(np.log(16000 / counts[inside]) - line[inside]).max() < 0.02
        assert (counts[line == 0] == 16000).all()


def test_the_manifest_names_every_image_and_its_boxes_hold_the_lesion_in_the_file(tmp_path: Path) -> None:
    exams = [make(1), make(2, cesm=True)]
    path = write_manifest(exams, tmp_path)
    images = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    lesions = list(csv.DictReader((tmp_path / "lesions.csv").read_text(encoding="utf-8").splitlines()))
    assert len(images) == 4 + 8
    assert all((tmp_path / row["path"]).is_file() for row in images)
    assert len(lesions) == sum(len(x.views) for e in exams for x in e.lesions)
    for row in lesions:
        match = [i for i in images if all(i[k] == row[k] for k in ("case_id", "laterality", "view", "kind"))]
        assert len(match) == 1
        pixels = pydicom.dcmread(tmp_path / match[0]["path"]).pixel_array
        x, y = (float(row["x0"]) + float(row["x1"])) / 2, (float(row["y0"]) + float(row["y1"])) / 2
        assert pixels[int(y), int(x)] > 30


@pytest.mark.parametrize("cesm", [False, True])
def test_mg01_the_reader_gives_back_the_exam_that_was_written(tmp_path: Path, cesm: bool) -> None:
    """View, side, kind, orientation, spacing, padding and every pixel survive the file (MG-01..08, CEM-01)."""
    for seed in (1, 2, 3):
        made = make(seed, cesm=cesm)
        write_phantom_dicom(made, tmp_path / str(seed))
        source = FolderSource(tmp_path / str(seed))
        (summary,) = source.list()
        read = source.load(summary.exam_id)
        assert read.digest == made.exam.digest
        wanted = {image.key: image for image in made.exam.images}
        for image in read.images:
            assert image.orientation == wanted[image.key].orientation
            assert image.presentation.padding == wanted[image.key].presentation.padding
            assert image.spacing is not None
            assert image.spacing.row_mm == made.spec.pixel_mm


def test_the_manifest_is_read_back_by_the_manifest_reader(tmp_path: Path) -> None:
    exam = make(2, cesm=True)
    manifest = read_manifest(write_manifest([exam], tmp_path), tmp_path / "lesions.csv")
    assert len(manifest.images) == 8
    assert len(manifest.lesions) == sum(len(x.views) for x in exam.lesions)


def test_a_folder_that_cannot_be_made_is_told_in_one_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(PhantomError, match="expected a writable folder"):
        write_phantom_dicom(make(1), blocked / "inner")
