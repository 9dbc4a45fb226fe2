"""The side panel in a window of its own, best on a second monitor; closing it brings the panel back."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QCoreApplication, QEvent, Qt, Signal
from PySide6.QtGui import QCloseEvent, QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget


def _tr(text: str) -> str:
    return QCoreApplication.translate("reading", text)


class PanelWindow(QWidget):
    """Holds the reading screen's side panel while it is apart."""

    put_back = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setObjectName("panelWindow")
        self.setWindowTitle(_tr("Findings and assessment – research use only"))
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._side: QScrollArea | None = None
        self._docked_px = 0

    @property
    def is_apart(self) -> bool:
        """True while the panel is in this window."""
        return self._side is not None

    def take(self, side: QScrollArea, place: str = "") -> None:
        """Move the panel here and show it: at ``place`` (as ``place_text`` gave it), else on another monitor."""
        self._side, self._docked_px = side, side.width()
        side.setMinimumWidth(self._docked_px)
        side.setMaximumWidth(16_777_215)
        self._widen(side, 16_777_215)
        self._layout.addWidget(side)
        side.show()
        if not (place and self.restoreGeometry(QByteArray.fromBase64(place.encode()))):
            self._on_another_monitor()
        self.show()
        self.raise_()

    @staticmethod
    def _widen(side: QScrollArea, most_px: int) -> None:
        page = side.widget()
        if page is not None:
            page.setMaximumWidth(most_px)

    def _on_another_monitor(self) -> None:
        parent = self.parentWidget()
        own = self.screen() if parent is None else parent.screen()
        other = next((screen for screen in QGuiApplication.screens() if screen is not own), own)
        area = other.availableGeometry()
        width, height = max(420, 2 * self._docked_px), min(900, area.height() - 80)
        self.setGeometry(area.left() + (area.width() - width) // 2, area.top() + 40, width, height)

    def give_back(self, row: QHBoxLayout) -> None:
        """Put the panel back at the end of ``row``."""
        side, self._side = self._side, None
        if side is None:
            return
        self._layout.removeWidget(side)
        side.setFixedWidth(self._docked_px)
        self._widen(side, self._docked_px)
        row.addWidget(side)
        side.show()
        self.hide()

    def place_text(self) -> str:
        """Where the window is, to be kept."""
        return self.saveGeometry().toBase64().toStdString()

    def closeEvent(self, event: QCloseEvent) -> None:
        event.ignore()
        self.put_back.emit()


def relaid(side: QWidget) -> None:
    """Lay a panel out now: words that grew in this moment are never painted cut, not even for one frame."""
    parts = [side, *side.findChildren(QWidget)]
    for part in reversed(parts):
        layout = part.layout()
        if layout is not None and part.isVisibleTo(side):
            layout.invalidate()
            layout.activate()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
