"""The commands evaluate, compare and calibrate. Owns arguments and output; figures are its neighbours'.

What the figures need is imported when a command runs, so that the program's start does not wait for it.
"""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from inference.evaluation.figures import ROUNDS
from resources.vocabulary import ImageKind


class Negatives(StrEnum):
    """Which breasts are negative."""

    ALL = "all"
    NORMAL = "normal"


class Targets(StrEnum):
    """Which lesions FROC asks to be found."""

    ALL = "all"
    MALIGNANT = "malignant"


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
    rounds: RoundsOption = ROUNDS,
    seed: SeedOption = 0,
) -> None:
    """Judge a run of infer against the truth of a manifest: AUC, FROC, pointing game, Dice, thresholds, strata."""
    from rich.console import Console

    from inference.evaluation.report import Question, evaluate
    from inference.evaluation.tables import markdown, print_sheets, sheets_of

    report = evaluate(
        Question(
            manifest=manifest,
            run=run,
            lesions=lesions,
            negatives=negatives.value,
            malignant_lesions_only=targets is Targets.MALIGNANT,
            kinds=tuple(kind or ()),
            split=split,
            thresholds_run=thresholds_from,
            thresholds_manifest=thresholds_manifest,
            thresholds_split=thresholds_split,
            rounds=rounds,
            seed=seed,
        )
    )
    sheets = sheets_of(report)
    if markdown_page is not None:
        command = _typed("evaluate")
        _write(
            markdown_page,
            markdown(f"Evaluation of {run.name} on {manifest.name}", command, sheets, report["warnings"]),
        )
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return
    print_sheets(sheets, report["warnings"], Console())


def _typed(command: str) -> str:
    """The command line of this process from the command's name on."""
    from inference.evaluation.tables import command_line

    words = sys.argv[1:]
    return command_line(command, words[words.index(command) + 1 :] if command in words else ())


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(
            f"{path}: expected a file that can be written, found {error.strerror}."
        ) from error


def register(app: typer.Typer) -> None:
    """Add the commands of the evaluation to a command line."""
    app.command("evaluate")(evaluate_run)
