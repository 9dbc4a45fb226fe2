"""Cyclic garbage with widgets in it dies on the windows' thread, never in a thread that happens to allocate."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest
from PySide6.QtWidgets import QWidget

from app.views.collector import WindowThreadCollector, due_generation


@pytest.fixture
def collector(qapp) -> Iterator[WindowThreadCollector]:
    was = gc.isenabled()
    taken = WindowThreadCollector(qapp)
    yield taken
    taken.stop()
    if not was:
        gc.disable()


class Dying:
    """Notes the thread it was destroyed in."""

    def __init__(self, seen: list[int]) -> None:
        self.seen = seen
        self.own = self  # a cycle: only the collector ends it

    def __del__(self) -> None:
        self.seen.append(threading.get_ident())


def test_pf_garbage_of_a_window_dies_on_the_windows_thread_though_another_allocates(collector, qtbot) -> None:
    seen: list[int] = []
    thresholds = gc.get_threshold()
    gc.set_threshold(50, 1, 1)
    try:
        for _ in range(20):
            dying = Dying(seen)
            dying.widget = QWidget()  # type: ignore[attr-defined]
        del dying

        kept: list[list[int]] = []  # let go again, they would count for nothing
        worker = threading.Thread(target=lambda: kept.extend([] for _ in range(5_000)))
        worker.start()
        worker.join()
        assert seen == []
        qtbot.waitUntil(lambda: len(seen) == 20, timeout=5_000)
    finally:
        gc.set_threshold(*thresholds)
    assert set(seen) == {threading.get_ident()}


def test_pf_python_collects_by_itself_again_when_the_windows_are_gone(qapp) -> None:
    WindowThreadCollector(qapp).stop()
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((700, 0, 0), None), ((701, 0, 0), 0), ((701, 11, 0), 1), ((3, 11, 0), 1), ((701, 11, 11), 2)],
)
def test_pf_the_oldest_due_generation_is_collected(
    counts: tuple[int, int, int], expected: int | None
) -> None:
    assert due_generation(counts, (700, 10, 10)) == expected


def test_pf_a_threshold_of_none_is_never_due() -> None:
    assert due_generation((10**6, 0, 0), (0, 10, 10)) is None
