"""Carries the settings to the window: text size, wheel, heat map colour, and each monitor's table and pitch.

Owns when they take effect, also when the window moves to another monitor; the pages that change them are
``app.views.settings_view``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QByteArray, QCoreApplication, QObject, Signal
from PySide6.QtGui import QScreen
from PySide6.QtWidgets import QApplication, QMainWindow

from app.state.calibration import Monitor, MonitorRecord, environment_of, problems_of, table_of
from app.state.display import Change, Operation, ZoomMode
from app.state.gsdf import DisplayTable
from app.state.settings import Settings, SettingsKeeper, WheelUse
from app.views import theme
from app.views.reading_view import ReadingView
from app.views.screens import monitor_of
from app.views.viewport import Viewport
from resources.files import UserFacingError


class Preferences(QObject):
    """The settings in force in one window."""

    note_changed = Signal(str)  # one line about the monitor the window is on; empty = nothing found
    failed = Signal(str)  # a sentence: settings could not be read or kept

    def __init__(
        self, window: QMainWindow, reading: ReadingView, keeper: SettingsKeeper, today: Callable[[], str]
    ) -> None:
        super().__init__(window)
        self._window, self._reading, self.keeper, self._today = window, reading, keeper, today
        self._pitch_mm: float | None = None
        self._table: DisplayTable | None = None
        self._table_of: tuple[MonitorRecord | None, int] | None = None
        self._watched = False

    @property
    def settings(self) -> Settings:
        return self.keeper.current

    def keep(self, settings: Settings) -> None:
        """Keep changed settings and put them into force; a refusal of the disk is said, they hold until the end."""
        if settings == self.settings:
            return
        try:
            self.keeper.keep(settings)
        except UserFacingError as error:
            self.failed.emit(str(error))
        self.apply()

    def watch_screens(self) -> None:
        """Follow the window from monitor to monitor, once it is on one."""
        handle = self._window.windowHandle()
        if not self._watched and handle is not None:
            self._watched = True
            handle.screenChanged.connect(self._on_screen)

    def _on_screen(self, _screen: QScreen) -> None:
        self.apply_monitor()

    def apply(self) -> None:
        """Put everything into force."""
        scale = self.settings.text_scale
        app = QApplication.instance()
        if isinstance(app, QApplication):
            wanted = theme.stylesheet(scale)
            if app.styleSheet() and app.styleSheet() != wanted:
                app.setFont(theme.font(scale=scale))
                app.setStyleSheet(wanted)
        self._reading.set_text_scale(scale)
        self._reading.set_heat_colour(self.settings.heat_colour.value)
        self.apply_monitor()

    def apply_monitor(self) -> None:
        """Take the record of the monitor that the window is on."""
        monitor, record = self.monitor(), self.record()
        if self._table_of is None or self._table_of != (record, monitor.surface_bits):
            corrects = record is not None and record.response is not None and record.corrected
            needed = corrects or monitor.surface_bits != 8
            self._table = table_of(record, monitor.surface_bits) if needed else None
            self._table_of = (record, monitor.surface_bits)
        self._pitch_mm = None if record is None else record.pitch_mm
        self._reading.grid.set_look(self._dress)
        self.note_changed.emit("; ".join(self.problems()))

    def _dress(self, view: Viewport) -> None:
        view.pitch_mm = self._pitch_mm
        view.item.set_display(self._table)
        view.text_scale = self.settings.text_scale
        view.wheel_steps_stages = self.settings.wheel is WheelUse.STAGE
        if view.image is not None and view.state().zoom_mode is ZoomMode.TRUE:
            view.apply(Operation(change=Change.TRUE))
        view.update()

    # ---- what is known of the monitor

    def monitor(self) -> Monitor:
        """The monitor that the window is on."""
        return monitor_of(self._window.screen())

    def record(self) -> MonitorRecord | None:
        return self.settings.record_of(self.monitor().key)

    def problems(self) -> tuple[str, ...]:
        """What speaks against reading on this monitor (QC-04)."""
        return problems_of(self.monitor(), self.record(), self._today(), QCoreApplication.translate)

    def environment(self) -> dict[str, str]:
        """The display's part of a session's log (QC-04)."""
        return environment_of(self.monitor(), self.record(), self._today())

    # ---- windows

    def keep_places(self, *, panel_apart: bool, panel_place: str) -> None:
        """Remember where the windows are."""
        place = self._window.saveGeometry().toBase64().toStdString()
        self.keep(
            replace(
                self.settings,
                window_place=place,
                panel_apart=panel_apart,
                panel_place=panel_place or self.settings.panel_place,
            )
        )

    def restore_place(self) -> None:
        """Put the window where it was closed; nothing when it never was."""
        if self.settings.window_place:
            self._window.restoreGeometry(QByteArray.fromBase64(self.settings.window_place.encode()))
