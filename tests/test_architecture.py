"""The rules of the house that a machine can check: who may import what, no hidden clocks, files of a readable size."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("app", "inference", "reader_study", "resources")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
MAX_LINES = 400
# A file above the limit and why it may be.
LONG_FILES: dict[str, str] = {
    "app/views/viewport_grid.py": "one widget whose stages, sizes and links share the same few maps",
    "app/control/reading.py": "one session's commands, each a few lines over the same state",
    "app/views/reading_view.py": "one screen: bar, grid, panel and what links them",
    "app/views/main_window.py": "one window: pages, keys and controllers meet here and nowhere else",
    "reader_study/sessions.py": "the only writer of the log; every step shares one append",
    "inference/exam/phantom.py": "one exam's assembly in the order of the physics",
}
HIDDEN_CLOCKS = {("time", "time"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}


def names_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=names_of)
def test_no_file_is_long_without_a_reason(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES or names_of(path) in LONG_FILES, f"{names_of(path)}: {lines} lines"


@pytest.mark.parametrize("path", SOURCES, ids=names_of)
def test_no_wall_clock_and_no_global_generator(path: Path) -> None:
    if names_of(path) == "reader_study/clock.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = ast.unparse(node.func.value)
        where = f"{names_of(path)}:{node.lineno}"
        assert (owner.rsplit(".", 1)[-1], node.func.attr) not in HIDDEN_CLOCKS, (
            f"{where} reads the wall clock"
        )
        legacy = owner in {"np.random", "numpy.random"} and node.func.attr not in {
            "default_rng",
            "Generator",
            "SeedSequence",
            "PCG64",
            "Philox",
        }
        assert not legacy, f"{where} uses a global random generator"
        assert owner != "random", f"{where} uses a global random generator"


def test_no_absolute_path_of_a_machine_is_in_the_project() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    if not tracked:
        pytest.skip("not run: not a git checkout")
    for name in tracked:
        path = ROOT / name
        if (
            path.suffix in {".py", ".md", ".toml", ".json", ".lock", ".yaml"}
            and path.is_file()
            and path != Path(__file__)
        ):
            text = path.read_text(encoding="utf-8")
            for word in ("/home/", "/root/", "C:\\Users"):
                assert word not in text, f"{name} names {word}"


def run_without(blocked: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter in which importing ``blocked`` fails."""
    block = f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\n"
    return subprocess.run(
        [sys.executable, "-c", block + code], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_core_imports_and_reads_without_qt() -> None:
    code = (
        "import app.control.reading, app.state.display, reader_study.sessions, reader_study.export\n"
        "from inference.exam.phantom import PhantomSpec, phantom_exam\n"
        "exam = phantom_exam(PhantomSpec(seed=3, pixel_mm=1.0)).exam\n"
        "from inference.engine import FakeEngine\n"
        "print(len(FakeEngine().analyse(exam, lambda f, t: None, lambda: False).detections))\n"
    )
    done = run_without(("PySide6", "pyqtgraph"), code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "4"


def test_the_program_and_a_study_import_without_torch() -> None:
    code = (
        "import app.bootstrap, app.demo_run, app.views.main_window, reader_study.sessions\n"
        "from pathlib import Path\n"
        "import tempfile\n"
        "engine = app.bootstrap.make_engine(Path(tempfile.mkdtemp()), 'dib-mg')\n"
        "print(type(engine).__name__)\n"
        "close = getattr(engine, 'close', None); close and close()\n"
    )
    done = run_without(("torch",), code)
    assert done.returncode == 0, done.stderr


def test_contracts_between_the_rooms_hold() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(tool)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
