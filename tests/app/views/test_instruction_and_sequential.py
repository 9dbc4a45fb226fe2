"""In the windows: the instruction before the first case, and the AI that comes after the first answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.bootstrap import study_station
from app.views.main_window import MainWindow
from app.views.theme import stylesheet
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource
from reader_study.accounts import hash_password
from reader_study.domain.conduct import CallOf, Conduct, Design, Disclosure, Training
from reader_study.domain.events import AUDIT_KINDS, EventKind
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.randomization import allocate
from reader_study.store.database import open_database

ARMS = (
    Arm(arm_id="unaided", title="Without AI", ai=AiPolicy(shown=False)),
    Arm(arm_id="aided", title="With AI", ai=AiPolicy(shown=True)),
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=21, pixel_mm=0.5)), tmp_path / "exams" / "one")
    source = FolderSource(tmp_path / "exams")
    exam_id = source.list()[0].exam_id
    case = Case(
        case_id="C1", exam_id=exam_id, exam_digest=source.load(exam_id).digest, age_years=61, history="mother at 48"
    )  # fmt: skip
    reader = Reader(reader_id="r", name="R", password_hash=hash_password("secret-word"))
    more = {"study_id": "S", "seed": 1, "cases": (case,), "readers": (reader,), "arms": ARMS}
    study = Study(
        **more,
        title="S",
        protocol_version="1",
        scale=Scale(call=CallOf.CASE),
        plans=allocate(**more, design="sequential"),
        design=Design.SEQUENTIAL,
        conduct=Conduct(idle_threshold_s=20.0),
        training=Training(instruction="0 = certainly benign, 100 = certainly malignant."),
        disclosure=Disclosure(patient=("age", "history"), prevalence="One woman in two has cancer."),
    )
    opened = open_database(tmp_path / "study.sqlite")
    opened.save_study(study)
    opened.close()
    return tmp_path / "study.sqlite"


@pytest.fixture
def window(qtbot, database: Path) -> Iterator[MainWindow]:
    exams = database.parent / "exams"
    station = study_station(database=database, study_id="S", exams=exams, anchor=None, engine=FakeEngine())
    made = MainWindow(station, version="test")
    made.setStyleSheet(stylesheet())
    made.resize(1600, 1000)
    qtbot.addWidget(made)
    made.show()
    yield made
    made.close()


def fill_in(window: MainWindow, suspicion: int) -> None:
    form = window.reading.form
    for side in ("R", "L"):
        form.field(f"{side}.birads").set_value("2")
        form.field(f"{side}.suspicion").set_value(suspicion)
    form.field("density").set_value("b")
    form.field("recall").set_value("n")
    form.field("call").set_value("n")


def test_rs_t2_and_c4_the_instruction_comes_first_and_the_ai_after_the_first_answer(
    qtbot, window, database
) -> None:
    page = window.sign_in
    QTest.keyClicks(page.reader, "r")
    QTest.keyClicks(page.password, "secret-word")
    QTest.keyClick(page.password, Qt.Key.Key_Return)
    QTest.mouseClick(window.worklist.cards[0].button, Qt.MouseButton.LeftButton)
    dialog = window.reading._instruction
    shown = " ".join(label.text() for label in dialog.findChildren(type(window.done)))
    assert "certainly malignant" in shown
    assert "One woman in two" in shown
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert dialog.isVisible()
    assert not window.is_case_painted()
    QTest.keyClick(dialog, Qt.Key.Key_Return)
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)
    assert window._idle.interval() == 20_000
    case = window._controller.case
    assert "61" in case.case_label
    assert "mother at 48" in case.case_label
    assert window.reading.ai_panel is None
    fill_in(window, 10)
    window.reading.form.submit()
    qtbot.waitUntil(lambda: window.reading.ai_panel is not None, timeout=30_000)
    assert window.is_case_painted()
    assert window.reading.form.field("R.suspicion").value() == 10, "the first answer stands in the form"
    qtbot.waitUntil(lambda: window.reading.ai.result is not None, timeout=30_000)
    fill_in(window, 30)
    window.reading.form.submit()
    qtbot.waitUntil(lambda: window._controller is None, timeout=30_000)
    opened = open_database(database)
    try:
        kinds = [event.kind for event in opened.events.read("S.r.p1")]
    finally:
        opened.close()
    assert not set(kinds) & set(AUDIT_KINDS)
    assert kinds.index(EventKind.PROVISIONAL_SUBMITTED) < kinds.index(EventKind.AI_RESULT_RECORDED)
    assert kinds.index(EventKind.INSTRUCTION_ACKNOWLEDGED) < kinds.index(EventKind.CASE_OPENED)
    assert kinds.count(EventKind.READING_LOCKED) == 1


def test_a_call_of_each_lesion_is_asked_where_the_protocol_wants_it(qtbot) -> None:
    from app.views.findings_panel import MarkEditor

    editor = MarkEditor()
    qtbot.addWidget(editor)
    made: list[tuple[str, int]] = []
    editor.confirmed.connect(lambda kind, value: made.append((kind, value)))
    editor.ask_call(asked=True)
    editor.start("R CC")
    editor.confidence.set_value(80)
    editor.confirm()
    assert made == [], "no call yet"
    editor.call.set_value("y")
    editor.confirm()
    assert made == [("mass", 80)]
    assert editor.call_answer() is True
    editor.ask_call(asked=False)
    editor.start("R CC")
    assert editor.call_answer() is None
    assert editor.call.isHidden()


def test_rs_a3_a_reader_without_input_is_signed_out_and_her_case_stays_open(qtbot, window, database) -> None:
    page = window.sign_in
    QTest.keyClicks(page.reader, "r")
    QTest.keyClicks(page.password, "secret-word")
    QTest.keyClick(page.password, Qt.Key.Key_Return)
    QTest.mouseClick(window.worklist.cards[0].button, Qt.MouseButton.LeftButton)
    QTest.keyClick(window.reading._instruction, Qt.Key.Key_Return)
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)
    for _ in range(89):  # 89 spells of 20 s are 29 min 40 s
        window._on_idle()
    assert window.is_case_painted()
    window._on_idle()
    assert window.stack.currentWidget() is window.sign_in
    assert "30 minutes" in window.sign_in._problem.text()
    opened = open_database(database)
    try:
        kinds = [event.kind for event in opened.events.read("S.r.p1")]
    finally:
        opened.close()
    assert kinds[-1] is EventKind.SESSION_CLOSED
    assert EventKind.READING_LOCKED not in kinds
