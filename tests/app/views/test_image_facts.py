"""Image information, identity on screen and the reader's word on a kind: outside of studies, refused inside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialog

from app.control.browsing import BrowseController
from app.control.reading import NO_AI, CaseView
from app.control.tasks import InlineTaskRunner
from app.state.hanging import load_protocols, match
from app.state.protocol_library import ProtocolLibrary
from app.views.image_facts import ImageFacts
from app.views.reading_view import ReadingView
from app.views.tag_panel import TagPanel
from inference.engine import FakeEngine
from inference.exam.contrast import contrast_pairs
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from inference.exam.sources import FolderSource
from reader_study.domain.study import Scale
from resources.vocabulary import ImageKind

SECRETS = ("MUSTER", "4711", "1956", "2020", "City Hospital", "SN17")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A contrast phantom as DICOM that says who and where."""
    root = tmp_path_factory.mktemp("exam")
    write_phantom_dicom(phantom_exam(PhantomSpec(seed=5, pixel_mm=0.8, cesm=True)), root)
    for path in root.rglob("*.dcm"):
        ds = pydicom.dcmread(path)
        ds.PatientName, ds.PatientID, ds.PatientBirthDate = "Muster^Eva", "4711", "19560213"
        ds.AcquisitionDate, ds.AcquisitionTime = "20200117", "103312"
        ds.InstitutionName, ds.DeviceSerialNumber = "City Hospital", "SN17"
        ds.save_as(path)
    for path in (*root.rglob("*.csv"), *root.rglob("*.json")):
        path.unlink()
    return root


@pytest.fixture
def reading(qtbot) -> ReadingView:
    view = ReadingView()
    view.resize(1600, 1000)
    qtbot.addWidget(view)
    view.show()
    return view


@pytest.fixture
def browser(folder: Path, reading: ReadingView) -> BrowseController:
    made = BrowseController(
        source=FolderSource(folder),
        engine=FakeEngine(),
        runner=InlineTaskRunner(),
        library=ProtocolLibrary(load_protocols()),
        screen=reading,
    )
    made.list_exams(lambda exams: made.open(exams[0].exam_id))
    return made


def written(view: ReadingView) -> str:
    words = [viewport.over.words for viewport in view.grid.viewports()]
    return "\n".join(line for one in words for line in (*one.identity, *one.technique, one.view_label))


def in_study(case: CaseView) -> CaseView:
    return replace(
        case, in_study=True, policy=NO_AI, hanging=match(load_protocols(), case.exam), scale=Scale()
    )


def test_mg22_mg27_outside_a_study_identity_shows_and_its_key_takes_it_away(
    reading: ReadingView, browser: BrowseController
) -> None:
    assert "MUSTER, Eva" in written(reading)
    assert "ID 4711" in written(reading)
    reading.toggle_identity()
    assert "MUSTER" not in written(reading)
    assert "kVp" in written(reading)
    reading.toggle_technique()
    assert "kVp" not in written(reading)


def test_mg27_in_a_study_nothing_identifies_and_the_key_only_says_why(
    reading: ReadingView, browser: BrowseController
) -> None:
    assert browser.case is not None
    reading.show_case(in_study(browser.case))
    for act in (reading.toggle_identity, reading.toggle_technique, reading.toggle_identity):
        act()
        assert not [secret for secret in SECRETS if secret in written(reading)]
    assert "kVp" in written(reading)
    assert "blinded" in reading._message.text()


def test_mg23_every_viewport_names_side_and_view(reading: ReadingView, browser: BrowseController) -> None:
    shown = [v for v in reading.grid.viewports() if v.image is not None]
    assert len(shown) >= 4
    for viewport in shown:
        assert viewport.image is not None
        assert viewport.over.words.view_label == viewport.image.view.label


def test_all_tags_of_the_active_image_are_searchable(reading: ReadingView, browser: BrowseController) -> None:
    opened: list[QDialog] = []
    ImageFacts(reading, lambda: browser, opened.append).show_tags()
    (panel,) = opened
    assert isinstance(panel, TagPanel)
    model = panel.table.model()
    everything = model.rowCount()
    assert everything > 60
    QTest.keyClicks(panel.search, "patient 4711")
    found = {
        str(model.index(row, 1).data()): str(model.index(row, 3).data()) for row in range(model.rowCount())
    }
    assert found == {"PatientID": "4711"}
    panel.search.clear()
    assert model.rowCount() == everything
    QTest.keyClicks(panel.search, "(0018,0060)")
    panel.table.selectRow(0)
    QTest.keyClick(panel, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    panel._copy()
    assert QGuiApplication.clipboard().text().startswith("(0018,0060)\tKVP\tDS\t")
    panel.close()


def test_mg27_in_a_study_there_is_no_image_information_and_the_sentence_says_why(
    reading: ReadingView, browser: BrowseController
) -> None:
    assert browser.case is not None
    reading.show_case(in_study(browser.case))
    opened: list[QDialog] = []
    facts = ImageFacts(reading, lambda: browser, opened.append)
    facts.show_tags()
    assert opened == []
    assert "blinded" in reading._message.text()
    facts.choose_kind()
    assert facts.menu is None
    assert "frozen" in reading._message.text()


def test_cem01_the_readers_kind_hangs_the_exam_anew_and_can_be_taken_back(
    reading: ReadingView, browser: BrowseController
) -> None:
    case = browser.case
    assert case is not None
    low = next(image for image in case.exam.images if image.kind is ImageKind.CESM_LOW)
    before = {image.key: image.pixels for image in case.exam.images}
    browser.set_kind(low, ImageKind.FFDM)
    changed = browser.case
    assert changed is not None
    image = next(i for i in changed.exam.images if i.source_id == low.source_id)
    assert image.kind is ImageKind.FFDM
    assert "set by the reader" in image.evidence[0]
    assert any("unpaired" in note for note in changed.exam.notes)
    assert len(contrast_pairs(changed.exam.images)) == len(contrast_pairs(case.exam.images)) - 1
    # The drawing's halved copies went along with the new key.
    assert np.shares_memory(changed.pyramids[image.key].levels[0], before[low.key])
    browser.set_kind(image, None)
    assert browser.case is not None
    assert {i.key: i.kind for i in browser.case.exam.images} == {i.key: i.kind for i in case.exam.images}


def test_cem01_the_menu_sets_the_kind_of_the_active_image(
    reading: ReadingView, browser: BrowseController
) -> None:
    facts = ImageFacts(reading, lambda: browser, lambda _dialog: None)
    facts.choose_kind()
    assert facts.menu is not None
    view = reading.grid.active()
    assert view is not None
    assert view.image is not None
    source = view.image.source_id
    checked = [action.text() for action in facts.menu.actions() if action.isChecked()]
    assert checked == ["&Low energy"]
    next(a for a in facts.menu.actions() if a.text().startswith("&High")).trigger()
    facts.menu.close()
    assert browser.case is not None
    kinds = {image.source_id: image.kind for image in browser.case.exam.images}
    assert kinds[source] is ImageKind.CESM_HIGH
    # CEM-04: what it is now never hangs by default.
    hung = {cell.image_key for stage in browser.case.hanging.stages for cell in stage.cells}
    assert not any(key and key.endswith("cesm_high") for key in hung)


def test_cem04_a_raw_high_energy_image_hangs_in_no_stage(browser: BrowseController) -> None:
    assert browser.case is not None
    exam = browser.case.exam
    images = tuple(
        replace(image, kind=ImageKind.CESM_HIGH) if image.kind is ImageKind.CESM_RECOMBINED else image
        for image in exam.images
    )
    hanging = match(load_protocols(), replace(exam, images=images))
    hung = {cell.image_key for stage in hanging.stages for cell in stage.cells if cell.image_key}
    assert hung
    assert not any(key.endswith("cesm_high") for key in hung)


def test_mg27_tags_that_come_late_are_not_opened_over_a_blinded_reading(
    reading: ReadingView, browser: BrowseController
) -> None:
    """A slow disk answers when the session of a study has begun: who she is stays unseen."""

    class Later(InlineTaskRunner):
        def submit(self, key, work, done, failed, progress=lambda _f, _t: None):  # type: ignore[no-untyped-def]
            waiting.append(lambda: done(work(None)))

    waiting: list = []  # type: ignore[type-arg]
    shown: list[QDialog] = []
    browser._runner = Later()
    facts = ImageFacts(reading, lambda: browser, shown.append)
    assert browser.case is not None
    facts.show_tags()
    reading.show_case(in_study(browser.case))
    waiting.pop()()
    assert shown == []
    reading.show_case(browser.case)
    facts.show_tags()
    waiting.pop()()
    assert len(shown) == 1
