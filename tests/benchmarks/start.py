"""Start-up: a fresh process to its first painted window, against a bare QtWidgets window, and to the main window."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time

from tests.benchmarks.measure import Row, judged

_BARE = """
from PySide6.QtWidgets import QApplication, QWidget
app = QApplication([]); w = QWidget(); w.resize(1600, 1000); w.show(); app.processEvents()
import os; os._exit(0)
"""
# The real command; it ends where the first window is painted and the rest would be imported.
_FIRST = """
import os, sys
sys.argv = ["negatoscope", "demo"]
from app.views import start_window
start_window.StartWindow.beside = lambda self, work: os._exit(3 if "torch" in sys.modules else 0)
from app.__main__ import main
main()
"""
_WHOLE = """
import json, os, sys, time
start = time.perf_counter()
sys.argv = ["negatoscope", "open", sys.argv[1]]
from PySide6.QtCore import QTimer
from app.views import start_window
gaps = []
class Watched(start_window.StartWindow):
    def showEvent(self, event):
        super().showEvent(event)
        self.last, self.timer = time.perf_counter(), QTimer(self)
        self.timer.timeout.connect(self.tick)
        self.timer.start(2)
    def tick(self):
        now = time.perf_counter()
        gaps.append(now - self.last)
        self.last = now
    def hand_over(self, window, page):
        super().hand_over(window, page)
        self.tick()
        print(json.dumps([1e3 * (time.perf_counter() - start), 1e3 * max(gaps), "torch" in sys.modules]), flush=True)
        os._exit(0)
start_window.StartWindow = Watched
from app.__main__ import main
main()
"""


def _start_ms(code: str, n: int = 7) -> float:
    times = []
    for _ in range(n):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def _whole(n: int = 3) -> tuple[float, float]:
    """Median ms to the main window, and of the longest gap of the window's thread on the way."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(n):
            command = [sys.executable, "-c", _WHOLE, folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            ms, gap, torch = json.loads(done.stdout.splitlines()[-1])
            if torch:
                raise RuntimeError("torch was imported by the window's process")
            found.append((ms, gap))
    return statistics.median(ms for ms, _ in found), statistics.median(gap for _, gap in found)


def run() -> list[Row]:
    """Compare both; fails loudly when torch is loaded with the window."""
    bare, ours = _start_ms(_BARE), _start_ms(_FIRST)
    bare = (bare + _start_ms(_BARE)) / 2
    whole, gap = _whole()
    return [
        Row(operation="start of a bare QtWidgets window", ms=bare),
        judged("start to the first window, no torch", ours, ours / bare, "bare", 1.6, 1.2),
        Row(operation="start to the main window", ms=whole, ratio=whole / bare, unit="bare"),
        judged("longest UI gap during the start", gap, gap, "ms", 50),
    ]
