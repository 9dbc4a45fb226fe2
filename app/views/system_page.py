"""The settings' page "This station": runs the doctor beside the window and shows its lines, to read and to copy.

Shows what it is handed; what is looked at is ``app.doctor``.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.control.tasks import TaskRunner
from app.doctor import HealthLine, HealthReport, Told, Verdict, as_text

Examine = Callable[[Told], HealthReport]
_KEY = "doctor"
_ROLE = {Verdict.OK: "ok", Verdict.WARNING: "accent", Verdict.FAULT: "error"}


def _tr(text: str) -> str:
    return QCoreApplication.translate("doctor", text)


class SystemPage(QWidget):
    """A button, then the lines: worst first, each with its remedy."""

    def __init__(self, examine: Examine, runner: TaskRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._examine, self._runner = examine, runner
        self.report: HealthReport | None = None
        self.check = QPushButton(_tr("Check this station"))
        self.check.clicked.connect(self.start)
        self.copy = QPushButton(_tr("Copy as text"))
        self.copy.setEnabled(False)
        self.copy.clicked.connect(self._copy)
        self.note = QLabel(
            _tr("Looks at versions, codecs, models, GPU, monitors, disk, clocks, database, settings and PACS. Nothing is sent.")
        )  # fmt: skip
        self.note.setProperty("role", "secondary")
        self.note.setWordWrap(True)
        head = QHBoxLayout()
        head.addWidget(self.check)
        head.addWidget(self.copy)
        head.addStretch(1)
        self._lines = QVBoxLayout()
        self._lines.setSpacing(0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(head)
        layout.addWidget(self.note)
        layout.addSpacing(8)
        layout.addLayout(self._lines)
        layout.addStretch(1)

    def start(self) -> None:
        """Run all checks beside the window."""
        self.check.setEnabled(False)
        self.note.setText(_tr("Checking …"))
        self._runner.submit(
            _KEY,
            lambda context: self._examine(context.report),
            self._on_done,
            self._on_failed,
            self._on_progress,
        )

    def _on_progress(self, fraction: float, title: str) -> None:
        if fraction < 1.0:
            self.note.setText(_tr("Checking … {0:.0f} %  {1}").format(100 * fraction, title))

    def _on_failed(self, error: Exception) -> None:
        self.check.setEnabled(True)
        words = _tr("The check could not be run ({0}); run `negatoscope doctor` in a terminal.")
        self.note.setText(words.format(type(error).__name__))

    def _on_done(self, report: HealthReport) -> None:
        self.report = report
        self.check.setEnabled(True)
        self.copy.setEnabled(True)
        self.note.setText(as_text(report).rsplit("\n", 1)[-1] + f"   {report.made_utc}")
        while (old := self._lines.takeAt(0)) is not None:
            if (widget := old.widget()) is not None:
                widget.deleteLater()
        order = (Verdict.FAULT, Verdict.WARNING, Verdict.OK)
        for line in sorted(report.lines, key=lambda one: order.index(one.verdict)):
            self._lines.addWidget(_row(line))

    def _copy(self) -> None:
        if self.report is not None:
            QGuiApplication.clipboard().setText(as_text(self.report))


def _row(line: HealthLine) -> QFrame:
    row = QFrame()
    grid = QGridLayout(row)
    grid.setContentsMargins(0, 7, 0, 7)
    grid.setHorizontalSpacing(16)
    grid.setColumnStretch(2, 1)
    verdict = QLabel(line.verdict.words())
    verdict.setProperty("role", _ROLE[line.verdict])
    verdict.setMinimumWidth(80)
    title = QLabel(line.title)
    title.setMinimumWidth(120)
    title.setMaximumWidth(220)
    title.setWordWrap(True)
    for column, label in enumerate((verdict, title)):
        grid.addWidget(label, 0, column, Qt.AlignmentFlag.AlignTop)
    found = QLabel(line.found)
    found.setProperty("role", "secondary" if line.verdict is Verdict.OK else "")
    grid.addWidget(found, 0, 2)
    texts = [found]
    if line.remedy:
        texts.append(QLabel(f"→ {line.remedy}"))
        grid.addWidget(texts[-1], 1, 2)
    for label in texts:
        label.setWordWrap(True)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return row
