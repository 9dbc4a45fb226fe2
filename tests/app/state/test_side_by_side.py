"""Several models on one exam: ids apart, each named, agreement by a rule, silence counted only of models that looked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.state.ai_findings import ai_findings, detail_lines, malignancy_words
from app.state.ai_view import AiView, ModelRun, ModelWords, RunState
from app.state.energy_agreement import alone_words
from app.state.overlays import OverlayPolicy
from app.state.side_by_side import SideBySide
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Box
from inference.model_card import OperatingPoint
from inference.results import Detection, ExamResult
from resources.vocabulary import FindingType, ImageKind

EXAM = phantom_exam(PhantomSpec(seed=5, pixel_mm=0.9)).exam
CESM = phantom_exam(PhantomSpec(seed=5, pixel_mm=0.9, cesm=True)).exam
BASE = FakeEngine().analyse(EXAM, lambda _f, _t: None, lambda: False)
ALL = OverlayPolicy(shown=True, boxes=True, heatmap=True, score=True)


def spot(
    name: str, key: str, row: float, score: float, finding: FindingType | None = None, half: float = 8
) -> Detection:
    box = Box(row0=row - half, col0=40 - half, row1=row + half, col1=40 + half)
    return Detection(detection_id=name, image_key=key, box=box, score=score, finding=finding)


def answer(model: str, *found: Detection) -> ExamResult:
    return replace(BASE, model_id=model, detections=found)


def run(result: ExamResult, finds: tuple[FindingType, ...] = ()) -> ModelRun:
    return ModelRun(model_id=result.model_id, version="1", state=RunState.READY, finds=finds, result=result)


def sides(*runs: ModelRun, words: ModelWords | None = None) -> SideBySide:
    made = SideBySide()
    made.clear(EXAM.images, 0.5)
    results = tuple(one.result for one in runs if one.result is not None)
    cards = {one.model_id: words or ModelWords() for one in runs}
    made.take(AiView(result=results[0], others=results[1:], runs=runs, cards=cards), own_points=True)
    return made


MASS, CALC = FindingType.MASS, FindingType.CALCIFICATION
ONE = run(answer("one", spot("R-CC#0", "R-CC", 100, 0.9, MASS), spot("R-CC#1", "R-CC", 160, 0.8, MASS)))
TWO = run(answer("two", spot("R-CC#0", "R-CC", 104, 0.7, half=20)))
CALCS = run(answer("calcs", spot("R-CC#0", "R-CC", 30, 0.6, CALC)), finds=(CALC,))


def test_one_model_alone_is_shown_as_ever_without_letters() -> None:
    alone = sides(ONE)
    assert [one.tag for one in alone.findings()] == ["1", "2"]
    assert alone.rows() == ()
    assert alone.record() == {}
    drawn = alone.items(ALL, selected=None, hovered=None, lit=frozenset())
    assert [item.label for item in drawn["R-CC"]] == ["2 mass 80 %", "1 mass 90 %"]


def test_equal_ids_of_two_models_stay_apart_and_every_label_names_its_model() -> None:
    both = sides(ONE, TWO)
    both.show_all()
    drawn = both.items(ALL, selected=None, hovered=None, lit=frozenset())["R-CC"]
    assert len({item.item_id for item in drawn}) == 3
    assert sorted(item.label for item in drawn) == [
        "A1 mass 90 % one",
        "A2 mass 80 % one",
        "B1 finding 70 % two",
    ]
    assert both.scores(ALL)["R-CC"].startswith("AI  A ")
    assert "B" in both.scores(ALL)["R-CC"]


def test_matching_boxes_of_two_models_agree_and_light_up_together() -> None:
    both = sides(ONE, TWO)
    both.show_all()
    first, second, other = both.findings()
    assert first.agreement == "2 of 2 models mark this: A, B"
    assert second.agreement == "1 of 2 models mark this: A"
    assert second.silent == "not B"
    assert other.agreement == "2 of 2 models mark this: A, B"
    drawn = both.items(ALL, selected=first.key, hovered=None, lit=both.lit_with(first))["R-CC"]
    assert {item.item_id for item in drawn if item.selected} == {first.key, other.key}


def test_a_model_that_does_not_look_for_a_finding_or_did_not_read_the_picture_is_not_counted() -> None:
    three = sides(ONE, TWO, CALCS)
    assert three.findings()[0].agreement == "2 of 2 models mark this: A, B"  # C looks for calcifications only
    untyped = sides(TWO, CALCS)  # nobody gave it a type: the calcification model is not taken to have looked
    assert untyped.findings()[0].agreement == ""
    assert (
        sides(TWO, ONE, CALCS).findings()[0].agreement == "2 of 2 models mark this: A, B"
    )  # B calls it a mass
    assert CALCS.result is not None
    blind = replace(CALCS.result, unread={"R-CC": "no pair"}, detections=())
    unread = sides(ONE, run(blind))
    assert unread.findings()[0].agreement == ""  # the other model did not read R CC: nothing can be said


def test_a_finding_below_its_model_s_threshold_marks_nothing() -> None:
    both = sides(ONE, TWO)
    both.bring(1)
    both.threshold = 0.75
    both.show_all()
    assert both.findings()[0].agreement == "1 of 2 models mark this: A"
    assert [side.threshold for side in both.sides] == [0.5, 0.75]


def test_the_key_steps_through_each_model_alone_and_then_all() -> None:
    both = sides(ONE, TWO)
    seen = []
    for _ in range(4):
        seen.append("".join(side.letter for side in both.shown))
        both.step()
    assert seen == ["A", "B", "AB", "A"]


def test_the_last_model_on_screen_cannot_be_put_away() -> None:
    both = sides(ONE, TWO)
    both.toggle(0)
    assert [side.letter for side in both.shown] == ["A"]
    both.toggle(1)
    both.toggle(0)
    assert [side.letter for side in both.shown] == ["B"]
    assert both.front_side is both.sides[1]


def test_models_that_failed_or_do_not_read_such_images_never_look_like_no_findings() -> None:
    failed = ModelRun(model_id="bad", state=RunState.FAILED, why="The disk is full.")
    absent = ModelRun(model_id="cesm", state=RunState.ABSENT, why="no contrast pair")
    rows = {row.title: row for row in sides(failed, ONE, absent, run(answer("none"))).rows()}
    assert "FAILED" in rows["bad"].words
    assert "The disk is full." in rows["bad"].words
    assert rows["cesm"].words == "NOT for this exam: no contrast pair"
    assert rows["none 1"].words == "read, no finding at 0.50"
    assert rows["one 1"].letter == "B"  # letters are the order of asking, whoever answers
    assert [row.index for row in rows.values()] == [None, 0, None, 1]


def test_a_later_answer_leaves_what_the_reader_chose(  # the second model is slower
) -> None:
    made = SideBySide()
    made.clear(EXAM.images, 0.5)
    waiting = ModelRun(model_id="two", state=RunState.RUNNING, fraction=0.4)
    made.take(AiView(result=ONE.result, runs=(ONE, waiting)), own_points=True)
    made.threshold = 0.85
    assert [row.words for row in made.rows()] == ["1 finding at 0.85 (1 below)", "at work, 40 %"]
    made.take(AiView(result=ONE.result, others=(TWO.result,), runs=(ONE, TWO)), own_points=True)  # type: ignore[arg-type]
    assert [side.threshold for side in made.sides] == [0.85, 0.5]
    assert [side.letter for side in made.shown] == ["A"]


def test_a_lesion_on_both_images_of_an_exposure_is_one_finding_with_malignancy_and_named_points() -> None:
    low = next(image for image in CESM.images if image.kind is ImageKind.CESM_LOW)
    twin = next(i for i in CESM.images if i.kind is ImageKind.CESM_RECOMBINED and i.view == low.view)
    scores = {"low": 0.31, "recombined": 0.86, "both": 0.8}
    told = [
        replace(spot(f"{key}#0", key, 90, score), malignancy=0.8, energy_scores=scores)
        for key, score in ((low.key, 0.4), (twin.key, 0.9))
    ]
    found = ai_findings(replace(BASE, detections=tuple(told)), CESM.images)
    assert len(found) == 1
    assert len(found[0].detections) == 2
    points = tuple(
        OperatingPoint(name=name, level="lesion", threshold=at, how_set="x")
        for name, at in (("high sensitivity", 0.2), ("youden", 0.5), ("high specificity", 0.9))
    )
    words = "\n".join(detail_lines(found[0], ModelWords(malignancy_points=points), 0.5))
    assert "≥ high sensitivity (0.20), ≥ highest Youden index (0.50), < high specificity (0.90)" in words
    assert "Malignancy by image: low energy alone 31 %, recombined alone 86 %, both 80 %" in words
    assert alone_words(found, points) == (
        f"1  {found[0].laterality.value}  31 % / 86 %, both 80 %  disagree: recombined only",
        "malignancy from each image alone, malignant from 0.50 on",
    )
    other = replace(
        told[0], detection_id="x", score=0.95, malignancy=0.1, energy_scores={"low": 0.1, "recombined": 0.1}
    )
    two_views = replace(found[0], detections=(other, *found[0].detections))
    assert alone_words((two_views,), points) == alone_words(
        found, points
    )  # of the view with the malignancy shown
    sure = (replace(points[1], threshold=0.2),)
    assert alone_words(found, sure)[0].endswith("both 80 %  agree: malignant")
    weak = replace(told[0], energy_scores={"low": 0.19, "recombined": 0.2, "both": 0.8})
    summed = alone_words((replace(found[0], detections=(weak,)),), points)[0]
    assert summed.endswith("19 % / 20 %, both 80 %  agree: not malignant; together malignant")
    unsure = (replace(points[1], threshold=0.9),)
    assert alone_words(found, unsure)[0].endswith("both 80 %  agree: not malignant")
    assert alone_words(ai_findings(BASE, EXAM.images), points) == ()
    assert malignancy_words(found[0]) == ""
    assert malignancy_words(replace(found[0], judged=True)) == "malignancy 80 %"


def test_heat_maps_are_of_the_model_in_front_and_name_it() -> None:
    plain = replace(ONE, result=replace(answer("one", spot("a", "R-CC", 90, 0.9)), heatmaps=()))
    both = sides(plain, TWO)
    heats = both.heats(ALL, opacity=0.5, colour_map="heat_amber")
    assert heats == {}  # the model on screen draws none, and nobody else's map is shown for its own
    both.show_all()
    heats = both.heats(ALL, opacity=0.5, colour_map="heat_amber")
    assert heats["R-CC"].label.endswith("B two")
    assert heats["R-CC"].opacity == pytest.approx(0.5)
