"""The commands datasets list and datasets prepare. Owns arguments and output; each set is its own module's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_TOLD = 8  # reasons on screen; all are in skipped.csv


def list_datasets() -> None:
    """List the public sets that can be prepared, their layout and terms."""
    from inference.datasets.catalogue import DATASETS

    for entry in DATASETS.values():
        typer.echo(f"{entry.name}: {entry.title}")
        typer.echo(f"  holds {entry.layout}")
        typer.echo(f"  {entry.terms}")
        typer.echo(f"  {entry.source}")


def prepare_dataset(
    name: Annotated[str, typer.Argument(help="Name of the set: see datasets list.")],
    folder: Annotated[Path, typer.Argument(help="Folder with the set as it is published.")],
    out: Annotated[Path, typer.Option(help="Folder for images.csv, lesions.csv and skipped.csv.")],
    birads_as_pathology: Annotated[
        bool,
        typer.Option(
            "--birads-as-pathology",
            help="Where there is no biopsy: BI-RADS 1 is normal, 2 and 3 benign, 4 and above malignant.",
        ),
    ] = False,
) -> None:
    """Turn a public set on this disk into a manifest with its lesions."""
    from inference.datasets.catalogue import dataset
    from inference.datasets.layout import Choices, Shelf, write_tables

    chosen = dataset(name)
    shelf = Shelf(folder, out)
    prepared = chosen.prepare(folder, shelf, Choices(birads_as_pathology=birads_as_pathology))
    paths = write_tables(prepared, out)
    cases = len({image["case_id"] for image in prepared.images})
    typer.echo(f"{chosen.title}: {chosen.terms}")
    typer.echo(
        f"{len(prepared.images)} images of {cases} cases, {len(prepared.lesions)} lesions, "
        f"{len(prepared.skipped)} skipped: {paths['images']}"
    )
    if shelf.copied:
        typer.echo(f"{shelf.copied} images were copied: --out lies on another disk than the set.")
    if birads_as_pathology:
        typer.echo(
            "Pathology was taken from BI-RADS where there is no biopsy: it is an opinion, not a truth."
        )
    for sentence in prepared.notes:
        typer.echo(sentence)
    for what, why in prepared.skipped[:_TOLD]:
        typer.echo(f"skipped {what}: {why}")
    if len(prepared.skipped) > _TOLD:
        typer.echo(f"and {len(prepared.skipped) - _TOLD} more in {paths['skipped']}")
    if not prepared.images:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the group datasets to a command line."""
    group = typer.Typer(no_args_is_help=True, help="Public mammography sets.")
    group.command("list")(list_datasets)
    group.command("prepare")(prepare_dataset)
    app.add_typer(group, name="datasets")
