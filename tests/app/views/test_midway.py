"""What is half done when another image, another step or another woman comes under the pointer is dropped, never kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.control.reading import CaseView
from app.state.hanging import load_protocols, match
from app.views.reading_view import ReadingView
from app.views.viewport import Viewport
from inference.exam.types import Exam, Orientation, Presentation, Spacing, ViewImage, Voi, VoiFunction
from reader_study.domain.study import AiPolicy, Scale
from resources.vocabulary import FOUR_VIEWS, ImageKind, ViewName

LEFT = Qt.MouseButton.LeftButton
A, B, C, D = QPoint(300, 200), QPoint(400, 260), QPoint(420, 300), QPoint(330, 330)


def image_of(view: ViewName, kind: ImageKind, woman: int) -> ViewImage:
    pixels = np.random.default_rng(woman).integers(60, 200, (900, 700)).astype(np.uint16)
    return ViewImage(
        view=view,
        kind=kind,
        pixels=pixels,
        presentation=Presentation(
            vois=(Voi(label="", function=VoiFunction.LINEAR_EXACT, center=127.5, width=255),)
        ),
        orientation=Orientation(),
        spacing=Spacing(row_mm=0.1, col_mm=0.1, method="imager spacing / ERMF"),
        source_id=f"{woman}.{view.key}.{kind.value}",
    )


def case_of(woman: int, *, in_study: bool = True, contrast: bool = False) -> CaseView:
    kinds = (ImageKind.CESM_LOW, ImageKind.CESM_RECOMBINED) if contrast else (ImageKind.FFDM,)
    images = tuple(image_of(view, kind, woman) for view in FOUR_VIEWS for kind in kinds)
    exam = Exam(exam_id=f"E{woman}", images=images, digest=f"{woman}" * 64)
    return CaseView(
        exam=exam,
        hanging=match(load_protocols(), exam),
        study_title="S",
        session_title="s",
        case_label=f"Case {woman} of 2",
        policy=AiPolicy(shown=False),
        scale=Scale(),
        findings=(),
        draft=None,
        show_timer=False,
        in_study=in_study,
    )


@pytest.fixture
def reading(qtbot: QtBot) -> Iterator[ReadingView]:
    view = ReadingView()
    view.resize(1400, 900)
    qtbot.addWidget(view)
    view.show()
    view.show_case(case_of(1))
    settle()
    yield view
    view.image_tools.end()


def settle() -> None:
    for _ in range(5):
        QApplication.processEvents()


def first(reading: ReadingView) -> Viewport:
    return next(view for view in reading.grid.viewports() if view.image is not None)


def press(view: Viewport, at: QPoint) -> None:
    QTest.mousePress(view.viewport(), LEFT, pos=at)


def move(view: Viewport, at: QPoint) -> None:
    QTest.mouseMove(view.viewport(), at)


def release(view: Viewport, at: QPoint) -> None:
    QTest.mouseRelease(view.viewport(), LEFT, pos=at)
    settle()


def ruler_half_drawn(reading: ReadingView) -> None:
    reading.set_tool("ruler")
    press(first(reading), A)
    move(first(reading), B)


def angle_with_one_arm(reading: ReadingView) -> None:
    reading.set_tool("angle")
    press(first(reading), A)
    move(first(reading), B)
    release(first(reading), B)
    press(first(reading), C)


def ruler_half_moved(reading: ReadingView) -> None:
    ruler_half_drawn(reading)
    release(first(reading), B)
    press(first(reading), B)
    move(first(reading), C)


@pytest.mark.parametrize("begin", [ruler_half_drawn, angle_with_one_arm, ruler_half_moved])
def test_mg07_what_was_half_measured_on_one_woman_never_lands_on_the_next(
    reading: ReadingView, begin: Callable[[ReadingView], None]
) -> None:
    begin(reading)
    reading.show_case(case_of(2))
    settle()
    move(first(reading), D)
    release(first(reading), D)
    press(first(reading), C)
    release(first(reading), C)
    assert reading.image_tools.board.items() == ()
    assert all(reading.image_tools.board.on_image(view.key) == () for view in FOUR_VIEWS)


def test_mg07_the_arm_of_an_angle_on_one_woman_is_not_continued_on_the_next(reading: ReadingView) -> None:
    reading.set_tool("angle")
    press(first(reading), A)
    move(first(reading), B)
    release(first(reading), B)
    reading.show_case(case_of(2))
    settle()
    press(first(reading), C)
    release(first(reading), C)
    assert reading.image_tools.board.items() == ()


def test_mg07_a_ruler_dragged_while_the_step_changes_is_dropped(reading: ReadingView) -> None:
    before = first(reading).image
    ruler_half_drawn(reading)
    stages = range(1, reading.stage_count)
    assert any(reading.go_to_stage(k) or first(reading).image is not before for k in stages)
    move(first(reading), C)
    release(first(reading), C)
    assert reading.image_tools.board.items() == ()


def test_mg07_a_ruler_dragged_while_the_energies_are_swapped_is_dropped(reading: ReadingView) -> None:
    reading.show_case(case_of(3, contrast=True))
    settle()
    ruler_half_drawn(reading)
    reading.toggle_energy()
    move(first(reading), C)
    release(first(reading), C)
    assert reading.image_tools.board.items() == ()


def test_mg32_a_click_that_began_on_the_last_case_asks_for_no_mark_on_the_next(reading: ReadingView) -> None:
    reading.set_tool("mark")
    press(first(reading), A)
    reading.show_case(case_of(2))
    settle()
    release(first(reading), A)
    assert reading.findings.editor.isHidden()
    press(first(reading), A)  # and one that began there does
    release(first(reading), A)
    assert not reading.findings.editor.isHidden()


def test_mg42_escape_drops_the_ruler_that_is_being_drawn_and_keeps_the_tool(reading: ReadingView) -> None:
    ruler_half_drawn(reading)
    reading.cancel_mark()
    move(first(reading), C)
    release(first(reading), C)
    assert reading.image_tools.board.items() == ()
    assert reading._tool_name == "ruler"


def test_mg40_the_next_case_shows_nothing_of_the_last_when_it_cannot_be_loaded(reading: ReadingView) -> None:
    reading.show_message("R CC seen at 1:1: 40 %")
    reading.show_loading("The case could not be loaded.")
    settle()
    assert reading._message.text() == ""
    assert not any(view.isVisible() for view in reading.grid.viewports())
    for change in (
        reading.toggle_energy,
        reading.undo,
        lambda: reading.step(1),
        lambda: reading.go_to_stage(0),
    ):
        change()
    settle()
    assert not any(view.isVisible() for view in reading.grid.viewports())
    assert reading.why_here() is None
    assert reading.objects.displays() == ()


def test_mg39_the_same_woman_opened_again_keeps_what_was_measured_outside_a_study_only(
    reading: ReadingView,
) -> None:
    for in_study in (False, True):
        reading.show_case(replace(case_of(4), in_study=in_study))
        settle()
        ruler_half_drawn(reading)
        release(first(reading), B)
        assert len(reading.image_tools.board.items()) == 1
        reading.show_case(replace(case_of(5), in_study=in_study))
        assert reading.image_tools.board.items() == ()
        reading.show_case(replace(case_of(4), in_study=in_study))
        assert len(reading.image_tools.board.items()) == (0 if in_study else 1)
        reading.image_tools.board.restore()


def test_mg40_steps_are_told_again_when_the_ai_comes_to_a_case_that_is_being_read(
    reading: ReadingView, qtbot: QtBot
) -> None:
    case = case_of(6)
    reading.show_case(case)
    settle()
    reading.show_case(replace(case, policy=AiPolicy(shown=True)))  # the second part of a sequential reading
    settle()
    with qtbot.waitSignal(reading.stage_shown, timeout=2000):
        reading.go_to_stage(1)
