"""The settings' page of this station: the doctor's lines, worst first, to read and to copy; the window stays free."""

from __future__ import annotations

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel

from app.bootstrap import browsing_station
from app.control.tasks import InlineTaskRunner
from app.doctor import HealthReport, Told, fault, ok, warning
from app.views.main_window import MainWindow
from app.views.qt_tasks import QtTaskRunner
from app.views.system_page import SystemPage
from inference.engine import FakeEngine

REPORT = HealthReport(
    program="Negatoscope test",
    made_utc="2026-11-21T08:00:00.000Z",
    lines=(
        ok("codecs", "Codecs", "16 transfer syntaxes"),
        warning("display", "Display", "no record", "Measure it."),
        fault("disk", "Disk", "full", "Free it."),
    ),
)


def examine(told: Told) -> HealthReport:
    told(0.5, "Disk")
    return REPORT


def test_lines_stand_worst_first_with_their_remedies(qtbot) -> None:
    page = SystemPage(examine, InlineTaskRunner())
    qtbot.addWidget(page)
    page.start()
    texts = [label.text() for label in page.findChildren(QLabel)]
    assert texts.index("full") < texts.index("no record") < texts.index("16 transfer syntaxes")
    assert "→ Free it." in texts
    assert page.note.text().startswith("1 faults, 1 warnings, 1 in order.")


def test_the_report_is_copied_as_text(qtbot) -> None:
    page = SystemPage(examine, InlineTaskRunner())
    qtbot.addWidget(page)
    assert not page.copy.isEnabled()
    page.start()
    page.copy.click()
    copied = QGuiApplication.clipboard().text()
    assert "Negatoscope test" in copied
    assert "→ Measure it." in copied


def test_a_second_check_replaces_the_first(qtbot) -> None:
    page = SystemPage(examine, InlineTaskRunner())
    qtbot.addWidget(page)
    page.start()
    page.start()
    QGuiApplication.sendPostedEvents(None, 0)
    qtbot.waitUntil(lambda: [label.text() for label in page.findChildren(QLabel)].count("full") == 1)


def test_a_check_that_fails_says_where_to_go_on(qtbot) -> None:
    def fails(_told: Told) -> HealthReport:
        raise RuntimeError("Rossi^Anna")

    page = SystemPage(fails, QtTaskRunner())
    qtbot.addWidget(page)
    page.start()
    qtbot.waitUntil(lambda: "RuntimeError" in page.note.text(), timeout=5000)
    assert "Rossi" not in page.note.text()
    assert page.check.isEnabled()


def test_the_settings_offer_the_page_where_the_station_can_be_checked(qtbot) -> None:
    for offered in (None, examine):
        station = browsing_station(FakeEngine())
        station.examine = offered
        window = MainWindow(station, version="test")
        qtbot.addWidget(window)
        window._show_settings()
        assert window.settings is not None
        titles = [window.settings.list.item(row).text() for row in range(window.settings.list.count())]
        assert ("This station" in titles) is (offered is not None)
        window.close()
