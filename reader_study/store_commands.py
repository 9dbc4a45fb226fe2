"""Commands over whole databases: merge, backup, restore. ``register`` adds them to ``negatoscope study``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reader_study.store.transfer import TransferReport, backup, merge, restore


def _say(report: TransferReport, where: str) -> None:
    typer.echo(
        f"{where}: {len(report.studies)} studies, {len(report.sessions)} sessions, {report.events} events."
    )


def merge_command(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="File or URL that takes everything in.")],
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="File or URL of another station.")],
) -> None:
    """Take the sessions of another station's database in; refuses what contradicts."""
    _say(merge(target, source), "Taken in")


def backup_command(
    db_or_url: Annotated[str, typer.Argument(metavar="DB_OR_URL")],
    file: Annotated[Path, typer.Argument(help="A new file.")],
) -> None:
    """Write the whole database to one new file, also while readers read."""
    _say(backup(db_or_url, file), f"Backup {file}")


def restore_command(
    file: Annotated[Path, typer.Argument(help="A file that ``backup`` wrote.")],
    db_or_url: Annotated[str, typer.Argument(metavar="DB_OR_URL", help="Database to bring it into.")],
) -> None:
    """Bring a backup into a database; what is newer there stays."""
    _say(restore(file, db_or_url), "Restored")


def register(study: typer.Typer) -> None:
    """Add the commands to the ``study`` group."""
    study.command("merge")(merge_command)
    study.command("backup")(backup_command)
    study.command("restore")(restore_command)
