"""What the coordinator's desk asks of a database; ``store.database`` is one. Decides and keeps nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from reader_study.domain.events import Event
from reader_study.domain.study import Study
from reader_study.permissions import Account
from reader_study.ports import EventStore


class StudyDatabase(Protocol):
    """What the desk asks of the database."""

    @property
    def events(self) -> EventStore: ...

    def studies(self) -> tuple[str, ...]: ...

    def study(self, study_id: str) -> Study: ...

    def save_study(self, study: Study, *, audit: Sequence[Event] = ()) -> None: ...

    def freeze(
        self, study_id: str, *, made_by: str, made_utc: str, reason: str = "", audit: Sequence[Event] = ()
    ) -> None: ...

    def amend(
        self, study: Study, *, made_by: str, made_utc: str, reason: str, audit: Sequence[Event] = ()
    ) -> None: ...

    def begun_sessions(self, study_id: str) -> frozenset[str]: ...

    def put_account(self, study_id: str, account: Account, *, audit: Sequence[Event] = ()) -> None: ...

    def accounts(self, study_id: str) -> tuple[Account, ...]: ...
