"""The answers of one or several models about the exam on screen: whose findings are shown, at which threshold, who agrees.

One answer alone is shown as ever; where several were asked, each has a letter and every number names its model. What may be
shown at all is decided before this is asked; the log is the screen's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.state.ai_findings import AiFinding, ai_findings, below_words, count_words, listed
from app.state.ai_told import told
from app.state.ai_view import AiView, ModelRun, ModelWords, RunState
from app.state.model_agreement import Agreement, Answerer, agreements
from app.state.overlays import HeatLayer, OverlayItem, OverlayPolicy, heat_layers, overlay_items, score_texts
from inference.exam.types import ViewImage
from inference.results import ExamResult
from resources.translation import translate
from resources.vocabulary import FindingType

LETTERS = "ABCDEFGH"


def _tr(text: str) -> str:
    return translate("side_by_side", text)


@dataclass(slots=True, kw_only=True)
class Side:
    """One model's answer on screen; ``source`` is what the engine said, ``result`` the same with ids of its own."""

    source: ExamResult
    result: ExamResult
    letter: str  # "" = the only model that was asked
    words: ModelWords
    finds: tuple[FindingType, ...]
    findings: tuple[AiFinding, ...]
    threshold: float
    shown: bool

    @property
    def name(self) -> str:
        """What names the model at a finding; empty where it is the only one."""
        return self.result.model_id if self.letter else ""

    @property
    def title(self) -> str:
        return f"{self.result.model_id} {self.result.model_version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One line of the list of models: where it stands, and its part on screen."""

    letter: str
    title: str
    state: RunState
    words: str
    shown: bool = False
    front: bool = False  # its threshold, map and card are those on screen
    index: int | None = None  # of its answer; None = there is none


class SideBySide:
    """The answers of one exam; ``front`` is the index of the one whose threshold, heat map and card are in force."""

    def __init__(self) -> None:
        self.sides: list[Side] = []
        self.front = 0
        self.base = 0.5  # threshold where no answer has one of its own
        self._runs: tuple[ModelRun, ...] = ()
        self._images: Sequence[ViewImage] = ()
        self._kept: tuple[tuple[float, ...], dict[str, Agreement]] | None = None
        self._chosen = False  # the reader chose what is shown

    def clear(self, images: Sequence[ViewImage], base: float) -> None:
        """Another exam; nothing of the last one stays."""
        self.sides, self.front, self.base, self._runs = [], 0, base, ()
        self._images, self._kept, self._chosen = images, None, False

    def take(self, ai: AiView, *, own_points: bool) -> None:
        """Take what the models say now; answers that were there already keep their threshold and their place on screen.

        ``own_points``: a new answer begins at its card's operating point, not at the threshold in force.
        """
        self._runs, self._kept = ai.runs, None
        known = {id(side.source): side for side in self.sides}
        front = self.front_side
        letters = self._letters(ai)
        made: list[Side] = []
        for result, letter in zip(ai.results, letters, strict=True):
            old = known.get(id(result))
            if old is not None and old.letter == letter:
                old.words = ai.card_of(result)
                made.append(old)
                continue
            made.append(self._side(ai, result, letter, own_points=own_points))
        self.sides = made
        self.front = next((n for n, side in enumerate(made) if side is front), 0)
        if (
            made and not self._chosen
        ):  # the first of the models is in front, and alone, until the reader says more
            self.front = 0
            for number, side in enumerate(made):
                side.shown = number == 0

    @staticmethod
    def _letters(ai: AiView) -> list[str]:
        if not ai.side_by_side:
            return [""] * len(ai.results)
        ready = [n for n, run in enumerate(ai.runs) if run.result is not None]
        order = ready if len(ready) == len(ai.results) else range(len(ai.results))
        return [LETTERS[n % len(LETTERS)] for n in order]

    def _side(self, ai: AiView, result: ExamResult, letter: str, *, own_points: bool) -> Side:
        words = ai.card_of(result)
        start = words.start if own_points else None
        threshold = self.base if start is None else start
        own = _apart(result) if letter else result
        finds = next((run.finds for run in ai.runs if run.model_id == result.model_id), ())
        title = f"{letter}  {result.model_id} {result.model_version}" if letter else ""
        judged = bool(words.malignancy_points)
        found = tuple(
            replace(one, letter=letter, model=title, judged=judged) for one in ai_findings(own, self._images)
        )
        return Side(
            source=result, result=own, letter=letter, words=words, finds=finds, findings=found,
            threshold=threshold, shown=False,
        )  # fmt: skip

    # ---- what is on screen

    @property
    def front_side(self) -> Side | None:
        """The answer in front; None while there is none."""
        return self.sides[min(self.front, len(self.sides) - 1)] if self.sides else None

    @property
    def several(self) -> bool:
        """True where more than one model was asked."""
        return len(self._runs) > 1 or len(self.sides) > 1

    @property
    def shown(self) -> tuple[Side, ...]:
        """The answers that the reader has on screen, in the order of the letters."""
        return tuple(side for side in self.sides if side.shown)

    @property
    def threshold(self) -> float:
        """Threshold of the answer in front, 0..1."""
        front = self.front_side
        return self.base if front is None else front.threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        front = self.front_side
        if front is None:
            self.base = value
        else:
            front.threshold = value

    def show_alone(self, index: int) -> None:
        """Only this answer, and in front."""
        self._chosen = True
        self.front = index
        for number, side in enumerate(self.sides):
            side.shown = number == index

    def show_all(self) -> None:
        """Every answer; the one in front stays."""
        self._chosen = True
        for side in self.sides:
            side.shown = True

    def toggle(self, index: int) -> None:
        """One answer on screen or away; the last one stays, and the one in front is always one that is shown."""
        side = self.sides[index]
        if side.shown and len(self.shown) == 1:
            return
        self._chosen = True
        side.shown = not side.shown
        if not self.sides[self.front].shown:
            self.front = next(n for n, one in enumerate(self.sides) if one.shown)

    def bring(self, index: int) -> None:
        """This answer in front, and on screen if it was not."""
        self._chosen = True
        self.front = index
        self.sides[index].shown = True

    def step(self) -> None:
        """Each answer alone, one after another, then all together, and round again."""
        count = len(self.sides)
        alone = len(self.shown) == 1
        if not alone:
            self.show_alone(0)
        elif self.front + 1 < count:
            self.show_alone(self.front + 1)
        else:
            self.show_all()
            self.front = 0

    # ---- findings

    def agreement(self) -> Mapping[str, Agreement]:
        """Which models mark each finding, at the thresholds in force; all that answered, shown or not."""
        if len(self.sides) < 2:
            return {}
        cuts = tuple(side.threshold for side in self.sides)
        if self._kept is None or self._kept[0] != cuts:
            models = [
                Answerer(
                    letter=side.letter,
                    result=side.result,
                    finds=side.finds,
                    marked=listed(side.findings, side.threshold),
                )
                for side in self.sides
            ]
            self._kept = cuts, agreements(models, self._images)
        return self._kept[1]

    def findings(self) -> tuple[AiFinding, ...]:
        """All lesions of the answers on screen, whatever the threshold, each with its model's own where there are several."""
        if not self.several:
            return self.sides[0].findings if self.sides else ()
        agreed = self.agreement()
        none = Agreement(mark=())
        return tuple(
            replace(
                one,
                cut=side.threshold,
                agreement=agreed.get(one.key, none).words,
                silent=agreed.get(one.key, none).silent_words,
            )
            for side in self.shown
            for one in side.findings
        )

    def side_of(self, finding: AiFinding) -> Side | None:
        """The answer that a finding belongs to."""
        return next((side for side in self.sides if side.letter == finding.letter), None)

    def lit_with(self, *findings: AiFinding | None) -> frozenset[str]:
        """Ids of the other models' detections on the same lesions."""
        agreed = self.agreement()
        return frozenset(
            other
            for one in findings
            if one is not None and one.key in agreed
            for other in agreed[one.key].others
        )

    def items(
        self, policy: OverlayPolicy, *, selected: str | None, hovered: str | None, lit: frozenset[str]
    ) -> dict[str, tuple[OverlayItem, ...]]:
        """What the answers on screen draw over each image; the one in front last, so that it lies on top."""
        merged: dict[str, tuple[OverlayItem, ...]] = {}
        front = self.front_side
        for side in sorted(self.shown, key=lambda one: one is front):
            tags = {d.detection_id: one.tag for one in side.findings for d in one.detections}
            drawn = overlay_items(
                side.result, (), policy, threshold=side.threshold, selected=selected, hovered=hovered,
                numbers=tags, model=side.name, malignancy=bool(side.words.malignancy_points), lit=lit,
            )  # fmt: skip
            for key, items in drawn.items():
                merged[key] = (*merged.get(key, ()), *items)
        return merged

    # ---- maps and scores

    def heat_side(self) -> Side | None:
        """Whose heat map is drawn: the answer in front, else the first on screen that has maps."""
        front = self.front_side
        order = [front, *self.shown] if front is not None else []
        return next((side for side in order if side is not None and side.result.heatmaps), None)

    def heats(self, policy: OverlayPolicy, *, opacity: float, colour_map: str) -> dict[str, HeatLayer]:
        """The heat map of each image; its label names the model where several answered."""
        side = self.heat_side()
        layers = heat_layers(
            None if side is None else side.result, policy, opacity=opacity, colour_map=colour_map
        )
        if side is None or not side.name:
            return layers
        return {
            key: replace(one, label=f"{one.label}  {side.letter} {side.name}") for key, one in layers.items()
        }

    def scores(self, policy: OverlayPolicy) -> dict[str, str]:
        """The score line of each image: one number a model on screen."""
        if not self.several:
            return score_texts(self.sides[0].result, policy) if self.sides else {}
        said: dict[str, list[str]] = {}
        for side in self.shown:
            for key, words in score_texts(side.result, policy, name=side.letter).items():
                said.setdefault(key, []).append(words)
        return {key: "AI  " + "  ".join(words) for key, words in said.items()}

    # ---- words

    def threshold_words(self) -> str:
        """The thresholds in force, in a few signs: "≥ 0.50", or "(A ≥ 0.09, B ≥ 0.16)"."""
        if not self.several:
            return f"≥ {self.threshold:.2f}"
        return f"({', '.join(f'{side.letter} ≥ {side.threshold:.2f}' for side in self.shown)})"

    def count_lines(self) -> str:
        """What the thresholds do, one line a model on screen."""
        if not self.several:
            return count_words(self.sides[0].findings, self.threshold) if self.sides else ""
        return "\n".join(
            f"{side.letter}  {count_words(side.findings, side.threshold)}" for side in self.shown
        )

    def rows(self) -> tuple[ModelRow, ...]:
        """One line for every model that was asked; empty where it is one alone."""
        if not self.several:
            return ()
        if not self._runs:
            return tuple(self._row(side.letter, side.title, RunState.READY, "", side) for side in self.sides)
        made = []
        for number, run in enumerate(self._runs):
            letter = LETTERS[number % len(LETTERS)]
            side = next((one for one in self.sides if one.letter == letter), None)
            title = f"{run.model_id} {run.version}".strip() or _tr("model {0}").format(number + 1)
            made.append(self._row(letter, title, run.state, _run_words(run), side))
        return tuple(made)

    def _row(self, letter: str, title: str, state: RunState, words: str, side: Side | None) -> ModelRow:
        if side is None:
            return ModelRow(letter=letter, title=title, state=state, words=words)
        count = len(listed(side.findings, side.threshold))
        said = _tr("1 finding at {0:.2f}") if count == 1 else _tr("{1} findings at {0:.2f}")
        if not count:
            said = _tr("read, no finding at {0:.2f}")
        index = next(n for n, one in enumerate(self.sides) if one is side)
        return ModelRow(
            letter=letter, title=title, state=state, shown=side.shown, front=side is self.front_side, index=index,
            words=said.format(side.threshold, count) + below_words(len(side.findings) - count),
        )  # fmt: skip

    def record(self) -> dict[str, object]:
        """Which models are on screen and at which thresholds, for the log; empty where one alone was asked."""
        if not self.several:
            return {}
        return {
            "models": [
                {
                    "model": side.title,
                    "letter": side.letter,
                    "threshold": round(side.threshold, 4),
                    "findings": len(listed(side.findings, side.threshold)),
                }
                for side in self.shown
            ],
            "agreement": len(self.sides) > 1,
        }


def _run_words(run: ModelRun) -> str:
    return {
        RunState.WAITING: _tr("waits for the models before it"),
        RunState.RUNNING: _tr("at work, {0:.0f} %").format(100 * run.fraction),
        RunState.FAILED: _tr("FAILED, these images were not assessed: {0}").format(told(run.why)),
        RunState.ABSENT: _tr("NOT for this exam: {0}").format(told(run.why)),
        RunState.STOPPED: _tr("STOPPED, these images were not assessed"),
    }.get(run.state, "")


def _apart(result: ExamResult) -> ExamResult:
    """The same answer with ids that no other model's detections have."""
    name = f"{result.model_id}/"
    return replace(
        result,
        detections=tuple(replace(one, detection_id=f"{name}{one.detection_id}") for one in result.detections),
    )
