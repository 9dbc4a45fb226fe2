"""Scratch folders that outlive no crash for long: each shows whether its process lives, and every start sweeps the dead.

What lies in them may bear names, so each is its user's only.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resources.file_locks import SignOfLife, is_alive

PURPOSES = ("batch", "send", "settings", "tables")
_NAME = re.compile(rf"negatoscope-(?:{'|'.join(PURPOSES)})-[a-z0-9_]{{8}}")
_SIGN = "alive"


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """Lend an empty folder for the block; ``purpose`` is one of PURPOSES.

    Raises
    ------
    OSError
        The system's place for temporary files cannot be written.
    """
    assert purpose in PURPOSES
    folder = Path(tempfile.mkdtemp(prefix=f"negatoscope-{purpose}-"))
    try:
        sign = SignOfLife(folder / _SIGN)
        try:
            files = folder / "files"
            files.mkdir()
            yield files
        finally:
            sign.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep_scratch() -> int:
    """Remove this user's scratch folders whose processes are dead; returns how many. Never raises OSError."""
    count = 0
    with contextlib.suppress(OSError):
        for folder in sorted(Path(tempfile.gettempdir()).iterdir()):
            with contextlib.suppress(OSError):
                if _NAME.fullmatch(folder.name) and _is_ours(folder) and not is_alive(folder / _SIGN):
                    shutil.rmtree(folder, ignore_errors=True)
                    count += 1
    return count


def _is_ours(folder: Path) -> bool:
    """A folder of this user's with a sign of life in it: what has none is just being made, or is none of ours."""
    if folder.is_symlink() or not (folder / _SIGN).is_file():
        return False
    return os.name != "posix" or folder.stat().st_uid == os.getuid()
