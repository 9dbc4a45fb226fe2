"""The AI's findings: one entry a lesion, numbers that stay, words for what was and what was not read."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from app.state.ai_findings import (
    ai_findings,
    attribute_words,
    count_words,
    detail_lines,
    line_words,
    listed,
    seen_words,
)
from app.state.ai_view import AiPhase, AiView, ModelWords, unread_views, words_of_card
from app.state.overlays import OverlayPolicy, overlay_items
from app.state.priors import as_prior
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Box, Exam
from inference.registry import load_card
from inference.results import Attribute, Detection, ExamResult
from resources.vocabulary import FindingType, ImageKind, Laterality


@cache
def exam() -> Exam:
    return phantom_exam(PhantomSpec(seed=3, pixel_mm=1.0)).exam


def _one(name: str, key: str, score: float, group: str | None = None, **more: object) -> Detection:
    box = Box(row0=10, col0=10, row1=20, col1=20)
    made = Detection(
        detection_id=name, image_key=key, box=box, score=score, finding=FindingType.MASS, group=group
    )
    return replace(made, **more)  # type: ignore[arg-type]


def result(*detections: Detection) -> ExamResult:
    base = FakeEngine().analyse(exam(), lambda _f, _t: None, lambda: False)
    return replace(base, detections=detections)


PAIR = (
    _one("a", "R-CC", 0.7, "1", match_probability=0.78, region="outer", nipple_distance_mm=31.0),
    _one("b", "R-MLO", 0.3, "1", match_probability=0.78, region="upper", nipple_distance_mm=29.0),
)


def test_beyond5_matched_views_are_one_lesion_with_one_number() -> None:
    found = ai_findings(result(*PAIR, _one("c", "R-CC", 0.9)), exam().images)
    assert [(one.number, one.key, one.views) for one in found] == [(1, "c", ("CC",)), (2, "a", ("CC", "MLO"))]
    assert found[1].place.short == "upper outer, 3 cm from nipple"
    assert seen_words(found[1], 0.1) == "seen in CC and MLO, match 78 %"
    assert seen_words(found[0], 0.1) == "CC only, one view"


def test_groups_of_one_name_in_two_breasts_are_two_lesions() -> None:
    found = ai_findings(result(_one("a", "R-CC", 0.7, "1"), _one("b", "L-CC", 0.6, "1")), exam().images)
    assert [one.laterality for one in found] == [Laterality.RIGHT, Laterality.LEFT]


def test_numbers_stay_when_the_threshold_moves() -> None:
    found = ai_findings(result(*(_one(str(k), "R-CC", 0.1 * k) for k in range(1, 10))), exam().images)
    for threshold in (0.05, 0.35, 0.85):
        shown = listed(found, threshold)
        assert [one.number for one in shown] == list(range(1, len(shown) + 1))
    assert count_words(found, 0.35) == "6 findings at 0.35 (3 below)"
    assert count_words(found, 0.85) == "1 finding at 0.85 (8 below)"


def test_mg30_nothing_above_the_threshold_is_said_as_read_with_the_threshold() -> None:
    found = ai_findings(result(*PAIR), exam().images)
    assert count_words(found, 0.95) == "Read, no finding at 0.95 or above (1 below)"
    assert count_words((), 0.5) == "Read, no finding at 0.50 or above"


def test_a_partner_below_the_threshold_is_said_and_drawn_dashed_only_while_its_lesion_is_lit() -> None:
    answer = result(*PAIR)
    assert "(MLO below threshold)" in seen_words(ai_findings(answer, exam().images)[0], 0.5)
    policy = OverlayPolicy(shown=True)
    assert "R-MLO" not in overlay_items(answer, [], policy, threshold=0.5)
    for lit in ({"selected": "a"}, {"hovered": "a"}):
        items = overlay_items(answer, [], policy, threshold=0.5, **lit)
        assert [(i.item_id, i.selected, i.dashed) for i in items["R-CC"]] == [("a", True, False)]
        assert [(i.item_id, i.selected, i.dashed) for i in items["R-MLO"]] == [("b", True, True)]
    # A lesion that is wholly below the threshold is not listed, so it is not drawn for being chosen before.
    assert overlay_items(answer, [], policy, threshold=0.9, selected="a") == {}


def test_words_of_a_chosen_finding_say_what_each_number_means() -> None:
    attributes = {
        "margin": Attribute(term="spiculated", probability=0.64),
        "shape": Attribute(term="irregular", probability=0.7),
    }
    one = _one("a", "L-MLO", 0.82, malignancy=0.61, attributes=attributes, region="upper", depth=0.5)
    found = ai_findings(result(one), exam().images)[0]
    assert attribute_words(found) == "irregular shape (70 %), spiculated margin (64 %)"
    words = ModelWords(finding_meaning="chance of a lesion here", malignancy_meaning="chance of cancer")
    assert detail_lines(found, words, 0.5) == (
        "left breast: upper (MLO only), middle third",
        "MLO only, one view",
        "irregular shape (70 %), spiculated margin (64 %)",
        "Score 82 %: chance of a lesion here",
        "Malignancy 61 %: chance of cancer",
    )
    assert line_words(found, 0.5).splitlines()[0] == "1 L mass 82 %"


def test_a_detection_on_an_image_that_the_exam_does_not_have_is_left_out() -> None:
    assert ai_findings(result(_one("a", "R-XCCL", 0.9)), exam().images) == ()


def test_mg30_images_that_left_no_trace_in_an_answer_count_as_not_read() -> None:
    contrast = phantom_exam(PhantomSpec(seed=3, pixel_mm=1.0, cesm=True)).exam
    low = tuple(i for i in contrast.images if i.kind is ImageKind.CESM_LOW)
    base = FakeEngine().analyse(replace(contrast, images=low), lambda _f, _t: None, lambda: False)
    unread = unread_views(base, contrast.images)
    assert set(unread) == {i.key for i in contrast.images if i.kind is ImageKind.CESM_RECOMBINED}
    prior = as_prior(exam(), 1)
    assert set(unread_views(result(*PAIR), (*exam().images, *prior.images))) == {i.key for i in prior.images}


def test_states_of_the_ai_exclude_each_other() -> None:
    assert AiView().phase is AiPhase.IDLE
    assert AiView(working="x").phase is AiPhase.RUNNING
    assert AiView(failure="x").phase is AiPhase.FAILED
    assert AiView(absent="x").phase is AiPhase.ABSENT
    assert AiView(stopped=True).phase is AiPhase.STOPPED
    both = AiView(result=result(), others=(replace(result(), model_id="second"),))
    assert both.phase is AiPhase.READY
    assert [one.model_id for one in both.results] == ["fake", "second"]


def test_the_named_points_of_findings_come_from_the_card() -> None:
    words = words_of_card(load_card("dib-mg"))
    assert [point.level for point in words.points] == ["box"]
    assert words.start == words.points[0].threshold
    assert words.point_at(words.points[0].threshold + 0.001) == words.points[0]
    assert words.point_at(0.9) is None
