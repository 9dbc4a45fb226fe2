"""Real surfaces of other kinds than the tests' own: two monitors of different density, and ten bits a channel on X.

A Qt program has one platform for life, so each runs in a process of its own and prints what it saw as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

COMMON = """
import json, sys
import numpy as np
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtTest import QTest
from app.views.start_window import application
qt = application()
from app.bootstrap import browsing_station
from app.state.calibration import MonitorRecord
from app.state.display import Change, Pyramid
from app.state.gsdf import LuminanceResponse, identity_table
from app.state.hanging import load_protocols, match
from app.state.settings import MemorySettings, Settings
from app.state.test_patterns import qc
from app.views.main_window import MainWindow
from app.views.pattern_window import PatternWindow
from app.views.screens import device_size, monitor_of
from inference.engine import FakeEngine
from inference.exam.phantom import PhantomSpec, phantom_exam

def opened(settings):
    station = browsing_station(FakeEngine())
    station.settings = MemorySettings(settings)
    window = MainWindow(station, version="test")
    window.resize(1000, 800)
    window.show()
    QTest.qWait(50)
    exam = phantom_exam(PhantomSpec(seed=4, pixel_mm=0.5)).exam
    window.stack.setCurrentWidget(window.reading)
    pyramids = {i.key: Pyramid(i.pixels) for i in exam.images}
    stage = match(load_protocols(), exam).stages[0]
    window.reading.grid.set_stage(stage, {i.key: i for i in exam.images}, pyramids)
    QTest.qWait(50)
    return window
"""

TWO = (
    COMMON
    + """
first, second = QGuiApplication.screens()
gamma = LuminanceResponse(levels=(0, 85, 170, 255), cd_m2=(1.2, 40.0, 190.0, 450.0))
settings = Settings(monitors=(
    MonitorRecord(monitor=monitor_of(first).key, pitch_mm=0.25),
    MonitorRecord(monitor=monitor_of(second).key, pitch_mm=0.125, response=gamma),
))
window = opened(settings)
view = window.reading.grid.active()
window.reading.do(Change.TRUE)
seen = {"first": [window.screen().name(), view.state().scale, view.item.table() is not None]}
before = view.item.table().copy()
env = [window._environment()["monitor"]]
window.windowHandle().setScreen(second)
window.move(second.geometry().topLeft())
QTest.qWait(100)
seen["second"] = [window.screen().name(), view.state().scale]
seen["greys_changed"] = bool((view.item.table() != before).any())
env.append(window._environment()["monitor"])
seen["environment"] = env
window.windowHandle().setScreen(first)
window.move(first.geometry().topLeft())
QTest.qWait(100)
seen["back"] = [window.screen().name(), view.state().scale, bool((view.item.table() == before).all())]
window.reading.toggle_panel_apart()
QTest.qWait(50)
seen["panel"] = window.reading.panel_window.screen().name()
place = window.reading.panel_window.place_text()
window.reading.toggle_panel_apart()
pattern = PatternWindow(second, table=identity_table())
pattern.words_shown = False
pattern.showFullScreen()
QTest.qWait(50)
shown = pattern.grab().toImage().convertToFormat(QImage.Format.Format_Grayscale8)
rows, cols = device_size(second)
grey = np.frombuffer(shown.constBits(), np.uint8).reshape(shown.height(), shown.bytesPerLine())[:, :shown.width()]
seen["pattern"] = [pattern.screen().name(), [shown.height(), shown.width()], [rows, cols],
                   bool(grey.shape == (rows, cols) and (grey == qc(rows, cols)).all())]
pattern.close()
window.close()
print(json.dumps(seen))
"""
)

TEN_BITS = (
    COMMON
    + """
screen = QGuiApplication.primaryScreen()
def greys(row, left, right):
    grab = screen.grabWindow(0).toImage()
    image = grab.convertToFormat(QImage.Format.Format_RGB30)
    pixels = np.frombuffer(image.constBits(), np.uint32).reshape(image.height(), image.bytesPerLine() // 4)
    return len(np.unique(pixels[row, left:right] & 0x3FF)), str(grab.format())
pattern = PatternWindow(screen, table=identity_table(10), first="gradient")
pattern.words_shown = False
pattern.showFullScreen()
QTest.qWait(300)
seen = {"depth": screen.depth(), "pattern": greys(10, 0, screen.size().width())}
pattern.close()
window = opened(Settings())
window.reading.side.hide()
from inference.exam.types import Presentation, Spacing, ViewImage, Voi, VoiFunction
from dataclasses import replace
image = window.reading.grid.viewports()[0].image
ramp = np.broadcast_to(np.arange(700, dtype=np.uint16), (900, 700)).copy()
voi = Voi(label="", function=VoiFunction.LINEAR, center=512.0, width=1024.0)
wide = replace(image, pixels=ramp, presentation=Presentation(vois=(voi,)))
window.showFullScreen()
QTest.qWait(300)
view = window.reading.grid.viewports()[0]
window.reading.grid.maximise(view)
view.show_image(wide, Pyramid(wide.pixels))
view.show_annotation(False)
view.actual()
QTest.qWait(300)
place = view.mapTo(window, view.rect().center())
seen["image"] = greys(place.y() + 200, 0, screen.size().width())
seen["surface"] = window._environment()["surface"]
window.close()
print(json.dumps(seen))
"""
)


def run(code: str, platform: Mapping[str, str], home: Path) -> dict[str, object]:
    env = os.environ | platform | {"NEGATOSCOPE_HOME": str(home), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def two_monitors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The program on two monitors, the second with twice the density."""
    folder = tmp_path_factory.mktemp("screens")
    common = {"y": 0, "logicalDpi": 96, "logicalBaseDpi": 96}
    screens = [
        common | {"name": "A", "x": 0, "width": 1920, "height": 1080, "dpr": 1},
        common | {"name": "B", "x": 1920, "width": 2560, "height": 2048, "dpr": 1},
    ]
    (folder / "screens.json").write_text(json.dumps({"screens": screens}))
    platform = f"offscreen:configfile={folder / 'screens.json'}"
    return run(TWO, {"QT_QPA_PLATFORM": platform, "QT_SCREEN_SCALE_FACTORS": "A=1;B=2"}, folder)


def test_mg10_a_window_moved_to_another_monitor_takes_its_pitch(two_monitors) -> None:
    # Phantom pixels of 0.5 mm: two screen pixels at 0.25 mm, four at 0.125 mm.
    assert two_monitors["first"][:2] == ["A", pytest.approx(2.0)]
    assert two_monitors["second"] == ["B", pytest.approx(4.0)]
    assert two_monitors["back"][:2] == ["A", pytest.approx(2.0)]


def test_mg20_a_window_moved_to_another_monitor_takes_its_grey_table(two_monitors) -> None:
    assert two_monitors["greys_changed"] is True
    assert two_monitors["back"][2] is True


def test_qc04_the_log_names_the_monitor_the_window_is_on(two_monitors) -> None:
    assert two_monitors["environment"] == ["A", "B"]


def test_the_side_panel_opens_on_the_other_monitor(two_monitors) -> None:
    assert two_monitors["panel"] == "B"


def test_qc01_a_pattern_on_a_dense_monitor_is_one_pixel_a_device_pixel(two_monitors) -> None:
    assert two_monitors["pattern"] == ["B", [2048, 2560], [2048, 2560], True]


@pytest.fixture(scope="module")
def deep_screen() -> Iterator[str]:
    """A virtual X screen of ten bits a channel; yields its display name."""
    tool = shutil.which("Xvfb")
    if tool is None:
        pytest.skip("not run: Xvfb (Debian: xvfb) is not installed")
    read, write = os.pipe()
    server = subprocess.Popen(
        [tool, "-displayfd", str(write), "-screen", "0", "1280x1024x30", "-nolisten", "tcp"],
        pass_fds=(write,),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    number = b""
    while not number.endswith(b"\n") and server.poll() is None:
        number += os.read(read, 16)
    os.close(read)
    yield f":{number.decode().strip()}"
    server.terminate()
    server.wait(10)


def test_mg20_a_ten_bit_surface_shows_1024_greys_and_says_so(deep_screen: str, tmp_path: Path) -> None:
    seen = run(TEN_BITS, {"QT_QPA_PLATFORM": "xcb", "DISPLAY": deep_screen}, tmp_path)
    assert seen["depth"] == 30
    assert seen["pattern"] == [1024, "Format.Format_RGB30"]
    assert seen["image"][0] > 600  # a ramp of 700 greys, some under words; eight bits would show 176
    assert seen["surface"] == "10-bit surface"
