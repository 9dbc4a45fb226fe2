"""Three pictures painted from plain facts: bars of the allocation, box plots of reading times, the washout calendar.

They draw and decide nothing; every one says in words what is under the pointer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from PySide6.QtCore import QCoreApplication, QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QHelpEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from app.control.allocation_preview import Share
from app.control.monitoring import BoxOfTimes
from app.views.theme import (
    ACCENT,
    CHROME_FIELD,
    CHROME_RAISED,
    HAIRLINE,
    SMALL_PX,
    TEXT,
    TEXT_SECONDARY,
    font,
    scaled,
    text_scale,
)

# Okabe and Ito's colours, dimmed for a dark room; strata of an arm are shades of its colour.
ARM_COLOURS = ("#4E93C2", "#C98B1F", "#3F9B7C", "#B0709A", "#A3573A", "#8C8C2E")
_NAME_PX, _ROW_PX, _DATE_PX, _TITLE_PX = 150, 26, 96, 60.0
_DARK = 0.38  # lightness below which words on a bar are light
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


def _tr(text: str) -> str:
    return QCoreApplication.translate("coordinator", text)


class Picture(QWidget):
    """A painted widget that knows which words belong to which place."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._places: list[tuple[QRectF, str]] = []
        self._rows = 0

    def sizeHint(self) -> QSize:
        return QSize(600, scaled(54 + max(1, self._rows) * _ROW_PX))

    @property
    def wide(self) -> float:
        """Width to draw in, px at text scale 1; the painter scales the rest."""
        return self.width() / text_scale()

    def said_at(self, x: float, y: float) -> str:
        """Return the words of the place under a point of the widget; nothing outside of places."""
        at = QPointF(x, y) / text_scale()
        return next((words for area, words in reversed(self._places) if area.contains(at)), "")

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            QToolTip.showText(event.globalPos(), self.said_at(event.x(), event.y()), self)
            return True
        return super().event(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(font(SMALL_PX))
        painter.scale(text_scale(), text_scale())
        self._places = []
        self.draw(painter)
        painter.end()

    def draw(self, painter: QPainter) -> None:
        raise NotImplementedError

    def _label(
        self, painter: QPainter, area: QRectF, words: str, *, right: bool = False, colour: str = TEXT
    ) -> None:
        painter.setPen(QColor(colour))
        shown = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, int(area.width()))
        painter.drawText(area, _RIGHT if right else _LEFT, shown)

    def _resize(self, rows: int) -> None:
        self._rows = rows
        self.setFixedHeight(self.sizeHint().height())
        self.update()


class AllocationPicture(Picture):
    """One bar a reader and session; arms by colour, strata by shade, width by cases."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bars: dict[str, dict[int, list[Share]]] = {}
        self._arms: tuple[str, ...] = ()

    def set_shares(self, shares: Sequence[Share], arms: Sequence[tuple[str, str]]) -> None:
        """Show the counts; ``arms`` are (id, title) in the protocol's order."""
        self._bars = {}
        for share in shares:
            self._bars.setdefault(share.reader_id, {}).setdefault(share.period, []).append(share)
        self._titles = dict(arms)
        self._arms = tuple(arm for arm, _ in arms)
        self._resize(len(self._bars))

    def draw(self, painter: QPainter) -> None:
        periods = sorted({period for bars in self._bars.values() for period in bars})
        if not periods:
            return
        most = {
            p: max(sum(s.cases for s in bars.get(p, [])) for bars in self._bars.values()) for p in periods
        }
        gap = 16.0
        room = self.wide - _NAME_PX - gap * len(periods)
        narrow = [p for p in periods if most[p] * room / max(1, sum(most.values())) < _TITLE_PX]
        rest = max(1, sum(most[p] for p in periods if p not in narrow))
        # A few practice cases make a bar that is narrower than its title: the title's room is theirs.
        unit = (
            min((room - _TITLE_PX * len(narrow)) / rest, *(_TITLE_PX / most[p] for p in narrow if most[p]))
            if narrow
            else room / rest
        )
        x = float(_NAME_PX)
        lefts: dict[int, float] = {}
        for period in periods:
            lefts[period] = x
            title = _tr("Practice") if period == 0 else _tr("Session {0}").format(period)
            self._label(
                painter, QRectF(x, 0, max(_TITLE_PX, most[period] * unit), 20), title, colour=TEXT_SECONDARY
            )
            x += max(_TITLE_PX, most[period] * unit) + gap
        for number, (reader, bars) in enumerate(self._bars.items()):
            y = 22.0 + number * _ROW_PX
            self._label(painter, QRectF(0, y, _NAME_PX - 10, _ROW_PX - 6), reader)
            for period, own in bars.items():
                self._bar(painter, lefts[period], y, unit, own)
        self._legend(painter, 26.0 + len(self._bars) * _ROW_PX)

    def _bar(self, painter: QPainter, x: float, y: float, unit: float, own: Sequence[Share]) -> None:
        strata = sorted({share.stratum for share in own})
        for share in own:
            width = share.cases * unit
            area = QRectF(x, y, max(1.0, width - 1.0), _ROW_PX - 6)
            colour = self.colour(share.arm_id, strata.index(share.stratum), len(strata))
            painter.fillRect(area, colour)
            if width > 26:
                ink = CHROME_FIELD if colour.lightnessF() > _DARK else TEXT
                self._label(painter, area.adjusted(5, 0, -2, 0), str(share.cases), colour=ink)
            words = _tr("{0}, session {1}: {2} cases, {3}, stratum {4}")
            stratum = share.stratum or _tr("none")
            self._places.append(
                (area, words.format(share.reader_id, share.period, share.cases, share.arm_id, stratum))
            )
            x += width

    def colour(self, arm_id: str, stratum: int, strata: int) -> QColor:
        base = QColor(ARM_COLOURS[self._arms.index(arm_id) % len(ARM_COLOURS)])
        return base.darker(100 + round(90 * stratum / max(1, strata)))

    def _legend(self, painter: QPainter, y: float) -> None:
        x = float(_NAME_PX)
        for arm in self._arms:
            words = f"{self._titles[arm]} ({arm})" if self._titles[arm] else arm
            width = painter.fontMetrics().horizontalAdvance(words) + 34.0
            painter.fillRect(QRectF(x, y + 5, 12, 12), self.colour(arm, 0, 1))
            self._label(painter, QRectF(x + 18, y, width, 22), words, colour=TEXT_SECONDARY)
            x += width
        words = _tr("Shades: strata, the lightest first")
        self._label(painter, QRectF(x + 12, y, 300, 22), words, colour=TEXT_SECONDARY)


class TimesPicture(Picture):
    """One box plot a reader, s: quartiles, median, whiskers, outliers, on one linear axis."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._boxes: dict[str, BoxOfTimes | None] = {}

    def set_boxes(self, boxes: Mapping[str, BoxOfTimes | None]) -> None:
        self._boxes = dict(boxes)
        self._resize(len(boxes))

    def draw(self, painter: QPainter) -> None:
        known = [box for box in self._boxes.values() if box is not None]
        if not known:
            self._label(
                painter, QRectF(0, 0, self.wide, 24), _tr("No case is read yet."), colour=TEXT_SECONDARY
            )
            return
        # One endless reading must not press all boxes flat: the axis ends at twice the highest whisker at most.
        top = min(max(max((*b.outliers, b.high)) for b in known), 2.0 * max(b.high for b in known)) or 1.0
        step = _step(top)
        left, room = float(_NAME_PX), self.wide - _NAME_PX - 92.0
        scale = room / top
        bottom = 4.0 + len(self._boxes) * _ROW_PX
        for tick in range(int(top / step) + 1):
            x = left + tick * step * scale
            painter.setPen(QPen(QColor(HAIRLINE), 1))
            painter.drawLine(round(x), 2, round(x), round(bottom))
            self._label(
                painter, QRectF(x - 4, bottom + 2, 60, 16), f"{tick * step:g} s", colour=TEXT_SECONDARY
            )
        for number, (name, box) in enumerate(self._boxes.items()):
            y = 4.0 + number * _ROW_PX
            self._label(painter, QRectF(0, y, _NAME_PX - 10, _ROW_PX - 6), name)
            if box is not None:
                self._box(painter, box, left, y, scale, room)
                words = _tr("{0}: median {1} s, quartiles {2} to {3} s, {4} readings").format(
                    name, f"{box.median:.1f}", f"{box.first:.1f}", f"{box.third:.1f}", box.n
                )
                self._places.append((QRectF(0, y, self.wide, _ROW_PX), words))

    def _box(
        self, painter: QPainter, box: BoxOfTimes, left: float, y: float, scale: float, room: float
    ) -> None:
        middle, height = y + 10.0, 14.0

        def at(seconds: float) -> float:
            return left + min(seconds * scale, room)

        painter.setPen(QPen(QColor(TEXT_SECONDARY), 1.2))
        painter.drawLine(round(at(box.low)), round(middle), round(at(box.high)), round(middle))
        area = QRectF(at(box.first), middle - height / 2, max(2.0, at(box.third) - at(box.first)), height)
        painter.setBrush(QColor(CHROME_RAISED))
        painter.drawRect(area)
        painter.setPen(QPen(QColor(ACCENT), 2.4))
        painter.drawLine(
            round(at(box.median)), round(area.top()), round(at(box.median)), round(area.bottom())
        )
        painter.setPen(QPen(QColor(TEXT_SECONDARY), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for value in box.outliers:
            painter.drawEllipse(QRectF(at(value) - 2.5, middle - 2.5, 5, 5))
        self._label(
            painter,
            QRectF(self.wide - 88.0, y, 88, _ROW_PX - 6),
            f"{box.median:.1f} s  n {box.n}",
            right=True,
        )


def _step(top: float) -> float:
    """A round distance of ticks that leaves at most eight of them."""
    size = 10.0 ** len(str(int(top)))
    for step in (size / 100, size / 50, size / 20, size / 10, size / 5, size / 2):
        if top / step <= 8:
            return step
    return size


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What a reader does between two days: "read" a session, or "washout" until the next may begin."""

    reader: str
    what: str
    first: date
    last: date
    words: str


class CalendarPicture(Picture):
    """One line a reader: days of reading, days of washout, and today."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._spans: tuple[Span, ...] = ()
        self._readers: tuple[str, ...] = ()
        self._today: date | None = None

    def set_spans(self, readers: Sequence[str], spans: Sequence[Span], today: date) -> None:
        self._readers, self._spans, self._today = tuple(readers), tuple(spans), today
        self._resize(len(readers))

    def draw(self, painter: QPainter) -> None:
        if not self._spans or self._today is None:
            self._label(
                painter, QRectF(0, 0, self.wide, 24), _tr("No session has begun."), colour=TEXT_SECONDARY
            )
            return
        first = min(*(span.first for span in self._spans), self._today)
        last = max(span.last for span in self._spans)
        # Long after the last reading today would press the readings into a corner: it is left out then.
        shows_today = self._today <= last + max(last - first, timedelta(days=14))
        last = max(last, self._today if shows_today else last) + timedelta(days=1)
        scale = (self.wide - _NAME_PX - 40.0) / max(1, (last - first).days)

        def at(day: date) -> float:
            return _NAME_PX + (day - first).days * scale

        bottom = 4.0 + len(self._readers) * _ROW_PX
        every = max(1, math.ceil(_DATE_PX / scale))
        for offset in range(0, (last - first).days + 1, every):
            day = first + timedelta(days=offset)
            if at(day) > self.wide - 80:
                break
            painter.setPen(QPen(QColor(HAIRLINE), 1))
            painter.drawLine(round(at(day)), 2, round(at(day)), round(bottom))
            self._label(
                painter, QRectF(at(day) - 4, bottom + 2, 90, 16), day.isoformat(), colour=TEXT_SECONDARY
            )
        for number, reader in enumerate(self._readers):
            self._label(painter, QRectF(0, 4.0 + number * _ROW_PX, _NAME_PX - 10, _ROW_PX - 6), reader)
        for span in self._spans:
            y = 4.0 + self._readers.index(span.reader) * _ROW_PX
            width = max(5.0, at(span.last) - at(span.first))
            area = QRectF(at(span.first), y + 3, width, _ROW_PX - 12)
            if span.what == "read":
                painter.fillRect(area, QColor(ARM_COLOURS[0]))
            else:
                painter.setPen(QPen(QColor(ACCENT), 1.2, Qt.PenStyle.DashLine))
                painter.drawRect(area)
            self._places.append((area, span.words))
        if shows_today:
            painter.setPen(QPen(QColor(ACCENT), 1.6))
            painter.drawLine(round(at(self._today)), 0, round(at(self._today)), round(bottom))
