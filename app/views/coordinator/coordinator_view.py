"""The coordinator's area: pages on the left, the chosen one on the right, and the end of a sitting nobody is at.

It shows and emits; every step goes through ``Coordinating``. When the time without input is over, nothing stays.
"""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.control.coordinating import Coordinating
from app.control.tasks import TaskRunner
from app.views.coordinator.allocation_page import AllocationPage
from app.views.coordinator.analysis_pages import AnalysisPage, PlanningPage
from app.views.coordinator.audit_page import AuditPage
from app.views.coordinator.cases_page import CasesPage
from app.views.coordinator.export_page import ExportPage
from app.views.coordinator.lock_page import LockPage
from app.views.coordinator.monitor_page import MonitorPage
from app.views.coordinator.page import Page, button
from app.views.coordinator.readers_page import ReadersPage, role_words
from app.views.coordinator.studies_page import StudiesPage

CHECK_S = 2.0
_INPUT = (QEvent.Type.KeyPress, QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove, QEvent.Type.Wheel)


def _tr(text: str) -> str:
    return QCoreApplication.translate("coordinator", text)


class CoordinatorView(QWidget):
    """One signed-in person's pages; Alt+1 to Alt+0 open them."""

    signed_out = Signal(str)  # a sentence why, or nothing

    def __init__(self, runner: TaskRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("coordinator")
        self._work: Coordinating | None = None
        self.study, self.cases, self.readers = StudiesPage(runner), CasesPage(runner), ReadersPage(runner)
        self.allocation, self.monitor = AllocationPage(runner), MonitorPage(runner)
        self.lock, self.export, self.audit = LockPage(runner), ExportPage(runner), AuditPage(runner)
        self.analysis, self.planning = AnalysisPage(runner), PlanningPage(runner)
        self.pages: tuple[Page, ...] = (
            self.study, self.cases, self.readers, self.allocation, self.monitor, self.lock, self.export, self.audit,
            self.analysis, self.planning,
        )  # fmt: skip
        self.stack, self.list = QStackedWidget(), QListWidget()
        self.list.setObjectName("settingsPages")
        self.list.setFixedWidth(232)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for number, page in enumerate(self.pages, start=1):
            self.list.addItem(f"{page.title}   Alt+{number % 10}")
            self.stack.addWidget(page)
            page.changed.connect(self._on_changed)
            key = QShortcut(QKeySequence(f"Alt+{number % 10}"), self)
            key.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            key.activated.connect(lambda at=number - 1: self.go_to(at))
        for leaving in (self.analysis.left, self.planning.left):
            leaving.connect(self._to_list)
        self.export.exported.connect(self.analysis.take)
        self._lay_out()
        self.list.currentRowChanged.connect(self._show_page)
        self._watch = QTimer(self)
        self._watch.setInterval(round(CHECK_S * 1000))
        self._watch.timeout.connect(self.check_time)

    def _lay_out(self) -> None:
        self._title = QLabel("")
        self._title.setProperty("role", "heading")
        self._who = QLabel("")
        self._who.setProperty("role", "secondary")
        note = QLabel(_tr("RESEARCH USE ONLY"))
        note.setProperty("role", "section")
        head = QHBoxLayout()
        head.setContentsMargins(24, 12, 24, 6)
        head.addWidget(self._title)
        head.addStretch(1)
        head.addWidget(note)
        head.addSpacing(18)
        head.addWidget(self._who)
        head.addWidget(button(_tr("Sign out"), self.sign_out, role="quiet"))
        body = QHBoxLayout()
        body.setContentsMargins(12, 0, 0, 0)
        body.addWidget(self.list)
        body.addWidget(self.stack, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(head)
        layout.addLayout(body, 1)

    def open(self, work: Coordinating) -> None:
        """Show the area to the person who is signed in."""
        self._work = work
        account = work.account
        self._title.setText(work.study.title)
        self._who.setText(f"{account.name}, {role_words()[account.role]}")
        self.list.ensurePolished()
        self.list.setFixedWidth(
            max(232, self.list.sizeHintForColumn(0) + 24)
        )  # the keys are read at any text scale
        app = QApplication.instance()
        if app is not None:
            app.installEventFilter(self)
        self._watch.start()
        self.list.setCurrentRow(0)
        self._show_page(0)
        self.list.setFocus(Qt.FocusReason.OtherFocusReason)

    def go_to(self, number: int) -> None:
        """Open a page and put the focus on what is done there first."""
        self.list.setCurrentRow(number)
        self.pages[number].first.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _to_list(self) -> None:
        self.list.setFocus(Qt.FocusReason.OtherFocusReason)

    def _show_page(self, number: int) -> None:
        if self._work is None or number < 0:
            return
        self.stack.setCurrentIndex(number)
        if not self.pages[number].task.isVisible():  # long work goes on, and its page says how far
            self.pages[number].open(self._work)

    def _on_changed(self) -> None:
        """The page that is open shows the new state; the others do when they are opened."""
        if self._work is None:
            return
        page = self.pages[self.stack.currentIndex()]
        page.open(self._work)
        self._title.setText(self._work.study.title)

    # ---- the end

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if self._work is not None and event.type() in _INPUT:
            self._work.touch()
        return super().eventFilter(watched, event)

    def check_time(self) -> None:
        """Sign out when there was no input for as long as the protocol allows."""
        if self._work is not None and self._work.has_run_out:
            self._leave(_tr("Signed out: no input for too long. Sign in again."))

    def sign_out(self) -> None:
        self._leave("")

    def _leave(self, sentence: str) -> None:
        self.forget()
        self.signed_out.emit(sentence)

    def forget(self) -> None:
        """Leave nothing of the study in any page, and nobody signed in."""
        work, self._work = self._work, None
        self._watch.stop()
        app = QApplication.instance()
        if app is not None:
            app.removeEventFilter(self)
        for page in self.pages:
            page.forget()
        self._title.clear()
        self._who.clear()
        if work is not None:
            work.sign_out()
