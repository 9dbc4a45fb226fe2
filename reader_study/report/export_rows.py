"""Rows of an export's tables, read and checked: every cell that is counted with is a finite number, every column there.

Knows the tables' form only; what the columns mean is for those who ask for them.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

from reader_study.errors import StudyError
from resources.table_limits import within_limits

_WHOLE = frozenset({"n_planned", "n_recovered"})
_NUMBERS = _WHOLE | {
    "active_s", "opened_to_submit_s", "row", "col", "row_mm", "col_mm", "suspicion", "suspicion_max", "score",
    "call", "interval_days",
}  # fmt: skip
_ORDERS = frozenset({"period", "position"})  # numbers where they are decimal
_DIGITS = 9  # of a whole number: no study has more sessions, and Python refuses thousands of digits


class ReportError(StudyError):
    """A report cannot be made of this input; the text says what is missing and what to do."""


class TableRow(dict[str, str]):
    """One row by column name; a column that the table lacks is a ReportError that names the table."""

    def __init__(self, cells: dict[str, str], path: Path) -> None:
        super().__init__(cells)
        self._path = path

    def __missing__(self, column: str) -> str:
        raise ReportError(f"{self._path}: expected the column {column}, found none; export the study again.")


def table_rows(path: Path, *, needed: bool = True, counted: bool = True) -> list[dict[str, str]]:
    """Read a table of an export (or a CSV named beside it); () where it is neither there nor ``needed``.

    Columns of a table that is not ``counted`` with may hold anything.

    Raises
    ------
    ReportError
        No such file, no text, another number of cells than columns, or no number where one is counted with; names the
        file and the line.
    """
    if not needed and not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restkey="", restval="")
            return [_checked(row, path, reader.line_num, counted=counted) for row in within_limits(reader)]
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not text"
        raise ReportError(
            f"{path}: expected a table of an export, found none ({why}); run `negatoscope export` first."
        ) from error
    except csv.Error as error:
        raise ReportError(
            f"{path}: expected CSV, found an error ({error}); export the study again."
        ) from error


def _checked(row: dict[str, str], path: Path, line: int, *, counted: bool) -> TableRow:
    row.pop("", None)  # cells beyond the last column, a list
    for column in (_NUMBERS | _ORDERS) & row.keys() if counted else ():
        text = row[column].strip()
        if text and not _fits(column, text):
            raise ReportError(
                f"{path}, line {line}, column {column}: expected a number, found {text!r}; export the study again."
            )
    return TableRow(row, path)


def _fits(column: str, text: str) -> bool:
    if column in _ORDERS:
        return not text.isdecimal() or _is_whole(text)
    return _is_whole(text) if column in _WHOLE else _is_finite(text)


def _is_whole(text: str) -> bool:
    return text.isdecimal() and len(text) <= _DIGITS


def _is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
