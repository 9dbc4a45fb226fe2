"""Hanging of what is not four plain views: duplicates, parts, spots, implants, priors, phases of contrast."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pytest

from app.state.display import ZoomMode
from app.state.hanging import Cell, Stage, choices, load_protocols, match
from app.state.priors import as_prior, gap_words, priors_of
from inference.exam.types import (
    Exam,
    ExamSummary,
    ImageFlags,
    Orientation,
    Presentation,
    ViewImage,
    Voi,
    VoiFunction,
    with_unique_keys,
)
from resources.vocabulary import ImageKind, ViewModifier, ViewName

NOON = datetime(2025, 3, 1, 12, 0, 0)
FOUR = ("R-CC", "L-CC", "R-MLO", "L-MLO")


def _image(
    key: str,
    kind: ImageKind = ImageKind.FFDM,
    modifiers: tuple[ViewModifier, ...] = (),
    minutes: float | None = None,
    flags: ImageFlags | None = None,
) -> ViewImage:
    return ViewImage(
        view=ViewName.parse(key),
        kind=kind,
        pixels=np.zeros((4, 4), np.uint16),
        presentation=Presentation(vois=(Voi(label="", function=VoiFunction.LINEAR, width=9),)),
        orientation=Orientation(),
        spacing=None,
        source_id=f"{key}{kind}{modifiers}{minutes}",
        modifiers=modifiers,
        acquired=None if minutes is None else NOON + timedelta(minutes=minutes),
        flags=flags or ImageFlags(),
    )


def _exam(*images: ViewImage, exam_id: str = "e", on: date | None = None) -> Exam:
    return Exam(
        exam_id=exam_id, images=with_unique_keys(images), digest="0" * 64, patient_key="w", study_date=on
    )


def _stage(stages: tuple[Stage, ...], title: str) -> Stage:
    return next(stage for stage in stages if stage.title == title)


def _at(stage: Stage, row: int, col: int) -> Cell:
    return next(cell for cell in stage.cells if (cell.row, cell.col) == (row, col))


def _keys(stage: Stage) -> list[str | None]:
    return [cell.image_key for cell in stage.cells]


# ---------------------------------------------------------------- duplicates, parts, listed images


def test_mg39_duplicates_lie_on_one_another_with_the_newest_on_top() -> None:
    exam = _exam(
        *(_image(key, minutes=k) for k, key in enumerate(FOUR)),
        _image("R-CC", minutes=9),
        _image("R-CC", minutes=5),
    )
    found = match(load_protocols(), exam)
    cell = _at(found.stages[0], 0, 0)
    taken = {image.key: image.acquired for image in exam.images}
    assert len(cell.stack) == 3
    assert cell.stack[0] == cell.image_key
    assert [taken[key] for key in cell.stack] == [NOON + timedelta(minutes=m) for m in (9, 5, 0)]
    assert "newest is on top" in cell.why
    assert not any(stage.title == "R CC" for stage in found.stages), "a duplicate has no step of its own"


def test_mg39_without_times_the_later_file_is_on_top() -> None:
    first, second = _image("R-CC"), replace(_image("R-CC"), source_id="repeat")
    exam = _exam(first, second, *(_image(key) for key in FOUR[1:]))
    top = _at(match(load_protocols(), exam).stages[0], 0, 0).image_key
    assert next(image for image in exam.images if image.key == top).source_id == "repeat"


def test_mg36_partial_views_make_one_view_in_one_place_and_a_mosaic_step() -> None:
    part = ImageFlags(partial=True, partial_region=("Medial",))
    parts = [_image("R-CC", minutes=m, flags=part) for m in (0, 1, 2)]
    exam = _exam(*parts, *(_image(key, minutes=9) for key in FOUR[1:]))
    found = match(load_protocols(), exam)
    cell = _at(found.stages[0], 0, 0)
    assert cell.stack == ("R-CC", "R-CC#2", "R-CC#3")
    assert "3 partial images make one view" in cell.why
    mosaic = _stage(found.stages, "R CC mosaic, 3 parts")
    assert _keys(mosaic) == ["R-CC", "R-CC#2", "R-CC#3"]
    assert mosaic.zoom is ZoomMode.SAME
    assert "Medial" in mosaic.cells[0].why


def test_mg36_a_whole_view_hangs_before_its_parts() -> None:
    part = _image("R-CC", minutes=5, flags=ImageFlags(partial=True))
    exam = _exam(part, _image("R-CC", minutes=1), *(_image(key) for key in FOUR[1:]))
    cell = _at(match(load_protocols(), exam).stages[0], 0, 0)
    shown = {image.key: image for image in exam.images}
    assert not shown[str(cell.image_key)].flags.partial
    assert len(cell.stack) == 2


@pytest.mark.parametrize("flags", [ImageFlags(quality_control=True), ImageFlags(for_processing=True)])
def test_mg04_quality_control_and_for_processing_are_listed_not_hung(flags: ImageFlags) -> None:
    exam = _exam(*(_image(key) for key in FOUR[1:]), _image("R-CC", flags=flags))
    found = match(load_protocols(), exam)
    assert "R-CC" not in {cell.image_key for stage in found.stages for cell in stage.cells}
    assert any("listed, not hung" in reason for reason in found.reasons)
    assert any("listed, not hung" in words for words in _at(found.stages[0], 0, 0).considered)


# ---------------------------------------------------------------- spot, magnification, implants


def test_mg37_a_spot_view_hangs_in_a_later_step_beside_its_whole_breast() -> None:
    spot = _image("R-CC", modifiers=(ViewModifier.SPOT, ViewModifier.MAGNIFICATION))
    exam = _exam(*(_image(key) for key in FOUR), spot)
    found = match(load_protocols(), exam)
    last = found.stages[-1]
    assert [cell.image_key for cell in last.cells] == ["R-CC#2", "R-CC"]
    assert last.zoom is ZoomMode.FIT
    assert all("R-CC#2" not in _keys(stage) for stage in found.stages[:-1])
    assert all("R-CC#2" not in cell.stack for stage in found.stages for cell in stage.cells)


def test_mg38_full_and_displaced_implant_views_hang_together_in_pairs() -> None:
    displaced = [_image(key, modifiers=(ViewModifier.IMPLANT_DISPLACED,)) for key in FOUR]
    exam = _exam(*(_image(key) for key in FOUR), *displaced)
    found = match(load_protocols(), exam)
    assert found.protocol.protocol_id == "implant"
    modifiers = {image.key: image.modifiers for image in exam.images}
    assert all(modifiers[str(key)] for key in _keys(_stage(found.stages, "Overview displaced")))
    assert not any(modifiers[str(key)] for key in _keys(_stage(found.stages, "Overview full")))
    pair = _keys(_stage(found.stages, "R CC full | displaced"))
    assert [bool(modifiers[str(key)]) for key in pair] == [False, True]
    assert {str(key).split("#")[0] for key in pair} == {"R-CC"}


def test_mg38_an_overview_prefers_the_full_view_where_no_implant_protocol_is_at_hand() -> None:
    displaced = _image("R-CC", modifiers=(ViewModifier.IMPLANT_DISPLACED,))
    exam = _exam(displaced, *(_image(key) for key in FOUR))
    plain = [one for one in load_protocols() if one.protocol_id == "four_view"]
    cell = _at(match(plain, exam).stages[0], 0, 0)
    assert not next(image for image in exam.images if image.key == cell.image_key).modifiers


# ---------------------------------------------------------------- priors


def test_mg41_gap_is_said_in_whole_calendar_months() -> None:
    current = date(2024, 11, 10)
    assert gap_words(current, date(2022, 12, 1)) == "1 y 11 mo"
    assert gap_words(current, date(2022, 11, 10)) == "2 y"
    assert gap_words(current, date(2022, 11, 11)) == "1 y 11 mo"
    assert gap_words(current, date(2024, 8, 10)) == "3 mo"
    assert gap_words(current, date(2024, 10, 29)) == "12 d"
    assert gap_words(date(2025, 2, 28), date(2024, 8, 31)) == "6 mo"
    assert gap_words(None, current) == ""


def test_mg41_priors_are_the_same_womans_earlier_exams_newest_first() -> None:
    def line(exam_id: str, woman: str, year: int | None) -> ExamSummary:
        on = None if year is None else date(year, 5, 1)
        return ExamSummary(exam_id=exam_id, title="", view_keys=(), patient_key=woman, study_date=on)

    exams = [line("a", "w", 2020), line("b", "w", 2022), line("c", "w", 2024), line("d", "x", 2021)]
    exams += [line("e", "w", None), line("f", "", 2019)]
    assert [exam.exam_id for exam in priors_of(exams, exams[2])] == ["b", "a"]
    assert priors_of(exams, exams[0]) == ()
    assert priors_of(exams, exams[5]) == (), "no key, no prior: two unknown women are not one"


def test_mg41_prior_images_hang_over_and_beside_the_current_ones_of_their_view() -> None:
    current = _exam(*(_image(key) for key in FOUR), on=date(2024, 11, 10))
    prior = as_prior(_exam(*(_image(key) for key in FOUR), exam_id="p", on=date(2022, 12, 1)), 1)
    found = match(load_protocols(), current, (prior,))
    assert found.protocol.protocol_id == "four_view_priors"
    eight = _stage(found.stages, "Prior over current")
    for cell in eight.cells:
        key = str(cell.image_key)
        assert key.endswith("@P1") is (cell.row == 0)
        below = _at(eight, 1 - cell.row, cell.col)
        assert key.removesuffix("@P1") == str(below.image_key).removesuffix("@P1")
    assert eight.zoom is ZoomMode.SAME
    assert _keys(_stage(found.stages, "R CC current | prior")) == ["R-CC", "R-CC@P1"]
    assert _at(found.stages[0], 0, 0).prior == "R-CC@P1"


def test_mg41_without_a_prior_no_step_waits_for_one() -> None:
    found = match(load_protocols(), _exam(*(_image(key) for key in FOUR)))
    assert found.protocol.protocol_id == "four_view"
    assert not any("prior" in stage.title.lower() for stage in found.stages)


def test_mg41_a_prior_of_another_oblique_projection_still_belongs_to_the_view() -> None:
    current = _exam(*(_image(key) for key in FOUR))
    prior = as_prior(_exam(_image("R-ML"), exam_id="p"), 1)
    found = match(load_protocols(), current, (prior,))
    assert _at(found.stages[0], 1, 0).prior == "R-ML@P1"
    assert _at(found.stages[0], 0, 0).prior is None


# ---------------------------------------------------------------- contrast


def _contrast(key: str, minutes: float) -> tuple[ViewImage, ViewImage]:
    return (
        _image(key, ImageKind.CESM_LOW, minutes=minutes),
        _image(key, ImageKind.CESM_RECOMBINED, minutes=minutes + 0.05),
    )


def test_cem03_contrast_exams_hang_four_up_eight_up_and_side_by_side() -> None:
    exam = _exam(*(image for k, key in enumerate(FOUR) for image in _contrast(key, k)))
    found = match(load_protocols(), exam)
    eight = _stage(found.stages, "Low energy over recombined")
    assert len(eight.cells) == 8
    for cell in eight.cells:
        assert str(cell.image_key).endswith("cesm_low" if cell.row == 0 else "cesm_recombined")
        assert cell.partner is not None
        assert cell.partner.split("/")[0] == str(cell.image_key).split("/")[0]
    assert _keys(_stage(found.stages, "L MLO low energy | recombined")) == [
        "L-MLO/cesm_low",
        "L-MLO/cesm_recombined",
    ]
    assert len(_stage(found.stages, "Overview recombined").cells) == 4


def test_cem06_late_images_hang_beside_the_early_ones_of_their_view() -> None:
    exam = _exam(*(image for k, key in enumerate(FOUR) for image in _contrast(key, k)), *_contrast("R-CC", 8))
    found = match(load_protocols(), exam)
    pair = _stage(found.stages, "R CC early | late")
    taken = {image.key: image.acquired for image in exam.images}
    early, late = (taken[str(key)] for key in _keys(pair))
    assert early is not None
    assert late is not None
    assert late - early == timedelta(minutes=8)
    assert not any(stage.title == "L CC early | late" for stage in found.stages)
    overview = _at(_stage(found.stages, "Overview recombined"), 0, 0)
    assert taken[str(overview.image_key)] == early, "the overview shows the early images"
    assert pair.cells[1].partner is not None
    assert taken[pair.cells[1].partner] == NOON + timedelta(minutes=8), "the late pair belongs together"


def test_cem06_a_repeat_within_a_minute_is_a_duplicate_and_no_late_image() -> None:
    exam = _exam(*(image for k, key in enumerate(FOUR) for image in _contrast(key, k)), *_contrast("R-CC", 1))
    found = match(load_protocols(), exam)
    assert not any("late" in stage.title for stage in found.stages)
    assert len(_at(found.stages[0], 0, 0).stack) == 2


# ---------------------------------------------------------------- choosing and explaining


def test_mg40_choices_say_why_a_protocol_fits_or_not() -> None:
    judged = {one.protocol.protocol_id: one for one in choices(load_protocols(), _exam(_image("R-CC")))}
    assert judged["four_view"].fits
    assert judged["four_view_priors"].why == "does not fit: needs a prior exam"
    assert judged["implant"].why == "does not fit: needs an implant-displaced view"
    assert "low energy" in judged["cesm"].why


def test_mg40_the_users_choice_wins_over_the_best_fit_and_says_so() -> None:
    exam = _exam(*(_image(key) for key in FOUR))
    prior = as_prior(_exam(*(_image(key) for key in FOUR), exam_id="p"), 1)
    found = match(load_protocols(), exam, (prior,), chosen="four_view")
    assert found.protocol.protocol_id == "four_view"
    assert "picked by the user" in found.reasons[0]


def test_mg40_one_breast_alone_gets_the_whole_screen() -> None:
    found = match(load_protocols(), _exam(_image("R-CC"), _image("R-MLO")))
    overview = found.stages[0]
    assert (overview.rows, overview.cols) == (2, 1)
    assert _keys(overview) == ["R-CC", "R-MLO"]
    pictures = [(s.rows, s.cols, s.zoom, tuple(_keys(s))) for s in found.stages]
    assert len(set(pictures)) == len(pictures), "no two steps look alike"


def test_beyond1_a_place_tells_what_it_looked_at_and_did_not_choose() -> None:
    spot = _image("R-CC", modifiers=(ViewModifier.SPOT,))
    rolled = _image("R-CC", modifiers=(ViewModifier.ROLLED_LATERAL,))
    cell = _at(match(load_protocols(), _exam(*(_image(key) for key in FOUR), spot, rolled)).stages[0], 0, 0)
    assert cell.image_key == "R-CC"
    assert any("never stands in for the whole breast" in words for words in cell.considered)
    assert any("R CC RL" in words and "fewer" in words for words in cell.considered)
