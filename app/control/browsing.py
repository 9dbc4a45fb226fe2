"""Looks at exams without a study: a list, one exam with its priors at a time, the AI beside it. Nothing is logged
or scored.

Loads the priors when the current exam is painted, then the next exam of the list (MG-41, MG-43).
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import Protocol

from app.control.ai_asking import AiAsking, Asked, always
from app.control.case_objects import load_with_objects
from app.control.decoded import DEFAULT_BYTES, DecodedExams
from app.control.kinds import KindOverrides
from app.control.priors import load_priors
from app.control.reading import CaseView, LoadedExam, ReadingScreen
from app.control.tasks import TaskContext, TaskRunner
from app.state.ai_view import ModelWords, no_words
from app.state.display import Pyramid
from app.state.hanging import Choice, choices, match
from app.state.hanging import Protocol as HangingProtocol
from app.state.priors import priors_of
from app.state.protocol_library import ProtocolLibrary
from app.state.thumbnails import Thumbnail, thumbnails_of
from app.state.tone import Tone
from inference.engine import InferenceEngine
from inference.exam.header import TagRow
from inference.exam.sources import ExamSource, FolderSource
from inference.exam.types import Exam, ExamSummary, ViewImage
from reader_study.domain.study import AiPolicy, Scale
from resources.files import UserFacingError
from resources.translation import translate
from resources.vocabulary import ImageKind

log = logging.getLogger(__name__)

ALL_AI = AiPolicy(shown=True, boxes=True, heatmap=True, score=True, operating_threshold=0.5)
# Notes that the screen tells in a place of their own: the line of missing views, the badge, the strip.
_SEEN_ELSEWHERE = ("Missing of the four", "More than one image of", "Not hung:")
KEPT_STRIPS = 64  # exams whose thumbnails are kept


def _tr(text: str) -> str:
    return translate("browsing", text)


class BrowsingScreen(ReadingScreen, Protocol):
    """What the reading window must do besides, when no study runs."""

    def show_hanging(self, case: CaseView) -> None:
        """The case on screen hangs anew, with priors or by another protocol; stage and windows stay."""
        ...


class BrowseController:
    """Opens exams of one source on the reading screen, outside any study."""

    def __init__(
        self,
        *,
        source: ExamSource,
        engine: InferenceEngine,
        runner: TaskRunner,
        library: ProtocolLibrary,
        screen: BrowsingScreen,
        cache_bytes: Callable[[], int] = lambda: DEFAULT_BYTES,
        card_words: Callable[[str], ModelWords] = no_words,
        more_engines: Sequence[InferenceEngine] = (),  # further models, asked after the first
        asked: Asked | None = None,  # the models of the settings, in place of the engines
    ) -> None:
        self._source, self._runner = source, runner
        self._ai = AiAsking(
            asked=asked or always((engine, *more_engines)),
            runner=runner,
            show=screen.show_ai,
            card_words=card_words,
        )
        self._library, self._screen = library, screen
        self._exams: tuple[ExamSummary, ...] = ()
        self._case: CaseView | None = None
        self._wanted = ""
        self._look: CaseView | None = None
        self.on_first_look: Callable[[CaseView], None] | None = None  # None = nobody looks, none is made
        self._order: tuple[str, ...] = ()
        self._chosen: str | None = None
        self._ready: DecodedExams[LoadedExam] = DecodedExams(cache_bytes)
        self._strips: OrderedDict[str, tuple[Thumbnail, ...]] = OrderedDict()
        self._kinds = KindOverrides()

    @property
    def library(self) -> ProtocolLibrary:
        """The hanging protocols of this station."""
        return self._library

    @property
    def case(self) -> CaseView | None:
        """The case on screen, None before the first."""
        return self._case

    # ---- the list

    def list_exams(
        self, done: Callable[[tuple[ExamSummary, ...]], None], failed: Callable[[str], None] | None = None
    ) -> None:
        """Read headers off the UI thread, then hand over the list, or a sentence why there is none."""

        def listed(exams: tuple[ExamSummary, ...]) -> None:
            self._exams = exams
            done(exams)

        say = failed or (lambda sentence: self._screen.show_message(sentence, Tone.ERROR))
        self._runner.submit(
            "list", lambda _context: self._source.list(), listed, lambda error: say(_sentence(error))
        )

    def priors_of(self, exam_id: str) -> tuple[ExamSummary, ...]:
        """The earlier exams of the same woman, newest first."""
        current = self._summary(exam_id)
        return () if current is None else priors_of(self._exams, current)

    def _summary(self, exam_id: str) -> ExamSummary | None:
        return next((exam for exam in self._exams if exam.exam_id == exam_id), None)

    def thumbnails(self, exam_id: str, done: Callable[[str, tuple[Thumbnail, ...]], None]) -> None:
        """Hand over an exam's thumbnails, from memory or decoded off the UI thread; a newer wish drops an older."""
        kept = self._strips.get(exam_id)
        if kept is not None:
            self._runner.cancel("thumbnails")
            done(exam_id, kept)
            return

        def work(_context: TaskContext) -> tuple[LoadedExam | None, tuple[Thumbnail, ...]]:
            loaded = self._ready.get(exam_id)
            if loaded is None and (look := self.first_look(exam_id)) is not None:
                return None, thumbnails_of(look.exam, look.pyramids)
            loaded = loaded or load_with_objects(self._source, exam_id)
            return loaded, thumbnails_of(loaded.exam, loaded.pyramids)

        def made(answer: tuple[LoadedExam | None, tuple[Thumbnail, ...]]) -> None:
            if answer[0] is not None:
                self._keep(answer[0])  # the exam looked at in the list is the one most likely opened
            self._strips[exam_id] = answer[1]
            while len(self._strips) > KEPT_STRIPS:
                self._strips.popitem(last=False)
            done(exam_id, answer[1])

        def failed(error: Exception) -> None:
            log.warning("thumbnails failed: %s", error)
            done(exam_id, ())

        self._runner.submit("thumbnails", work, made, failed)

    # ---- one exam

    def open(self, exam_id: str, order: Sequence[str] = ()) -> None:
        """Load one exam and hang it; ``order`` is the list as the user sees it, for the next and the previous."""
        self._order = tuple(order) or self._order
        for key in ("priors", "prefetch"):
            self._runner.cancel(key)
        self._ai.drop()
        self._wanted, self._case = exam_id, None
        ready = self._ready.get(exam_id)
        if ready is not None:
            self._hang(ready)
            return
        self._screen.show_loading(_tr("Loading …"))
        self._runner.submit(
            "load", partial(self._load, exam_id), self._hang, self._failed, lambda _f, _t: self._looked()
        )

    def _load(self, exam_id: str, context: TaskContext) -> LoadedExam:
        """Blurred first, where anybody looks and the files allow it, so that the first look has all cores."""
        self._look = self.first_look(exam_id) if self.on_first_look is not None else None
        if self._look is not None:
            context.report(0.1, "first look")
        return load_with_objects(self._source, exam_id)

    def _looked(self) -> None:
        look, self._look = self._look, None
        if look is not None and self.on_first_look is not None and look.exam.exam_id == self._wanted:
            self.on_first_look(look)

    def first_look(self, exam_id: str) -> CaseView | None:
        """Return an exam blurred, for looking only while it loads, or None; to be called off the UI thread."""
        exam = self._source.preview(exam_id) if isinstance(self._source, FolderSource) else None
        if exam is None:
            return None
        pyramids = {image.key: Pyramid(image.pixels) for image in exam.images}
        return self._case_of(LoadedExam(exam=exam, pyramids=pyramids))

    def step(self, by: int) -> bool:
        """Open the next (1) or previous (-1) exam of the list; False at its ends."""
        neighbour = self._neighbour(by)
        if neighbour is None:
            self._screen.show_message(
                _tr("This is the last exam of the list.") if by > 0 else _tr("This is the first exam.")
            )
            return False
        self.open(neighbour)
        return True

    def _neighbour(self, by: int) -> str | None:
        ids = self._order or tuple(exam.exam_id for exam in self._exams)
        if self._wanted not in ids:
            return None
        index = ids.index(self._wanted) + by
        return ids[index] if 0 <= index < len(ids) else None

    def leave(self) -> None:
        """Back to the list: what still runs is dropped."""
        for key in ("load", "priors", "prefetch"):
            self._runner.cancel(key)
        self._ai.drop()
        self._case = None

    def _failed(self, error: Exception) -> None:
        sentence = _sentence(error)
        self._screen.show_loading(sentence)  # stays on the blank page when the line below has faded
        self._screen.show_message(sentence, Tone.ERROR)

    def _keep(self, loaded: LoadedExam) -> None:
        self._ready.keep(loaded.exam.exam_id, loaded)

    def _hang(self, loaded: LoadedExam) -> None:
        self._keep(loaded)
        loaded = self._kinds.applied(loaded)
        exam = loaded.exam
        self._case = self._case_of(loaded)
        self._screen.show_case(self._case)
        self._say_notes(exam)
        self._ai.ask(exam)

    def _case_of(self, loaded: LoadedExam) -> CaseView:
        exam = loaded.exam
        return CaseView(
            exam=exam,
            hanging=match(self._library.shelf().protocols, exam, chosen=self._chosen),
            study_title=_tr("Exams"),
            session_title=_tr("no study"),
            case_label=_tr("Exam {0}").format(exam.exam_id),
            policy=ALL_AI,
            scale=Scale(),
            findings=(),
            draft=None,
            show_timer=False,
            pyramids=loaded.pyramids,
            in_study=False,
            listed=self._listed(exam),
            objects=loaded.objects,
        )

    def _listed(self, exam: Exam) -> tuple[str, ...]:
        """Sentences of the files in the exam's folders that are listed and never hung (MG-04)."""
        if not isinstance(self._source, FolderSource):
            return ()
        folders = {str(PurePosixPath(image.path).parent) for image in exam.images if image.path}
        return tuple(
            entry.sentence
            for entry in self._source.report.entries
            if entry.listed and str(PurePosixPath(entry.path).parent) in folders
        )

    def _say_notes(self, exam: Exam) -> None:
        notes = [note for note in exam.notes if not note.startswith(_SEEN_ELSEWHERE)]
        more = _tr(" (+{0} more notes)").format(len(notes) - 1) if len(notes) > 1 else ""
        self._screen.show_message(f"{notes[0]}{more}" if notes else "")  # the last exam's words go

    def stop_ai(self) -> None:
        """No answer of the AI is wanted now."""
        self._ai.stop()

    def retry_ai(self) -> None:
        """Ask the AI once more."""
        self._ai.retry()

    # ---- what one image is

    def set_kind(self, image: ViewImage, kind: ImageKind | None) -> None:
        """Hang the exam anew with the reader's word on what an image shows; None = as the rules say (CEM-01)."""
        if self._case is None or all(image.key != own.key for own in self._case.exam.images):
            self._screen.show_message(_tr("The kind can be set for images of the current exam only."))
            return
        self._kinds.set(image.source_id, kind)
        self.open(self._wanted)

    def tags(self, image: ViewImage, done: Callable[[tuple[TagRow, ...]], None]) -> None:
        """Read all attributes of an image's file off the UI thread, then hand them over."""
        source = self._source
        if not isinstance(source, FolderSource):
            self._screen.show_message(_tr("These images are not files, so they have no tags to list."))
            return
        self._runner.submit("tags", lambda _context: source.tags(image.path), done, self._failed)

    # ---- after the current exam is painted

    def painted(self) -> None:
        """All views of the exam are on screen: fetch its priors, then the next exam of the list."""
        case = self._case
        if case is None or case.priors:
            return
        earlier = self.priors_of(case.exam.exam_id)
        if not earlier:
            self._prefetch()
            return
        ids = [summary.exam_id for summary in earlier]

        def work(_context: TaskContext) -> tuple[tuple[Exam, ...], dict[str, Pyramid]]:
            return load_priors(self._source, ids)

        def failed(error: Exception) -> None:
            self._screen.show_message(_tr("A prior exam could not be loaded: {0}").format(error), Tone.ERROR)
            self._prefetch()

        self._runner.submit("priors", work, self._add_priors, failed)

    def _add_priors(self, answer: tuple[tuple[Exam, ...], dict[str, Pyramid]]) -> None:
        if self._case is None:
            return
        priors, pyramids = answer
        self._rehang(replace(self._case, priors=priors, pyramids={**self._case.pyramids, **pyramids}))
        self._prefetch()

    def _prefetch(self) -> None:
        following = self._neighbour(1)
        if following is None or following in self._ready:
            return
        self._runner.submit(
            "prefetch",
            lambda _context: load_with_objects(self._source, following),
            self._keep,
            lambda error: log.warning("prefetch failed: %s", error),
        )

    # ---- hanging protocols

    def choices(self) -> tuple[Choice, ...]:
        """Every protocol, how well it fits the case on screen and why; the best first."""
        if self._case is None:
            return ()
        return choices(self._library.shelf().protocols, self._case.exam, self._case.priors)

    def use(self, protocol_id: str | None) -> None:
        """Hang by this protocol from now on; None = by the one that fits best."""
        self._chosen = protocol_id
        if self._case is not None:
            self._rehang(self._case)

    def try_out(self, protocol: HangingProtocol) -> None:
        """Hang the case on screen by a protocol that is not saved."""
        if self._case is not None:
            hanging = match((protocol,), self._case.exam, self._case.priors, chosen=protocol.protocol_id)
            self._case = replace(self._case, hanging=hanging)
            self._screen.show_hanging(self._case)

    def _rehang(self, case: CaseView) -> None:
        protocols = self._library.shelf().protocols
        hanging = match(protocols, case.exam, case.priors, chosen=self._chosen)
        self._case = replace(case, hanging=hanging)
        self._screen.show_hanging(self._case)


def _sentence(error: Exception) -> str:
    """What to tell the user; anything but a user's error is a bug, and is logged as one."""
    if not isinstance(error, UserFacingError):
        log.error("browsing failed", exc_info=error)
    return str(error)
