"""The command ``negatoscope demo-study``: runs the crossover demo and prints each claim with its evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resources.files import UserFacingError


def demo_study_command(
    out: Annotated[Path, typer.Option(help="A new folder for protocol, database, exports and report.")],
    screens: Annotated[
        bool,
        typer.Option(
            "--screens",
            help="Watch, lock, export and verify in the coordinator's windows, unseen; with pictures.",
        ),
    ] = False,
) -> None:
    """Run a whole study with simulated readers: 10 readers, 60 cases, crossover, from YAML to exports. Exit 1 if a claim fails."""
    from app import crossover_demo as demo
    from app.crossover_checks import checks, write_summary

    try:
        run = demo.begin(out, typer.echo)
    except UserFacingError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    try:
        demo.first_period(run)
        early = demo.come_too_early(run)
        if screens:
            from app.crossover_windows import finish_in_windows, override_in_windows

            override_in_windows(run, early)
            demo.second_period(run)
            for shot in finish_in_windows(run):
                typer.echo(f"picture: {shot}")
        else:
            demo.override(run, early)
            demo.second_period(run)
            demo.finish(run)
        found = checks(run)
    finally:
        run.close()
    write_summary(found, out / "summary.md")
    typer.echo("Synthetic women, simulated readers and AI scores. Research use only.")
    for one in found:
        typer.echo(f"{'ok    ' if one.ok else 'FAILED'}  {one.claim}\n        {one.evidence}")
    failed = sum(not one.ok for one in found)
    typer.echo(f"{len(found) - failed} of {len(found)} claims hold; summary: {out / 'summary.md'}")
    typer.echo(f"To look: negatoscope coordinate {run.database} --anchor {run.anchor}   (coordinator, demo)")
    raise typer.Exit(1 if failed else 0)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("demo-study")(demo_study_command)
