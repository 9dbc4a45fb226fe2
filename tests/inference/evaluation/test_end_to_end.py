"""infer, then evaluate and calibrate, on phantoms and on real images, with the model that ships."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from inference.__main__ import main
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_manifest
from resources.vocabulary import Pathology

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Six phantoms of coarse pixels, half of them with a cancer, and the run of the shipped model."""
    folder = tmp_path_factory.mktemp("phantoms")
    wanted = (Pathology.MALIGNANT, Pathology.NORMAL)
    exams = [
        phantom_exam(PhantomSpec(seed=seed, pixel_mm=0.5, pathology=wanted[seed % 2]))
        for seed in range(700, 706)
    ]
    write_manifest(exams, folder)
    run = folder / "run"
    words = ["infer", str(folder / "images.csv"), "--out", str(run), "--heatmaps", "--floor", "0.01"]
    assert main(words) == 0
    return folder, run


def test_a_phantom_run_gives_every_figure_of_the_contract(
    judged: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, run = judged
    words = [
        "evaluate",
        str(folder / "images.csv"),
        "--lesions",
        str(folder / "lesions.csv"),
        "--run",
        str(run),
    ]
    assert main([*words, "--json", "--rounds", "50"]) == 0
    report = json.loads(capsys.readouterr().out)
    with (folder / "images.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (folder / "lesions.csv").open(encoding="utf-8", newline="") as stream:
        marks = list(csv.DictReader(stream))
    for rule in ("centre", "iou"):
        assert report["froc"][rule]["all"]["n_images"] == len(rows) == 24
        assert report["froc"][rule]["all"]["n_lesions"] == len(marks)
    malignant = {row["case_id"] for row in rows if row["pathology"] == "malignant"}
    assert report["auc"]["exam"]["all"]["n_pos"] == len(malignant) == 3
    cancers = {(m["case_id"], m["laterality"], m["view"]) for m in marks if m["malignant"] == "1"}
    assert report["pointing_game"]["all"]["n"] == len(cancers)
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["floor"] == 0.01
    assert not any("threshold (lowest" in sentence for sentence in report["warnings"])


def test_calibrate_chooses_a_map_and_draws_it_twice(
    judged: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, run = judged
    plot = tmp_path / "plot.png"
    words = [
        "calibrate",
        str(folder / "images.csv"),
        "--run",
        str(run),
        "--level",
        "view",
        "--plot",
        str(plot),
        "--json",
    ]
    assert main(words) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["held_out"]) == {"none", "temperature", "platt", "isotonic"}
    best = min(report["held_out"], key=lambda name: report["held_out"][name]["log_loss"])
    assert report["chosen"]["method"] == best
    assert plot.is_file()
    assert (tmp_path / "plot-dark.png").is_file()


def test_calibrate_with_too_few_cases_is_one_sentence(
    judged: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, run = judged
    lines = (folder / "images.csv").read_text(encoding="utf-8").splitlines()
    few = folder / "few.csv"
    few.write_text("\n".join(lines[:5]) + "\n", encoding="utf-8")
    assert main(["calibrate", str(few), "--run", str(run), "--json"]) == 1
    said = capsys.readouterr().out.strip()
    assert len(said.splitlines()) == 1
    assert "two or more patients with a positive" in said


@pytest.mark.data
def test_real_films_go_from_the_published_set_to_a_report(
    data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, folder = data_root / "mammograms" / "mias", tmp_path / "mias"
    names = ("mdb001", "mdb002", "mdb057", "mdb058")
    with (source / "labels.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["Name"] in names]
    folder.mkdir()
    for name in {row["Name"] for row in rows}:
        (folder / f"{name}.png").write_bytes((source / "images" / f"{name}.png").read_bytes())
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    out = tmp_path / "out"
    assert main(["datasets", "prepare", "mias", str(folder), "--out", str(out)]) == 0
    assert main(["infer", str(out / "images.csv"), "--out", str(tmp_path / "run"), "--heatmaps"]) == 0
    capsys.readouterr()
    words = [
        "evaluate",
        str(out / "images.csv"),
        "--lesions",
        str(out / "lesions.csv"),
        "--run",
        str(tmp_path / "run"),
    ]
    assert main([*words, "--json", "--rounds", "50"]) == 0
    report = json.loads(capsys.readouterr().out)
    images = {row["Name"] for row in rows}
    assert report["froc"]["centre"]["all"]["n_images"] == len(images)
    assert report["froc"]["centre"]["all"]["n_lesions"] == sum(row["x"].isdigit() for row in rows)
    assert report["operating_points"]["exam"]["0.5"]["n_neg"] > 0
