"""The settings' page "AI models": every installed model, what it can do, where and how fast, why it cannot run; which are asked.

Shows what the shelf says and emits the choice; looking into the folders happens beside the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QRadioButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.control.tasks import TaskRunner
from app.state.ai_told import told
from app.state.model_shelf import (
    AUTO,
    MOST_BESIDE,
    Device,
    InstalledModel,
    ModelShelf,
    Shelf,
    Standing,
    device_words,
    finds_words,
    needs_words,
    size_words,
    speed_words,
)

_KEY = "models"
_SIDE_PX = 150


def _tr(text: str) -> str:
    return QCoreApplication.translate("models", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """What is chosen on the page."""

    main: str
    beside: tuple[str, ...] = ()
    device: str = AUTO


class ModelPicker(QWidget):
    """A device, then one card a model; ``chosen`` carries a ``ModelChoice`` that holds from the next exam on."""

    chosen = Signal(object)

    def __init__(
        self, shelf: ModelShelf, runner: TaskRunner, rules: str = "", parent: QWidget | None = None
    ) -> None:
        """Make the page; ``rules`` says what the protocol of this station's study names, "" = there is no study."""
        super().__init__(parent)
        self._shelf, self._runner = shelf, runner
        self._choice = ModelChoice(main=shelf.main)
        self._looked = False
        self.found = Shelf()
        self.cards: list[ModelCardRow] = []
        self.note = _line(role="secondary")
        self.rules = _line(rules, role="accent")
        self.rules.setVisible(bool(rules))
        self.named = _line(role="accent")
        self.named.hide()
        self.again = QPushButton(_tr("Look again"))
        self.again.setToolTip(_tr("Look into the model folders once more"))
        self.again.clicked.connect(self.look)
        self.device = QComboBox()
        self.device.setAccessibleName(_tr("Device of the networks"))
        self.device.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.device.currentIndexChanged.connect(self._on_device)
        self._mains = QButtonGroup(self)
        self._column = QVBoxLayout()
        self._column.setSpacing(10)
        self._build()

    def _build(self) -> None:
        head = QHBoxLayout()
        head.addWidget(QLabel(_tr("Networks run on")))
        head.addWidget(self.device)
        head.addStretch(1)
        head.addWidget(self.again)
        hint = _line(
            _tr(
                "The main model is asked first and its findings are shown first; those beside it are asked after it, and a "
                "key shows them together. A choice holds from the next exam on. All models are for research use only."
            ),
            role="secondary",
        )
        inner = QWidget()
        inner.setMaximumWidth(1180)
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(head)
        for part in (self.rules, self.named, hint, self.note):
            column.addWidget(part)
        column.addSpacing(4)
        column.addLayout(self._column)
        column.addStretch(1)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(0, 0, 8, 0)
        outer.addWidget(inner, 10)
        outer.addStretch(1)

    # ---- in

    @property
    def shelf_main(self) -> str:
        """Id of the model that is main now."""
        return self._shelf.main

    def set_choice(self, choice: ModelChoice) -> None:
        """Show the choice of the settings."""
        self._choice = choice
        self.named.setVisible(self._shelf.named_here)
        words = _tr(
            "The program was started with the model {0}; it is the main one until the program ends, whatever is chosen "
            "here."
        )
        self.named.setText(words.format(self._shelf.main))
        self._show_devices()
        self._show_choice()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self._looked:
            self.look()

    def look(self) -> None:
        """Look into the folders beside the window."""
        self._looked = True
        self.again.setEnabled(False)
        self.note.setText(_tr("Looking at the models …"))
        self.note.show()
        self._runner.submit(_KEY, lambda _context: self._shelf.look(), self._on_found, self._on_failed)

    def _on_failed(self, error: Exception) -> None:
        self.again.setEnabled(True)
        self.note.setText(_tr("The models could not be looked at: {0}").format(error))

    def _on_found(self, found: Shelf) -> None:
        self.found = found
        self.again.setEnabled(True)
        broken = sum(one.standing is not Standing.RUNS for one in found.models)
        words = _tr("{0} models installed, all of them can run.").format(len(found.models))
        if broken:
            words = _tr("{0} models installed, {1} of them cannot run.").format(len(found.models), broken)
        self.note.setText(words if found.models else _tr("No model is installed."))
        if not found.devices:
            self.note.setText(f"{self.note.text()}  {_tr('Trying the devices …')}")
            self._runner.submit(
                _KEY, lambda _context: self._shelf.try_devices(), self._on_found, self._on_failed
            )
        while self.cards:
            card = self.cards.pop()
            self._mains.removeButton(card.main)
            self._column.removeWidget(card)
            card.hide()
            card.deleteLater()
        self._show_devices()
        for model in found.models:
            card = ModelCardRow(model, found.devices, self._choice.device)
            self._mains.addButton(card.main)
            card.main.clicked.connect(lambda _on, one=model.model_id: self._on_main(one))
            card.beside.clicked.connect(lambda on, one=model.model_id: self._on_beside(one, on=on))
            self._column.addWidget(card)
            self.cards.append(card)
        self._show_choice()

    def _show_devices(self) -> None:
        with QSignalBlocker(self.device):
            self.device.clear()
            auto = device_words(AUTO, self.found.devices)
            self.device.addItem(
                _tr("CUDA where there is one, else the CPU") + (f"  ({auto})" if self.found.devices else ""),
                AUTO,
            )
            names = [one.name for one in self.found.devices] or ["cpu"]
            if self._choice.device not in {AUTO, *names}:
                names.append(self._choice.device)  # kept, though it is not here now
            for name in names:
                self.device.addItem(device_words(name, self.found.devices), name)
            self.device.setCurrentIndex(max(self.device.findData(self._choice.device), 0))

    def _show_choice(self) -> None:
        main = self._shelf.main if self._shelf.named_here else self._choice.main
        beside = [one for one in self._choice.beside if one != main]
        for card in self.cards:
            name = card.model.model_id
            with QSignalBlocker(card.main), QSignalBlocker(card.beside):
                card.main.setChecked(bool(name) and name == main)
                card.beside.setChecked(name in beside and name != main)
            runs = card.model.standing is Standing.RUNS
            card.main.setEnabled((runs or card.main.isChecked()) and not self._shelf.named_here)
            free = len(beside) < MOST_BESIDE
            card.beside.setEnabled(card.beside.isChecked() or (runs and name != main and free))
            for switch in (
                card.main,
                card.beside,
            ):  # one that cannot run is not offered, only named where it is chosen
                switch.setVisible(runs or switch.isChecked())
            card.show_device(self._choice.device)

    # ---- out

    def _on_main(self, model_id: str) -> None:
        old = self._choice
        beside = tuple(one for one in old.beside if one != model_id)
        self._emit(ModelChoice(main=model_id, beside=beside, device=old.device))

    def _on_beside(self, model_id: str, *, on: bool) -> None:
        old = self._choice
        others = tuple(one for one in old.beside if one != model_id)
        beside = (*others, model_id) if on else others
        self._emit(ModelChoice(main=old.main, beside=beside, device=old.device))

    def _on_device(self, index: int) -> None:
        if index >= 0:
            old = self._choice
            device = str(self.device.itemData(index))
            self._emit(ModelChoice(main=old.main, beside=old.beside, device=device))

    def _emit(self, choice: ModelChoice) -> None:
        if choice != self._choice:
            self._choice = choice
            self.chosen.emit(choice)
        self._show_choice()


class ModelCardRow(QFrame):
    """One model: the two switches at the left, what is known of it at the right."""

    def __init__(self, model: InstalledModel, devices: Sequence[Device], device: str) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.model, self._devices = model, devices
        self.main, self.beside = QRadioButton(_tr("Main model")), QCheckBox(_tr("Beside it"))
        self.main.setAccessibleName(_tr("Main model: {0}").format(model.title))
        self.beside.setAccessibleName(_tr("Beside the main model: {0}").format(model.title))
        switches = QVBoxLayout()
        switches.addWidget(self.main)
        switches.addWidget(self.beside)
        switches.addStretch(1)
        side = QWidget()
        side.setMinimumWidth(_SIDE_PX)
        side.setLayout(switches)
        side.setStyleSheet("background: transparent;")
        self._where = _line()
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 10, 12, 10)
        row.addWidget(side)
        row.addLayout(self._facts(), 1)
        self.show_device(device)

    def _facts(self) -> QVBoxLayout:
        model = self.model
        title = _line(QCoreApplication.translate("model", model.title))
        title.setObjectName("cardTitle")
        origin = _tr("yours") if model.own else _tr("ships with the program")
        name = "  ·  ".join(filter(None, (f"{model.model_id} {model.version}".strip(), origin)))
        column = QVBoxLayout()
        column.setSpacing(4)
        column.addWidget(title)
        column.addWidget(_line(name, role="secondary"))
        if model.reason:
            damaged = model.standing is Standing.DAMAGED
            says = _tr("DAMAGED: {0}") if damaged else _tr("CANNOT RUN HERE: {0}")
            column.addWidget(_line(says.format(told(model.reason)), role="error"))
        if not model.model_id:
            column.addWidget(_line(f"{model.folder}  ·  {size_words(model.size_bytes)}", role="secondary"))
            return column
        grid = QGridLayout()
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(1, 1)
        licence = QCoreApplication.translate("model", model.licence)
        rows = (
            (_tr("Does"), _line(QCoreApplication.translate("model", model.task))),
            (_tr("Finds"), _line(finds_words(model))),
            (_tr("Reads"), _line(needs_words(model))),
            (_tr("Runs on"), self._where),
            (_tr("Licence"), _line(f"{licence}  ·  {size_words(model.size_bytes)}")),
            (_tr("Use"), _line(QCoreApplication.translate("model", model.intended_use), role="accent")),
        )
        for number, (said, words) in enumerate(rows):
            label = QLabel(said)
            label.setProperty("role", "secondary")
            grid.addWidget(label, number, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(words, number, 1)
        column.addLayout(grid)
        column.addLayout(self._more())
        return column

    def _more(self) -> QVBoxLayout:
        """Limits and training data, folded away."""
        model = self.model
        words = [f"–  {one}" for one in model.limits]
        words.append(_tr("Trained on: {0}").format(model.training_data))
        words.append(_tr("Weights SHA-256: {0}").format(model.weights))
        self.limits = _line("\n".join(words), role="secondary")
        self.limits.hide()
        button = QToolButton()
        button.setProperty("role", "point")
        button.setText(_tr("Known limits, training, digest"))
        button.setCheckable(True)
        button.toggled.connect(self.limits.setVisible)
        row = QHBoxLayout()
        row.addWidget(button)
        row.addStretch(1)
        column = QVBoxLayout()
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.limits)
        return column

    def show_device(self, device: str) -> None:
        """Say where it would run under this setting, and how fast it is."""
        where = device_words(device, self._devices) if self._devices else "…"
        if self.model.standing is not Standing.RUNS:
            where = _tr("does not run")
        self._where.setText(f"{where}  ·  {speed_words(self.model)}")


def _line(words: str = "", *, role: str = "") -> QLabel:
    label = QLabel(words)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    if role:
        label.setProperty("role", role)
    return label
