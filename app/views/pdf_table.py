"""A table on printed sheets: type size and orientation that let it fit, columns, head repeated on every page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtGui import QFont

from app.views.pdf_sheet import Lines, Sheets, broken, font, text_width
from reader_study.report.page import LONG_CELL, Table, is_words

GAP_PT = 9.0
SIZES_PT = (8.0, 7.3, 6.6, 6.0)
LONG_WORD_PT = 60.0  # a word of a cell of words may break beyond this
NATURAL_PT = 230.0  # a column of words is given no more than this on its first line
WHOLE_ROWS = 8  # a table of no more rows is not cut
KEEP_ROWS = 3  # that stand under the head before a page ends
ROW_PAD = 1.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a table is printed: type, orientation, and groups of columns with their widths."""

    size_pt: float
    landscape: bool
    groups: tuple[tuple[tuple[int, float], ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Need:
    least: float
    natural: float


def print_table(
    sheets: Sheets, table: Table, cells: Sequence[Sequence[str]], title: Callable[[float], None], keep: float
) -> None:
    """Print the rows ``cells`` (as shown) under title and head, over as many pages as they take.

    ``title`` is told how many points belong below it; ``keep`` points of note follow the last row on its page.
    """
    plan = plan_of(table, cells, sheets.width_of(landscape=False), sheets.width_of(landscape=True))
    if plan.landscape != sheets.landscape:
        sheets.turn(landscape=plan.landscape)
    words = [_wraps(table, k, cells) for k in range(len(table.head))]
    for number, group in enumerate(plan.groups):
        if number:
            sheets.y += 8
        _print_group(sheets, table, cells, plan.size_pt, group, words, None if number else title, keep)


def plan_of(table: Table, cells: Sequence[Sequence[str]], portrait: float, landscape: float) -> Plan:
    """Choose the largest type that fits upright, else lying, else cut the columns into groups; widths in points."""
    for lying, room in ((False, portrait), (True, landscape)):
        for wrap, sizes in ((False, SIZES_PT[:-1]), (True, SIZES_PT[1:])):  # smaller type before broken lines
            for size in sizes:
                widths = _widths(table, cells, size, room, wrap=wrap)
                if widths is not None:
                    return Plan(size_pt=size, landscape=lying, groups=(tuple(enumerate(widths)),))
    needs = _needs(table, cells, SIZES_PT[-1])
    groups: list[list[tuple[int, float]]] = [[(0, needs[0].least)]]
    for k, need in enumerate(needs[1:], 1):
        if sum(w + GAP_PT for _, w in groups[-1]) + need.least > landscape and len(groups[-1]) > 1:
            groups.append([(0, needs[0].least)])  # the first column names the row
        groups[-1].append((k, min(need.least, landscape / 2)))
    return Plan(size_pt=SIZES_PT[-1], landscape=True, groups=tuple(tuple(g) for g in groups))


def _wraps(table: Table, column: int, cells: Sequence[Sequence[str]]) -> bool:
    """True where a column holds words, or a sentence in some of its rows."""
    return is_words(table, column) or any(len(row[column]) > LONG_CELL for row in cells)


def _needs(table: Table, cells: Sequence[Sequence[str]], size: float) -> list[_Need]:
    face, head_face = font(size), font(size, bold=True)
    needs = []
    for k, head in enumerate(table.head):
        column = [row[k] for row in cells]
        longest = max((text_width(text, face) for text in column), default=0.0)
        head_word = max((text_width(word, head_face) for word in head.split()), default=0.0)
        least = longest
        if _wraps(table, k, cells):
            least = max((text_width(w, face) for text in column for w in text.split()), default=0.0)
            least = min(least, LONG_WORD_PT) if k else min(max(least, longest * 0.5), 120.0)
        natural = max(min(longest, NATURAL_PT), min(text_width(head, head_face), 90.0))
        needs.append(_Need(least=max(least, head_word) + 0.5, natural=max(natural, least, head_word) + 0.5))
    return needs


def _widths(
    table: Table, cells: Sequence[Sequence[str]], size: float, room: float, *, wrap: bool
) -> list[float] | None:
    """Widths that fill at most ``room``; None where even the least (``wrap``), or the natural ones, do not fit."""
    needs = _needs(table, cells, size)
    free = room - GAP_PT * (len(needs) - 1) - sum(n.least for n in needs)
    wanted = sum(n.natural - n.least for n in needs)
    if free < (0 if wrap else wanted):
        return None
    if wanted <= free:
        spare = free - wanted
        long = [k for k, n in enumerate(needs) if _wraps(table, k, cells) and n.natural >= NATURAL_PT]
        return [n.natural + (spare / len(long) if k in long else 0.0) for k, n in enumerate(needs)]
    return [n.least + free * (n.natural - n.least) / wanted for n in needs]


def _print_group(
    sheets: Sheets, table: Table, cells: Sequence[Sequence[str]], size: float, group: tuple[tuple[int, float], ...],
    words: Sequence[bool], title: Callable[[float], None] | None, keep: float,
) -> None:  # fmt: skip
    face, head_face = font(size), font(size, bold=True)
    rights = [k > 0 and not words[k] for k, _ in group]
    width = sum(w for _, w in group) + GAP_PT * (len(group) - 1)
    head = _row([table.head[k] for k, _ in group], head_face, group, rights)
    rows = [_row([row[k] for k, _ in group], face, group, rights) for row in cells]
    first = rows if len(rows) <= WHOLE_ROWS else rows[:KEEP_ROWS]
    block = _height(head) + sum(_height(row) for row in first) + 6 + (keep if len(first) == len(rows) else 0)
    if title is not None:
        title(min(block, sheets.height / 2))
    sheets.need(min(block, sheets.height / 2))
    _head(sheets, head, group, width, shown=any(table.head))
    for number, row in enumerate(rows, 1):
        if sheets.room < _height(row) + (keep + 4 if number == len(rows) else 0):
            sheets.line(sheets.y + 1, thick=0.4, width=width)
            sheets.turn(landscape=sheets.landscape)
            _head(sheets, head, group, width, shown=any(table.head))
        _draw(sheets, row, group)
    sheets.line(sheets.y + 1, width=width)
    sheets.y += 4


def _row(texts: Sequence[str], face: QFont, group: tuple[tuple[int, float], ...], rights: Sequence[bool]) -> list[Lines]:  # fmt: skip
    return [
        broken(text, face, w, right=right) for text, (_, w), right in zip(texts, group, rights, strict=True)
    ]


def _height(row: Sequence[Lines]) -> float:
    return max(lines.height for lines in row) + ROW_PAD


def _draw(sheets: Sheets, row: Sequence[Lines], group: tuple[tuple[int, float], ...], *, foot: bool = False) -> None:  # fmt: skip
    x, height = sheets.left, _height(row)
    for lines, (_, width) in zip(row, group, strict=True):
        sheets.put(lines, x, sheets.y + (height - ROW_PAD - lines.height if foot else 0.0) + ROW_PAD / 2)
        x += width + GAP_PT
    sheets.y += height


def _head(sheets: Sheets, head: Sequence[Lines], group: tuple[tuple[int, float], ...], width: float, *, shown: bool) -> None:  # fmt: skip
    sheets.line(sheets.y, width=width)
    sheets.y += 1
    if shown:
        _draw(sheets, head, group, foot=True)
        sheets.line(sheets.y, thick=0.5, width=width)
        sheets.y += 1
