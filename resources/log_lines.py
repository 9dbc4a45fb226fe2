"""The form of a log line: what happened, where in the program, and no value that could name a person.

Templates of the program's own log calls are literal texts (a test reads them); what is put into them is reduced here to
numbers, names of error classes and keyed digests. Lines of other packages keep their place in the code only, because
their text may quote a header. Owns the handlers too; where the files lie is ``app.logs``.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import hashlib
import logging
import logging.handlers
import os
import secrets
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import TextIO

OWN = ("app", "inference", "reader_study", "resources")
MAX_BYTES = 1_000_000
KEPT_FILES = 5  # beside the one being written
RAW_VARIABLE = (
    "NEGATOSCOPE_TRACEBACK"  # '1' = errors as Python tells them, for developers without patients' data
)
FOLDER_VARIABLE = "NEGATOSCOPE_LOG_FOLDER"  # tells a child process where its lines go
LEVEL_VARIABLE = "NEGATOSCOPE_LOG"

_KEY = secrets.token_bytes(
    16
)  # of this run only: equal values look equal within a run and mean nothing after it
_SYSTEM_WORDS = frozenset(os.strerror(number) for number in errno.errorcode)
_ROOTS = tuple(
    sorted({str(Path(__file__).resolve().parents[1]), *sysconfig.get_paths().values()}, key=len, reverse=True)
)
_FATAL: list[TextIO] = []  # the open file of faulthandler: it must not be closed while the program runs


def safe_value(value: object) -> object:
    """Reduce a value of a log call to what may be written down.

    Returns
    -------
    Numbers, booleans, None and members of enumerations as they are; an error's class; a system error's own words; a
    path as a digest with its suffix; any other text as a digest. Digests are keyed anew in every run.
    """
    if value is None or isinstance(value, bool | int | float | Enum):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, BaseException):
        return type(value).__name__
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, Path):
        return (
            f"<file {_digest(str(value))}{value.suffix.lower() if value.suffix.lower() in _SUFFIXES else ''}>"
        )
    if isinstance(value, str) and value in _SYSTEM_WORDS:
        return value
    item = getattr(value, "item", None)
    if callable(item) and type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
        plain: object = item()
        if isinstance(plain, bool | int | float):  # numpy has texts, too
            return plain
    return f"<{_digest(str(value))}>"


_SUFFIXES = frozenset(
    {".dcm", ".zip", ".png", ".jpg", ".tif", ".tiff", ".json", ".sqlite", ".csv", ".yaml", ".npz"}
)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), key=_KEY, digest_size=4).hexdigest()


def code_place(path: str) -> str:
    """Return a source file's path below the program or its packages; other files by their name's digest."""
    for root in _ROOTS:
        if path.startswith(root):
            return path[len(root) :].lstrip("/\\").replace("\\", "/")
    return path if path.startswith("<frozen ") else f"<{_digest(path)}>"


def chain_lines(error: BaseException | None) -> Iterator[str]:
    """Tell an error and its causes by their classes and places in the code; their texts are left out."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield f"  {type(error).__module__}.{type(error).__qualname__}"
        for frame, line in traceback.walk_tb(error.__traceback__):
            yield f"    {code_place(frame.f_code.co_filename)}:{line} {frame.f_code.co_name}"
        following = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if following is not None:
            yield "  after"
        error = following


class LogLine(logging.Formatter):
    """UTC, level, logger, text; then an error's classes and places. No value that could name a person."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(datefmt="%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        head = (
            f"{self.formatTime(record, self.datefmt)} {record.levelname} {record.name}: {self._text(record)}"
        )
        error = record.exc_info[1] if record.exc_info else None
        return "\n".join((head, *chain_lines(error)))

    def _text(self, record: logging.LogRecord) -> str:
        if record.name.partition(".")[0] not in OWN:
            return f"{code_place(record.pathname)}:{record.lineno} (text of another package left out)"
        arguments = record.args
        if isinstance(arguments, dict):
            return str(record.msg) % {name: safe_value(value) for name, value in arguments.items()}
        values = tuple(safe_value(value) for value in arguments or ())
        template = str(record.msg)
        try:
            return template % values if values else template
        except (TypeError, ValueError):  # a number's format met a digest
            return f"{record.module}:{record.lineno} {values}"


class _NoRawWords:
    """For handlers: a line that cannot be written is told by its class only.

    Python's own ``handleError`` prints the values of the call to stderr, where they may name a person.
    """

    def handleError(self, record: logging.LogRecord) -> None:
        kind = sys.exc_info()[0]
        with contextlib.suppress(Exception):  # nothing is left to tell it to
            assert sys.stderr is not None
            place = f"{code_place(record.pathname)}:{record.lineno}"
            sys.stderr.write(
                f"a log line of {place} could not be written ({kind.__name__ if kind else '?'})\n"
            )


class _Console(_NoRawWords, logging.StreamHandler[TextIO]):
    pass


class _File(_NoRawWords, logging.handlers.RotatingFileHandler):
    pass


def start(folder: Path | None, name: str) -> Path | None:
    """Send all log lines to the console and, where there is a folder, to a file that is rotated by size.

    Parameters
    ----------
    folder : of the log files; None = the console only
    name : of the file, without its suffix: processes that run beside each other have files of their own

    Returns
    -------
    The log file; None where there is none or it cannot be written, which the console says.
    """
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one.formatter, LogLine)]:
        root.removeHandler(handler)
        handler.close()
    level = os.environ.get(LEVEL_VARIABLE, "").upper()
    root.setLevel(level if level in logging.getLevelNamesMapping() else "WARNING")
    console = _Console()
    console.setFormatter(LogLine())
    if sys.stderr is not None:
        root.addHandler(console)
    logging.captureWarnings(True)
    file = _file_handler(root, folder, name) if folder is not None else None
    if sys.excepthook is sys.__excepthook__:  # a test's or debugger's own hook stays
        sys.excepthook = _on_uncaught
        threading.excepthook = _on_uncaught_in_thread
    return file


def _file_handler(root: logging.Logger, folder: Path, name: str) -> Path | None:
    path = folder / f"{name}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handler = _File(path, maxBytes=MAX_BYTES, backupCount=KEPT_FILES, encoding="utf-8")
        if not faulthandler.is_enabled():  # a crash below Python: places in the code, no values
            _FATAL[:] = [(folder / f"{name}.fatal").open("a", encoding="utf-8")]
            faulthandler.enable(_FATAL[0])
    except OSError as error:
        logging.getLogger(__name__).warning("no log file can be written: %s", error.strerror)
        return None
    handler.setFormatter(LogLine())
    root.addHandler(handler)
    os.environ[FOLDER_VARIABLE] = str(folder)
    return path


def start_child(name: str) -> None:
    """Start the lines of a child process where its parent's go; the console only where the parent has no file."""
    folder = os.environ.get(FOLDER_VARIABLE)
    start(Path(folder) if folder else None, name)


def _on_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    if os.environ.get(RAW_VARIABLE) == "1":
        sys.__excepthook__(kind, error, trace)
    logging.getLogger(__name__).critical(
        "the program met an error that it does not know", exc_info=(kind, error, trace)
    )


def _on_uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None:
        _on_uncaught(told.exc_type, told.exc_value, told.exc_traceback)
