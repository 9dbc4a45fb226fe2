"""What every step of a build uses: a line on the terminal, a tool run with its error told, sizes. No decisions."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


class BuildError(Exception):
    """One sentence for the person at the terminal."""


def say(text: str) -> None:
    print(f"[build] {text}", flush=True)


def run(*command: str | Path, **named: object) -> str:
    """Run a tool and return what it printed; BuildError with its last words when it fails."""
    try:
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, check=False, **named
        )  # type: ignore[call-overload]
    except FileNotFoundError as error:
        raise BuildError(f"{command[0]}: expected this tool, found none; install it first.") from error
    if done.returncode:
        raise BuildError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return str(done.stdout)


def remove(path: Path) -> None:
    """Delete a file or a whole folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
