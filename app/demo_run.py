"""Starts the windows: the demo seen or unseen, a study, or exams alone. Qt is imported only when a window opens."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from app import bootstrap, demo_study
from app.files import program_folders
from app.workstation import Workstation
from inference.engine import InferenceEngine
from reader_study.export import export_tidy
from reader_study.store.database import open_database
from reader_study.verify import verify_log
from resources.files import UserFacingError

if TYPE_CHECKING:
    from app.views.main_window import MainWindow

Tell = Callable[[str], None]

console = Console(highlight=False)


def _window(station: Workstation, version: str, *, offscreen: bool) -> tuple[object, MainWindow]:
    if offscreen:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from app.views.main_window import MainWindow
    from app.views.start_window import application

    return application(), MainWindow(station, version=version)


def _run_window(
    prepare: Callable[[Tell], Workstation],
    version: str,
    *,
    sign_in: bool,
    first: Callable[[MainWindow], None] | None = None,
    model: str = bootstrap.DEFAULT_MODEL,
) -> int:
    """Make the station beside the first window, then put the main window in its place."""
    from app.views.main_window import MainWindow
    from app.views.start_window import application, open_first

    start = open_first(sign_in=sign_in)
    station = start.beside(lambda: prepare(start.say))
    bootstrap.keep_settings(station, model)
    window = MainWindow(station, version=version)
    start.hand_over(window, window.sign_in)
    if first is not None:
        first(window)
    return application().exec()


def _with_progress(
    title: str,
    work: Callable[[Callable[[float, str], None]], demo_study.DemoStudy],
    tell: Tell = lambda _: None,
) -> demo_study.DemoStudy:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=1.0, what="")

        def say(fraction: float, what: str) -> None:
            progress.update(task, completed=fraction, what=what)
            tell(f"{title}: {100 * fraction:.0f} %   {what}")

        made = work(say)
        progress.update(task, completed=1.0, what="ready")
    return made


def run(*, no_display: bool, fresh: bool, out: Path | None, version: str) -> int:
    """Run the demo; the exit code is 0 when every check of the unseen run held."""
    folders = program_folders("demo")
    if fresh:
        shutil.rmtree(folders.home, ignore_errors=True)
        folders = program_folders("demo")
    bootstrap.start_logging(folders)
    console.print("Negatoscope demo – research use only")

    def prepare(tell: Tell) -> tuple[demo_study.DemoStudy, InferenceEngine]:
        engine = bootstrap.make_engine(folders.cache)
        title = "Preparing the study"
        return _with_progress(title, lambda say: demo_study.prepare(folders, engine, say), tell), engine

    if not no_display:
        return _run_window(lambda tell: bootstrap.demo_station(*prepare(tell)), version, sign_in=True)
    return _run_unseen(*prepare(lambda _: None), out or folders.home / "unseen", version)


def _run_unseen(demo: demo_study.DemoStudy, engine: InferenceEngine, out: Path, version: str) -> int:
    """A simulated reader reads a copy of the study through the real windows; screenshots, exports, report on disk."""
    from app.views.simulated_reader import read_study

    out.mkdir(parents=True, exist_ok=True)
    database, anchor = out / "study.sqlite", out / "anchor" / "heads.jsonl"
    for old in (*out.glob("study.sqlite*"), anchor):
        old.unlink(missing_ok=True)
    anchor.parent.mkdir(parents=True, exist_ok=True)
    opened = open_database(database)
    opened.save_study(demo.study)
    opened.close()
    copy = demo_study.DemoStudy(study=demo.study, database=database, exams=demo.exams, anchor=anchor)
    station = bootstrap.demo_station(copy, engine)
    _qt, window = _window(station, version, offscreen=True)
    shots = read_study(window, reader=demo_study.READER, password=demo_study.PASSWORD, folder=out / "screenshots",
                       say=console.print)  # fmt: skip
    opened = open_database(database)
    try:
        exports = out / "export"
        shutil.rmtree(exports, ignore_errors=True)
        written = export_tidy(demo.study, opened.events, exports)
    finally:
        opened.close()
    from app.demo_report import write_report

    report_page = write_report(demo.study, exports, shots, out / "report.html")
    verdict = verify_log(database, anchor)
    console.print(f"\nlog: {verdict.events} events in {verdict.sessions} sessions, "
                  f"{'verified' if verdict.ok else 'DAMAGED: ' + ' '.join(verdict.problems)}")  # fmt: skip
    for title, paths in (("screenshots", shots), ("exports", written), ("report", (report_page,))):
        console.print(f"{title}:")
        for path in paths:
            console.print(f"  {path}", soft_wrap=True)
    console.print(f"study database: {database}\nanchor file: {anchor}", soft_wrap=True)
    return 0 if verdict.ok else 1


def _must_exist(path: Path) -> None:
    if not path.exists():
        raise UserFacingError(
            f"{path}: expected a folder, zip or manifest with exams, found nothing there; check the path."
        )


def open_study(
    *, database: str, exams: Path, study: str | None, anchor: Path | None, model: str, version: str
) -> int:
    """Open the workstation on a study in a database; UserFacingError when there are no such exams or study."""
    _must_exist(exams)
    folders = program_folders("station")
    bootstrap.start_logging(folders)

    def prepare(_tell: Tell) -> Workstation:
        engine = bootstrap.make_engine(folders.cache, model)
        return bootstrap.study_station(
            database=database, study_id=study, exams=exams, anchor=anchor, engine=engine
        )

    return _run_window(prepare, version, sign_in=True, model=model)


def open_exams(*, path: Path, model: str, version: str) -> int:
    """Open the workstation on a folder of exams, without a study; UserFacingError when the path leads nowhere."""
    _must_exist(path)
    folders = program_folders("station")
    bootstrap.start_logging(folders)

    def prepare(_tell: Tell) -> Workstation:
        return bootstrap.browsing_station(bootstrap.make_engine(folders.cache, model))

    return _run_window(
        prepare, version, sign_in=False, first=lambda window: window.open_exams(path), model=model
    )


def browse_pacs(*, model: str, version: str) -> int:
    """Open the workstation on the PACS screen, without a study."""
    folders = program_folders("station")
    bootstrap.start_logging(folders)

    def prepare(_tell: Tell) -> Workstation:
        return bootstrap.browsing_station(bootstrap.make_engine(folders.cache, model))

    return _run_window(prepare, version, sign_in=False, first=lambda window: window.pacs.show(), model=model)


def coordinate(
    *, database: str, study: str | None, cases: Path | None, anchor: Path | None, model: str, version: str
) -> int:
    """Open the coordinator's area on a database, which is made when there is none."""
    folders = program_folders("station")
    bootstrap.start_logging(folders)

    def prepare(_tell: Tell) -> Workstation:
        engine = bootstrap.make_engine(folders.cache, model)
        return bootstrap.coordinator_station(
            database=database, study_id=study, cases=cases, anchor=anchor, engine=engine
        )

    return _run_window(prepare, version, sign_in=True, model=model)


def choose_and_run(*, version: str) -> int:
    """Show the three cards and do what is chosen; 0 when the window was closed without a choice."""
    from app.views.start_cards import Choice, ask

    chosen = ask()
    if chosen is None:
        return 0
    what, path = chosen
    if what is Choice.PACS:
        return browse_pacs(model=bootstrap.DEFAULT_MODEL, version=version)
    if what is Choice.DEMO or path is None:
        return run(no_display=False, fresh=False, out=None, version=version)
    if what is Choice.EXAMS:
        return open_exams(path=path, model=bootstrap.DEFAULT_MODEL, version=version)
    return coordinate(
        database=str(path),
        study=None,
        cases=None,
        anchor=None,
        model=bootstrap.DEFAULT_MODEL,
        version=version,
    )
