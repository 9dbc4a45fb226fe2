"""The locked answers of a session, where the protocol lets readers change them: list, form, reason (RS-R4).

Shows answers, not images: what an amendment corrects is the answer as it was entered. The old answer stays in the log.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.control.reading_after import LockedAnswer, LookBack, field_sentences
from app.views.assessment_panel import AssessmentPanel
from reader_study.domain.assessment import Assessment
from resources.files import UserFacingError


def _tr(text: str) -> str:
    return QCoreApplication.translate("practice", text)


def _line(one: LockedAnswer) -> str:
    sides = "   ".join(f"{breast.laterality.value} {breast.birads or '–'}" for breast in one.answer.breasts)
    words = _tr("Case {0}     BI-RADS  {1}").format(one.number, sides)
    return f"{words}     {_tr('amended')}" if one.amendments else words


class LookBackPage(QWidget):
    """Cases on the left, the chosen one's form on the right; an amendment needs a reason."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("lookBack")
        self._page: LookBack | None = None
        self._answers: tuple[LockedAnswer, ...] = ()
        heading = QLabel(_tr("Locked answers of this session"))
        heading.setProperty("role", "heading")
        note = QLabel(
            _tr(
                "An answer is changed with a reason; the old one stays in the log. Images are not shown again."
            )
        )
        note.setProperty("role", "secondary")
        note.setWordWrap(True)
        self.list = QListWidget()
        self.list.setObjectName("lockedAnswers")
        self.list.currentRowChanged.connect(self._choose)
        self.form = AssessmentPanel(self)
        self.form.submitted.connect(self._amend)
        self.reason = QLineEdit()
        self.reason.setObjectName("amendReason")
        self.reason.setPlaceholderText(_tr("Reason of the change"))
        self.problem = QLabel("")
        self.problem.setObjectName("amendProblem")
        self.problem.setWordWrap(True)
        self.save = self._button(_tr("Amend this answer   F12"), self.form.submit)
        self.button = self._button("", self.go_on)
        self.button.setProperty("role", "primary")
        self._lay_out(heading, note)

    def _button(self, text: str, action: Callable[[], None]) -> QPushButton:
        button = QPushButton(text)
        button.clicked.connect(action)
        return button

    def _lay_out(self, heading: QLabel, note: QLabel) -> None:
        area = QScrollArea()
        held = QWidget()
        above = QVBoxLayout(held)
        above.setContentsMargins(0, 0, 0, 0)
        above.addWidget(self.form)
        above.addStretch(1)
        area.setWidget(held)
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        right = QVBoxLayout()
        for part in (area, self.reason, self.save, self.problem):
            right.addWidget(part, 1 if part is area else 0)
        both = QHBoxLayout()
        both.setSpacing(32)
        both.addWidget(self.list, 3)
        both.addLayout(right, 2)
        column = QWidget()
        column.setMaximumWidth(1000)
        inner = QVBoxLayout(column)
        inner.setSpacing(12)
        inner.addWidget(heading)
        inner.addWidget(note)
        inner.addLayout(both, 1)
        inner.addWidget(self.button, 0, Qt.AlignmentFlag.AlignRight)
        row = QHBoxLayout(self)
        row.setContentsMargins(24, 48, 24, 24)
        row.addStretch(1)
        row.addWidget(column, 10)
        row.addStretch(1)

    def show_page(self, page: LookBack) -> None:
        """List the locked answers; the first is chosen."""
        self._page = page
        self.button.setText(_tr("Finish the session") if page.at_end else _tr("Back to the case"))
        self._fill(0)
        self._say("", failed=False)
        self.list.setFocus(Qt.FocusReason.OtherFocusReason)

    def forget(self) -> None:
        """Nothing of the session stays on the page."""
        self._page, self._answers = None, ()
        self.list.clear()
        self.reason.clear()

    def _fill(self, chosen: int) -> None:
        assert self._page is not None
        self._answers = self._page.answers()
        self.list.blockSignals(True)
        self.list.clear()
        self.list.addItems([_line(one) for one in self._answers])
        self.list.blockSignals(False)
        self.list.setCurrentRow(chosen)

    def _choose(self, row: int) -> None:
        if self._page is None or not 0 <= row < len(self._answers):
            return
        answer = self._answers[row].answer
        sides = tuple(breast.laterality for breast in answer.breasts)
        self.form.set_case(self._page.scale, sides, answer, contrast=answer.contrast, submit=False)
        self.reason.clear()

    def _amend(self, answer: Assessment) -> None:
        row = self.list.currentRow()
        if self._page is None or not 0 <= row < len(self._answers):
            return
        if answer == self._answers[row].answer:
            self._say(_tr("Nothing is changed yet; change an answer and give a reason."), failed=True)
            return
        if not self.reason.text().strip():
            self._say(_tr("Give a reason of the change, then amend the answer."), failed=True)
            self.reason.setFocus(Qt.FocusReason.OtherFocusReason)
            return
        try:
            self._page.amend(self._answers[row].case_id, answer, self.reason.text().strip())
        except UserFacingError as error:
            self.form.show_problems(field_sentences(error))
            self._say(str(error), failed=True)
            return
        self._fill(row)
        self._say(_tr("Case {0} is amended.").format(self._answers[row].number), failed=False)

    def _say(self, sentence: str, *, failed: bool) -> None:
        self.problem.setProperty("role", "error" if failed else "secondary")
        self.problem.style().unpolish(self.problem)
        self.problem.style().polish(self.problem)
        self.problem.setText(sentence)

    def enter(self) -> None:
        """Enter: from the list to the form, from the form to the log; the way out is taken by its button only."""
        if self.button.hasFocus():
            self.go_on()
        elif self.list.hasFocus():
            self.form.focus_first()
        else:
            self.form.submit()

    def go_on(self) -> None:
        """Back to the case that waits, or the end of the session."""
        page = self._page
        self.forget()
        if page is not None:
            page.go_on()
