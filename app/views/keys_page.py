"""Settings page of keys: every command with its keys; press Enter and a new key to change one.

Shows and asks; whether a key is free is decided by ``app.control.commands``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.control.commands import COMMANDS, command_table, rebound, usable

_MODIFIERS = {Qt.Key.Key_Shift, Qt.Key.Key_Control, Qt.Key.Key_Alt, Qt.Key.Key_Meta, Qt.Key.Key_AltGr}


def _tr(text: str) -> str:
    return QCoreApplication.translate("settings", text)


def key_text(event: QKeyEvent) -> str:
    """Portable text of a pressed key, as commands keep it; empty for a lone modifier."""
    if event.key() in _MODIFIERS or event.key() in {0, Qt.Key.Key_unknown}:
        return ""
    modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
    sequence = QKeySequence(event.key() | modifiers.value)
    return sequence.toString(QKeySequence.SequenceFormat.PortableText)


class KeyTable(QTableWidget):
    """Commands in rows. While it waits for a key, every key is taken as the new one; Esc leaves off."""

    pressed_key = Signal(str, str)  # command id, key text
    waiting_changed = Signal(str)  # command id, empty when no longer waiting
    clear_asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 3, parent)
        self.waiting = ""
        self.setHorizontalHeaderLabels([_tr("Group"), _tr("Command"), _tr("Keys")])
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        self.verticalHeader().hide()
        self.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        self.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.cellDoubleClicked.connect(lambda _row, _column: self.wait())

    def chosen(self) -> str:
        """Command id of the current row; empty when there is none."""
        item = self.item(self.currentRow(), 0)
        return "" if item is None else str(item.data(Qt.ItemDataRole.UserRole))

    def wait(self) -> None:
        """Take the next key for the chosen command."""
        self._set_waiting(self.chosen())

    def _set_waiting(self, command_id: str) -> None:
        self.waiting = command_id
        self.waiting_changed.emit(command_id)

    def event(self, event) -> bool:  # type: ignore[no-untyped-def]
        # Shortcuts of the window must not swallow the key that is to become one.
        if self.waiting and event.type() == event.Type.ShortcutOverride:
            event.accept()
            return True
        if self.waiting and event.type() == event.Type.KeyPress and isinstance(event, QKeyEvent):
            self._take(event)
            return True
        return super().event(event)

    def _take(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and not event.modifiers():
            self._set_waiting("")
            return
        text = key_text(event)
        if text:
            command_id = self.waiting
            self._set_waiting("")
            self.pressed_key.emit(command_id, text)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter}:
            self.wait()
        elif event.key() in {Qt.Key.Key_Delete, Qt.Key.Key_Backspace} and self.chosen():
            self.clear_asked.emit(self.chosen())
        else:
            super().keyPressEvent(event)


class KeysPage(QWidget):
    """Search, table, reset and export."""

    changed = Signal(object)  # dict of the user's own keys by command id

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bindings: dict[str, tuple[str, ...]] = {}
        self.search = QLineEdit()
        self.search.setPlaceholderText(_tr("Search commands and keys"))
        self.search.setClearButtonEnabled(True)
        self.table = KeyTable()
        self.message = QLabel("")
        self.message.setWordWrap(True)
        self.message.setMinimumHeight(38)
        self._reset_one = QPushButton(_tr("Default for this command   Del"))
        self._reset_all = QPushButton(_tr("All defaults"))
        self._export = QPushButton(_tr("Export as text …"))
        row = QHBoxLayout()
        for button in (self._reset_one, self._reset_all, self._export):
            row.addWidget(button)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        for part in (self.search, self.table, self.message):
            layout.addWidget(part)
        layout.addLayout(row)
        self.search.textChanged.connect(lambda _text: self._fill())
        self.table.pressed_key.connect(self.rebind)
        self.table.waiting_changed.connect(self._on_waiting)
        self.table.clear_asked.connect(self.reset_one)
        self._reset_one.clicked.connect(lambda: self.reset_one(self.table.chosen()))
        self._reset_all.clicked.connect(self.reset_all)
        self._export.clicked.connect(self._choose_export)
        self._say("")

    def set_bindings(self, bindings: Mapping[str, tuple[str, ...]]) -> None:
        """Show these keys of the user over the defaults; what cannot be used is said."""
        self._bindings, refused = usable(bindings)
        self._fill()
        self._say(" ".join(refused), problem=bool(refused))

    def rebind(self, command_id: str, key: str) -> None:
        """Give a command this one key, or say which command has it."""
        try:
            self._bindings = rebound(self._bindings, command_id, (key,))
        except ValueError as error:
            self._say(str(error), problem=True)
            return
        self._emit(_tr("“{0}” now has {1}.").format(self._title(command_id), key))

    def reset_one(self, command_id: str) -> None:
        """Back to the default of one command, where no other command has taken it."""
        default = next((c.keys for c in COMMANDS if c.command_id == command_id), None)
        if default is None:
            return
        try:
            self._bindings = rebound(self._bindings, command_id, default)
        except ValueError as error:
            self._say(str(error), problem=True)
            return
        self._emit(_tr("“{0}” has its default again.").format(self._title(command_id)))

    def reset_all(self) -> None:
        self._bindings = {}
        self._emit(_tr("All keys are the defaults again."))

    def export(self, path: Path) -> None:
        """Write the keys in force, a line a command."""
        lines = [
            f"{QCoreApplication.translate('commands', c.group)}\t{self._title(c.command_id)}\t{' / '.join(c.keys)}"
            for c in command_table(self._bindings).values()
        ]
        try:
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        except OSError as error:
            self._say(
                _tr("{0}: expected to write the keys, found {1}; choose another place.").format(
                    path, error.strerror
                ),
                problem=True,
            )
            return
        self._say(_tr("Keys written to {0}.").format(path))

    def _choose_export(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, _tr("Export keys"), "negatoscope-keys.txt")
        if name:
            self.export(Path(name))

    def _emit(self, words: str) -> None:
        self._fill()
        self._say(words)
        self.changed.emit(dict(self._bindings))

    def _title(self, command_id: str) -> str:
        title = next(c.title for c in COMMANDS if c.command_id == command_id)
        return QCoreApplication.translate("commands", title)

    def _on_waiting(self, command_id: str) -> None:
        self._say(
            _tr("Press the new key for “{0}”.  Esc leaves it as it is.").format(self._title(command_id))
            if command_id
            else "",
            accent=True,
        )

    def _say(self, words: str, *, problem: bool = False, accent: bool = False) -> None:
        hint = _tr("Enter, then the new key. A key that another command has is refused.")
        self.message.setText(words or hint)
        role = "error" if problem else "accent" if accent and words else "secondary"
        self.message.setProperty("role", role)
        self.message.style().unpolish(self.message)
        self.message.style().polish(self.message)

    def _fill(self) -> None:
        chosen, wanted = self.table.chosen(), self.search.text().strip().casefold()
        rows = []
        for command in command_table(self._bindings).values():
            group = QCoreApplication.translate("commands", command.group)
            texts = (group, self._title(command.command_id), " / ".join(command.keys))
            if wanted in " ".join(texts).casefold():
                rows.append((command.command_id, texts))
        self.table.setRowCount(len(rows))
        for index, (command_id, texts) in enumerate(rows):
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setData(Qt.ItemDataRole.UserRole, command_id)
                if column == 2 and command_id in self._bindings:
                    own = item.font()
                    own.setBold(True)
                    item.setFont(own)
                self.table.setItem(index, column, item)
            if command_id == chosen:
                self.table.selectRow(index)
        if self.table.currentRow() < 0 and rows:
            self.table.selectRow(0)
        self.table.resizeColumnsToContents()
