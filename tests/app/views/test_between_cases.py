"""In the windows: truth of practice cases, breaks, looking back at locked answers, the signature, a crash in mid-case."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from typer.testing import CliRunner

from app.bootstrap import study_station
from app.cli import app
from app.practice_truth import PRACTICE_TRUTH
from app.state.overlays import OverlayKind
from app.study_files import folder_beside
from app.views.main_window import MainWindow
from app.views.theme import stylesheet
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource
from reader_study.accounts import hash_password
from reader_study.clock import ManualClock
from reader_study.domain.conduct import Conduct, Design, Navigation, Training
from reader_study.domain.events import Event, EventKind
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.domain.truth import TrueLesion, Truth, read_truth
from reader_study.errors import StoreError
from reader_study.randomization import allocate
from reader_study.store.database import open_database
from reader_study.truth_import import write_truth
from resources.vocabulary import FindingType, Laterality, Pathology

UNAIDED = Arm(arm_id="unaided", title="Without AI", ai=AiPolicy(shown=False))
AIDED = Arm(arm_id="aided", title="With AI", ai=AiPolicy(shown=True))


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exams")
    for seed in (21, 22, 23):
        write_phantom_dicom(phantom_exam(PhantomSpec(seed=seed, pixel_mm=0.5)), folder / str(seed))
    return folder


def make_study(
    exams: Path,
    *,
    practice: int = 0,
    conduct: Conduct,
    training: Training,
    arms: tuple[Arm, ...],
    design: Design,
) -> Study:
    source = FolderSource(exams)
    cases = tuple(
        Case(
            case_id=f"C{number}",
            exam_id=summary.exam_id,
            exam_digest=source.load(summary.exam_id).digest,
            practice=number <= practice,
        )
        for number, summary in enumerate(source.list()[: max(2, practice + 1)], 1)
    )
    reader = Reader(reader_id="r", name="Rosa Lectora", password_hash=hash_password("secret-word"))
    more = {"study_id": "S", "seed": 1, "cases": cases, "readers": (reader,), "arms": arms}
    return Study(
        **more,
        title="S",
        protocol_version="1",
        scale=Scale(),
        plans=allocate(**more, design=design.value),
        design=design,
        conduct=conduct,
        training=training,
    )


@pytest.fixture
def open_window(qtbot, exams: Path, tmp_path: Path) -> Iterator[Callable[..., MainWindow]]:
    """Open the real window on a study of two cases; keyword arguments are the protocol's."""
    windows: list[MainWindow] = []

    def make(
        *,
        practice: int = 0,
        conduct: Conduct | None = None,
        training: Training | None = None,
        arms: tuple[Arm, ...] = (UNAIDED,),
        design: Design = Design.SINGLE,
    ) -> MainWindow:
        database = tmp_path / "study.sqlite"
        if not database.exists():
            study = make_study(
                exams,
                practice=practice,
                conduct=conduct or Conduct(),
                training=training or Training(),
                arms=arms,
                design=design,
            )
            opened = open_database(database)
            opened.save_study(study)
            opened.close()
        return window_on(qtbot, database, exams, windows)

    yield make
    for window in windows:
        window.close()


def window_on(qtbot, database: Path, exams: Path, windows: list[MainWindow]) -> MainWindow:
    station = study_station(database=database, study_id="S", exams=exams, anchor=None, engine=FakeEngine())
    window = MainWindow(station, version="test")
    window.setStyleSheet(stylesheet())
    window.resize(1920, 1080)
    qtbot.addWidget(window)
    window.show()
    windows.append(window)
    return window


def start(qtbot, window: MainWindow) -> None:
    page = window.sign_in
    page.reader.clear()
    QTest.keyClicks(page.reader, "r")
    QTest.keyClicks(page.password, "secret-word")
    QTest.keyClick(page.password, Qt.Key.Key_Return)
    QTest.mouseClick(window.worklist.cards[0].button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)


def answer(window: MainWindow, suspicion: int = 10) -> None:
    form = window.reading.form
    for side in ("R", "L"):
        form.field(f"{side}.birads").set_value("2")
        form.field(f"{side}.suspicion").set_value(suspicion)
    form.field("density").set_value("b")
    form.field("recall").set_value("n")
    QTest.keyClick(window.reading.grid, Qt.Key.Key_F12)


def log_of(window: MainWindow, session_id: str) -> tuple[Event, ...]:
    assert window._station.events is not None
    window._station.sessions()._stream.stop()
    return window._station.events.read(session_id)


def truth_on_screen(window: MainWindow) -> list[str]:
    return [
        item.label
        for view in window.reading.grid.viewports()
        for item in view.overlays
        if item.kind is OverlayKind.TRUTH
    ]


def keep_truth(window: MainWindow, tmp_path: Path, *, practice: bool) -> None:
    """Write the truth of the practice case (or of the other one only) where the station looks for it."""
    study = window._station.study
    assert study is not None
    cases = [case for case in study.cases if case.practice is practice]
    image = FolderSource(window._station.source.root).load(cases[0].exam_id).images[0]
    lesion = TrueLesion(
        lesion_id="1",
        image_key=image.key,
        row=image.pixels.shape[0] / 2,
        col=image.pixels.shape[1] / 2,
        finding=FindingType.MASS,
        malignant=True,
        radius_mm=8.0,
        spacing_mm=(0.5, 0.5),
    )
    side = image.view.laterality
    other = Laterality.LEFT if side is Laterality.RIGHT else Laterality.RIGHT
    truth = Truth(
        case_id=cases[0].case_id,
        breasts={side: Pathology.MALIGNANT, other: Pathology.NORMAL},
        lesions=(lesion,),
    )
    folder = folder_beside(tmp_path / "study.sqlite")
    folder.mkdir(exist_ok=True)
    write_truth((truth,), folder / PRACTICE_TRUTH)


def test_rs_t3_the_truth_of_a_practice_case_stands_over_its_images_until_next(
    qtbot, open_window, tmp_path
) -> None:
    window = open_window(practice=1, training=Training(feedback=True))
    keep_truth(window, tmp_path, practice=True)
    start(qtbot, window)
    assert truth_on_screen(window) == []
    answer(window)
    qtbot.waitUntil(window.reading.truth_panel.isVisible, timeout=30_000)
    assert truth_on_screen(window) == ["Truth: mass, malignant"]
    assert "malignant" in window.reading.truth_panel.words.text()
    assert not window.reading.form.isVisible()
    kinds = [event.kind for event in log_of(window, "S.r.p0")]
    assert kinds.index(EventKind.READING_LOCKED) < kinds.index(EventKind.FEEDBACK_SHOWN)
    QTest.keyClick(window.reading.grid, Qt.Key.Key_X)
    view = window.reading.grid.viewports()[0]
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(200, 400))
    assert window.reading.findings.editor.isHidden(), "nothing is marked in a locked case"
    QTest.keyClick(window.reading.grid, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: window.stack.currentWidget() is window.worklist, timeout=30_000)
    assert truth_on_screen(window) == []
    assert window._station.sessions().worklist("r")[0].closed


def test_rs_t3_no_truth_is_shown_of_a_case_that_counts_or_without_the_protocols_word(
    qtbot, open_window, tmp_path
) -> None:
    window = open_window(training=Training(feedback=True))
    keep_truth(window, tmp_path, practice=False)
    start(qtbot, window)
    answer(window)
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)
    assert window.reading.truth_panel.isHidden()
    assert truth_on_screen(window) == []
    assert EventKind.FEEDBACK_SHOWN not in {event.kind for event in log_of(window, "S.r.p1")}


def test_rs_t3_a_practice_case_says_so_where_its_truth_is_not_at_the_station_and_goes_on(
    qtbot, open_window
) -> None:
    window = open_window(practice=2, training=Training(feedback=True))
    start(qtbot, window)
    answer(window)
    panel = window.reading.truth_panel
    qtbot.waitUntil(panel.isVisible, timeout=30_000)
    assert "not on this station" in panel.words.text()
    assert truth_on_screen(window) == []
    assert EventKind.FEEDBACK_SHOWN not in {event.kind for event in log_of(window, "S.r.p0")}
    QTest.mouseClick(panel.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)
    assert panel.isHidden()


def test_rs_t3_truth_is_not_shown_when_the_log_cannot_take_it(
    qtbot, open_window, tmp_path, monkeypatch
) -> None:
    window = open_window(practice=1, training=Training(feedback=True))
    keep_truth(window, tmp_path, practice=True)
    start(qtbot, window)
    store = window._station.events
    kept = store.append

    def refuse(events, expected_seq) -> None:
        if any(event.kind is EventKind.FEEDBACK_SHOWN for event in events):
            raise StoreError("Event log: the disk is full; free some space.")
        kept(events, expected_seq)

    monkeypatch.setattr(store, "append", refuse)
    answer(window)
    qtbot.waitUntil(window.reading.truth_panel.isVisible, timeout=30_000)
    assert "disk is full" in window.reading.truth_panel.words.text()
    assert truth_on_screen(window) == []


def test_rs_u3_a_break_is_offered_between_cases_and_costs_no_reading_time(qtbot, open_window) -> None:
    from reader_study.timing import reading_times

    window = open_window(conduct=Conduct(break_after_min=20.0))
    clock = ManualClock()
    window._station.clock = clock
    start(qtbot, window)
    clock.advance(21 * 60)
    answer(window)
    page = window.reading.break_page
    qtbot.waitUntil(page.isVisible, timeout=30_000)
    assert "21 minutes" in page.words.text()
    QTest.keyClick(window.reading, Qt.Key.Key_Pause)
    assert page.take.isHidden()
    assert "Break" in page.words.text()
    clock.advance(3600)
    QTest.keyClick(page.button, Qt.Key.Key_Return)
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)
    clock.advance(60)
    answer(window)
    qtbot.waitUntil(lambda: window._controller is None, timeout=30_000)
    events = log_of(window, "S.r.p1")
    order = [event.body["case_id"] for event in events if event.kind is EventKind.READING_LOCKED]
    read = [reading_times([e for e in events if e.body.get("case_id") == case_id]) for case_id in order]
    assert [round(times.active_s) for times in read] == [1260, 60]


def test_a_station_cut_between_two_cases_shows_why_and_a_key_opens_the_next_case_when_it_is_back(
    qtbot, open_window, monkeypatch
) -> None:
    window = open_window()
    start(qtbot, window)
    store = window._station.events
    kept, away = store.append, [True]

    def refuse(events, expected_seq) -> None:
        if away[0] and any(event.kind is EventKind.CASE_OPENED for event in events):
            raise StoreError("Study log: the server cannot be reached; check the network.")
        kept(events, expected_seq)

    monkeypatch.setattr(store, "append", refuse)
    answer(window)
    page = window.reading.retry_page
    qtbot.waitUntil(page.isVisible, timeout=30_000)
    assert "the server cannot be reached" in page.words.text()
    assert not window.reading.has_images
    QTest.keyClick(page.button, Qt.Key.Key_Return)
    assert page.isVisible(), "it is still away"
    away[0] = False
    QTest.keyClick(window.reading, Qt.Key.Key_F12)
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)
    assert not page.isVisible()


def test_rs_u3_a_reader_who_declines_is_asked_again_only_after_the_same_time(qtbot, open_window) -> None:
    window = open_window(conduct=Conduct(break_after_min=20.0))
    clock = ManualClock()
    window._station.clock = clock
    start(qtbot, window)
    clock.advance(19 * 60)
    answer(window)
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)
    assert not window.reading.break_page.isVisible()


def test_rs_r4_a_locked_case_is_amended_with_a_reason_and_the_old_answer_stays(qtbot, open_window) -> None:
    window = open_window(conduct=Conduct(navigation=Navigation.LOOK_BACK))
    start(qtbot, window)
    answer(window, 10)
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)
    QTest.keyClick(window.reading.grid, Qt.Key.Key_F12, Qt.KeyboardModifier.ShiftModifier)
    page = window.reading.look_back_page
    assert page.isVisible()
    assert window._controller.paused, "the case on screen waits"
    assert page.list.count() == 1
    page.form.field("R.suspicion").set_value(35)
    page.form.submit()
    assert "reason" in page.problem.text()
    QTest.keyClicks(page.reason, "wrong breast")
    QTest.keyClick(page.reason, Qt.Key.Key_Return)
    assert "amended" in page.problem.text()
    assert "amended" in page.list.item(0).text()
    QTest.mouseClick(page.button, Qt.MouseButton.LeftButton)
    assert not page.isVisible()
    assert window.reading.is_paused
    amended = [e.body for e in log_of(window, "S.r.p1") if e.kind is EventKind.ASSESSMENT_AMENDED]
    assert [body["reason"] for body in amended] == ["wrong breast"]
    right = {key: amended[0][key]["breasts"][0]["suspicion"] for key in ("old", "assessment")}
    assert right == {"old": 10, "assessment": 35}
    QTest.keyClick(window.reading, Qt.Key.Key_Pause)
    assert window.reading.has_images


def test_rs_r4_looking_back_is_off_unless_the_protocol_allows_it(qtbot, open_window) -> None:
    window = open_window()
    start(qtbot, window)
    answer(window)
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)
    QTest.keyClick(window.reading.grid, Qt.Key.Key_F12, Qt.KeyboardModifier.ShiftModifier)
    assert not window.reading.look_back_page.isVisible()
    assert "cannot be looked back at" in window.reading._message.text()
    assert not window._controller.paused


def test_rs_a4_the_last_lock_asks_for_the_signature_and_the_session_shows_signed(qtbot, open_window) -> None:
    window = open_window(conduct=Conduct(sign_sessions=True, navigation=Navigation.LOOK_BACK))
    start(qtbot, window)
    for _ in range(2):
        qtbot.waitUntil(window.is_case_painted, timeout=30_000)
        answer(window)
    page = window.reading.look_back_page
    qtbot.waitUntil(page.isVisible, timeout=30_000)
    QTest.mouseClick(page.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.signing.dialog is not None, timeout=30_000)
    dialog = window.signing.dialog
    assert dialog.name.text() == "Rosa Lectora"
    QTest.keyClicks(dialog.password, "wrong")
    QTest.keyClick(dialog.password, Qt.Key.Key_Return)
    assert dialog.isVisible()
    assert dialog.problem.text()
    assert not window._station.sessions().worklist("r")[0].signed
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    card = window.worklist.cards[0]
    assert card.button.isEnabled()
    QTest.mouseClick(card.button, Qt.MouseButton.LeftButton)
    dialog = window.signing.dialog
    QTest.keyClicks(dialog.password, "secret-word")
    QTest.keyClick(dialog.password, Qt.Key.Key_Return)
    assert window._station.sessions().worklist("r")[0].signed
    assert "signed" in window.worklist.cards[0].button.text()
    assert not window.worklist.cards[0].button.isEnabled()
    last = log_of(window, "S.r.p1")[-1]
    assert last.kind is EventKind.SESSION_SIGNED
    assert last.body["name"] == "Rosa Lectora"
    assert "myself" in str(last.body["meaning"])


def test_a_session_is_not_asked_for_a_signature_where_the_protocol_wants_none(qtbot, open_window) -> None:
    window = open_window()
    start(qtbot, window)
    for _ in range(2):
        qtbot.waitUntil(window.is_case_painted, timeout=30_000)
        answer(window)
    qtbot.waitUntil(lambda: window.stack.currentWidget() is window.worklist, timeout=30_000)
    assert window.signing.dialog is None
    assert window.worklist.cards[0].button.text() == "Finished"


def test_rs_l1_a_selected_mark_is_dragged_to_its_place_and_the_log_keeps_both(qtbot, open_window) -> None:
    window = open_window()
    start(qtbot, window)
    view = window.reading.grid.viewports()[0]
    pane = view.viewport()
    QTest.keyClick(window.reading.grid, Qt.Key.Key_X)
    QTest.mouseClick(pane, Qt.MouseButton.LeftButton, pos=QPoint(750, 300))
    QTest.keyClicks(window.reading.findings.editor.confidence.edit, "60")
    QTest.keyClick(window.reading.findings.editor.confidence.edit, Qt.Key.Key_Return)
    QTest.keyClick(window.reading.grid, Qt.Key.Key_W)
    before = window._controller.case.findings[0]
    level = view.window()

    def drag() -> None:
        QTest.mousePress(pane, Qt.MouseButton.LeftButton, pos=QPoint(750, 300))
        for step in range(1, 5):
            QTest.mouseMove(pane, QPoint(750 + 10 * step, 300 + 5 * step))
        QTest.mouseRelease(pane, Qt.MouseButton.LeftButton, pos=QPoint(790, 320))

    drag()
    assert window._controller.case.findings[0] == before, (
        "a mark that is not selected stays: the drag windows"
    )
    assert view.window() != level
    QTest.mouseClick(pane, Qt.MouseButton.LeftButton, pos=QPoint(750, 300))
    assert window.reading.objects.selected == before.finding_id
    drag()
    after = window._controller.case.findings[0]
    place = view.widget_point(after.row, after.col)
    assert (round(place.x()), round(place.y())) == (790, 320)
    spacing = view.image.spacing
    assert after.row_mm == pytest.approx(after.row * spacing.row_mm)
    assert (after.finding_id, after.suspicion) == (before.finding_id, 60)
    moves = [event.body for event in log_of(window, "S.r.p1") if event.kind is EventKind.MARK_MOVED]
    assert len(moves) == 1
    assert moves[0]["old"]["row"] == before.row
    assert moves[0]["finding"]["row"] == after.row


CHILD = """
import os, signal, sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from PySide6.QtWidgets import QApplication
from PySide6.QtTest import QTest
import test_between_cases as steps

class Bot:
    def addWidget(self, widget): pass
    def waitUntil(self, ready, timeout):
        for _ in range(timeout // 20):
            QTest.qWait(20)
            if ready():
                return
        raise SystemExit("waited in vain")

app = QApplication([])
window = steps.window_on(Bot(), Path({database!r}), Path({exams!r}), [])
steps.start(Bot(), window)
steps.answer(window, 15)
Bot().waitUntil(lambda: window.reading.ai.result is not None, 30_000)
window.reading.form.field("R.suspicion").set_value(77)  # entered, not yet saved as a draft
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_rs_c4_after_kill_9_between_two_answers_the_ai_is_there_and_the_first_answer_stays_locked(
    qtbot, open_window, exams, tmp_path
) -> None:
    window = open_window(arms=(UNAIDED, AIDED), design=Design.SEQUENTIAL)
    window.close()
    words = {
        "root": str(Path(__file__).resolve().parents[3]),
        "tests": str(Path(__file__).resolve().parent),
        "database": str(tmp_path / "study.sqlite"),
        "exams": str(exams),
    }
    killed = subprocess.run(
        [sys.executable, "-c", CHILD.format(**words)],
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    window = open_window()
    start(qtbot, window)
    assert "first answer is locked" in window.reading._message.text()
    assert window.reading.ai_panel is not None
    qtbot.waitUntil(lambda: window.reading.ai.result is not None, timeout=30_000)
    assert window.reading.form.field("R.suspicion").value() == 15
    answer(window, 30)
    qtbot.waitUntil(window.is_case_painted, timeout=30_000)
    events = log_of(window, "S.r.p1")
    first = window._controller._position.index
    assert first == 1
    provisional = [e.body["assessment"] for e in events if e.kind is EventKind.PROVISIONAL_SUBMITTED]
    final = [e.body["assessment"] for e in events if e.kind is EventKind.ASSESSMENT_SUBMITTED]
    assert [one["breasts"][0]["suspicion"] for one in provisional] == [15]
    assert [one["breasts"][0]["suspicion"] for one in final] == [30]
    assert EventKind.SESSION_RECOVERED in {event.kind for event in events}


def test_rs_t3_the_file_for_readers_stations_holds_practice_cases_only(exams, tmp_path) -> None:
    study = make_study(
        exams,
        practice=1,
        conduct=Conduct(),
        training=Training(feedback=True),
        arms=(UNAIDED,),
        design=Design.SINGLE,
    )
    everything = tmp_path / "truth.json"
    sides = {Laterality.RIGHT: Pathology.MALIGNANT, Laterality.LEFT: Pathology.NORMAL}
    write_truth(tuple(Truth(case_id=case.case_id, breasts=sides) for case in study.cases), everything)
    opened = open_database(tmp_path / "study.sqlite")
    opened.save_study(study)
    opened.close()
    command = [
        "study",
        "practice-truth",
        str(everything),
        "--db",
        str(tmp_path / "study.sqlite"),
        "--study",
        "S",
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    written = folder_beside(tmp_path / "study.sqlite") / PRACTICE_TRUTH
    assert [truth.case_id for truth in read_truth(written)] == ["C1"]
    write_truth((Truth(case_id="C2", breasts=sides),), everything)
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "found none" in refused.output
