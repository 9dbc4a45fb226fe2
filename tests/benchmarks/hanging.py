"""Hanging: a step from the key to the last paint, current and prior in place, and laying out an exam (MG-43)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

from PySide6.QtWidgets import QApplication

from app.state.display import Pyramid
from app.state.hanging import load_protocols, match
from app.state.priors import all_images, as_prior
from app.views.viewport_grid import ViewportGrid
from inference.exam.types import Exam
from tests.benchmarks.display import _images
from tests.benchmarks.measure import VIEW_COLS, VIEW_ROWS, Row, judged, median_ms

STEP_MS = 100.0


def _waited(grid: ViewportGrid, change: Callable[[], object]) -> None:
    painted: list[int] = []
    grid.stage_painted.connect(painted.append)
    change()
    while not painted:
        QApplication.processEvents()
    grid.stage_painted.disconnect(painted.append)


def run() -> list[Row]:
    """Measure on full-size frames, four current and four prior, 2 x 2 viewports of 1024 x 1280 in all."""
    current = Exam(
        exam_id="now", images=tuple(_images().values()), digest="0" * 64, study_date=date(2024, 11, 10)
    )
    prior = as_prior(replace(current, exam_id="then", study_date=date(2022, 12, 1)), 1)
    found = match(load_protocols(), current, (prior,))
    images = all_images(current, (prior,))
    pyramids = {key: Pyramid(image.pixels) for key, image in images.items()}
    grid = ViewportGrid()
    grid.resize(2 * VIEW_COLS, 2 * VIEW_ROWS)
    grid.show()
    for stage in found.stages:
        _waited(grid, lambda stage=stage: grid.set_stage(stage, images, pyramids))
    rows = []
    by_title = {stage.title: stage for stage in found.stages}
    for words, one, two in (
        ("step between 4-up and CC pair", "Overview", "CC pair"),
        ("step between 4-up and 8-up with priors", "Overview", "Prior over current"),
        ("step between single views 1:1", "R CC 1:1", "L CC 1:1"),
    ):
        turns = iter(range(10**9))

        def step(pair: tuple[str, str] = (one, two), turns: object = turns) -> None:
            title = pair[next(turns) % 2]  # type: ignore[call-overload]
            _waited(grid, lambda: grid.set_stage(by_title[title], images, pyramids))

        ms = median_ms(step, n=16, warm=4)
        rows.append(judged(words, ms, ms, "ms", STEP_MS))
    grid.set_stage(by_title["Overview"], images, pyramids)
    QApplication.processEvents()

    def swap() -> None:
        goal = sum(view.paint_count for view in grid.viewports()) + 4
        grid.toggle_prior()
        while sum(view.paint_count for view in grid.viewports()) < goal:
            QApplication.processEvents()

    ms = median_ms(swap, n=16, warm=4)
    rows.append(judged("current and prior in place, four views", ms, ms, "ms", STEP_MS))
    laid = median_ms(lambda: match(load_protocols(), current, (prior,)), n=15)
    rows.append(judged("reading the protocols and laying out an exam with a prior", laid, laid, "ms", 50.0))
    grid.close()
    return rows
