"""Writes plain .xlsx workbooks: rows of text and numbers, no styles; several times as fast as a general library.

Follows ECMA-376 part 1 with inline strings, which Excel, LibreOffice, R and openpyxl read. Reading is ``workbook``.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO
from xml.sax.saxutils import escape, quoteattr

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
# What XML 1.0 cannot hold; a name never has these, a damaged note might.
_FORBIDDEN = {code: None for code in range(32) if code not in {9, 10, 13}}

Cell = str | int | float | bool | None


class Sheet:
    """One sheet; rows go straight to a temporary file."""

    def __init__(self, name: str) -> None:
        self.name, self._rows = name, 0
        self._file: IO[bytes] = TemporaryFile()  # noqa: SIM115
        self._file.write(f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetData>'.encode())

    def append(self, row: Iterable[Cell]) -> None:
        """Add one row; None leaves a cell empty."""
        self._rows += 1
        number = self._rows
        cells = [_cell(f"{_letters(k)}{number}", v) for k, v in enumerate(row) if v is not None]
        self._file.write(f'<row r="{number}">{"".join(cells)}</row>'.encode())

    def content(self) -> IO[bytes]:
        """Return the finished sheet as a file at its beginning."""
        self._file.write(b"</sheetData></worksheet>")
        self._file.seek(0)
        return self._file


class SheetBook:
    """A workbook being written; as openpyxl's write-only one."""

    def __init__(self) -> None:
        self._sheets: list[Sheet] = []

    def create_sheet(self, name: str) -> Sheet:
        """Add a sheet; at most 31 characters, none of ``[]:*?/\\``."""
        self._sheets.append(Sheet(name))
        return self._sheets[-1]

    def save(self, path: Path) -> None:
        """Write the file; an OSError leaves none behind."""
        part = path.with_name(path.name + ".part")
        try:
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book:
                for name, text in self._parts():
                    book.writestr(_named(name), text)
                for number, sheet in enumerate(self._sheets, 1):
                    with (
                        sheet.content() as source,
                        book.open(_named(f"xl/worksheets/sheet{number}.xml"), "w") as goal,
                    ):
                        while block := source.read(1 << 20):
                            goal.write(block)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _parts(self) -> Iterable[tuple[str, str]]:
        numbers = range(1, len(self._sheets) + 1)
        overrides = "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_TYPE}.worksheet+xml"/>'
            for n in numbers
        )
        yield (
            "[Content_Types].xml",
            (
                f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types">'
                '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
                '<Default Extension="xml" ContentType="application/xml"/>'
                f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>{overrides}</Types>'
            ),
        )
        yield "_rels/.rels", _relations([("rId1", f"{_REL}/officeDocument", "xl/workbook.xml")])
        sheets = "".join(
            f'<sheet name={quoteattr(sheet.name)} sheetId="{n}" r:id="rId{n}"/>'
            for n, sheet in enumerate(self._sheets, 1)
        )
        yield (
            "xl/workbook.xml",
            f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_REL}"><sheets>{sheets}</sheets></workbook>',
        )
        yield (
            "xl/_rels/workbook.xml.rels",
            _relations([(f"rId{n}", f"{_REL}/worksheet", f"worksheets/sheet{n}.xml") for n in numbers]),
        )


def _named(name: str) -> zipfile.ZipInfo:
    """An entry without the time of day: the same rows give the same bytes."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _relations(rows: Iterable[tuple[str, str, str]]) -> str:
    made = "".join(f'<Relationship Id="{i}" Type="{kind}" Target="{target}"/>' for i, kind, target in rows)
    return f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">{made}</Relationships>'


@cache
def _letters(column: int) -> str:
    """Column 0 is A, 26 is AA."""
    name, number = "", column + 1
    while number:
        number, rest = divmod(number - 1, 26)
        name = chr(65 + rest) + name
    return name


def _cell(place: str, value: str | float | bool) -> str:
    if isinstance(value, bool):
        return f'<c r="{place}"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        if math.isfinite(value):
            return f'<c r="{place}"><v>{value!r}</v></c>'
        value = repr(value)
    words = escape(str(value).translate(_FORBIDDEN))
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{words}</t></is></c>'
