"""Exams for the four-view training from a manifest: truth on the canvas, split by woman, unlabelled ones last."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from inference.exam.phantom import PhantomExam, PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_manifest
from inference.exam.types import InferenceError
from inference.training.four_view_command import TrainingOrder, ordered_exams, ordered_recipe
from inference.training.four_view_data import prepared_phantom
from inference.training.four_view_measures import ImageResult, Mark
from inference.training.four_view_report import draw_curves, overlay
from inference.training.four_view_sources import ManifestExams
from resources.vocabulary import FindingType, Pathology

PIPELINE = "four-view/1"


@pytest.fixture(scope="module")
def phantoms() -> list[PhantomExam]:
    kinds = (Pathology.MALIGNANT, Pathology.BENIGN, Pathology.NORMAL, Pathology.MALIGNANT, Pathology.NORMAL)
    return [phantom_exam(PhantomSpec(seed=20 + n, pixel_mm=0.4, pathology=p)) for n, p in enumerate(kinds)]


@pytest.fixture(scope="module")
def folder(phantoms: list[PhantomExam], tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("manifest")
    write_manifest(phantoms, home)
    return home


def _tables(folder: Path) -> tuple[Path, Path]:
    found = {path.name: path for path in folder.glob("*.csv")}
    lesions = next(path for name, path in found.items() if "lesion" in name)
    images = next(path for name, path in found.items() if "lesion" not in name)
    return images, lesions


def test_a_manifest_gives_the_truth_that_the_phantom_has(
    phantoms: list[PhantomExam], folder: Path, tmp_path: Path
) -> None:
    exams = ManifestExams(*_tables(folder), tmp_path, PIPELINE)
    read = {exam.case_id: exam for exam in (exams.exam(n) for n in range(exams.count))}
    read |= {exam.case_id: exam for exam in exams.validation()}
    assert len(read) == len(phantoms)
    for phantom in phantoms:
        expected = prepared_phantom(phantom, PIPELINE)
        found = next(exam for case, exam in read.items() if case.endswith(str(phantom.spec.seed)))
        np.testing.assert_array_equal(found.planes, expected.planes)
        assert len(found.lesions) == len(expected.lesions)
        for lesion in expected.lesions:
            same = [
                x for x in found.lesions
                if x.view == lesion.view and np.allclose(x.box, lesion.box, atol=1.6)
            ]  # fmt: skip
            assert len(same) == 1
            assert (same[0].finding, same[0].malignant) == (lesion.finding, lesion.malignant)


def test_no_woman_learns_and_validates_and_exams_without_any_truth_come_last(
    folder: Path, tmp_path: Path
) -> None:
    images, lesions = _tables(folder)
    rows = list(csv.DictReader(images.read_text(encoding="utf-8").splitlines()))
    with_lesions = {
        row["case_id"] for row in csv.DictReader(lesions.read_text(encoding="utf-8").splitlines())
    }
    bare = next(row["case_id"] for row in rows if row["case_id"] not in with_lesions)
    for row in rows:
        row["path"] = str(Path(row["path"]))
        if row["case_id"] == bare:
            row["pathology"] = ""
    table = folder / "unlabelled.csv"
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    exams = ManifestExams(table, lesions, tmp_path, PIPELINE)
    table.unlink()
    learning = [exams.exam(n) for n in range(exams.count)]
    assert exams.unlabelled == 1
    assert [exam.labelled for exam in learning] == [True] * (exams.count - 1) + [False]
    assert learning[-1].case_id == bare
    held = {exam.case_id for exam in exams.validation()}
    assert held
    assert not held & {exam.case_id for exam in learning}


def test_a_manifest_without_a_lesions_table_is_refused_by_the_command(folder: Path, tmp_path: Path) -> None:
    order = TrainingOrder(out=tmp_path, cache=tmp_path, manifest=_tables(folder)[0])
    with pytest.raises(InferenceError, match="expected --lesions"):
        ordered_exams(order, ordered_recipe(order))
    assert ordered_recipe(TrainingOrder(out=tmp_path, cache=tmp_path, steps=7, member=2)).member == 2


def test_a_report_draws_truth_and_marks_and_the_curves(phantoms: list[PhantomExam], tmp_path: Path) -> None:
    exam = prepared_phantom(phantoms[0], PIPELINE)
    mark = Mark(box=(40.0, 30.0, 80.0, 90.0), score=0.9, finding=FindingType.MASS, malignancy=0.5)
    images = [ImageResult(case_id="x", lesions=(), marks=(mark,)) for _ in exam.slots]
    picture = overlay(exam, images)
    assert picture.shape == (exam.planes.shape[2], 4 * exam.planes.shape[3], 3)
    assert (picture[40, 30:91] == (40, 140, 255)).all()
    history = [
        {"step": 20, "rate": 1e-3, "total": 2.0, "type": 1.0, "loss_objectness": 0.5},
        {"step": 20, "validation_sensitivity": 0.4, "validation_malignancy_auc": 0.7},
    ]
    draw_curves(json.loads(json.dumps(history)), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5000
