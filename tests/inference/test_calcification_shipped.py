"""The shipped calcification ensemble, as it lies in the program: what it says of phantoms, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from inference.calcification_engine import CalcificationEngine
from inference.engine import InferenceCancelled
from inference.exam.types import Exam, InferenceError, ViewImage, exam_digest
from inference.lesions import GivenLesion, LesionEngine
from inference.model_card import ModelError
from inference.model_facts import model_facts
from inference.preprocessing.calcification import cut, prepare_view
from inference.registry import load_card, why_not
from inference.results import ExamResult
from inference.training.calcification_page import document
from inference.training.calcification_phantoms import GroupView, group_view
from inference.worker import EngineSpec, make_engine
from resources.vocabulary import FindingType

SEED = 7_000_003  # neither learnt from nor measured on


@pytest.fixture(scope="module")
def engine() -> CalcificationEngine:
    return CalcificationEngine(load_card("calcification-ensemble").folder, "cpu")


@pytest.fixture(scope="module")
def phantom() -> GroupView:
    return group_view(SEED)


def exam_of(*images: ViewImage) -> Exam:
    return Exam(exam_id="calcification", images=images, digest=exam_digest(images))


@pytest.fixture(scope="module")
def result(engine: CalcificationEngine, phantom: GroupView) -> ExamResult:
    return engine.analyse(exam_of(phantom.image), lambda _f, _t: None, lambda: False)


def test_the_card_runs_here_and_all_models_stay_small() -> None:
    card = load_card("calcification-ensemble")
    assert why_not(card) is None
    assert card.weights_path.stat().st_size <= 7_000_000
    assert "Research use only" in card.intended_use


def test_every_group_of_a_held_out_phantom_is_marked_and_outlined(
    result: ExamResult, phantom: GroupView, engine: CalcificationEngine
) -> None:
    shown = [d for d in result.detections if d.score >= engine.card.threshold("box")]
    rows, cols = phantom.image.pixels.shape
    for group in phantom.groups:
        box = group.box
        mine = [
            d
            for d in shown
            if box.row0 <= (d.box.row0 + d.box.row1) / 2 < box.row1
            and box.col0 <= (d.box.col0 + d.box.col1) / 2 < box.col1
        ]
        assert mine, f"no mark on the group at {box}"
    for mark in result.detections:
        assert mark.finding is FindingType.CALCIFICATION
        assert mark.malignancy is not None
        points = np.array(mark.outline)
        assert (points >= 0).all()
        assert (points <= (rows, cols)).all()
        assert mark.box.row0 - 1 <= points[:, 0].mean() <= mark.box.row1 + 1


def test_the_heat_map_is_strongest_on_a_marked_group(result: ExamResult, phantom: GroupView) -> None:
    heat = result.heatmaps[0].values
    row, col = np.unravel_index(int(np.argmax(heat)), heat.shape)
    rows, cols = phantom.image.pixels.shape
    at = (row + 0.5) * rows / heat.shape[0], (col + 0.5) * cols / heat.shape[1]
    slack = 40  # 4 mm: a cell of Grad-CAM
    assert any(
        d.box.row0 - slack <= at[0] <= d.box.row1 + slack
        and d.box.col0 - slack <= at[1] <= d.box.col1 + slack
        for d in result.detections
    )
    assert 0.0 < float(heat.max()) <= 1.0


def test_the_scores_are_the_most_suspicious_group_and_repeat_exactly(
    result: ExamResult, engine: CalcificationEngine, phantom: GroupView
) -> None:
    most = max(d.score * (d.malignancy or 0.0) for d in result.detections)
    assert result.exam_score == pytest.approx(most)
    assert result.view_scores[phantom.image.key] == pytest.approx(most)
    again = engine.analyse(exam_of(phantom.image), lambda _f, _t: None, lambda: False)
    assert again.detections == result.detections


def test_a_film_of_coarse_pixels_is_read_with_its_own_calibration_and_the_reader_is_told(
    engine: CalcificationEngine, result: ExamResult
) -> None:
    film = group_view(SEED, difficult=True, coarse=True)
    told = engine.analyse(exam_of(film.image), lambda _f, _t: None, lambda: False).warnings
    assert any("pixels of 0.20 mm" in text and film.image.view.label in text for text in told)
    assert not any("pixels of" in text for text in result.warnings)
    crop = cut(prepare_view(film.image), 200.0, 200.0)[None]
    assert engine.judged(crop, coarse=True)[0][0] != engine.judged(crop)[0][0]


def test_the_card_tells_how_fast_it_is_and_its_points_differ(engine: CalcificationEngine) -> None:
    assert model_facts(engine.card).seconds_per_exam is not None
    for level in ("box", "lesion"):
        values = [p.threshold for p in engine.card.operating_points if p.level == level]
        assert len(set(values)) == len(values) == 3, f"{level}: each name is a point of its own"


def test_every_member_is_better_than_chance_on_every_kind_of_phantom(engine: CalcificationEngine) -> None:
    for world in ("group", "exam", "traps", "coarse"):
        for row in engine.card.evaluation["phantom"][world]["members"]:
            assert row["auc"]["lo"] > 0.5, f"{row['name']} on {world}"


def test_given_groups_are_scored_and_other_lesions_left_out(
    engine: CalcificationEngine, phantom: GroupView
) -> None:
    assert isinstance(engine, LesionEngine)
    image = phantom.image
    given = [
        GivenLesion(
            lesion_id=str(k),
            laterality=image.view.laterality,
            image_key=image.key,
            box=g.box,
            finding=FindingType.CALCIFICATION if k else FindingType.MASS,
        )
        for k, g in enumerate(phantom.groups)
    ]
    scores = engine.score_lesions(exam_of(image), given, lambda _f, _t: None, lambda: False)
    assert [s.lesion_id for s in scores] == [x.lesion_id for x in given[1:]]
    assert all(0.0 <= s.score <= 1.0 for s in scores)


def test_a_cancelled_analysis_stops_and_a_blank_view_is_refused(
    engine: CalcificationEngine, phantom: GroupView
) -> None:
    with pytest.raises(InferenceCancelled):
        engine.analyse(exam_of(phantom.image), lambda _f, _t: None, lambda: True)
    from dataclasses import replace

    blank = replace(phantom.image, pixels=np.zeros((400, 300), np.uint16))
    with pytest.raises(InferenceError, match="found none"):
        engine.analyse(exam_of(blank), lambda _f, _t: None, lambda: False)


def test_the_worker_makes_this_engine_and_damaged_weights_are_refused(tmp_path: Path) -> None:
    folder = load_card("calcification-ensemble").folder
    assert isinstance(make_engine(EngineSpec(model_folder=folder, device="cpu")), CalcificationEngine)
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    weights = copy / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(ModelError, match="SHA-256"):
        CalcificationEngine(copy, "cpu")


def test_a_card_whose_members_are_not_its_weights_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(load_card("calcification-ensemble").folder, copy)
    raw = json.loads((copy / "card.json").read_text(encoding="utf-8"))
    raw["architecture"]["members"] = raw["architecture"]["members"][::-1]
    (copy / "card.json").write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(ModelError, match="copy the model folder again"):
        CalcificationEngine(copy, "cpu")


def test_the_page_in_the_docs_is_the_cards() -> None:
    folder = load_card("calcification-ensemble").folder
    page = Path(__file__).resolve().parents[2] / "docs" / "models" / "calcification-ensemble.md"
    assert page.read_text(encoding="utf-8") == document(folder)
