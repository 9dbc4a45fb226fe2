"""One reading session from the first case to the last: what the reader does becomes events, then pixels.

Speaks to sessions, exam source, engine and task runner through their ports; knows no widget. It appends first and
shows after: when the store refuses, the screen does not move on. In an arm without AI the engine is never asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Protocol

from app.control.ai_asking import AiAsking
from app.control.ai_exposure import STATE, detections_record, model_record, scores_record, state_record
from app.control.decoded import DEFAULT_BYTES, DecodedExams
from app.control.priors import load_priors
from app.control.reading_after import AfterLock, AfterScreen, TruthOf
from app.control.tasks import TaskContext, TaskRunner
from app.state.ai_view import AiView, ModelWords, no_words
from app.state.display import Pyramid
from app.state.hanging import Match, match
from app.state.hanging import Protocol as HangingProtocol
from app.state.measurements import Measurement
from app.state.model_shelf import AskedModel, ModelShelf, UnavailableEngine
from app.state.tone import Tone
from inference.engine import InferenceEngine
from inference.exam.objects.model import ExamObjects
from inference.exam.sources import ExamSource
from inference.exam.types import Exam
from inference.results import ExamResult
from reader_study.case_steps import Stage
from reader_study.coverage import SeenImage
from reader_study.domain.assessment import Assessment, Finding
from reader_study.domain.study import AiPolicy, Case, Scale, Study
from reader_study.ports import Clock
from reader_study.sessions import AssessmentIncomplete, Position, Sessions
from resources.files import UserFacingError
from resources.translation import translate

log = logging.getLogger(__name__)

AHEAD = 3  # cases decoded before they are asked for
NO_AI = AiPolicy(shown=False, boxes=False, heatmap=False, score=False, operating_threshold=0.5)


def _tr(text: str) -> str:
    return translate("reading", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """Everything the window needs to hang one case; the arm has already been asked what may be shown."""

    exam: Exam
    hanging: Match
    study_title: str
    session_title: str
    case_label: str
    policy: AiPolicy
    scale: Scale
    findings: tuple[Finding, ...]
    draft: Assessment | None
    show_timer: bool
    pyramids: Mapping[str, Pyramid] = field(default_factory=dict, compare=False)  # by ViewImage.key
    in_study: bool = True  # False = looked at without a study: no form, no marks, no clock
    priors: tuple[Exam, ...] = ()  # earlier exams, newest first, keys marked by ``app.state.priors.as_prior``
    listed: tuple[str, ...] = ()  # sentences of the files of the case that are listed and never hung
    objects: ExamObjects = field(
        default_factory=ExamObjects
    )  # others' CAD marks and saved displays; none in a study

    @property
    def is_blinded(self) -> bool:
        """True where nothing may tell who the woman is, when or where: in every study (MG-27)."""
        return self.in_study

    def with_findings(self, findings: tuple[Finding, ...]) -> CaseView:
        """The same case with another list of marks."""
        return replace(self, findings=findings)


class ReadingScreen(AfterScreen, Protocol):
    """The face of the reading window that the controller speaks to."""

    def show_loading(self, text: str) -> None: ...

    def show_case(self, case: CaseView) -> None: ...

    def show_ai(self, ai: AiView) -> None: ...

    def show_findings(self, findings: tuple[Finding, ...]) -> None: ...

    def show_problems(self, problems: Mapping[str, str]) -> None: ...

    def show_message(self, sentence: str, tone: Tone = Tone.PLAIN) -> None: ...

    def show_paused(self, paused: bool) -> None: ...

    def show_finished(self, sentence: str) -> None: ...

    def show_instruction(self, words: str, confirmed: Callable[[], None]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedExam:
    """An exam decoded and made ready to draw, off the UI thread."""

    exam: Exam
    pyramids: Mapping[str, Pyramid]
    objects: ExamObjects = field(default_factory=ExamObjects)  # never filled in a study
    priors: tuple[Exam, ...] = ()  # in a study: those that its protocol names


def load_exam(source: ExamSource, exam_id: str) -> LoadedExam:
    """Decode an exam and build the halved copies that drawing needs."""
    exam = source.load(exam_id)
    return LoadedExam(exam=exam, pyramids={image.key: Pyramid(image.pixels) for image in exam.images})


def _arm_words(title: str) -> str:
    """An arm's title within a sentence; only the demo study's arms are known in other languages."""
    words = translate("study", title)
    return title.lower() if words == title else words


class ReadingController:
    """Carries one open session; every public method is one command of the reader or one report of the screen."""

    def __init__(
        self,
        *,
        study: Study,
        sessions: Sessions,
        source: ExamSource,
        engine: InferenceEngine,
        runner: TaskRunner,
        clock: Clock,
        protocols: tuple[HangingProtocol, ...],
        environment: Mapping[str, str],
        screen: ReadingScreen,
        cache_bytes: Callable[[], int] = lambda: DEFAULT_BYTES,
        truth: TruthOf | None = None,
        card_words: Callable[[str], ModelWords] = no_words,
        models: ModelShelf | None = None,
    ) -> None:
        self._engine, self._models = engine, models
        self._after = AfterLock(study=study, sessions=sessions, clock=clock, screen=screen, truth=truth)
        self._paused_ns = 0
        self._study, self._sessions, self._source = study, sessions, source
        self._ai = AiAsking(
            asked=self._asked_models,
            runner=runner,
            show=self._show_ai,
            record=self._record_ai,
            card_words=card_words,
        )
        # Why the AI says nothing, as it is to be logged, and as it was logged last; None = nothing to say.
        self._ai_state: Mapping[str, object] | None = None
        self._ai_told: Mapping[str, object] | None = None
        self._runner, self._clock, self._protocols, self._screen = runner, clock, protocols, screen
        self._environment = dict(environment)
        self._display_told = True  # the session's opening carries it
        self._session_id: str | None = None
        self._position: Position | None = None
        self._case: CaseView | None = None
        self._prefetched: DecodedExams[LoadedExam] = DecodedExams(cache_bytes)
        self._ahead: tuple[str, ...] = ()
        self._fetching = self._hang_next = ""  # exam decoded ahead right now; the one that is waited for
        self._painted = False
        self._warned: Assessment | None = (
            None  # answers that drew warnings only, when they were last submitted
        )
        self._early_draft: Assessment | None = None  # entered before the first paint, saved right after it
        self.paused = False
        self._has_focus = self._focus_told = True  # a session begins with a key or a click in the window

    @property
    def session_id(self) -> str | None:
        return self._session_id

    @property
    def case(self) -> CaseView | None:
        """The case on screen, None between cases."""
        return self._case

    @property
    def is_painted(self) -> bool:
        """True once all views of the case were painted."""
        return self._painted

    # ---- session

    def start(self, session_id: str, reader_id: str) -> None:
        """Open or resume a session and hang its current case."""

        def go() -> None:
            self._position = self._sessions.open(session_id, reader_id, self._environment)
            self._session_id = session_id
            self._after.begin()
            words = self._sessions.instruction(session_id)
            if words is None:
                self._go_next()
            else:
                self._screen.show_instruction(words, self.acknowledge)

        self._say_errors(go)

    def acknowledge(self) -> None:
        """The reader has read the instruction; the first case hangs (RS-T2)."""
        session_id = self._session_id
        if session_id is not None and self._case is None:
            self._say_errors(lambda: self._sessions.acknowledge_instruction(session_id))
            self._go_next()

    def leave(self, seen: Sequence[SeenImage] = ()) -> None:
        """Close the session; the current case stays open and is resumed next time. ``seen`` as in ``submit``."""
        if self._session_id is None:
            return
        open_session = self._session_id
        if seen and self._case is not None and self._painted:
            self._say_errors(lambda: self._sessions.coverage_recorded(open_session, seen))
        self._after.drop()
        for key in ("load", "prefetch"):
            self._runner.cancel(key)
        self._drop_ai()
        session_id, self._session_id, self._case = self._session_id, None, None
        self._say_errors(lambda: self._sessions.close(session_id))
        self._prefetched.clear()
        self._fetching = self._hang_next = ""

    def _say_errors(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except UserFacingError as error:
            self._screen.show_message(str(error), Tone.ERROR)
            return False
        return True

    # ---- case

    def _next_case(self) -> None:
        position = self._position
        assert position is not None
        self._case, self._painted, self.paused = None, False, False
        self._early_draft, self._focus_told = None, True
        self._drop_ai()
        if position.case_id is None and self._after.look_back(position.session_id, self._end, at_end=True):
            return
        if position.case_id is None:
            self._end()
            return
        # Blank first: if the next case cannot hang, nothing of the last one (or its AI) stays on screen.
        words = _tr("Loading case {0} of {1} …")
        self._screen.show_loading(words.format(position.index + 1, position.total))
        self._position = self._sessions.open_case(position.session_id)
        ready = self._prefetched.take(position.exam_id)
        if ready is not None:
            self._hang(ready)
            return
        exam_id = position.exam_id
        if exam_id == self._fetching:
            self._hang_next = exam_id  # half decoded already: to start again would take longer
            return
        self._runner.submit("load", partial(self._load, exam_id), self._hang, self._loading_failed)

    def _end(self) -> None:
        """Every case is locked, and looked back at where that is allowed: the session closes."""
        session_id, self._session_id = self._session_id, None
        if session_id is not None:
            self._say_errors(lambda: self._sessions.close(session_id))
        total = 0 if self._position is None else self._position.total
        self._screen.show_finished(_tr("All {0} cases of this session are read. Thank you.").format(total))

    def _loading_failed(self, error: Exception) -> None:
        if not isinstance(error, UserFacingError):
            log.error("loading failed", exc_info=error)
        # Neither the page nor the log repeats the sentence: it may name a file, and a file's name may name a woman.
        position = self._position
        log.error("exam %s could not be loaded", position.exam_id if position is not None else "?")
        words = _tr(
            "Case {0} could not be loaded. Nothing was lost; tell the coordinator, who can see why with the "
            "command `negatoscope open` on the study's images."
        )
        self._try_again(words.format(position.index + 1 if position is not None else "?"))

    def _try_again(self, sentence: str) -> None:
        """The next case does not come: the reader may try again, for a server or share may be back by then."""
        self._case, self._painted = None, False
        self._after.try_again(sentence, self._go_next)
        self._screen.show_message(sentence, Tone.ERROR)

    def _stop_at(self, sentence: str) -> None:
        """Leave the page blank but for the sentence, which stays there when the line below has faded."""
        self._screen.show_loading(sentence)
        self._screen.show_message(sentence, Tone.ERROR)

    def _hang(self, loaded: LoadedExam) -> None:
        exam = loaded.exam
        position = self._position
        if position is None or position.case_id is None:
            return
        case = next(c for c in self._study.cases if c.case_id == position.case_id)
        frozen = [(case.exam_digest, exam.digest)]
        frozen += [(a.exam_digest, b.digest) for a, b in zip(case.priors, loaded.priors, strict=True)]
        for expected, found in frozen:
            if expected and expected != found:
                words = _tr(
                    "Case {0}: the images have changed since the study was frozen (expected digest {1}…, found "
                    "{2}…); the case is not shown. Tell the coordinator."
                )
                self._stop_at(words.format(position.index + 1, expected[:12], found[:12]))
                return
        policy = position.arm.ai if position.arm.ai.shown else NO_AI
        plan = next(p for p in self._study.plans if p.session_id == position.session_id)
        self._case = CaseView(
            exam=exam,
            hanging=match(self._protocols, exam, loaded.priors),
            study_title=translate("study", self._study.title),
            session_title=_tr("Session {0} ({1})").format(plan.period, _arm_words(position.arm.title)),
            case_label=" · ".join(
                (_tr("Case {0} of {1}").format(position.index + 1, position.total), *self._disclosed(case))
            ),
            policy=policy,
            scale=self._study.scale,
            findings=tuple(position.reading.findings),
            draft=position.reading.draft,
            show_timer=self._study.show_timer,
            pyramids=loaded.pyramids,
            priors=loaded.priors,
        )
        self._screen.show_case(self._case)
        if position.stage is Stage.FINAL:  # taken up between the two answers
            self._screen.show_message(
                _tr("The first answer is locked. The AI is shown now; give the final answer."), Tone.OK
            )
        if policy.shown:
            self._ai.ask(exam)
        self._prefetch(position)

    def _disclosed(self, case: Case) -> tuple[str, ...]:
        """What the protocol tells readers of the woman: age, history."""
        told = self._study.disclosure.patient
        words: list[str] = []
        if "age" in told and case.age_years is not None:
            words.append(_tr("age {0}").format(case.age_years))
        if "history" in told and case.history:
            words.append(case.history)
        return tuple(words)

    def _prefetch(self, position: Position) -> None:
        plan = next(p for p in self._study.plans if p.session_id == position.session_id)
        exams = {c.case_id: c.exam_id for c in self._study.cases}
        following = plan.entries[position.index + 1 : position.index + 1 + AHEAD]
        self._ahead = tuple(exams[entry.case_id] for entry in following)
        self._prefetched.only(self._ahead)
        if self._fetching not in self._ahead:
            self._prefetch_next()

    def _prefetch_next(self) -> None:
        """Decode the nearest case ahead that is not ready yet, as far as memory allows."""
        wanted = next((exam_id for exam_id in self._ahead if exam_id not in self._prefetched), None)
        if wanted is None or not self._prefetched.has_room():
            return

        def kept(loaded: LoadedExam) -> None:
            self._fetching = ""
            if self._hang_next == wanted:
                self._hang_next = ""
                self._hang(loaded)
                return
            self._prefetched.keep(wanted, loaded)
            self._prefetch_next()

        def failed(error: Exception) -> None:
            self._fetching = ""
            if self._hang_next == wanted:
                self._hang_next = ""
                self._loading_failed(error)
                return
            log.warning("prefetch of exam %s failed: %s", wanted, type(error).__name__)

        self._fetching = wanted
        self._runner.submit("prefetch", partial(self._load, wanted), kept, failed)

    def _load(self, exam_id: str, _context: TaskContext) -> LoadedExam:
        loaded = load_exam(self._source, exam_id)
        wanted = [
            prior.exam_id for case in self._study.cases if case.exam_id == exam_id for prior in case.priors
        ]
        if not wanted:
            return loaded
        # With the case and not after it: every reader has them from the first moment of the reading.
        priors, pyramids = load_priors(self._source, wanted)
        return replace(loaded, priors=priors, pyramids={**loaded.pyramids, **pyramids})

    def painted(self, t_mono_ns: int) -> None:
        """All views of the case were painted; the reading clock starts here."""
        if self._session_id is not None and self._case is not None and not self._painted:
            self._painted = True
            session_id = self._session_id
            self._say_errors(lambda: self._sessions.frame_painted(session_id, t_mono_ns))
            draft, self._early_draft = self._early_draft, None
            if draft is not None:
                self.save_draft(draft)
            self._tell_focus()
            self._tell_display()
            self._tell_ai_state()

    def stage_shown(self, title: str) -> None:
        """The reader moved to another hanging step."""
        if self._session_id is not None and self._painted and not self.paused:
            session_id = self._session_id
            self._say_errors(lambda: self._sessions.stage_changed(session_id, title))

    def display_changed(self, environment: Mapping[str, str]) -> None:
        """The monitor or its calibration is another (QC-04); logged as soon as the case is on screen and runs."""
        if dict(environment) != self._environment:
            self._environment, self._display_told = dict(environment), False
            self._tell_display()

    def _tell_display(self) -> None:
        if self._display_told or self._session_id is None or not self._painted or self.paused:
            return
        session_id, what = self._session_id, {"display": dict(self._environment)}
        self._display_told = self._say_errors(lambda: self._sessions.view_changed(session_id, what))

    def view_changed(self, what: Mapping[str, object]) -> None:
        """Pan, zoom or window of one viewport changed; goes to the log's stream, never in the reader's way."""
        if self._session_id is not None and self._painted and not self.paused:
            session_id = self._session_id
            self._say_errors(lambda: self._sessions.view_changed(session_id, what))

    # ---- AI

    def _asked_models(self) -> tuple[AskedModel, ...]:
        """The models that the protocol names for the arm; the station's own where it names none."""
        named = self._case.policy.models if self._case is not None else ()
        if not named:
            return (AskedModel(engine=self._engine),)
        if self._models is None:
            words = _tr("the protocol names models ({0}), and this station has no list of models")
            return (AskedModel(engine=UnavailableEngine(words.format(", ".join(named)))),)
        return self._models.asked(named)

    def stop_ai(self) -> None:
        """The reader wants no answer of the AI for this case now."""
        if self._case is not None and self._case.policy.shown and not self._says_paused():
            self._ai.stop()

    def retry_ai(self) -> None:
        """Ask the AI once more after it failed or was stopped."""
        if self._case is not None and self._case.policy.shown and not self._says_paused():
            self._ai.retry()

    def _show_ai(self, ai: AiView) -> None:
        if self._case is None or not self._case.policy.shown:
            return
        self._ai_state = state_record(ai, self._case.exam.images)
        self._tell_ai_state()
        self._screen.show_ai(ai)

    def _drop_ai(self) -> None:
        self._ai.drop()
        self._ai_state = self._ai_told = None

    def _tell_ai_state(self) -> None:
        """Log why the AI says nothing, or which views it did not read, as soon as the case is on screen (RS-C5)."""
        if self._session_id is None or not self._painted or self.paused or self._ai_state == self._ai_told:
            return
        session_id, state = self._session_id, self._ai_state
        if self._ai_told is not None and self._say_errors(
            lambda: self._sessions.ai_hidden(session_id, STATE)
        ):
            self._ai_told = None
        if state is not None and self._say_errors(
            lambda: self._sessions.ai_revealed(session_id, STATE, state)
        ):
            self._ai_told = state

    def _record_ai(self, result: ExamResult) -> bool:
        """Write to the log what a model said, before anything of it can be shown; False where it was not kept."""
        if self._case is None or self._session_id is None or not self._case.policy.shown:
            return False
        session_id = self._session_id
        return self._say_errors(
            lambda: self._sessions.ai_result_recorded(
                session_id, scores_record(result), model_record(result), detections_record(result)
            )
        )

    def ai_shown(self, layer: str, shown: Mapping[str, object]) -> bool:
        """The reader called up an AI layer; returns False (and shows nothing) where the log refuses."""
        if self._session_id is None or self._case is None or self._says_paused():
            return False
        session_id = self._session_id
        return self._say_errors(lambda: self._sessions.ai_revealed(session_id, layer, shown))

    def ai_hidden(self, layer: str) -> bool:
        """The reader put an AI layer away; returns False (and the layer stays) where the log refuses."""
        if self._session_id is None or self._case is None or self._says_paused():
            return False
        session_id = self._session_id
        return self._say_errors(lambda: self._sessions.ai_hidden(session_id, layer))

    # ---- marks and form

    def _says_paused(self) -> bool:
        if self.paused:
            self._screen.show_message(_tr("The reading is paused; press Pause to go on."))
        return self.paused

    def _after_marks(self, action: Callable[[str], None]) -> bool:
        if self._session_id is None or self._case is None or self._says_paused():
            return False
        session_id = self._session_id
        if not self._say_errors(lambda: action(session_id)):
            return False
        findings = tuple(self._sessions.position(session_id).reading.findings)
        self._case = self._case.with_findings(findings)
        self._screen.show_findings(findings)
        return True

    def add_mark(self, finding: Finding) -> bool:
        """Write the mark to the log, then show it; False (and a sentence) where it was not kept."""
        return self._after_marks(lambda session_id: self._sessions.add_mark(session_id, finding))

    def remove_mark(self, finding_id: str) -> bool:
        """Take a mark back; the log keeps both facts."""
        return self._after_marks(lambda session_id: self._sessions.remove_mark(session_id, finding_id))

    def move_mark(self, finding: Finding) -> bool:
        """Write a mark's new place to the log, then show it; the log keeps the old one (RS-L1)."""
        return self._after_marks(lambda session_id: self._sessions.move_mark(session_id, finding))

    def measurement_changed(self, old: Measurement | None, new: Measurement | None) -> None:
        """A ruler, angle, ellipse, text or nipple was set, changed or taken away (RS-C5)."""
        if self._session_id is not None and self._painted and not self.paused:
            session_id = self._session_id
            before, after = (None if one is None else asdict(one) for one in (old, new))
            self._say_errors(lambda: self._sessions.measurement_changed(session_id, before, after))

    def save_draft(self, assessment: Assessment) -> None:
        """Keep an unfinished form, so that a crash loses nothing the reader entered."""
        if self._session_id is None or self._case is None or self._says_paused():
            return
        if not self._painted:
            self._early_draft = assessment
            self._screen.show_message(
                _tr(
                    "The images are not on screen yet; your answers are kept in the form and saved once they are."
                )
            )
            return
        session_id = self._session_id
        self._say_errors(lambda: self._sessions.save_draft(session_id, assessment))

    def submit(self, assessment: Assessment, seen: Sequence[SeenImage] | None = None) -> bool:
        """Lock the case in one atomic save and hang the next; False when fields are missing or the disk refuses.

        ``seen`` is how much of each image was shown at 1:1; None = not counted.
        """
        if self._session_id is None:
            return False
        if self._after.go_on():  # the same key goes on to the next case
            return True
        if self._case is None:
            self._screen.show_message(_tr("No case is on screen, so there is nothing to submit."), Tone.ERROR)
            return False
        if not self._painted:
            self._screen.show_message(
                _tr(
                    "The case is not submitted: its images are not on screen yet; wait for them, then submit."
                ),
                Tone.ERROR,
            )
            return False
        if self._says_paused():
            return False
        try:
            # What the protocol only warns of goes through when the same answers are submitted again.
            confirmed, before = assessment == self._warned, self._position
            self._position = self._sessions.submit(self._session_id, assessment, seen, confirmed=confirmed)
        except AssessmentIncomplete as error:
            self._warned = assessment if all(problem.warning for problem in error.problems) else None
            self._screen.show_problems({problem.field: problem.sentence for problem in error.problems})
            if self._warned is not None:
                self._screen.show_message(
                    _tr("These answers are unusual together. Submit again to confirm them."), Tone.ERROR
                )
            for problem in error.problems:
                if problem.field == "findings":  # no field of the form
                    self._screen.show_message(problem.sentence, Tone.ERROR)
            return False
        except UserFacingError as error:
            if not self._moved_on(str(error)):
                self._screen.show_message(
                    _tr("{0} The case is not submitted; your marks and answers are still here.").format(
                        error
                    ),
                    Tone.ERROR,
                )
            return False
        self._warned = None
        if before is not None and self._position.case_id == before.case_id:
            self._reveal(assessment)
        else:
            self._leave_case(before)
        return True

    def _leave_case(self, locked: Position | None) -> None:
        """A case is locked: what the protocol puts before the next one, then the next one."""
        following = self._position
        if locked is None or following is None:
            self._go_next()
            return
        self._case, self._painted = None, False
        self._drop_ai()
        self._after.case_locked(locked, following, self._go_next)

    def _go_next(self) -> None:
        try:
            self._next_case()
        except UserFacingError as error:
            words = _tr("{0} What was submitted is saved; the next case has not begun.")
            self._try_again(words.format(error))

    def look_back(self) -> None:
        """Show the answers that were locked in this session; the case on screen waits, paused (RS-R4)."""
        session_id = self._session_id
        if session_id is None:
            return
        if not self._after.may_look_back:
            self._screen.show_message(_tr("In this study a locked case cannot be looked back at."))
            return
        if self._case is None or not self._painted:
            return
        if not self.paused:
            self.toggle_pause()
        if not self.paused:
            return  # the log refused, and has said why

        def back() -> None:
            self._screen.show_paused(True)

        if not self._after.look_back(session_id, back, at_end=False):
            self._screen.show_message(_tr("No case of this session is locked yet."))

    def _moved_on(self, sentence: str) -> bool:
        """Show the true position where an answer that was reported as lost had been saved; False = nothing moved."""
        before = self._position
        assert self._session_id is not None
        position = self._sessions.position(self._session_id)
        if before is None or (position.case_id, position.stage) == (before.case_id, before.stage):
            return False
        self._position = position
        provisional = position.reading.provisional
        if position.case_id == before.case_id and provisional is not None:
            self._reveal(provisional)
        else:
            self._go_next()
        self._screen.show_message(sentence, Tone.ERROR)
        return True

    def _reveal(self, provisional: Assessment) -> None:
        """Go on with the same case in its second arm: the provisional answer is locked, now the AI may come."""
        position, case = self._position, self._case
        assert position is not None
        assert case is not None
        policy = position.arm.ai if position.arm.ai.shown else NO_AI
        findings = tuple(position.reading.findings)
        plan = next(p for p in self._study.plans if p.session_id == position.session_id)
        title = _tr("Session {0} ({1})").format(plan.period, _arm_words(position.arm.title))
        self._case = replace(case, policy=policy, draft=provisional, findings=findings, session_title=title)
        self._screen.show_case(self._case)
        self._screen.show_message(
            _tr("The first answer is locked. The AI is shown now; give the final answer."), Tone.OK
        )
        if policy.shown:
            self._ai.ask(case.exam)

    # ---- time

    def toggle_pause(self) -> None:
        """Pause blanks the images and stops the active clock; again goes on."""
        if self._session_id is None or not self._painted:
            return
        self._after.drop()  # a look back ends where the reading goes on
        session_id, paused = self._session_id, self.paused
        act = self._sessions.resume if paused else self._sessions.pause
        if self._say_errors(lambda: act(session_id)):
            self.paused = not paused
            now = self._clock.monotonic_ns()
            if paused:
                self._after.rested((now - self._paused_ns) / 1e9)
            self._paused_ns = now
            self._screen.show_paused(self.paused)
            self._tell_focus()
            self._tell_display()
            self._tell_ai_state()

    def focus_changed(self, *, has_focus: bool) -> None:
        """The window gained or lost the keyboard: told now, or as soon as the case is on screen and its clock runs."""
        self._has_focus = has_focus
        self._tell_focus()

    def _tell_focus(self) -> None:
        if (
            self._session_id is None
            or not self._painted
            or self.paused
            or self._focus_told is self._has_focus
        ):
            return
        session_id, has_focus = self._session_id, self._has_focus
        act = self._sessions.focus_regained if has_focus else self._sessions.focus_lost
        if self._say_errors(lambda: act(session_id)):
            self._focus_told = has_focus

    def idle(self, seconds: float) -> None:
        """No input for a while; noted, never deleted."""
        if self._session_id is not None and self._painted and not self.paused:
            session_id = self._session_id
            self._say_errors(lambda: self._sessions.idle_detected(session_id, seconds))
