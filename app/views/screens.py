"""Monitors as Qt and the system describe them, and how many bits a surface on one has.

Owns the only translation from ``QScreen`` to ``Monitor``; what was measured is ``app.state.calibration``.
"""

from __future__ import annotations

from PySide6.QtGui import QGuiApplication, QScreen

from app.state.calibration import Monitor

_DEEP = 30  # colour depth of a screen with ten bits a channel


def surface_bits(screen: QScreen) -> int:
    """Bits of grey that a window on this screen can show: 10 only where that was seen to work, else 8.

    Qt draws widgets into ten bits a channel on X11 screens of depth 30; elsewhere its surface has eight, whatever
    the monitor can do.
    """
    return 10 if QGuiApplication.platformName() == "xcb" and screen.depth() == _DEEP else 8


def screen_of(key: str) -> QScreen:
    """Return the screen with this monitor key, the primary one when it is gone.

    Asked anew each time: PySide forgets a screen object when a window that handed it out is destroyed.
    """
    for screen in QGuiApplication.screens():
        if monitor_of(screen).key == key:
            return screen
    return QGuiApplication.primaryScreen()


def device_size(screen: QScreen) -> tuple[int, int]:
    """Rows and columns of the screen, device pixels."""
    ratio = screen.devicePixelRatio()
    return round(screen.size().height() * ratio), round(screen.size().width() * ratio)


def monitor_of(screen: QScreen) -> Monitor:
    """Describe a screen. The key holds its serial number, or its name and pixels where the system knows none."""
    rows, cols = device_size(screen)
    maker, model, serial = screen.manufacturer(), screen.model(), screen.serialNumber()
    identity = serial or f"{screen.name()} {cols}x{rows}"
    size_mm = screen.physicalSize().width()
    return Monitor(
        key="|".join((maker, model, identity)),
        title=" ".join(part for part in (maker, model, screen.name()) if part) or f"{cols} × {rows}",
        width_px=cols,
        height_px=rows,
        surface_bits=surface_bits(screen),
        depth=screen.depth(),
        ratio=screen.devicePixelRatio(),
        claimed_pitch_mm=size_mm / cols if size_mm > 0 else None,
    )
