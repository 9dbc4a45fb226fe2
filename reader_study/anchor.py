"""The anchor file: each session's chain end, kept away from the database, so that a cut tail shows.

JSON lines, appended and synced. Owns that file only; the walk over the log is ``verify.py``.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from reader_study.domain.events import canonical
from reader_study.errors import StoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """One line: this session had ``count`` events and the last one's hash was ``hash``."""

    session_id: str
    count: int
    hash: str


def append_anchor(path: Path, anchor: Anchor) -> None:
    """Add one line and sync it; a line torn by a crash is closed first. StoreError names the file."""
    line = canonical({"session_id": anchor.session_id, "count": anchor.count, "hash": anchor.hash}) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = "\n" + line
            file.write(line.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(
            f"Anchor file {path.name}: could not be written ({error.strerror}); free the disk or move it."
        ) from error


def read_anchors(path: Path) -> tuple[tuple[Anchor, ...], int]:
    """Return all readable lines and the number of unreadable ones (a crash tears at most one each)."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise StoreError(
            f"Anchor file {path}: could not be read ({error.strerror}); name an existing file."
        ) from error
    anchors: list[Anchor] = []
    torn = 0
    for line in lines:
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            anchors.append(
                Anchor(
                    session_id=str(value["session_id"]), count=int(value["count"]), hash=str(value["hash"])
                )
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            torn += 1
    return tuple(anchors), torn
