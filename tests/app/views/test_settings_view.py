"""Settings on screen: keys rebound by keys, monitors' records in force at once, text size, and what the log gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel

from app.bootstrap import browsing_station
from app.control.commands import COMMANDS
from app.settings_store import JsonSettings
from app.state.calibration import MonitorRecord
from app.state.display import Change, Pyramid, ZoomMode
from app.state.gsdf import LuminanceResponse, calibrated_table, identity_table
from app.state.hanging import load_protocols, match
from app.state.settings import HeatColour, MemorySettings, Settings, WheelUse
from app.state.test_patterns import qc
from app.views.main_window import MainWindow
from app.views.pattern_window import PatternWindow, RulerWindow
from app.views.screens import device_size, monitor_of
from app.views.theme import stylesheet
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam

EIGHTEEN = tuple(range(0, 256, 15))
GAMMA = LuminanceResponse(levels=EIGHTEEN, cd_m2=tuple(1.2 + 449 * (v / 255) ** 2.2 for v in EIGHTEEN))


@pytest.fixture
def open_window(qtbot) -> Iterator[Callable[..., MainWindow]]:
    windows: list[MainWindow] = []
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    sheet = app.styleSheet()

    def make(keeper: JsonSettings | MemorySettings | None = None) -> MainWindow:
        station = browsing_station(FakeEngine())
        station.settings = keeper or MemorySettings()
        window = MainWindow(station, version="test")
        window.resize(1600, 1000)
        qtbot.addWidget(window)
        window.show()
        windows.append(window)
        return window

    yield make
    for window in windows:
        window.close()
    app.setStyleSheet(sheet)


def hang(window: MainWindow) -> None:
    """Hang a phantom's first stage in the reading screen."""
    exam = phantom_exam(PhantomSpec(seed=4, pixel_mm=0.5)).exam
    stage = match(load_protocols(), exam).stages[0]
    images = {image.key: image for image in exam.images}
    window.stack.setCurrentWidget(window.reading)
    window.reading.grid.set_stage(stage, images, {k: Pyramid(i.pixels) for k, i in images.items()})
    QApplication.processEvents()


def press(
    window: MainWindow, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
) -> None:
    """Press a key where the window's focus is."""
    widget = window.focusWidget()
    assert widget is not None
    QTest.keyClick(widget, key, modifier)


def key_row(window: MainWindow, title: str) -> None:
    assert window.settings is not None
    table = window.settings.keys.table
    for row in range(table.rowCount()):
        if table.item(row, 1).text() == title:
            table.setCurrentCell(row, 1)
            return
    raise AssertionError(title)


def test_mg42_a_command_takes_a_new_key_by_keys_alone_and_keeps_it(open_window, tmp_path: Path) -> None:
    window = open_window(JsonSettings(tmp_path))
    hang(window)
    QTest.keyClick(window, Qt.Key.Key_Comma, Qt.KeyboardModifier.ControlModifier)
    assert window.stack.currentWidget() is window.settings
    window.settings.show_page(1)
    window.settings.keys.table.setFocus()
    key_row(window, "Invert grey scale")
    press(window, Qt.Key.Key_Return)
    press(window, Qt.Key.Key_J)
    press(window, Qt.Key.Key_Escape)
    assert window.stack.currentWidget() is window.reading
    inverted = [view.state().inverted for view in window.reading.grid.viewports()]
    QTest.keyClick(window.reading.grid, Qt.Key.Key_I)
    assert [view.state().inverted for view in window.reading.grid.viewports()] == inverted
    QTest.keyClick(window.reading.grid, Qt.Key.Key_J)
    assert [view.state().inverted for view in window.reading.grid.viewports()] != inverted
    assert JsonSettings(tmp_path).current.keys == {"view.invert": ("J",)}
    window._show_keys()
    texts = [label.text() for label in window._dialog.findChildren(QLabel)]
    window._dialog.close()
    assert "J" in texts
    assert "I" not in texts


def test_mg42_a_key_that_is_taken_is_refused_in_one_sentence_naming_both_commands(open_window) -> None:
    window = open_window()
    window._show_settings()
    window.settings.show_page(1)
    window.settings.keys.table.setFocus()
    key_row(window, "Invert grey scale")
    press(window, Qt.Key.Key_Return)
    press(window, Qt.Key.Key_F)
    words = window.settings.keys.message.text()
    assert "Invert grey scale" in words
    assert "Fit to viewport" in words
    assert window.preferences.settings.keys == {}


def test_mg42_escape_while_waiting_for_a_key_changes_nothing(open_window) -> None:
    window = open_window()
    window._show_settings()
    window.settings.show_page(1)
    window.settings.keys.table.setFocus()
    key_row(window, "Invert grey scale")
    press(window, Qt.Key.Key_Return)
    press(window, Qt.Key.Key_Escape)
    assert window.stack.currentWidget() is window.settings
    assert window.preferences.settings.keys == {}


def test_mg42_defaults_come_back_and_keys_are_written_as_text(open_window, tmp_path: Path) -> None:
    window = open_window(MemorySettings(Settings(keys={"view.invert": ("Ctrl+7",)})))
    window._show_settings()
    page = window.settings.keys
    page.export(tmp_path / "keys.txt")
    lines = (tmp_path / "keys.txt").read_text().splitlines()
    assert len(lines) == len(COMMANDS)
    assert "View\tInvert grey scale\tCtrl+7" in lines
    page.reset_all()
    assert window.preferences.settings.keys == {}
    assert window._shortcuts["view.invert"][0].key().toString() == "I"


def test_mg42_the_key_sheet_lists_every_command_with_its_key(open_window) -> None:
    window = open_window()
    window._show_keys()
    texts = {label.text() for label in window._dialog.findChildren(QLabel)}
    window._dialog.close()
    for command in COMMANDS:
        assert command.title in texts
        assert " / ".join(command.keys) in texts


def test_mg10_true_size_follows_the_ruler_of_the_monitor(open_window) -> None:
    window = open_window()
    hang(window)
    key = monitor_of(window.screen()).key
    window._on_settings(Settings().with_record(MonitorRecord(monitor=key, pitch_mm=0.25)))
    view = window.reading.grid.active()
    window.reading.do(Change.TRUE)
    # The phantom's pixels are 0.5 mm, the screen's 0.25 mm: two screen pixels each.
    assert view.state().zoom_mode is ZoomMode.TRUE
    assert view.state().scale == pytest.approx(2.0)
    window._on_settings(Settings().with_record(MonitorRecord(monitor=key, pitch_mm=0.2)))
    assert view.state().scale == pytest.approx(2.5)


def test_mg20_luminances_that_are_kept_change_the_greys_at_once(open_window) -> None:
    window = open_window()
    hang(window)
    view = window.reading.grid.viewports()[0]
    before = view.item.table().copy()
    record = MonitorRecord(monitor=monitor_of(window.screen()).key, response=GAMMA, ambient_cd_m2=0.4)
    window._on_settings(Settings().with_record(record))
    after = view.item.table()
    wanted = calibrated_table(GAMMA, ambient_cd_m2=0.4).levels
    assert set(np.unique(after & 0xFF).tolist()) <= set(wanted.tolist())
    middle = np.abs((before & 0xFF).astype(int) - 128) < 8
    assert middle.any()
    assert np.all(
        (after[middle] & 0xFF) < 110
    )  # a gamma monitor is too bright in the middle of the JND scale


def test_qc02_the_page_takes_luminances_and_says_the_error_and_the_ratio(open_window) -> None:
    window = open_window()
    window._show_settings()
    page = window.settings.monitors
    for row, cd_m2 in enumerate(GAMMA.cd_m2):
        page.table.item(row, 1).setText(f"{cd_m2:.4f}")
    page.ambient.setText("0,4")
    page.person.setText("P. Hysicist")
    page.keep()
    record = window.preferences.record()
    assert record is not None
    assert record.ambient_cd_m2 == 0.4
    assert "ratio 282" in page.verdict.text()
    assert "predicted from the table" in page.verdict.text()
    assert "cannot certify" in page.verdict.text()
    environment = window._environment()
    assert environment["calibration"].endswith("by P. Hysicist, valid")
    assert float(environment["gsdf_error_percent"]) < 10
    page.table.item(3, 1).setText("bright")
    page.keep()
    assert "row 4" in page.message.text()


def test_qc02_luminances_come_from_a_csv_file(open_window, tmp_path: Path) -> None:
    window = open_window()
    window._show_settings()
    path = tmp_path / "photometer.csv"
    path.write_text(
        "level,cd/m2\n" + "".join(f"{v},{cd:.4f}\n" for v, cd in zip(EIGHTEEN, GAMMA.cd_m2, strict=True))
    )
    window.settings.monitors.import_csv(path)
    window.settings.monitors.keep()
    assert window.preferences.record().response.levels == EIGHTEEN


def test_qc03_the_ruler_on_the_screen_gives_the_pitch_by_keys(open_window, qtbot) -> None:
    window = open_window()
    window._show_settings()
    page = window.settings.monitors
    page.open_ruler()
    ruler = page.window_on_screen
    assert isinstance(ruler, RulerWindow)
    start = ruler.length_px
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Left, Qt.Key.Key_Up):
        QTest.keyClick(ruler, key)
    QTest.keyClick(ruler, Qt.Key.Key_Return)
    assert window.preferences.record().pitch_mm == pytest.approx(85.60 / (start + 20))


def test_qc03_the_lines_of_the_ruler_are_exactly_its_length_apart(qtbot) -> None:
    ruler = RulerWindow(QGuiApplication.primaryScreen(), length_mm=50.0)
    qtbot.addWidget(ruler)
    ruler.length_px = 301
    picture = ruler.grab().toImage().convertToFormat(QImage.Format.Format_Grayscale8)
    top = (ruler.height() - 60) // 2 - 10
    bright = [x for x in range(picture.width()) if picture.pixelColor(x, top).value() > 60]
    assert len(bright) == 2
    assert bright[1] - bright[0] - 1 == 301


def test_qc01_a_pattern_reaches_the_screen_pixel_by_pixel(qtbot) -> None:
    screen = QGuiApplication.primaryScreen()
    window = PatternWindow(screen, table=identity_table())
    qtbot.addWidget(window)
    window.words_shown = False
    picture = window.grab().toImage().convertToFormat(QImage.Format.Format_Grayscale8)
    rows, cols = device_size(screen)
    shown = np.frombuffer(picture.constBits(), np.uint8).reshape(rows, picture.bytesPerLine())[:, :cols]
    assert np.array_equal(shown, qc(rows, cols))


def test_qc01_patterns_step_by_arrows_with_or_without_the_table_and_escape_closes(open_window) -> None:
    window = open_window()
    window._show_settings()
    page = window.settings.monitors
    page.open_patterns("QC", raw=False)
    shown = page.window_on_screen
    assert isinstance(shown, PatternWindow)
    QTest.keyClick(shown, Qt.Key.Key_Right)
    assert shown.pattern.pattern_id == "sQC"
    QTest.keyClick(shown, Qt.Key.Key_L)
    assert shown.raw
    QTest.keyClick(shown, Qt.Key.Key_Escape)
    assert page.window_on_screen is None


def test_qc04_an_unsuitable_monitor_is_said_at_sign_in_in_the_work_list_and_while_reading(
    open_window,
) -> None:
    window = open_window()
    for page in (window.sign_in, window.worklist, window.reading):
        assert "no luminances recorded" in page._monitor_note.text()
    assert window._environment()["calibration"] == "none recorded"
    assert "megapixels" in window._environment()["display_problems"]


def test_text_grows_to_200_percent_and_back_without_cutting_the_lines(open_window) -> None:
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    app.setStyleSheet(stylesheet())
    window = open_window()
    hang(window)
    window._on_settings(Settings(text_scale=2.0))
    QApplication.processEvents()
    assert app.styleSheet() == stylesheet(2.0)
    top = window.reading._lines[0]
    assert top.height() >= window.reading._bar.fontMetrics().height()
    assert window.reading.grid.viewports()[0].text_scale == 2.0
    window._on_settings(Settings())
    assert app.styleSheet() == stylesheet()


def test_wheel_and_heat_map_colour_follow_the_settings_in_viewports_made_later_too(open_window) -> None:
    window = open_window(MemorySettings(Settings(wheel=WheelUse.STAGE, heat_colour=HeatColour.JET)))
    hang(window)
    assert all(view.wheel_steps_stages for view in window.reading.grid.viewports())
    assert window.reading._heat_colour == "jet"


def test_appearance_and_language_are_changed_by_keys(open_window, tmp_path: Path) -> None:
    window = open_window(JsonSettings(tmp_path))
    window._show_settings()
    press(window, Qt.Key.Key_Down)
    press(window, Qt.Key.Key_Down)
    assert window.settings.pages.currentIndex() == 2
    press(window, Qt.Key.Key_Tab)
    assert (
        window.settings.scale.isAncestorOf(window.focusWidget())
        or window.focusWidget() is window.settings.scale
    )
    press(window, Qt.Key.Key_Up)
    press(window, Qt.Key.Key_Tab)
    press(window, Qt.Key.Key_Down)
    kept = JsonSettings(tmp_path).current
    assert kept.text_scale == pytest.approx(1.1)
    assert kept.wheel is WheelUse.STAGE
    window.settings.language.setCurrentIndex(window.settings.language.findData("en"))
    assert JsonSettings(tmp_path).current.language == "en"


def test_the_side_panel_goes_apart_and_comes_back_with_its_keys(open_window) -> None:
    window = open_window()
    hang(window)
    QTest.keyClick(window.reading.grid, Qt.Key.Key_F9, Qt.KeyboardModifier.ShiftModifier)
    panel = window.reading.panel_window
    assert panel.is_apart
    assert window.reading.side.window() is panel
    inverted = [view.state().inverted for view in window.reading.grid.viewports()]
    QTest.keyClick(panel, Qt.Key.Key_I)
    assert [view.state().inverted for view in window.reading.grid.viewports()] != inverted
    panel.close()
    assert window.reading.side.window() is window
    assert not panel.is_apart


def test_windows_come_back_where_they_were_closed(open_window, qtbot, tmp_path: Path) -> None:
    first = open_window(JsonSettings(tmp_path))
    first.setGeometry(40, 30, 700, 600)
    first.reading.toggle_panel_apart()
    first.reading.panel_window.setGeometry(60, 50, 500, 400)
    QApplication.processEvents()
    first.close()
    kept = JsonSettings(tmp_path).current
    assert kept.window_place
    assert kept.panel_apart
    again = open_window(JsonSettings(tmp_path))
    assert (again.width(), again.height()) == (700, 600)
    assert again.reading.panel_window.is_apart
    assert again.reading.panel_window.isHidden()  # until a case is read
    again.stack.setCurrentWidget(again.reading)
    assert again.reading.panel_window.width() == 500
    again.reading.panel_window.activateWindow()
    qtbot.waitUntil(again.reading.panel_window.isActiveWindow)
    QTest.keyClick(again.reading.panel_window, Qt.Key.Key_F9)
    assert again.reading.panel_window.isHidden()
