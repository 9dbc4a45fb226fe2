"""The ROC: corners as scikit-learn finds them, drawn for every level that has both kinds of cases."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from inference.__main__ import main
from inference.metrics import delong_auc, roc_points


@pytest.mark.parametrize("seed", range(5))
def test_b_roc_corners_are_those_of_scikit_learn_and_span_the_area_of_delong(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random(60) < 0.4
    scores = np.round(rng.normal(truth * 0.8, 1.0), 1)  # with ties
    false, true, _ = roc_curve(truth, scores, drop_intermediate=False)
    found = roc_points(truth, scores)
    assert tuple(found[0]) == (0.0, 0.0)
    assert tuple(found[-1]) == (1.0, 1.0)
    whole = np.stack([false, true], axis=1)
    assert all(np.abs(whole - corner).sum(axis=1).min() < 1e-12 for corner in found)
    area = float(np.trapezoid(found[:, 1], found[:, 0]))
    assert area == pytest.approx(roc_auc_score(truth, scores))
    assert area == pytest.approx(delong_auc(truth, scores).value)


def _table(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _run(folder: Path, pathology: dict[str, str]) -> list[str]:
    images: list[dict[str, object]] = []
    for case, word in pathology.items():
        cv2.imwrite(str(folder / f"{case}.png"), np.zeros((60, 40), np.uint8))
        images.append(
            {
                "case_id": case, "patient_id": case, "laterality": "L", "view": "CC", "kind": "ffdm",
                "path": f"{case}.png", "spacing_mm": 0.1, "pathology": word,
            }
        )  # fmt: skip
    run = folder / "run"
    run.mkdir()
    scores = {"A": 0.9, "B": 0.4, "C": 0.6, "D": 0.1}
    _table(
        run / "scores.csv",
        [
            {"case_id": case, "level": "exam", "laterality": "", "view": "", "kind": "", "lesion_id": "", "score": s}
            for case, s in scores.items()
        ],
    )  # fmt: skip
    columns = "case_id,path,laterality,view,kind,x0,y0,x1,y1,type,score,malignancy,lesion_group"
    (run / "detections.csv").write_text(columns + "\n", encoding="utf-8")
    (run / "run.json").write_text("{}", encoding="utf-8")
    return ["evaluate", str(_table(folder / "images.csv", images)), "--run", str(run), "--rounds", "10"]


def test_b_evaluate_draws_the_roc_in_paper_style_and_dark(tmp_path: Path) -> None:
    words = _run(tmp_path, {"A": "malignant", "B": "malignant", "C": "normal", "D": "benign"})
    assert main([*words, "--roc", str(tmp_path / "roc.png")]) == 0
    light, dark = (cv2.imread(str(tmp_path / name)) for name in ("roc.png", "roc-dark.png"))
    assert light is not None
    assert dark is not None
    assert light.shape == dark.shape
    assert light.mean() > 200
    assert dark.mean() < 60


def test_b_a_roc_of_one_kind_of_cases_only_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = _run(tmp_path, {"A": "normal", "B": "normal", "C": "normal", "D": "benign"})
    assert main([*words, "--roc", str(tmp_path / "roc.png")]) == 1
    assert "malignant and of other cases to draw a ROC of" in capsys.readouterr().out
    assert not (tmp_path / "roc.png").exists()
