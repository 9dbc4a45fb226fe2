"""Times one thing in the units of the design: F = a copy of one decoded frame, C = a copy of all visible
pixels.

Absolute times drift with the machine; ratios taken in the same process and run do not. Nothing here is a
test.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

ROWS, COLS = 4096, 3328
VIEW_ROWS, VIEW_COLS = 1280, 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the report; ``ratio`` in ``unit``, verdict 'met', 'stretch met', 'MISSED', '-' or 'not
    run: ...'."""

    operation: str
    ms: float | None = None
    ratio: float | None = None
    unit: str = ""
    target: float | None = None
    stretch: float | None = None
    verdict: str = "-"

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def judged(
    operation: str, ms: float, ratio: float, unit: str, target: float | None, stretch: float | None = None
) -> Row:
    """Make a row and say whether the ratio is within target and stretch."""
    verdict = "-"
    if target is not None:
        verdict = "met" if ratio <= target else "MISSED"
        if stretch is not None and ratio <= stretch:
            verdict = "stretch met"
    return Row(
        operation=operation, ms=ms, ratio=ratio, unit=unit, target=target, stretch=stretch, verdict=verdict
    )


def not_run(operation: str, why: object) -> Row:
    """Make a row for something that could not be measured here."""
    return Row(operation=operation, verdict=f"not run: {why}")


def median_ms(work: Callable[[], object], n: int = 15, warm: int = 2) -> float:
    """Median time of ``work`` over ``n`` runs after ``warm`` unmeasured ones, ms."""
    for _ in range(warm):
        work()
    times = []
    for _ in range(n):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def frame_copy_ms() -> float:
    """F: ``np.copyto`` of one decoded 4096 x 3328 frame of uint16, ms."""
    source, target = np.ones((ROWS, COLS), np.uint16), np.zeros((ROWS, COLS), np.uint16)
    return median_ms(lambda: np.copyto(target, source))


def screen_copy_ms() -> float:
    """C: ``np.copyto`` of the pixels of four viewports as 32-bit, ms."""
    source = np.ones((4, VIEW_ROWS, VIEW_COLS), np.uint32)
    target = np.zeros_like(source)
    return median_ms(lambda: np.copyto(target, source))


def frame(seed: int = 0) -> NDArray[np.uint16]:
    """Make a (4096, 3328) uint16 12-bit frame: a half disc of noisy tissue at the left edge, air
    elsewhere."""
    rng = np.random.default_rng(seed)
    rows, cols = np.ogrid[0:ROWS, 0:COLS]
    radius = np.hypot((rows - ROWS / 2) / (0.42 * ROWS), cols / (0.7 * COLS)).astype(np.float32)
    coarse = rng.normal(0, 300, (ROWS // 32, COLS // 32)).astype(np.float32)
    texture = np.kron(coarse, np.ones((32, 32), np.float32))
    noise = rng.normal(0, 12, (ROWS, COLS)).astype(np.float32)
    tissue = np.clip(1500 + 1200 * (1 - radius) + texture + noise, 1, 4095)
    return np.where(radius < 1, tissue, 0).astype(np.uint16)
