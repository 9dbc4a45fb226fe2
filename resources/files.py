"""Finds the data files that ship with the program and reads JSON with errors a person can act on."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent


class UserFacingError(Exception):
    """An error whose text is one sentence for the person at the screen: what, where, expected, found, remedy."""


class ResourceError(UserFacingError):
    """A packaged data file is missing or does not hold what it should."""


def resource_path(*parts: str) -> Path:
    """Return the path of a packaged file or folder; ResourceError when it is not there."""
    path = ROOT.joinpath(*parts)
    if not path.exists():
        raise ResourceError(
            f"Packaged file {'/'.join(parts)}: expected at {path}, not found; install the program again."
        )
    return path


def read_json(path: Path) -> object:
    """Read one JSON file (UTF-8); ResourceError names file, line and column."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ResourceError(f"{path}: could not be read ({error.strerror}).") from error
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise ResourceError(
            f"{path}: line {error.lineno}, column {error.colno}: expected JSON, found {error.msg}."
        ) from error
    return value
