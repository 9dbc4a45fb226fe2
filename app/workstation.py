"""What a station has: study, log, exams, engine, clock. Handed to the window whole, so that it names no concrete part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.control.browsing import BrowseController, BrowsingScreen
from app.control.coordinating import Coordinating
from app.control.decoded import machine_bytes
from app.control.pacs import PacsDesk
from app.control.reading import ReadingController, ReadingScreen
from app.control.reading_after import TruthOf
from app.control.tasks import TaskRunner
from app.doctor import HealthReport, Told
from app.files import program_folders
from app.state.ai_view import ModelWords, no_words
from app.state.hanging import Protocol as HangingProtocol
from app.state.model_shelf import ModelShelf
from app.state.protocol_library import ProtocolLibrary
from app.state.settings import MemorySettings, SettingsKeeper
from inference.engine import InferenceEngine
from inference.exam.sources import ExamSource, FolderSource
from reader_study.accounts import account_of, sign_in
from reader_study.attempts import Door, tried
from reader_study.domain.study import Reader, Study
from reader_study.errors import StudyError
from reader_study.permissions import Account, Role
from reader_study.ports import Clock, EventStore
from reader_study.sessions import Sessions
from resources.translation import translate

PracticeTruth = Callable[[Sessions, Study, str, str], Mapping[str, object]]


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
    card_words: Callable[[str], ModelWords] = no_words  # what a model's card says, by model id
    more_engines: tuple[
        InferenceEngine, ...
    ] = ()  # further models beside exams that are looked at without a study
    models: ModelShelf | None = None  # the installed models; None = ``engine`` and ``more_engines`` only
    anchor: Path | None = None
    office: Coordinating | None = None  # the way into the coordinator's area; None = readers only
    practice_truth: PracticeTruth | None = None  # None = no truth of practice cases at this station
    open_pacs: Callable[[TaskRunner], PacsDesk] | None = None  # None = no PACS at this station
    hint: str = ""
    settings: SettingsKeeper = field(default_factory=MemorySettings)
    examine: Callable[[Told], HealthReport] | None = None  # checks this installation; None = not offered
    on_close: tuple[Callable[[], None], ...] = ()
    _sessions: Sessions | None = field(default=None, init=False)

    def sign_in(self, reader_id: str, password: str) -> Reader:
        """Return the reader; SignInRefused with one sentence otherwise."""
        if self.study is None:
            raise StudyError(
                _tr("Sign in: expected a study on this station, found none; open a study or the demo first.")
            )
        study, events = self.study, self.events
        if events is None:
            return sign_in(study, reader_id, password)
        door = Door(store=events, clock=self.clock, study_id=study.study_id, anchor=self.anchor)
        names = [one.reader_id for one in study.readers]
        reader = tried(door, reader_id, names, lambda: sign_in(study, reader_id, password))
        self.sessions().admit(account_of(reader))  # from now on her own list and nothing else
        return reader

    def enter(self, account_id: str, password: str) -> Account | Reader:
        """Return the reader, or the account of another role, whose area ``office`` opens; SignInRefused otherwise."""
        if self.office is None or self.study is None:
            return self.sign_in(account_id, password)
        account = self.office.sign_in(self.study.study_id, account_id, password)
        if account.role is not Role.READER:
            return account
        if self.office.records.study(self.study.study_id) is not self.study:
            self.reload()  # amended, or somebody was enrolled, since this station was started
        reader = next((one for one in self.study.readers if one.reader_id == account_id), None)
        if reader is None:
            raise StudyError(
                _tr("Account {0}: the protocol has no reader of this id; ask the coordinator.").format(
                    account_id
                )
            )
        self.sessions().admit(account)
        return reader

    def confirm(self, reader: Reader, password: str) -> None:
        """Check the password of who is signed in once more, for a signature; SignInRefused otherwise (RS-A4)."""
        if self.office is not None and self.study is not None:
            self.office.sign_in(self.study.study_id, reader.reader_id, password)
        else:
            self.sign_in(reader.reader_id, password)

    def reload(self) -> None:
        """Take up what a coordinator changed: the study as it is kept now, and the cases that came in."""
        if self.office is None:
            return
        if self._sessions is not None:
            self._sessions.shutdown()
            self._sessions = None
        kept = self.office.study_ids()
        wanted = self.study.study_id if self.study is not None else kept[0] if len(kept) == 1 else ""
        if wanted in kept:
            self.study = self.office.records.study(wanted)
        exams = self.office.files.cases_folder / "exams"
        if self.source is None and exams.is_dir():
            self.source = self.source_of(exams)

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
            card_words=self.card_words,
            models=self.models,
            truth=self._truth_of(sessions, self.study),
        )

    def _truth_of(self, sessions: Sessions, study: Study) -> TruthOf | None:
        give = self.practice_truth
        if give is None:
            return None
        return lambda session_id, case_id: give(sessions, study, session_id, case_id)

    def cache_bytes(self) -> int:
        """Memory for decoded exams: what the settings allow, and no more than the machine can give."""
        allowed = self.settings.current.cache_mb * 2**20
        return min(allowed, machine_bytes() or allowed)

    def source_of(self, path: Path) -> FolderSource:
        """Return the exams of a folder, zip or manifest."""
        return FolderSource(path)

    def exams_to_browse(self, path: Path) -> FolderSource:
        """Return the exams of a folder that is to be looked at without a study.

        Raises
        ------
        StudyError
            The folder holds the study's own cases: seen with identity and AI, no reading of them would be blinded.
        """
        if self.study is None:
            return self.source_of(path)
        if isinstance(self.source, FolderSource) and _touch(self.source.root, path):
            raise StudyError(
                _tr(
                    "Open exams: expected other exams than those of the study on this station; they are seen in "
                    "their reading sessions only, so that readers stay blinded."
                )
            )
        if _touch(program_folders("pacs").home, path):
            raise StudyError(
                _tr(
                    "Open exams: what came from the PACS bears names; on a station with a study only its coordinator "
                    "handles it, so that readers stay blinded."
                )
            )
        return self.source_of(path)

    def browsing(self, source: ExamSource, runner: TaskRunner, screen: BrowsingScreen) -> BrowseController:
        """Make the controller that looks at exams without a study."""
        return BrowseController(
            source=source,
            engine=self.engine,
            runner=runner,
            library=self.library or ProtocolLibrary(self.protocols),
            screen=screen,
            cache_bytes=self.cache_bytes,
            card_words=self.card_words,
            more_engines=self.more_engines,
            asked=None if self.models is None else self.models.asked,
        )

    def close(self) -> None:
        if self._sessions is not None:
            self._sessions.shutdown()
            self._sessions = None
        for action in self.on_close:
            action()
        self.on_close = ()


def _touch(own: Path, wanted: Path) -> bool:
    """Tell whether one of two folders holds the other."""
    one, other = own.resolve(), wanted.resolve()
    return one == other or one in other.parents or other in one.parents
