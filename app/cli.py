"""The command line: demo, read, open, and the sub-commands of both siblings. Importing it imports the whole program."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

import inference.__main__
import reader_study.__main__
from app import crossover_command, doctor_command, import_commands, pacs_command
from app.report_edges import EDGES
from reader_study import report_command

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Negatoscope: mammography reading with a local AI, and reader studies. Research use only.",
)
inference.__main__.register(app)
reader_study.__main__.register(app)
report_command.register(app, EDGES)
import_commands.register(app)
crossover_command.register(app)
pacs_command.register(app)


def program_version() -> str:
    """Version of the installed package, or 'source'."""
    try:
        return version("negatoscope")
    except PackageNotFoundError:
        return "source"


doctor_command.register(app, program_version)


def command_line() -> Callable[[], object]:
    """Build all commands, which takes typer a while, and return what parses and runs ``sys.argv``."""
    # typer imports its converters with the first argument that it parses: better now than in the window's thread.
    warm = typer.Typer(add_completion=False)
    warm.command()(open_exams)
    typer.main.get_command(warm).make_context("open", ["."])
    return typer.main.get_command(app)


@app.command()
def demo(
    no_display: Annotated[
        bool, typer.Option("--no-display", help="Read the study unseen, with a simulated reader.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Throw the old demo away and make it again.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Where the unseen run leaves its files.")] = None,
) -> None:
    """Open the workstation on a ready study; without a screen, read it with a simulated reader."""
    from app import demo_run

    raise typer.Exit(demo_run.run(no_display=no_display, fresh=fresh, out=out, version=program_version()))


@app.command()
def read(
    database: Annotated[str, typer.Argument(help="SQLite file or database URL of the study.")],
    exams: Annotated[Path, typer.Option(help="Folder, zip or manifest with the study's exams.")],
    study: Annotated[str | None, typer.Option(help="Study id, when the database holds several.")] = None,
    anchor: Annotated[
        Path | None, typer.Option(help="Anchor file, kept elsewhere than the database.")
    ] = None,
    model: Annotated[str, typer.Option(help="Model card id or folder.")] = "dib-mg",
) -> None:
    """Open the workstation on a study."""
    from app import demo_run

    raise typer.Exit(
        demo_run.open_study(
            database=database, exams=exams, study=study, anchor=anchor, model=model, version=program_version()
        )
    )


@app.command()
def coordinate(
    database: Annotated[str, typer.Argument(help="SQLite file, made when missing, or database URL.")],
    study: Annotated[str | None, typer.Option(help="Study id, when the database holds several.")] = None,
    cases: Annotated[
        Path | None, typer.Option(help="Case folder; default beside the database, named after it.")
    ] = None,
    anchor: Annotated[
        Path | None, typer.Option(help="Anchor file, kept elsewhere than the database.")
    ] = None,
    model: Annotated[str, typer.Option(help="Model card id or folder.")] = "dib-mg",
) -> None:
    """Open the coordinator's area: design, cases, readers, monitor, lock, export, audit."""
    from app import demo_run

    raise typer.Exit(
        demo_run.coordinate(
            database=database, study=study, cases=cases, anchor=anchor, model=model, version=program_version()
        )
    )


@app.command()
def start() -> None:
    """Choose what to do: read the demo study, start a study, open exams."""
    from app import demo_run

    raise typer.Exit(demo_run.choose_and_run(version=program_version()))


@app.command(name="open")
def open_exams(
    path: Annotated[Path, typer.Argument(help="Folder, zip or manifest.")],
    model: Annotated[str, typer.Option(help="Model card id or folder.")] = "dib-mg",
) -> None:
    """Look at exams without a study."""
    from app import demo_run

    raise typer.Exit(demo_run.open_exams(path=path, model=model, version=program_version()))


@app.command()
def conformance(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the sheet as JSON and nothing else.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for conformance.md and conformance.json; default docs/.")
    ] = None,
    last: Annotated[
        bool, typer.Option("--last", help="Show the sheet written at release, run nothing.")
    ] = False,
) -> None:
    """Run the mammography checklist's tests; print and write the score sheet."""
    from app import conformance as sheet_of

    sheet = sheet_of.last_sheet() if last else sheet_of.score(sheet_of.checklist(), sheet_of.run_tests())
    if not last:
        folder = out or sheet_of.ROOT / "docs"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "conformance.md").write_text(sheet_of.as_page(sheet), encoding="utf-8")
        (folder / "conformance.json").write_text(sheet_of.as_json(sheet) + "\n", encoding="utf-8")
    if as_json:
        print(sheet_of.as_json(sheet))
        return
    for line in sheet:
        print(f"{line.id:7} {line.score}  {len(line.tests):2} tests  {line.requirement}")
        for sentence in line.missing:
            print(f"{'':12}missing: {sentence}")
    print(sheet_of.totals(sheet))
