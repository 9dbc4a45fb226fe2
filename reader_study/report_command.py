"""The commands ``negatoscope analyse`` and ``negatoscope plan``: options in, files or JSON out. No statistics here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reader_study.errors import StudyError
from reader_study.report.analysis import Choice, CovarianceName, Fom, Method, run
from reader_study.statistics.obuchowski_rockette import Claim

if TYPE_CHECKING:
    from reader_study.report.inputs import ReportInputs


def analyse_command(
    source: Annotated[
        Path, typer.Argument(help="Export folder, or an iMRMC, RJafroc, MRMCaov or OR-DBM file.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for report.html and its CSV and SVG files.")] = Path(
        "report"
    ),
    truth: Annotated[
        Path | None,
        typer.Option(
            help="CSV with case_id, malignant and any strata, or a truth file; needed for an export folder."
        ),
    ] = None,
    cut: Annotated[
        float | None, typer.Option(help="Rating from which a reading is positive; else no binary tables.")
    ] = None,
    fom: Annotated[
        Fom | None, typer.Option(help="Figure of merit; default AUC of ratings, wAFROC of marks.")
    ] = None,
    method: Annotated[Method, typer.Option(help="Obuchowski-Rockette, DBM or U-statistics.")] = Method.OR,
    cov: Annotated[CovarianceName, typer.Option(help="Covariance over cases.")] = CovarianceName.JACKKNIFE,
    claim: Annotated[
        Claim | None, typer.Option(help="Claim of the protocol about first arm minus second.")
    ] = None,
    margin: Annotated[
        float, typer.Option(help="Margin of non-inferiority, in units of the figure of merit.")
    ] = 0.0,
    bootstrap: Annotated[int, typer.Option(help="Bootstrap replicates beside the formulae; 0 = none.")] = 0,
    groups: Annotated[
        Path | None, typer.Option(help="CSV with reader_id and group (senior, junior).")
    ] = None,
    ai_cut: Annotated[float | None, typer.Option(help="Score from which the AI alone is positive.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the analysis as one JSON object and write nothing.")
    ] = False,
) -> None:
    """Analyse a reader study and write the report that goes into a paper."""
    from reader_study.report.make import write_report

    inputs = replace(
        _inputs(source, truth, groups, cut), claim=claim, margin=margin, bootstrap=bootstrap, standalone_cut=ai_cut
    )  # fmt: skip
    choice = Choice(fom=fom, method=method, covariance=cov, cut=cut)
    if as_json:
        typer.echo(json.dumps(run(inputs, choice).as_json(), indent=2, ensure_ascii=False))
        return
    files = write_report(inputs, out, choice)
    typer.echo(f"{files[0]}: {len(files) - 1} tables and figures beside it")


def _inputs(source: Path, truth: Path | None, groups: Path | None, cut: float | None) -> ReportInputs:
    from reader_study.report.sources import inputs_of_export, inputs_of_file

    if not source.is_dir():
        return inputs_of_file(source, cut=cut)
    if truth is None:
        raise StudyError(f"{source}: expected --truth FILE beside an export folder, found none; name the table.")  # fmt: skip
    return inputs_of_export(source, truth, cut=cut, groups=groups)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("analyse")(analyse_command)
