"""The text formats: iMRMC (.imrmc, .csv), long CSV of MRMCaov and OR-DBM, and OR-DBM's .lrc."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from reader_study.exchange.observer_data import ExchangeError, ObserverData, Paradigm, roc_data

_COUNT = re.compile(r"^\s*(N0|N1|NR|NM)\s*:\s*(\d+)\s*,*\s*$")
_LEGACY_TRUTH = frozenset({"truth", "-1"})
LONG_COLUMNS = {
    "reader": ("reader", "readerid", "reader_id"),
    "modality": ("treatment", "test", "modality", "modalityid", "modality_id"),
    "case": ("case", "caseid", "case_id"),
    "truth": ("truth", "truthid", "status"),
    "rating": ("rating", "score", "probability"),
}
MAX_BYTES = 32 * 2**20
MAX_READINGS = 1 << 20  # as many rows as a sheet has


def read_text(path: Path) -> str:
    """Return a text file; ExchangeError when it is missing, far too large, or no text."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ExchangeError(
                f"{path.name}: expected at most {MAX_BYTES // 2**20} MB, found more; split it."
            )
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ExchangeError(
            f"{path.name}: could not be read ({error.strerror}); check path and rights."
        ) from error
    except UnicodeDecodeError as error:
        raise ExchangeError(
            f"{path.name}: expected text (UTF-8), found other bytes at {error.start}; save it as CSV UTF-8."
        ) from error


class Rows:
    """Collects (reader, modality, case, rating) and truth, and refuses repetitions and gaps by line."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.truth: dict[str, bool] = {}
        self.found: dict[tuple[str, str, str], float] = {}
        self._line_of: dict[tuple[str, str, str], int] = {}

    def fail(self, line: int, what: str) -> ExchangeError:
        return ExchangeError(f"{self.name}, line {line}: {what}")

    def number(self, line: int, column: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.fail(line, f"column {column}: expected a number, found {text!r}; correct the cell.")
        return value

    def set_truth(self, line: int, case: str, value: float) -> None:
        if value not in {0.0, 1.0}:
            raise self.fail(
                line, f"truth of case {case}: expected 0 or 1, found {value:g}; correct the cell."
            )
        if self.truth.setdefault(case, value == 1.0) != (value == 1.0):
            raise self.fail(line, f"truth of case {case}: expected one truth, found both; correct one row.")

    def add(self, line: int, reader: str, modality: str, case: str, rating: float) -> None:
        key = (reader, modality, case)
        if not all(key):
            raise self.fail(line, "expected reader, modality and case, found an empty one; fill the cell.")
        if len(self.found) >= MAX_READINGS:
            raise self.fail(line, f"expected at most {MAX_READINGS} readings, found more; split the file.")
        if key in self.found:
            raise self.fail(
                line,
                f"reader {reader}, modality {modality}, case {case}: expected once, found again"
                f" (first in line {self._line_of[key]}); remove one row.",
            )
        self.found[key], self._line_of[key] = rating, line

    def data(self) -> ObserverData:
        if not self.found:
            raise ExchangeError(f"{self.name}: expected at least one reading, found none; check the file.")
        for key, line in self._line_of.items():
            if key[2] not in self.truth:
                raise self.fail(line, f"case {key[2]}: expected its truth in the file, found none; add it.")
        unread = sorted(set(self.truth) - {case for _, _, case in self.found})
        if unread:
            raise ExchangeError(
                f"{self.name}: case {unread[0]} has a truth but no reading; remove the row or add readings."
            )
        return roc_data(
            ((r, m, c, self.truth[c], rating) for (r, m, c), rating in self.found.items()), title=self.name
        )


# ------------------------------------------------------------------------------------------------ iMRMC


def read_imrmc(path: Path) -> ObserverData:
    """Read an iMRMC file: front matter, BEGIN DATA:, then readerID,caseID,modalityID,score; or a CSV with that header.

    Truth rows are those of reader ``truth`` (legacy ``-1``). Counts in the front matter are checked when present.
    """
    lines = read_text(path).splitlines()
    rows = Rows(path.name)
    start = next(
        (k for k, line in enumerate(lines) if line.strip().strip(",").upper() == "BEGIN DATA:"), None
    )
    counts: dict[str, int] = {}
    if start is None:
        head = [cell.strip().lower() for cell in lines[0].split(",")] if lines else []
        if head != ["readerid", "caseid", "modalityid", "score"]:
            raise ExchangeError(
                f"{path.name}: expected a line 'BEGIN DATA:', found none; it is no iMRMC file or is cut off."
            )
        start = 0
    else:
        for line in lines[:start]:
            if match := _COUNT.match(line):
                counts[match[1]] = int(match[2])
    for number, line in enumerate(lines[start + 1 :], start + 2):
        if line.strip().strip(","):
            _imrmc_row(rows, number, _cells(rows, number, line))
    data = rows.data()
    _check_counts(rows, data, counts)
    return data


def _cells(rows: Rows, number: int, line: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line]))]
    except csv.Error as error:  # a cell of more than 131 072 characters
        raise rows.fail(number, f"expected CSV, found an error ({error}); correct the line.") from error


def _imrmc_row(rows: Rows, line: int, cells: list[str]) -> None:
    while len(cells) > 4 and not cells[-1]:
        cells.pop()
    if len(cells) != 4:
        raise rows.fail(
            line, f"expected 4 fields (reader, case, modality, score), found {len(cells)}; correct the row."
        )
    reader, case, modality, score = cells
    value = rows.number(line, "score", score)
    if reader.lower() in _LEGACY_TRUTH:
        rows.set_truth(line, case, value)
    else:
        rows.add(line, reader, modality, case, value)


def _check_counts(rows: Rows, data: ObserverData, counts: Mapping[str, int]) -> None:
    diseased = sum(bool(case.lesions) for case in data.cases)
    found = {
        "N0": len(data.cases) - diseased,
        "N1": diseased,
        "NR": len(data.readers),
        "NM": len(data.modalities),
    }
    for name, declared in counts.items():
        if declared != found[name]:
            raise ExchangeError(
                f"{rows.name}: its front matter says {name}:{declared}, its rows hold {found[name]};"
                " the file is incomplete or was edited."
            )


def write_imrmc(data: ObserverData, path: Path, *, title: str = "") -> Path:
    """Write an iMRMC file that RJafroc reads too: whole-number case ids and all four counts.

    Returns
    -------
    Path of the key table beside it, which says what each number was called.
    """
    _needs(data, Paradigm.ROC, "iMRMC")
    numbers = {case.case_id: k for k, case in enumerate(data.cases, 1)}
    diseased = sum(bool(case.lesions) for case in data.cases)
    lines = [
        title or data.title or "Negatoscope export",
        f"N0:{len(data.cases) - diseased}",
        f"N1:{diseased}",
    ]
    lines += [f"NR:{len(data.readers)}", f"NM:{len(data.modalities)}", "BEGIN DATA:"]
    lines += [f"truth,{numbers[case.case_id]},truth,{int(bool(case.lesions))}" for case in data.cases]
    for mark in data.marks:
        lines.append(
            f"{_plain(mark.reader)},{numbers[mark.case_id]},{_plain(mark.modality)},{_number(mark.rating)}"
        )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    key = path.with_suffix(path.suffix + ".key.csv")
    with key.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("number", "case_id"))
        writer.writerows((number, case) for case, number in numbers.items())
    return key


def with_case_names(data: ObserverData, key_table: Path) -> ObserverData:
    """Give cases back the names they had before ``write_imrmc`` numbered them."""
    names = {row["number"]: row["case_id"] for row in csv.DictReader(io.StringIO(read_text(key_table)))}
    unknown = sorted(case.case_id for case in data.cases if case.case_id not in names)
    if unknown:
        raise ExchangeError(
            f"{key_table.name}: expected number {unknown[0]}, found none; take the table written beside the file."
        )
    truth = {case.case_id: bool(case.lesions) for case in data.cases}
    return roc_data(
        ((m.reader, m.modality, names[m.case_id], truth[m.case_id], m.rating) for m in data.marks),
        title=data.title,
    )


# ------------------------------------------------------------------------------------------------ long CSV


def read_long_csv(path: Path, *, columns: Mapping[str, str] | None = None) -> ObserverData:
    """Read one row a reading with columns reader, treatment (or test, modality), case, truth, rating.

    Parameters
    ----------
    columns
        own names: {"reader": "radiologist", ...}; others are found by their usual names.
    """
    reader = csv.DictReader(io.StringIO(read_text(path)))
    rows = Rows(path.name)
    try:
        names = {name.strip().lower(): name for name in reader.fieldnames or ()}
    except csv.Error as error:
        raise rows.fail(1, f"expected CSV, found an error ({error}); correct the line.") from error
    where: dict[str, str] = {}
    for column, usual in LONG_COLUMNS.items():
        asked = ((columns or {}).get(column, "").lower(),) if column in (columns or {}) else usual
        hit = next((names[name] for name in asked if name in names), None)
        if hit is None:
            raise ExchangeError(
                f"{path.name}, line 1: expected a column {' or '.join(asked)}, found {', '.join(names) or 'nothing'};"
                " name the columns."
            )
        where[column] = hit
    for row in _sound(rows, reader):
        line = reader.line_num
        if None in row or None in row.values():
            raise rows.fail(line, f"expected {len(names)} cells, found another number; correct the row.")
        cell = {column: row[name].strip() for column, name in where.items()}
        rows.set_truth(line, cell["case"], rows.number(line, where["truth"], cell["truth"]))
        rows.add(line, cell["reader"], cell["modality"], cell["case"], rows.number(line, where["rating"], cell["rating"]))  # fmt: skip
    return rows.data()


def _sound(rows: Rows, reader: csv.DictReader[str]) -> Iterator[dict[str, str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise rows.fail(
            reader.line_num, f"expected CSV, found an error ({error}); correct the line."
        ) from error


def write_long_csv(data: ObserverData, path: Path, *, modality_name: str = "treatment") -> None:
    """Write the long CSV that MRMCaov, OR-DBM and RJafroc read."""
    _needs(data, Paradigm.ROC, "A long CSV")
    truth = {case.case_id: int(bool(case.lesions)) for case in data.cases}
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("reader", modality_name, "case", "truth", "rating"))
        for m in data.marks:
            writer.writerow((m.reader, m.modality, m.case_id, truth[m.case_id], _number(m.rating)))


# ------------------------------------------------------------------------------------------------ lrc


def read_lrc(path: Path) -> ObserverData:
    """Read OR-DBM's .lrc: a title; per reader a label, negatives, *, positives, *; a last #.

    Modality labels and their directions (L: large is positive, S: small) stand under the first reader's label and may
    stand under every other.
    """
    lines = [(k, line.rstrip()) for k, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]
    content = _Lines(lines, Rows(path.name))
    title = content.take("a title line")[1]
    layout: tuple[list[str], list[float]] = ([], [])
    while True:
        number, label = content.take("a reader's label or #")
        if label.strip() == "#":
            break
        if content.peek().lstrip().startswith('"') or not layout[0]:
            layout = _lrc_layout(content)
        _lrc_reader(content, number, label.strip(), *layout)
    data = content.rows.data()
    return ObserverData(
        paradigm=data.paradigm, cases=data.cases, reads=data.reads, marks=data.marks, crossing=data.crossing, title=title
    )  # fmt: skip


class _Lines:
    """The lines of a file that hold something, one after the other."""

    def __init__(self, lines: list[tuple[int, str]], rows: Rows) -> None:
        self.rows = rows
        self._lines, self._at = lines, 0

    def peek(self) -> str:
        return self._lines[self._at][1] if self._at < len(self._lines) else ""

    def take(self, wanted: str) -> tuple[int, str]:
        if self._at >= len(self._lines):
            raise ExchangeError(
                f"{self.rows.name}: expected {wanted}, found the end of the file; it is cut off."
            )
        self._at += 1
        return self._lines[self._at - 1]


def _lrc_layout(content: _Lines) -> tuple[list[str], list[float]]:
    line, labels = content.take("the modality labels")
    modalities = re.findall(r'"([^"]*)"', labels) or labels.split()
    line, directions = content.take("L or S for each modality")
    marks = directions.upper().split()
    if not modalities or len(marks) != len(modalities) or set(marks) - {"L", "S", "LARGE", "SMALL"}:
        raise content.rows.fail(
            line, f"expected {len(modalities)} of L or S, found {directions.strip()!r}; correct the line."
        )
    return modalities, [1.0 if mark.startswith("L") else -1.0 for mark in marks]


def _lrc_reader(content: _Lines, number: int, reader: str, modalities: list[str], signs: list[float]) -> None:
    rows = content.rows
    for truth in (0.0, 1.0):
        while True:
            line, text = content.take(f"ratings of reader {reader} or *")
            if text.strip() == "*":
                break
            cells = text.split(None, len(modalities))
            if len(cells) < len(modalities):
                raise rows.fail(
                    line, f"expected {len(modalities)} ratings, found {len(cells)}; correct the row."
                )
            case = (
                cells[len(modalities)].strip()
                if len(cells) > len(modalities)
                else f"{truth:.0f}-{line - number}"
            )
            rows.set_truth(line, case, truth)
            for modality, sign, cell in zip(modalities, signs, cells, strict=False):
                rows.add(line, reader, modality, case, sign * rows.number(line, modality, cell))


def write_lrc(data: ObserverData, path: Path, *, title: str = "") -> None:
    """Write OR-DBM's .lrc; ExchangeError unless every reader read every case under every modality."""
    _needs(data, Paradigm.ROC, "An lrc file")
    if len(data.reads) != len(data.readers) * len(data.modalities) * len(data.cases):
        raise ExchangeError(
            "An lrc file needs every reader to read every case under every modality; write iMRMC instead."
        )
    rating = {(m.reader, m.modality, m.case_id): m.rating for m in data.marks}
    lines = [title or data.title or "Negatoscope export"]
    for reader in data.readers:
        lines.append(reader)
        if reader == data.readers[0]:
            labels = "   ".join(f'"{modality}"' for modality in data.modalities)
            lines += [f"   {labels}", "   " + "   ".join("L" for _ in data.modalities)]
        for diseased in (False, True):
            for case in data.cases:
                if bool(case.lesions) == diseased:
                    values = "   ".join(_number(rating[reader, m, case.case_id]) for m in data.modalities)
                    lines.append(f"   {values}   {case.case_id}")
            lines.append("*")
    path.write_text("\n".join([*lines, "#"]) + "\n", encoding="utf-8")


def _needs(data: ObserverData, paradigm: Paradigm, what: str) -> None:
    if data.paradigm is not paradigm:
        raise ExchangeError(
            f"{what} holds {paradigm.value} ratings, found {data.paradigm.value} data; write the RJafroc workbook."
        )


def _plain(name: str) -> str:
    return re.sub(r"[,\r\n]", " ", name)


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
