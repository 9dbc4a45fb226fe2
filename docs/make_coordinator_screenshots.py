"""Makes the pictures of docs/coordinator.md: a whole study on phantoms, from the first page to the audit.

python docs/make_coordinator_screenshots.py [FOLDER]; with FOLDER every picture is kept there as PNG too.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import cv2
import numpy as np
from PySide6.QtCore import QCoreApplication
from PySide6.QtTest import QTest

from app.model_shelf import FolderShelf
from app.state.settings import Settings
from app.views.coordinator.coordinator_view import CoordinatorView
from app.views.main_window import MainWindow
from app.views.start_cards import StartCards
from app.views.start_window import application
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.phantom_dicom import write_phantom_dicom
from reader_study.clock import ManualClock
from reader_study.sessions import Sessions
from reader_study.simulation import ImageFrame, SimulatedReader, read_session
from resources.vocabulary import Laterality

SIZE = (1920, 1080)
PASSWORD = "for the pictures"
READERS = (("anna", "Anna Berg", "senior", 14), ("bo", "Bo Chen", "senior", 9),
           ("carla", "Carla Diaz", "junior", 3), ("dmitri", "Dmitri Egorov", "junior", 2))  # fmt: skip
FRAMES = tuple(
    ImageFrame(image_key=key, source_id="1", rows=400, cols=300) for key in ("R-CC", "R-MLO", "L-CC", "L-MLO")
)


class Story:
    """One window on one new study; ``shot`` keeps what is on screen."""

    def __init__(self, scratch: Path, keep: Path | None) -> None:
        os.environ["NEGATOSCOPE_HOME"] = str(scratch / "home")
        from app.bootstrap import coordinator_station
        from inference.engine import FakeEngine

        self.scratch, self.keep = scratch, keep
        self.qt = application()
        self.station = coordinator_station(
            database=scratch / "study.sqlite", study_id=None, cases=None, anchor=scratch / "anchor.jsonl",
            engine=FakeEngine(),
        )  # fmt: skip
        self.station.models = FolderShelf(scratch / "cache", Settings, program_choice="dib-mg")
        self.window = MainWindow(self.station, version="docs")
        self.window.resize(*SIZE)
        self.window.show()

    def shot(self, name: str) -> None:
        QTest.qWait(120)
        path = (self.keep or self.scratch) / f"coordinator_{name}.png"
        self.window.grab().save(str(path))
        images = ROOT / "docs" / "images"
        cv2.imwrite(str(images / f"{path.stem}.jpg"), cv2.imread(str(path)), [cv2.IMWRITE_JPEG_QUALITY, 85])

    def wait(self) -> None:
        while self.window.runner.is_busy():
            QTest.qWait(50)

    @property
    def view(self) -> CoordinatorView:
        found = self.window.area.view
        assert found is not None
        return found

    def begin(self) -> None:
        page = self.window.area.beginning
        assert page is not None
        page.study_title.setText("Breast AI reader study")
        page.name.setText("Ada Lind")
        self.shot("begin")
        page.password.setText(PASSWORD)
        page.again.setText(PASSWORD)
        page.begin()

    def fill(self) -> None:
        self.shot("study")
        source = self.scratch / "exams"
        for seed in range(100, 110):
            write_phantom_dicom(phantom_exam(PhantomSpec(seed=seed, pixel_mm=1.0)), source / str(seed))
        self.view.go_to(1)
        self.view.cases.import_from(source)
        self.wait()
        truth = self.scratch / "truth.csv"
        rows = [str(row[0]) for row in self.view.cases.cases.rows()]
        lines = [
            f"{c},{s},{'malignant' if i % 2 and s == 'R' else 'normal'}"
            for i, c in enumerate(rows)
            for s in "RL"
        ]
        truth.write_text("\n".join(("case_id,side,pathology", *lines)) + "\n", encoding="utf-8")
        self.shot("cases")
        self.view.cases.import_truth(truth)
        self.view.cases.stratify()
        self.view.go_to(2)
        page = self.view.readers
        for name, full, group, years in READERS:
            page.name.setText(name)
            page.full_name.setText(full)
            page.group.setCurrentText(group)
            page.years.setValue(years)
            page.qualification.setText("board certified")
            page.password.setText(PASSWORD)
            page.again.setText(PASSWORD)
            page.save()
        self.shot("readers")
        self.view.go_to(3)
        self.shot("allocation")
        self.view.go_to(0)
        self.view.study.reason.setText("ready for reading")
        self.view.study.freeze()
        self.shot("frozen")

    def read(self) -> None:
        """Two readers read both sessions, one is in her washout, one has begun."""
        office, study = self.station.office, self.station.office.study if self.station.office else None
        assert office is not None
        assert study is not None
        assert self.station.events is not None
        clock = ManualClock("2026-09-01T08:00:00.000Z")
        sessions = Sessions(study=study, store=self.station.events, clock=clock, anchor=office.anchor)
        rng = np.random.default_rng(5)
        todo = [(period, n) for period in (1, 2) for n in range(4) if not (period == 2 and n > 1)]
        for period, number in todo:
            if (period, number) == (2, 0):
                clock.advance(29 * 86_400.0)
            reader_id = READERS[number][0]
            plan = next(plan for plan in study.plans_of(reader_id) if plan.period == period)
            read_session(
                sessions, plan.session_id, reader_id, reader=SimulatedReader(rng, median_s=40 + 12 * number),
                clock=clock, scale=study.scale, images=lambda _: FRAMES, truth={},
                ai=lambda _: {Laterality.RIGHT: 0.6, Laterality.LEFT: 0.2}, limit=4 if number == 3 else None,
            )  # fmt: skip
            clock.advance(86_400.0)
        sessions.shutdown()
        office.clock = clock

    def end(self) -> None:
        view = self.view
        view.go_to(4)
        self.wait()
        self.shot("monitor")
        view.go_to(5)
        view.lock.password.setText(PASSWORD)
        view.lock.reason.setText("two readers left the study")
        self.shot("lock")
        view.lock.sign()
        view.go_to(6)
        view.export.export_to(self.scratch / "export")
        self.wait()
        self.shot("export")
        view.go_to(7)
        view.audit.verify()
        self.wait()
        view.audit.entries.view.selectRow(1)
        self.shot("audit")
        view.sign_out()


def main() -> None:
    """Tell the story and keep its pictures."""
    keep = Path(sys.argv[1]) if len(sys.argv) == 2 else None
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder), keep)
        story.begin()
        story.fill()
        story.read()
        story.end()
        cards = StartCards()
        cards.resize(*SIZE)
        cards.show()
        QCoreApplication.processEvents()
        path = Path(folder) / "cards.png"
        cards.grab().save(str(path))
        cv2.imwrite(str(ROOT / "docs" / "images" / "start_cards.jpg"), cv2.imread(str(path)))
        cards.close()
        story.window.close()


if __name__ == "__main__":
    main()
