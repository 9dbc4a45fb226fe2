"""Fixtures of the study side: a small two-arm study, its truth, a clock that moves when told, a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reader_study.clock import ManualClock
from reader_study.domain.assessment import Assessment, BreastAssessment, Finding
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.ports import EventStore, MemoryEventStore
from reader_study.randomization import allocate
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
from resources.vocabulary import Density, FindingType, Laterality

MakeStudy = Callable[..., Study]


@pytest.fixture(scope="session")
def make_study() -> MakeStudy:
    def make(n_cases: int = 6, n_readers: int = 2, washout_days: float = 0.0, practice: int = 0) -> Study:
        arms = (
            Arm(arm_id="unaided", title="Without AI", ai=AiPolicy(shown=False)),
            Arm(arm_id="aided", title="With AI", ai=AiPolicy(shown=True, heatmap=False)),
        )
        readers = tuple(Reader(reader_id=f"r{i}", name=f"Reader {i}") for i in range(1, n_readers + 1))
        cases = tuple(
            Case(case_id=f"c{i:03}", exam_id=f"exam-{i}", exam_digest=f"{i:064x}", practice=i > n_cases)
            for i in range(1, n_cases + practice + 1)
        )
        return Study(
            study_id="ST",
            title="Test study",
            protocol_version="1",
            seed=7,
            arms=arms,
            readers=readers,
            cases=cases,
            scale=Scale(),
            plans=allocate(study_id="ST", seed=7, cases=cases, readers=readers, arms=arms),
            washout_days=washout_days,
        )

    return make


@pytest.fixture
def study(make_study: MakeStudy) -> Study:
    return make_study()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store() -> EventStore:
    return MemoryEventStore()


@pytest.fixture
def sessions(study: Study, store: EventStore, clock: ManualClock):
    made = Sessions(study=study, store=store, clock=clock)
    yield made
    made.shutdown()


@pytest.fixture
def database(tmp_path: Path, study: Study):
    opened = open_database(tmp_path / "study.sqlite")
    opened.save_study(study)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def normal_form() -> Assessment:
    return Assessment(
        breasts=(
            BreastAssessment(laterality=Laterality.RIGHT, birads="1", suspicion=4),
            BreastAssessment(laterality=Laterality.LEFT, birads="2", suspicion=9),
        ),
        density=Density.SCATTERED,
        recall=False,
    )


@pytest.fixture(scope="session")
def mark() -> Callable[..., Finding]:
    def make(finding_id: str = "f1", row: float = 100.5, suspicion: int = 70) -> Finding:
        return Finding(
            finding_id=finding_id,
            image_key="R-CC",
            source_id="1.2.3",
            row=row,
            col=200.25,
            box=(90.0, 190.0, 110.0, 210.0),
            row_mm=row * 0.07,
            col_mm=200.25 * 0.07,
            finding=FindingType.MASS,
            suspicion=suspicion,
            birads="4B",
        )

    return make


def show_case(sessions: Sessions, session_id: str, clock: ManualClock, load_s: float = 0.5) -> None:
    sessions.open_case(session_id)
    clock.advance(load_s)
    sessions.frame_painted(session_id, clock.monotonic_ns())


@pytest.fixture(scope="session")
def show() -> Callable[..., None]:
    return show_case
