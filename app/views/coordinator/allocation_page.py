"""Allocation: the balance as a table and a picture, the seed, and the list itself once it is no longer concealed."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QFrame, QLabel, QLineEdit, QScrollArea, QWidget

from app.control.allocation_preview import largest_difference
from app.control.coordinating import Coordinating
from app.control.tasks import TaskRunner
from app.control.told import told
from app.views.coordinator.page import Page, button, quiet, row_of, section, session_word
from app.views.coordinator.pictures import AllocationPicture
from app.views.coordinator.protocol_fields import design_words
from app.views.coordinator.table import DataTable
from reader_study.errors import StudyError
from reader_study.permissions import NotPermitted
from reader_study.randomization import ALGORITHM


def _tr(text: str) -> str:
    return QCoreApplication.translate("coordinator", text)


class AllocationPage(Page):
    """Counts only, until the protocol lets the order be seen."""

    def __init__(self, runner: TaskRunner) -> None:
        super().__init__(_tr("Allocation"), runner, "coordinator.allocation")
        self.seed = QLineEdit()
        self.seed.setMaximumWidth(140)
        self.draw_button = button(_tr("Draw"), self.draw, role="primary")
        self.facts = quiet("")
        self.picture = AllocationPicture()
        area = QScrollArea()
        area.setWidget(self.picture)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        self.balance = DataTable("balance", _tr("Nothing to draw yet. Import cases and enrol readers first."))
        self.list_title = section(_tr("WHO READS WHAT"))
        self.concealed = quiet("")
        self.order = DataTable("allocation", "")
        self.body.addLayout(row_of(QLabel(_tr("Seed")), self.seed, self.draw_button))
        self.body.addWidget(self.facts)
        self._area = area
        self.body.addWidget(area, 3)
        self.body.addWidget(section(_tr("BALANCE BY READER, SESSION, ARM AND STRATUM")))
        self.body.addWidget(self.balance, 4)
        self.body.addWidget(self.list_title)
        self.body.addWidget(self.concealed)
        self.body.addWidget(self.order, 3)

    @property
    def first(self) -> QWidget:
        return self.seed

    def show_study(self, work: Coordinating) -> None:
        study, stage = work.study, work.stage
        self.seed.setText(str(study.seed))
        self.draw_button.setEnabled(not stage.frozen)
        self.seed.setReadOnly(stage.frozen)
        counts = work.shares()
        apart = largest_difference(counts, {reader.reader_id for reader in study.readers})
        self.facts.setText(
            _tr(
                "Algorithm {0}.  Design {1}.  {2} sessions.  Largest difference of a cell between readers: {3}."
            ).format(ALGORITHM, design_words()[study.design], len(study.plans), apart)
        )
        self.picture.set_shares(counts, [(arm.arm_id, arm.title) for arm in study.arms])
        self._area.setMaximumHeight(
            self.picture.sizeHint().height() + 8
        )  # few readers leave their room to the table
        columns = (_tr("Reader"), _tr("Session"), _tr("Arm"), _tr("Stratum"), _tr("Cases"))
        self.balance.set_rows(
            columns, [(s.reader_id, session_word(s.period), s.arm_id, s.stratum, s.cases) for s in counts]
        )
        try:
            rows = work.allocation_rows()
        except NotPermitted as why:
            self.order.hide()
            self.order.set_rows((), ())
            self.concealed.setText(_tr("Concealed. {0}").format(told(str(why))))
            self.concealed.show()
            return
        self.concealed.clear()
        self.concealed.hide()
        self.order.show()
        columns = (_tr("Reader"), _tr("Session"), _tr("Position"), _tr("Case"), _tr("Arm"))
        self.order.set_rows(columns, [(r[0], session_word(r[1]), *r[2:]) for r in rows])

    def forget(self) -> None:
        super().forget()
        self.picture.set_shares((), ())
        for table in (self.balance, self.order):
            table.set_rows((), ())
        self.seed.clear()
        self.facts.clear()

    def draw(self) -> None:
        """Draw from the seed that is typed in."""

        def step(work: Coordinating) -> None:
            try:
                seed = int(self.seed.text())
            except ValueError as error:
                raise StudyError(
                    _tr("Seed: expected a whole number, found “{0}”; correct it.").format(self.seed.text())
                ) from error
            work.draw(seed)

        self.attempt(step, _tr("Drawn."))
