"""The commands evaluate, compare and calibrate. Owns arguments and output; figures are its neighbours'.

What the figures need is imported when a command runs, so that the program's start does not wait for it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inference.evaluation import ROUNDS, strata_command
from resources.vocabulary import ImageKind

if TYPE_CHECKING:
    from inference.evaluation.report import Question


class Negatives(StrEnum):
    """Which breasts are negative."""

    ALL = "all"
    NORMAL = "normal"


class Targets(StrEnum):
    """Which lesions FROC asks to be found."""

    ALL = "all"
    MALIGNANT = "malignant"


class Level(StrEnum):
    """What a score is of."""

    VIEW = "view"
    BREAST = "breast"
    EXAM = "exam"
    LESION = "lesion"


ManifestArgument = Annotated[Path, typer.Argument(help="Images CSV with the truth.", metavar="MANIFEST.csv")]
LesionsOption = Annotated[Path | None, typer.Option(help="Lesions CSV; without it places are not judged.")]
NegativesOption = Annotated[
    Negatives, typer.Option(help="all = normal and benign are negative; normal = benign is left out.")
]
TargetsOption = Annotated[
    Targets, typer.Option(help="Lesions that FROC asks for; malignant = marks on benign ones are false.")
]
KindOption = Annotated[list[ImageKind] | None, typer.Option(help="Only images of this kind; repeatable.")]
SplitOption = Annotated[str | None, typer.Option(help="Only images whose column split says this.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the report as JSON and nothing else.")]
MarkdownOption = Annotated[Path | None, typer.Option(help="Also write the tables as a Markdown page here.")]
RoundsOption = Annotated[int, typer.Option(help="Draws of the bootstrap over patients.", min=10)]
SeedOption = Annotated[int, typer.Option(help="Seed of the bootstrap.")]


def evaluate_run(
    manifest: ManifestArgument,
    run: Annotated[Path, typer.Option(help="Folder that infer wrote.")],
    lesions: LesionsOption = None,
    negatives: NegativesOption = Negatives.ALL,
    targets: TargetsOption = Targets.ALL,
    kind: KindOption = None,
    split: SplitOption = None,
    thresholds_from: Annotated[
        Path | None,
        typer.Option(help="Run folder on other data, to find thresholds on (Youden and two more)."),
    ] = None,
    thresholds_manifest: Annotated[
        Path | None, typer.Option(help="Images CSV of that run; left out = this one.")
    ] = None,
    thresholds_split: Annotated[str | None, typer.Option(help="Split of that images CSV.")] = None,
    as_json: JsonOption = False,
    markdown_page: Annotated[
        Path | None, typer.Option("--markdown", help="Also write the tables here.")
    ] = None,
    roc: Annotated[
        Path | None, typer.Option(help="Draw the ROC curves here (PNG), and dark ones beside them.")
    ] = None,
    rounds: RoundsOption = ROUNDS,
    seed: SeedOption = 0,
) -> None:
    """Judge a run of infer against the truth of a manifest: AUC, FROC, pointing game, Dice, thresholds, strata."""
    from rich.console import Console

    from inference.evaluation.report import evaluate
    from inference.evaluation.tables import markdown, print_sheets, sheets_of, write_page

    question = replace(
        _question(manifest, run, lesions, negatives, targets, kind, split, rounds, seed),
        thresholds_run=thresholds_from,
        thresholds_manifest=thresholds_manifest,
        thresholds_split=thresholds_split,
    )
    report = evaluate(question)
    if roc is not None:
        from inference.evaluation.roc import roc_of_run

        roc_of_run(question, roc)
    sheets = sheets_of(report)
    if markdown_page is not None:
        command = _typed("evaluate")
        write_page(
            markdown_page,
            markdown(f"Evaluation of {run.name} on {manifest.name}", command, sheets, report["warnings"]),
        )
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return
    print_sheets(sheets, report["warnings"], Console())


def compare_runs(
    run_a: Annotated[Path, typer.Argument(help="Folder of the first run, e.g. the full model.")],
    run_b: Annotated[Path, typer.Argument(help="Folder of the second run.")],
    manifest: ManifestArgument,
    lesions: LesionsOption = None,
    also: Annotated[
        list[Path] | None, typer.Option(help="Further runs against the first, for a table of ablations.")
    ] = None,
    rate: Annotated[str, typer.Option(help="False positives per image of that table.")] = "0.2",
    negatives: NegativesOption = Negatives.ALL,
    targets: TargetsOption = Targets.ALL,
    kind: KindOption = None,
    split: SplitOption = None,
    as_json: JsonOption = False,
    markdown_page: Annotated[
        Path | None, typer.Option("--markdown", help="Also write the tables here.")
    ] = None,
    rounds: RoundsOption = ROUNDS,
    seed: SeedOption = 0,
) -> None:
    """Compare two runs on the same images: AUC by DeLong's paired test, FROC by a paired bootstrap."""
    from rich.console import Console

    from inference.evaluation.compare import ablation_sheet, compare, comparison_sheets
    from inference.evaluation.tables import markdown, print_sheets, write_page

    question = _question(manifest, run_a, lesions, negatives, targets, kind, split, rounds, seed)
    report = compare(question, run_b)
    names = (run_a.name, run_b.name) if run_a.name != run_b.name else ("A", "B")
    sheets = comparison_sheets(report, names)
    if also:
        runs = [(path.name, path) for path in (run_a, run_b, *also)]
        table = ablation_sheet(question, runs, rate)
        sheets.insert(0, table)
        report["ablation"] = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    if markdown_page is not None:
        title = f"{names[0]} against {names[1]} on {manifest.name}"
        write_page(markdown_page, markdown(title, _typed("compare"), sheets, report["warnings"]))
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return
    print_sheets(sheets, report["warnings"], Console())


def calibrate_run(
    manifest: ManifestArgument,
    run: Annotated[Path, typer.Option(help="Folder that infer wrote, on data set aside for this.")],
    lesions: LesionsOption = None,
    level: Annotated[Level, typer.Option(help="Whose scores.")] = Level.EXAM,
    split: SplitOption = None,
    plot: Annotated[
        Path | None, typer.Option(help="Write the reliability plot here (PNG), and a dark one beside it.")
    ] = None,
    as_json: JsonOption = False,
    seed: SeedOption = 0,
) -> None:
    """Choose temperature, Platt or isotonic calibration on held-out patients and draw the reliability plot."""
    from inference.evaluation.calibrate import calibrate_scores

    report = calibrate_scores(manifest, run, lesions, level=level.value, split=split, plot=plot, seed=seed)
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return
    for method, figures in report["held_out"].items():
        told = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        typer.echo(f"{'*' if method == report['chosen']['method'] else ' '} {method}: {told}")
    typer.echo(f"chosen on {report['n_pos']} malignant and {report['n_neg']} other: {report['chosen']}")
    for sentence in (*report["plots"], *report["warnings"]):
        typer.echo(f"- {sentence}")


def _question(
    manifest: Path,
    run: Path,
    lesions: Path | None,
    negatives: Negatives,
    targets: Targets,
    kind: list[ImageKind] | None,
    split: str | None,
    rounds: int,
    seed: int,
) -> Question:
    """What the options that evaluate and compare share ask."""
    from inference.evaluation.report import Question

    return Question(
        manifest=manifest,
        run=run,
        lesions=lesions,
        negatives=negatives.value,
        malignant_lesions_only=targets is Targets.MALIGNANT,
        kinds=tuple(kind or ()),
        split=split,
        rounds=rounds,
        seed=seed,
    )


def _typed(command: str) -> str:
    """The command line of this process from the command's name on."""
    from inference.evaluation.tables import command_line

    words = sys.argv[1:]
    return command_line(command, words[words.index(command) + 1 :] if command in words else ())


def register(app: typer.Typer) -> None:
    """Add the commands of the evaluation to a command line."""
    app.command("evaluate")(evaluate_run)
    app.command("compare")(compare_runs)
    app.command("calibrate")(calibrate_run)
    strata_command.register(app)
