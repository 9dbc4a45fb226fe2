"""Writes a study for the statistician: tidy CSV, codebook and workbook, and the files of the MRMC programs (RS-X1).

One call, one folder. What a format cannot hold is not written and is named with the reason; nothing is bent to fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reader_study.domain.reading import SessionRecord
from reader_study.domain.study import Study
from reader_study.domain.truth import Truth
from reader_study.errors import StudyError
from reader_study.exchange.sheet_writer import SheetBook
from reader_study.export import export_tidy
from reader_study.ports import EventStore
from reader_study.roster_tables import cases_table, readers_table
from reader_study.tables import TidyTable, build_tables

_TRUTH_COLUMNS = ("case_id", "malignant")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """Files written, and what was not written with the reason in a sentence."""

    written: tuple[Path, ...]
    left_out: tuple[str, ...]


def export_study(
    study: Study, store: EventStore, folder: Path, *, truth: Mapping[str, Truth] | None = None
) -> ExportReport:
    """Write everything that the log holds; with ``truth`` also the files of iMRMC, RJafroc, MRMCaov and OR-DBM.

    Parameters
    ----------
    folder : Path
        Made when missing; nothing in it is overwritten.
    truth : mapping of case id to Truth, optional
        Without it no MRMC file can be written.

    Raises
    ------
    StudyError
        The folder holds an export already or cannot be written.
    """
    records: list[SessionRecord] = []  # folded once, for the tables and for the MRMC files
    logged = build_tables(study, store, folded=None if truth is None else records.append)
    tables = (*logged, readers_table(study), cases_table(study, truth))
    written = list(export_tidy(study, store, folder, tables=tables))
    try:
        written.append(_write_book(tables, folder / "study_tables.xlsx"))
        if truth is None:
            return ExportReport(written=tuple(written), left_out=("MRMC files: no truth was named.",))
        written.append(_write_truth(truth, folder / "truth.csv"))
        from reader_study.observer_files import write_observer_files  # brings the statistics: slow to import

        made, left_out = write_observer_files(study, records, folder / "mrmc", truth)
    except OSError as error:
        raise StudyError(
            f"Export folder {folder}: could not be written ({error.strerror}); choose another place."
        ) from error
    return ExportReport(written=(*written, *made), left_out=left_out)


def _write_truth(truth: Mapping[str, Truth], path: Path) -> Path:
    rows = [f"{case_id},{int(one.malignant)}" for case_id, one in sorted(truth.items())]
    path.write_text("\n".join([",".join(_TRUTH_COLUMNS), *rows]) + "\n", encoding="utf-8")
    return path


def _write_book(tables: tuple[TidyTable, ...], path: Path) -> Path:
    """One sheet a table and the codebook; more rows than a sheet holds stay in the CSV, and the sheet says so."""
    book = SheetBook()
    codebook = book.create_sheet("codebook")
    codebook.append(("table", "column", "type", "unit", "range", "meaning"))
    for table in tables:
        for column in table.columns:
            codebook.append((table.name, column.name, column.type, column.unit, column.range, column.meaning))
    for table in tables:
        sheet = book.create_sheet(table.name)
        if len(table.rows) > _SHEET_ROWS:
            sheet.append((f"{len(table.rows)} rows, more than a sheet takes here: see {table.name}.csv",))
            continue
        sheet.append([column.name for column in table.columns])
        for row in table.rows:
            sheet.append(row)
    book.save(path)
    return path


_SHEET_ROWS = 1_048_575  # of an Excel sheet, the header apart
