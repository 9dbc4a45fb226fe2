"""A study of 1 000 cases and 20 readers, half read: work list, next case, monitor, export (issue: stays quick).

Events are made through ``Sessions`` in memory with six view changes a reading, then written to one SQLite file.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from reader_study.clock import ManualClock
from reader_study.domain.assessment import Assessment, BreastAssessment, Finding
from reader_study.domain.events import EventKind
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.domain.truth import TrueLesion, Truth
from reader_study.exchange_export import export_study
from reader_study.monitor import monitor
from reader_study.ports import MemoryEventStore
from reader_study.protocol_file import drawn
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
from resources.vocabulary import Density, FindingType, Laterality, Pathology
from tests.benchmarks.measure import Row, judged

CASES, READERS, VIEWS = 1_000, 20, 6


def big_study(cases: int = CASES, readers: int = READERS) -> Study:
    """A crossover study of that size."""
    study = Study(
        study_id="BIG",
        title="Scale",
        protocol_version="1",
        seed=1,
        arms=(
            Arm(arm_id="unaided", title="Without AI", ai=AiPolicy(shown=False)),
            Arm(arm_id="aided", title="With AI", ai=AiPolicy(shown=True)),
        ),
        readers=tuple(Reader(reader_id=f"r{i:02}", name=f"Reader {i}") for i in range(readers)),
        cases=tuple(Case(case_id=f"c{i:04}", exam_id=f"e{i}", exam_digest=f"{i:064x}") for i in range(cases)),
        scale=Scale(),
        plans=(),
        washout_days=0.0,
    )
    return replace(study, plans=drawn(study))


def _read(sessions: Sessions, session_id: str, clock: ManualClock, cases: int) -> None:
    position = sessions.open(session_id, session_id.split(".")[1], {})
    for number in range(cases):
        if position.case_id is None:
            break
        sessions.open_case(session_id)
        clock.advance(0.5)
        sessions.frame_painted(session_id, clock.monotonic_ns())
        for view in range(VIEWS):
            clock.advance(1.0)
            sessions._append(
                session_id, (EventKind.VIEW_CHANGED, {"case_id": position.case_id, "view": {"zoom": view}})
            )
        finding = Finding(
            finding_id=f"f{number}", image_key="R-CC", source_id="1", row=900.0 + number % 7, col=700.0, row_mm=63.0,
            col_mm=49.0, finding=FindingType.MASS, suspicion=number % 101,
        )  # fmt: skip
        sessions.add_mark(session_id, finding)
        clock.advance(20.0)
        position = sessions.submit(session_id, _form(number))
    sessions.close(session_id)


def _form(number: int) -> Assessment:
    sides = tuple(
        BreastAssessment(laterality=side, birads="2", suspicion=number % 40)
        for side in (Laterality.RIGHT, Laterality.LEFT)
    )
    return Assessment(breasts=sides, density=Density.SCATTERED, recall=False)


def _truth(study: Study) -> dict[str, Truth]:
    made = {}
    for number, case in enumerate(study.cases):
        ill = number % 4 == 0
        lesion = TrueLesion(
            lesion_id="1", image_key="R-CC", row=900.0, col=700.0, finding=FindingType.MASS, malignant=True
        )
        right = Pathology.MALIGNANT if ill else Pathology.NORMAL
        sides = {Laterality.RIGHT: right, Laterality.LEFT: Pathology.NORMAL}
        made[case.case_id] = Truth(case_id=case.case_id, breasts=sides, lesions=(lesion,) if ill else ())
    return made


def _timed(work: Callable[[], object], times: int = 5) -> float:
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        spent.append(1000 * (time.perf_counter() - start))
    return statistics.median(spent)


def measure(folder: Path, cases: int = CASES, readers: int = READERS) -> dict[str, float]:
    """Return median ms of each operation, and the number of events."""
    study, clock, memory = big_study(cases, readers), ManualClock(), MemoryEventStore()
    made = Sessions(study=study, store=memory, clock=clock)
    for reader in study.readers:
        first, second = study.plans_of(reader.reader_id)
        _read(made, first.session_id, clock, cases)
        _read(made, second.session_id, clock, cases - 20)
    made.shutdown()
    database = open_database(folder / "big.sqlite")
    database.save_study(study)
    events = 0
    for plan in study.plans:
        log = memory.read(plan.session_id)
        events += len(log)
        database.events.append(log, 0)
    sessions = Sessions(study=study, store=database.events, clock=clock)
    figures = {"events": float(events)}
    figures["work list"] = _timed(lambda: sessions.worklist("r03"))
    figures["monitor"] = _timed(lambda: monitor(study, database.events, clock.utc_now()))
    session_id = study.plans_of("r03")[1].session_id
    figures["open session"] = _timed(lambda: sessions.open(session_id, "r03", {}), 1)

    def next_case() -> None:
        sessions.submit(session_id, _form(1))
        sessions.open_case(session_id)
        sessions.frame_painted(session_id, clock.monotonic_ns())

    sessions.open_case(session_id)
    sessions.frame_painted(session_id, clock.monotonic_ns())
    figures["next case"] = _timed(next_case, 10)
    sessions.shutdown()
    start, used = time.perf_counter(), time.process_time()
    export_study(study, database.events, folder / "export", truth=_truth(study))
    figures["export"] = 1000 * (time.perf_counter() - start)
    figures["export, processor time"] = 1000 * (
        time.process_time() - used
    )  # what a machine of one's own would take
    database.close()
    return figures


def run() -> list[Row]:
    """Measure in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder))
    limits = {"work list": 100.0, "next case": 100.0, "monitor": 100.0, "export": 30_000.0}
    return [
        judged(f"study of 1 000 x 20: {name}", figures[name], figures[name] / limit, "limit", 1.0)
        for name, limit in limits.items()
    ]
