"""The only file that names the concrete engine, store, clock and runner, and puts a station together."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from app.control.coordinating import Coordinating
from app.control.pacs import PacsDesk
from app.control.tasks import TaskRunner
from app.demo_study import COORDINATOR, PASSWORD, READER, DemoStudy, with_coordinator
from app.doctor import HealthReport, Told
from app.files import ProgramFolders, program_folders
from app.language import settings_folder
from app.logs import start_window_log
from app.model_shelf import FolderShelf
from app.practice_truth import PRACTICE_TRUTH, practice_truth
from app.state.ai_view import ModelWords, words_of_card
from app.state.hanging import Protocol, load_protocols
from app.state.model_shelf import UnavailableEngine
from app.state.protocol_library import ProtocolLibrary
from app.study_files import LocalStudyFiles, folder_beside
from app.workstation import Workstation
from inference.cache import CachedEngine, ResultCache, identity_of
from inference.engine import FakeEngine, InferenceEngine
from inference.exam.sources import FolderSource
from inference.registry import load_card, model_folders, why_not
from inference.worker import EngineSpec, WorkerEngine
from reader_study.clock import SystemClock
from reader_study.store.database import Database, open_database
from resources.files import UserFacingError
from resources.translation import translate

log = logging.getLogger(__name__)

DEFAULT_MODEL = "dib-mg"
FAKE_MODEL = "fake"


def _tr(text: str) -> str:
    return translate("start", text)


def make_engine(cache: Path, model: str = DEFAULT_MODEL) -> CachedEngine | UnavailableEngine | FakeEngine:
    """Return the engine of a model card: worker process behind a result cache; 'fake' needs no torch."""
    if model == FAKE_MODEL:
        return FakeEngine()
    try:
        card = load_card(model)
    except UserFacingError as error:
        return UnavailableEngine(str(error))
    reason = why_not(card)
    if reason is not None:
        return UnavailableEngine(reason)
    folder = next((f for f in model_folders() if f.name == model), Path(model))
    worker = WorkerEngine(EngineSpec(model_folder=folder))
    return CachedEngine(worker, ResultCache(cache / "results"), identity_of(card))


def card_words(model_id: str) -> ModelWords:
    """What a model's card says for the screen; empty for a model without one, such as the made-up one."""
    try:
        return words_of_card(load_card(model_id))
    except UserFacingError:
        return ModelWords()


def close_engine(engine: InferenceEngine) -> None:
    """End the worker process, where the engine has one."""
    close = getattr(engine, "close", None)
    if close is not None:
        close()


def own_protocols(packaged: tuple[Protocol, ...]) -> ProtocolLibrary:
    """The packaged hanging protocols and those the user saved among the settings."""
    return ProtocolLibrary(packaged, settings_folder() / "hanging_protocols")


def demo_station(demo: DemoStudy, engine: InferenceEngine) -> Workstation:
    """A station on the demo study."""
    with_coordinator(demo)
    return study_station(
        database=demo.database,
        study_id=demo.study.study_id,
        exams=demo.exams,
        anchor=demo.anchor,
        engine=engine,
        hint=_tr("Demo: reader “{0}” or coordinator “{1}”, password “{2}”").format(
            READER, COORDINATOR, PASSWORD
        ),
    )


def study_station(
    *,
    database: Path | str,
    study_id: str | None,
    exams: Path,
    anchor: Path | None,
    engine: InferenceEngine,
    hint: str = "",
) -> Workstation:
    """A station on a study in a database, with its exams in a folder, zip or manifest."""
    opened = open_database(database, create=False)
    try:
        studies = opened.studies()
        chosen = study_id or (studies[0] if len(studies) == 1 else None)
        if chosen is None:
            raise UserFacingError(
                f"{database}: expected one study or --study ID, found {', '.join(studies) or 'none'}; name one of them."
            )
        study = opened.study(chosen)
    except UserFacingError:
        opened.close()
        raise
    protocols = load_protocols()
    return Workstation(
        engine=engine,
        card_words=card_words,
        clock=SystemClock(),
        protocols=protocols,
        library=own_protocols(protocols),
        study=study,
        events=opened.events,
        source=FolderSource(exams),
        anchor=anchor,
        office=coordinators_office(database, opened, cases=None, anchor=anchor),
        practice_truth=practice_truth(*truth_places(database, None)),
        hint=hint,
        on_close=(opened.close, lambda: close_engine(engine)),
    )


def coordinators_office(
    database: Path | str, opened: Database, *, cases: Path | None, anchor: Path | None
) -> Coordinating:
    """Return the way into the coordinator's area of an open database; keys and truth lie apart from the cases."""
    folder = cases or folder_beside(database)
    truth = _kept_truth(folder)
    files = LocalStudyFiles(
        database=database,
        cases_folder=folder,
        key=truth.with_name(f"{_site_name(folder)}.key"),
        truth=truth,
        anchor=anchor,
    )
    return Coordinating(records=opened, files=files, clock=SystemClock(), anchor=anchor)


def _kept_truth(cases: Path) -> Path:
    return program_folders("keys").home / f"{_site_name(cases)}_truth.json"


def _site_name(cases: Path) -> str:
    """Name of a case folder's key and truth: two folders of one name in different places never share them."""
    place = cases.resolve()
    return f"{place.name}-{hashlib.sha256(str(place).encode()).hexdigest()[:10]}"


def truth_places(database: Path | str, cases: Path | None) -> tuple[Path, Path]:
    """Where feedback on practice cases finds their truth: with the cases, else where the coordinator's is kept."""
    folder = cases or folder_beside(database)
    return folder / PRACTICE_TRUTH, _kept_truth(folder)


def coordinator_station(
    *,
    database: Path | str,
    study_id: str | None,
    cases: Path | None,
    anchor: Path | None,
    engine: InferenceEngine,
) -> Workstation:
    """A station for a coordinator on a database, which is made when there is none; readers can read there too."""
    opened = open_database(database)
    studies = opened.studies()
    if study_id is not None and study_id not in studies:
        opened.close()
        raise UserFacingError(
            f"{database}: expected study {study_id}, found {', '.join(studies) or 'none'}; name one of them."
        )
    first = study_id or (studies[0] if studies else None)
    protocols = load_protocols()
    station = Workstation(
        engine=engine,
        card_words=card_words,
        clock=SystemClock(),
        protocols=protocols,
        library=own_protocols(protocols),
        study=opened.study(first) if first is not None else None,
        events=opened.events,
        anchor=anchor,
        office=coordinators_office(database, opened, cases=cases, anchor=anchor),
        practice_truth=practice_truth(*truth_places(database, cases)),
        on_close=(opened.close, lambda: close_engine(engine)),
    )
    station.reload()
    return station


def browsing_station(engine: InferenceEngine) -> Workstation:
    """A station without a study, to look at exams."""
    protocols = load_protocols()
    return Workstation(
        engine=engine,
        card_words=card_words,
        clock=SystemClock(),
        protocols=protocols,
        library=own_protocols(protocols),
        on_close=(lambda: close_engine(engine),),
    )


def keep_settings(station: Workstation, model: str = DEFAULT_MODEL) -> None:
    """Let the station use the settings that this user keeps on this machine, and check the installation from there.

    ``model`` is the one the program was started with: another than the program's own goes before the settings.
    """
    from app.settings_store import JsonSettings

    station.settings = JsonSettings()
    station.examine = _examine
    station.open_pacs = _open_pacs
    if model != FAKE_MODEL:
        station.models = shelf = FolderShelf(
            program_folders("station").cache,
            lambda: station.settings.current,
            program_choice=DEFAULT_MODEL,
            started_with="" if model == DEFAULT_MODEL else model,
        )
        station.on_close = (*station.on_close, shelf.close)


def _open_pacs(runner: TaskRunner) -> PacsDesk:
    from app.pacs_station import open_desk  # with the network's libraries, which no start waits for

    return open_desk(runner)


def _examine(told: Told) -> HealthReport:
    from app.cli import program_version
    from app.doctor_command import health_report

    return health_report(program_version(), told=told)


def start_logging(folders: ProgramFolders) -> None:
    """Log to the console and to the rotating files of ``app.logs``; no patient data is ever put into a log line."""
    start_window_log()
    log.info("data in %s", folders.home)
