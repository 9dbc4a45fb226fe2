"""Puts the PACS of a station together: where connections, passwords and fetched images lie on this machine."""

from __future__ import annotations

from pathlib import Path

from app.control.pacs import PacsDesk
from app.control.tasks import TaskRunner
from app.files import program_folders
from app.language import settings_folder
from inference.exam.pacs.connections import ConnectionBook
from inference.exam.pacs.peers import Receiver, open_peer
from inference.exam.pacs.shelf import Shelf


def connection_book() -> ConnectionBook:
    """The connections of this user, beside the settings."""
    return ConnectionBook(settings_folder())


def open_shelf(book: ConnectionBook, folder: Path | None = None) -> Shelf:
    """The fetched images of this user (they hold identity: their owner's only), within the quota of the settings."""
    place = folder or program_folders("pacs").home
    return Shelf(place, quota_bytes=round(book.listener().quota_gb * 1e9))


def open_desk(runner: TaskRunner) -> PacsDesk:
    """Make what the PACS screen works with; PacsError when the connections or the folder cannot be read."""
    book = connection_book()
    receiver = Receiver(book.listener())
    return PacsDesk(
        book=book,
        shelf=open_shelf(book),
        peer_of=lambda connection: open_peer(connection, book, receiver),
        receiver=receiver,
        runner=runner,
    )
