"""Full-screen windows for a monitor under test: patterns at one pattern pixel a screen pixel, and a ruler.

Draw only; the patterns are ``app.state.test_patterns``, what is measured goes to the page that opened the window.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication, QRectF, Qt, Signal
from PySide6.QtGui import QCloseEvent, QColor, QImage, QKeyEvent, QPainter, QPaintEvent, QPen, QScreen
from PySide6.QtWidgets import QWidget

from app.state.calibration import CARD_HEIGHT_MM, CARD_MM
from app.state.gsdf import DisplayTable, identity_table, packed_levels
from app.state.test_patterns import LN_STEPS, PATTERNS, Levels, Pattern, luminance_level
from app.views import theme
from app.views.screens import device_size, monitor_of, screen_of, surface_bits


def _tr(text: str) -> str:
    return QCoreApplication.translate("monitor", text)


def words_of(pattern: Pattern) -> tuple[str, str]:
    """What a pattern is called and what to look for in it."""
    if pattern.pattern_id.startswith("LN-"):
        step = int(pattern.pattern_id[3:])
        title = _tr("Luminance patch {0} of {1}, level {2} of 255 (after TG18-LN)")
        return title.format(step, LN_STEPS, luminance_level(step)), _tr(
            "Measure the luminance of the square in the middle."
        )
    stains = _tr("No stain, no colour tint, no dead pixel; measure the five marked places.")
    return {
        "QC": (
            _tr("Quality control (after TG18-QC)"),
            _tr(
                "Faint corners in all 16 patches, 5 % and 95 % squares, letters as far as possible, single lines."
            ),
        ),
        "sQC": (
            _tr("Simple quality control (after TG270-sQC)"),
            _tr("Both faint bars in every patch, 5 % and 95 % squares, smooth ramps, single lines."),
        ),
        "UN10": (_tr("Uniform, 10 % (after TG18-UN10)"), stains),
        "UN80": (_tr("Uniform, 80 % (after TG18-UN80)"), stains),
        "gradient": (_tr("Gradient"), _tr("Smooth from black to white without steps or bands.")),
        "geometry": (
            _tr("Geometry and line pairs"),
            _tr("Square squares, round circles, the frame whole at all four edges, every line single."),
        ),
    }[pattern.pattern_id]


def screen_pixels(picture: Levels, top: int, table: DisplayTable) -> NDArray[np.uint32]:
    """Packed pixels of a pattern: its P-values through ``table``; (rows, cols) uint32, contiguous."""
    packed = packed_levels(table)
    lookup = packed[np.rint(np.arange(top + 1) / top * (len(packed) - 1)).astype(np.intp)]
    return np.ascontiguousarray(lookup[picture])


class ScreenWindow(QWidget):
    """A black, frameless window over the whole of one screen; Esc closes it."""

    closed = Signal()

    def __init__(self, screen: QScreen, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Window | Qt.WindowType.FramelessWindowHint)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setCursor(Qt.CursorShape.BlankCursor)
        self._key = monitor_of(screen).key
        self.setScreen(screen)
        self.setGeometry(screen.geometry())

    @property
    def _on(self) -> QScreen:
        return screen_of(self._key)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.close()
        else:
            super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.closed.emit()
        super().closeEvent(event)


class PatternWindow(ScreenWindow):
    """Shows one pattern after the other: arrows step, T words, L with or without the monitor's table, Esc closes."""

    def __init__(
        self,
        screen: QScreen,
        *,
        table: DisplayTable,
        first: str = "QC",
        raw: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(screen, parent)
        self.setObjectName("patternWindow")
        self._table, self.raw, self.words_shown = table, raw, True
        self.index = next(i for i, pattern in enumerate(PATTERNS) if pattern.pattern_id == first)
        self._pixels: NDArray[np.uint32] = np.zeros((1, 1), np.uint32)
        self._drawn: tuple[object, ...] = ()

    @property
    def pattern(self) -> Pattern:
        return PATTERNS[self.index]

    def step(self, by: int) -> None:
        """Show the next or an earlier pattern; the ends stop."""
        self.index = min(max(self.index + by, 0), len(PATTERNS) - 1)
        self.update()

    def picture(self) -> QImage:
        """The pattern as it goes to the screen, one pattern pixel a device pixel."""
        rows, cols = device_size(self._on)
        bits = surface_bits(self._on)
        key = (self.index, self.raw, rows, cols, bits)
        if key != self._drawn:
            top = 2**bits - 1
            table = identity_table(bits) if self.raw else self._table
            self._pixels, self._drawn = screen_pixels(self.pattern.draw(rows, cols, top), top, table), key
        form = QImage.Format.Format_RGB30 if bits == 10 else QImage.Format.Format_RGB32
        image = QImage(self._pixels.data.cast("B"), cols, rows, cols * 4, form)
        image.setDevicePixelRatio(self._on.devicePixelRatio())
        return image

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.GlobalColor.black)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.drawImage(0, 0, self.picture())
        if self.words_shown:
            self._paint_words(painter)
        painter.end()

    def _paint_words(self, painter: QPainter) -> None:
        title, look_for = words_of(self.pattern)
        way = _tr("driving levels, no table") if self.raw else _tr("P-values through the monitor's table")
        bits = _tr("{0}-bit surface").format(surface_bits(self._on))
        lines = [
            f"{self.index + 1}/{len(PATTERNS)}   {title}   ·   {way}, {bits}",
            look_for + "      " + _tr("← → other pattern    L table on / off    T words off    Esc closes"),
        ]
        painter.setFont(self.font())
        metrics = painter.fontMetrics()
        width = max(metrics.horizontalAdvance(line) for line in lines) + 24
        height = 2 * metrics.lineSpacing() + 12
        box = QRectF((self.width() - width) / 2, self.height() - height - 12, width, height)
        painter.fillRect(box, QColor(theme.CHROME))
        painter.setPen(QColor(theme.TEXT))
        painter.drawText(box.adjusted(12, 5, -12, -5), Qt.AlignmentFlag.AlignLeft, "\n".join(lines))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        forward = {Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_Space, Qt.Key.Key_PageDown}
        back = {Qt.Key.Key_Left, Qt.Key.Key_Up, Qt.Key.Key_Backspace, Qt.Key.Key_PageUp}
        if event.key() in forward:
            self.step(1)
        elif event.key() in back:
            self.step(-1)
        elif event.key() == Qt.Key.Key_T:
            self.words_shown = not self.words_shown
            self.update()
        elif event.key() == Qt.Key.Key_L:
            self.raw = not self.raw
            self.update()
        else:
            super().keyPressEvent(event)


class RulerWindow(ScreenWindow):
    """An outline on the monitor that is fitted to something of known length: a bank card, or what a ruler says."""

    measured = Signal(float)  # length of the outline, device pixels

    def __init__(self, screen: QScreen, *, length_mm: float = CARD_MM, parent: QWidget | None = None) -> None:
        super().__init__(screen, parent)
        self.setObjectName("rulerWindow")
        self._length_mm = length_mm
        claimed = monitor_of(screen).claimed_pitch_mm or 0.2
        cols = device_size(screen)[1]
        self.length_px = min(max(round(length_mm / claimed), 50), cols - 20)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.GlobalColor.black)
        ratio = self._on.devicePixelRatio()
        width = self.length_px / ratio
        is_card = abs(self._length_mm - CARD_MM) < 0.01
        height = width * (CARD_HEIGHT_MM / CARD_MM) if is_card else 60.0
        # On whole device pixels, else the gap is a pixel too wide or too narrow.
        left = round((self.width() * ratio - self.length_px) / 2) / ratio
        top = round((self.height() - height) * ratio / 2) / ratio
        painter.setPen(QPen(QColor(theme.ACCENT), 1 / ratio))
        # Lines lie just outside, so that the gap between them is exactly the length.
        for x in (left - 1 / ratio, left + width):
            painter.fillRect(QRectF(x, top - 20, 1 / ratio, height + 40), QColor(theme.ACCENT))
        for y in (top, top + height):
            painter.fillRect(QRectF(left, y, width, 1 / ratio), QColor(theme.ACCENT_DIM))
        thing = _tr("a bank card (85.60 mm, long side level)") if is_card else _tr("a ruler: {0:g} mm")
        text = (
            _tr("Hold {0} against the screen and move the lines until they fit.").format(
                thing.format(self._length_mm)
            )
            + "\n"
            + _tr("← → one pixel     ↑ ↓ ten pixels     Enter takes it     Esc leaves")
            + f"\n\n{self.length_px} px     {self._length_mm / self.length_px:.4f} mm"
        )
        painter.setPen(QColor(theme.TEXT))
        painter.setFont(self.font())
        below = QRectF(0, top + height + 40, self.width(), 6 * painter.fontMetrics().lineSpacing())
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, text)
        painter.end()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Down: -10, Qt.Key.Key_Up: 10}
        key = Qt.Key(event.key())
        if key in steps:
            most = device_size(self._on)[1] - 2
            self.length_px = min(max(self.length_px + steps[key], 50), most)
            self.update()
        elif key in {Qt.Key.Key_Return, Qt.Key.Key_Enter}:
            self.measured.emit(float(self.length_px))
            self.close()
        else:
            super().keyPressEvent(event)
