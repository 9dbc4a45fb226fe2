"""What the coordinator's controller asks of the outside, and the plain facts it gets back.

The ports are implemented where the concrete parts are named; nothing here knows truth, images or a database engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.control.tasks import TaskContext
from reader_study.desk_ports import StudyDatabase
from reader_study.domain.study import Case, Study
from reader_study.errors import StudyError
from reader_study.ports import EventStore
from resources.translation import translate

Row = tuple[object, ...]


def _tr(text: str) -> str:
    return translate("coordinating", text)


class VersionRecord(Protocol):
    """One frozen version of a protocol."""

    @property
    def number(self) -> int: ...
    @property
    def protocol_hash(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def made_by(self) -> str: ...
    @property
    def made_utc(self) -> str: ...
    @property
    def study(self) -> Study: ...


class Records(StudyDatabase, Protocol):
    """What is asked of the database beside what the desk asks."""

    def protocol_versions(self, study_id: str) -> Sequence[VersionRecord]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseImport:
    """What an import did: a sentence, one row a file (source, outcome, case, file, done, remark), new cases."""

    sentence: str
    rows: tuple[Row, ...]
    new_cases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthCoverage:
    """How much of the case folder the truth speaks of; says nothing of what it says."""

    cases: int
    covered: int
    lacking: tuple[str, ...] = ()
    half: tuple[str, ...] = ()  # "C0003 L": imaged breasts that nothing is said of


class TruthRefused(StudyError):
    """A truth file has cells to correct; ``problems`` name line and column."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(
            _tr("The truth file has {0} cells to correct; nothing was kept.").format(len(problems))
        )
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Files that were written, and sentences on formats that cannot hold this study."""

    written: tuple[Path, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the walk over the log found."""

    ok: bool
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    sessions: int
    events: int


class StudyFiles(Protocol):
    """Work on images, truth, exports and whole databases; made where the concrete parts are named."""

    @property
    def cases_folder(self) -> Path: ...

    def import_cases(self, source: Path, context: TaskContext) -> CaseImport: ...

    def stored_cases(self) -> tuple[Case, ...]: ...

    def case_rows(self) -> tuple[Row, ...]: ...

    def import_truth(self, csv: Path) -> TruthCoverage: ...

    def truth_coverage(self) -> TruthCoverage: ...

    def truth_rows(self) -> tuple[Row, ...]: ...

    def strata(self) -> Mapping[str, str]: ...

    def export(self, study: Study, events: EventStore, folder: Path, context: TaskContext) -> Exported: ...

    def backup(self, file: Path) -> str: ...

    def restore(self, file: Path) -> str: ...

    def verify(self) -> Verdict: ...
