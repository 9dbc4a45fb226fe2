"""The commands write what the contract says, on a real folder of phantoms and on bad input."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import dcmread

from inference.__main__ import main
from inference.run_output import DETECTION_COLUMNS, SCORE_COLUMNS


@pytest.fixture(scope="module")
def phantom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    assert main(["phantoms", "--count", "2", "--seed", "31", "--pixel-mm", "0.5", "--out", str(folder)]) == 0
    return folder


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_infer_on_a_manifest_writes_scores_boxes_maps_and_facts(phantom_folder: Path, tmp_path: Path) -> None:
    manifest = next(p for p in phantom_folder.rglob("*.csv") if "lesion" not in p.name)
    assert main(["infer", str(manifest), "--out", str(tmp_path), "--heatmaps"]) == 0
    scores = _rows(tmp_path / "scores.csv")
    assert tuple(scores[0]) == SCORE_COLUMNS
    cases = {row["case_id"] for row in _rows(manifest)}
    for case in cases:
        levels = [row["level"] for row in scores if row["case_id"] == case]
        assert sorted(levels) == ["breast"] * 2 + ["exam"] + ["view"] * 4
    assert all(0.0 <= float(row["score"]) <= 1.0 for row in scores)
    detections = tmp_path / "detections.csv"
    assert detections.read_text(encoding="utf-8").splitlines()[0] == ",".join(DETECTION_COLUMNS)
    pngs = sorted((tmp_path / "heatmaps").glob("*.png"))
    assert len(pngs) == 4 * len(cases)
    heat = cv2.imread(str(pngs[0]), cv2.IMREAD_UNCHANGED)
    stored = dcmread(next(phantom_folder.rglob("*.dcm")))
    assert heat.dtype == np.uint16
    assert heat.shape == (stored.Rows, stored.Columns)
    run = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert run["card_id"] == "dib-mg"
    assert set(run["seconds_per_exam"]) == cases
    assert run["failures"] == {}


def test_infer_names_the_case_that_cannot_be_read_and_does_the_rest(
    phantom_folder: Path, tmp_path: Path
) -> None:
    manifest = next(p for p in phantom_folder.rglob("*.csv") if "lesion" not in p.name)
    lines = manifest.read_text(encoding="utf-8").splitlines()
    broken = manifest.parent / "broken-manifest.csv"
    try:
        header = lines[0].split(",")
        bad = dict.fromkeys(header, "")
        bad |= {
            "case_id": "lost",
            "patient_id": "p",
            "laterality": "L",
            "view": "CC",
            "kind": "ffdm",
            "path": "no.dcm",
        }
        text = "\n".join([*lines, ",".join(bad[name] for name in header)]) + "\n"
        broken.write_text(text, encoding="utf-8")
        assert main(["infer", str(broken), "--out", str(tmp_path)]) == 1
    finally:
        broken.unlink()
    run = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert list(run["failures"]) == ["lost"]
    assert run["failures"]["lost"].startswith("The images of this exam: not there, or cannot be opened.")
    assert "no.dcm" not in json.dumps(run)
    assert len(run["seconds_per_exam"]) == 2


def test_infer_with_an_unknown_model_says_which_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["infer", str(tmp_path), "--model", "nothing", "--out", str(tmp_path)]) == 1
    assert "dib-mg" in capsys.readouterr().out


@pytest.mark.parametrize(("device", "words"), [("tpu", "expected cpu, cuda"), ("cuda:99", "CUDA device")])
def test_infer_on_a_device_that_is_not_there_is_one_sentence_before_any_exam(
    phantom_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], device: str, words: str
) -> None:
    out = tmp_path / "out"
    assert main(["infer", str(phantom_folder), "--device", device, "--out", str(out)]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1
    assert f"Device {device!r}" in said.err
    assert words in said.err
    assert not out.exists()


def test_models_lists_the_shipped_one_and_that_it_runs_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert "dib-mg" in out
    assert "runs here on" in out
    assert "Research use only" in out
