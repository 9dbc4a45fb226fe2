"""The planner and the analysis as pages of the window: made when first asked for, left with Esc. Owns when they show."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QStackedWidget

from app.control.tasks import TaskRunner

if TYPE_CHECKING:
    from app.views.analyse_view import AnalyseView
    from app.views.planner_view import PlannerView


class StudyDesk:
    """Two pages that need no study and no reader; ``back`` is called when one is left."""

    def __init__(self, stack: QStackedWidget, runner: TaskRunner, back: Callable[[], object]) -> None:
        self._stack, self._runner, self._back = stack, runner, back
        self.planner: PlannerView | None = None
        self.analysis: AnalyseView | None = None

    def show_planner(self) -> None:
        """Power and sample size."""
        if self.planner is None:
            from app.views.planner_view import PlannerView  # scipy: only who plans pays for it

            self.planner = PlannerView()
            self.planner.closed.connect(self._back)
            self._stack.addWidget(self.planner)
        self._stack.setCurrentWidget(self.planner)
        self.planner.readers.setFocus(Qt.FocusReason.OtherFocusReason)

    def show_analysis(self) -> None:
        """The report of a finished study."""
        if self.analysis is None:
            from app.views.analyse_view import AnalyseView

            self.analysis = AnalyseView(self._runner)
            self.analysis.closed.connect(self._back)
            self._stack.addWidget(self.analysis)
        self._stack.setCurrentWidget(self.analysis)
        self.analysis.focus()
