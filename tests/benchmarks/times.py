"""Reading times on the real clock: a script of pauses, focus and inputs that sleeps, against what the tables derive.

The reference is the time taken right around each step; what remains is what the program adds, to be below one frame.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from reader_study.clock import SystemClock
from reader_study.domain.assessment import Assessment, BreastAssessment
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.randomization import allocate
from reader_study.sessions import Sessions
from reader_study.stages import stage_dwell
from reader_study.store.database import open_database
from reader_study.timing import reading_times
from resources.vocabulary import Density, Laterality
from tests.benchmarks.measure import Row, judged

FRAME_MS = 1000 / 60
N = 30  # readings


def run() -> list[Row]:
    """Read a study with the clock of the machine and compare every time with the script's."""
    parts = {
        "study_id": "S",
        "seed": 1,
        "cases": tuple(Case(case_id=f"c{i}", exam_id=f"e{i}", exam_digest="") for i in range(N)),
        "readers": (Reader(reader_id="r", name="R"),),
        "arms": (Arm(arm_id="a", title="A", ai=AiPolicy(shown=False)),),
    }
    plans = allocate(**parts, design="single")  # type: ignore[arg-type]
    study = Study(**parts, title="S", protocol_version="1", scale=Scale(), plans=plans)  # type: ignore[arg-type]
    worst: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(Path(folder) / "bench.sqlite")
        database.save_study(study)
        clock = SystemClock()
        sessions = Sessions(study=study, store=database.events, clock=clock)
        session_id = plans[0].session_id
        sessions.open(session_id, "r", {})
        for entry in plans[0].entries:
            truth = _read_one(sessions, clock, session_id)
            mine = [e for e in database.events.read(session_id) if e.body.get("case_id") == entry.case_id]
            times = reading_times(mine)
            steps = [row[3] for row in stage_dwell(mine)]
            found = {
                "load": times.load_s,
                "raw": times.raw_s,
                "paused": times.paused_s,
                "unfocused": times.unfocused_s,
                "active": times.active_s,
                "first step": steps[0],
            }
            for name, value in found.items():
                assert isinstance(value, float)
                worst[name] = max(worst.get(name, 0.0), abs(value - truth[name]) * 1000)
        sessions.shutdown()
        database.close()
    return [
        judged(f"{name} time, largest error of {N} readings", ms, ms / FRAME_MS, "frame of 60 Hz", 1.0, 0.25)
        for name, ms in worst.items()
    ]


def _read_one(sessions: Sessions, clock: SystemClock, session_id: str) -> dict[str, float]:
    """One reading; returns what an observer with a watch of his own sees, s."""
    asked = time.perf_counter()
    sessions.open_case(session_id)
    time.sleep(0.02)
    painted, at = clock.monotonic_ns(), time.perf_counter()
    sessions.frame_painted(session_id, painted)
    time.sleep(0.03)
    stage = time.perf_counter()
    sessions.stage_changed(session_id, "CC")
    paused = time.perf_counter()
    sessions.pause(session_id)
    time.sleep(0.04)
    resumed = time.perf_counter()
    sessions.resume(session_id)
    lost = time.perf_counter()
    sessions.focus_lost(session_id)
    time.sleep(0.03)
    back = time.perf_counter()
    sessions.focus_regained(session_id)
    form = Assessment(
        breasts=tuple(BreastAssessment(laterality=side, birads="1", suspicion=3) for side in Laterality),
        density=Density.SCATTERED,
        recall=False,
    )
    done = time.perf_counter()
    sessions.submit(session_id, form)
    raw, pause, unfocused = done - at, resumed - paused, back - lost
    return {
        "load": at - asked,
        "raw": raw,
        "paused": pause,
        "unfocused": unfocused,
        "active": raw - pause - unfocused,
        "first step": stage - at,
    }
