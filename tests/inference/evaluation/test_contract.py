"""The report of ``evaluate`` on small tables worked by hand, its refusals, and pROC's published areas."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inference.__main__ import main
from inference.evaluation.compare import paired_delong
from inference.evaluation.operating import found_thresholds, measures, patients_behind
from inference.evaluation.report import Question, evaluate
from inference.metrics import delong_auc
from inference.run_output import DETECTION_COLUMNS, SCORE_COLUMNS
from reader_study.statistics.delong import auc_interval, delong_covariance
from resources.vocabulary import ImageKind

IMAGE_COLUMNS = (
    "case_id",
    "patient_id",
    "laterality",
    "view",
    "kind",
    "path",
    "spacing_mm",
    "age",
    "density",
    "pathology",
)
LESION_COLUMNS = ("case_id", "laterality", "view", "kind", "lesion_id", "type", "malignant", "x0", "y0", "x1", "y1", "x", "y", "radius", "mask_path")  # fmt: skip


def table(path: Path, columns: tuple[str, ...], rows: list[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


class Folder:
    """Five cases of two breasts, one view each: A and B malignant on the left, C benign there, D and E normal."""

    def __init__(self, root: Path) -> None:
        self.root = root
        left = {"A": "malignant", "B": "malignant", "C": "benign", "D": "normal", "E": "normal"}
        self.images: list[dict[str, object]] = [
            {
                "case_id": case, "patient_id": case, "laterality": side, "view": "CC", "kind": "ffdm",
                "path": f"{case}-{side}.png", "spacing_mm": 0.1, "age": 45 if case in "AD" else 65,
                "density": "b" if case in "ABD" else "c", "pathology": word if side == "L" else "normal",
            }
            for case, word in left.items()
            for side in "LR"
        ]  # fmt: skip
        for row in self.images:
            cv2.imwrite(str(root / str(row["path"])), np.zeros((100, 80), np.uint8))
        box = {"laterality": "L", "view": "CC", "lesion_id": "1", "x0": 10, "y0": 20, "x1": 30, "y1": 40}
        self.lesions: list[dict[str, object]] = [
            {**box, "case_id": "A", "type": "mass", "malignant": 1},
            {**box, "case_id": "B", "type": "calcification", "malignant": 1},
            {**box, "case_id": "C", "type": "mass", "malignant": 0},
        ]
        exam = {"A": 0.9, "B": 0.4, "C": 0.5, "D": 0.3, "E": 0.1}
        self.scores: list[dict[str, object]] = [
            {"case_id": case, "level": "exam", "score": score} for case, score in exam.items()
        ]
        at = {"laterality": "L", "view": "CC", "kind": "ffdm"}
        hit = {"x0": 12, "y0": 22, "x1": 28, "y1": 38}
        miss = {"x0": 50, "y0": 60, "x1": 60, "y1": 70}
        self.found: list[dict[str, object]] = [
            {**at, **hit, "case_id": "A", "path": "A-L.png", "score": 0.9},
            {**at, **miss, "case_id": "A", "path": "A-L.png", "score": 0.6},
            {**at, **hit, "case_id": "B", "path": "B-L.png", "score": 0.5},
        ]
        self.facts: dict[str, Any] = {"card_id": "dib-mg", "failures": {}}

    def write(self) -> tuple[Path, Path, Path]:
        run = self.root / "run"
        table(run / "scores.csv", SCORE_COLUMNS, self.scores)
        table(run / "detections.csv", DETECTION_COLUMNS, self.found)
        (run / "run.json").write_text(json.dumps(self.facts), encoding="utf-8")
        images = table(self.root / "images.csv", IMAGE_COLUMNS, self.images)
        return images, table(self.root / "lesions.csv", LESION_COLUMNS, self.lesions), run

    def report(self, **options: Any) -> dict[str, Any]:
        images, lesions, run = self.write()
        return evaluate(Question(manifest=images, lesions=lesions, run=run, rounds=100, **options))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_command_prints_the_contracts_object_and_nothing_else(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    images, lesions, run = folder.write()
    words = [
        "evaluate",
        str(images),
        "--lesions",
        str(lesions),
        "--run",
        str(run),
        "--json",
        "--rounds",
        "50",
    ]
    assert main(words) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report) == [
        "auc",
        "froc",
        "pointing_game",
        "dice",
        "operating_points",
        "subgroups",
        "warnings",
    ]
    entry = report["auc"]["exam"]["all"]
    assert set(entry) == {"value", "lo", "hi", "n_pos", "n_neg"}
    # positives 0.9, 0.4 against 0.5, 0.3, 0.1: 3 + 2 of 6 pairs
    assert entry["value"] == pytest.approx(5 / 6)
    assert (entry["n_pos"], entry["n_neg"]) == (2, 3)
    rates = report["froc"]["centre"]["all"]
    assert {"0.05", "0.1", "0.2", "0.3", "0.5", "1", "2", "4", "n_lesions", "n_images"} <= set(rates)
    assert (rates["n_lesions"], rates["n_images"]) == (3, 10)
    # one false mark of 0.6 in ten images: B's lesion (0.5) is found from 0.1 on
    assert rates["0.05"] == pytest.approx(1 / 3, abs=1e-6)
    assert rates["0.1"] == pytest.approx(2 / 3, abs=1e-6)
    assert report["froc"]["iou"]["mass"]["4"] == 0.5
    assert report["froc"]["centre"]["calcification"]["n_lesions"] == 1


def test_types_restrict_the_positives_and_keep_all_negatives(folder: Folder) -> None:
    auc = folder.report()["auc"]["exam"]
    assert auc["mass"]["value"] == 1.0
    assert (auc["mass"]["n_pos"], auc["mass"]["n_neg"]) == (1, 3)
    assert auc["calcification"]["value"] == pytest.approx(2 / 3)


def test_benign_is_left_out_where_negatives_are_normal(folder: Folder) -> None:
    auc = folder.report(negatives="normal")["auc"]["exam"]["all"]
    assert (auc["value"], auc["n_neg"]) == (1.0, 2)


def test_operating_point_by_hand_at_one_half(folder: Folder) -> None:
    point = folder.report()["operating_points"]["exam"]["0.5"]
    # called: A (true), C (false); missed: B; cleared: D, E
    for name, value in {
        "sensitivity": 1 / 2, "specificity": 2 / 3, "ppv": 1 / 2, "npv": 2 / 3, "accuracy": 3 / 5, "f1": 1 / 2,
    }.items():  # fmt: skip
        assert point[name]["value"] == pytest.approx(value, abs=1e-6), name
        assert point[name]["lo"] <= value + 1e-6 <= point[name]["hi"] + 2e-6
    named = folder.report()["operating_points"]["exam"]
    assert "balanced" in named  # of the model's card, which run.json names


def test_thresholds_of_other_data_are_judged_and_shared_patients_are_said(
    folder: Folder, tmp_path: Path
) -> None:
    images, lesions, run = folder.write()
    question = Question(
        manifest=images, lesions=lesions, run=run, rounds=20, thresholds_run=run, thresholds_manifest=images
    )
    report = evaluate(question)
    youden = report["operating_points"]["exam"]["youden"]
    assert youden["threshold"] == pytest.approx(0.4)  # sensitivity 1, specificity 2/3
    assert "on run, 2 positive and 3 negative" in youden["how_set"]
    assert report["operating_points"]["exam"]["high specificity"]["specificity"]["value"] == 1.0
    assert any("5 patients are in both" in sentence for sentence in report["warnings"])


def test_circles_masks_and_boxes_give_the_same_figures(folder: Folder) -> None:
    before = folder.report()["froc"]
    mask = np.zeros((100, 80), np.uint8)
    mask[20:40, 10:30] = 250
    mask[0, 0] = 90  # noise of a JPEG mask: below half of the range
    cv2.imwrite(str(folder.root / "mask.png"), mask)
    empty = dict.fromkeys(("x0", "y0", "x1", "y1"), "")
    folder.lesions[0] |= {**empty, "mask_path": "mask.png"}
    folder.lesions[1] |= {**empty, "x": 20, "y": 30, "radius": 10}
    assert folder.report()["froc"] == before


def test_dice_takes_the_outline_of_the_strongest_hit(folder: Folder) -> None:
    mask = np.zeros((100, 80), np.uint8)
    mask[20:40, 10:30] = 255
    cv2.imwrite(str(folder.root / "mask.png"), mask)
    folder.lesions[0]["mask_path"] = folder.lesions[1]["mask_path"] = "mask.png"
    folder.found[0]["outline"] = "10,20 30,20 30,40 10,40"
    dice = folder.report()["dice"]
    assert dice["mass"]["value"] == 1.0
    assert dice["all"]["n"] == 2
    assert dice["all"]["n_found"] == 1
    assert dice["calcification"]["value"] == 0.0  # not outlined counts as nothing


def test_pointing_game_asks_where_the_highest_pixel_of_a_cancers_map_lies(folder: Folder) -> None:
    maps = folder.root / "run" / "heatmaps"
    maps.mkdir(parents=True)
    for case, at in {"A": (30, 20), "B": (70, 70), "C": (70, 70)}.items():
        values = np.zeros((100, 80), np.uint16)
        values[at] = 60000
        cv2.imwrite(str(maps / f"{case}_L-CC.png"), values)
    pointing = folder.report()["pointing_game"]
    assert pointing["all"]["value"] == 0.5
    assert pointing["all"]["n"] == 2  # C's lesion is benign
    assert (pointing["mass"]["value"], pointing["calcification"]["value"]) == (1.0, 0.0)


def test_subgroups_hold_age_density_type_and_size(folder: Folder) -> None:
    groups = folder.report()["subgroups"]
    assert groups["age"]["40-49"]["exam"]["n_pos"] == 1
    assert groups["density"]["b"]["exam"]["n_neg"] == 1
    assert groups["type"]["mass"]["exam"]["n_neg"] == 3
    assert groups["size"]["0-10 mm"]["exam"]["n_pos"] == 2  # 20 pixels of 0.1 mm


def test_the_area_in_birads_4_is_that_of_the_exams_of_this_category(folder: Folder) -> None:
    """A (0.9) and B (0.4) have a cancer, C (0.5) has none: of the two pairs in category 4 one is in order."""
    _, _, run = folder.write()
    said = {"A": "4B", "B": "BI-RADS 4", "C": "4", "D": "1", "E": "2/1"}
    graded = [{**row, "birads": said[str(row["case_id"])]} for row in folder.images]
    images = table(folder.root / "graded.csv", (*IMAGE_COLUMNS, "birads"), graded)
    lesions = folder.root / "lesions.csv"
    report = evaluate(Question(manifest=images, lesions=lesions, run=run, rounds=100))
    found = report["subgroups"]["birads"]
    assert found["BI-RADS 4"]["exam"]["value"] == 0.5
    assert (found["BI-RADS 4"]["exam"]["n_pos"], found["BI-RADS 4"]["exam"]["n_neg"]) == (2, 1)
    up = [{**row, "birads": "5" if row["case_id"] == "B" else ""} for row in folder.lesions]
    table(lesions, (*LESION_COLUMNS, "birads"), up)
    report = evaluate(Question(manifest=images, lesions=lesions, run=run, rounds=100))
    raised = report["subgroups"]["birads"]["BI-RADS 4"]["exam"]  # the lesion's own category wins
    assert raised["value"] == 1.0


@pytest.mark.parametrize(
    ("where", "row", "cells", "sentence"),
    [
        ("scores", 0, {"score": 1.4}, "scores.csv, row 2, score: expected 0..1, found 1.4"),
        ("scores", 0, {"score": "high"}, "scores.csv, row 2, score: expected 0..1, found 'high'"),
        ("scores", 0, {"score": "nan"}, "scores.csv, row 2, score: expected 0..1, found 'nan'"),
        ("scores", 1, {"case_id": "A"}, "scores.csv, row 3, case_id: expected one score of level exam for A"),
        ("scores", 2, {"level": "woman"}, "scores.csv, row 4, level: expected view, breast, exam, lesion"),
        ("found", 0, {"score": -0.1}, "detections.csv, row 2, score: expected 0..1, found -0.1"),
        ("found", 1, {"x1": 40}, "detections.csv, row 3, x1: expected x1 > x0"),
        ("found", 1, {"type": "lump"}, "detections.csv, row 3, type: expected mass, calcification"),
        ("found", 0, {"outline": "1,2 3,4 1e9,5"}, "detections.csv, row 2, outline: expected corners in or near"),
        ("found", 0, {"outline": "1,2 3"}, "detections.csv, row 2, outline: expected corners as x,y, found '3'"),
    ],
)  # fmt: skip
def test_a_wrong_cell_is_refused_by_file_row_and_column(
    folder: Folder,
    where: str,
    row: int,
    cells: dict[str, object],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    getattr(folder, where)[row] |= cells
    images, lesions, run = folder.write()
    assert main(["evaluate", str(images), "--lesions", str(lesions), "--run", str(run), "--json"]) == 1
    said = capsys.readouterr().out.strip()
    assert said.startswith(sentence)
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("where", "row", "cells", "sentence"),
    [
        ("scores", 0, {"case_id": "Z"}, "scores.csv, row 2, case_id: expected a case of images.csv, found 'Z'"),
        ("scores", 0, {"score": ""}, "scores.csv, row 2, score: expected 0..1, found none"),
        ("found", 0, {"case_id": "Z"}, "detections.csv, row 2, case_id: expected a case of images.csv, found 'Z'"),
        ("lesions", 0, {"case_id": "Z"}, "lesions.csv, row 2, case_id: expected a case of images.csv, found 'Z'"),
        ("lesions", 0, {"view": "MLO"}, "lesions.csv, row 2, view: expected a view of images.csv, found L MLO"),
        ("lesions", 0, {"mask_path": "none.png"}, "Lesions row 2, mask_path: expected the file none.png, found none"),
        ("images", 0, {"pathology": "bad"}, "images.csv, row 2, pathology: expected normal, benign or malignant"),
    ],
)  # fmt: skip
def test_a_row_that_fits_nothing_is_left_out_and_named(
    folder: Folder, where: str, row: int, cells: dict[str, object], sentence: str
) -> None:
    getattr(folder, where)[row] |= cells
    assert any(said.startswith(sentence) for said in folder.report()["warnings"])


def test_images_that_the_model_did_not_read_are_counted_and_named_with_the_rule(folder: Folder) -> None:
    assert not any("not read by the model" in sentence for sentence in folder.report()["warnings"])
    folder.facts["unread"] = {"A": {"L-CC": "L CC: the image is blank."}, "D": {"R-CC": "R CC: inverted."}}
    folder.facts["failures"] = {"C": "it could not be decoded."}
    report = folder.report()
    (told,) = [sentence for sentence in report["warnings"] if "not read by the model" in sentence]
    assert told == (
        "froc: 4 of 10 images were not read by the model (first A L CC: L CC: the image is blank). False positives per "
        "image are over all images, these too, and their 2 lesions count as missed; run.json names each."
    )
    assert report["froc"]["centre"]["all"]["n_images"] == 10


def test_of_a_view_taken_twice_only_the_unread_image_is_counted(folder: Folder) -> None:
    second = {**folder.images[0], "path": "A-L2.png"}
    cv2.imwrite(str(folder.root / "A-L2.png"), np.zeros((100, 80), np.uint8))
    folder.images.append(second)
    folder.facts["unread"] = {"A": {"L-CC#2": "L CC: there is more than one image of this view."}}
    (told,) = [sentence for sentence in folder.report()["warnings"] if "not read by the model" in sentence]
    assert told.startswith("froc: 1 of 11 images")


def test_a_kind_that_the_run_leaves_unread_is_said(folder: Folder) -> None:
    for row in list(folder.images):
        folder.images.append({**row, "kind": "cesm_recombined", "path": f"r-{row['path']}"})
        cv2.imwrite(str(folder.root / f"r-{row['path']}"), np.zeros((100, 80), np.uint8))
        row["kind"] = "cesm_low"
    for found in folder.found:
        found["kind"] = "cesm_low"
    for lesion in folder.lesions:
        lesion["kind"] = ""  # every kind of that view
    report = folder.report()
    assert report["froc"]["centre"]["all"]["n_lesions"] == 6
    assert any("kind cesm_recombined; their 3 lesions count as missed" in said for said in report["warnings"])
    alone = folder.report(kinds=(ImageKind.CESM_LOW,))["froc"]["centre"]["all"]
    assert (alone["n_lesions"], alone["n_images"]) == (3, 10)


def test_a_view_taken_twice_may_have_two_scores_and_counts_once_by_the_higher(folder: Folder) -> None:
    twice = {**folder.images[0], "path": "A-L2.png"}
    folder.images.append(twice)
    view = {"level": "view", "laterality": "L", "view": "CC", "kind": "ffdm"}
    folder.scores += [
        {**view, "case_id": case, "score": score} for case, score in (("A", 0.2), ("A", 0.9), ("C", 0.5))
    ]
    report = folder.report()
    assert report["auc"]["view"]["all"] == {"value": 1.0, "lo": None, "hi": None, "n_pos": 1, "n_neg": 1}
    assert any(
        "1 of level view have several scores; the highest was taken" in said for said in report["warnings"]
    )


def test_missing_scores_are_counted_and_named(folder: Folder) -> None:
    folder.scores.pop()
    report = folder.report()
    assert report["auc"]["exam"]["all"]["n_neg"] == 2
    assert any("found none for 1 (first E)" in sentence for sentence in report["warnings"])


def test_a_breast_of_unknown_pathology_is_no_negative(folder: Folder) -> None:
    folder.images[6]["pathology"] = ""  # D, left
    report = folder.report()
    assert report["auc"]["exam"]["all"]["n_neg"] == 2
    assert any("pathology is not known for 1" in sentence for sentence in report["warnings"])


def test_lesion_level_scores_are_judged_against_the_lesions_own_malignancy(folder: Folder) -> None:
    folder.scores += [
        {"case_id": case, "level": "lesion", "laterality": "L", "view": "CC", "kind": "ffdm", "lesion_id": "1",
         "score": score}
        for case, score in {"A": 0.8, "B": 0.2, "C": 0.5}.items()
    ]  # fmt: skip
    auc = folder.report()["auc"]["lesion"]
    assert auc["all"]["value"] == 0.5
    assert (auc["all"]["n_pos"], auc["all"]["n_neg"]) == (2, 1)
    assert auc["mass"]["value"] == 1.0  # against the benign mass
    assert "calcification" not in auc  # no benign one


def test_readable_tables_and_a_markdown_page_with_its_command(
    folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, lesions, run = folder.write()
    page = tmp_path / "page.md"
    words = ["evaluate", str(images), "--lesions", str(lesions), "--run", str(run), "--markdown", str(page)]
    monkeypatch.setattr("sys.argv", ["negatoscope", *words])
    assert main([*words, "--rounds", "20"]) == 0
    shown = capsys.readouterr().out
    assert "AUC" in shown
    assert "0.833" in shown
    text = page.read_text(encoding="utf-8")
    assert text.splitlines()[2].startswith("Made by `negatoscope evaluate ")
    assert str(tmp_path) not in text
    assert "| exam | all | 0.833 " in text


def test_comparison_pairs_the_runs_by_case_and_patient(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    images, lesions, run = folder.write()
    folder.root = folder.root / "second"
    folder.root.mkdir()
    for row in folder.scores:
        row["score"] = 1 - float(str(row["score"]))
    folder.found = []
    _, _, other = folder.write()
    words = [
        "compare",
        str(run),
        str(other),
        str(images),
        "--lesions",
        str(lesions),
        "--json",
        "--rounds",
        "50",
    ]
    assert main(words) == 0
    report = json.loads(capsys.readouterr().out)
    exam = report["auc"]["exam"]["all"]
    assert (exam["a"], exam["b"]) == (pytest.approx(5 / 6, abs=1e-6), pytest.approx(1 / 6, abs=1e-6))
    assert exam["difference"]["value"] == pytest.approx(4 / 6, abs=1e-6)
    gap = report["froc"]["centre"]["all"]["0.2"]["difference"]
    assert gap["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert gap["lo"] <= gap["value"] <= gap["hi"]


def test_calibrating_a_score_that_tells_nothing_says_so(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    images, _, run = folder.write()
    words = ["calibrate", str(images), "--run", str(run), "--json"]
    assert main(words) == 0  # 5 of 6 pairs, but two positives: the interval reaches below 0.5
    report = json.loads(capsys.readouterr().out)
    assert any("does not tell malignant from other" in said for said in report["warnings"])
    for row, score in zip(folder.scores, (0.9, 0.8, 0.3, 0.2, 0.1), strict=True):
        row["score"] = score
    folder.write()
    assert main(words) == 0
    assert not [s for s in json.loads(capsys.readouterr().out)["warnings"] if "does not tell" in s]


def test_a_run_against_itself_differs_by_nothing(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    images, lesions, run = folder.write()
    assert (
        main(
            [
                "compare",
                str(run),
                str(run),
                str(images),
                "--lesions",
                str(lesions),
                "--json",
                "--rounds",
                "20",
            ]
        )
        == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert report["auc"]["exam"]["all"]["difference"] == {
        "value": 0.0,
        "lo": None,
        "hi": None,
        "z": None,
        "p": None,
    }
    assert report["froc"]["iou"]["all"]["area"]["difference"] == {
        "value": 0.0,
        "lo": None,
        "hi": None,
        "p": 1.0,
    }


def test_ablations_are_rows_against_the_first_run_on_a_page_with_its_command(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images, lesions, run = folder.write()
    page = tmp_path / "page.md"
    words = ["compare", str(run), str(run), str(images), "--lesions", str(lesions), "--also", str(run)]
    words += ["--rounds", "20", "--markdown", str(page)]
    monkeypatch.setattr("sys.argv", ["negatoscope", *words])
    assert main(words) == 0
    text = page.read_text(encoding="utf-8")
    assert text.splitlines()[2].startswith("Made by `negatoscope compare ")
    assert text.count("| run | 0.667 | 0.000 (no interval) |") == 2
    assert main([*words, "--rate", "7"]) == 1
    assert "--rate: expected one of 0.05" in capsys.readouterr().out


@pytest.mark.data
def test_areas_and_paired_tests_equal_the_figures_that_proc_publishes(data_root: Path) -> None:
    expected = json.loads((data_root / "mrmc" / "asah.expected.json").read_text(encoding="utf-8"))
    with (data_root / "mrmc" / "asah.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    truth = np.array([row["outcome"] == "Poor" for row in rows])
    scores = {name: np.array([float(row[name]) for row in rows]) for name in ("wfns", "s100b", "ndka")}
    for name, values in scores.items():
        found = delong_auc(truth, values)
        assert [found.lo, found.value, found.hi] == pytest.approx(
            expected["per_marker"][name]["ci95_delong"], abs=1e-9
        )
    for pair in ("wfns_vs_s100b", "wfns_vs_ndka", "ndka_vs_s100b"):
        published = expected["published_test_values"][pair]
        first, second = pair.split("_vs_")
        made = paired_delong(truth, scores[first], scores[second])
        assert made["z"] == pytest.approx(published["Z"], rel=1e-6)
        assert made["p"] == pytest.approx(published["p"], rel=1e-6)
        assert [made["lo"], made["hi"]] == pytest.approx(published["ci"], rel=1e-6)


def test_delong_agrees_with_the_reader_studies_own() -> None:
    rng = np.random.default_rng(6)
    truth = rng.random(90) < 0.4
    scores = np.round(rng.normal(truth * 1.0, 1.0, (2, 90)), 1)
    theirs = auc_interval(scores[0], truth)
    mine = delong_auc(truth, scores[0])
    assert [mine.value, mine.lo, mine.hi] == pytest.approx([theirs.auc, theirs.lower, theirs.upper])
    covariance = delong_covariance(scores, truth)
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    gap = paired_delong(truth, scores[0], scores[1])
    assert gap["z"] is not None
    assert gap["value"] is not None
    assert gap["z"] == pytest.approx(gap["value"] / error)


def test_measures_weigh_cases_and_say_nothing_where_a_denominator_is_zero() -> None:
    truth, called = np.array([True, False]), np.array([True, False])
    assert measures(truth, called, np.array([3.0, 1.0])).tolist() == [1.0] * 6
    assert patients_behind(truth, called, ["a", "b"]) == (1, 1, 1, 1, 2, None)
    assert np.isnan(measures(truth, ~truth & called, np.array([3.0, 0.0]))[[1, 2]]).all()


def test_no_threshold_is_found_where_a_class_is_missing() -> None:
    assert found_thresholds("exam", [], "nowhere") == []
