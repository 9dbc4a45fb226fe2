"""The parts of a report: sections of tables, figures and sentences, and their HTML, CSV and SVG files."""

from __future__ import annotations

import base64
import csv
import html
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Link:
    """A cell that leads to a section of the page; in a CSV it is its text."""

    text: str
    section: str

    def __str__(self) -> str:
        return self.text


Cell = str | int | float | Link | None

LONG_CELL = 36  # characters from which a column holds words and may break lines

STYLE = """
body{font:15px/1.45 Inter,"Noto Sans CJK SC",system-ui,sans-serif;color:#1b1e22;max-width:1120px;margin:40px auto;padding:0 24px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:38px 0 8px;border-bottom:1px solid #ccd1d6;padding-bottom:4px}
h3{font-size:15px;margin:22px 0 4px}table{border-collapse:collapse;margin:6px 0 4px;font-variant-numeric:tabular-nums}
th,td{padding:3px 12px 3px 0;text-align:right;white-space:nowrap}th:first-child,td:first-child{text-align:left}
thead th{border-top:1.5px solid #1b1e22;border-bottom:1px solid #1b1e22;font-weight:600}
tbody tr:last-child td{border-bottom:1.5px solid #1b1e22}.note{color:#59616a;font-size:12.5px;margin:2px 0 14px;overflow-wrap:anywhere}
.warn{background:#fff6e0;border-left:4px solid #e8b04a;padding:8px 12px}.absent{color:#59616a;font-style:italic}
.wide{overflow-x:auto}td.words,th.words{white-space:normal;text-align:left;min-width:220px}td.left,th.left{text-align:left}td a{color:#315b8c}
figure{margin:10px 0}figure img,figure svg{max-width:100%;height:auto}nav a{margin-right:14px;color:#315b8c}
@media print{body{margin:0;padding:0;max-width:none;font-size:10.5pt}h2,h3{break-after:avoid}tr,figure{break-inside:avoid}thead{display:table-header-group}
nav{display:none}th,td{padding-right:9px;font-size:8.5pt;white-space:normal}.note{font-size:7.5pt}.wide{overflow:visible}@page{size:A4;margin:16mm 14mm}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under a head; ``note`` stands below and says how it was made."""

    name: str  # file name of its CSV, without ending
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    decimals: int = 4  # of plain numbers on the page; the CSV has all
    on_page: int | None = None  # rows that the page shows, the rest is in the CSV; None = all


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One SVG picture."""

    name: str
    title: str
    svg: str = field(repr=False)
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture in dots (JPEG), such as a case with its lesion and marks."""

    name: str  # file name, without ending
    title: str
    content: bytes = field(repr=False)
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """Something that a reader expects here and why it is not given."""

    title: str
    why: str


Part = Table | Figure | Picture | Absent


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading, sentences, and parts in order."""

    title: str
    words: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole report."""

    title: str
    subtitle: str
    warning: str
    sections: tuple[Section, ...]


def shown(value: Cell, head: str = "", decimals: int = 4) -> str:
    """A cell as the page prints it: never 0 for what is not, four decimals, an en dash for nothing.

    Degrees of freedom and per cent (told by ``head``) have two decimals at most.
    """
    if value is None:
        return "–"
    if isinstance(value, float):
        if math.isnan(value):
            return "–"
        if math.isinf(value):
            return "∞" if value > 0 else "−∞"
        if head.startswith(("df", "%")):
            return f"{value:.2f}".rstrip("0").rstrip(".")
        if value and abs(value) < 0.0001:
            return f"{value:.2e}"
        if value and abs(value) < 0.001:
            return f"{value:.3g}"
        return f"{value:.{decimals}f}" if abs(value) < 100 else f"{value:.1f}"
    return str(value)


def p_shown(p: float | None) -> str:
    """A p-value as journals print it."""
    if p is None or math.isnan(p):
        return "–"
    return "<.0001" if p < 0.0001 else f"{p:.4f}".lstrip("0")


def to_html(report: Report) -> str:
    """One self-contained page; figures are inline SVG."""
    e = html.escape
    anchors = {s.title: f"#s{k}" for k, s in enumerate(report.sections)}
    links = " ".join(f"<a href='#s{k}'>{e(s.title)}</a>" for k, s in enumerate(report.sections))
    body = [
        f"<h1>{e(report.title)}</h1><p>{e(report.subtitle)}</p><p class='warn'>{e(report.warning)}</p><nav>{links}</nav>"
    ]
    for k, section in enumerate(report.sections):
        body.append(f"<h2 id='s{k}'>{e(section.title)}</h2>")
        body += [f"<p>{e(sentence)}</p>" for sentence in section.words]
        body += [_part(part, anchors) for part in section.parts]
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{e(report.title)}</title><style>{STYLE}</style>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _part(part: Part, anchors: Mapping[str, str]) -> str:
    e = html.escape
    if isinstance(part, Absent):
        return f"<h3>{e(part.title)}</h3><p class='absent'>Not given: {e(part.why)}</p>"
    note = f"<p class='note'>{e(part.note)}</p>" if part.note else ""
    if isinstance(part, Figure):
        return f"<h3>{e(part.title)}</h3><figure>{_inline(part)}</figure>{note}"
    if isinstance(part, Picture):
        data = base64.b64encode(part.content).decode("ascii")
        return f"<h3>{e(part.title)}</h3><figure><img alt='{e(part.title)}' src='data:image/jpeg;base64,{data}'></figure>{note}"
    shown_rows = part.rows if part.on_page is None else part.rows[: part.on_page]
    if len(shown_rows) < len(part.rows):
        note = f"<p class='note'>{len(shown_rows)} of {len(part.rows)} rows; all are in {e(part.name)}.csv. {e(part.note)}</p>"
    classes = [_class(part, k) for k in range(len(part.head))]
    head = "".join(f"<th{c}>{e(cell)}</th>" for c, cell in zip(classes, part.head, strict=True))
    thead = f"<thead><tr>{head}</tr></thead>" if any(part.head) else ""
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{k}>{_cell(c, h, part.decimals, anchors)}</td>"
            for k, c, h in zip(classes, row, part.head, strict=True)
        )
        + "</tr>"
        for row in shown_rows
    )
    table = f"<table>{thead}<tbody>{rows}</tbody></table>"
    return f"<h3>{e(part.title)}</h3><div class='wide'>{table}</div>{note}"


def is_words(table: Table, column: int) -> bool:
    """True where a column holds words, which stand at the left; numbers, intervals and p stand at the right."""
    cells = [row[column] for row in table.rows]
    texts = [str(c) for c in cells if isinstance(c, str | Link)]
    plain = [t for t in texts if not re.match(r"^([-+−–<.]|\d|$)", t)]
    return len(texts) == len(cells) and 2 * len(plain) >= len(texts) > 0


def _class(table: Table, column: int) -> str:
    if not is_words(table, column):
        return ""
    wide = any(len(str(row[column])) > LONG_CELL for row in table.rows)
    return f" class='{'words' if wide else 'left'}'"


def _cell(cell: Cell, head: str, decimals: int, anchors: Mapping[str, str]) -> str:
    if isinstance(cell, Link) and cell.section in anchors:
        return f"<a href='{anchors[cell.section]}'>{html.escape(cell.text)}</a>"
    return html.escape(shown(cell, head, decimals))


def _inline(figure: Figure) -> str:
    """The SVG without its XML head, its ids made its own: several on one page must not share clip paths."""
    svg = re.sub(r"^.*?(?=<svg)", "", figure.svg, flags=re.DOTALL)
    prefix = re.sub(r"\W", "_", figure.name)
    svg = re.sub(r'id="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    return re.sub(r'xlink:href="#([^"]+)"', rf'xlink:href="#{prefix}-\1"', svg)


def write(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write report.html, one CSV a table, one SVG a figure, one JPEG a picture; returns the files, the page first."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "report.html"
    page.write_text(to_html(report), encoding="utf-8")
    files = [page]
    for section in report.sections:
        for part in section.parts:
            if isinstance(part, Table):
                files.append(_csv(part, folder / f"{part.name}.csv"))
            elif isinstance(part, Figure):
                path = folder / f"{part.name}.svg"
                path.write_text(part.svg, encoding="utf-8")
                files.append(path)
            elif isinstance(part, Picture):
                path = folder / f"{part.name}.jpg"
                path.write_bytes(part.content)
                files.append(path)
    return tuple(files)


def _csv(table: Table, path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(table.head)
        writer.writerows(["" if cell is None else cell for cell in row] for row in table.rows)
    return path
