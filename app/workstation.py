"""What a station has: study, log, exams, engine, clock. Handed to the window whole, so that it names no concrete part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.control.browsing import BrowseController, BrowsingScreen
from app.control.decoded import machine_bytes
from app.control.reading import ReadingController, ReadingScreen
from app.control.tasks import TaskRunner
from app.state.hanging import Protocol as HangingProtocol
from app.state.protocol_library import ProtocolLibrary
from app.state.settings import MemorySettings, SettingsKeeper
from inference.engine import InferenceEngine
from inference.exam.sources import ExamSource, FolderSource
from reader_study.accounts import account_of, sign_in
from reader_study.domain.study import Reader, Study
from reader_study.errors import StudyError
from reader_study.ports import Clock, EventStore
from reader_study.sessions import Sessions
from resources.translation import translate


def _tr(text: str) -> str:
    return translate("workstation", text)


@dataclass(kw_only=True)
class Workstation:
    """The parts of one running station, made by ``app.bootstrap``."""

    engine: InferenceEngine
    clock: Clock
    protocols: tuple[HangingProtocol, ...]
    library: ProtocolLibrary | None = None  # None = the packaged protocols, nothing can be saved
    study: Study | None = None
    events: EventStore | None = None
    source: ExamSource | None = None
    anchor: Path | None = None
    hint: str = ""
    settings: SettingsKeeper = field(default_factory=MemorySettings)
    on_close: tuple[Callable[[], None], ...] = ()
    _sessions: Sessions | None = field(default=None, init=False)

    def sign_in(self, reader_id: str, password: str) -> Reader:
        """Return the reader; SignInRefused with one sentence otherwise."""
        if self.study is None:
            raise StudyError(
                _tr("Sign in: expected a study on this station, found none; open a study or the demo first.")
            )
        reader = sign_in(self.study, reader_id, password)
        if self.events is not None:
            self.sessions().admit(account_of(reader))  # from now on her own list and nothing else
        return reader

    def sessions(self) -> Sessions:
        """Return the one writer of the log."""
        if self.study is None or self.events is None:
            raise StudyError(
                _tr("Reading: expected a study with a log on this station, found none; open a study first.")
            )
        if self._sessions is None:
            self._sessions = Sessions(
                study=self.study, store=self.events, clock=self.clock, anchor=self.anchor
            )
        return self._sessions

    def reading(
        self, runner: TaskRunner, screen: ReadingScreen, environment: Mapping[str, str]
    ) -> ReadingController:
        """Make the controller of a reading session."""
        sessions = self.sessions()
        assert self.study is not None
        if self.source is None:
            raise StudyError(
                _tr("Reading: expected a folder with the study's exams, found none; give it when opening.")
            )
        return ReadingController(
            study=self.study,
            sessions=sessions,
            source=self.source,
            engine=self.engine,
            runner=runner,
            clock=self.clock,
            protocols=self.protocols,
            environment=environment,
            screen=screen,
            cache_bytes=self.cache_bytes,
        )

    def cache_bytes(self) -> int:
        """Memory for decoded exams: what the settings allow, and no more than the machine can give."""
        allowed = self.settings.current.cache_mb * 2**20
        return min(allowed, machine_bytes() or allowed)

    def source_of(self, path: Path) -> FolderSource:
        """Return the exams of a folder, zip or manifest."""
        return FolderSource(path)

    def browsing(self, source: ExamSource, runner: TaskRunner, screen: BrowsingScreen) -> BrowseController:
        """Make the controller that looks at exams without a study."""
        return BrowseController(
            source=source,
            engine=self.engine,
            runner=runner,
            library=self.library or ProtocolLibrary(self.protocols),
            screen=screen,
            cache_bytes=self.cache_bytes,
        )

    def close(self) -> None:
        if self._sessions is not None:
            self._sessions.shutdown()
            self._sessions = None
        for action in self.on_close:
            action()
        self.on_close = ()
