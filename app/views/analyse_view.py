"""Analyse a study: choose its data, see every table and figure of the report, save it.

Collects choices, shows a finished report and writes it; what is in it is ``reader_study.report``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication, Qt, QUrl, Signal
from PySide6.QtGui import QKeySequence, QShortcut, QTextDocument
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QProgressBar,
    QPushButton,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from app.control.tasks import TaskContext, TaskRunner
from app.views import report_pages
from app.views.coordinator.page import quiet
from app.views.theme import scaled
from reader_study.report.page import Figure
from resources.files import UserFacingError

if TYPE_CHECKING:
    from reader_study.report.page import Report

TASK = "analyse"
FILES = "*.imrmc *.csv *.xlsx *.lrc"
NO_CUT = -1.0


def _tr(text: str) -> str:
    return QCoreApplication.translate("analyse", text)


class Stopped(Exception):
    """The user cancelled."""


class AnalyseView(QWidget):
    """Choices on the left, sections in the middle, the chosen section on the right."""

    closed = Signal()

    def __init__(self, runner: TaskRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("analyse")
        self._runner = runner
        # What must be told before a report is shown, of its source; a refusal keeps the report hidden.
        self.tell_first: Callable[[Path], None] | None = None
        self._asked: Path | None = None
        self.source: Path | None = None
        self.truth: Path | None = None
        self.groups: Path | None = None
        self.report: Report | None = None
        self._names = {what: quiet("") for what in ("source", "truth", "groups")}
        self.fom, self.method, self.covariance, self.claim = (QComboBox() for _ in range(4))
        self.cut, self.margin = QDoubleSpinBox(), QDoubleSpinBox()
        self.start, self.save = (
            QPushButton(_tr("Analyse   F5")),
            QPushButton(_tr("Save the report …   Ctrl+S")),
        )
        self.print_pdf = QPushButton(_tr("Save as PDF …   Ctrl+P"))
        self.stop = QPushButton(_tr("Cancel"))
        self.progress = QProgressBar()
        self.said = quiet("")
        self.problem = QLabel("")
        self.problem.setProperty("role", "error")
        self.problem.setWordWrap(True)
        self.sections = QListWidget()
        self.sections.setObjectName("settingsPages")
        self.page = QTextBrowser()
        self.page.setOpenLinks(False)
        self._fill()
        self._build()
        self.sections.currentRowChanged.connect(self._show_section)
        self._state()

    # ---- looks

    def _fill(self) -> None:
        for value, text in (
            ("", _tr("AUC of ratings, wAFROC of marks")), ("AUC", "AUC"), ("wAFROC", "wAFROC"), ("AFROC", "AFROC"), ("wAFROC1", "wAFROC1"),
            ("AFROC1", "AFROC1"), ("HrAuc", "HrAuc"), ("sensitivity", _tr("sensitivity at the cut-off")), ("specificity", _tr("specificity at the cut-off")),
        ):  # fmt: skip
            self.fom.addItem(text, value)
        for value, text in (("OR", "Obuchowski-Rockette"), ("DBM", "Dorfman-Berbaum-Metz"), ("Ustat", _tr("U-statistics (missing reads)"))):  # fmt: skip
            self.method.addItem(text, value)
        for value, text in (("jackknife", _tr("jackknife")), ("DeLong", "DeLong"), ("unbiased", _tr("unbiased"))):  # fmt: skip
            self.covariance.addItem(text, value)
        for value, text in (("", _tr("none: a difference, two-sided")), ("superiority", _tr("superiority of the first arm")), ("non-inferiority", _tr("non-inferiority of the first arm"))):  # fmt: skip
            self.claim.addItem(text, value)
        for box in (self.cut, self.margin):
            box.lineEdit().setTextMargins(5, 0, 0, 0)
        self.cut.setRange(NO_CUT, 1000.0)
        self.cut.setValue(NO_CUT)
        self.cut.setSpecialValueText(_tr("none"))
        self.cut.setToolTip(_tr("A reading is positive from this rating on; without it there are no tables of sensitivity and errors"))  # fmt: skip
        self.margin.setRange(0.0, 0.5)
        self.margin.setDecimals(3)
        self.margin.setSingleStep(0.01)

    def _build(self) -> None:
        title = QLabel(_tr("Analyse a study"))
        title.setProperty("role", "heading")
        back = QPushButton(_tr("Back   Esc"))
        back.clicked.connect(self.closed)
        head = QHBoxLayout()
        head.addWidget(title)
        head.addStretch(1)
        head.addWidget(self.save)
        head.addWidget(self.print_pdf)
        head.addWidget(back)
        self.start.setProperty("role", "primary")
        self.start.clicked.connect(self.analyse)
        self.save.clicked.connect(self._choose_out)
        self.print_pdf.clicked.connect(self._choose_pdf)
        self.stop.clicked.connect(self.cancel)
        keys: tuple[tuple[str, Callable[[], object]], ...] = (
            ("Esc", self.closed.emit), ("F5", self.analyse), ("Ctrl+S", self._choose_out), ("Ctrl+P", self._choose_pdf), ("Ctrl+O", self._choose_folder),
            ("Ctrl+Shift+O", self._choose_file), ("Ctrl+T", self._choose_truth),
        )  # fmt: skip
        for key, action in keys:
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(action)
        self.sections.setFixedWidth(scaled(280))
        body = QHBoxLayout()
        body.setSpacing(20)
        body.addWidget(self._form())
        body.addWidget(self.sections)
        body.addWidget(self.page, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(32, 24, 32, 24)
        layout.setSpacing(12)
        layout.addLayout(head)
        layout.addLayout(body, 1)

    def _form(self) -> QWidget:
        card = QFrame()
        card.setProperty("role", "card")
        card.setFixedWidth(scaled(400))
        column = QVBoxLayout(card)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(8)
        for text, action, what in (
            (_tr("Export folder of a study …   Ctrl+O"), self._choose_folder, ""),
            (_tr("Or a file: iMRMC, RJafroc, MRMCaov, OR-DBM …"), self._choose_file, "source"),
            (_tr("Truth of the cases, for a folder …   Ctrl+T"), self._choose_truth, "truth"),
            (_tr("Groups of readers, if any …"), self._choose_groups, "groups"),
        ):
            button = QPushButton(text)
            button.clicked.connect(action)
            column.addWidget(button)
            if not what:
                self.first = button
            if what:
                column.addWidget(self._names[what])
        form = QFormLayout()
        form.setVerticalSpacing(8)
        for name, field in (
            (_tr("Positive from"), self.cut), (_tr("Figure of merit"), self.fom), (_tr("Method"), self.method), (_tr("Covariance"), self.covariance),
            (_tr("Claim"), self.claim), (_tr("Margin"), self.margin),
        ):  # fmt: skip
            form.addRow(name, field)
        column.addLayout(form)
        column.addSpacing(6)
        for widget in (self.start, self.stop, self.progress, self.said, self.problem):
            column.addWidget(widget)
        column.addStretch(1)
        return card

    def focus(self) -> None:
        """Put the keyboard where the next step is: the sections of a report, else the first choice."""
        target = self.sections if self.report is not None else self.first
        target.setFocus(Qt.FocusReason.OtherFocusReason)

    # ---- choosing

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, _tr("Export folder of a study"))
        if folder:
            self.take(source=Path(folder))

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, _tr("Data file"), "", FILES)
        if path:
            self.take(source=Path(path))

    def _choose_truth(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, _tr("Truth of the cases"), "", "*.csv")
        if path:
            self.take(truth=Path(path))

    def _choose_groups(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, _tr("Groups of readers"), "", "*.csv")
        if path:
            self.take(groups=Path(path))

    def take(self, *, source: Path | None = None, truth: Path | None = None, groups: Path | None = None) -> None:  # fmt: skip
        """Take what was chosen; the export's own truth table is used where there is one."""
        if source is not None:
            self.source, self.truth = source, None
            if source.is_dir() and (source / "truth.csv").is_file():
                self.truth = source / "truth.csv"
        self.truth = truth or self.truth
        self.groups = groups or self.groups
        self.problem.setText("")
        self._state()

    def _state(self, *, busy: bool = False) -> None:
        """Show what is chosen and what can be done now."""
        for what, path in (("source", self.source), ("truth", self.truth), ("groups", self.groups)):
            self._names[what].setText("" if path is None else path.name if what == "source" else f"{path.parent.name}/{path.name}")  # fmt: skip
            self._names[what].setVisible(path is not None)
        self.start.setEnabled(self.source is not None and not busy)
        self.stop.setVisible(busy)
        self.progress.setVisible(busy)
        for button in (self.save, self.print_pdf):
            button.setEnabled(self.report is not None and not busy)
        if self.report is None and not busy:
            self.said.setText(_tr("Choose an export folder and its truth table, or one data file; then F5."))

    # ---- analysing

    def analyse(self) -> None:
        """Make the report beside the window's thread."""
        if self.source is None:
            self.problem.setText(_tr("Choose an export folder or a data file first."))
            return
        source, truth, groups = self.source, self.truth, self.groups
        if source.is_dir() and truth is None:
            self.problem.setText(_tr("An export folder needs a table with the truth of its cases (case_id, malignant)."))  # fmt: skip
            return
        cut = None if self.cut.value() == NO_CUT else self.cut.value()
        chosen = {
            "fom": self.fom.currentData(), "method": self.method.currentData(), "covariance": self.covariance.currentData(),
            "claim": self.claim.currentData(), "margin": self.margin.value(),
        }  # fmt: skip

        def work(context: TaskContext) -> Report:
            return _report(context, source, truth, groups, cut, chosen)

        self._asked = source
        self.problem.setText("")
        self.progress.setRange(0, 100)
        self.progress.setValue(0)
        self.said.setText(_tr("Reading the data …"))
        self._state(busy=True)
        self._runner.submit(TASK, work, self._done, self._failed, self._progressed)

    def cancel(self) -> None:
        """Stop; the report that was there stays."""
        self._runner.cancel(TASK)
        self._state()
        self.said.setText(_tr("Cancelled."))

    def _progressed(self, fraction: float, text: str) -> None:
        self.progress.setValue(round(100 * fraction))
        if text:
            self.said.setText(_tr("Computing: {0} …").format(text))

    def _done(self, report: Any) -> None:
        if self.tell_first is not None and self._asked is not None:
            try:
                self.tell_first(self._asked)
            except UserFacingError as error:
                self._failed(error)
                return
        self.report = report
        row = max(self.sections.currentRow(), 0)
        self.sections.blockSignals(True)
        self.sections.clear()
        self.sections.addItems([section.title for section in report.sections])
        self.sections.blockSignals(False)
        self._state()
        self.said.setText(f"{report.title}: {report.subtitle}")
        self.sections.setCurrentRow(min(row, len(report.sections) - 1))
        self._show_section(self.sections.currentRow())
        self.sections.setFocus(Qt.FocusReason.OtherFocusReason)

    def _failed(self, error: Exception) -> None:
        self._state()
        known = isinstance(error, UserFacingError)
        self.said.setText("")
        self.problem.setText(str(error) if known else _tr("The report could not be made: {0}").format(repr(error)))  # fmt: skip

    def _show_section(self, row: int) -> None:
        if self.report is None or row < 0:
            return
        section = self.report.sections[row]
        document = QTextDocument(self.page)
        document.setDefaultFont(self.page.font())
        scale = self.page.fontMetrics().height() / 16
        for part in section.parts:
            if isinstance(part, Figure):
                image = report_pages.figure_image(part, self.devicePixelRatioF(), max(1.0, scale))
                document.addResource(QTextDocument.ResourceType.ImageResource.value, QUrl(f"figure:{part.name}"), image)  # fmt: skip
        document.setHtml(report_pages.section_html(section))
        self.page.setDocument(document)

    # ---- saving

    def _choose_out(self) -> None:
        if self.report is None:
            return
        folder = QFileDialog.getExistingDirectory(self, _tr("Folder for the report"))
        if folder:
            self.save_to(Path(folder))

    def _choose_pdf(self) -> None:
        if self.report is None:
            return
        path, _ = QFileDialog.getSaveFileName(self, _tr("Report as PDF"), "report.pdf", "*.pdf")
        if path:
            self.save_pdf(Path(path))

    def save_pdf(self, path: Path) -> None:
        """Write the report as one PDF."""
        if self.report is None:
            return
        from app.views.report_pdf import to_pdf

        try:
            path.write_bytes(to_pdf(self.report))
        except OSError as error:
            self.problem.setText(_tr("The report could not be written: {0}.").format(error.strerror))
            return
        self.said.setText(_tr("Saved: {0}").format(path))

    def save_to(self, folder: Path) -> None:
        """Write report.html, the tables as CSV and the figures as SVG."""
        if self.report is None:
            return
        from reader_study.report.page import write

        try:
            files = write(self.report, folder)
        except OSError as error:
            self.problem.setText(_tr("The report could not be written: {0}.").format(error.strerror))
            return
        self.said.setText(_tr("{0}: {1} tables and figures beside it").format(files[0], len(files) - 1))


def _report(
    context: TaskContext, source: Path, truth: Path | None, groups: Path | None, cut: float | None, chosen: dict[str, Any]
) -> Report:  # fmt: skip
    """Read and compute, outside the window's thread; matplotlib and statsmodels are imported here."""
    from dataclasses import replace

    from reader_study.report.analysis import Choice, CovarianceName, Fom, Method
    from reader_study.report.make import make_report
    from reader_study.report.sources import inputs_of_export, inputs_of_file
    from reader_study.statistics.obuchowski_rockette import Claim

    def progress(fraction: float, text: str) -> None:
        if context.cancelled():
            raise Stopped
        context.report(fraction, text)

    if source.is_dir():
        assert truth is not None
        inputs = inputs_of_export(source, truth, cut=cut, groups=groups)
    else:
        inputs = inputs_of_file(source, cut=cut)
    claim = Claim(chosen["claim"]) if chosen["claim"] else None
    inputs = replace(inputs, claim=claim, margin=chosen["margin"])
    choice = Choice(
        fom=Fom(chosen["fom"]) if chosen["fom"] else None,
        method=Method(chosen["method"]),
        covariance=CovarianceName(chosen["covariance"]),
        cut=cut,
    )
    return make_report(inputs, choice, progress)
