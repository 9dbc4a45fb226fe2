"""The commands of the image side: infer, models, train, evaluate-phantoms, phantoms.

``register`` adds them to the program's own command line; ``python -m inference`` runs them alone.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from inference.batch.command import infer
from inference.datasets import commands as dataset_commands
from inference.evaluation import commands as evaluation_commands
from inference.registry import CALCIFICATION, CESM_CBAM, FOUR_VIEW, cards, family_of, load_card, why_not
from inference.training import four_view_cli
from resources.files import UserFacingError


def models() -> None:
    """List the models, and say of each whether it can run here."""
    for card in cards():
        reason = why_not(card)
        print(f"{card.model_id} {card.version}: {card.name}")
        print(f"  {reason or f'runs here on {_device()}'}")
        print(f"  {card.intended_use}")


def _device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def train(
    name: Annotated[
        str,
        typer.Argument(
            help="four-view, places, calcification-ensemble, cesm-cbam, dib-mg-folds (real images, figures only), or a "
            "recipe of another model: dib_mg_small, dib_mg_film, dib_mg_modern, dib_mg_paper."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run; a run found there is continued.")],
    cache: Annotated[Path, typer.Option(help="Folder for prepared phantoms.")] = Path("build/prepared"),
    model_folder: Annotated[Path | None, typer.Option(help="Write the packaged model here.")] = None,
    version: Annotated[str, typer.Option(help="Version for the packaged model's card.")] = "1.0.0",
    workers: Annotated[
        int, typer.Option(help="Processes that make phantoms, or read a manifest's images.")
    ] = 2,
    recipe_name: Annotated[
        str, typer.Option("--recipe", help="four-view: small, small-tune or paper.")
    ] = "small",
    manifest: Annotated[
        Path | None,
        typer.Option(help="four-view, cesm-cbam: images CSV; without it phantoms. places: real views."),
    ] = None,
    lesions: Annotated[
        Path | None, typer.Option(help="four-view, cesm-cbam: lesions CSV of the manifest.")
    ] = None,
    device: Annotated[str, typer.Option(help="four-view, dib_mg_*: cpu, cuda, cuda:N or auto.")] = "auto",
    steps: Annotated[int | None, typer.Option(help="four-view: steps instead of the recipe's.")] = None,
    member: Annotated[
        int | None,
        typer.Option(
            "--member",
            "--partition",
            help="four-view: random 80 % number 0, 1 or 2; calcification-ensemble: the member, 0 to 4.",
        ),
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="four-view: model id or folder, or weights, to go on from.")
    ] = None,
    unlabelled: Annotated[
        int | None,
        typer.Option(help="four-view: every so many steps learn from exams without truth; 0 = never."),
    ] = None,
    data: Annotated[str, typer.Option(help="What the manifest's images are, for the card.")] = "",
    licence: Annotated[str, typer.Option(help="Terms of the weights, for the card.")] = "",
    model_id: Annotated[str | None, typer.Option(help="Id for the card of a model of a manifest.")] = None,
    most_left_out: Annotated[
        float, typer.Option(help="Share of a manifest's exams that may be unreadable.", min=0, max=1)
    ] = 0.25,
) -> None:
    """Train a model on phantoms, or four-view and cesm-cbam on a manifest, then package it with a card."""
    if name == "four-view":
        from inference.training.four_view_command import TrainingOrder, train_and_package

        order = TrainingOrder(
            out=out,
            cache=cache,
            recipe=recipe_name,
            manifest=manifest,
            lesions=lesions,
            device=device,
            steps=steps,
            member=member,
            start=start,
            unlabelled=unlabelled,
            data=data,
            licence=licence,
            model_id=model_id,
            workers=workers,
            most_left_out=most_left_out,
        )
        print(f"model folder: {train_and_package(order, model_folder or out / 'model', version=version)}")
        return
    if name == "calcification-ensemble":
        from inference.training.calcification_command import EnsembleOrder
        from inference.training.calcification_command import train_and_package as train_members

        ensemble = EnsembleOrder(
            out=out,
            cache=cache,
            recipe=recipe_name,
            device=device,
            workers=workers,
            steps=steps,
            member=member,
        )
        print(f"model folder: {train_members(ensemble, model_folder or out / 'model', version=version)}")
        return
    if name == "dib-mg-folds":
        from inference.training.dib_mg_folds import cross_validate

        if manifest is None:
            raise typer.BadParameter("dib-mg-folds: expected --manifest, an images CSV; found none.")
        print(cross_validate(manifest, lesions, load_card("dib-mg").folder, out))
        return
    if name == "cesm-cbam":
        from inference.training.cesm_command import model_folder_of
        from inference.training.cesm_command import train_and_package as train_contrast
        from inference.training.cesm_recipe import CesmOrder

        folds = CesmOrder(
            out=out,
            cache=cache,
            recipe=recipe_name,
            device=device,
            epochs=steps,
            fold=member,
            workers=workers,
            manifest=manifest,
            lesions=lesions,
            data=data,
            licence=licence,
            model_id=model_id,
            most_left_out=most_left_out,
        )
        made = train_contrast(folds, model_folder or model_folder_of(folds), version=version)
        print(f"trained in {out}, no model to write" if made is None else f"model folder: {made}")
        return
    if name == "places":
        from inference.training.places import PAGE, real_images, train_places

        real = None if manifest is None else real_images(manifest)
        train_places(out, cache, workers=workers, real=real)
        print((out / PAGE).read_text(encoding="utf-8"))
        return
    from inference.device import chosen_device
    from inference.training.four_view_command import is_first_process
    from inference.training.loop import run_recipe
    from inference.training.packaging import package
    from inference.training.recipes import recipe

    chosen = recipe(name)
    best = run_recipe(chosen, out, cache, workers=workers, device=chosen_device(device))
    if not is_first_process():
        return
    target = model_folder or out / "model"
    package(chosen, best, target, version=version, validation_exams=chosen.validation_exams)
    print(f"model folder: {target}")


def evaluate_phantoms(
    model: Annotated[str, typer.Option(help="Model id or folder.")] = "dib-mg",
    exams: Annotated[int, typer.Option(help="Held-out phantoms.")] = 240,
    page: Annotated[Path | None, typer.Option(help="Write the model's page (Markdown) here.")] = None,
    films: Annotated[
        Path | None, typer.Option(help="Folder that datasets prepare wrote of a set of films.")
    ] = None,
    films_run: Annotated[
        Path | None, typer.Option(help="four-view: folder that infer --floor 0.01 wrote of these films.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="dib-mg: model folder of another recipe, measured beside it.")
    ] = None,
) -> None:
    """Measure a model on held-out phantoms, write the figures into its card, print its page."""
    from inference.training import four_view_measured, packaging

    card = load_card(model)
    if family_of(card) == FOUR_VIEW:
        text = four_view_measured.measured_page(
            card.folder, exams=exams, beside=page, films=films, films_run=films_run
        )
    elif family_of(card) == CALCIFICATION:
        from inference.training.calcification_command import measured_page

        text = measured_page(card.folder, views=exams, films=films)
    elif family_of(card) == CESM_CBAM:
        from inference.training import cesm_command

        text = cesm_command.measured_page(card.folder, exams=exams, real=films)
    else:
        text = packaging.measured_page(card.folder, exams=exams, beside=page, against=against, films=films)
    if page is not None:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    print(text)


def phantoms(
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    count: Annotated[int, typer.Option(help="Number of exams.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the first; the others follow.")] = 0,
    cesm: Annotated[bool, typer.Option("--cesm", help="Contrast exams.")] = False,
    pixel_mm: Annotated[float, typer.Option(help="Pixel size.")] = 0.1,
) -> None:
    """Write synthetic exams as DICOM with a manifest and the lesions' truth."""
    from inference.exam.phantom import PhantomSpec, phantom_exam
    from inference.exam.phantom_dicom import write_manifest

    made = []
    for number in range(seed, seed + count):
        exam = phantom_exam(PhantomSpec(seed=number, cesm=cesm, pixel_mm=pixel_mm))
        made.append(exam)
    print(f"{count} exams, manifest {write_manifest(made, out)}")


def register(app: typer.Typer) -> None:
    """Add the commands of this side to a command line."""
    app.command("infer")(infer)
    app.command("models")(models)
    app.command("train")(train)
    app.command("evaluate-phantoms")(evaluate_phantoms)
    app.command("phantoms")(phantoms)
    evaluation_commands.register(app)
    dataset_commands.register(app)
    four_view_cli.register(app)


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
    register(app)
    try:
        app(argv, standalone_mode=True)
    except UserFacingError as error:
        print(error)
        return 1
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
