"""RJafroc / JAFROC Excel workbooks: sheets TRUTH, FP (or NL) and TP (or LL), old and new layout."""

from __future__ import annotations

import math
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reader_study.exchange.observer_data import (
    WEIGHT_SLACK,
    Crossing,
    ExchangeError,
    Lesion,
    Mark,
    ObserverData,
    Paradigm,
    TruthCase,
    normalised,
)

if TYPE_CHECKING:
    from openpyxl import Workbook

TRUTH_COLUMNS = ("CaseID", "LesionID", "Weight", "ReaderID", "ModalityID", "Paradigm")
FP_COLUMNS = ("ReaderID", "ModalityID", "CaseID", "FP_Rating")
TP_COLUMNS = ("ReaderID", "ModalityID", "CaseID", "LesionID", "TP_Rating")
_SHEETS = {"TRUTH": ("TRUTH",), "FP": ("FP", "NL"), "TP": ("TP", "LL")}
_RATING_NAMES = {"FP_Rating": "NL_Rating", "TP_Rating": "LL_Rating"}
MAX_ROWS = 1 << 20  # Excel's own limit
MAX_COLUMNS = 64  # looked at; a cell in column XFD would make each row 16 384 wide
MAX_UNPACKED, MAX_STRINGS = 256 * 2**20, 64 * 2**20
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, SyntaxError, LookupError, ValueError, OSError, TypeError, AttributeError,
    EOFError, RuntimeError, NotImplementedError, OverflowError, AssertionError, StopIteration,
)  # fmt: skip  # XML that is none is a SyntaxError; openpyxl meets the rest in workbooks that no program writes


@dataclass(frozen=True, slots=True)
class _Sheet:
    """One sheet: its rows with their numbers as Excel shows them, trailing empty rows cut."""

    file: str
    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[object, ...]], ...]

    def fail(self, row: int, column: str, what: str) -> ExchangeError:
        return ExchangeError(f"{self.file}, sheet {self.name}, row {row}, column {column}: {what}")

    def whole(self, row: int, column: str, value: object) -> int:
        if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
            return int(value)
        if (
            isinstance(value, bool) or not isinstance(value, int | float) or value % 1 != 0
        ):  # NaN and infinity too
            raise self.fail(row, column, f"expected a whole number, found {value!r}; correct the cell.")
        return int(value)

    def number(self, row: int, column: str, value: object) -> float:
        try:
            if isinstance(value, bool):
                raise ValueError
            found = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise self.fail(row, column, f"expected a number, found {value!r}; correct the cell.") from None
        if not math.isfinite(found):
            raise self.fail(row, column, f"expected a finite number, found {value!r}; correct the cell.")
        return found


def _label(value: object) -> str:
    """A reader's or modality's name as text: 1 and 1.0 and '1' are the same one."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def read_workbook(path: Path) -> ObserverData:
    """Read an RJafroc workbook.

    Raises
    ------
    ExchangeError
        Names file, sheet, row, column, what was expected and found, and what to do.
    """
    sheets = {sheet.name: sheet for sheet in _sheets(path)}
    truth = sheets["TRUTH"]
    new_layout = len(truth.columns) > 3
    paradigm, crossing = _paradigm(truth) if new_layout else (Paradigm.FROC, Crossing.FACTORIAL)
    lesions, weights, allowed = _truth(truth, new_layout=new_layout)
    marks = (*_marks(sheets["FP"], lesions, allowed), *_marks(sheets["TP"], lesions, allowed))
    if not marks:
        raise ExchangeError(
            f"{path.name}: expected at least one rating in FP or TP, found none; fill the sheets."
        )
    if not new_layout:
        readers, modalities = {m.reader for m in marks}, {m.modality for m in marks}
        allowed = {case: {(r, m) for r in readers for m in modalities} for case in lesions}
        if _one_rating_each(lesions, marks, len(readers) * len(modalities)):
            paradigm = Paradigm.ROC
    cases = tuple(
        TruthCase(
            case_id=str(case),
            lesions=tuple(
                Lesion(lesion_id=str(lesion), weight=weights[case, lesion])
                for lesion in sorted(own)
                if lesion
            ),
        )
        for case, own in lesions.items()
    )
    reads = frozenset((r, m, str(case)) for case, pairs in allowed.items() for r, m in pairs)
    if paradigm is Paradigm.ROC:
        _check_roc(path.name, lesions, reads, marks)
    return normalised(
        ObserverData(
            paradigm=paradigm, cases=cases, reads=reads, marks=marks, crossing=crossing, title=path.stem
        )
    )


def _one_rating_each(lesions: Mapping[int, set[int]], marks: Sequence[Mark], pairs: int) -> bool:
    keys = {(m.reader, m.modality, m.case_id) for m in marks}
    return len(keys) == len(marks) == pairs * len(lesions)


def _sheets(path: Path) -> Iterator[_Sheet]:
    book = open_book(path)
    try:
        names = {str(name).strip().upper(): name for name in book.sheetnames}
        for wanted, spellings in _SHEETS.items():
            found = next((names[s] for s in spellings if s in names), None)
            if found is None:
                raise ExchangeError(
                    f"{path.name}: expected a sheet {' or '.join(spellings)}, found {', '.join(book.sheetnames)};"
                    " rename the sheet."
                )
            with warnings.catch_warnings(), _told(path):
                warnings.simplefilter("ignore", UserWarning)
                worksheet = book[found]
                worksheet.reset_dimensions()
                sheet = _sheet(path.name, wanted, worksheet.iter_rows(max_col=MAX_COLUMNS, values_only=True))
            yield sheet
    finally:
        book.close()


def open_book(path: Path) -> Workbook:
    """Open a workbook for reading its cells; ExchangeError when it is none, or unpacks to more than 256 MB."""
    with warnings.catch_warnings(), _told(path):
        warnings.simplefilter("ignore", UserWarning)  # extensions of Excel that hold no cell
        import openpyxl

        with zipfile.ZipFile(path) as packed:
            size = sum(info.file_size for info in packed.infolist())
            held = max((i.file_size for i in packed.infolist() if "sharedStrings" in i.filename), default=0)
        if size > MAX_UNPACKED or held > MAX_STRINGS:
            raise ExchangeError(
                f"{path.name}: expected a workbook of at most {MAX_UNPACKED >> 20} MB unpacked, found {size >> 20} MB;"
                " split it."
            )
        # read-only: no formulas, and sheets without a dimension record open too
        return openpyxl.load_workbook(path, read_only=True, data_only=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn whatever a damaged workbook raises into one sentence."""
    try:
        yield
    except FileNotFoundError as error:
        raise ExchangeError(f"{path.name}: expected a workbook, found no file; check the path.") from error
    except _DAMAGE as error:
        raise ExchangeError(
            f"{path.name}: expected an Excel workbook (.xlsx), found another or a damaged file"
            f" ({type(error).__name__}); save it as .xlsx again."
        ) from error


def _sheet(file: str, name: str, content: Iterator[tuple[object, ...]]) -> _Sheet:
    head = [_label(cell) if cell is not None else "" for cell in next(content, ())]
    wanted = {"TRUTH": TRUTH_COLUMNS, "FP": FP_COLUMNS, "TP": TP_COLUMNS}[name]
    if name == "TRUTH" and len([cell for cell in head if cell]) == 3:
        wanted = TRUTH_COLUMNS[:3]
    for k, column in enumerate(wanted):
        found = head[k] if k < len(head) else ""
        if found not in {column, _RATING_NAMES.get(column, column)}:
            raise ExchangeError(
                f"{file}, sheet {name}, row 1, column {k + 1}: expected the header {column}, found {found or 'nothing'};"
                " restore the header row."
            )
    rows: list[tuple[int, tuple[object, ...]]] = []
    width, last = len(wanted), 0
    for number, row in enumerate(content, 2):
        if number > MAX_ROWS:
            raise ExchangeError(
                f"{file}, sheet {name}: expected at most {MAX_ROWS} rows, found more; split it."
            )
        cells = tuple(row[:width]) + (None,) * max(0, width - len(row))
        rows.append((number, cells))
        if any(cell is not None for cell in cells):
            last = len(rows)
    kept = rows[:last]
    required = width - (
        1 if name == "TRUTH" and width > 3 else 0
    )  # Paradigm stands in the first two rows only
    for number, cells in kept:
        for k in range(required):
            if cells[k] is None or cells[k] == "":
                raise ExchangeError(
                    f"{file}, sheet {name}, row {number}, column {wanted[k]}: expected a value, found an empty cell;"
                    " fill it or remove the row."
                )
    return _Sheet(file=file, name=name, columns=wanted, rows=tuple(kept))


def _paradigm(truth: _Sheet) -> tuple[Paradigm, Crossing]:
    words = [_label(cells[5]).upper() if cells[5] is not None else "" for _, cells in truth.rows[:2]]
    if len(words) < 2 or words[0] not in Paradigm.__members__:
        raise truth.fail(
            2,
            "Paradigm",
            f"expected ROC, FROC, LROC or ROI, found {words[0] if words else 'nothing'!r}; fill it.",
        )
    known = {"FCTRL": Crossing.FACTORIAL, "SPLIT-PLOT-A": Crossing.SPLIT_PLOT_A, "SPLIT-PLOT-C": Crossing.SPLIT_PLOT_C,
             "SPLIT-PLOT": Crossing.SPLIT_PLOT_C}  # fmt: skip
    if words[1] not in known:
        raise truth.fail(
            3,
            "Paradigm",
            f"expected {', '.join(known)}, found {words[1]!r}; crossed modalities cannot be read.",
        )
    return Paradigm(words[0]), known[words[1]]


def _names(text: object) -> tuple[str, ...]:
    return tuple(part.strip().strip("()") for part in _label(text).split(",") if part.strip())


def _truth(
    truth: _Sheet, *, new_layout: bool
) -> tuple[dict[int, set[int]], dict[tuple[int, int], float], dict[int, set[tuple[str, str]]]]:
    lesions: dict[int, set[int]] = {}
    weights: dict[tuple[int, int], float] = {}
    allowed: dict[int, set[tuple[str, str]]] = {}
    seen: dict[tuple[int, int, str, str], int] = {}
    first_row: dict[int, int] = {}
    readings: dict[tuple[int, int], set[tuple[str, str]]] = {}
    for row, cells in truth.rows:
        case = truth.whole(row, "CaseID", cells[0])
        lesion = truth.whole(row, "LesionID", cells[1])
        weight = truth.number(row, "Weight", cells[2])
        readers = _names(cells[3]) if new_layout else ("",)
        modalities = _names(cells[4]) if new_layout else ("",)
        for reader in readers:
            for modality in modalities:
                before = seen.setdefault((case, lesion, reader, modality), row)
                if before != row:
                    raise truth.fail(
                        row, "CaseID",
                        f"expected case {case}, lesion {lesion} once, found again (first in row {before}); remove one.",
                    )  # fmt: skip
                readings.setdefault((case, lesion), set()).add((reader, modality))
                if new_layout:
                    allowed.setdefault(case, set()).add((reader, modality))
        if weights.setdefault((case, lesion), weight) != weight:
            raise truth.fail(row, "Weight", f"expected {weights[case, lesion]:g} as above, found {weight:g}.")
        lesions.setdefault(case, set()).add(lesion)
        first_row.setdefault(case, row)
    for case, own in lesions.items():
        _check_case(truth, case, own, weights, first_row[case])
    for (case, lesion), pairs in readings.items():
        if new_layout and pairs != allowed[case]:
            row = next(r for key, r in seen.items() if key[:2] == (case, lesion))
            raise truth.fail(
                row, "ModalityID",
                f"expected the readers and modalities of the other rows of case {case}, found others; make them equal.",
            )  # fmt: skip
    return lesions, weights, allowed


def _check_case(
    truth: _Sheet, case: int, own: set[int], weights: Mapping[tuple[int, int], float], row: int
) -> None:
    if 0 in own and len(own) > 1:
        raise truth.fail(
            row, "LesionID", f"expected case {case} with lesions or without, found both; correct it."
        )
    total = sum(weights[case, lesion] for lesion in own)
    if 0 not in own and total and abs(total - 1.0) > WEIGHT_SLACK:
        raise truth.fail(
            row, "Weight", f"expected weights of case {case} that sum to 1 (or are all 0), found {total:g}; correct them."
        )  # fmt: skip


def _marks(
    sheet: _Sheet, lesions: Mapping[int, set[int]], allowed: Mapping[int, set[tuple[str, str]]]
) -> Iterator[Mark]:
    is_tp = sheet.name == "TP"
    seen: dict[tuple[str, str, int, int], int] = {}
    for row, cells in sheet.rows:
        reader, modality = _label(cells[0]), _label(cells[1])
        case = sheet.whole(row, "CaseID", cells[2])
        if case not in lesions:
            raise sheet.fail(
                row, "CaseID", f"expected a case of the TRUTH sheet, found {case}; correct one sheet."
            )
        lesion = 0
        if is_tp:
            lesion = sheet.whole(row, "LesionID", cells[3])
            if lesion not in lesions[case] or lesion == 0:
                raise sheet.fail(
                    row, "LesionID",
                    f"expected a lesion of case {case} in the TRUTH sheet, found {lesion}; correct one sheet.",
                )  # fmt: skip
            before = seen.setdefault((reader, modality, case, lesion), row)
            if before != row:
                raise sheet.fail(
                    row, "LesionID", f"expected one mark on lesion {lesion} of case {case}, found another in row {before}."
                )  # fmt: skip
        if allowed and (reader, modality) not in allowed[case]:
            raise sheet.fail(
                row, "ReaderID",
                f"expected a reader and modality of case {case} in the TRUTH sheet, found {reader} and {modality}.",
            )  # fmt: skip
        rating = sheet.number(row, sheet.columns[-1], cells[len(sheet.columns) - 1])
        yield Mark(
            reader=reader, modality=modality, case_id=str(case), lesion_id=str(lesion) if lesion else "", rating=rating
        )  # fmt: skip


def _check_roc(
    file: str, lesions: Mapping[int, set[int]], reads: frozenset[tuple[str, str, str]], marks: Sequence[Mark]
) -> None:
    count: dict[tuple[str, str, str], int] = dict.fromkeys(reads, 0)
    for mark in marks:
        count[mark.reader, mark.modality, mark.case_id] += 1
    for (reader, modality, case), number in sorted(count.items()):
        if number != 1:
            sheet = "TP" if 0 not in lesions[int(case)] else "FP"
            raise ExchangeError(
                f"{file}, sheet {sheet}: reader {reader}, modality {modality}, case {case}: expected one rating (ROC),"
                f" found {number}; correct the sheet."
            )
