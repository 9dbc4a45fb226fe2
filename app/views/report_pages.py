"""A report's sections as dark pages: tables as rich text, figures redrawn in the colours of a dark room.

Only how a preview looks; what is saved is the report's own page for print.
"""

from __future__ import annotations

import base64
import html
import re

from PySide6.QtCore import QByteArray, QSize, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

from app.views import theme
from reader_study.report.page import Absent, Figure, Part, Picture, Section, is_words, shown

FIGURE_SCALE = 1.5  # points of the figure to pixels of the screen
ROWS = 60  # of a table in the preview
_DARK = (
    (r"#ffffff\b", theme.CHROME_FIELD),
    (r"#000000\b", theme.TEXT),
    (r"#1b1e22\b", theme.TEXT),
    (r"#0072b2\b", "#56B4E9"),
    (r"#a00000\b", theme.ERROR),
    (r"#9aa2aa\b", "#5A6067"),
    (r"#b9c0c7\b", "#5A6067"),
)


def figure_image(figure: Figure, ratio: float = 1.0, scale: float = 1.0) -> QImage:
    """The figure on the dark field of the screen, device pixel ratio ``ratio``, text scale ``scale``."""
    svg = figure.svg
    for pattern, colour in _DARK:
        svg = re.sub(pattern, colour, svg, flags=re.IGNORECASE)
    svg = svg.replace("<svg ", f'<svg fill="{theme.TEXT}" ', 1)  # text without a colour of its own
    renderer = QSvgRenderer(QByteArray(svg.encode()))
    size = renderer.defaultSize() * (FIGURE_SCALE * scale)
    image = QImage(
        QSize(round(size.width() * ratio), round(size.height() * ratio)), QImage.Format.Format_RGB32
    )
    image.fill(Qt.GlobalColor.black)
    painter = QPainter(image)
    renderer.render(painter)
    painter.end()
    image.setDevicePixelRatio(ratio)
    return image


def section_html(section: Section) -> str:
    """One section as rich text; figures are images named ``figure:NAME``."""
    e = html.escape
    body = [f"<h2 style='color:{theme.TEXT}'>{e(section.title)}</h2>"]
    body += [f"<p>{e(words)}</p>" for words in section.words]
    body += [_part(part) for part in section.parts]
    return f"<div style='color:{theme.TEXT}'>{''.join(body)}</div>"


def _part(part: Part) -> str:
    e = html.escape
    quiet = f"color:{theme.TEXT_SECONDARY}"
    title = f"<h3 style='color:{theme.ACCENT}'>{e(part.title)}</h3>"
    if isinstance(part, Absent):
        return f"{title}<p style='{quiet}'>{e(part.why)}</p>"
    if isinstance(part, Picture):
        data = base64.b64encode(part.content).decode("ascii")
        return f"{title}<p><img src='data:image/jpeg;base64,{data}'></p><p style='{quiet}'>{e(part.note)}</p>"
    note = f"<p style='{quiet}; font-size:small'>{e(part.note)}</p>" if part.note else ""
    if isinstance(part, Figure):
        return f"{title}<p><img src='figure:{e(part.name)}'></p>{note}"
    rows = part.rows[:ROWS]
    if len(rows) < len(part.rows):
        note = f"<p style='{quiet}'>{len(rows)} / {len(part.rows)} …</p>" + note
    side = ["left" if k == 0 or is_words(part, k) else "right" for k in range(len(part.head))]
    head = "".join(f"<th align='{side[k]}' style='{quiet}'>{e(cell)}</th>" for k, cell in enumerate(part.head))  # fmt: skip
    lines = "".join("<tr>" + "".join(f"<td align='{side[k]}'>{e(shown(c, part.head[k], part.decimals))}</td>" for k, c in enumerate(row)) + "</tr>" for row in rows)  # fmt: skip
    style = f"border-collapse:collapse; border-style:solid; border-width:1px; border-color:{theme.HAIRLINE}"
    return f"{title}<table cellspacing='0' cellpadding='5' border='1' style='{style}'><thead><tr>{head}</tr></thead>{lines}</table>{note}"
