"""The reading controller without a screen: real sessions, real phantoms, tasks inline, a screen that remembers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from app.control.reading import CaseView, ReadingController
from app.control.tasks import InlineTaskRunner
from app.state.ai_view import AiView
from app.state.hanging import load_protocols
from app.state.tone import Tone
from inference.engine import Cancelled, FakeEngine, InferenceEngine, Progress
from inference.exam.phantom import PhantomSpec, phantom_exam
from inference.exam.types import Exam, ExamSummary, InferenceError
from inference.results import ExamResult
from reader_study.accounts import hash_password
from reader_study.clock import ManualClock
from reader_study.domain.assessment import Assessment, BreastAssessment, Finding
from reader_study.domain.conduct import Conduct
from reader_study.domain.events import EventKind
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.errors import StoreError
from reader_study.ports import MemoryEventStore
from reader_study.randomization import allocate
from reader_study.sessions import Sessions
from reader_study.timing import break_seconds, reading_times
from resources.vocabulary import Density, FindingType, Laterality


class PhantomSource:
    """Two phantom exams in memory."""

    def __init__(self) -> None:
        self.exams = {
            f"E{seed}": phantom_exam(PhantomSpec(seed=seed, pixel_mm=0.8)).exam for seed in (11, 12)
        }

    def list(self) -> tuple[ExamSummary, ...]:
        return ()

    def load(self, exam_id: str) -> Exam:
        return self.exams[exam_id]


class RecordingScreen:
    """Keeps what the controller showed."""

    def __init__(self) -> None:
        self.case: CaseView | None = None
        self.ai: list[AiView] = []
        self.findings: tuple[Finding, ...] = ()
        self.problems: dict[str, str] = {}
        self.messages: list[str] = []
        self.paused = False
        self.finished = ""
        self.breaks: list[float] = []
        self.blank = ""  # what the empty page says
        self.try_again: Callable[[], object] | None = None

    def show_loading(self, text: str) -> None:
        self.case, self.blank = None, text

    def show_case(self, case: CaseView) -> None:
        self.case = case

    def show_ai(self, ai: AiView) -> None:
        self.ai.append(ai)

    def show_findings(self, findings: tuple[Finding, ...]) -> None:
        self.findings = findings

    def show_problems(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)

    def show_message(self, sentence: str, tone: Tone = Tone.PLAIN) -> None:
        self.messages.append(sentence)

    def show_paused(self, paused: bool) -> None:
        self.paused = paused

    def show_finished(self, sentence: str) -> None:
        self.finished = sentence

    def offer_break(self, minutes: float, go_on: object) -> None:
        self.breaks.append(minutes)

    def show_retry(self, sentence: str, go_on: Callable[[], object]) -> None:
        self.case, self.blank, self.try_again = None, sentence, go_on


class ForbiddenEngine:
    """An engine that must never be asked."""

    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
        raise AssertionError("the engine was asked in an arm without AI")


class BrokenEngine:
    def analyse(self, exam: Exam, progress: Progress, cancelled: Cancelled) -> ExamResult:
        raise InferenceError("the model folder is gone")


@pytest.fixture(scope="module")
def source() -> PhantomSource:
    return PhantomSource()


def make(
    source: PhantomSource,
    *,
    aided: bool,
    engine: InferenceEngine,
    store: MemoryEventStore | None = None,
    conduct: Conduct | None = None,
) -> tuple[ReadingController, RecordingScreen, ManualClock, MemoryEventStore, str]:
    arm = Arm(arm_id="only", title="Aided" if aided else "Unaided", ai=AiPolicy(shown=aided))
    cases = tuple(
        Case(case_id=f"C{i}", exam_id=exam_id, exam_digest=exam.digest)
        for i, (exam_id, exam) in enumerate(source.exams.items())
    )
    reader = Reader(reader_id="r1", name="R", password_hash=hash_password("long enough"))
    plans = allocate(study_id="S", seed=1, cases=cases, readers=(reader,), arms=(arm,), design="single")
    study = Study(
        study_id="S",
        title="S",
        protocol_version="1",
        seed=1,
        arms=(arm,),
        readers=(reader,),
        cases=cases,
        scale=Scale(),
        plans=plans,
        conduct=conduct or Conduct(),
    )
    clock, screen = ManualClock(), RecordingScreen()
    store = store or MemoryEventStore()
    sessions = Sessions(study=study, store=store, clock=clock)
    controller = ReadingController(
        study=study,
        sessions=sessions,
        source=source,
        engine=engine,
        runner=InlineTaskRunner(),
        clock=clock,
        protocols=load_protocols(),
        environment={},
        screen=screen,
    )
    return controller, screen, clock, store, plans[0].session_id


def full_form(birads: str = "2", suspicion: int = 5) -> Assessment:
    breasts = tuple(
        BreastAssessment(laterality=side, birads=birads, suspicion=suspicion) for side in Laterality
    )
    return Assessment(breasts=breasts, density=Density.SCATTERED, recall=False)


def kinds(store: MemoryEventStore, session_id: str) -> list[EventKind]:
    return [event.kind for event in store.read(session_id)]


def test_rs_r2_an_unaided_case_never_asks_the_engine(source: PhantomSource) -> None:
    controller, screen, clock, store, session_id = make(source, aided=False, engine=ForbiddenEngine())
    controller.start(session_id, "r1")
    controller.painted(clock.monotonic_ns())
    assert screen.case is not None
    assert not screen.case.policy.shown
    assert screen.ai == []
    assert not controller.ai_shown("boxes", {})
    assert EventKind.AI_REVEALED not in kinds(store, session_id)


def test_an_aided_case_shows_the_result_after_the_log_has_it(source: PhantomSource) -> None:
    controller, screen, _clock, store, session_id = make(source, aided=True, engine=FakeEngine())
    controller.start(session_id, "r1")
    assert screen.ai[-1].result is not None
    assert EventKind.AI_RESULT_RECORDED in kinds(store, session_id)
    assert controller.ai_shown("heatmap", {"opacity": 0.5})
    assert kinds(store, session_id)[-1] is EventKind.AI_REVEALED


def test_a_failed_ai_says_why_and_is_no_empty_result(source: PhantomSource) -> None:
    controller, screen, _clock, _store, session_id = make(source, aided=True, engine=BrokenEngine())
    controller.start(session_id, "r1")
    assert screen.ai[-1].result is None
    assert screen.ai[-1].failure == "AI not available, the analysis failed: the model folder is gone"
    assert screen.case is not None


def test_rs_c1_a_form_with_gaps_stays_and_names_the_fields(source: PhantomSource) -> None:
    controller, screen, clock, store, session_id = make(source, aided=False, engine=ForbiddenEngine())
    controller.start(session_id, "r1")
    controller.painted(clock.monotonic_ns())
    before = screen.case
    assert not controller.submit(Assessment(breasts=(BreastAssessment(laterality=Laterality.RIGHT),)))
    assert {"R.birads", "R.suspicion", "density", "recall"} <= set(screen.problems)
    assert screen.case is before
    assert EventKind.ASSESSMENT_SUBMITTED not in kinds(store, session_id)


def test_rs_r4_submit_locks_and_hangs_the_next_until_the_session_ends(source: PhantomSource) -> None:
    controller, screen, clock, store, session_id = make(source, aided=False, engine=ForbiddenEngine())
    controller.start(session_id, "r1")
    seen = []
    for _ in range(2):
        assert screen.case is not None
        seen.append(screen.case.exam.digest)
        controller.painted(clock.monotonic_ns())
        clock.advance(3)
        assert controller.submit(full_form())
    assert sorted(seen) == sorted(exam.digest for exam in source.exams.values())
    assert screen.finished.startswith("All 2 cases")
    assert kinds(store, session_id).count(EventKind.READING_LOCKED) == 2


def test_a_form_cannot_be_submitted_before_the_images_were_painted(source: PhantomSource) -> None:
    controller, screen, _clock, store, session_id = make(source, aided=False, engine=ForbiddenEngine())
    controller.start(session_id, "r1")
    assert not controller.submit(full_form())
    assert "not on screen yet" in screen.messages[-1]
    assert EventKind.READING_LOCKED not in kinds(store, session_id)


def test_marks_are_kept_taken_back_and_survive_a_restart(source: PhantomSource) -> None:
    controller, screen, clock, store, session_id = make(source, aided=False, engine=ForbiddenEngine())
    controller.start(session_id, "r1")
    controller.painted(clock.monotonic_ns())
    assert screen.case is not None
    image = screen.case.exam.images[0]
    for name in ("a", "b"):
        mark = Finding(
            finding_id=name,
            image_key=image.key,
            source_id=image.source_id,
            row=9,
            col=9,
            finding=FindingType.MASS,
            suspicion=40,
        )
        assert controller.add_mark(mark)
    assert controller.remove_mark("b")
    assert [finding.finding_id for finding in screen.findings] == ["a"]
    controller.save_draft(full_form("3", 20))
    digest = screen.case.exam.digest
    again, new_screen, _clock, _store, _ = make(source, aided=False, engine=ForbiddenEngine(), store=store)
    again.start(session_id, "r1")
    assert new_screen.case is not None
    assert new_screen.case.exam.digest == digest
    assert [finding.finding_id for finding in new_screen.case.findings] == ["a"]
    assert new_screen.case.draft == full_form("3", 20)


class RefusingStore(MemoryEventStore):
    """A disk that is full from some moment on."""

    full = False

    def append(self, events, expected_seq):  # type: ignore[no-untyped-def]
        if self.full:
            raise StoreError("Study log: the disk is full; free some space.")
        super().append(events, expected_seq)


def test_when_the_disk_refuses_the_case_does_not_advance(source: PhantomSource) -> None:
    store = RefusingStore()
    controller, screen, clock, _store, session_id = make(
        source, aided=False, engine=ForbiddenEngine(), store=store
    )
    controller.start(session_id, "r1")
    controller.painted(clock.monotonic_ns())
    before = screen.case
    store.full = True
    assert not controller.submit(full_form())
    assert screen.case is before
    assert "the disk is full" in screen.messages[-1]
    store.full = False
    assert controller.submit(full_form())
    assert screen.case is not before


class AwayStore(MemoryEventStore):
    """A server that takes what is locked and is away when the next case is to begin."""

    away = False

    def append(self, events, expected_seq):  # type: ignore[no-untyped-def]
        if self.away and any(event.kind is EventKind.CASE_OPENED for event in events):
            raise StoreError("Study log: the server cannot be reached; check the network.")
        super().append(events, expected_seq)


def test_a_station_cut_between_two_cases_offers_to_try_again_and_goes_on(source: PhantomSource) -> None:
    store = AwayStore()
    controller, screen, clock, _store, session_id = make(
        source, aided=False, engine=ForbiddenEngine(), store=store
    )
    controller.start(session_id, "r1")
    controller.painted(clock.monotonic_ns())
    store.away = True
    assert controller.submit(full_form())
    assert screen.case is None
    assert "the server cannot be reached" in screen.blank
    assert "What was submitted is saved" in screen.blank
    assert controller.submit(full_form()), "the submit key tries again too"
    assert screen.case is None
    assert screen.try_again is not None
    screen.try_again()
    assert screen.case is None
    store.away = False
    screen.try_again()
    assert screen.case is not None
    assert kinds(store, session_id).count(EventKind.READING_LOCKED) == 1
    controller.painted(clock.monotonic_ns())
    assert controller.submit(full_form())
    assert screen.finished


def test_rs_m2_pause_blanks_and_submitting_waits_for_resume(source: PhantomSource) -> None:
    controller, screen, clock, store, session_id = make(source, aided=False, engine=ForbiddenEngine())
    controller.start(session_id, "r1")
    controller.painted(clock.monotonic_ns())
    controller.toggle_pause()
    assert screen.paused
    assert not controller.submit(full_form())
    controller.toggle_pause()
    assert not screen.paused
    assert controller.submit(full_form())
    assert EventKind.RESUMED in kinds(store, session_id)


def test_a_case_whose_images_changed_since_the_freeze_is_not_shown(source: PhantomSource) -> None:
    controller, screen, _clock, _store, session_id = make(source, aided=False, engine=ForbiddenEngine())
    other = PhantomSource()
    other.exams = {key: phantom_exam(PhantomSpec(seed=99, pixel_mm=0.8)).exam for key in source.exams}
    controller._source = other  # the folder was swapped behind the study's back
    controller.start(session_id, "r1")
    assert screen.case is None
    assert "the images have changed" in screen.messages[-1]
    assert screen.blank == screen.messages[-1]
    assert not controller.submit(full_form())
    assert screen.messages[-1] == "No case is on screen, so there is nothing to submit."


def test_a_prefetched_case_with_another_digest_blanks_the_screen_and_says_so(source: PhantomSource) -> None:
    controller, screen, clock, store, session_id = make(source, aided=True, engine=FakeEngine())
    second = controller._study.cases[1 - _first_case(controller)].exam_id
    swapped = PhantomSource()
    swapped.exams[second] = phantom_exam(PhantomSpec(seed=99, pixel_mm=0.8)).exam
    controller._source = swapped  # the second exam's files were changed
    controller.start(session_id, "r1")
    assert screen.case is not None
    assert list(controller._prefetched) == [second]
    controller.painted(clock.monotonic_ns())
    asked = len(screen.ai)
    assert controller.submit(full_form())
    assert screen.case is None
    assert controller.case is None
    assert screen.blank.startswith("Case 2: the images have changed")
    assert len(screen.ai) == asked  # the AI is not asked about images that are not shown
    assert kinds(store, session_id).count(EventKind.FRAME_PAINTED) == 1


def test_a_case_that_cannot_be_loaded_leaves_the_sentence_on_the_blank_page(source: PhantomSource) -> None:
    controller, screen, _clock, _store, session_id = make(source, aided=False, engine=ForbiddenEngine())

    class GoneSource(PhantomSource):
        def load(self, exam_id: str) -> Exam:
            raise InferenceError(f"{exam_id}: expected its files, found none.")

    controller._source = GoneSource()
    controller.start(session_id, "r1")
    assert screen.case is None
    assert "Case 1 could not be loaded" in screen.blank
    assert "expected its files" not in screen.blank  # such a sentence may name a file, and so a woman
    assert screen.messages[-1] == screen.blank
    controller._source = source  # the share is back
    assert screen.try_again is not None
    screen.try_again()
    assert screen.case is not None


def test_rs_c3_a_form_filled_before_the_first_paint_is_saved_at_it(source: PhantomSource) -> None:
    controller, screen, clock, store, session_id = make(source, aided=False, engine=ForbiddenEngine())
    controller.start(session_id, "r1")
    controller.save_draft(full_form("3", 20))
    assert "not on screen yet" in screen.messages[-1]
    assert EventKind.DRAFT_SAVED not in kinds(store, session_id)
    controller.painted(clock.monotonic_ns())
    assert kinds(store, session_id)[-2:] == [EventKind.FRAME_PAINTED, EventKind.DRAFT_SAVED]


def test_rs_m2_while_paused_nothing_is_written_and_the_reader_is_told_why(source: PhantomSource) -> None:
    controller, screen, clock, store, session_id = make(source, aided=True, engine=FakeEngine())
    controller.start(session_id, "r1")
    controller.painted(clock.monotonic_ns())
    assert controller.ai_shown("boxes", {"threshold": 0.5})
    controller.toggle_pause()
    before = kinds(store, session_id)
    steps: tuple[Callable[[], object], ...] = (
        lambda: controller.ai_shown("heatmap", {}),
        lambda: controller.ai_hidden("boxes"),
        lambda: controller.add_mark(mark_on(controller)),
        lambda: controller.save_draft(full_form()),
        lambda: controller.submit(full_form()),
    )
    for step in steps:
        screen.messages.clear()
        assert not step()
        assert screen.messages == ["The reading is paused; press Pause to go on."]
    controller.stage_shown("R MLO")
    assert kinds(store, session_id) == before
    controller.toggle_pause()
    assert controller.ai_hidden("boxes")


def mark_on(controller: ReadingController) -> Finding:
    assert controller.case is not None
    image = controller.case.exam.images[0]
    return Finding(
        finding_id="m",
        image_key=image.key,
        source_id=image.source_id,
        row=9,
        col=9,
        finding=FindingType.MASS,
        suspicion=40,
    )


def _first_case(controller: ReadingController) -> int:
    """Index in the study of the case that the drawn order puts first."""
    first = controller._study.plans[0].entries[0].case_id
    return [case.case_id for case in controller._study.cases].index(first)


def test_rs_m2_focus_that_changes_in_a_pause_or_while_loading_counts_from_and_to_where_the_clock_runs(
    source: PhantomSource,
) -> None:
    """Lost 4 s before the first paint; lost, paused, regained in the pause: the rest of the reading is attentive."""
    controller, _screen, clock, store, session_id = make(source, aided=False, engine=ForbiddenEngine())
    controller.start(session_id, "r1")
    controller.focus_changed(has_focus=False)
    clock.advance(4)
    controller.painted(clock.monotonic_ns())
    clock.advance(3)
    controller.focus_changed(has_focus=True)
    clock.advance(10)
    controller.focus_changed(has_focus=False)
    clock.advance(2)
    controller.toggle_pause()
    clock.advance(60)
    controller.focus_changed(has_focus=True)
    controller.toggle_pause()
    clock.advance(20)
    controller.toggle_pause()
    controller.focus_changed(has_focus=False)
    controller.focus_changed(has_focus=True)
    clock.advance(30)
    controller.toggle_pause()
    clock.advance(5)
    assert controller.submit(full_form())
    first = [e for e in store.read(session_id) if e.body.get("case_id") == store_case(store, session_id)]
    times = reading_times(first)
    assert (times.raw_s, times.paused_s, times.unfocused_s, times.active_s) == (130.0, 90.0, 5.0, 35.0)


def store_case(store: MemoryEventStore, session_id: str) -> object:
    """The case that was locked first."""
    return next(e.body["case_id"] for e in store.read(session_id) if e.kind is EventKind.READING_LOCKED)


def test_rs_u3_a_break_is_in_the_log_with_its_length_and_in_no_case(source: PhantomSource) -> None:
    controller, screen, clock, store, session_id = make(
        source, aided=False, engine=ForbiddenEngine(), conduct=Conduct(break_after_min=20.0)
    )
    controller.start(session_id, "r1")
    controller.painted(clock.monotonic_ns())
    clock.advance(21 * 60)
    assert controller.submit(full_form())
    assert screen.breaks == [21.0]
    clock.advance(300)
    assert controller.submit(full_form()), "the same key goes on"
    events = store.read(session_id)
    assert [e.kind for e in events if e.kind.value.startswith("Break")] == [
        EventKind.BREAK_OFFERED,
        EventKind.BREAK_ENDED,
    ]
    assert break_seconds(events) == 300.0
    controller.painted(clock.monotonic_ns())
    clock.advance(7)
    assert controller.submit(full_form())
    second = [e for e in store.read(session_id) if e.body.get("case_id") != store_case(store, session_id)]
    assert reading_times([e for e in second if "case_id" in e.body]).raw_s == 7.0
