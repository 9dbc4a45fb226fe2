"""A workstation without a window: the real controller and sessions, exams from a share, a reader who never tires.

python -m tests.story.reading_station URL SHARE READER [CASE]   (CASE: waits for a line on stdin before it submits that case)
Prints one JSON line an event: what is on screen, what was confirmed and how long it took, what was refused.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from app.control.reading import CaseView, ReadingController
from app.control.tasks import Done, Failed, InlineTaskRunner, Report, Work
from app.state.ai_view import AiView
from app.state.hanging import load_protocols
from app.state.tone import Tone
from inference.engine import FakeEngine
from inference.exam.sources import FolderSource
from reader_study.clock import SystemClock
from reader_study.domain.assessment import Assessment, BreastAssessment, Finding
from reader_study.domain.study import Study
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
from resources.vocabulary import Density, FindingType, Laterality

BUSY_S = 3.0
RETRY_S = 0.5


def suspicion_of(reader_id: str, case_id: str) -> int:
    """What this reader answers for this case: known to the test, different from case to case."""
    return (11 * int(reader_id[1:]) + 7 * int(case_id[1:])) % 49


class LaterRunner(InlineTaskRunner):
    """Runs work between the reader's steps, so that a submit is measured without the next exam's decoding."""

    def __init__(self) -> None:
        self._queue: deque[Callable[[], None]] = deque()

    def submit(
        self, key: str, work: Work, done: Done, failed: Failed, progress: Report = lambda _f, _t: None
    ) -> None:
        self._queue.append(partial(super().submit, key, work, done, failed, progress))

    def run(self) -> None:
        while self._queue:
            self._queue.popleft()()


class Screen:
    """Remembers what is on screen."""

    def __init__(self) -> None:
        self.case: CaseView | None = None
        self.findings: tuple[Finding, ...] = ()
        self.message = self.finished = ""
        self.try_again: Callable[[], object] | None = None

    def show_loading(self, text: str) -> None:
        self.case = None

    def show_case(self, case: CaseView) -> None:
        self.case, self.findings = case, case.findings

    def show_ai(self, ai: AiView) -> None:
        """The AI is of no matter here."""

    def show_findings(self, findings: tuple[Finding, ...]) -> None:
        self.findings = findings

    def show_problems(self, problems: Mapping[str, str]) -> None:
        self.message = " ".join(problems.values())

    def show_message(self, sentence: str, tone: Tone = Tone.PLAIN) -> None:
        self.message = sentence

    def show_paused(self, paused: bool) -> None:
        """Nobody pauses."""

    def show_finished(self, sentence: str) -> None:
        self.finished = sentence

    def offer_break(self, minutes: float, go_on: Callable[[], object]) -> None:
        go_on()

    def show_retry(self, sentence: str, go_on: Callable[[], object]) -> None:
        self.case, self.message, self.try_again = None, sentence, go_on


def tell(**what: object) -> None:
    print(json.dumps(what), flush=True)


def form(reader_id: str, case_id: str) -> Assessment:
    value = suspicion_of(reader_id, case_id)
    breasts = tuple(BreastAssessment(laterality=side, birads="2", suspicion=value) for side in Laterality)
    return Assessment(breasts=breasts, density=Density.SCATTERED, recall=False)


def a_mark(case: CaseView) -> Finding:
    image = case.exam.images[0]
    return Finding(
        finding_id="f1", image_key=image.key, source_id=image.source_id, row=50.5, col=40.5, row_mm=None, col_mm=None,
        finding=FindingType.MASS, suspicion=20, birads="2",
    )  # fmt: skip


def read(
    controller: ReadingController, screen: Screen, runner: LaterRunner, sessions: Sessions, study: Study,
    reader_id: str, wait_at: str,
) -> None:  # fmt: skip
    """Read one's session to its end; what is refused is tried again, as a reader would."""
    plan, clock = study.plans_of(reader_id)[0], SystemClock()
    controller.start(plan.session_id, reader_id)
    runner.run()
    while not screen.finished:
        if screen.case is None:  # the server was away between two cases
            tell(refused=screen.message, case="", marks=0)
            time.sleep(RETRY_S)
            if screen.try_again is None:  # it was away at the beginning
                controller.start(plan.session_id, reader_id)
            else:
                screen.try_again()
            runner.run()
            continue
        case_id = sessions.position(plan.session_id).case_id
        assert case_id is not None
        if not controller.is_painted:
            controller.painted(clock.monotonic_ns())
            runner.run()
        for zoom in (1.0, 2.0, 4.0):
            controller.view_changed({"zoom": zoom})
        if not screen.findings:
            controller.add_mark(a_mark(screen.case))
        if case_id == wait_at:
            wait_at = ""
            tell(ready=case_id)
            sys.stdin.readline()
        begun = time.perf_counter()
        done = controller.submit(form(reader_id, case_id))
        took = time.perf_counter() - begun
        if done:
            tell(confirmed=case_id, ms=round(1000 * took, 2))
        else:
            kept = screen.case is not None and sessions.position(plan.session_id).case_id == case_id
            tell(
                refused=screen.message, case=case_id, marks=len(screen.findings), kept=kept, s=round(took, 2)
            )
            time.sleep(RETRY_S)
        runner.run()
    tell(finished=screen.finished)


def main(url: str, share: str, reader_id: str, wait_at: str = "") -> None:
    database = open_database(url, busy_timeout_s=BUSY_S)
    study, clock = database.study("ST"), SystemClock()
    sessions = Sessions(study=study, store=database.events, clock=clock)
    screen, runner = Screen(), LaterRunner()
    controller = ReadingController(
        study=study, sessions=sessions, source=FolderSource(Path(share)), engine=FakeEngine(), runner=runner,
        clock=clock, protocols=load_protocols(), environment={}, screen=screen,  # type: ignore[arg-type]
    )  # fmt: skip
    tell(up=reader_id)
    read(controller, screen, runner, sessions, study, reader_id, wait_at)
    sessions.shutdown()
    database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
