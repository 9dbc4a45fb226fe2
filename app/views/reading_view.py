"""The reading window: a bar above, the grid of viewports, the side panel, a line below.

Draws what the controller hands it and emits what the reader does; which layers of the AI may be switched on is in
the case's policy, and where it shows no AI the controls do not exist.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace

from PySide6.QtCore import QCoreApplication, Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from app.control.reading import NO_AI, CaseView
from app.control.reading_after import LookBack
from app.state.ai_findings import listed
from app.state.ai_view import AiView
from app.state.annotation import annotation
from app.state.display import Change, Operation, ZoomMode
from app.state.energy_agreement import agreement_words, alone_words, energy_agreement
from app.state.measurement_board import MarkStep
from app.state.overlays import AnnotationText, overlay_items
from app.state.practice_truth import ShownTruth, truth_items
from app.state.priors import all_images, gap_words, prior_number
from app.state.settings import HeatColour
from app.state.terms import preset_term, tool_term
from app.state.tone import Tone
from app.views.ai_arcs import AiArcLayer, Nipples, finding_arcs
from app.views.ai_layers import AiLayers
from app.views.ai_panel import AiPanel
from app.views.assessment_panel import AssessmentPanel
from app.views.between_cases import BreakPage, RetryPage, TruthPanel
from app.views.case_hanging import CaseHanging, stage_of_image
from app.views.case_objects import CaseObjects
from app.views.finding_jump import FindingJump
from app.views.findings_panel import FindingsPanel
from app.views.image_tools import ImageTools
from app.views.instruction_dialog import InstructionDialog
from app.views.keyboard_pointer import KeyboardPointer
from app.views.look_back import LookBackPage
from app.views.mark_grip import MarkGrip
from app.views.panel_window import PanelWindow, relaid
from app.views.view_layers import Arc
from app.views.viewport import Viewport
from app.views.viewport_grid import ViewportGrid
from inference.exam.types import ViewImage
from reader_study.coverage import SeenImage
from reader_study.domain.assessment import Assessment, Finding, problems
from reader_study.domain.conduct import CallOf
from resources.vocabulary import FindingType, Laterality

PANEL_PX = 224
BAR_PX = 20
MESSAGE_MS = 12_000
POINTER_STEP = 0.1  # of what the same arrow key pans by
ARROW_PX = 80.0  # what an arrow key pans by; a selected handle moves by one picture pixel


def _tr(text: str) -> str:
    return QCoreApplication.translate("reading", text)


class ReadingView(QWidget):
    """Shows one case at a time; the face that ``ReadingController`` speaks to."""

    painted = Signal()
    stage_shown = Signal(str)
    view_changed = Signal(object)  # dict: image, window, zoom, what the log's stream keeps
    mark_made = Signal(object)  # Finding
    mark_removed = Signal(str)
    mark_moved = Signal(object)  # Finding at its new place
    draft_changed = Signal(object)
    submitted = Signal(object)
    finished = Signal(str)
    ai_shown = Signal(str, object)  # layer, what exactly
    ai_hidden = Signal(str)
    ai_stop = Signal()
    ai_retry = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("reading")
        self._case: CaseView | None = None
        self._stage = 0
        self._new_case = False
        self._pending: tuple[ViewImage, float, float] | None = None
        self._asked = ""  # id of the mark that was handed out and not yet seen among the findings
        self._paused = self._warned_unseen = False
        # Technique in a study and outside; identity outside only (MG-27).
        self._technique, self._identity = {True: False, False: True}, True
        self._tool_name, self._text_scale = "window", 1.0
        self._heat_colour = HeatColour.AMBER.value
        self._keys = {
            "ai.boxes": "B",
            "ai.heat": "H",
            "ai.score": "S",
            "ai.all": "Shift+A",
            "ai.next": "U",
            "ai.previous": "Shift+U",
            "ai.model": "Shift+B",
            "ai.threshold_down": "-",
            "ai.threshold_up": "=",
            "cad.marks": "K",
            "case.pause": "Pause",
            "help.keys": "F1",
        }
        self.grid = ViewportGrid(self)
        self.image_tools = ImageTools(self.grid, self)
        self.image_tools.said.connect(self.show_message)
        self.image_tools.failed.connect(self._show_failure)
        self.image_tools.changed.connect(self._show_tool)
        self._dragged: Finding | None = (
            None  # the mark under the pointer, at the place where it would be let go
        )
        self.image_tools.take_first(
            lambda inner: MarkGrip(inner, self._movable, self._draw_dragged, self.mark_moved.emit)
        )
        self.pointer = KeyboardPointer(self.grid)
        self.panel_window = PanelWindow(self)
        self.panel_window.put_back.connect(self.toggle_panel_apart)
        self.findings = FindingsPanel(self)
        self.ai_panel: AiPanel | None = None
        self.form = AssessmentPanel(self)
        self._truth: ShownTruth | None = None  # of the locked practice case on screen
        self.truth_panel, self.break_page, self.look_back_page = TruthPanel(self), BreakPage(), LookBackPage()
        self.retry_page = RetryPage()
        self.hanging = CaseHanging(self.grid, self)
        self.hanging.strip.chosen.connect(self.show_image)
        self.objects = CaseObjects(self.grid, self.image_tools, self)
        self.objects.said.connect(self.show_message)
        self.objects.failed.connect(self._show_failure)
        self.objects.changed.connect(self._refresh_overlays)
        self.objects.changed.connect(self._show_tool)
        self._make_ai()
        self._build()
        self.grid.all_painted.connect(self._on_painted)
        self.grid.clicked.connect(self._on_click)
        self.grid.hovered.connect(self._on_hover)
        self.grid.viewport_changed.connect(self._on_viewport_changed)
        self.grid.active_changed.connect(lambda _view: self._show_tool())
        self.grid.stage_stepped.connect(self.step)
        self.findings.remove_asked.connect(self.mark_removed)
        self.findings.finding_chosen.connect(self._select)
        self.findings.editor.confirmed.connect(self._confirm_mark)
        self.findings.editor.cancelled.connect(self.cancel_mark)
        self.form.draft_changed.connect(self.draft_changed)
        self.form.draft_changed.connect(self._warn_unseen)
        self.form.submitted.connect(self.submitted)

    # ---- layout

    def _build(self) -> None:
        self._blank = QLabel("")
        self._blank.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._blank.setWordWrap(True)
        self._blank.setObjectName("blank")
        middle = QWidget()
        self._stack = QStackedLayout(middle)
        self._stack.addWidget(self.grid)
        for page in (self._blank, self.break_page, self.retry_page, self.look_back_page):
            self._stack.addWidget(page)
        self.side = self._make_side()
        self._body = body = QHBoxLayout()
        body.setSpacing(0)
        body.addWidget(middle, 1)
        body.addWidget(self.side)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        self._lines = (self._make_top(), self._make_bottom())
        layout.addWidget(self._lines[0])
        layout.addLayout(body, 1)
        layout.addWidget(self.hanging.strip)
        layout.addWidget(self._lines[1])
        self._message_timer = QTimer(self)
        self._message_timer.setSingleShot(True)
        self._message_timer.timeout.connect(self._message.hide)

    def _make_top(self) -> QWidget:
        self._bar = QLabel("")
        self._stage_label = QLabel("")
        self._stage_label.setProperty("role", "secondary")
        research = QLabel(_tr("RESEARCH USE ONLY"))
        research.setProperty("role", "accent")
        top = QWidget()
        top.setFixedHeight(BAR_PX)
        row = QHBoxLayout(top)
        row.setContentsMargins(10, 0, 10, 0)
        row.addWidget(research)
        row.addSpacing(18)
        row.addWidget(self._bar)
        row.addSpacing(18)
        row.addWidget(self.hanging.missing)
        row.addStretch(1)
        row.addWidget(self._stage_label)
        return top

    def _make_bottom(self) -> QWidget:
        self._message, self._tool, self._pointer, self._layers_label = (
            QLabel(""),
            QLabel(""),
            QLabel(""),
            QLabel(""),
        )
        self._size_note = QLabel("")  # only where same size had to be estimated
        self._size_note.setObjectName("sizeNote")
        self._monitor_note = QLabel("")
        self._monitor_note.setObjectName("monitorNote")
        self._message.setProperty("role", Tone.PLAIN.value)
        self._message.hide()
        for label in (
            self._tool,
            self._pointer,
            self._layers_label,
            self._size_note,
            self._monitor_note,
        ):
            label.setProperty("role", "secondary")
        for label in (self._message, self._size_note, self._monitor_note):
            label.setMinimumWidth(1)  # a long sentence is cut, never widens the window
        bottom = QWidget()
        bottom.setFixedHeight(BAR_PX)
        line = QHBoxLayout(bottom)
        line.setContentsMargins(10, 0, 10, 0)
        line.addWidget(self._tool)
        line.addSpacing(24)
        line.addWidget(self._pointer)
        line.addSpacing(24)
        line.addWidget(self._size_note)
        line.addSpacing(24)
        line.addWidget(self._monitor_note)
        line.addStretch(1)
        line.addWidget(self._message)
        line.addSpacing(24)
        line.addWidget(self._layers_label)
        return bottom

    def _make_side(self) -> QScrollArea:
        inner = QWidget()
        inner.setMaximumWidth(PANEL_PX)
        self._side_layout = QVBoxLayout(inner)
        self._side_layout.setContentsMargins(0, 0, 0, 0)
        self._side_layout.setSpacing(0)
        self._side_layout.addWidget(self.findings, 1)
        self._side_layout.addWidget(self.form)
        self._side_layout.addWidget(self.truth_panel)
        side = QScrollArea()
        side.setObjectName("sidePanel")
        side.setWidget(inner)
        self._side_page = inner
        side.setWidgetResizable(True)
        side.setFrameShape(QFrame.Shape.NoFrame)
        side.setFixedWidth(PANEL_PX)
        side.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        return side

    def toggle_panel_apart(self, place: str = "") -> None:
        """Give the side panel a window of its own, on another monitor where there is one, or take it back."""
        if self.panel_window.is_apart:
            self.panel_window.give_back(self._body)
        else:
            self.panel_window.take(self.side, place)

    def focus_form(self) -> None:
        """Take the keys to the form, wherever it is."""
        self._to_panel()
        self.form.focus_first()

    def _to_panel(self) -> None:
        if self.panel_window.is_apart:
            self.panel_window.show()
            self.panel_window.activateWindow()
        else:
            self.side.setVisible(True)

    def fold_panel(self) -> None:
        """Hide or show the side panel, with its window where it has one."""
        panel: QWidget = self.panel_window if self.panel_window.is_apart else self.side
        panel.setVisible(panel.isHidden())

    def set_text_scale(self, scale: float) -> None:
        """Make room in the lines and the panel for text of this scale (0.8 to 2)."""
        for line in self._lines:
            line.setFixedHeight(round(BAR_PX * scale))
        if not self.panel_window.is_apart:
            self.side.setFixedWidth(round(PANEL_PX * scale))
            self._side_page.setMaximumWidth(round(PANEL_PX * scale))
        self._text_scale = scale
        if self.ai_panel is not None:
            self.ai_panel.set_text_scale(scale)

    def set_heat_colour(self, colour_map: str) -> None:
        """Draw heat maps with this colour map from now on."""
        if colour_map != self._heat_colour:
            self._heat_colour = colour_map
            self._refresh_overlays()

    def set_monitor_note(self, note: str) -> None:
        """Say quietly what speaks against this monitor (QC-04); empty = nothing."""
        first, _, more = note.partition("; ")
        count = f" (+{more.count('; ') + 1})" if more else ""
        self._monitor_note.setText(_tr("monitor: {0}").format(first) + count if note else "")
        self._monitor_note.setToolTip(note)

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Name these keys in the words on screen, by command id."""
        self._keys |= {name: keys[name] for name in self._keys if name in keys}
        if self.ai_panel is not None:
            self.ai_panel.set_keys(self._keys)
        if self._case is not None:
            self._refresh_overlays()

    @property
    def ai(self) -> AiView:
        """What the AI said last about the case on screen."""
        return self.ai_layers.ai

    def _make_ai(self) -> None:
        self.ai_layers = AiLayers(self.objects, self)
        self.ai_layers.said.connect(self.show_message)
        self.ai_layers.changed.connect(self._refresh_overlays)
        self.ai_layers.shown.connect(self.ai_shown)
        self.ai_layers.hidden.connect(self.ai_hidden)
        self._ai_arcs = AiArcLayer()
        self._jump = FindingJump(self.grid)
        self.grid.viewport_made.connect(self._equip_for_ai)

    def _equip_for_ai(self, view: Viewport) -> None:
        view.over.layers = (*view.over.layers, self._ai_arcs)
        view.left.connect(lambda: self._light_up(None))

    # ---- the controller speaks

    def show_loading(self, text: str) -> None:
        # Nothing of the last case stays, its form and scores included, should the next one fail to hang.
        self.image_tools.end()
        self._case = None
        self._end_between()
        self.hanging.set_case(None)
        self.objects.set_case(None)
        self.ai_layers.set_case(None)
        self._ai_arcs.arcs = {}
        self._jump.forget()
        self.grid.clear()
        self.show_message("")  # it was about the last case
        self._pending, self._asked = None, ""
        for label in (self._bar, self._stage_label, self._tool, self._pointer, self._size_note):
            label.setText("")
        self._side_page.hide()
        self._layers_label.hide()
        self._blank.setText(text)
        self._stack.setCurrentWidget(self._blank)

    def show_case(self, case: CaseView) -> None:
        # The same images once more (the AI comes to a case that is being read) are painted already.
        self._new_case = self._new_case or self._case is None or self._case.exam is not case.exam
        self._case, self._stage = case, 0
        self._pending, self._asked, self._paused = None, "", False
        self._warned_unseen = False
        self._end_between()
        self.findings.editor.hide()
        self._bar.setText(f"{case.study_title}      {case.session_title}      {case.case_label}")
        sides = tuple(s for s in Laterality if any(i.view.laterality is s for i in case.exam.images))
        contrast = any(image.kind.is_contrast for image in case.exam.images)
        self.form.set_case(case.scale, sides, case.draft, contrast=contrast)
        self.findings.editor.ask_contrast(case.scale.contrast, contrast=contrast)
        self.findings.editor.ask_call(asked=case.scale.call is CallOf.LESION)
        self.form.setVisible(case.in_study)
        self.findings.set_findings(case.findings)
        images, keep = all_images(case.exam, case.priors), not case.in_study
        self.image_tools.set_case(images, case.pyramids, case_id=case.exam.exam_id, keep=keep)
        self.image_tools.note_marks((), case.findings)
        self.hanging.set_case(case)
        self.objects.set_case(case)
        self.ai_layers.set_case(case)
        self._set_ai_panel(shown=case.policy.shown)
        self._side_page.show()
        self._stack.setCurrentWidget(self.grid)
        self._show_stage()
        self.grid.setFocus(Qt.FocusReason.OtherFocusReason)

    def _set_ai_panel(self, *, shown: bool) -> None:
        if not shown and self.ai_panel is not None:
            self._side_layout.removeWidget(self.ai_panel)
            self.ai_panel.setParent(None)
            self.ai_panel.deleteLater()
            self.ai_panel = None
        elif shown and self.ai_panel is None:
            self.ai_panel = panel = AiPanel(self)
            panel.set_keys(self._keys)
            panel.set_text_scale(self._text_scale)
            panel.toggled.connect(self.ai_layers.toggle_all)
            panel.stop_asked.connect(self.ai_stop)
            panel.retry_asked.connect(self.ai_retry)
            panel.model_chosen.connect(self.ai_layers.choose_model)
            panel.model_toggled.connect(self.ai_layers.toggle_model)
            panel.threshold_moved.connect(lambda at, rests: self.ai_layers.set_threshold(at, rests=rests))
            panel.finding_chosen.connect(self.go_to_finding)
            self._side_layout.insertWidget(1, panel, 2)
        if self.ai_panel is not None:
            self.ai_panel.list.make_room(form=self._case is not None and self._case.in_study)
        self._layers_label.setVisible(shown)

    def show_ai(self, ai: AiView) -> None:
        before = self.ai_layers.ai.results
        self.ai_layers.show(ai)
        same = len(before) == len(ai.results) and all(a is b for a, b in zip(before, ai.results, strict=True))
        progress = ai.working is not None or (ai.is_open and same)
        if progress and self.ai_panel is not None:  # no picture changes with progress
            self.ai_panel.set_state(self.ai_layers.panel_state(self._keys))
            self._layers_label.setText(self.ai_layers.line(self._keys))
        else:
            self._refresh_overlays()

    def show_findings(self, findings: tuple[Finding, ...]) -> None:
        if self._case is not None:
            self.image_tools.note_marks(self._case.findings, findings)
            self._case = self._case.with_findings(findings)
        if any(finding.finding_id == self._asked for finding in findings):
            self._close_editor()
        self.findings.set_findings(findings)
        self._refresh_overlays()

    def show_problems(self, problems: Mapping[str, str]) -> None:
        self._to_panel()
        self.form.show_problems(problems)

    def show_message(self, sentence: str, tone: Tone = Tone.PLAIN) -> None:
        if self._message.property("role") != tone.value:
            self._message.setProperty("role", tone.value)
            self._message.style().unpolish(self._message)
            self._message.style().polish(self._message)
        self._message.setText(sentence)
        self._message.setToolTip(sentence)
        self._message.setVisible(bool(sentence))
        self._message_timer.start(MESSAGE_MS)

    def _show_failure(self, sentence: str) -> None:
        self.show_message(sentence, Tone.ERROR)

    def show_paused(self, paused: bool) -> None:
        self._paused = self.ai_layers.paused = paused
        self.look_back_page.forget()
        self.image_tools.coverage.tick()
        words = _tr("Paused. Press {0} to go on.").format(self._keys["case.pause"])
        self._blank.setText(words if paused else "")
        self._stack.setCurrentWidget(self._blank if paused else self.grid)
        self.side.setEnabled(not paused)

    def show_instruction(self, words: str, confirmed: Callable[[], None]) -> None:
        self.show_loading("")
        self._instruction = InstructionDialog(words, confirmed, self)
        self._instruction.open()

    def show_truth(self, truth: ShownTruth, go_on: Callable[[], object]) -> None:
        """The truth of the practice case on screen, over its images, until the reader goes on (RS-T3)."""
        if self._case is None:
            go_on()
            return
        self.image_tools.coverage.stop()
        self._truth, self._case = truth, replace(self._case, policy=NO_AI)
        self.ai_layers.set_case(self._case)
        self._ai_arcs.arcs = {}
        self._set_ai_panel(shown=False)
        self._close_editor()
        self.findings.invite_no_more()
        self.form.hide()
        self.truth_panel.show_truth(truth, go_on)
        self._to_panel()
        self._refresh_overlays()

    def offer_break(self, minutes: float, go_on: Callable[[], object]) -> None:
        """The protocol suggests a break; the screen is dark and no case is open (RS-U3)."""
        self.show_loading("")
        self.break_page.offer(minutes, go_on)
        self._stack.setCurrentWidget(self.break_page)
        self.break_page.button.setFocus(Qt.FocusReason.OtherFocusReason)

    def show_retry(self, sentence: str, go_on: Callable[[], object]) -> None:
        """The next case does not come; nothing of the last one is on screen."""
        self.show_loading("")
        self.retry_page.show_why(sentence, go_on)
        self._stack.setCurrentWidget(self.retry_page)
        self.retry_page.button.setFocus(Qt.FocusReason.OtherFocusReason)

    def show_look_back(self, page: LookBack) -> None:
        """The locked answers of the session, in the place of the images (RS-R4)."""
        if page.at_end:
            self.show_loading("")
        self.look_back_page.show_page(page)
        self._stack.setCurrentWidget(self.look_back_page)
        self.look_back_page.list.setFocus(Qt.FocusReason.OtherFocusReason)

    def _end_between(self) -> None:
        """Nothing of what stood between two cases stays."""
        self._truth = None
        self.truth_panel.hide()
        self.look_back_page.forget()

    def _waits(self) -> TruthPanel | BreakPage | RetryPage | LookBackPage | None:
        """What waits for the reader between two cases; None while a case is read."""
        pages: dict[QWidget | None, BreakPage | RetryPage | LookBackPage] = {
            self.break_page: self.break_page,
            self.retry_page: self.retry_page,
            self.look_back_page: self.look_back_page,
        }
        return self.truth_panel if self._truth is not None else pages.get(self._stack.currentWidget())

    def submit(self) -> None:
        """Submit the case; between two cases the same key goes on, or amends the answer that is looked back at."""
        waits = self._waits()
        if waits is None:
            self.form.submit()
        elif isinstance(waits, LookBackPage):
            waits.form.submit()
        else:
            waits.enter()

    def take_break(self) -> bool:
        """Take the break that is offered; False where none is."""
        offered = self._stack.currentWidget() is self.break_page
        if offered:
            self.break_page.take_break()
        return offered

    def show_finished(self, sentence: str) -> None:
        self.show_loading("")  # nothing of the last case stays behind the work list
        self.finished.emit(sentence)

    # ---- hanging

    @property
    def has_images(self) -> bool:
        """True while a case is on screen and not blanked."""
        return self._case is not None and not self._paused

    @property
    def is_paused(self) -> bool:
        return self._paused

    @property
    def stage_count(self) -> int:
        return len(self._case.hanging.stages) if self._case is not None else 0

    def go_to_stage(self, index: int) -> None:
        """Show hanging step ``index`` (from 0); out of range does nothing."""
        if self._case is None or self._paused or not 0 <= index < self.stage_count:
            return
        self._stage = index
        self._show_stage()

    def step(self, by: int) -> None:
        if self.stage_count:
            self.go_to_stage((self._stage + by) % self.stage_count)

    def _show_stage(self) -> None:
        assert self._case is not None
        stage = self._case.hanging.stages[self._stage]
        self._jump.forget()
        self.hanging.hang(self._case, stage)
        self._show_stage_title()
        self.objects.stage_shown()
        self._refresh_overlays()
        self._show_tool()
        self.image_tools.stage_shown()
        if not self._new_case:
            self.stage_shown.emit(stage.title)

    def _show_stage_title(self) -> None:
        assert self._case is not None
        stage = self._case.hanging.stages[self._stage]
        self._stage_label.setText(
            f"{self._stage + 1}/{self.stage_count}  {stage.shown_title}      {self._keys['help.keys']} {_tr('keys')}"
        )
        self.hanging.mark_active()

    def _on_painted(self, _t_ns: object) -> None:
        self._new_case = False
        self.painted.emit()

    def set_tool(self, name: str) -> None:
        """Choose what the left button does; the mark tool draws nothing until a click."""
        self._tool_name = name = self.image_tools.choose(name, self._tool_name)
        self.grid.set_tool(name)
        self.image_tools.show_glass()
        if name != "mark":
            self.pointer.hide()
        self._show_tool()

    def do(self, change: Change, first: float = 0.0, second: float = 0.0) -> None:
        """One operation on the active viewport and those linked to it."""
        self.grid.apply(Operation(change=change, first=first, second=second))

    def arrow(self, rows_px: float, cols_px: float) -> None:
        """An arrow key: pans, or moves the pointer while lesions are marked (MG-42)."""
        view = self.grid.active()
        if self.image_tools.nudge(-rows_px / ARROW_PX, -cols_px / ARROW_PX):
            return
        if self._tool_name != "mark" or view is None:
            self.do(Change.PAN, rows_px, cols_px)
            return
        self.pointer.move_by(view, right_px=-cols_px * POINTER_STEP, down_px=-rows_px * POINTER_STEP)

    def step_viewport(self, by: int) -> None:
        """Give the keys to the next or previous viewport with an image."""
        views = [view for view in self.grid.viewports() if view.image is not None]
        active = self.grid.active()
        if active in views and len(views) > 1:
            self.grid.set_active(views[(views.index(active) + by) % len(views)])
            if self.pointer.view is not None:
                self.arrow(0.0, 0.0)

    def _on_viewport_changed(self, view: Viewport) -> None:
        self._show_tool()
        if view.image is None:
            return
        state = view.state()
        center, width = view.window()
        self.view_changed.emit(
            {
                "image_key": view.image.key,
                "voi_index": state.voi_index,
                "center": round(center, 1),
                "width": round(width, 1),
                "inverted": state.inverted,
                "zoom_mode": state.zoom_mode.value,
                "scale": round(state.scale, 4),
                "pan_row": round(state.pan_row, 1),
                "pan_col": round(state.pan_col, 1),
            }
        )

    def _show_tool(self) -> None:
        view = self.grid.active()
        words = _tr("tool: {0}").format(tool_term(self._tool_name))
        if view is not None and view.image is not None:
            state = view.state()
            voi = view.image.presentation.vois[state.voi_index]
            center, width = view.window()
            words += f"      W {width:.0f}  C {center:.0f}  {preset_term(voi.label) or voi.function.value}"
            words += f"      {self.image_tools.words()}"
        self._tool.setText(words)
        self._size_note.setText(self._why_not_same_size())
        self._size_note.setToolTip(self._size_note.text())

    def _why_not_same_size(self) -> str:
        """Say why sizes cannot be compared by the millimetre, where several images hang at same size (MG-09)."""
        same = self.grid.same_size
        hung = [
            view for view in self.grid.viewports() if view.image is not None and view.isVisibleTo(self.grid)
        ]
        at_same = [view for view in hung if view.state().zoom_mode is ZoomMode.SAME]
        return same.reason if len(at_same) > 1 and same.mm_per_px is None else ""

    def show_hanging(self, case: CaseView) -> None:
        """Priors came, or another protocol was chosen: hang anew only what changed."""
        if self._case is None or self._case.exam is not case.exam:
            return
        self.image_tools.add_images(all_images(case.exam, case.priors), case.pyramids)
        old, self._case = self._case.hanging, replace(case, findings=self._case.findings)
        self._stage, anew = self.hanging.take_in(self._case, self._stage, old)
        if anew:
            self._show_stage()
        else:
            self._show_stage_title()
            self._refresh_overlays()

    def show_image(self, key: str) -> None:
        """Go to the step that shows an image; one that no step hangs gets a step of its own (MG-04)."""
        if self._case is None or self._paused:
            return
        image = all_images(self._case.exam, self._case.priors).get(key)
        index = stage_of_image(self._case.hanging, key)
        if index is None and image is None:
            self.show_message(_tr("This file is listed only: {0}").format(self.hanging.words_of(key)))
            return
        if index is None and image is not None:
            stages = (*self._case.hanging.stages, self.hanging.stage_alone(image))
            self._case = replace(self._case, hanging=replace(self._case.hanging, stages=stages))
            index = len(stages) - 1
        assert index is not None
        self.go_to_stage(index)
        self.grid.show_key(key)
        self._refresh_overlays()
        self.grid.setFocus(Qt.FocusReason.OtherFocusReason)

    def toggle_prior(self) -> None:
        """Current and prior in place."""
        if not self.grid.toggle_prior() and self._case is not None:
            self.show_message(_tr("No prior of this view is at hand."))
        self._refresh_overlays()

    def next_of_stack(self) -> None:
        """The next of several images of the active viewport's view."""
        if not self.grid.next_of_stack() and self._case is not None:
            self.show_message(_tr("Only one image of this view is hung here."))
        self._refresh_overlays()

    def why_here(self) -> QDialog | None:
        """The window that says why the active viewport shows what it shows."""
        if self._case is None or self._paused:
            return None
        return self.hanging.why(self._case.hanging.stages[self._stage], self)

    def toggle_energy(self) -> None:
        self.grid.toggle_energy()
        self._refresh_overlays()

    @property
    def is_blinded(self) -> bool:
        """True while a case is on screen that nobody may identify: in every study."""
        return self._case is not None and self._case.is_blinded

    def toggle_technique(self) -> None:
        """Show or hide exposure and equipment, whatever becomes of the identity (MG-27)."""
        if self._case is not None:
            self._technique[self._case.is_blinded] = not self._technique[self._case.is_blinded]
            self._refresh_overlays()

    def toggle_identity(self) -> None:
        """Show or hide who and when; in a blinded reading it stays hidden and a sentence says why."""
        if self._case is not None and self._case.is_blinded:
            self.show_message(_tr("Identity stays hidden: this reading is blinded."))
            return
        self._identity = not self._identity
        self._refresh_overlays()

    def _on_hover(self, view: Viewport, row: float, col: float, value: object) -> None:
        place = "" if view.image is None else f"{view.image.view.label}   x {col:.0f}  y {row:.0f}"
        both = "" if view.image is None else self.image_tools.links.values_words(view.image, row, col)
        words = both or ("" if value is None else f"= {value:.0f}")
        self._pointer.setText(f"{place}  {words}")
        self._light_up(self.objects.finding_at(view, row, col))

    # ---- overlays

    def _refresh_overlays(self) -> None:
        if self._case is None:
            return
        layers = self.ai_layers
        layers.tell_chosen()
        policy, sides = layers.policy(), layers.sides
        heat = sides.heats(policy, opacity=layers.opacity, colour_map=self._heat_colour)
        scores, notes = sides.scores(policy), layers.picture_notes()
        self._show_items(self._case)
        self.grid.set_heats(heat)
        words = self._words(self._case)
        nothing = ("", False)
        self.grid.set_words(
            {
                key: replace(
                    text,
                    score=scores.get(key, ""),
                    flags=(*text.flags, *self.objects.flags(key)),
                    ai=notes.get(key, nothing)[0],
                    ai_warns=notes.get(key, nothing)[1],
                )
                for key, text in words.items()
            }
        )
        self._show_ai_state()

    def _show_items(self, case: CaseView) -> None:
        dragged, layers = self._dragged, self.ai_layers
        marks = [
            dragged if dragged and one.finding_id == dragged.finding_id else one for one in case.findings
        ]
        selected, policy = self.objects.selected, layers.policy()
        lit = layers.sides.lit_with(layers.chosen(), layers.pointed())
        items = layers.sides.items(policy, selected=selected, hovered=layers.hovered, lit=lit)
        for key, own in overlay_items(None, marks, policy, selected=selected).items():
            items[key] = (*items.get(key, ()), *own)
        if self._truth is not None:
            shown = (*case.exam.images, *(image for one in case.priors for image in one.images))
            for key, lesions in truth_items(self._truth, shown).items():
                items[key] = (*items.get(key, ()), *lesions)
        self._ai_arcs.arcs = self._arcs(case)
        self.grid.set_overlays(self.objects.merged(items))

    def _arcs(self, case: CaseView) -> dict[str, tuple[Arc, ...]]:
        """The arcs of the chosen finding, and of the one under the pointer."""
        layers, result = self.ai_layers, self.ai_layers.result
        chosen = layers.chosen()
        pointed = layers.pointed()
        lit = [(chosen, True)] if chosen is not None else []
        lit += [(pointed, False)] if pointed is not None and pointed != chosen else []
        if result is None or not lit:
            return {}
        images = all_images(case.exam, case.priors)
        of = layers.sides.side_of(lit[0][0])
        nipples = Nipples(self.image_tools.board.nipple, result if of is None else of.result, images)
        shown = [view.image for view in self.grid.viewports() if view.image is not None]
        return finding_arcs(lit, shown, nipples, images, self.image_tools.coverage)

    def _light_up(self, finding_id: str | None) -> None:
        """The finding under the pointer lights up in every view; None = the pointer is on none."""
        if finding_id != self.ai_layers.hovered and self._case is not None:
            self.ai_layers.hovered = finding_id
            self._show_items(self._case)

    def _movable(self) -> Finding | None:
        """The selected mark of the reader's, where marks can still be changed."""
        case = self._case
        if case is None or not case.in_study or self._paused or self._truth is not None:
            return None
        return next((one for one in case.findings if one.finding_id == self.objects.selected), None)

    def _draw_dragged(self, mark: Finding | None) -> None:
        self._dragged = mark
        if self._case is not None:
            self._show_items(self._case)

    def _words(self, case: CaseView) -> dict[str, AnnotationText]:
        blinded, current = case.is_blinded, case.exam.study_date
        return {
            image.key: annotation(
                image,
                exam,
                blinded=blinded,
                technique=self._technique[blinded],
                identity=self._identity,
                prior_gap="" if exam is case.exam else gap_words(current, exam.study_date),
            )
            for exam in (case.exam, *case.priors)
            for image in exam.images
        }

    def _show_ai_state(self) -> None:
        if self.ai_panel is None:
            return
        layers = self.ai_layers
        self.ai_panel.set_state(layers.panel_state(self._keys))
        self.ai_panel.set_energies(self._energy_lines() if layers.policy().boxes else ())
        self.ai_panel.set_cad(
            self.objects.cad_words(self._keys["cad.marks"]), failed=self.objects.cad_failed()
        )
        self._layers_label.setText(layers.line(self._keys))
        relaid(self.side)

    def _energy_lines(self) -> tuple[str, ...]:
        result = self.ai_layers.result
        if self._case is None or result is None:
            return ()
        images, layers = self._case.exam.images, self.ai_layers
        front = layers.sides.front_side
        own = listed(() if front is None else front.findings, layers.threshold)
        judged = alone_words(own, () if front is None else front.words.malignancy_points)
        return judged or agreement_words(energy_agreement(result, images, threshold=layers.threshold))

    def go_to_finding(self, finding_id: str) -> None:
        """Light a finding of the AI up and take every view that has it there."""
        finding = next((one for one in self.ai_layers.findings if one.has(finding_id)), None)
        if finding is None or self._case is None or self._paused:
            return
        on_screen = {view.image.key for view in self.grid.viewports() if view.image is not None}
        if not on_screen & {one.image_key for one in finding.detections}:
            self.show_image(finding.detections[0].image_key)
        self.objects.selected = finding.key
        self._refresh_overlays()
        self._jump.go_to(finding)
        self.grid.setFocus(Qt.FocusReason.OtherFocusReason)

    def next_finding(self, by: int) -> None:
        """Go to the next (1) or previous (-1) finding of the AI's list."""
        finding = self.ai_layers.following(by)
        if finding is not None:
            self.go_to_finding(finding.key)
        elif self.ai_layers.allowed:
            boxes = self._keys["ai.boxes"]
            self.show_message(_tr("No AI finding is on screen to go to; boxes {0}.").format(boxes))

    # ---- marks

    def _on_click(self, viewport: Viewport, row: float, col: float, _button: int) -> None:
        image = viewport.image
        if image is None or self._case is None:
            return
        if self._tool_name != "mark" or not self._case.in_study or self._truth is not None:
            self.objects.choose_at(viewport, row, col)
            return
        if prior_number(image):
            self.show_message(_tr("Marks belong on the current images; this one is a prior."))
            return
        self._pending = (image, row, col)
        self._to_panel()
        self.findings.editor.start(_tr("New mark in {0}").format(image.view.label))

    def _confirm_mark(self, kind: str, suspicion: int) -> None:
        if self._pending is None:
            return
        # The image that was clicked, whatever hangs there by now.
        image, row, col = self._pending
        spacing = image.spacing
        enhancement, conspicuity = self.findings.editor.contrast_answers()
        finding = Finding(
            finding_id=uuid.uuid4().hex,
            image_key=image.key,
            source_id=image.source_id,
            row=row,
            col=col,
            row_mm=row * spacing.row_mm if spacing else None,
            col_mm=col * spacing.col_mm if spacing else None,
            finding=FindingType(kind),
            suspicion=suspicion,
            enhancement=enhancement,
            conspicuity=conspicuity,
            call=self.findings.editor.call_answer(),
        )
        # The editor closes when the mark is seen among the findings: what was typed survives a refusal.
        self._asked = finding.finding_id
        self.mark_made.emit(finding)

    def _close_editor(self) -> None:
        self._pending, self._asked = None, ""
        self.findings.editor.hide()
        if self.panel_window.is_apart:
            self.window().activateWindow()
        self.grid.setFocus(Qt.FocusReason.OtherFocusReason)

    def confirm_mark(self) -> None:
        waits = self._waits()
        if waits is not None:
            waits.enter()
            return
        if self.image_tools.finish_text():
            return
        if self.findings.editor.isHidden() and self.image_tools.place_at_center(self._tool_name):
            return
        at, view = self.pointer.stored(), self.pointer.view
        if self.findings.editor.isHidden() and at is not None and view is not None:
            self.grid.clicked.emit(view, *at, Qt.MouseButton.LeftButton.value)
            return
        self.findings.editor.confirm()

    def cancel_mark(self) -> None:
        if self.findings.editor.isHidden() and (self.image_tools.cancel() or self._leave_finding()):
            return
        self._close_editor()
        self.set_tool("window")

    def _leave_finding(self) -> bool:
        """Put the views back to how they stood before a finding was gone to; False when none is lit."""
        if self.ai_layers.chosen() is None:
            return False
        self.objects.selected = None
        self._jump.back()
        self._refresh_overlays()
        return True

    def seen(self) -> tuple[SeenImage, ...]:
        """Return how much of each image of the case was shown at 1:1 so far."""
        return tuple(
            SeenImage(image_key=image.key, share=one.share, dwell_ms=one.dwell_ms)
            for image, one in self.image_tools.seen_images()
        )

    def _warn_unseen(self, draft: Assessment) -> None:
        """Say once a case, when the form is complete, which tissue was not seen at 1:1 (MG-44); submitting stays free."""
        if self._case is None or self._warned_unseen or problems(draft, self._case.scale):
            return
        self._warned_unseen = True
        if words := self.image_tools.unseen_words():
            self.show_message(words)

    def undo(self) -> None:
        """Take the last mark or measurement back; a mark's removal goes to the log first."""
        self._retrace(redo=False)

    def redo(self) -> None:
        """Do again what was undone last."""
        self._retrace(redo=True)

    def _retrace(self, *, redo: bool) -> None:
        step = self.image_tools.board.peek(redo=redo)
        if isinstance(step, MarkStep) and isinstance(step.mark, Finding):
            with self.image_tools.retracing():
                if step.added is redo:
                    self.mark_made.emit(step.mark)
                else:
                    self.mark_removed.emit(step.mark.finding_id)
            there = (
                any(one.finding_id == step.mark.finding_id for one in self._case.findings)
                if self._case
                else False
            )
            if there is not (step.added is redo):
                return  # the log refused, and has said why
        self.image_tools.board.retrace(redo=redo)

    def _select(self, finding_id: str) -> None:
        self.objects.selected = finding_id
        self._refresh_overlays()

    def cycle(self, by: int) -> None:
        """Tab: the next handle of a measurement; where nothing is measured, the next finding of AI or CAD."""
        if not self.image_tools.cycle(by):
            self.objects.choose_next(by)

    @property
    def threshold(self) -> float:
        """AI boxes below this score (0..1) are not drawn."""
        return self.ai_layers.threshold
