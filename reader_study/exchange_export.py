"""Writes a study for the statistician: tidy CSV, codebook and workbook, and the files of the MRMC programs (RS-X1).

One call, one folder. What a format cannot hold is not written and is named with the reason; nothing is bent to fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from reader_study.domain.conduct import CallOf
from reader_study.domain.study import Study
from reader_study.domain.truth import Truth
from reader_study.errors import StudyError
from reader_study.exchange.delimited import write_imrmc, write_long_csv, write_lrc
from reader_study.exchange.observer_data import ObserverData
from reader_study.exchange.sheet_writer import SheetBook
from reader_study.exchange.workbook_writer import write_workbook
from reader_study.export import export_tidy
from reader_study.observers import Answer, Rating, answers_of, froc_observer_data, roc_observer_data
from reader_study.ports import EventStore
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
    answers: list[Answer] = []
    tables = build_tables(study, store, folded=lambda record: answers.extend(answers_of(record)))
    written = list(export_tidy(study, store, folder, tables=tables))
    try:
        written.append(_write_book(tables, folder / "study_tables.xlsx"))
        if truth is None:
            return ExportReport(written=tuple(written), left_out=("MRMC files: no truth was named.",))
        written.append(_write_truth(truth, folder / "truth.csv"))
        made, left_out = _write_observer_files(study, answers, folder / "mrmc", truth)
    except OSError as error:
        raise StudyError(
            f"Export folder {folder}: could not be written ({error.strerror}); choose another place."
        ) from error
    return ExportReport(written=(*written, *made), left_out=left_out)


def _write_observer_files(
    study: Study, answers: Sequence[Answer], folder: Path, truth: Mapping[str, Truth]
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    wanted: list[tuple[str, Callable[[], ObserverData]]] = [
        (f"roc_{rating.value}", partial(roc_observer_data, study, answers, truth, rating=rating))
        for rating in Rating
        if rating is not Rating.CALL or study.scale.call is CallOf.CASE
    ]
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    left_out: list[str] = []
    for name, make in wanted:
        try:
            data = make()
        except StudyError as error:
            left_out.append(f"{name}: {error}")
            continue
        for path, write in _roc_writers(folder / name):
            _try(path, partial(write, data, path), made, left_out)
    try:
        marks = froc_observer_data(study, answers, truth)
    except StudyError as error:
        left_out.append(f"froc: {error}")
    else:
        path = folder / "froc_rjafroc.xlsx"
        _try(path, partial(write_workbook, marks, path), made, left_out)
    return tuple(made), tuple(left_out)


def _roc_writers(stem: Path) -> tuple[tuple[Path, Callable[[ObserverData, Path], object]], ...]:
    return (
        (stem.with_name(stem.name + ".imrmc"), write_imrmc),
        (stem.with_name(stem.name + "_rjafroc.xlsx"), write_workbook),
        (stem.with_name(stem.name + "_mrmcaov.csv"), write_long_csv),
        (stem.with_name(stem.name + ".lrc"), write_lrc),
    )


def _try(path: Path, write: Callable[[], object], made: list[Path], left_out: list[str]) -> None:
    try:
        beside = write()
    except StudyError as error:
        left_out.append(f"{path.name}: {error}")
        return
    made.append(path)
    if isinstance(beside, Path):  # the key table of whole-number case ids
        made.append(beside)


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
