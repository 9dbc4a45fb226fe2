"""The coordinator's controller on each database: begin, enrol, freeze, read, override, lock, export, verify."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from app.bootstrap import coordinators_office
from app.control.protocol_values import new_study, redrawn
from app.control.tasks import TaskContext
from reader_study.clock import ManualClock, to_utc_text
from reader_study.domain.events import EventKind
from reader_study.domain.study import Case, Reader
from reader_study.errors import StoreError, StudyError
from reader_study.sessions import Sessions
from reader_study.simulation import ImageFrame, SimulatedReader, read_session
from reader_study.store.database import open_database
from resources.vocabulary import Laterality

FRAMES = tuple(
    ImageFrame(image_key=k, source_id="1", rows=40, cols=30) for k in ("R-CC", "R-MLO", "L-CC", "L-MLO")
)
DAY_S = 86_400.0
QUIET = TaskContext(report=lambda _fraction, _words: None)


def test_rs_a3_the_coordinators_controller_does_the_same_on_sqlite_and_postgresql(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEGATOSCOPE_HOME", str(tmp_path / "home"))
    clock, opened = (
        ManualClock(to_utc_text(datetime.now(UTC))),
        open_database(database_url),
    )  # as the server's
    office = coordinators_office(
        database_url, opened, cases=tmp_path / "cases", anchor=tmp_path / "anchor.jsonl"
    )
    office.clock = clock
    cases = tuple(Case(case_id=f"C{i}", exam_id=f"e{i}", exam_digest=f"{i:064x}") for i in range(1, 5))
    readers = (Reader(reader_id="r1", name="Reader One"),)
    office.begin(
        redrawn(replace(new_study("ST", "A study"), readers=readers, cases=cases)),
        account_id="co", name="Ada Lind", password="pass-word",
    )  # fmt: skip
    office.save_reader(Reader(reader_id="r2", name="Reader Two"), password="second-word")
    office.desk.freeze(why="ready")
    with pytest.raises(StoreError, match="frozen"):
        office.desk.draft(replace(office.study, title="Another"))

    def read(session_id: str) -> None:
        sessions = Sessions(study=office.study, store=opened.events, clock=clock, anchor=office.anchor)
        read_session(
            sessions, session_id, session_id.split(".")[1], clock=clock, scale=office.study.scale, truth={},
            reader=SimulatedReader(np.random.default_rng(4)), images=lambda _: FRAMES,
            ai=lambda _: {Laterality.RIGHT: 0.5, Laterality.LEFT: 0.2},
        )  # fmt: skip
        sessions.shutdown()

    read("ST.r1.p1")
    read("ST.r2.p1")
    clock.advance(5 * DAY_S)
    office.sign_out()
    office.sign_in("ST", "co", "pass-word")
    with pytest.raises(StudyError, match="washout of 28 days is not over"):
        read("ST.r1.p2")
    office.desk.grant_override("ST.r1.p2", why="moves away")
    read("ST.r1.p2")
    rows = {row.session_id: row for row in office.monitor()[0]}
    assert {name: (row.n_done, row.overrides) for name, row in rows.items()} == {
        "ST.r1.p1": (4, 0), "ST.r1.p2": (4, 1), "ST.r2.p1": (4, 0), "ST.r2.p2": (0, 0),
    }  # fmt: skip
    assert "washout" in str(rows["ST.r2.p2"].why_not)
    office.sign_out()
    office.sign_in("ST", "co", "pass-word")
    office.desk.lock(password="pass-word", name="Ada Lind", meaning="complete", why="r2 left")
    office.export(tmp_path / "out", QUIET)
    with (tmp_path / "out" / "readings.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 3 * 4
    assert [entry.why for entry in office.audit() if entry.action is EventKind.OVERRIDE_RECORDED] == [
        "moves away"
    ]
    verdict = office.verify()
    assert (verdict.ok, verdict.problems, verdict.sessions) == (True, (), 4)
    opened.close()
