"""The commands `doctor` and `settings export|import`, and the list of checks that both the command and the screen run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from app import doctor_data, doctor_program, doctor_station
from app.doctor import Check, HealthReport, Told, Verdict, as_json, as_text, examine
from app.files import program_folders
from app.language import language_setting
from app.settings_bundle import Carried, export_settings, import_settings
from reader_study.clock import SystemClock
from resources.translation import chosen_language, translate, use

URL_VARIABLE = "NEGATOSCOPE_DATABASE"  # a URL with a password does not belong on a command line


def _tr(text: str) -> str:
    return translate("doctor", text)


def checks(program: str, *, databases: Sequence[str] = ()) -> tuple[tuple[str, str, Check], ...]:
    """Return every check in the order of the report: area, title, function."""
    return (
        ("versions", _tr("Versions"), lambda: doctor_program.versions(program)),
        ("codecs", _tr("Codecs"), doctor_program.codecs),
        ("models", _tr("Models"), doctor_program.models),
        ("gpu", _tr("AI device"), doctor_program.gpu),
        ("display", _tr("Display"), doctor_station.display),
        ("memory", _tr("Memory"), doctor_station.memory),
        ("disk", _tr("Disk"), lambda: doctor_station.disk(program_folders("demo").home)),
        ("clocks", _tr("Clocks"), doctor_station.clocks),
        ("database", _tr("Database"), lambda: doctor_data.databases(databases)),
        ("settings", _tr("Settings"), doctor_data.settings),
        ("logs", _tr("Logs"), doctor_data.logs),
        ("pacs", "PACS", doctor_data.pacs),
    )


def health_report(
    program: str, *, databases: Sequence[str] = (), told: Told = lambda _f, _t: None
) -> HealthReport:
    """Run all checks of this station; takes some seconds, most of them for torch."""
    return examine(
        checks(program, databases=databases),
        program=f"Negatoscope {program}",
        made_utc=SystemClock().utc_now(),
        told=told,
    )


def register(app: typer.Typer, program_version: Callable[[], str]) -> None:
    """Add the commands."""

    @app.command()
    def doctor(
        as_json_: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
        database: Annotated[
            list[str] | None, typer.Option(help="Also look at this study database (file or URL); repeatable.")
        ] = None,
    ) -> None:
        """Check this installation; each line with a remedy. Exit code 0 in order, 1 with a fault."""
        use(chosen_language(language_setting()))
        named = [*(database or ()), *filter(None, [os.environ.get(URL_VARIABLE)])]
        report = health_report(program_version(), databases=named)
        typer.echo(as_json(report) if as_json_ else as_text(report))
        raise typer.Exit(1 if report.verdict is Verdict.FAULT else 0)

    group = typer.Typer(no_args_is_help=True, help="Carry this user's settings to another station.")
    app.add_typer(group, name="settings")

    @group.command("export")
    def export_(file: Annotated[Path, typer.Argument(help="A new file (JSON).")]) -> None:
        """Write preferences, monitors' records, keys, hanging protocols and PACS connections; no passwords."""
        _say(_tr("Written to {0}").format(file), export_settings(file))

    @group.command("import")
    def import_(file: Annotated[Path, typer.Argument(help="A file that ``settings export`` wrote.")]) -> None:
        """Take exported settings in; a file with a fault changes nothing."""
        _say(_tr("Taken in from {0}").format(file), import_settings(file))


def _say(what: str, carried: Carried) -> None:
    words = _tr("{0}: {1} monitors, {2} hanging protocols, {3} PACS connections; no passwords.")
    typer.echo(words.format(what, carried.monitors, carried.hanging_protocols, carried.pacs_connections))
