"""The reader's own list: sessions, progress, what is due, where she stopped. Nothing of anybody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from app.control.commands import Command, tooltip
from app.control.told import told
from reader_study.sessions import SessionStatus


def _tr(text: str) -> str:
    return QCoreApplication.translate("worklist", text)


class SessionCard(QFrame):
    """One session: period, progress, and the button that starts or resumes it."""

    asked = Signal(str)
    sign_asked = Signal(str)

    def __init__(
        self, status: SessionStatus, parent: QWidget | None = None, *, wants_signature: bool = False
    ) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._session_id = status.session_id
        title = QLabel(_tr("Session {0}").format(status.period) if status.period else _tr("Practice"))
        title.setProperty("role", "heading")
        finished = status.n_done >= status.n_total
        bar = QProgressBar()
        bar.setMaximum(max(1, status.n_total))
        bar.setValue(status.n_done)
        bar.setTextVisible(False)
        bar.setFixedHeight(4)
        count = QLabel(_tr("{0} of {1} cases read").format(status.n_done, status.n_total))
        count.setProperty("role", "secondary")
        to_sign = finished and wants_signature and not status.signed
        if to_sign:
            word = _tr("Sign …   Enter")
        elif finished:
            word = _tr("Finished and signed") if status.signed else _tr("Finished")
        elif status.started:
            word = _tr("Resume case {0}   Enter").format(status.n_done + 1)
        else:
            word = _tr("Start   Enter")
        self.button = QPushButton(word)
        over = finished and not to_sign
        self.button.setObjectName("finished" if over else "submit")
        # What cannot be pressed any more is a word to read, not a faded button.
        self.button.setProperty("role", "quiet" if over else "primary")
        self.button.setToolTip(
            _tr("Sign this finished session  (Enter)")
            if to_sign
            else _tr("Start or resume this session  (Enter)")
        )
        self.button.setEnabled(to_sign or (status.available and not finished))
        self.button.setAutoDefault(True)
        asked = self.sign_asked if to_sign else self.asked
        self.button.clicked.connect(lambda: asked.emit(self._session_id))
        row = QHBoxLayout()
        row.addWidget(title)
        row.addStretch(1)
        row.addWidget(count)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 18, 24, 18)
        layout.setSpacing(10)
        layout.addLayout(row)
        layout.addWidget(bar)
        if status.why_not and not finished:
            why = QLabel(told(status.why_not))
            why.setProperty("role", "secondary")
            why.setWordWrap(True)
            layout.addWidget(why)
        layout.addWidget(self.button, 0, Qt.AlignmentFlag.AlignRight)


class WorklistView(QWidget):
    """All sessions of the reader who is signed in."""

    session_asked = Signal(str)
    sign_asked = Signal(str)
    sign_out_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("worklist")
        self._title = QLabel("")
        self._title.setProperty("role", "heading")
        self._reader = QLabel("")
        self._reader.setProperty("role", "secondary")
        sign_out = QPushButton(_tr("Sign out"))
        sign_out.setProperty("role", "quiet")
        self._sign_out = sign_out
        self._monitor_note = QLabel("")
        self._monitor_note.setObjectName("monitorNote")
        self._monitor_note.setProperty("role", "secondary")
        self._monitor_note.setWordWrap(True)
        sign_out.clicked.connect(self.sign_out_asked)
        self._cards = QVBoxLayout()
        self._cards.setSpacing(14)
        column = QWidget()
        column.setMaximumWidth(720)
        column.setMinimumWidth(560)
        inner = QVBoxLayout(column)
        head = QHBoxLayout()
        head.addWidget(self._title)
        head.addStretch(1)
        head.addWidget(self._reader)
        head.addWidget(sign_out)
        inner.addLayout(head)
        inner.addSpacing(12)
        inner.addLayout(self._cards)
        inner.addStretch(1)
        inner.addWidget(self._monitor_note)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(column, 10)
        row.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(24, 64, 24, 24)
        outer.addLayout(row)
        self.cards: list[SessionCard] = []

    def set_keys(self, commands: Mapping[str, Command]) -> None:
        """Name the key in force on the sign-out button."""
        self._sign_out.setToolTip(tooltip(commands["session.sign_out"]))

    def set_monitor_note(self, note: str) -> None:
        """Say quietly what speaks against reading on this monitor (QC-04)."""
        self._monitor_note.setText(_tr("This monitor: {0}.").format(note) if note else "")

    def set_sessions(
        self, study: str, reader: str, sessions: Sequence[SessionStatus], *, wants_signature: bool = False
    ) -> None:
        """Show a card for each session; ``wants_signature`` where the protocol has finished ones signed."""
        self._title.setText(study)
        self._reader.setText(reader)
        for card in self.cards:
            self._cards.removeWidget(card)
            card.setParent(None)
            card.deleteLater()
        self.cards = [SessionCard(status, self, wants_signature=wants_signature) for status in sessions]
        for card in self.cards:
            card.asked.connect(self.session_asked)
            card.sign_asked.connect(self.sign_asked)
            self._cards.addWidget(card)
        for card in self.cards:
            if card.button.isEnabled():
                card.button.setFocus(Qt.FocusReason.OtherFocusReason)
                break
        if not sessions:
            self._reader.setText(
                _tr("{0}: no session is planned for you; ask the coordinator.").format(reader)
            )
