"""Which models an arm asks: ticked in the form on the real window, kept in the database and the YAML, refused when none is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QCheckBox, QWidget

from app.bootstrap import coordinator_station
from app.model_shelf import FolderShelf
from app.state.settings import Settings
from app.views.coordinator.arm_models import ArmModels
from app.views.coordinator.studies_page import StudiesPage
from app.views.main_window import MainWindow
from app.views.theme import stylesheet
from inference.engine import FakeEngine
from inference.registry import cards


@pytest.fixture
def page(qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StudiesPage]:
    """The page of the study, on a database that was just begun; the models are those of the program."""
    monkeypatch.setenv("NEGATOSCOPE_HOME", str(tmp_path / "home"))
    station = coordinator_station(
        database=tmp_path / "study.sqlite", study_id=None, cases=None, anchor=tmp_path / "anchor.jsonl",
        engine=FakeEngine(),
    )  # fmt: skip
    station.models = FolderShelf(tmp_path / "cache", Settings, program_choice="dib-mg")
    window = MainWindow(station, version="test")
    window.setStyleSheet(stylesheet())
    window.resize(1920, 1080)
    qtbot.addWidget(window)
    window.show()
    begin = window.area.beginning
    assert begin is not None
    begin.study_title.setText("Study")
    begin.name.setText("Ada")
    begin.password.setText("pass-word")
    begin.again.setText("pass-word")
    begin.begin()
    assert window.area.view is not None, begin.problem.text()
    yield window.area.view.study
    window.close()


def arm(page: StudiesPage, number: int) -> ArmModels:
    return page.form.arms.models[number]


def click(box: QWidget) -> None:
    QTest.mouseClick(box, Qt.MouseButton.LeftButton, pos=box.rect().topLeft() + box.rect().center() * 0.2)


def save(page: StudiesPage) -> tuple[str, ...]:
    page.save()
    assert page.work is not None
    return page.work.study.arms[1].ai.models


def test_rs_d1_models_ticked_in_an_arm_are_in_the_study_and_the_yaml_in_the_order_of_ticking(page) -> None:
    aided = arm(page, 1)
    assert set(aided.boxes) == {card.model_id for card in cards()}, "every installed model can be chosen"
    assert aided.station.isChecked()
    click(aided.boxes["four-view-detector"])
    click(aided.boxes["dib-mg"])
    assert not aided.station.isChecked()
    assert "four-view-detector, dib-mg" in aided.order.text()
    assert save(page) == ("four-view-detector", "dib-mg")
    assert page.said.text() == "Saved."
    page.toggle()
    assert "models: [four-view-detector, dib-mg]" in page.text.toPlainText()
    page.text.setPlainText(
        page.text.toPlainText().replace("[four-view-detector, dib-mg]", "[dib-mg, of-another-house]")
    )
    page.toggle()
    box = arm(page, 1).boxes["of-another-house"]
    assert box.isChecked()
    assert "not installed" in box.text()
    assert save(page) == ("dib-mg", "of-another-house")


def test_rs_d1_an_arm_that_shows_ai_and_asks_no_model_is_refused_with_one_sentence(page) -> None:
    before = save(page)
    click(arm(page, 1).station)
    assert save(page) == before
    assert page.said.text().startswith("Arm aided: expected at least one model where AI is shown, found none")
    shown = page.form.arms.findChild(QCheckBox, "arm.1.shown")
    assert shown is not None
    click(shown)
    assert not arm(page, 1).isEnabled()
    save(page)
    assert page.said.text() == "Saved.", "an arm without AI needs no model"


def test_the_station_s_own_model_and_named_ones_exclude_each_other(page) -> None:
    aided = arm(page, 1)
    click(aided.boxes["dib-mg"])
    click(aided.station)
    assert aided.models() == []
    assert not aided.boxes["dib-mg"].isChecked()
    assert save(page) == ()


def test_no_more_models_can_be_ticked_than_a_protocol_takes(qtbot) -> None:
    from app.state.model_shelf import ListedModel

    many = ArmModels([ListedModel(model_id=name, title=name) for name in "abcdef"])
    qtbot.addWidget(many)
    many.set_models(["f", "b", "c", "a"])
    assert [name for name, box in many.boxes.items() if box.isEnabled()] == ["a", "b", "c", "f"]
    assert many.models() == ["f", "b", "c", "a"]
