"""Commands about trained four-view detectors beside ``train``: ensemble, cross-validate, measure-flips.

Words in, sentences out; the work is ``four_view_command``'s, ``four_view_folds``' and ``four_view_trials``'.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inference.registry import load_card


def ensemble(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, one for each --partition.")],
    model_folder: Annotated[Path, typer.Option(help="Write the packaged model here.")],
    version: Annotated[str, typer.Option(help="Version for the card.")] = "1.0.0",
    model_id: Annotated[str | None, typer.Option(help="Id for the card.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="Images CSV that the runs learnt from.")] = None,
    lesions: Annotated[Path | None, typer.Option(help="Lesions CSV of the manifest.")] = None,
    cache: Annotated[Path, typer.Option(help="Folder for prepared exams.")] = Path("build/prepared"),
) -> None:
    """Package several four-view runs as one model whose answer is the mean of theirs."""
    from inference.training.four_view_command import TrainingOrder
    from inference.training.four_view_command import ensemble as joined

    order = TrainingOrder(
        out=model_folder, cache=cache, manifest=manifest, lesions=lesions, model_id=model_id
    )
    typer.echo(f"model folder: {joined(runs, model_folder, version=version, order=order)}")


def cross_validate(
    manifest: Annotated[Path, typer.Argument(help="Images CSV.")],
    lesions: Annotated[Path, typer.Option(help="Lesions CSV of the manifest.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs; those found there are continued.")],
    start: Annotated[str, typer.Option(help="Model to go on from, by id or folder.")] = "four-view-detector",
    recipe_name: Annotated[str, typer.Option("--recipe", help="Recipe of each run.")] = "small-tune",
    folds: Annotated[int, typer.Option(help="Parts of the women.", min=2)] = 2,
    steps: Annotated[int | None, typer.Option(help="Steps instead of the recipe's.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N or auto.")] = "auto",
    data: Annotated[str, typer.Option(help="What the images are.")] = "",
    licence: Annotated[str, typer.Option(help="Their terms.")] = "",
    cache: Annotated[Path, typer.Option(help="Folder for prepared exams.")] = Path("build/prepared"),
    card: Annotated[bool, typer.Option(help="Write the figures into the card of the start model.")] = False,
) -> None:
    """Train a four-view detector on parts of a set by woman, judged on the rest beside the model untouched."""
    from inference.training.four_view_command import TrainingOrder
    from inference.training.four_view_folds import cross_validated, note_fine_tuned

    order = TrainingOrder(
        out=out, cache=cache, recipe=recipe_name, manifest=manifest, lesions=lesions, device=device,
        steps=steps, start=start, data=data, licence=licence,
    )  # fmt: skip
    found = cross_validated(order, folds)
    for rate, (tuned, plain) in found["at"].items():
        typer.echo(
            f"at {rate} false marks per image: untouched {plain['value']:.3f}, fine-tuned {tuned['value']:.3f}, "
            f"difference {tuned['difference']:+.3f} ({tuned['lo']:+.3f} to {tuned['hi']:+.3f})"
        )
    if card:
        note_fine_tuned(load_card(start).folder, data or manifest.parent.name, found)


def measure_flips(
    model: Annotated[str, typer.Option(help="Model id or folder.")] = "four-view-detector",
    exams: Annotated[int, typer.Option(help="Phantoms.")] = 30,
) -> None:
    """Measure what test-time flips bring and cost a four-view detector, and write it into its card."""
    from inference.training.four_view_trials import measured_flips

    found = measured_flips(load_card(model).folder, exams=exams)
    for row in found["compared"]:
        typer.echo(f"{row['name']}: {row['value']:.3f}, difference {row['difference']:+.3f}")


def register(app: typer.Typer) -> None:
    """Add the commands to a command line."""
    app.command("ensemble")(ensemble)
    app.command("cross-validate")(cross_validate)
    app.command("measure-flips")(measure_flips)
