"""The list of the reader's marks beside the images, and the editor of a new mark."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.state.terms import contrast_term, finding_short, finding_term
from app.views.assessment_panel import PercentField
from app.views.choice_row import ChoiceRow
from reader_study.domain.assessment import Finding
from resources.vocabulary import Conspicuity, EnhancementType, FindingType


def _tr(text: str) -> str:
    return QCoreApplication.translate("findings", text)


class MarkEditor(QFrame):
    """Type and confidence of the mark being made; Enter confirms, Esc cancels."""

    confirmed = Signal(str, int)  # finding type, confidence 0..100
    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("markEditor")
        self._where = QLabel("")
        self._where.setProperty("role", "secondary")
        types = [(t.value, finding_short(t)) for t in FindingType]
        self.finding = ChoiceRow("mark.type", _tr("Type"), types, self)
        self.enhancement = ChoiceRow("mark.enhancement", _tr("Enhancement"), [
            (EnhancementType.NONE.value, _tr("none")), (EnhancementType.MASS.value, _tr("mass")),
            (EnhancementType.NON_MASS.value, _tr("NME")), (EnhancementType.ASYMMETRY.value, _tr("asym")),
        ], self)  # fmt: skip
        self.conspicuity = ChoiceRow("mark.conspicuity", _tr("Conspicuity"), [
            (Conspicuity.LOW.value, _tr("low")), (Conspicuity.MODERATE.value, _tr("moderate")),
            (Conspicuity.HIGH.value, _tr("high")),
        ], self)  # fmt: skip
        calls = [("n", _tr("benign")), ("y", _tr("malignant"))]
        self.call = ChoiceRow("mark.call", _tr("Call"), calls, self)
        self.confidence = PercentField("mark.suspicion", _tr("Malignant?"), self)
        confirm, cancel = QPushButton(_tr("Add   Enter")), QPushButton(_tr("Cancel   Esc"))
        confirm.setObjectName("confirmMark")
        confirm.clicked.connect(self.confirm)
        cancel.clicked.connect(self.cancelled)
        buttons = QHBoxLayout()
        buttons.addWidget(confirm)
        buttons.addWidget(cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 4)
        parts = (self._where, self.finding, self.enhancement, self.conspicuity, self.call, self.confidence)
        for part in parts:
            layout.addWidget(part)
        layout.addLayout(buttons)
        self.enhancement.changed.connect(self._on_enhancement)
        self.ask_contrast((), contrast=False)
        self.ask_call(asked=False)
        self.hide()

    def ask_call(self, *, asked: bool) -> None:
        """Ask for a benign/malignant call of the mark, where the protocol wants one of each."""
        self._asks_call = asked
        self.call.setVisible(asked)

    def call_answer(self) -> bool | None:
        """The call of the mark being made, True = malignant; None where not asked."""
        value = self.call.value() if self._asks_call else None
        return None if value is None else value == "y"

    def ask_contrast(self, fields: Sequence[str], *, contrast: bool) -> None:
        """Ask for enhancement and conspicuity in a contrast exam, as far as the protocol wants them (CEM-08)."""
        self.finding.show_choice(FindingType.ENHANCEMENT.value, contrast)
        self._asked = tuple(field for field in ("enhancement", "conspicuity") if contrast and field in fields)
        self.enhancement.setVisible("enhancement" in self._asked)
        self.conspicuity.setVisible("conspicuity" in self._asked)

    def _on_enhancement(self) -> None:
        none = self.enhancement.value() == EnhancementType.NONE.value
        if none:
            self.conspicuity.set_value(None)
        self.conspicuity.setEnabled(not none)

    def contrast_answers(self) -> tuple[EnhancementType | None, Conspicuity | None]:
        """Enhancement and conspicuity of the mark being made; None where not asked."""
        kind, level = self.enhancement.value(), self.conspicuity.value()
        return EnhancementType(kind) if kind else None, Conspicuity(level) if level else None

    def _lacking(self) -> ChoiceRow | None:
        """The first question of the protocol without an answer; what does not enhance has no conspicuity."""
        if "enhancement" in self._asked and self.enhancement.value() is None:
            return self.enhancement
        none = self.enhancement.value() == EnhancementType.NONE.value
        if self._asks_call and self.call.value() is None:
            return self.call
        return (
            self.conspicuity
            if "conspicuity" in self._asked and not none and self.conspicuity.value() is None
            else None
        )

    def start(self, where: str) -> None:
        self._where.setText(where)
        self.finding.set_value(FindingType.MASS.value)
        self.confidence.set_value(None)
        for row in (self.enhancement, self.conspicuity, self.call):
            row.set_value(None)
        self.conspicuity.setEnabled(True)
        self.show()
        self.confidence.setFocus(Qt.FocusReason.OtherFocusReason)

    def confirm(self) -> None:
        if self.isHidden():
            return
        value, kind = self.confidence.value(), self.finding.value()
        if value is None or kind is None:
            self.confidence.set_problem(_tr("Give a confidence from 0 to 100, then press Enter."))
            self.confidence.setFocus(Qt.FocusReason.OtherFocusReason)
            return
        lacking = self._lacking()
        if lacking is not None:
            lacking.set_problem(_tr("Choose one, then press Enter."))
            lacking.setFocus(Qt.FocusReason.OtherFocusReason)
            return
        self.confirmed.emit(kind, value)


class FindingsPanel(QFrame):
    """Reader's marks and the mark editor."""

    remove_asked = Signal(str)
    finding_chosen = Signal(str)  # finding id

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("findingsPanel")
        heading = QLabel(_tr("FINDINGS"))
        heading.setProperty("role", "section")
        self._list = QListWidget()
        self._list.setObjectName("findingsList")
        self._list.setToolTip(_tr("Your marks; Delete takes one back  (Ctrl+Z the last)"))
        self._list.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._empty = QLabel("")
        self._empty.setProperty("role", "secondary")
        self._empty.setWordWrap(True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.editor = MarkEditor(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 8, 12, 4)
        layout.addWidget(heading)
        layout.addWidget(self._empty, 1)
        layout.addWidget(self._list, 1)
        layout.addStretch(0)
        layout.addWidget(self.editor)
        self._list.currentItemChanged.connect(self._on_choice)

    def set_findings(self, findings: Sequence[Finding]) -> None:
        self._list.blockSignals(True)
        self._list.clear()
        for number, finding in enumerate(findings, 1):
            view = finding.image_key.split("/", maxsplit=1)[0].replace("-", " ")
            enhances = [
                contrast_term(answer) for answer in (finding.enhancement, finding.conspicuity) if answer
            ]
            said = f"   {', '.join(enhances)}" if enhances else ""
            kind = finding_term(finding.finding)
            item = QListWidgetItem(f"{number}  {kind}  {view}   {finding.suspicion} %{said}")
            item.setData(Qt.ItemDataRole.UserRole, finding.finding_id)
            self._list.addItem(item)
        self._list.blockSignals(False)
        self._empty.setText(_tr("No marks yet. Press X and click on a lesion."))
        self._empty.setVisible(not findings)
        self._list.setVisible(bool(findings))

    def invite_no_more(self) -> None:
        """The case is locked: no mark can be made."""
        self._empty.setText("")

    def remove_current(self) -> None:
        item = self._list.currentItem()
        if item is not None:
            self.remove_asked.emit(str(item.data(Qt.ItemDataRole.UserRole)))

    def _on_choice(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.finding_chosen.emit(str(item.data(Qt.ItemDataRole.UserRole)))
