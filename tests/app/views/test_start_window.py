"""The start: what is painted first, what is not imported for it, and what a reader typed meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtTest import QTest

from app.__main__ import opens_window
from app.views.sign_in import SignInView
from app.views.start_window import StartWindow

ROOT = Path(__file__).resolve().parents[3]
HEAVY = (
    "torch",
    "numpy",
    "cv2",
    "pydicom",
    "sqlalchemy",
    "pyqtgraph",
    "imagecodecs",
    "scipy",
    "typer",
    "rich",
)

FIRST_PAINT = """
import sys
sys.argv = ["negatoscope", "demo"]
from app.views import start_window
paints = []
class Watched(start_window.StartWindow):
    def paintEvent(self, event):
        paints.append(self.isVisible())
        super().paintEvent(event)
    def beside(self, work):
        heavy = [name for name in HEAVY if name in sys.modules]
        print(paints[:1], heavy)
        sys.exit(0)
start_window.StartWindow = Watched
from app.__main__ import main
main()
"""

WHOLE_START = """
import sys
sys.argv = ["negatoscope", "open", sys.argv[1]]
from app.views import start_window
def hand_over(self, window, page, old=start_window.StartWindow.hand_over):
    old(self, window, page)
    print(type(window).__name__, window.isVisible(), self.isVisible(), "torch" in sys.modules)
    window.close()
    sys.exit(0)
start_window.StartWindow.hand_over = hand_over
from app.__main__ import main
main()
"""


def _run(code: str, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = dict(os.environ, QT_QPA_PLATFORM="offscreen", NEGATOSCOPE_HOME=str(tmp_path))
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_first_window_is_painted_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    done = _run(f"HEAVY = {HEAVY!r}\n{FIRST_PAINT}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[True] []"


def test_the_main_window_takes_over_and_torch_is_not_in_its_process(tmp_path: Path) -> None:
    done = _run(WHOLE_START, tmp_path, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "MainWindow True False False"


def test_a_wrong_path_is_one_sentence_and_exit_2_after_the_first_window(tmp_path: Path) -> None:
    code = f"import sys; sys.argv[1:] = ['read', {str(tmp_path / 'none.sqlite')!r}, '--exams', '.']\n"
    done = _run(code + "from app.__main__ import main; main()", tmp_path)
    assert done.returncode == 2
    assert "none.sqlite" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "opens"),
    [
        ("demo", True),
        ("demo --fresh", True),
        ("demo --no-display", False),
        ("demo --help", False),
        ("open .", True),
        ("open no/such/folder", False),  # a sentence in the terminal, before any window
        ("open", False),
        ("read study.sqlite --exams folder", True),
        ("verify-log study.sqlite", False),
        ("", False),
    ],
)
def test_only_commands_that_open_a_window_show_the_first_one(line: str, opens: bool) -> None:
    assert opens_window(line.split()) is opens


def test_the_window_lives_while_the_rest_is_made_ready_and_hands_on_answer_and_error(qtbot) -> None:
    window = StartWindow(sign_in=True)
    qtbot.addWidget(window)
    ticked = threading.Event()
    QTimer.singleShot(0, ticked.set)  # only a living event loop sets it
    assert window.beside(lambda: (ticked.wait(10), threading.current_thread().name)) == (True, "start")
    with pytest.raises(ZeroDivisionError):
        window.beside(lambda: 1 / 0)


def test_what_was_typed_during_the_start_is_not_lost_and_cannot_be_sent_early(qtbot) -> None:
    first, main = SignInView(), SignInView()
    asked: list[str] = []
    for page in (first, main):
        qtbot.addWidget(page)
        page.asked.connect(lambda reader, _password: asked.append(reader))
    first.set_busy("Starting …")
    QTest.keyClicks(first.reader, "anna")
    QTest.keyClicks(first.password, "secret\r")
    assert asked == []
    main.take_over(first)
    QTest.keyClicks(main.password, "\r")
    assert (main.reader.text(), main.password.text(), asked) == ("anna", "secret", ["anna"])
