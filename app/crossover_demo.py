"""The crossover demo: from a YAML protocol to exports, through the coordinator's own controller, with simulated readers.

Ten readers, sixty synthetic women, four for practice; one idle spell, one killed program, one washout violation, one
tampered audit row. Says what happened; whether it is as it must be is ``crossover_checks``.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from app.bootstrap import coordinators_office
from app.control.coordinating import Coordinating
from app.control.tasks import TaskContext
from app.crossover_cases import case_book, write_cases
from app.crossover_reading import Interrupted, Reading
from app.study_files import LocalStudyFiles
from reader_study.audit import audit_session
from reader_study.clock import ManualClock, from_utc_text
from reader_study.errors import StudyError
from reader_study.permissions import NotPermitted
from reader_study.protocol_file import protocol_to_text, read_protocol
from reader_study.store.database import Database, open_database
from reader_study.verify import VerifyReport, verify_log
from resources.files import UserFacingError, resource_path

COORDINATOR, COORDINATOR_NAME, PASSWORD = "coordinator", "Ada Lind", "negatoscope"
IDLE_READER, KILLED_READER, EARLY_READER = "r02", "r03", "r04"
PROTOCOL = "demo_crossover.yaml"
OVERRIDE_REASON = "Reader leaves the hospital at the end of the month; decided by the study board."
FALSE_REASON = "Washout was over."
START = "2026-03-02T08:00:00.000Z"
DAY_S = 86_400.0
Say = Callable[[str], object]


class DemoFolderError(UserFacingError):
    """The demo's folder cannot take a study."""


@dataclass(kw_only=True)
class CrossoverRun:
    """One run of the demo in ``folder``, and what happened on the way."""

    folder: Path
    say: Say
    opened: Database = field(init=False)
    office: Coordinating = field(init=False)
    reading: Reading = field(init=False)
    interrupted: Interrupted | None = None
    refusal: str = ""  # what the early reader was told
    override_without_reason: str = ""  # what the coordinator was told who gave none
    closed_before_lock: str = ""  # what the export said before the lock
    screen_verdicts: tuple[
        str, ...
    ] = ()  # what the audit page said of the log and of the copy; () = not asked
    verdict: VerifyReport | None = None
    tampered: VerifyReport | None = None  # of the copy

    @property
    def study_id(self) -> str:
        return self.reading.study.study_id

    @property
    def database(self) -> Path:
        return self.folder / "demo-crossover.sqlite"

    @property
    def copy(self) -> Path:
        return self.folder / "tampered-copy.sqlite"

    @property
    def anchor(self) -> Path:
        return self.folder / "anchor" / "heads.jsonl"

    @property
    def exports(self) -> Path:
        return self.folder / "export"

    @property
    def clock(self) -> ManualClock:
        return self.reading.clock

    def close(self) -> None:
        self.opened.close()


def begin(folder: Path, say: Say) -> CrossoverRun:
    """Make the cases, keep the protocol, import, enrol, draw and freeze: all that comes before the first read.

    Raises
    ------
    DemoFolderError
        The folder holds something already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise DemoFolderError(f"{folder}: expected a new or empty folder, found files in it; name another.")
    folder.mkdir(parents=True, exist_ok=True)
    protocol = folder / "protocol.yaml"
    shutil.copyfile(resource_path("study_protocols", PROTOCOL), protocol)
    study = read_protocol(protocol)
    say(f"{protocol.name}: {len(study.readers)} readers, {len(study.cases)} cases, {study.design.value}")
    truth_csv = write_cases(folder / "archive", len(study.cases), say)
    run = CrossoverRun(folder=folder, say=say)
    run.opened = open_database(run.database)
    run.office = office = coordinators_office(run.database, run.opened, cases=None, anchor=run.anchor)
    clock = ManualClock(START)
    office.clock = clock
    office.begin(study, account_id=COORDINATOR, name=COORDINATOR_NAME, password=PASSWORD)
    quiet = TaskContext(report=lambda _fraction, _words: None)
    say(office.import_cases(folder / "archive", quiet).sentence)
    covered = office.import_truth(truth_csv)
    say(
        f"truth of {covered.covered} of {covered.cases} cases, {office.stratify()} strata under neutral labels"
    )
    for reader in office.study.readers:
        office.save_reader(reader, password=PASSWORD, why="enrolled")
    office.desk.freeze(why="ready for reading")
    (folder / "protocol-frozen.yaml").write_text(protocol_to_text(office.study), encoding="utf-8")
    files = office.files
    assert isinstance(files, LocalStudyFiles)
    run.reading = Reading(
        study=run.opened.study(study.study_id), store=run.opened.events, database=run.database, anchor=run.anchor,
        clock=clock, book=case_book(files.cases_folder, files.truth),
    )  # fmt: skip
    return run


def first_period(run: CrossoverRun) -> None:
    """Practice and the first session of everybody, a reader a day."""
    reading = run.reading
    for reader in reading.study.readers:
        name = reader.reader_id
        reading.read(name, 0)
        if name == KILLED_READER:
            run.interrupted = reading.read_interrupted(name, 1)
        else:
            reading.read(name, 1, idle=name == IDLE_READER)
        next_morning(run.clock)
    run.say(f"first sessions read by {run.clock.utc_now()[:10]}")


def come_too_early(run: CrossoverRun) -> str:
    """One reader tries her second session before the washout is over; returns the session she is refused."""
    early = run.reading.study.plans_of(EARLY_READER)[2].session_id
    try:
        run.reading.sessions().open(early, EARLY_READER, {"reader": "simulated"})
    except StudyError as error:
        run.refusal = str(error)
    return early


def override(run: CrossoverRun, session_id: str) -> None:
    """The coordinator lets the session begin: not without a reason, then with one."""
    sign_in(run)
    for why in (" ", OVERRIDE_REASON):
        try:
            run.office.desk.grant_override(session_id, why=why)
        except StudyError as error:
            run.override_without_reason = str(error)


def second_period(run: CrossoverRun) -> None:
    """One reads early, the others after the washout; then the coordinator tries to export before the lock."""
    reading = run.reading
    reading.read(EARLY_READER, 2)
    run.clock.advance(reading.study.washout_days * DAY_S)
    next_morning(run.clock)
    for reader in reading.study.readers:
        if reader.reader_id != EARLY_READER:
            reading.read(reader.reader_id, 2)
            next_morning(run.clock)
    run.say(f"second sessions read by {run.clock.utc_now()[:10]}")
    sign_in(run)
    try:
        run.office.export(run.exports, TaskContext(report=lambda _fraction, _words: None))
    except NotPermitted as error:
        run.closed_before_lock = str(error)


def finish(run: CrossoverRun) -> None:
    """Lock with a signature, export every format, walk the log, and walk a copy in which one audit row was changed."""
    sign_in(run)
    run.office.desk.lock(
        password=PASSWORD,
        name=COORDINATOR_NAME,
        meaning="Reading is complete and final.",
        why="all sessions read",
    )
    made = run.office.export(run.exports, TaskContext(report=lambda _fraction, _words: None))
    run.say(f"{len(made.written)} files exported" + "".join(f"; not written: {one}" for one in made.left_out))
    judge(run)


def judge(run: CrossoverRun) -> None:
    """Verify the log as it is, then a copy of it after tampering."""
    run.verdict = verify_log(run.database, run.anchor)
    tamper(run.database, run.copy, run.study_id)
    run.tampered = verify_log(run.copy, run.anchor)


def next_morning(clock: ManualClock) -> None:
    """Move the clock to eight o'clock of the next day."""
    now = from_utc_text(clock.utc_now())
    morning = now.replace(hour=8, minute=0, second=0, microsecond=0) + timedelta(days=1)
    clock.advance((morning - now).total_seconds())


def sign_in(run: CrossoverRun) -> None:
    """The coordinator sits down: her last sign-in ran out days ago."""
    run.office.sign_out()
    run.office.sign_in(run.study_id, COORDINATOR, PASSWORD)


def tamper(database: Path, copy: Path, study_id: str) -> None:
    """Change the reason of the override in a copy, as somebody with the file could: triggers off, edit, triggers on."""
    copy.unlink(missing_ok=True)
    source, target = sqlite3.connect(database), sqlite3.connect(copy)
    try:
        source.backup(target)
        guard = target.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'events_refuse_update'"
        ).fetchone()[0]
        target.execute("DROP TRIGGER events_refuse_update")
        changed = target.execute(
            "UPDATE events SET body = replace(body, ?, ?) WHERE session_id = ? AND body LIKE ?",
            (OVERRIDE_REASON, FALSE_REASON, audit_session(study_id), f"%{OVERRIDE_REASON}%"),
        ).rowcount
        target.execute(guard)
        target.commit()
    finally:
        source.close()
        target.close()
    if changed != 1:
        raise StudyError(f"{copy}: expected 1 audit row with the override's reason, found {changed}.")
