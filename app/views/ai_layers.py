"""What of the AI is on screen: layers, threshold, model, the chosen finding; each change goes to the log before it shows.

Holds no widget. The panel and the overlays are drawn from here by ``app.views.reading_view``; where the arm shows no AI
every question here is answered with nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal

from app.control.reading import CaseView
from app.state.ai_findings import AiFinding, listed
from app.state.ai_notes import unread_lines
from app.state.ai_view import AiPhase, AiView
from app.state.overlays import OverlayPolicy
from app.state.picture_notes import picture_notes
from app.state.side_by_side import SideBySide
from app.views.ai_panel import AiPanelState
from inference.results import ExamResult

LAYERS = ("boxes", "heatmap", "score")
FINDING = "finding"  # the layer of one chosen finding, told in full
OPACITY_STEP, THRESHOLD_STEP = 0.1, 0.05
SETTLE_MS = 250  # a slider that is dragged is logged when it has rested so long


def _tr(text: str) -> str:
    return QCoreApplication.translate("reading", text)


class Chooser(Protocol):
    """Who knows which mark or finding is lit."""

    selected: str | None


class AiLayers(QObject):
    """One for a reading screen; ``shown`` and ``hidden`` go to the log, which may refuse with ``refuse`` or ``keep``."""

    shown = Signal(str, object)  # layer, what exactly
    hidden = Signal(str)
    changed = Signal()
    said = Signal(str)

    def __init__(self, chooser: Chooser, parent: QObject) -> None:
        super().__init__(parent)
        self._chooser = chooser
        self._case: CaseView | None = None
        self.ai = AiView()
        self.sides = SideBySide()
        self.on: dict[str, bool] = {}
        self._before_off: tuple[str, ...] = ()
        self.opacity = 0.5
        self.hovered: str | None = None
        self.paused = False
        self._own_threshold = False  # the reader moved it
        self._told: str | None = None  # the chosen finding that the log knows
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._tell_boxes)

    # ------------------------------------------------------------ the case and its answer

    def set_case(self, case: CaseView | None) -> None:
        """Take another case, or none; nothing of the last one stays."""
        self._settle.stop()
        self._case, self.ai = case, AiView()
        self.on, self._before_off = dict.fromkeys(LAYERS, False), ()
        self.hovered = self._told = None
        self.paused = self._own_threshold = False
        images = () if case is None else case.exam.images
        self.sides.clear(images, self.threshold if case is None else case.policy.operating_threshold)

    def show(self, ai: AiView) -> None:
        """Take what the AI says now; answers that come to a screen with findings on it go to the log as they come."""
        before = [side.letter for side in self.sides.shown], len(self.sides.sides)
        self.ai = ai
        # Outside a study the model's own operating point is where to begin.
        free = self._case is not None and not self._case.in_study and not self._own_threshold
        self.sides.take(ai, own_points=free)
        after = [side.letter for side in self.sides.shown], len(self.sides.sides)
        if before != after and before[1]:
            self._tell_layers()

    @property
    def threshold(self) -> float:
        """Findings of the model in front below this score (0..1) are hidden."""
        return self.sides.threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        self.sides.threshold = value

    @property
    def allowed(self) -> bool:
        """True where the arm shows AI."""
        return self._case is not None and self._case.policy.shown

    @property
    def may_choose(self) -> bool:
        """True where the reader may move the threshold."""
        return (
            self.allowed
            and self._case is not None
            and self._case.policy.boxes
            and self._case.policy.threshold_choice
        )

    @property
    def result(self) -> ExamResult | None:
        """The answer of the model in front; None while there is none or the arm shows none."""
        front = self.sides.front_side if self.allowed else None
        return None if front is None else front.result

    @property
    def findings(self) -> tuple[AiFinding, ...]:
        """All lesions of the answers on screen, whatever the threshold."""
        return self.sides.findings() if self.allowed else ()

    def policy(self) -> OverlayPolicy:
        """What arm and keys allow on the pictures."""
        if not self.allowed or self._case is None:
            return OverlayPolicy(shown=False)
        may = self._case.policy
        return OverlayPolicy(
            shown=True,
            boxes=may.boxes and self.on["boxes"],
            heatmap=may.heatmap and self.on["heatmap"],
            score=may.score and self.on["score"],
        )

    # ------------------------------------------------------------ on and off

    def toggle(self, layer: str) -> None:
        """Switch 'boxes', 'heatmap' or 'score'; the log is told before the pixels are."""
        if self._case is None or not self._case.policy.allows(layer) or self.paused:
            return
        if self.result is None:
            self.said.emit(self._why_nothing())
            return
        if layer == "heatmap" and not self.on[layer] and self.sides.heat_side() is None:
            self.said.emit(_tr("This model draws no heat map."))
            return
        if self.on[layer]:
            self._hide(layer)
        else:
            self._show(layer)
        self.changed.emit()

    def toggle_all(self) -> None:
        """Everything of the AI away, or what was there back; where nothing was, findings and scores."""
        if not self.allowed or self._case is None or self.paused:
            return
        if self.result is None:
            self.said.emit(self._why_nothing())
            return
        on = tuple(layer for layer in LAYERS if self.on[layer])
        if on:
            self._before_off = on
            for layer in on:
                self._hide(layer)
        else:
            for layer in self._before_off or ("boxes", "score"):
                if self._case.policy.allows(layer):
                    self._show(layer)
        self.changed.emit()

    def _why_nothing(self) -> str:
        if self.ai.phase is AiPhase.RUNNING:
            return _tr("The AI is still at work on this exam.")
        if self.ai.phase is AiPhase.STOPPED:
            return _tr("The AI was stopped; these images were not assessed.")
        return self.ai.failure or self.ai.absent or ""

    def _show(self, layer: str) -> None:
        self.on[layer] = True
        self.shown.emit(layer, self._content(layer))

    def _hide(self, layer: str) -> None:
        if layer == "boxes":
            self._settle.stop()
        self.on[layer] = False
        self.hidden.emit(layer)

    def keep(self, layer: str) -> None:
        """The log refused to note that the layer was put away: it stays on screen."""
        if layer in self.on:
            self.on[layer] = True
        self.changed.emit()

    def refuse(self, layer: str) -> None:
        """The log refused: the layer does not show."""
        if layer == FINDING:
            self._chooser.selected = self._told = None
        elif layer in self.on:
            self.on[layer] = False
        self.changed.emit()

    def _content(self, layer: str) -> Mapping[str, object]:
        """What is on screen with a layer, for the log."""
        result = self.result
        what: dict[str, object] = {"threshold": round(self.threshold, 4), "opacity": self.opacity}
        if result is not None:
            what |= {"model": f"{result.model_id} {result.model_version}"}
        if layer == "boxes" and result is not None:
            shown = listed(self.findings, self.threshold)
            what |= {"findings": len(shown), "of": len(self.findings), "list": True}
            what |= {"outlines": any(d.outline for one in shown for d in one.detections)}
        heat = self.sides.heat_side() if layer == "heatmap" else None
        if heat is not None:
            what |= {"model": heat.title}
        return what | self.sides.record()

    # ------------------------------------------------------------ what a layer holds

    def change_opacity(self, direction: int) -> None:
        """The heat map fainter (-1) or stronger (1)."""
        self.opacity = round(min(0.9, max(0.1, self.opacity + direction * OPACITY_STEP)), 2)
        self.changed.emit()

    def change_threshold(self, direction: int) -> None:
        """The threshold one step lower (-1) or higher (1)."""
        if not self.allowed or self.paused:
            return
        if not self.may_choose:
            self.said.emit(_tr("In this study the threshold is set by the protocol."))
            return
        self.set_threshold(min(0.95, max(0.05, self.threshold + direction * THRESHOLD_STEP)), rests=True)

    def set_threshold(self, threshold: float, *, rests: bool) -> None:
        """Hide findings below ``threshold`` (0..1); ``rests`` False = the slider is still being dragged."""
        if not self.may_choose or self.paused:
            return
        self.threshold, self._own_threshold = round(threshold, 4), True
        if self.on["boxes"] and rests:
            self._tell_boxes()
        elif self.on["boxes"]:
            self._settle.start()
        self.changed.emit()

    def _tell_boxes(self) -> None:
        self._settle.stop()
        if self.on.get("boxes") and not self.paused:
            self.shown.emit("boxes", self._content("boxes"))

    def _may_turn(self) -> bool:
        return self.allowed and not self.paused and bool(self.sides.sides)

    def choose_model(self, index: int) -> None:
        """Bring another model's answer to the front; the layers that are on show it at once."""
        if self._may_turn() and 0 <= index < len(self.sides.sides):
            self.sides.bring(index)
            self._turned()

    def toggle_model(self, index: int) -> None:
        """One model's findings beside the others, or away."""
        if self._may_turn() and 0 <= index < len(self.sides.sides):
            self.sides.toggle(index)
            self._turned()

    def next_model(self) -> None:
        """The next model's answer alone, round and round, with all of them together in between."""
        if len(self.sides.sides) > 1 and self._may_turn():
            self.sides.step()
            self._turned()
        elif self.allowed:
            self.said.emit(_tr("Only one model has read this exam."))

    def _turned(self) -> None:
        self._chooser.selected = self.hovered = None
        self._tell_layers()
        self.changed.emit()

    def _tell_layers(self) -> None:
        if self.paused:
            return
        for layer in LAYERS:
            if self.on.get(layer):
                self.shown.emit(layer, self._content(layer))

    # ------------------------------------------------------------ one finding

    def chosen(self) -> AiFinding | None:
        """The listed finding that is lit; None while findings are not on screen."""
        if not self.policy().boxes:
            return None
        shown = listed(self.findings, self.threshold)
        return next((one for one in shown if one.has(self._chooser.selected)), None)

    def pointed(self) -> AiFinding | None:
        """The listed finding under the pointer."""
        shown = listed(self.findings, self.threshold) if self.policy().boxes else ()
        return next((one for one in shown if one.has(self.hovered)), None)

    def following(self, by: int) -> AiFinding | None:
        """The next (1) or previous (-1) finding of the list; None where there is none."""
        shown = listed(self.findings, self.threshold) if self.policy().boxes else ()
        if not shown:
            return None
        at = next((n for n, one in enumerate(shown) if one.has(self._chooser.selected)), None)
        return shown[(0 if by > 0 else -1) if at is None else (at + by) % len(shown)]

    def tell_chosen(self) -> None:
        """Log which finding is told in full now, and that another one no longer is."""
        if self.paused:
            return
        finding = self.chosen()
        key = None if finding is None else finding.key
        if key == self._told:
            return
        old, self._told = self._told, key
        if key is None and old is not None:
            self.hidden.emit(FINDING)
        elif finding is not None:
            what = {"finding": finding.key, "number": finding.number, "score": finding.score}
            if finding.letter:
                what |= {"model": finding.model, "agreement": finding.agreement}
            self.shown.emit(FINDING, {**what, "images": [one.image_key for one in finding.detections]})

    # ------------------------------------------------------------ words

    def picture_notes(self) -> dict[str, tuple[str, bool]]:
        """What the AI says of each image beside its findings, and whether that is a warning: not read, no finding."""
        policy = self.policy()
        if self._case is None or not (policy.boxes or policy.heatmap or policy.score):
            return {}
        return picture_notes(self.sides.shown, self._case.exam, self._case.priors, findings=policy.boxes)

    def panel_state(self, keys: Mapping[str, str]) -> AiPanelState:
        """All that the panel shows."""
        policy, result = self.policy(), self.result
        images = self._case.exam.images if self._case is not None else ()
        chosen = self.chosen()
        return AiPanelState(
            ai=self.ai,
            result=result,
            rows=self.sides.rows() if self.allowed else (),
            shown=self.sides.shown if self.allowed else (),
            ready=self._ready_words(keys),
            on=policy.boxes or policy.heatmap or policy.score,
            show_scores=policy.score,
            show_findings=policy.boxes,
            may_choose=self.may_choose,
            show_meaning=policy.boxes or policy.heatmap,
            findings=self.findings,
            count=self.sides.count_lines(),
            threshold=self.threshold,
            chosen=None if chosen is None else chosen.key,
            unread=unread_lines(self.sides.shown if self.allowed else (), images),
        )

    def _ready_words(self, keys: Mapping[str, str]) -> str:
        if self._case is None:
            return ""
        titles = {"boxes": _tr("boxes {0}"), "heatmap": _tr("map {0}"), "score": _tr("scores {0}")}
        named = {"boxes": "ai.boxes", "heatmap": "ai.heat", "score": "ai.score"}
        may = [layer for layer in LAYERS if self._case.policy.allows(layer)]
        words = ", ".join(titles[layer].format(keys[named[layer]]) for layer in may)
        return _tr("Ready: {0}. All {1}.").format(words, keys["ai.all"])

    def line(self, keys: Mapping[str, str]) -> str:
        """The layers in the line below: which are on, with threshold and opacity; those of the arm only."""
        if self._case is None or not self.allowed:
            return ""
        if self.result is None:
            return {
                AiPhase.RUNNING: _tr("AI:  at work"),
                AiPhase.STOPPED: _tr("AI:  STOPPED"),
                AiPhase.FAILED: _tr("AI:  NOT AVAILABLE"),
                AiPhase.ABSENT: _tr("AI:  NOT AVAILABLE"),
            }.get(self.ai.phase, "")
        policy, may = self.policy(), self._case.policy
        boxes, heat, score = (keys[name] for name in ("ai.boxes", "ai.heat", "ai.score"))
        on = {
            "boxes": _tr("boxes {0} {1}").format(boxes, self.sides.threshold_words())
            if policy.boxes
            else _tr("boxes {0} off").format(boxes),
            "heatmap": _tr("map {0} {1:.0f} %").format(heat, 100 * self.opacity)
            if policy.heatmap
            else _tr("map {0} off").format(heat),
            "score": _tr("score {0} on").format(score)
            if policy.score
            else _tr("score {0} off").format(score),
        }
        return _tr("AI:  {0}").format("   ".join(on[layer] for layer in LAYERS if may.allows(layer)))
