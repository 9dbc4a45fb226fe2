"""The coordinator's commands: ``study draft | freeze | amend | account | monitor | balance | override | lock | audit``.

Each signs in with ``--as`` and goes through the desk, which asks the permissions and keeps the audit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from reader_study.accounts import SignedIn, hash_password
from reader_study.attempts import Door, enter
from reader_study.audit import study_stage
from reader_study.clock import SystemClock
from reader_study.desk import Desk
from reader_study.domain.events import canonical
from reader_study.errors import StudyError
from reader_study.permissions import Account, Role
from reader_study.protocol_file import protocol_to_text, read_protocol
from reader_study.store.database import Database, open_database
from resources.files import UserFacingError

Db = Annotated[str, typer.Argument(metavar="DB_OR_URL", help="Database file or URL.")]
StudyId = Annotated[str, typer.Option("--study", help="Id of the study.")]
Who = Annotated[str, typer.Option("--as", help="Account that does it.")]
Password = Annotated[
    str,
    typer.Option(
        prompt=True, hide_input=True, envvar="NEGATOSCOPE_PASSWORD", help="Asked for; never on the line."
    ),
]
AnchorFile = Annotated[Path | None, typer.Option(help="Anchor file that is kept elsewhere.")]
Why = Annotated[str, typer.Option(help="Reason; it goes into the audit list.")]


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except UserFacingError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


@contextmanager
def _desk(db: str, study: str, who: str, password: str, anchor: Path | None) -> Iterator[Desk]:
    with _said():
        database = open_database(db, create=False)
        try:
            account = _account_of(database, study, who, password, anchor)
            yield _desk_of(database, account, study, anchor)
        finally:
            database.close()


def _account_of(database: Database, study: str, who: str, password: str, anchor: Path | None) -> Account:
    door = Door(store=database.events, clock=SystemClock(), study_id=study, anchor=anchor)
    return enter(door, database.accounts(study), who, password)


def _desk_of(database: Database, account: Account, study: str, anchor: Path | None) -> Desk:
    clock = SystemClock()
    return Desk(
        database=database, clock=clock, signed_in=SignedIn(account, clock), study_id=study, anchor=anchor
    )


def desk_for(database: Database, study: str, who: str, anchor: Path | None) -> Desk | None:
    """The desk of the account that was named; None where a study was made without a coordinator (demo, pilot)."""
    if not study_stage(database.events, study).drafted:
        return None
    return desk_as(database, study, who, anchor)


def desk_as(
    database: Database, study: str, who: str, anchor: Path | None, *, prompt: str = "Password"
) -> Desk:
    """The desk of the account that was named, its password asked for; StudyError where none was named."""
    if not who:
        raise StudyError(f"Study {study}: expected the account that does it (--as), found none; give it.")
    password = os.environ.get("NEGATOSCOPE_PASSWORD") or typer.prompt(prompt, hide_input=True)
    return _desk_of(database, _account_of(database, study, who, password, anchor), study, anchor)


def draft(
    protocol: Annotated[Path, typer.Argument(metavar="PROTOCOL.yaml")],
    db: Annotated[str, typer.Option(help="Database file or URL; made when missing.")],
    who: Who,
    password: Password,
    name: Annotated[
        str, typer.Option(help="Full name, when this makes the study and its first coordinator.")
    ] = "",
    anchor: AnchorFile = None,
    why: Why = "",
) -> None:
    """Keep a protocol as the study's draft; the first draft makes the account a coordinator of the study."""
    with _said():
        study = read_protocol(protocol)
        database = open_database(db)
        try:
            first = study.study_id not in database.studies()
            if first:
                hashed = hash_password(password)
                account = Account(
                    account_id=who, name=name or who, role=Role.COORDINATOR, password_hash=hashed
                )
            else:
                account = _account_of(database, study.study_id, who, password, anchor)
            desk = _desk_of(database, account, study.study_id, anchor)
            desk.draft(study, why=why)
            if first:
                desk.put_account(account, why="first coordinator")
        finally:
            database.close()
    typer.echo(
        f"{study.study_id}: draft {study.protocol_version}, {len(study.readers)} readers, {len(study.cases)} cases,"
        f" {len(study.plans)} sessions"
    )


def freeze(
    db: Db, study: StudyId, who: Who, password: Password, anchor: AnchorFile = None, why: Why = ""
) -> None:
    """Freeze the draft; reading may begin, and the protocol changes by amendment only."""
    with _desk(db, study, who, password, anchor) as desk:
        desk.freeze(why=why)
    typer.echo(f"{study}: frozen")


def amend(
    db: Db,
    protocol: Annotated[Path, typer.Argument(metavar="PROTOCOL.yaml")],
    study: StudyId,
    who: Who,
    password: Password,
    why: Annotated[str, typer.Option(help="Reason of the amendment.")],
    anchor: AnchorFile = None,
) -> None:
    """Keep a new version of a frozen protocol; what has been read stays as it was."""
    with _desk(db, study, who, password, anchor) as desk:
        new = read_protocol(protocol)
        desk.amend(new, why=why)
    typer.echo(f"{study}: protocol {new.protocol_version} is in force")


def show_protocol(
    db: Db,
    study: StudyId,
    who: Who,
    password: Password,
    out: Annotated[Path | None, typer.Option(help="File to write; the screen when left out.")] = None,
) -> None:
    """Write the protocol in force as YAML: seed, arms and readers, so not for readers (RS-R5)."""
    with _said():
        with _desk(db, study, who, password, None) as desk:
            desk.balance()  # who may see that may see the protocol
            kept = desk.study()
            assert kept is not None, "there is an account of it"
            text = protocol_to_text(kept)
        if out is None:
            typer.echo(text, nl=False)
            return
        if out.exists():
            raise StudyError(f"{out}: expected a new file, found one already there; choose another name.")
        out.write_text(text, encoding="utf-8")


def account(
    db: Db,
    study: StudyId,
    account_id: Annotated[str, typer.Option("--account", help="Account to make or change.")],
    role: Annotated[Role, typer.Option(help="Its role.")],
    name: Annotated[str, typer.Option(help="Full name.")],
    who: Who,
    password: Password,
    anchor: AnchorFile = None,
) -> None:
    """Make an account or change its role and password; the new password is asked for."""
    new = typer.prompt(f"Password of {account_id}", hide_input=True, confirmation_prompt=True)
    with _desk(db, study, who, password, anchor) as desk:
        made = Account(account_id=account_id, name=name, role=role, password_hash=hash_password(new))
        desk.put_account(made)


def show_monitor(db: Db, study: StudyId, who: Who, password: Password) -> None:
    """Print the progress, flags and washout date of every session."""
    with _desk(db, study, who, password, None) as desk:
        rows = desk.monitor()
    for row in rows:
        flags = [
            *(["interrupted"] if row.interrupted else []),
            *([f"idle {row.idle_spells}x"] if row.idle_spells else []),
            *(["override"] if row.overrides else []),
            *(["signed"] if row.signed else []),
        ]
        opens = f"  opens {row.opens_utc[:10]}" if row.opens_utc else ""
        typer.echo(f"{row.session_id}  {row.n_done}/{row.n_total}{opens}  {', '.join(flags)}".rstrip())


def show_balance(db: Db, study: StudyId, who: Who, password: Password) -> None:
    """Print how many cases of each stratum fall to each arm and period, least and most over the readers."""
    with _desk(db, study, who, password, None) as desk:
        rows = desk.balance()
    for row in rows:
        typer.echo(f"period {row.period}  {row.arm_id}  {row.stratum or '-'}  {row.least}..{row.most}")


def override(
    db: Db,
    session: Annotated[str, typer.Option(help="Session that may begin early.")],
    study: StudyId,
    who: Who,
    password: Password,
    why: Annotated[str, typer.Option(help="Reason.")],
    anchor: AnchorFile = None,
) -> None:
    """Let a session begin before its washout is over."""
    with _desk(db, study, who, password, anchor) as desk:
        desk.grant_override(session, why=why)


def lock(
    db: Db,
    study: StudyId,
    who: Who,
    password: Password,
    name: Annotated[str, typer.Option(help="Full name, as the signature.")],
    meaning: Annotated[
        str, typer.Option(help="What the signature means.")
    ] = "Reading is complete and final.",
    why: Why = "",
    anchor: AnchorFile = None,
) -> None:
    """Sign and lock the study: nothing more is read, truth and results open."""
    with _desk(db, study, who, password, anchor) as desk:
        desk.lock(password=password, name=name, meaning=meaning, why=why)
    typer.echo(f"{study}: locked")


def show_audit(db: Db, study: StudyId, who: Who, password: Password) -> None:
    """Print who did what, from what to what, why and when."""
    with _desk(db, study, who, password, None) as desk:
        entries = desk.audit()
    for one in entries:
        old = "" if one.old is None else f"  from {canonical(one.old)}"
        new = "" if one.new is None else f"  to {canonical(one.new)}"
        why = f"  because {one.why}" if one.why else ""
        typer.echo(f"{one.when}  {one.who} ({one.role})  {one.action.value}  {one.subject}{old}{new}{why}")


def register(study: typer.Typer) -> None:
    """Add the coordinator's commands to the ``study`` group."""
    for name, command in (
        ("draft", draft),
        ("freeze", freeze),
        ("amend", amend),
        ("protocol", show_protocol),
        ("account", account),
        ("monitor", show_monitor),
        ("balance", show_balance),
        ("override", override),
        ("lock", lock),
        ("audit", show_audit),
    ):
        study.command(name)(command)
