"""The coordinator's part of the crossover demo in the real windows, unseen: stations on its database and on the copy."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from app.bootstrap import coordinator_station
from app.crossover_demo import COORDINATOR, OVERRIDE_REASON, PASSWORD, CrossoverRun, judge, tamper
from inference.engine import FakeEngine

if TYPE_CHECKING:
    from app.views.simulated_coordinator import Sitting


@contextmanager
def _sitting(run: CrossoverRun, database: Path) -> Iterator[Sitting]:
    """The coordinator at a station on ``database``, at the study's own time; no AI runs there."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from app.views.simulated_coordinator import sit_down

    station = coordinator_station(
        database=database, study_id=run.study_id, cases=run.office.files.cases_folder, anchor=run.anchor,
        engine=FakeEngine(),
    )  # fmt: skip
    assert station.office is not None
    station.office.clock = run.clock
    folder = run.folder / "screenshots"
    sitting = sit_down(station, account_id=COORDINATOR, password=PASSWORD, folder=folder)
    try:
        yield sitting
    finally:
        sitting.close()


def override_in_windows(run: CrossoverRun, session_id: str) -> None:
    """The override on the monitor page: not without a reason, then with one."""
    with _sitting(run, run.database) as sitting:
        run.override_without_reason = sitting.override(session_id, OVERRIDE_REASON)


def finish_in_windows(run: CrossoverRun) -> Sequence[Path]:
    """Lock, export and verify; then verify a tampered copy. Returns all pictures of the run."""
    with _sitting(run, run.database) as sitting:
        run.closed_before_lock = sitting.lock(PASSWORD)
        sitting.export(run.exports)
        intact = sitting.verify("6-intact", "override granted")
    tamper(run.database, run.copy, run.study_id)
    with _sitting(run, run.copy) as sitting:
        run.screen_verdicts = (intact, sitting.verify("7-tampered"))
    judge(run)
    return sorted((run.folder / "screenshots").glob("*.png"))
