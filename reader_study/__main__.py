"""The commands of the study side: ``study create | list | password``, ``verify-log`` and ``export``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from reader_study import store_commands, study_commands
from reader_study.accounts import account_of, hash_password
from reader_study.audit import Deed, study_stage
from reader_study.clock import SystemClock
from reader_study.desk import Done
from reader_study.domain.events import EventKind
from reader_study.domain.study import Study
from reader_study.domain.truth import read_truth
from reader_study.errors import StudyError
from reader_study.exchange_export import ExportReport, export_study
from reader_study.file_digests import digests
from reader_study.permissions import Action
from reader_study.protocol_file import read_protocol
from reader_study.sessions import Sessions
from reader_study.store.database import Database, open_database
from reader_study.study_commands import desk_for
from reader_study.verify import verify_log
from resources.files import UserFacingError


@contextmanager
def _said(status: int = 2) -> Iterator[None]:
    """Turn an error meant for the user into its sentence and an exit status: 2, as everywhere, or the one given."""
    try:
        yield
    except UserFacingError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(status) from error


def verify_log_command(
    db_or_url: Annotated[str, typer.Argument(metavar="DB_OR_URL", help="Database file or sqlite:/// URL.")],
    anchor: Annotated[Path | None, typer.Option(help="Anchor file that was kept elsewhere.")] = None,
) -> None:
    """Check the event log; exits 0 when nothing was changed, 1 otherwise, unreadable files included."""
    with _said(1):
        report = verify_log(db_or_url, anchor)
    for problem in report.problems:
        typer.echo(f"PROBLEM  {problem}")
    for note in report.notes:
        typer.echo(f"note     {note}")
    verdict = "intact" if report.ok else "NOT intact"
    typer.echo(
        f"{verdict}: {report.sessions} sessions, {report.events} events, {len(report.problems)} problems"
    )
    raise typer.Exit(0 if report.ok else 1)


def export_command(
    db_or_url: Annotated[str, typer.Argument(metavar="DB_OR_URL")],
    study: Annotated[str, typer.Option(help="Id of the study.")],
    out: Annotated[Path, typer.Option(help="Folder to write; nothing in it is overwritten.")],
    truth: Annotated[
        Path | None, typer.Option(help="Truth file (JSON); without it no MRMC file is made.")
    ] = None,
    who: Annotated[str, typer.Option("--as", help="Account, where the study has a coordinator.")] = "",
    anchor: Annotated[Path | None, typer.Option(help="Anchor file that is kept elsewhere.")] = None,
) -> None:
    """Write tidy CSV, codebook, workbook and, with truth, the files of iMRMC, RJafroc, MRMCaov and OR-DBM."""
    with _said(), _existing(db_or_url) as database:
        named = None if truth is None else truth.name
        known = None if truth is None else {one.case_id: one for one in read_truth(truth)}

        def work(kept: Study) -> tuple[ExportReport, Done]:
            report = export_study(kept, database.events, out, truth=known)
            facts = {"files": digests(report.written, out), "truth": named}
            return report, Done(subject=out.name, new=facts)

        desk = desk_for(database, study, who, anchor)
        if desk is None:
            report, _ = work(database.study(study))
        else:
            begun = Deed(kind=EventKind.EXPORT_BEGUN, subject=out.name, new={"truth": named})
            report = desk.permitted(Action.EXPORT, EventKind.EXPORT_MADE, work, begun=begun)
    for path in report.written:
        typer.echo(str(path))
    for sentence in report.left_out:
        typer.echo(f"not written: {sentence}", err=True)


def study_create(
    protocol: Annotated[Path, typer.Argument(metavar="PROTOCOL.yaml")],
    db: Annotated[str, typer.Option(help="Database file; made when missing.")],
) -> None:
    """Read a protocol, draw the allocation and keep the study."""
    with _said():
        study = read_protocol(protocol)
        database = open_database(db)
        try:
            if study_stage(database.events, study.study_id).drafted:
                raise StudyError(
                    f"Study {study.study_id}: it has a coordinator; change it with `study draft` or `study amend`."
                )
            database.save_study(study)
        finally:
            database.close()
    typer.echo(
        f"{study.study_id}: {len(study.readers)} readers, {len(study.cases)} cases, {len(study.plans)} plans"
    )


def study_list(db: Annotated[str, typer.Argument(metavar="DB_OR_URL")]) -> None:
    """List studies and the progress of their sessions."""
    with _said(), _existing(db) as database:
        for study_id in database.studies():
            study = database.study(study_id)
            typer.echo(f"{study_id}  {study.title}  protocol {study.protocol_version}")
            if study_stage(database.events, study_id).drafted:
                continue  # who reads what and how far is the coordinator's to see: `study monitor`
            sessions = Sessions(study=study, store=database.events, clock=SystemClock())
            for reader in study.readers:
                for row in sessions.worklist(reader.reader_id):
                    typer.echo(f"  {row.session_id}  {row.n_done}/{row.n_total}")


def study_password(
    db: Annotated[str, typer.Argument(metavar="DB_OR_URL")],
    study: Annotated[str, typer.Option(help="Id of the study.")],
    reader: Annotated[str, typer.Option(help="Id of the reader.")],
    who: Annotated[str, typer.Option("--as", help="Account, where the study has a coordinator.")] = "",
    anchor: Annotated[Path | None, typer.Option(help="Anchor file that is kept elsewhere.")] = None,
) -> None:
    """Set a reader's password; it is asked for and never shown. A study with a coordinator asks who does it."""
    with _said(), _existing(db) as database:
        kept = next((one for one in database.study(study).readers if one.reader_id == reader), None)
        if kept is None:
            raise StudyError(f"Reader {reader}: not in study {study}; name one of its readers.")
        desk = desk_for(database, study, who, anchor)
        hashed = hash_password(typer.prompt("New password", hide_input=True, confirmation_prompt=True))
        if desk is None:
            database.set_password(study, reader, hashed)
            return
        desk.put_account(replace(account_of(kept), password_hash=hashed), why="password set")


@contextmanager
def _existing(db_or_url: str) -> Iterator[Database]:
    database = open_database(db_or_url, create=False)
    try:
        yield database
    finally:
        database.close()


def register(app: typer.Typer) -> None:
    """Add the study commands to the program's command line."""
    study = typer.Typer(help="Make and list reader studies.", no_args_is_help=True)
    study.command("create")(study_create)
    study.command("list")(study_list)
    study.command("password")(study_password)
    store_commands.register(study)
    study_commands.register(study)
    app.add_typer(study, name="study")
    app.command("verify-log")(verify_log_command)
    app.command("export")(export_command)


def main() -> None:
    """Run the study commands alone (``python -m reader_study``)."""
    app = typer.Typer(no_args_is_help=True)
    register(app)
    app()


if __name__ == "__main__":
    main()
