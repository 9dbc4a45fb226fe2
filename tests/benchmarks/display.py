"""Display: four linked viewports of 1024 x 1280, each operation from the call to the last paint."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import psutil
from PySide6.QtCore import QPointF
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QApplication, QWidget

from app.state.display import Change, Operation
from app.state.hanging import Stage, load_protocols, match
from app.state.measurements import Measurement, MeasurementKind
from app.state.overlays import HeatLayer, OverlayItem, OverlayKind
from app.views.image_tools import ImageTools
from app.views.viewport_grid import ViewportGrid
from inference.exam.types import Box, Exam, Orientation, Presentation, Spacing, ViewImage, Voi, VoiFunction
from resources.vocabulary import FOUR_VIEWS, FindingType, ImageKind, Laterality
from tests.benchmarks.measure import (
    VIEW_COLS,
    VIEW_ROWS,
    Row,
    frame,
    frame_copy_ms,
    judged,
    median_ms,
    screen_copy_ms,
)


def _images() -> dict[str, ViewImage]:
    voi = Voi(label="", function=VoiFunction.SIGMOID, center=2000, width=2500)
    images = {}
    for number, view in enumerate(FOUR_VIEWS):
        images[view.key] = ViewImage(
            view=view,
            kind=ImageKind.FFDM,
            pixels=frame(number),
            presentation=Presentation(vois=(voi,), padding=(0, 0)),
            orientation=Orientation(flip_cols=view.laterality is Laterality.RIGHT),
            spacing=Spacing(row_mm=0.07, col_mm=0.07, method="made up"),
            source_id=view.key,
        )
    return images


class _Bench:
    def __init__(self) -> None:
        self.images = _images()
        exam = Exam(exam_id="bench", images=tuple(self.images.values()), digest="0" * 64)
        self.stage: Stage = match(load_protocols(), exam).stages[0]
        self.grid = ViewportGrid()
        self.tools = ImageTools(self.grid, self.grid)
        self.grid.resize(2 * VIEW_COLS, 2 * VIEW_ROWS)
        self.grid.linked_zoom = True
        self.grid.show()
        self.show_case()

    def show_case(self) -> None:
        painted: list[int] = []
        self.grid.all_painted.connect(painted.append)
        self.grid.set_stage(self.stage, self.images)
        while not painted:
            QApplication.processEvents()
        self.grid.all_painted.disconnect(painted.append)

    def reopen(self) -> None:
        self.grid.clear()
        self.show_case()

    def painted(self, change: Callable[[], object], views: int = 4) -> None:
        """Do ``change`` and return when ``views`` paints have followed."""
        goal = sum(view.paint_count for view in self.grid.viewports()) + views
        change()
        while sum(view.paint_count for view in self.grid.viewports()) < goal:
            QApplication.processEvents()

    def operation(self, change: Change, *steps: tuple[float, float]) -> float:
        turn = iter(range(10**9))

        def once() -> None:
            first, second = steps[next(turn) % len(steps)]
            self.painted(lambda: self.grid.apply(Operation(change=change, first=first, second=second)))

        return median_ms(once, n=24, warm=4)


class _BareView(QWidget):
    """The least any program must do: look up greys and draw the picture."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.values = np.zeros((VIEW_ROWS, VIEW_COLS), np.uint16)
        self.table = np.zeros((1, 65536), np.int32)
        self.paints = 0

    def paintEvent(self, _event: QPaintEvent) -> None:
        import cv2

        grey = cv2.LUT(self.values, self.table)
        picture = QImage(grey.data.cast("B"), VIEW_COLS, VIEW_ROWS, QImage.Format.Format_RGB32)
        painter = QPainter(self)
        painter.drawImage(0, 0, picture)
        painter.end()
        self.paints += 1


def _bare_ms() -> float:
    parent = QWidget()
    parent.resize(2 * VIEW_COLS, 2 * VIEW_ROWS)
    views = [_BareView(parent) for _ in range(4)]
    for number, view in enumerate(views):
        view.setGeometry(number % 2 * VIEW_COLS, number // 2 * VIEW_ROWS, VIEW_COLS, VIEW_ROWS)
    parent.show()
    QApplication.processEvents()

    def once() -> None:
        goal = sum(view.paints for view in views) + 4
        for view in views:
            view.update()
        while sum(view.paints for view in views) < goal:
            QApplication.processEvents()

    return median_ms(once, n=24, warm=4)


def _outline(row: float, col: float) -> tuple[tuple[float, float], ...]:
    turns = np.arange(24) * (2 * np.pi / 24)
    return tuple((row + 130.0 * float(np.sin(t)), col + 130.0 * float(np.cos(t))) for t in turns)


def _boxes(key: str) -> tuple[OverlayItem, ...]:
    kinds = list(FindingType)
    return tuple(
        OverlayItem(
            kind=OverlayKind.AI_BOX,
            image_key=key,
            item_id=f"{key}{n}",
            box=Box(row0=300 + 600 * n, col0=300 + 200 * n, row1=600 + 600 * n, col1=600 + 200 * n),
            label=f"{n + 1} mass 78 %",
            tag=str(n + 1),
            finding=kinds[n % len(kinds)],
            ai=True,
            outlines=((_outline(450 + 600 * n, 450 + 200 * n), False),),
        )
        for n in range(5)
    )


def _measurements(images: dict[str, ViewImage]) -> list[Measurement]:
    """A ruler, an ellipse and the nipple in every view."""
    kinds = {
        MeasurementKind.RULER: ((600.0, 500.0), (900.0, 1100.0)),
        MeasurementKind.ELLIPSE: ((1500.0, 900.0), (1900.0, 1400.0)),
        MeasurementKind.NIPPLE: ((2000.0, 1600.0),),
    }
    return [
        Measurement(measurement_id=f"{key}{kind}", kind=kind, image_key=key, points=points)
        for key in images
        for kind, points in kinds.items()
    ]


def _beside(work: Callable[[], float], unit: Callable[[], float]) -> tuple[float, float]:
    """Measure ``work`` with its unit taken just before and just after, because other programs come and go."""
    before = unit()
    ms = work()
    return ms, (before + unit()) / 2


def run(_f_ms: float, _c_ms: float) -> list[Row]:
    """Measure all display operations, each with its unit beside it."""
    process = psutil.Process(os.getpid())
    bench = _Bench()
    grid, rows = bench.grid, []
    arrays = sum(image.pixels.nbytes for image in bench.images.values())
    nudge = ((0.01, 0.02), (-0.01, -0.02))
    for name, change, steps, target, stretch in (
        ("window/level", Change.WINDOW, nudge, 6, 3),
        ("invert", Change.INVERT, ((0, 0),), 6, 3),
        ("pan", Change.PAN, ((7, 5), (-9, 11), (2, -16)), 12, 5),
        ("zoom", Change.ZOOM, ((1.1, 0), (1.04, 0), (1 / 1.144, 0)), 13, 8),
    ):
        ms, c = _beside(lambda c=change, s=steps: bench.operation(c, *s), screen_copy_ms)
        rows.append(judged(name, ms, ms / c, "C", target, stretch))
    grid.apply(Operation(change=Change.RESET))
    QApplication.processEvents()
    window, bare = _beside(lambda: bench.operation(Change.WINDOW, *nudge), _bare_ms)
    rows.append(judged("window/level against a bare QWidget", window, window / bare, "bare", 1.5, 1.1))

    view = grid.viewports()[0]
    view.magnifier(True)
    places = iter(range(10**9))

    def glass() -> None:
        view._magnifier.move(QPointF(400 + next(places) % 50, 600))
        view.refresh()

    one, c = _beside(lambda: median_ms(lambda: bench.painted(glass, views=1), n=24, warm=4), screen_copy_ms)
    rows.append(judged("magnifier, one view", one, one / c, "C", round(2 + window / 4 / c, 2)))
    view.magnifier(False)

    values = np.random.default_rng(1).random((64, 52)).astype(np.float32)
    heats = {key: HeatLayer(image_key=key, values=values) for key in bench.images}
    boxes = {key: _boxes(key) for key in bench.images}
    for name, show, hide, target, stretch in (
        ("heat map on", lambda: grid.set_heats(heats), lambda: grid.set_heats({}), 4, 2),
        ("20 AI findings on", lambda: grid.set_overlays(boxes), lambda: grid.set_overlays({}), 2, None),
    ):
        plain = bench.operation(Change.WINDOW, *nudge)
        show()
        ms, c = _beside(lambda: bench.operation(Change.WINDOW, *nudge), screen_copy_ms)
        hide()
        ms -= (plain + bench.operation(Change.WINDOW, *nudge)) / 2
        rows.append(judged(f"{name}, added to window/level", ms, ms / c, "C", target, stretch))

    pans = ((7, 5), (-9, 11), (2, -16))
    plain = bench.operation(Change.PAN, *pans)
    grid.set_overlays(boxes)
    ms, c = _beside(lambda: bench.operation(Change.PAN, *pans), screen_copy_ms)
    grid.set_overlays({})
    ms -= (plain + bench.operation(Change.PAN, *pans)) / 2
    rows.append(judged("20 AI findings on, added to pan", ms, ms / c, "C", 2))

    plain = bench.operation(Change.WINDOW, *nudge)
    bench.tools.board.restore(_measurements(bench.images))
    ms, c = _beside(lambda: bench.operation(Change.WINDOW, *nudge), screen_copy_ms)
    bench.tools.board.restore()
    ms -= (plain + bench.operation(Change.WINDOW, *nudge)) / 2
    rows.append(judged("12 measurements on, added to window/level", ms, ms / c, "C", 2))

    case, f = _beside(lambda: median_ms(bench.reopen, n=7, warm=1), frame_copy_ms)
    rows.append(judged("decoded arrays to four painted views", case, case / (4 * f), "4F", 8, 4))
    held = (_owned(grid) - arrays) / 1e6
    rows.append(judged("memory over the raw arrays", 0.0, held, "MB", 80))
    rows.append(
        Row(operation="resident memory of this process", ratio=process.memory_info().rss / 1e6, unit="MB")
    )
    grid.close()
    return rows


def _owned(grid: ViewportGrid) -> int:
    """Bytes of pixels, pyramids and buffers that the grid holds."""
    total = 0
    for view in grid.viewports():
        item = view.item
        total += sum(level.nbytes for level in item.pyramid.levels) if item.pyramid is not None else 0
        total += sum(
            a.nbytes for a in (item._values, item._grey, item._table, item._spare[2]) if a is not None
        )
        total += view.over.held_bytes
    return total
