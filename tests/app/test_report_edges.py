"""Pictures of the cases read wrongly, from real exam files to the page; and the command that prints the PDF."""

from __future__ import annotations

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtGui import QImage
from typer.testing import CliRunner

from app.cli import app
from app.report_edges import pictures_of_errors
from app.state.case_pictures import CaseLesion, CaseMark, box_corners, small_views
from app.views.case_pictures import LABEL_PX, LESION, case_picture
from inference.exam.phantom import phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.phantom_spec import PhantomSpec
from inference.exam.sources import FolderSource
from reader_study.errors import StudyError
from reader_study.report.error_section import errors, pictured_cases
from reader_study.report.inputs import Localised, ReportInputs
from reader_study.report.page import Picture, Report, to_html
from reader_study.statistics.localisation import Outline, Rule
from reader_study.statistics.ratings import ratings_from_rows
from resources.vocabulary import Pathology

BOX = (200.0, 100.0, 300.0, 180.0)


@pytest.fixture(scope="module")
def exams(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exams")
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=11, pixel_mm=0.4, pathology=Pathology.MALIGNANT)), folder / "one")  # fmt: skip
    return folder


@pytest.fixture
def exam(exams):
    source = FolderSource(exams)
    return source.load(source.list()[0].exam_id)


@pytest.fixture
def study():
    """C0 has cancer that every reader misses; C1 to C5 are read rightly, C1 is without disease."""
    rows = [
        (reader, arm, f"C{k}", int(k % 2 == 0), 10.0 if k % 2 or k == 0 else 90.0)
        for reader in ("R1", "R2") for arm in ("aided", "unaided") for k in range(6)
    ]  # fmt: skip
    outline = Outline(case="C0", lesion="1", view="R-CC", box=BOX, spacing_mm=(0.4, 0.4))
    localised = Localised(marks=(), outlines=(outline,), rule=Rule(radius_mm=20.0))
    return ReportInputs(
        title="T", study_id="T", ratings=ratings_from_rows(rows), cut=50.0, localised=localised
    )


def _export(folder, exam_id, digest):
    folder.mkdir()
    with (folder / "cases.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("case_id", "exam_id", "exam_digest"), ("C0", exam_id, digest)])
    with (folder / "findings.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([
            ("case_id", "reader_id", "arm_id", "period", "status", "image_key", "row", "col"),
            ("C0", "R1", "aided", "1", "kept", "R-CC", "120.5", "90.5"), ("C0", "R1", "aided", "1", "removed", "R-CC", "9", "9"),
        ])  # fmt: skip
    return folder


def _coloured(content, colour):
    """(row, col) of the pixels near a colour."""
    image = QImage.fromData(content).convertToFormat(QImage.Format.Format_RGB32)
    values = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    wanted = np.array([int(colour[k : k + 2], 16) for k in (5, 3, 1)])  # blue, green, red
    return np.argwhere(np.abs(values[:, :, :3].astype(int) - wanted).max(axis=2) < 70)


def test_the_cases_pictured_are_those_of_the_list_of_errors(study):
    assert pictured_cases(study) == ("C0",)
    assert pictured_cases(replace(study, cut=None)) == ()


def test_the_lesion_is_outlined_where_it_lies_on_the_hung_picture(qapp, exam):
    image = next(one for one in exam.images if one.key == "R-CC")
    views = small_views(exam, [CaseLesion(image_key="R-CC", corners=box_corners(BOX))], [])
    assert [view.name for view in views] == ["R CC", "L CC", "R MLO", "L MLO"]
    yellow = _coloured(case_picture(views), LESION)
    rows, cols = image.pixels.shape
    assert not image.orientation.transpose
    scale = views[0].grey.shape[0] / rows, views[0].grey.shape[1] / cols
    row, col = (BOX[0] + BOX[2]) / 2, (BOX[1] + BOX[3]) / 2
    row = rows - row if image.orientation.flip_rows else row
    col = cols - col if image.orientation.flip_cols else col
    middle = (yellow.min(axis=0) + yellow.max(axis=0)) / 2
    assert middle == pytest.approx((row * scale[0] + LABEL_PX, col * scale[1]), abs=2.5)
    extent = yellow.max(axis=0) - yellow.min(axis=0)
    assert extent == pytest.approx(((BOX[2] - BOX[0]) * scale[0], (BOX[3] - BOX[1]) * scale[1]), abs=4)


def test_views_with_text_burned_into_the_pixels_are_left_out(exam):
    named = tuple(
        replace(one, header={**one.header, "BurnedInAnnotation": "YES"}) if one.key == "R-CC" else one
        for one in exam.images
    )
    views = small_views(replace(exam, images=named), [], [CaseMark(image_key="R-CC", at=(1, 1), arm=0, reader="R1")])  # fmt: skip
    assert [view.name for view in views] == ["L CC", "R MLO", "L MLO"]


def test_a_case_read_wrongly_is_pictured_from_its_files_and_stands_in_the_page(
    qapp, study, exam, exams, tmp_path
):
    export = _export(tmp_path / "export", exam.exam_id, exam.digest)
    made = pictures_of_errors(study, export, exams)
    assert set(made) == {"C0"}
    assert len(_coloured(made["C0"], "#E69F00")) > 10, (
        "the mark that was kept, in the colour of the aided arm"
    )
    assert made == pictures_of_errors(study, export, exams)
    section = errors(replace(study, pictures=made))
    pictured = [part for part in section.parts if isinstance(part, Picture)]
    assert [part.title for part in pictured] == ["Case C0, missed"]
    page = to_html(Report(title="T", subtitle="", warning="", sections=(section,)))
    assert page.count("src='data:image/jpeg;base64,") == 1
    assert exam.exam_id not in page
    assert not [part for part in errors(study).parts if isinstance(part, Picture)]


def test_another_exam_than_the_one_that_was_read_is_never_pictured(qapp, study, exam, exams, tmp_path):
    with pytest.raises(StudyError, match="found none of them"):
        pictures_of_errors(study, _export(tmp_path / "a", exam.exam_id, "0" * 64), exams)
    with pytest.raises(StudyError, match="found none of them"):
        pictures_of_errors(study, _export(tmp_path / "b", "E-other", exam.digest), exams)
    (tmp_path / "c").mkdir()
    with pytest.raises(StudyError, match="export the study again"):
        pictures_of_errors(study, tmp_path / "c", exams)


@pytest.mark.data
def test_the_command_writes_the_pdf_beside_the_page(data_root, tmp_path):
    source = data_root / "mrmc" / "vandyke.csv"
    done = CliRunner().invoke(app, ["analyse", str(source), "--out", str(tmp_path / "r"), "--pdf"])
    assert done.exit_code == 0, done.output
    pdf = (tmp_path / "r" / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b(?!s)", pdf)) > 5
    refused = CliRunner().invoke(app, ["analyse", str(source), "--out", str(tmp_path / "q"), "--exams", str(tmp_path)])  # fmt: skip
    assert refused.exit_code != 0
    assert not (tmp_path / "q").exists()
