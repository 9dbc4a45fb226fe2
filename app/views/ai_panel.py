"""The AI's part of the side panel: where it stands, its scores, the threshold, its findings, and what each number means.

Made only for arms that show AI. Decides nothing: ``app.views.ai_layers`` tells it what to show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.state.ai_findings import AiFinding, detail_lines, listed
from app.state.ai_notes import UnreadLine, warning_lines
from app.state.ai_view import AiPhase, AiView, ModelWords, RunState, point_title
from app.state.side_by_side import ModelRow, Side
from app.state.terms import image_term
from app.views.ai_findings_list import AiFindingsList
from app.views.model_rows import ModelRows
from app.views.threshold_row import CountLabel, ThresholdRow
from inference.results import ExamResult
from resources.vocabulary import Laterality

ENERGY_LINES = 10  # lines on the agreement of the energies; more stand in the tooltip

_FEW_LINES = 2  # of warnings; more stand in small letters


def _tr(text: str) -> str:
    return QCoreApplication.translate("findings", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class AiPanelState:
    """All that the panel shows; ``findings`` are those of the models on screen, called up or not."""

    ai: AiView
    result: ExamResult | None = None  # of the model in front
    rows: tuple[ModelRow, ...] = ()  # every model that was asked; empty = one alone
    shown: tuple[Side, ...] = ()  # the answers on screen
    ready: str = ""  # which keys call up what, while nothing is on
    on: bool = False  # True = a layer is on screen
    show_scores: bool = False
    show_findings: bool = False
    may_choose: bool = False  # the protocol lets the reader move the threshold
    show_meaning: bool = False
    findings: tuple[AiFinding, ...] = ()
    count: str = ""  # what the thresholds do, in words
    threshold: float = 0.5
    chosen: str | None = None  # id of the detection that is lit
    unread: tuple[UnreadLine, ...] = ()

    @property
    def card(self) -> ModelWords:
        """The words of the model in front."""
        result = self.result
        return ModelWords() if result is None else self.ai.card_of(result)

    def card_of(self, finding: AiFinding) -> ModelWords:
        """The words of the model that a finding is of."""
        side = next((one for one in self.shown if one.letter == finding.letter), None)
        return self.card if side is None else side.words


class AiPanel(QFrame):
    """What the AI says in numbers and words, or why it says nothing."""

    toggled = Signal()  # everything of the AI on or off
    stop_asked = Signal()
    retry_asked = Signal()
    finding_chosen = Signal(str)  # id of a detection
    threshold_moved = Signal(float, bool)  # 0..1, and whether it rests
    model_chosen = Signal(int)  # index of an answer that comes to the front
    model_toggled = Signal(int)  # index of an answer to be shown or put away

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("aiPanel")
        self._keys: Mapping[str, str] = {}
        self.threshold: ThresholdRow | None = None
        self.list = AiFindingsList()
        self.list.chosen.connect(self.finding_chosen)
        self._make_words()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(12, 8, 12, 4)
        self._layout.addLayout(self._make_heading())
        working = QHBoxLayout()
        working.setSpacing(6)
        working.addWidget(self._bar, 1)
        working.addWidget(self.stop)
        self._layout.addWidget(self.models)
        self._layout.addWidget(self._state)
        self._layout.addLayout(working)
        for part in (
            self.retry,
            self._unread,
            self._warnings,
            self._scores,
            self._count,
            self.list,
            self._detail,
        ):
            self._layout.addWidget(part)
        for part in (self._energies, self._meaning, self._cad):
            self._layout.addWidget(part)
        self._layout.addStretch(1)

    def _make_words(self) -> None:
        self._state, self._unread, self._warnings = (
            _words("aiState"),
            _words("aiUnread"),
            _words("aiWarnings"),
        )
        self._scores, self._detail, self._meaning = (
            _words("aiScores"),
            _words("aiDetail"),
            _words("aiMeaning"),
        )
        self._energies, self._cad, self._count = _words("aiEnergies"), _words("cadState"), CountLabel()
        self._state.setIndent(0)
        self._unread.setProperty("role", "error")
        self._warnings.setProperty("role", "accent")
        self._scores.setTextFormat(Qt.TextFormat.RichText)
        self._meaning.setProperty("role", "secondary")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(3)
        self.stop = QPushButton(_tr("Stop"))
        self.stop.setObjectName("aiStop")
        self.stop.setToolTip(_tr("Stop the analysis of this exam"))
        self.stop.clicked.connect(self.stop_asked)
        self.retry = QPushButton(_tr("Try again"))
        self.retry.setObjectName("aiRetry")
        self.retry.setToolTip(_tr("Analyse this exam once more"))
        self.retry.clicked.connect(self.retry_asked)
        for button in (self.stop, self.retry):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.setProperty("role", "point")
            button.hide()
        self.models = ModelRows()
        self.models.toggled.connect(self.model_toggled)
        self.models.brought.connect(self.model_chosen)

    def _make_heading(self) -> QHBoxLayout:
        heading = QLabel(_tr("AI  (research use only)"))
        heading.setProperty("role", "section")
        self.switch = QToolButton()
        self.switch.setObjectName("aiSwitch")
        self.switch.setProperty("role", "point")
        self.switch.setCheckable(True)
        self.switch.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.switch.clicked.connect(self.toggled)
        row = QHBoxLayout()
        row.addWidget(heading)
        row.addStretch(1)
        row.addWidget(self.switch)
        return row

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Name the keys in tooltips, by command id."""
        self._keys = keys
        self.switch.setToolTip(_tr("All of the AI on or off  ({0})").format(keys.get("ai.all", "")))
        self.models.set_key(keys.get("ai.model", ""))
        self.list.setToolTip(
            _tr("Findings of the AI; a click goes to one  ({0} next, {1} previous)").format(
                keys.get("ai.next", ""), keys.get("ai.previous", "")
            )
        )
        if self.threshold is not None:
            self.threshold.set_keys(keys.get("ai.threshold_down", ""), keys.get("ai.threshold_up", ""))

    def set_text_scale(self, scale: float) -> None:
        """Make room for text of this scale (0.8 to 2)."""
        self.list.set_text_scale(scale)

    def set_cad(self, words: str, *, failed: bool) -> None:
        """Name other vendors' CAD while its marks are on screen: algorithm, version, state, what is not drawn."""
        _set(self._cad, "role", "error" if failed else "secondary")
        _say(self._cad, words)

    def set_energies(self, lines: Sequence[str]) -> None:
        """Say lesion by lesion whether low energy and recombined agree; empty = nothing to say or not called up."""
        heading = [_tr("Low energy / recombined")] if lines else []
        shown = list(lines)
        if len(lines) > ENERGY_LINES + 1:  # the last line is the rule
            more = _tr("… and {0} more").format(len(lines) - ENERGY_LINES)
            shown = [*lines[: ENERGY_LINES - 1], more, lines[-1]]
        _say(self._energies, "\n".join([*heading, *shown]))
        self._energies.setToolTip("\n".join(lines))

    def set_state(self, state: AiPanelState) -> None:
        """Show progress, the sentence why there is nothing, or what the reader has called up."""
        ai, result = state.ai, state.result
        phase = ai.phase
        self._set_phase(phase)
        stopped = _tr("AI stopped. These images were not assessed.") if phase is AiPhase.STOPPED else ""
        ready = state.ready if result is not None and not state.on else ""
        _say(self._state, ai.failure or ai.absent or ai.working or stopped or ready)
        self._bar.setVisible(phase is AiPhase.RUNNING)
        self._bar.setValue(round(100 * ai.fraction))
        self.stop.setVisible(ai.is_open)
        again = {RunState.FAILED, RunState.STOPPED}
        some = not ai.is_open and any(run.state in again for run in ai.runs)
        self.retry.setVisible(some or phase in {AiPhase.FAILED, AiPhase.STOPPED})
        self.switch.setVisible(result is not None)
        self.switch.setChecked(state.on)
        self.switch.setText(_tr("on") if state.on else _tr("off"))
        _say(self._unread, "\n".join(line.words for line in state.unread))
        _set(self._unread, "role", "secondary" if all(line.by_design for line in state.unread) else "error")
        problems = () if state.rows else ai.problems  # several models say their own in the list
        warnings = warning_lines(state.shown, problems)
        _say(self._warnings, "\n".join(f"⚠ {line}" for line in warnings))
        _set(self._warnings, "dense", len(warnings) > _FEW_LINES)
        self.models.set_rows(state.rows)
        shown = result if state.show_scores else None
        _say(self._scores, "" if shown is None else _score_table(state.shown))
        views = {} if shown is None else shown.view_scores  # they stand on the pictures
        self._scores.setToolTip(
            "\n".join(f"{image_term(key)}  {one:.2f}" for key, one in sorted(views.items()))
        )
        self._set_findings(state)
        self._set_meaning(state)

    def _set_phase(self, phase: AiPhase) -> None:
        if self._state.property("phase") != phase.value:
            self._state.setProperty("phase", phase.value)
            self._state.style().unpolish(self._state)
            self._state.style().polish(self._state)

    def _set_findings(self, state: AiPanelState) -> None:
        shown = state.show_findings and state.result is not None
        if shown and state.may_choose and self.threshold is None:
            self.threshold = ThresholdRow()
            self.threshold.moved.connect(self.threshold_moved)
            self._layout.insertWidget(self._layout.indexOf(self._count) + 1, self.threshold)
            self.set_keys(self._keys)
        elif self.threshold is not None and not state.may_choose:
            self._layout.removeWidget(self.threshold)
            self.threshold.setParent(None)
            self.threshold.deleteLater()
            self.threshold = None
        findings = listed(state.findings, state.threshold) if shown else ()
        point = state.card.point_at(state.threshold)
        fixed = point is not None and not state.may_choose  # a named point that is chosen is a pressed button
        name = f"  ·  {point_title(point.name)}" if point and fixed else ""
        count = "" if state.rows else state.count  # of several models each line says its own
        _say(self._count, f"{count}{name}".removeprefix("  ·  ") if shown else "")
        if self.threshold is not None:
            self.threshold.setVisible(shown)
            front = next((row.letter for row in state.rows if row.front), "")
            self.threshold.set_owner(front)
            self.threshold.set_state(state.threshold, state.card.points)
        self.list.set_findings(findings, state.threshold, state.chosen)
        self.list.setVisible(bool(findings))
        chosen = next((one for one in findings if one.has(state.chosen)), None)
        _say(
            self._detail,
            "" if chosen is None else "\n".join(detail_lines(chosen, state.card_of(chosen), state.threshold)),
        )

    def _set_meaning(self, state: AiPanelState) -> None:
        """What a number means stands with the first numbers on screen: scores, or findings."""
        result = state.result if state.show_scores or state.show_meaning else None
        if result is None:
            _say(self._meaning, "")
            return
        meaning = QCoreApplication.translate("model", result.score_meaning)
        _say(self._meaning, f"{meaning}\n{result.model_id} {result.model_version} · {result.device}".strip())


def _words(name: str) -> QLabel:
    label = QLabel("")
    label.setObjectName(name)
    label.setWordWrap(True)
    label.hide()
    return label


def _say(label: QLabel, words: str) -> None:
    if label.text() != words:
        label.setText(words)
    label.setVisible(bool(words))


def _set(label: QLabel, name: str, value: object) -> None:
    """Give a label a property by which the style knows it."""
    if label.property(name) != value:
        label.setProperty(name, value)
        label.style().unpolish(label)
        label.style().polish(label)


def _score_table(shown: Sequence[Side]) -> str:
    """Scores by exam and breast; one column a model on screen."""
    many = len(shown) > 2  # more columns than two leave the name of a side the room of its letter
    sides = {Laterality.RIGHT: _tr("Right breast"), Laterality.LEFT: _tr("Left breast")}
    if many:
        sides = {Laterality.RIGHT: "R", Laterality.LEFT: "L"}
    rows: list[tuple[str, list[float | None]]] = [(_tr("Exam"), [one.result.exam_score for one in shown])]
    rows += [(name, [one.result.breast_scores.get(side) for one in shown]) for side, name in sides.items()]
    head = ""
    if len(shown) > 1 or any(one.letter for one in shown):
        head = "<tr><td></td>" + "".join(f"<td align='right'>{one.letter}</td>" for one in shown) + "</tr>"
    cells = "".join(
        f"<tr><td style='padding-right:{8 if many else 16}px'>{name}</td>"
        + "".join(
            f"<td align='right' style='padding-left:{5 if many else 10}px'>"
            f"{'–' if value is None else f'{value:.2f}'}</td>"
            for value in values
        )
        + "</tr>"
        for name, values in rows
        if any(value is not None for value in values)
    )
    return f"<table>{head}{cells}</table>" if cells else ""
