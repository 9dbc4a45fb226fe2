"""Joins the coordinator's area to the window: opens it for who signed in, begins a study, and comes back clean."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QStackedWidget

from app.control.tasks import TaskRunner
from app.views.coordinator.begin_view import BeginView
from app.views.coordinator.coordinator_view import CoordinatorView
from app.workstation import Workstation
from resources.files import UserFacingError


class CoordinatorArea(QObject):
    """The two pages of the window's stack that belong to coordinators; made when they are first needed."""

    pacs_asked = Signal(object)  # what imports, hers from the click on
    left = Signal(str)  # back to the sign-in page, with a sentence or nothing

    def __init__(self, station: Workstation, stack: QStackedWidget, runner: TaskRunner) -> None:
        super().__init__(stack)
        self._station, self._stack, self._runner = station, stack, runner
        self.view: CoordinatorView | None = None
        self.beginning: BeginView | None = None

    @property
    def lacks_study(self) -> bool:
        """True on a station for coordinators whose database is still empty."""
        return self._station.office is not None and self._station.study is None

    @property
    def lacks_coordinator(self) -> bool:
        """True when the study has no account but readers'."""
        office, study = self._station.office, self._station.study
        try:
            return office is not None and study is not None and office.lacks_coordinator(study.study_id)
        except UserFacingError:
            return False

    def open(self) -> None:
        """Show the area to the person whom ``Workstation.enter`` let in."""
        office = self._station.office
        if office is None:
            return
        if self.view is None:
            self.view = CoordinatorView(self._runner)
            self.view.signed_out.connect(self._leave)
            self.view.study.new_asked.connect(self.begin_another)
            self.view.cases.pacs_asked.connect(self.pacs_asked)
            self.view.cases.pacs.setVisible(self._station.open_pacs is not None)
            self._stack.addWidget(self.view)
        models = self._station.models
        self.view.study.form.arms.listed = () if models is None else models.listed()
        self.view.open(office)
        self._stack.setCurrentWidget(self.view)

    def show_imported(self) -> None:
        """The page of cases shows what came from the PACS, where somebody is still signed in."""
        if self.view is not None:
            self.view.cases.changed.emit()

    def begin(self) -> None:
        """Show the page that makes a study, or names the first coordinator of the one that is there."""
        office, study = self._station.office, self._station.study
        if office is None:
            return
        if self.beginning is None:
            self.beginning = BeginView()
            self.beginning.begun.connect(self._begun)
            self.beginning.back_asked.connect(lambda: self.left.emit(""))
            self._stack.addWidget(self.beginning)
        self._stack.setCurrentWidget(self.beginning)
        self.beginning.open(office, study.study_id if study is not None else "")

    def begin_another(self) -> None:
        """Sign out and show the page that makes one more study in this database."""
        if self.view is not None:
            self.view.forget()
        self.begin()
        if self.beginning is not None and self._station.office is not None:
            self.beginning.open(self._station.office, another=True)

    def studies(self) -> tuple[str, ...]:
        """Return the studies to choose from at sign-in; none where there is nothing to choose."""
        office = self._station.office
        found = office.study_ids() if office is not None else ()
        return found if len(found) > 1 else ()

    def choose(self, study_id: str) -> None:
        """Sign in to this study from now on."""
        if self._station.office is not None and study_id:
            self._station.study = self._station.office.records.study(study_id)
            self._station.reload()

    def close(self) -> None:
        """The window goes: nobody stays signed in."""
        if self.view is not None:
            self.view.forget()

    def _begun(self) -> None:
        if self._station.office is not None:
            self._station.study = self._station.office.study
        self.open()

    def _leave(self, sentence: str) -> None:
        self._station.reload()
        self.left.emit(sentence)
