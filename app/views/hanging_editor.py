"""Choose a hanging protocol, see which fit and why, reorder its steps and save it as one's own.

Speaks to the face ``HangingDesk``; the rules and the files are ``app.state``'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol as Face

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.state.display import ZoomMode
from app.state.hanging import Choice, Protocol, title_words
from app.state.hanging_rules import StageRule
from app.state.protocol_library import ProtocolLibrary
from app.views import theme
from resources.files import UserFacingError

_EACH_VIEW = ("{view} 1:1", ZoomMode.ACTUAL)
_ZOOMS = (ZoomMode.SAME, ZoomMode.FIT, ZoomMode.ACTUAL, ZoomMode.TRUE)


def zoom_words(mode: ZoomMode) -> str:
    """How a step opens, in the words of the status line."""
    return {
        ZoomMode.SAME: _tr("same size"),
        ZoomMode.FIT: _tr("fit"),
        ZoomMode.ACTUAL: _tr("actual pixels"),
        ZoomMode.TRUE: _tr("true size"),
    }[mode]


def _tr(text: str) -> str:
    return QCoreApplication.translate("hanging_editor", text)


class HangingDesk(Face):
    """What the editor needs of the controller."""

    @property
    def library(self) -> ProtocolLibrary: ...

    def choices(self) -> tuple[Choice, ...]: ...

    def use(self, protocol_id: str | None) -> None: ...

    def try_out(self, protocol: Protocol) -> None: ...


class HangingEditor(QDialog):
    """Left the protocols, best first; right the steps of the chosen one. All by keyboard."""

    def __init__(self, desk: HangingDesk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("hangingEditor")
        self.setWindowTitle(_tr("Hanging protocols"))
        self.resize(980, 600)
        self._desk = desk
        self._choices: tuple[Choice, ...] = ()
        self._stages: list[StageRule] = []
        self.protocols, self.steps = QListWidget(), QListWidget()
        self.step_title, self.zoom, self.title = QLineEdit(), QComboBox(), QLineEdit()
        self.pool, self.each_view = QComboBox(), QCheckBox(_tr("then each view alone at actual pixels"))
        self._pool: list[StageRule] = []
        self.pool.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        for mode in _ZOOMS:
            self.zoom.addItem(zoom_words(mode), mode)
        self._said = QLabel("")
        self._said.setProperty("role", "error")
        self._said.setWordWrap(True)
        self._build()
        self.protocols.currentRowChanged.connect(self._show_protocol)
        self.protocols.itemActivated.connect(lambda _item: self.use())
        self.steps.currentRowChanged.connect(self._show_step)
        self.step_title.editingFinished.connect(self._rename)
        self.zoom.activated.connect(self._resize_step)
        self._fill()
        self.protocols.setFocus(Qt.FocusReason.OtherFocusReason)

    def _button(self, words: str, key: str, action: object) -> QPushButton:
        button = QPushButton(f"{words}   {key}")
        button.setShortcut(key)
        button.setAutoDefault(False)
        button.clicked.connect(action)
        return button

    def _build(self) -> None:
        left, right = QVBoxLayout(), QVBoxLayout()
        left.addWidget(QLabel(_tr("Protocols, the best fit first")))
        left.addWidget(self.protocols, 1)
        uses = QHBoxLayout()
        uses.addWidget(self._button(_tr("Use"), "Ctrl+Return", self.use))
        uses.addWidget(self._button(_tr("Best fit"), "Ctrl+0", self.use_best))
        uses.addWidget(self._button(_tr("Delete own"), "Ctrl+Del", self.delete))
        left.addLayout(uses)
        right.addWidget(QLabel(_tr("Steps")))
        right.addWidget(self.steps, 1)
        moves = QHBoxLayout()
        moves.addWidget(self._button(_tr("Up"), "Alt+Up", lambda: self.move_step(-1)))
        moves.addWidget(self._button(_tr("Down"), "Alt+Down", lambda: self.move_step(1)))
        moves.addWidget(self._button(_tr("Remove"), "Alt+Del", self.remove_step))
        moves.addWidget(self._button(_tr("Try"), "Alt+T", self.try_out))
        right.addLayout(moves)
        adds = QHBoxLayout()
        adds.addWidget(self.pool, 1)
        adds.addWidget(self._button(_tr("Add"), "Alt+A", self.add_step))
        right.addLayout(adds)
        right.addWidget(self.each_view)
        form = QGridLayout()
        for row, (words, field) in enumerate(
            (
                (_tr("Step title"), self.step_title),
                (_tr("Opens at size"), self.zoom),
                (_tr("Save as"), self.title),
            )
        ):
            form.addWidget(QLabel(words), row, 0)
            form.addWidget(field, row, 1)
        right.addLayout(form)
        right.addWidget(self._button(_tr("Save as my own"), "Ctrl+S", self.save))
        columns = QHBoxLayout()
        columns.addLayout(left, 1)
        columns.addSpacing(16)
        columns.addLayout(right, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(columns, 1)
        layout.addWidget(self._said)
        layout.addWidget(self._button(_tr("Close"), "Esc", self.accept), 0, Qt.AlignmentFlag.AlignRight)

    def _fill(self, keep: str | None = None) -> None:
        self._choices = self._desk.choices()
        self.protocols.clear()
        for choice in self._choices:
            own = _tr("my own: ") if choice.protocol.own else ""
            item = QListWidgetItem(f"{own}{title_words(choice.protocol.title)}\n    {choice.why}")
            if not choice.fits:
                item.setForeground(QColor(theme.TEXT_SECONDARY))
            self.protocols.addItem(item)
        self._fill_pool()
        ids = [choice.protocol.protocol_id for choice in self._choices]
        self.protocols.setCurrentRow(ids.index(keep) if keep in ids else 0)
        self._say("  ".join(self._desk.library.shelf().problems))

    def _fill_pool(self) -> None:
        """All steps of all protocols, to add to this one."""
        self._pool = [stage for choice in self._choices for stage in choice.protocol.stages]
        names = [(c.protocol.title, stage.title) for c in self._choices for stage in c.protocol.stages]
        self.pool.clear()
        self.pool.addItems([f"{title_words(title)}: {title_words(step)}" for title, step in names])

    def _say(self, sentence: str) -> None:
        self._said.setText(sentence)

    def _current(self) -> Protocol | None:
        row = self.protocols.currentRow()
        return self._choices[row].protocol if 0 <= row < len(self._choices) else None

    def _show_protocol(self, _row: int) -> None:
        protocol = self._current()
        if protocol is None:
            return
        self._stages = list(protocol.stages)
        self.each_view.setChecked(protocol.each_view is not None)
        known = title_words(protocol.title)
        self.title.setText(protocol.title if protocol.own else _tr("My {0}").format(known.lower()))
        self._list_steps(0)

    def _list_steps(self, row: int) -> None:
        self.steps.clear()
        for number, stage in enumerate(self._stages, 1):
            self.steps.addItem(
                f"{number}  {title_words(stage.title)}   {stage.rows} x {stage.cols}, {zoom_words(stage.zoom)}"
            )
        self.steps.setCurrentRow(min(max(row, 0), len(self._stages) - 1))

    def _show_step(self, row: int) -> None:
        if 0 <= row < len(self._stages):
            self.step_title.setText(title_words(self._stages[row].title))
            self.zoom.setCurrentIndex(_ZOOMS.index(self._stages[row].zoom))

    def _change_step(self, stage: StageRule) -> None:
        row = self.steps.currentRow()
        if 0 <= row < len(self._stages) and stage != self._stages[row]:
            self._stages[row] = stage
            self._list_steps(row)

    def _rename(self) -> None:
        row, words = self.steps.currentRow(), self.step_title.text().strip()
        if 0 <= row < len(self._stages) and words not in {"", title_words(self._stages[row].title)}:
            self._change_step(replace(self._stages[row], title=words))

    def _resize_step(self, index: int) -> None:
        row = self.steps.currentRow()
        if 0 <= row < len(self._stages):
            self._change_step(replace(self._stages[row], zoom=_ZOOMS[index]))

    # ---- what the user asks

    def move_step(self, by: int) -> None:
        """Move the chosen step up (-1) or down (1)."""
        row = self.steps.currentRow()
        if 0 <= row < len(self._stages) and 0 <= row + by < len(self._stages):
            self._stages.insert(row + by, self._stages.pop(row))
            self._list_steps(row + by)

    def remove_step(self) -> None:
        """Take the chosen step out; the last one stays."""
        row = self.steps.currentRow()
        if len(self._stages) < 2 or row < 0:
            self._say(_tr("A protocol needs at least one step."))
            return
        self._stages.pop(row)
        self._list_steps(row)

    def add_step(self) -> None:
        """Put the step chosen from all protocols after the current one."""
        if 0 <= self.pool.currentIndex() < len(self._pool):
            row = self.steps.currentRow() + 1
            self._stages.insert(row, self._pool[self.pool.currentIndex()])
            self._list_steps(row)

    def edited(self) -> Protocol | None:
        """The chosen protocol with the steps as they stand in the list."""
        protocol = self._current()
        if protocol is None:
            return None
        each = _EACH_VIEW if protocol.each_view is None else protocol.each_view
        kinds = (k for stage in self._stages for slot in stage.slots if not slot.prior for k in slot.kinds)
        return replace(
            protocol,
            stages=tuple(self._stages),
            each_view=each if self.each_view.isChecked() else None,
            # A step of another protocol brings its kinds with it, or its images would count as not to be hung.
            hangs_kinds=tuple(dict.fromkeys((*protocol.hangs_kinds, *kinds))),
        )

    def try_out(self) -> None:
        """Hang the case by the steps as they stand, without saving."""
        protocol = self.edited()
        if protocol is not None:
            self._desk.try_out(protocol)

    def use(self) -> None:
        """Hang by the chosen protocol from now on."""
        protocol = self._current()
        if protocol is not None:
            self._desk.use(protocol.protocol_id)
            self.accept()

    def use_best(self) -> None:
        """Let every exam hang by what fits it best."""
        self._desk.use(None)
        self.accept()

    def save(self) -> None:
        """Save the steps as the user's own protocol and hang by it."""
        protocol = self.edited()
        if protocol is None:
            return
        try:
            own = self._desk.library.save(protocol, self.title.text())
        except UserFacingError as error:
            self._say(str(error))
            return
        self._desk.use(own.protocol_id)
        self._fill(keep=own.protocol_id)

    def delete(self) -> None:
        """Delete one of the user's own protocols."""
        protocol = self._current()
        if protocol is None:
            return
        try:
            self._desk.library.delete(protocol.protocol_id)
        except UserFacingError as error:
            self._say(str(error))
            return
        self._desk.use(None)
        self._fill()
