"""Start-up: a fresh process to its first painted window, against a bare QtWidgets window."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from tests.benchmarks.measure import Row, judged

_BARE = """
from PySide6.QtWidgets import QApplication, QWidget
app = QApplication([]); w = QWidget(); w.resize(1600, 1000); w.show(); app.processEvents()
import os; os._exit(0)
"""
_OURS = """
from PySide6.QtWidgets import QApplication
app = QApplication([])
from app.bootstrap import browsing_station
from app.views.main_window import MainWindow
from inference.engine import FakeEngine
w = MainWindow(browsing_station(FakeEngine()), version="bench"); w.show(); app.processEvents()
import os, sys; os._exit(3 if "torch" in sys.modules else 0)
"""


def _start_ms(code: str, n: int = 5) -> float:
    times = []
    for _ in range(n):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def run() -> list[Row]:
    """Compare both; fails loudly when torch is loaded with the window."""
    bare = _start_ms(_BARE)
    ours = _start_ms(_OURS)
    return [
        Row(operation="start of a bare QtWidgets window", ms=bare),
        judged("start to the first window, no torch", ours, ours / bare, "bare", 1.6, 1.2),
    ]
