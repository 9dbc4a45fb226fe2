"""Finds the data files that ship with the program and reads JSON with errors a person can act on."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent
MAX_JSON_BYTES = 24 << 20  # parsed, JSON takes up to twenty times its size in memory
_LONGEST = 1_000  # characters: what a hostile file holds is quoted, not recited
_HEAD, _TAIL = 700, 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def one_sentence(text: str) -> str:
    """Keep a text one line of bearable length: what a file or server holds may break lines, steer a terminal, turn words
    or have no end."""
    plain = _CONTROL.sub(" ", text)
    return plain if len(plain) <= _LONGEST else f"{plain[:_HEAD]} … {plain[-_TAIL:]}"


class UserFacingError(Exception):
    """An error whose text is one sentence for the person at the screen: what, where, expected, found, remedy."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(one_sentence(arg) if isinstance(arg, str) else arg for arg in args))


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
    """Read one JSON file (UTF-8, at most 24 MB); ResourceError names file, line and column."""
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise ResourceError(
                f"{path}: expected at most {MAX_JSON_BYTES >> 20} MB of JSON, found {size >> 20} MB; split the file."
            )
        value: object = json.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise ResourceError(f"{path}: could not be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise ResourceError(
            f"{path}: expected JSON text in UTF-8, found other bytes at {error.start}; name another file."
        ) from error
    except json.JSONDecodeError as error:
        raise ResourceError(
            f"{path}: line {error.lineno}, column {error.colno}: expected JSON, found {error.msg}."
        ) from error
    except (RecursionError, ValueError) as error:  # nested without end; a number of thousands of digits
        raise ResourceError(f"{path}: expected JSON, found what no program writes ({error}).") from error
    return value
