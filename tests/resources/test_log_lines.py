"""Log lines name no person: not through values, not through errors, not through other packages' words."""

from __future__ import annotations

import ast
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources import log_lines

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("app", "inference", "reader_study", "resources")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
LONG = "line %d " + "of a long session " * 600
SECRETS = ("Rossi", "Anna", "MRN-4711", "1.2.840.99999.7", "19620301")


@pytest.fixture
def log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The log of this process in a folder of its own, at its most talkative."""
    monkeypatch.setenv(log_lines.LEVEL_VARIABLE, "DEBUG")
    monkeypatch.setenv(log_lines.FOLDER_VARIABLE, "")
    root, before = logging.getLogger(), logging.getLogger().level
    path = log_lines.start(tmp_path / "logs", "negatoscope")
    assert path is not None
    yield path
    for handler in [one for one in root.handlers if isinstance(one.formatter, log_lines.LogLine)]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(before)
    logging.captureWarnings(False)


def test_values_of_a_call_become_digests_numbers_and_classes(log_file: Path) -> None:
    log = logging.getLogger("app.control.reading")
    error = ValueError("Rossi^Anna 19620301")
    log.warning(
        "exam %s of %s: %s, %d views in %.2f s", "MRN-4711", Path("/data/Rossi Anna/a.dcm"), error, 4, 1.25
    )
    line = log_file.read_text(encoding="utf-8")
    assert not [secret for secret in SECRETS if secret in line]
    assert "ValueError" in line
    assert "4 views in 1.25 s" in line
    assert ".dcm>" in line


def test_an_error_is_told_by_its_classes_and_places_without_its_words(log_file: Path) -> None:
    def fail() -> None:
        try:
            raise KeyError("Rossi^Anna")
        except KeyError as inner:
            raise RuntimeError("patient MRN-4711 in /data/Rossi") from inner

    try:
        fail()
    except RuntimeError:
        logging.getLogger("inference.worker").exception("analysis failed")
    text = log_file.read_text(encoding="utf-8")
    assert not [secret for secret in SECRETS if secret in text]
    assert "builtins.RuntimeError" in text
    assert "builtins.KeyError" in text
    assert "tests/resources/test_log_lines.py" in text
    assert " fail" in text


def test_words_of_other_packages_are_left_out(log_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "pydicom",
        "pydicom.valuerep",
        "pynetdicom",
        "pynetdicom.acse",
    ):  # the storage service mutes them
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "disabled", False)
        monkeypatch.setattr(logger, "propagate", True)
        logger.setLevel(logging.NOTSET)
    logging.getLogger("pydicom.valuerep").warning("Invalid value for VR PN: 'Rossi^Anna'")
    logging.getLogger("pynetdicom.acse").error("Association rejected for %s", "MRN-4711")
    text = log_file.read_text(encoding="utf-8")
    assert not [secret for secret in SECRETS if secret in text]
    assert text.count("text of another package left out") == 2


def test_a_system_errors_own_words_stay(log_file: Path) -> None:
    logging.getLogger("app.views").warning("no room: %s", OSError(28, "No space left on device").strerror)
    assert "No space left on device" in log_file.read_text(encoding="utf-8")


def test_files_are_rotated_at_one_megabyte_and_five_are_kept(log_file: Path) -> None:
    log = logging.getLogger("app.views")
    for handler in logging.getLogger().handlers:  # the console would show it all
        if type(handler) is log_lines._Console:
            handler.setLevel("CRITICAL")
    for number in range(80_000):
        log.info(
            "line %d of a long session, which says nothing but goes on for a while in the same words", number
        )
    files = sorted(log_file.parent.glob("negatoscope.log*"))
    assert len(files) == 1 + log_lines.KEPT_FILES
    assert max(file.stat().st_size for file in files) <= log_lines.MAX_BYTES


@pytest.mark.parametrize("trouble", ["a full disk", "a closed console", "a template that does not fit"])
def test_a_line_that_cannot_be_written_is_told_without_its_values(tmp_path: Path, trouble: str) -> None:
    cause = {
        "a full disk": "file.stream = open('/dev/full', 'w')\n",
        "a closed console": "console.stream = open(os.devnull)\n",  # opened for reading: a write fails
        "a template that does not fit": "root.handlers[0].formatter._text = lambda record: 1 / 0\n",
    }[trouble]
    code = (
        "import logging, os\nfrom pathlib import Path\nfrom resources import log_lines\n"
        f"log_lines.start(Path({str(tmp_path)!r}), 'negatoscope')\n"
        "root = logging.getLogger()\n"
        "console, file = root.handlers\n"
        f"{cause}"
        "logging.getLogger('app.views').warning('exam of %s in %s', 'Rossi^Anna', Path('/data/MRN-4711'))\n"
        "print('goes on')\n"
    )
    if trouble == "a full disk" and not Path("/dev/full").exists():
        pytest.skip("not run: no /dev/full here")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "goes on", done.stderr
    assert "could not be written" in done.stderr
    assert not [secret for secret in SECRETS if secret in done.stderr]


def test_an_error_that_nobody_caught_goes_to_the_log_without_its_words(tmp_path: Path) -> None:
    code = (
        "import threading\n"
        "from pathlib import Path\n"
        "from resources import log_lines\n"
        f"log_lines.start(Path({str(tmp_path)!r}), 'negatoscope')\n"
        "t = threading.Thread(target=lambda: {}['Rossi^Anna']); t.start(); t.join()\n"
        "raise ValueError('Rossi^Anna MRN-4711')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    text = (tmp_path / "negatoscope.log").read_text(encoding="utf-8")
    assert done.returncode == 1
    assert text.count("CRITICAL") == 2
    assert not [secret for secret in SECRETS if secret in text + done.stderr + done.stdout]


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file in the folder's place", encoding="utf-8")
    code = (
        "from pathlib import Path\nfrom resources import log_lines\n"
        f"print(log_lines.start(Path({str(tmp_path / 'logs')!r}), 'negatoscope'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "None")
    assert "no log file can be written" in done.stderr


def _calls() -> Iterator[tuple[str, ast.Call]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr in LEVELS
                ):
                    owner = ast.unparse(node.func.value)
                    if owner in {"log", "_LOG", "_log", "LOG", "logger", "logging"} or "getLogger" in owner:
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_every_log_call_of_the_program_has_a_literal_template() -> None:
    found = list(_calls())
    assert len(found) > 20
    for where, call in found:
        first = call.args[1] if call.func.attr == "log" else call.args[0]  # type: ignore[attr-defined]
        assert isinstance(first, ast.Constant), f"{where}: values belong into arguments, not into the text"
