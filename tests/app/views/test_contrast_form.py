"""The contrast questions on screen (CEM-08): in contrast exams, where the protocol asks, and nowhere else."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.control.reading import NO_AI, CaseView
from app.state.hanging import load_protocols, match
from app.views.reading_view import ReadingView
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Exam
from reader_study.domain.assessment import Assessment, BreastAssessment, Finding
from reader_study.domain.study import CONTRAST_FIELDS, Scale
from resources.vocabulary import (
    BackgroundEnhancement,
    Conspicuity,
    EnhancementSymmetry,
    EnhancementType,
    FindingType,
    Laterality,
)

ASKED = Scale(contrast=CONTRAST_FIELDS)


@pytest.fixture(scope="module")
def contrast_exam() -> Exam:
    return phantom_exam(PhantomSpec(seed=8, pixel_mm=0.8, cesm=True)).exam


@pytest.fixture(scope="module")
def plain_exam() -> Exam:
    return phantom_exam(PhantomSpec(seed=8, pixel_mm=0.8)).exam


def _case(exam: Exam, scale: Scale, draft: Assessment | None = None) -> CaseView:
    return CaseView(
        exam=exam,
        hanging=match(load_protocols(), exam),
        study_title="Study",
        session_title="Session 1",
        case_label="Case 1 of 2",
        policy=NO_AI,
        scale=scale,
        findings=(),
        draft=draft,
        show_timer=False,
    )


@pytest.fixture
def view(qtbot) -> ReadingView:
    made = ReadingView()
    made.resize(1600, 1000)
    qtbot.addWidget(made)
    made.show()
    return made


def _asked(view: ReadingView) -> set[str]:
    return {name.split(".")[1] for name in view.form._choices if "." in name} - {"birads"}


def _click(view: ReadingView) -> None:
    view.set_tool("mark")
    viewport = view.grid.viewports()[0]
    image = viewport.image
    assert image is not None
    rows, cols = image.pixels.shape
    point = viewport.widget_point(rows * 0.45, cols * 0.4).toPoint()
    QTest.mouseClick(viewport.viewport(), Qt.MouseButton.LeftButton, pos=point)


def test_cem08_the_form_asks_only_in_contrast_exams_whose_protocol_wants_it(
    view: ReadingView, contrast_exam: Exam, plain_exam: Exam
) -> None:
    for exam, scale, expected in (
        (contrast_exam, ASKED, {"bpe", "bpe_symmetry"}),
        (contrast_exam, Scale(contrast=("bpe",)), {"bpe"}),
        (contrast_exam, Scale(), set()),
        (plain_exam, ASKED, set()),
    ):
        view.show_case(_case(exam, scale))
        assert _asked(view) == expected
        assert view.form.assessment().contrast == (exam is contrast_exam)


def test_cem08_answers_typed_into_the_form_come_out_and_a_draft_goes_in(
    view: ReadingView, contrast_exam: Exam
) -> None:
    view.show_case(_case(contrast_exam, ASKED))
    QTest.keyClicks(view.form.field("R.bpe"), "mar")
    QTest.keyClicks(view.form.field("R.bpe_symmetry"), "a")
    right = view.form.assessment().breast(Laterality.RIGHT)
    assert right is not None
    assert (right.bpe, right.bpe_symmetry) == (BackgroundEnhancement.MARKED, EnhancementSymmetry.ASYMMETRIC)
    draft = Assessment(
        breasts=(BreastAssessment(laterality=Laterality.LEFT, bpe=BackgroundEnhancement.MILD),)
    )
    view.show_case(_case(contrast_exam, ASKED, draft))
    left = view.form.assessment().breast(Laterality.LEFT)
    assert left is not None
    assert left.bpe is BackgroundEnhancement.MILD


def test_cem08_a_mark_needs_its_enhancement_and_conspicuity(view: ReadingView, contrast_exam: Exam) -> None:
    made: list[Finding] = []
    view.mark_made.connect(made.append)
    view.show_case(_case(contrast_exam, ASKED))
    _click(view)
    editor = view.findings.editor
    QTest.keyClicks(editor.finding, "enh")
    QTest.keyClicks(editor.confidence.edit, "80")
    view.confirm_mark()
    assert made == []
    QTest.keyClicks(editor.enhancement, "nm")
    view.confirm_mark()
    assert made == []
    QTest.keyClicks(editor.conspicuity, "h")
    view.confirm_mark()
    (mark,) = made
    assert (mark.finding, mark.enhancement, mark.conspicuity) == (
        FindingType.ENHANCEMENT,
        EnhancementType.NON_MASS,
        Conspicuity.HIGH,
    )


def test_cem08_what_does_not_enhance_has_no_conspicuity(view: ReadingView, contrast_exam: Exam) -> None:
    made: list[Finding] = []
    view.mark_made.connect(made.append)
    view.show_case(_case(contrast_exam, ASKED))
    _click(view)
    editor = view.findings.editor
    QTest.keyClicks(editor.confidence.edit, "10")
    QTest.keyClicks(editor.conspicuity, "h")
    QTest.keyClicks(editor.enhancement, "none")
    view.confirm_mark()
    (mark,) = made
    assert (mark.enhancement, mark.conspicuity) == (EnhancementType.NONE, None)


def test_cem08_without_contrast_the_editor_asks_nothing_more_and_offers_no_enhancement(
    view: ReadingView, plain_exam: Exam
) -> None:
    made: list[Finding] = []
    view.mark_made.connect(made.append)
    view.show_case(_case(plain_exam, ASKED))
    _click(view)
    editor = view.findings.editor
    assert editor.enhancement.isHidden()
    assert editor.conspicuity.isHidden()
    QTest.keyClicks(editor.finding, "e")
    assert editor.finding.value() == FindingType.MASS.value
    QTest.keyClicks(editor.confidence.edit, "10")
    view.confirm_mark()
    assert (made[0].enhancement, made[0].conspicuity) == (None, None)
