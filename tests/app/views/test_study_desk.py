"""Planning and analysing from the sign-in page: by key, live, with every table, refused in a sentence."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from app.control.tasks import InlineTaskRunner
from app.views import report_pages
from app.views.analyse_view import AnalyseView
from app.views.planner_view import PlannerView
from app.views.qt_tasks import QtTaskRunner
from app.views.study_desk import StudyDesk
from reader_study.report.page import Figure, Table
from reader_study.statistics.obuchowski_rockette import Claim


@pytest.fixture
def data_file(tmp_path):
    rng = np.random.default_rng(4)
    rows = [
        f"r{j},{arm},{k},{k % 2},{np.clip(round(50 + 15 * rng.normal(1.5 * (k % 2))), 0, 100)}"
        for arm in ("aided", "unaided")
        for j in range(3)
        for k in range(24)
    ]
    path = tmp_path / "study.csv"
    path.write_text("reader,treatment,case,truth,rating\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.data
def test_rs_d5_the_planner_shows_the_published_power_of_van_dyke(qapp, data_root):
    view = PlannerView()
    view.take_pilot(data_root / "mrmc" / "vandyke.csv")
    view.readers.setValue(10)
    view.cases.setValue(165)
    view.compute()
    assert view.plan is not None
    assert view.plan.power.power == pytest.approx(0.805419947, abs=2e-4)  # the fields round the components
    assert "80.5" in view.figure.text()
    assert view.table.item(2, view.plan.grid_cases.index(165)).text() == "80.5 %"


def test_rs_d5_changing_a_field_changes_the_plan_by_itself(qapp):
    view = PlannerView()
    before = view.plan.power.power
    view.cases.setValue(view.cases.value() * 2)
    QTest.qWait(300)
    assert view.plan.power.power > before
    view.copy()
    lines = QGuiApplication.clipboard().text().split("\n")
    assert any(line.startswith("readers \\ cases\t") for line in lines)


def test_rs_s12_the_margin_counts_for_non_inferiority_only(qapp):
    view = PlannerView()
    assert not view.margin.isEnabled()
    view.effect.setValue(0.0)
    view.claim.setCurrentIndex(2)
    view.compute()
    assert view.margin.isEnabled()
    assert view.plan.request.claim is Claim.NON_INFERIORITY
    view.margin.setValue(0.0)
    view.compute()
    assert view.plan is None, "no margin, no plan"


def test_impossible_components_are_said_and_leave_no_old_number(qapp):
    view = PlannerView()
    view.components[1].setValue(0.0)
    view.compute()
    assert view.plan is None
    assert view.figure.text() == ""
    assert "error variance" in view._problem.text()


def test_rs_g1_the_preview_shows_every_section_and_saves_the_same_report(qapp, data_file, tmp_path):
    view = AnalyseView(InlineTaskRunner())
    assert not view.start.isEnabled()
    view.take(source=data_file)
    view.cut.setValue(55)
    view.analyse()
    assert view.problem.text() == ""
    titles = [view.sections.item(k).text() for k in range(view.sections.count())]
    assert titles == [section.title for section in view.report.sections]
    for row in range(len(titles)):
        view.sections.setCurrentRow(row)
        assert titles[row] in view.page.toPlainText()
    view.save_to(tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    tables = {f"{p.name}.csv" for s in view.report.sections for p in s.parts if isinstance(p, Table)}
    assert tables | {"report.html", "roc.svg"} <= names
    with (tmp_path / "out" / "primary_tests.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 3


def test_what_cannot_be_read_is_one_sentence_and_nothing_is_shown(qapp, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("not,a,study\n1,2,3\n")
    view = AnalyseView(InlineTaskRunner())
    view.take(source=bad)
    view.analyse()
    assert "expected a column" in view.problem.text()
    assert view.report is None
    assert not view.save.isEnabled()
    view.take(source=tmp_path)
    view.analyse()
    assert "truth" in view.problem.text()


def test_the_report_is_made_beside_the_window_and_can_be_cancelled(qapp, data_file, qtbot):
    runner = QtTaskRunner()
    view = AnalyseView(runner)
    qtbot.addWidget(view)
    view.take(source=data_file)
    view.analyse()
    assert not view.stop.isHidden()
    view.cancel()
    assert view.report is None
    view.analyse()
    qtbot.waitUntil(lambda: view.report is not None, timeout=60_000)
    runner.close()


def test_figures_of_the_preview_are_dark(qapp, data_file):
    view = AnalyseView(InlineTaskRunner())
    view.take(source=data_file)
    view.analyse()
    for part in (p for s in view.report.sections for p in s.parts if isinstance(p, Figure)):
        image = report_pages.figure_image(part)
        bright = [
            image.pixelColor(x, y).lightness()
            for x in range(0, image.width(), 7)
            for y in range(0, image.height(), 7)
        ]
        assert np.mean(bright) < 60, part.name


def test_the_desk_opens_its_pages_with_the_keyboard_in_them_and_esc_leaves(qapp, qtbot):
    from PySide6.QtWidgets import QStackedWidget, QWidget

    stack = QStackedWidget()
    home = QWidget()
    stack.addWidget(home)
    qtbot.addWidget(stack)
    desk = StudyDesk(stack, InlineTaskRunner(), lambda: stack.setCurrentWidget(home))
    stack.show()
    stack.activateWindow()
    qtbot.waitUntil(stack.isActiveWindow, timeout=2000)
    for show, page in ((desk.show_planner, lambda: desk.planner), (desk.show_analysis, lambda: desk.analysis)):  # fmt: skip
        show()
        assert stack.currentWidget() is page()
        QTest.keyClick(page().focusWidget(), Qt.Key.Key_Escape)
        qtbot.waitUntil(lambda: stack.currentWidget() is home, timeout=2000)
