"""The field in which the words of an annotation are typed, where they will stand on the image.

Keeps what was typed as a ``Measurement`` of kind TEXT; drawing it belongs to ``app.views.measure_layer``.
"""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QObject, Qt
from PySide6.QtWidgets import QLineEdit

from app.state.measurement_board import MeasurementBoard
from app.state.measurements import Measurement, MeasurementKind
from app.views.measure_tools import TextAsked
from app.views.viewport import Viewport

WIDTH_PX, HEIGHT_PX, MOST_LETTERS = 240, 28, 120


def _tr(words: str) -> str:
    return QCoreApplication.translate("tools", words)


class TextField(QObject):
    """At most one open field."""

    def __init__(self, board: MeasurementBoard, asked: TextAsked) -> None:
        super().__init__(asked)
        self._board = board
        self.field: QLineEdit | None = None
        self._place: tuple[str, float, float] | None = None
        asked.asked.connect(self.open)

    def open(self, view: Viewport, row: float, col: float) -> None:
        """Open the field at a stored (row, col) of the image in ``view``."""
        self.close()
        if view.image is None:
            return
        field = QLineEdit(view)
        field.setMaxLength(MOST_LETTERS)
        field.setPlaceholderText(_tr("Text, then Enter"))
        field.setFixedSize(WIDTH_PX, HEIGHT_PX)
        at = view.widget_point(row, col)
        x = min(max(at.x(), 0.0), max(0.0, view.width() - float(WIDTH_PX)))
        y = min(max(at.y() - HEIGHT_PX / 2, 0.0), max(0.0, view.height() - float(HEIGHT_PX)))
        field.move(round(x), round(y))
        field.show()
        field.setFocus(Qt.FocusReason.OtherFocusReason)
        self.field, self._place = field, (view.image.key, row, col)

    def finish(self) -> bool:
        """Keep what is written and close; False when no field is open."""
        field, place = self.field, self._place
        if field is None or place is None:
            return False
        words = " ".join(field.text().split())
        self.close()
        if words:
            self._board.put(
                Measurement(
                    measurement_id=self._board.new_id(),
                    kind=MeasurementKind.TEXT,
                    image_key=place[0],
                    points=((place[1], place[2]),),
                    text=words,
                )
            )
        return True

    def close(self) -> bool:
        """Close without keeping; False when no field is open."""
        field, self.field, self._place = self.field, None, None
        if field is None:
            return False
        field.hide()
        field.deleteLater()
        return True
