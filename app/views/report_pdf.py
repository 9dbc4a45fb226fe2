"""A reader study's report as a PDF: the same sections, tables and figures as the page, set for A4.

Figures are drawn as vectors, fonts are embedded, the same report gives the same bytes. What a report says is
``reader_study.report``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QByteArray, QHashSeed
from PySide6.QtGui import QColor, QImage
from PySide6.QtSvg import QSvgRenderer

from app.views.pdf_sheet import INK, QUIET, UNIT, Sheets, application, broken, font
from app.views.pdf_table import print_table
from reader_study.errors import StudyError
from reader_study.report.page import Absent, Figure, Link, Picture, Report, Section, Table, shown

TITLE_PT, SECTION_PT, PART_PT, TEXT_PT, NOTE_PT = 19.0, 14.0, 10.0, 9.5, 7.0
SVG_UNITS_PT = 1.0  # the figures are drawn in points
AFTER_PART = 8.0
PICTURE_PT = 250.0  # height of a picture of a case


def write_pdf(report: Report, path: Path) -> Path:
    """Write the report; a program without a window may call it too.

    Raises
    ------
    StudyError
        The file cannot be written.
    """
    content = to_pdf(report)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise StudyError(f"{path}: could not be written ({error.strerror}); choose another place.") from error
    return path


def to_pdf(report: Report) -> bytes:
    """Print twice: the first time tells the number of pages and where each section begins."""
    application()
    QHashSeed.setDeterministicGlobalSeed()  # Qt names embedded fonts by a hash that differs in every process
    try:
        return _printed(report)
    finally:
        QHashSeed.resetRandomGlobalSeed()


def _printed(report: Report) -> bytes:
    foot = _data_hash(report)
    draft = Sheets(report.title, foot, 999)
    pages = _print(draft, report, {section.title: 99 for section in report.sections})
    draft.finish()
    final = Sheets(report.title, foot, draft.page)
    _print(final, report, pages)
    return final.finish()


def _data_hash(report: Report) -> str:
    for section in report.sections:
        for part in section.parts:
            if isinstance(part, Table) and (found := re.search(r"data SHA-256 (\w+)", part.note)):
                return f"data SHA-256 {found[1]}"
    return ""


def _print(sheets: Sheets, report: Report, pages: Mapping[str, int]) -> dict[str, int]:
    """Print everything; returns the page on which each section begins."""
    sheets.words(report.title, font(TITLE_PT, bold=True), after=2)
    sheets.words(report.subtitle, font(TEXT_PT), colour=QUIET, after=8)
    _warning(sheets, report.warning)
    sheets.words("Contents", font(PART_PT, bold=True), before=10)
    for section in report.sections:
        _content_line(sheets, section.title, pages[section.title])
    begins: dict[str, int] = {}
    for section in report.sections:
        sheets.upright()
        sheets.y += 18
        sheets.need(120)
        begins[section.title] = sheets.page
        sheets.words(section.title, font(SECTION_PT, bold=True), after=1)
        sheets.line(sheets.y, thick=0.5)
        sheets.y += 6
        _section(sheets, section, pages)
    return begins


def _warning(sheets: Sheets, text: str) -> None:
    lines = broken(text, font(8.5), sheets.width - 20)
    sheets.painter.fillRect(sheets.area(sheets.left, sheets.width, lines.height + 12), QColor("#fff6e0"))
    sheets.painter.fillRect(sheets.area(sheets.left, 3, lines.height + 12), QColor("#e8b04a"))
    sheets.put(lines, sheets.left + 12, sheets.y + 6)
    sheets.y += lines.height + 18


def _content_line(sheets: Sheets, title: str, page: int) -> None:
    face = font(TEXT_PT)
    number = broken(str(page), face, 240, right=True)
    sheets.need(number.height)
    sheets.put(broken(title, face, 220), sheets.left, sheets.y)
    sheets.put(number, sheets.left, sheets.y)
    sheets.y += number.height


def _section(sheets: Sheets, section: Section, pages: Mapping[str, int]) -> None:
    for sentence in section.words:
        sheets.words(sentence, font(TEXT_PT), after=4)
    for part in section.parts:
        if not (isinstance(part, Table) and sheets.landscape):
            sheets.upright()
        match part:
            case Absent():
                _title(sheets, part.title, 14)
                sheets.words(f"Not given: {part.why}", font(TEXT_PT, italic=True), colour=QUIET)
            case Table():
                _table(sheets, part, pages)
            case Figure():
                _figure(sheets, part)
            case Picture():
                _picture(sheets, part)
        sheets.y += AFTER_PART


def _title(sheets: Sheets, text: str, with_it: float) -> None:
    """A heading with at least ``with_it`` points of what it heads."""
    if sheets.y > sheets.top:
        sheets.y += 4
    sheets.need(min(20 + with_it, sheets.height))
    sheets.words(text, font(PART_PT, bold=True), after=3)


def _note(sheets: Sheets, text: str) -> None:
    if text:
        sheets.words(text, font(NOTE_PT), colour=QUIET, before=1)


def _table(sheets: Sheets, table: Table, pages: Mapping[str, int]) -> None:
    rows = table.rows if table.on_page is None else table.rows[: table.on_page]
    note = table.note
    if len(rows) < len(table.rows):
        note = f"{len(rows)} of {len(table.rows)} rows; all are in {table.name}.csv. {note}"
    cells = [
        [
            f"{cell.text}, p. {pages[cell.section]}"
            if isinstance(cell, Link) and cell.section in pages
            else shown(cell, head, table.decimals)
            for cell, head in zip(row, table.head, strict=True)
        ]
        for row in rows
    ]
    keep = broken(note, font(NOTE_PT), sheets.width).height + 6 if note else 0.0
    print_table(sheets, table, cells, lambda with_it: _title(sheets, table.title, with_it), keep)
    _note(sheets, note)


def _figure(sheets: Sheets, figure: Figure) -> None:
    renderer = QSvgRenderer(QByteArray(figure.svg.encode()))
    size = renderer.viewBoxF().size()
    scale = min(SVG_UNITS_PT, sheets.width / size.width(), (sheets.height - 60) / size.height())
    width, height = size.width() * scale, size.height() * scale
    _title(sheets, figure.title, height + 20)
    sheets.painter.save()
    sheets.painter.setPen(QColor(INK))
    renderer.render(sheets.painter, sheets.area(sheets.left, width, height))
    sheets.painter.restore()
    sheets.y += height + 3
    _note(sheets, figure.note)


def _picture(sheets: Sheets, picture: Picture) -> None:
    image = QImage.fromData(picture.content)
    if image.isNull():
        return
    scale = min(sheets.width / image.width(), PICTURE_PT / image.height(), UNIT)
    width, height = image.width() * scale, image.height() * scale
    _title(sheets, picture.title, height + 20)
    sheets.painter.drawImage(sheets.area(sheets.left, width, height), image)
    sheets.y += height + 3
    _note(sheets, picture.note)
