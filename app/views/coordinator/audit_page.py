"""Audit: who did what to what, from what to what, why and when; and whether the log is as it was written."""

from __future__ import annotations

import json
from collections.abc import Mapping

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from app.control.coordinating import Coordinating
from app.control.coordination_ports import Verdict
from app.control.tasks import TaskRunner
from app.views.coordinator.page import Page, button, row_of
from app.views.coordinator.readers_page import role_words
from app.views.coordinator.table import DataTable
from reader_study.domain.events import EventKind
from reader_study.permissions import Role


def _tr(text: str) -> str:
    return QCoreApplication.translate("coordinator", text)


def action_words() -> dict[EventKind, str]:
    return {
        EventKind.PROTOCOL_DRAFTED: _tr("protocol drafted"),
        EventKind.PROTOCOL_FROZEN: _tr("protocol frozen"),
        EventKind.PROTOCOL_AMENDED: _tr("protocol amended"),
        EventKind.ALLOCATION_MADE: _tr("allocation made"),
        EventKind.READER_ENROLLED: _tr("reader enrolled"),
        EventKind.ACCOUNT_CHANGED: _tr("account changed"),
        EventKind.CASES_IMPORTED: _tr("cases imported"),
        EventKind.TRUTH_IMPORTED: _tr("truth imported"),
        EventKind.OVERRIDE_RECORDED: _tr("override granted"),
        EventKind.STUDY_LOCKED: _tr("study locked"),
        EventKind.EXPORT_MADE: _tr("export made"),
        EventKind.BACKUP_MADE: _tr("backup made or restored"),
        EventKind.RESULTS_SEEN: _tr("truth or results seen"),
        EventKind.AUDIT_TAKEN_IN: _tr("another station's entries merged"),
        EventKind.SIGN_IN_REFUSED: _tr("sign-in refused"),
        EventKind.SIGNED_IN_AFTER_REFUSALS: _tr("signed in after refusals"),
        EventKind.EXPORT_BEGUN: _tr("export begun"),
        EventKind.BACKUP_BEGUN: _tr("backup, restore or merge begun"),
        EventKind.DATABASE_MERGED: _tr("another database merged"),
    }


class AuditPage(Page):
    """The list, one entry in full below it, and the verdict."""

    def __init__(self, runner: TaskRunner) -> None:
        super().__init__(_tr("Audit"), runner, "coordinator.audit")
        self.entries = DataTable("audit", _tr("Nothing was done to this study yet."))
        self.whole = QPlainTextEdit()
        self.whole.setReadOnly(True)
        self.whole.setTabChangesFocus(True)
        self.whole.setFixedHeight(150)
        self.verify_button = button(_tr("Verify the log   Ctrl+R"), self.verify, role="primary")
        key = QShortcut(QKeySequence("Ctrl+R"), self)
        key.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        key.activated.connect(self.verify)
        self.body.addLayout(row_of(self.verify_button))
        self.body.addWidget(self.entries, 1)
        self.body.addWidget(self.whole)
        self.entries.picked.connect(self._show_one)

    @property
    def first(self) -> QWidget:
        return self.entries.view

    def show_study(self, work: Coordinating) -> None:
        words = action_words()
        columns = (
            _tr("Number"), _tr("When (UTC)"), _tr("Who"), _tr("Role"), _tr("Action"), _tr("What"), _tr("Old"), _tr("New"),
            _tr("Why"), _tr("SHA-256"),
        )  # fmt: skip
        rows = [
            (e.number, e.when[:19].replace("T", " "), e.who, _role(e.role), words.get(e.action, e.action.value), e.subject,
             _short(e.old), _short(e.new), e.why, e.hash)
            for e in reversed(work.audit())
        ]  # fmt: skip
        self.entries.set_rows(columns, rows)

    def forget(self) -> None:
        super().forget()
        self.entries.set_rows((), ())
        self.whole.clear()

    def verify(self) -> None:
        """Walk every chain beside the window and say the verdict."""
        work = self.work
        if work is not None:
            self.run(_tr("Verifying"), lambda _context: work.verify(), self._judged)

    def _judged(self, verdict: Verdict) -> None:
        if verdict.ok:
            words = _tr("Intact: {0} chains, {1} events. {2}")
            self.tell(words.format(verdict.sessions, verdict.events, " ".join(verdict.notes)).strip())
            return
        self.tell(
            _tr("NOT intact: {0} problems. {1}").format(len(verdict.problems), verdict.problems[0]),
            role="error",
        )
        self.whole.setPlainText("\n".join((*verdict.problems, *verdict.notes)))

    def _show_one(self) -> None:
        row = self.entries.current()
        if row is None:
            return
        titles = self.entries.model.columns
        self.whole.setPlainText(
            "\n".join(
                f"{title}: {value}"
                for title, value in zip(titles, row, strict=True)
                if value not in (None, "")
            )
        )


def _role(role: str) -> str:
    return role_words()[Role(role)] if role in set(Role) else role


def _short(value: Mapping[str, object] | None) -> str:
    if value is None:
        return ""
    return ", ".join(
        f"{name} {part if isinstance(part, str | int | float) else json.dumps(part, ensure_ascii=False)}"
        for name, part in value.items()
    )
