"""The commands of the image side: infer, models, train, evaluate-phantoms, phantoms.

``register`` adds them to the program's own command line; ``python -m inference`` runs them alone.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from inference.datasets import commands as dataset_commands
from inference.device import chosen_device
from inference.evaluation import commands as evaluation_commands
from inference.exam.manifest import ManifestLesion, exams_of, load_case, read_lesion_table, read_manifest
from inference.exam.objects.cad_sr_write import CadRun
from inference.exam.objects.export import write_run
from inference.exam.sources import FolderSource
from inference.exam.types import Exam, InferenceError
from inference.lesions import LesionsNotRead, given_lesions
from inference.model_card import ModelCard
from inference.registry import FOUR_VIEW, cards, family_of, load_card, why_not
from inference.results import ExamResult
from inference.run_output import RunOutput
from inference.worker import EngineSpec, WorkerEngine
from resources.files import UserFacingError

ExamLoad = tuple[str, Exam | UserFacingError]
LESIONS_UNUSED = "The model scores no given lesions; the lesions table was not used."


def infer(
    source: Annotated[Path, typer.Argument(help="Manifest CSV, or a folder or zip of images.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for scores.csv, detections.csv, run.json; left out = that of --sr."),
    ] = None,
    model: Annotated[str, typer.Option(help="Model id or folder.")] = "dib-mg",
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:N, or auto = CUDA when there is one.")
    ] = "auto",
    heatmaps: Annotated[bool, typer.Option("--heatmaps", help="Also write 16-bit heat-map PNGs.")] = False,
    lesions: Annotated[Path | None, typer.Option(help="Lesions CSV, for models that score lesions.")] = None,
    floor: Annotated[
        float | None,
        typer.Option(
            help="Lowest score of a box, 0 to 1 (FROC curves need a low one); left out = the model's.",
            min=0,
            max=1,
        ),
    ] = None,
    sr: Annotated[
        Path | None, typer.Option(help="Also write a DICOM CAD SR and heat-map objects of each exam here.")
    ] = None,
) -> None:
    """Analyse every exam of a manifest, folder or zip."""
    folder = out or sr
    if folder is None:
        raise typer.BadParameter("expected --out FOLDER or --sr FOLDER, found neither.")
    card = load_card(model)
    reason = why_not(card)
    if reason:
        raise typer.BadParameter(reason)
    try:
        device = chosen_device(device)
    except InferenceError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    output = RunOutput(folder, heatmaps)
    given = _read_lesions(lesions, output) if lesions is not None else None
    engine = WorkerEngine(EngineSpec(model_folder=card.folder, device=device, floor=floor))
    used = ""
    try:
        for case_id, exam in _exams(source):
            if isinstance(exam, UserFacingError):
                output.fail(case_id, str(exam))
                continue
            try:
                result = engine.analyse(exam, lambda _fraction, _text: None, lambda: False)
            except UserFacingError as error:
                output.fail(case_id, str(error))
                _write_sr(sr, source, card, exam, output, failure=str(error))
                continue
            used = result.device
            output.add(case_id, exam, result)
            if given is not None:
                _score_lesions(engine, case_id, exam, given, output)
            _write_sr(sr, source, card, exam, output, result=result)
            score = "none" if result.exam_score is None else f"{result.exam_score:.3f}"
            print(f"{case_id}: exam score {score}, {len(result.detections)} boxes, {result.seconds:.2f} s")
    finally:
        engine.close()
    output.write(
        card_id=card.model_id,
        card_version=card.version,
        weights_digest=card.weights_sha256,
        preprocessing=card.preprocessing,
        software_version=_version(),
        device=used,
        floor=floor,
    )
    for case_id, sentence in output.failures.items():
        print(f"{case_id}: {sentence}")
    if not output.seconds:
        print(
            f"{source}: expected at least one exam that can be read, found none; see the lines above.",
            file=sys.stderr,
        )
        raise typer.Exit(1)


def _read_lesions(path: Path, output: RunOutput) -> tuple[Path, tuple[ManifestLesion, ...]]:
    """Read the table of ``--lesions``: its folder and rows; bad rows are said and noted in the output."""
    entries, problems = read_lesion_table(path)
    if problems:
        output.warnings["--lesions"] = list(problems)
        for sentence in problems:
            print(sentence)
    return path.parent, entries


def _score_lesions(
    engine: WorkerEngine,
    case_id: str,
    exam: Exam,
    given: tuple[Path, tuple[ManifestLesion, ...]],
    output: RunOutput,
) -> None:
    """Let a lesion-level model score a case's lesions; what cannot be scored is noted, once for the whole model."""
    if LESIONS_UNUSED in output.warnings.get("--lesions", ()):
        return
    lesions, notes = given_lesions(exam, case_id, given[1], given[0])
    if notes:
        output.warnings.setdefault(case_id, []).extend(notes)
    if not lesions:
        return
    try:
        output.add_lesions(
            case_id, engine.score_lesions(exam, lesions, lambda _fraction, _text: None, lambda: False)
        )
    except LesionsNotRead:
        output.warnings.setdefault("--lesions", []).append(LESIONS_UNUSED)
        print(LESIONS_UNUSED)
    except UserFacingError as error:
        output.warnings.setdefault(case_id, []).append(f"Lesions not scored: {error}")
        print(f"{case_id}: lesions not scored: {error}")


def _write_sr(
    folder: Path | None,
    source: Path,
    card: ModelCard,
    exam: Exam,
    output: RunOutput,
    *,
    result: ExamResult | None = None,
    failure: str = "",
) -> None:
    """Write an exam's DICOM objects, also where the model failed; what cannot be written is said once an exam."""
    if folder is None:
        return
    run = CadRun(
        exam=exam,
        model_id=card.model_id,
        model_version=card.version,
        weights_digest=card.weights_sha256,
        result=result,
        failure=failure,
        threshold=card.threshold("box"),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The file system's clock: the program's own belongs to reading sessions.
        with tempfile.NamedTemporaryFile(dir=folder) as stamp:
            written = datetime.fromtimestamp(Path(stamp.name).stat().st_mtime, tz=UTC)
        created = written.astimezone().replace(
            tzinfo=None
        )  # DICOM times are local where nothing else is said
        paths = write_run(run, source, folder, created=created, version=_version())
    except (UserFacingError, OSError) as error:
        output.warnings.setdefault(exam.exam_id, []).append(f"CAD SR not written: {error}")
        print(f"{exam.exam_id}: CAD SR not written: {error}")
        return
    print(f"{exam.exam_id}: {paths[0].name} and {len(paths) - 1} heat maps in {folder}")


def _version() -> str:
    try:
        return metadata.version("negatoscope")
    except metadata.PackageNotFoundError:
        return "not installed"


def _exams(source: Path) -> Iterator[ExamLoad]:
    if source.suffix.lower() == ".csv":
        manifest = read_manifest(source)
        for sentence in manifest.problems:
            print(sentence)
        for case_id, rows in exams_of(manifest):
            try:
                yield case_id, load_case(case_id, rows, manifest.folder)
            except UserFacingError as error:
                yield case_id, error
        return
    folder = FolderSource(source)
    summaries = folder.list()
    for entry in folder.report.refused:
        if entry.found is not None:
            continue  # a report or saved display beside the images
        yield entry.path, InferenceError(entry.sentence)
    for summary in summaries:
        try:
            yield summary.exam_id, folder.load(summary.exam_id)
        except UserFacingError as error:
            yield summary.exam_id, error


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
        str, typer.Argument(help="four-view, places, or a recipe of another model: dib_mg_small.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run; a run found there is continued.")],
    cache: Annotated[Path, typer.Option(help="Folder for prepared phantoms.")] = Path("build/prepared"),
    model_folder: Annotated[Path | None, typer.Option(help="Write the packaged model here.")] = None,
    version: Annotated[str, typer.Option(help="Version for the packaged model's card.")] = "1.0.0",
    workers: Annotated[int, typer.Option(help="Processes that make phantoms; not of four-view.")] = 2,
    recipe_name: Annotated[str, typer.Option("--recipe", help="four-view: small or paper.")] = "small",
    manifest: Annotated[Path | None, typer.Option(help="four-view: images CSV; without it phantoms.")] = None,
    lesions: Annotated[Path | None, typer.Option(help="four-view: lesions CSV of the manifest.")] = None,
    device: Annotated[str, typer.Option(help="four-view: cpu, cuda, cuda:N or auto.")] = "auto",
    steps: Annotated[int | None, typer.Option(help="four-view: steps instead of the recipe's.")] = None,
    member: Annotated[int | None, typer.Option(help="four-view: random 80 % number 0, 1 or 2.")] = None,
) -> None:
    """Train a model on phantoms, or four-view on a manifest too, then package the best weights with a card."""
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
        )
        print(f"model folder: {train_and_package(order, model_folder or out / 'model', version=version)}")
        return
    if name == "places":
        from inference.training.places import PAGE, train_places

        train_places(out, cache, workers=workers)
        print((out / PAGE).read_text(encoding="utf-8"))
        return
    from inference.training.loop import run_recipe
    from inference.training.packaging import package
    from inference.training.recipes import recipe

    chosen = recipe(name)
    best = run_recipe(chosen, out, cache, workers=workers)
    target = model_folder or out / "model"
    package(chosen, best, target, version=version, validation_exams=chosen.validation_exams)
    print(f"model folder: {target}")


def evaluate_phantoms(
    model: Annotated[str, typer.Option(help="Model id or folder.")] = "dib-mg",
    exams: Annotated[int, typer.Option(help="Held-out phantoms.")] = 240,
    page: Annotated[Path | None, typer.Option(help="Write the model's page (Markdown) here.")] = None,
    cache: Annotated[Path, typer.Option(help="Folder for prepared phantoms.")] = Path("build/prepared"),
) -> None:
    """Measure a model on held-out phantoms, write the figures into its card, print its page."""
    from inference.training import four_view_command, packaging

    card = load_card(model)
    if family_of(card) == FOUR_VIEW:
        text = four_view_command.measured_page(card.folder, exams=exams, cache=cache)
    else:
        packaging.evaluate(card.folder, exams=exams)
        text = packaging.document(card.folder)
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
