"""Whole exams read by the calcification ensemble: what is counted, worked by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from inference.exam.phantom import PhantomExam, PhantomSpec, phantom_exam
from inference.exam.types import Box
from inference.model_card import read_card
from inference.results import Detection, ExamResult
from inference.signed_result import signed_result
from inference.training.calcification_exams import (
    BENIGN,
    CANCER,
    NORMAL,
    OTHER,
    ReadExam,
    exam_spec,
    note_exams,
    read_exam,
    summary,
)
from resources.files import ROOT
from resources.vocabulary import FindingType, Pathology


@pytest.fixture(scope="module")
def phantom() -> PhantomExam:
    for seed in range(40):
        made = phantom_exam(PhantomSpec(seed=seed, pixel_mm=0.6, pathology=Pathology.NORMAL))
        if any(x.finding is FindingType.CALCIFICATION for x in made.incidental):
            return made
    raise AssertionError("expected a phantom with harmless calcifications")


def _mark(key: str, box: Box, score: float, malignancy: float) -> Detection:
    return Detection(
        detection_id=f"{key}#{score}", image_key=key, box=box, score=score,
        finding=FindingType.CALCIFICATION, malignancy=malignancy,
    )  # fmt: skip


def _answer(phantom: PhantomExam, *marks: Detection) -> ExamResult:
    card = read_card(ROOT / "models" / "calcification-ensemble")
    return replace(
        signed_result(card, phantom.exam, device="cpu", seconds=0.1), exam_score=0.4, detections=marks
    )


def test_a_harmless_group_counts_as_shown_and_as_called_at_both_thresholds(phantom: PhantomExam) -> None:
    lesion = next(x for x in phantom.incidental if x.finding is FindingType.CALCIFICATION)
    key, seen = next(iter(lesion.views.items()))
    groups = sum(len(x.views) for x in phantom.incidental if x.finding is FindingType.CALCIFICATION)
    air = Box(row0=0, col0=0, row1=2, col1=2)
    for mark, shown, called, counted in (
        (_mark(key, seen.box, 0.8, 0.9), 1, 1, (1, 1)),
        (_mark(key, seen.box, 0.8, 0.3), 1, 0, (1, 0)),
        (_mark(key, seen.box, 0.4, 0.9), 0, 0, (0, 0)),  # below the threshold of boxes
        (_mark(key, air, 0.8, 0.9), 1, 1, (0, 0)),  # elsewhere
    ):
        one = read_exam(NORMAL, phantom, _answer(phantom, mark), (0.5, 0.5))
        assert (one.shown, one.called, one.harmless) == (shown, called, groups)
        assert (one.harmless_shown, one.harmless_called) == counted


def test_the_summary_leaves_other_cancers_out_of_the_area() -> None:
    read = [
        ReadExam(kind=CANCER, score=0.9, shown=2, called=1),
        ReadExam(kind=CANCER, score=0.3, shown=0, called=0),
        ReadExam(kind=NORMAL, score=0.1, shown=0, called=0, harmless=4),
        ReadExam(kind=BENIGN, score=0.5, shown=1, called=1, harmless=2, harmless_shown=1),
        ReadExam(kind=OTHER, score=0.0, shown=0, called=0),
    ]
    found = summary(read)
    assert (found["auc"]["value"], found["auc"]["n_pos"], found["auc"]["n_neg"]) == (0.75, 2, 2)
    assert found["harmless"] == {"groups": 6, "shown": 1, "called": 0}
    rows = {row["kind"]: row for row in found["kinds"]}
    assert rows[CANCER] == {"kind": CANCER, "exams": 2, "median_score": 0.6, "shown": 1, "called": 1}
    assert rows[OTHER]["exams"] == 1


def test_the_four_kinds_come_in_turn_with_seeds_of_their_own() -> None:
    kinds, specs = zip(*(exam_spec(n) for n in range(8)), strict=True)
    assert kinds[:4] == kinds[4:]
    assert set(kinds) == {CANCER, OTHER, BENIGN, NORMAL}
    assert len({spec.seed for spec in specs}) == 8
    assert all(spec.seed >= 2_000_000 for spec in specs)  # never learnt from


def test_the_figures_are_kept_beside_those_of_groups(tmp_path: Path) -> None:
    card = json.loads((ROOT / "models" / "calcification-ensemble" / "card.json").read_text(encoding="utf-8"))
    (tmp_path / "card.json").write_text(json.dumps(card), encoding="utf-8")
    note_exams(tmp_path, {"exams": 4})
    now = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))["evaluation"]["phantom"]
    assert now["whole_exams"] == {"exams": 4}
    assert now["group"] == card["evaluation"]["phantom"]["group"]
