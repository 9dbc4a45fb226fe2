"""``negatoscope pacs …``: connections, echo, query, fetch, send, listen, without a window. Names appear on the
terminal only where a query asks for them; nothing of a patient is logged."""

from __future__ import annotations

import getpass
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from resources.files import UserFacingError, one_sentence

if TYPE_CHECKING:
    from inference.exam.pacs.connections import ConnectionBook
    from inference.exam.pacs.listener import Listener
    from inference.exam.pacs.model import Peer, Query
    from inference.exam.pacs.peers import Receiver
    from inference.exam.pacs.queue import DownloadQueue

app = typer.Typer(no_args_is_help=True, help="Search, fetch from, send to and receive from a PACS.")
_Name = Annotated[str, typer.Argument(help="Name of the connection.")]
_Shelf = Annotated[
    Path | None,
    typer.Option("--to", help="Folder for the images; default the station's own, as on the screen."),
]


def _say(*cells: str, err: bool = False) -> None:
    """Print one line of cells parted by tabs, without what in a server's text could steer a terminal."""
    typer.echo("\t".join(one_sentence(cell) for cell in cells), err=err)


@contextmanager
def _sentences() -> Iterator[None]:
    """A sentence on stderr and exit 2, as everywhere in this program."""
    try:
        yield
    except (UserFacingError, ValueError) as error:
        _say(str(error), err=True)
        raise typer.Exit(2) from error


def _parts() -> tuple[ConnectionBook, Receiver]:
    from app.pacs_station import connection_book
    from inference.exam.pacs.peers import Receiver

    book = connection_book()
    return book, Receiver(book.listener())


def _peer(name: str) -> Peer:
    from inference.exam.pacs.peers import open_peer

    book, receiver = _parts()
    return open_peer(book.connection(name), book, receiver)


@app.command("add")
def add_connection(
    name: _Name,
    url: Annotated[str, typer.Option(help="DICOMweb address, e.g. https://pacs.example.org/dicom-web")] = "",
    user: Annotated[str, typer.Option(help="User of the DICOMweb server; the password is asked for.")] = "",
    token: Annotated[
        bool, typer.Option("--token", help="The server wants a token, which is asked for.")
    ] = False,
    aet: Annotated[str, typer.Option(help="AE title of a DIMSE peer.")] = "",
    host: Annotated[str, typer.Option(help="Host of a DIMSE peer.")] = "",
    port: Annotated[int, typer.Option(help="Port of a DIMSE peer.")] = 104,
    own_aet: Annotated[str, typer.Option(help="Our AE title.")] = "NEGATOSCOPE",
    move: Annotated[
        bool, typer.Option("--move", help="Fetch by C-MOVE to our listener, not by C-GET.")
    ] = False,
    tls: Annotated[bool, typer.Option("--tls", help="DIMSE over TLS.")] = False,
    ca: Annotated[str, typer.Option(help="Certificate (PEM) of the server's authority.")] = "",
    cert: Annotated[str, typer.Option(help="Our certificate (PEM).")] = "",
    key: Annotated[str, typer.Option(help="Key of our certificate (PEM).")] = "",
    no_host_check: Annotated[
        bool, typer.Option("--no-host-check", help="The certificate need not bear the host's name.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds an answer may take.")] = 30.0,
    parallel: Annotated[int, typer.Option(help="Transfers at once, 1 to 8.")] = 3,
    all_modalities: Annotated[bool, typer.Option("--all-modalities", help="Not mammography only.")] = False,
    password_file: Annotated[
        Path | None,
        typer.Option(help="File whose first line is the password or token; else it is asked for."),
    ] = None,
) -> None:
    """Add or replace a connection. The password goes to a file of its own that only you can read."""
    from inference.exam.pacs.model import Auth, Connection, Kind, Retrieve

    with _sentences():
        auth = Auth.TOKEN if token else Auth.PASSWORD if user else Auth.NONE
        connection = Connection(
            name=name, kind=Kind.DICOMWEB if url else Kind.DIMSE, url=url, auth=auth, user=user, ae_title=aet, host=host,
            port=port, own_ae_title=own_aet, retrieve=Retrieve.MOVE if move else Retrieve.GET, tls=tls, ca_file=ca,
            cert_file=cert, key_file=key, check_host=not no_host_check, timeout_s=timeout, parallel=parallel,
            mammography_only=not all_modalities,
        )  # fmt: skip
        secret = None if auth is Auth.NONE else _secret(password_file)
        _parts()[0].keep(connection, secret=secret)
        _say(f"Kept: {name}. Try it: negatoscope pacs echo {name!r}")
        if not connection.is_encrypted:
            _say("Not encrypted: images, names and passwords can be read on the way.")


def _secret(file: Path | None) -> str:
    if file is None:
        return getpass.getpass("Password or token: ")
    try:
        return file.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError) as error:
        raise UserFacingError(
            f"{file}: expected a first line with the password, found none; check the file."
        ) from error


@app.command("list")
def list_connections() -> None:
    """List the connections."""
    with _sentences():
        for one in _parts()[0].connections():
            where = one.url or f"{one.ae_title} at {one.host}:{one.port}"
            _say(f"{one.name:24} {one.kind.value:9} {where}")


@app.command()
def remove(name: _Name) -> None:
    """Remove a connection and its password."""
    with _sentences():
        _parts()[0].remove(name)


@app.command()
def echo(name: _Name) -> None:
    """Check address, certificate and password."""
    with _sentences():
        _say(_peer(name).echo())


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UserFacingError(f"Date: expected yyyy-mm-dd, found {text!r}.") from error


def _query(
    patient_id: str, name: str, accession: str, since: str, until: str, *, every: bool, limit: int
) -> Query:
    from inference.exam.pacs.model import MAMMOGRAPHY, Query

    return Query(
        patient_id=patient_id,
        patient_name=name,
        accession=accession,
        first=_day(since),
        last=_day(until),
        modality="" if every else MAMMOGRAPHY,
        limit=limit,
    )


_PatientId = Annotated[str, typer.Option("--patient-id", help="Patient ID.")]
_PatientName = Annotated[
    str, typer.Option("--patient-name", help="Beginning of the name; * and ? stand for others.")
]
_Accession = Annotated[str, typer.Option(help="Accession number.")]
_Since = Annotated[str, typer.Option(help="First study date, yyyy-mm-dd.")]
_Until = Annotated[str, typer.Option(help="Last study date, yyyy-mm-dd.")]
_Every = Annotated[bool, typer.Option("--all-modalities", help="Not mammography only.")]
_Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many studies.")]


@app.command()
def query(
    name: _Name,
    patient_id: _PatientId = "",
    patient_name: _PatientName = "",
    accession: _Accession = "",
    since: _Since = "",
    until: _Until = "",
    all_modalities: _Every = False,
    limit: _Limit = 500,
) -> None:
    """Search; one line a study: date, patient id, name, accession, modalities, images, study UID. Exit 1 = nothing."""
    with _sentences():
        asked = _query(patient_id, patient_name, accession, since, until, every=all_modalities, limit=limit)
        found = _peer(name).studies(asked)
        for one in found.studies:
            day = one.study_date.isoformat() if one.study_date else ""
            cells = (day, one.patient_id, one.patient_name, one.accession, "/".join(one.modalities),
                     "" if one.instance_count is None else str(one.instance_count), one.study_uid)  # fmt: skip
            _say(*cells)
        typer.echo(found.sentence, err=True)
    if not found.studies:
        raise typer.Exit(1)


@app.command()
def fetch(
    name: _Name,
    study: Annotated[
        list[str] | None, typer.Option("--study", help="Study Instance UID; may be repeated.")
    ] = None,
    patient_id: _PatientId = "",
    patient_name: _PatientName = "",
    accession: _Accession = "",
    since: _Since = "",
    until: _Until = "",
    objects: Annotated[bool, typer.Option("--objects", help="CAD reports and saved displays too.")] = False,
    limit: _Limit = 500,
    to: _Shelf = None,
) -> None:
    """Fetch studies as they are stored; what is here whole is not fetched again. Exit 1 = some did not come."""
    from app.pacs_station import open_shelf
    from inference.exam.pacs.model import StudyMatch
    from inference.exam.pacs.queue import DownloadQueue

    with _sentences():
        if not (study or patient_id or patient_name or accession or since or until):
            raise UserFacingError(
                "Fetch: expected --study or something to search for, found nothing; say which."
            )
        peer = _peer(name)
        if study:
            studies = tuple(StudyMatch(study_uid=uid) for uid in study)
        else:
            asked = _query(patient_id, patient_name, accession, since, until, every=False, limit=limit)
            found = peer.studies(asked)
            typer.echo(found.sentence, err=True)
            studies = found.studies
        shelf = open_shelf(_parts()[0], to)
        queue = DownloadQueue(shelf, lambda _name: peer)
        numbers = [queue.add(name, one, objects=objects) for one in studies]
        try:
            failed = _follow(queue, numbers)
        finally:
            queue.close()
        for number in numbers:
            job = next(job for job in queue.jobs() if job.job_id == number)
            _say(job.state.value, f"{job.done}/{job.total}", str(job.folder or ""), job.sentence)
    if failed or not studies:
        raise typer.Exit(1)


def _follow(queue: DownloadQueue, numbers: list[int]) -> bool:
    from inference.exam.pacs.queue import State

    tick = threading.Event()
    with Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
                  TextColumn("{task.fields[what]}"), console=Console(stderr=True)) as progress:  # fmt: skip
        rows: dict[int, TaskID] = {}
        try:
            while True:
                jobs = [job for job in queue.jobs() if job.job_id in numbers]
                for job in jobs:
                    if job.job_id not in rows:
                        rows[job.job_id] = progress.add_task(f"study {job.job_id}", total=None, what="")
                    what = escape(one_sentence(job.sentence)) or f"{job.new_bytes / 1e6:.0f} MB"
                    progress.update(rows[job.job_id], total=job.total or None, completed=job.done, what=what)
                if all(job.state.is_over for job in jobs):
                    return any(job.state is not State.DONE for job in jobs)
                tick.wait(0.2)
        except KeyboardInterrupt:
            for number in numbers:
                queue.cancel(number)
            return True


@app.command()
def send(
    name: _Name,
    files: Annotated[list[Path], typer.Argument(help="DICOM files or folders with them.")],
) -> None:
    """Send files: CAD reports, saved displays, key images, images. Exit 1 = some were refused."""
    with _sentences():
        paths = [one for path in files for one in (sorted(path.rglob("*.dcm")) if path.is_dir() else [path])]
        missing = [path for path in paths if not path.is_file()]
        if missing or not paths:
            raise UserFacingError(
                f"Send: expected DICOM files, found none at {(missing or files)[0]}; check the path."
            )
        total = sum(path.stat().st_size for path in paths)
        with Progress(TextColumn("sending"), BarColumn(), console=Console(stderr=True)) as progress:
            row = progress.add_task("", total=total)
            sent = _peer(name).store(
                paths, arrived=lambda size: progress.advance(row, size), cancelled=lambda: False
            )
        for sentence in sent.refused:
            _say(sentence, err=True)
        typer.echo(f"{sent.stored} of {len(paths)} files were stored.")
    if sent.refused:
        raise typer.Exit(1)


@app.command()
def listen(
    peers: Annotated[
        list[str] | None,
        typer.Option(
            "--peer", help="Sender: AE title, or AETITLE@ADDRESS; may be repeated. Default: the settings."
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port; default 11112.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen at; 0.0.0.0 = the whole network.")
    ] = None,
    aet: Annotated[str | None, typer.Option(help="Our AE title.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep these settings.")] = False,
    to: _Shelf = None,
) -> None:
    """Take what modalities and PACS push, until Ctrl+C. Senders that are not on the list are refused."""
    from app.pacs_station import open_shelf
    from inference.exam.pacs.listener import Listener

    with _sentences():
        book = _parts()[0]
        settings = book.listener()
        if peers:
            pairs = [one.partition("@")[::2] for one in peers]
            settings = replace(settings, peers={title: (at,) if at else () for title, at in pairs})
        changes = {"port": port, "host": host, "ae_title": aet}
        settings = replace(settings, **{k: v for k, v in changes.items() if v is not None})  # type: ignore[arg-type]
        if not settings.peers:
            raise UserFacingError(
                "Listen: expected --peer AETITLE or senders in the settings, found none; name them."
            )
        if keep:
            book.keep_listener(settings)
        listener = Listener(settings, open_shelf(book, to))
        listener.start()
        typer.echo(f"Listening as {settings.ae_title} at {settings.host}:{listener.port}; Ctrl+C ends.")
        _until_told(_teller(listener))
        listener.stop()
        status = listener.status
        typer.echo(
            f"Received {status.received} objects, {status.received_bytes / 1e6:.1f} MB; refused {status.refused}."
        )


def _teller(listener: Listener) -> Callable[[], None]:
    said = [""]

    def tell() -> None:
        status = listener.status
        line = f"received {status.received}, refused {status.refused} {status.last_refusal}".rstrip()
        if line != said[0]:
            said[0] = line
            _say(line)

    return tell


def _until_told(each: Callable[[], None]) -> None:
    over = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: over.set())
    while not over.wait(0.5):
        each()


@app.command()
def browse(
    model: Annotated[str, typer.Option(help="Model card id or folder.")] = "dib-mg",
) -> None:
    """Open the window on the PACS screen, without a study."""
    from app import demo_run
    from app.cli import program_version

    raise typer.Exit(demo_run.browse_pacs(model=model, version=program_version()))


def register(main: typer.Typer) -> None:
    """Add the group ``pacs``."""
    main.add_typer(app, name="pacs")
