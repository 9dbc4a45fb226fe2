"""Analysis and planning inside the coordinator's area: the views themselves, made when their page is first opened.

The analysis shows results, so its page is closed until the protocol lets them be seen; planning shows none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import QWidget

from app.control.coordinating import Coordinating
from app.control.tasks import TaskRunner
from app.control.told import told
from app.views.coordinator.page import Page, quiet
from reader_study.permissions import Action

if TYPE_CHECKING:
    from app.views.analyse_view import AnalyseView


def _tr(text: str) -> str:
    return QCoreApplication.translate("coordinator", text)


class AnalysisPage(Page):
    """The report of an export folder or an exchange file, live."""

    left = Signal()

    def __init__(self, runner: TaskRunner) -> None:
        super().__init__(_tr("Analyse"), runner, "coordinator.analyse")
        self.view: AnalyseView | None = None
        self._exported: Path | None = None
        self.closed = quiet("")
        self.body.addWidget(self.closed, 0, Qt.AlignmentFlag.AlignTop)

    @property
    def first(self) -> QWidget:
        found = self.view if self.view is not None and self.view.isVisible() else None
        return (found.nextInFocusChain() if found is not None else None) or self

    def show_study(self, work: Coordinating) -> None:
        why = work.why_not(Action.SEE_RESULTS)
        self.closed.setText(told(why or ""))
        self.closed.setVisible(why is not None)
        if why is None and self.view is None:
            from app.views.analyse_view import AnalyseView

            made = AnalyseView(self._runner)
            made.closed.connect(self.left)
            made.tell_first = work.results_seen
            self.view = made
            self.body.addWidget(made, 1)
            if self._exported is not None:
                made.take(source=self._exported)
        self.heading.setVisible(self.view is None)  # the view has its own

    def take(self, folder: Path) -> None:
        """Offer the export that was made just now; another one can be chosen."""
        self._exported = folder
        if self.view is not None:
            self.view.take(source=folder)

    def forget(self) -> None:
        super().forget()
        self._exported = None
        self.closed.clear()
        if self.view is not None:
            self.view.hide()
            self.view.deleteLater()
            self.view = None


class PlanningPage(Page):
    """Power and sample size of the study to come."""

    left = Signal()

    def __init__(self, runner: TaskRunner) -> None:
        super().__init__(_tr("Power and sample size"), runner, "coordinator.plan")
        self.view: QWidget | None = None
        self.heading.hide()  # the view has its own

    @property
    def first(self) -> QWidget:
        return (self.view.nextInFocusChain() if self.view is not None else None) or self

    def show_study(self, work: Coordinating) -> None:  # noqa: ARG002 - the same for every study
        if self.view is None:
            from app.views.planner_view import PlannerView

            made = PlannerView()
            made.closed.connect(self.left)
            self.view = made
            self.body.addWidget(made, 1)

    def forget(self) -> None:
        super().forget()
        if self.view is not None:
            self.view.hide()
            self.view.deleteLater()
            self.view = None
