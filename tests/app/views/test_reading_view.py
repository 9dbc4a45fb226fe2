"""The reading screen by itself: marks between click and log, the blank page, the note on sizes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.control.reading import NO_AI, CaseView
from app.state.display import Change
from app.state.hanging import load_protocols, match
from app.views.reading_view import ReadingView
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Exam, ViewImage
from reader_study.domain.assessment import Finding
from reader_study.domain.study import Scale


@pytest.fixture(scope="module")
def exam() -> Exam:
    return phantom_exam(PhantomSpec(seed=8, pixel_mm=0.8)).exam


def case_of(exam: Exam) -> CaseView:
    return CaseView(
        exam=exam,
        hanging=match(load_protocols(), exam),
        study_title="Study",
        session_title="Session 1",
        case_label="Case 1 of 2",
        policy=NO_AI,
        scale=Scale(),
        findings=(),
        draft=None,
        show_timer=False,
    )


@pytest.fixture
def view(qtbot, exam: Exam) -> ReadingView:
    made = ReadingView()
    made.resize(1600, 1000)
    qtbot.addWidget(made)
    made.show()
    made.show_case(case_of(exam))
    return made


def start_mark(view: ReadingView, number: int, confidence: str) -> ViewImage:
    """Click into a viewport with the mark tool and type a confidence; returns the image."""
    view.set_tool("mark")
    viewport = view.grid.viewports()[number]
    image = viewport.image
    assert image is not None
    rows, cols = image.pixels.shape
    point = viewport.widget_point(rows * 0.45, cols * 0.4).toPoint()
    QTest.mouseClick(viewport.viewport(), Qt.MouseButton.LeftButton, pos=point)
    QTest.keyClicks(view.findings.editor.confidence.edit, confidence)
    return image


def test_a_mark_after_a_stage_change_stays_on_the_image_that_was_clicked(view: ReadingView) -> None:
    made: list[Finding] = []
    view.mark_made.connect(made.append)
    clicked = start_mark(view, 1, "70")
    before = [viewport.image for viewport in view.grid.viewports()]
    view.step(1)
    assert [viewport.image for viewport in view.grid.viewports()] != before
    view.confirm_mark()
    assert [(mark.image_key, mark.source_id, mark.suspicion) for mark in made] == [
        (clicked.key, clicked.source_id, 70)
    ]
    assert 0 <= made[0].row < clicked.pixels.shape[0]
    assert 0 <= made[0].col < clicked.pixels.shape[1]


def test_rs_c3_a_refused_mark_keeps_the_editor_and_what_was_typed(view: ReadingView) -> None:
    offered: list[Finding] = []
    view.mark_made.connect(offered.append)
    view.mark_made.connect(lambda _mark: view.show_message("Study log: the disk is full; free some space."))
    start_mark(view, 0, "35")
    view.confirm_mark()
    editor = view.findings.editor
    assert not editor.isHidden()
    assert editor.confidence.edit.text() == "35"
    assert view._message.text().startswith("Study log: the disk is full")
    view.mark_made.connect(lambda mark: view.show_findings((mark,)))  # space was freed
    view.confirm_mark()
    assert editor.isHidden()
    assert len(offered) == 2
    assert (offered[0].row, offered[0].col) == (offered[1].row, offered[1].col)


def test_the_blank_page_keeps_its_sentence_and_nothing_of_the_last_case(view: ReadingView) -> None:
    sentence = "Case 2: the images have changed since the study was frozen. Tell the coordinator. " * 3
    width = view.width()
    view.show_loading(sentence)
    view.show_message(sentence)
    view._message_timer.timeout.emit()
    assert view._message.isHidden()
    assert view._blank.isVisible()
    assert view._blank.text() == sentence
    assert not view.form.isVisible()
    assert not view.findings.isVisible()
    assert "Case 1" not in view._bar.text()
    assert view.minimumSizeHint().width() < width


def test_rs_m2_a_paused_screen_does_not_change_stage(view: ReadingView) -> None:
    shown: list[str] = []
    view.stage_shown.connect(shown.append)
    view.show_paused(True)
    view.step(1)
    assert view._stage == 0
    view.show_paused(False)
    view.step(1)
    assert view._stage == 1


def test_mg09_the_line_below_says_when_sizes_are_estimated(view: ReadingView, exam: Exam) -> None:
    view.do(Change.SAME)
    assert view._size_note.text() == ""
    bare = replace(exam, images=tuple(replace(image, spacing=None) for image in exam.images))
    view.show_case(case_of(bare))
    view.do(Change.SAME)
    assert "no pixel spacing" in view._size_note.text()
    assert view._size_note.isVisible()
    view.do(Change.FIT)
    assert view._size_note.text() == ""
