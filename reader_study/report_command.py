"""The commands ``negatoscope analyse`` and ``negatoscope plan``: options in, files or JSON out. No statistics here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reader_study.errors import StudyError
from reader_study.report.analysis import Choice, CovarianceName, Fom, Method, run
from reader_study.statistics.obuchowski_rockette import Claim

if TYPE_CHECKING:
    from reader_study.report.inputs import ReportInputs
    from reader_study.report.page import Report
    from reader_study.report.planning_grid import Plan
    from reader_study.report.sources import StudyTruth


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """What the program around the study side lends to the report: a printer, and pictures of cases.

    Attributes
    ----------
    pdf
        writes a report as PDF; None = this program cannot.
    pictures
        (inputs, export folder, folder of the exams) -> case -> JPEG of its views with lesion and marks.
    """

    pdf: Callable[[Report, Path], Path] | None = None
    pictures: Callable[[ReportInputs, Path, Path], Mapping[str, bytes]] | None = None


def analyse_command(
    ctx: typer.Context,
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
    first: Annotated[
        str | None,
        typer.Option(
            help="Arm that differences are taken of (first minus second); default aided, or the file's first."
        ),
    ] = None,
    bootstrap: Annotated[int, typer.Option(help="Bootstrap replicates beside the formulae; 0 = none.")] = 0,
    groups: Annotated[
        Path | None, typer.Option(help="CSV with reader_id and group (senior, junior).")
    ] = None,
    ai_cut: Annotated[float | None, typer.Option(help="Score from which the AI alone is positive.")] = None,
    exams: Annotated[
        Path | None, typer.Option(help="Folder with the study's exams: pictures of the cases read wrongly.")
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Write report.pdf beside report.html.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the analysis as one JSON object and write nothing.")
    ] = False,
) -> None:
    """Analyse a reader study and write the report that goes into a paper."""
    from reader_study.report.make import make_report
    from reader_study.report.page import write

    edges = ctx.obj if isinstance(ctx.obj, Edges) else Edges()
    inputs = replace(
        _inputs(source, truth, groups, cut), claim=claim, margin=margin, bootstrap=bootstrap, standalone_cut=ai_cut
    )  # fmt: skip
    if first is not None:
        from reader_study.report.file_order import with_first_arm

        inputs = with_first_arm(inputs, first)
    choice = Choice(fom=fom, method=method, covariance=cov, cut=cut)
    if as_json:
        typer.echo(json.dumps(run(inputs, choice).as_json(), indent=2, ensure_ascii=False))
        return
    if exams is not None:
        inputs = _with_pictures(inputs, source, exams, edges)
    report = make_report(inputs, choice)
    files = write(report, out)
    typer.echo(f"{files[0]}: {len(files) - 1} tables and figures beside it")
    if pdf and edges.pdf is None:
        raise StudyError("--pdf: expected the workstation's program, found the study commands alone; run `negatoscope analyse`.")  # fmt: skip
    if pdf and edges.pdf is not None:
        typer.echo(str(edges.pdf(report, out / "report.pdf")))


def _with_pictures(inputs: ReportInputs, source: Path, exams: Path, edges: Edges) -> ReportInputs:
    if edges.pictures is None or not source.is_dir():
        raise StudyError("--exams: expected an export folder and the workstation's program, found another; leave --exams out.")  # fmt: skip
    return replace(inputs, pictures=edges.pictures(inputs, source, exams))


def _inputs(source: Path, truth: Path | None, groups: Path | None, cut: float | None) -> ReportInputs:
    from reader_study.report.sources import inputs_of_export, inputs_of_file

    if not source.is_dir():
        return inputs_of_file(source, cut=cut)
    if truth is None and (source / "truth.csv").is_file():
        truth = source / "truth.csv"
    if truth is None:
        raise StudyError(f"{source}: expected --truth FILE beside an export folder, found none; name the table.")  # fmt: skip
    known = truth if truth.suffix.lower() != ".json" else _truth_of_json(truth)
    return inputs_of_export(source, known, cut=cut, groups=groups)


def _truth_of_json(path: Path) -> StudyTruth:
    """A truth file with lesions; a lesion's circle is taken as its box."""
    from reader_study.domain.truth import read_truth
    from reader_study.report.lesion_places import TypedOutline
    from reader_study.report.sources import StudyTruth
    from reader_study.statistics.localisation import Outline

    found = read_truth(path)
    lesions = []
    for case in found:
        for one in case.lesions:
            spacing = one.spacing_mm or (0.07, 0.07)
            reach = ((one.radius_mm or 5.0) / spacing[0], (one.radius_mm or 5.0) / spacing[1])
            box = (one.row - reach[0], one.col - reach[1], one.row + reach[0], one.col + reach[1])
            outline = Outline(case=case.case_id, lesion=one.lesion_id, view=one.image_key, box=box, spacing_mm=spacing, contour=one.contour)  # fmt: skip
            lesions.append(TypedOutline(outline=outline, finding=one.finding.value, malignant=one.malignant, spacing_known=one.spacing_mm is not None))  # fmt: skip
    return StudyTruth(malignant={case.case_id: case.malignant for case in found}, lesions=tuple(lesions))


class Who(StrEnum):
    """To whom a result speaks, in the short names of the MRMC programs."""

    RRRC = "RRRC"
    FRRC = "FRRC"
    RRFC = "RRFC"


def plan_command(
    pilot: Annotated[
        Path | None, typer.Argument(help="Pilot study: iMRMC, RJafroc, MRMCaov or OR-DBM file.")
    ] = None,
    components: Annotated[
        str | None,
        typer.Option(help="Instead of a file: arm-x-reader,error,Cov1,Cov2,Cov3,cases-of-the-pilot."),
    ] = None,
    readers: Annotated[int, typer.Option(help="Readers planned.")] = 10,
    cases: Annotated[int, typer.Option(help="Cases planned.")] = 200,
    effect: Annotated[
        float | None, typer.Option(help="True difference to show; default the pilot's own.")
    ] = None,
    alpha: Annotated[float, typer.Option(help="Two-sided level; a claim is tested at half of it.")] = 0.05,
    wanted: Annotated[float, typer.Option("--power", help="Power to reach.")] = 0.8,
    generalise: Annotated[Who, typer.Option(help="Random (R) or fixed (F) readers and cases.")] = Who.RRRC,
    claim: Annotated[
        Claim | None, typer.Option(help="Superiority or non-inferiority; else a difference.")
    ] = None,
    margin: Annotated[float, typer.Option(help="Margin of non-inferiority.")] = 0.0,
    fom: Annotated[Fom | None, typer.Option(help="Figure of merit of the pilot.")] = None,
    cut: Annotated[float | None, typer.Option(help="Cut-off, for sensitivity or specificity.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for power.csv and power.svg.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Power and sample size of a reader study (Hillis and Obuchowski)."""
    from reader_study.report.analysis import SHORT
    from reader_study.report.planning_grid import PlanRequest, parse_components, pilot_of_file, plan

    if (pilot is None) == (components is None):
        raise StudyError(
            "Plan: expected either a pilot file or --components, found both or neither; give one."
        )
    if pilot is not None:
        parts, own, said = pilot_of_file(pilot, fom, cut=cut)
    else:
        parts, own, said = parse_components(components or ""), 0.0, ""
    if effect is None and pilot is None:
        raise StudyError("Plan: expected --effect, the true difference to show, found none; name it.")
    request = PlanRequest(
        pilot=parts, effect=own if effect is None else effect, readers=readers, cases=cases, alpha=alpha, claim=claim, margin=margin,
        generalise=next(g for g, name in SHORT.items() if name == generalise.value), wanted=wanted,
    )  # fmt: skip
    found = plan(request)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        for line in (*([said] if said else []), *found.sentences()):
            typer.echo(line)
        for row in found.rows():
            typer.echo("  ".join(f"{cell:>7}" for cell in row))
    if out is not None:
        _write_plan(found, out)


def _write_plan(found: Plan, out: Path) -> None:
    import csv

    from reader_study.report.comparison_figures import power_figure

    out.mkdir(parents=True, exist_ok=True)
    with (out / "power.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(found.rows())
    curves = list(zip(found.grid_readers, found.table, strict=True))
    r = found.request
    drawn = power_figure(found.grid_cases, curves, wanted=r.wanted, chosen=(r.cases, found.power.power))
    (out / "power.svg").write_text(drawn.svg, encoding="utf-8")
    typer.echo(str(out / "power.csv"))


def validate_command(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with vandyke.csv and the other data; default NEGATOSCOPE_DATA/mrmc."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """Recompute the reference programs' results and print expected, actual, difference and verdict; exit 1 on any miss."""
    import os

    from reader_study.report.validation import validate

    folder = data or Path(os.environ.get("NEGATOSCOPE_DATA", "../shared/data")) / "mrmc"
    rows = list(validate(folder))
    if as_json:
        found = [{"name": r.name, "reference": r.reference, "expected": r.expected, "actual": r.actual,
                  "difference": r.difference, "tolerance": r.tolerance, "passed": r.passed} for r in rows]  # fmt: skip
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        typer.echo(
            f"{'what':46} {'reference':14} {'expected':>16} {'actual':>16} {'difference':>11}  verdict"
        )
        for r in rows:
            typer.echo(f"{r.name[:46]:46} {r.reference:14} {r.expected:16.9g} {r.actual:16.9g} {r.difference:11.2e}  {'ok' if r.passed else 'DIFFERS'}")  # fmt: skip
    missed = sum(not r.passed for r in rows)
    if not as_json:
        typer.echo(f"{len(rows)} numbers, {missed} differ")
    raise typer.Exit(1 if missed else 0)


def register(app: typer.Typer, edges: Edges | None = None) -> None:
    """Add the commands to the program; ``edges`` is what the program can do beyond the study side."""
    app.command("analyse", context_settings={"obj": edges or Edges()})(analyse_command)
    app.command("plan")(plan_command)
    app.command("validate-statistics")(validate_command)
