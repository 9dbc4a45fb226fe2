"""The import's two private tables, kept with the key and readable by their owner only: every file, and who is who."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from app.case_import import FileRow, LinkRow
from reader_study.case_import import written
from reader_study.errors import StudyError


def report_path(key: Path) -> Path:
    """Where the report of the next import goes: beside the key, numbered, none replaces another."""
    number = 1
    while (path := key.with_name(f"{key.stem}_import_report_{number:03d}.csv")).exists():
        number += 1
    return path


def link_path(key: Path) -> Path:
    """Where the table of cases and patients goes: beside the key."""
    return key.with_name(f"{key.stem}_links.csv")


def write_report(rows: Iterable[FileRow], path: Path) -> None:
    """Write what became of every file.

    Raises
    ------
    StudyError
        The file cannot be written.
    """
    _write(path, [field.name for field in fields(FileRow)], [astuple(row) for row in rows])


def add_links(rows: Iterable[LinkRow], path: Path) -> None:
    """Add rows to the table of cases and patients; a case that is imported anew replaces its rows.

    Raises
    ------
    StudyError
        The file cannot be read or written.
    """
    header = [field.name for field in fields(LinkRow)]
    kept = {(row[0], row[1]): tuple(row) for row in _rows(path)}
    kept |= {(row.case_id, row.role): astuple(row) for row in rows}
    _write(path, header, [kept[name] for name in sorted(kept)])


def read_links(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the cases of each patient id in a table of links; several where hospitals gave out one number twice.

    Raises
    ------
    StudyError
        The file cannot be read, or has other columns.
    """
    if not path.is_file():
        raise StudyError(
            f"{path}: expected the table of cases and patients, found none; it lies beside the key."
        )
    found: dict[str, set[str]] = {}
    for row in _rows(path):
        if row[2]:
            found.setdefault(row[2], set()).add(row[0])
    return {patient: tuple(sorted(cases)) for patient, cases in found.items()}


def _rows(path: Path) -> list[list[str]]:
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StudyError(f"{path}: the table of cases and patients could not be read ({error}).") from error
    if not rows or rows[0] != [field.name for field in fields(LinkRow)]:
        raise StudyError(f"{path}: expected the columns case_id, role, patient_id, study_uid, study_date.")
    wrong = next((number for number, row in enumerate(rows, 1) if len(row) != len(rows[0])), None)
    if wrong is not None:
        raise StudyError(
            f"{path}: line {wrong}: expected {len(rows[0])} cells, found {len(rows[wrong - 1])}; bring the table back"
            " from its backup."
        )
    return rows[1:]


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    partial = path.with_suffix(".part")
    with written(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        with os.fdopen(
            os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(text.getvalue())
        partial.replace(path)
