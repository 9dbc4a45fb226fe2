"""Writes the tidy tables as CSV with a data dictionary. What is in them is ``tables.py``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from reader_study.domain.study import Study
from reader_study.domain.study_json import protocol_hash
from reader_study.errors import StudyError
from reader_study.ports import EventStore
from reader_study.roster_tables import cases_table, readers_table
from reader_study.tables import TidyTable, Value, build_tables

_README = """Negatoscope export of study {study_id} ({title}), protocol version {version}.
RESEARCH USE ONLY. Not for diagnosis.

One CSV file a table, UTF-8, comma, header row; an empty cell means "not recorded"; 1/0 means yes/no.
data_dictionary.csv describes every column. Practice cases are in sessions.csv and, marked, in cases.csv only.
Protocol SHA-256: {digest}
Events in the log: {events}
"""


def export_tidy(
    study: Study, store: EventStore, folder: Path, *, tables: tuple[TidyTable, ...] | None = None
) -> tuple[Path, ...]:
    """Write the study's tables into ``folder``; the same log gives the same bytes.

    Parameters
    ----------
    study : Study
        The protocol the log belongs to.
    store : EventStore
        The log.
    folder : Path
        Made when missing; nothing in it is overwritten.
    tables : tuple of TidyTable, optional
        As ``build_tables`` made them, when they are there already.

    Returns
    -------
    tuple of Path
        readers, cases, sessions, readings, findings, times, coverage, ai_scores, exposure, washout, allocation
        and audit.csv,
        data_dictionary.csv, README.txt.

    Raises
    ------
    StudyError
        A file of that name is there already, or the folder cannot be written.
    """
    tables = (
        (*build_tables(study, store), readers_table(study), cases_table(study)) if tables is None else tables
    )
    heads = store.heads()
    events = sum(heads[plan.session_id].count for plan in study.plans if plan.session_id in heads)
    files = {f"{table.name}.csv": _csv([c.name for c in table.columns], table.rows) for table in tables}
    files["data_dictionary.csv"] = _dictionary(tables)
    files["README.txt"] = _README.format(
        study_id=study.study_id,
        title=study.title,
        version=study.protocol_version,
        digest=protocol_hash(study),
        events=events,
    )
    there = sorted(name for name in files if (folder / name).exists())
    if there:
        raise StudyError(
            f"Export folder {folder}: expected no {there[0]}, found one; choose an empty folder."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            with (folder / name).open("x", encoding="utf-8", newline="") as file:
                file.write(content)
    except OSError as error:
        raise StudyError(
            f"Export folder {folder}: could not be written ({error.strerror}); choose another place."
        ) from error
    return tuple(folder / name for name in files)


def _dictionary(tables: Iterable[TidyTable]) -> str:
    rows = [
        (table.name, column.name, column.type, column.unit, column.range, column.meaning)
        for table in tables
        for column in table.columns
    ]
    return _csv(["table", "column", "type", "unit", "range", "meaning"], rows)


def _csv(header: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    return repr(value) if isinstance(value, float) else str(value)
