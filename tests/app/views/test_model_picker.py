"""The models' page of the settings and several models on one exam, in the real window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel

from app.bootstrap import browsing_station
from app.control.model_rules import study_rules
from app.control.tasks import InlineTaskRunner
from app.settings_store import JsonSettings
from app.state.model_shelf import (
    AskedModel,
    Device,
    InstalledModel,
    ListedModel,
    Measured,
    Shelf,
    Standing,
)
from app.state.settings import Settings
from app.views import theme
from app.views.main_window import MainWindow
from app.views.model_picker import ModelCardRow, ModelChoice, ModelPicker
from inference.engine import AiUnavailable, Cancelled, FakeEngine, InferenceEngine, Progress
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.types import Exam, InferenceError
from inference.results import ExamResult
from reader_study.domain.study import AiPolicy, Arm, Case, Scale, Study
from resources.vocabulary import FindingType

GPU = Device(name="cuda:0", words="NVIDIA H100")
DETECTOR = InstalledModel(
    folder="detector", standing=Standing.RUNS, model_id="detector", name="Detector", version="1.0", task="finds",
    finds=(FindingType.MASS,), licence="Apache-2.0", intended_use="Research use only.", size_bytes=8_600_000,
    card_seconds=0.54, measured=Measured(seconds=2.5, device="cpu"), limits=("phantoms only",), weights="a" * 64,
)  # fmt: skip
MAPS = replace(
    DETECTOR, folder="maps", model_id="maps", name="Maps", finds=(), measured=None, card_seconds=None
)
CONTRAST = replace(MAPS, folder="cesm", model_id="cesm", name="Contrast", needs_contrast=True)
HEAVY = replace(
    MAPS,
    folder="heavy",
    model_id="heavy",
    name="Heavy",
    standing=Standing.CANNOT,
    reason="It needs a CUDA device.",
)
BROKEN = InstalledModel(
    folder="broken", standing=Standing.DAMAGED, reason="card.json: expected JSON.", own=True
)


class Named:
    """The made-up engine under another name; fails or refuses where told to."""

    def __init__(self, name: str, seed: int, error: Exception | None = None) -> None:
        self.name, self.seed, self.error, self.asked = name, seed, error, 0

    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return replace(FakeEngine(self.seed).analyse(exam, progress, cancelled), model_id=self.name)


class FakeShelf:
    """Models without folders; engines by id, as the settings in force choose them."""

    named_here = False
    station_model = "detector"

    def __init__(self, settings: Callable[[], Settings], engines: dict[str, InferenceEngine]) -> None:
        self._settings, self.engines = settings, engines

    @property
    def main(self) -> str:
        return self._settings().main_model or "detector"

    def look(self) -> Shelf:
        return Shelf(models=(DETECTOR, MAPS, CONTRAST, HEAVY, BROKEN), devices=(Device(name="cpu"), GPU))

    try_devices = look

    def listed(self) -> tuple[ListedModel, ...]:
        return tuple(ListedModel(model_id=one.model_id, title=one.name) for one in (DETECTOR, MAPS, CONTRAST))

    def asked(self, named: Sequence[str] = ()) -> tuple[AskedModel, ...]:
        ids = tuple(named) or (self.main, *self._settings().models_beside)
        return tuple(AskedModel(engine=self.engines[one], model_id=one) for one in ids)

    def close(self) -> None:
        """Nothing runs."""


def words_of(card: ModelCardRow) -> str:
    return "\n".join(label.text() for label in card.findChildren(QLabel))


@pytest.fixture
def page(qtbot) -> ModelPicker:
    picker = ModelPicker(FakeShelf(Settings, {}), InlineTaskRunner())
    qtbot.addWidget(picker)
    picker.set_choice(ModelChoice(main="detector"))
    picker.resize(1200, 900)
    picker.show()
    return picker


def test_every_model_is_shown_with_what_it_does_where_how_fast_and_why_not(page: ModelPicker) -> None:
    said = {card.model.folder: words_of(card) for card in page.cards}
    assert list(said) == ["detector", "maps", "cesm", "heavy", "broken"]
    for words in (
        "Detector",
        "detector 1.0",
        "mass",
        "CUDA (NVIDIA H100)",
        "2.5 s for the last exam here (cpu)",
    ):
        assert words in said["detector"]
    for words in ("0.54 s an exam by its card", "8.6 MB", "Apache-2.0", "Research use only."):
        assert words in said["detector"]
    assert "findings without a type" in said["maps"]
    assert "not measured yet" in said["maps"]
    assert "low energy and recombined" in said["cesm"]
    assert "CANNOT RUN HERE: It needs a CUDA device." in said["heavy"]
    assert "DAMAGED: card.json: expected JSON." in said["broken"]
    assert page.note.text() == "5 models installed, 2 of them cannot run."


def test_only_models_that_run_can_be_chosen_and_the_choice_is_told(page: ModelPicker, qtbot) -> None:
    detector, maps, contrast, heavy, broken = page.cards
    assert detector.main.isChecked()
    assert not detector.beside.isEnabled()  # it is the main one
    assert heavy.main.isHidden()
    assert broken.beside.isHidden()
    told: list[ModelChoice] = []
    page.chosen.connect(told.append)
    QTest.mouseClick(contrast.beside, Qt.MouseButton.LeftButton)
    QTest.mouseClick(maps.main, Qt.MouseButton.LeftButton)
    page.device.setCurrentIndex(page.device.findData("cpu"))
    assert told == [
        ModelChoice(main="detector", beside=("cesm",)),
        ModelChoice(main="maps", beside=("cesm",)),
        ModelChoice(main="maps", beside=("cesm",), device="cpu"),
    ]
    assert "CPU" in words_of(detector)
    assert "CUDA" not in words_of(detector)


def test_known_limits_unfold(page: ModelPicker) -> None:
    card = page.cards[0]
    assert card.limits.isHidden()
    assert "phantoms only" in card.limits.text()
    assert "a" * 64 in card.limits.text()


def test_in_a_study_the_page_says_which_models_the_protocol_names() -> None:
    def study(*arms: Arm) -> Study:
        case = Case(case_id="C", exam_id="E", exam_digest="0" * 64)
        return Study(
            study_id="S", title="S", protocol_version="1", seed=1, arms=arms, readers=(), cases=(case,),
            scale=Scale(), plans=(),
        )  # fmt: skip

    unaided = Arm(arm_id="alone", title="A", ai=AiPolicy(shown=False))
    named = Arm(arm_id="aided", title="B", ai=AiPolicy(shown=True, models=("maps", "detector")))
    free = Arm(arm_id="free", title="C", ai=AiPolicy(shown=True))
    words = study_rules(study(unaided, named, free), "detector")
    assert "arm aided: maps, detector" in words
    assert "arm free: no model named, so the one that the station was started with (detector)" in words
    assert "alone" not in words
    assert "no arm of its protocol shows AI" in study_rules(study(unaided), "detector")


# ---------------------------------------------------------------- in the window


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model_exams")
    for seed in (5, 6):
        write_phantom_dicom(phantom_exam(PhantomSpec(seed=seed, pixel_mm=0.6)), folder / str(seed))
    return folder


@pytest.fixture
def window(qtbot, tmp_path: Path) -> Iterator[MainWindow]:
    keeper = JsonSettings(tmp_path)
    station = browsing_station(FakeEngine())
    station.settings = keeper
    engines: dict[str, InferenceEngine] = {
        "detector": Named("detector", 1),
        "maps": Named("maps", 2, InferenceError("The disk is full.")),
        "cesm": Named("cesm", 3, AiUnavailable("no contrast pair")),
    }
    station.models = FakeShelf(lambda: keeper.current, engines)
    made = MainWindow(station, version="test")
    made.setStyleSheet(theme.stylesheet())
    made.resize(1600, 1000)
    qtbot.addWidget(made)
    made.show()
    yield made
    made.close()


def open_exam(window: MainWindow, qtbot, exams: Path, index: int) -> None:
    found: list[object] = []
    window.open_exams(exams, found.extend)
    qtbot.waitUntil(lambda: bool(found), timeout=30_000)
    window._open_exam(found[index].exam_id)  # type: ignore[attr-defined]
    ready = lambda: bool(window.reading.ai.runs) and not window.reading.ai.is_open  # noqa: E731
    qtbot.waitUntil(ready, timeout=60_000)


def test_a_choice_is_kept_and_holds_at_the_next_exam_without_a_restart(
    window: MainWindow, qtbot, exams: Path, tmp_path: Path
) -> None:
    open_exam(window, qtbot, exams, 0)
    assert [run.model_id for run in window.reading.ai.runs] == ["detector"]
    panel = window.reading.ai_panel
    assert panel is not None
    assert panel.models.isHidden()
    window._show_settings()
    assert window.settings is not None
    assert window.settings.models is not None
    window.settings.show_page(2)
    picker = window.settings.models
    qtbot.waitUntil(lambda: len(picker.cards) == 5, timeout=10_000)
    for name in ("maps", "cesm"):
        card = next(one for one in picker.cards if one.model.folder == name)
        QTest.keyClick(card.beside, Qt.Key.Key_Space)
    assert JsonSettings(tmp_path).current.models_beside == ("maps", "cesm")
    window._close_settings()
    open_exam(window, qtbot, exams, 1)
    assert [run.model_id for run in window.reading.ai.runs] == ["detector", "maps", "cesm"]


def test_mg30_of_several_models_each_says_where_it_stands(window: MainWindow, qtbot, exams: Path) -> None:
    window.preferences.keep(replace(window.preferences.settings, models_beside=("maps", "cesm")))
    open_exam(window, qtbot, exams, 0)
    window.reading.ai_layers.threshold = 0.0
    QTest.keyClick(window.reading.grid, Qt.Key.Key_B)
    panel = window.reading.ai_panel
    assert panel is not None
    titles = {line.title.text().split()[0]: line for line in panel.models.lines}
    assert titles["maps"].words.text() == "FAILED, these images were not assessed: The disk is full."
    assert titles["maps"].words.property("role") == "error"
    assert titles["cesm"].words.text() == "NOT for this exam: no contrast pair"
    assert not titles["cesm"].letter.isEnabled()
    assert titles["detector"].letter.isChecked()
    assert not panel.retry.isHidden()
    labels = [item.label for view in window.reading.grid.viewports() for item in view.overlays]
    assert labels
    assert all(label.endswith(" detector") and label.startswith("A") for label in labels)


def test_matching_boxes_of_two_models_are_lit_together_and_rows_switch_them(
    window: MainWindow, qtbot, exams: Path
) -> None:
    shelf = window._station.models
    assert isinstance(shelf, FakeShelf)
    shelf.engines["maps"] = Named("maps", 1)  # the same seed: the same places
    window.preferences.keep(replace(window.preferences.settings, models_beside=("maps",)))
    open_exam(window, qtbot, exams, 0)
    view, panel = window.reading, window.reading.ai_panel
    assert panel is not None
    view.ai_layers.threshold = 0.0
    QTest.keyClick(view.grid, Qt.Key.Key_B)
    view.ai_layers.sides.sides[1].threshold = 0.0
    QTest.mouseClick(panel.models.lines[1].letter, Qt.MouseButton.LeftButton)
    assert {side.letter for side in view.ai_layers.sides.shown} == {"A", "B"}
    first = panel.list.item(0).text()
    assert "2 of 2 models mark this: A, B" in first
    view.go_to_finding(view.ai_layers.findings[0].key)
    lit = {item.item_id for one in view.grid.viewports() for item in one.overlays if item.selected}
    assert {name.split("/")[0] for name in lit} == {"detector", "maps"}
    QTest.mouseClick(panel.models.lines[0].letter, Qt.MouseButton.LeftButton)
    assert [side.letter for side in view.ai_layers.sides.shown] == ["B"]
    assert panel.models.lines[1].property("role") == "front"
