"""The AI's findings in the real window: list, going to one, matched ones lit together, arcs, threshold, log, absence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QWidget

from app.bootstrap import study_station
from app.state.ai_view import AiView, ModelWords
from app.state.display import ZoomMode
from app.views import theme
from app.views.ai_findings_list import AiFindingsList
from app.views.ai_panel import AiPanel
from app.views.main_window import MainWindow
from app.views.threshold_row import ThresholdRow
from inference.engine import AiUnavailable, Cancelled, FakeEngine, InferenceEngine, Progress
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource
from inference.exam.types import Box, Exam, InferenceError
from inference.model_card import OperatingPoint
from inference.results import Detection, ExamResult
from reader_study.accounts import hash_password
from reader_study.domain.events import EventKind
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.randomization import allocate
from reader_study.store.database import open_database
from resources.vocabulary import FindingType

SHIFT = Qt.KeyboardModifier.ShiftModifier


class Scripted:
    """Four lesions: one matched in both right views, one seen in R CC only, two more on the left."""

    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
        base = FakeEngine().analyse(exam, progress, cancelled)
        rows, cols = exam.images[0].pixels.shape

        def one(name: str, key: str, at: tuple[float, float], score: float, **more: object) -> Detection:
            row, col = at[0] * rows, at[1] * cols
            half = 0.03 * rows
            made = Detection(
                detection_id=name,
                image_key=key,
                box=Box(row0=row - half, col0=col - half, row1=row + half, col1=col + half),
                score=score,
                finding=FindingType.MASS,
                nipple_distance_mm=30.0,
                outline=((row - half, col), (row, col + half), (row + half, col), (row, col - half)),
            )
            return replace(made, **more)  # type: ignore[arg-type]

        pair = {"group": "r1", "match_probability": 0.78}
        found = (
            one("a", "R-CC", (0.5, 0.7), 0.9, region="outer", **pair),
            one("b", "R-MLO", (0.5, 0.7), 0.8, region="upper", **pair),
            one("c", "R-CC", (0.3, 0.8), 0.6, region="inner"),
            one("d", "L-CC", (0.5, 0.3), 0.4),
        )
        return replace(base, detections=found)


class Broken:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
        raise self.error


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ai_exams")
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=21, pixel_mm=0.35)), folder / "one")
    return folder


Open = Callable[..., MainWindow]


@pytest.fixture
def open_window(qtbot, exams: Path, tmp_path: Path) -> Iterator[Open]:
    windows: list[MainWindow] = []

    def make(engine: InferenceEngine | None = None, policy: AiPolicy | None = None) -> MainWindow:
        summary = FolderSource(exams).list()[0]
        digest = FolderSource(exams).load(summary.exam_id).digest
        arm = Arm(arm_id="a", title="A", ai=policy or AiPolicy(shown=True))
        case = Case(case_id="C1", exam_id=summary.exam_id, exam_digest=digest)
        reader = Reader(reader_id="r", name="R", password_hash=hash_password("secret-word"))
        plans = allocate(study_id="S", seed=1, cases=(case,), readers=(reader,), arms=(arm,), design="single")
        study = Study(
            study_id="S", title="S", protocol_version="1", seed=1, arms=(arm,), readers=(reader,), cases=(case,),
            scale=Scale(), plans=plans,
        )  # fmt: skip
        database = tmp_path / "s.sqlite"
        opened = open_database(database)
        opened.save_study(study)
        opened.close()
        station = study_station(
            database=database, study_id="S", exams=exams, anchor=None, engine=engine or Scripted()
        )
        window = MainWindow(station, version="test")
        window.setStyleSheet(theme.stylesheet())
        window.resize(1600, 1000)
        qtbot.addWidget(window)
        window.show()
        windows.append(window)
        QTest.keyClicks(window.sign_in.reader, "r")
        QTest.keyClicks(window.sign_in.password, "secret-word")
        QTest.keyClick(window.sign_in.password, Qt.Key.Key_Return)
        QTest.mouseClick(window.worklist.cards[0].button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(window.is_case_painted, timeout=60_000)
        ready = lambda: window.reading.ai.working is None or not window.reading.ai_layers.allowed  # noqa: E731
        qtbot.waitUntil(ready, timeout=60_000)
        return window

    yield make
    for window in windows:
        window.close()


def panel_of(window: MainWindow) -> AiPanel:
    panel = window.reading.ai_panel
    assert panel is not None
    return panel


def press(
    window: MainWindow, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
) -> None:
    QTest.keyClick(window.reading.grid, key, modifier)


def lit(window: MainWindow) -> set[str]:
    views = window.reading.grid.viewports()
    return {item.item_id for view in views for item in view.overlays if item.selected}


def logged(window: MainWindow) -> list[tuple[str, str, dict[str, object]]]:
    """Kind, layer and content of the AI's events in the log."""
    store, controller = window._station.events, window.controller
    assert store is not None
    assert controller is not None
    kinds = {EventKind.AI_REVEALED: "shown", EventKind.AI_HIDDEN: "hidden"}
    return [
        (kinds[event.kind], str(event.body["layer"]), dict(event.body.get("shown", {})))
        for event in store.read(str(controller.session_id))
        if event.kind in kinds
    ]


def test_beyond5_the_list_goes_to_a_finding_in_every_view_that_has_it_and_esc_goes_back(open_window) -> None:
    window = open_window()
    grid, panel = window.reading.grid, panel_of(window)
    press(window, Qt.Key.Key_B)
    assert [panel.list.item(row).text().splitlines()[0] for row in range(panel.list.count())] == [
        "1 R mass 90 %",
        "2 R mass 60 %",
    ]
    before = {view.image.key: view.state() for view in grid.viewports()}
    item = panel.list.visualItemRect(panel.list.item(0)).center()
    QTest.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=item)
    assert lit(window) == {"a", "b"}
    for view in grid.viewports():
        if not view.image.key.startswith("R"):
            assert view.state() == before[view.image.key]
            continue
        box = next(i.box for i in view.overlays if i.item_id in {"a", "b"})
        place = view.widget_point(*box.center)
        assert view.rect().contains(place.toPoint())
        assert view.state().scale > before[view.image.key].scale
        assert view.state().zoom_mode in {ZoomMode.FREE, ZoomMode.ACTUAL}
    assert "seen in CC and MLO, match 78 %" in panel._detail.text()
    press(window, Qt.Key.Key_Escape)
    assert lit(window) == set()
    assert {view.image.key: view.state() for view in grid.viewports()} == before
    assert panel._detail.isHidden()


def test_keys_step_through_the_findings_round_and_round(open_window) -> None:
    window = open_window()
    press(window, Qt.Key.Key_U)
    assert "No AI finding is on screen" in window.reading._message.text()
    press(window, Qt.Key.Key_B)
    seen = []
    for _ in range(3):
        press(window, Qt.Key.Key_U)
        seen.append(window.reading.ai_layers.chosen().number)
    press(window, Qt.Key.Key_U, SHIFT)
    seen.append(window.reading.ai_layers.chosen().number)
    assert seen == [1, 2, 1, 2]


def test_beyond5_pointing_at_a_finding_lights_its_match_and_an_unmatched_one_draws_the_arc(
    open_window,
) -> None:
    window = open_window()
    press(window, Qt.Key.Key_B)
    views = {view.image.key: view for view in window.reading.grid.viewports()}
    arcs = window.reading._ai_arcs

    def point_at(key: str, name: str) -> None:
        view = views[key]
        box = next(item.box for item in view.overlays if item.item_id == name)
        QTest.mouseMove(view.viewport(), view.widget_point(*box.center).toPoint())
        QApplication.processEvents()

    point_at("R-CC", "a")
    assert lit(window) == {"a", "b"}
    assert arcs.arcs == {}
    point_at("R-CC", "c")
    assert lit(window) == {"c"}
    assert set(arcs.arcs) == {"R-MLO"}
    assert arcs.arcs["R-MLO"][0].words == "2: 30 mm from nipple (AI)"
    spacing = views["R-MLO"].image.spacing
    nipple = window.reading.ai_layers.result.nipples["R-MLO"]
    for line in arcs.arcs["R-MLO"][0].lines:
        for row, col in line:
            mm = (
                ((row - nipple[0]) * spacing.row_mm) ** 2 + ((col - nipple[1]) * spacing.col_mm) ** 2
            ) ** 0.5
            assert mm == pytest.approx(30.0, abs=0.01)
    QTest.mouseMove(views["L-CC"].viewport(), QPoint(3, 3))
    QApplication.processEvents()
    assert lit(window) == set()
    assert arcs.arcs == {}


def test_rs_c5_every_change_of_what_is_on_screen_is_in_the_log(open_window) -> None:
    window = open_window()
    press(window, Qt.Key.Key_B)
    press(window, Qt.Key.Key_Minus)
    press(window, Qt.Key.Key_Minus)
    press(window, Qt.Key.Key_Minus)
    press(window, Qt.Key.Key_U)
    press(window, Qt.Key.Key_A, SHIFT)
    press(window, Qt.Key.Key_A, SHIFT)
    told = logged(window)
    assert [(kind, layer) for kind, layer, _ in told] == [
        *[("shown", "boxes")] * 4,
        ("shown", "finding"),
        ("hidden", "boxes"),
        ("hidden", "finding"),
        ("shown", "boxes"),
        ("shown", "finding"),
    ]
    contents = [(what["threshold"], what["findings"], what["of"]) for _, layer, what in told[:4]]
    assert contents == [(0.5, 2, 3), (0.45, 2, 3), (0.4, 3, 3), (0.35, 3, 3)]
    assert told[0][2]["list"] is True
    assert told[0][2]["outlines"] is True
    assert told[4][2]["images"] == ["R-CC", "R-MLO"]
    assert panel_of(window).list.count() == 3


def test_the_slider_says_what_it_does_and_named_points_set_it(open_window, qtbot) -> None:
    window = open_window()
    point = OperatingPoint(name="high sensitivity", level="box", threshold=0.3, how_set="on phantoms")
    answer = window.reading.ai.result
    window.reading.show_ai(AiView(result=answer, cards={"fake": ModelWords(points=(point,))}))
    press(window, Qt.Key.Key_B)
    panel = panel_of(window)
    assert panel._count.text() == "2 findings at 0.50 (1 below)"
    row = panel.threshold
    assert row is not None
    QTest.mouseClick(row.buttons[0], Qt.MouseButton.LeftButton)
    assert panel._count.text() == "3 findings at 0.30"
    assert row.buttons[0].isChecked()
    assert "on phantoms" in row.buttons[0].toolTip()
    before = len(logged(window))
    row.slider.setSliderDown(True)
    for value in range(31, 97):
        row.slider.setValue(value)
    assert panel._count.text() == "Read, no finding at 0.96 or above (3 below)"
    assert len(logged(window)) == before  # not while it is dragged
    row.slider.setSliderDown(False)
    qtbot.waitUntil(lambda: len(logged(window)) > before, timeout=5_000)
    assert logged(window)[-1][2]["threshold"] == pytest.approx(0.96)


def test_rs_d1_where_the_protocol_fixes_the_threshold_there_is_no_slider(open_window) -> None:
    window = open_window(policy=AiPolicy(shown=True, operating_threshold=0.7, threshold_choice=False))
    press(window, Qt.Key.Key_B)
    press(window, Qt.Key.Key_Minus)
    assert window.findChildren(ThresholdRow) == []
    assert window.reading.ai_layers.threshold == pytest.approx(0.7)
    assert window.reading._message.text() == "In this study the threshold is set by the protocol."
    assert panel_of(window)._count.text() == "1 finding at 0.70 (2 below)"


def test_rs_r2_an_arm_without_boxes_has_neither_list_nor_slider(open_window) -> None:
    window = open_window(policy=AiPolicy(shown=True, boxes=False))
    for key in (Qt.Key.Key_B, Qt.Key.Key_U, Qt.Key.Key_Minus):
        press(window, key)
    press(window, Qt.Key.Key_A, SHIFT)
    panel = panel_of(window)
    assert panel.list.isHidden()
    assert panel.threshold is None
    assert all(not view.overlays for view in window.reading.grid.viewports())
    assert {layer for _, layer, _ in logged(window)} == {"score"}
    assert "boxes" not in window.reading._layers_label.text()


def test_mg30_each_state_of_the_ai_has_words_and_a_look_of_its_own(open_window) -> None:
    window = open_window()
    panel, answer = panel_of(window), window.reading.ai.result
    assert answer is not None
    looks: dict[str, bytes] = {}

    def look(name: str, ai: AiView) -> None:
        window.reading.show_ai(ai)
        QApplication.processEvents()
        picture = panel.grab().toImage()
        looks[name] = bytes(picture.constBits())

    look("running", AiView(working="AI: at work", fraction=0.4))
    assert not panel.stop.isHidden()
    assert window.reading._layers_label.text() == "AI:  at work"
    look("failed", AiView(failure="AI not available, the analysis failed: x"))
    assert not panel.retry.isHidden()
    assert panel._state.property("phase") == "failed"
    assert window.reading._layers_label.text() == "AI:  NOT AVAILABLE"
    look("absent", AiView(absent="AI not available for this exam: x"))
    assert panel.retry.isHidden()
    look("stopped", AiView(stopped=True))
    assert panel._state.text() == "AI stopped. These images were not assessed."
    assert not panel.retry.isHidden()
    look("ready", AiView(result=answer))
    press(window, Qt.Key.Key_B)
    window.reading.ai_layers.set_threshold(0.99, rests=True)
    look("nothing", AiView(result=answer))
    assert "Read, no finding at 0.99" in panel._count.text()
    look("unread", AiView(result=replace(answer, unread={"L-MLO": "no breast"}, warnings=("estimated",))))
    assert panel._unread.text() == "NOT READ by the AI: L MLO (no breast)"
    assert panel._warnings.text() == "⚠ estimated"
    assert len(set(looks.values())) == len(looks)


def test_mg30_a_view_that_was_not_read_says_so_on_the_picture_and_an_empty_one_says_the_threshold(
    open_window,
) -> None:
    class InPart(Scripted):
        def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
            return replace(super().analyse(exam, progress, cancelled), unread={"L-MLO": "no breast"})

    window = open_window(InPart())
    press(window, Qt.Key.Key_B)
    words = {view.image.key: view.over.words for view in window.reading.grid.viewports()}
    assert (words["L-MLO"].ai, words["L-MLO"].ai_warns) == ("AI: NOT READ (no breast)", True)
    assert (words["L-CC"].ai, words["L-CC"].ai_warns) == ("AI: no finding ≥ 0.50", False)
    assert words["R-CC"].ai == ""
    press(window, Qt.Key.Key_B)
    assert all(view.over.words.ai == "" for view in window.reading.grid.viewports())


def test_a_key_of_the_ai_says_why_nothing_comes(open_window, qtbot) -> None:
    window = open_window(Broken(InferenceError("The disk is full.")))
    press(window, Qt.Key.Key_B)
    assert "The disk is full." in window.reading._message.text()
    assert [(kind, layer) for kind, layer, _ in logged(window)] == [("shown", "state")]
    window._station.engine.error = AiUnavailable("Model x reads no film.")
    QTest.mouseClick(panel_of(window).retry, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.reading.ai.absent is not None, timeout=30_000)
    assert "Model x reads no film." in panel_of(window)._state.text()
    assert [what.get("state") for kind, _, what in logged(window) if kind == "shown"] == ["failed", "absent"]


def test_two_models_are_named_and_switched_and_the_log_says_whose_answer_was_on_screen(open_window) -> None:
    window = open_window()
    panel, answer = panel_of(window), window.reading.ai.result
    assert answer is not None
    assert panel.models.isHidden()
    second = replace(answer, model_id="second", detections=answer.detections[:1])
    window.reading.show_ai(AiView(result=answer, others=(second,)))
    press(window, Qt.Key.Key_B)
    assert [line.title.text() for line in panel.models.lines] == ["fake 1", "second 1"]
    assert [line.letter.isChecked() for line in panel.models.lines] == [True, False]
    assert panel.list.count() == 2
    press(window, Qt.Key.Key_B, SHIFT)
    assert [line.letter.isChecked() for line in panel.models.lines] == [False, True]
    assert panel.list.count() == 1
    boxes = [what for _, layer, what in logged(window) if layer == "boxes"]
    assert [what["model"] for what in boxes] == ["fake 1", "second 1"]
    press(window, Qt.Key.Key_B, SHIFT)  # both together
    assert panel.list.count() == 3
    boxes = [what for _, layer, what in logged(window) if layer == "boxes"]
    assert [one["model"] for one in boxes[-1]["models"]] == ["fake 1", "second 1"]


def _all_words(widget: QWidget) -> Iterator[str]:
    for one in (widget, *widget.findChildren(QWidget)):
        yield from (one.objectName(), one.toolTip(), one.windowTitle(), one.accessibleName(), one.statusTip())
        if isinstance(one, QLabel):
            yield one.text()
        elif callable(text := getattr(one, "text", None)) and isinstance(said := text(), str):
            yield said


def test_rs_r2_in_an_unaided_arm_nothing_of_it_exists(open_window) -> None:
    window = open_window(Broken(AssertionError("the AI was asked")), AiPolicy(shown=False))
    for key in (Qt.Key.Key_B, Qt.Key.Key_H, Qt.Key.Key_S, Qt.Key.Key_U, Qt.Key.Key_Minus, Qt.Key.Key_Equal):
        press(window, key)
    for key in (Qt.Key.Key_A, Qt.Key.Key_B, Qt.Key.Key_U):
        press(window, key, SHIFT)
    reading = window.reading
    assert window.findChildren(AiPanel) == []
    assert window.findChildren(AiFindingsList) == []
    assert window.findChildren(ThresholdRow) == []
    words = [word for top in QApplication.topLevelWidgets() for word in _all_words(top) if word]
    assert not [
        word for word in words if "ai" in word.replace(":", " ").casefold().split() or "AI" in word.split()
    ]
    assert reading._ai_arcs.arcs == {}
    assert all(view.over.words.ai == view.over.words.score == "" for view in reading.grid.viewports())
    assert logged(window) == []
    assert not reading._message.text()


def test_words_of_the_panel_are_never_cut_in_the_frame_in_which_they_come(open_window) -> None:
    window = open_window()
    press(window, Qt.Key.Key_B)  # and no event loop before the look
    panel = panel_of(window)
    for label in panel.findChildren(QLabel):
        if label.isVisible() and label.wordWrap() and label.text():
            assert label.height() >= label.heightForWidth(label.width()), label.objectName()
    assert panel.geometry().bottom() <= window.reading._side_page.height()


def test_messages_have_the_colour_of_what_they_say(open_window) -> None:
    window = open_window()
    reading = window.reading

    def colour() -> str:
        return reading._message.palette().windowText().color().name().upper()

    reading.show_message("plain words")
    assert colour() == theme.TEXT
    window._confirm("Saved x.png.")
    assert colour() == theme.OK
    window._refuse("The folder cannot be written.")
    assert colour() == theme.ERROR
    reading.show_message("plain words again")
    assert colour() == theme.TEXT
