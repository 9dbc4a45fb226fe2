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
from app.state.overlays import HeatLayer, OverlayItem, OverlayKind
from app.views.viewport_grid import ViewportGrid
from inference.exam.types import Box, Exam, Orientation, Presentation, Spacing, ViewImage, Voi, VoiFunction
from resources.vocabulary import FOUR_VIEWS, FindingType, ImageKind, Laterality
from tests.benchmarks.measure import VIEW_COLS, VIEW_ROWS, Row, frame, judged, median_ms


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


def _boxes(key: str) -> tuple[OverlayItem, ...]:
    kinds = list(FindingType)
    return tuple(
        OverlayItem(
            kind=OverlayKind.AI_BOX,
            image_key=key,
            item_id=f"{key}{n}",
            box=Box(row0=300 + 600 * n, col0=300 + 200 * n, row1=600 + 600 * n, col1=600 + 200 * n),
            label="mass 78 %",
            finding=kinds[n % len(kinds)],
            ai=True,
        )
        for n in range(5)
    )


def run(f_ms: float, c_ms: float) -> list[Row]:
    """Measure all display operations; ``f_ms`` and ``c_ms`` are the units."""
    process = psutil.Process(os.getpid())
    bench = _Bench()
    grid, rows = bench.grid, []
    arrays = sum(image.pixels.nbytes for image in bench.images.values())
    window = bench.operation(Change.WINDOW, (0.01, 0.02), (-0.01, -0.02))
    rows.append(judged("window/level", window, window / c_ms, "C", 6, 3))
    invert = bench.operation(Change.INVERT, (0, 0))
    rows.append(judged("invert", invert, invert / c_ms, "C", 6, 3))
    pan = bench.operation(Change.PAN, (7, 5), (-9, 11), (2, -16))
    rows.append(judged("pan", pan, pan / c_ms, "C", 12, 5))
    zoom = bench.operation(Change.ZOOM, (1.1, 0), (1 / 1.1, 0))
    rows.append(judged("zoom", zoom, zoom / c_ms, "C", 13, 8))
    grid.apply(Operation(change=Change.RESET))
    QApplication.processEvents()

    bare = _bare_ms()
    rows.append(judged("window/level against a bare QWidget", window, window / bare, "bare", 1.5, 1.1))

    view = grid.viewports()[0]
    view.magnifier(True)
    places = iter(range(10**9))

    def glass() -> None:
        view._magnifier.move(QPointF(400 + next(places) % 50, 600))
        view._refresh()

    one = median_ms(lambda: bench.painted(glass, views=1), n=24, warm=4)
    rows.append(judged("magnifier, one view", one, (one - window / 4) / c_ms, "C + 1/4 window", 2))
    view.magnifier(False)

    values = np.random.default_rng(1).random((64, 52)).astype(np.float32)
    grid.set_heats({key: HeatLayer(image_key=key, values=values) for key in bench.images})
    heat = bench.operation(Change.WINDOW, (0.01, 0.02), (-0.01, -0.02))
    rows.append(judged("heat map on (added to window/level)", heat, (heat - window) / c_ms, "C added", 4, 2))
    grid.set_heats({})
    grid.set_overlays({key: _boxes(key) for key in bench.images})
    boxes = bench.operation(Change.WINDOW, (0.01, 0.02), (-0.01, -0.02))
    rows.append(judged("20 boxes (added to window/level)", boxes, (boxes - window) / c_ms, "C added", 2))

    case = median_ms(bench.reopen, n=7, warm=1)
    rows.append(judged("decoded arrays to four painted views", case, case / (4 * f_ms), "4F", 8, 4))
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
    return total
