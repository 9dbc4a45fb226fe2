"""What models say beside their findings stands in few lines, and nothing of it is lost or laid at another's door."""

from __future__ import annotations

from dataclasses import replace

from app.state.ai_notes import read_on_partner, unread_lines, warning_lines
from app.state.ai_view import AiView, ModelRun, RunState
from app.state.picture_notes import picture_notes
from app.state.side_by_side import Side, SideBySide
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Exam
from inference.results import ExamResult
from resources.vocabulary import ImageKind

EXAM = phantom_exam(PhantomSpec(seed=5, pixel_mm=0.9)).exam
CESM = phantom_exam(PhantomSpec(seed=5, pixel_mm=0.9, cesm=True)).exam
RECOMBINED = {image.key for image in CESM.images if image.kind is ImageKind.CESM_RECOMBINED}


def answer(exam: Exam, **changes: object) -> ExamResult:
    base = FakeEngine().analyse(exam, lambda _f, _t: None, lambda: False)
    return replace(base, **{"detections": (), "heatmaps": (), **changes})  # type: ignore[arg-type]


def sides_of(exam: Exam, *results: ExamResult) -> tuple[Side, ...]:
    made = SideBySide()
    made.clear(exam.images, 0.5)
    named = [replace(one, model_id=f"m{n}") for n, one in enumerate(results)]
    runs = tuple(ModelRun(model_id=one.model_id, state=RunState.READY, result=one) for one in named)
    made.take(AiView(result=named[0], others=tuple(named[1:]), runs=runs), own_points=False)
    made.show_all()
    return tuple(made.sides)


def low_only(why: str) -> ExamResult:
    """An answer of a model that reads the low-energy images only."""
    base = answer(CESM)
    scores = {key: value for key, value in base.view_scores.items() if key not in RECOMBINED}
    nipples = {key: value for key, value in base.nipples.items() if key not in RECOMBINED}
    return replace(base, view_scores=scores, nipples=nipples, unread=dict.fromkeys(RECOMBINED, why))


def test_mg30_views_that_were_not_read_are_named_with_the_reason() -> None:
    one = answer(EXAM, unread={"L-MLO": "L MLO: the picture holds no breast"})
    (line,) = unread_lines(sides_of(EXAM, one), EXAM.images)
    assert line.words == "NOT READ by the AI: L MLO (the picture holds no breast)"
    assert not line.by_design
    assert unread_lines(sides_of(EXAM, answer(EXAM)), EXAM.images) == ()


def test_mg30_the_same_reason_of_several_models_stands_once_with_their_letters() -> None:
    blank, other = {"L-MLO": "no breast"}, {"L-MLO": "black and white are swapped"}
    found = sides_of(EXAM, *(answer(EXAM, unread=one) for one in (blank, other, blank)))
    assert [line.words for line in unread_lines(found, EXAM.images)] == [
        "A, C  NOT READ by the AI: L MLO (no breast)",
        "B  NOT READ by the AI: L MLO (black and white are swapped)",
    ]


def test_mg30_recombined_images_whose_low_energy_was_read_are_no_alarm() -> None:
    found = sides_of(
        CESM, low_only("reads ordinary images"), low_only("one image of each view"), answer(CESM)
    )
    (line,) = unread_lines(found, CESM.images)
    assert line.words == "A, B  Not read: all recombined images (their low-energy images were)"
    assert line.by_design
    notes = picture_notes(found, CESM, (), findings=False)
    assert {key: notes[key] for key in RECOMBINED} == dict.fromkeys(RECOMBINED, ("AI A, B: NOT READ", False))
    # where the low-energy image was not read either, it is one
    blind = low_only("x")
    first = next(image for image in CESM.images if image.kind is ImageKind.CESM_LOW)
    blind = replace(blind, unread={**blind.unread, first.key: "blank"})
    assert len(read_on_partner(blind, CESM.images)) == len(RECOMBINED) - 1
    assert any(not one.by_design for one in unread_lines(sides_of(CESM, blind), CESM.images))


def test_mg30_warnings_that_differ_in_view_and_number_are_one_line_with_the_range() -> None:
    said = [f"{view}: no pixel spacing; 0.0{mm} mm was assumed." for view, mm in
            (("L MLO", 44), ("R CC", 48), ("L CC", 41), ("R MLO", 41))]  # fmt: skip
    found = sides_of(
        EXAM, answer(EXAM, warnings=(*said, "R CC: cut off.")), answer(EXAM, warnings=tuple(said))
    )
    assert warning_lines(found, ("Model c: broken.",)) == (
        "Model c: broken.",
        "A, B  R CC, L CC, R MLO, L MLO: no pixel spacing; 0.041–0.048 mm was assumed.",
        "A  R CC: cut off.",
    )


def test_mg30_models_that_warn_of_different_views_keep_lines_of_their_own() -> None:
    found = sides_of(
        EXAM, answer(EXAM, warnings=("R CC: cut off.",)), answer(EXAM, warnings=("L CC: cut off.",))
    )
    assert warning_lines(found) == ("A  R CC: cut off.", "B  L CC: cut off.")


def test_mg30_a_view_without_findings_of_several_models_says_so_once() -> None:
    found = sides_of(EXAM, answer(EXAM), answer(EXAM))
    found[1].threshold = 0.16
    notes = picture_notes(found, EXAM, (), findings=True)
    assert notes["R-CC"] == ("AI: no finding A ≥ 0.50, B ≥ 0.16", False)
