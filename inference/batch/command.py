"""The command ``infer``: from what a user types to a run, its progress and its last words."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from inference.batch.claims import STALE_S, Claims
from inference.batch.ending import last_words, stopping_by_signal
from inference.batch.pacs_units import PacsOrder, open_pacs
from inference.batch.pool import LocalPool, Pool
from inference.batch.private_list import PrivateList
from inference.batch.public_words import row_note
from inference.batch.reporting import TerminalReporter
from inference.batch.run import Run, Summary
from inference.batch.run_folder import SOURCE_PREFIX, BatchError, Job, RunFolder, check_writable
from inference.batch.units import Listing, Unit, list_units
from inference.batch.watching import Watch
from inference.batch.work import WorkSpec
from inference.device import chosen_device
from inference.exam.dicom import pseudonym
from inference.exam.manifest import read_lesion_table
from inference.exam.types import InferenceError
from inference.model_card import ModelCard
from inference.registry import load_card, why_not
from inference.worker import EngineSpec

PACS = "pacs:"
_WORKER_BYTES = 2 << 30  # an exam, its maps and torch
_EXAMS_A_WORKER = 4  # fewer are done before a second worker has started
_TABLES_S = 60.0


def infer(
    source: Annotated[
        str, typer.Argument(help="Manifest CSV, a folder or zip of images, or pacs:CONNECTION.")
    ],
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
    workers: Annotated[
        int | None, typer.Option(help="Worker processes; left out = one a GPU, or one a core.", min=1)
    ] = None,
    ray: Annotated[
        str, typer.Option(help="Work on a Ray cluster: its address, or local = one of this machine.")
    ] = "",
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on looking for new studies until Ctrl-C.")
    ] = False,
    settle: Annotated[
        float, typer.Option(help="--watch: a study is complete after so many seconds without change.", min=0)
    ] = 30.0,
    poll: Annotated[float, typer.Option(help="--watch: look every so many seconds.", min=0.1)] = 10.0,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Throw away the run in the folder and begin again.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed exams again.")] = False,
    problems: Annotated[
        Path | None,
        typer.Option(
            help="Also list here, outside the results, what could not be read, by file name; it may name persons."
        ),
    ] = None,
    stale_after: Annotated[
        float,
        typer.Option(
            help="Another process is taken to be gone after so many seconds without heartbeat.", min=1
        ),
    ] = STALE_S,
    patient_id: Annotated[str, typer.Option("--patient-id", help="pacs: Patient ID.")] = "",
    accession: Annotated[str, typer.Option(help="pacs: accession number.")] = "",
    since: Annotated[str, typer.Option(help="pacs: first study date, yyyy-mm-dd.")] = "",
    until: Annotated[str, typer.Option(help="pacs: last study date, yyyy-mm-dd.")] = "",
    shelf: Annotated[
        Path | None, typer.Option(help="pacs: folder for the images; left out = the station's own.")
    ] = None,
) -> None:
    """Analyse every exam of a manifest, folder, zip or PACS search; run again, it goes on where it stopped.

    Exit status: 0 every exam was analysed, 1 at least one was not, 2 refused or broken off, 130 interrupted.
    """
    folder = out or sr
    if folder is None:
        raise typer.BadParameter("expected --out FOLDER or --sr FOLDER, found neither.")
    card = load_card(model)
    reason = why_not(card)
    if reason:
        raise typer.BadParameter(reason)
    try:
        devices = _devices(device)
    except InferenceError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    order = Order(
        source=source, folder=folder, card=card, devices=devices, heatmaps=heatmaps, sr=sr, floor=floor,
        workers=workers, ray=ray, watch=watch, settle_s=settle, poll_s=poll, fresh=fresh,
        retry_failed=retry_failed, stale_s=stale_after, lesions=lesions, problems=problems,
        pacs=PacsOrder(patient_id=patient_id, accession=accession, since=since, until=until, shelf=shelf),
    )  # fmt: skip
    code = carry_out(order)
    if code:
        raise typer.Exit(code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A run as the user asked for it; ``card`` None = made-up results, to rehearse a run without a model."""

    source: str
    folder: Path
    card: ModelCard | None
    devices: tuple[str, ...] = ("cpu",)
    heatmaps: bool = False
    sr: Path | None = None
    floor: float | None = None
    lesions: Path | None = None
    workers: int | None = None
    ray: str = ""
    watch: bool = False
    settle_s: float = 30.0
    poll_s: float = 10.0
    fresh: bool = False
    retry_failed: bool = False
    stale_s: float = STALE_S
    problems: Path | None = None
    pacs: PacsOrder = field(default_factory=PacsOrder)


def carry_out(order: Order) -> int:
    """Run it; the exit status: 0 = every exam was analysed, 1 = at least one was not, 130 = interrupted.

    Raises
    ------
    BatchError
        The folder holds another run, or this one cannot go on.
    """
    summary = Summary()
    private = PrivateList(order.problems, order.folder, order.sr)
    spec, lesion_problems = _spec(order)
    lesion_notes = [row_note("Lesions", one) for one in lesion_problems]
    check_writable(order.folder)
    folder = RunFolder(order.folder, objects=order.sr)
    with stopping_by_signal() as stopping, Claims(order.folder, stale_s=order.stale_s) as claims:
        _prepare_folder(order, folder, claims)
        with TerminalReporter(private) as reporter:
            for note in lesion_notes:
                reporter.note(note)
            source = _Source(order, private, reporter.note, stopping)
            source.also_private = [
                (f"--lesions, {number}", one) for number, one in enumerate(lesion_problems, 1)
            ]
            pool = _pool(order, spec, len(source.listing.units))
            try:
                run = Run(
                    folder, claims, pool, reporter, stopping=stopping, prepare=source.prepare,
                    more=source.more if order.watch else lambda: None,
                )  # fmt: skip
                folder.adopt(_unjournalled(folder, claims))
                claims.tidy(folder.recorded())
                summary = run.summary
                source.tables = lambda: _tables(order, folder, source, lesion_notes, summary)
                run.extend(source.units)
                run.work()
            except BaseException:
                pool.close()
                with contextlib.suppress(OSError):  # what went wrong first is what is said
                    _tables(order, folder, source, lesion_notes, summary)
                raise
            pool.close()
            _tables_or_sentence(order, folder, source, lesion_notes, summary)
    return last_words(order.source, folder.run_facts(), summary, source.listing.notes)


class _Source:
    """Where the units come from: listed once, or looked for again and again."""

    def __init__(
        self, order: Order, private: PrivateList, note: Callable[[str], None], stopping: Callable[[], bool]
    ) -> None:
        self.private = private
        self.also_private: list[tuple[str, str]] = []
        self.prepare: Callable[[Unit], Unit] | None = None
        self.tables: Callable[[], None] = lambda: None
        self._poll_s = order.poll_s
        self._next_s = self._tables_s = time.monotonic()
        self._fresh = 0
        self._watch: Watch | None = None
        if order.source.startswith(PACS):
            if order.watch:
                raise BatchError(
                    "--watch: expected a folder, found a PACS; let the PACS send to the station's listener."
                )
            self.listing, self.prepare = open_pacs(
                order.source.removeprefix(PACS), order.pacs, stopping, note
            )
        elif order.watch:
            self._watch = Watch(Path(order.source), settle_s=order.settle_s, now=time.monotonic)
            self.listing = Listing()
        else:
            self.listing = list_units(Path(order.source))
        for sentence in self.listing.notes:
            note(sentence)

    @property
    def units(self) -> tuple[Unit, ...]:
        return self.listing.units

    def more(self) -> Iterable[Unit]:
        """New units since the last look; called often, looks seldom."""
        assert self._watch is not None
        now = time.monotonic()
        if now < self._next_s:
            return ()
        units = self._watch.look()
        self.listing = self._watch.listing
        took = time.monotonic() - now
        self._next_s = now + max(self._poll_s, 5 * took)  # a large folder is not looked through all the time
        if now - self._tables_s > _TABLES_S:
            self._tables_s = now
            self.tables()
        return units


def _spec(order: Order) -> tuple[WorkSpec, list[str]]:
    spec = WorkSpec(
        engine=EngineSpec(
            model_folder=None if order.card is None else order.card.folder,
            device=order.devices[0],
            floor=order.floor,
        ),
        heatmaps=order.heatmaps,
        objects=order.sr is not None,
        version=software_version(),
    )
    if order.lesions is None:
        return spec, []
    entries, problems = read_lesion_table(order.lesions)
    return replace(spec, lesions=tuple(entries), lesions_folder=order.lesions.parent), list(problems)


def _prepare_folder(order: Order, folder: RunFolder, claims: Claims) -> None:
    if order.fresh or order.retry_failed:
        if _others_live(claims):
            raise BatchError(
                f"{order.folder}: expected no other process at work in this run, found one; stop it first."
            )
        if order.fresh:
            folder.throw_away(keep=claims.owner)
    model = _model(order.card)
    job = Job(
        model_id=model["card_id"],
        model_version=model["card_version"],
        weights_sha256=model["weights_digest"],
        preprocessing=model["preprocessing"],
        source=_source_name(order.source),
        floor=order.floor,
        heatmaps=order.heatmaps,
        objects=order.sr is not None,
        lesions_sha256=""
        if order.lesions is None
        else hashlib.sha256(order.lesions.read_bytes()).hexdigest(),
        search_sha256=order.pacs.digest if order.source.startswith(PACS) else "",
    )
    folder.open(job, claims.owner)
    if order.retry_failed:
        folder.retry_failed()


def _source_name(source: str) -> str:
    """What the run calls its source: a search or a manifest by its name, a folder or zip by a pseudonym."""
    name = Path(source).resolve().name
    if source.startswith(PACS) or name.lower().endswith(".csv"):
        return source if source.startswith(PACS) else name
    return pseudonym(name, SOURCE_PREFIX)


def _others_live(claims: Claims) -> bool:
    """Whether anybody else beats: on this machine the pid tells, elsewhere a beat must be seen to change."""
    return any(claims.beats_now(owner) for owner in claims.others())


def _unjournalled(folder: RunFolder, claims: Claims) -> list[str]:
    """Records whose process died before it wrote its journal line; those of living processes are left to them."""
    if claims.others():
        return []
    noted = {line.get("key") for line in folder.journal()}
    return sorted(key for key in folder.recorded() if key not in noted)


def _pool(order: Order, spec: WorkSpec, exams: int) -> Pool:
    if order.ray:
        from inference.batch.ray_pool import RayPool

        return RayPool(spec, order.ray, workers=order.workers)
    cores = _cores()
    if order.devices[0].startswith("cuda"):
        count = order.workers or len(order.devices)
    else:
        enough = exams // _EXAMS_A_WORKER if not order.watch else cores
        count = order.workers or max(1, min(cores, enough, _memory_bytes() // _WORKER_BYTES))
    devices = [order.devices[index % len(order.devices)] for index in range(count)]
    return LocalPool(spec, devices, threads=max(1, cores // count))


def _devices(name: str) -> tuple[str, ...]:
    """The devices of a name: every CUDA device where no number is given."""
    chosen = chosen_device(name)
    if chosen != "cuda":
        return (chosen,)
    import torch

    return tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return 16 << 30


def _tables_or_sentence(
    order: Order, folder: RunFolder, source: _Source, lesion_notes: list[str], summary: Summary
) -> None:
    try:
        _tables(order, folder, source, lesion_notes, summary)
    except OSError as error:
        raise BatchError(
            f"{order.folder}: expected room for the tables, found: {error.strerror}; mend that and run the same "
            "command again, which analyses nothing twice."
        ) from error


def _tables(
    order: Order, folder: RunFolder, source: _Source, lesion_notes: list[str], summary: Summary
) -> None:
    facts = {
        **_model(order.card),
        "software_version": software_version(),
        "floor": order.floor,
        "refused_files": source.listing.refused_files,
    }
    source.private.files((*source.listing.refused, *source.also_private))
    folder.write_tables(source.units, summary.put_off.items(), facts, notes=lesion_notes)


def _model(card: ModelCard | None) -> dict[str, str]:
    return {
        "card_id": "fake" if card is None else card.model_id,
        "card_version": "1" if card is None else card.version,
        "weights_digest": "" if card is None else card.weights_sha256,
        "preprocessing": "none" if card is None else card.preprocessing,
    }


def software_version() -> str:
    """Version of this program."""
    try:
        return metadata.version("negatoscope")
    except metadata.PackageNotFoundError:
        return "not installed"
