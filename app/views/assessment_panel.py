"""The assessment form beside the images: BI-RADS and probability per breast, density, recall, submit.

Generated from the study's scale. It holds what the reader entered and emits it; what is allowed is decided in
reader_study, whose sentences it shows at the field they name.
"""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from app.views.choice_row import ChoiceRow
from reader_study.domain.assessment import Assessment, BreastAssessment
from reader_study.domain.conduct import CallOf
from reader_study.domain.study import Scale
from resources.vocabulary import BackgroundEnhancement, Density, EnhancementSymmetry, Laterality


def _tr(text: str) -> str:
    return QCoreApplication.translate("assessment", text)


class PercentField(QWidget):
    """A whole number 0..100 typed by hand; empty = not answered."""

    changed = Signal()

    def __init__(self, field: str, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.field = field
        self.setObjectName(f"field-{field}")
        self.edit = QLineEdit()
        self.edit.setObjectName("percent")
        self.edit.setMaxLength(3)
        self.edit.setFixedWidth(58)
        self.edit.setPlaceholderText("–")
        self.edit.setToolTip(_tr("{0}: 0 = certainly not, 100 = certainly malignant").format(title))
        self.edit.setAccessibleName(title)
        self._problem = QLabel("")
        self._problem.setProperty("role", "error")
        self._problem.setWordWrap(True)
        self._problem.hide()
        label = QLabel(title)
        label.setProperty("role", "secondary")
        row = QHBoxLayout()
        row.addWidget(label, 1)
        row.addWidget(self.edit)
        row.addWidget(QLabel("%"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self._problem)
        self.setFocusProxy(self.edit)
        self.edit.textEdited.connect(self._on_edit)

    def value(self) -> int | None:
        """The number, None when empty; a text that is no whole number in 0..100 is None with a problem shown."""
        text = self.edit.text().strip()
        if not text:
            return None
        if text.isdecimal() and int(text) <= 100:
            return int(text)
        self.set_problem(_tr("Expected a whole number from 0 to 100, found “{0}”.").format(text))
        return None

    def set_value(self, value: int | None) -> None:
        self.edit.setText("" if value is None else str(value))
        self.set_problem("")

    def set_problem(self, sentence: str) -> None:
        self._problem.setText(sentence)
        self._problem.setVisible(bool(sentence))

    def _on_edit(self, _text: str) -> None:
        self.set_problem("")
        self.value()
        self.changed.emit()


class AssessmentPanel(QFrame):
    """The form; ``draft_changed`` at every answer, ``submitted`` on the button (or F12 through the window)."""

    draft_changed = Signal(object)
    submitted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("assessmentPanel")
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(12, 8, 12, 12)
        self._layout.setSpacing(4)
        self._choices: dict[str, ChoiceRow] = {}
        self._percents: dict[str, PercentField] = {}
        self._sides: tuple[Laterality, ...] = ()
        self._contrast = False
        self._submit = QPushButton(_tr("Submit   F12"))
        self._submit.setObjectName("submit")
        self._submit.setProperty("role", "primary")
        self._submit.setToolTip(_tr("Lock this case and go to the next  (F12)"))
        self._submit.clicked.connect(self.submit)

    def set_case(
        self,
        scale: Scale,
        sides: tuple[Laterality, ...],
        draft: Assessment | None,
        *,
        contrast: bool = False,
        submit: bool = True,
    ) -> None:
        """Build the form for one case and fill in the draft that survived a crash, if there is one.

        ``contrast`` is True for a contrast exam: then the scale's contrast questions are asked too (CEM-08).
        ``submit`` False leaves the button out: the page around the form has its own.
        """
        self._clear()
        self._sides, self._contrast = sides, contrast
        heading = QLabel(_tr("ASSESSMENT"))
        heading.setProperty("role", "section")
        self._layout.addWidget(heading)
        for side in sides:
            name = _tr("Right") if side is Laterality.RIGHT else _tr("Left")
            self._add_choice(
                f"{side.value}.birads", f"{name}  BI-RADS", [(value, value) for value in scale.birads]
            )
            self._add_percent(f"{side.value}.suspicion", f"{name}  " + _tr("malignancy"))
            if contrast:
                self._add_contrast(scale, side, name)
        self._add_choice("density", _tr("Density"), [(d.value, d.value) for d in Density])
        self._add_choice("recall", _tr("Recall"), [("n", _tr("no")), ("y", _tr("yes"))])
        if scale.call is CallOf.CASE:
            self._add_choice("call", _tr("Call"), [("n", _tr("benign")), ("y", _tr("malignant"))])
        self._layout.addSpacing(6)
        self._layout.addWidget(self._submit)
        self._submit.setVisible(submit)
        if draft is not None:
            self._fill(draft)

    def _add_contrast(self, scale: Scale, side: Laterality, name: str) -> None:
        levels = {
            BackgroundEnhancement.MINIMAL: _tr("min"),
            BackgroundEnhancement.MILD: _tr("mild"),
            BackgroundEnhancement.MODERATE: _tr("mod"),
            BackgroundEnhancement.MARKED: _tr("marked"),
        }
        symmetries = {
            EnhancementSymmetry.SYMMETRIC: _tr("symmetric"),
            EnhancementSymmetry.ASYMMETRIC: _tr("asymmetric"),
        }
        if "bpe" in scale.contrast:
            title = f"{name}  " + _tr("background enhancement")
            self._add_choice(f"{side.value}.bpe", title, [(k.value, text) for k, text in levels.items()])
        if "bpe_symmetry" in scale.contrast:
            title = f"{name}  " + _tr("background symmetry")
            choices = [(k.value, text) for k, text in symmetries.items()]
            self._add_choice(f"{side.value}.bpe_symmetry", title, choices)

    def _clear(self) -> None:
        self._submit.hide()
        while (item := self._layout.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None and widget is not self._submit:
                widget.setParent(None)
                widget.deleteLater()
        self._choices.clear()
        self._percents.clear()

    def _add_choice(self, field: str, title: str, choices: list[tuple[str, str]]) -> None:
        row = ChoiceRow(field, title, choices, self)
        row.changed.connect(self._on_change)
        self._choices[field] = row
        self._layout.addWidget(row)

    def _add_percent(self, field: str, title: str) -> None:
        row = PercentField(field, title, self)
        row.changed.connect(self._on_change)
        self._percents[field] = row
        self._layout.addWidget(row)

    def _fill(self, draft: Assessment) -> None:
        for breast in draft.breasts:
            if (row := self._choices.get(f"{breast.laterality.value}.birads")) is not None:
                row.set_value(breast.birads)
            if (percent := self._percents.get(f"{breast.laterality.value}.suspicion")) is not None:
                percent.set_value(breast.suspicion)
            for name, answer in (("bpe", breast.bpe), ("bpe_symmetry", breast.bpe_symmetry)):
                if (row := self._choices.get(f"{breast.laterality.value}.{name}")) is not None:
                    row.set_value(None if answer is None else answer.value)
        self._choices["density"].set_value(draft.density.value if draft.density else None)
        self._choices["recall"].set_value(None if draft.recall is None else "y" if draft.recall else "n")
        if "call" in self._choices:
            self._choices["call"].set_value(None if draft.call is None else "y" if draft.call else "n")

    def assessment(self) -> Assessment:
        """What stands in the form now; unanswered = None."""
        breasts = tuple(self._breast(side) for side in self._sides)
        density, recall = self._choices["density"].value(), self._choices["recall"].value()
        return Assessment(
            breasts=breasts,
            density=Density(density) if density else None,
            recall=None if recall is None else recall == "y",
            contrast=self._contrast,
            call=None if (call := self._answer("call")) is None else call == "y",
        )

    def _breast(self, side: Laterality) -> BreastAssessment:
        bpe, symmetry = (self._answer(f"{side.value}.{name}") for name in ("bpe", "bpe_symmetry"))
        return BreastAssessment(
            laterality=side,
            birads=self._choices[f"{side.value}.birads"].value(),
            suspicion=self._percents[f"{side.value}.suspicion"].value(),
            bpe=BackgroundEnhancement(bpe) if bpe else None,
            bpe_symmetry=EnhancementSymmetry(symmetry) if symmetry else None,
        )

    def _answer(self, field: str) -> str | None:
        row = self._choices.get(field)
        return None if row is None else row.value()

    def field(self, name: str) -> QWidget:
        """Return the widget of one field, e.g. 'R.birads'."""
        found = self._choices.get(name) or self._percents.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def show_problems(self, problems: Mapping[str, str]) -> None:
        """Light the fields and put the focus on the first."""
        first = True
        rows: list[tuple[str, ChoiceRow | PercentField]] = [*self._choices.items(), *self._percents.items()]
        for name, row in rows:
            sentence = problems.get(name, "")
            row.set_problem(sentence)
            if sentence and first and not isinstance(self.focusWidget(), QPushButton):
                row.setFocus(Qt.FocusReason.OtherFocusReason)
                first = False

    def focus_first(self) -> None:
        for row in self._choices.values():
            row.setFocus(Qt.FocusReason.ShortcutFocusReason)
            return

    def submit(self) -> None:
        if self._choices:
            self.submitted.emit(self.assessment())

    def _on_change(self) -> None:
        self.draft_changed.emit(self.assessment())
