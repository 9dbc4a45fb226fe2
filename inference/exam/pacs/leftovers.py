"""What a killed process left on a shelf: half objects and copies staged for an import, which bear names.

Light to import: the program looks here at every start.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import uuid
from pathlib import Path

from resources.file_locks import SignOfLife, is_alive

INCOMING = ".incoming"
LOCKS = ".locks"
_OWNER = re.compile(r"(?:import-)?([0-9a-f]{12})-")
_STALE_S = 86_400


def sign_in(root: Path) -> tuple[str, SignOfLife]:
    """Tell other processes that this one is at work on a shelf: what it calls itself, and its sign of life."""
    token = uuid.uuid4().hex[:12]
    return token, SignOfLife(_sign(root, token))


def is_at_work(root: Path, token: str) -> bool:
    """Whether the process of this name still lives."""
    return is_alive(_sign(root, token))


def sweep_shelf(root: Path) -> None:
    """Remove what the dead left; what bears no owner's name (an older program's) a day later. Never raises OSError."""
    with contextlib.suppress(OSError):
        found = list((root / INCOMING).iterdir())
        now = _now_s(root) if found else 0.0
        for old in found:
            with contextlib.suppress(OSError):
                owner = _OWNER.match(old.name)
                if is_at_work(root, owner[1]) if owner else now - old.stat().st_mtime <= _STALE_S:
                    continue
                if old.is_dir() and not old.is_symlink():
                    shutil.rmtree(old, ignore_errors=True)
                else:
                    old.unlink(missing_ok=True)
        for sign in (root / LOCKS).glob("*.alive"):
            if not is_alive(sign):
                sign.unlink(missing_ok=True)


def _sign(root: Path, token: str) -> Path:
    return root / LOCKS / f"{token}.alive"


def _now_s(root: Path) -> float:
    """The clock of the disk, which may be another machine's."""
    mark = root / LOCKS / f"{uuid.uuid4().hex}.mark"
    mark.touch()
    try:
        return mark.stat().st_mtime
    finally:
        mark.unlink()
