"""Given lesions: placed in their images, scored by a model that can, declined in a sentence by one that cannot."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from inference.__main__ import main
from inference.batch.work import LESIONS_UNUSED
from inference.exam.manifest import exams_of, load_case, read_manifest
from inference.exam.types import Box, Exam
from inference.lesions import (
    FakeLesionEngine,
    LesionEngine,
    LesionScore,
    LesionsNotRead,
    given_lesions,
    mask_of,
)
from inference.run_output import RunOutput
from inference.worker import EngineSpec, WorkerEngine, _work
from resources.vocabulary import ImageKind, Laterality, Projection


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    assert main(["phantoms", "--count", "2", "--seed", "31", "--pixel-mm", "0.6", "--out", str(folder)]) == 0
    return folder


def exam_of(folder: Path, case: str) -> Exam:
    manifest = read_manifest(folder / "images.csv")
    return load_case(case, dict(exams_of(manifest))[case], folder)


def test_a_tables_lesions_are_placed_in_their_images_and_scored_as_rows_of_level_lesion(
    phantoms: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(phantoms / "images.csv", phantoms / "lesions.csv")
    assert manifest.lesions
    case = manifest.lesions[0].case_id
    exam = exam_of(phantoms, case)
    lesions, notes = given_lesions(exam, case, manifest.lesions, phantoms)
    assert notes == ()
    assert len(lesions) == sum(mark.case_id == case for mark in manifest.lesions)
    engine = FakeLesionEngine()
    assert isinstance(engine, LesionEngine)
    scores = _work(engine, (exam, lesions), lambda f, t: None, lambda: False)
    assert isinstance(scores, tuple)
    output = RunOutput(tmp_path)
    output.add_lesions(case, scores)
    output.write()
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["level"] for row in rows] == ["lesion"] * len(lesions)
    assert rows[0]["lesion_id"] == manifest.lesions[0].lesion_id
    assert rows[0]["view"] == manifest.lesions[0].view.projection.value


def test_an_engine_without_the_port_declines_and_the_worker_lives_on(phantoms: Path) -> None:
    manifest = read_manifest(phantoms / "images.csv", phantoms / "lesions.csv")
    case = manifest.lesions[0].case_id
    exam = exam_of(phantoms, case)
    lesions, _ = given_lesions(exam, case, manifest.lesions, phantoms)
    worker = WorkerEngine(EngineSpec())
    try:
        with pytest.raises(LesionsNotRead, match="scores no given lesions"):
            worker.score_lesions(exam, lesions, lambda f, t: None, lambda: False)
        assert worker.analyse(exam, lambda f, t: None, lambda: False).detections
    finally:
        worker.close()


def test_infer_says_once_that_its_model_reads_no_lesions_and_does_the_rest(
    phantoms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["infer", str(phantoms / "images.csv"), "--lesions", str(phantoms / "lesions.csv")]
    assert main([*words, "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count(LESIONS_UNUSED) == 1
    run = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert run["warnings"]["--lesions"] == [LESIONS_UNUSED]
    assert len(run["seconds_per_exam"]) == 2


def test_infer_with_a_lesions_table_that_is_not_there_is_one_sentence(
    phantoms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "infer",
        str(phantoms / "images.csv"),
        "--lesions",
        str(tmp_path / "no.csv"),
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(words) == 1
    said = capsys.readouterr().out.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith("no.csv: expected a manifest")


def test_masks_circles_and_boxes_land_in_stored_pixels_and_strays_are_named(
    phantoms: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(phantoms / "images.csv")
    first = manifest.images[0]
    exam = exam_of(phantoms, first.case_id)
    image = next(i for i in exam.images if i.view == first.view)
    rows, cols = image.pixels.shape
    mask = np.zeros((rows, cols), np.uint8)
    mask[5:9, 3:10] = 200
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    cv2.imwrite(str(tmp_path / "odd.png"), np.full((10, 10), 255, np.uint8))
    side, view = first.view.laterality.value, first.view.projection.value
    start = f"{first.case_id},{side},{view},"
    table = tmp_path / "lesions.csv"
    table.write_text(
        "case_id,laterality,view,lesion_id,type,x0,y0,x1,y1,x,y,radius,mask_path\n"
        f"{start}box,mass,1,2,6,8,,,,\n"
        f"{start}circle,mass,,,,,20,30,4,\n"
        f"{start}mask,mass,,,,,,,,mask.png\n"
        f"{start}beside,mass,{cols + 5},2,{cols + 9},8,,,,\n"
        f"{start}odd,mass,,,,,,,,odd.png\n"
        f"{first.case_id},{side},LM,absent,mass,1,2,6,8,,,,\n",
        encoding="utf-8",
    )
    entries = read_manifest(phantoms / "images.csv", table).lesions
    lesions, notes = given_lesions(exam, first.case_id, entries, tmp_path)
    boxes = {lesion.lesion_id: lesion.box for lesion in lesions}
    assert boxes == {
        "box": Box(row0=2, col0=1, row1=8, col1=6),
        "circle": Box(row0=26, col0=16, row1=34, col1=24),
        "mask": Box(row0=5, col0=3, row1=9, col1=10),
    }
    assert [note.split(":")[0] for note in notes] == ["Lesions row 5", "Lesions row 6", "Lesions row 7, view"]
    assert "found one beside it" in notes[0]
    assert f"expected {rows} x {cols} pixels as in the image, found 10 x 10" in notes[1]


def test_the_upper_half_of_a_masks_range_is_lesion() -> None:
    jpeg = np.array([[0, 12, 127, 128, 243, 255]], np.uint16)
    assert mask_of(jpeg).tolist() == [[False, False, False, True, True, True]]
    assert mask_of(np.array([[0, 1]], np.uint16)).tolist() == [[False, True]]
    assert not mask_of(np.zeros((2, 2), np.uint16)).any()


def test_a_lesion_score_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected 0\.\.1, found 1\.2"):
        LesionScore(lesion_id="1", laterality=Laterality.LEFT, score=1.2,
                    view=Projection.CC, kind=ImageKind.FFDM)  # fmt: skip
