"""Monitor: how far every reader is, how long she takes, flags, and when each washout is over. No answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from PySide6.QtCore import QCoreApplication, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor, QKeySequence, QPainter, QShortcut
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QScrollArea,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.control.coordinating import Coordinating
from app.control.monitoring import box_of
from app.control.tasks import TaskRunner
from app.control.told import told
from app.views.coordinator.page import Page, button, quiet, row_of, section, session_word
from app.views.coordinator.pictures import ARM_COLOURS, CalendarPicture, Span, TimesPicture
from app.views.coordinator.table import SORT_ROLE, DataTable
from app.views.theme import CHROME_FIELD, HAIRLINE, scaled
from reader_study.monitor import MonitorRow

_BAR = 4  # the column with the share that is done


def _tr(text: str) -> str:
    return QCoreApplication.translate("coordinator", text)


class _BarDelegate(QStyledItemDelegate):
    """Draws a share from 0 to 100 as a bar with its number."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        share = float(index.data(SORT_ROLE) or 0.0)
        area = option.rect.adjusted(6, 7, -scaled(56), -7)
        painter.fillRect(area, QColor(CHROME_FIELD))
        painter.setPen(QColor(HAIRLINE))
        painter.drawRect(area)
        filled = area.adjusted(1, 1, 0, 0)
        filled.setWidth(round((area.width() - 1) * share / 100))
        painter.fillRect(filled, QColor(ARM_COLOURS[0] if share < 100 else ARM_COLOURS[2]))
        painter.setPen(option.palette.text().color())
        words = option.rect.adjusted(0, 0, -6, 0)
        painter.drawText(words, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{share:.0f} %")


class MonitorPage(Page):
    """Progress table above, pictures below; F5 reads the log again."""

    def __init__(self, runner: TaskRunner) -> None:
        super().__init__(_tr("Monitor"), runner, "coordinator.monitor")
        self.sessions = DataTable(
            "monitor", _tr("No session is planned yet. Import cases, enrol readers, freeze.")
        )
        self.sessions.view.setItemDelegateForColumn(_BAR, _BarDelegate(self.sessions.view))
        self.sessions.least_px[_BAR] = 170
        self.summary = quiet("")
        self.reason = QLineEdit()
        self.reason.setPlaceholderText(
            _tr("Reason for letting the chosen session begin before its washout is over")
        )
        self.reason.setMinimumWidth(460)
        self.why = quiet("")
        self.grant = button(_tr("Grant override"), self.grant_override)
        self.times, self.calendar = TimesPicture(), CalendarPicture()
        self.refresh = button(_tr("Read again   F5"), self.reload)
        self.head.addWidget(self.refresh)
        again = QShortcut(QKeySequence("F5"), self)
        again.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        again.activated.connect(self.reload)
        self._why: dict[str, str] = {}
        self.sessions.picked.connect(self._say_why)
        self._lay_out()

    def _lay_out(self) -> None:
        pictures = QWidget()
        both = QHBoxLayout(pictures)  # side by side: the calendar of many readers is seen without scrolling
        both.setContentsMargins(0, 0, 8, 0)
        both.setSpacing(24)
        for title, picture in (
            (_tr("READING TIMES BY READER (FIRST PAINT TO SUBMISSION)"), self.times),
            (_tr("CALENDAR: READING, WASHOUT (DASHED), TODAY"), self.calendar),
        ):
            column = QVBoxLayout()
            column.addWidget(section(title))
            column.addWidget(picture)
            column.addStretch(1)
            both.addLayout(column, 1)
        area = QScrollArea()
        area.setWidget(pictures)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        self.body.addWidget(self.summary)
        self.body.addWidget(self.sessions, 5)
        self.body.addWidget(self.why)
        self.body.addLayout(row_of(self.reason, self.grant))
        self.body.addWidget(area, 4)

    @property
    def first(self) -> QWidget:
        return self.sessions.view

    def reload(self) -> None:
        if self.work is not None:
            self.open(self.work)

    def show_study(self, work: Coordinating) -> None:
        self.run(
            _tr("Reading the log"), lambda _context: work.monitor(), lambda found: self._show(work, found)
        )

    def _show(
        self, work: Coordinating, found: tuple[tuple[MonitorRow, ...], Mapping[str, tuple[float, ...]]]
    ) -> None:
        if self.work is not work:
            return  # signed out meanwhile
        rows, seconds = found
        self.show_rows(rows, seconds, date.fromisoformat(work.clock.utc_now()[:10]))

    def show_rows(
        self, rows: Sequence[MonitorRow], seconds: Mapping[str, tuple[float, ...]], today: date
    ) -> None:
        """Show sessions, times and calendar."""
        columns = (
            _tr("Session id"), _tr("Reader"), _tr("Group"), _tr("Session"), _tr("Done"), _tr("Cases"), _tr("Median, s"),
            _tr("Interrupted"), _tr("Idle"), _tr("Overrides"), _tr("Signed"), _tr("Last seen (UTC)"), _tr("State"),
        )  # fmt: skip
        flagged = frozenset(
            n for n, row in enumerate(rows) if row.interrupted or row.overrides or row.idle_spells
        )
        self._why = {
            row.session_id: _tr("{0}: {1}").format(row.session_id, told(row.why_not))
            for row in rows
            if row.why_not is not None and row.n_done < row.n_total
        }
        boxes = {row.session_id: box_of(seconds.get(row.session_id, ())) for row in rows}
        self.sessions.set_rows(
            columns, [self._cells(row, boxes[row.session_id]) for row in rows], wrong=flagged
        )
        done, total = sum(row.n_done for row in rows), sum(row.n_total for row in rows)
        words = _tr(
            "Readings locked: {0} of {1}.  Sessions finished: {2} of {3}.  Sessions with a flag: {4}."
        )
        over = sum(row.n_done >= row.n_total for row in rows)
        self.summary.setText(words.format(done, total, over, len(rows), len(flagged)))
        by_reader: dict[str, list[float]] = {}
        for row in rows:
            if row.period > 0:
                by_reader.setdefault(row.reader_name, []).extend(seconds.get(row.session_id, ()))
        self.times.set_boxes({name: box_of(own) for name, own in by_reader.items()})
        self.calendar.set_spans(list(by_reader), spans_of(rows), today)

    def _cells(self, row: MonitorRow, box: object) -> tuple[object, ...]:
        median = getattr(box, "median", None)
        share = 100.0 * row.n_done / max(1, row.n_total)
        return (
            row.session_id, row.reader_name, row.group, session_word(row.period), share, f"{row.n_done}/{row.n_total}",
            None if median is None else round(median, 1), row.interrupted, row.idle_spells, row.overrides, row.signed,
            (row.last_utc or "")[:16].replace("T", " "), _state(row),
        )  # fmt: skip

    def _say_why(self) -> None:
        row = self.sessions.current()
        self.why.setText(self._why.get(str(row[0]), "") if row is not None else "")

    def forget(self) -> None:
        super().forget()
        self.sessions.set_rows((), ())
        self._why = {}
        self.why.clear()
        self.summary.clear()
        self.reason.clear()
        self.times.set_boxes({})
        self.calendar.set_spans((), (), date.min)

    def grant_override(self) -> None:
        """Let the chosen session begin early; the reason is in its log and in the audit."""
        row = self.sessions.current()
        if row is None:
            self.tell(_tr("Choose a session in the table first."), role="secondary")
            return
        if self.attempt(
            lambda work: work.desk.grant_override(str(row[0]), why=self.reason.text().strip()),
            _tr("Granted."),
        ):
            self.reason.clear()


def _state(row: MonitorRow) -> str:
    """In few words, for a narrow column; the whole sentence stands below the table for the chosen session."""
    if row.n_done >= row.n_total:
        return _tr("finished")
    if row.why_not is None:
        return _tr("open") if row.started_utc else _tr("ready")
    if row.opens_utc is not None and row.why_not.startswith("washout"):
        return _tr("washout until {0}").format(row.opens_utc[:10])
    return _tr("not yet")


def spans_of(rows: Sequence[MonitorRow]) -> tuple[Span, ...]:
    """Return the days on which each session was read, and the washout after it until the next may begin."""
    spans: list[Span] = []
    before: dict[str, date] = {}  # last day of the reader's session before
    for row in (one for one in rows if one.period > 0):
        name = row.reader_name
        if row.opens_utc and name in before:
            opens = date.fromisoformat(row.opens_utc[:10])
            words = _tr("{0}, session {1}: washout until {2}").format(name, row.period, opens)
            spans.append(Span(reader=name, what="washout", first=before[name], last=opens, words=words))
        if row.started_utc and row.last_utc:
            first, last = date.fromisoformat(row.started_utc[:10]), date.fromisoformat(row.last_utc[:10])
            if (
                not row.opens_utc and name in before and first > before[name]
            ):  # begun: the pause that was kept
                words = _tr("{0}: {1} days between session {2} and the one before").format(
                    name, (first - before[name]).days, row.period
                )
                spans.append(Span(reader=name, what="washout", first=before[name], last=first, words=words))
            words = _tr("{0}, session {1}: {2} to {3}").format(name, row.period, first, last)
            spans.append(Span(reader=name, what="read", first=first, last=last, words=words))
            before[name] = last
    return tuple(spans)
