"""Writes RJafroc workbooks, and gives names back to what was numbered for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from reader_study.exchange.observer_data import (
    Crossing,
    ExchangeError,
    Mark,
    ObserverData,
    TruthCase,
    normalised,
)
from reader_study.exchange.sheet_writer import Cell, SheetBook
from reader_study.exchange.workbook import FP_COLUMNS, TP_COLUMNS, TRUTH_COLUMNS, open_book


def write_workbook(data: ObserverData, path: Path) -> None:
    """Write an RJafroc workbook in the new layout; ids that are no whole numbers get a sheet KEY.

    Raises
    ------
    ExchangeError
        The data is of a split-plot design: RJafroc itself refuses such workbooks.
    """
    if data.crossing is not Crossing.FACTORIAL or len(data.reads) != len(data.readers) * len(data.modalities) * len(data.cases):  # fmt: skip
        raise ExchangeError(
            "An RJafroc workbook needs every reader to read every case under every modality; write iMRMC instead."
        )
    whole = all(case.case_id.isdecimal() and str(int(case.case_id)) == case.case_id for case in data.cases)
    numbers = {c.case_id: int(c.case_id) if whole else k for k, c in enumerate(data.cases, 1)}
    readers, modalities = (_text_ids(names) for names in (data.readers, data.modalities))
    lesion_numbers = {
        (case.case_id, lesion.lesion_id): k for case in data.cases for k, lesion in enumerate(case.lesions, 1)
    }
    book = SheetBook()
    sheet = book.create_sheet("TRUTH")
    sheet.append(TRUTH_COLUMNS)
    who, what = ",".join(readers.values()), ",".join(modalities.values())
    words = [data.paradigm.value, data.crossing.value]
    for case in data.cases:
        rows = [(lesion_numbers[case.case_id, x.lesion_id], x.weight) for x in case.lesions] or [(0, 0)]
        for lesion, weight in rows:
            sheet.append((numbers[case.case_id], lesion, weight, who, what, words.pop(0) if words else None))
    for name, columns, with_lesion in (("FP", FP_COLUMNS, False), ("TP", TP_COLUMNS, True)):
        sheet = book.create_sheet(name)
        sheet.append(columns)
        for m in data.marks:
            if bool(m.lesion_id) == with_lesion:
                place: tuple[Cell, ...] = (readers[m.reader], modalities[m.modality], numbers[m.case_id])
                lesion_cell = (lesion_numbers[m.case_id, m.lesion_id],) if with_lesion else ()
                sheet.append((*place, *lesion_cell, m.rating))
    _write_key(book, numbers, readers, modalities)
    book.save(path)


def _text_ids(names: Sequence[str]) -> dict[str, str]:
    """Names as RJafroc can hold them in a comma-separated cell: kept when plain, else numbered."""
    plain = all(name and not set(name) & set(",() ") for name in names)
    return {name: name if plain else str(k) for k, name in enumerate(names)}


def _write_key(
    book: SheetBook, numbers: Mapping[str, int], readers: Mapping[str, str], modalities: Mapping[str, str]
) -> None:
    sheet = book.create_sheet("KEY")
    sheet.append(("kind", "id in this workbook", "name"))
    for kind, table in (("case", numbers), ("reader", readers), ("modality", modalities)):
        for name, number in table.items():
            sheet.append((kind, str(number), name))


def read_names(path: Path, data: ObserverData) -> ObserverData:
    """Give cases, readers and modalities back the names of the sheet KEY that ``write_workbook`` wrote."""
    book = open_book(path)
    try:
        if "KEY" not in book.sheetnames:
            raise ExchangeError(f"{path.name}: expected a sheet KEY, found none; names cannot be given back.")
        rows = list(book["KEY"].iter_rows(values_only=True))[1:]
    finally:
        book.close()
    key = {(str(kind), str(number)): str(name) for kind, number, name in rows}
    case = {c.case_id: key["case", c.case_id] for c in data.cases}
    reader = {r: key["reader", r] for r in data.readers}
    modality = {m: key["modality", m] for m in data.modalities}
    return normalised(
        ObserverData(
            paradigm=data.paradigm,
            cases=tuple(TruthCase(case_id=case[c.case_id], lesions=c.lesions) for c in data.cases),
            reads=frozenset((reader[r], modality[m], case[c]) for r, m, c in data.reads),
            marks=tuple(
                Mark(reader=reader[x.reader], modality=modality[x.modality], case_id=case[x.case_id],
                     lesion_id=x.lesion_id, rating=x.rating)
                for x in data.marks
            ),
            crossing=data.crossing,
            title=data.title,
        )
    )  # fmt: skip
