"""Which models are asked in an arm of the protocol: a tick box for each installed one, and one for the station's own.

The order of ticking is the order of asking, the first one in front. Looks into no folder; the list is handed in.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, QSignalBlocker
from PySide6.QtWidgets import QCheckBox, QGridLayout, QLabel, QVBoxLayout, QWidget

from app.state.model_shelf import MOST_BESIDE, ListedModel

MOST = 1 + MOST_BESIDE  # models an arm
_COLUMNS = 3


def _tr(text: str) -> str:
    return QCoreApplication.translate("coordinator", text)


class ArmModels(QWidget):
    """The models of one arm; ``models`` is what the protocol holds, None while nothing is ticked."""

    def __init__(self, listed: Sequence[ListedModel], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._titles = {one.model_id: one.title for one in listed}
        self._order: list[str] = []
        self.boxes: dict[str, QCheckBox] = {}
        self.station = QCheckBox(_tr("the station's own"))
        self.station.setObjectName("arm.model")
        self.station.setToolTip(_tr("The model that the station was started with; nothing else is asked."))
        self.station.clicked.connect(self._on_station)
        self.order = QLabel("")
        self.order.setProperty("role", "secondary")
        self.order.setWordWrap(True)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(14)
        self._grid.setVerticalSpacing(2)
        self._grid.addWidget(self.station, 0, 0)
        self._grid.setColumnStretch(_COLUMNS, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 8)
        layout.setSpacing(2)
        layout.addLayout(self._grid)
        layout.addWidget(self.order)
        for model_id in self._titles:
            self._add(model_id)

    def set_models(self, models: Sequence[str]) -> None:
        """Show the ids of a protocol; none = the station's own. One that is not installed here is kept and says so."""
        self._order = list(models)
        for model_id in models:
            if model_id not in self.boxes:
                self._add(model_id)
        self.station.setChecked(not models)
        self._show()

    def models(self) -> list[str] | None:
        """Return the ids in the order of asking, empty = the station's own; None where nothing is ticked."""
        return list(self._order) if self._order or self.station.isChecked() else None

    def _add(self, model_id: str) -> None:
        known = model_id in self._titles
        box = QCheckBox(model_id if known else _tr("{0} (not installed here)").format(model_id))
        box.setObjectName(f"arm.model.{model_id}")
        box.setToolTip(self._titles.get(model_id, box.text()))
        box.clicked.connect(lambda on, one=model_id: self._on_model(one, on=on))
        self.boxes[model_id] = box
        row, column = divmod(len(self.boxes), _COLUMNS)
        self._grid.addWidget(box, row, column)

    def _on_station(self, on: bool) -> None:
        if on:
            self._order.clear()
        self._show()

    def _on_model(self, model_id: str, *, on: bool) -> None:
        self._order = [one for one in self._order if one != model_id] + ([model_id] if on else [])
        if on:
            self.station.setChecked(False)
        self._show()

    def _show(self) -> None:
        full = len(self._order) >= MOST
        for model_id, box in self.boxes.items():
            with QSignalBlocker(box):
                box.setChecked(model_id in self._order)
            box.setEnabled(not full or model_id in self._order)
        first, *others = self._order or [""]
        said = _tr("Asked in this order, the first in front: {0}").format(", ".join((first, *others)))
        self.order.setText(said if others else "")
        self.order.setVisible(bool(others))
