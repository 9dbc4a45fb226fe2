"""Cases: bring exams in without identity, say which are practice, bring the truth in, see what it covers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QCoreApplication, Signal
from PySide6.QtWidgets import QFileDialog, QLabel, QLineEdit, QSplitter, QVBoxLayout, QWidget

from app.control.coordinating import Coordinating
from app.control.coordination_ports import CaseImport, Row, TruthRefused
from app.control.tasks import TaskRunner
from app.control.told import told
from app.views.coordinator.page import Page, button, quiet, row_of, section
from app.views.coordinator.table import DataTable
from reader_study.permissions import Action
from resources.files import UserFacingError


def _tr(text: str) -> str:
    return QCoreApplication.translate("coordinator", text)


class CasesPage(Page):
    """The study's cases above, what became of each file or cell below."""

    pacs_asked = Signal(object)  # what imports, hers from the click on

    def __init__(self, runner: TaskRunner) -> None:
        super().__init__(_tr("Cases"), runner, "coordinator.cases")
        self.folder = button(_tr("Import folder …"), self._ask_folder, role="primary")
        self.file = button(_tr("Import zip or manifest …"), self._ask_file)
        self.pacs = button(_tr("From the PACS …"), self.ask_pacs)
        self.truth = button(_tr("Import truth (CSV) …"), self._ask_truth)
        self.cases = DataTable(
            "cases",
            _tr(
                "No cases yet. Import a folder, zip or manifest: files are de-identified and get neutral names."
            ),
        )
        self.report = DataTable("import-report", _tr("What became of each file stands here after an import."))
        self.coverage = QLabel("")
        self.coverage.setWordWrap(True)
        self.stratum = QLineEdit()
        self.stratum.setPlaceholderText(_tr("Stratum"))
        self.stratum.setMaximumWidth(140)
        self.waiting = (self.folder, self.file, self.pacs, self.truth)
        self._lay_out()

    def _lay_out(self) -> None:
        self.body.addLayout(row_of(self.folder, self.file, self.pacs, self.truth))
        self.body.addWidget(
            quiet(
                _tr("De-identified by the basic profile of PS3.15: ages kept, dates moved for each woman, the key kept "
                    "apart. The newest exam of a woman is the case, older ones are its priors.")
            )
        )  # fmt: skip
        self.body.addWidget(self.coverage)
        upper = QWidget()
        top = QVBoxLayout(upper)
        top.setContentsMargins(0, 0, 0, 0)
        top.addWidget(self.cases, 1)
        top.addLayout(
            row_of(
                button(_tr("Practice / analysed"), self.toggle_practice,
                       tip=_tr("Chosen cases become practice cases, or analysed ones again")),
                self.stratum,
                button(_tr("Set stratum"), self.set_stratum, tip=_tr("Of the chosen cases")),
                button(_tr("Strata from the truth"), self.stratify,
                       tip=_tr("Neutral labels; which is which stays with the key")),
                button(_tr("Show the truth"), self.show_truth, role="quiet"),
            )
        )  # fmt: skip
        lower = QWidget()
        bottom = QVBoxLayout(lower)
        bottom.setContentsMargins(0, 8, 0, 0)
        self._report_title = section(_tr("IMPORT REPORT"))
        bottom.addWidget(self._report_title)
        bottom.addWidget(self.report, 1)
        split = QSplitter()
        split.setOrientation(split.orientation().Vertical)
        split.setChildrenCollapsible(False)
        split.addWidget(upper)
        split.addWidget(lower)
        split.setSizes([500, 300])
        self.body.addWidget(split, 1)

    @property
    def first(self) -> QWidget:
        return self.folder

    def show_study(self, work: Coordinating) -> None:
        study = work.study
        stored = {str(row[0]): row for row in work.files.case_rows()}
        rows: list[Row] = []
        for case in study.cases:
            kept = stored.get(case.case_id)
            images = kept[1] if kept else None
            role = _tr("practice") if case.practice else _tr("analysed")
            rows.append(
                (
                    case.case_id,
                    role,
                    case.stratum,
                    case.age_years,
                    images,
                    len(case.priors),
                    case.exam_digest[:16],
                )
            )
        rows += [
            (name, _tr("not in the protocol"), "", row[3], row[1], row[2], str(row[5])[:16])
            for name, row in stored.items()
            if name not in {case.case_id for case in study.cases}
        ]  # fmt: skip
        columns = (
            _tr("Case"),
            _tr("Role"),
            _tr("Stratum"),
            _tr("Age"),
            _tr("Images"),
            _tr("Priors"),
            _tr("Digest"),
        )
        lacking = frozenset(n for n, row in enumerate(rows) if not row[6])
        self.cases.set_rows(columns, rows, wrong=lacking)
        refusal = work.why_not(Action.IMPORT_CASES)
        for tool in (self.folder, self.file, self.pacs):
            tool.setEnabled(refusal is None)
            tool.setToolTip(told(refusal or ""))
        self._show_coverage(work)

    def _show_coverage(self, work: Coordinating) -> None:
        if work.why_not(Action.IMPORT_TRUTH) is not None:
            self.coverage.setText("")
            return
        found = work.truth_coverage()
        words = _tr("Truth: {0} of {1} imported cases are covered.").format(found.covered, found.cases)
        if found.lacking:
            names = ", ".join(found.lacking[:8]) + (" …" if len(found.lacking) > 8 else ".")
            words += "  " + _tr("Without truth: {0}").format(names)
        self.coverage.setText(words)
        self.coverage.setProperty("role", "secondary" if found.lacking or not found.cases else "ok")
        self.coverage.style().polish(self.coverage)

    def forget(self) -> None:
        super().forget()
        for table in (self.cases, self.report):
            table.set_rows((), ())
        self.coverage.clear()

    # -- import

    def import_from(self, source: Path) -> None:
        """Import a folder, zip or manifest beside the window."""
        if self.work is None:
            return
        try:
            bring = self.work.importer()  # hers from the click on, whenever the work begins
        except UserFacingError as error:
            self.fail(error)
            return
        self.run(
            _tr("Importing {0}").format(source.name), lambda context: bring(source, context), self._imported
        )

    def ask_pacs(self) -> None:
        """Ask for the PACS screen, with what imports from there."""
        if self.work is None:
            return
        try:
            self.pacs_asked.emit(self.work.importer())
        except UserFacingError as error:
            self.fail(error)

    def _imported(self, made: CaseImport) -> None:
        columns = (_tr("Source file"), _tr("Outcome"), _tr("Case"), _tr("File"), _tr("Done"), _tr("Remark"))
        refused = frozenset(n for n, row in enumerate(made.rows) if row[1] == "refused")
        self._report_title.setText(_tr("IMPORT REPORT"))
        self.report.set_rows(columns, made.rows, wrong=refused)
        self.changed.emit()
        self.tell(made.sentence)

    def import_truth(self, csv: Path) -> None:
        """Check and keep a truth file; every wrong cell is listed."""
        if self.work is None:
            return
        try:
            found = self.work.import_truth(csv)
        except TruthRefused as error:
            self._report_title.setText(_tr("CELLS TO CORRECT"))
            rows = [(number, words) for number, words in enumerate(error.problems, start=1)]
            self.report.set_rows((_tr("Number"), _tr("Problem")), rows)
            self.fail(error)
            return
        except UserFacingError as error:
            self.fail(error)
            return
        self.changed.emit()
        self._report_title.setText(_tr("TRUTH COVERAGE"))
        gaps: list[Row] = [(case_id, _tr("no row in the truth file")) for case_id in found.lacking]
        gaps += [(half, _tr("nothing is said of this breast")) for half in found.half]
        self.report.set_rows((_tr("Case"), _tr("Lacks")), gaps)
        self.report.set_empty(_tr("Every imported case is covered."))
        self.tell(_tr("Truth kept: {0} of {1} cases.").format(found.covered, found.cases))

    def show_truth(self) -> None:
        """What is in each case; closed before the lock."""
        if self.work is None:
            return
        try:
            rows = self.work.truth_rows()
        except UserFacingError as error:
            self.fail(error)
            return
        self._report_title.setText(_tr("TRUTH"))
        columns = (_tr("Case"), _tr("Right"), _tr("Left"), _tr("Lesions"), _tr("Malignant"))
        self.report.set_rows(columns, rows)
        self.tell("")

    # -- what cases are for

    def toggle_practice(self) -> None:
        chosen = self._chosen()

        def step(work: Coordinating) -> None:
            cases = [case for case in work.study.cases if case.case_id in chosen]
            work.change_cases({case.case_id: replace(case, practice=not case.practice) for case in cases})

        self._on_chosen(chosen, step)

    def set_stratum(self) -> None:
        chosen, label = self._chosen(), self.stratum.text().strip()

        def step(work: Coordinating) -> None:
            cases = [case for case in work.study.cases if case.case_id in chosen]
            work.change_cases({case.case_id: replace(case, stratum=label) for case in cases})

        self._on_chosen(chosen, step)

    def stratify(self) -> None:
        self.attempt(lambda work: work.stratify(), _tr("Strata are set and the allocation is drawn anew."))

    def _chosen(self) -> set[str]:
        return {str(row[0]) for row in self.cases.chosen()}

    def _on_chosen(self, chosen: set[str], step: object) -> None:
        if not chosen:
            self.tell(_tr("Choose cases in the table first (Shift or Ctrl for several)."), role="secondary")
        elif callable(step):
            self.attempt(step)

    # -- dialogs

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, _tr("Folder with exams"))
        if name:
            self.import_from(Path(name))

    def _ask_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, _tr("Zip or manifest"), "", "zip, csv, json (*.zip *.csv *.json)"
        )
        if name:
            self.import_from(Path(name))

    def _ask_truth(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, _tr("Truth"), "", "CSV (*.csv)")
        if name:
            self.import_truth(Path(name))
