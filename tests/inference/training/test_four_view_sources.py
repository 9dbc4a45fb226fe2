"""Exams for the four-view training from a manifest: truth on the canvas, split by woman, unlabelled ones last."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from inference.exam.phantom import PhantomExam, PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_manifest
from inference.exam.types import InferenceError
from inference.training.four_view_command import TrainingOrder, ordered_exams, ordered_recipe
from inference.training.four_view_data import PreparedExam, prepared_phantom
from inference.training.four_view_measures import ImageResult, Mark
from inference.training.four_view_report import draw_curves, overlay
from inference.training.four_view_sources import ManifestExams, write_left_out
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


def _changed(folder: Path, name: str, change: Callable[[dict[str, str]], None]) -> Path:
    """A copy of the images table, each row changed."""
    images, _ = _tables(folder)
    rows = list(csv.DictReader(images.read_text(encoding="utf-8").splitlines()))
    for row in rows:
        row.setdefault("split", "")
        row.setdefault("spacing_mm", "")
        change(row)
    table = folder / name
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return table


def _case_of(folder: Path, pathology: str) -> str:
    """A case of which every breast has this pathology."""
    images, _ = _tables(folder)
    found: dict[str, set[str]] = {}
    for row in csv.DictReader(images.read_text(encoding="utf-8").splitlines()):
        found.setdefault(row["case_id"], set()).add(row["pathology"])
    return next(case for case, words in found.items() if words == {pathology})


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A copy of the manifest that a test may spoil; one woman validates."""
    home = tmp_path / "own"
    shutil.copytree(folder, home)
    return home


def _split(row: dict[str, str]) -> None:
    row["split"] = "validation" if row["case_id"].endswith("20") else "train"


def test_no_woman_learns_and_validates_and_exams_without_any_truth_come_last(
    own: Path, tmp_path: Path
) -> None:
    bare = _case_of(own, "normal")

    def change(row: dict[str, str]) -> None:
        if row["case_id"] == bare:
            row["pathology"] = ""

    exams = ManifestExams(_changed(own, "bare.csv", change), _tables(own)[1], tmp_path, PIPELINE)
    learning = [exams.exam(n) for n in range(exams.count)]
    assert exams.unlabelled == 1
    assert [exam.labelled for exam in learning] == [True] * (exams.count - 1) + [False]
    assert learning[-1].case_id == bare
    without = ManifestExams(own / "bare.csv", _tables(own)[1], tmp_path, PIPELINE, unlabelled=False)
    assert (without.count, without.unlabelled, without.trained_on.unused) == (exams.count - 1, 0, 1)
    held = {exam.case_id for exam in exams.validation()}
    assert held
    assert not held & {exam.case_id for exam in learning}


def test_exams_without_truth_of_women_held_out_are_not_learnt_from_either(own: Path, tmp_path: Path) -> None:
    bare = _case_of(own, "normal")

    def change(row: dict[str, str]) -> None:
        _split(row)
        if row["case_id"] == bare:
            row["pathology"], row["split"] = "", "validation"

    exams = ManifestExams(_changed(own, "held.csv", change), _tables(own)[1], tmp_path, PIPELINE)
    assert exams.unlabelled == 0
    assert all(exams.exam(n).case_id != bare for n in range(exams.count))
    assert all(exam.case_id != bare for exam in exams.validation())


def test_a_damaged_image_and_a_blank_one_are_left_out_with_the_reason_and_the_run_goes_on(
    own: Path, tmp_path: Path
) -> None:
    table = _changed(own, "split.csv", _split)
    rows = [
        r for r in csv.DictReader(table.read_text(encoding="utf-8").splitlines()) if r["split"] == "train"
    ]
    damaged, blank = rows[0], rows[-1]
    (own / damaged["path"]).write_bytes(b"no image at all")
    header = pydicom.dcmread(own / blank["path"])
    header.PixelData = b"\0" * len(header.PixelData)
    header.save_as(own / blank["path"])
    exams = ManifestExams(table, _tables(own)[1], tmp_path, PIPELINE)
    whole = {n: len(exams.exam(n).slots) for n in range(exams.count)}
    assert sum(whole.values()) == len(rows) - 2
    said = {(x.case_id, x.what): x.why for x in exams.left_out}
    assert said[damaged["case_id"], damaged["path"]]
    assert any(case == blank["case_id"] and "blank" in why for (case, _), why in said.items())
    write_left_out(exams.left_out, tmp_path / "left_out.csv")
    assert damaged["path"] in (tmp_path / "left_out.csv").read_text(encoding="utf-8")
    again = ManifestExams(table, _tables(own)[1], tmp_path, PIPELINE)  # all from the cache
    assert again.left_out == exams.left_out


def test_a_table_of_which_half_cannot_be_read_is_refused_with_the_first_reason(
    own: Path, tmp_path: Path
) -> None:
    table = _changed(own, "split.csv", _split)
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    spoilt = sorted({row["case_id"] for row in rows if row["split"] == "train"})[:2]
    for row in rows:
        if row["case_id"] in spoilt:
            (own / row["path"]).write_bytes(b"no image at all")
    with pytest.raises(InferenceError, match=r"at most 25% .* found 2 of 4; .* The first: "):
        ManifestExams(table, _tables(own)[1], tmp_path, PIPELINE)
    assert ManifestExams(table, _tables(own)[1], tmp_path, PIPELINE, most_left_out=0.5).count == 2


def test_a_table_without_a_lesion_to_validate_with_is_refused_before_the_first_step(
    own: Path, tmp_path: Path
) -> None:
    bare = _case_of(own, "normal")

    def change(row: dict[str, str]) -> None:
        row["split"] = "validation" if row["case_id"] == bare else "train"

    with pytest.raises(InferenceError, match="expected a lesion to find among the 1 exams to validate with"):
        ManifestExams(_changed(own, "bare.csv", change), _tables(own)[1], tmp_path, PIPELINE)


def test_exams_with_and_without_a_lesion_validate_in_turn_however_the_table_is_sorted(
    own: Path, tmp_path: Path
) -> None:
    def change(row: dict[str, str]) -> None:
        row["split"] = "train" if row["case_id"].endswith("20") else "validation"

    table = _changed(own, "sorted.csv", change)
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    normal = {c for c in {r["case_id"] for r in rows} if c[-2:] in {"22", "24"}}
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: row["case_id"] not in normal))  # the normal ones first
    exams = ManifestExams(table, _tables(own)[1], tmp_path, PIPELINE)
    assert [bool(exam.lesions) for exam in exams.validation()] == [True, False, True, False]


def test_a_lesion_that_cannot_be_placed_takes_its_view_out_of_training(own: Path, tmp_path: Path) -> None:
    lesions = _tables(own)[1]
    rows = list(csv.DictReader(lesions.read_text(encoding="utf-8").splitlines()))
    row = next(r for r in rows if not r["case_id"].endswith("20"))
    row |= {"x0": "90000", "y0": "90000", "x1": "90010", "y1": "90010"}
    with lesions.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    exams = ManifestExams(_changed(own, "split.csv", _split), lesions, tmp_path, PIPELINE)
    exam = next(e for e in (exams.exam(n) for n in range(exams.count)) if e.case_id == row["case_id"])
    assert len(exam.slots) == 3
    assert any("taught as background" in x.why and x.case_id == row["case_id"] for x in exams.left_out)


def test_the_cache_knows_a_changed_image_another_spacing_another_side_and_another_folder(
    own: Path, tmp_path: Path
) -> None:
    cache, lesions = tmp_path / "cache", _tables(own)[1]

    def first(change: Callable[[dict[str, str]], None], home: Path = own) -> PreparedExam:
        def both(row: dict[str, str]) -> None:
            _split(row)
            change(row)

        exams = ManifestExams(_changed(home, "cached.csv", both), lesions, cache, PIPELINE)
        return next(e for e in (exams.exam(n) for n in range(exams.count)) if e.case_id.endswith("22"))

    def same(_row: dict[str, str]) -> None:
        pass

    def swapped(row: dict[str, str]) -> None:
        row["laterality"] = {"L": "R", "R": "L"}[row["laterality"]]

    before = first(same)
    assert before.slots == first(same).slots
    other = first(swapped)
    assert sum(not np.array_equal(a, b) for a, b in zip(before.planes, other.planes, strict=False)) > 0
    path = next(p for p in sorted(own.rglob("*.dcm")) if "22" in p.relative_to(own).as_posix())
    header = pydicom.dcmread(path)
    header.PixelData = np.flipud(header.pixel_array).tobytes()
    header.save_as(path)
    changed = first(same)
    assert changed.planes.shape != before.planes.shape or not np.array_equal(changed.planes, before.planes)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(own, elsewhere)
    files = len(list(cache.rglob("*.npz")))
    first(same, elsewhere)
    assert len(list(cache.rglob("*.npz"))) > files


def test_a_damaged_cache_file_is_made_again(own: Path, tmp_path: Path) -> None:
    exams = ManifestExams(_changed(own, "split.csv", _split), _tables(own)[1], tmp_path / "cache", PIPELINE)
    before = exams.exam(0)
    for path in (tmp_path / "cache").rglob("*.npz"):
        path.write_bytes(path.read_bytes()[:100])
    np.testing.assert_array_equal(exams.exam(0).planes, before.planes)


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
