"""CAD reports, saved displays and key images on the reading screen: by keys, outside a study, and never inside one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.bootstrap import browsing_station, study_station
from app.state.display import Change, ZoomMode
from app.state.measurements import Measurement, MeasurementKind
from app.state.overlays import OverlayKind
from app.views.main_window import MainWindow
from inference.engine import FakeEngine
from inference.exam.objects.cad_sr_read import read_cad_sr
from inference.exam.objects.cad_sr_write import CadRun
from inference.exam.objects.export import write_run
from inference.exam.objects.key_object import read_key_objects
from inference.exam.objects.model import ExamObjects, KeyObjects
from inference.exam.objects.presentation_state import read_presentation_state
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource
from inference.results import ExamResult
from reader_study.accounts import hash_password
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.randomization import allocate
from reader_study.store.database import open_database


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One phantom with a CAD report beside it: four marks, R CC and R MLO one lesion."""
    folder = tmp_path_factory.mktemp("exams")
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=21, pixel_mm=0.5)), folder)
    source = FolderSource(folder)
    exam = source.load(source.list()[0].exam_id)
    result: ExamResult = FakeEngine(seed=9).analyse(exam, lambda _f, _t: None, lambda: False)

    found = tuple(replace(d, group="g" if d.image_key.startswith("R") else None) for d in result.detections)
    result = replace(result, detections=found, heatmaps=())
    run = CadRun(
        exam=exam,
        model_id="other",
        model_version="7.1",
        weights_digest="0" * 64,
        result=result,
        threshold=0.6,
    )
    write_run(run, folder, folder, created=datetime(2026, 11, 20, 9), version="1")
    return folder


@pytest.fixture
def browser(qtbot, exams: Path) -> Iterator[MainWindow]:
    window = MainWindow(browsing_station(FakeEngine()), version="0.1.0")
    window.resize(1600, 1000)
    qtbot.addWidget(window)
    window.show()
    window.open_exams(exams)
    source = FolderSource(exams)
    exam_id = source.list()[0].exam_id
    qtbot.waitUntil(lambda: window._browser is not None and bool(window._browser._exams), timeout=10_000)
    window._open_exam(exam_id)
    qtbot.waitUntil(lambda: window.reading.ai.result is not None, timeout=20_000)
    yield window
    window.close()


def items(window: MainWindow, kind: OverlayKind) -> dict[str, list[bool]]:
    """Which items of a kind lie over each image on screen, and whether they are lit."""
    found = {}
    for view in window.reading.grid.viewports():
        if view.image is not None:
            found[view.image.key] = [item.selected for item in view.overlays if item.kind is kind]
    return found


def key(
    window: MainWindow, what: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
) -> None:
    QTest.keyClick(window.reading.grid, what, modifier)


def test_mg32_one_key_shows_the_cad_marks_and_names_algorithm_and_state(browser: MainWindow) -> None:
    assert not any(items(browser, OverlayKind.CAD).values())
    key(browser, Qt.Key.Key_K)
    shown = items(browser, OverlayKind.CAD)
    assert sum(len(v) for v in shown.values()) == sum(
        m.intent.value == "111150" for m in _report(browser).marks
    )
    assert browser.reading.ai_panel is not None
    assert "other 7.1" in browser.reading.ai_panel._cad.text()
    assert "all algorithms succeeded, with findings" in browser.reading.ai_panel._cad.text()
    key(browser, Qt.Key.Key_K)
    assert not any(items(browser, OverlayKind.CAD).values())


def _report(window: MainWindow):
    assert window._browser is not None
    assert window._browser.case is not None
    return window._browser.case.objects.cad[0]


def test_mg29_the_operating_point_key_brings_the_optional_marks(browser: MainWindow) -> None:
    key(browser, Qt.Key.Key_K)
    few = sum(len(v) for v in items(browser, OverlayKind.CAD).values())
    key(browser, Qt.Key.Key_K, Qt.KeyboardModifier.ShiftModifier)
    assert sum(len(v) for v in items(browser, OverlayKind.CAD).values()) == 4 > few


def test_beyond5_a_click_or_tab_on_a_finding_lights_its_partner_in_the_other_view(
    browser: MainWindow,
) -> None:
    key(browser, Qt.Key.Key_K)
    key(browser, Qt.Key.Key_K, Qt.KeyboardModifier.ShiftModifier)
    view = next(v for v in browser.reading.grid.viewports() if v.image is not None and v.image.key == "R-CC")
    item = next(i for i in view.overlays if i.kind is OverlayKind.CAD)
    assert item.point is not None
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.widget_point(*item.point).toPoint())
    lit = items(browser, OverlayKind.CAD)
    assert lit == {"R-CC": [True], "L-CC": [False], "R-MLO": [True], "L-MLO": [False]}
    chosen = []
    for _ in range(4):
        key(browser, Qt.Key.Key_Tab)
        chosen.append(browser.reading.objects.selected)
    assert len(set(chosen)) == 4


def test_mg34_the_ai_result_is_saved_as_cad_sr_from_the_exam_list(
    browser: MainWindow, qtbot, tmp_path: Path
) -> None:
    browser.save_object("ai", tmp_path)
    qtbot.waitUntil(lambda: len(list(tmp_path.glob("*.dcm"))) == 5, timeout=20_000)
    report = read_cad_sr(next(tmp_path.glob("*_cad_sr.dcm")))
    assert len(report.marks) == 4
    assert report.algorithms[0].name == "fake"


def test_mg35_the_display_is_saved_and_comes_back(
    browser: MainWindow, qtbot, exams: Path, tmp_path: Path
) -> None:
    view = browser.reading.grid.viewports()[0]
    assert view.image is not None
    browser.reading.do(Change.INVERT)
    browser.reading.image_tools.board.put(
        Measurement(
            measurement_id="m",
            kind=MeasurementKind.RULER,
            image_key=view.image.key,
            points=((20, 20), (60, 80)),
        )
    )
    browser.save_object("display", tmp_path)
    qtbot.waitUntil(lambda: len(list(tmp_path.glob("*_display_*.dcm"))) == 4, timeout=20_000)
    saved = {s.images[0].image_uid: s for s in map(read_presentation_state, tmp_path.glob("*_display_*.dcm"))}
    mine = saved[view.image.source_id]
    assert mine.inverse != view.image.presentation.inverse
    assert [g.kind for g in mine.images[0].graphics] == ["POLYLINE", "TEXT"]
    assert "mm" in mine.images[0].graphics[1].text


def test_mg35_a_saved_display_beside_the_images_is_put_on_screen_by_a_key(
    qtbot, browser: MainWindow, exams: Path, tmp_path: Path
) -> None:
    view = browser.reading.grid.viewports()[0]
    browser.reading.do(Change.ACTUAL)
    before = view.state()
    browser.save_object("display", exams)
    qtbot.waitUntil(lambda: len(list(exams.glob("*_display_*.dcm"))) == 4, timeout=20_000)
    try:
        source = FolderSource(exams)
        objects = source.objects(source.load(source.list()[0].exam_id))
        browser.open_exams(exams)
        qtbot.waitUntil(
            lambda: browser._browser is not None and bool(browser._browser._exams), timeout=10_000
        )
        browser._open_exam(source.list()[0].exam_id)
        qtbot.waitUntil(
            lambda: browser._browser is not None and browser._browser.case is not None, timeout=20_000
        )
        assert len(objects.states) == 4
        image = view.image
        assert image is not None
        assert view.state().zoom_mode is not ZoomMode.ACTUAL
        for _ in range(4):
            key(browser, Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier)
            if any("SAVED" in flag for flag in browser.reading.objects.flags(image.key)):
                break
        assert view.state().zoom_mode is ZoomMode.ACTUAL
        assert (view.state().pan_row, view.state().pan_col) == pytest.approx(
            (before.pan_row, before.pan_col), abs=1.0
        )
        assert "saved" in image.presentation.vois[view.state().voi_index].label
    finally:
        for path in exams.glob("*_display_*.dcm"):
            path.unlink()


def test_mg35_a_key_marks_key_images_and_they_are_saved(browser: MainWindow, qtbot, tmp_path: Path) -> None:
    key(browser, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    view = browser.reading.grid.active()
    assert view is not None
    assert view.image is not None
    assert "KEY IMAGE" in view.over.words.flags
    browser.save_object("keys", tmp_path)
    qtbot.waitUntil(lambda: bool(list(tmp_path.glob("*_key_*.dcm"))), timeout=20_000)
    (path,) = tmp_path.glob("*_key_*.dcm")
    assert read_key_objects(path).image_uids == (view.image.source_id,)


def test_mg35_key_images_of_others_are_flagged_when_the_exam_opens(
    qtbot, browser: MainWindow, exams: Path
) -> None:
    view = browser.reading.grid.viewports()[1]
    assert view.image is not None
    marked = view.image.key
    assert browser._browser is not None
    assert browser._browser.case is not None
    uids = (view.image.source_id,)
    keys = KeyObjects(uid="1.2", title="Of Interest", image_uids=uids)
    case = replace(browser._browser.case, objects=ExamObjects(keys=(keys,)))
    browser.reading.show_case(case)
    flagged = [
        v.image.key for v in browser.reading.grid.viewports() if v.image and "KEY IMAGE" in v.over.words.flags
    ]
    assert flagged == [marked]


def test_mg30_an_exam_without_a_report_says_so_and_never_that_nothing_was_found(browser: MainWindow) -> None:
    assert browser._browser is not None
    assert browser._browser.case is not None
    browser.reading.show_case(replace(browser._browser.case, objects=ExamObjects()))
    key(browser, Qt.Key.Key_K)
    assert browser.reading._message.text() == "CAD: no CAD object for this exam"
    problem = "cad.dcm: expected a readable DICOM object, found damage."
    browser.reading.show_case(replace(browser._browser.case, objects=ExamObjects(problems=(problem,))))
    key(browser, Qt.Key.Key_K)
    assert browser.reading._message.text() == problem


@pytest.mark.parametrize("aided", [False, True])
def test_mg30_no_report_is_opened_in_a_study_whatever_the_arm(
    aided: bool, qtbot, exams: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(FolderSource, "objects", lambda _self, exam: opened.append(exam.exam_id))
    window = _study(exams, tmp_path, aided=aided)
    qtbot.addWidget(window)
    window.show()
    QTest.keyClicks(window.sign_in.reader, "r")
    QTest.keyClicks(window.sign_in.password, "secret-word")
    window.sign_in.asked.emit("r", "secret-word")
    window._start_session(window._station.sessions().worklist("r")[0].session_id)
    qtbot.waitUntil(window.is_case_painted, timeout=20_000)
    key(window, Qt.Key.Key_K)
    assert not any(items(window, OverlayKind.CAD).values())
    assert "not opened in a study" in window.reading._message.text()
    assert opened == []
    window.close()


def _study(exams: Path, tmp_path: Path, *, aided: bool) -> MainWindow:
    source = FolderSource(exams)
    summary = source.list()[0]
    arm = Arm(arm_id="a", title="A", ai=AiPolicy(shown=aided))
    case = Case(case_id="C1", exam_id=summary.exam_id, exam_digest=source.load(summary.exam_id).digest)
    reader = Reader(reader_id="r", name="R", password_hash=hash_password("secret-word"))
    plans = allocate(study_id="S", seed=1, cases=(case,), readers=(reader,), arms=(arm,), design="single")
    study = Study(
        study_id="S", title="S", protocol_version="1", seed=1, arms=(arm,), readers=(reader,), cases=(case,),
        scale=Scale(), plans=plans,
    )  # fmt: skip
    opened = open_database(tmp_path / "study.sqlite")
    opened.save_study(study)
    opened.close()
    station = study_station(
        database=tmp_path / "study.sqlite", study_id="S", exams=exams, anchor=None, engine=FakeEngine()
    )
    return MainWindow(station, version="test")
