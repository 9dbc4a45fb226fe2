"""The sheets of a printed PDF: a page after page cursor, wrapped text, head and foot of every page.

Knows lengths in points and where the next line goes; what stands on the pages is ``report_pdf``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QMarginsF, QPointF, QRectF, Qt, QUuid
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontDatabase,
    QFontMetricsF,
    QGuiApplication,
    QPageLayout,
    QPageSize,
    QPainter,
    QPdfWriter,
    QPen,
    QTextLayout,
    QTextOption,
)

DPI = 1200
UNIT = DPI / 72  # device units a point
MARGIN_PT = 42.0
HEAD_PT, FOOT_PT = 8.0, 22.0  # kept free above and below
INK, QUIET, RULE = "#1b1e22", "#59616a", "#aab1b8"
FAMILIES = ("Inter", "DejaVu Sans", "Noto Sans CJK SC")
# not the day of printing: equal input gives an equal file
FIXED_DATE, FIXED_MOMENT = b"20000101000000", b"2000-01-01T00:00:00"
LEADING = 1.28


_held: list[QGuiApplication] = []  # fonts need an application as long as they are used


def application() -> None:
    """Make sure that there is one to paint with; a command without a window gets one without a display."""
    if QGuiApplication.instance() is None:
        _held.append(QGuiApplication(["negatoscope", "-platform", "offscreen"]))


def font(size_pt: float, *, bold: bool = False, italic: bool = False) -> QFont:
    """The report's typeface in device units; figures are tabular."""
    there = set(QFontDatabase.families())
    made = QFont([name for name in FAMILIES if name in there] or ["sans-serif"])
    made.setPixelSize(round(size_pt * UNIT))
    made.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    made.setBold(bold)
    made.setItalic(italic)
    return made


def text_width(text: str, face: QFont) -> float:
    """Points that a text takes on one line."""
    return QFontMetricsF(face).horizontalAdvance(text) / UNIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """A text broken into lines; ``height`` in points."""

    layout: QTextLayout = field(repr=False)
    height: float


def broken(text: str, face: QFont, width_pt: float, *, right: bool = False) -> Lines:
    """Break a text at words, or inside one that is longer than the line."""
    layout = QTextLayout(text, face)
    option = QTextOption(Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft)
    option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
    layout.setTextOption(option)
    step = face.pixelSize() * LEADING
    y = 0.0
    layout.beginLayout()
    while (line := layout.createLine()).isValid():
        line.setLineWidth(width_pt * UNIT)
        line.setPosition(QPointF(0.0, y + (step - line.height()) / 2))
        y += step
    layout.endLayout()
    return Lines(layout=layout, height=y / UNIT)


class Sheets:
    """Writes pages into memory; ``y`` is where the next thing goes, points from the top of the page.

    Parameters
    ----------
    title, foot
        title at the left of every foot, and what stands in its middle.
    total
        pages of the whole, known from a first printing; 0 = not yet.
    """

    def __init__(self, title: str, foot: str, total: int = 0) -> None:
        self.title, self.foot, self.total = title, foot, total
        self.page = 1
        self.landscape = False
        self._bytes = QByteArray()
        self._buffer = QBuffer(self._bytes)
        self._buffer.open(QIODevice.OpenModeFlag.WriteOnly)
        self._writer = QPdfWriter(self._buffer)
        self._writer.setResolution(DPI)
        self._writer.setTitle(title)
        self._writer.setCreator("Negatoscope")
        self._writer.setDocumentId(QUuid.createUuidV5(QUuid(), f"{title} {foot}".encode()))
        self._lay_out()
        self.painter = QPainter(self._writer)
        self.painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.y = self.top

    # ---- geometry

    @property
    def left(self) -> float:
        """Left edge of the text, points."""
        return MARGIN_PT

    @property
    def top(self) -> float:
        """Upper edge of the text, points."""
        return MARGIN_PT + HEAD_PT

    @property
    def width(self) -> float:
        """Width of the text on this page, points."""
        return self.width_of(landscape=self.landscape)

    @staticmethod
    def width_of(*, landscape: bool) -> float:
        """Width of the text on a page of that orientation, points."""
        size = QPageSize(QPageSize.PageSizeId.A4).sizePoints()
        return float(size.height() if landscape else size.width()) - 2 * MARGIN_PT

    @property
    def room(self) -> float:
        """Points left on this page."""
        return self._size()[1] - MARGIN_PT - FOOT_PT - self.y

    @property
    def height(self) -> float:
        """Points of text on an empty page of this orientation."""
        return self._size()[1] - 2 * MARGIN_PT - HEAD_PT - FOOT_PT

    def _size(self) -> tuple[float, float]:
        size = QPageSize(QPageSize.PageSizeId.A4).sizePoints()
        return (size.height(), size.width()) if self.landscape else (size.width(), size.height())

    def _lay_out(self) -> None:
        way = QPageLayout.Orientation.Landscape if self.landscape else QPageLayout.Orientation.Portrait
        layout = QPageLayout(QPageSize(QPageSize.PageSizeId.A4), way, QMarginsF(0, 0, 0, 0))
        layout.setMode(QPageLayout.Mode.FullPageMode)
        self._writer.setPageLayout(layout)

    # ---- pages

    def turn(self, *, landscape: bool = False) -> None:
        """Begin the next page."""
        self._draw_foot()
        self.landscape = landscape
        self._lay_out()
        self._writer.newPage()
        self.page += 1
        self.y = self.top

    def need(self, points: float) -> None:
        """Begin a page unless so much is left on this one; a page that is empty yet stays."""
        if self.room < points and self.y > self.top:
            self.turn(landscape=self.landscape)

    def upright(self) -> None:
        """Go on in portrait."""
        if self.landscape:
            self.turn()

    def _draw_foot(self) -> None:
        width, height = self._size()
        face = font(7.0)
        y = height - MARGIN_PT - 9
        self.line(y - 4, colour=RULE, thick=0.4)
        number = f"{self.page} of {self.total}" if self.total else str(self.page)
        room = width - 2 * MARGIN_PT
        self.put(broken(number, face, room, right=True), self.left, y, QUIET)
        gap = text_width(number, face) + 12
        self.put(broken(f"{self.title}   {self.foot}", face, room - gap), self.left, y, QUIET)

    # ---- drawing

    def put(self, lines: Lines, x: float, y: float, colour: str = INK) -> None:
        """Draw broken text with its upper left corner at ``x, y``, points."""
        self.painter.setPen(QColor(colour))
        lines.layout.draw(self.painter, QPointF(x * UNIT, y * UNIT))

    def line(self, y: float, *, colour: str = INK, thick: float = 0.8, width: float | None = None) -> None:
        """A rule across the text, points."""
        self.painter.setPen(QPen(QColor(colour), thick * UNIT))
        right = self.left + (self.width if width is None else width)
        self.painter.drawLine(QPointF(self.left * UNIT, y * UNIT), QPointF(right * UNIT, y * UNIT))

    def area(self, x: float, width: float, height: float) -> QRectF:
        """Device rectangle at the cursor."""
        return QRectF(x * UNIT, self.y * UNIT, width * UNIT, height * UNIT)

    def words(
        self, text: str, face: QFont, *, colour: str = INK, before: float = 0.0, after: float = 3.0
    ) -> None:
        """A paragraph at the cursor; it goes to the next page whole."""
        lines = broken(text, face, self.width)
        self.y += before if self.y > self.top else 0.0
        self.need(lines.height)
        self.put(lines, self.left, self.y, colour)
        self.y += lines.height + after

    def finish(self) -> bytes:
        """End the last page and return the file, the day of printing taken out."""
        self._draw_foot()
        self.painter.end()
        self._buffer.close()
        return _dateless(bytes(self._bytes.data()))


def _dateless(pdf: bytes) -> bytes:
    """Put a fixed date, of the same length, for the day of printing; Qt offers no setting for it."""
    pdf = re.sub(rb"(Date \(D:)\d{14}", lambda m: m[1] + FIXED_DATE, pdf)
    return re.sub(rb'(Date=")\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^"]{1,6}(?=")', _fixed_moment, pdf)


def _fixed_moment(found: re.Match[bytes]) -> bytes:
    length = len(found[0]) - len(found[1])
    return found[1] + (FIXED_MOMENT + b"+00:00")[:length].ljust(length, b"Z")
