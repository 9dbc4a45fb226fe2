"""Says what Qt sees of the screens. Meant for a process of its own: without a display Qt ends the process."""

from __future__ import annotations

import dataclasses

from PySide6.QtCore import qVersion
from PySide6.QtGui import QGuiApplication
from PySide6.QtSvg import QSvgRenderer

from app.views.screens import monitor_of


def probe() -> dict[str, object]:
    """Return Qt's version, its platform ('xcb', 'wayland', …), and each screen as ``Monitor``'s fields."""
    app = QGuiApplication.instance() or QGuiApplication(["negatoscope"])
    assert isinstance(app, QGuiApplication)
    return {
        "qt": qVersion(),
        "platform": app.platformName(),
        "svg": QSvgRenderer is not None,
        "screens": [dataclasses.asdict(monitor_of(screen)) for screen in app.screens()],
    }
