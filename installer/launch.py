#!/usr/bin/env python3
"""One file, standard library only: makes the environment and runs Negatoscope in it.

    python3 installer/launch.py demo [--no-display]   the workstation on a ready study
    python3 installer/launch.py test [PYTEST ARGS]    everything that CI runs
    python3 installer/launch.py run ARGS              any `negatoscope` command

It makes a virtual environment in .venv (or NEGATOSCOPE_VENV), installs the locked packages into it, checks the system
libraries that Qt needs, and goes on where it stopped when it is run again. Research use only.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "installer"
VENV = Path(os.environ.get("NEGATOSCOPE_VENV", ROOT / ".venv"))
STAMP = VENV / "negatoscope-installed.json"
LINUX = sys.platform.startswith("linux")

# Shared object -> Debian package. The first group is needed to import Qt at all, the second to open a window on X11.
QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
}
X11_LIBRARIES = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-xinerama.so.0": "libxcb-xinerama0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
# Real tools that the tests compare with; the tests say so when one is missing.
TEST_TOOLS = {
    "dciodvfy": "dicom3tools",
    "dcmcjpeg": "dcmtk",
    "Xvfb": "xvfb",
    "pg_createcluster": "postgresql",
    "Rscript": "r-base-core r-cran-lmertest",  # lme4 judges our mixed model of reading times
    "pdftotext": "poppler-utils",
    "readelf": "binutils",
    "xz": "xz-utils",
    "Orthanc": "orthanc orthanc-dicomweb",  # the PACS that the network code is tested against; not shipped
    "openssl": "openssl",
}


class LaunchError(Exception):
    """A sentence for the person at the terminal."""


def say(text: str) -> None:
    print(f"[negatoscope] {text}", flush=True)


def check_python() -> None:
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        found = platform.python_version()
        raise LaunchError(
            f"Python 3.11, 3.12 or 3.13 is needed, this is {found}; run this file with one of them."
        )
    if sys.version_info[:2] != (3, 11):
        say(f"Python {platform.python_version()} is declared but untested; the tests run on 3.11.")


def venv_executable(name: str) -> Path:
    folder = "Scripts" if os.name == "nt" else "bin"
    return VENV / folder / (f"{name}.exe" if os.name == "nt" else name)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _has_fonts() -> bool:
    folders = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path.home() / ".fonts")
    return any(next(folder.rglob("*.[to]tf"), None) for folder in folders if folder.is_dir())


def missing_packages(*, display: bool, tools: bool) -> list[str]:
    """Return the Debian packages whose library, font or tool is not here (Linux only)."""
    if not LINUX:
        return []
    wanted = dict(QT_LIBRARIES)
    if display or tools:  # the tests open windows on a virtual X screen of ten bits a channel
        wanted.update(X11_LIBRARIES)
    packages = [package for library, package in wanted.items() if not _loads(library)]
    if not _has_fonts():
        packages += ["fontconfig", "fonts-inter", "fonts-dejavu-core"]
    if tools:
        packages += [package for tool, package in TEST_TOOLS.items() if not shutil.which(tool)]
    return packages


def ensure_system(*, display: bool, tools: bool) -> None:
    packages = missing_packages(display=display, tools=tools)
    if not packages:
        return
    command = "apt-get install -y --no-install-recommends " + " ".join(packages)
    if not shutil.which("apt-get"):
        raise LaunchError(f"System libraries are missing; install what Debian calls: {' '.join(packages)}")
    if os.geteuid() != 0:
        raise LaunchError(f"System libraries are missing; run this once, then start again:  sudo {command}")
    say(f"installing system packages: {' '.join(packages)}")
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    subprocess.run(["apt-get", "update", "-qq"], env=env, stdout=subprocess.DEVNULL, check=False)
    done = subprocess.run(command.split(), env=env, stdout=subprocess.DEVNULL, check=False)
    if done.returncode or missing_packages(display=display, tools=tools):
        raise LaunchError(f"apt-get could not install the system packages; try yourself:  {command}")


def has_nvidia() -> bool:
    tool = shutil.which("nvidia-smi")
    return bool(tool) and subprocess.run([tool, "-L"], capture_output=True, check=False).returncode == 0


def _read_stamp() -> dict[str, str]:
    try:
        return dict(json.loads(STAMP.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _mark(step: str, value: str) -> None:
    stamp = _read_stamp() | {step: value}
    STAMP.write_text(json.dumps(stamp, indent=1), encoding="utf-8")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _pip(title: str, arguments: list[str], total: int) -> None:
    """Run pip with one progress line: packages seen so far, seconds."""
    command = [str(venv_executable("python")), "-m", "pip", "install", "--progress-bar", "off", *arguments]
    started, seen, last = time.monotonic(), 0, ""
    tail: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", cwd=ROOT
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            tail = [*tail[-30:], line]
            word = line.split()[:2]
            if word[:1] in (["Collecting"], ["Requirement"], ["Installing"], ["Downloading"], ["Processing"]):
                seen += word[0] in ("Collecting", "Requirement")
                last = line.strip()[:60]
            if sys.stdout.isatty():
                seconds = time.monotonic() - started
                text = f"{title} {min(seen, total)}/{total}  {seconds:4.0f} s  {last:60}"
                print(f"\r[negatoscope] {text}", end="", flush=True)
    if sys.stdout.isatty():
        print()
    if process.returncode:
        print("".join(tail), file=sys.stderr)
        raise LaunchError(
            f"{title}: pip ended with {process.returncode}; read the lines above, then run this again."
        )
    say(f"{title}: ready ({time.monotonic() - started:.0f} s)")


def _torch_arguments(*, cuda: bool) -> list[str]:
    index = os.environ.get("NEGATOSCOPE_TORCH_INDEX")
    if index is None and cuda and os.name == "nt":
        # PyPI's Windows wheel is a CPU build; on Linux PyPI's is the CUDA build.
        index = "https://download.pytorch.org/whl/cu130"
    return ["--extra-index-url", index] if index else []


def ensure_environment(*, cuda: bool, dev: bool) -> None:
    """Make the virtual environment and install what its stamp does not show yet."""
    if not venv_executable("python").exists():
        say(f"making the virtual environment {VENV}")
        if subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False).returncode:
            raise LaunchError(
                "The virtual environment could not be made; on Debian:  apt-get install python3-venv"
            )
    stamp = _read_stamp()
    steps: list[tuple[str, str, list[str]]] = [("packages", "requirements.lock", [])]
    steps.append(("AI engine (torch)", "requirements-torch.lock", _torch_arguments(cuda=cuda)))
    if dev:
        steps.append(("test tools", "requirements-dev.lock", []))
    for title, name, extra in steps:
        text = (HERE / name).read_text(encoding="utf-8")
        digest = _digest(text, str(cuda) if "torch" in name else "")
        if stamp.get(name) == digest:
            continue
        again = ["--force-reinstall"] if "torch" in name and stamp.get(name) else []
        total = sum(1 for line in text.splitlines() if line and not line.startswith("#"))
        say(f"{title}: installing {total} packages")
        _pip(title, [*extra, *again, "-r", str(HERE / name)], total)
        _mark(name, digest)
    project = _digest((ROOT / "pyproject.toml").read_text(encoding="utf-8"), str(ROOT))
    if stamp.get("project") != project:
        _pip("negatoscope itself", ["--no-deps", "--no-build-isolation", "-e", str(ROOT)], 1)
        _mark("project", project)


def has_screen() -> bool:
    if not LINUX:
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def run_program(arguments: list[str]) -> int:
    return subprocess.run([str(venv_executable("python")), "-m", "app", *arguments], check=False).returncode


def run_tests(arguments: list[str]) -> int:
    """Format, lint, types, contracts, then pytest, whose closing line comes last."""
    python = str(venv_executable("python"))
    checks = [
        ("lint", [python, "-m", "ruff", "check", "."]),
        ("format", [python, "-m", "ruff", "format", "--check", "."]),
        ("types", [python, "-m", "mypy"]),
        ("contracts", [str(venv_executable("lint-imports"))]),
    ]
    env = dict(os.environ, QT_QPA_PLATFORM="offscreen", PYTHONPATH=str(ROOT))
    failed = []
    for title, command in checks if not arguments else []:
        say(f"checking {title}")
        if subprocess.run(command, cwd=ROOT, env=env, check=False).returncode:
            failed.append(title)
    say("running the tests")
    code = subprocess.run([python, "-m", "pytest", *arguments], cwd=ROOT, env=env, check=False).returncode
    if failed:
        print(f"[negatoscope] failed before the tests: {', '.join(failed)}", file=sys.stderr, flush=True)
    return code or (1 if failed else 0)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cuda", action="store_true", help="install torch's CUDA build even if no GPU is detected"
    )
    parser.add_argument("command", choices=("demo", "test", "run"))
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    arguments: list[str] = options.arguments
    cuda = options.cuda or "--cuda" in arguments or has_nvidia()
    arguments = [argument for argument in arguments if argument != "--cuda"]
    testing = options.command == "test"
    # the conformance command runs the tests that name a line of the checklist
    proving = testing or (options.command == "run" and arguments[:1] == ["conformance"])
    unseen = proving or "--no-display" in arguments or not has_screen()
    try:
        check_python()
        ensure_system(display=not unseen, tools=proving)
        ensure_environment(cuda=cuda, dev=proving)
    except LaunchError as error:
        print(f"[negatoscope] {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("stopped; run the same command again and it goes on from here")
        return 130
    if testing:
        return run_tests(arguments)
    if options.command == "demo":
        if unseen and "--no-display" not in arguments:
            say("no screen here: the demo runs unseen and leaves screenshots, exports and the report on disk")
            arguments = [*arguments, "--no-display"]
        return run_program(["demo", *arguments])
    return run_program(arguments)


if __name__ == "__main__":
    sys.exit(main())
