"""The command strata: sensitivity and specificity of a run by stratum, with tests. Owns arguments and output."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class CaseLevel(StrEnum):
    """What one case is."""

    VIEW = "view"
    BREAST = "breast"
    EXAM = "exam"


def strata_run(
    manifest: Annotated[Path, typer.Argument(help="Images CSV with the truth.", metavar="MANIFEST.csv")],
    run: Annotated[Path, typer.Option(help="Folder that infer wrote.")],
    lesions: Annotated[Path | None, typer.Option(help="Lesions CSV; without it no type and size.")] = None,
    level: Annotated[CaseLevel, typer.Option(help="What one case is.")] = CaseLevel.EXAM,
    threshold: Annotated[
        float, typer.Option(help="Scores from here on are called cancer.", min=0, max=1)
    ] = 0.5,
    normal_only: Annotated[bool, typer.Option("--normal-only", help="Leave benign cases out.")] = False,
    split: Annotated[str | None, typer.Option(help="Only images whose column split says this.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON and nothing else.")
    ] = False,
    markdown_page: Annotated[
        Path | None, typer.Option("--markdown", help="Also write the tables as a Markdown page here.")
    ] = None,
) -> None:
    """Sensitivity and specificity of a run by age, manufacturer, density, type, invasiveness and size, with tests."""
    from rich.console import Console

    from inference.evaluation.strata_cases import strata_of_run, strata_sheets
    from inference.evaluation.tables import command_line, markdown, print_sheets, write_page

    report = strata_of_run(
        manifest,
        run,
        lesions,
        level=level.value,
        threshold=threshold,
        negatives="normal" if normal_only else "all",
        split=split,
    )
    sheets = strata_sheets(report["strata"])
    title = (
        f"Strata of {run.name} on {manifest.name}: {report['n_pos']} with cancer, {report['n_neg']} without"
    )
    if markdown_page is not None:
        words = sys.argv[1:]
        command = command_line("strata", words[words.index("strata") + 1 :] if "strata" in words else ())
        write_page(markdown_page, markdown(title, command, sheets, report["warnings"]))
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return
    print_sheets(sheets, report["warnings"], Console())


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("strata")(strata_run)
