"""The planner: power and sample size of a reader study, live, from a pilot's file or from variance components.

Collects numbers and shows a plan; the formulae are in ``reader_study.statistics.planning``.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QCoreApplication, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.views import theme
from app.views.coordinator.page import quiet
from app.views.power_chart import PowerChart
from reader_study.report.planning_grid import Plan, PlanRequest, curve, pilot_of_file, plan
from reader_study.statistics.obuchowski_rockette import Claim, Generalise
from reader_study.statistics.planning import Pilot
from resources.files import UserFacingError

# A published two-modality pilot (5 readers, 114 cases), so that the screen opens with sensible numbers.
EXAMPLE = Pilot(
    modality_by_reader=0.0002004, error=0.0008023, cov1=0.0003466, cov2=0.0003441, cov3=0.0002390, cases=114
)
WAIT_MS = 120  # after the last key, before the plan is computed
CURVE_POINTS = 25


def _tr(text: str) -> str:
    return QCoreApplication.translate("planner", text)


def _words() -> tuple[dict[Generalise, str], dict[Claim | None, str]]:
    return (
        {
            Generalise.READERS_AND_CASES: _tr("other readers and other cases"),
            Generalise.CASES: _tr("other cases, these readers"),
            Generalise.READERS: _tr("other readers, these cases"),
        },
        {
            None: _tr("a difference, two-sided"),
            Claim.SUPERIORITY: _tr("superiority, one-sided at half of alpha"),
            Claim.NON_INFERIORITY: _tr("non-inferiority, one-sided at half of alpha"),
        },
    )


def _number(low: float, high: float, value: float, step: float, decimals: int) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.lineEdit().setTextMargins(5, 0, 0, 0)
    box.setRange(low, high)
    box.setDecimals(decimals)
    box.setSingleStep(step)
    box.setValue(value)
    return box


def _count(low: int, high: int, value: int) -> QSpinBox:
    box = QSpinBox()
    box.lineEdit().setTextMargins(5, 0, 0, 0)
    box.setRange(low, high)
    box.setValue(value)
    return box


class PlannerView(QWidget):
    """Numbers on the left; sentences, curves and a table on the right, always in step."""

    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("planner")
        self.plan: Plan | None = None
        self.components = [
            _number(-1.0, 1.0, value, 0.0001, 7)
            for value in (EXAMPLE.modality_by_reader, EXAMPLE.error, EXAMPLE.cov1, EXAMPLE.cov2, EXAMPLE.cov3)
        ]
        self.pilot_cases = _count(2, 100_000, EXAMPLE.cases)
        self.effect = _number(-1.0, 1.0, 0.05, 0.01, 4)
        self.readers, self.cases = _count(1, 200, 10), _count(4, 20_000, 165)
        self.alpha, self.wanted = _number(0.001, 0.5, 0.05, 0.01, 3), _number(0.5, 0.99, 0.8, 0.05, 2)
        self.generalise, self.claim = QComboBox(), QComboBox()
        self.margin = _number(0.0, 0.5, 0.05, 0.01, 3)
        names, claims = _words()
        for who, text in names.items():
            self.generalise.addItem(text, who)
        for claim, text in claims.items():
            self.claim.addItem(text, claim)
        self._source = quiet(_tr("Components of a published study of two modalities; put in your own."))
        self._problem = QLabel("")
        self._problem.setProperty("role", "error")
        self._problem.setWordWrap(True)
        self.sentences = QLabel("")
        self.sentences.setWordWrap(True)
        self.sentences.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.figure = QLabel("")
        self.figure.setObjectName("bigTitle")
        self.chart = PowerChart()
        self.table = QTableWidget()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setToolTip(_tr("Power: readers down, cases across"))
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(WAIT_MS)
        self._timer.timeout.connect(self.compute)
        self._build()
        for box in (*self.components, self.effect, self.alpha, self.wanted, self.margin):
            box.valueChanged.connect(self._changed)
        for whole in (self.pilot_cases, self.readers, self.cases):
            whole.valueChanged.connect(self._changed)
        for choice in (self.generalise, self.claim):
            choice.currentIndexChanged.connect(self._changed)
        self.compute()

    # ---- looks

    def _build(self) -> None:
        title = QLabel(_tr("Plan a study: power and sample size"))
        title.setProperty("role", "heading")
        back = QPushButton(_tr("Back   Esc"))
        back.clicked.connect(self.closed)
        head = QHBoxLayout()
        head.addWidget(title)
        head.addStretch(1)
        head.addWidget(back)
        for key, action in (("Esc", self.closed.emit), ("Ctrl+O", self._choose), ("Ctrl+Shift+C", self.copy)):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(action)
        body = QHBoxLayout()
        body.setSpacing(24)
        body.addWidget(self._form())
        body.addLayout(self._result(), 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(32, 24, 32, 24)
        layout.setSpacing(12)
        layout.addLayout(head)
        layout.addLayout(body, 1)

    def _form(self) -> QWidget:
        card = QFrame()
        card.setProperty("role", "card")
        card.setMinimumWidth(500)
        card.setMaximumWidth(560)
        form = QFormLayout(card)
        form.setContentsMargins(20, 16, 20, 16)
        form.setVerticalSpacing(8)
        pilot = QPushButton(_tr("Take a pilot study's file …   Ctrl+O"))
        pilot.setToolTip(_tr("iMRMC, RJafroc, MRMCaov or OR-DBM"))
        pilot.clicked.connect(self._choose)
        form.addRow(self._section(_tr("What is known from a pilot")))
        form.addRow(pilot)
        form.addRow(self._source)
        names = (_tr("Arm × reader variance"), _tr("Error variance"), _tr("Cov1, same reader, other arm"), _tr("Cov2, other reader, same arm"), _tr("Cov3, both differ"))  # fmt: skip
        for name, box in zip(names, self.components, strict=True):
            form.addRow(name, box)
        form.addRow(_tr("Cases of the pilot"), self.pilot_cases)
        form.addRow(self._section(_tr("What is planned")))
        for name, field in (
            (_tr("Readers"), self.readers), (_tr("Cases"), self.cases), (_tr("True difference"), self.effect),
            (_tr("Alpha, two-sided"), self.alpha), (_tr("Power wanted"), self.wanted),
            (_tr("Result speaks to"), self.generalise), (_tr("To show"), self.claim), (_tr("Margin"), self.margin),
        ):  # fmt: skip
            form.addRow(name, field)
        return card

    @staticmethod
    def _section(text: str) -> QLabel:
        label = QLabel(text)
        label.setProperty("role", "section")
        return label

    def _result(self) -> QVBoxLayout:
        copy = QPushButton(_tr("Copy the table   Ctrl+Shift+C"))
        copy.clicked.connect(self.copy)
        foot = QHBoxLayout()
        foot.addWidget(quiet(_tr("Hillis, Obuchowski & Berbaum 2011. Components shrink with the number of cases; the share of disease is taken to be the pilot's.")), 1)  # fmt: skip
        foot.addWidget(copy)
        column = QVBoxLayout()
        column.setSpacing(10)
        column.addWidget(self.figure)
        column.addWidget(self.sentences)
        column.addWidget(self._problem)
        column.addWidget(self.chart, 1)
        column.addWidget(self.table)
        column.addLayout(foot)
        return column

    # ---- what the user does

    def _choose(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, _tr("Pilot study"), "", "*.imrmc *.csv *.xlsx *.lrc")
        if path:
            self.take_pilot(Path(path))

    def take_pilot(self, path: Path) -> None:
        """Fill the components and the difference from a pilot's file; a refusal is shown and nothing changes."""
        try:
            pilot, difference, said = pilot_of_file(path)
        except UserFacingError as error:
            self._problem.setText(str(error))
            return
        values = (pilot.modality_by_reader, pilot.error, pilot.cov1, pilot.cov2, pilot.cov3)
        for box, value in zip(self.components, values, strict=True):
            box.setValue(value)
        self.pilot_cases.setValue(pilot.cases)
        self.effect.setValue(difference)
        self._source.setText(said)
        self.compute()

    def _changed(self) -> None:
        self._timer.start()

    def request(self) -> PlanRequest:
        """What the fields say; StatisticsError where they make no pilot."""
        tr, error, cov1, cov2, cov3 = (box.value() for box in self.components)
        claim = self.claim.currentData()
        return PlanRequest(
            pilot=Pilot(modality_by_reader=tr, error=error, cov1=cov1, cov2=cov2, cov3=cov3, cases=self.pilot_cases.value()),
            effect=self.effect.value(),
            readers=self.readers.value(),
            cases=self.cases.value(),
            generalise=Generalise(self.generalise.currentData()),
            alpha=self.alpha.value(),
            claim=None if claim is None else Claim(claim),
            margin=self.margin.value() if claim == Claim.NON_INFERIORITY else 0.0,
            wanted=self.wanted.value(),
        )  # fmt: skip

    def compute(self) -> None:
        """Compute and show the plan that the fields describe, or say what is wrong with them."""
        self._timer.stop()
        self.margin.setEnabled(self.claim.currentData() == Claim.NON_INFERIORITY)
        try:
            found = plan(self.request())
        except UserFacingError as error:
            self.plan = None
            self._problem.setText(str(error))
            self.figure.setText("")
            self.sentences.setText("")
            self.chart.set_plan((), (), wanted=0.8, chosen=(0, 0.0))
            self.table.setRowCount(0)
            return
        self.plan = found
        self._problem.setText("")
        self.figure.setText(_tr("Power {0} %").format(f"{100 * found.power.power:.1f}"))
        self.sentences.setText("\n".join(_sentences(found)))
        self._show(found)

    def _show(self, found: Plan) -> None:
        low, high = found.grid_cases[0], found.grid_cases[-1]
        cases = [round(low + k * (high - low) / (CURVE_POINTS - 1)) for k in range(CURVE_POINTS)]
        curves = [(n, curve(found.request, n, cases)) for n in found.grid_readers]
        chosen = (found.request.cases, found.power.power)
        self.chart.set_plan(cases, curves, wanted=found.request.wanted, chosen=chosen)
        rows = found.rows()
        self.table.setRowCount(len(rows) - 1)
        self.table.setColumnCount(len(rows[0]) - 1)
        self.table.setHorizontalHeaderLabels([_tr("{0} cases").format(c) for c in rows[0][1:]])
        self.table.setVerticalHeaderLabels([_tr("{0} readers").format(row[0]) for row in rows[1:]])
        for r, values in enumerate(found.table):
            for c, value in enumerate(values):
                item = QTableWidgetItem(f"{100 * value:.1f} %")
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                if value >= found.request.wanted:
                    item.setForeground(QColor(theme.OK))
                self.table.setItem(r, c, item)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        height = self.table.horizontalHeader().sizeHint().height() + sum(self.table.rowHeight(r) for r in range(len(rows) - 1))  # fmt: skip
        self.table.setFixedHeight(height + 6)

    def copy(self) -> None:
        """Put the sentences and the table on the clipboard, cells apart by tabs."""
        if self.plan is None:
            return
        lines = [*self.plan.sentences(), "", *("\t".join(row) for row in self.plan.rows())]
        QGuiApplication.clipboard().setText("\n".join(lines))


def _sentences(found: Plan) -> list[str]:
    """The plan's result in the reader's language."""
    r = found.request
    said = [
        _tr("{0} readers and {1} cases, true difference {2}.").format(r.readers, r.cases, f"{r.effect:g}")
    ]
    wanted = f"{100 * r.wanted:.0f}"
    if found.cases is not None:
        said.append(_tr("{0} % power with {1} readers needs {2} cases.").format(wanted, r.readers, found.cases.cases))  # fmt: skip
    else:
        said.append(_tr("{0} % power is not reached with {1} readers, whatever the cases: add readers.").format(wanted, r.readers))  # fmt: skip
    if found.readers is not None:
        said.append(_tr("{0} % power with {1} cases needs {2} readers.").format(wanted, r.cases, found.readers.readers))  # fmt: skip
    else:
        said.append(_tr("{0} % power is not reached with {1} cases, whatever the readers: add cases.").format(wanted, r.cases))  # fmt: skip
    return said
