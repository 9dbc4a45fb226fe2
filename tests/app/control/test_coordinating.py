"""The coordinator's controller: roles are refused below the screen, truth stays closed until lock, figures are right."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.bootstrap import coordinators_office
from app.control.allocation_preview import shares
from app.control.coordinating import Coordinating
from app.control.monitoring import ReadingTimes, box_of
from app.control.protocol_values import new_study, redrawn, study_of_text, study_of_values, text_of, values_of
from app.control.tasks import TaskContext
from reader_study.clock import ManualClock
from reader_study.domain.events import EventKind
from reader_study.domain.study import Case, Reader, Study
from reader_study.errors import SignInRefused, StudyError
from reader_study.permissions import NotPermitted, Role
from reader_study.protocol_file import read_protocol
from reader_study.sessions import Sessions
from reader_study.simulation import ImageFrame, SimulatedReader, read_session
from reader_study.store.database import open_database
from resources.files import resource_path
from resources.vocabulary import Laterality

FRAMES = tuple(
    ImageFrame(image_key=key, source_id="1", rows=40, cols=30) for key in ("R-CC", "R-MLO", "L-CC", "L-MLO")
)


def draft() -> Study:
    readers = tuple(Reader(reader_id=f"r{i}", name=f"Reader {i}") for i in (1, 2))
    cases = tuple(
        Case(case_id=f"C{i}", exam_id=f"e{i}", exam_digest=f"{i:064x}", stratum="s1" if i % 2 else "s2")
        for i in range(1, 9)
    )
    return redrawn(replace(new_study("ST", "A study"), readers=readers, cases=cases))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def office(tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Coordinating]:
    """An open study whose coordinator is signed in."""
    monkeypatch.setenv("NEGATOSCOPE_HOME", str(tmp_path / "home"))
    file = tmp_path / "study.sqlite"
    opened = open_database(file)
    made = coordinators_office(file, opened, cases=None, anchor=tmp_path / "kept" / "anchor.jsonl")
    made.clock = clock
    made.begin(draft(), account_id="co", name="Coordinator", password="pass-word")
    yield made
    opened.close()


def read_all(office: Coordinating, clock: ManualClock, limit: int | None = None) -> None:
    study = office.study
    sessions = Sessions(study=study, store=office.records.events, clock=clock, anchor=office.anchor)
    for reader in study.readers:
        for plan in study.plans_of(reader.reader_id):
            if limit is not None and plan.period > 1:
                continue
            clock.advance(40 * 86_400.0)
            read_session(
                sessions, plan.session_id, reader.reader_id, clock=clock, scale=study.scale, truth={}, limit=limit,
                reader=SimulatedReader(np.random.default_rng(4)), images=lambda _: FRAMES,
                ai=lambda _: {Laterality.RIGHT: 0.5, Laterality.LEFT: 0.2},
            )  # fmt: skip
    sessions.shutdown()


@pytest.mark.parametrize("name", ["four_view_crossover.yaml", "contrast_fixed_sequence.yaml"])
def test_rs_d1_form_and_yaml_of_the_published_protocols_are_the_same_study(name: str) -> None:
    study = read_protocol(resource_path("study_protocols", name))
    assert study_of_text(text_of(study)) == study
    assert study_of_values(values_of(study)) == study


def test_rs_d1_a_draft_without_readers_or_cases_comes_back_equal() -> None:
    empty = new_study("N", "New")
    assert study_of_text(text_of(empty)) == empty
    assert (
        study_of_text(text_of(replace(empty, readers=(Reader(reader_id="r", name="R"),)))).readers[0].name
        == "R"
    )


def test_rs_a3_a_reader_gets_no_way_into_the_coordinators_area(office: Coordinating) -> None:
    office.save_reader(office.study.readers[0], password="secret-word")
    office.sign_out()
    assert office.sign_in("ST", "r1", "secret-word").role is Role.READER
    for step in (
        lambda: office.study, office.monitor, office.audit, office.allocation_rows, office.truth_rows, office.accounts,
        office.verify, office.truth_coverage, lambda: office.export(Path("x"), TaskContext(report=lambda *_: None)),
    ):  # fmt: skip
        with pytest.raises(SignInRefused):
            step()


def test_rs_r2_truth_allocation_and_export_are_closed_to_the_coordinator_until_lock(
    office: Coordinating, clock: ManualClock, tmp_path: Path
) -> None:
    office.desk.freeze()
    read_all(office, clock)
    office.sign_out()
    office.sign_in("ST", "co", "pass-word")
    quiet = TaskContext(report=lambda *_: None)
    for step in (office.truth_rows, office.allocation_rows, lambda: office.export(tmp_path / "out", quiet)):
        with pytest.raises(NotPermitted, match="before the study is locked"):
            step()
    assert not (tmp_path / "out").exists()
    with pytest.raises(SignInRefused):
        office.desk.lock(password="wrong", name="Coordinator", meaning="done")
    office.desk.lock(password="pass-word", name="Coordinator", meaning="done")
    assert len(office.allocation_rows()) == 2 * 2 * 8
    assert office.truth_rows() == ()
    written = {path.name for path in office.export(tmp_path / "out", quiet).written}
    assert {"readings.csv", "data_dictionary.csv", "study_tables.xlsx"} <= written
    kinds = [entry.action for entry in office.audit()]
    assert kinds[-4:] == [
        EventKind.STUDY_LOCKED, EventKind.RESULTS_SEEN, EventKind.EXPORT_BEGUN, EventKind.EXPORT_MADE,
    ]  # fmt: skip
    kept = office.audit()[-1].new
    assert kept is not None
    readings = (tmp_path / "out" / "readings.csv").read_bytes()
    assert kept["files"]["readings.csv"] == hashlib.sha256(readings).hexdigest()  # type: ignore[index]
    assert EventKind.SIGN_IN_REFUSED in kinds, "the wrong password of the signature is kept"


def test_rs_a3_a_statistician_may_draft_and_may_not_freeze_or_enrol(office: Coordinating) -> None:
    office.save_account("stat", "Statistician", Role.STATISTICIAN, "pass-word-2")
    office.sign_out()
    office.sign_in("ST", "stat", "pass-word-2")
    office.save({**values_of(office.study), "title": "Another title"}, "")
    assert office.study.title == "Another title"
    for step in (office.desk.freeze, lambda: office.save_reader(Reader(reader_id="r9", name="R")),
                 lambda: office.desk.lock(password="pass-word-2", name="S", meaning="m")):  # fmt: skip
        with pytest.raises(NotPermitted):
            step()


def test_rs_a3_nobody_is_signed_in_after_the_protocols_time_without_input(
    office: Coordinating, clock: ManualClock
) -> None:
    clock.advance(29 * 60.0)
    office.touch()
    clock.advance(29 * 60.0)
    assert not office.has_run_out
    clock.advance(2 * 60.0)
    assert office.has_run_out
    with pytest.raises(SignInRefused, match="30 minutes"):
        office.monitor()
    office.touch()  # a late key does not bring her back
    assert office.has_run_out


def test_rs_a3_a_study_gets_a_first_coordinator_only_once(office: Coordinating) -> None:
    office.sign_out()
    with pytest.raises(NotPermitted):
        office.name_coordinator("ST", account_id="me", name="Me", password="pass-word")


def test_rs_d1_an_amendment_of_a_frozen_protocol_wants_a_reason_and_is_kept_beside_the_first(
    office: Coordinating,
) -> None:
    office.desk.freeze(why="ready")
    changed = {**values_of(office.study), "title": "Longer title", "protocol_version": "2"}
    with pytest.raises(StudyError, match="reason"):
        office.save(changed, " ")
    office.save(changed, "the title was too short")
    assert [(v.number, v.study.title, v.reason) for v in office.versions()] == [
        (1, "A study", "ready"),
        (2, "Longer title", "the title was too short"),
    ]


def test_rs_a2_a_changed_audit_row_is_found_by_the_button_that_verifies(
    office: Coordinating, tmp_path: Path
) -> None:
    assert office.verify().ok
    connection = sqlite3.connect(tmp_path / "study.sqlite")
    names = [row[0] for row in connection.execute("select name from sqlite_master where type = 'trigger'")]
    for name in names:
        connection.execute(f"drop trigger {name}")
    changed = (
        "update events set body = replace(body, 'Coordinator', 'Somebody') where session_id like 'audit.%'"
    )
    assert connection.execute(changed).rowcount > 0
    connection.commit()
    connection.close()
    verdict = office.verify()
    assert not verdict.ok
    assert any("content does not match its hash" in problem for problem in verdict.problems)


def test_rs_d3_shares_count_every_planned_read_once_and_name_no_case(office: Coordinating) -> None:
    study = office.study
    counts = shares(study)
    assert sum(share.cases for share in counts) == sum(len(plan.entries) for plan in study.plans)
    one = [s for s in counts if s.reader_id == "r1" and s.period == 1]
    assert {(s.arm_id, s.stratum, s.cases) for s in one} == {
        (arm, stratum, 2) for arm in ("unaided", "aided") for stratum in ("s1", "s2")
    }


def test_rs_m1_watched_times_are_those_of_the_log_and_are_read_once(
    office: Coordinating, clock: ManualClock
) -> None:
    office.desk.freeze()
    read_all(office, clock, limit=3)
    office.sign_out()
    office.sign_in("ST", "co", "pass-word")
    rows, seconds = office.monitor()
    session = rows[0].session_id
    events = office.records.events.read(session)
    painted = [e.body["painted_mono_ns"] for e in events if e.kind is EventKind.FRAME_PAINTED]
    submitted = [e.t_mono_ns for e in events if e.kind is EventKind.ASSESSMENT_SUBMITTED]
    assert seconds[session] == tuple((b - a) / 1e9 for a, b in zip(painted, submitted, strict=True))

    class Counting:
        asked = 0

        def read_kinds(self, kinds, session_ids=None):
            Counting.asked += 1
            return office.records.events.read_kinds(kinds, session_ids)

    times = ReadingTimes()
    times.update(rows, Counting())
    times.update(rows, Counting())
    assert Counting.asked == 1


def test_a_box_of_times_has_tukeys_fences() -> None:
    # Quartiles by linear interpolation of 1..9 and 100: 3.25 and 7.75, so the upper fence is 14.5.
    box = box_of([float(v) for v in (*range(1, 10), 100)])
    assert box is not None
    assert (box.first, box.median, box.third) == (3.25, 5.5, 7.75)
    assert (box.low, box.high, box.outliers) == (1.0, 9.0, (100.0,))
    assert box_of(()) is None
