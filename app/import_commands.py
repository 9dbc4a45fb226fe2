"""``negatoscope study import-cases`` and ``import-truth``: both siblings meet here, so the commands live in app."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from app.case_import import ImportOutcome, import_cases
from app.files import program_folders
from app.import_reports import add_links, link_path, read_links, report_path, write_report
from app.practice_truth import PRACTICE_TRUTH, cut_practice_truth
from app.study_files import folder_beside
from inference.exam.deidentification.site_key import open_key
from reader_study.case_import import CaseStore, open_store, write_protocol_cases
from reader_study.desk import Done
from reader_study.domain.events import EventKind
from reader_study.errors import StudyError
from reader_study.permissions import Action
from reader_study.store.database import open_database
from reader_study.study_commands import desk_for
from reader_study.truth_import import TruthImport, read_truth_csv, write_truth
from resources.files import UserFacingError

_Db = Annotated[
    str, typer.Option("--db", help="Study database; with it the import is in the study's audit list.")
]
_Study = Annotated[str, typer.Option("--study", help="Id of the study, with --db.")]
_Who = Annotated[str, typer.Option("--as", help="Account that does it, with --db.")]
_Anchor = Annotated[
    Path | None, typer.Option("--anchor", help="Anchor file that is kept elsewhere, with --db.")
]
T = TypeVar("T")


def _audited(
    audit: tuple[str, str, str, Path | None],
    action: Action,
    kind: EventKind,
    work: Callable[[], tuple[T, Done]],
) -> T:
    """Do the work for the account of a study, which its audit keeps; without a database it is only done."""
    db, study, who, anchor = audit
    if not db:
        if study or who:
            raise StudyError("Import: expected --db with --study and --as, found none; name the database.")
        return work()[0]
    opened = open_database(db, create=False)
    try:
        desk = desk_for(opened, study, who, anchor)
        if desk is None:
            raise StudyError(
                f"Study {study}: expected one with a coordinator, found none; leave --db out: it keeps no audit."
            )
        return desk.permitted(action, kind, lambda _study: work())
    finally:
        opened.close()


def cases_command(
    source: Annotated[Path, typer.Argument(help="Folder, zip or manifest with the exams.")],
    store: Annotated[Path, typer.Option(help="Case folder of the study; made when missing.")],
    key: Annotated[
        Path | None, typer.Option(help="Key file, kept apart from the cases; made when missing.")
    ] = None,
    images_only: Annotated[
        bool, typer.Option("--images-only", help="Leave CAD reports, saved displays and key objects out.")
    ] = False,
    db: _Db = "",
    study: _Study = "",
    who: _Who = "",
    anchor: _Anchor = None,
) -> None:
    """De-identify exams (PS3.15 basic profile) and bring them into the case folder of a study."""
    secret = key or program_folders("keys").home / f"{store.resolve().name}.key"

    def work() -> tuple[tuple[ImportOutcome, CaseStore, Path, Path], Done]:
        cases = open_store(store)
        outcome = import_cases(
            source, cases, open_key(secret, away_from=store), images_only=images_only,
            linked=lambda rows: add_links(rows, link_path(secret)),
        )  # fmt: skip
        report = report_path(secret)
        write_report(outcome.rows, report)
        listed = write_protocol_cases(cases)
        facts = {"cases": len(cases.cases), "new": len(outcome.cases), "refused": outcome.count("refused")}
        return (outcome, cases, report, listed), Done(subject="case folder", new=facts)

    try:
        audit = (db, study, who, anchor)
        outcome, cases, report, listed = _audited(audit, Action.IMPORT_CASES, EventKind.CASES_IMPORTED, work)
    except UserFacingError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    for row in outcome.rows:
        if row.outcome == "refused" or "may contain text" in row.sentence:
            typer.echo(f"{row.outcome:10} {row.case_id:6} {row.sentence}")
    counts = ", ".join(
        f"{outcome.count(word)} {word}" for word in ("imported", "already there", "left out", "refused")
    )
    typer.echo(f"New cases: {len(outcome.cases)}, {len(cases.cases)} in all. Files: {counts}.")
    typer.echo(f"Cases for the protocol: {listed}")
    typer.echo(f"Every file: {report} (private)  Who is who: {link_path(secret)} (private)")
    typer.echo(
        f"Key: {secret}  Keep it apart from the cases and back it up: without it the same cases get other ids."
    )


def truth_command(
    truth: Annotated[
        Path, typer.Argument(metavar="TRUTH.csv", help="One row a lesion and image, or a breast.")
    ],
    store: Annotated[Path, typer.Option(help="Case folder of the study.")],
    out: Annotated[Path, typer.Option(help="Truth file to write; keep it away from readers.")],
    links: Annotated[
        Path | None, typer.Option(help="Table of cases and patients, where the file names patients.")
    ] = None,
    db: _Db = "",
    study: _Study = "",
    who: _Who = "",
    anchor: _Anchor = None,
) -> None:
    """Check the truth of a study's cases and keep it; nothing is written while one cell is wrong."""

    def work() -> tuple[tuple[CaseStore, TruthImport], Done]:
        cases = open_store(store)
        found = read_truth_csv(truth, cases, read_links(links) if links is not None else None)
        for problem in found.problems:
            typer.echo(problem, err=True)
        if found.problems:
            typer.echo(f"Cells to correct: {len(found.problems)}; nothing was written.", err=True)
            raise typer.Exit(2)
        write_truth(found.truths, out)
        facts = {"cases": len(cases.cases), "covered": len(found.truths)}
        return (cases, found), Done(subject=truth.name, new=facts)

    try:
        audit = (db, study, who, anchor)
        cases, found = _audited(audit, Action.IMPORT_TRUTH, EventKind.TRUTH_IMPORTED, work)
    except UserFacingError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    malignant = sum(one.malignant for one in found.truths)
    lesions = len({(one.case_id, lesion.lesion_id) for one in found.truths for lesion in one.lesions})
    typer.echo(
        f"{len(found.truths)} of {len(cases.cases)} cases, malignant {malignant}, lesions {lesions}: {out}"
    )
    if found.lacking:
        typer.echo(f"Without truth: {', '.join(found.lacking)}")
    if found.half:
        typer.echo(f"Breasts that nothing is said of: {', '.join(found.half)}")


def practice_truth_command(
    truth: Annotated[Path, typer.Argument(metavar="TRUTH.json", help="Truth file that import-truth wrote.")],
    db: Annotated[str, typer.Option(help="Database file or URL.")],
    study: Annotated[str, typer.Option(help="Study id.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write; otherwise where the reader's station looks.")
    ] = None,
) -> None:
    """Write the truth of practice cases, and of no other case, for feedback at the readers' stations."""
    try:
        opened = open_database(db, create=False)
        try:
            protocol = opened.study(study)
        finally:
            opened.close()
        place = out or folder_beside(db) / PRACTICE_TRUTH
        cases = cut_practice_truth(protocol, truth, place)
    except UserFacingError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    typer.echo(f"Practice cases with truth: {len(cases)} ({', '.join(cases)}): {place}")


def register(app: typer.Typer) -> None:
    """Add the commands to the group ``study`` that the study side registered before."""
    group = next(g.typer_instance for g in app.registered_groups if g.name == "study")
    assert group is not None
    group.command("import-cases")(cases_command)
    group.command("import-truth")(truth_command)
    group.command("practice-truth")(practice_truth_command)
