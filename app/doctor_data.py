"""Looks at what the program keeps: databases, settings, logs, and the PACS that are set up. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from app.doctor import HealthLine, fault, ok, warning
from app.files import program_folders
from app.language import settings_folder
from app.logs import logs_folder
from app.settings_store import JsonSettings
from inference.exam.pacs.connections import ConnectionBook
from inference.exam.pacs.peers import Receiver, open_peer
from reader_study.store.database import shown
from reader_study.store.health import DatabaseHealth, database_health, try_durable_file
from resources.files import UserFacingError
from resources.log_lines import KEPT_FILES, MAX_BYTES
from resources.translation import translate

SLOW_MS = 50.0


def _tr(text: str) -> str:
    return translate("doctor", text)


def databases(named: Sequence[str]) -> Iterator[HealthLine]:
    """A trial database in the data folder, the demo's where there is one, and those named by the user."""
    title = _tr("Database")
    version = try_durable_file(program_folders("demo").home)
    yield ok("database", title, _tr("SQLite {0}: a trial file was written and read").format(version))
    demo = program_folders("demo").home / "study.sqlite"
    for one in (*([str(demo)] if demo.is_file() else []), *named):
        try:
            health = database_health(one)
        except UserFacingError as error:
            yield fault(
                "database", shown(one), str(error), _tr("Follow the sentence, then run the doctor again.")
            )
            continue
        yield _database_line(health)


def _database_line(health: DatabaseHealth) -> HealthLine:
    words = _tr("{0} {1}, schema {2} of {3}, {4} studies, {5} sessions, {6} events, answers in {7:.2g} ms")
    text = words.format(
        health.kind, health.version, health.schema, health.expected_schema, health.studies, health.sessions,
        health.events, health.answer_ms,
    )  # fmt: skip
    if health.damage:
        remedy = _tr("Damaged: {0}. Stop reading, run verify-log, restore a backup.").format(
            "; ".join(health.damage)
        )
        return fault("database", health.where, text, remedy)
    if health.schema > health.expected_schema:
        return fault("database", health.where, text, _tr("A newer version made it: update this station."))
    if health.unsafe:
        remedy = _tr(
            "Confirmed answers may be lost when the power fails: {0}. Set it as docs/administrator.md says."
        )
        return fault("database", health.where, text, remedy.format("; ".join(health.unsafe)))
    if 0 < health.schema < health.expected_schema:
        remedy = _tr("It is brought to the new schema when it is opened next: make a backup first.")
        return warning("database", health.where, text, remedy)
    if health.answer_ms > SLOW_MS:
        return warning(
            "database", health.where, text, _tr("The server or the network is slow: readers will wait.")
        )
    return ok("database", health.where, text)


def settings() -> Iterator[HealthLine]:
    """Whether the settings can be read, and where they lie."""
    title = _tr("Settings")
    store = JsonSettings()
    if store.problem:
        yield warning(
            "settings", title, store.problem, _tr("Set what is missing anew, or import an exported file.")
        )
    else:
        known = store.path if store.path.exists() else _tr("defaults; nothing was changed yet")
        yield ok("settings", title, str(known))


def logs() -> Iterator[HealthLine]:
    """Where the log files lie and how much they hold."""
    title = _tr("Logs")
    folder = logs_folder()
    held = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    words = _tr("{0}: {1:.1f} MB; each file turns at {2:.0f} MB, {3} older ones stay")
    yield ok("logs", title, words.format(folder, held / 1e6, MAX_BYTES / 1e6, KEPT_FILES))
    crashes = [path.name for path in folder.glob("*.fatal") if path.stat().st_size > 0]
    if crashes:
        remedy = _tr(
            "The program once ended in compiled code: report the file (it names no patient), then delete it."
        )
        yield warning("logs", title, ", ".join(crashes), remedy)


def pacs(folder: Path | None = None) -> Iterator[HealthLine]:
    """Ask every PACS that is set up for an echo, one that speaks DICOMweb by a search for one study; nothing is fetched."""
    title = "PACS"
    book = ConnectionBook(folder or settings_folder())
    connections = book.connections()
    if not connections:
        yield ok("pacs", title, _tr("none set up"))
        return
    receiver = Receiver(book.listener())
    for connection in connections:
        try:
            answer = open_peer(connection, book, receiver).echo()
        except UserFacingError as error:
            remedy = _tr("Check address, AE titles, certificate and password on the PACS page.")
            yield fault("pacs", title, str(error), remedy)
        else:
            yield ok("pacs", title, answer)
