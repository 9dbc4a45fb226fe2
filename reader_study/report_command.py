"""The command ``negatoscope analyse``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reader_study.errors import StudyError


def analyse_command(
    source: Annotated[
        Path, typer.Argument(help="Export folder, or an iMRMC, RJafroc, MRMCaov or OR-DBM file.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for report.html and its CSV and SVG files.")] = Path(
        "report"
    ),
    truth: Annotated[
        Path | None, typer.Option(help="CSV with case_id and malignant; needed for an export folder.")
    ] = None,
    cut: Annotated[
        float | None, typer.Option(help="Rating from which a reading is positive; else no binary tables.")
    ] = None,
) -> None:
    """Analyse a reader study and write the report that goes into a paper."""
    from reader_study.report.make import write_report
    from reader_study.report.sources import inputs_of_export, inputs_of_file

    if source.is_dir():
        if truth is None:
            raise StudyError(
                f"{source}: expected --truth FILE beside an export folder, found none; name the table."
            )
        inputs = inputs_of_export(source, truth, cut=cut)
    else:
        inputs = inputs_of_file(source, cut=cut)
    files = write_report(inputs, out)
    typer.echo(f"{files[0]}: {len(files) - 1} tables and figures beside it")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("analyse")(analyse_command)
