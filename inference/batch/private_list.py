"""The private list: what could not be read, by file name and in full. Written only where the user asked for it.

It may name persons, so it is its owner's only and never lies among the results.
"""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from inference.exam.types import InferenceError

_LOG = logging.getLogger(__name__)
COLUMNS = ("what", "name", "sentence")
_EXAM, _FILE = "exam", "file"


class PrivateList:
    """One CSV: ``exam`` rows by case, ``file`` rows by path; None as ``path`` = nothing is written.

    Raises
    ------
    InferenceError
        It would lie among the results, is another file, or cannot be written.
    """

    def __init__(self, path: Path | None, *results: Path | None) -> None:
        self._path = path
        self._rows: dict[tuple[str, str], str] = {}
        if path is None:
            return
        for folder in results:
            if folder is not None and path.resolve().is_relative_to(folder.resolve()):
                raise InferenceError(
                    f"--problems {path}: expected a place outside the results, found one in {folder}; it may name "
                    "persons: keep it beside the archive."
                )
        self._read(path)
        self._write()

    def exam(self, case_id: str, sentence: str) -> None:
        """Note why an exam failed."""
        if self._path is not None and sentence:
            self._rows[_EXAM, case_id] = sentence
            self._write_if_it_can()

    def files(self, refused: Iterable[tuple[str, str]]) -> None:
        """Note all files and rows that are no exam; those that were noted before and are not among them go."""
        if self._path is not None:
            self._rows = {key: text for key, text in self._rows.items() if key[0] == _EXAM}
            self._rows |= {(_FILE, name): sentence for name, sentence in refused}
            self._write_if_it_can()

    def _read(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable(type(error).__name__) from error
        rows = list(csv.reader(io.StringIO(text)))
        if rows and tuple(rows[0]) != COLUMNS:
            raise self._unusable("another file")
        self._rows = {(row[0], row[1]): row[2] for row in rows[1:] if len(row) == len(COLUMNS)}

    def _write_if_it_can(self) -> None:
        try:
            self._write()
        except InferenceError:  # the run itself matters more; what it records says that the exam failed
            _LOG.warning("the private list could not be written")

    def _write(self) -> None:
        assert self._path is not None
        scratch = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        try:
            scratch.unlink(missing_ok=True)
            handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
                writer = csv.writer(stream, lineterminator="\n")
                writer.writerow(COLUMNS)
                writer.writerows((*key, text) for key, text in sorted(self._rows.items()))
            scratch.replace(self._path)
        except OSError as error:
            raise self._unusable(error.strerror or type(error).__name__) from error

    def _unusable(self, found: str) -> InferenceError:
        return InferenceError(
            f"--problems {self._path}: expected a new file or a list of an earlier run, found {found}; name another."
        )
