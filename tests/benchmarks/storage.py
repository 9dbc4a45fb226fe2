"""The event log: one evidence event from the call to the disk, against one bare fdatasync on the same
disk."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from app.__main__ import SWITCH_S
from reader_study.clock import SystemClock
from reader_study.domain.events import GENESIS, Draft, EventKind, seal
from reader_study.domain.study import AiPolicy, Arm, Case, Reader, Scale, Study
from reader_study.randomization import allocate
from reader_study.sessions import Sessions
from reader_study.store.database import open_database
from tests.benchmarks.measure import Row, judged, median_ms


def run() -> list[Row]:
    """Compare a commit with fdatasync."""
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "raw").open("wb", buffering=0) as file:

            def sync() -> None:
                file.write(b"x" * 512)
                os.fdatasync(file.fileno())

            bare = median_ms(sync, n=100, warm=5)
        database = open_database(Path(folder) / "bench.sqlite")
        head = [0, GENESIS]

        def commit() -> None:
            draft = Draft(
                kind=EventKind.FOCUS_LOST,
                body={"case_id": None},
                boot_id="b",
                t_mono_ns=head[0],
                t_utc="2026-01-01T00:00:00Z",
            )
            (event,) = seal("S", [draft], seq=int(head[0]), prev_hash=str(head[1]))
            database.events.append([event], int(head[0]))
            head[0], head[1] = event.seq, event.hash

        ms = median_ms(commit, n=100, warm=5)
        database.close()
    return [
        Row(operation="one fdatasync", ms=bare),
        judged("log: one event committed", ms, ms / bare, "fdatasync", 2.0, 1.25),
        *_view_changes(),
    ]


def _study() -> Study:
    arm = Arm(arm_id="a", title="A", ai=AiPolicy(shown=False))
    case = Case(case_id="C1", exam_id="E1", exam_digest="0" * 64)
    reader = Reader(reader_id="r", name="R", password_hash="none")
    return Study(
        study_id="S",
        title="S",
        protocol_version="1",
        seed=1,
        arms=(arm,),
        readers=(reader,),
        cases=(case,),
        scale=Scale(),
        plans=allocate(study_id="S", seed=1, cases=(case,), readers=(reader,), arms=(arm,), design="single"),
    )


def _view_changes(count: int = 1500, every_s: float = 0.004) -> list[Row]:
    """What a drag pays per view change while the writer thread commits to a real disk."""
    study, clock = _study(), SystemClock()
    view = {"image_key": "R-CC", "center": 2000.0, "width": 1500.0, "zoom_mode": "fit", "scale": 0.31}
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)  # as in the running program
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(Path(folder) / "bench.sqlite")
        database.save_study(study)
        sessions = Sessions(study=study, store=database.events, clock=clock, anchor=None)
        session_id = study.plans[0].session_id
        sessions.open(session_id, "r", {})
        sessions.open_case(session_id)
        sessions.frame_painted(session_id, clock.monotonic_ns())
        times = []
        for _ in range(count):
            start = time.perf_counter()
            sessions.view_changed(session_id, view)
            times.append((time.perf_counter() - start) * 1e3)
            time.sleep(every_s)
        sessions.shutdown()
        database.close()
    sys.setswitchinterval(before)
    middle, late = np.percentile(times, [50, 99])
    return [
        Row(operation="log: one view change queued, median", ms=float(middle)),
        judged("log: one view change queued, 99th percentile", float(late), float(late), "ms", 0.1),
    ]
