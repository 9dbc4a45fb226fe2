"""What a measured four-view detector writes into its card: films, outlines, cost; and what it refuses."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from inference.exam.types import InferenceError
from inference.model_card import read_card
from inference.training.four_view_evaluation import OutlineCheck, PhantomCase
from inference.training.four_view_measured import choose_outlines, note_films, peak_memory_mb
from resources.files import ROOT
from resources.vocabulary import FindingType

SHIPPED = ROOT / "models" / "four-view-detector"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped card beside a weights file of another size: nothing here runs the network."""
    home = tmp_path / "model"
    home.mkdir()
    (home / "card.json").write_bytes((SHIPPED / "card.json").read_bytes())
    (home / "weights.safetensors").write_bytes(b"")
    return home


def _films(home: Path) -> Path:
    """Four films of 100 x 100: two with a lesion at 40..60."""
    home.mkdir()
    images, lesions = (
        ["case_id,patient_id,laterality,view,kind,path,pathology"],
        ["case_id,laterality,view,kind,lesion_id,type,malignant,x0,y0,x1,y1"],
    )
    for n in range(4):
        cv2.imwrite(str(home / f"{n}.png"), np.full((100, 100), 90, np.uint8))
        images.append(f"c{n},p{n},R,MLO,film,{n}.png,{'malignant' if n < 2 else 'normal'}")
    lesions += ["c0,R,MLO,film,1,mass,1,40,40,60,60", "c1,R,MLO,film,1,mass,1,40,40,60,60"]
    (home / "images.csv").write_text("\n".join(images) + "\n", encoding="utf-8")
    (home / "lesions.csv").write_text("\n".join(lesions) + "\n", encoding="utf-8")
    return home


def _run(home: Path, digest: str, hits: int) -> Path:
    """A run that marks the first lesions with 0.9 and nothing else."""
    home.mkdir()
    marks = "".join(f"c{n},{n}.png,R,MLO,film,42,42,58,58,mass,0.9,0.5,\n" for n in range(hits))
    (home / "detections.csv").write_text(
        "case_id,path,laterality,view,kind,x0,y0,x1,y1,type,score,malignancy,lesion_group\n" + marks
    )
    (home / "scores.csv").write_text("case_id,level,laterality,view,kind,lesion_id,score\n")
    (home / "run.json").write_text(json.dumps({"card_id": "four-view-detector", "weights_digest": digest}))
    return home


def test_a_run_on_films_gives_the_card_its_line_and_its_limit_and_a_better_one_takes_it_back(
    folder: Path, tmp_path: Path
) -> None:
    films = _films(tmp_path / "tiny")
    digest = read_card(folder).weights_sha256
    line = note_films(folder, films, _run(tmp_path / "none", digest, 0))
    card = read_card(folder)
    assert "lesion sensitivity 0.000" in line
    assert line in card.evaluation["real"]["measured"]
    assert any("finds 0% of the lesions of tiny" in limit for limit in card.known_limits)
    better = note_films(folder, films, _run(tmp_path / "both", digest, 2))
    card = read_card(folder)
    assert "lesion sensitivity 1.000" in better
    assert [x for x in card.evaluation["real"]["measured"] if x.startswith("tiny:")] == [better]
    assert not any("weak" in limit for limit in card.known_limits)


def test_a_run_of_other_weights_or_none_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    films = _films(tmp_path / "tiny")
    before = (folder / "card.json").read_bytes()
    with pytest.raises(InferenceError, match=r"^other: expected a run of four-view-detector .*other weights"):
        note_films(folder, films, _run(tmp_path / "other", "0" * 64, 1))
    with pytest.raises(InferenceError, match="--films-run"):
        note_films(folder, films, None)
    assert (folder / "card.json").read_bytes() == before


def test_the_outline_that_measured_better_is_the_one_the_card_asks_for(folder: Path) -> None:
    case = PhantomCase(
        seed=0, images=(), blobs=(), breasts=(), grey=(), seconds=1.0,
        outlines=(
            OutlineCheck(finding=FindingType.MASS, mask_head=0.8, picture=0.9),
            OutlineCheck(finding=FindingType.CALCIFICATION, mask_head=0.8, picture=0.7),
        ),
    )  # fmt: skip
    assert choose_outlines(folder, [case]) == {"mass": "edge path", "calcification": "mask head"}
    assert read_card(folder).architecture["outlines"]["mass"] == "edge path"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a living process")
def test_peak_memory_is_at_least_what_was_once_held() -> None:
    held = np.ones(120 << 20, np.uint8)
    del held
    peak = peak_memory_mb(os.getpid())
    assert peak is not None
    assert peak > 120
    assert peak_memory_mb(None) is None
