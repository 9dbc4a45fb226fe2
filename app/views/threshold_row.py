"""The threshold of the AI's findings: a slider, the named operating points of the model, and what the threshold does."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSlider, QVBoxLayout, QWidget

from app.state.ai_view import point_title
from inference.model_card import OperatingPoint

STEPS = 100  # of the slider: two decimals


def _tr(text: str) -> str:
    return QCoreApplication.translate("ai_panel", text)


def point_term(name: str) -> str:
    """An operating point's name on a narrow button; a model's own names stay as they are."""
    return {
        "high sensitivity": _tr("High sens."),
        "balanced": _tr("Balanced"),
        "high specificity": _tr("High spec."),
        "boxes": _tr("Few false"),
        "youden": _tr("Youden"),
    }.get(name.casefold(), name)


class ThresholdRow(QWidget):
    """Made only where the protocol lets the reader choose; ``moved`` carries the threshold (0..1) and whether it rests."""

    moved = Signal(float, bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("aiThreshold")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, STEPS)
        self.slider.setPageStep(5)
        self.slider.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.slider.setAccessibleName(_tr("Threshold of the AI's findings"))
        self.slider.valueChanged.connect(self._on_value)
        self.slider.sliderReleased.connect(lambda: self.moved.emit(self.slider.value() / STEPS, True))
        self.owner = QLabel("")
        self.owner.setProperty("role", "section")
        self.owner.hide()
        self._points = QHBoxLayout()
        self._points.setSpacing(2)
        self._shown: tuple[OperatingPoint, ...] = ()
        self.buttons: list[QPushButton] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(4)
        layout.addWidget(self.owner)
        layout.addWidget(self.slider)
        layout.addLayout(self._points)

    def _on_value(self, value: int) -> None:
        self.moved.emit(value / STEPS, not self.slider.isSliderDown())

    def set_keys(self, down: str, up: str) -> None:
        """Name the keys in the tooltip."""
        words = _tr("Findings with a lower score are hidden  ({0} lower, {1} higher)")
        self.slider.setToolTip(words.format(down, up))

    def set_owner(self, words: str) -> None:
        """Name the model whose threshold it is; empty = there is one alone."""
        self.owner.setText(_tr("Threshold of {0}").format(words) if words else "")
        self.owner.setVisible(bool(words))

    def set_state(self, threshold: float, points: Sequence[OperatingPoint]) -> None:
        """Show a threshold and the model's named points; the point in force is pressed."""
        with QSignalBlocker(self.slider):
            self.slider.setValue(round(threshold * STEPS))
        if tuple(points) != self._shown:
            self._make_buttons(tuple(points))
        for button, point in zip(self.buttons, self._shown, strict=True):
            button.setChecked(abs(point.threshold - threshold) < 0.5 / STEPS)

    def _make_buttons(self, points: tuple[OperatingPoint, ...]) -> None:
        for button in self.buttons:
            self._points.removeWidget(button)
            button.deleteLater()
        self._shown, self.buttons = points, []
        for point in points:
            button = QPushButton(point_term(point.name))
            button.setProperty("role", "point")
            button.setCheckable(True)
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.setToolTip(
                _tr("{0}: {1:.2f} – {2}").format(
                    point_title(point.name),
                    point.threshold,
                    QCoreApplication.translate("model", point.how_set),
                )
            )
            button.clicked.connect(lambda _on, at=point.threshold: self.moved.emit(at, True))
            self._points.addWidget(button)
            button.show()  # at once: a layout would show it in the next round of events only
            self.buttons.append(button)


class CountLabel(QLabel):
    """What the threshold does, in words."""

    def __init__(self) -> None:
        super().__init__("")
        self.setObjectName("aiCount")
        self.setWordWrap(True)
