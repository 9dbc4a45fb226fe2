"""Settings page of one monitor: ruler, photometer, ambient light, patterns, and the verdict in words.

Collects what was measured into a ``MonitorRecord``; the arithmetic and the words are ``app.state.calibration``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtGui import QGuiApplication, QScreen
from PySide6.QtWidgets import (
    QBoxLayout,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.state.calibration import (
    CARD_MM,
    TG18_LEVELS,
    Monitor,
    MonitorRecord,
    luminances_from_csv,
    pitch_from_ruler,
    report_of,
    table_of,
    verdict_of,
)
from app.state.gsdf import LuminanceResponse
from app.state.settings import Settings
from app.views.gsdf_chart import GsdfChart
from app.views.pattern_window import PatternWindow, RulerWindow, ScreenWindow
from app.views.screens import monitor_of, screen_of

_RAW, _CHECK = 1, 2  # columns of the table
_SIDE_BY_SIDE_EM = 150  # widths of a letter that the two halves need beside each other


def _tr(text: str) -> str:
    return QCoreApplication.translate("monitor", text)


def _number(field: QLineEdit, name: str) -> float | None:
    text = field.text().strip().replace(",", ".")
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            _tr("{0}: expected a number, found “{1}”; type it again.").format(name, text)
        ) from None


class MonitorPage(QWidget):
    """Everything that is known of a monitor, and the ways to measure it."""

    record_made = Signal(object)  # MonitorRecord to keep

    def __init__(self, today: Callable[[], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._today = today
        self._settings = Settings()
        self._pitch_mm: float | None = None
        self._pitch_on = ""
        self.window_on_screen: ScreenWindow | None = None
        self._make_fields()
        self._build()
        self.choice.currentIndexChanged.connect(lambda _index: self._show_record())
        self.ruler.clicked.connect(self.open_ruler)
        self.patterns.clicked.connect(lambda: self.open_patterns("QC", raw=False))
        self.patches.clicked.connect(lambda: self.open_patterns("LN-01", raw=True))
        self.csv.clicked.connect(self._choose_csv)
        self.save.clicked.connect(self.keep)

    def _make_fields(self) -> None:
        self.choice = QComboBox()
        self.facts, self.verdict, self.message, self.pitch = QLabel(""), QLabel(""), QLabel(""), QLabel("")
        for label in (self.facts, self.verdict, self.message):
            label.setWordWrap(True)
        self.facts.setProperty("role", "secondary")
        self.length = QLineEdit(f"{CARD_MM:.2f}")
        self.ruler = QPushButton(_tr("Measure on the screen …"))
        self.way = QComboBox()
        self.way.addItem(_tr("made by this program from the luminances below"), True)
        self.way.addItem(_tr("made by the monitor itself (hardware calibration)"), False)
        self.ambient, self.lux, self.person = QLineEdit(), QLineEdit(), QLineEdit()
        self.date = QLineEdit()
        self.days = QSpinBox()
        self.days.setRange(1, 3660)
        self.days.setSuffix(_tr(" days"))
        self.table = QTableWidget(len(TG18_LEVELS), 3)
        self.table.setHorizontalHeaderLabels(
            [_tr("Level"), _tr("cd/m², no table"), _tr("cd/m² through it (check)")]
        )
        self.table.verticalHeader().hide()
        self.table.setMinimumHeight(200)
        self.table.setTabKeyNavigation(False)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.csv = QPushButton(_tr("Import CSV …"))
        self.patches = QPushButton(_tr("Show the 18 patches …"))
        self.patterns = QPushButton(_tr("Test patterns …"))
        self.save = QPushButton(_tr("Keep the record   Ctrl+S"))
        self.save.setProperty("role", "primary")
        self.save.setShortcut("Ctrl+S")
        self.chart = GsdfChart()

    def _build(self) -> None:
        left = QFormLayout()
        left.setVerticalSpacing(8)
        left.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        left.addRow(_tr("Monitor"), self.choice)
        left.addRow("", self.facts)
        left.addRow(_tr("Length held against it, mm"), self.length)
        left.addRow(_tr("Pixel pitch"), self.pitch)
        left.addRow("", self.ruler)
        left.addRow(_tr("Grey scale"), self.way)
        left.addRow(_tr("Ambient light on the screen, cd/m²"), self.ambient)
        left.addRow(_tr("Room light, lx"), self.lux)
        left.addRow(_tr("Measured by"), self.person)
        left.addRow(_tr("Measured on (YYYY-MM-DD)"), self.date)
        left.addRow(_tr("Valid for"), self.days)
        left.addRow("", self.patterns)
        right = QVBoxLayout()
        right.addWidget(self.table, 1)
        buttons = QHBoxLayout()
        buttons.addWidget(self.patches)
        buttons.addWidget(self.csv)
        buttons.addStretch(1)
        buttons.addWidget(self.save)
        right.addLayout(buttons)
        right.addWidget(self.chart)
        self._columns = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._columns.addLayout(left, 5)
        self._columns.addSpacing(24)
        self._columns.addLayout(right, 6)
        layout = QVBoxLayout(self)
        layout.addLayout(self._columns, 1)
        layout.addWidget(self.verdict)
        layout.addWidget(self.message)

    def fit_to(self, width_px: int) -> None:
        """Put the photometer's half below the other where large text leaves no room beside it."""
        wide = width_px >= _SIDE_BY_SIDE_EM * self.fontMetrics().averageCharWidth()
        directions = QBoxLayout.Direction
        self._columns.setDirection(directions.LeftToRight if wide else directions.TopToBottom)

    # ---- what is shown

    def set_settings(self, settings: Settings, here: QScreen | None = None) -> None:
        """List the monitors that are plugged in, the window's own first chosen."""
        self._settings = settings
        chosen = self.monitor().key if self.choice.count() else monitor_of(here).key if here else ""
        self.choice.blockSignals(True)
        self.choice.clear()
        for screen in QGuiApplication.screens():
            monitor = monitor_of(screen)
            self.choice.addItem(monitor.title, monitor.key)
            if monitor.key == chosen:
                self.choice.setCurrentIndex(self.choice.count() - 1)
        self.choice.blockSignals(False)
        self._show_record()

    def screen_chosen(self) -> QScreen:
        return screen_of(str(self.choice.currentData()))

    def monitor(self) -> Monitor:
        return monitor_of(self.screen_chosen())

    def _show_record(self) -> None:
        monitor = self.monitor()
        record = self._settings.record_of(monitor.key)
        shown = record or MonitorRecord(monitor=monitor.key, measured_on=self._today())
        claimed = monitor.claimed_pitch_mm
        self.facts.setText(
            _tr("{0} × {1} pixels, {2:.1f} megapixels, {3}-bit surface (depth {4}), scale {5:g}.").format(
                monitor.width_px,
                monitor.height_px,
                monitor.width_px * monitor.height_px / 1e6,
                monitor.surface_bits,
                monitor.depth,
                monitor.ratio,
            )
            + (
                " " + _tr("It claims a pitch of {0:.3f} mm, which is not relied on.").format(claimed)
                if claimed
                else ""
            )
        )
        self._pitch_mm, self._pitch_on = shown.pitch_mm, shown.pitch_on
        self._show_pitch()
        self.way.setCurrentIndex(0 if shown.corrected else 1)
        self.ambient.setText(f"{shown.ambient_cd_m2:g}" if shown.ambient_cd_m2 else "")
        self.lux.setText("" if shown.ambient_lux is None else f"{shown.ambient_lux:g}")
        self.person.setText(shown.measured_by)
        self.date.setText(shown.measured_on or self._today())
        self.days.setValue(shown.valid_days)
        self._fill_table(shown)
        self._judge(record)
        self._say("")

    def _show_pitch(self) -> None:
        when = _tr("by ruler on {0}").format(self._pitch_on) if self._pitch_on else ""
        self.pitch.setText(
            _tr("not measured") if self._pitch_mm is None else f"{self._pitch_mm:.4f} mm  {when}"
        )

    def _fill_table(self, record: MonitorRecord) -> None:
        own = record.response.levels if record.response is not None else ()
        check = record.check.levels if record.check is not None else ()
        levels = tuple(sorted({*own, *check})) or TG18_LEVELS
        self.table.setRowCount(len(levels))
        for row, level in enumerate(levels):
            self.table.setItem(row, 0, QTableWidgetItem(str(level)))
            for column, response in ((_RAW, record.response), (_CHECK, record.check)):
                value = ""
                if response is not None and level in response.levels:
                    value = f"{response.cd_m2[response.levels.index(level)]:g}"
                self.table.setItem(row, column, QTableWidgetItem(value))

    def _judge(self, record: MonitorRecord | None) -> None:
        monitor = self.monitor()
        report = None if record is None else report_of(record, monitor.surface_bits)
        source = "" if report is None else report[1].words(QCoreApplication.translate)
        self.chart.set_report(None if report is None else report[0], source)
        words = verdict_of(monitor, record, self._today(), QCoreApplication.translate)
        if report is not None:
            numbers = report[0]
            words += "\n" + _tr(
                "L'min {0:.2f}, L'max {1:.0f} cd/m², ratio {2:.0f}, GSDF error {3:.1f} % ({4})."
            ).format(
                numbers.lmin,
                numbers.lmax,
                numbers.ratio,
                100 * numbers.error,
                source,
            )
        self.verdict.setText(words)

    # ---- what is measured

    def _response(self, column: int) -> LuminanceResponse | None:
        rows: list[tuple[int, float]] = []
        for row in range(self.table.rowCount()):
            level, value = self.table.item(row, 0), self.table.item(row, column)
            text = "" if value is None else value.text().strip().replace(",", ".")
            if not text or level is None:
                continue
            try:
                rows.append((int(level.text()), float(text)))
            except ValueError:
                raise ValueError(
                    _tr(
                        "Luminances, row {0}: expected a level and cd/m², found “{1}” and “{2}”; type them again."
                    ).format(row + 1, level.text(), text)
                ) from None
        if not rows:
            return None
        most = 255 if rows[-1][0] <= 255 else 1023 if rows[-1][0] <= 1023 else 4095
        levels, values = zip(*rows, strict=True)
        return LuminanceResponse(levels=levels, cd_m2=values, max_level=most)

    def record(self) -> MonitorRecord:
        """The record as the fields say; ValueError with one sentence when they cannot be read."""
        return MonitorRecord(
            monitor=self.monitor().key,
            pitch_mm=self._pitch_mm,
            pitch_on=self._pitch_on,
            response=self._response(_RAW),
            check=self._response(_CHECK),
            ambient_cd_m2=_number(self.ambient, _tr("Ambient light")) or 0.0,
            ambient_lux=_number(self.lux, _tr("Room light")),
            corrected=bool(self.way.currentData()),
            measured_on=self.date.text().strip(),
            measured_by=self.person.text().strip(),
            valid_days=self.days.value(),
        )

    def keep(self) -> None:
        """Hand the record on, or say what is wrong with it."""
        try:
            record = self.record()
        except ValueError as error:
            self._say(str(error))
            return
        self._settings = self._settings.with_record(record)
        self._judge(record)
        self._say("")
        self.record_made.emit(record)

    def import_csv(self, path: Path) -> None:
        """Take luminances from a CSV of level and cd/m²."""
        try:
            response = luminances_from_csv(path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError, ValueError) as error:
            self._say(f"{path.name}: {error}")
            return
        self._fill_table(replace(MonitorRecord(monitor=""), response=response))
        self._say("")

    def _choose_csv(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, _tr("Luminances"), "", "CSV (*.csv *.txt)")
        if name:
            self.import_csv(Path(name))

    def open_ruler(self) -> None:
        """Show the outline on the chosen monitor."""
        try:
            length_mm = _number(self.length, _tr("Length")) or CARD_MM
        except ValueError as error:
            self._say(str(error))
            return
        window = RulerWindow(self.screen_chosen(), length_mm=length_mm, parent=self.window())
        window.measured.connect(lambda px: self._take_pitch(length_mm, px))
        self._open(window)

    def _take_pitch(self, length_mm: float, length_px: float) -> None:
        self._pitch_mm = pitch_from_ruler(length_mm=length_mm, length_px=length_px)
        self._pitch_on = self._today()
        self._show_pitch()
        self.keep()

    def open_patterns(self, first: str, *, raw: bool) -> None:
        """Show test patterns on the chosen monitor, through its table or as driving levels."""
        monitor = self.monitor()
        table = table_of(self._settings.record_of(monitor.key), monitor.surface_bits)
        self._open(
            PatternWindow(self.screen_chosen(), table=table, first=first, raw=raw, parent=self.window())
        )

    def _open(self, window: ScreenWindow) -> None:
        self.window_on_screen = window
        window.closed.connect(self._on_window_closed)
        window.showFullScreen()
        window.activateWindow()
        window.setFocus(Qt.FocusReason.OtherFocusReason)

    def _on_window_closed(self) -> None:
        self.window_on_screen = None

    def _say(self, sentence: str) -> None:
        self.message.setProperty("role", "error")
        self.message.setText(sentence)
        self.message.setVisible(bool(sentence))
