"""Commands over whole databases: merge, backup, restore. ``register`` adds them to ``negatoscope study``.

Where a study has a coordinator, they ask who does it, and each such study's audit tells before and after.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from reader_study.accounts import sign_in_account
from reader_study.audit import Deed, study_stage
from reader_study.desk import Desk
from reader_study.domain.events import EventKind
from reader_study.errors import StudyError
from reader_study.file_digests import file_digest
from reader_study.permissions import Action, Role, require
from reader_study.store.database import Database, open_database, shown
from reader_study.store.transfer import TransferReport, backup, managed_studies, merge, restore
from reader_study.study_commands import desk_as
from resources.files import UserFacingError

Who = Annotated[str, typer.Option("--as", help="Account, where a study has a coordinator.")]
AnchorFile = Annotated[Path | None, typer.Option(help="Anchor file that is kept elsewhere.")]
_BACK_UP = Action.BACK_UP


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except UserFacingError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


def _say(report: TransferReport, where: str) -> None:
    typer.echo(
        f"{where}: {len(report.studies)} studies, {len(report.sessions)} sessions, {report.events} events."
    )


def _is_managed(database: Database, study_id: str) -> bool:
    drafted = study_stage(database.events, study_id).drafted
    return drafted or any(one.role is not Role.READER for one in database.accounts(study_id))


def _asked(studies: int, study_id: str) -> str:
    return "Password" if studies == 1 else f"Password in study {study_id}"


def _desks(database: Database, who: str, anchor: Path | None) -> dict[str, Desk]:
    """The desk of each study that somebody manages, for the account that was named; who may not is refused."""
    managed = [one for one in database.studies() if _is_managed(database, one)]
    return {one: desk_as(database, one, who, anchor, prompt=_asked(len(managed), one)) for one in managed}


def _may_bring_in(source: str | Path, known: frozenset[str], who: str) -> None:
    """Ask for the account in the studies that only the other database has; nothing is written to it."""
    managed = {one: accounts for one, accounts in managed_studies(source).items() if one not in known}
    for study_id, accounts in managed.items():
        if not who:
            raise StudyError(
                f"Study {study_id}: expected the account that does it (--as), found none; give it."
            )
        asked = _asked(len(managed) + len(known), study_id)
        password = os.environ.get("NEGATOSCOPE_PASSWORD") or typer.prompt(asked, hide_input=True)
        require(sign_in_account(accounts, who, password), _BACK_UP, None, locked=False)


def _told(
    desks: Mapping[str, Desk],
    what: str,
    subject: str,
    work: Callable[[], TransferReport],
    digest_of: Path | None = None,
) -> TransferReport:
    """Do the work between two entries in the audit of every study that it touches."""
    begun = Deed(kind=EventKind.BACKUP_BEGUN, subject=subject, new={"what": what})
    for desk in desks.values():
        desk.tell(_BACK_UP, begun)
    report = work()
    facts: dict[str, object] = {"what": what, "sessions": len(report.sessions), "events": report.events}
    if digest_of is not None:
        facts["sha256"] = file_digest(digest_of)
    made = EventKind.DATABASE_MERGED if what == "merge" else EventKind.BACKUP_MADE
    for desk in desks.values():
        desk.tell(_BACK_UP, Deed(kind=made, subject=subject, new=facts))
    return report


def _is_new(target: str) -> bool:
    return "://" not in target and not Path(target).exists()


def _take_in(
    target: str,
    source: str | Path,
    who: str,
    anchor: Path | None,
    *,
    what: str,
    work: Callable[[], TransferReport],
) -> TransferReport:
    """Merge or restore as an account of every study that either database has somebody for."""
    if _is_new(
        target
    ):  # nobody is there to be asked, and nothing to be changed: the other database's accounts count
        _may_bring_in(source, frozenset(), who)
        return work()
    database = open_database(target)
    try:
        desks = _desks(database, who, anchor)
        _may_bring_in(source, frozenset(database.studies()), who)
        return _told(desks, what, Path(shown(source)).name, work)
    finally:
        database.close()


def merge_command(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="File or URL that takes everything in.")],
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="File or URL of another station.")],
    who: Who = "",
    anchor: AnchorFile = None,
) -> None:
    """Take the sessions of another station's database in; refuses what contradicts."""
    with _said():
        report = _take_in(target, source, who, anchor, what="merge", work=lambda: merge(target, source))
    _say(report, "Taken in")


def backup_command(
    db_or_url: Annotated[str, typer.Argument(metavar="DB_OR_URL")],
    file: Annotated[Path, typer.Argument(help="A new file.")],
    who: Who = "",
    anchor: AnchorFile = None,
) -> None:
    """Write the whole database to one new file, also while readers read."""
    with _said():
        database = open_database(db_or_url, create=False)
        try:
            desks = _desks(database, who, anchor)
            report = _told(desks, "backup", file.name, lambda: backup(db_or_url, file), digest_of=file)
        finally:
            database.close()
    _say(report, f"Backup {file}")


def restore_command(
    file: Annotated[Path, typer.Argument(help="A file that ``backup`` wrote.")],
    db_or_url: Annotated[str, typer.Argument(metavar="DB_OR_URL", help="Database to bring it into.")],
    who: Who = "",
    anchor: AnchorFile = None,
) -> None:
    """Bring a backup into a database; what is newer there stays."""
    with _said():
        if not file.is_file():
            raise StudyError(f"Backup {file}: expected a file, found none; check the path.")
        report = _take_in(db_or_url, file, who, anchor, what="restore", work=lambda: restore(file, db_or_url))
    _say(report, "Restored")


def register(study: typer.Typer) -> None:
    """Add the commands to the ``study`` group."""
    study.command("merge")(merge_command)
    study.command("backup")(backup_command)
    study.command("restore")(restore_command)
